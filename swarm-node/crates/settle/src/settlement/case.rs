//! One span at one node: what it computes, what members sign, and what it has done about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use contracts::earnings::{EarningsError, EarningsTable};
use contracts::outcome::{Outcome, Vote};
use contracts::typed::Domain;
use contracts::{Address, B256};
use swarm_identity::digest::{Digest32, Hasher};

use super::ballot::Ballot;
use super::draft::EpochSum;
use super::event::Rejection;
use super::facts::Court;
use super::schedule::EpochNumber;
use super::snapshot::Snapshot;
use super::span::Span;

/// What epochs that follow each other came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SpanSum {
    owners: BTreeMap<Address, u128>,
    points: u128,
    certificates: Digest32,
}

impl SpanSum {
    /// Adds the next epoch, which is whole.
    pub(super) fn add(&mut self, epoch: EpochNumber, sum: &EpochSum) {
        for (owner, points) in &sum.owners {
            // 64-bit points of few rounds and peers: the sum fits.
            let all = self.owners.entry(*owner).or_insert(0u128);
            *all = all.saturating_add(*points);
            self.points = self.points.saturating_add(*points);
        }
        self.certificates = Hasher::new("certificates")
            .bytes(&self.certificates)
            .u64(epoch)
            .bytes(&sum.certificates)
            .finish();
    }

    /// What was kept of it.
    pub(super) fn kept(owners: BTreeMap<Address, u128>, certificates: Digest32) -> Self {
        let points = owners.values();
        Self {
            points: points.fold(0, |all, points| all.saturating_add(*points)),
            owners,
            certificates,
        }
    }

    /// Points of each owner.
    pub(super) fn owners(&self) -> &BTreeMap<Address, u128> {
        &self.owners
    }

    /// Digest over the certificates of all rounds.
    pub(super) fn certificates(&self) -> Digest32 {
        self.certificates
    }

    /// Points of all owners.
    pub(super) fn points(&self) -> u128 {
        self.points
    }

    /// The table after these epochs.
    pub(super) fn table(
        &self,
        before: &EarningsTable,
        worth: u128,
    ) -> Result<EarningsTable, EarningsError> {
        let owners = self.owners.iter();
        before.after(owners.map(|(owner, points)| (*owner, *points)), worth)
    }

    /// The outcome with a table's root.
    fn outcome(&self, span: Span, root: B256) -> Outcome {
        Outcome {
            since: span.since,
            epoch: span.epoch,
            root,
            points: self.points,
            certificates: self.certificates.into(),
        }
    }
}

/// The first epochs since the last final one, added up.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) span: Span,
    pub(super) sum: Arc<SpanSum>,
}

/// An outcome that this node computed.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) outcome: Outcome,
    pub(super) table: Arc<EarningsTable>,
    /// What it was computed from: the root before it, and the worth of a point.
    basis: (B256, u128),
}

impl Own {
    /// Units for a point.
    pub(super) fn worth(&self) -> u128 {
        self.basis.1
    }
}

/// The votes against one proposal: those against another one are let go.
#[derive(Debug, Default)]
struct Refusals {
    of: Option<Outcome>,
    ballot: Ballot,
}

/// The votes for one outcome, or one refusal, that this node has brought to one court.
#[derive(Debug, Default)]
struct Brought {
    court: Option<Court>,
    owners: BTreeSet<Address>,
    batches: BTreeMap<u32, Vec<Address>>,
}

/// One span.
#[derive(Debug, Default)]
pub(super) struct Case {
    pub(super) ballot: Ballot,
    refusals: Refusals,
    sum: Option<Arc<SpanSum>>,
    /// Units for a point, as the contract said.
    worth: Option<u128>,
    own: Option<Own>,
    failed: Option<EarningsError>,
    brought: BTreeMap<Outcome, Brought>,
    /// The outcome that the node's signature was asked for.
    pub(super) asked_to_sign: Option<Outcome>,
    /// The refusal that the node's signature was asked for.
    pub(super) asked_to_refuse: Option<Outcome>,
    /// When the node's votes on an outcome and on a refusal were published last, in milliseconds.
    pub(super) said_ms: BTreeMap<bool, u64>,
    /// People know what is wrong with this proposal.
    pub(super) noticed: Option<Outcome>,
    /// People know that this final outcome differs from the node's.
    pub(super) contradicted: Option<Outcome>,
    /// People know that the node computes this outcome after it has signed another.
    pub(super) overtaken: Option<Outcome>,
}

