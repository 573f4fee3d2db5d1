//! The smallest trees under both sets of rules, and moves that say something elsewhere.

use contracts::game::Move;
use reproducible_ops::program::{Digest, TensorType, ValueId};
use verde::game::{Move as Made, Place, Rules, Side};
use verde::history::{History, Length};
use verde::player::{challenge, respond};
use verde::record::{Record, state_tree};
use verde::run::RunTree;
use verde::tensor;
use verde::testing::{Fault, Kept, WITHOUT_ELEMENTS, Work, bare, idle, job};
use verde::tree::{EMPTY, Position, Tree};

use crate::twins::Twins;

fn rules<'a>(work: &'a Work, claim: &'a verde::history::Claim) -> Rules<'a> {
    Rules {
        job: &work.job,
        claim,
    }
}

/// Picks a leaf at once: below the node in doubt, or among those shown.
fn pick(twins: &mut Twins<'_>, index: usize, tree: &Tree) {
    let height = match twins.game.place() {
        Place::Picked { at, .. } => at.height,
        Place::Shown { at, .. } => at.height,
        other => panic!("{other:?}"),
    };
    let at = Position { height: 0, index };
    let made = Made::Pick {
        at,
        node: *tree.node(at).unwrap(),
        siblings: tree.path_up(at, height).unwrap(),
    };
    assert!(twins.play(Side::Challenger, &made));
}

fn answer(twins: &mut Twins<'_>, worker: &mut Kept) -> Made {
    let made = respond(&twins.game, worker).unwrap();
    assert!(twins.play(Side::Worker, &made), "{made:?}");
    made
}

#[test]
fn a_state_after_a_single_run_can_be_contested() {
    for slot in [0, 1] {
        let fault = Fault::Next {
            step: 0,
            slot: 1,
            element: slot,
            bit: 3,
        };
        let mut liar = Kept::of(bare(), 1, Some(fault));
        let mut honest = Kept::of(bare(), 1, None);
        let claim = *liar.history.claim();
        let mut twins = Twins::new(rules(bare(), &claim));
        while let Some(side) = twins.game.place().turn() {
            let made = match side {
                Side::Worker => respond(&twins.game, &mut liar).unwrap(),
                Side::Challenger => challenge(&twins.game, &mut honest).unwrap(),
            };
            assert!(twins.play(side, &made), "{made:?}");
        }
    }
}

/// An honest worker that is asked for what has no parts has nothing more to show, and it is the
/// challenger's turn.
#[test]
fn an_honest_worker_is_not_asked_for_what_is_not_there() {
    let mut honest = Kept::of(bare(), 1, None);
    let claim = *honest.history.claim();
    for value in WITHOUT_ELEMENTS {
        let mut twins = Twins::new(rules(bare(), &claim));
        pick(&mut twins, 1, honest.history.tree());
        answer(&mut twins, &mut honest);
        let (runs, values) = (
            honest.step(0).unwrap().tree.clone(),
            honest.run(0, 0).unwrap(),
        );
        pick(&mut twins, 0, &runs);
        answer(&mut twins, &mut honest);
        pick(&mut twins, value, values.tree.tree());
        let opened = answer(&mut twins, &mut honest);
        assert_eq!(opened, Made::Value { tiles: EMPTY });
        let none = Made::Pick {
            at: Position {
                height: 0,
                index: 0,
            },
            node: EMPTY,
            siblings: Vec::new(),
        };
        assert_eq!(twins.game.place().turn(), Some(Side::Challenger));
        assert!(!twins.play(Side::Challenger, &none));
        assert!(!twins.play(Side::Challenger, &Made::ContestNext));
        assert!(!twins.play(Side::Worker, &Made::Tile(vec![0; 256])));
    }
    let mut honest = Kept::of(idle(), 1, None);
    let claim = *honest.history.claim();
    let mut twins = Twins::new(rules(idle(), &claim));
    pick(&mut twins, 1, honest.history.tree());
    answer(&mut twins, &mut honest);
    pick(&mut twins, 1, &honest.step(0).unwrap().tree.clone());
    answer(&mut twins, &mut honest);
    assert_eq!(twins.game.place().turn(), Some(Side::Challenger));
}

