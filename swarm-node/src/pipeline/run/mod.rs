//! A peer of a pipeline on the network: its member, fed with what happens.
//!
//! ```text
//! channels, requests ─▶ inputs ─▶ Member ─▶ outputs ─▶ channels, engine thread, planner, transcript
//!                          ▲                  │
//!                          └── done, planned ◀┘     [`across`]: the same for its Exchange with others
//! ```

mod across;
mod planning;
mod seating;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use skippipe::content::Digest;
use skippipe::event::Event;
use skippipe::measured::{Measurements, Part, StageTimes};
use skippipe::meeting::Replica;
use skippipe::member::{Input, Member, Output};
use skippipe::message::When;
use skippipe::path::{Hop, Peer, Stage};
use skippipe::predict::Prediction;
use skippipe::settings::Settings;
use skippipe::transcript::{Roster, Stated, Statement, StepRecord};
use skippipe::wire;
use skippipe::work::{Engine as _, Outcome, Task, Work};
use swarm_identity::{PIPELINE_STEP, PeerId, Place, SignOnce, Signer};
use swarm_learn::pipeline::worker::WorkerError;
use swarm_learn::pipelines::exchange::{self, Exchange};
use swarm_learn::pipelines::settings::Seat;
use swarm_net::{
    Behaviour, ChannelEvent, ChannelLimits, Channels, Event as NetEvent, Events, Handle, StartError,
};
use tokio::sync::mpsc;

use crate::averaging::keys::Keys;
use crate::engine_thread::EngineThread;
use crate::job::Stop;
use crate::meeting::charter::{Charter, CharterError};
use crate::meeting::gathering::DUPLICATE;
use crate::meeting::{Answer, Ask};
use crate::pipeline::blueprint::{Across, by_turns};
use crate::pipeline::kept::KeepingWorker;
use crate::pipeline::paths::{Planned, Wish};
use crate::pipeline::probe::file::FileError;
use crate::pipeline::probe::links::{Fault, Start};
use crate::pipeline::probe::{Links, file};
use crate::pipeline::seats::{self, SeatError};
use crate::pipeline::transcript::{Entry, TranscriptFile};
use crate::pipeline::word::Word;

/// Between two looks at the clock.
const TICK: Duration = Duration::from_millis(50);
/// How long a peer stays for others after its last step, or after one of them came back.
const LINGER: Duration = Duration::from_secs(3);
/// How long it stays for those that are away then.
const LINGER_FOR_AWAY: Duration = Duration::from_secs(15);
/// How long a peer is without the others before its owner is told.
const ALONE: Duration = Duration::from_secs(5);

