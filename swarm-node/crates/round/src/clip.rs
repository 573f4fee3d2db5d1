//! Consensus of opinions where no verifier exists: each opinion is clipped to the stake-weighted
//! median.
//!
//! The rule is Yuma consensus reduced to its core. Judges i hold stake S_i and give weights W_ij ∈
//! [0, 1000] to members j. The consensus weight m_j is the largest w such that judges with at least
//! half of the stake gave W_ij ≥ w; the result is Σ S_i·min(W_ij, m_j) / Σ S_i. A coalition below
//! half of the stake cannot lift anybody above what the others grant.

/// One judge's weight for one member: `(stake, weight in thousandths)`.
pub type Opinion = (u64, u32);

/// The clipped, stake-weighted mean of the opinions about one member, in thousandths; 0 without
/// stake.
///
/// Example: stakes 60 and 40 with weights 200 and 1000 give a median of 200, so the result is 200,
/// not 520.
#[expect(
    clippy::expect_used,
    reason = "every term is a u32, so their mean is one"
)]
pub fn consensus(opinions: &[Opinion]) -> u32 {
    let total: u128 = opinions.iter().map(|(stake, _)| u128::from(*stake)).sum();
    let ceiling = median(opinions, total);
    let sum: u128 = opinions
        .iter()
        .map(|(stake, weight)| u128::from(*stake) * u128::from((*weight).min(ceiling)))
        .sum();
    match sum.checked_div(total) {
        Some(mean) => u32::try_from(mean).expect("invariant: a mean is within its terms"),
        None => 0,
    }
}

/// The largest weight that at least half of the stake supports.
fn median(opinions: &[Opinion], total: u128) -> u32 {
    let mut sorted = opinions.to_vec();
    sorted.sort_unstable_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    let mut support = 0;
    for (stake, weight) in sorted {
        support += u128::from(stake);
        if support * 2 >= total.max(1) {
            return weight;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minority_cannot_lift_a_member() {
        assert_eq!(consensus(&[(60, 200), (40, 1000)]), 200);
        assert_eq!(consensus(&[(60, 0), (40, 1000)]), 0);
    }

    #[test]
    fn a_minority_lowers_only_by_its_own_stake() {
        assert_eq!(consensus(&[(60, 1000), (40, 0)]), 600);
    }

    #[test]
    fn agreement_is_kept_and_nothing_is_nothing() {
        assert_eq!(consensus(&[(1, 700), (9, 700)]), 700);
        assert_eq!((consensus(&[]), consensus(&[(0, 1000)])), (0, 0));
        assert_eq!(consensus(&[(u64::MAX, 1000), (u64::MAX, 1000)]), 1000);
    }
}
