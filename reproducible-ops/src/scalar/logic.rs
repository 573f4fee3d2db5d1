//! Operations on bools.

/// Whether `x` is false.
#[inline(always)]
pub fn not(x: bool) -> bool {
    !x
}

/// Whether both are true.
#[inline(always)]
pub fn and(a: bool, b: bool) -> bool {
    a & b
}

/// Whether at least one is true.
#[inline(always)]
pub fn or(a: bool, b: bool) -> bool {
    a | b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_tables() {
        let pairs = [(false, false), (false, true), (true, false), (true, true)];
        assert_eq!(pairs.map(|(a, b)| and(a, b)), [false, false, false, true]);
        assert_eq!(pairs.map(|(a, b)| or(a, b)), [false, true, true, true]);
        assert_eq!((not(false), not(true)), (true, false));
    }
}
