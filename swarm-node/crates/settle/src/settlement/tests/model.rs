//! The contract and its chain, as far as nodes see them: pure, and able to go back.

use std::collections::{BTreeMap, BTreeSet};

use contracts::court::SEATS;
use contracts::earnings;
use contracts::outcome::{Outcome, Vote};
use contracts::{Address, B256};
use swarm_identity::digest::Hasher;

use super::super::attestation::Attestation;
use super::super::event::Transaction;
use super::super::facts::{Court, Fact, Final, Pending};
use super::super::testing::{DOMAIN, node, owner};
use super::super::{Schedule, Snapshot, Span, Terms};

/// Why a call is refused.
pub type Refusal = &'static str;

/// What the contract was deployed with.
#[derive(Clone, Debug)]
pub struct Parameters {
    pub schedule: Schedule,
    pub units_per_point: u128,
    pub epoch_cap: u128,
    pub fee: u128,
    /// Stakes of the owners of nodes 0, 1, …
    pub stakes: Vec<u128>,
    /// Most votes of a call that makes an outcome final: what a block can carry.
    pub fast_limit: usize,
}

impl Parameters {
    /// Bindings and stakes, the same at all times.
    pub fn snapshot(&self) -> Snapshot {
        let members = (0..).zip(&self.stakes);
        Snapshot {
            owners: (0..self.stakes.len() as u8)
                .map(|n| (node(n), owner(n)))
                .collect(),
            stakes: members.map(|(n, stake)| (owner(n), *stake)).collect(),
            total: self.stakes.iter().sum(),
        }
    }
}

/// The contract's storage.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    pub finals: Vec<Final>,
    pub pending: Option<Pending>,
    pub taken: BTreeMap<Address, u128>,
    /// Fees that wait to be collected.
    pub owed: BTreeMap<Address, u128>,
    pub committed: u128,
    pub funded: u128,
    /// Votes that were counted by the court: seats of outcomes, and owners.
    tally: BTreeMap<Outcome, u64>,
    pub judged: BTreeMap<Address, Outcome>,
    /// Who was counted, for what.
    counted: BTreeSet<(Address, Outcome)>,
    /// Most seats for and against what is pending.
    seats: [u64; 2],
    /// Who was slashed, for what.
    pub slashed: BTreeSet<(Address, Span)>,
    pub refused: Vec<Outcome>,
    /// Bonds lost: by proposers and by objectors.
    pub lost: (u32, u32),
}

/// A block.
#[derive(Clone, Debug)]
pub struct Block {
    pub time: u64,
    pub facts: Vec<Fact>,
    after: Storage,
}

/// The chain.
#[derive(Debug)]
pub struct Chain {
    pub parameters: Parameters,
    snapshot: Snapshot,
    /// From block 0 on.
    pub blocks: Vec<Block>,
    /// Changes with every block that was ever mined, as hashes do.
    salt: u64,
}

impl Chain {
    pub fn new(parameters: Parameters, funded: u128) -> Self {
        let after = Storage {
            funded,
            ..Storage::default()
        };
        let time = parameters.schedule.genesis;
        let first = Block {
            time,
            facts: Vec::new(),
            after,
        };
        Self {
            snapshot: parameters.snapshot(),
            parameters,
            blocks: vec![first],
            salt: 0,
        }
    }

    pub fn storage(&self) -> &Storage {
        &self.blocks.last().unwrap().after
    }

    pub fn head(&self) -> (u64, u64) {
        let number = self.blocks.len() as u64 - 1;
        (number, self.blocks.last().unwrap().time)
    }

    /// Somebody funds the pool.
    pub fn fund(&mut self, units: u128) {
        self.blocks.last_mut().unwrap().after.funded += units;
    }

    pub fn since(&self) -> u64 {
        let last = self.storage().finals.last();
        last.map_or(0, |last| last.outcome.epoch + 1)
    }

