//! Members and a toy contract, played through every turn that a chain can take.

use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::typed;
use proptest::prelude::*;
use swarm_identity::NodeKey;
use swarm_identity::key::PeerId;
use swarm_identity::{EPOCH_SCORES, MemoryTable, Place, SignOnce};
use swarm_round::MemberScore;
use swarm_round::reward::Points;

use super::event::PATIENCE_MS;
use super::testing::{key, result, snapshot};
use super::*;

const SCHEDULE: EpochSchedule = EpochSchedule {
    genesis: 1_000,
    round_seconds: 10,
    rounds_per_epoch: 2,
    exit_delay: 50_000,
    claim_window: 50_000,
};

fn domain() -> Domain {
    Domain {
        chain_id: 31_337,
        contract: [7; 20].into(),
    }
}

fn place(epoch: u64) -> Place {
    Place {
        swarm: node::domain_id(&domain()),
        kind: EPOCH_SCORES,
        round: epoch,
        slot: 0,
    }
}

/// The contract as far as a node sees it: one root for an epoch, one payment for a node; and a
/// chain that may go back.
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
        let (taken, changes) = match fact {
            Fact::Accepted { epoch, .. } => {
                let first = self.root(epoch).is_none();
                (first, first)
            }
            // A leaf that is paid already is passed over: no error, no event.
            Fact::Paid { epoch, .. } => {
                let accepted = self.root(epoch).is_some();
                (
                    accepted,
                    accepted && self.blocks.iter().all(|(_, other)| *other != fact),
                )
            }
        };
        if changes {
            self.blocks.push((node, fact));
        }
        taken
    }
}

fn accepted(statement: &Statement) -> Fact {
    Fact::Accepted {
        epoch: statement.epoch(),
        root: statement.root(),
        deadline: 100_000,
    }
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
    /// A member whose node is bound to no account.
    unbound: Option<usize>,
    /// So many snapshots are still read from before it unbound its node.
    early_reads: usize,
    /// Submissions that the contract refused for it.
    refusals: usize,
    /// What nodes keep on disk.
    disks: Vec<ToyDisk>,
    /// What nodes have signed, by place: it outlives their processes.
    tables: Vec<MemoryTable>,
    /// What node 0 may still do to the world outside its memory; then its process is killed.
    steps_left: Option<usize>,
    /// Epochs that nodes have signed, forgotten, and asked to be claimed.
    signed: Vec<(usize, u64)>,
    forgotten: Vec<(usize, u64)>,
    claims: Vec<(usize, u64)>,
}

/// A node's disk, and the events that were read when it was written last.
#[derive(Clone, Default)]
struct ToyDisk {
    records: BTreeMap<u64, EpochRecord>,
    votes: BTreeMap<u64, BTreeMap<PeerId, [u8; 65]>>,
    position: (Vec<(usize, Fact)>, Facts),
}

