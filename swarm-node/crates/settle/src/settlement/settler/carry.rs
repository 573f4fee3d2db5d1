//! Room for more epochs than are kept one by one.
//!
//! While nothing becomes final, as with an empty pool, epochs wait, and each later outcome covers
//! them all. Beyond [`MAX_EPOCHS`](super::MAX_EPOCHS) the first of them are *carried*: added up, by
//! owner, so that what waits is bounded by the owners and not by time. An epoch is carried only
//! when no outcome can end with it any more; the sum is on disk before its rounds go.

use std::sync::Arc;

use super::super::case::{Carried, SpanSum};
use super::super::event::{Notice, Now, Output};
use super::super::records::SumRecord;
use super::super::schedule::EpochNumber;
use super::super::span::Span;
use super::{MAX_EPOCHS, Settler};

/// Epochs that are added up at once: each time the sum is written whole.
const AT_ONCE: u64 = 64;

impl Settler {
    /// The first epoch that an outcome since this one needs and that is not carried.
    pub(super) fn first_kept(&self, since: EpochNumber) -> EpochNumber {
        match &self.carried {
            Some(carried) if carried.span.since == since => carried.span.epoch.saturating_add(1),
            _ => since,
        }
    }

    /// True if an epoch is carried.
    pub(super) fn is_carried(&self, epoch: EpochNumber) -> bool {
        let carried = self.carried.as_ref();
        carried.is_some_and(|carried| carried.span.contains(epoch))
    }

    /// The sum of a span, if its epochs are whole here.
    pub(super) fn sum(&self, span: Span) -> Option<SpanSum> {
        let first = self.first_kept(span.since);
        let carried = self.carried.as_ref().filter(|_| first > span.since);
        let mut sum = carried.map_or_else(SpanSum::default, |carried| (*carried.sum).clone());
        // A span that ends with a carried epoch was decided before it was carried.
        (first <= span.epoch).then_some(())?;
        for epoch in first..=span.epoch {
            sum.add(epoch, self.drafts.get(&epoch)?.sum()?);
        }
        Some(sum)
    }

    /// Takes what was kept.
    pub(super) fn restore_sum(&mut self, record: SumRecord) {
        let span = Span {
            since: record.since,
            epoch: record.through,
        };
        let sum = Arc::new(SpanSum::kept(record.owners, record.certificates));
        self.carried = Some(Carried { span, sum });
    }

    /// Lets go of the sum once an outcome that covers it is final and its table is known, and where
    /// the chain goes on from another epoch than the sum does: then its rounds are fetched again.
    pub(super) fn release_sum(&mut self) {
        let since = self.state().since();
        let is_useful = |carried: &Carried| match carried.span.epoch < since {
            true => self.final_table().is_none(),
            false => carried.span.since == since,
        };
        if !self.carried.as_ref().is_some_and(is_useful) {
            self.carried = None;
        }
    }

    /// Makes room for a round of an epoch; false if there is none.
    pub(super) fn has_room(
        &mut self,
        epoch: EpochNumber,
        now: Now,
        outputs: &mut Vec<Output>,
    ) -> bool {
        if self.drafts.len() < MAX_EPOCHS || self.drafts.contains_key(&epoch) {
            return true;
        }
        let since = self.state().since();
        let Some(first) = self.drafts.first_key_value().map(|(first, _)| *first) else {
            return true;
        };
        if first < since {
            self.drafts.remove(&first);
            return true;
        }
        if self.carry(now, outputs) {
            return true;
        }
        // What the first epochs lack matters more than the last one, which is fetched again.
        let mut last = self.drafts.keys().rev();
        if last.next().is_some_and(|last| epoch < *last) {
            self.drafts.pop_last();
            return true;
        }
        let (waiting, first) = (self.drafts.len(), self.first_kept(since));
        self.say_once(Notice::TooManyEpochs { waiting, first }, outputs);
        false
    }

    /// Adds the first epochs to those that are carried, as far as they are whole and no outcome can
    /// end with them any more; false if none is.
    fn carry(&mut self, now: Now, outputs: &mut Vec<Output>) -> bool {
        let since = self.state().since();
        let first = self.first_kept(since);
        let is_over = |epoch: &EpochNumber| {
            let draft = self.drafts.get(epoch);
            draft.is_some_and(|draft| draft.sum().is_some())
                && self.pending_epoch() != Some(*epoch)
                && now.latest > self.schedule.last_proposal(*epoch)
        };
        let over = (first..first.saturating_add(AT_ONCE)).take_while(is_over);
        let Some(epoch) = over.last().filter(|_| self.caught_up) else {
            return false;
        };
        let span = Span { since, epoch };
        let Some(sum) = self.sum(span) else {
            return false;
        };
        outputs.push(Output::SaveSum(SumRecord {
            since,
            through: epoch,
            certificates: sum.certificates(),
            owners: sum.owners().clone(),
        }));
        let sum = Arc::new(sum);
        self.carried = Some(Carried { span, sum });
        self.drafts.retain(|kept, _| *kept > epoch);
        self.cases.retain(|kept, _| kept.epoch > epoch);
        self.say_once(Notice::ManyEpochs(MAX_EPOCHS), outputs);
        true
    }

