//! The court of a disputed outcome: who has how many of its seats.
//!
//! ```text
//! seats(owner) = ⌊s·K / S⌋ + (keccak(abi.encode(seed, owner)) mod S < s·K mod S ? 1 : 0)
//! ```
//! with the owner's stake s and everybody's S when the disputed epoch began, and K = [`SEATS`]. The
//! whole part is not left to chance and the rest is a lottery by the fraction, so whoever splits a
//! stake among accounts has the same expectation and no more.

use alloy::primitives::{Address, B256, U256, keccak256};

/// Seats of a court, more or less: the lotteries of the owners are independent.
pub const SEATS: u64 = 256;
/// Seats that decide: strictly more than two thirds.
pub const QUORUM: u64 = SEATS * 2 / 3 + 1;

/// The seats of an owner with `stake` of `total` in the draw with this seed, as the contract counts
/// them.
///
/// ```
/// use contracts::court::{SEATS, seats};
/// use contracts::{Address, B256, U256};
///
/// let total = U256::from(1_000);
/// let all = seats(B256::ZERO, Address::ZERO, total, total);
/// assert_eq!(all, SEATS);
/// // 25.6 seats are 25 or 26.
/// let tenth = seats(B256::ZERO, Address::ZERO, U256::from(100), total);
/// assert!(matches!(tenth, 25 | 26));
/// ```
pub fn seats(seed: B256, owner: Address, stake: U256, total: U256) -> u64 {
    if total.is_zero() {
        return 0;
    }
    let shares = stake.saturating_mul(U256::from(SEATS));
    let (sure, fraction) = shares.div_rem(total);
    let lot = U256::from_be_bytes(draw(seed, owner).0) % total;
    sure.saturating_to::<u64>()
        .saturating_add(u64::from(lot < fraction))
}

/// The lot of an owner in a draw.
fn draw(seed: B256, owner: Address) -> B256 {
    let mut both = [0; 64];
    both[..32].copy_from_slice(seed.as_slice());
    both[44..].copy_from_slice(owner.as_slice());
    keccak256(both)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(number: u32) -> Address {
        Address::left_padding_from(&number.to_be_bytes())
    }

    #[test]
    fn a_stake_has_its_share_of_the_seats_however_it_is_split() {
        let total = U256::from(3_000);
        let mean = |stake: u64, owners: u32| -> f64 {
            let draws = 400;
            let sum: u64 = (0..draws)
                .flat_map(|draw: u32| (0..owners).map(move |number| (draw, number)))
                .map(|(draw, number)| {
                    let seed = keccak256(draw.to_be_bytes());
                    seats(
                        seed,
                        owner(number),
                        U256::from(stake / u64::from(owners)),
                        total,
                    )
                })
                .sum();
            sum as f64 / f64::from(draws)
        };
        for owners in [1, 2, 10, 100] {
            let seats = mean(1_000, owners);
            assert!((seats - 256.0 / 3.0).abs() < 1.5, "{owners}: {seats}");
        }
    }

    #[test]
    fn a_draw_never_overflows_and_an_empty_one_seats_nobody() {
        for (stake, total) in [(U256::MAX, U256::MAX), (U256::MAX, U256::ONE)] {
            let _ = seats(B256::ZERO, Address::ZERO, stake, total);
        }
        assert_eq!(seats(B256::ZERO, Address::ZERO, U256::ONE, U256::ZERO), 0);
        assert_eq!(seats(B256::ZERO, Address::ZERO, U256::ZERO, U256::ONE), 0);
    }
}