    pub fn terms(&self, epoch: u64, points: u128) -> Terms {
        let (since, storage) = (self.since(), self.storage());
        Terms {
            since,
            worth: self.worth(storage, since, epoch, points),
        }
    }

    fn worth(&self, storage: &Storage, since: u64, epoch: u64, points: u128) -> u128 {
        let parameters = &self.parameters;
        let epochs = u128::from((epoch + 1).saturating_sub(since));
        let free = storage.funded.saturating_sub(storage.committed);
        let budget = free.min(parameters.epoch_cap * epochs);
        let left = budget - parameters.fee.min(budget);
        parameters
            .units_per_point
            .min(left.checked_div(points).unwrap_or(0))
    }

    /// Mines a block with these transactions of these senders: what each of them came to.
    pub fn mine(
        &mut self,
        time: u64,
        calls: &[(Address, Transaction)],
    ) -> Vec<Result<(), Refusal>> {
        self.salt += 1;
        let mut after = self.storage().clone();
        let number = self.blocks.len() as u64;
        let mut facts = Vec::new();
        let results = calls.iter().map(|(sender, call)| {
            let mut tried = after.clone();
            let mut said = self.execute(&mut tried, number, time, *sender, call)?;
            if tried.finals.len() > after.finals.len() {
                let (receiver, amount) = (*sender, self.parameters.fee);
                *tried.owed.entry(receiver).or_default() += amount;
                said.push(Fact::Credited { receiver, amount });
            }
            after = tried;
            facts.extend(said);
            Ok(())
        });
        let results = results.collect();
        self.blocks.push(Block { time, facts, after });
        results
    }

    fn execute(
        &self,
        storage: &mut Storage,
        number: u64,
        time: u64,
        sender: Address,
        call: &Transaction,
    ) -> Result<Vec<Fact>, Refusal> {
        match call {
            Transaction::FinaliseFast(outcome, votes) => self.fast(storage, time, outcome, votes),
            Transaction::Propose(outcome) => self.propose(storage, time, outcome),
            Transaction::Object(outcome) => Self::object(storage, number, time, outcome),
            Transaction::Draw(outcome) => self.draw(storage, number, time, outcome),
            Transaction::Judge(outcome, votes) => self.judge(storage, time, outcome, votes),
            Transaction::Finalise(outcome) => self.finalise(storage, time, outcome),
            Transaction::Claim(claim) => {
                let last = storage.finals.last().ok_or("nothing is final")?;
                let root = last.outcome.root;
                if !earnings::verify(root, claim.owner, claim.earned, &claim.proof) {
                    return Err("another root");
                }
                let taken = storage.taken.entry(claim.owner).or_default();
                if *taken >= claim.earned {
                    return Ok(vec![]);
                }
                *taken = claim.earned;
                let (owner, earned) = (claim.owner, claim.earned);
                Ok(vec![Fact::Claimed { owner, earned }])
            }
            Transaction::Collect => match storage.owed.remove(&sender) {
                Some(amount) => Ok(vec![Fact::Collected {
                    receiver: sender,
                    amount,
                }]),
                None => Err("nothing is owed"),
            },
            Transaction::SlashContradiction(both) => {
                let [first, second] = [&both.first, &both.second];
                let same = Span::of(&first.outcome) == Span::of(&second.outcome)
                    && first.vote.owner == second.vote.owner
                    && first.outcome != second.outcome;
                if !same || !self.is_valid(first) || !self.is_valid(second) {
                    return Err("no contradiction");
                }
                Self::slash(storage, first)
            }
            Transaction::SlashLoser(vote) => {
                let last = storage.finals.last().ok_or("nothing is final")?;
                let counted = storage.judged.get(&vote.vote.owner);
                if counted != Some(&vote.outcome) || *counted.unwrap() == last.outcome {
                    return Err("no loser");
                }
                Self::slash(storage, vote)
            }
        }
    }

