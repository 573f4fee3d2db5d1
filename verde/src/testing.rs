//! A job with every kind of element, and workers that compute it rightly and wrongly; records of
//! any job that lie in one bit, or stand in a longer history: for tests and measurements of games,
//! here and elsewhere. Behind the feature `testing`.
#![allow(clippy::unwrap_used, missing_docs, reason = "for tests")]

use std::sync::{Arc, OnceLock};

use reproducible_ops::program::{
    Builder, DType, Digest, Operator, Program, Role, Shape, TensorType, ValueId,
};
use reproducible_ops::tensor::Tensor;

use crate::history::{History, Length};
use crate::job::Job;
use crate::plan::{Constant, Plan, Run, Slot, Source};
use crate::record::{Record, RecordError, RunRecord, StepRecord};
use crate::run::{RunHeader, RunTree};
use crate::step::{Schedule, StepInputs, StepRoots, StepTrace};
use crate::tensor;

/// Steps of the job.
pub const STEPS: u64 = 7;
const WIDTH: usize = 600;
const LONG: usize = 66_000;

/// Reductions of one, three and 258 blocks, an argmax, a gather, and elementwise operators.
pub fn forward() -> Program {
    let mut builder = Builder::new();
    let long = builder.input("long", TensorType::f32([1, LONG]), Role::Constant);
    let weight = builder.input("weight", TensorType::f32([4, WIDTH]), Role::Param);
    let x = builder.input("x", TensorType::f32([3, WIDTH]), Role::Constant);
    let y = builder.matmul_nt(x, weight).unwrap();
    let best = builder.push(Operator::Argmax, &[y]).unwrap();
    let ids = builder.reshape(best, Shape::new([3])).unwrap();
    let rows = builder.push(Operator::GatherRows, &[weight, ids]).unwrap();
    let largest = builder.push(Operator::ReduceMax, &[rows]).unwrap();
    let total = builder.push(Operator::Sum, &[long]).unwrap();
    let total = builder.broadcast(total, Shape::new([3, 1])).unwrap();
    let scale = builder.mul(total, largest).unwrap();
    let small = builder.push(Operator::Sum, &[y]).unwrap();
    let scale = builder.add(scale, small).unwrap();
    // Small, so that no change is lost where the hyperbolic tangent is 1.
    let small = Operator::Full {
        dtype: DType::F32,
        bits: 0.000_001_f32.to_bits(),
        shape: Shape::new([3, 1]),
    };
    let small = builder.push(small, &[]).unwrap();
    let scale = builder.mul(scale, small).unwrap();
    let scale = builder.push(Operator::Tanh, &[scale]).unwrap();
    builder.output("scale", scale);
    builder.finish()
}

/// A weight moved by the scales, and a counter.
fn update() -> Program {
    let mut builder = Builder::new();
    let count = builder.input("count", TensorType::i32([1]), Role::State);
    let scale = builder.input("scale", TensorType::f32([3, 1]), Role::Data);
    let weight = builder.input("weight", TensorType::f32([4, WIDTH]), Role::Param);
    let scale = builder.reshape(scale, Shape::new([1, 3])).unwrap();
    let scale = builder.push(Operator::Sum, &[scale]).unwrap();
    let scale = builder.broadcast(scale, Shape::new([4, WIDTH])).unwrap();
    let change = builder.mul(scale, weight).unwrap();
    let weight = builder.sub(weight, change).unwrap();
    let one = Operator::Full {
        dtype: DType::I32,
        bits: 1,
        shape: Shape::new([1]),
    };
    let one = builder.push(one, &[]).unwrap();
    let count = builder.push(Operator::Add, &[count, one]).unwrap();
    builder.output("weight", weight);
    builder.output("count", count);
    builder.finish()
}

fn numbers(shape: &[usize], seed: u32) -> Tensor {
    let count = shape.iter().product::<usize>() as u32;
    let number = |at: u32| ((at ^ seed).wrapping_mul(0x9e37_79b9) >> 12) as f32 / 1e6 - 0.5;
    Tensor::f32(Shape::new(shape), (0..count).map(number).collect()).unwrap()
}

