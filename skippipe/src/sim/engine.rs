//! The event loop.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Schedule;
use super::lines::Flows;
use super::queues::{Kind, Queues};
use crate::path::{Microbatch, Peer};
use crate::topology::{Micros, Network};

/// Most tasks of a simulation. A microbatch of L hops has 2 L + 1.
pub const MAX_TASKS: usize = 1 << 24;

/// No task ran before.
pub(super) const FIRST: u32 = u32::MAX;

/// Why a schedule has no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// Microbatches wait for slots that only they could free.
    #[error(
        "deadlock: {left} microbatches wait for slots for ever, the first is {first}; let stages \
         ascend along every path, or give nodes more slots"
    )]
    Deadlock {
        /// How many are not done.
        left: usize,
        /// The first of them.
        first: Microbatch,
    },
    /// A route leads to a node that the network does not have.
    #[error("{microbatch} visits {peer}; the network has {nodes} nodes")]
    Unknown {
        /// Whose route.
        microbatch: Microbatch,
        /// Where it leads.
        peer: Peer,
        /// How many nodes there are.
        nodes: usize,
    },
    /// More than [`MAX_TASKS`].
    #[error("{0} tasks; simulate at most {MAX_TASKS}")]
    Tasks(usize),
    /// A release beyond a year.
    #[error("{microbatch} is released after {release}; the latest is a year")]
    Release {
        /// Which.
        microbatch: Microbatch,
        /// When.
        release: Micros,
    },
}

/// The latest release: a year.
const MAX_RELEASE: u64 = 366 * 24 * 3_600_000_000;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All microbatches are back; the last at this moment.
    At(u64),
    /// They were not at the limit.
    Later,
}

/// Runs schedules, one after the other in the same memory.
#[derive(Clone, Debug, Default)]
pub struct Simulator {
    /// What happens next: at a moment, a node wakes up or, numbered after the nodes, a task
    /// arrives; over shared lines, numbered after these, the message that a task waits for is
    /// handed over, and then a flow is over.
    events: BinaryHeap<Reverse<(u64, u32)>>,
    flows: Flows,
    pub(super) queues: Queues,
    nodes: Vec<NodeState>,
    pub(super) tasks: Vec<TaskState>,
    /// When each microbatch was done.
    pub(super) done: Vec<u64>,
    touched: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct NodeState {
    ready: u64,
    free: u32,
    /// Whether an event will look at its queue.
    awake: bool,
    last: u32,
}

/// What is remembered of a task for the report.
#[derive(Clone, Copy, Debug)]
pub(super) struct TaskState {
    pub(super) start: u64,
    /// The task that the node did before, or [`FIRST`].
    pub(super) before: u32,
}

/// Which task of which microbatch: 0 to L − 1 are forward, L is the loss, L + 1 to 2 L backward.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    pub(super) microbatch: usize,
    pub(super) step: usize,
}

impl Task {
    pub(super) fn from(id: u32, schedule: &Schedule) -> Self {
        let steps = 2 * schedule.stride() + 1;
        Self {
            microbatch: id as usize / steps,
            step: id as usize % steps,
        }
    }

    pub(super) fn id(self, schedule: &Schedule) -> u32 {
        (self.microbatch * (2 * schedule.stride() + 1) + self.step) as u32
    }

    /// Where it is done, in a route.
    pub(super) fn node(self, route: &[u32]) -> usize {
        let hops = route.len();
        let place = match self.step {
            step if step < hops => step,
            step if step == hops => 0,
            step => 2 * hops - step,
        };
        route[place] as usize
    }

    fn kind(self, hops: usize) -> Kind {
        match self.step {
            0 => Kind::New,
            step if step < hops => Kind::Slot,
            _ => Kind::Free,
        }
    }

    /// How long it takes, and the pause after it.
    pub(super) fn cost(self, hops: usize, node: usize, network: &Network) -> (u64, u64) {
        let work = network.work(node);
        match self.step {
            0 => (work.forward, network.pause_after_new()),
            step if step < hops => (work.forward, network.pause()),
            step if step == hops => (work.loss, network.pause()),
            _ => (work.backward, network.pause()),
        }
    }
}