    fn say_once(&mut self, notice: Notice, outputs: &mut Vec<Output>) {
        if self.said_full.replace(notice) != Some(notice) {
            outputs.push(Output::Notice(notice));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use contracts::outcome::Outcome;

    use super::super::super::event::{Events, Input, Terms};
    use super::super::super::records::RoundRecord;
    use super::super::super::snapshot::Snapshot;
    use super::super::super::testing::{DOMAIN, SCHEDULE, node, owner, peer};
    use super::super::Policy;
    use super::*;

    /// A node, what it keeps, and a pool of which a point gets this much.
    struct Bench {
        settler: Settler,
        rounds: BTreeSet<u64>,
        sum: Option<SumRecord>,
        notices: Vec<Notice>,
        signed: Vec<Outcome>,
        worth: u128,
    }

    fn settler() -> Settler {
        let policy = Policy {
            claim_from: 1,
            bonds: false,
        };
        Settler::new(node(0), owner(0), SCHEDULE, DOMAIN, policy)
    }

    fn snapshot() -> Snapshot {
        Snapshot {
            owners: (0..2).map(|n| (node(n), owner(n))).collect(),
            stakes: (0..2).map(|n| (owner(n), 5)).collect(),
            total: 10,
        }
    }

    fn record(round: u64) -> RoundRecord {
        let minutes = [round as u8; 32];
        RoundRecord::of_points(round, minutes, [(peer(0), 1), (peer(1), round as i64)])
    }

    impl Bench {
        fn new() -> Self {
            Self {
                settler: settler(),
                rounds: BTreeSet::new(),
                sum: None,
                notices: Vec::new(),
                signed: Vec::new(),
                worth: 0,
            }
        }

        fn input(&mut self, input: Input, now: Now) {
            let mut queue = vec![input];
            while let Some(input) = queue.pop() {
                for output in self.settler.handle(input, now) {
                    match output {
                        Output::SaveRound(record) => {
                            self.rounds.insert(record.round());
                        }
                        Output::SaveSum(sum) => {
                            self.rounds.retain(|round| *round > sum.through);
                            self.sum = Some(sum);
                        }
                        Output::ReadSnapshot(epoch, _) => {
                            queue.push(Input::Snapshot(epoch, snapshot()));
                        }
                        Output::ReadTerms(query) => {
                            let worth = self.worth;
                            queue.push(Input::Terms(query, Terms { since: 0, worth }));
                        }
                        Output::Notice(notice) => self.notices.push(notice),
                        Output::Sign(outcome, _) => self.signed.push(outcome),
                        _ => {}
                    }
                }
            }
        }

        /// The round of an epoch is decided, and the chain goes on.
        fn decide(&mut self, epoch: u64) {
            let time = SCHEDULE.end(epoch) + 9;
            let now = Now {
                chain: time,
                latest: time,
                ms: 1_000 * time,
            };
            self.input(Input::Decided(record(epoch)), now);
            let events = Events {
                head: (epoch, 0),
                caught_up: true,
                ..Events::default()
            };
            self.input(Input::Events(events), now);
        }

        /// The process starts again with what it kept.
        fn restart(&mut self) {
            self.settler = settler();
            let now = Now {
                chain: 0,
                latest: 0,
                ms: 0,
            };
            if let Some(sum) = self.sum.clone() {
                self.input(Input::RestoredSum(sum), now);
            }
            for round in self.rounds.clone() {
                self.input(Input::Restored(record(round)), now);
            }
        }
    }

    /// Twice as many epochs as are kept go by before the pool is funded: then one outcome pays for
    /// all of them, also after a restart.
    #[test]
    fn epochs_without_an_outcome_take_bounded_room_and_are_paid_together() {
        let epochs = 2 * MAX_EPOCHS as u64;
        let mut bench = Bench::new();
        for epoch in 0..epochs {
            bench.decide(epoch);
            assert!(bench.settler.drafts.len() <= MAX_EPOCHS && bench.rounds.len() <= MAX_EPOCHS);
        }
        assert_eq!(bench.notices, [Notice::ManyEpochs(MAX_EPOCHS)], "said once");
        assert_eq!(bench.signed, []);
        bench.worth = 3;
        let mut signed = Vec::new();
        for _ in 0..2 {
            (0..3).for_each(|_| bench.decide(epochs));
            let of_last = bench.signed.iter().find(|outcome| outcome.epoch == epochs);
            signed.push(of_last.copied().unwrap());
            bench.signed.clear();
            bench.restart();
        }
        let outcome = signed[0];
        let points: u128 = (0..=u128::from(epochs)).sum::<u128>() + u128::from(epochs) + 1;
        assert_eq!(
            (outcome.since, outcome.epoch, outcome.points),
            (0, epochs, points)
        );
        assert_eq!(signed[1], outcome, "after a restart");
    }

    #[test]
    fn an_epoch_that_is_not_whole_holds_up_what_follows_until_its_rounds_come() {
        let epochs = MAX_EPOCHS as u64 + 100;
        let mut bench = Bench::new();
        (1..epochs).for_each(|epoch| bench.decide(epoch));
        let (waiting, first) = (MAX_EPOCHS, 0);
        assert_eq!(bench.notices, [Notice::TooManyEpochs { waiting, first }]);
        assert_eq!(bench.settler.drafts.len(), MAX_EPOCHS);
        // Members show what was missing, and then what found no room.
        (0..=epochs).for_each(|epoch| bench.decide(epoch));
        assert!(bench.sum.is_some());
        bench.worth = 3;
        bench.decide(epochs + 1);
        assert_eq!(bench.signed.last().unwrap().epoch, epochs + 1);
    }
}
