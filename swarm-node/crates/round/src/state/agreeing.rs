//! The open rounds of a core: from the end of their windows to their decisions.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Core;
use super::interface::{MAX_UNDECIDED, Output};
use crate::agreement::{
    Act, AdoptError, DecidedRound, Decision, History, Progress, RoundRecord, Surroundings, Times,
    Voters, Want,
};
use crate::allowance::Link;
use crate::clock::Round;
use crate::message_log::MessageLog;
use crate::transcript::RoundPlan;

/// Missed rounds are opened while no more than these are undecided.
const MAX_MISSED: usize = MAX_UNDECIDED / 2;
/// Rounds after which a missed one is opened: until then, others may know it decided.
const MISSED_AFTER: Round = 2;

impl Core {
    /// The windows of the active round are over: its members agree on what counts.
    pub(super) fn open_round(&mut self, out: &mut Vec<Output>) {
        let Some(active) = self.active.take() else {
            return;
        };
        let (me, in_time) = (active.me(), active.is_in_time());
        let start = self.clock.start(active.position());
        let times = Times::new(start, self.setup.config.windows.settle_ms);
        let progress = Progress::new(active.log, active.hellos.list(), me, times);
        self.open_progress(progress, me.is_some() && in_time, out);
    }

    /// Opens rounds that are over and that this node did not begin, if it may vote in them.
    pub(super) fn open_missed(&mut self, out: &mut Vec<Output>) {
        let now = self.seen.map_or(0, |(round, _)| round);
        let over = self.first..now.saturating_sub(MISSED_AFTER - 1);
        let missed = self.history.missing(over);
        let is_open =
            |round: &Round| self.open.contains_key(round) || self.elsewhere.contains(round);
        let missed = missed.filter(|round| !is_open(round));
        let open = self.open.len() + self.elsewhere.len();
        let room = MAX_MISSED.saturating_sub(open);
        for round in missed.take(room).collect::<Vec<_>>() {
            let Ok(plan) = self.plan(round) else { return };
            let me = plan.members.find(&self.setup.peer);
            if me.is_some() && self.history.voters(&plan).is_some() {
                let times = Times::new(self.now, self.setup.config.windows.settle_ms);
                let log = MessageLog::new(plan);
                let progress = Progress::new(log, BTreeMap::new(), me, times);
                self.missed.insert(round);
                self.open_progress(progress, true, out);
            }
        }
    }

    fn open_progress(&mut self, mut progress: Progress, signs: bool, out: &mut Vec<Output>) {
        let (round, mut acts) = (progress.round(), Vec::new());
        if signs {
            progress.sign_receipt(self.setup.peer, &mut acts);
        }
        self.open.insert(round, progress);
        self.act(round, acts, out);
        self.open_votes(out);
    }

    /// Begins to vote in the open rounds of which it is known by now who votes.
    pub(super) fn open_votes(&mut self, out: &mut Vec<Output>) {
        let rounds: Vec<Round> = self.open.keys().copied().collect();
        for round in rounds {
            self.with_open(round, out, |progress, history, around, acts| {
                if !progress.is_open()
                    && let Some(voters) = history.voters(progress.plan())
                {
                    progress.open(voters, around, acts);
                }
            });
        }
    }

    pub(super) fn tick_open(&mut self, out: &mut Vec<Output>) {
        let now = self.now;
        let due = |(round, progress): (&Round, &Progress)| {
            (progress.next_tick() <= now).then_some(*round)
        };
        let due: Vec<Round> = self.open.iter().filter_map(due).collect();
        self.is_moved |= !due.is_empty();
        for round in due {
            self.with_open(round, out, |progress, _, around, acts| {
                progress.tick(around, acts)
            });
        }
    }

    /// Lets an open round do something, and passes on what it wants.
    pub(super) fn with_open<R>(
        &mut self,
        round: Round,
        out: &mut Vec<Output>,
        work: impl FnOnce(&mut Progress, &History, Surroundings<'_>, &mut Vec<Act>) -> R,
    ) -> Option<R> {
        let around = Surroundings {
            peer: self.setup.peer,
            memo: &self.setup.memo,
            now: self.now,
        };
        let mut acts = Vec::new();
        let progress = self.open.get_mut(&round)?;
        let done = work(progress, &self.history, around, &mut acts);
        self.is_moved |= !acts.is_empty();
        self.act(round, acts, out);
        Some(done)
    }

    pub(super) fn act(&self, round: Round, acts: Vec<Act>, out: &mut Vec<Output>) {
        out.extend(acts.into_iter().map(|act| match act {
            Act::Sign(place, digest) => Output::Sign { place, digest },
            Act::Broadcast(bytes) => Output::Broadcast(bytes),
            Act::Ask(what) => Output::Ask(Want { round, what }),
        }));
    }

    /// Takes the decisions that are there by now.
    pub(super) fn decide(&mut self, out: &mut Vec<Output>) {
        let rounds: Vec<Round> = self.open.keys().copied().collect();
        for round in rounds {
            let decision = self.with_open(round, out, |progress, _, around, acts| {
                progress.decision(around.now, acts)
            });
            if let Some(Decision {
                certificate,
                minutes,
                transcript,
            }) = decision.flatten()
            {
                let judge = self.setup.judge.as_ref();
                let decided = DecidedRound::new(certificate, minutes, transcript, judge);
                self.decided(Arc::new(decided), out);
            }
        }
    }

    fn decided(&mut self, decided: Arc<DecidedRound>, out: &mut Vec<Output>) {
        self.is_moved = true;
        self.open.remove(&decided.round());
        self.elsewhere.remove(&decided.round());
        self.history.decided(decided.transcript(), &decided.minutes);
        let round = decided.round();
        out.push(Output::Decided(decided));
        self.open_votes(out);
        if self.missed.remove(&round) && self.missed.is_empty() {
            self.open_missed(out);
        }
    }

    pub(super) fn asked(&self, link: Link, want: &Want, out: &mut Vec<Output>) {
        let answer = self
            .open
            .get(&want.round)
            .map(|progress| progress.answer(&want.what));
        let messages = answer.into_iter().flatten();
        out.extend(messages.map(|bytes| Output::Send(link, bytes)));
    }

    /// A round's plan with its voters.
    fn voted_plan(&self, round: Round) -> Result<(Arc<RoundPlan>, Voters), AdoptError> {
        let unknown = AdoptError::Unknown(round);
        let plan = self.plan(round).map_err(|_| unknown.clone())?;
        let voters = self.history.voters(&plan).ok_or(unknown)?;
        Ok((plan, voters))
    }

    /// Takes a decided round over, if it proves itself.
    pub(super) fn adopt(&mut self, record: RoundRecord, out: &mut Vec<Output>) {
        let round = record.round();
        if self.history.contains(round) {
            return;
        }
        let (memo, judge) = (&self.setup.memo, self.setup.judge.as_ref());
        let opened = self.voted_plan(round).and_then(|(plan, voters)| {
            let decided = record.open(plan, &voters, memo, judge)?;
            Ok(Arc::new(decided))
        });
        match opened {
            Ok(decided) => {
                self.decided(decided, out);
                self.ask_for_more(out);
            }
            Err(error) => out.push(Output::NotAdopted(round, error)),
        }
    }
}
