//! A plan on any engine: what a worker does at every step.
//!
//! ```text
//! constants ─once─▶ buffers ─bind─▶ one session per program ─▶ buffers ─bind─▶ … ─▶ the next state
//! ```
//! Nothing passes through the host: outputs are bound as inputs by their buffers, and the state
//! stays in the engine's memory. Only what is given, the state when somebody asks for it, and
//! scalars are copied. The bits are those of [`Schedule::trace`], whatever the engine.
//!
//! Limits: memory is that of the sessions, the constants, the state before and after a step, and of
//! the outputs that later runs read. A step that fails leaves the state as it was.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use reproducible_ops::engine::{Buffer, Engine, EngineError, Session};
use reproducible_ops::program::{
    Builder, DType, Digest, Input, Output, Program, Shape, TypeError, ValueId,
};
use reproducible_ops::scalar;
use reproducible_ops::tensor::Tensor;
use thiserror::Error;

use crate::fault::Fault;
use crate::lifetimes::{Lifetimes, Place};
use crate::plan::{Slot, Source};
use crate::step::{Schedule, StepError, fit};

/// Why a plan is not executed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExecuteError {
    /// The tensors are not those of the plan.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The engine refuses a program, or its device failed.
    #[error("engine: {0}")]
    Engine(#[from] EngineError),
    /// A word that no computation gives: an engine would change it, and its root with it.
    #[error("{name}: element {element} is {word:#010x}; a NaN must be 0x7fc00000, a bool 0 or 1")]
    Word {
        /// The tensor.
        name: String,
        /// Its first such element.
        element: usize,
        /// What stands there.
        word: u32,
    },
}

/// A plan in the middle of its execution.
pub struct Executor<'a> {
    engine: &'a dyn Engine,
    schedule: Schedule<'a>,
    lifetimes: Arc<Lifetimes>,
    /// One per program.
    sessions: Vec<Box<dyn Session>>,
    constants: Vec<Buffer>,
    state: Vec<Buffer>,
    /// Scalar outputs of the last step: run, name, value.
    scalars: Vec<(usize, String, Buffer)>,
    fault: Option<Fault>,
}

impl<'a> Executor<'a> {
    /// A plan before its first step from this state. Loads every program, checks the constants
    /// against the plan and uploads them, once.
    ///
    /// ```
    /// use reproducible_ops::engine::cpu::CpuEngine;
    /// use reproducible_ops::program::{Builder, Role, TensorType};
    /// use reproducible_ops::tensor::Tensor;
    /// use verde::execute::Executor;
    /// use verde::plan::{Plan, Run, Slot, Source};
    /// use verde::step::Schedule;
    ///
    /// let mut builder = Builder::new();
    /// let x = builder.input("x", TensorType::f32([1]), Role::State);
    /// let twice = builder.add(x, x)?;
    /// builder.output("x", twice);
    /// let programs = [builder.finish()];
    /// let plan = Plan {
    ///     programs: vec![programs[0].digest()],
    ///     state: vec![Slot { name: "x".into(), ty: TensorType::f32([1]) }],
    ///     runs: vec![Run { program: 0, inputs: vec![Source::State(0)] }],
    ///     next: vec![Source::Output { run: 0, output: 0 }],
    ///     ..Plan::default()
    /// };
    ///
    /// let schedule = Schedule::new(&plan, &programs)?;
    /// let engine = CpuEngine::new(1);
    /// let state = [Tensor::f32([1], vec![1.5])?];
    /// let mut executor = Executor::new(&engine, schedule, &[], &state)?;
    /// executor.step(&[])?;
    /// executor.step(&[])?;
    /// assert_eq!(executor.state()?[0].as_f32()?, [6.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Tensors that are not those of the plan; the engine refuses a program.
    pub fn new(
        engine: &'a dyn Engine,
        schedule: Schedule<'a>,
        constants: &[Tensor],
        state: &[Tensor],
    ) -> Result<Self, ExecuteError> {
        schedule.check_constants(constants)?;
        let plan = schedule.plan();
        let slots: Vec<&Slot> = plan.constants.iter().map(|it| &it.slot).collect();
        let programs = schedule.programs().iter();
        let sessions = programs.map(|program| engine.load(program));
        let mut executor = Self {
            engine,
            lifetimes: Arc::new(Lifetimes::of_step(plan)),
            sessions: sessions.collect::<Result<_, _>>()?,
            constants: upload(engine, &slots, constants, "constants")?,
            state: Vec::new(),
            scalars: Vec::new(),
            fault: None,
            schedule,
        };
        executor.restore(state)?;
        Ok(executor)
    }

