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
