//! Members and a toy contract, played through every turn that a chain can take.

use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::typed;
use proptest::prelude::*;

use super::core::PATIENCE_MS;
use super::testing::{key, result, seats};
use super::*;
use crate::round::MemberScore;
use crate::round::reward::Points;

const SCHEDULE: Schedule = Schedule { genesis: 1_000, round_seconds: 10, rounds_per_epoch: 2 };

fn domain() -> Domain {
    Domain { chain_id: 31_337, contract: [7; 20].into() }
}

/// The contract as far as a node sees it: one root for an epoch, one payment for a node; and a chain that may go back.
#[derive(Default)]
struct Contract {
    /// Events by block, the first in block 1, each with the node that caused it.
    blocks: Vec<(usize, Fact)>,
}

impl Contract {
    fn root(&self, number: u64) -> Option<[u8; 32]> {
        self.blocks.iter().find_map(|(_, fact)| match fact {
            Fact::Accepted { epoch, root, .. } if *epoch == number => Some(*root),
            _ => None,
        })
    }

    /// Mines what causes this event, unless the contract refuses it.
    fn mine(&mut self, node: usize, fact: Fact) -> bool {
        let allowed = match fact {
            Fact::Accepted { epoch, .. } => self.root(epoch).is_none(),
            Fact::Paid { epoch, .. } => {
                self.root(epoch).is_some() && self.blocks.iter().all(|(_, other)| *other != fact)
            }
        };
        if allowed {
            self.blocks.push((node, fact));
        }
        allowed
    }
}

fn accepted(statement: &Statement) -> Fact {
    Fact::Accepted { epoch: statement.epoch(), root: statement.root(), deadline: 100_000 }
}

/// Four members with equal stake, a contract, and a network that loses nothing.
struct World {
    nodes: Vec<Settler>,
    contract: Contract,
    /// Blocks that every node has seen.
    seen: usize,
    now: Now,
    rejections: Vec<Rejection>,
    failures: Vec<(usize, EpochNumber, TableError)>,
    /// A member that left for good.
    gone: Option<usize>,
    /// The chain does not answer.
    away: bool,
    /// What nodes keep on disk.
    kept: BTreeMap<(usize, u64), Kept>,
}

impl World {
    fn new() -> Self {
        let node = |number| Settler::new(key(number).peer(), SCHEDULE, domain());
        let now = Now { chain: 1_000, ms: 0 };
        let nodes = (0..4).map(node).collect();
        Self {
            nodes,
            contract: Contract::default(),
            seen: 0,
            now,
            rejections: Vec::new(),
            failures: Vec::new(),
            gone: None,
            away: false,
            kept: BTreeMap::new(),
        }
    }

    fn input(&mut self, node: usize, input: Input) {
        if self.gone == Some(node) {
            return;
        }
        for output in self.nodes[node].handle(input, self.now) {
            self.output(node, output);
        }
    }

    fn everyone(&mut self, input: &Input) {
        (0..self.nodes.len()).for_each(|node| self.input(node, input.clone()));
    }

    fn output(&mut self, node: usize, output: Output) {
        match output {
            Output::Sign(statement) => {
                let signature = key(node as u8).sign_recoverable(&statement.digest(&domain())).unwrap();
                self.input(node, Input::Signed(statement.epoch(), signature));
            }
            Output::Publish(attestation) => {
                let others = (0..self.nodes.len()).filter(|other| *other != node);
                others.for_each(|other| self.input(other, Input::Attestation(attestation.clone())));
            }
            Output::Seats(_) if self.away => {}
            Output::Seats(epoch) => self.input(node, Input::Seats(epoch, seats(&[5; 4]))),
            Output::Submit(statement, signatures, _) => {
                assert!(signatures.len() >= 3, "too few signatures");
                let digest = statement.digest(&domain()).into();
                let signers = signatures.iter().filter_map(|signature| typed::signer(&digest, signature));
                assert_eq!(signers.count(), signatures.len(), "the contract would refuse them");
                self.send(node, accepted(&statement));
            }
            Output::Claim(claim, _) => self.send(node, Fact::Paid { epoch: claim.epoch, peer: claim.peer }),
            Output::Rejected(_, rejection) => self.rejections.push(rejection),
            Output::Failed(epoch, error) => self.failures.push((node, epoch, error)),
            Output::Keep(kept) => drop(self.kept.insert((node, kept.epoch()), kept)),
        }
    }

