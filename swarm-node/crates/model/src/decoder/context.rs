//! What a pass needs besides tokens: where they stand and whom they may attend to.

use burn::tensor::{Bool, Int, Tensor, module::embedding};

/// Rotations and mask of one pass, shared by all layers.
#[derive(Clone, Debug)]
pub struct Context {
    /// Cosines of the tokens' angles, `[B, 1, T, head_dim]`.
    pub cos: Tensor<4>,
    /// Sines of the tokens' angles, `[B, 1, T, head_dim]`.
    pub sin: Tensor<4>,
    /// Whom each query may not attend to.
    pub mask: Mask,
}

impl Context {
    /// Looks `positions` `[B, T]` up in RoPE tables `[P, head_dim]`; they are below P.
    pub fn new(positions: Tensor<2, Int>, cos: Tensor<2>, sin: Tensor<2>, mask: Mask) -> Self {
        let rows = |table: Tensor<2>| embedding(table, positions.clone()).unsqueeze_dim(1);
        Self {
            cos: rows(cos),
            sin: rows(sin),
            mask,
        }
    }

    /// Rotates pairs `(i, i + d/2)` of `x` `[B, heads, T, head_dim]` by the tokens' angles.
    pub fn rotate(&self, x: Tensor<4>) -> Tensor<4> {
        let half = x.dims()[3] / 2;
        let (first, second) = (
            x.clone().narrow(3, 0, half),
            x.clone().narrow(3, half, half),
        );
        let turned = Tensor::cat(vec![second.neg(), first], 3);
        x * self.cos.clone() + turned * self.sin.clone()
    }
}

/// Score of a pair that may not attend; small enough that its exponential is exactly 0 next to any
/// real score.
const HIDDEN_SCORE: f32 = -1e30;

/// `[B, 1, queries, keys]`: true where the query may not attend to the key.
#[derive(Clone, Debug)]
pub struct Mask(Tensor<4, Bool>);

impl Mask {
    /// Causal order within and across segments: a query attends to a key of the same row iff the
    /// key's segment is the query's segment or its parent, and the key's position is not behind the
    /// query's. All `[B, T]`.
    ///
    /// Completions that share a prompt's prefix name the prompt's segment as parent. Padding has
    /// segment and parent −1 and position 0, so it attends to padding only and no row of scores is
    /// ever empty.
    pub fn segments(
        positions: Tensor<2, Int>,
        segment: Tensor<2, Int>,
        parent: Tensor<2, Int>,
    ) -> Self {
        let keys = as_keys(segment.clone());
        let visible = keys
            .clone()
            .equal(as_queries(segment))
            .bool_or(keys.equal(as_queries(parent)));
        Self(
            visible
                .bool_and(not_behind(positions.clone(), positions))
                .bool_not(),
        )
    }

    /// Causal order by position alone: queries at `positions` `[B, T]`, keys at `slots` `[B, C]`.
    pub fn causal(positions: Tensor<2, Int>, slots: Tensor<2, Int>) -> Self {
        Self(not_behind(positions, slots).bool_not())
    }

    /// Hides scores `[B, heads, queries, keys]`.
    pub fn apply(&self, scores: Tensor<4>) -> Tensor<4> {
        let mask = self.0.clone().expand(scores.dims());
        scores.mask_fill(mask, HIDDEN_SCORE)
    }
}

fn not_behind(queries: Tensor<2, Int>, keys: Tensor<2, Int>) -> Tensor<4, Bool> {
    as_keys(keys).lower_equal(as_queries(queries))
}

fn as_queries(x: Tensor<2, Int>) -> Tensor<4, Int> {
    let [batch, tokens] = x.dims();
    x.reshape([batch, 1, tokens, 1])
}

fn as_keys(x: Tensor<2, Int>) -> Tensor<4, Int> {
    let [batch, tokens] = x.dims();
    x.reshape([batch, 1, 1, tokens])
}
