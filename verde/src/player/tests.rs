//! Whole games: liars of every kind, and honest workers against challengers that try everything.

use std::sync::Arc;

use proptest::prelude::*;
use reproducible_ops::engine::reference::ReferenceEngine;
use reproducible_ops::program::{Digest, Operator, TensorType, ValueId};
use reproducible_ops::tensor::Tensor;

use super::*;
use crate::execute::Executor;
use crate::game::StepClaim;
use crate::history::{History, Length};
use crate::record::{Checkpoints, Replay, RunRecord, StepRecord};
use crate::run::{RunHeader, RunTree};
use crate::step::Schedule;
use crate::tensor;
use crate::testing::{Fault, Kept, STEPS, Share, constants, forward, initial, job};

/// States at checkpoints for a [`Replay`].
struct States(Vec<Vec<Tensor>>, Length);

impl Checkpoints for States {
    fn state(&mut self, checkpoint: u64) -> Result<Vec<Tensor>, RecordError> {
        Ok(self.0[self.1.step_of(checkpoint) as usize].clone())
    }
}

// ---- playing

/// More moves than any game of this job has.
const MANY: usize = 60;

#[derive(Debug, PartialEq)]
pub(super) enum End {
    /// A contradiction was shown.
    Shown,
    /// A side made no move, and loses by its clock.
    Silent(Side),
}

impl End {
    /// A worker cannot show the numbers of an element that is not made of any, and is silent.
    fn worker_lost(&self) -> bool {
        matches!(self, Self::Shown | Self::Silent(Side::Worker))
    }
}

/// Plays a game move by move, as on a chain where nothing is public.
pub(super) fn play(
    rules: Rules<'_>,
    worker: &mut dyn Record,
    challenger: &mut dyn Record,
) -> (End, usize) {
    let mut game = Game::new(rules);
    while let Some(side) = game.place().turn() {
        let made = match side {
            Side::Worker => respond(&game, worker),
            Side::Challenger => challenge(&game, challenger),
        };
        match made {
            Ok(made) if game.play(side, &made).is_ok() => {}
            _ => return (End::Silent(side), game.moves().len()),
        }
        assert!(game.moves().len() < MANY, "{:?}", game.place());
    }
    (End::Shown, game.moves().len())
}

/// The same where the challenger has the worker's data.
fn play_in_public(rules: Rules<'_>, worker: &mut Kept, challenger: &mut dyn Record) -> End {
    let mut game = Game::new(rules);
    let mut public = worker.clone();
    for _ in 0..8 {
        let moves = challenge_in_public(&game, challenger, &mut public).unwrap();
        for made in moves {
            game.play(Side::Challenger, &made).unwrap();
        }
        match game.place().turn() {
            None => return End::Shown,
            Some(Side::Challenger) => return End::Silent(Side::Challenger),
            Some(Side::Worker) => match respond(&game, worker) {
                Ok(made) if game.play(Side::Worker, &made).is_ok() => {}
                _ => return End::Silent(Side::Worker),
            },
        }
    }
    panic!("{:?}", game.place());
}

