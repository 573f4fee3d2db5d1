//! What both losses share: log-probabilities of the targets and weighted token means, appended to a
//! forward program.
//!
//! A head reads the forward program's output `logits` f32`[B, T, V]` and declares the data inputs
//!
//! | input | type | meaning |
//! |---|---|---|
//! | `targets` | i32`[B, T]` | token that each query predicts |
//! | `loss_weight` | f32`[B, T]` | weight of the query; 0 for prompts and padding |
//! | `token_count` | f32 scalar | what the weighted sum is divided by |
//!
//! and the outputs `loss` (scalar) and `logp` f32`[B, T]`. Dividing by data instead of by the
//! number of queries in the batch makes losses and gradients of microbatches add up to those of the
//! whole batch.

use reproducible_ops::program::{
    Builder, Comparison, Program, Role, Shape, TensorType, TypeError, ValueId,
};

/// Why a loss cannot be appended to a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The program is not a forward pass.
    #[error("the forward program has no output `logits`; its outputs are {found:?}")]
    NoLogits {
        /// Names of the outputs it has.
        found: Vec<String>,
    },
    /// The logits have another rank.
    #[error("`logits` is {found}; expected f32[rows, length, vocabulary]")]
    LogitsShape {
        /// Their type.
        found: TensorType,
    },
    /// The program and the loss do not fit each other.
    #[error(transparent)]
    Type(#[from] TypeError),
}

/// A forward program in the middle of getting its loss.
pub(super) struct Head {
    pub(super) builder: Builder,
    /// Log-probabilities of the whole vocabulary, `[B, T, V]`.
    pub(super) log_probabilities: ValueId,
    /// Log-probability of the target, `[B, T]`.
    pub(super) logp: ValueId,
    loss_weight: ValueId,
    token_count: ValueId,
    /// True where `loss_weight` is not 0, `[B, T]`.
    trained: ValueId,
    tokens: Shape,
}

impl Head {
    /// Starts a head on a forward program, whose `logits` are an output no longer.
    pub(super) fn new(forward: &Program) -> Result<Self, HeadError> {
        let Some((mut builder, logits)) = reopen(forward, "logits")? else {
            let outputs = forward.outputs().iter();
            return Err(HeadError::NoLogits {
                found: outputs.map(|output| output.name.clone()).collect(),
            });
        };
        let (tokens, vocabulary) = token_shape(builder.type_of(logits))?;
        let targets = builder.input("targets", TensorType::i32(tokens.clone()), Role::Data);
        let loss_weight = builder.input("loss_weight", TensorType::f32(tokens.clone()), Role::Data);
        let token_count =
            builder.input("token_count", TensorType::f32(Shape::scalar()), Role::Data);
        let log_probabilities = builder.log_softmax(logits)?;
        let logp = pick(
            &mut builder,
            log_probabilities,
            targets,
            &tokens,
            vocabulary,
        )?;
        let zero = builder.full_like(0.0, loss_weight)?;
        let trained = builder.compare(Comparison::Less, zero, loss_weight)?;
        Ok(Self {
            builder,
            log_probabilities,
            logp,
            loss_weight,
            token_count,
            trained,
            tokens,
        })
    }

    /// Declares a data input f32`[B, T]`.
    pub(super) fn token_input(&mut self, name: &str) -> ValueId {
        self.builder
            .input(name, TensorType::f32(self.tokens.clone()), Role::Data)
    }

    /// `Σ loss_weight · x / token_count` as a scalar.
    pub(super) fn token_mean(&mut self, x: ValueId) -> Result<ValueId, TypeError> {
        let weighted = self.builder.mul(self.loss_weight, x)?;
        let sum = self.builder.sum_all(weighted)?;
        self.builder.div(sum, self.token_count)
    }

    /// `x` where a token is trained, 0 elsewhere: keeps whatever stands in padding away from `exp`.
    pub(super) fn where_trained(&mut self, x: ValueId) -> Result<ValueId, TypeError> {
        let zero = self.builder.full_like(0.0, x)?;
        self.builder.select(self.trained, x, zero)
    }

    /// Mean entropy of the predicted distributions, in nats.
    pub(super) fn entropy(&mut self) -> Result<ValueId, TypeError> {
        let probabilities = self.builder.exp(self.log_probabilities)?;
        let products = self.builder.mul(probabilities, self.log_probabilities)?;
        let sums = self.builder.sum(products)?;
        let sums = self.builder.reshape(sums, self.tokens.clone())?;
        let entropy = self.builder.neg(sums)?;
        self.token_mean(entropy)
    }

    /// The finished program with its outputs `loss` and `logp`.
    pub(super) fn finish(mut self, loss: ValueId) -> Program {
        self.builder.output("loss", loss);
        self.builder.output("logp", self.logp);
        self.builder.finish()
    }
}

/// The program's inputs and nodes in a new builder without outputs, and the value of one of them.
pub(super) fn reopen(
    program: &Program,
    output: &str,
) -> Result<Option<(Builder, ValueId)>, TypeError> {
    let (builder, ids) = without_outputs(program)?;
    let value = program.output_named(output);
    Ok(value.map(|value| (builder, ids[value.index()])))
}

/// The program's inputs and nodes in a new builder without outputs, and for each value of the
/// program the one that it became.
pub(super) fn without_outputs(program: &Program) -> Result<(Builder, Vec<ValueId>), TypeError> {
    let mut builder = Builder::new();
    let mut ids = Vec::with_capacity(program.value_count());
    for input in program.inputs() {
        ids.push(builder.input(&input.name, input.ty.clone(), input.role));
    }
    for node in program.nodes() {
        let operands: Vec<ValueId> = node.inputs.iter().map(|id| ids[id.index()]).collect();
        ids.push(builder.push(node.operator.clone(), &operands)?);
    }
    Ok((builder, ids))
}

/// `[B, T]` and V of logits `[B, T, V]`.
fn token_shape(logits: &TensorType) -> Result<(Shape, usize), HeadError> {
    match logits.shape.dims() {
        &[rows, length, vocabulary] => Ok((Shape::new([rows, length]), vocabulary)),
        _ => Err(HeadError::LogitsShape {
            found: logits.clone(),
        }),
    }
}

/// The element of each row of `x` `[B, T, V]` that `targets` names, `[B, T]`.
fn pick(
    builder: &mut Builder,
    x: ValueId,
    targets: ValueId,
    tokens: &Shape,
    vocabulary: usize,
) -> Result<ValueId, TypeError> {
    let count = tokens.elements();
    let (rows, ids) = (
        builder.reshape(x, [count, vocabulary])?,
        builder.reshape(targets, [count, 1])?,
    );
    let picked = builder.push(
        reproducible_ops::program::Operator::TakeAlongLast,
        &[rows, ids],
    )?;
    builder.reshape(picked, tokens.clone())
}
