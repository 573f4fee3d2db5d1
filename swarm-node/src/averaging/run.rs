//! A replica of an averaging job on the network: its member, fed with what happens.
//!
//! ```text
//! frames ─▶ signatures hold? ─▶ member ─▶ frames        what is sent depends on nothing that is not on disk
//!                                 ├─▶ engine's thread ─▶ state on disk ─▶ what came of it
//!                                 └─▶ transcript ─▶ sign once ─▶ transcript ─▶ everybody
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use swarm_identity::{
    AVERAGING_OFFER, AVERAGING_ROSTER, AVERAGING_ROUND, PeerId, Place, SignError, SignOnce, Signer,
};
use swarm_learn::averaging::member::{Event, Input, Member, Output};
use swarm_learn::averaging::message::{Body, Message};
use swarm_learn::averaging::settings::Settings;
use swarm_learn::averaging::transcript::{Completed, Replica, Statement};
use swarm_learn::averaging::work::{Engine as _, Task, Work};
use swarm_net::{
    Behaviour, ChannelEvent, ChannelLimits, Channels, Event as NetEvent, Events, Handle, StartError,
};
use tokio::sync::mpsc;

use super::keys::Keys;
use super::ledger::{Entry, MAX_TOLD, Refused};
use super::replica::SavedReplica;
use super::transcript::{Ending, Kept, Read, TranscriptError, TranscriptFile};
use super::word::{Counts, Word};
use crate::engine_thread::EngineThread;
use crate::job::Stop;
use crate::meeting::answer;
use crate::meeting::charter::{Charter, CharterError};
use crate::meeting::gathering::DUPLICATE;

/// Between two looks at the clock.
const TICK: Duration = Duration::from_millis(50);
/// Between two times that it is told what is known of everybody's records.
const COUNTS: Duration = Duration::from_secs(1);
/// A replica that is done stays for at least so long, so that others hear of its last round.
const STAYS: Duration = Duration::from_secs(2);

/// Why a replica's part ends early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The charter.
    #[error(transparent)]
    Charter(#[from] CharterError),
    /// This peer is none of the charter's.
    #[error("the charter does not name this peer; its key is another than that of the folder")]
    Stranger,
    /// Another process has this peer's key.
    #[error("{DUPLICATE}")]
    Duplicate,
    /// Its engine.
    #[error("the replica's engine: {0}")]
    Engine(String),
    /// Its channels.
    #[error(transparent)]
    Channels(#[from] StartError),
    /// Its transcript.
    #[error(transparent)]
    Transcript(#[from] TranscriptError),
    /// What it did may not be signed.
    #[error(
        "round {}: {source}; this replica has signed something else about that round, so its folder is an \
         old copy, or its engine does not give the same bits again",
        round + 1
    )]
    Sign {
        /// The round.
        round: u64,
        /// Why.
        source: Box<SignError>,
    },
    /// Others have records of this replica that it lacks.
    #[error(
        "others have {theirs} records of this replica, and its folder {own}; the folder is an old copy, and \
         going on would be signing twice"
    )]
    OldCopy {
        /// In the folder.
        own: u64,
        /// That others have.
        theirs: u64,
    },
    /// The network ended.
    #[error("the network has ended")]
    Network,
    /// It cannot go on.
    #[error("this replica cannot go on: {0}")]
    Stuck(String),
}

/// What a replica's owner sees.
pub trait Watcher {
    /// An inner step of a round is over: which of the round's, and its loss.
    fn trained(&mut self, round: u64, step: u64, loss: f32);
    /// A round is over and signed: the mean loss of its inner steps, and how long it took.
    fn moved(&mut self, completed: &Completed, loss: f32, took: Duration);
    /// Something else worth a line.
    fn event(&mut self, event: &Event);
    /// A replica can be reached again, or not any more.
    fn reached(&mut self, replica: Replica, is_up: bool);
}

