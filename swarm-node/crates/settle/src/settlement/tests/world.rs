//! Nodes with disks, sign-once tables and writers, a network between them, and the chain.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use contracts::earnings::{EarningsTable, Entry};
use contracts::outcome::Outcome;
use contracts::{Address, B256};
use swarm_identity::{MemoryTable, SignOnce};

use super::super::settler::Policy;
use super::super::testing::{DOMAIN, attestation, node, owner, peer};
use super::super::*;
use super::model::{Chain, Parameters, Refusal};

/// Who sends what hostile members do.
const STRANGER: Address = Address::repeat_byte(0xee);

/// Seconds between two blocks.
const BLOCK_SECONDS: u64 = 2;

pub const SCHEDULE: Schedule = Schedule {
    genesis: 1_000,
    round_seconds: 10,
    rounds_per_epoch: 3,
    proposal_window: 200,
    objection_window: 60,
    court_window: 60,
};

/// Ten members of equal stake and a pool that pays everybody in full.
pub fn parameters() -> Parameters {
    Parameters {
        schedule: SCHEDULE,
        units_per_point: 7,
        epoch_cap: 1 << 60,
        fee: 11,
        stakes: vec![5; 10],
        fast_limit: 512,
    }
}

/// What a node keeps on disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub sum: Option<SumRecord>,
    pub rounds: BTreeMap<u64, RoundRecord>,
    pub tables: BTreeMap<u64, Arc<EarningsTable>>,
    pub votes: BTreeMap<(Span, Address), Attestation>,
    /// The facts, and the blocks that were read when they were written.
    position: (Facts, Vec<Block>),
}

/// A block as a cursor remembers it: its time and what it says tell it from others.
type Block = (u64, Vec<Fact>);

/// A transaction with the writer of a node: executed, or not yet.
#[derive(Clone, Debug)]
struct Sent {
    node: usize,
    action: Action,
    attempt: u32,
    transaction: Transaction,
    /// The block that it is in.
    block: Option<u64>,
}

pub struct Member {
    pub settler: Settler,
    pub disk: Disk,
    table: MemoryTable,
    read: Vec<Block>,
    /// What the process may still do to the world outside its memory; `None` without a limit.
    pub steps_left: Option<usize>,
    /// Its process runs.
    pub is_up: bool,
    pub steps: usize,
}

pub struct World {
    pub chain: Chain,
    pub members: Vec<Member>,
    /// Members that take part as this code says; others are played by the test.
    pub honest: BTreeSet<usize>,
    pub now: u64,
    sent: Vec<Sent>,
    /// Decided rounds.
    pub rounds: BTreeMap<u64, RoundRecord>,
    /// Rounds that a member does not get when they are decided.
    pub misses: fn(usize, u64) -> bool,
    /// Rounds that nobody shows a member, whatever it asks.
    pub withheld: fn(usize, u64) -> bool,
    /// Points of a member in a round.
    pub points: fn(u8, u64) -> i64,
    /// Votes do not reach others before this second.
    pub mute_until: u64,
    /// No more rounds are decided from this second on.
    pub last_second: u64,
    pub rejections: Vec<(usize, Rejection)>,
    pub notices: Vec<(usize, Notice)>,
    pub refusals: Vec<(usize, Action, Refusal)>,
    pub votes: Vec<Attestation>,
    pub executed: Vec<(usize, Action)>,
}

fn policy() -> Policy {
    Policy {
        claim_from: 1,
        bonds: true,
    }
}

fn settler(number: usize) -> Settler {
    let number = number as u8;
    Settler::new(node(number), owner(number), SCHEDULE, DOMAIN, policy())
}

impl World {
    pub fn new(parameters: Parameters, honest: impl IntoIterator<Item = usize>) -> Self {
        Self::with_pool(parameters, honest, 1 << 80)
    }

    pub fn with_pool(
        parameters: Parameters,
        honest: impl IntoIterator<Item = usize>,
        pool: u128,
    ) -> Self {
        let count = parameters.stakes.len();
        let member = |number| Member {
            settler: settler(number),
            disk: Disk::default(),
            table: MemoryTable::default(),
            read: Vec::new(),
            steps_left: None,
            is_up: true,
            steps: 0,
        };
        Self {
            chain: Chain::new(parameters, pool),
            members: (0..count).map(member).collect(),
            honest: honest.into_iter().collect(),
            now: SCHEDULE.genesis,
            sent: Vec::new(),
            rounds: BTreeMap::new(),
            misses: |_, _| false,
            withheld: |_, _| false,
            points: |number, round| 10 + i64::from(number) + (round % 7) as i64,
            mute_until: 0,
            last_second: u64::MAX,
            rejections: Vec::new(),
            notices: Vec::new(),
            refusals: Vec::new(),
            votes: Vec::new(),
            executed: Vec::new(),
        }
    }

