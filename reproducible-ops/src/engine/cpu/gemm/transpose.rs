//! Copies of strided matrices to rows, by the blocks that packing turns in registers.

use super::isa::Isa;
use super::lanes::Lanes;
use super::on_isa::on_isa;
use crate::engine::cpu::InstructionSet;

/// `target[r * cols + c] = source[c * step + r]` for `r` below `rows`, which is
/// `target.len() / cols`, and `c` below `cols`.
///
/// # Panics
/// If `source` ends before the last of them, or `target` is not whole rows.
pub(in crate::engine::cpu) fn transpose(
    isa: InstructionSet,
    source: &[u32],
    step: usize,
    cols: usize,
    target: &mut [u32],
) {
    let rows = target.len().checked_div(cols).unwrap_or(0);
    if rows == 0 {
        return;
    }
    assert_eq!(target.len(), rows * cols, "a matrix of whole rows");
    assert!(
        source.len() >= (cols - 1) * step + rows,
        "a source that holds every element"
    );
    assert!(isa.is_available(), "instructions that this machine has");
    // SAFETY: the instruction set is available, and both slices hold the matrix.
    on_isa!(isa, I => unsafe { blocks::<I>(source, step, rows, cols, target) });
}

/// # Safety
/// The instruction set is present, and `source` and `target` hold the matrix.
unsafe fn blocks<I: Isa>(
    source: &[u32],
    step: usize,
    rows: usize,
    cols: usize,
    target: &mut [u32],
) {
    let lanes = I::Vector::LANES;
    let whole = cols / lanes * lanes;
    let (from, to): (*const f32, *mut f32) = (source.as_ptr().cast(), target.as_mut_ptr().cast());
    for col in (0..whole).step_by(lanes) {
        for row in (0..rows).step_by(lanes) {
            let count = lanes.min(rows - row);
            // SAFETY: `lanes` steps from `col` with `count` rows each lie in the source, `count`
            // rows of `lanes` columns in the target; words move unchanged.
            unsafe {
                I::transpose(
                    from.add(col * step + row),
                    step,
                    lanes,
                    count,
                    to.add(row * cols + col),
                    cols,
                );
            }
        }
    }
    for col in whole..cols {
        for row in 0..rows {
            target[row * cols + col] = source[col * step + row];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_arrives_in_its_row() {
        for isa in InstructionSet::available() {
            for (rows, cols, step) in [
                (1, 1, 1),
                (3, 40, 5),
                (16, 16, 16),
                (19, 33, 64),
                (8, 100, 8),
            ] {
                // NaNs of every payload among them: words move unchanged.
                let source: Vec<u32> = (0..cols * step)
                    .map(|index| (index as u32).wrapping_mul(0x9e37_79b9))
                    .collect();
                let mut target = vec![0; rows * cols];
                transpose(isa, &source, step, cols, &mut target);
                for (index, &word) in target.iter().enumerate() {
                    let expected = source[index % cols * step + index / cols];
                    assert_eq!(word, expected, "{rows}x{cols} by {step} on {isa}");
                }
            }
        }
    }
}