/// Why a peer's part ends early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The charter.
    #[error(transparent)]
    Charter(#[from] CharterError),
    /// This peer is none of the charter's.
    #[error("the charter does not name this peer; its key is another than that of the folder")]
    Stranger,
    /// Its stage.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// Its engine.
    #[error("the stage's engine: {0}")]
    Engine(String),
    /// Its channels.
    #[error(transparent)]
    Channels(#[from] StartError),
    /// A file.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// What was measured.
    #[error(transparent)]
    Measured(#[from] FileError),
    /// There is no randomness.
    #[error("the system gives no randomness: {0}")]
    Random(getrandom::Error),
    /// The network ended.
    #[error("the network has ended")]
    Network,
    /// Another process has this peer's key.
    #[error("{DUPLICATE}")]
    Duplicate,
    /// Who was admitted, as the charter says.
    #[error("the charter cannot be: {0}")]
    Seats(#[from] SeatError),
    /// The pipeline cannot go on.
    #[error("the pipeline cannot go on: {0}")]
    Stuck(&'static str),
}

/// What a peer's owner sees.
pub trait Watcher {
    /// Links are being measured: rounds that are over, and all.
    fn measuring(&mut self, over: u32, rounds: u32);
    /// What is known of links and engines before the first step, or after coming back.
    fn measured(&mut self, known: &Measurements, roster: &Roster, wish: &Wish);
    /// This peer leads and has planned: what steps should take from here on.
    fn planned(&mut self, prediction: &Prediction);
    /// A step is over: its record, how long it took since the one before, and what its paths should
    /// take, where that can be told.
    fn stepped(&mut self, record: &StepRecord, took: Duration, predicted: Option<&Prediction>);
    /// Something else worth a line.
    fn event(&mut self, event: &Event);
    /// No peer of the job is connected.
    fn alone(&mut self);
    /// A peer of another pipeline sent what it must not.
    fn fault_across(&mut self, seat: Seat, what: &str);
    /// All steps are over, and this peer stays so long for those that are away.
    fn staying(&mut self, away: &[Peer], longest: Duration);
}

/// What a peer runs with.
pub struct Running<'r, T> {
    /// Who takes part.
    pub charter: Charter,
    /// What the members of its pipeline agree on.
    pub settings: Settings,
    /// What all pipelines agree on, where there are several.
    pub across: Option<Across>,
    /// Its stage, or an engine without one where it has taken part before.
    pub worker: KeepingWorker,
    /// Its key.
    pub signer: Signer<T>,
    /// The network.
    pub handle: Handle,
    /// What the planner is told.
    pub wish: Wish,
    /// What its stage takes on its engine; none where it has taken part before.
    pub times: Option<StageTimes>,
    /// Whether it has taken part before: it measures nothing, and uses what its folder has.
    pub again: bool,
    /// Every so many steps nothing is skipped.
    pub full_every: u64,
    /// Longest message, in bytes.
    pub frame_bytes: u32,
    /// Its folder.
    pub folder: &'r Path,
    /// A request to end.
    pub stop: &'r Stop,
}

/// How a peer's part ended.
#[derive(Debug)]
pub struct Ended {
    /// Its stage, with parameters and moments; none if its engine is gone.
    pub worker: Option<KeepingWorker>,
    /// The steps that it has seen the end of.
    pub steps: u64,
    /// Where it ended.
    pub held: Option<(Stage, Digest)>,
    /// Whether all steps are done.
    pub is_complete: bool,
}

impl Ended {
    /// The part of a peer that had seen all steps before.
    pub fn before(steps: u64) -> Self {
        Self {
            worker: None,
            steps,
            held: None,
            is_complete: true,
        }
    }
}

/// Takes part until the job is done or somebody asks to stop.
///
/// # Errors
/// See [`RunError`].
pub async fn run<T: SignOnce + Clone + 'static>(
    running: Running<'_, T>,
    events: &mut Events,
    watcher: &mut dyn Watcher,
) -> Result<Ended, RunError> {
    let Running {
        charter,
        settings,
        across,
        worker,
        signer,
        handle,
        wish,
        times,
        again,
        full_every,
        frame_bytes,
        folder,
        stop,
    } = running;
    let mut all = charter.peers()?;
    if across.is_none() {
        all = seats::members(settings.job, all, &charter.admitted)?;
    }
    let place = all.iter().position(|peer| *peer == signer.peer());
    let place = place.ok_or(RunError::Stranger)?;
    let (seat, peers) = match across {
        Some(_) => {
            let seat = seat_of(place, &settings);
            let first = seat.pipeline.index() * settings.peers as usize;
            let own = all.iter().skip(first).take(settings.peers as usize);
            (seat, own.copied().collect())
        }
        None => {
            let (pipeline, peer) = (Replica(0), Peer(place as u32));
            (Seat { pipeline, peer }, all.clone())
        }
    };
    let me = seat.peer;
    let state = worker.worker().state()?;
    let roster = by_turns(settings.stages, settings.peers);
    let member = Member::new(settings.clone(), me, roster.clone(), state);
    let member = member.with_admitted(charter.admitted.clone());
    let perform = |worker: &mut KeepingWorker, (asker, task, work): Asked| {
        let outcome = worker.perform(task, work)?;
        Some((asker, task, outcome, worker.failure()))
    };
    let (engine, mut done) = EngineThread::start("stage", worker, perform)
        .map_err(|error| RunError::Engine(error.to_string()))?;
    let limits = ChannelLimits {
        frame_bytes,
        ..ChannelLimits::default()
    };
    let (channels, mut frames) = Channels::start(
        handle.clone(),
        job_of_all(&settings, &across),
        all.clone(),
        limits,
    )?;
    let transcript = TranscriptFile::open(folder).map_err(|source| RunError::File {
        path: folder.join(super::transcript::TRANSCRIPT),
        source,
    })?;
    let known = file::load(folder, peers.len() as u32)?;
    let mut links = Links::start(
        handle.clone(),
        Start {
            job: settings.job,
            peers: peers.clone(),
            me,
            known: again.then(|| known.unwrap_or_default()),
            times,
            seed: getrandom::u64().map_err(RunError::Random)?,
            folder: folder.to_owned(),
        },
    )?;
    let (planned, mut plans) = mpsc::unbounded_channel();
    if !again {
        measure(&mut links, events, &charter, watcher, stop).await?;
    }
    links.save()?;
    watcher.measured(links.known(), &roster, &wish);
    let begun = Instant::now();
    let mut shell = Shell {
        member,
        charter,
        me,
        seat,
        keys: Keys::new(&all),
        all,
        exchange: across
            .as_ref()
            .map(|across| Exchange::new(across.settings.clone(), seat)),
        across,
        exchanged: VecDeque::new(),
        peers,
        channels,
        handle,
        wish,
        links,
        plans: BTreeMap::new(),
        engine,
        signer,
        transcript,
        folder,
        settings,
        planned,
        watcher,
        inputs: VecDeque::new(),
        step_begun: None,
        stuck: None,
        finished: None,
        away: BTreeSet::new(),
        returned: None,
        together: Some(begun),
        full_every,
        asked: VecDeque::new(),
        idle_since: begun,
        seen_stage: None,
    };
    let mut ticks = tokio::time::interval(TICK);
    let outputs = shell.member.start(begun.elapsed());
    shell.carry_out(outputs)?;
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let faults = shell.links.tick();
                shell.faults(faults);
                shell.look_for_others();
                shell.inputs.push_back(Input::Tick);
                shell.exchanged.push_back(exchange::Input::Tick);
            }
            Some((asker, task, outcome, failure)) = done.recv() => {
                if let Some(why) = failure {
                    let what = format!("keeps no more steps for audits: {why}");
                    shell.watcher.event(&Event::Fault { peer: shell.me, what });
                }
                shell.done(asker, task, outcome);
            }
            Some(drawn) = plans.recv() => shell.drawn(drawn),
            event = shell.links.next() => match event {
                Some(event) => {
                    let faults = shell.links.heard(event);
                    shell.faults(faults);
                }
                None => return Err(RunError::Network),
            },
            event = frames.next() => match event {
                Some(event) => shell.heard(event),
                None => return Err(RunError::Network),
            },
            event = events.next() => match event {
                Some(event) => shell.network(event)?,
                None => return Err(RunError::Network),
            },
        }
        loop {
            if let Some(input) = shell.inputs.pop_front() {
                let outputs = shell.member.handle(input, begun.elapsed());
                shell.carry_out(outputs)?;
            } else if let Some(input) = shell.exchanged.pop_front() {
                shell.exchange(input, begun.elapsed())?;
            } else {
                break;
            }
        }
        if let Some(why) = shell.stuck {
            return Err(RunError::Stuck(why));
        }
        if shell.has_lingered() || stop.is_requested() {
            shell.links.save()?;
            let held = shell.member.held();
            return Ok(Ended {
                steps: shell.member.next(),
                is_complete: shell.finished.is_some(),
                worker: shell.engine.end(),
                held,
            });
        }
    }
}

