//! Elementwise operators as functions of words: the rows of `elementwise_table!`.

use super::operator::{Comparison, Operator, elementwise_table};
use super::types::{DType, Element};
use crate::scalar;

macro_rules! define {
    ($(
        $row:ident $name:literal ($($operator:tt)+) ($($operand:ident),+) -> $result:ident, $function:path;
    )+) => {
        /// An elementwise operator at one choice of element types: a row of the operator table.
        ///
        /// Engines loop over these functions, [`Operator::infer`] takes its types from them, and
        /// [`conformance::vectors`](crate::conformance::vectors) hands them to twins in other
        /// languages.
        ///
        /// ```
        /// use reproducible_ops::program::{DType, Elementwise, Operator};
        ///
        /// let add = Elementwise::of(&Operator::Add, &[DType::I32, DType::I32]).unwrap();
        /// assert_eq!((add.name(), add.result()), ("add i32", DType::I32));
        /// assert_eq!(add.apply(&[u32::MAX, 3]), 2, "−1 + 3");
        /// assert_eq!(Elementwise::of(&Operator::Sqrt, &[DType::I32]), None);
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Elementwise {
            $(
                #[doc = concat!(
                    "`", $name, "`: `", stringify!($($operator)+), "` by [`", stringify!($function),
                    "`](crate::", stringify!($function), "), `(", stringify!($($operand),+), ") → ",
                    stringify!($result), "`."
                )]
                $row,
            )+
        }

        impl Elementwise {
            /// Every row of the table.
            pub const ALL: &[Self] = &[$(Self::$row),+];

            /// The row of an operator for operands of these types; `None` if it does not take them,
            /// or is not elementwise.
            pub fn of(operator: &Operator, operands: &[DType]) -> Option<Self> {
                match (operator, operands) {
                    $((Operator::$($operator)+, [$(<$operand as Element>::DTYPE),+]) => {
                        Some(Self::$row)
                    })+
                    _ => None,
                }
            }

            /// The name: the operator's, with element types where it has several.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$row => $name,)+
                }
            }

            /// The operator.
            pub fn operator(self) -> Operator {
                match self {
                    $(Self::$row => Operator::$($operator)+,)+
                }
            }

            /// Element types of the operands.
            pub fn operands(self) -> &'static [DType] {
                match self {
                    $(Self::$row => &[$(<$operand as Element>::DTYPE),+],)+
                }
            }

            /// Element type of the result.
            pub fn result(self) -> DType {
                match self {
                    $(Self::$row => <$result as Element>::DTYPE,)+
                }
            }

            /// One element: the function of [`crate::scalar`], on the words of its operands.
            ///
            /// # Panics
            /// If there are fewer words than operands.
            pub fn apply(self, words: &[u32]) -> u32 {
                match self {
                    $(Self::$row => call!($function, words, ($($operand),+)).to_word(),)+
                }
            }
        }
    };
}

/// Calls a function of one, two or three operands on words.
macro_rules! call {
    ($function:path, $words:ident, ($a:ident)) => {
        $function($a::from_word($words[0]))
    };
    ($function:path, $words:ident, ($a:ident, $b:ident)) => {
        $function($a::from_word($words[0]), $b::from_word($words[1]))
    };
    ($function:path, $words:ident, ($a:ident, $b:ident, $c:ident)) => {
        $function(
            $a::from_word($words[0]),
            $b::from_word($words[1]),
            $c::from_word($words[2]),
        )
    };
}

elementwise_table!(define);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{OPERATORS, TensorType};
    use std::collections::BTreeSet;

    #[test]
    fn rows_are_found_by_operator_and_types() {
        for &row in Elementwise::ALL {
            assert_eq!(Elementwise::of(&row.operator(), row.operands()), Some(row));
            assert_eq!(row.operator().row().arity.least(), row.operands().len());
            assert!(row.operator().is_elementwise(), "{}", row.name());
        }
    }

    #[test]
    fn tags_and_names_are_unique_and_every_elementwise_operator_has_a_row() {
        let tags: BTreeSet<u8> = OPERATORS.iter().map(|row| row.tag).collect();
        let names: BTreeSet<&str> = OPERATORS.iter().map(|row| row.name).collect();
        assert_eq!(
            (tags.len(), names.len()),
            (OPERATORS.len(), OPERATORS.len())
        );
        let rows: BTreeSet<&str> = Elementwise::ALL.iter().map(|row| row.name()).collect();
        assert_eq!(rows.len(), Elementwise::ALL.len());
        let defined = |row: &Elementwise, name| row.operator().name() == name;
        for operator in OPERATORS.iter().filter(|row| row.elementwise) {
            let found = Elementwise::ALL
                .iter()
                .any(|row| defined(row, operator.name));
            assert!(found, "{} has no meaning", operator.name);
        }
    }

    #[test]
    fn inference_takes_the_types_of_the_rows_and_no_others() {
        const TYPES: [DType; 3] = [DType::F32, DType::I32, DType::Bool];
        for &row in Elementwise::ALL {
            let count = row.operands().len() as u32;
            for choice in 0..3usize.pow(count) {
                let dtypes: Vec<DType> = (0..count)
                    .map(|operand| TYPES[choice / 3usize.pow(operand) % 3])
                    .collect();
                let types: Vec<TensorType> = dtypes
                    .iter()
                    .map(|&dtype| TensorType::new(dtype, [2, 3]))
                    .collect();
                let inferred = row.operator().infer(&types.iter().collect::<Vec<_>>());
                let expected = Elementwise::of(&row.operator(), &dtypes).map(Elementwise::result);
                assert_eq!(
                    inferred.ok().map(|ty| ty.dtype),
                    expected,
                    "{} {dtypes:?}",
                    row.name()
                );
            }
        }
    }
}