/// Whether a game comes to the numbers of a long reduction.
fn comes_to_numbers(
    rules: Rules<'_>,
    worker: &mut dyn Record,
    challenger: &mut dyn Record,
) -> bool {
    let mut game = Game::new(rules);
    while let Some(side) = game.place().turn() {
        if matches!(game.place(), Place::Number(_)) {
            return true;
        }
        let made = match side {
            Side::Worker => respond(&game, worker),
            Side::Challenger => challenge(&game, challenger),
        };
        game.play(side, &made.unwrap()).unwrap();
    }
    false
}

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
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Whatever single bit a worker changes, the challenger shows it: as a wrong element, a wrong
    /// input, or a wrong tensor of the next state, move by move and at once.
    #[test]
    fn a_changed_bit_is_shown(fault in fault(), stride in 1_u32..=8) {
        let mut honest = Kept::honest(stride);
        let mut liar = Kept::play(stride, Some(fault));
        let claim = *liar.history.claim();
        let rules = Rules { job: job(), claim: &claim };
        if liar.history == honest.history {
            // A change that nothing depends on, as of a value that no later one reads, or that a
            // reduction swallows, changes no state: there is nothing to dispute.
            let (end, _) = play(rules, &mut liar, &mut honest);
            prop_assert_eq!(end, End::Silent(Side::Challenger));
            return Ok(());
        }
        let (end, moves) = play(rules, &mut liar, &mut honest);
        prop_assert!(end.worker_lost(), "{:?} after {} moves", end, moves);
        let end = play_in_public(rules, &mut liar, &mut honest);
        prop_assert!(end.worker_lost(), "{:?}", end);
    }

    /// What a worker signed of the step that it changed refutes it at once, but for numbers of long
    /// reductions; what it signed of another step does not.
    #[test]
    fn a_changed_bit_is_refuted_by_what_was_signed(fault in fault(), stride in 1_u32..=8) {
        let mut honest = Kept::honest(stride);
        let mut liar = Kept::play(stride, Some(fault));
        prop_assume!(liar.history != honest.history);
        let claim = *liar.history.claim();
        let rules = Rules { job: job(), claim: &claim };
        let claims = |record: &mut Kept| -> Vec<StepClaim> {
            let claimed = |step| step_claim(&claim, record, step).unwrap();
            (0..STEPS).map(claimed).collect()
        };
        let (signed, right) = (claims(&mut liar), claims(&mut honest));
        let mut pairs = signed.iter().zip(&right);
        let wrong = pairs.position(|(signed, right)| signed.after != right.after).unwrap();
        let mut public = liar.clone();
        let refuted = refute(rules, &signed[wrong], &mut honest, &mut public);
        if comes_to_numbers(rules, &mut liar, &mut honest) {
            prop_assert!(refuted.is_err());
            return Ok(());
        }
        let game = refuted.unwrap();
        let (last, end) = game.moves().last().unwrap();
        prop_assert!(end.turn().is_none(), "{:?}", end);
        let is_proof = matches!(
            last,
            Move::ProveNext(_) | Move::ProveInput(_) | Move::Prove { .. }
        );
        prop_assert!(is_proof, "{:?}", last);
        for other in (0..STEPS as usize).filter(|step| *step != wrong) {
            let refuted = refute(rules, &signed[other], &mut honest, &mut public);
            prop_assert!(matches!(refuted, Err(PlayError::NotSigned)), "{:?}", refuted);
        }
    }

    /// An honest worker always answers, and nothing that a challenger shows of its data counts.
    #[test]
    fn an_honest_worker_is_never_shown_wrong(
        stride in 1_u32..=8,
        choices in prop::collection::vec(any::<prop::sample::Index>(), MANY),
    ) {
        let mut honest = Kept::honest(stride);
        let claim = *honest.history.claim();
        let mut game = Game::new(Rules { job: job(), claim: &claim });
        for choice in &choices {
            let made = match game.place().turn() {
                Some(Side::Worker) => respond(&game, &mut honest).unwrap(),
                Some(Side::Challenger) => match any_move(&game, &mut honest, *choice) {
                    Some(made) => made,
                    None => return Ok(()),
                },
                None => panic!("{:?}", game.place()),
            };
            let side = game.place().turn().unwrap();
            let result = game.play(side, &made);
            match made {
                Move::ProveNext(_) | Move::ProveInput(_) | Move::Prove { .. } => {
                    prop_assert!(matches!(result, Err(Refusal::Right(_))), "{:?}", result);
                    return Ok(());
                }
                _ if side == Side::Worker => prop_assert_eq!(result, Ok(())),
                // Of the first state nothing can be doubted.
                _ => if let Err(refusal) = result {
                    prop_assert!(matches!(refusal, Refusal::Pick(_)), "{:?}", refusal);
                },
            }
        }
    }

    /// A challenger that recomputes from checkpoints finds what one that kept everything finds.
    #[test]
    fn a_challenger_may_recompute(fault in fault(), stride in 1_u32..=4) {
        let honest = Kept::honest(stride);
        let mut liar = Kept::play(stride, Some(fault));
        prop_assume!(liar.history != honest.history);
        let claim = *liar.history.claim();
        let constants = constants();
        let length = claim.length;
        let states = States(honest.states.clone(), length);
        let schedule = Schedule::new(job().plan(), job().programs()).unwrap();
        let engine = ReferenceEngine;
        let executor = Executor::new(&engine, schedule, &constants, &initial()).unwrap();
        let mut replay = Replay::new(job(), honest.history.clone(), states, executor);
        let rules = Rules { job: job(), claim: &claim };
        let (end, _) = play(rules, &mut liar, &mut replay);
        prop_assert!(end.worker_lost(), "{:?}", end);
    }

    /// What is shown of a worker's commitments is what was committed to, to the last bit.
    #[test]
    fn a_changed_opening_is_refused(
        fault in fault(),
        stride in 1_u32..=8,
        at in any::<prop::sample::Index>(),
    ) {
        let mut honest = Kept::honest(stride);
        let mut liar = Kept::play(stride, Some(fault));
        let claim = *liar.history.claim();
        let mut game = Game::new(Rules { job: job(), claim: &claim });
        while let Some(side) = game.place().turn() {
            let made = match side {
                Side::Worker => respond(&game, &mut liar).unwrap(),
                Side::Challenger => match challenge(&game, &mut honest) {
                    Ok(made) => made,
                    Err(_) => return Ok(()),
                },
            };
            for changed in changes(&made, at) {
                let result = game.rules().apply(game.place(), side, &changed);
                prop_assert!(result.is_err(), "{:?}\n{:?}", made, changed);
            }
            let wrong_side = game.rules().apply(game.place(), side.other(), &made);
            let is_opening = side == Side::Worker
                && !matches!(made, Move::Interval { .. } | Move::Step { .. } | Move::Numbers(_));
            prop_assert_eq!(wrong_side.is_ok(), is_opening);
            if game.play(side, &made).is_err() {
                prop_assert!(matches!(made, Move::Numbers(_)), "{:?}", made);
                return Ok(());
            }
        }
    }
}