    /// Computes one bit of one step wrong from now on, and all that follows from it.
    pub fn break_with(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    /// The fault of a run of the coming step, if it has one.
    fn fault_of(&self, run: usize) -> Result<Option<Fault>, ExecuteError> {
        let Some(fault) = self.fault.filter(|fault| fault.run as usize == run) else {
            return Ok(None);
        };
        let Some(counter) = fault.counter else {
            return Ok(Some(fault));
        };
        let counter = self.state.get(counter as usize);
        let step = counter.map(Buffer::read_words).transpose()?;
        let is_now = step.is_some_and(|words| words == [fault.step.cast_unsigned()]);
        Ok(is_now.then_some(fault))
    }

    /// The plan with its programs.
    pub fn schedule(&self) -> Schedule<'a> {
        self.schedule
    }

    /// Goes on from this state.
    ///
    /// # Errors
    /// It is none of the plan; the state is then unchanged.
    pub fn restore(&mut self, state: &[Tensor]) -> Result<(), ExecuteError> {
        let slots: Vec<&Slot> = self.schedule.plan().state.iter().collect();
        self.state = upload(self.engine, &slots, state, "the state")?;
        self.scalars.clear();
        Ok(())
    }

    /// A copy of the state, in the order of the plan.
    ///
    /// # Errors
    /// The device failed.
    pub fn state(&self) -> Result<Vec<Tensor>, ExecuteError> {
        let state = self.state.iter().map(Buffer::read);
        Ok(state.collect::<Result<_, _>>()?)
    }

    /// The root of the state. Reads and hashes all of it.
    ///
    /// # Errors
    /// The device failed.
    pub fn state_root(&self) -> Result<Digest, ExecuteError> {
        Ok(self.schedule.state_root(&self.state()?)?)
    }

    /// What the outputs of this name, f32 scalars, were in the last step, in the order of the runs.
    /// Empty where no run has one, or before a step.
    ///
    /// # Errors
    /// The device failed.
    pub fn scalars(&self, name: &str) -> Result<Vec<f32>, ExecuteError> {
        let named = self.scalars.iter().filter(|(_, known, _)| known == name);
        let read = named.map(|(_, _, value)| Ok(f32::from_bits(value.read_words()?[0])));
        read.collect()
    }

    /// One step, on what is given to it.
    ///
    /// # Errors
    /// Tensors that are not those of the plan, or the device failed; the state is then unchanged.
    pub fn step(&mut self, given: &[Tensor]) -> Result<(), ExecuteError> {
        let given = self.upload_given(given)?;
        let lifetimes = Arc::clone(&self.lifetimes);
        let mut outputs = Outputs::new();
        let mut scalars = Vec::new();
        for run in 0..self.schedule.plan().runs.len() {
            self.run(run, &given, &mut outputs, &lifetimes)?;
            self.note_scalars(run, &mut scalars)?;
        }
        let next = self.schedule.plan().next.iter();
        let next = next.map(|source| self.buffer(*source, &given, &outputs));
        self.state = next.collect();
        self.scalars = scalars;
        Ok(())
    }

    /// The values of one run of the coming step, by id: what [`Schedule::run_values`] computes by
    /// the reference, computed by the engine. The state stays as it is.
    ///
    /// # Errors
    /// Tensors that are not those of the plan, no such run, or the device failed.
    pub fn run_values(
        &mut self,
        given: &[Tensor],
        run: usize,
    ) -> Result<Vec<Tensor>, ExecuteError> {
        let inputs = self.run_inputs(given, run)?;
        let place = self.schedule.plan().runs[run].program as usize;
        let mut open = OpenProgram::load(self.engine, &self.schedule.programs()[place])?;
        let mut values = Vec::new();
        self.visit_values(run, &mut open, &inputs, |_, value| values.push(value))?;
        Ok(values)
    }