    fn slash(storage: &mut Storage, vote: &Attestation) -> Result<Vec<Fact>, Refusal> {
        let is_new = storage
            .slashed
            .insert((vote.vote.owner, Span::of(&vote.outcome)));
        if is_new {
            Ok(vec![])
        } else {
            Err("slashed already")
        }
    }

    fn is_valid(&self, vote: &Attestation) -> bool {
        let signer = vote.vote.signer(&DOMAIN, &vote.outcome);
        let bound = signer.and_then(|node| self.snapshot.owner(&node));
        bound == Some(vote.vote.owner)
    }

    fn check(&self, storage: &Storage, time: u64, outcome: &Outcome) -> Result<u128, Refusal> {
        let since = storage
            .finals
            .last()
            .map_or(0, |last| last.outcome.epoch + 1);
        let schedule = &self.parameters.schedule;
        let pending = storage.pending.map(|pending| Span::of(&pending.outcome));
        let is_open =
            time <= schedule.last_proposal(outcome.epoch) || pending == Some(Span::of(outcome));
        if outcome.since != since || outcome.epoch < since {
            return Err("another span");
        }
        if time < schedule.end(outcome.epoch) || !is_open {
            return Err("not in its window");
        }
        match self.worth(storage, since, outcome.epoch, outcome.points) {
            0 => Err("the pool is too small"),
            worth => Ok(worth),
        }
    }

    fn fast(
        &self,
        storage: &mut Storage,
        time: u64,
        outcome: &Outcome,
        votes: &[Vote],
    ) -> Result<Vec<Fact>, Refusal> {
        self.check(storage, time, outcome)?;
        let pending = storage.pending.map(|pending| Span::of(&pending.outcome));
        if pending.is_some_and(|pending| pending != Span::of(outcome)) {
            return Err("another span is pending");
        }
        if votes.len() > self.parameters.fast_limit {
            return Err("more than a block carries");
        }
        let mut owners = BTreeSet::new();
        let valid = votes.iter().filter(|vote| {
            let vote = Attestation {
                outcome: *outcome,
                vote: **vote,
            };
            self.is_valid(&vote) && owners.insert(vote.vote.owner)
        });
        let weight = valid.map(|vote| self.snapshot.stake(&vote.owner)).sum();
        if !self.snapshot.is_quorum(weight) {
            return Err("no quorum");
        }
        self.end(storage, outcome)
    }

    fn end(&self, storage: &mut Storage, outcome: &Outcome) -> Result<Vec<Fact>, Refusal> {
        let worth = self.worth(storage, outcome.since, outcome.epoch, outcome.points);
        storage.committed += outcome.points * worth + self.parameters.fee;
        let (last, outcome) = (
            Final {
                outcome: *outcome,
                worth,
            },
            *outcome,
        );
        storage.finals.push(last);
        if let Some(pending) = storage.pending.take() {
            match pending.outcome == outcome {
                true => storage.lost.1 += u32::from(pending.objected.is_some()),
                false => storage.lost.0 += 1,
            }
        }
        Ok(vec![Fact::Finalised { outcome, worth }])
    }

    fn propose(
        &self,
        storage: &mut Storage,
        time: u64,
        outcome: &Outcome,
    ) -> Result<Vec<Fact>, Refusal> {
        self.check(storage, time, outcome)?;
        if storage.pending.is_some() {
            return Err("another is pending");
        }
        let deadline = time + self.parameters.schedule.objection_window;
        storage.pending = Some(Pending {
            outcome: *outcome,
            deadline,
            objected: None,
            court: None,
        });
        Ok(vec![Fact::Proposed {
            outcome: *outcome,
            deadline,
        }])
    }

    fn object(
        storage: &mut Storage,
        number: u64,
        time: u64,
        outcome: &Outcome,
    ) -> Result<Vec<Fact>, Refusal> {
        let pending = storage.pending.as_mut().ok_or("nothing is pending")?;
        if pending.outcome != *outcome || pending.objected.is_some() || time > pending.deadline {
            return Err("nothing to object to");
        }
        pending.objected = Some(number + 2);
        storage.seats = [0, 0];
        Ok(vec![Fact::Objected {
            epoch: outcome.epoch,
            seed_block: number + 2,
        }])
    }