impl World {
    fn new() -> Self {
        let node = |number| Settler::new(key(number).peer(), SCHEDULE, domain());
        let now = Now {
            chain: 1_000,
            latest: 1_000,
            ms: 0,
        };
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
            unbound: None,
            early_reads: 0,
            refusals: 0,
            disks: vec![ToyDisk::default(); 4],
            tables: (0..4).map(|_| MemoryTable::default()).collect(),
            steps_left: None,
            signed: Vec::new(),
            forgotten: Vec::new(),
            claims: Vec::new(),
        }
    }

    /// Chain time moves to a moment, as every block has it.
    fn at(&mut self, time: u64) {
        (self.now.chain, self.now.latest) = (time, time);
    }

    fn read(&mut self, node: usize, events: Events) {
        self.input(node, Input::Events(events));
        if self.step(node) {
            let read = self.contract.blocks[..self.seen].to_vec();
            self.disks[node].position = (read, self.nodes[node].facts().clone());
        }
    }

    fn is_killed(&self, node: usize) -> bool {
        node == 0 && self.steps_left == Some(0)
    }

    /// One more step of a node in the world outside its memory; false if its process is killed
    /// before it.
    fn step(&mut self, node: usize) -> bool {
        let lives = !self.is_killed(node);
        if node == 0 {
            self.steps_left = self.steps_left.map(|left| left.saturating_sub(1));
        }
        lives
    }

    fn all_read(&mut self, events: &Events) {
        (0..self.nodes.len()).for_each(|node| self.read(node, events.clone()));
    }

    fn input(&mut self, node: usize, input: Input) {
        if self.gone == Some(node) || self.is_killed(node) {
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
        if !self.step(node) {
            return;
        }
        match output {
            Output::Sign(statement) => {
                assert!(
                    self.disks[node].records.contains_key(&statement.epoch()),
                    "signed before it was kept"
                );
                self.signed.push((node, statement.epoch()));
                let digest = statement.digest(&domain());
                self.tables[node]
                    .commit(&place(statement.epoch()), &digest)
                    .expect("no second digest is signed");
                let signature = key(node as u8).sign_recoverable(&digest).unwrap();
                self.input(node, Input::Signed(statement.epoch(), signature));
            }
            Output::Publish(attestation) => {
                let others = (0..self.nodes.len()).filter(|other| *other != node);
                others.for_each(|other| self.input(other, Input::Attestation(attestation.clone())));
            }
            Output::ReadSnapshot(_) if self.away => {}
            Output::ReadSnapshot(epoch) => {
                let mut known = snapshot(&[5; 4]);
                if self.early_reads > 0 {
                    self.early_reads -= 1;
                } else if let Some(unbound) = self.unbound {
                    known.members.remove(&key(unbound as u8).peer());
                }
                self.input(node, Input::Snapshot(epoch, known));
            }
            Output::Submit(statement, signatures, _) => {
                assert!(signatures.len() >= 3, "too few signatures");
                let digest = statement.digest(&domain()).into();
                let signers = signatures
                    .iter()
                    .filter_map(|signature| typed::signer(&digest, signature));
                let signers: Vec<_> = signers.collect();
                assert_eq!(
                    signers.len(),
                    signatures.len(),
                    "the contract would refuse them"
                );
                let unbound = self
                    .unbound
                    .and_then(|unbound| typed::address(&key(unbound as u8).peer().0));
                if unbound.is_some_and(|unbound| signers.contains(&unbound)) {
                    self.refusals += 1;
                    return self.input(node, Input::Refused(statement.epoch(), Action::Submit));
                }
                self.send(node, accepted(&statement));
            }
            Output::Claim(claim, _) if self.unbound == Some(node) => {
                self.input(node, Input::Refused(claim.epoch, Action::Claim));
            }
            Output::Claim(claim, _) => {
                self.claims.push((node, claim.epoch));
                self.send(
                    node,
                    Fact::Paid {
                        epoch: claim.epoch,
                        peer: claim.peer,
                    },
                );
            }
            Output::Rejected(_, rejection) => self.rejections.push(rejection),
            Output::Failed(epoch, error) => self.failures.push((node, epoch, error)),
            Output::Save(record) => {
                let before = self.disks[node]
                    .records
                    .insert(record.epoch(), record.clone());
                assert!(
                    before.is_none_or(|before| before == record),
                    "an epoch is kept once"
                );
            }
            Output::SaveVotes(epoch, votes) => self.disks[node]
                .votes
                .entry(epoch)
                .or_default()
                .extend(votes),
            Output::Forget(epoch) => self.disks[node].forget(|number| number == epoch),
            Output::ForgetBefore(epoch) => {
                self.forgotten.push((node, epoch));
                self.tables[node]
                    .raise_floor(&place(0).swarm, EPOCH_SCORES, epoch)
                    .unwrap();
                if self.step(node) {
                    self.disks[node].forget(|number| number < epoch);
                }
            }
        }
    }

    /// The node's process ends and starts again with what it kept.
    fn restart(&mut self, node: usize) {
        self.nodes[node] = Settler::new(key(node as u8).peer(), SCHEDULE, domain());
        self.steps_left = None;
        let ToyDisk {
            records,
            mut votes,
            position: (read, facts),
        } = self.disks[node].clone();
        self.input(node, Input::Resumed(facts));
        for (epoch, record) in records {
            let votes = votes.remove(&epoch).unwrap_or_default();
            self.input(node, Input::Restored(record, votes.into_iter().collect()));
        }
        // Its cursor goes on where the position was written, or before it where blocks have left
        // the chain.
        let blocks = &self.contract.blocks[..self.seen];
        let stands = blocks
            .iter()
            .zip(&read)
            .take_while(|(now, then)| now == then)
            .count();
        let facts = (stands..blocks.len())
            .map(|block| (block as u64 + 1, blocks[block].1))
            .collect();
        let rolled_back_to = (stands < read.len()).then_some(stands as u64);
        self.read(
            node,
            Events {
                rolled_back_to,
                facts,
                caught_up: true,
            },
        );
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
        self.at(self.now.chain.max(SCHEDULE.round_start(round + 1)));
        let result = Arc::new(result(round, &[10, 11, 12, 13]));
        self.everyone(&Input::RoundOver(round, Some(result)));
    }

    /// All nodes read on.
    fn look(&mut self) {
        let from = std::mem::replace(&mut self.seen, self.contract.blocks.len());
        let facts = (from..self.seen)
            .map(|block| (block as u64 + 1, self.contract.blocks[block].1))
            .collect();
        self.all_read(&Events {
            facts,
            caught_up: true,
            ..Events::default()
        });
    }

    /// All nodes look at the chain, again and again.
    fn settle(&mut self) {
        for _ in 0..40 {
            self.look();
            self.at(self.now.chain + 1);
            self.now.ms += PATIENCE_MS;
            self.everyone(&Input::Tick);
        }
    }

    /// The last blocks leave the chain, and the writers bring their transactions in again, the last
    /// ones first.
    fn reorganise(&mut self, blocks: usize) {
        let kept = self.contract.blocks.len().saturating_sub(blocks);
        let gone = self.contract.blocks.split_off(kept);
        self.seen = self.seen.min(kept);
        self.all_read(&Events {
            rolled_back_to: Some(self.seen as u64),
            caught_up: self.contract.blocks.len() == self.seen,
            ..Events::default()
        });
        let present = gone
            .into_iter()
            .rev()
            .filter(|(node, _)| self.gone != Some(*node))
            .collect::<Vec<_>>();
        present
            .into_iter()
            .for_each(|(node, fact)| self.send(node, fact));
    }

    fn phases(&self, node: usize) -> Vec<Phase> {
        self.nodes[node]
            .epochs(self.now)
            .map(|(_, phase, _)| phase)
            .collect()
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
    assert_eq!(
        world.contract.blocks.len(),
        5,
        "one table and four payments"
    );
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
    world.at(SCHEDULE.genesis);
    (0..2).for_each(|round| {
        world.everyone(&Input::RoundOver(
            round,
            Some(Arc::new(result(round, &[1, 2, 3, 4]))),
        ));
    });
    // A maximum that is ahead opens nothing: what may be done yet goes by the next block.
    world.now.latest = SCHEDULE.end(0) + 100;
    world.now.chain = SCHEDULE.end(0) - 60;
    for _ in 0..59 {
        world.now = Now {
            chain: world.now.chain + 1,
            ms: world.now.ms + PATIENCE_MS,
            ..world.now
        };
        world.everyone(&Input::Tick);
    }
    assert!(world.contract.blocks.is_empty());
    world.settle();
    assert_eq!(world.phases(0), [Phase::Paid]);
}

#[test]
fn another_root_is_noticed_and_not_claimed() {
    let mut world = World::new();
    world.contract.mine(
        0,
        Fact::Accepted {
            epoch: 0,
            root: [9; 32],
            deadline: 100_000,
        },
    );
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
        world.at(SCHEDULE.genesis);
        // In the last case nobody could check anybody's signature before the restart.
        world.away = when == 3;
        for round in 0..2 {
            world.everyone(&Input::RoundOver(
                round,
                Some(Arc::new(result(round, &[1, 2, 3, 4]))),
            ));
        }
        if when > 0 {
            world.at(SCHEDULE.end(0));
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
            assert_eq!(
                epochs,
                [(0, Phase::Paid, 2 * (node as u64 + 1))],
                "restart {when}"
            );
        }
        assert_eq!(world.contract.blocks.len(), 5);
    }
}