/// The constants of the job.
pub fn constants() -> Vec<Tensor> {
    vec![numbers(&[1, LONG], 1), numbers(&[3, WIDTH], 2)]
}

/// The state before the first step.
pub fn initial() -> Vec<Tensor> {
    vec![
        Tensor::i32([1], vec![0]).unwrap(),
        numbers(&[5], 3),
        numbers(&[4, WIDTH], 4),
    ]
}

fn slot(name: &str, ty: &TensorType) -> Slot {
    Slot {
        name: name.into(),
        ty: ty.clone(),
    }
}

/// The job.
pub fn job() -> &'static Job {
    static JOB: OnceLock<Job> = OnceLock::new();
    JOB.get_or_init(|| {
        let programs = vec![forward(), update()];
        let tensors = constants();
        let constant = |name: &str, tensor: &Tensor| Constant {
            slot: slot(name, tensor.ty()),
            root: tensor::root(tensor),
        };
        let names = ["count", "kept", "weight"];
        let slots = names.iter().zip(initial());
        let output = |run, output| Source::Output { run, output };
        let forward = |weight| Run {
            program: 0,
            inputs: vec![Source::Constant(0), weight, Source::Constant(1)],
        };
        let update = |count, scale, weight| Run {
            program: 1,
            inputs: vec![count, scale, weight],
        };
        let plan = Plan {
            programs: programs.iter().map(Program::digest).collect(),
            constants: vec![constant("long", &tensors[0]), constant("x", &tensors[1])],
            state: slots
                .map(|(name, tensor)| slot(name, tensor.ty()))
                .collect(),
            given: Vec::new(),
            runs: vec![
                forward(Source::State(2)),
                update(Source::State(0), output(0, 0), Source::State(2)),
                forward(output(1, 0)),
                update(output(1, 1), output(2, 0), output(1, 0)),
            ],
            next: vec![output(3, 1), Source::State(1), output(3, 0)],
        };
        Job::new(plan, programs).unwrap()
    })
}

/// A job with all that it begins with.
#[derive(Debug)]
pub struct Work {
    pub job: Job,
    pub constants: Vec<Tensor>,
    pub initial: Vec<Tensor>,
    pub steps: u64,
}

/// The job of [`job`].
pub fn work() -> &'static Work {
    static WORK: OnceLock<Work> = OnceLock::new();
    WORK.get_or_init(|| Work {
        job: job().clone(),
        constants: constants(),
        initial: initial(),
        steps: STEPS,
    })
}

/// Values of [`bare`]'s only run: tensors without elements, with rows and without.
pub const WITHOUT_ELEMENTS: [usize; 2] = [2, 3];

/// A job of one step and one run, with values that have no elements: the smallest trees.
pub fn bare() -> &'static Work {
    static WORK: OnceLock<Work> = OnceLock::new();
    WORK.get_or_init(|| {
        let mut builder = Builder::new();
        let none = TensorType::f32([0, 300]);
        let empty = builder.input("none", none.clone(), Role::State);
        let x = builder.input("x", TensorType::f32([2]), Role::State);
        let empty = builder.push(Operator::Neg, &[empty]).unwrap();
        builder.reshape(empty, Shape::new([3, 0])).unwrap();
        let twice = builder.add(x, x).unwrap();
        builder.output("none", empty);
        builder.output("x", twice);
        let programs = vec![builder.finish()];
        let initial = vec![
            Tensor::from_words(none.clone(), Vec::new()).unwrap(),
            Tensor::f32([2], vec![0.5, 1.5]).unwrap(),
        ];
        let output = |output| Source::Output { run: 0, output };
        let plan = Plan {
            programs: programs.iter().map(Program::digest).collect(),
            state: vec![slot("none", &none), slot("x", initial[1].ty())],
            runs: vec![Run {
                program: 0,
                inputs: vec![Source::State(0), Source::State(1)],
            }],
            next: vec![output(0), output(1)],
            ..Plan::default()
        };
        Work {
            job: Job::new(plan, programs).unwrap(),
            constants: Vec::new(),
            initial,
            steps: 1,
        }
    })
}

