//! Writing down what a core is told, and telling it again: see [`journal`](crate::journal).

use swarm_identity::Place;
use swarm_identity::key::{PublicKey, SignatureBytes};

use super::active::ActiveRound;
use super::interface::{CoreSetup, Input, Output, Recorded, ReplayError};
use super::{Core, Replayed};
use crate::agreement::RoundRecord;
use crate::allowance::Link;
use crate::clock::{Millis, Round};
use crate::envelope::MAX_ENVELOPE;
use crate::journal::{
    Entry, JOURNAL_VERSION, Message, Record, SignatureRecord, SignedPlace, Snapshot,
};
use crate::membership::{MAX_MEMBERS, Roster};

// Writing.
impl Core {
    /// [`Core::handle`], and what the journal must hold of it.
    pub fn handle_recorded(&mut self, input: Input, now: Millis) -> Recorded {
        let at = self.now.max(now);
        let segment = self.clock.segment(at);
        let mut entries = Vec::new();
        if self.segment != Some(segment) {
            self.segment = Some(segment);
            entries.push(Entry::Begin(Box::new(self.journal_snapshot())));
        }
        let input = match input {
            Input::Work(round, work) => Input::Work(round, work.fit(&self.setup.config.game)),
            other => other,
        };
        let entry = recorded(&input);
        let outputs = self.handle(input, now);
        if self.is_moved {
            entries.push(entry);
        }
        entries.extend(outputs.iter().filter_map(|output| match output {
            Output::Decided(decided) => Some(Entry::Decided(decided.round())),
            _ => None,
        }));
        Recorded {
            outputs,
            segment,
            records: entries
                .into_iter()
                .map(|what| Record { at, what })
                .collect(),
        }
    }

    /// Rounds that were begun and are not decided, of which no later segment tells how they began.
    fn begun(&self) -> impl Iterator<Item = Round> + '_ {
        let active = self.active.iter().map(ActiveRound::round);
        let open = self.open.keys().chain(&self.elsewhere).copied();
        open.chain(active)
    }

    pub(crate) fn journal_snapshot(&self) -> Snapshot {
        Snapshot {
            version: JOURNAL_VERSION,
            swarm: self.swarm,
            peer: self.setup.peer,
            next_round: self.next_round,
            first: self.first,
            seen: self.seen,
            missed: self.missed.clone(),
            open: self.begun().collect(),
            lead: self.lead,
            registered: self.members.registered(),
            stakes: self.members.staked(),
            history: self.history.clone(),
        }
    }
}

/// What of an input a replay needs: of what others ask, of adopted rounds, which are noted by their
/// numbers, and of what is refused for its size, only the time.
fn recorded(input: &Input) -> Entry {
    match input {
        Input::Tick | Input::Asked(..) | Input::Adopt(_) => Entry::Tick,
        Input::Envelope(_, bytes) if bytes.len() > MAX_ENVELOPE => Entry::Tick,
        Input::Stakes(_, members) if members.len() > MAX_MEMBERS => Entry::Tick,
        Input::Lead(ms) => Entry::Lead(*ms),
        Input::Envelope(link, bytes) => Entry::Envelope(link.0, Message(bytes.clone())),
        Input::Work(round, work) => Entry::Work(*round, work.clone()),
        Input::Register(member) => Entry::Register(*member),
        Input::Stakes(epoch, members) => Entry::Stakes(*epoch, members.clone()),
        Input::Signed(place, signature) => {
            Entry::Signed(SignedPlace::from(place), SignatureRecord(*signature))
        }
        Input::Refused(place) => Entry::Refused(SignedPlace::from(place)),
    }
}

// Reading.
impl Core {
    /// Tells a new core what the journal's core was told. `archive` gives the decided rounds that
    /// the journal names.
    ///
    /// Act on the outstanding outputs, then go on with [`Core::handle_recorded`] and
    /// [`Input::Tick`].
    ///
    /// # Errors
    /// [`ReplayError`], with the remedy.
    pub fn replay(
        setup: CoreSetup,
        records: impl IntoIterator<Item = Record>,
        archive: &dyn Fn(Round) -> Option<RoundRecord>,
    ) -> Result<Replayed, ReplayError> {
        let mut records = records.into_iter();
        let Some(Record {
            at,
            what: Entry::Begin(snapshot),
        }) = records.next()
        else {
            return Err(ReplayError::Headless);
        };
        let mut core = Self::restored(setup, *snapshot, at)?;
        let mut decided = Vec::new();
        for record in records {
            decided.extend(core.repeat(record, archive)?);
        }
        let archived = |output: &Output| match output {
            Output::Decided(round) => archive(round.round()).is_some(),
            _ => true,
        };
        let mut outstanding = core.outstanding();
        outstanding.extend(decided.into_iter().filter(|output| !archived(output)));
        Ok(Replayed { core, outstanding })
    }

