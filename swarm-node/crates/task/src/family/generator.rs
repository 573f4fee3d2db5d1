//! What a family of generated questions is, and what the families share.

use reproducible_ops::random::Stream;

use crate::question::Question;

/// A generator of questions with exact answers.
pub trait Family: Sync {
    /// What is asked, in one line.
    fn description(&self) -> &'static str;

    /// The fixed wrong procedure, in one line.
    fn careless(&self) -> &'static str;

    /// Number of difficulty levels, at least one; level 0 is the easiest.
    fn levels(&self) -> u8;

    /// Draws a question of `level`; a level beyond the last counts as the last.
    fn generate(&self, level: u8, random: &mut Stream) -> Question;
}

/// The entry of `per_level` for `level`, the last one for levels beyond it.
pub(super) fn at_level<T: Copy, const N: usize>(per_level: &[T; N], level: u8) -> T {
    const { assert!(N > 0) };
    per_level[usize::from(level).min(N - 1)]
}

/// `values` written one after the other with `separator` between.
pub(super) fn joined<T: ToString>(values: &[T], separator: &str) -> String {
    let texts: Vec<String> = values.iter().map(T::to_string).collect();
    texts.join(separator)
}

/// `values` in ascending order.
pub(super) fn ascending<T: Ord + Clone>(values: &[T]) -> Vec<T> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted
}
