//! Recorded operations, one by one, to primitives.
//!
//! Each operation must give the shape and element type that Burn recorded for it; this is checked,
//! so that an error in a rule shows at its place and not later.

mod base;
mod layer;
mod numeric;
mod reduce;
mod views;

use std::collections::{BTreeMap, HashMap};

use burn::tensor::TensorData;
use burn_capture::TensorId;
use burn_ir::{CustomOpIr, OperationIr, ScalarIr, TensorIr};

use super::constants::{DataFault, Embedding, element_type, host_tensor};
use super::error::{LowerError, Place};
use super::ops::operator_of;
use super::record::{Recording, is_input};
use super::simplify::simplify;
use crate::program::{Builder, DType, Operator, Program, Shape, TensorType, TypeError, ValueId};
use crate::scalar::canon;
use crate::weights::Weights;

/// Why one operation cannot be translated; [`Translator::locate`] adds the place.
#[derive(Debug)]
enum Fault {
    /// No rule; the remedy follows from the operator's name.
    NoRule,
    /// A rule that does not cover these attributes.
    Unsupported(&'static str),
    Operands(TypeError),
    Foreign,
    Data(DataFault),
    Mismatch {
        expected: TensorType,
        found: TensorType,
    },
}

impl From<TypeError> for Fault {
    fn from(error: TypeError) -> Self {
        Self::Operands(error)
    }
}

type Translated = Result<(), Fault>;
type Value = Result<ValueId, Fault>;

/// Translates a recording and returns the values of its constants.
pub(super) fn translate(recording: Recording) -> Result<(Program, Weights), LowerError> {
    let Recording {
        operations,
        values,
        declared,
        outputs,
        constants,
    } = recording;
    let mut translator = Translator::new(values);
    for (id, input) in declared {
        translator.declare(id, input);
    }
    let computed = operations.iter().filter(|operation| !is_input(operation));
    for (index, operation) in computed.enumerate() {
        translator
            .operation(operation)
            .map_err(|fault| translator.locate(fault, index, operation))?;
        translator.trace(operation);
    }
    for (name, id) in outputs {
        translator.output(name, id)?;
    }
    translator.finish(constants)
}

struct Translator {
    builder: Builder,
    /// Values of recorded tensors.
    values: HashMap<TensorId, ValueId>,
    /// Embedded data that has not been read yet.
    data: BTreeMap<TensorId, TensorData>,
    embedding: Embedding,
    /// Names of parameters.
    parameters: HashMap<TensorId, String>,
    /// For each computed tensor, the parameter used last on the way to it.
    origins: HashMap<TensorId, String>,
}

impl Translator {
    fn new(data: BTreeMap<TensorId, TensorData>) -> Self {
        Self {
            builder: Builder::new(),
            values: HashMap::new(),
            data,
            embedding: Embedding::default(),
            parameters: HashMap::new(),
            origins: HashMap::new(),
        }
    }

    fn declare(&mut self, id: TensorId, input: crate::program::Input) {
        if input.role == crate::program::Role::Param {
            self.parameters.insert(id, input.name.clone());
        }
        let value = self.builder.input(input.name, input.ty, input.role);
        self.values.insert(id, value);
    }

    /// The program, with constants joined; generated constants that nothing reads are left out
    /// again.
    fn finish(self, mut constants: Weights) -> Result<(Program, Weights), LowerError> {
        let generated = self.embedding.values;
        let program = self.builder.finish();
        let count = |name: &str| {
            program
                .inputs()
                .iter()
                .filter(|input| input.name == name)
                .count()
        };
        if let Some(name) = generated.names().find(|name| count(name) > 1) {
            return Err(LowerError::DuplicateName {
                what: "input",
                name: name.into(),
            });
        }
        let program = simplify(&program, |input| !generated.contains(&input.name));
        let read = generated
            .into_iter()
            .filter(|(name, _)| program.input_named(name).is_some());
        read.for_each(|(name, tensor)| constants.insert(&name, tensor));
        Ok((program, constants))
    }

    fn output(&mut self, name: String, id: TensorId) -> Result<(), LowerError> {
        let value = self
            .value_of(id)
            .map_err(|_| LowerError::UnknownOutput { name: name.clone() })?;
        self.builder.output(name, value);
        Ok(())
    }

    fn operation(&mut self, operation: &OperationIr) -> Translated {
        match operation {
            OperationIr::BaseFloat(base)
            | OperationIr::BaseInt(base)
            | OperationIr::BaseBool(base) => self.base(base),
            OperationIr::NumericFloat(_, numeric) | OperationIr::NumericInt(_, numeric) => {
                self.numeric(numeric)
            }
            OperationIr::Bool(bool) => self.bool(bool),
            OperationIr::Int(int) => self.int(int),
            OperationIr::Float(_, float) => self.float(float),
            OperationIr::Module(module) => self.module(module),
            OperationIr::Activation(activation) => self.activation(activation),
            OperationIr::Custom(custom) => self.custom(custom),
            // Its value is read from the embedded data when an operation needs it.
            OperationIr::Init(_) | OperationIr::Drop(_) => Ok(()),
            OperationIr::Distributed(_) => Err(Fault::Unsupported("a program runs on one device")),
        }
    }

    fn custom(&mut self, custom: &CustomOpIr) -> Translated {
        let unsupported = Fault::Unsupported(
            "custom operators other than those of `lower::ops` have no meaning here",
        );
        let operator = operator_of(custom).ok_or(unsupported)?;
        let operands = custom
            .inputs
            .iter()
            .map(|input| self.get(input))
            .collect::<Result<Vec<_>, _>>()?;
        let value = self.builder.push(operator, &operands)?;
        match custom.outputs.first() {
            Some(out) => self.set(out, value),
            None => Err(Fault::Foreign),
        }
    }