    fn restored(setup: CoreSetup, snapshot: Snapshot, at: Millis) -> Result<Self, ReplayError> {
        let Snapshot {
            version,
            swarm,
            peer,
            next_round,
            first,
            seen,
            missed,
            open,
            lead,
            registered,
            stakes,
            history,
        } = snapshot;
        if version != JOURNAL_VERSION {
            return Err(ReplayError::Version(version));
        }
        if (swarm, peer) != (setup.config.swarm_id(), setup.peer) {
            return Err(ReplayError::Foreign);
        }
        let mut roster = Roster::default();
        for (from, member) in registered {
            roster.register(member, from)?;
        }
        let mut core = Self::new(CoreSetup { roster, ..setup }, at)?;
        for (epoch, members) in stakes {
            core.members.stakes(epoch, members, 0)?;
        }
        core.segment = Some(core.clock.segment(at));
        (core.next_round, core.first, core.seen) = (next_round, first, seen);
        (core.missed, core.lead, core.history) = (missed, lead, history);
        core.elsewhere = open;
        Ok(core)
    }

    /// Repeats a record, and returns the rounds that it decided.
    fn repeat(
        &mut self,
        record: Record,
        archive: &dyn Fn(Round) -> Option<RoundRecord>,
    ) -> Result<Vec<Output>, ReplayError> {
        let Record { at, what } = record;
        let segment = self.clock.segment(at);
        let input = match what {
            Entry::Begin(snapshot) => return self.check_segment(segment, &snapshot),
            Entry::Tick => Input::Tick,
            Entry::Lead(ms) => Input::Lead(ms),
            Entry::Envelope(link, bytes) => Input::Envelope(Link(link), bytes.0),
            Entry::Work(round, work) => Input::Work(round, work),
            Entry::Register(member) => Input::Register(member),
            Entry::Stakes(epoch, members) => Input::Stakes(epoch, members),
            Entry::Signed(place, SignatureRecord(signature)) => {
                let place = place.of(self.swarm);
                if !self.is_signature(&place, &signature) {
                    return Err(ReplayError::Diverged(segment));
                }
                Input::Signed(place, signature)
            }
            Entry::Refused(place) => Input::Refused(place.of(self.swarm)),
            Entry::Decided(round) if self.history.contains(round) => return Ok(Vec::new()),
            Entry::Decided(round) => {
                let record = archive(round).ok_or(ReplayError::Missing(round))?;
                Input::Adopt(Box::new(record))
            }
        };
        let adopts = matches!(input, Input::Adopt(_));
        let outputs = self.handle(input, at);
        let decided = outputs
            .into_iter()
            .filter(|output| matches!(output, Output::Decided(_)));
        let decided: Vec<_> = decided.collect();
        match adopts && decided.is_empty() {
            true => Err(ReplayError::Diverged(segment)),
            false => Ok(decided),
        }
    }

    /// A later segment begins: both cores must know the same.
    fn check_segment(
        &mut self,
        segment: Round,
        snapshot: &Snapshot,
    ) -> Result<Vec<Output>, ReplayError> {
        self.segment = Some(segment);
        match self.journal_snapshot() == *snapshot {
            true => Ok(Vec::new()),
            false => Err(ReplayError::Diverged(segment)),
        }
    }

    /// False if a message waits for a signature, and this is not it.
    fn is_signature(&self, place: &Place, signature: &SignatureBytes) -> bool {
        let outbox = match self.open.get(&place.round) {
            Some(progress) => Some(&progress.outbox),
            None => self.active.as_ref().map(|active| &active.outbox),
        };
        let mut waiting = outbox.into_iter().flat_map(|outbox| outbox.waiting());
        let message = waiting.find(|message| message.header().place() == *place);
        message.is_none_or(|message| {
            PublicKey::try_from(self.setup.peer)
                .is_ok_and(|key| key.verify(&message.digest(), signature))
        })
    }

    fn outstanding(&self) -> Vec<Output> {
        let mut out = Vec::new();
        for (round, progress) in &self.open {
            self.act(*round, progress.outstanding(), &mut out);
        }
        if let Some(active) = &self.active {
            active.outstanding(&mut out);
        }
        out
    }
}
