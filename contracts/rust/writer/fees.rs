//! Fees of EIP-1559: what a new transaction offers, and what its replacement offers.

use super::intent::Fees;
use super::view::View;

/// A replacement offers an eighth more of both prices: nodes ask for 10 % or 12.5 %.
const RAISE: u128 = 8;

/// The offer for a new transaction: room for the base fee to double, within `cap`.
///
/// # Errors
/// The price that is needed, if it is above `cap`.
pub(crate) fn offer(view: &View, cap: u128) -> Result<Fees, u128> {
    let need = view.head.base_fee.saturating_add(view.tip);
    match need <= cap {
        true => Ok(Fees {
            max: need.saturating_add(view.head.base_fee).min(cap),
            tip: view.tip,
        }),
        false => Err(need),
    }
}

/// The offer that replaces `old`.
///
/// # Errors
/// The price that is needed, if it is above `cap`.
pub(crate) fn raise(old: Fees, view: &View, cap: u128) -> Result<Fees, u128> {
    let floor = Fees {
        max: raised(old.max),
        tip: raised(old.tip),
    };
    let fresh = view
        .head
        .base_fee
        .saturating_mul(2)
        .saturating_add(view.tip);
    match floor.max <= cap {
        true => Ok(Fees {
            max: floor.max.max(fresh.min(cap)),
            tip: floor.tip.max(view.tip).min(floor.max),
        }),
        false => Err(floor.max),
    }
}

fn raised(price: u128) -> u128 {
    price.saturating_add(price.div_ceil(RAISE).max(1))
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{B256, U256};
    use proptest::prelude::*;

    use super::*;
    use crate::client::Block;

    fn view(base_fee: u128, tip: u128) -> View {
        let head = Block {
            number: 1,
            hash: B256::ZERO,
            timestamp: 0,
            base_fee,
        };
        View {
            head,
            tip,
            nonce: 0,
            balance: U256::ZERO,
        }
    }

    #[test]
    fn a_dear_chain_is_waited_for() {
        assert_eq!(offer(&view(10, 2), 100), Ok(Fees { max: 22, tip: 2 }));
        assert_eq!(offer(&view(10, 2), 15), Ok(Fees { max: 15, tip: 2 }));
        assert_eq!(offer(&view(10, 2), 11), Err(12));
        assert_eq!(raise(Fees { max: 100, tip: 0 }, &view(1, 1), 112), Err(113));
    }

    proptest! {
        #[test]
        fn a_raise_is_enough_and_within_the_cap(
            max in 0u128..1 << 100, tip in 0u128..1 << 100, base in 0u128..1 << 100, wish in 0u128..1 << 100, cap: u128,
        ) {
            let old = Fees { max: max.max(tip), tip };
            if let Ok(new) = raise(old, &view(base, wish), cap) {
                prop_assert!(new.max <= cap && new.tip <= new.max);
                prop_assert!(new.max * 8 >= old.max * 9 && new.tip * 8 >= old.tip * 9);
                prop_assert!(new.max > old.max && new.tip > old.tip);
            }
        }
    }
}