    fn clocks(&self) -> Now {
        Now {
            chain: self.now,
            latest: self.chain.head().1,
            ms: self.now * 1_000,
        }
    }

    fn up(&self) -> Vec<usize> {
        let honest = self.honest.iter().copied();
        honest
            .filter(|number| self.members[*number].is_up)
            .collect()
    }

    /// Seconds pass.
    pub fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.second();
        }
    }

    /// Runs to the end of an epoch.
    pub fn run_to_end(&mut self, epoch: u64) {
        self.run(SCHEDULE.end(epoch).saturating_sub(self.now));
    }

    fn second(&mut self) {
        self.now += 1;
        self.decide();
        if self.now.is_multiple_of(BLOCK_SECONDS) {
            self.mine();
        }
        for number in self.up() {
            self.look(number);
        }
    }

    /// Three seconds after its end a round is decided.
    fn decide(&mut self) {
        let elapsed = self.now.saturating_sub(SCHEDULE.genesis + 3);
        let is_end = elapsed > 0 && elapsed.is_multiple_of(SCHEDULE.round_seconds);
        if !is_end || self.now > self.last_second {
            return;
        }
        let round = elapsed / SCHEDULE.round_seconds - 1;
        let members = 0..self.members.len() as u8;
        let points = members.map(|n| (peer(n), (self.points)(n, round)));
        let record = RoundRecord::of_points(round, [(round as u8).wrapping_add(1); 32], points);
        self.rounds.insert(round, record.clone());
        for number in self.up() {
            if !(self.misses)(number, round) {
                self.input(number, Input::Decided(record.clone()));
            }
        }
    }

    pub fn mine(&mut self) {
        let waiting: Vec<usize> = (0..self.sent.len())
            .filter(|index| self.sent[*index].block.is_none())
            .collect();
        let calls: Vec<(Address, Transaction)> = waiting
            .iter()
            .map(|index| &self.sent[*index])
            .map(|sent| (owner(sent.node as u8), sent.transaction.clone()))
            .collect();
        let results = self.chain.mine(self.now, &calls);
        let (block, _) = self.chain.head();
        let mut refused = Vec::new();
        for (index, result) in waiting.into_iter().zip(results) {
            match result {
                Ok(()) => {
                    let sent = &mut self.sent[index];
                    sent.block = Some(block);
                    self.executed.push((sent.node, sent.action));
                }
                Err(refusal) => refused.push((index, refusal)),
            }
        }
        for (index, refusal) in refused.into_iter().rev() {
            let Sent { node, action, .. } = self.sent.remove(index);
            self.refusals.push((node, action, refusal));
            self.input(node, Input::Refused(action));
        }
    }

    /// A hostile member's transaction, mined at once: whether it passed.
    pub fn hostile(&mut self, transaction: Transaction) -> Result<(), Refusal> {
        self.chain
            .mine(self.now, &[(STRANGER, transaction)])
            .remove(0)
    }

    /// The last blocks leave the chain, and the writers bring their transactions in again, the last
    /// ones first.
    pub fn reorganise(&mut self, depth: usize) {
        let kept = self.chain.blocks.len().saturating_sub(depth).max(1);
        self.chain.blocks.truncate(kept);
        for sent in &mut self.sent {
            sent.block = sent.block.filter(|block| *block < kept as u64);
        }
        self.sent.reverse();
        // The new branch has other blocks of other times.
        self.mine();
    }

    /// A node reads the chain on.
    fn look(&mut self, number: usize) {
        let blocks: Vec<Block> = self
            .chain
            .blocks
            .iter()
            .map(|block| (block.time, block.facts.clone()))
            .collect();
        let read = &self.members[number].read;
        let stands = read.iter().zip(&blocks).take_while(|(a, b)| a == b).count();
        let events = Events {
            rolled_back_to: (stands < read.len()).then(|| (stands as u64).saturating_sub(1)),
            facts: (stands..blocks.len())
                .flat_map(|block| {
                    blocks[block]
                        .1
                        .iter()
                        .map(move |fact| (block as u64, *fact))
                })
                .collect(),
            head: self.chain.head(),
            caught_up: true,
        };
        self.members[number].read = blocks;
        self.input(number, Input::Events(events));
        self.input(number, Input::Tick);
        let facts = self.members[number].settler.facts().clone();
        if facts != self.members[number].disk.position.0 && self.step(number) {
            let read = self.members[number].read.clone();
            self.members[number].disk.position = (facts, read);
        }
    }

    /// One more step of a process in the world outside its memory; false if it is killed before it.
    fn step(&mut self, number: usize) -> bool {
        let member = &mut self.members[number];
        if member.steps_left == Some(0) {
            member.is_up = false;
        }
        if !member.is_up {
            return false;
        }
        member.steps += 1;
        member.steps_left = member.steps_left.map(|left| left - 1);
        true
    }

    pub fn input(&mut self, number: usize, input: Input) {
        if !self.members[number].is_up || !self.honest.contains(&number) {
            return;
        }
        let clocks = self.clocks();
        for output in self.members[number].settler.handle(input, clocks) {
            if self.step(number) {
                self.output(number, output);
            }
        }
    }

    fn output(&mut self, number: usize, output: Output) {
        let disk = &mut self.members[number].disk;
        match output {
            Output::SaveRound(record) => {
                let before = disk.rounds.insert(record.round(), record);
                assert_eq!(before, None, "a round is kept once");
            }
            Output::SaveSum(sum) => {
                let first = SCHEDULE.first_round(sum.through + 1);
                disk.rounds.retain(|round, _| *round >= first);
                disk.sum = Some(sum);
            }
            Output::SaveTable(epoch, table) => {
                disk.tables.insert(epoch, table);
            }
            Output::SaveVotes(votes) => {
                for vote in votes {
                    let key = (Span::of(&vote.outcome), vote.vote.owner);
                    disk.votes.entry(key).or_insert(vote);
                }
            }
            Output::ForgetBefore(epoch) => {
                disk.rounds
                    .retain(|round, _| SCHEDULE.epoch_of(*round) >= epoch);
                disk.votes.retain(|(span, _), _| span.epoch >= epoch);
                disk.tables.retain(|last, _| last + 1 >= epoch);
            }
            Output::Sign(outcome, owner) => self.sign(number, outcome, owner),
            Output::Publish(vote) => self.publish(number, vote),
            Output::ReadSnapshot(epoch, nodes) => {
                assert!(self.now >= SCHEDULE.end(epoch) && nodes.contains(&node(number as u8)));
                let snapshot = self.chain.parameters.snapshot();
                self.input(number, Input::Snapshot(epoch, snapshot));
            }
            Output::ReadTerms(query) => {
                let terms = self.chain.terms(query.span.epoch, query.points);
                self.input(number, Input::Terms(query, terms));
            }
            Output::FetchRounds(ranges) => {
                let wanted = ranges.into_iter().flatten().take(64);
                let records: Vec<RoundRecord> = wanted
                    .filter(|round| !(self.withheld)(number, *round))
                    .filter_map(|round| self.rounds.get(&round).cloned())
                    .collect();
                records
                    .into_iter()
                    .for_each(|record| self.input(number, Input::Decided(record)));
            }
            Output::FetchTable(root) => self.fetch_table(number, root),
            Output::Send(action, transaction, number_of_try) => {
                self.send(number, action, transaction, number_of_try);
            }
            Output::Rejected(_, rejection) => self.rejections.push((number, rejection)),
            Output::Notice(notice) => self.notices.push((number, notice)),
        }
    }

    /// The writer of a node, which outlives its process: the same again is the same transaction,
    /// another one under a number that is taken is refused.
    fn send(&mut self, node: usize, action: Action, transaction: Transaction, attempt: u32) {
        let id = (node, action, attempt);
        let mut sent = self.sent.iter();
        let known = sent.find(|sent| (sent.node, sent.action, sent.attempt) == id);
        match known.map(|sent| sent.transaction == transaction) {
            Some(true) => {}
            Some(false) => self.input(node, Input::Refused(action)),
            None => self.sent.push(Sent {
                node,
                action,
                attempt,
                transaction,
                block: None,
            }),
        }
    }

    fn sign(&mut self, number: usize, outcome: Outcome, owner_of: Address) {
        let span = Span::of(&outcome);
        let disk = &self.members[number].disk;
        for round in SCHEDULE.rounds(span.since).start..SCHEDULE.rounds(span.epoch).end {
            let sum = disk.sum.as_ref();
            let is_added = sum.is_some_and(|sum| sum.through >= SCHEDULE.epoch_of(round));
            assert!(
                outcome.is_refusal() || is_added || disk.rounds.contains_key(&round),
                "signed before it was whole on disk"
            );
        }
        let place = span::place(&outcome, &DOMAIN).unwrap();
        let digest = DOMAIN.outcome(owner_of, &outcome);
        if self.members[number].table.commit(&place, &digest.0).is_ok() {
            let vote = attestation(number as u8, owner_of, outcome);
            self.votes.push(vote);
            self.input(number, Input::Signed(vote));
        }
    }

    pub fn publish(&mut self, number: usize, vote: Attestation) {
        if self.now < self.mute_until {
            return;
        }
        for other in self.up() {
            if other != number {
                self.input(other, Input::Attestation(vote));
            }
        }
    }

    fn fetch_table(&mut self, number: usize, root: B256) {
        let others = self.up().into_iter().filter(|other| *other != number);
        let table = others
            .filter_map(|other| self.members[other].settler.table(root).cloned())
            .next();
        if let Some(table) = table {
            self.input(number, Input::Table(Ok(table)));
        }
    }

    pub fn kill(&mut self, number: usize) {
        self.members[number].is_up = false;
    }

    /// A node's process starts again with what it kept.
    pub fn restart(&mut self, number: usize) {
        let member = &mut self.members[number];
        member.settler = settler(number);
        (member.is_up, member.steps_left) = (true, None);
        let Disk {
            sum,
            rounds,
            tables,
            votes,
            position: (facts, read),
        } = member.disk.clone();
        member.read = read;
        self.input(number, Input::Resumed(Box::new(facts)));
        if let Some(sum) = sum {
            self.input(number, Input::RestoredSum(sum));
        }
        for record in rounds.into_values() {
            self.input(number, Input::Restored(record));
        }
        for (epoch, table) in tables {
            self.input(number, Input::RestoredTable(epoch, table));
        }
        self.input(number, Input::RestoredVotes(votes.into_values().collect()));
    }

    /// What the honest compute for a span, from the rounds themselves.
    pub fn right(&self, span: Span, worth: u128, before: &BTreeMap<Address, u128>) -> Right {
        let mut earned = before.clone();
        let mut all = 0;
        for epoch in span.since..=span.epoch {
            let mut sums: BTreeMap<_, i64> = BTreeMap::new();
            for round in SCHEDULE.rounds(epoch) {
                for (peer, points) in self.rounds[&round].points() {
                    *sums.entry(peer).or_default() += points;
                }
            }
            for number in 0..self.members.len() as u8 {
                let points = sums[&peer(number)] as u128;
                all += points;
                *earned.entry(owner(number)).or_default() += points * worth;
            }
        }
        Right {
            points: all,
            earned,
        }
    }

    /// Everything that must hold when all is settled up to an epoch.
    pub fn assert_settled(&self, last: u64) {
        let storage = self.chain.storage();
        let mut before = BTreeMap::new();
        let mut since = 0;
        for settled in &storage.finals {
            let span = Span::of(&settled.outcome);
            assert_eq!(span.since, since, "epochs are settled without gaps");
            let right = self.right(span, settled.worth, &before);
            assert_eq!(settled.outcome.root, right.root(), "epochs {span}");
            assert_eq!(settled.outcome.points, right.points);
            (before, since) = (right.earned, span.epoch + 1);
        }
        assert!(
            since > last,
            "final up to {since}, not {last}: {:?}",
            storage.pending
        );
        for number in &self.honest {
            let owner = owner(*number as u8);
            assert_eq!(
                storage.taken.get(&owner),
                before.get(&owner),
                "reward of {number}"
            );
            let account = self.members[*number].settler.account();
            assert_eq!(
                (Some(&account.earned), account.taken),
                (before.get(&owner), account.earned)
            );
        }
        let owners: BTreeSet<Address> = self.honest.iter().map(|n| owner(*n as u8)).collect();
        let is_owed = |(owner, units): (&Address, &u128)| owners.contains(owner) && *units > 0;
        assert!(!storage.owed.iter().any(is_owed), "{:?}", storage.owed);
        let paid: u128 = storage.taken.values().sum();
        assert!(paid <= storage.committed && storage.committed <= storage.funded);
        self.assert_signed_once();
    }

    /// Nobody honest was made to sign two outcomes of a span.
    pub fn assert_signed_once(&self) {
        let mut signed = BTreeMap::new();
        let outcomes = self.votes.iter().filter(|vote| !vote.outcome.is_refusal());
        for vote in outcomes {
            let key = (vote.vote.owner, Span::of(&vote.outcome));
            let first = *signed.entry(key).or_insert(vote.outcome);
            assert_eq!(first, vote.outcome, "two outcomes of {}", key.1);
        }
    }

    pub fn phases(&self, number: usize) -> Vec<Phase> {
        let epochs = self.members[number].settler.epochs(self.clocks());
        epochs.iter().map(|epoch| epoch.phase).collect()
    }

    /// How often members' transactions of a kind were executed.
    pub fn count(&self, kind: &str) -> usize {
        let executed = self.executed.iter();
        executed
            .filter(|(_, action)| action.to_string().starts_with(kind))
            .count()
    }
}

/// The right outcome of a span.
pub struct Right {
    pub points: u128,
    pub earned: BTreeMap<Address, u128>,
}

impl Right {
    pub fn root(&self) -> B256 {
        let entries = self.earned.iter().map(|(owner, earned)| Entry {
            owner: *owner,
            earned: *earned,
        });
        EarningsTable::new(entries).unwrap().root()
    }
}