    /// The inputs of one run of the coming step, in the order of its program: what earlier runs
    /// make of them, and nothing that the run does not need. The state stays as it is.
    ///
    /// # Errors
    /// See [`run_values`](Self::run_values).
    pub fn run_inputs(
        &mut self,
        given: &[Tensor],
        run: usize,
    ) -> Result<Vec<Buffer>, ExecuteError> {
        self.schedule.require_run(run)?;
        let given = self.upload_given(given)?;
        let lifetimes = Lifetimes::of_run(self.schedule.plan(), run);
        let mut outputs = Outputs::new();
        for earlier in (0..run).filter(|at| lifetimes.needs(*at)) {
            self.run(earlier, &given, &mut outputs, &lifetimes)?;
        }
        let sources = self.schedule.plan().runs[run].inputs.iter();
        let inputs = sources.map(|source| self.buffer(*source, &given, &outputs));
        Ok(inputs.collect())
    }

    fn upload_given(&self, given: &[Tensor]) -> Result<Vec<Buffer>, ExecuteError> {
        let slots: Vec<&Slot> = self.schedule.plan().given.iter().collect();
        upload(self.engine, &slots, given, "what is given")
    }

    /// Executes a run, and keeps those of its outputs that something reads.
    fn run(
        &mut self,
        run: usize,
        given: &[Buffer],
        outputs: &mut Outputs,
        lifetimes: &Lifetimes,
    ) -> Result<(), ExecuteError> {
        let bound = &self.schedule.plan().runs[run];
        let program = &self.schedule.programs()[bound.program as usize];
        for (input, source) in program.inputs().iter().zip(&bound.inputs) {
            let buffer = self.buffer(*source, given, outputs);
            self.sessions[bound.program as usize].bind(&input.name, &buffer)?;
        }
        // What the session alone holds it may overwrite, instead of copying it.
        for place in lifetimes.released(run) {
            outputs.remove(place);
        }
        let session = &mut self.sessions[bound.program as usize];
        session.run()?;
        for output in lifetimes.kept(run) {
            let name = &program.outputs()[output as usize].name;
            outputs.insert((run as u32, output), session.output(name)?);
        }
        if let Some(fault) = self.fault_of(run)?
            && let Some(buffer) = outputs.get_mut(&(fault.run, fault.output))
        {
            *buffer = fault.of_buffer(self.engine, buffer)?;
        }
        Ok(())
    }

    fn note_scalars(
        &self,
        run: usize,
        scalars: &mut Vec<(usize, String, Buffer)>,
    ) -> Result<(), ExecuteError> {
        let place = self.schedule.plan().runs[run].program as usize;
        for name in scalar_outputs(&self.schedule.programs()[place]) {
            let value = self.sessions[place].output(name)?;
            scalars.push((run, name.to_owned(), value));
        }
        Ok(())
    }

    /// The buffer of a source, which the checked plan has and earlier runs have made.
    fn buffer(&self, source: Source, given: &[Buffer], outputs: &Outputs) -> Buffer {
        match source {
            Source::State(place) => self.state[place as usize].clone(),
            Source::Constant(place) => self.constants[place as usize].clone(),
            Source::Given(place) => given[place as usize].clone(),
            Source::Output { run, output } => outputs[&(run, output)].clone(),
        }
    }

    /// Every value of the coming step, run by run and by id, as [`run_values`](Self::run_values) has
    /// them. The state stays as it is.
    ///
    /// The memory is that of the sessions and of one value: `visit` gets each when it is copied from
    /// the engine.
    ///
    /// # Errors
    /// Tensors that are not those of the plan, or the device failed.
    pub fn trace(
        &mut self,
        given: &[Tensor],
        mut visit: impl FnMut(usize, ValueId, Tensor),
    ) -> Result<(), ExecuteError> {
        let given = self.upload_given(given)?;
        let lifetimes = Arc::clone(&self.lifetimes);
        let (mut outputs, mut opened) = (Outputs::new(), BTreeMap::new());
        for run in 0..self.schedule.plan().runs.len() {
            let bound = &self.schedule.plan().runs[run];
            let sources = bound.inputs.iter();
            let inputs = sources.map(|source| self.buffer(*source, &given, &outputs));
            let inputs: Vec<Buffer> = inputs.collect();
            let open = match opened.entry(bound.program) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    let program = &self.schedule.programs()[bound.program as usize];
                    entry.insert(OpenProgram::load(self.engine, program)?)
                }
            };
            self.visit_values(run, open, &inputs, |id, value| visit(run, id, value))?;
            self.run(run, &given, &mut outputs, &lifetimes)?;
        }
        Ok(())
    }

    /// Every value of a run, as this machine has it: with its fault.
    fn visit_values(
        &self,
        run: usize,
        open: &mut OpenProgram,
        inputs: &[Buffer],
        mut visit: impl FnMut(ValueId, Tensor),
    ) -> Result<(), ExecuteError> {
        let place = self.schedule.plan().runs[run].program as usize;
        let outputs = self.schedule.programs()[place].outputs();
        let fault = self.fault_of(run)?;
        let fault =
            fault.and_then(|fault| Some((fault, outputs.get(fault.output as usize)?.value)));
        open.run(inputs, |id, mut value| {
            if let Some((fault, wrong)) = fault
                && wrong == id
            {
                fault.flip(&mut value);
            }
            visit(id, value);
        })
    }
}