/// Some move that a challenger could make with the worker's own data.
fn any_move(game: &Game<'_>, record: &mut Kept, choice: prop::sample::Index) -> Option<Move> {
    let job = game.rules().job;
    match game.place().clone() {
        Place::Shown {
            branch,
            first,
            nodes,
            ..
        } => {
            let options = nodes.len() + usize::from(matches!(branch, Branch::Runs(_)));
            let chosen = choice.index(options.max(1));
            match nodes.get(chosen) {
                Some(node) => Some(Move::Pick {
                    at: crate::tree::Position {
                        index: first.index + chosen,
                        ..first
                    },
                    node: *node,
                    siblings: Tree::new(nodes.clone()).path(chosen).unwrap(),
                }),
                None => matches!(branch, Branch::Runs(_)).then_some(Move::ContestNext),
            }
        }
        Place::Slot { step, slot, .. } => {
            let source = job.plan().next[slot];
            Some(Move::ProveNext(
                challenger::prove_source(game, &step, source, record).unwrap(),
            ))
        }
        Place::Input(value) => {
            let source = job.run(value.run.run).unwrap().0.inputs[value.value.index()];
            let step = &value.run.step;
            Some(Move::ProveInput(
                challenger::prove_source(game, step, source, record).unwrap(),
            ))
        }
        Place::Tile { value, words, .. } => {
            let offset = choice.index(words.len());
            match game.rules().blocks(&value).unwrap() > 1 {
                true => {
                    let own = record.run(value.run.step.number, value.run.run).unwrap();
                    let operands = challenger::operand_proofs(game, &value, &own).unwrap();
                    Some(Move::Ask { offset, operands })
                }
                false => prove_nothing(game, &value, offset, record),
            }
        }
        Place::Numbers { above, numbers } => {
            let offset = choice.index(numbers.len());
            match above.level > 1 {
                true => Some(Move::PickNumber(offset)),
                false => prove_nothing(game, &above.value, offset, record),
            }
        }
        _ => None,
    }
}