/// Measures links until all pairs are over.
async fn measure(
    links: &mut Links,
    events: &mut Events,
    charter: &Charter,
    watcher: &mut dyn Watcher,
    stop: &Stop,
) -> Result<(), RunError> {
    let mut ticks = tokio::time::interval(TICK);
    let mut told = None;
    while !links.is_over() && !stop.is_requested() {
        let (over, rounds) = links.progress();
        if told.replace(over) != Some(over) {
            watcher.measuring(over, rounds);
        }
        let faults = tokio::select! {
            _ = ticks.tick() => links.tick(),
            event = links.next() => links.heard(event.ok_or(RunError::Network)?),
            event = events.next() => {
                match event.ok_or(RunError::Network)? {
                    NetEvent::Request { from, bytes, reply } => {
                        let is_member = charter.peers()?.contains(&from);
                        let answer = match is_member {
                            true => Answer::Charter(charter.to_text()?),
                            // Whoever comes now is admitted when the first step is under way.
                            false => Answer::Admitting,
                        };
                        if wire::from_bytes::<Ask>(&bytes).is_ok() {
                            // A peer that does not wait any more asks again.
                            let _ = reply.send(wire::to_bytes(&answer));
                        }
                    }
                    NetEvent::DuplicateIdentity { is_newcomer: true } => {
                        return Err(RunError::Duplicate);
                    }
                    _ => {}
                }
                Vec::new()
            }
        };
        for fault in faults {
            watcher.event(&fault.into());
        }
    }
    Ok(())
}