impl ToyDisk {
    fn forget(&mut self, which: impl Fn(u64) -> bool) {
        self.records.retain(|epoch, _| !which(*epoch));
        self.votes.retain(|epoch, _| !which(*epoch));
    }
}

/// Two rounds, and what the contract says when all have voted; nobody has read it yet.
fn voted() -> World {
    let mut world = World::new();
    (0..2).for_each(|round| world.round(round));
    while world.contract.root(0).is_none() {
        world.now.ms += PATIENCE_MS;
        world.everyone(&Input::Tick);
    }
    world
}

#[test]
fn a_deadline_ends_the_claims_and_a_head_that_goes_back_does_not_open_them_again() {
    let mut world = voted();
    world.now.latest = 100_001;
    world.look();
    assert_eq!(world.phases(1), [Phase::Expired]);
    // A server that lags shows an old block; the greatest time that was seen stays.
    world.now.chain = 1_100;
    world.everyone(&Input::Tick);
    world.restart(1);
    assert_eq!(world.phases(1), [Phase::Expired]);
    assert_eq!(world.claims, []);
}

#[test]
fn a_head_that_was_far_ahead_once_freezes_nothing() {
    let mut world = voted();
    // What is beyond the tolerance does not raise the maximum, whatever the next block seems to
    // say.
    world.now.chain = u64::MAX;
    world.look();
    assert_eq!(world.phases(1), [Phase::Claiming]);
    world.now.chain = 1_100;
    world.settle();
    (0..4).for_each(|node| assert_eq!(world.phases(node), [Phase::Paid]));
}

