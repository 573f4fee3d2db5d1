//! What members ask of an engine: pure functions of the stage's state and of bytes.

use std::collections::BTreeMap;

use crate::content::{Content, Digest};
use crate::meeting::Met;
use crate::path::{Microbatch, Stage};

/// Whatever holds a stage's parameters and computes with them.
pub trait Engine {
    /// Does a task; none where the work has no outcome. What cannot be done because of what a peer
    /// sent is [`Outcome::Refused`].
    fn perform(&mut self, task: Task, work: Work) -> Option<Outcome>;
}

/// A piece of work that was asked for, until it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Task(pub u64);

/// What an engine is asked for. Tasks are done in the order in which they are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Tokens of a microbatch to the residual stream. Gives [`Outcome::Content`].
    Embed {
        /// Of which step.
        step: u64,
        /// Which.
        microbatch: Microbatch,
    },
    /// The stage's layers. Gives [`Outcome::Content`].
    Forward {
        /// Of which step.
        step: u64,
        /// Which.
        microbatch: Microbatch,
        /// Residual stream.
        input: Content,
    },
    /// Head and loss; keeps the gradients of their parameters. Gives [`Outcome::Loss`].
    Loss {
        /// Of which step.
        step: u64,
        /// Which.
        microbatch: Microbatch,
        /// Residual stream.
        input: Content,
    },
    /// The stage's layers again, and back through them; keeps the gradients of their parameters.
    /// Gives [`Outcome::Content`], the gradient of the input.
    Backward {
        /// Of which step.
        step: u64,
        /// Which.
        microbatch: Microbatch,
        /// Residual stream.
        input: Content,
        /// Gradient of what the stage made of it.
        gradient: Content,
    },
    /// Back into the embedding; keeps its gradient. Gives [`Outcome::Nothing`].
    EmbedBackward {
        /// Of which step.
        step: u64,
        /// Which.
        microbatch: Microbatch,
        /// Gradient of the residual stream.
        gradient: Content,
        /// The task that kept the gradients of the head; those of the whole stage are kept under
        /// this one.
        loss: Task,
    },
    /// Sum of kept gradients of visits, in this order. Gives [`Outcome::Content`].
    Sum(Vec<Task>),
    /// Sum of two sums. Gives [`Outcome::Content`].
    Add(Content, Content),
    /// Sum of squares of each parameter's mean gradient. Gives [`Outcome::Squares`].
    Squares {
        /// Sum of gradients.
        sum: Content,
        /// Of which step.
        step: u64,
        /// The microbatches whose gradients are in the sum: it becomes a mean over them.
        visits: Vec<Microbatch>,
    },
    /// Norm of all gradients, from the squares of each stage. Gives [`Outcome::Norm`].
    Norm(BTreeMap<Stage, Vec<u32>>),
    /// Moves the stage. Gives [`Outcome::State`].
    Update {
        /// The step.
        step: u64,
        /// Sum of gradients.
        sum: Content,
        /// The microbatches whose gradients are in the sum: it becomes a mean over them.
        visits: Vec<Microbatch>,
        /// Bits of the norm of all gradients.
        norm: u32,
    },
    /// Kept gradients are not needed any more. Gives nothing, not even an outcome.
    Forget(Vec<Task>),
    /// The whole state of the stage, as bytes. Gives [`Outcome::Content`].
    Export,
    /// A stage with this state. Gives [`Outcome::State`].
    Load {
        /// Which.
        stage: Stage,
        /// Its state.
        state: Content,
    },
    /// A stage between others (CheckFree): the mean of their parameters by these weights (bits of
    /// f32), moments of zero. Gives [`Outcome::State`].
    Average {
        /// Which.
        stage: Stage,
        /// Whole states of its neighbours, and their weights.
        parts: Vec<(Content, u32)>,
    },
    /// What the stage contributes where pipelines meet. Gives [`Outcome::Contribution`].
    Contribute {
        /// Which meeting.
        round: u64,
    },
    /// Whether a content is a contribution of this stage, or a mean of them. Gives
    /// [`Outcome::Nothing`].
    Check(Content),
    /// Whether a content is an anchor and momentum of this stage. Gives [`Outcome::Nothing`].
    CheckOuter(Content),
    /// The mean of contributions, in this order. Gives [`Outcome::Content`].
    Mean(Vec<Content>),
    /// Moves the stage by what it did where pipelines met. Gives [`Outcome::State`].
    Meet {
        /// What it did.
        met: Met,
        /// What [`Met::needed`] names.
        content: Option<Content>,
    },
    /// Anchor and momentum, as bytes. Gives [`Outcome::Content`].
    ExportOuter,
}

/// What came of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Bytes.
    Content(Content),
    /// Bits of the loss, and the gradient of the residual stream.
    Loss(u32, Content),
    /// Bits of a sum of squares for each parameter.
    Squares(Vec<u32>),
    /// Bits of the norm of all, and of each stage's.
    Norm(u32, BTreeMap<Stage, u32>),
    /// Digest of the stage's state.
    State(Digest),
    /// A contribution, and the digest of the anchor and momentum that it is a change of.
    Contribution(Content, Digest),
    /// Done.
    Nothing,
    /// What came from a peer is nothing to work with: a wrong shape, a number that is not finite.
    Refused(String),
}