impl From<Fault> for Event {
    fn from(fault: Fault) -> Self {
        let Fault { peer, what } = fault;
        Self::Fault { peer, what }
    }
}

/// Where a peer of the charter is, where pipelines meet.
fn seat_of(place: usize, settings: &Settings) -> Seat {
    let (place, peers) = (place as u32, settings.peers.max(1));
    Seat {
        pipeline: Replica(place / peers),
        peer: Peer(place % peers),
    }
}

/// What the channels of all peers are named by.
fn job_of_all(settings: &Settings, across: &Option<Across>) -> [u8; 32] {
    let across = across.as_ref().map(|across| across.settings.job);
    across.unwrap_or(settings.job).0
}

/// Who asks the engine for work; each names its tasks itself.
#[derive(Clone, Copy, Debug)]
enum Asker {
    Member,
    Exchange,
}

type Asked = (Asker, Task, Work);

/// A plan for the steps of a roster.
struct Drawn {
    when: When,
    visits: u16,
    roster: Roster,
    /// What was known of links and engines.
    revision: u64,
    planned: Planned,
}

struct Shell<'r, 'w, T> {
    member: Member,
    charter: Charter,
    me: Peer,
    seat: Seat,
    /// The peers of its pipeline.
    peers: Vec<PeerId>,
    /// Those of all pipelines, and their keys by their places.
    all: Vec<PeerId>,
    keys: Keys,
    across: Option<Across>,
    exchange: Option<Exchange>,
    exchanged: VecDeque<exchange::Input>,
    channels: Channels,
    handle: Handle,
    wish: Wish,
    links: Links,
    /// The last plan for steps of so many visits.
    plans: BTreeMap<u16, Drawn>,
    engine: EngineThread<KeepingWorker, Asked>,
    signer: Signer<T>,
    transcript: TranscriptFile,
    folder: &'r Path,
    settings: Settings,
    planned: mpsc::UnboundedSender<Drawn>,
    watcher: &'w mut dyn Watcher,
    inputs: VecDeque<Input>,
    /// When the step before was over here, or this one began; none before the first.
    step_begun: Option<Instant>,
    stuck: Option<&'static str>,
    finished: Option<Instant>,
    /// Peers that cannot be reached.
    away: BTreeSet<Peer>,
    /// When one of them came back last.
    returned: Option<Instant>,
    /// When a peer of the job was last seen connected; none once it was told that there is none.
    together: Option<Instant>,
    full_every: u64,
    /// Work that the engine has or will have, in its order, and since when.
    asked: VecDeque<(Task, Part, Instant)>,
    /// When it was done with something last.
    idle_since: Instant,
    /// The stage whose work was seen.
    seen_stage: Option<Stage>,
}

impl<T: SignOnce> Shell<'_, '_, T> {
    fn number(&self, peer: &PeerId) -> Option<Peer> {
        let place = self.peers.iter().position(|other| other == peer);
        place.map(|place| Peer(place as u32))
    }

    /// Where a peer of any pipeline is.
    fn seat_of(&self, peer: &PeerId) -> Option<Seat> {
        if self.across.is_none() {
            let pipeline = self.seat.pipeline;
            return self.number(peer).map(|peer| Seat { pipeline, peer });
        }
        let place = self.all.iter().position(|other| other == peer)?;
        Some(seat_of(place, &self.settings))
    }