/// A job of one step whose first run computes nothing: a tree of values without leaves.
pub fn idle() -> &'static Work {
    static WORK: OnceLock<Work> = OnceLock::new();
    WORK.get_or_init(|| {
        let programs = vec![Builder::new().finish()];
        let initial = vec![Tensor::f32([2], vec![0.5, 1.5]).unwrap()];
        let run = Run {
            program: 0,
            inputs: Vec::new(),
        };
        let plan = Plan {
            programs: programs.iter().map(Program::digest).collect(),
            state: vec![slot("x", initial[0].ty())],
            runs: vec![run.clone(), run],
            next: vec![Source::State(0)],
            ..Plan::default()
        };
        Work {
            job: Job::new(plan, programs).unwrap(),
            constants: Vec::new(),
            initial,
            steps: 1,
        }
    })
}

/// A worker's record: every step as it was computed, honestly or not.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The job.
    pub work: &'static Work,
    /// What it claims.
    pub history: History,
    /// The states before, between and after the steps.
    pub states: Vec<Vec<Tensor>>,
    /// The steps.
    pub traces: Vec<StepTrace>,
}

/// Where a worker changes what it computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// A bit of a value of a run.
    Value {
        step: u64,
        run: usize,
        value: usize,
        element: usize,
        bit: u32,
    },
    /// A bit of a tensor of the state after a step.
    Next {
        step: u64,
        slot: usize,
        element: usize,
        bit: u32,
    },
}

impl Fault {
    /// A fault in a value of a run of [`job`]; places are given as shares of how many there are.
    pub fn of_value(step: u64, run: usize, [value, element]: [Share<'_>; 2], bit: u32) -> Self {
        let (_, program) = job().run(run).unwrap();
        let value = value(program.value_count());
        let ty = program.type_of(ValueId(value as u32)).unwrap();
        Self::Value {
            step,
            run,
            value,
            element: element(ty.shape.elements()),
            bit,
        }
    }

    /// A fault in a tensor of the state of [`job`].
    pub fn of_next(step: u64, slot: usize, element: Share<'_>, bit: u32) -> Self {
        let ty = &job().plan().state[slot].ty;
        Self::Next {
            step,
            slot,
            element: element(ty.shape.elements()),
            bit,
        }
    }
}

/// Chooses one of so many.
pub type Share<'a> = &'a dyn Fn(usize) -> usize;

impl Kept {
    /// A worker that computes [`job`] with at most one fault.
    pub fn play(stride: u32, fault: Option<Fault>) -> Self {
        Self::of(work(), stride, fault)
    }

    /// A worker that computes with at most one fault.
    pub fn of(work: &'static Work, stride: u32, fault: Option<Fault>) -> Self {
        let job = &work.job;
        let schedule = Schedule::new(job.plan(), job.programs()).unwrap();
        let (mut states, mut traces) = (vec![work.initial.clone()], Vec::new());
        for step in 0..work.steps {
            let inputs = StepInputs {
                state: &states[step as usize],
                constants: &work.constants,
                given: &[],
            };
            let change = |run: usize, id: ValueId, tensor: &mut Tensor| match fault {
                Some(Fault::Value {
                    step: at,
                    run: of,
                    value,
                    element,
                    bit,
                }) if (at, of, value) == (step, run, id.index()) => {
                    tensor.words_mut()[element] ^= 1 << bit;
                }
                _ => {}
            };
            let mut trace = schedule.trace_with(inputs, change).unwrap();
            if let Some(Fault::Next {
                step: at,
                slot,
                element,
                bit,
            }) = fault
                && at == step
            {
                trace.next[slot].words_mut()[element] ^= 1 << bit;
            }
            states.push(trace.next.clone());
            traces.push(trace);
        }
        let length = Length::new(work.steps, stride).unwrap();
        let checkpoints = (0..length.checkpoints()).map(|at| {
            let state = &states[length.step_of(at) as usize];
            schedule.state_root(state).unwrap()
        });
        let history = History::new(job.digest(), length, checkpoints.collect()).unwrap();
        Self {
            work,
            history,
            states,
            traces,
        }
    }