#[test]
fn after_its_last_submission_an_epoch_is_neither_signed_nor_submitted() {
    let mut world = World::new();
    world.at(SCHEDULE.last_submission(0) + 1);
    (0..2).for_each(|round| world.round(round));
    assert_eq!(
        world.phases(0),
        [Phase::Voting],
        "it may have been accepted in blocks that were not read"
    );
    world.settle();
    assert_eq!(
        (
            world.phases(0),
            world.signed.len(),
            world.contract.blocks.len()
        ),
        (vec![Phase::Lapsed], 0, 0)
    );
    // The head goes back, the maximum does not.
    world.now = Now {
        chain: SCHEDULE.end(0),
        latest: world.now.latest,
        ms: 0,
    };
    world.everyone(&Input::Tick);
    assert_eq!(
        (world.phases(0), world.signed.len()),
        (vec![Phase::Lapsed], 0)
    );

    let mut punctual = World::new();
    punctual.at(SCHEDULE.last_submission(0));
    (0..2).for_each(|round| punctual.round(round));
    assert_eq!(punctual.signed.len(), 4);
}

#[test]
fn acceptance_that_is_read_before_the_epoch_is_known_is_kept() {
    for restarted in [false, true] {
        let mut world = World::new();
        // The node lags in its rounds: the others have settled more epochs than it takes signatures
        // for.
        let late = 3;
        for round in 0..8 {
            world.at(SCHEDULE.round_start(round + 1));
            let result = Arc::new(result(round, &[10, 11, 12, 13]));
            (0..late)
                .for_each(|node| world.input(node, Input::RoundOver(round, Some(result.clone()))));
        }
        world.settle();
        assert_eq!(world.phases(0), [Phase::Paid; 4]);
        assert_eq!(world.phases(late), [Phase::Open; 3]);
        if restarted {
            // All events are behind its cursor.
            world.restart(late);
        }
        for round in 0..8 {
            world.input(
                late,
                Input::RoundOver(round, Some(Arc::new(result(round, &[10, 11, 12, 13])))),
            );
        }
        assert_eq!(world.phases(late), [Phase::Claiming; 4]);
        world.settle();
        assert_eq!(world.phases(late), [Phase::Paid; 4]);
        assert_eq!(world.contract.blocks.len(), 4 * 5, "everybody is paid once");
    }
}

