//! Learned maps at the boundaries of stages, so that fewer numbers are sent.
//!
//! ```text
//! sender   x [B, T, d] ─▶ x · downᵀ ─▶ z [B, T, d/c] ───▶ z · upᵀ ─▶ + ─▶ x [B, T, d]   receiver
//!                                      tokens [B, T] ───▶ embedding ─┘
//! ```
//! Each stage has a map of its own for what it sends and one for what it takes, both trained with
//! the rest. A microbatch that skips a stage goes from any sender to any receiver, so all stages
//! share one space of what is sent. They begin with the same maps: number i of what is sent is the
//! sum of the coordinates i, i + d/c, i + 2·d/c, … over √c, and `up` is the transpose of `down`.
//! The product of both is an orthogonal projection P; to pass a second boundary at the beginning
//! loses nothing that the first one left. With c = 1 they are the identity.
//!
//! The *residual path* is what a receiver adds of its own: a row of an embedding for each token.
//! Tokens are not sent, as members have the job's rows and know which ones a microbatch is. Every
//! receiver has a table of its own and learns it, so no parameter is of two stages. It begins as
//! (1 − P) · e of the model's embedding e: before training a boundary loses nothing of the
//! embedding, and of what layers added it loses (1 − P). `down` then learns what is left to say.
//!
//! Limits: a table has as many numbers as the model's embedding, in every stage. What is sent is
//! not normalised: layers and head norm what they take, and 8 bits have a scale for each block.

use reproducible_ops::scalar;
use reproducible_ops::tensor::{Tensor, TensorError};

/// How fewer numbers are sent than the residual stream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bottleneck {
    /// How many times fewer; divides the width.
    pub compression: usize,
    /// Whether receivers add an embedding of the tokens.
    pub residual: bool,
}

/// Why a model has no such bottleneck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a bottleneck of {compression} in {stages} stages of width {width}; it must divide the width, \
     and there must be a boundary"
)]
pub struct BottleneckError {
    /// How many times fewer numbers are sent.
    pub compression: usize,
    /// Stages of the model.
    pub stages: usize,
    /// Width of the residual stream.
    pub width: usize,
}

/// Why bottlenecks have no initial parameters.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitialError {
    /// The embedding is not there.
    #[error("the model has no parameter {EMBED_TOKENS}, from which a bottleneck begins")]
    NoEmbedding,
    /// It is not f32 `[vocab, hidden]`.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// The model's embedding.
pub(super) const EMBED_TOKENS: &str = "model.embed_tokens.weight";

/// Name of a stage's map before it sends, `[d/c, d]`.
pub fn down(stage: usize) -> String {
    format!("bottleneck.{stage}.down")
}

/// Name of a stage's map of what it takes, `[d, d/c]`.
pub fn up(stage: usize) -> String {
    format!("bottleneck.{stage}.up")
}

/// Name of what a stage adds to what it takes, by tokens, `[vocab, d]`.
pub fn embedding(stage: usize) -> String {
    format!("bottleneck.{stage}.embedding")
}

/// The stage that has a parameter of this name, and which of its bottleneck's it is; none for
/// other parameters.
///
/// ```
/// use swarm_model::stages::bottleneck;
///
/// assert_eq!(bottleneck::part_of(&bottleneck::up(3)), Some((3, "up")));
/// assert_eq!(bottleneck::part_of("model.norm.weight"), None);
/// ```
pub fn part_of(name: &str) -> Option<(usize, &str)> {
    let (stage, part) = name.strip_prefix("bottleneck.")?.split_once('.')?;
    Some((stage.parse().ok()?, part))
}

/// The two maps of every stage before training, `[d/c, d]` and `[d, d/c]`.
pub(super) fn initial(width: usize, sent: usize) -> Result<[Tensor; 2], TensorError> {
    let share = share(width, sent);
    let at = |number: usize, coordinate: usize| match coordinate % sent == number {
        true => share,
        false => 0.0,
    };
    let rows =
        (0..sent).flat_map(|number| (0..width).map(move |coordinate| at(number, coordinate)));
    let columns =
        (0..width).flat_map(|coordinate| (0..sent).map(move |number| at(number, coordinate)));
    Ok([
        Tensor::f32([sent, width], rows.collect())?,
        Tensor::f32([width, sent], columns.collect())?,
    ])
}

/// What the two maps lose of each row of an embedding `[vocab, d]`.
pub(super) fn lost(
    embedding: &Tensor,
    [vocab, width]: [usize; 2],
    sent: usize,
) -> Result<Tensor, TensorError> {
    let share = share(width, sent);
    let mut lost = Vec::with_capacity(vocab * width);
    for row in embedding.as_f32()?.chunks(width) {
        let mut numbers = vec![0.0; sent];
        for (coordinate, value) in row.iter().enumerate() {
            let number = &mut numbers[coordinate % sent];
            *number = scalar::fma(*value, share, *number);
        }
        let kept = |coordinate: usize| scalar::mul(numbers[coordinate % sent], share);
        let coordinates = row.iter().enumerate();
        lost.extend(coordinates.map(|(coordinate, value)| scalar::sub(*value, kept(coordinate))));
    }
    Tensor::f32([vocab, width], lost)
}

/// An element of the maps that is not 0.
fn share(width: usize, sent: usize) -> f32 {
    scalar::div(1.0, scalar::sqrt((width / sent) as f32))
}
