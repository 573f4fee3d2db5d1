//! Comparisons (for f32 those of IEEE: NaN is unequal to everything, −0 equals +0; for i32 signed)
//! and selection. Greater-than is less-than with its operands swapped, not-equal is negated.

/// `a == b`.
#[inline(always)]
pub fn eq<T: PartialOrd>(a: T, b: T) -> bool {
    a == b
}

/// `a < b`.
#[inline(always)]
pub fn lt<T: PartialOrd>(a: T, b: T) -> bool {
    a < b
}

/// `a <= b`.
#[inline(always)]
pub fn le<T: PartialOrd>(a: T, b: T) -> bool {
    a <= b
}

/// `a` where `condition` holds, else `b`, bit for bit.
#[inline(always)]
pub fn select<T: Copy>(condition: bool, a: T, b: T) -> T {
    if condition { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_compares_with_nothing() {
        for y in [f32::NAN, 0.0, f32::NEG_INFINITY] {
            for f in [eq, lt, le] {
                assert!(!f(f32::NAN, y) & !f(y, f32::NAN));
            }
        }
    }

    #[test]
    fn zeros_are_equal_and_integers_signed() {
        assert!(eq(-0.0f32, 0.0) & le(0.0f32, -0.0) & !lt(-0.0f32, 0.0));
        assert!(lt(i32::MIN, 0) & lt(-1, 0) & le(3, 3) & !lt(3, 3));
    }

    #[test]
    fn select_keeps_bits() {
        assert_eq!(select(true, -0.0f32, 0.0).to_bits(), 0x8000_0000);
        assert_eq!(select(false, 1, i32::MIN), i32::MIN);
    }
}