impl Simulator {
    /// One that has not run anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// The time from the start of a step until the last microbatch is back.
    ///
    /// # Errors
    /// A deadlock, a route to a node that is none, or too many tasks.
    pub fn run(&mut self, network: &Network, schedule: &Schedule) -> Result<Micros, SimError> {
        check(network, schedule)?;
        match self.run_until(network, schedule, u64::MAX)? {
            Ended::At(time) => Ok(Micros(time)),
            Ended::Later => unreachable!("invariant: no moment is after the last one"),
        }
    }

    /// When a microbatch was done in the last run.
    pub(crate) fn done(&self, microbatch: usize) -> u64 {
        self.done[microbatch]
    }

    /// Runs a schedule that was checked, and stops where it cannot be over by `limit`.
    pub(crate) fn run_until(
        &mut self,
        network: &Network,
        schedule: &Schedule,
        limit: u64,
    ) -> Result<Ended, SimError> {
        self.reset(network, schedule);
        let mut left = schedule.len();
        let mut end = 0;
        while let Some(Reverse((now, _))) = self.events.peek().copied() {
            if now > limit {
                return Ok(Ended::Later);
            }
            // A node that becomes ready chooses among what waited before this moment.
            self.wake_up(now);
            self.start_touched(now, network, schedule, &mut left, &mut end);
            self.arrive(now, schedule);
            self.start_touched(now, network, schedule, &mut left, &mut end);
            self.carry(now, network, schedule);
        }
        match left {
            0 => Ok(Ended::At(end)),
            _ => Err(self.deadlock(left)),
        }
    }

    fn reset(&mut self, network: &Network, schedule: &Schedule) {
        let tasks = schedule.len() * (2 * schedule.stride() + 1);
        self.queues.reset(network.len(), tasks);
        if network.lines().is_some() {
            self.flows.reset(network.len());
        }
        self.nodes.clear();
        self.nodes.extend((0..network.len()).map(|node| NodeState {
            ready: 0,
            free: network.work(node).slots,
            awake: false,
            last: FIRST,
        }));
        let unknown = TaskState {
            start: 0,
            before: FIRST,
        };
        self.tasks.resize(tasks, unknown);
        self.done.clear();
        self.done.resize(schedule.len(), u64::MAX);
        self.touched.clear();
        self.events.clear();
        for microbatch in 0..schedule.len() {
            let first = Task {
                microbatch,
                step: 0,
            };
            let release = schedule.release(microbatch);
            let id = first.id(schedule) + network.len() as u32;
            self.events.push(Reverse((release, id)));
        }
    }

    /// Starts what the touched nodes can. They are independent of each other: what they start
    /// arrives later or, over links without delay, in another round of the same moment.
    fn start_touched(
        &mut self,
        now: u64,
        network: &Network,
        schedule: &Schedule,
        left: &mut usize,
        end: &mut u64,
    ) {
        while let Some(node) = self.touched.pop() {
            if let Some(finished) = self.start(node as usize, now, network, schedule) {
                *left -= 1;
                *end = finished.max(*end);
            }
        }
    }

    /// Notes the nodes that wake up at a moment.
    fn wake_up(&mut self, now: u64) {
        while let Some(Reverse((time, id))) = self.events.peek().copied() {
            if time != now || id as usize >= self.nodes.len() {
                break;
            }
            self.events.pop();
            self.nodes[id as usize].awake = false;
            self.touched.push(id);
        }
    }

    /// Puts everything that arrives at a moment into the queues, and notes the nodes that may start
    /// something.
    fn arrive(&mut self, now: u64, schedule: &Schedule) {
        let nodes = self.nodes.len() as u32;
        let tasks = self.tasks.len() as u32;
        while let Some(Reverse((time, id))) = self.events.peek().copied() {
            if time != now || id < nodes || id - nodes >= tasks {
                break;
            }
            self.events.pop();
            let id = id - nodes;
            let task = Task::from(id, schedule);
            let route = schedule.route(task.microbatch);
            let node = task.node(route);
            self.queues.push(node, task.kind(route.len()), id, now);
            if self.nodes[node].ready <= now {
                self.touched.push(node as u32);
            } else {
                self.wake(node);
            }
        }
    }