/// A worker of [`bare`] that commits to another root of one value; `tiles` may be what it opens it
/// with.
fn claims_another_root(value: usize, root: Digest, tiles: &[Digest]) {
    let honest = Kept::of(bare(), 1, None);
    let (_, program) = bare().job.run(0).unwrap();
    let trace = &honest.traces[0].runs[0];
    let mut values: Vec<Digest> = trace.iter().map(tensor::root).collect();
    values[value] = root;
    let run = RunTree::from_roots(program, values.clone()).unwrap();
    let after = state_tree(&bare().job, &[values[2], values[4]]).unwrap();
    let states = vec![honest.history.states()[0], after.root()];
    let length = Length::new(1, 1).unwrap();
    let history = History::new(bare().job.digest(), length, states.clone()).unwrap();
    let claim = *history.claim();
    let mut twins = Twins::new(rules(bare(), &claim));
    pick(&mut twins, 1, history.tree());
    let leaf = verde::run::step_leaf(&run.root());
    let made = Made::Step {
        before: (states[0], history.tree().path(0).unwrap()),
        after: states[1],
        runs: leaf,
    };
    assert!(twins.play(Side::Worker, &made));
    pick(&mut twins, 0, &Tree::new(vec![leaf]));
    let values = run.tree().root();
    assert!(twins.play(Side::Worker, &Made::Run { values }));
    pick(&mut twins, value, run.tree());
    for tiles in tiles {
        let made = Made::Value { tiles: *tiles };
        assert!(!twins.play(Side::Worker, &made), "value {value}");
    }
}

/// A worker claims tensors without elements that have tiles nevertheless, and cannot open them.
#[test]
fn tiles_of_nothing_cannot_be_opened() {
    let tile = tensor::leaf(&[1; 256]);
    let (_, program) = bare().job.run(0).unwrap();
    for value in WITHOUT_ELEMENTS {
        let id = ValueId(value as u32);
        let root = tensor::bind(program.type_of(id).unwrap(), &tile);
        claims_another_root(value, root, &[tile, EMPTY]);
    }
}

/// A value of another type than the program's cannot be opened by who committed to it.
#[test]
fn a_value_of_another_type_cannot_be_opened() {
    let honest = Kept::of(bare(), 1, None);
    let tensor = &honest.traces[0].runs[0][4];
    let top = tensor::TensorTree::new(tensor).tree().root();
    let root = tensor::bind(&TensorType::i32([2]), &top);
    claims_another_root(4, root, &[top]);
}

/// A worker puts a part of its move into the next one: who reads the log could not tell what it
/// said. The rules read no further than the data of a move go.
#[test]
fn nothing_is_said_outside_of_a_move() {
    let mut honest = Kept::honest(3);
    let claim = *honest.history.claim();
    let mut twins = Twins::new(Rules {
        job: job(),
        claim: &claim,
    });
    pick(&mut twins, 1, honest.history.tree());
    let made = respond(&twins.game, &mut honest).unwrap();
    let interval = twins.encoder.encode(twins.game.place(), &made).unwrap();
    let mut ahead = twins.game.clone();
    ahead.play(Side::Worker, &made).unwrap();
    let mut after = twins.encoder.clone();
    after.follow(ahead.place()).unwrap();
    let made = respond(&ahead, &mut honest).unwrap();
    let reveal = after.encode(ahead.place(), &made).unwrap();
    let whole = [interval.clone(), reveal.clone()];
    assert!(twins.on_chain(Side::Worker, &whole).is_ok());
    for cut in 1..interval.data.len() {
        let at = interval.data.len() - cut;
        let moves = [
            (interval.kind, interval.data.slice(..at)),
            (
                reveal.kind,
                [&interval.data[at..], &reveal.data].concat().into(),
            ),
        ];
        let moves = moves.map(|(kind, data)| Move { kind, data });
        assert!(twins.on_chain(Side::Worker, &moves).is_err(), "{cut}");
    }
}