    fn heard(&mut self, event: ChannelEvent) {
        match event {
            ChannelEvent::Up(peer) => {
                if let Some(peer) = self.number(&peer) {
                    self.away.remove(&peer);
                    self.returned = Some(Instant::now());
                    self.inputs.push_back(Input::Found(peer));
                } else if let Some(seat) = self.seat_of(&peer) {
                    self.exchanged.push_back(exchange::Input::Found(seat));
                }
            }
            ChannelEvent::Down(peer) => {
                if let Some(peer) = self.number(&peer) {
                    self.away.insert(peer);
                    self.inputs.push_back(Input::Lost(peer));
                } else if let Some(seat) = self.seat_of(&peer) {
                    self.exchanged.push_back(exchange::Input::Lost(seat));
                }
            }
            ChannelEvent::Frame { from, bytes, took } => {
                let seat = self.seat_of(&from);
                if let Some(from) = self.number(&from) {
                    self.links.arrived(from, bytes.len(), took);
                }
                match (seat, Word::from_bytes(&bytes)) {
                    (Some(seat), Ok(Word::Member(message)))
                        if seat.pipeline == self.seat.pipeline =>
                    {
                        let from = seat.peer;
                        self.inputs.push_back(Input::Message { from, message });
                    }
                    (Some(seat), Ok(Word::Across(message)))
                        if seat.pipeline != self.seat.pipeline =>
                    {
                        self.heard_across(from, seat, message);
                    }
                    _ => {
                        self.handle.report(from, Behaviour::Malformed);
                    }
                }
            }
        }
    }

    fn done(&mut self, asker: Asker, task: Task, outcome: Outcome) {
        match asker {
            Asker::Member => {
                self.worked(task);
                self.inputs.push_back(Input::Done { task, outcome });
            }
            Asker::Exchange => {
                let done = exchange::Input::Done { task, outcome };
                self.exchanged.push_back(done);
            }
        }
    }

    /// A task is done: how long it took, without what the engine did before it.
    fn worked(&mut self, task: Task) {
        let now = Instant::now();
        let place = self.asked.iter().position(|(asked, ..)| *asked == task);
        // The engine takes tasks in their order; those before this one have ended without a word.
        let own = place.and_then(|place| self.asked.drain(..=place).next_back());
        if let Some((_, part, asked)) = own {
            let took = now.saturating_duration_since(asked.max(self.idle_since));
            self.links.worked(part, took);
        }
        self.idle_since = now;
    }

    /// Says once that nobody is there; again if somebody was meanwhile.
    fn look_for_others(&mut self) {
        let is_connected = |peer: &PeerId| self.handle.connected_since(peer).is_some();
        if self.peers.iter().any(is_connected) {
            self.together = Some(Instant::now());
        } else if self.together.is_some_and(|at| at.elapsed() > ALONE) {
            self.together = None;
            self.watcher.alone();
        }
    }

    /// All steps are done here.
    fn finish(&mut self) {
        if self.finished.is_some() {
            return;
        }
        self.finished = Some(Instant::now());
        if !self.away.is_empty() {
            let away: Vec<Peer> = self.away.iter().copied().collect();
            self.watcher.staying(&away, LINGER_FOR_AWAY);
        }
    }

    /// Whether nobody needs this peer any more after its last step, or nobody came for so long.
    fn has_lingered(&self) -> bool {
        let Some(finished) = self.finished else {
            return false;
        };
        let last = self.returned.map_or(finished, |at| at.max(finished));
        // Other pipelines may come to the last meeting later.
        let across = self.across.as_ref();
        let patience = across.map_or(LINGER, |across| across.settings.patience.max(LINGER));
        let nobody_left = self.away.is_empty() && last.elapsed() > patience;
        nobody_left || last.elapsed() > LINGER_FOR_AWAY
    }