/// A proof about the worker's true data, which proves nothing wrong.
fn prove_nothing(
    game: &Game<'_>,
    value: &crate::game::ValueContext,
    offset: usize,
    record: &mut Kept,
) -> Option<Move> {
    let own = record.run(value.run.step.number, value.run.run).unwrap();
    let (place, claimed) = match game.place() {
        Place::Tile { tile, words, .. } => {
            let ty = job().type_of(value.run.run, value.value).unwrap();
            let element = tensor::Tiling::of(&ty.shape).first(*tile) + offset;
            (crate::element::Place { element, part: 0 }, words[offset])
        }
        Place::Numbers { above, numbers } => {
            let part = above.index * crate::game::numbers::FAN + offset;
            (
                crate::element::Place {
                    element: above.element,
                    part,
                },
                numbers[offset],
            )
        }
        _ => return None,
    };
    Some(
        challenger::proof(game, value, (place, claimed), offset, &own)
            .unwrap()
            .1,
    )
}

/// The move with something changed, in each of its parts.
fn changes(made: &Move, at: prop::sample::Index) -> Vec<Move> {
    let flip = |digest: &Digest| {
        let mut other = *digest;
        other[at.index(32)] ^= 1;
        other
    };
    let longer = |siblings: &[Digest]| [siblings, &[[7; 32]]].concat();
    match made {
        Move::Reveal(nodes) => {
            let mut other = nodes.clone();
            let which = at.index(nodes.len());
            other[which] = flip(&nodes[which]);
            vec![
                Move::Reveal(other),
                Move::Reveal(nodes[1..].to_vec()),
                Move::Reveal(longer(nodes)),
            ]
        }
        Move::Interval {
            before,
            after,
            states,
        } => vec![
            Move::Interval {
                before: (flip(&before.0), before.1.clone()),
                after: *after,
                states: states.clone(),
            },
            Move::Interval {
                before: before.clone(),
                after: flip(after),
                states: states.clone(),
            },
            Move::Interval {
                before: before.clone(),
                after: *after,
                states: (flip(&states.0), states.1.clone(), states.2.clone()),
            },
            Move::Interval {
                before: before.clone(),
                after: *after,
                states: (states.0, longer(&states.1), states.2.clone()),
            },
        ],
        Move::Step {
            before,
            after,
            runs,
        } => vec![
            Move::Step {
                before: (flip(&before.0), before.1.clone()),
                after: *after,
                runs: *runs,
            },
            Move::Step {
                before: before.clone(),
                after: flip(after),
                runs: *runs,
            },
            Move::Step {
                before: (before.0, longer(&before.1)),
                after: *after,
                runs: *runs,
            },
        ],
        Move::Run { values } => vec![Move::Run {
            values: flip(values),
        }],
        Move::Value { tiles } => vec![Move::Value { tiles: flip(tiles) }],
        Move::Tile(words) => {
            let mut other = words.clone();
            other[at.index(words.len())] ^= 1;
            vec![Move::Tile(other), Move::Tile(words[1..].to_vec())]
        }
        Move::State { tensors } => vec![Move::State {
            tensors: flip(tensors),
        }],
        Move::Slot { root } => vec![Move::Slot { root: flip(root) }],
        Move::Numbers(numbers) => vec![Move::Numbers(numbers[1..].to_vec())],
        Move::Pick {
            at: place,
            node,
            siblings,
        } => vec![
            Move::Pick {
                at: *place,
                node: flip(node),
                siblings: siblings.clone(),
            },
            Move::Pick {
                at: *place,
                node: *node,
                siblings: longer(siblings),
            },
            Move::Pick {
                at: crate::tree::Position {
                    index: usize::MAX,
                    ..*place
                },
                node: *node,
                siblings: siblings.clone(),
            },
        ],
        Move::ProveNext(proof) => source_changes(proof, flip).map(Move::ProveNext).collect(),
        Move::ProveInput(proof) => source_changes(proof, flip).map(Move::ProveInput).collect(),
        Move::Prove {
            offset,
            witness,
            operands,
            tiles,
        } => {
            let with = |operands: Vec<_>, tiles: Vec<_>| Move::Prove {
                offset: *offset,
                witness: *witness,
                operands,
                tiles,
            };
            let mut all = vec![Move::Prove {
                offset: usize::MAX,
                witness: *witness,
                operands: operands.clone(),
                tiles: tiles.clone(),
            }];
            for which in 0..operands.len() {
                let mut other = operands.clone();
                other[which].tiles = flip(&operands[which].tiles);
                all.push(with(other, tiles.clone()));
                let mut other = operands.clone();
                other[which].siblings.push([1; 32]);
                all.push(with(other, tiles.clone()));
                let mut other = operands.clone();
                other[which].ty = TensorType::f32([1, 1, 1]);
                all.push(with(other, tiles.clone()));
                all.push(with(operands[1..].to_vec(), tiles.clone()));
            }
            for which in 0..tiles.len() {
                let mut other = tiles.clone();
                let word = at.index(tiles[which].tile.len());
                other[which].tile[word] ^= 1;
                all.push(with(operands.clone(), other));
                all.push(with(operands.clone(), tiles[1..].to_vec()));
            }
            all
        }
        Move::ContestNext => Vec::new(),
        Move::Ask { offset, operands } => {
            let mut other = operands.clone();
            other[0].tiles = flip(&operands[0].tiles);
            let (offset, operands) = (*offset, operands.clone());
            vec![
                Move::Ask {
                    offset: usize::MAX,
                    operands,
                },
                Move::Ask {
                    offset,
                    operands: other,
                },
            ]
        }
        Move::PickNumber(_) => vec![Move::PickNumber(usize::MAX)],
    }
}