    fn locate(&self, fault: Fault, index: usize, operation: &OperationIr) -> LowerError {
        let place = Place::new(index, operation, self.origin(operation));
        match fault {
            Fault::NoRule => LowerError::Unsupported {
                remedy: remedy(&place.operator),
                place,
            },
            Fault::Unsupported(remedy) => LowerError::Unsupported { place, remedy },
            Fault::Operands(reason) => LowerError::Operands { place, reason },
            Fault::Foreign => LowerError::Foreign { place },
            Fault::Data(DataFault::DType(dtype)) => LowerError::DType {
                place,
                dtype: format!("{dtype:?}"),
            },
            Fault::Data(DataFault::Range(value)) => LowerError::Range { place, value },
            Fault::Mismatch { expected, found } => LowerError::Mismatch {
                place,
                expected,
                found,
            },
        }
    }

    /// Remembers which parameter was used last before each output.
    fn trace(&mut self, operation: &OperationIr) {
        if let Some(origin) = self.origin(operation) {
            for out in operation.outputs() {
                self.origins.insert(out.id, origin.clone());
            }
        }
    }

    fn origin(&self, operation: &OperationIr) -> Option<String> {
        let parameter = operation
            .inputs()
            .find_map(|input| self.parameters.get(&input.id));
        let origin = parameter.or_else(|| {
            operation
                .inputs()
                .find_map(|input| self.origins.get(&input.id))
        });
        origin.cloned()
    }
}

/// Access to values.
impl Translator {
    fn get(&mut self, tensor: &TensorIr) -> Value {
        self.value_of(tensor.id)
    }

    fn value_of(&mut self, id: TensorId) -> Value {
        if let Some(&value) = self.values.get(&id) {
            return Ok(value);
        }
        let data = self.data.remove(&id).ok_or(Fault::Foreign)?;
        let tensor = host_tensor(&data).map_err(Fault::Data)?;
        let value = self.embedding.embed(&mut self.builder, tensor)?;
        self.values.insert(id, value);
        Ok(value)
    }

    fn set(&mut self, out: &TensorIr, value: ValueId) -> Translated {
        let expected = type_of(out)?;
        let found = self.builder.type_of(value);
        if *found != expected {
            return Err(Fault::Mismatch {
                expected,
                found: found.clone(),
            });
        }
        self.values.insert(out.id, value);
        Ok(())
    }

    /// An operand repeated to the shape of `out`.
    fn get_as(&mut self, tensor: &TensorIr, out: &TensorIr) -> Value {
        let value = self.get(tensor)?;
        Ok(self.builder.broadcast(value, dims(out))?)
    }

    fn dtype_of(&self, value: ValueId) -> DType {
        self.builder.type_of(value).dtype
    }

    fn shape_of(&self, value: ValueId) -> Vec<usize> {
        self.builder.shape_of(value).dims().to_vec()
    }

    /// A constant of an element type and shape.
    fn full(&mut self, scalar: ScalarIr, dtype: DType, shape: impl Into<Shape>) -> Value {
        let bits = match dtype {
            DType::F32 => canon(scalar.elem::<f32>()).to_bits(),
            DType::Bool => u32::from(scalar.elem::<bool>()),
            DType::I32 => {
                let value = scalar.elem::<i64>();
                i32::try_from(value)
                    .map_err(|_| Fault::Data(DataFault::Range(value)))?
                    .cast_unsigned()
            }
        };
        Ok(self.builder.push(
            Operator::Full {
                dtype,
                bits,
                shape: shape.into(),
            },
            &[],
        )?)
    }

    /// A constant of the type of `like`.
    fn full_like(&mut self, scalar: ScalarIr, like: ValueId) -> Value {
        let (dtype, shape) = (self.dtype_of(like), self.builder.shape_of(like).clone());
        self.full(scalar, dtype, shape)
    }

    fn unary(&mut self, operator: Operator, x: ValueId) -> Value {
        Ok(self.builder.push(operator, &[x])?)
    }

    fn binary(&mut self, operator: Operator, a: ValueId, b: ValueId) -> Value {
        Ok(self.builder.push(operator, &[a, b])?)
    }
}

fn dims(tensor: &TensorIr) -> Vec<usize> {
    tensor.shape.to_vec()
}

fn type_of(tensor: &TensorIr) -> Result<TensorType, Fault> {
    let dtype = element_type(tensor.dtype).ok_or(Fault::Data(DataFault::DType(tensor.dtype)))?;
    Ok(TensorType::new(dtype, dims(tensor)))
}

/// The way out for an operator that has no rule.
fn remedy(operator: &str) -> &'static str {
    let variant = match operator.rsplit_once("::") {
        Some((_, variant)) => variant,
        None => operator,
    };
    match variant {
        "Sin" | "Cos" | "Tan" | "Sinh" | "Cosh" | "ArcSin" | "ArcCos" | "ArcTan" | "ArcTan2" => {
            "compute the table on the host and declare it with `Recorder::constant`"
        }
        "Erf" | "Gelu" => "use `gelu_approximate` (the tanh form), `silu` or `relu`",
        "Random" | "IntRandom" => {
            "use `lower::ops::philox_uniform` with a key and a counter as inputs"
        }
        "Scatter" | "ScatterNd" | "SelectAssign" | "GatherNd" => {
            "use `lower::ops::update_rows`, or a product with `lower::ops::one_hot`"
        }
        "CumSum" => "multiply with a triangular matrix of ones",
        "Attention" => "write attention as matmul, masked softmax and matmul",
        "Rem" | "RemScalar" | "Div" | "DivScalar" => {
            "integers can be added, subtracted and multiplied only"
        }
        _ => {
            "express it with the operators listed in the documentation of `reproducible_ops::lower`"
        }
    }
}
