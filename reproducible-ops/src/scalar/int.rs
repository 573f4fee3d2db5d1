//! i32 arithmetic modulo 2³². Only `i32::MIN` surprises: it is its own negative and its own
//! absolute value.

/// `a + b` modulo 2³².
#[inline(always)]
pub fn add(a: i32, b: i32) -> i32 {
    a.wrapping_add(b)
}

/// `a − b` modulo 2³².
#[inline(always)]
pub fn sub(a: i32, b: i32) -> i32 {
    a.wrapping_sub(b)
}

/// `a · b` modulo 2³².
#[inline(always)]
pub fn mul(a: i32, b: i32) -> i32 {
    a.wrapping_mul(b)
}

/// `−x` modulo 2³²; `neg(i32::MIN)` is `i32::MIN`.
#[inline(always)]
pub fn neg(x: i32) -> i32 {
    x.wrapping_neg()
}

/// `|x|` modulo 2³²; `abs(i32::MIN)` is `i32::MIN`.
#[inline(always)]
pub fn abs(x: i32) -> i32 {
    x.wrapping_abs()
}

/// The larger of two signed values.
#[inline(always)]
pub fn max(a: i32, b: i32) -> i32 {
    a.max(b)
}

/// The smaller of two signed values.
#[inline(always)]
pub fn min(a: i32, b: i32) -> i32 {
    a.min(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_wraps() {
        assert_eq!(add(i32::MAX, 1), i32::MIN);
        assert_eq!(sub(i32::MIN, 1), i32::MAX);
        assert_eq!(mul(i32::MIN, -1), i32::MIN);
        assert_eq!(mul(65_537, 65_537), 131_073);
        assert_eq!(neg(i32::MIN), i32::MIN);
        assert_eq!(abs(i32::MIN), i32::MIN);
        assert_eq!((neg(7), abs(-7)), (-7, 7));
    }

    #[test]
    fn order_is_signed() {
        assert_eq!((max(-1, 1), min(-1, 1)), (1, -1));
        assert_eq!((max(i32::MIN, 0), min(i32::MIN, i32::MAX)), (0, i32::MIN));
    }
}