fn source_changes(
    proof: &crate::game::SourceProof,
    flip: impl Fn(&Digest) -> Digest,
) -> impl Iterator<Item = crate::game::SourceProof> {
    use crate::game::SourceProof::*;
    let others = match proof {
        Constant => vec![State([0; 32], Vec::new())],
        State(root, siblings) => vec![State(flip(root), siblings.clone()), Constant],
        Output {
            header,
            values,
            run,
            value,
        } => {
            let other = RunHeader {
                values: header.values + 1,
                ..*header
            };
            let of = |header, values, run: &[Digest], value: (Digest, Vec<Digest>)| Output {
                header,
                values,
                run: run.to_vec(),
                value,
            };
            vec![
                of(other, *values, run, value.clone()),
                of(*header, flip(values), run, value.clone()),
                of(
                    *header,
                    *values,
                    &[&run[..], &[[3; 32]]].concat(),
                    value.clone(),
                ),
                of(*header, *values, run, (flip(&value.0), value.1.clone())),
                Constant,
            ]
        }
    };
    others.into_iter()
}

// ---- liars that lie about what they say, not about what they computed

/// Where a worker says something else than what it computed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    Interval,
    Runs,
    Values,
    Tiles,
    NoInterval,
    NoStep,
    NoRun,
}

struct Liar(Kept, Lie);

impl Record for Liar {
    fn history(&self) -> &History {
        &self.0.history
    }

    fn interval(&mut self, checkpoint: u64) -> Result<Vec<Digest>, RecordError> {
        let mut states = self.0.interval(checkpoint)?;
        match self.1 {
            Lie::NoInterval => return Err(RecordError::Missing("lost".into())),
            Lie::Interval if states.len() > 2 => states[1] = [9; 32],
            _ => {}
        }
        Ok(states)
    }

