//! Test vectors of the elementwise operators, for twins of their functions in other languages.

use crate::engine::canonicalise;
use crate::program::{DType, Elementwise};
use crate::random::Stream;

use super::inputs::{FLOAT_EDGES, any_float};

/// i32 words worth meeting often: the ends, small numbers of both signs, and numbers whose products
/// wrap or which f32 cannot hold.
const INTEGER_EDGES: [u32; 14] = [
    0x0000_0000,
    0x0000_0001,
    0x0000_0002,
    0x0000_0007,
    0xffff_ffff,
    0xffff_fffe,
    0xffff_fff9,
    0x7fff_ffff,
    0x7fff_fffe,
    0x8000_0000,
    0x8000_0001,
    0x0001_0001,
    0x0100_0001,
    0xfeff_ffff,
];

/// One application of a function: the words of its operands and that of its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vector {
    /// One word per operand.
    pub operands: Vec<u32>,
    /// The word that the function gives.
    pub result: u32,
}

/// Words of an element type at which arithmetic goes wrong: zeros of both signs, subnormals,
/// infinities, the canonical NaN, the ends of the ranges, ties.
pub fn edge_words(dtype: DType) -> &'static [u32] {
    match dtype {
        DType::F32 => &FLOAT_EDGES,
        DType::I32 => &INTEGER_EDGES,
        DType::Bool => &[0, 1],
    }
}

/// Vectors of one row of the operator table: every combination of [`edge_words`], then `draws` of
/// random operands. The same on every machine and in every run.
///
/// A twin of the scalar functions, such as a contract, is tested against each row that it has:
///
/// ```
/// use reproducible_ops::conformance::vectors;
/// use reproducible_ops::program::Elementwise;
///
/// /// Another implementation, by the name of the row.
/// fn twin(name: &str, words: &[u32]) -> Option<u32> {
///     match name {
///         "abs i32" => Some((words[0] as i32).unsigned_abs()),
///         "less i32" => Some(u32::from((words[0] as i32) < words[1] as i32)),
///         _ => None,
///     }
/// }
///
/// let mut compared = 0;
/// for &row in Elementwise::ALL {
///     for vector in vectors(row, 1_000) {
///         if let Some(found) = twin(row.name(), &vector.operands) {
///             assert_eq!(found, vector.result, "{} of {:x?}", row.name(), vector.operands);
///             compared += 1;
///         }
///     }
/// }
/// assert_eq!(compared, 14 + 14 * 14 + 2 * 1_000);
/// ```
pub fn vectors(row: Elementwise, draws: usize) -> impl Iterator<Item = Vector> {
    let mut stream = Stream::from_seed(row.name(), 0);
    let drawn = (0..draws).map(move |_| {
        let operands = row.operands().iter();
        operands.map(|&dtype| draw(&mut stream, dtype)).collect()
    });
    combinations(row.operands())
        .into_iter()
        .chain(drawn)
        .map(move |operands: Vec<u32>| Vector {
            result: row.apply(&operands),
            operands,
        })
}

/// Every combination of the edge words of these types.
fn combinations(dtypes: &[DType]) -> Vec<Vec<u32>> {
    let mut all = vec![Vec::new()];
    for &dtype in dtypes {
        let extended = |head: &Vec<u32>| {
            let head = head.clone();
            let words = edge_words(dtype).iter();
            words.map(move |&word| [head.as_slice(), &[word]].concat())
        };
        all = all.iter().flat_map(extended).collect();
    }
    all
}

/// A word that a value of this type may hold.
fn draw(stream: &mut Stream, dtype: DType) -> u32 {
    let mut word = [match dtype {
        DType::F32 => any_float(stream),
        DType::I32 => stream.next_u32(),
        DType::Bool => stream.next_u32() & 1,
    }];
    canonicalise(dtype, &mut word);
    word[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scalar::soft;

    #[test]
    fn the_integer_twin_agrees_on_every_vector() {
        let mut compared = 0;
        for &row in Elementwise::ALL {
            for Vector { operands, result } in vectors(row, 20_000) {
                let found = match (row, operands.as_slice()) {
                    (Elementwise::AddF32, &[a, b]) => soft::add(a, b),
                    (Elementwise::SubF32, &[a, b]) => soft::sub(a, b),
                    (Elementwise::MulF32, &[a, b]) => soft::mul(a, b),
                    (Elementwise::DivF32, &[a, b]) => soft::div(a, b),
                    (Elementwise::SqrtF32, &[x]) => soft::sqrt(x),
                    _ => continue,
                };
                assert_eq!(found, result, "{} of {operands:x?}", row.name());
                compared += 1;
            }
        }
        assert_eq!(compared, 5 * 20_000 + 4 * 26 * 26 + 26);
    }

    #[test]
    fn vectors_are_the_same_in_every_run() {
        for &row in Elementwise::ALL {
            assert!(vectors(row, 50).eq(vectors(row, 50)));
            let count = vectors(row, 50).count();
            let edges = row.operands().iter().map(|&dtype| edge_words(dtype).len());
            assert_eq!(count, edges.product::<usize>() + 50);
        }
    }
}
