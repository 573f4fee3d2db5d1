//! What a step's time went into: nodes, links, and the chain of tasks and messages that decided
//! when the last microbatch was back.
//!
//! The chain is followed backwards from the last task: a task that started when its message arrived
//! was held up by the link, any other by the task that its node did before.

use std::collections::BTreeMap;

use super::engine::{FIRST, Task};
use super::{Schedule, SimError, Simulator};
use crate::path::Peer;
use crate::topology::{Micros, Network};

/// What came of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// From the start of the step until the last microbatch is back.
    pub time: Micros,
    /// By node.
    pub nodes: Vec<NodeUse>,
    /// The links that messages took, in the order of sender and receiver. A hop within a node is no
    /// link.
    pub links: Vec<LinkUse>,
    /// The link on which the deciding chain spent the most time; none where it used none.
    pub bottleneck: Option<LinkUse>,
}

/// What a node did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct NodeUse {
    /// Tasks, without the pauses between them.
    pub busy: Micros,
    /// How many tasks.
    pub tasks: u32,
    /// Most microbatches that it held at once.
    pub held: u32,
}

/// What a link carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkUse {
    /// Sender.
    pub from: Peer,
    /// Receiver.
    pub to: Peer,
    /// How many messages.
    pub messages: u32,
    /// How long messages were under way, added up.
    pub under_way: Micros,
    /// How long they then waited for the receiver, added up.
    pub waited: Micros,
    /// How much of the step's time the deciding chain spent on it.
    pub deciding: Micros,
}

impl Simulator {
    /// Runs a schedule and says what its time went into.
    ///
    /// # Errors
    /// As [`Simulator::run`].
    pub fn report(&mut self, network: &Network, schedule: &Schedule) -> Result<Report, SimError> {
        let time = self.run(network, schedule)?;
        let mut links = self.links(network, schedule);
        self.follow_the_deciding_chain(network, schedule, &mut links);
        let links: Vec<LinkUse> = links.into_values().collect();
        let used = links.iter().filter(|link| link.deciding > Micros::ZERO);
        Ok(Report {
            time,
            nodes: self.node_uses(network, schedule),
            // Of equals, the first.
            bottleneck: used.rev().max_by_key(|link| link.deciding).copied(),
            links,
        })
    }

    fn node_uses(&self, network: &Network, schedule: &Schedule) -> Vec<NodeUse> {
        let mut uses = vec![NodeUse::default(); network.len()];
        // Slots taken (+1) and given back (−1); a task that gives one back comes first.
        let mut slots = vec![Vec::new(); network.len()];
        for_each_task(schedule, |task, route| {
            let node = task.node(route);
            let start = self.tasks[task.id(schedule) as usize].start;
            let (duration, _) = task.cost(route.len(), node, network);
            uses[node].busy += Micros(duration);
            uses[node].tasks += 1;
            match task.step {
                step if step < route.len() => slots[node].push((start, 1_i32)),
                step if step > route.len() => slots[node].push((start, -1)),
                _ => {}
            }
        });
        for (node, changes) in slots.iter_mut().enumerate() {
            changes.sort_unstable();
            let mut held = 0;
            for (_, change) in changes {
                held += *change;
                uses[node].held = uses[node].held.max(held.unsigned_abs());
            }
        }
        uses
    }

    fn links(&self, network: &Network, schedule: &Schedule) -> BTreeMap<(usize, usize), LinkUse> {
        let mut links = BTreeMap::new();
        for_each_task(schedule, |task, route| {
            if task.step == 0 {
                return;
            }
            let (from, to) = (sender(task, route), task.node(route));
            if from == to {
                return;
            }
            let id = task.id(schedule) as usize;
            let link: &mut LinkUse = links.entry((from, to)).or_insert(LinkUse {
                from: Peer(from as u32),
                to: Peer(to as u32),
                messages: 0,
                under_way: Micros::ZERO,
                waited: Micros::ZERO,
                deciding: Micros::ZERO,
            });
            link.messages += 1;
            link.under_way += self.way(task, network, schedule);
            link.waited += Micros(self.tasks[id].start - self.queues.arrival(id));
        });
        links
    }

    fn follow_the_deciding_chain(
        &self,
        network: &Network,
        schedule: &Schedule,
        links: &mut BTreeMap<(usize, usize), LinkUse>,
    ) {
        let Some(mut task) = self.last_task(schedule) else {
            return;
        };
        loop {
            let id = task.id(schedule) as usize;
            let state = self.tasks[id];
            let arrived = state.start == self.queues.arrival(id);
            if !arrived && state.before != FIRST {
                task = Task::from(state.before, schedule);
                continue;
            }
            if task.step == 0 {
                return;
            }
            let route = schedule.route(task.microbatch);
            let (from, to) = (sender(task, route), task.node(route));
            if let Some(link) = links.get_mut(&(from, to)) {
                link.deciding += self.way(task, network, schedule);
            }
            task.step -= 1;
        }
    }

    /// How long the message that a task waited for was under way.
    fn way(&self, task: Task, network: &Network, schedule: &Schedule) -> Micros {
        let route = schedule.route(task.microbatch);
        let step = task.step - 1;
        let before = Task { step, ..task };
        let (duration, _) = before.cost(route.len(), before.node(route), network);
        let handed_over = self.tasks[before.id(schedule) as usize].start + duration;
        Micros(self.queues.arrival(task.id(schedule) as usize) - handed_over)
    }

    fn last_task(&self, schedule: &Schedule) -> Option<Task> {
        let last = (0..schedule.len()).max_by_key(|microbatch| self.done(*microbatch))?;
        let step = 2 * schedule.route(last).len();
        Some(Task {
            microbatch: last,
            step,
        })
    }
}

/// Who sent what a task needs.
fn sender(task: Task, route: &[u32]) -> usize {
    let step = task.step - 1;
    Task { step, ..task }.node(route)
}

fn for_each_task(schedule: &Schedule, mut visit: impl FnMut(Task, &[u32])) {
    for microbatch in 0..schedule.len() {
        let route = schedule.route(microbatch);
        for step in 0..=2 * route.len() {
            visit(Task { microbatch, step }, route);
        }
    }
}