/// What a replica runs with.
pub struct Running<'r, T> {
    /// Who takes part.
    pub charter: Charter,
    /// What they agree on.
    pub settings: Settings,
    /// Its engine, in the state after the last round that it signed.
    pub replica: SavedReplica,
    /// What its folder's transcript has.
    pub read: Read,
    /// Whether it has taken part before.
    pub again: bool,
    /// Its key.
    pub signer: Signer<T>,
    /// The network.
    pub handle: Handle,
    /// Longest message, in bytes.
    pub frame_bytes: u32,
    /// Its folder.
    pub folder: &'r Path,
    /// A request to end.
    pub stop: &'r Stop,
}

/// How a replica's part ended.
#[derive(Debug)]
pub struct Ended {
    /// The replica; none if its engine is gone.
    pub replica: Option<SavedReplica>,
    /// Whether its rounds are over.
    pub is_complete: bool,
}

/// The loss of an inner step, and its round.
type Step = (u64, f32);

/// Takes part until the rounds are over or somebody asks to stop.
///
/// # Errors
/// See [`RunError`].
pub async fn run<T: SignOnce>(
    running: Running<'_, T>,
    events: &mut Events,
    watcher: &mut dyn Watcher,
) -> Result<Ended, RunError> {
    let Running {
        charter,
        settings,
        mut replica,
        read,
        again,
        signer,
        handle,
        frame_bytes,
        folder,
        stop,
    } = running;
    let peers = charter.peers()?;
    let place = peers.iter().position(|peer| *peer == signer.peer());
    let me = Replica(place.ok_or(RunError::Stranger)? as u32);
    let charter = charter.to_text()?;
    let member = match again {
        true => {
            let roster = read.ledger.roster(me).cloned();
            Member::resume(settings.clone(), me, read.next_round(me), roster)
        }
        false => Member::new(settings.clone(), me),
    };
    // Bounded by the inner steps of a round, which are told before the next is asked for.
    let (told, mut steps) = mpsc::unbounded_channel::<Step>();
    replica.inner_mut().watch(move |round, report| {
        // The shell may have ended meanwhile.
        let _ = told.send((round, report.loss));
    });
    let perform = |replica: &mut SavedReplica, (task, work): (Task, Work)| {
        Some((task, replica.perform(work)))
    };
    let (engine, mut done) = EngineThread::start("replica", replica, perform)
        .map_err(|error| RunError::Engine(error.to_string()))?;
    let limits = ChannelLimits {
        frame_bytes,
        ..ChannelLimits::default()
    };
    let (channels, mut frames) =
        Channels::start(handle.clone(), settings.job.0, peers.clone(), limits)?;
    let mut shell = Shell {
        member,
        me,
        keys: Keys::new(&peers),
        counts: BTreeMap::new(),
        lost: BTreeSet::new(),
        peers,
        channels,
        handle,
        engine,
        signer,
        transcript: TranscriptFile::open(folder)?,
        read,
        settings,
        watcher,
        inputs: VecDeque::new(),
        losses: Vec::new(),
        round_begun: Instant::now(),
        unsigned: BTreeMap::new(),
        counted: None,
        stuck: None,
        finished: None,
    };
    shell.sign_again()?;
    let begun = Instant::now();
    let mut ticks = tokio::time::interval(TICK);
    let outputs = shell.member.start(begun.elapsed());
    shell.carry_out(outputs)?;
    loop {
        tokio::select! {
            // Steps of a round are told before what came of it.
            biased;
            Some(step) = steps.recv() => shell.step(step),
            Some((task, outcome)) = done.recv() => {
                shell.inputs.push_back(Input::Done { task, outcome });
            }
            _ = ticks.tick() => {
                shell.inputs.push_back(Input::Tick);
                shell.tell_counts();
            }
            event = frames.next() => shell.heard(event.ok_or(RunError::Network)?)?,
            event = events.next() => match event {
                Some(NetEvent::Request { bytes, reply, .. }) => answer(&charter, &bytes, reply),
                Some(NetEvent::DuplicateIdentity { is_newcomer: true }) => {
                    return Err(RunError::Duplicate);
                }
                Some(_) => {}
                None => return Err(RunError::Network),
            },
        }
        while let Some(input) = shell.inputs.pop_front() {
            let outputs = shell.member.handle(input, begun.elapsed());
            shell.carry_out(outputs)?;
        }
        if let Some(why) = shell.stuck {
            return Err(RunError::Stuck(why));
        }
        if shell.may_leave() || stop.is_requested() {
            let is_complete = shell.finished.is_some();
            // Whoever is stopped does not wait for the end of a round, which is done again.
            let engine = is_complete.then_some(shell.engine);
            return Ok(Ended {
                is_complete,
                replica: engine.and_then(EngineThread::end),
            });
        }
    }
}