#[test]
fn acceptance_that_is_taken_back_before_the_epoch_is_known_is_not_kept() {
    let mut world = World::new();
    let accepted = (
        7,
        Fact::Accepted {
            epoch: 0,
            root: [9; 32],
            deadline: 100_000,
        },
    );
    world.all_read(&Events {
        facts: vec![accepted],
        caught_up: true,
        ..Events::default()
    });
    world.all_read(&Events {
        rolled_back_to: Some(6),
        caught_up: true,
        ..Events::default()
    });
    (0..2).for_each(|round| world.round(round));
    world.settle();
    assert_eq!(world.phases(0), [Phase::Paid]);
}

#[test]
fn a_stale_claim_harms_no_other() {
    let mut world = World::new();
    (0..6).for_each(|round| world.round(round));
    // The chain is not read until all three epochs are accepted; somebody has claimed a leaf of
    // member 0 for it by then.
    let number_accepted = |world: &World| {
        (0..3)
            .filter(|epoch| world.contract.root(*epoch).is_some())
            .count()
    };
    while number_accepted(&world) < 3 {
        world.now.ms += PATIENCE_MS;
        world.everyone(&Input::Tick);
    }
    let stale = Fact::Paid {
        epoch: 1,
        peer: key(0).peer(),
    };
    let accepted: Vec<_> = (1..)
        .zip(world.contract.blocks.iter().map(|(_, fact)| *fact))
        .collect();
    world.contract.mine(3, stale);
    world.read(
        0,
        Events {
            facts: accepted,
            caught_up: true,
            ..Events::default()
        },
    );
    assert_eq!(
        world.claims,
        [(0, 0), (0, 1), (0, 2)],
        "one claim for each leaf"
    );
    let mine = |world: &World| {
        world
            .contract
            .blocks
            .iter()
            .filter(|(_, fact)| matches!(fact, Fact::Paid { peer, .. } if *peer == key(0).peer()))
            .count()
    };
    assert_eq!(
        mine(&world),
        3,
        "the other two are paid, the stale one not again"
    );
    world.settle();
    assert_eq!(
        world.phases(0),
        [Phase::Paid; 3],
        "and it is known for what it is"
    );
    assert_eq!(mine(&world), 3);
}

/// A process is killed after each of its steps in turn (a record written, a signature made, a
/// transaction handed over), with and without a reorganisation before it starts again.
#[test]
fn a_kill_between_any_two_steps_loses_and_doubles_nothing() {
    let end = SCHEDULE.last_submission(1) + SCHEDULE.claim_window + GRACE_SECONDS + 1;
    for depth in [0, 2, 20] {
        for steps in 1.. {
            let mut world = World::new();
            world.steps_left = Some(steps);
            (0..2).for_each(|round| world.round(round));
            world.settle();
            let killed_early = world.is_killed(0);
            world.reorganise(depth);
            // As a node does that has its rounds at hand: it plays them to its settlement once
            // more.
            let replay = |world: &mut World, rounds: std::ops::Range<u64>| {
                for round in rounds {
                    world.input(
                        0,
                        Input::RoundOver(round, Some(Arc::new(result(round, &[10, 11, 12, 13])))),
                    );
                }
            };
            if killed_early {
                world.restart(0);
                replay(&mut world, 0..2);
            }
            (2..4).for_each(|round| world.round(round));
            world.settle();
            if !killed_early && world.is_killed(0) {
                world.restart(0);
                replay(&mut world, 0..4);
            }
            world.settle();
            let survived = world.steps_left.is_some();
            for node in 0..4 {
                assert_eq!(
                    world.phases(node),
                    [Phase::Paid; 2],
                    "node {node}, killed after step {steps}, {depth} blocks"
                );
            }
            assert_eq!(world.contract.blocks.len(), 2 * 5);
            // The last steps: everything is forgotten, also if the process is killed meanwhile.
            world.at(end);
            (0..3).for_each(|_| world.everyone(&Input::Tick));
            if world.is_killed(0) {
                world.restart(0);
                (0..3).for_each(|_| world.everyone(&Input::Tick));
            }
            assert!(
                world
                    .disks
                    .iter()
                    .all(|disk| disk.records.is_empty() && disk.votes.is_empty()),
                "step {steps}"
            );
            if survived && world.steps_left.is_some() {
                assert!(steps > 15, "{steps} steps are fewer than there are writes");
                break;
            }
        }
    }
}

