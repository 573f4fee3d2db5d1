//! The machine of one node.
//!
//! ```text
//!   Decided ───────┐                     ┌─► SaveRound, SaveTable, SaveVotes, ForgetBefore
//!   Signed ────────┤                     ├─► Sign(outcome)        through the sign-once table
//!   Attestation ───┤  Settler::handle    ├─► Publish(vote)        to the other members
//!   Snapshot ──────┤       (now)         ├─► ReadSnapshot, ReadTerms   from the chain
//!   Terms, Table ──┤                     ├─► FetchRounds, FetchTable   from peers
//!   Events ────────┤                     ├─► Send(transaction)    to the owner account's writer
//!   Refused, Tick ─┤                     ├─► Rejected             something that came, alone
//!   Restored, … ───┘                     └─► Notice               for people
//! ```
//! After every input the machine looks at what it knows and does what is due: nothing that it does
//! depends on the order in which it learned something, so a restart and a reorganisation need no
//! transitions of their own. What chain time decides is decided by one of two times ([`Now`]): *not
//! yet* by what the next block will say, *too late* by the greatest time that a block has had
//! ([`crate::chain::ChainClock`] has the reasons).
//!
//! No I/O, clock or randomness. Bounded: [`MAX_EPOCHS`] epochs, [`MAX_SPANS`] spans with their
//! votes, [`MAX_TABLES`] tables.

mod carry;
mod compute;
mod dispute;
mod forget;
mod report;
mod transact;
mod vote;

use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::earnings::{EarningsError, EarningsTable};
use contracts::outcome::Outcome;
use contracts::typed::Domain;
use contracts::{Address, B256};

use super::attestation::Attestation;
use super::case::{Carried, Case};
use super::draft::{Draft, Electorate};
use super::event::{Action, Events, Input, Notice, Now, Output, Rejection, Terms, TermsQuery};
use super::facts::{ChainState, Fact, Facts};
use super::records::RoundRecord;
use super::schedule::{EpochNumber, Schedule};
use super::snapshot::Snapshot;
use super::span::Span;
use super::turns::{Pace, Turns};
use super::under_way::UnderWay;

/// Epochs of which rounds are kept. Beyond that the oldest final ones go; while none is final, the
/// first are added up.
pub const MAX_EPOCHS: usize = 1_024;
/// Spans of which votes are kept: the latest.
pub const MAX_SPANS: usize = 16;
/// Final tables that are kept: the latest.
pub const MAX_TABLES: usize = 4;
/// Time between two requests for the same thing, in milliseconds.
const ASK_MS: u64 = 5_000;

/// What a node's people decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Units below which a reward waits for more, as do fees and bonds, as the transaction would
    /// cost more gas than they are worth; 0 counts as 1.
    pub claim_from: u128,
    /// The node proposes and objects with a bond. Without it, it votes, makes final and claims.
    pub bonds: bool,
}

/// What the node's account has, in units of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// All that it ever earned by the newest final table that the node has.
    pub earned: u128,
    /// What it was paid.
    pub taken: u128,
}

/// Something that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    Snapshot(EpochNumber),
    Terms(Span),
    Table(B256),
    Rounds,
}

