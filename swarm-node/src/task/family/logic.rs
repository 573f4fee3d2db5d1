//! Propositional logic: `t|f&!t=` → `t`. Careless: reads `&` as `|` and `|` as `&`.
//!
//! `!` binds tightest, then `&`, then `^`, then `|`; brackets as usual. Depth is bounded by the level.

use reproducible_ops::random::Stream;

use super::{Family, Question, at_level};
use crate::task::answer::Answer;

/// Number of truth values in the formula, per level.
const LEVELS: [usize; 4] = [6, 8, 12, 20];

/// Evaluates a formula over constants.
pub(super) struct Logic;

enum Formula {
    Constant(bool),
    Not(Box<Formula>),
    Binary(Connective, Box<Formula>, Box<Formula>),
}

/// In the order of binding, loosest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Connective {
    Or,
    Xor,
    And,
}

impl Family for Logic {
    fn description(&self) -> &'static str {
        "the value (t or f) of a formula with ! (not), & (and), ^ (xor), | (or), in this order of binding"
    }

    fn careless(&self) -> &'static str {
        "the value with & and | exchanged"
    }

    fn levels(&self) -> u8 {
        LEVELS.len() as u8
    }

    fn generate(&self, level: u8, random: &mut Stream) -> Question {
        let formula = Formula::draw(at_level(&LEVELS, level).unwrap_or(2), random);
        let answer = |exchange| Answer::truth(formula.value(exchange));
        Question::new(format!("{}=", formula.text()), answer(false), answer(true))
    }
}

impl Formula {
    /// A formula with `leaves` constants, split at random places.
    fn draw(leaves: usize, random: &mut Stream) -> Self {
        let formula = if leaves <= 1 {
            Self::Constant(random.chance(0.5))
        } else {
            let left = 1 + random.index(leaves - 1);
            let connective =
                random.choose(&[Connective::Or, Connective::Xor, Connective::And]).copied().unwrap_or(Connective::And);
            Self::Binary(connective, Box::new(Self::draw(left, random)), Box::new(Self::draw(leaves - left, random)))
        };
        if random.chance(0.25) { Self::Not(Box::new(formula)) } else { formula }
    }

    fn value(&self, exchange: bool) -> bool {
        match self {
            Self::Constant(value) => *value,
            Self::Not(inner) => !inner.value(exchange),
            Self::Binary(connective, left, right) => {
                connective.apply(left.value(exchange), right.value(exchange), exchange)
            }
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Constant(value) => if *value { "t" } else { "f" }.to_owned(),
            Self::Not(inner) => format!("!{}", inner.bracketed(|formula| matches!(formula, Self::Binary(..)))),
            Self::Binary(own, left, right) => {
                let looser = |formula: &Self| matches!(formula, Self::Binary(inner, ..) if inner < own);
                format!("{}{}{}", left.bracketed(looser), own.symbol(), right.bracketed(looser))
            }
        }
    }

    fn bracketed(&self, needed: impl Fn(&Self) -> bool) -> String {
        if needed(self) { format!("({})", self.text()) } else { self.text() }
    }
}

impl Connective {
    fn apply(self, left: bool, right: bool, exchange: bool) -> bool {
        match (self, exchange) {
            (Self::Xor, _) => left ^ right,
            (Self::And, false) | (Self::Or, true) => left && right,
            (Self::Or, false) | (Self::And, true) => left || right,
        }
    }

    fn symbol(self) -> char {
        match self {
            Self::Or => '|',
            Self::Xor => '^',
            Self::And => '&',
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constant(value: bool) -> Box<Formula> {
        Box::new(Formula::Constant(value))
    }

    #[test]
    fn brackets_follow_binding() {
        let and = Formula::Binary(Connective::And, constant(false), constant(false));
        let or = Formula::Binary(Connective::Or, constant(true), Box::new(and));
        assert_eq!(or.text(), "t|f&f");
        assert!(or.value(false) && !or.value(true));
        let tight = Formula::Binary(Connective::And, Box::new(or), constant(false));
        assert_eq!(tight.text(), "(t|f&f)&f");
        assert_eq!(Formula::Not(Box::new(tight)).text(), "!((t|f&f)&f)");
    }
}
