//! Every move of a game, in both sets of rules: the same places, the same refusals.

use proptest::prelude::*;
use verde::game::{Move as Made, Rules, Side};
use verde::player::{challenge, challenge_in_public, respond};
use verde::testing::{Fault, Kept, STEPS, Share, job};

use crate::twins::Twins;

fn fault() -> impl Strategy<Value = Fault> {
    let index = any::<prop::sample::Index>;
    let value = (0..STEPS, 0_usize..4, index(), index(), 12_u32..23);
    let value = value.prop_map(|(step, run, value, element, bit)| {
        let shares: [Share<'_>; 2] = [&|count| value.index(count), &|count| element.index(count)];
        Fault::of_value(step, run, shares, bit)
    });
    let next = (0..STEPS, 0_usize..3, index(), 0_u32..23);
    let next = next.prop_map(|(step, slot, element, bit)| {
        Fault::of_next(step, slot, &|count| element.index(count), bit)
    });
    prop_oneof![4 => value, 1 => next]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Both rules agree on every move, on moves of the wrong side, and on damaged ones.
    #[test]
    fn both_rules_agree_move_by_move(
        fault in fault(),
        stride in 1_u32..=8,
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let (mut liar, mut honest) = (Kept::play(stride, Some(fault)), Kept::honest(stride));
        let claim = *liar.history.claim();
        let mut twins = Twins::new(Rules { job: job(), claim: &claim });
        while let Some(side) = twins.game.place().turn() {
            let made = match side {
                Side::Worker => respond(&twins.game, &mut liar).unwrap(),
                Side::Challenger => match challenge(&twins.game, &mut honest) {
                    Ok(made) => made,
                    Err(_) => return Ok(()),
                },
            };
            twins.try_wrongly(side, &made, at, bit);
            if !twins.play(side, &made) {
                prop_assert!(matches!(made, Made::Numbers(_)), "{:?}", made);
                return Ok(());
            }
        }
    }

    /// With public data a challenger needs one transaction after the worker's assertions, and an
    /// honest worker's data contradict nothing.
    #[test]
    fn both_rules_agree_where_data_are_public(fault in fault(), stride in 1_u32..=8) {
        let (mut liar, mut honest) = (Kept::play(stride, Some(fault)), Kept::honest(stride));
        let claim = *liar.history.claim();
        let mut twins = Twins::new(Rules { job: job(), claim: &claim });
        let mut public = liar.clone();
        for _ in 0..6 {
            let Ok(moves) = challenge_in_public(&twins.game, &mut honest, &mut public) else {
                return Ok(());
            };
            for made in &moves {
                prop_assert!(twins.play(Side::Challenger, made), "{:?}", made);
            }
            if twins.game.place().turn().is_none() {
                return Ok(());
            }
            let made = respond(&twins.game, &mut liar).unwrap();
            if !twins.play(Side::Worker, &made) {
                prop_assert!(matches!(made, Made::Numbers(_)), "{:?}", made);
                return Ok(());
            }
        }
        prop_assert!(false, "{:?}", twins.game.place());
    }
}

/// A fault in any value of any run, and in any tensor of the state, ends in a contradiction on the
/// chain, except that a reduction's numbers cannot be made up by a worker that computes honestly
/// afterwards.
#[test]
fn every_value_can_be_shown_wrong() {
    let (mut shown, mut silent, mut unseen) = (0, 0, 0);
    let mut faults = Vec::new();
    for run in 0..2 {
        let (_, program) = job().run(run).unwrap();
        let value = |value| Fault::Value {
            step: 3,
            run,
            value,
            element: 0,
            bit: 22,
        };
        faults.extend((0..program.value_count()).map(value));
    }
    faults.extend((0..3).map(|slot| Fault::Next {
        step: 3,
        slot,
        element: 0,
        bit: 22,
    }));
    for fault in &faults {
        let (mut liar, mut honest) = (Kept::play(2, Some(*fault)), Kept::honest(2));
        if liar.history == honest.history {
            unseen += 1;
            continue;
        }
        let claim = *liar.history.claim();
        let mut twins = Twins::new(Rules {
            job: job(),
            claim: &claim,
        });
        while let Some(side) = twins.game.place().turn() {
            let made = match side {
                Side::Worker => respond(&twins.game, &mut liar).unwrap(),
                Side::Challenger => challenge(&twins.game, &mut honest).unwrap(),
            };
            if !twins.play(side, &made) {
                assert!(matches!(made, Made::Numbers(_)), "{fault:?}: {made:?}");
                silent += 1;
                break;
            }
        }
        shown += usize::from(twins.game.place().turn().is_none());
        assert!(twins.gas < 1_500_000, "{fault:?}: {} gas", twins.gas);
    }
    // Silent: the matrix product, the long sum, and the largest element of a long row. Unseen: a
    // gathered row, of which only the largest element is read.
    assert_eq!((shown, silent, unseen), (25, 3, 1), "of {}", faults.len());
}