    /// The roots of a step.
    pub fn roots(&self, step: u64) -> StepRoots {
        let roots = |tensors: &[Tensor]| tensors.iter().map(tensor::root).collect();
        let at = step as usize;
        StepRoots {
            before: roots(&self.states[at]),
            given: Vec::new(),
            after: roots(&self.states[at + 1]),
            runs: self.traces[at].runs.iter().map(|it| roots(it)).collect(),
        }
    }

    /// A worker that computes rightly.
    pub fn honest(stride: u32) -> Self {
        static HONEST: OnceLock<Kept> = OnceLock::new();
        let kept = HONEST.get_or_init(|| Self::play(1, None));
        let length = Length::new(STEPS, stride).unwrap();
        let states =
            (0..length.checkpoints()).map(|at| kept.history.states()[length.step_of(at) as usize]);
        let history = History::new(job().digest(), length, states.collect()).unwrap();
        Self {
            history,
            ..kept.clone()
        }
    }
}

impl Record for Kept {
    fn history(&self) -> &History {
        &self.history
    }

    fn interval(&mut self, checkpoint: u64) -> Result<Vec<Digest>, RecordError> {
        let schedule = Schedule::new(self.work.job.plan(), self.work.job.programs()).unwrap();
        let length = self.history.claim().length;
        let range = length.step_of(checkpoint - 1)..=length.step_of(checkpoint);
        Ok(range
            .map(|at| schedule.state_root(&self.states[at as usize]).unwrap())
            .collect())
    }

    fn step(&mut self, step: u64) -> Result<Arc<StepRecord>, RecordError> {
        let roots = |state: &[Tensor]| state.iter().map(tensor::root).collect();
        let at = step as usize;
        let job = &self.work.job;
        let runs = job.plan().runs.iter().zip(&self.traces[at].runs);
        let runs = runs.map(|(run, values)| {
            let program = &job.programs()[run.program as usize];
            let top = RunTree::new(program, values).unwrap().tree().root();
            (RunHeader::of(program), top)
        });
        let runs = runs.collect();
        Ok(Arc::new(StepRecord::new(
            roots(&self.states[at]),
            roots(&self.states[at + 1]),
            runs,
        )))
    }

    fn run(&mut self, step: u64, run: usize) -> Result<Arc<RunRecord>, RecordError> {
        let values = self.traces[step as usize].runs[run].clone();
        let (_, program) = self.work.job.run(run).unwrap();
        let tree = RunTree::new(program, &values).unwrap();
        Ok(Arc::new(RunRecord { values, tree }))
    }
}

/// A bit of a value of a run of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bit {
    pub step: u64,
    pub run: usize,
    pub value: usize,
    pub element: usize,
    pub bit: u32,
}

/// A record that shows one bit otherwise than the record below it computed it, and states after
/// that step that follow from nothing.
#[derive(Debug)]
pub struct OneBit<'a, R> {
    job: &'a Job,
    inner: R,
    at: Bit,
    history: History,
}

impl<'a, R: Record> OneBit<'a, R> {
    /// The record with this bit flipped.
    pub fn new(job: &'a Job, inner: R, at: Bit) -> Self {
        let claim = *inner.history().claim();
        let mut states = inner.history().states().to_vec();
        let after = at.step / u64::from(claim.length.stride()) + 1;
        flip(&mut states[after as usize]);
        let history = History::new(claim.plan, claim.length, states).unwrap();
        Self {
            job,
            inner,
            at,
            history,
        }
    }
}