    /// The node's process ends and starts again with what it kept.
    fn restart(&mut self, node: usize) {
        self.nodes[node] = Settler::new(key(node as u8).peer(), SCHEDULE, domain());
        let kept: Vec<Kept> =
            self.kept.iter().filter(|((of, _), _)| *of == node).map(|(_, kept)| kept.clone()).collect();
        kept.into_iter().for_each(|kept| self.input(node, Input::Restored(kept)));
        // Its cursor begins again at the first block.
        for (block, (_, fact)) in (1..).zip(self.contract.blocks[..self.seen].to_vec()) {
            self.input(node, Input::Fact(block, fact));
        }
    }

    fn send(&mut self, node: usize, fact: Fact) {
        if self.contract.mine(node, fact) {
            return;
        }
        let (epoch, action) = match fact {
            Fact::Accepted { epoch, .. } => (epoch, Action::Submit),
            Fact::Paid { epoch, .. } => (epoch, Action::Claim),
        };
        self.input(node, Input::Refused(epoch, action));
    }

    /// A round ends in which member n earned 10 + n points.
    fn round(&mut self, round: u64) {
        self.now.chain = SCHEDULE.round_start(round + 1);
        let result = Arc::new(result(round, &[10, 11, 12, 13]));
        self.everyone(&Input::RoundOver(round, Some(result)));
    }

    /// All nodes look at the chain, again and again.
    fn settle(&mut self) {
        for _ in 0..40 {
            while let Some((_, fact)) = self.contract.blocks.get(self.seen).copied() {
                self.seen += 1;
                self.everyone(&Input::Fact(self.seen as u64, fact));
            }
            self.now = Now { chain: self.now.chain + 1, ms: self.now.ms + PATIENCE_MS };
            self.everyone(&Input::Tick);
        }
    }

    /// The last blocks leave the chain, and the writers bring their transactions in again, the last ones first.
    fn reorganise(&mut self, blocks: usize) {
        let kept = self.contract.blocks.len().saturating_sub(blocks);
        let gone = self.contract.blocks.split_off(kept);
        self.seen = self.seen.min(kept);
        self.everyone(&Input::Rollback(self.seen as u64));
        let present = gone.into_iter().rev().filter(|(node, _)| self.gone != Some(*node)).collect::<Vec<_>>();
        present.into_iter().for_each(|(node, fact)| self.send(node, fact));
    }

    fn phases(&self, node: usize) -> Vec<Phase> {
        self.nodes[node].epochs(self.now).map(|(_, phase, _)| phase).collect()
    }
}

#[test]
fn an_epoch_is_accepted_and_paid_once() {
    let mut world = World::new();
    world.round(0);
    world.settle();
    assert_eq!(world.phases(0), [Phase::Open]);
    world.round(1);
    world.settle();
    for node in 0..4 {
        assert_eq!(world.phases(node), [Phase::Paid]);
        let epochs: Vec<_> = world.nodes[node].epochs(world.now).collect();
        assert_eq!(epochs, [(0, Phase::Paid, 2 * (10 + node as u64))]);
    }
    assert_eq!(world.contract.blocks.len(), 5, "one table and four payments");
    assert_eq!(world.rejections, []);
}

#[test]
fn the_last_epoch_may_be_short() {
    let mut world = World::new();
    (0..3).for_each(|round| world.round(round));
    world.everyone(&Input::NoMoreRounds);
    world.settle();
    assert_eq!(world.phases(2), [Phase::Paid, Phase::Paid]);
}

#[test]
fn nothing_is_submitted_before_the_epoch_ends_on_chain() {
    let mut world = World::new();
    world.now.chain = SCHEDULE.genesis;
    (0..2).for_each(|round| {
        world.everyone(&Input::RoundOver(round, Some(Arc::new(result(round, &[1, 2, 3, 4])))));
    });
    world.now.chain = SCHEDULE.end(0) - 60;
    for _ in 0..59 {
        world.now = Now { chain: world.now.chain + 1, ms: world.now.ms + PATIENCE_MS };
        world.everyone(&Input::Tick);
    }
    assert!(world.contract.blocks.is_empty());
    world.settle();
    assert_eq!(world.phases(0), [Phase::Paid]);
}

#[test]
fn another_root_is_noticed_and_not_claimed() {
    let mut world = World::new();
    world.contract.mine(0, Fact::Accepted { epoch: 0, root: [9; 32], deadline: 100_000 });
    (0..2).for_each(|round| world.round(round));
    world.settle();
    assert_eq!(world.phases(0), [Phase::Contradicted]);
    assert_eq!(world.contract.blocks.len(), 1, "nobody was paid");
}

