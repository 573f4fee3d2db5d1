//! What every contender does in a run.

/// A batch of rows that are continued.
#[derive(Clone, Copy)]
pub struct Run {
    pub batch: usize,
    pub start: usize,
    pub tokens: usize,
    pub slots: usize,
}

/// The token that every row begins with.
pub const FIRST_TOKEN: u32 = 1;

/// Tokens behind which the contenders' logits are compared. They differ, so that what is attended
/// to depends on the rotation of heads.
pub const CHECKED: [u32; 3] = [1, 2, 5];
