//! What the node must know to compute an outcome, and the outcome.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use contracts::B256;
use contracts::earnings::EarningsTable;

use super::super::draft::Draft;
use super::super::event::{Notice, Now, Output, TermsQuery};
use super::super::facts::Final;
use super::super::schedule::EpochNumber;
use super::super::span::Span;
use super::{MAX_EPOCHS, MAX_TABLES, Question, Settler};

/// Snapshots that are asked for at once.
const MAX_ASKED: usize = 8;
/// Ranges of rounds that are fetched at once.
const MAX_RANGES: usize = 16;
/// Spans that are computed at once: the latest.
const MAX_OPEN: usize = 8;

impl Settler {
    /// The first epoch whose rounds still matter: that of the last final outcome until its table is
    /// known, else the first that is not final.
    fn first_needed(&self) -> EpochNumber {
        match self.state().last {
            Some(last) if self.final_table().is_none() => last.outcome.since,
            _ => self.state().since(),
        }
    }

    /// Epochs that are over, and so long that what the chain says of their end stays.
    fn over(&self, now: Now) -> Range<EpochNumber> {
        let buried = now.chain.saturating_sub(self.pace.burial());
        self.first_kept(self.state().since())..self.schedule.epoch_at(buried)
    }

    /// Asks who owned the nodes of whole epochs, and who votes on what is pending.
    pub(super) fn ask_owners(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let over = self.first_needed()..self.over(now).end;
        if over.is_empty() {
            return;
        }
        let pending = self.pending_epoch();
        let pending = pending.filter(|epoch| {
            over.contains(epoch) && !self.is_whole(*epoch) && self.electorate(*epoch).is_none()
        });
        let drafts = self.drafts.range(over);
        let due: Vec<EpochNumber> = drafts
            .filter(|(_, draft)| draft.electorate().is_none())
            .filter(|(epoch, draft)| draft.is_whole(&self.schedule.rounds(**epoch)))
            .map(|(epoch, _)| *epoch)
            .take(MAX_ASKED)
            .chain(pending)
            .collect();
        for epoch in due {
            if self.ask(Question::Snapshot(epoch), now) {
                let draft = self.drafts.get(&epoch);
                let mut nodes = draft.map(Draft::nodes).unwrap_or_default();
                nodes.push(self.me);
                outputs.push(Output::ReadSnapshot(epoch, nodes));
            }
        }
    }

    /// Fetches the rounds of epochs that are over and not whole here.
    pub(super) fn fetch_rounds(&mut self, now: Now, outputs: &mut Vec<Output>) {
        if !self.caught_up {
            return;
        }
        let missing = self.missing(self.over(now));
        if !missing.is_empty() && self.ask(Question::Rounds, now) {
            outputs.push(Output::FetchRounds(missing));
        }
    }

    fn missing(&self, over: Range<EpochNumber>) -> Vec<RangeInclusive<u64>> {
        let mut missing: Vec<RangeInclusive<u64>> = Vec::new();
        for gap in over.take(MAX_EPOCHS).flat_map(|epoch| self.gaps(epoch)) {
            let last = missing.last_mut();
            if let Some(last) = last.filter(|last| last.end() + 1 == *gap.start()) {
                *last = *last.start()..=*gap.end();
            } else if missing.len() < MAX_RANGES {
                missing.push(gap);
            } else {
                break;
            }
        }
        missing
    }

    /// The rounds of an epoch that are not decided here.
    fn gaps(&self, epoch: EpochNumber) -> Vec<RangeInclusive<u64>> {
        let rounds = self.schedule.rounds(epoch);
        match self.drafts.get(&epoch) {
            Some(draft) => draft.missing(rounds),
            None => Draft::default().missing(rounds),
        }
    }

    /// Sees to it that the node has the table of the last final outcome: its own, computed from the
    /// rounds, or fetched by its root.
    pub(super) fn learn_final_table(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let Some(last) = self.state().last.filter(|_| self.final_table().is_none()) else {
            return;
        };
        if let Some(table) = self.own_table(&last, outputs) {
            outputs.push(self.adopt(last.outcome.epoch, table));
        } else if self.caught_up && self.ask(Question::Table(last.outcome.root), now) {
            outputs.push(Output::FetchTable(last.outcome.root));
        }
    }