#[test]
fn what_a_vanished_member_submitted_is_submitted_by_another() {
    let mut world = World::new();
    (0..2).for_each(|round| world.round(round));
    world.settle();
    let (submitter, _) = world.contract.blocks[0];
    world.gone = Some(submitter);
    world.reorganise(5);
    world.settle();
    for node in (0..4).filter(|node| *node != submitter) {
        assert_eq!(world.phases(node), [Phase::Paid]);
    }
    assert!(world.contract.root(0).is_some());
}

#[test]
fn a_restart_forgets_nothing_that_was_closed() {
    for when in 0..4 {
        let mut world = World::new();
        world.now.chain = SCHEDULE.genesis;
        // In the last case nobody could check anybody's signature before the restart.
        world.away = when == 3;
        for round in 0..2 {
            world.everyone(&Input::RoundOver(round, Some(Arc::new(result(round, &[1, 2, 3, 4])))));
        }
        if when > 0 {
            world.now.chain = SCHEDULE.end(0);
            world.everyone(&Input::Tick);
        }
        if when > 1 {
            world.settle();
        }
        world.away = false;
        (0..4).for_each(|node| world.restart(node));
        world.settle();
        for node in 0..4 {
            let epochs: Vec<_> = world.nodes[node].epochs(world.now).collect();
            assert_eq!(epochs, [(0, Phase::Paid, 2 * (node as u64 + 1))], "restart {when}");
        }
        assert_eq!(world.contract.blocks.len(), 5);
    }
}

#[test]
fn a_deadline_ends_the_claims() {
    let mut world = World::new();
    (0..2).for_each(|round| world.round(round));
    world.now.chain = 200_000;
    world.settle();
    assert_eq!(world.phases(1), [Phase::Expired]);
}

#[test]
fn forged_strange_repeated_and_early_attestations_are_refused_alone() {
    let mut world = World::new();
    let forged = Attestation { peer: key(1).peer(), epoch: 0, signature: [3; 65] };
    world.input(0, Input::Attestation(forged.clone()));
    world.input(0, Input::Attestation(Attestation { epoch: 40, ..forged.clone() }));
    world.input(0, Input::Attestation(Attestation { peer: key(9).peer(), ..forged.clone() }));
    world.input(0, Input::Attestation(forged.clone()));
    world.input(0, Input::Attestation(Attestation { signature: [4; 65], ..forged }));
    (0..2).for_each(|round| world.round(round));
    world.settle();
    let count = |world: &World, wanted| world.rejections.iter().filter(|rejection| **rejection == wanted).count();
    assert_eq!(count(&world, Rejection::Epoch(40)), 1);
    assert_eq!((count(&world, Rejection::NoSeat), count(&world, Rejection::OtherScores)), (1, 2));
    assert_eq!(count(&world, Rejection::Duplicate), 0);
    assert_eq!(world.phases(0), [Phase::Paid]);
    let votes: BTreeMap<_, _> = world.kept[&(0, 0)].votes().collect();
    assert_eq!(votes.len(), 4, "who was forged counts all the same");
    for signature in [votes[&key(1).peer()], [5; 65]] {
        world.input(0, Input::Attestation(Attestation { peer: key(1).peer(), epoch: 0, signature }));
    }
    assert_eq!(count(&world, Rejection::Duplicate), 1, "to repeat oneself is no offence, to contradict oneself is");
}

/// Who passes a signature on may alter it: whatever the copy says of `v`, and whenever it comes, the vote counts as the
/// contract takes it.
#[test]
fn altered_copies_of_votes_block_nothing() {
    for (early, v) in [0, 1, 2, 26, 27, 28, 29, 35, 36, 255].into_iter().flat_map(|v| [(true, v), (false, v)]) {
        let mut world = World::new();
        let results = [0, 1].map(|round| Arc::new(result(round, &[10, 11, 12, 13])));
        world.now.chain = SCHEDULE.end(0);
        let mut copies = Vec::new();
        for number in 1..4 {
            // What the member will sign, from a node of its own.
            let mut member = Settler::new(key(number).peer(), SCHEDULE, domain());
            for (round, result) in (0..).zip(&results) {
                for output in member.handle(Input::RoundOver(round, Some(result.clone())), world.now) {
                    let Output::Sign(statement) = output else { continue };
                    let mut signature = key(number).sign_recoverable(&statement.digest(&domain())).unwrap();
                    signature[64] = v;
                    let peer = key(number).peer();
                    copies.push(Attestation { peer, epoch: 0, signature });
                    // A copy whose signature is broken, too, is no vote and takes no vote's place.
                    signature[40] ^= 1;
                    copies.push(Attestation { peer, epoch: 0, signature });
                }
            }
        }
        assert_eq!(copies.len(), 6);
        // Nobody else is there to repeat the right copies.
        let mut play = |world: &mut World, early: bool| {
            if early {
                copies.drain(..).rev().for_each(|copy| world.input(0, Input::Attestation(copy)));
            }
        };
        play(&mut world, early);
        for (round, result) in (0..).zip(&results) {
            world.input(0, Input::RoundOver(round, Some(result.clone())));
        }
        play(&mut world, true);
        world.settle();
        assert_eq!(world.phases(0), [Phase::Paid], "v = {v}, early: {early}");
    }
}

