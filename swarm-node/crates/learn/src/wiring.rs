//! Plans whose runs are bound by name: an input of a program is what somebody says it is, else the
//! tensor of its name, of the state or a constant.

use std::collections::BTreeMap;

use reproducible_ops::program::{
    Builder, Built, DType, Input, Operator, Program, Shape, TensorType, TypeError, ValueId,
};
use reproducible_ops::tensor::Tensor;
use verde::plan::{Constant, Plan, PlanError, Run, Slot, Source};
use verde::tensor;

use super::programs::TrainError;

/// Tensors in the order of their names, as plans have them.
pub(crate) type Named = BTreeMap<String, Tensor>;

/// Adds a tensor under a name that is not taken.
pub(crate) fn add(
    all: &mut Named,
    what: &'static str,
    name: &str,
    tensor: Tensor,
) -> Result<(), PlanError> {
    match all.insert(name.to_owned(), tensor) {
        None => Ok(()),
        Some(_) => Err(PlanError::Name {
            what,
            name: name.to_owned(),
        }),
    }
}

/// Name of the constant with zeros of a shape.
pub(crate) fn zeros_name(shape: &Shape) -> String {
    let dims: Vec<String> = shape.dims().iter().map(usize::to_string).collect();
    format!("zeros.{}", dims.join("x"))
}

/// The type of a counter.
pub(crate) fn counter() -> TensorType {
    TensorType::i32([1])
}

/// An i32 tensor of one value.
pub(crate) fn integers(builder: &mut Builder, value: i32, shape: impl Into<Shape>) -> Built {
    let full = Operator::Full {
        dtype: DType::I32,
        bits: value as u32,
        shape: shape.into(),
    };
    builder.push(full, &[])
}

/// Outputs the counter with one more.
pub(crate) fn count_up(
    builder: &mut Builder,
    name: &str,
    counter: ValueId,
) -> Result<(), TypeError> {
    let one = integers(builder, 1, [1])?;
    let next = builder.add(counter, one)?;
    builder.output(name, next);
    Ok(())
}

/// Binds the inputs of every run by their names.
pub(crate) struct Wiring<'a> {
    programs: &'a [Program],
    constants: &'a Named,
    state: &'a Named,
    runs: Vec<Run>,
}

impl<'a> Wiring<'a> {
    /// A plan without runs.
    pub(crate) fn new(programs: &'a [Program], constants: &'a Named, state: &'a Named) -> Self {
        Self {
            programs,
            constants,
            state,
            runs: Vec::new(),
        }
    }

    /// Adds a run, and tells its number. An input that `find` does not know is the tensor of its
    /// name, of the state or a constant.
    pub(crate) fn run(
        &mut self,
        program: u32,
        find: impl Fn(&Self, &str) -> Option<Source>,
    ) -> Result<u32, TrainError> {
        let inputs = self.programs[program as usize].inputs().iter();
        let inputs = inputs.map(|input| {
            let name = input.name.as_str();
            let source = find(self, name).or_else(|| self.named(name));
            source.ok_or_else(|| TrainError::Missing(name.to_owned()))
        });
        let inputs = inputs.collect::<Result<_, TrainError>>()?;
        self.runs.push(Run { program, inputs });
        Ok(self.runs.len() as u32 - 1)
    }

    /// The plan, whose next state has of each tensor what the run that `of` names puts out under
    /// its name; where it names none, the tensor stays as it is.
    pub(crate) fn finish(self, of: impl Fn(&str) -> Option<u32>) -> Result<Plan, TrainError> {
        let next = (0..).zip(self.state.keys()).map(|(place, name)| {
            let output = match of(name) {
                Some(run) => self.output(run, name),
                None => Some(Source::State(place)),
            };
            output.ok_or_else(|| TrainError::Missing(name.clone()))
        });
        Ok(Plan {
            next: next.collect::<Result<_, TrainError>>()?,
            programs: self.programs.iter().map(Program::digest).collect(),
            constants: self.constants.iter().map(constant).collect(),
            state: self.state.iter().map(slot).collect(),
            given: Vec::new(),
            runs: self.runs,
        })
    }

    /// An input of a program.
    pub(crate) fn input(&self, program: u32, name: &str) -> Option<&'a Input> {
        let program = &self.programs[program as usize];
        program.inputs().get(program.input_named(name)?.index())
    }

    /// The constant with zeros of a shape.
    pub(crate) fn zeros(&self, shape: &Shape) -> Option<Source> {
        self.constant(&zeros_name(shape))
    }

    /// A constant.
    pub(crate) fn constant(&self, name: &str) -> Option<Source> {
        place(self.constants, name).map(Source::Constant)
    }

    /// An output of a run.
    pub(crate) fn output(&self, run: u32, name: &str) -> Option<Source> {
        let program = &self.programs[self.runs[run as usize].program as usize];
        let mut outputs = program.outputs().iter();
        let output = outputs.position(|output| output.name == name)? as u32;
        Some(Source::Output { run, output })
    }

    fn named(&self, name: &str) -> Option<Source> {
        let state = place(self.state, name).map(Source::State);
        state.or_else(|| self.constant(name))
    }
}

fn place(named: &Named, name: &str) -> Option<u32> {
    Some(named.keys().position(|known| known == name)? as u32)
}

fn slot((name, tensor): (&String, &Tensor)) -> Slot {
    Slot {
        name: name.clone(),
        ty: tensor.ty().clone(),
    }
}

fn constant(named: (&String, &Tensor)) -> Constant {
    Constant {
        root: tensor::root(named.1),
        slot: slot(named),
    }
}
