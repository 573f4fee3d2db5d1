//! A topology as numbers to compute with: no options, no optional parts, one array per quantity.

use super::{Costs, Micros, Node};

/// All times of a topology for hops of one size, in microseconds. Nodes are numbered as in the
/// topology.
#[derive(Clone, Debug)]
pub struct Network {
    /// Of a message that has its way to itself.
    delays: Vec<u64>,
    lines: Option<Lines>,
    work: Vec<Work>,
    pause: u64,
    pause_after_new: u64,
}

/// What messages share: the line that each node sends on, and the one that it receives on. Rates
/// are in bytes a second; those of pairs, like latencies, row after row.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    /// Of a message.
    pub(crate) bytes: u64,
    pub(crate) latency: Vec<u64>,
    pub(crate) pair: Vec<u64>,
    pub(crate) up: Vec<u64>,
    pub(crate) down: Vec<u64>,
}

/// What a node's tasks take, and how many microbatches it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub(crate) forward: u64,
    pub(crate) backward: u64,
    pub(crate) loss: u64,
    pub(crate) slots: u32,
}

impl Network {
    pub(super) fn new(
        nodes: &[Node],
        delays: Vec<u64>,
        lines: Option<Lines>,
        costs: &Costs,
    ) -> Self {
        Self {
            delays,
            lines,
            work: nodes.iter().map(|node| Work::new(node, costs)).collect(),
            pause: costs.pause.0,
            pause_after_new: costs.pause_after_new.0,
        }
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.work.len()
    }

    /// A network always has a node.
    pub fn is_empty(&self) -> bool {
        self.work.is_empty()
    }

    /// From one node to another, where no other message is under way; none from a node to itself.
    ///
    /// # Panics
    /// There is no such node.
    pub fn delay(&self, from: usize, to: usize) -> Micros {
        Micros(self.delays[from * self.work.len() + to])
    }

    /// There and back.
    pub(crate) fn both_ways(&self, one: usize, other: usize) -> u64 {
        let nodes = self.work.len();
        self.delays[one * nodes + other] + self.delays[other * nodes + one]
    }

    /// What messages share; none where they do not disturb each other.
    pub(crate) fn lines(&self) -> Option<&Lines> {
        self.lines.as_ref()
    }

    pub(crate) fn work(&self, node: usize) -> Work {
        self.work[node]
    }

    /// After any task but the next.
    pub(crate) fn pause(&self) -> u64 {
        self.pause
    }

    /// After the forward pass of a new microbatch at stage 0.
    pub(crate) fn pause_after_new(&self) -> u64 {
        self.pause_after_new
    }
}

impl Work {
    fn new(node: &Node, costs: &Costs) -> Self {
        let share = |permille: u32| node.forward.0 * u64::from(permille) / 1000;
        Self {
            forward: node.forward.0,
            backward: node
                .backward
                .map_or_else(|| share(costs.backward_permille), |time| time.0),
            loss: node
                .loss
                .map_or_else(|| share(costs.loss_permille), |time| time.0),
            slots: u32::from(node.slots),
        }
    }
}