/// A program that has every value of another one as an output, loaded.
struct OpenProgram {
    session: Box<dyn Session>,
    /// Of its outputs, in the order of the values that are computed.
    names: Vec<String>,
}

impl OpenProgram {
    fn load(engine: &dyn Engine, program: &Program) -> Result<Self, ExecuteError> {
        let (open, names) = with_every_value(program).map_err(StepError::from)?;
        let session = engine.load(&open)?;
        Ok(Self { session, names })
    }

    fn run(
        &mut self,
        inputs: &[Buffer],
        mut visit: impl FnMut(ValueId, Tensor),
    ) -> Result<(), ExecuteError> {
        bind_all(self.session.as_mut(), inputs)?;
        self.session.run()?;
        let bound = inputs.iter().map(Buffer::read);
        let computed = self.names.iter().map(|name| self.session.read(name));
        for (id, value) in (0..).map(ValueId).zip(bound.chain(computed)) {
            visit(id, value?);
        }
        Ok(())
    }
}

/// Every value of a run of a program, by id, from its inputs alone.
///
/// # Errors
/// Other inputs than those of the program, or the device failed.
pub fn values_of(
    engine: &dyn Engine,
    program: &Program,
    inputs: &[Buffer],
) -> Result<Vec<Tensor>, ExecuteError> {
    let mut values = Vec::with_capacity(program.value_count());
    let mut open = OpenProgram::load(engine, program)?;
    open.run(inputs, |_, value| values.push(value))?;
    Ok(values)
}

/// The outputs of a run of a program, from its inputs alone. `visit` gets them one after another, in
/// the order of the program, so that no two of them are copied from the engine at once.
///
/// # Errors
/// Other inputs than those of the program, or the device failed.
pub fn outputs_of(
    engine: &dyn Engine,
    program: &Program,
    inputs: &[Buffer],
    mut visit: impl FnMut(&Output, Tensor),
) -> Result<(), ExecuteError> {
    let mut session = engine.load(program)?;
    bind_all(session.as_mut(), inputs)?;
    session.run()?;
    for output in program.outputs() {
        visit(output, session.read(&output.name)?);
    }
    Ok(())
}

/// Stores the tensor of one input of a program, as an input of [`outputs_of`].
///
/// # Errors
/// It is none of the input, or has a word that no computation gives.
pub fn upload_input(
    engine: &dyn Engine,
    input: &Input,
    tensor: &Tensor,
) -> Result<Buffer, ExecuteError> {
    if *tensor.ty() != input.ty {
        return Err(StepError::Tensors("the inputs of the run").into());
    }
    require_words(&input.name, tensor)?;
    Ok(engine.upload(tensor)?)
}

/// Gives a session all inputs of its program, in their order.
fn bind_all(session: &mut dyn Session, inputs: &[Buffer]) -> Result<(), ExecuteError> {
    let program = session.program().inputs().iter();
    let names: Vec<String> = program.map(|input| input.name.clone()).collect();
    if names.len() != inputs.len() {
        return Err(StepError::Tensors("the inputs of the run").into());
    }
    for (name, buffer) in names.iter().zip(inputs) {
        session.bind(name, buffer)?;
    }
    Ok(())
}

type Outputs = BTreeMap<Place, Buffer>;

/// The program with an output for every node instead of its own, and the names of these.
fn with_every_value(program: &Program) -> Result<(Program, Vec<String>), TypeError> {
    let mut builder = Builder::new();
    let inputs = program.inputs().iter();
    let mut ids: Vec<ValueId> = inputs
        .map(|input| builder.input(&input.name, input.ty.clone(), input.role))
        .collect();
    let mut names = Vec::with_capacity(program.nodes().len());
    for node in program.nodes() {
        let operands: Vec<ValueId> = node.inputs.iter().map(|id| ids[id.index()]).collect();
        let value = builder.push(node.operator.clone(), &operands)?;
        let name = format!("value {}", ids.len());
        builder.output(&name, value);
        ids.push(value);
        names.push(name);
    }
    Ok((builder.finish(), names))
}