    fn step(&mut self, step: u64) -> Result<Arc<StepRecord>, RecordError> {
        let known = self.0.step(step)?;
        let mut runs = known.runs.clone();
        match self.1 {
            Lie::NoStep => return Err(RecordError::Missing("lost".into())),
            Lie::Runs => runs[1].1 = [9; 32],
            _ => {}
        }
        Ok(Arc::new(StepRecord::new(
            known.before.clone(),
            known.after.clone(),
            runs,
        )))
    }

    fn run(&mut self, step: u64, run: usize) -> Result<Arc<RunRecord>, RecordError> {
        let known = self.0.run(step, run)?;
        let mut values = known.values.clone();
        match self.1 {
            Lie::NoRun => return Err(RecordError::Missing("lost".into())),
            Lie::Values => values[3].words_mut()[0] ^= 1,
            Lie::Tiles => values
                .iter_mut()
                .for_each(|value| value.words_mut()[0] ^= 1),
            _ => {}
        }
        let (_, program) = job().run(run).unwrap();
        let tree = RunTree::new(program, &values).unwrap();
        Ok(Arc::new(RunRecord { values, tree }))
    }
}

#[test]
fn whoever_lies_about_a_false_claim_at_any_level_loses() {
    let fault = Fault::Value {
        step: 4,
        run: 2,
        value: 3,
        element: 5,
        bit: 22,
    };
    for lie in [
        Lie::Interval,
        Lie::Runs,
        Lie::Values,
        Lie::Tiles,
        Lie::NoInterval,
        Lie::NoStep,
        Lie::NoRun,
    ] {
        for stride in [1, 3, 8] {
            let liar = Kept::play(stride, Some(fault));
            let claim = *liar.history.claim();
            let rules = Rules {
                job: job(),
                claim: &claim,
            };
            let (end, _) = play(rules, &mut Liar(liar, lie), &mut Kept::honest(stride));
            assert!(
                end.worker_lost(),
                "{lie:?} with a checkpoint every {stride}: {end:?}"
            );
        }
    }
}

/// An element of three blocks, and one of 258, whose numbers the worker makes up so that they join
/// to what it claims.
#[test]
fn numbers_that_join_to_a_false_element_are_shown_wrong() {
    let program = forward();
    let of = |operator: &Operator, operand: &str| {
        let operand = program.input_named(operand).unwrap();
        let reads = |id: &ValueId| {
            program
                .node_of(*id)
                .is_some_and(|node| node.operator == *operator && node.inputs.contains(&operand))
        };
        (0..program.value_count() as u32)
            .map(ValueId)
            .find(reads)
            .unwrap()
    };
    let cases = [
        (of(&Operator::MatmulNt, "x"), 7),
        (of(&Operator::Sum, "long"), 0),
    ];
    for (value, element) in cases {
        let fault = Fault::Value {
            step: 2,
            run: 0,
            value: value.index(),
            element,
            bit: 22,
        };
        let mut liar = Kept::play(2, Some(fault));
        let claim = *liar.history.claim();
        let mut honest = Kept::honest(2);
        let mut game = Game::new(Rules {
            job: job(),
            claim: &claim,
        });
        let mut asked = 0;
        while let Some(side) = game.place().turn() {
            let made = match (side, game.place()) {
                (_, Place::Number(number)) => {
                    asked += 1;
                    let blocks = game.rules().blocks(&number.value).unwrap();
                    let below = crate::game::numbers::count(blocks, number.level - 1);
                    let first = number.index * crate::game::numbers::FAN;
                    let mut numbers = vec![0; (below - first).min(crate::game::numbers::FAN)];
                    numbers[0] = number.claimed;
                    Move::Numbers(numbers)
                }
                (Side::Worker, _) => respond(&game, &mut liar).unwrap(),
                (Side::Challenger, _) => challenge(&game, &mut honest).unwrap(),
            };
            game.play(side, &made).unwrap();
        }
        assert_eq!(asked, if element == 0 { 2 } else { 1 });
        assert_eq!(game.place(), &Place::Won(Side::Challenger));
    }
}
