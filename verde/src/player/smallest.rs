//! The smallest trees: one run, no value, no element; and published data that are made up.

use super::tests::{End, play};
use super::*;
use crate::game::{Refusal, Rules, Side};
use crate::testing::{Fault, Kept, WITHOUT_ELEMENTS, bare, idle};
use crate::tree::{EMPTY, Position};

fn pick(game: &mut Game<'_>, index: usize, tree: &Tree) {
    let at = Position { height: 0, index };
    let Place::Picked { at: above, .. } = *game.place() else {
        panic!("{:?}", game.place());
    };
    let made = Move::Pick {
        at,
        node: *tree.node(at).unwrap(),
        siblings: tree.path_up(at, above.height).unwrap(),
    };
    game.play(Side::Challenger, &made).unwrap();
}

/// A game about an honest worker's claim, in which it was asked for its only step.
fn at_the_step<'a>(rules: Rules<'a>, honest: &mut Kept) -> Game<'a> {
    let mut game = Game::new(rules);
    pick(&mut game, 1, honest.history.tree());
    let step = respond(&game, honest).unwrap();
    game.play(Side::Worker, &step).unwrap();
    game
}

/// The plan has one run, which is right; the state after it is not. The worker may not pass over
/// the challenger's choice.
#[test]
fn a_state_after_a_single_run_can_be_contested() {
    let mut liar = Kept::of(
        bare(),
        1,
        Some(Fault::Next {
            step: 0,
            slot: 1,
            element: 1,
            bit: 3,
        }),
    );
    let mut honest = Kept::of(bare(), 1, None);
    let claim = *liar.history.claim();
    let rules = Rules {
        job: &bare().job,
        claim: &claim,
    };
    let (end, _) = play(rules, &mut liar, &mut honest);
    assert_eq!(end, End::Shown);
}

/// A challenger asks an honest worker for a value without elements: the worker opens it, and is
/// asked for nothing that there is not. One that claims another top cannot open it.
#[test]
fn a_value_without_elements_is_its_own_proof() {
    let mut honest = Kept::of(bare(), 1, None);
    let claim = *honest.history.claim();
    let rules = Rules {
        job: &bare().job,
        claim: &claim,
    };
    for value in WITHOUT_ELEMENTS {
        let mut game = at_the_step(rules, &mut honest);
        let Place::Shown { nodes, .. } = game.place().clone() else {
            panic!("{:?}", game.place());
        };
        let made = Move::Pick {
            at: Position {
                height: 0,
                index: 0,
            },
            node: nodes[0],
            siblings: Vec::new(),
        };
        game.play(Side::Challenger, &made).unwrap();
        let run = respond(&game, &mut honest).unwrap();
        game.play(Side::Worker, &run).unwrap();
        let tree = honest.run(0, 0).unwrap().tree.tree().clone();
        pick(&mut game, value, &tree);
        let opened = respond(&game, &mut honest).unwrap();
        assert_eq!(opened, Move::Value { tiles: EMPTY });
        game.play(Side::Worker, &opened).unwrap();
        assert_eq!(game.place().turn(), Some(Side::Challenger));
        for index in 0..2 {
            let made = Move::Pick {
                at: Position { height: 0, index },
                node: EMPTY,
                siblings: Vec::new(),
            };
            let refused = game.play(Side::Challenger, &made);
            assert!(matches!(refused, Err(Refusal::Pick(_) | Refusal::Path(_))));
        }
        assert!(game.play(Side::Challenger, &Move::ContestNext).is_err());
    }
}

/// The same of a run without values.
#[test]
fn a_run_without_values_is_its_own_proof() {
    let mut honest = Kept::of(idle(), 1, None);
    let claim = *honest.history.claim();
    let rules = Rules {
        job: &idle().job,
        claim: &claim,
    };
    let mut game = at_the_step(rules, &mut honest);
    let tree = honest.step(0).unwrap().tree.clone();
    pick(&mut game, 1, &tree);
    let run = respond(&game, &mut honest).unwrap();
    assert_eq!(run, Move::Run { values: EMPTY });
    game.play(Side::Worker, &run).unwrap();
    assert_eq!(game.place().turn(), Some(Side::Challenger));
}

/// What a worker published need not be what it claimed. A challenger then waits for its moves.
#[test]
fn made_up_public_data_do_not_silence_a_challenger() {
    let fault = Fault::Value {
        step: 3,
        run: 1,
        value: 6,
        element: 0,
        bit: 20,
    };
    let other = Fault::Value {
        step: 3,
        run: 0,
        value: 4,
        element: 0,
        bit: 20,
    };
    let mut liar = Kept::play(2, Some(fault));
    for made_up in [None, Some(other)] {
        let (mut public, mut honest) = (Kept::play(2, made_up), Kept::honest(2));
        let claim = *liar.history.claim();
        let mut game = Game::new(Rules {
            job: crate::testing::job(),
            claim: &claim,
        });
        while let Some(side) = game.place().turn() {
            let ahead = challenge_in_public(&game, &mut honest, &mut public).unwrap();
            for made in &ahead {
                game.play(Side::Challenger, made).unwrap();
            }
            let made = match game.place().turn() {
                Some(Side::Worker) => respond(&game, &mut liar).unwrap(),
                Some(Side::Challenger) => panic!("silent: {:?}", game.place()),
                None => break,
            };
            game.play(Side::Worker, &made).unwrap();
            assert!(game.moves().len() < 60, "{side:?}");
        }
        assert_eq!(*game.place(), Place::Won(Side::Challenger));
    }
}
