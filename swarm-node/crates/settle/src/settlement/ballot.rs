//! The votes on one span.
//!
//! The first vote of an owner counts, for whatever outcome. What cannot be checked yet waits, all
//! that came in the name of an owner, so that no forgery takes the place of the right one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use contracts::court::SEATS;
use contracts::outcome::{Outcome, Vote};
use contracts::typed::Domain;
use contracts::{Address, B256};

use super::attestation::Attestation;
use super::event::{Contradiction, Rejection};
use super::snapshot::Snapshot;
use super::span::Span;

/// Most votes that wait to be checked.
pub const MAX_HELD: usize = 1_024;
/// Most of them in one owner's name: its own, and a few that others altered or forged.
pub const MAX_HELD_OF_ONE: usize = 4;
/// Most contradictions that are remembered.
const MAX_EVIDENCE: usize = 64;
/// Most votes in one call that makes an outcome final: with 13,200 gas for each, a quarter of a
/// block of 30 million.
pub const MAX_FAST_VOTES: usize = 512;
/// Most votes in one call of the court.
pub const MAX_COURT_VOTES: usize = 64;

/// The votes on one span.
#[derive(Debug, Default)]
pub(super) struct Ballot {
    counted: BTreeMap<Address, Attestation>,
    held: BTreeSet<Attestation>,
    /// Counted and not kept yet.
    unkept: Vec<Attestation>,
    evidence: Vec<Contradiction>,
}

impl Ballot {
    /// The counted vote of an owner.
    pub(super) fn of(&self, owner: &Address) -> Option<&Attestation> {
        self.counted.get(owner)
    }

    /// Owners that contradicted themselves.
    pub(super) fn evidence(&self) -> &[Contradiction] {
        &self.evidence
    }

    /// Counted votes for another outcome than this one.
    pub(super) fn against(&self, outcome: &Outcome) -> impl Iterator<Item = &Attestation> {
        let votes = self.counted.values();
        votes.filter(|vote| vote.outcome != *outcome)
    }

    /// What must be kept since the last time.
    pub(super) fn take_unkept(&mut self) -> Vec<Attestation> {
        std::mem::take(&mut self.unkept)
    }

    /// A vote came: it is checked if it can be, else it waits.
    pub(super) fn attested(
        &mut self,
        vote: Attestation,
        snapshot: Option<&Snapshot>,
        domain: &Domain,
    ) -> Result<(), Rejection> {
        // Members repeat themselves, for messages get lost.
        if self.of(&vote.vote.owner) == Some(&vote) {
            return Ok(());
        }
        match snapshot {
            Some(snapshot) => self.check(vote, snapshot, domain),
            None => self.hold(vote),
        }
    }

    /// Bindings and stakes are known: what waited is checked. Returns what was refused.
    pub(super) fn check_held(
        &mut self,
        snapshot: &Snapshot,
        domain: &Domain,
    ) -> Vec<(Address, Rejection)> {
        let held = std::mem::take(&mut self.held).into_iter();
        let refused = held.filter_map(|vote| {
            let refusal = self.attested(vote, Some(snapshot), domain).err()?;
            Some((vote.vote.owner, refusal))
        });
        refused.collect()
    }

    fn hold(&mut self, vote: Attestation) -> Result<(), Rejection> {
        if self.held.contains(&vote) {
            return Ok(());
        }
        let owner = vote.vote.owner;
        let of_owner = self.held.iter().filter(|held| held.vote.owner == owner);
        if self.held.len() >= MAX_HELD || of_owner.count() >= MAX_HELD_OF_ONE {
            return Err(Rejection::TooMany);
        }
        self.held.insert(vote);
        Ok(())
    }

    fn check(
        &mut self,
        vote: Attestation,
        snapshot: &Snapshot,
        domain: &Domain,
    ) -> Result<(), Rejection> {
        let (owner, epoch) = (vote.vote.owner, vote.outcome.epoch);
        if snapshot.stake(&owner) == 0 {
            return Err(Rejection::Stakeless(epoch));
        }
        let signer = vote.vote.signer(domain, &vote.outcome);
        let bound = signer.and_then(|node| snapshot.owner(&node));
        if bound != Some(owner) {
            return Err(Rejection::Signer(epoch));
        }
        self.count(vote)
    }

    fn count(&mut self, vote: Attestation) -> Result<(), Rejection> {
        let Some(first) = self.counted.get(&vote.vote.owner).copied() else {
            self.counted.insert(vote.vote.owner, vote);
            self.unkept.push(vote);
            return Ok(());
        };
        if first.outcome == vote.outcome {
            return Err(Rejection::Duplicate);
        }
        self.remember(first, vote);
        Err(Rejection::Contradiction(Span::of(&vote.outcome)))
    }

