//! Number sequences: `next 3 7 11 15=` → `19`. Careless: repeats the last term.

use std::array::from_fn;

use reproducible_ops::random::Stream;

use super::generator::{Family, joined};
use crate::answer::Answer;
use crate::question::Question;

/// Terms shown.
const SHOWN: usize = 5;

/// Arithmetic, geometric, quadratic and Fibonacci-like sequences, one rule per level; the last
/// level mixes them.
pub(super) struct Sequence;

impl Family for Sequence {
    fn description(&self) -> &'static str {
        "the next term of a number sequence"
    }

    fn careless(&self) -> &'static str {
        "the last term again"
    }

    fn levels(&self) -> u8 {
        5
    }

    fn generate(&self, level: u8, random: &mut Stream) -> Question {
        let rule = if level < 4 {
            u32::from(level)
        } else {
            random.below(4) as u32
        };
        let terms = terms(rule, random);
        Question::without_twins(
            format!("next {}=", joined(&terms[..SHOWN], " ")),
            Answer::integer(terms[SHOWN]),
            Answer::integer(terms[SHOWN - 1]),
        )
    }
}

/// The terms shown and the next one.
type Terms = [i64; SHOWN + 1];

/// A drawn sequence.
fn terms(rule: u32, random: &mut Stream) -> Terms {
    match rule {
        0 => arithmetic(random.range(0, 999), random.range(1, 99)),
        1 => geometric(random.range(1, 400), random.range(2, 9)),
        2 => quadratic(random.range(0, 99), random.range(1, 20), random.range(1, 9)),
        _ => additive(random.range(1, 99), random.range(1, 99)),
    }
}

fn arithmetic(first: i64, step: i64) -> Terms {
    from_fn(|at| first + at as i64 * step)
}

fn geometric(first: i64, factor: i64) -> Terms {
    from_fn(|at| first * factor.pow(at as u32))
}

/// Differences grow by `growth` each step.
fn quadratic(first: i64, step: i64, growth: i64) -> Terms {
    from_fn(|at| {
        let at = at as i64;
        first + at * step + growth * at * (at - 1) / 2
    })
}

/// Each term is the sum of the two before it.
fn additive(first: i64, second: i64) -> Terms {
    let (mut term, mut next) = (first, second);
    from_fn(|_| {
        let shown = term;
        (term, next) = (next, term + next);
        shown
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_continue_as_defined() {
        assert_eq!(arithmetic(3, 4), [3, 7, 11, 15, 19, 23]);
        assert_eq!(geometric(2, 3), [2, 6, 18, 54, 162, 486]);
        assert_eq!(quadratic(1, 2, 3), [1, 3, 8, 16, 27, 41]);
        assert_eq!(additive(2, 5), [2, 5, 7, 12, 19, 31]);
    }
}