impl Case {
    /// What its epochs came to, once all are whole.
    pub(super) fn sum(&self) -> Option<&Arc<SpanSum>> {
        self.sum.as_ref()
    }

    /// Keeps what its epochs came to.
    pub(super) fn summed(&mut self, sum: SpanSum) {
        self.sum = Some(Arc::new(sum));
    }

    /// The outcome that this node computed, as far as the chain stands by what it was computed
    /// from.
    pub(super) fn own(&self) -> Option<&Own> {
        self.own.as_ref().filter(|_| self.worth.is_some())
    }

    /// The outcome that this node computed last, whatever the chain says since.
    pub(super) fn latest(&self) -> Option<&Own> {
        self.own.as_ref()
    }

    /// Units for a point, as the contract says.
    pub(super) fn worth(&self) -> Option<u128> {
        self.worth
    }

    /// The contract's answer; `None` where it must be asked again.
    pub(super) fn set_worth(&mut self, worth: Option<u128>) {
        self.worth = worth;
    }

    /// Computes the outcome from the table before it, if all that it depends on is known and it is
    /// not computed yet. An error comes once.
    pub(super) fn compute(
        &mut self,
        span: Span,
        before: &EarningsTable,
    ) -> Result<(), EarningsError> {
        let (Some(sum), Some(worth @ 1..)) = (&self.sum, self.worth) else {
            return Ok(());
        };
        let basis = (before.root(), worth);
        let is_current = self.own.as_ref().is_some_and(|own| own.basis == basis);
        if sum.points() == 0 || is_current || self.failed.is_some() {
            return Ok(());
        }
        let table = sum.table(before, worth).inspect_err(|error| {
            self.failed = Some(*error);
        })?;
        self.own = Some(Own {
            outcome: sum.outcome(span, table.root()),
            table: Arc::new(table),
            basis,
        });
        Ok(())
    }

    /// True if its epochs are whole and come to nothing that could be paid.
    pub(super) fn is_unpayable(&self) -> bool {
        let is_empty = self.sum.as_ref().is_some_and(|sum| sum.points() == 0);
        is_empty || self.worth == Some(0) || self.failed.is_some()
    }

    /// The votes on an outcome, or those against the proposal that this refusal names.
    pub(super) fn ballot_of(&mut self, outcome: &Outcome) -> &mut Ballot {
        if !outcome.is_refusal() {
            return &mut self.ballot;
        }
        if self.refusals.of != Some(*outcome) {
            self.refusals = Refusals {
                of: Some(*outcome),
                ballot: Ballot::default(),
            };
        }
        &mut self.refusals.ballot
    }

    /// Votes that have waited for bindings and stakes are checked. Returns what was refused.
    pub(super) fn check_held(
        &mut self,
        snapshot: &Snapshot,
        domain: &Domain,
    ) -> Vec<(Address, Rejection)> {
        let mut refused = self.ballot.check_held(snapshot, domain);
        refused.extend(self.refusals.ballot.check_held(snapshot, domain));
        refused
    }

    /// Votes that a court is to get next, with the number of their batch: that of one that was
    /// refused, else the next.
    pub(super) fn batch(
        &mut self,
        outcome: Outcome,
        court: Court,
        snapshot: &Snapshot,
        wait: bool,
    ) -> Option<(u32, Vec<Vote>)> {
        // Two outcomes at most, for what was brought to an earlier court does not matter.
        self.brought
            .retain(|_, brought| brought.court == Some(court));
        let brought = self.brought.entry(outcome).or_insert_with(|| Brought {
            court: Some(court),
            ..Brought::default()
        });
        let mut batches = brought.batches.iter();
        let refused = batches.find(|(_, owners)| owners.is_empty());
        let number = refused.map_or(brought.batches.len() as u32, |(number, _)| *number);
        let sent = brought.owners.clone();
        let ballot = self.ballot_of(&outcome);
        let votes = ballot.for_court(&outcome, snapshot, court.seed, &sent, wait)?;
        Some((number, votes))
    }

    /// A batch is under way.
    pub(super) fn bring(&mut self, outcome: Outcome, number: u32, votes: &[Vote]) {
        let owners: Vec<Address> = votes.iter().map(|vote| vote.owner).collect();
        let brought = self.brought.entry(outcome).or_default();
        brought.owners.extend(&owners);
        brought.batches.insert(number, owners);
    }