    /// The table of a final outcome as this node computes it, if it comes to the same root.
    fn own_table(&mut self, last: &Final, outputs: &mut Vec<Output>) -> Option<Arc<EarningsTable>> {
        let span = Span::of(&last.outcome);
        let case = self.cases.get(&span);
        if case.is_some_and(|case| case.contradicted == Some(last.outcome)) {
            return None;
        }
        let table = self.table_at(span, last.worth)?;
        if table.root() == last.outcome.root {
            return Some(table);
        }
        if let Some(case) = self.case(span) {
            case.contradicted = Some(last.outcome);
        }
        let (theirs, own) = (last.outcome.root, table.root());
        outputs.push(Output::Notice(Notice::Contradicted { span, theirs, own }));
        None
    }

    /// The table after a span at a worth, if its epochs are whole here and the table before it is
    /// known.
    fn table_at(&self, span: Span, worth: u128) -> Option<Arc<EarningsTable>> {
        let own = self.cases.get(&span).and_then(|case| case.latest());
        if let Some(own) = own.filter(|own| own.worth() == worth) {
            return Some(own.table.clone());
        }
        let before = self.table_before(span.since)?;
        let table = self.sum(span)?.table(before, worth).ok()?;
        Some(Arc::new(table))
    }

    /// The table before an epoch, whatever the chain says of it.
    fn table_before(&self, since: EpochNumber) -> Option<&Arc<EarningsTable>> {
        let Some(before) = since.checked_sub(1) else {
            return Some(&self.nobody);
        };
        let mut tables = self.tables.range((before, B256::ZERO)..);
        let (_, table) = tables.next().filter(|((epoch, _), _)| *epoch == before)?;
        Some(table)
    }

    /// Keeps a final table.
    pub(super) fn adopt(&mut self, epoch: EpochNumber, table: Arc<EarningsTable>) -> Output {
        self.asked.remove(&Question::Table(table.root()));
        self.keep_table(epoch, table.clone());
        self.release_sum();
        Output::SaveTable(epoch, table)
    }

    pub(super) fn keep_table(&mut self, epoch: EpochNumber, table: Arc<EarningsTable>) {
        self.tables.insert((epoch, table.root()), table);
        while self.tables.len() > MAX_TABLES {
            self.tables.pop_first();
        }
    }

    /// Spans that can become final and are whole here, oldest first: those in their proposal window
    /// and the one that is pending.
    pub(super) fn open_spans(&self, now: Now) -> Vec<Span> {
        let since = self.state().since();
        let over = self.over(now);
        let whole = over.take_while(|epoch| {
            let draft = self.drafts.get(epoch);
            draft.is_some_and(|draft| draft.sum().is_some())
        });
        let spans = whole.map(|epoch| Span { since, epoch });
        let open: Vec<Span> = spans.filter(|span| self.is_open(*span, now)).collect();
        let skipped = open.len().saturating_sub(MAX_OPEN);
        let pending = self.pending_epoch();
        let kept = open.into_iter().enumerate().filter(|(index, span)| {
            // What is pending matters most, however old it is.
            *index >= skipped || Some(span.epoch) == pending
        });
        kept.map(|(_, span)| span).collect()
    }

    /// True if an outcome of the span may still be brought to the contract.
    pub(super) fn is_open(&self, span: Span, now: Now) -> bool {
        let pending = self.state().pending;
        let is_pending = pending.is_some_and(|pending| Span::of(&pending.outcome) == span);
        is_pending || now.latest <= self.schedule.last_proposal(span.epoch)
    }

    /// Computes the outcome of a span, or asks for what it lacks.
    pub(super) fn compute(&mut self, span: Span, now: Now, outputs: &mut Vec<Output>) {
        if self
            .cases
            .get(&span)
            .is_none_or(|case| case.sum().is_none())
        {
            let Some(sum) = self.sum(span) else { return };
            let Some(case) = self.case(span) else { return };
            case.summed(sum);
        }
        let before = match span.since {
            0 => Some(self.nobody.clone()),
            _ => self.final_table().cloned(),
        };
        let Some(case) = self.cases.get_mut(&span) else {
            return;
        };
        let points = case.sum().map_or(0, |sum| sum.points());
        let is_asked_for = points > 0 && case.worth().is_none();
        if let Some(Err(error)) = before.map(|before| case.compute(span, &before)) {
            outputs.push(Output::Notice(Notice::NoTable(span, error)));
        }
        if is_asked_for && self.caught_up && self.ask(Question::Terms(span), now) {
            outputs.push(Output::ReadTerms(TermsQuery { span, points }));
        }
    }
}