    fn carry_out(&mut self, outputs: Vec<Output>) -> Result<(), RunError> {
        for output in outputs {
            match output {
                Output::Send { to, message } => {
                    if let Some(peer) = self.peers.get(to.index()) {
                        let frame: Arc<[u8]> = Word::Member(message).to_bytes().into();
                        // Whoever is down or behind is told again what it does not answer.
                        let _ = self.channels.send(*peer, frame);
                    }
                }
                Output::Work { task, work } => {
                    if let Some(part) = Part::of(&work) {
                        self.asked.push_back((task, part, Instant::now()));
                    }
                    if !self.engine.ask((Asker::Member, task, work)) {
                        return Err(RunError::Engine("its thread has ended".into()));
                    }
                }
                Output::Plan { when, roster } => self.plan(when, roster),
                Output::Sign(statement) => self.sign(&statement),
                Output::Present(present) => {
                    let present = exchange::Input::Present(present);
                    self.exchanged.push_back(present);
                }
                Output::Concluded(concluded) => {
                    let concluded = exchange::Input::Concluded(concluded);
                    self.exchanged.push_back(concluded);
                }
                Output::SignAdmission(admission) => self.sign_admission(admission),
                Output::CheckAdmission(admission) => self.check_admission(admission),
                Output::Event(event) => self.event(event)?,
            }
        }
        Ok(())
    }

    /// Signs once for each step; where it cannot, the statement has no signature, which is told.
    fn sign(&mut self, statement: &Statement) {
        let place = Place {
            swarm: statement.job.0,
            kind: PIPELINE_STEP,
            round: statement.step,
            slot: statement.stage.0,
        };
        let digest = statement.digest();
        let signature = match self.signer.sign(&place, &digest.0) {
            Ok(signature) => signature.into(),
            Err(error) => {
                let what = format!("does not sign step {}: {error}", statement.step);
                self.watcher.event(&Event::Fault {
                    peer: self.me,
                    what,
                });
                Vec::new()
            }
        };
        self.inputs.push_back(Input::Signed {
            statement: digest,
            signature,
        });
    }

    fn event(&mut self, event: Event) -> Result<(), RunError> {
        match &event {
            Event::Began { .. } => {
                self.step_begun.get_or_insert_with(Instant::now);
            }
            Event::Moved { step, state } => {
                if let Some(round) = self.settings.round_of(*step) {
                    self.exchanged.push_back(exchange::Input::Moved { round });
                }
                if let (Some(record), Some((stage, _))) = (self.member.last(), self.member.held()) {
                    let peer = self.number(&self.signer.peer());
                    let hop = peer.map(|peer| Hop { stage, peer });
                    let stated = Stated {
                        state: *state,
                        sums: self.member.sums().clone(),
                        signature: Vec::new(),
                    };
                    let entry = Entry {
                        record: record.clone(),
                        stated: hop.into_iter().map(|hop| (hop, stated.clone())).collect(),
                    };
                    self.keep(&entry)?;
                    if self.seen_stage.replace(stage) != Some(stage) {
                        self.links.forget_work();
                    }
                    let faults = self.links.refine(Some(stage));
                    self.faults(faults);
                    let now = Instant::now();
                    let begun = self.step_begun.replace(now).unwrap_or(now);
                    let predicted = self.predicted(&entry.record);
                    self.watcher
                        .stepped(&entry.record, now - begun, predicted.as_ref());
                }
                if self.member.next() >= self.settings.steps {
                    self.finish();
                }
            }
            Event::Stepped(stepped) => {
                let stated = stepped.statements.clone();
                let entry = Entry {
                    record: stepped.record.clone(),
                    stated: stated.into_iter().collect(),
                };
                self.keep(&entry)?;
            }
            Event::Admitted(admission) => self.admitted(admission)?,
            Event::Withdrawn(first) => {
                self.peers.truncate(first.index());
                self.links.keep_first(first.index());
                let of_start = self.charter.members.len();
                self.charter
                    .admitted
                    .truncate(first.index().saturating_sub(of_start));
                self.charter.save(self.folder)?;
            }
            Event::Finished => self.finish(),
            Event::Stuck(why) => self.stuck = Some(why),
            _ => {}
        }
        self.watcher.event(&event);
        Ok(())
    }

    fn keep(&mut self, entry: &Entry) -> Result<(), RunError> {
        self.transcript
            .append(entry)
            .map_err(|source| RunError::File {
                path: self.folder.join(super::transcript::TRANSCRIPT),
                source,
            })
    }
}