    /// Starts what a node does next, if it can start anything; the end of a microbatch whose last
    /// task it is.
    fn start(
        &mut self,
        node: usize,
        now: u64,
        network: &Network,
        schedule: &Schedule,
    ) -> Option<u64> {
        if self.nodes[node].ready > now {
            return None;
        }
        let id = self.queues.pop(node, self.nodes[node].free > 0)?;
        let task = Task::from(id, schedule);
        let route = schedule.route(task.microbatch);
        let hops = route.len();
        let (duration, pause) = task.cost(hops, node, network);
        let state = &mut self.nodes[node];
        self.tasks[id as usize] = TaskState {
            start: now,
            before: state.last,
        };
        state.last = id;
        state.ready = now + duration + pause;
        match task.step {
            step if step < hops => state.free -= 1,
            step if step > hops => state.free += 1,
            _ => {}
        }
        if self.queues.any(node) {
            self.wake(node);
        }
        let finished = now + duration;
        if task.step == 2 * hops {
            self.done[task.microbatch] = finished;
            return Some(finished);
        }
        let step = task.step + 1;
        let next = Task { step, ..task };
        let to = next.node(route);
        let id = next.id(schedule) + self.nodes.len() as u32;
        match network.lines() {
            Some(_) if node != to => {
                let handed_over = id + self.tasks.len() as u32;
                self.events.push(Reverse((finished, handed_over)));
            }
            _ => {
                let arrival = finished + network.delay(node, to).0;
                self.events.push(Reverse((arrival, id)));
            }
        }
        None
    }

    /// Over shared lines: hands over the messages of a moment, and takes off those that are over.
    fn carry(&mut self, now: u64, network: &Network, schedule: &Schedule) {
        let Some(lines) = network.lines() else { return };
        let (nodes, tasks) = (self.nodes.len() as u32, self.tasks.len() as u32);
        let (handed_over, over) = (nodes + tasks, nodes + 2 * tasks);
        while let Some(Reverse((time, id))) = self.events.peek().copied() {
            if time != now || id < handed_over {
                break;
            }
            self.events.pop();
            let events = &mut self.events;
            let foretell = |end: u64, place: u32| events.push(Reverse((end, over + place)));
            if id < over {
                let message = id - handed_over;
                let task = Task::from(message, schedule);
                let route = schedule.route(task.microbatch);
                let step = task.step - 1;
                let from = Task { step, ..task }.node(route);
                let way = (from, task.node(route));
                self.flows.send(way, message, now, lines, foretell);
            } else {
                let place = id - over;
                let message = self.flows.over(place, now, lines, foretell);
                if let Some(message) = message {
                    let arrival = now + Flows::latency(place, lines);
                    self.events.push(Reverse((arrival, nodes + message)));
                }
            }
        }
    }

    /// Has a node look at its queue when it is ready.
    fn wake(&mut self, node: usize) {
        let state = &mut self.nodes[node];
        if !state.awake {
            state.awake = true;
            self.events.push(Reverse((state.ready, node as u32)));
        }
    }

    #[expect(clippy::expect_used, reason = "of those left, one is not done")]
    fn deadlock(&self, left: usize) -> SimError {
        let waiting = self.done.iter().position(|done| *done == u64::MAX);
        let first = waiting.expect("invariant: whoever is left is not done");
        let first = Microbatch(first as u32);
        SimError::Deadlock { left, first }
    }
}

/// Refuses what cannot be simulated.
pub(crate) fn check(network: &Network, schedule: &Schedule) -> Result<(), SimError> {
    let tasks = schedule.len().saturating_mul(2 * schedule.stride() + 1);
    if tasks > MAX_TASKS {
        return Err(SimError::Tasks(tasks));
    }
    let nodes = network.len();
    for index in 0..schedule.len() {
        let microbatch = Microbatch(index as u32);
        let outside = |node: &u32| *node as usize >= nodes;
        if let Some(node) = schedule.route(index).iter().copied().find(outside) {
            let peer = Peer(node);
            return Err(SimError::Unknown {
                microbatch,
                peer,
                nodes,
            });
        }
        let release = Micros(schedule.release(index));
        if release.0 > MAX_RELEASE {
            return Err(SimError::Release {
                microbatch,
                release,
            });
        }
    }
    Ok(())
}