    fn remember(&mut self, first: Attestation, second: Attestation) {
        let owner = first.vote.owner;
        let mut known = self.evidence.iter();
        let is_known = known.any(|known| known.first.vote.owner == owner);
        if !is_known && self.evidence.len() < MAX_EVIDENCE {
            self.evidence.push(Contradiction { first, second });
        }
    }

    /// The fewest votes for an outcome that make a quorum, ascending by owner. `None` while there
    /// are not enough, and if they are more than one call carries.
    pub(super) fn quorum(&self, outcome: &Outcome, snapshot: &Snapshot) -> Option<Vec<Vote>> {
        let heaviest = self.heaviest(outcome, |owner| snapshot.stake(owner));
        let mut weight = 0u128;
        let mut taken = Vec::new();
        for (stake, vote) in heaviest.into_iter().take(MAX_FAST_VOTES) {
            weight = weight.saturating_add(stake);
            taken.push(vote);
            if snapshot.is_quorum(weight) {
                taken.sort_by_key(|vote| vote.owner);
                return Some(taken);
            }
        }
        None
    }

    /// Votes for an outcome of owners who have seats in a court, without those who were `sent`, as
    /// many as one call carries: the heaviest that make a verdict, or all if they make none. Call
    /// after call they ascend by owner, as the contract counts them for each sender. `None` if
    /// there are none, or too few for a verdict and `wait` for more.
    pub(super) fn for_court(
        &self,
        outcome: &Outcome,
        snapshot: &Snapshot,
        seed: B256,
        sent: &BTreeSet<Address>,
        wait: bool,
    ) -> Option<Vec<Vote>> {
        let mut seats = 0u128;
        let mut votes = Vec::new();
        for (weight, vote) in self.heaviest(outcome, |owner| snapshot.seats(seed, owner).into()) {
            if is_verdict(seats) {
                break;
            }
            seats += weight;
            votes.push(vote);
        }
        votes.retain(|vote| !sent.contains(&vote.owner));
        votes.sort_by_key(|vote| vote.owner);
        votes.truncate(MAX_COURT_VOTES);
        let is_enough = is_verdict(seats) || !wait;
        (is_enough && !votes.is_empty()).then_some(votes)
    }

    /// Votes for an outcome with their weights, none of weight 0, heaviest first.
    fn heaviest(&self, outcome: &Outcome, weight: impl Fn(&Address) -> u128) -> Vec<(u128, Vote)> {
        let votes = self.counted.values();
        let votes = votes.filter(|vote| vote.outcome == *outcome);
        let mut weighed: Vec<(u128, Vote)> = votes
            .map(|vote| (weight(&vote.vote.owner), vote.vote))
            .filter(|(weight, _)| *weight > 0)
            .collect();
        weighed.sort_by_key(|(weight, vote)| (Reverse(*weight), vote.owner));
        weighed
    }
}