#[test]
fn what_is_over_for_good_is_forgotten_after_its_end_was_seen() {
    let mut world = voted();
    world.settle();
    let last = SCHEDULE.last_submission(0) + SCHEDULE.claim_window + GRACE_SECONDS;
    world.at(last);
    world.everyone(&Input::Tick);
    world.everyone(&Input::Tick);
    assert!(
        world
            .disks
            .iter()
            .all(|disk| disk.records.len() == 1 && disk.votes[&0].len() == 4)
    );
    world.at(last + 1);
    world.everyone(&Input::Tick);
    assert_eq!(world.phases(2), [Phase::Paid]);
    world.everyone(&Input::Tick);
    assert_eq!(world.forgotten, [(0, 1), (1, 1), (2, 1), (3, 1)]);
    assert_eq!(world.phases(2), []);
    assert!(
        world
            .disks
            .iter()
            .all(|disk| disk.records.is_empty() && disk.votes.is_empty())
    );
    // Rounds, signatures and events of long ago change nothing.
    let signed = world.signed.len();
    world.round(1);
    world.restart(2);
    world.settle();
    assert_eq!(
        (world.phases(0), world.phases(2), world.signed.len()),
        (vec![], vec![], signed)
    );
}

#[test]
fn an_epoch_that_may_have_been_accepted_unseen_is_not_forgotten() {
    let mut world = World::new();
    (0..2).for_each(|round| world.round(round));
    // Whatever a server hides: until the last moment of the last possible claim the table stays.
    world.contract.blocks.clear();
    world.at(SCHEDULE.last_submission(0) + SCHEDULE.claim_window);
    world.settle();
    assert_eq!(
        (world.phases(0), world.forgotten.len()),
        (vec![Phase::Lapsed], 0)
    );
    world.contract.mine(
        0,
        Fact::Accepted {
            epoch: 0,
            root: [9; 32],
            deadline: u64::MAX,
        },
    );
    world.settle();
    assert_eq!(world.phases(0), [Phase::Contradicted]);
}

/// 800 members vote: what is kept grows with the votes, not with their square.
#[test]
fn each_vote_is_kept_once() {
    const MEMBERS: u16 = 800;
    let node_key = |member: u16| {
        let mut secret = [1; 32];
        secret[..2].copy_from_slice(&member.to_be_bytes());
        NodeKey::from_secret(&secret).unwrap()
    };
    let keys: Vec<NodeKey> = (0..MEMBERS).map(node_key).collect();
    let result = Arc::new(testing::result_of(1, &keys, &vec![5; keys.len()]));
    let snapshot = StakeSnapshot {
        members: keys
            .iter()
            .map(|key| {
                (
                    key.peer(),
                    MemberStake {
                        owner: [0; 20],
                        stake: 1,
                    },
                )
            })
            .collect(),
        total: MEMBERS.into(),
    };
    let now = Now {
        chain: 1_000,
        latest: 1_000,
        ms: 0,
    };
    let mut node = Settler::new(keys[0].peer(), SCHEDULE, domain());
    let (mut tables, mut votes) = (0, Vec::new());
    let mut statement = None;
    let mut inputs = std::collections::VecDeque::from([
        Input::RoundOver(1, Some(result)),
        Input::Snapshot(0, snapshot),
    ]);
    let mut next = 0;
    while let Some(input) = inputs.pop_front() {
        for output in node.handle(input, now) {
            match output {
                Output::Save(_) => tables += 1,
                Output::SaveVotes(0, new) => votes.extend(new),
                Output::Sign(wanted) => statement = Some(wanted),
                _ => {}
            }
        }
        if let (true, Some(statement), Some(key)) = (inputs.is_empty(), &statement, keys.get(next))
        {
            let (peer, signature) = (
                key.peer(),
                key.sign_recoverable(&statement.digest(&domain())).unwrap(),
            );
            inputs.push_back(Input::Attestation(Attestation {
                peer,
                epoch: 0,
                signature,
            }));
            next += 1;
        }
    }
    assert_eq!((tables, votes.len()), (1, usize::from(MEMBERS)));
    let voters: std::collections::BTreeSet<_> = votes.iter().map(|(peer, _)| *peer).collect();
    assert_eq!(voters.len(), usize::from(MEMBERS));
}

