//! Which buffer each value lives in: one per input and output, the rest shared by liveness.

use crate::program::ValueId;

use super::rows::RowKernel;
use super::step::{BufferId, Step};

/// Values whose buffers live as long as the session.
pub(super) struct Persistent<'a> {
    /// Number of inputs; they are the first values and buffers.
    pub inputs: usize,
    pub counters: &'a [ValueId],
    pub outputs: &'a [ValueId],
}

/// The result: buffer of each base value, and words of each buffer.
#[derive(Debug, Default)]
pub(super) struct Assigned {
    buffer_of: Vec<Option<BufferId>>,
    pub words: Vec<usize>,
}

/// Assigns buffers, and has row kernels compute in place of what nobody reads any more: that memory
/// is in a cache, and another buffer would be fetched only to be overwritten. `words` is by value;
/// `is_carried(input, value)` says that `value` replaces a state input, so that rows may be updated
/// in place.
pub(super) fn assign(
    steps: &mut [Step],
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
    for (at, step) in steps.iter_mut().enumerate() {
        let is_last_read = |id: ValueId| last_read[id.index()] == Some(at);
        let taken_over = match step {
            Step::Rows(kernel) => replace(kernel, &mut assigned, words, kept, is_last_read),
            _ => Vec::new(),
        };
        for id in step.writes() {
            assigned.temporary(id, words[id.index()], &mut free);
        }
        let done = |id: &ValueId| last_read[id.index()].is_none_or(|last| last <= at);
        let is_over = |id: &ValueId| done(id) && !taken_over.contains(id);
        for id in step.reads().chain(step.writes()).filter(is_over) {
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

/// Gives outputs of a kernel the buffers of temporary values that it reads as the last; returns
/// those values.
fn replace(
    kernel: &mut RowKernel,
    assigned: &mut Assigned,
    words: &[usize],
    kept: usize,
    is_last_read: impl Fn(ValueId) -> bool,
) -> Vec<ValueId> {
    let mut taken_over = Vec::new();
    for (output, load) in kernel.replaceable.clone() {
        let (value, base) = (kernel.outputs[output].0, kernel.loads[load].base);
        let is_free = assigned.buffer_of[value.index()].is_none();
        let buffer = assigned.of(base);
        let same_size = words[base.index()] == words[value.index()];
        if is_free
            && same_size
            && buffer.0 >= kept
            && is_last_read(base)
            && !taken_over.contains(&base)
        {
            assigned.buffer_of[value.index()] = Some(buffer);
            kernel.replace(output, load);
            taken_over.push(base);
        }
    }
    taken_over
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
        if let Step::UpdateRows(update) = step
            && is_carried(update.base, update.value)
            && ![update.rows, update.at].contains(&update.base)
            && last_read[update.base.index()] == Some(at)
        {
            assigned.buffer_of[update.value.index()] = Some(assigned.of(update.base));
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
    /// The buffer of a value that steps read or write, or that lives as long as the session.
    #[expect(
        clippy::expect_used,
        reason = "any other buffer holds the words of another value"
    )]
    pub fn of(&self, value: ValueId) -> BufferId {
        self.buffer_of[value.index()]
            .expect("invariant: every base value that a step names has a buffer")
    }

    /// A buffer of its own, unless the value has one.
    fn own(&mut self, id: ValueId, words: &[usize]) {
        if self.buffer_of[id.index()].is_none() {
            self.buffer_of[id.index()] = Some(BufferId(self.words.len()));
            self.words.push(words[id.index()]);
        }
    }

    /// The smallest free buffer that is large enough, else the largest free one grown, else a new
    /// one. Of equal ones the last that was freed: it is the likeliest to be in a cache.
    fn temporary(&mut self, id: ValueId, needed: usize, free: &mut Vec<BufferId>) {
        if self.buffer_of[id.index()].is_some() {
            return;
        }
        let size = |buffer: &BufferId| self.words[buffer.0];
        let fitting = free
            .iter()
            .rev()
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

#[cfg(test)]
mod tests {
    use super::super::plan::Plan;
    use super::super::tests::{assert_equal, random_tensor};
    use super::*;
    use crate::program::{Builder, Program, Role, TensorType};
    use crate::random::Stream;

    /// Shares of products; the products are read again afterwards where `again` says so.
    fn program(again: bool) -> Program {
        let mut b = Builder::new();
        let x = b.input("x", TensorType::f32([40, 24]), Role::Data);
        let products = b.matmul_nt(x, x).unwrap();
        let shares = b.softmax(products).unwrap();
        let mixed = b.matmul_nt(shares, products).unwrap();
        let read = if again { mixed } else { shares };
        let last = b.matmul_nt(read, shares).unwrap();
        b.output("y", last);
        b.finish()
    }

    /// Streams that kernels of the plan compute in place of.
    fn replaced(program: &Program) -> usize {
        let plan = Plan::new(program);
        let count = |step: &Step| match step {
            Step::Rows(kernel) => kernel.replaced.len(),
            _ => 0,
        };
        plan.steps.iter().map(count).sum()
    }

    #[test]
    fn a_kernel_computes_in_place_of_what_nobody_reads_any_more() {
        assert_eq!([false, true].map(|again| replaced(&program(again))), [1, 0]);
    }

    #[test]
    fn what_is_computed_in_place_has_the_same_bits() {
        for again in [false, true] {
            let program = program(again);
            let mut stream = Stream::from_seed("in place", u64::from(again));
            let x = random_tensor(&mut stream, &program.inputs()[0].ty);
            assert_equal(&program, &[x], 1);
        }
    }
}
