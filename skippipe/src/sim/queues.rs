//! The tasks that wait at every node, as linked lists in three arrays.

/// No task.
const NONE: u32 = u32::MAX;

/// What a task waits for, in the order in which ties are resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Loss or backward pass: the node alone.
    Free,
    /// Forward pass of a microbatch under way: the node and a slot.
    Slot,
    /// Forward pass of a new microbatch: the node, a slot, and that nothing else can be done.
    New,
}

/// First and last task of a list.
#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

const EMPTY: List = List {
    first: NONE,
    last: NONE,
};

/// Waiting tasks, by node and kind in the order of their arrival. A task waits once at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Queues {
    lists: Vec<[List; 3]>,
    next: Vec<u32>,
    arrival: Vec<u64>,
}

impl Queues {
    /// Nothing waits at any node.
    pub(super) fn reset(&mut self, nodes: usize, tasks: usize) {
        self.lists.clear();
        self.lists.resize(nodes, [EMPTY; 3]);
        self.next.resize(tasks, NONE);
        self.arrival.resize(tasks, 0);
    }

    /// Puts a task at the end. Callers come in the order of `(time, task)`.
    pub(super) fn push(&mut self, node: usize, kind: Kind, task: u32, time: u64) {
        self.arrival[task as usize] = time;
        self.next[task as usize] = NONE;
        let list = &mut self.lists[node][kind as usize];
        match list.last {
            NONE => list.first = task,
            last => self.next[last as usize] = task,
        }
        list.last = task;
    }

    /// Takes the task that the node does next, given whether it has a free slot; none where all
    /// that waits, waits for a slot.
    pub(super) fn pop(&mut self, node: usize, slot: bool) -> Option<u32> {
        let [free, waiting, new] = &self.lists[node];
        let (free, waiting, new) = (free.first, waiting.first, new.first);
        let kind = match (free, slot) {
            (NONE, true) if waiting != NONE => Kind::Slot,
            (NONE, true) if new != NONE => Kind::New,
            (NONE, _) => return None,
            (_, true) if waiting != NONE && self.before(waiting, free) => Kind::Slot,
            _ => Kind::Free,
        };
        let list = &mut self.lists[node][kind as usize];
        let task = list.first;
        list.first = self.next[task as usize];
        if list.first == NONE {
            list.last = NONE;
        }
        Some(task)
    }

    /// Whether anything waits at a node.
    pub(super) fn any(&self, node: usize) -> bool {
        self.lists[node].iter().any(|list| list.first != NONE)
    }

    /// When a task arrived.
    pub(super) fn arrival(&self, task: usize) -> u64 {
        self.arrival[task]
    }

    fn before(&self, one: u32, other: u32) -> bool {
        let key = |task: u32| (self.arrival[task as usize], task);
        key(one) < key(other)
    }
}