/// True if these seats are more than two thirds of the court.
fn is_verdict(seats: u128) -> bool {
    3 * seats > 2 * u128::from(SEATS)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{DOMAIN, attestation, node, outcome, owner};
    use super::*;

    fn snapshot(stakes: &[u128]) -> Snapshot {
        let members = (0..).zip(stakes);
        Snapshot {
            owners: (0..stakes.len() as u8)
                .map(|n| (node(n), owner(n)))
                .collect(),
            stakes: members.map(|(n, stake)| (owner(n), *stake)).collect(),
            total: stakes.iter().sum(),
        }
    }

    fn ballot(signers: &[u8], snapshot: &Snapshot) -> Ballot {
        let mut ballot = Ballot::default();
        for signer in signers {
            let vote = attestation(*signer, owner(*signer), outcome(1));
            let _ = ballot.attested(vote, Some(snapshot), &DOMAIN);
        }
        ballot
    }

    fn owners(votes: Option<Vec<Vote>>) -> Option<Vec<Address>> {
        votes.map(|votes| votes.into_iter().map(|vote| vote.owner).collect())
    }

    #[test]
    fn the_heaviest_make_the_quorum_in_the_order_of_owners() {
        let snapshot = snapshot(&[40, 50, 10]);
        let quorum =
            |signers: &[u8]| owners(ballot(signers, &snapshot).quorum(&outcome(1), &snapshot));
        assert_eq!(quorum(&[0, 1, 2]), Some(vec![owner(0), owner(1)]));
        assert_eq!(quorum(&[1, 2]), None, "60 of 100");
        assert_eq!(
            ballot(&[0, 1, 2], &snapshot).quorum(&outcome(2), &snapshot),
            None
        );
    }

    #[test]
    fn exactly_two_thirds_are_no_quorum() {
        let snapshot = snapshot(&[2, 1, 0]);
        assert_eq!(
            ballot(&[0, 2], &snapshot).quorum(&outcome(1), &snapshot),
            None
        );
        assert!(
            ballot(&[0, 1], &snapshot)
                .quorum(&outcome(1), &snapshot)
                .is_some()
        );
    }

    #[test]
    fn votes_are_refused_alone_each_for_its_reason() {
        let mut snapshot = snapshot(&[5, 5, 0]);
        snapshot.owners.insert(node(7), owner(0));
        let mut ballot = Ballot::default();
        let mut take = |vote: Attestation| ballot.attested(vote, Some(&snapshot), &DOMAIN);
        let right = attestation(0, owner(0), outcome(1));
        let mut forged = right;
        forged.vote.signature[40] ^= 1;
        assert_eq!(take(forged), Err(Rejection::Signer(outcome(1).epoch)));
        let stolen = attestation(1, owner(0), outcome(1));
        assert_eq!(take(stolen), Err(Rejection::Signer(outcome(1).epoch)));
        let stakeless = attestation(2, owner(2), outcome(1));
        assert_eq!(take(stakeless), Err(Rejection::Stakeless(outcome(1).epoch)));
        assert_eq!(
            (take(right), take(right)),
            (Ok(()), Ok(())),
            "who repeats offends nobody"
        );
        let again = attestation(7, owner(0), outcome(1));
        assert_eq!(
            take(again),
            Err(Rejection::Duplicate),
            "two nodes of an owner count once"
        );
        let other = attestation(7, owner(0), outcome(2));
        let span = Span::of(&outcome(2));
        assert_eq!(take(other), Err(Rejection::Contradiction(span)));
        assert_eq!(take(attestation(1, owner(1), outcome(1))), Ok(()));
        let evidence = Contradiction {
            first: right,
            second: other,
        };
        assert_eq!(ballot.evidence(), [evidence]);
        assert_eq!(ballot.take_unkept().len(), 2);
    }

    #[test]
    fn what_waits_is_bounded_and_no_forgery_takes_the_place_of_a_vote() {
        let mut ballot = Ballot::default();
        let right = attestation(0, owner(0), outcome(1));
        let forgery = |byte: u8| {
            let mut forged = right;
            forged.vote.signature[33] ^= byte;
            forged
        };
        for byte in 1..4 {
            assert_eq!(ballot.attested(forgery(byte), None, &DOMAIN), Ok(()));
        }
        assert_eq!(ballot.attested(right, None, &DOMAIN), Ok(()));
        assert_eq!(
            ballot.attested(forgery(9), None, &DOMAIN),
            Err(Rejection::TooMany)
        );
        for number in 0..2_000u32 {
            let mut other = right;
            other.vote.owner = Address::left_padding_from(&number.to_be_bytes());
            let _ = ballot.attested(other, None, &DOMAIN);
        }
        assert_eq!(ballot.held.len(), MAX_HELD);
        let refused = ballot.check_held(&snapshot(&[5, 5]), &DOMAIN);
        assert_eq!((refused.len(), ballot.held.len()), (MAX_HELD - 1, 0));
        assert_eq!(ballot.of(&owner(0)), Some(&right));
    }

    #[test]
    fn a_court_gets_the_votes_of_the_seated_in_batches() {
        let stakes: Vec<u128> = (0..100).map(|n| if n < 90 { 10 } else { 0 }).collect();
        let snapshot = snapshot(&stakes);
        let all: Vec<u8> = (0..100).collect();
        let ballot = ballot(&all, &snapshot);
        let seed = B256::repeat_byte(4);
        let mut sent = BTreeSet::new();
        let mut brought: Vec<Vote> = Vec::new();
        let mut batches = 0;
        while let Some(votes) = ballot.for_court(&outcome(1), &snapshot, seed, &sent, true) {
            sent.extend(votes.iter().map(|vote| vote.owner));
            brought.extend(votes);
            batches += 1;
        }
        assert!(
            brought.is_sorted_by(|a, b| a.owner < b.owner),
            "call after call"
        );
        let seats = |votes: &[Vote]| -> u64 {
            let owners = votes.iter().map(|vote| &vote.owner);
            owners.map(|owner| snapshot.seats(seed, owner)).sum()
        };
        assert!(
            (171..174).contains(&seats(&brought)),
            "a verdict and no more"
        );
        assert_eq!(batches, brought.len().div_ceil(MAX_COURT_VOTES));
        let few = ballot.for_court(&outcome(2), &snapshot, seed, &BTreeSet::new(), true);
        assert_eq!(few, None);
    }
}