struct Shell<'w, T> {
    member: Member,
    me: Replica,
    peers: Vec<PeerId>,
    keys: Keys,
    /// What others have of everybody's records, as they said last.
    counts: BTreeMap<Replica, Counts>,
    /// Who cannot be reached.
    lost: BTreeSet<Replica>,
    channels: Channels,
    handle: Handle,
    engine: EngineThread<SavedReplica, (Task, Work)>,
    signer: Signer<T>,
    transcript: TranscriptFile,
    /// What the transcript has.
    read: Read,
    settings: Settings,
    watcher: &'w mut dyn Watcher,
    inputs: VecDeque<Input>,
    /// Losses of the inner steps of this round.
    losses: Vec<f32>,
    round_begun: Instant,
    /// Of rounds that are over and not signed: mean loss, as bits, and how long they took.
    unsigned: BTreeMap<u64, (u32, Duration)>,
    /// When counts were told last.
    counted: Option<Instant>,
    stuck: Option<String>,
    finished: Option<Instant>,
}

impl<T: SignOnce> Shell<'_, T> {
    fn number(&self, peer: &PeerId) -> Option<Replica> {
        let place = self.peers.iter().position(|other| other == peer);
        place.map(|place| Replica(place as u32))
    }

    fn others(&self) -> impl Iterator<Item = Replica> + use<T> {
        let me = self.me;
        let all = (0..self.settings.replicas).map(Replica);
        all.filter(move |other| *other != me)
    }

    fn heard(&mut self, event: ChannelEvent) -> Result<(), RunError> {
        match event {
            ChannelEvent::Up(peer) => {
                if let Some(replica) = self.number(&peer) {
                    self.lost.remove(&replica);
                    self.watcher.reached(replica, true);
                    self.inputs.push_back(Input::Found(replica));
                }
            }
            ChannelEvent::Down(peer) => {
                if let Some(replica) = self.number(&peer) {
                    self.lost.insert(replica);
                    self.watcher.reached(replica, false);
                    self.inputs.push_back(Input::Lost(replica));
                }
            }
            ChannelEvent::Frame { from, bytes, .. } => {
                let (Some(replica), Ok(word)) = (self.number(&from), Word::from_bytes(&bytes))
                else {
                    self.handle.report(from, Behaviour::Malformed);
                    return Ok(());
                };
                match word {
                    Word::Member(message) => self.message(from, replica, message),
                    Word::Counts(counts) => self.others_have(from, replica, counts),
                    Word::Entries {
                        of,
                        from: first,
                        entries,
                    } => self.told(from, of, first, entries)?,
                }
            }
        }
        Ok(())
    }

    /// Hands a message on whose signatures hold.
    fn message(&mut self, peer: PeerId, from: Replica, message: Message) {
        let signed = message.signed(self.settings.job, from);
        let is_bounded = signed.len() <= self.peers.len();
        let holds = |(by, statement, signature): &(Replica, Statement, &[u8])| {
            self.keys.hold(*by, statement, signature)
        };
        if is_bounded && signed.iter().all(holds) {
            self.inputs.push_back(Input::Message { from, message });
        } else {
            self.handle.report(peer, Behaviour::InvalidRecord);
        }
    }

    /// Somebody says what it has of everybody's records: it is told what it lacks.
    fn others_have(&mut self, peer: PeerId, from: Replica, counts: Counts) {
        if counts.entries.len() != self.peers.len() {
            self.handle.report(peer, Behaviour::Malformed);
            return;
        }
        for (of, known) in (0..).map(Replica).zip(&counts.entries) {
            let entries = self.read.ledger.missing(of, *known);
            if !entries.is_empty() {
                let word = Word::Entries {
                    of,
                    from: *known,
                    entries: entries.to_vec(),
                };
                self.send(from, &word);
            }
        }
        self.counts.insert(from, counts);
    }

    /// Somebody tells records of a replica.
    fn told(
        &mut self,
        peer: PeerId,
        of: Replica,
        first: u64,
        entries: Vec<Entry>,
    ) -> Result<(), RunError> {
        if entries.len() > MAX_TOLD {
            self.handle.report(peer, Behaviour::Malformed);
            return Ok(());
        }
        for (number, entry) in (first..).zip(entries) {
            match self.read.ledger.check(of, number, &entry, &self.keys) {
                Ok(false) | Err(Refused::Gap) => {}
                Ok(true) if of == self.me => {
                    let own = self.read.ledger.of(of).len() as u64;
                    let theirs = number + 1;
                    return Err(RunError::OldCopy { own, theirs });
                }
                Ok(true) => self.keep(of, entry)?,
                Err(refused) => {
                    // What else is wrong may be of whoever made it, and not of whoever tells it.
                    if refused == Refused::Signature {
                        self.handle.report(peer, Behaviour::InvalidRecord);
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Keeps an entry: on disk first.
    fn keep(&mut self, of: Replica, entry: Entry) -> Result<(), RunError> {
        let kept = Kept::Told { of, entry };
        self.transcript.append(&kept)?;
        if let Kept::Told { of, entry } = kept {
            // Whose entry it is was checked.
            let _ = self.read.ledger.keep(of, entry);
        }
        Ok(())
    }

    /// Keeps an entry of this replica's own, and tells everybody.
    fn keep_own(&mut self, entry: Entry) -> Result<(), RunError> {
        let from = self.read.ledger.of(self.me).len() as u64;
        self.keep(self.me, entry.clone())?;
        let word = Word::Entries {
            of: self.me,
            from,
            entries: vec![entry],
        };
        for other in self.others() {
            self.send(other, &word);
        }
        Ok(())
    }

    fn send(&self, to: Replica, word: &Word) {
        if let Some(peer) = self.peers.get(to.index()) {
            let frame: Arc<[u8]> = word.to_bytes().into();
            // Whoever is down or behind is told again what it does not answer.
            let _ = self.channels.send(*peer, frame);
        }
    }

    /// Says now and then what is known of everybody's records.
    fn tell_counts(&mut self) {
        if self.counted.is_some_and(|last| last.elapsed() < COUNTS) {
            return;
        }
        self.counted = Some(Instant::now());
        let word = Word::Counts(self.own_counts());
        for other in self.others() {
            self.send(other, &word);
        }
    }

    fn own_counts(&self) -> Counts {
        Counts {
            entries: self.read.ledger.counts(),
            is_over: self.finished.is_some(),
        }
    }

    /// Whether nobody needs this replica any more, and it needs nobody: all that it reaches are
    /// over and have the same records; or it has waited for as long as somebody may have waited for
    /// somebody else.
    fn may_leave(&self) -> bool {
        let Some(finished) = self.finished else {
            return false;
        };
        let own = self.own_counts();
        let mut reached = self.others().filter(|other| !self.lost.contains(other));
        let all_over = reached.all(|other| self.counts.get(&other) == Some(&own));
        let stayed = finished.elapsed();
        (all_over && stayed > STAYS) || stayed > 4 * self.settings.patience + STAYS
    }

    fn step(&mut self, (round, loss): Step) {
        self.losses.push(loss);
        let number = self.losses.len() as u64;
        self.watcher.trained(round, number, loss);
    }

    fn carry_out(&mut self, outputs: Vec<Output>) -> Result<(), RunError> {
        for output in outputs {
            match output {
                Output::Send { to, message } => self.send_message(to, message),
                Output::Work { task, work } => self.work(task, work)?,
                Output::Sign(statement) => self.sign(&statement)?,
                Output::Event(event) => self.event(event)?,
            }
        }
        Ok(())
    }

    /// A content that somebody asks for again goes out again only if the one before is through.
    fn send_message(&mut self, to: Replica, message: Message) {
        let is_bulk = matches!(
            message.body,
            Body::Offer(_) | Body::Mean(_) | Body::Outer(_)
        );
        let waits = self.peers.get(to.index());
        let waits = waits.map_or(0, |peer| self.channels.waiting(peer));
        let bytes = self.settings.contribution_bytes;
        if !is_bulk || waits < bytes {
            self.send(to, &Word::Member(message));
        }
    }

    fn work(&mut self, task: Task, work: Work) -> Result<(), RunError> {
        if let Work::Train { round } = work {
            self.transcript.append(&Kept::Began(round))?;
            self.losses.clear();
            self.round_begun = Instant::now();
        }
        match self.engine.ask((task, work)) {
            true => Ok(()),
            false => Err(RunError::Engine("its thread has ended".into())),
        }
    }

    fn place(&self, statement: &Statement) -> Place {
        let (kind, round) = match statement {
            Statement::Offer { round, .. } => (AVERAGING_OFFER, *round),
            Statement::Round { round, .. } => (AVERAGING_ROUND, *round),
            Statement::Roster { number, .. } => (AVERAGING_ROSTER, u64::from(*number)),
        };
        Place {
            swarm: self.settings.job.0,
            kind,
            round,
            slot: 0,
        }
    }

    fn signature(&self, statement: &Statement) -> Result<Vec<u8>, SignError> {
        let place = self.place(statement);
        let signed = self.signer.sign(&place, &statement.digest().0);
        signed.map(|signature| signature.to_vec())
    }

    /// Signs at most one statement for each place. A round that may not be signed ends this
    /// replica's part; of a roster there is another number.
    fn sign(&mut self, statement: &Statement) -> Result<(), RunError> {
        let signature = match (self.signature(statement), statement) {
            (Ok(signature), _) => signature,
            (Err(_), Statement::Roster { .. }) => Vec::new(),
            (Err(source), Statement::Offer { round, .. } | Statement::Round { round, .. }) => {
                return Err(unsigned(*round, source));
            }
        };
        self.inputs.push_back(Input::Signed {
            statement: statement.digest(),
            signature,
        });
        Ok(())
    }

    /// Signs the round that was over when this peer ended, if it was not known to be signed.
    fn sign_again(&mut self) -> Result<(), RunError> {
        let Some(Ending {
            record,
            state,
            loss,
        }) = self.read.ending.take()
        else {
            return Ok(());
        };
        let round = record.round;
        let signature = self.signature(&record.statement(state));
        let signature = signature.map_err(|source| unsigned(round, source))?;
        let completed = Box::new(Completed {
            record,
            state,
            signature,
        });
        self.keep_own(Entry::Round { completed, loss })
    }

    /// Mean loss of the inner steps of this round, as bits.
    fn mean_loss(&self) -> u32 {
        let sum: f64 = self.losses.iter().map(|loss| f64::from(*loss)).sum();
        let mean = sum / self.losses.len().max(1) as f64;
        (mean as f32).to_bits()
    }

    fn event(&mut self, event: Event) -> Result<(), RunError> {
        match &event {
            Event::Roster(listed) => self.keep_own(Entry::Roster(listed.clone()))?,
            Event::Ending { record, state } => {
                let loss = self.mean_loss();
                let took = self.round_begun.elapsed();
                self.unsigned.insert(record.round, (loss, took));
                let ending = Ending {
                    record: (**record).clone(),
                    state: *state,
                    loss,
                };
                self.transcript.append(&Kept::Ending(ending))?;
            }
            Event::Round(completed) => {
                let known = self.unsigned.remove(&completed.record.round);
                let (loss, took) = known.unwrap_or_default();
                self.keep_own(Entry::Round {
                    completed: completed.clone(),
                    loss,
                })?;
                self.watcher.moved(completed, f32::from_bits(loss), took);
            }
            Event::Finished => {
                self.finished.get_or_insert_with(Instant::now);
                self.counted = None;
            }
            Event::Stuck(why) => self.stuck = Some(why.clone()),
            Event::Fault { .. } => {}
        }
        self.watcher.event(&event);
        Ok(())
    }
}

/// A round that may not be signed.
fn unsigned(round: u64, source: SignError) -> RunError {
    RunError::Sign {
        round,
        source: Box::new(source),
    }
}