    /// A batch for outcomes, or for refusals, did not happen: its votes may be brought again.
    pub(super) fn batch_refused(&mut self, of_refusal: bool, draw: u8, number: u32) {
        let brought = self.brought.iter_mut().filter(|(outcome, brought)| {
            let is_of_court = brought.court.is_some_and(|court| court.draw == draw);
            is_of_court && outcome.is_refusal() == of_refusal
        });
        for (_, brought) in brought {
            let owners = brought.batches.get_mut(&number).map(std::mem::take);
            for owner in owners.iter().flatten() {
                brought.owners.remove(owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use contracts::earnings::verify;

    use super::*;

    const SPAN: Span = Span { since: 1, epoch: 2 };

    fn epoch(owners: u32) -> EpochSum {
        let owner = |number: u32| Address::left_padding_from(&number.to_be_bytes());
        EpochSum {
            owners: (1..=owners).map(|n| (owner(n), n.into())).collect(),
            certificates: [7; 32],
        }
    }

    fn sum(from: u64, epochs: &[EpochSum]) -> SpanSum {
        let mut sum = SpanSum::default();
        for (epoch, of_epoch) in (from..).zip(epochs) {
            sum.add(epoch, of_epoch);
        }
        sum
    }

    fn case(epochs: &[EpochSum]) -> Case {
        let mut case = Case::default();
        case.summed(sum(1, epochs));
        case
    }

    #[test]
    fn an_outcome_needs_a_worth_and_points() {
        let before = EarningsTable::default();
        let mut case = case(&[epoch(3), epoch(2)]);
        case.compute(SPAN, &before).unwrap();
        assert!(case.own().is_none());
        case.set_worth(Some(0));
        case.compute(SPAN, &before).unwrap();
        assert!(case.own().is_none(), "points of no worth are no outcome");
        case.set_worth(Some(5));
        case.compute(SPAN, &before).unwrap();
        let own = case.own().unwrap();
        assert_eq!((own.outcome.points, Span::of(&own.outcome)), (9, SPAN));
        assert_eq!(own.table.earned(Address::left_padding_from(&[2])), 20);
        case.set_worth(None);
        assert!(
            case.own().is_none(),
            "the chain must confirm it after a reorganisation"
        );
        let mut nobody = self::case(&[epoch(0), epoch(0)]);
        nobody.set_worth(Some(5));
        nobody.compute(SPAN, &before).unwrap();
        assert!(nobody.own().is_none());
    }

    #[test]
    fn points_that_overflow_are_an_error_once() {
        let mut case = case(&[epoch(2)]);
        case.set_worth(Some(u128::MAX));
        let before = EarningsTable::default();
        assert!(matches!(
            case.compute(SPAN, &before),
            Err(EarningsError::Overflow(_))
        ));
        assert_eq!(case.compute(SPAN, &before), Ok(()));
        assert!(case.own().is_none());
    }

    #[test]
    fn the_epochs_and_their_certificates_are_in_the_digest() {
        let digest = |from: u64, certificates: u8| {
            let epoch = EpochSum {
                certificates: [certificates; 32],
                ..epoch(1)
            };
            sum(from, &[epoch]).certificates
        };
        assert!(digest(1, 7) != digest(2, 7) && digest(1, 7) != digest(1, 8));
    }

    #[test]
    fn a_sum_that_was_kept_goes_on_where_it_was() {
        let epochs = [epoch(3), epoch(2), epoch(5)];
        let whole = sum(4, &epochs);
        let begun = sum(4, &epochs[..2]);
        let mut kept = SpanSum::kept(begun.owners().clone(), begun.certificates());
        assert_eq!(kept, begun);
        kept.add(6, &epochs[2]);
        assert_eq!(kept, whole);
    }

    /// Built on one of as many, and an entry proved and checked.
    #[test]
    fn a_hundred_thousand_owners_take_less_than_two_seconds() {
        let mut case = case(&[epoch(100_000), epoch(100_000)]);
        case.set_worth(Some(3));
        case.compute(SPAN, &EarningsTable::default()).unwrap();
        let first = case.own().unwrap().table.clone();
        let started = Instant::now();
        case.compute(SPAN, &first).unwrap();
        let own = case.own().unwrap();
        let owner = Address::left_padding_from(&77_777u32.to_be_bytes());
        let proof = own.table.proof(owner).unwrap();
        assert!(verify(own.outcome.root, owner, 4 * 3 * 77_777, &proof));
        let took = started.elapsed();
        println!("{took:?} for a table of 100,000 owners");
        // Without optimisation the figure says nothing.
        assert!(cfg!(debug_assertions) || took.as_secs() < 2, "{took:?}");
    }
}