/// A server's word about its first block is not part of the place, nor is anything else but what a
/// signature is valid for.
#[test]
fn the_place_of_a_signature_is_what_the_signature_is_valid_for() {
    let Domain { chain_id, contract } = domain();
    let place = node::domain_id(&domain());
    assert_eq!(place, node::domain_id(&Domain { chain_id, contract }));
    assert_ne!(
        place,
        node::domain_id(&Domain {
            chain_id: 1,
            contract
        })
    );
    assert_ne!(
        place,
        node::domain_id(&Domain {
            chain_id,
            contract: [8; 20].into()
        })
    );
}

#[test]
fn forged_strange_repeated_and_early_attestations_are_refused_alone() {
    let mut world = World::new();
    let forged = Attestation {
        peer: key(1).peer(),
        epoch: 0,
        signature: [3; 65],
    };
    world.input(0, Input::Attestation(forged.clone()));
    world.input(
        0,
        Input::Attestation(Attestation {
            epoch: 40,
            ..forged.clone()
        }),
    );
    world.input(
        0,
        Input::Attestation(Attestation {
            peer: key(9).peer(),
            ..forged.clone()
        }),
    );
    world.input(0, Input::Attestation(forged.clone()));
    world.input(
        0,
        Input::Attestation(Attestation {
            signature: [4; 65],
            ..forged
        }),
    );
    (0..2).for_each(|round| world.round(round));
    world.settle();
    let count = |world: &World, wanted| {
        world
            .rejections
            .iter()
            .filter(|rejection| **rejection == wanted)
            .count()
    };
    assert_eq!(count(&world, Rejection::Epoch(40)), 1);
    assert_eq!(
        (
            count(&world, Rejection::NotInSnapshot),
            count(&world, Rejection::OtherScores)
        ),
        (1, 2)
    );
    assert_eq!(count(&world, Rejection::Duplicate), 0);
    assert_eq!(world.phases(0), [Phase::Paid]);
    let votes = world.disks[0].votes[&0].clone();
    assert_eq!(votes.len(), 4, "who was forged counts all the same");
    for signature in [votes[&key(1).peer()], [5; 65]] {
        world.input(
            0,
            Input::Attestation(Attestation {
                peer: key(1).peer(),
                epoch: 0,
                signature,
            }),
        );
    }
    assert_eq!(
        count(&world, Rejection::Duplicate),
        1,
        "to repeat oneself is no offence, to contradict oneself is"
    );
}