/// Settlement at one node.
#[derive(Debug)]
pub struct Settler {
    me: Address,
    account: Address,
    schedule: Schedule,
    domain: Domain,
    policy: Policy,
    drafts: BTreeMap<EpochNumber, Draft>,
    cases: BTreeMap<Span, Case>,
    /// Final tables, by the last epoch that they cover.
    tables: BTreeMap<(EpochNumber, B256), Arc<EarningsTable>>,
    /// The table before the first epoch.
    nobody: Arc<EarningsTable>,
    facts: Facts,
    caught_up: bool,
    pace: Pace,
    under_way: UnderWay,
    /// The claim that is under way, with what it proves.
    claiming: Option<(EpochNumber, u128)>,
    /// The collection that is under way: all that was credited when it began.
    collecting: Option<u128>,
    /// When what was asked for last, in milliseconds.
    asked: BTreeMap<Question, u64>,
    /// Epochs below this one were forgotten.
    floor: EpochNumber,
    /// The greatest block time at the last tick.
    ticked: u64,
    /// What people know of epochs that are too many.
    said_full: Option<Notice>,
    /// Epochs that were added up to make room.
    carried: Option<Carried>,
    /// Bindings and stakes of the epoch with which the pending outcome ends, where that epoch is
    /// not whole here.
    observed: Option<(EpochNumber, Arc<Electorate>)>,
    /// What was pending when the node lacked what proves it, and since when, in the chain's time.
    lacking: Option<(Outcome, u64)>,
}

impl Settler {
    /// A node with this node key's address that settles on a contract, from its first epoch on, and
    /// claims what this account earns.
    pub fn new(
        me: Address,
        account: Address,
        schedule: Schedule,
        domain: Domain,
        policy: Policy,
    ) -> Self {
        Self {
            me,
            account,
            schedule,
            domain,
            policy,
            drafts: BTreeMap::new(),
            cases: BTreeMap::new(),
            tables: BTreeMap::new(),
            nobody: Arc::default(),
            facts: Facts::default(),
            caught_up: false,
            pace: Pace::default(),
            under_way: UnderWay::default(),
            claiming: None,
            collecting: None,
            asked: BTreeMap::new(),
            floor: 0,
            ticked: 0,
            said_full: None,
            carried: None,
            observed: None,
            lacking: None,
        }
    }

    /// Takes an input and says what is to be done.
    pub fn handle(&mut self, input: Input, now: Now) -> Vec<Output> {
        let mut outputs = Vec::new();
        match input {
            Input::Decided(record) => self.decided(record, now, &mut outputs),
            Input::Signed(vote) => self.signed(vote, now, &mut outputs),
            Input::Attestation(vote) => outputs.extend(self.attestation(vote, now)),
            Input::Snapshot(epoch, snapshot) => self.snapshot(epoch, snapshot, &mut outputs),
            Input::Terms(query, terms) => self.terms(query, terms),
            Input::Table(table) => outputs.extend(self.received(table)),
            Input::Events(events) => self.events(events),
            Input::Refused(action) => self.refused(action, now),
            Input::Resumed(facts) => self.facts = *facts,
            Input::RestoredSum(record) => self.restore_sum(record),
            Input::Restored(record) => {
                self.add(&record, now, &mut outputs);
            }
            Input::RestoredTable(epoch, table) => self.keep_table(epoch, table),
            Input::RestoredVotes(votes) => self.restored(votes),
            Input::Tick => outputs.extend(self.forget_old(now)),
        }
        self.advance(now, &mut outputs);
        outputs
    }

    /// What the chain says, as far as it was read.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Where the node's signatures count.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// What the node's account has.
    pub fn account(&self) -> Account {
        let mut tables = self.tables.values().rev();
        let newest = self.final_table().or_else(|| tables.next());
        Account {
            earned: newest.map_or(0, |table| table.earned(self.account)),
            taken: self.state().taken,
        }
    }

    /// The table with this root, for whoever lacks it.
    pub fn table(&self, root: B256) -> Option<&Arc<EarningsTable>> {
        let mut tables = self.tables.iter();
        tables
            .find(|((_, known), _)| *known == root)
            .map(|(_, table)| table)
    }

    fn state(&self) -> &ChainState {
        self.facts.state()
    }

    /// The table of the last final outcome, if the node has it.
    fn final_table(&self) -> Option<&Arc<EarningsTable>> {
        let last = self.state().last?.outcome;
        self.tables.get(&(last.epoch, last.root))
    }