    fn draw(
        &self,
        storage: &mut Storage,
        number: u64,
        time: u64,
        outcome: &Outcome,
    ) -> Result<Vec<Fact>, Refusal> {
        let pending = storage.pending.as_mut().ok_or("nothing is pending")?;
        let draw = match (pending.objected, pending.court) {
            (Some(seed_block), None) if number > seed_block => 1,
            (Some(_), Some(court)) if court.draw == 1 && time > court.deadline => 2,
            _ => return Err("no time to draw"),
        };
        if pending.outcome != *outcome {
            return Err("another is pending");
        }
        let seed = Hasher::new("seed").u64(self.salt).finish().into();
        let deadline = time + self.parameters.schedule.court_window;
        pending.court = Some(Court {
            draw,
            seed,
            deadline,
        });
        storage.tally.clear();
        storage.judged.clear();
        storage.counted.clear();
        Ok(vec![Fact::Drawn {
            epoch: outcome.epoch,
            draw,
            seed,
            deadline,
        }])
    }

    fn judge(
        &self,
        storage: &mut Storage,
        time: u64,
        outcome: &Outcome,
        votes: &[Vote],
    ) -> Result<Vec<Fact>, Refusal> {
        let pending = storage.pending.ok_or("nothing is pending")?;
        let court = pending.court.ok_or("no court")?;
        if time > court.deadline || Span::of(outcome) != Span::of(&pending.outcome) {
            return Err("not its court");
        }
        let is_refusal = *outcome == pending.outcome.refusal();
        if !is_refusal && (outcome.points == 0 || self.check(storage, time, outcome)? == 0) {
            return Err("nothing to pay");
        }
        let mut counted = 0;
        for vote in votes {
            let vote = Attestation {
                outcome: *outcome,
                vote: *vote,
            };
            let owner = vote.vote.owner;
            if self.is_valid(&vote) && storage.counted.insert((owner, *outcome)) {
                if !is_refusal {
                    storage.judged.insert(owner, *outcome);
                }
                counted += self.snapshot.seats(court.seed, &owner);
            }
        }
        if counted == 0 {
            return Err("no new seats");
        }
        let seats = storage.tally.entry(*outcome).or_default();
        *seats += counted;
        let most = &mut storage.seats[usize::from(*outcome != pending.outcome)];
        *most = (*most).max(*seats);
        match (*seats * 3 > SEATS * 2, is_refusal) {
            (false, _) => Ok(vec![]),
            (true, false) => self.end(storage, outcome),
            (true, true) => {
                storage.lost.0 += 1;
                Ok(Self::refuse(storage, &pending.outcome))
            }
        }
    }

    fn finalise(
        &self,
        storage: &mut Storage,
        time: u64,
        outcome: &Outcome,
    ) -> Result<Vec<Fact>, Refusal> {
        let pending = storage.pending.ok_or("nothing is pending")?;
        if pending.outcome != *outcome {
            return Err("another is pending");
        }
        match (pending.objected, pending.court) {
            (None, _) if time > pending.deadline => self.end(storage, outcome),
            (_, Some(court)) if court.draw == 2 && time > court.deadline => {
                match storage.seats {
                    [upheld, against] if upheld < against => storage.lost.0 += 1,
                    _ => storage.lost.1 += 1,
                }
                Ok(Self::refuse(storage, outcome))
            }
            _ => Err("not yet"),
        }
    }

    fn refuse(storage: &mut Storage, outcome: &Outcome) -> Vec<Fact> {
        storage.pending = None;
        storage.refused.push(*outcome);
        let epoch = outcome.epoch;
        vec![Fact::Refused { epoch }]
    }
}

/// A root that nobody earned.
pub fn bogus(outcome: &Outcome) -> Outcome {
    Outcome {
        root: B256::repeat_byte(0xbb),
        ..*outcome
    }
}