/// Who passes a signature on may alter it: whatever the copy says of `v`, and whenever it comes,
/// the vote counts as the contract takes it.
#[test]
fn altered_copies_of_votes_block_nothing() {
    for (early, v) in [0, 1, 2, 26, 27, 28, 29, 35, 36, 255]
        .into_iter()
        .flat_map(|v| [(true, v), (false, v)])
    {
        let mut world = World::new();
        let results = [0, 1].map(|round| Arc::new(result(round, &[10, 11, 12, 13])));
        world.now.chain = SCHEDULE.end(0);
        let mut copies = Vec::new();
        for number in 1..4 {
            // What the member will sign, from a node of its own.
            let mut member = Settler::new(key(number).peer(), SCHEDULE, domain());
            for (round, result) in (0..).zip(&results) {
                for output in
                    member.handle(Input::RoundOver(round, Some(result.clone())), world.now)
                {
                    let Output::Sign(statement) = output else {
                        continue;
                    };
                    let mut signature = key(number)
                        .sign_recoverable(&statement.digest(&domain()))
                        .unwrap();
                    signature[64] = v;
                    let peer = key(number).peer();
                    copies.push(Attestation {
                        peer,
                        epoch: 0,
                        signature,
                    });
                    // A copy whose signature is broken, too, is no vote and takes no vote's place.
                    signature[40] ^= 1;
                    copies.push(Attestation {
                        peer,
                        epoch: 0,
                        signature,
                    });
                }
            }
        }
        assert_eq!(copies.len(), 6);
        // Nobody else is there to repeat the right copies.
        let mut play = |world: &mut World, early: bool| {
            if early {
                copies
                    .drain(..)
                    .rev()
                    .for_each(|copy| world.input(0, Input::Attestation(copy)));
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

/// Unbinding costs a staker nothing: it must neither freeze an epoch with a signature that the
/// contract refuses from then on, nor lose its own reward if it binds the node again.
#[test]
fn a_signer_that_unbinds_its_node_freezes_nothing_and_is_paid_once_it_binds_again() {
    let mut refusals = 0;
    for (unbound, early) in (0..4).flat_map(|unbound| [(unbound, true), (unbound, false)]) {
        let mut world = World::new();
        world.unbound = Some(unbound);
        world.early_reads = if early { 0 } else { 4 };
        (0..2).for_each(|round| world.round(round));
        world.settle();
        for node in (0..4).filter(|node| *node != unbound) {
            assert_eq!(
                world.phases(node),
                [Phase::Paid],
                "{unbound} unbound, early: {early}"
            );
        }
        assert_ne!(world.phases(unbound), [Phase::Paid]);
        world.unbound = None;
        world.settle();
        assert_eq!(
            world.phases(unbound),
            [Phase::Paid],
            "{unbound} bound again, early: {early}"
        );
        refusals += world.refusals;
    }
    assert!(
        refusals > 0,
        "no signature of an unbound node was ever tried"
    );
}

#[test]
fn points_that_make_no_table_are_an_error_and_no_empty_epoch() {
    let mut world = World::new();
    let honest = result(0, &[1, 2, 3, 4]);
    let mut compact = key(3).peer();
    compact.0[0] = 5;
    let mut twice = honest.clone();
    twice.scores.push(MemberScore {
        peer: compact,
        rows: honest.scores[3].rows,
    });
    world.input(0, Input::RoundOver(0, Some(Arc::new(twice))));
    (1..4).for_each(|node| world.input(node, Input::RoundOver(0, Some(Arc::new(honest.clone())))));
    world.round(1);
    world.settle();
    assert_eq!(world.phases(0), [Phase::Failed]);
    assert!(Phase::Failed.is_final());
    let error = TableError::Key(compact);
    assert_eq!(world.failures, [(0, 0, error)]);
    assert!(
        error.to_string().contains("remove it from the members"),
        "{error}"
    );
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

    /// Whatever leaves the chain and when: in the end everybody is paid once, by the chain that
    /// remains.
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
    fn inputs_in_any_order_do_no_harm(
        steps in prop::collection::vec((0u8..9, 0u64..4, any::<u8>()), 0..200),
    ) {
        let mut node = Settler::new(key(0).peer(), SCHEDULE, domain());
        for (what, number, value) in steps {
            let time = 1_000 + u64::from(value) * 10;
            let latest = time.pow(u32::from(value % 3));
            let now = Now { chain: time, latest, ms: u64::from(value) * 1_000 };
            let action = if value % 2 == 0 { Action::Submit } else { Action::Claim };
            let points = [Points::from(value), 1, 2, 3];
            let input = match what {
                0 => Input::RoundOver(number, Some(Arc::new(result(number, &points)))),
                1 => Input::RoundOver(number, None),
                2 => Input::NoMoreRounds,
                3 => Input::Signed(number, [value; 65]),
                4 => Input::Attestation(Attestation {
                    peer: key(value % 5).peer(),
                    epoch: number,
                    signature: [value; 65],
                }),
                5 => Input::Snapshot(number, snapshot(&[u128::from(value); 3])),
                6 => Input::Events(Events {
                    rolled_back_to: (value % 4 == 0).then_some(value.into()),
                    facts: vec![(
                        value.into(),
                        Fact::Accepted { epoch: number, root: [value; 32], deadline: 2_000 },
                    )],
                    caught_up: value % 2 == 0,
                }),
                7 => Input::Tick,
                _ => Input::Refused(number, action),
            };
            let outputs = node.handle(input, now);
            let submissions = outputs
                .iter()
                .filter(|output| matches!(output, Output::Submit(..)));
            prop_assert!(submissions.count() <= 4);
        }
    }
}