    /// Bindings and stakes of an epoch, once they are known.
    fn electorate(&self, epoch: EpochNumber) -> Option<Arc<Electorate>> {
        let draft = self.drafts.get(&epoch);
        let observed = self.observed.as_ref();
        draft
            .and_then(|draft| draft.electorate())
            .cloned()
            .or_else(|| {
                let (_, electorate) = observed.filter(|(observed, _)| *observed == epoch)?;
                Some(electorate.clone())
            })
    }

    /// True if every round of an epoch is decided here.
    fn is_whole(&self, epoch: EpochNumber) -> bool {
        if self.is_carried(epoch) {
            return true;
        }
        let draft = self.drafts.get(&epoch);
        draft.is_some_and(|draft| draft.is_whole(&self.schedule.rounds(epoch)))
    }

    /// The last epoch of what is pending.
    fn pending_epoch(&self) -> Option<EpochNumber> {
        self.state().pending.map(|pending| pending.outcome.epoch)
    }

    /// True if something may be asked for now; notes that it is.
    fn ask(&mut self, question: Question, now: Now) -> bool {
        let asked = self.asked.get(&question);
        let is_due = asked.is_none_or(|asked| now.ms >= asked.saturating_add(ASK_MS));
        if is_due {
            self.asked.insert(question, now.ms);
        }
        is_due
    }
}

// What happens.
impl Settler {
    fn decided(&mut self, record: RoundRecord, now: Now, outputs: &mut Vec<Output>) {
        let epoch = self.schedule.epoch_of(record.round());
        // Nobody needs the rounds of an epoch that is final.
        let is_wanted = epoch >= self.state().since() || self.drafts.contains_key(&epoch);
        if is_wanted && self.add(&record, now, outputs) {
            outputs.push(Output::SaveRound(record));
        }
    }

    /// Adds a round; false if it is there already or finds no room.
    fn add(&mut self, record: &RoundRecord, now: Now, outputs: &mut Vec<Output>) -> bool {
        let epoch = self.schedule.epoch_of(record.round());
        let is_old = epoch < self.floor || self.is_carried(epoch);
        if is_old || !self.has_room(epoch, now, outputs) {
            return false;
        }
        self.drafts.entry(epoch).or_default().add(record)
    }

    fn snapshot(&mut self, epoch: EpochNumber, snapshot: Snapshot, outputs: &mut Vec<Output>) {
        let turns = Turns::new(epoch, &snapshot);
        let electorate = Arc::new(Electorate { snapshot, turns });
        let rounds = self.schedule.rounds(epoch);
        let draft = self.drafts.get_mut(&epoch);
        if let Some(draft) = draft.filter(|draft| draft.is_whole(&rounds)) {
            draft.take_snapshot(electorate.clone());
        } else if self.pending_epoch() == Some(epoch) {
            self.observed = Some((epoch, electorate.clone()));
        } else {
            return;
        }
        self.asked.remove(&Question::Snapshot(epoch));
        for (span, case) in &mut self.cases {
            if span.epoch == epoch {
                let refused = case.check_held(&electorate.snapshot, &self.domain);
                outputs.extend(
                    refused
                        .into_iter()
                        .map(|(owner, why)| Output::Rejected(owner, why)),
                );
            }
        }
    }

    fn terms(&mut self, query: TermsQuery, terms: Terms) {
        let since = self.state().since();
        let Some(case) = self.cases.get_mut(&query.span) else {
            return;
        };
        // An answer from before or after the outcome that this node knows as the last is asked for
        // again, but not at once: the events that tell of it are still to come.
        let fits = terms.since == query.span.since && since == query.span.since;
        let is_asked = case.sum().is_some_and(|sum| sum.points() == query.points);
        if fits && is_asked {
            case.set_worth(Some(terms.worth));
            self.asked.remove(&Question::Terms(query.span));
        }
    }

