//! Chained arithmetic: `7+3*4-5=` → `14`. Careless: from left to right without precedence.

use reproducible_ops::random::Stream;

use super::generator::{Family, ascending, at_level, joined};
use crate::answer::Answer;
use crate::question::Question;
use crate::random::choose;

/// How many operands, of at most how many digits, per level; together they keep every value within
/// `i64`.
const LEVELS: [(usize, u32); 4] = [(3, 2), (4, 2), (5, 3), (6, 3)];

/// A chain of `+`, `-` and `*`, with at least one product behind a sum.
pub(super) struct Arithmetic;

#[derive(Clone, Copy)]
enum Operator {
    Add,
    Subtract,
    Multiply,
}

/// A first operand and what follows it.
struct Chain {
    first: i64,
    rest: Vec<(Operator, i64)>,
}

impl Family for Arithmetic {
    fn description(&self) -> &'static str {
        "chained whole-number arithmetic; products before sums"
    }

    fn careless(&self) -> &'static str {
        "strictly from left to right"
    }

    fn levels(&self) -> u8 {
        LEVELS.len() as u8
    }

    fn generate(&self, level: u8, random: &mut Stream) -> Question {
        let (operands, digits) = at_level(&LEVELS, level);
        let chain = Chain::draw(operands, digits, random);
        let (gold, careless) = (
            Answer::integer(chain.value()),
            Answer::integer(chain.left_to_right()),
        );
        Question::with_twins(chain.text(), chain.canonical(), gold, careless)
    }
}

impl Chain {
    fn draw(operands: usize, digits: u32, random: &mut Stream) -> Self {
        let high = 10_i64.pow(digits) - 1;
        let first = random.range(1, high);
        let rest = (1..operands)
            .map(|at| (operator(at, random), random.range(2, high)))
            .collect();
        Self { first, rest }
    }

    fn text(&self) -> String {
        let rest: String = self
            .rest
            .iter()
            .map(|(operator, operand)| format!("{}{operand}", operator.symbol()))
            .collect();
        format!("{}{rest}=", self.first)
    }

    /// The text with the factors of each term in ascending order and the terms sorted by their
    /// texts.
    fn canonical(&self) -> String {
        // `+` sorts before `-`, and the first term is always added, so an added one leads here too
        // and needs no sign.
        format!(
            "{}=",
            ascending(&self.terms()).concat().trim_start_matches('+')
        )
    }

    /// The terms with their signs and with their factors in ascending order.
    fn terms(&self) -> Vec<String> {
        let term =
            |sign: char, factors: &[i64]| format!("{sign}{}", joined(&ascending(factors), "*"));
        let (mut terms, mut sign, mut factors) =
            (Vec::new(), Operator::Add.symbol(), vec![self.first]);
        for (operator, operand) in &self.rest {
            if !matches!(operator, Operator::Multiply) {
                terms.push(term(sign, &factors));
                factors.clear();
                sign = operator.symbol();
            }
            factors.push(*operand);
        }
        terms.push(term(sign, &factors));
        terms
    }

    /// Products first: the running product is kept apart from the sum of the finished ones.
    fn value(&self) -> i64 {
        let (sum, product) =
            self.rest
                .iter()
                .fold(
                    (0, self.first),
                    |(sum, product), (operator, operand)| match operator {
                        Operator::Add => (sum + product, *operand),
                        Operator::Subtract => (sum + product, -operand),
                        Operator::Multiply => (sum, product * operand),
                    },
                );
        sum + product
    }

    fn left_to_right(&self) -> i64 {
        self.rest
            .iter()
            .fold(self.first, |value, (operator, operand)| match operator {
                Operator::Add => value + operand,
                Operator::Subtract => value - operand,
                Operator::Multiply => value * operand,
            })
    }
}

impl Operator {
    fn symbol(self) -> char {
        match self {
            Self::Add => '+',
            Self::Subtract => '-',
            Self::Multiply => '*',
        }
    }
}

/// The first operator is a sum and the second a product, so that precedence always matters.
fn operator(at: usize, random: &mut Stream) -> Operator {
    use Operator::{Add, Multiply, Subtract};
    match at {
        1 => choose(&[Add, Subtract], random),
        2 => Multiply,
        _ => choose(&[Add, Subtract, Multiply], random),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precedence_separates_right_from_careless() {
        let chain = Chain {
            first: 7,
            rest: vec![
                (Operator::Add, 3),
                (Operator::Multiply, 4),
                (Operator::Subtract, 5),
            ],
        };
        assert_eq!(chain.text(), "7+3*4-5=");
        assert_eq!(chain.value(), 14);
        assert_eq!(chain.left_to_right(), 35);
        let negative = Chain {
            first: 2,
            rest: vec![(Operator::Subtract, 3), (Operator::Multiply, 4)],
        };
        assert_eq!(negative.value(), -10);
    }

    #[test]
    fn terms_and_factors_may_change_places() {
        use Operator::{Add, Multiply, Subtract};
        let canonical = |first, rest: &[(Operator, i64)]| {
            Chain {
                first,
                rest: rest.to_vec(),
            }
            .canonical()
        };
        let chain = canonical(7, &[(Add, 3), (Multiply, 4), (Subtract, 5)]);
        assert_eq!(chain, "3*4+7-5=");
        assert_eq!(
            chain,
            canonical(7, &[(Subtract, 5), (Add, 4), (Multiply, 3)])
        );
        assert_eq!(
            chain,
            canonical(4, &[(Multiply, 3), (Subtract, 5), (Add, 7)])
        );
        assert_ne!(
            chain,
            canonical(5, &[(Add, 3), (Multiply, 4), (Subtract, 7)])
        );
        assert_ne!(
            chain,
            canonical(3, &[(Add, 7), (Multiply, 4), (Subtract, 5)])
        );
    }

    #[test]
    fn largest_chain_fits() {
        let rest = vec![(Operator::Multiply, 999); 5];
        assert_eq!(
            Chain { first: 999, rest }.left_to_right(),
            994_014_980_014_994_001
        );
    }
}