fn scalar_outputs(program: &Program) -> impl Iterator<Item = &str> {
    let outputs = program.outputs().iter().filter(|output| {
        let ty = program.type_of(output.value);
        ty.is_some_and(|ty| ty.dtype == DType::F32 && ty.shape == Shape::scalar())
    });
    outputs.map(|output| output.name.as_str())
}

fn upload(
    engine: &dyn Engine,
    slots: &[&Slot],
    tensors: &[Tensor],
    what: &'static str,
) -> Result<Vec<Buffer>, ExecuteError> {
    if !fit(slots.iter().copied(), tensors) {
        return Err(StepError::Tensors(what).into());
    }
    let pairs = slots.iter().zip(tensors);
    let buffers = pairs.map(|(slot, tensor)| {
        require_words(&slot.name, tensor)?;
        Ok(engine.upload(tensor)?)
    });
    buffers.collect()
}

/// Refuses words that an engine would change when they are uploaded. One pass over memory without a
/// branch, and a second one only if there is such a word.
fn require_words(name: &str, tensor: &Tensor) -> Result<(), ExecuteError> {
    let is_result = |word: u32| match tensor.ty().dtype {
        DType::F32 => scalar::canon(f32::from_bits(word)).to_bits() == word,
        DType::I32 => true,
        DType::Bool => word <= 1,
    };
    let words = tensor.words();
    let is_whole = words.iter().fold(true, |all, word| all & is_result(*word));
    let first = || words.iter().position(|word| !is_result(*word));
    match (!is_whole).then(first).flatten() {
        None => Ok(()),
        Some(element) => Err(ExecuteError::Word {
            name: name.to_owned(),
            element,
            word: words[element],
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reproducible_ops::engine::cpu::{CpuEngine, InstructionSet};
    use reproducible_ops::engine::reference::ReferenceEngine;
    use reproducible_ops::program::{Role, TensorType};

    use super::*;
    use crate::plan::{Plan, Run};
    use crate::step::StepInputs;
    use crate::toy;

    fn engines() -> Vec<Box<dyn Engine>> {
        let mut engines: Vec<Box<dyn Engine>> = vec![Box::new(ReferenceEngine)];
        for isa in InstructionSet::available() {
            for threads in 1..=4 {
                let engine = CpuEngine::with_instruction_set(isa, threads).unwrap();
                engines.push(Box::new(engine));
            }
        }
        engines
    }

    fn random(ty: &TensorType, seed: u32) -> Tensor {
        let count = ty.shape.elements() as u32;
        let number = |at: u32| ((at ^ seed).wrapping_mul(0x9e37_79b9) >> 16) as f32 / 4096.0 - 8.0;
        match ty.dtype {
            DType::F32 => Tensor::f32(ty.shape.clone(), (0..count).map(number).collect()),
            DType::I32 => Tensor::i32(ty.shape.clone(), vec![seed as i32 % 3; count as usize]),
            DType::Bool => unreachable!(),
        }
        .unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        /// Any engine steps from any state to what the reference makes of it, and computes the same
        /// values of every run on the way.
        #[test]
        fn every_engine_has_the_bits_of_the_trace(seed in any::<u32>()) {
            let (plan, programs) = toy::plan();
            let schedule = Schedule::new(&plan, &programs).unwrap();
            let constants = toy::constants();
            let all = |slots: &[Slot], seed: u32| -> Vec<Tensor> {
                slots.iter().map(|slot| random(&slot.ty, seed)).collect()
            };
            let first = all(&plan.state, seed);
            for engine in engines() {
                let mut state = first.clone();
                let mut executor =
                    Executor::new(engine.as_ref(), schedule, &constants, &state).unwrap();
                for step in 0..3 {
                    let given = all(&plan.given, seed ^ step);
                    let (state_now, constants) = (&state[..], &constants[..]);
                    let inputs = StepInputs { state: state_now, constants, given: &given };
                    let trace = schedule.trace(inputs).unwrap();
                    for (run, values) in trace.runs.iter().enumerate() {
                        prop_assert_eq!(&executor.run_values(&given, run).unwrap(), values);
                        let program = &programs[plan.runs[run].program as usize];
                        let bound = executor.run_inputs(&given, run).unwrap();
                        let read = bound.iter().map(|buffer| buffer.read().unwrap());
                        let inputs = &values[..program.inputs().len()];
                        prop_assert_eq!(read.collect::<Vec<_>>(), inputs);
                        let alone = values_of(engine.as_ref(), program, &bound);
                        prop_assert_eq!(&alone.unwrap(), values);
                        outputs_of(engine.as_ref(), program, &bound, |output, tensor| {
                            assert_eq!(tensor, values[output.value.index()]);
                        })
                        .unwrap();
                    }
                    let mut runs = vec![Vec::new(); trace.runs.len()];
                    executor.trace(&given, |run, _, value| runs[run].push(value)).unwrap();
                    prop_assert_eq!(&runs, &trace.runs);
                    executor.step(&given).unwrap();
                    prop_assert_eq!(&executor.state().unwrap(), &trace.next);
                    let root = schedule.state_root(&trace.next).unwrap();
                    prop_assert_eq!(executor.state_root().unwrap(), root);
                    state = trace.next;
                }
            }
        }
    }

    #[test]
    fn a_restored_state_goes_on_as_the_unbroken_run() {
        let (plan, programs) = toy::plan();
        let schedule = Schedule::new(&plan, &programs).unwrap();
        let engine = CpuEngine::new(1);
        let new = || Executor::new(&engine, schedule, &toy::constants(), &toy::state()).unwrap();
        let (mut whole, mut broken) = (new(), new());
        for step in 0..3 {
            whole.step(&toy::given(step)).unwrap();
        }
        broken.step(&toy::given(0)).unwrap();
        let saved = broken.state().unwrap();
        broken.step(&toy::given(2)).unwrap();
        broken.restore(&saved).unwrap();
        broken.step(&toy::given(1)).unwrap();
        broken.step(&toy::given(2)).unwrap();
        assert_eq!(broken.state_root().unwrap(), whole.state_root().unwrap());
    }

    #[test]
    fn other_tensors_and_words_are_refused_and_change_nothing() {
        let (plan, programs) = toy::plan();
        let schedule = Schedule::new(&plan, &programs).unwrap();
        let engine = CpuEngine::new(1);
        let (mut constants, mut state) = (toy::constants(), toy::state());
        let mut executor = Executor::new(&engine, schedule, &constants, &state).unwrap();
        let fewer = executor.step(&[]);
        assert_eq!(fewer, Err(StepError::Tensors("what is given").into()));
        state[2].words_mut()[1] = 0x7fc0_0001;
        let error = executor.restore(&state).unwrap_err().to_string();
        assert!(error.contains("weight: element 1 is 0x7fc00001"), "{error}");
        let before = schedule.state_root(&toy::state()).unwrap();
        assert_eq!(executor.state_root().unwrap(), before);
        constants[1].words_mut()[0] ^= 1;
        let other = Executor::new(&engine, schedule, &constants, &toy::state());
        assert_eq!(other.err(), Some(StepError::Constant(1).into()));
    }

    #[test]
    fn scalars_are_told_run_by_run() {
        let mut builder = Builder::new();
        let x = builder.input("x", TensorType::f32(Shape::scalar()), Role::State);
        let twice = builder.add(x, x).unwrap();
        builder.output("twice", twice);
        let programs = [builder.finish()];
        let slot = Slot {
            name: "x".into(),
            ty: TensorType::f32(Shape::scalar()),
        };
        let output = |run| Source::Output { run, output: 0 };
        let run = |source| Run {
            program: 0,
            inputs: vec![source],
        };
        let plan = Plan {
            programs: vec![programs[0].digest()],
            state: vec![slot],
            runs: vec![run(Source::State(0)), run(output(0))],
            next: vec![output(1)],
            ..Plan::default()
        };
        let schedule = Schedule::new(&plan, &programs).unwrap();
        let state = [Tensor::f32(Shape::scalar(), vec![1.25]).unwrap()];
        let engine = CpuEngine::new(1);
        let mut executor = Executor::new(&engine, schedule, &[], &state).unwrap();
        assert!(executor.scalars("twice").unwrap().is_empty());
        executor.step(&[]).unwrap();
        assert_eq!(executor.scalars("twice").unwrap(), [2.5, 5.0]);
        assert!(executor.scalars("thrice").unwrap().is_empty());
    }
}
