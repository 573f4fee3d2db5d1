//! Propositional logic: `t|f&!t=` → `t`. Careless: reads `&` as `|` and `|` as `&`.
//!
//! `!` binds tightest, then `&`, then `^`, then `|`; brackets as usual. Depth is bounded by the
//! level.

use reproducible_ops::random::Stream;

use super::generator::{Family, at_level};
use crate::answer::Answer;
use crate::question::Question;
use crate::random::choose;

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

/// How the operands of each connective are written; all three connectives give the same value in
/// any order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// As they were drawn.
    Drawn,
    /// Sorted by their texts.
    Fixed,
}

impl Family for Logic {
    fn description(&self) -> &'static str {
        "the value (t or f) of a formula with ! (not), & (and), ^ (xor), | (or), in this order of \
         binding"
    }

    fn careless(&self) -> &'static str {
        "the value with & and | exchanged"
    }

    fn levels(&self) -> u8 {
        LEVELS.len() as u8
    }

    fn generate(&self, level: u8, random: &mut Stream) -> Question {
        let formula = Formula::draw(at_level(&LEVELS, level), random);
        let answer = |exchange| Answer::truth(formula.value(exchange));
        let prompt = |order| format!("{}=", formula.text(order));
        Question::with_twins(
            prompt(Order::Drawn),
            prompt(Order::Fixed),
            answer(false),
            answer(true),
        )
    }
}

impl Formula {
    /// A formula with `leaves` constants, split at random places.
    fn draw(leaves: usize, random: &mut Stream) -> Self {
        let formula = if leaves <= 1 {
            Self::Constant(random.chance(0.5))
        } else {
            let left = 1 + random.index(leaves - 1);
            let connective = choose(&[Connective::Or, Connective::Xor, Connective::And], random);
            Self::Binary(
                connective,
                Box::new(Self::draw(left, random)),
                Box::new(Self::draw(leaves - left, random)),
            )
        };
        if random.chance(0.25) {
            Self::Not(Box::new(formula))
        } else {
            formula
        }
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

    fn text(&self, order: Order) -> String {
        match self {
            Self::Constant(value) => if *value { "t" } else { "f" }.to_owned(),
            Self::Not(inner) => format!(
                "!{}",
                inner.bracketed(order, |formula| matches!(formula, Self::Binary(..)))
            ),
            Self::Binary(own, ..) => {
                let looser =
                    |formula: &Self| matches!(formula, Self::Binary(inner, ..) if inner < own);
                let mut operands: Vec<String> = self
                    .operands(*own)
                    .iter()
                    .map(|operand| operand.bracketed(order, looser))
                    .collect();
                if order == Order::Fixed {
                    operands.sort_unstable();
                }
                operands.join(own.symbol())
            }
        }
    }

    /// What a chain of one connective, however it was nested, connects.
    fn operands(&self, connective: Connective) -> Vec<&Self> {
        match self {
            Self::Binary(own, left, right) if *own == connective => {
                [left.operands(connective), right.operands(connective)].concat()
            }
            _ => vec![self],
        }
    }

    fn bracketed(&self, order: Order, needed: impl Fn(&Self) -> bool) -> String {
        if needed(self) {
            format!("({})", self.text(order))
        } else {
            self.text(order)
        }
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

    fn symbol(self) -> &'static str {
        match self {
            Self::Or => "|",
            Self::Xor => "^",
            Self::And => "&",
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
        assert_eq!(or.text(Order::Drawn), "t|f&f");
        assert!(or.value(false) && !or.value(true));
        let tight = Formula::Binary(Connective::And, Box::new(or), constant(false));
        assert_eq!(tight.text(Order::Drawn), "(t|f&f)&f");
        let not = Formula::Not(Box::new(tight));
        assert_eq!(not.text(Order::Drawn), "!((t|f&f)&f)");
        assert_eq!(not.text(Order::Fixed), "!((f&f|t)&f)");
    }

    #[test]
    fn operands_of_nested_chains_change_places() {
        let or = |left, right| Box::new(Formula::Binary(Connective::Or, left, right));
        let not = || Box::new(Formula::Not(constant(false)));
        let formulas = [
            or(or(constant(true), not()), constant(false)),
            or(constant(false), or(constant(true), not())),
        ];
        assert_eq!(
            formulas
                .each_ref()
                .map(|formula| formula.text(Order::Drawn)),
            ["t|!f|f", "f|t|!f"]
        );
        assert_eq!(
            formulas
                .each_ref()
                .map(|formula| formula.text(Order::Fixed)),
            ["!f|f|t", "!f|f|t"]
        );
    }
}
