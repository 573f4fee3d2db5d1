//! Which buffer each value lives in: one per input and output, the rest shared by liveness.

use crate::program::ValueId;

use super::plan::{BufferId, Matmul, Step};

/// Values whose buffers live as long as the session.
pub(super) struct Persistent<'a> {
    /// Number of inputs; they are the first values and buffers.
    pub inputs: usize,
    pub counters: &'a [ValueId],
    pub outputs: &'a [ValueId],
}

/// The result: buffer of each base value, and words of each buffer.
#[derive(Debug)]
pub(super) struct Assigned {
    pub buffer_of: Vec<Option<BufferId>>,
    pub words: Vec<usize>,
}

/// Assigns buffers. `words` is by value; `is_carried(input, value)` says that `value` replaces a
/// state input, so that rows may be updated in place.
pub(super) fn assign(
    steps: &[Step],
    words: &[usize],
    persistent: &Persistent<'_>,
    is_carried: impl Fn(ValueId, ValueId) -> bool,
) -> Assigned {
    let mut assigned = Assigned {
        buffer_of: vec![None; words.len()],
        words: Vec::new(),
    };
    let inputs = (0..persistent.inputs as u32).map(ValueId);
    inputs
        .chain(persistent.counters.iter().copied())
        .for_each(|id| assigned.own(id, words));
    let last_read = last_reads(steps, words.len());
    share_in_place(steps, &last_read, &mut assigned, &is_carried);
    persistent
        .outputs
        .iter()
        .for_each(|&id| assigned.own(id, words));
    let kept = assigned.words.len();
    let mut free: Vec<BufferId> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        for id in step.writes() {
            assigned.temporary(id, words[id.index()], &mut free);
        }
        let done = |id: &ValueId| last_read[id.index()].is_none_or(|last| last <= at);
        for id in step.reads().chain(step.writes()).filter(done) {
            if let Some(buffer) = assigned.buffer_of[id.index()]
                && buffer.0 >= kept
                && !free.contains(&buffer)
            {
                free.push(buffer);
            }
        }
    }
    assigned
}

/// Gives a carried row update the buffer of its state, if nothing else reads the old state in this
/// step or afterwards.
fn share_in_place(
    steps: &[Step],
    last_read: &[Option<usize>],
    assigned: &mut Assigned,
    is_carried: &impl Fn(ValueId, ValueId) -> bool,
) {
    for (at, step) in steps.iter().enumerate() {
        if let Step::UpdateRows {
            base,
            rows,
            at: places,
            value,
            ..
        } = step
            && is_carried(*base, *value)
            && ![rows, places].contains(&base)
            && last_read[base.index()] == Some(at)
        {
            assigned.buffer_of[value.index()] = assigned.buffer_of[base.index()];
        }
    }
}

fn last_reads(steps: &[Step], values: usize) -> Vec<Option<usize>> {
    let mut last = vec![None; values];
    for (at, step) in steps.iter().enumerate() {
        step.reads().for_each(|id| last[id.index()] = Some(at));
    }
    last
}

impl Assigned {
    /// A buffer of its own, unless the value has one.
    fn own(&mut self, id: ValueId, words: &[usize]) {
        if self.buffer_of[id.index()].is_none() {
            self.buffer_of[id.index()] = Some(BufferId(self.words.len()));
            self.words.push(words[id.index()]);
        }
    }

    /// The smallest free buffer that is large enough, else the largest free one grown, else a new
    /// one.
    fn temporary(&mut self, id: ValueId, needed: usize, free: &mut Vec<BufferId>) {
        if self.buffer_of[id.index()].is_some() {
            return;
        }
        let size = |buffer: &BufferId| self.words[buffer.0];
        let fitting = free
            .iter()
            .filter(|buffer| size(buffer) >= needed)
            .min_by_key(|buffer| size(buffer));
        let chosen = fitting
            .or_else(|| free.iter().max_by_key(|buffer| size(buffer)))
            .copied();
        let buffer = chosen.unwrap_or_else(|| {
            self.words.push(0);
            BufferId(self.words.len() - 1)
        });
        free.retain(|&other| other != buffer);
        self.words[buffer.0] = self.words[buffer.0].max(needed);
        self.buffer_of[id.index()] = Some(buffer);
    }
}

impl Step {
    /// Base values that the step reads.
    pub fn reads(&self) -> Box<dyn Iterator<Item = ValueId> + '_> {
        match self {
            Self::Rows(kernel) => Box::new(kernel.loads.iter().map(|load| load.base)),
            Self::Matmul(matmul) => Box::new([matmul.a.base, matmul.b.base].into_iter()),
            Self::Gather { table, ids, .. } => Box::new([*table, *ids].into_iter()),
            Self::TakeMany { x, ids, .. } => Box::new([*x, *ids].into_iter()),
            Self::Paste { operands, .. } => Box::new(operands.iter().map(|(base, ..)| *base)),
            Self::UpdateRows { base, rows, at, .. } => Box::new([*base, *rows, *at].into_iter()),
            Self::Philox { key, counter, .. } => Box::new([*key, *counter].into_iter()),
        }
    }

    /// Base values that the step computes.
    pub fn writes(&self) -> Box<dyn Iterator<Item = ValueId> + '_> {
        match self {
            Self::Rows(kernel) => Box::new(kernel.outputs.iter().map(|(id, _)| *id)),
            Self::Matmul(Matmul { value, .. })
            | Self::Gather { value, .. }
            | Self::TakeMany { value, .. }
            | Self::Paste { value, .. }
            | Self::UpdateRows { value, .. }
            | Self::Philox { value, .. } => Box::new(std::iter::once(*value)),
        }
    }
}