#[test]
fn points_that_make_no_table_are_an_error_and_no_empty_epoch() {
    let mut world = World::new();
    let honest = result(0, &[1, 2, 3, 4]);
    let mut compact = key(3).peer();
    compact.0[0] = 5;
    let mut twice = honest.clone();
    twice.scores.push(MemberScore { peer: compact, rows: honest.scores[3].rows });
    world.input(0, Input::RoundOver(0, Some(Arc::new(twice))));
    (1..4).for_each(|node| world.input(node, Input::RoundOver(0, Some(Arc::new(honest.clone())))));
    world.round(1);
    world.settle();
    assert_eq!(world.phases(0), [Phase::Failed]);
    assert!(Phase::Failed.is_final());
    let error = TableError::Key(compact);
    assert_eq!(world.failures, [(0, 0, error)]);
    assert!(error.to_string().contains("remove it from the members"), "{error}");
    assert_eq!(world.phases(1), [Phase::Paid], "three others agree");
}

#[test]
fn a_member_that_computed_other_scores_is_outvoted() {
    let mut world = World::new();
    let other = Arc::new(result(0, &[99, 0, 0, 0]));
    world.input(0, Input::RoundOver(0, Some(other)));
    let honest = Arc::new(result(0, &[1, 2, 3, 4]));
    (1..4).for_each(|node| world.input(node, Input::RoundOver(0, Some(honest.clone()))));
    world.round(1);
    world.settle();
    assert_eq!(world.phases(0), [Phase::Contradicted]);
    assert_eq!(world.phases(3), [Phase::Paid]);
    assert!(world.rejections.contains(&Rejection::OtherScores));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever leaves the chain and when: in the end everybody is paid once, by the chain that remains.
    #[test]
    fn reorganisations_lose_and_double_nothing(depths in prop::collection::vec(0usize..6, 0..6)) {
        let mut world = World::new();
        for epoch in 0..3 {
            world.round(2 * epoch);
            world.round(2 * epoch + 1);
            world.settle();
            if let Some(depth) = depths.get(epoch as usize) {
                world.reorganise(*depth);
            }
        }
        for depth in &depths {
            world.settle();
            world.reorganise(*depth);
        }
        world.settle();
        for node in 0..4 {
            prop_assert_eq!(world.phases(node), vec![Phase::Paid; 3]);
        }
        prop_assert_eq!(world.contract.blocks.len(), 3 * 5);
    }

    /// Any inputs in any order: no panic, and never two submissions of one epoch at a time.
    #[test]
    fn inputs_in_any_order_do_no_harm(steps in prop::collection::vec((0u8..9, 0u64..4, any::<u8>()), 0..200)) {
        let mut node = Settler::new(key(0).peer(), SCHEDULE, domain());
        for (what, number, value) in steps {
            let now = Now { chain: 1_000 + u64::from(value) * 10, ms: u64::from(value) * 1_000 };
            let points = [Points::from(value), 1, 2, 3];
            let input = match what {
                0 => Input::RoundOver(number, Some(Arc::new(result(number, &points)))),
                1 => Input::RoundOver(number, None),
                2 => Input::NoMoreRounds,
                3 => Input::Signed(number, [value; 65]),
                4 => Input::Attestation(Attestation { peer: key(value % 5).peer(), epoch: number, signature: [value; 65] }),
                5 => Input::Seats(number, seats(&[u128::from(value); 3])),
                6 => Input::Fact(value.into(), Fact::Accepted { epoch: number, root: [value; 32], deadline: 2_000 }),
                7 => Input::Rollback(value.into()),
                _ => Input::Refused(number, if value % 2 == 0 { Action::Submit } else { Action::Claim }),
            };
            let outputs = node.handle(input, now);
            let submissions = outputs.iter().filter(|output| matches!(output, Output::Submit(..))).count();
            prop_assert!(submissions <= 4);
        }
    }
}