fn flip(digest: &mut Digest) {
    digest[0] ^= 1;
}

impl<R: Record> Record for OneBit<'_, R> {
    fn history(&self) -> &History {
        &self.history
    }

    fn interval(&mut self, checkpoint: u64) -> Result<Vec<Digest>, RecordError> {
        let first = self.history.claim().length.step_of(checkpoint - 1);
        let mut states = self.inner.interval(checkpoint)?;
        for (step, state) in (first..).zip(&mut states) {
            if step > self.at.step {
                flip(state);
            }
        }
        Ok(states)
    }

    fn step(&mut self, step: u64) -> Result<Arc<StepRecord>, RecordError> {
        let known = self.inner.step(step)?;
        if step != self.at.step {
            return Ok(known);
        }
        let mut runs = known.runs.clone();
        runs[self.at.run].1 = self.run(step, self.at.run)?.tree.tree().root();
        let (before, after) = (known.before.clone(), known.after.clone());
        Ok(Arc::new(StepRecord::new(before, after, runs)))
    }

    fn run(&mut self, step: u64, run: usize) -> Result<Arc<RunRecord>, RecordError> {
        let known = self.inner.run(step, run)?;
        if (step, run) != (self.at.step, self.at.run) {
            return Ok(known);
        }
        let mut values = known.values.clone();
        values[self.at.value].words_mut()[self.at.element] ^= 1 << self.at.bit;
        let ids = (0..values.len() as u32).map(ValueId);
        let mut roots: Vec<Digest> = ids.map(|id| *known.tree.value(id).unwrap()).collect();
        roots[self.at.value] = tensor::root(&values[self.at.value]);
        let (_, program) = self.job.run(run).unwrap();
        let tree = RunTree::from_roots(program, roots).unwrap();
        Ok(Arc::new(RunRecord { values, tree }))
    }
}

/// The first step of a record, as one step of a longer history whose other states nobody computed.
#[derive(Debug)]
pub struct Placed<R> {
    inner: R,
    step: u64,
    ends: [Digest; 2],
    history: History,
}

impl<R: Record> Placed<R> {
    /// The record's first step as step `step` of a history of this length.
    pub fn new(mut inner: R, length: Length, step: u64) -> Result<Self, RecordError> {
        let states = inner.interval(1)?;
        let ends = [states[0], states[1]];
        let checkpoints = 0..length.checkpoints();
        let states = checkpoints.map(|at| state(length.step_of(at), step, &ends));
        let plan = inner.history().claim().plan;
        let history = History::new(plan, length, states.collect()).unwrap();
        Ok(Self {
            inner,
            step,
            ends,
            history,
        })
    }

    fn only(&self, step: u64) -> Result<(), RecordError> {
        let missing = || RecordError::Missing(format!("step {step} was never computed"));
        (step == self.step).then_some(()).ok_or_else(missing)
    }
}

/// The state before a step of a placed record.
fn state(at: u64, step: u64, ends: &[Digest; 2]) -> Digest {
    match at.checked_sub(step) {
        Some(0) => ends[0],
        Some(1) => ends[1],
        _ => crate::tree::leaf(&[b"nobody computed", &at.to_le_bytes()]),
    }
}

impl<R: Record> Record for Placed<R> {
    fn history(&self) -> &History {
        &self.history
    }

    fn interval(&mut self, checkpoint: u64) -> Result<Vec<Digest>, RecordError> {
        let length = self.history.claim().length;
        let steps = length.step_of(checkpoint - 1)..=length.step_of(checkpoint);
        Ok(steps.map(|at| state(at, self.step, &self.ends)).collect())
    }

    fn step(&mut self, step: u64) -> Result<Arc<StepRecord>, RecordError> {
        self.only(step)?;
        self.inner.step(0)
    }

    fn run(&mut self, step: u64, run: usize) -> Result<Arc<RunRecord>, RecordError> {
        self.only(step)?;
        self.inner.run(0, run)
    }
}