    fn received(&mut self, table: Result<Arc<EarningsTable>, EarningsError>) -> Option<Output> {
        let rejected = |rejection| Some(Output::Rejected(Address::ZERO, rejection));
        let table = match table {
            Ok(table) => table,
            Err(error) => return rejected(Rejection::Table(error)),
        };
        let last = self.state().last.map(|last| last.outcome);
        let is_known = self.final_table().is_some();
        match last.filter(|last| !is_known && last.root == table.root()) {
            Some(last) => Some(self.adopt(last.epoch, table)),
            None => rejected(Rejection::Unwanted(table.root())),
        }
    }

    fn events(&mut self, events: Events) {
        if let Some(block) = events.rolled_back_to {
            self.facts.rollback(block, self.account);
            // What points are worth may have changed with what left the chain.
            let since = self.state().since();
            let current = self
                .cases
                .iter_mut()
                .filter(|(span, _)| span.since == since);
            current.for_each(|(_, case)| case.set_worth(None));
        }
        for (block, fact) in events.facts {
            self.facts.add(block, fact, self.account);
            if let Fact::Refused { epoch } = fact {
                self.under_way.forget_refused(epoch);
            }
        }
        self.pace.observe(events.head);
        self.caught_up = events.caught_up;
        let state = self.facts.state();
        self.under_way.forget_before(state.since());
        self.under_way.forget_collected(state.collected);
        self.release_sum();
    }

    fn refused(&mut self, action: Action, now: Now) {
        self.under_way.refused(action, now.ms);
        match action {
            Action::Judge(span, draw, batch) | Action::Refuse(span, draw, batch) => {
                let of_refusal = matches!(action, Action::Refuse(..));
                if let Some(case) = self.cases.get_mut(&span) {
                    case.batch_refused(of_refusal, draw, batch);
                }
            }
            Action::Claim(epoch) => {
                self.claiming = self.claiming.filter(|(claimed, _)| *claimed != epoch);
            }
            Action::Collect(credited) => {
                self.collecting = self.collecting.filter(|under_way| *under_way != credited);
            }
            _ => {}
        }
    }

    fn restored(&mut self, votes: Vec<Attestation>) {
        let domain = self.domain;
        for vote in votes {
            let span = Span::of(&vote.outcome);
            if let Some(case) = self.case(span) {
                // Each was checked before it was kept, and is checked again.
                let _ = case.ballot.attested(vote, None, &domain);
            }
        }
    }

    /// The case of a span; `None` if it is older than all that there is room for. There is always
    /// room for the one that is pending.
    fn case(&mut self, span: Span) -> Option<&mut Case> {
        if !self.cases.contains_key(&span) && self.cases.len() >= MAX_SPANS {
            let pending = self.state().pending;
            let pending = pending.map(|pending| Span::of(&pending.outcome));
            let mut spans = self.cases.keys().copied();
            let oldest = spans.find(|oldest| Some(*oldest) != pending)?;
            if span < oldest && Some(span) != pending {
                return None;
            }
            self.cases.remove(&oldest);
        }
        Some(self.cases.entry(span).or_default())
    }
}

// What is due.
impl Settler {
    fn advance(&mut self, now: Now, outputs: &mut Vec<Output>) {
        self.ask_owners(now, outputs);
        self.learn_final_table(now, outputs);
        let spans = self.open_spans(now);
        for span in &spans {
            self.compute(*span, now, outputs);
        }
        self.fetch_rounds(now, outputs);
        if self.caught_up {
            spans.iter().for_each(|span| self.vote(*span, now, outputs));
            self.transact(&spans, now, outputs);
            self.claim(now, outputs);
            self.collect(now, outputs);
        }
        self.keep_votes(outputs);
    }

    fn keep_votes(&mut self, outputs: &mut Vec<Output>) {
        let cases = self.cases.values_mut();
        let votes: Vec<Attestation> = cases.flat_map(|case| case.ballot.take_unkept()).collect();
        if !votes.is_empty() {
            outputs.push(Output::SaveVotes(votes));
        }
    }
}
