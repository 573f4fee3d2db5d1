//! A peer of a pipeline on the network: its member, fed with what happens.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use skippipe::admission::Admission;
use skippipe::content::Digest;
use skippipe::event::Event;
use skippipe::measured::{Measurements, Part, StageTimes};
use skippipe::member::{Input, Member, Output};
use skippipe::message::{Message, When};
use skippipe::path::{Hop, Path as Way, Peer, Stage};
use skippipe::predict::Prediction;
use skippipe::settings::Settings;
use skippipe::transcript::{Roster, Statement, StepRecord};
use skippipe::wire;
use skippipe::work::{Engine as _, Task, Work};
use swarm_identity::{PIPELINE_STEP, PeerId, Place, SignOnce, Signer};
use swarm_learn::pipeline::worker::{StageWorker, WorkerError};
use swarm_net::{
    Behaviour, ChannelEvent, ChannelLimits, Channels, Event as NetEvent, Events, Handle, Source,
    StartError,
};
use tokio::sync::mpsc;

use super::blueprint::by_turns;
use super::paths::{Planned, Wish, plan, replan};
use super::probe::file::FileError;
use super::probe::links::{Fault, Start};
use super::probe::{Links, file};
use super::seats::{self, Reply, SeatError};
use super::transcript::{Entry, TranscriptFile};
use crate::engine_thread::EngineThread;
use crate::job::Stop;
use crate::meeting::charter::{Charter, CharterError};
use crate::meeting::gathering::DUPLICATE;
use crate::meeting::{Answer, Ask};

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
    /// All steps are over, and this peer stays so long for those that are away.
    fn staying(&mut self, away: &[Peer], longest: Duration);
}

/// What a peer runs with.
pub struct Running<'r, T> {
    /// Who takes part.
    pub charter: Charter,
    /// What they agree on.
    pub settings: Settings,
    /// Its stage, or an engine without one where it has taken part before.
    pub worker: StageWorker,
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
    pub worker: Option<StageWorker>,
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
    let peers = seats::members(settings.job, charter.peers()?, &charter.admitted)?;
    let place = peers.iter().position(|peer| *peer == signer.peer());
    let me = Peer(place.ok_or(RunError::Stranger)? as u32);
    let state = worker.state().map_err(WorkerError::from)?;
    let roster = by_turns(settings.stages, settings.peers);
    let member = Member::new(settings.clone(), me, roster.clone(), state);
    let member = member.with_admitted(charter.admitted.clone());
    let (engine, mut done) =
        EngineThread::start("stage", worker, |worker: &mut StageWorker, (task, work)| {
            Some((task, worker.perform(task, work)?))
        })
        .map_err(|error| RunError::Engine(error.to_string()))?;
    let limits = ChannelLimits {
        frame_bytes,
        ..ChannelLimits::default()
    };
    let (channels, mut frames) =
        Channels::start(handle.clone(), settings.job.0, peers.clone(), limits)?;
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
            }
            Some((task, outcome)) = done.recv() => {
                shell.worked(task);
                shell.inputs.push_back(Input::Done { task, outcome });
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
        while let Some(input) = shell.inputs.pop_front() {
            let outputs = shell.member.handle(input, begun.elapsed());
            shell.carry_out(outputs)?;
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
    peers: Vec<PeerId>,
    channels: Channels,
    handle: Handle,
    wish: Wish,
    links: Links,
    /// The last plan for steps of so many visits.
    plans: BTreeMap<u16, Drawn>,
    engine: EngineThread<StageWorker, (Task, Work)>,
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

    fn heard(&mut self, event: ChannelEvent) {
        match event {
            ChannelEvent::Up(peer) => {
                if let Some(peer) = self.number(&peer) {
                    self.away.remove(&peer);
                    self.returned = Some(Instant::now());
                    self.inputs.push_back(Input::Found(peer));
                }
            }
            ChannelEvent::Down(peer) => {
                if let Some(peer) = self.number(&peer) {
                    self.away.insert(peer);
                    self.inputs.push_back(Input::Lost(peer));
                }
            }
            ChannelEvent::Frame { from, bytes, took } => {
                let number = self.number(&from);
                if let Some(from) = number {
                    self.links.arrived(from, bytes.len(), took);
                }
                match (number, Message::from_bytes(&bytes)) {
                    (Some(from), Ok(message)) => {
                        self.inputs.push_back(Input::Message { from, message });
                    }
                    _ => {
                        self.handle.report(from, Behaviour::Malformed);
                    }
                }
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
        let nobody_left = self.away.is_empty() && last.elapsed() > LINGER;
        nobody_left || last.elapsed() > LINGER_FOR_AWAY
    }

    fn carry_out(&mut self, outputs: Vec<Output>) -> Result<(), RunError> {
        for output in outputs {
            match output {
                Output::Send { to, message } => {
                    if let Some(peer) = self.peers.get(to.index()) {
                        let frame: Arc<[u8]> = message.to_bytes().into();
                        // Whoever is down or behind is told again what it does not answer.
                        let _ = self.channels.send(*peer, frame);
                    }
                }
                Output::Work { task, work } => {
                    if let Some(part) = Part::of(&work) {
                        self.asked.push_back((task, part, Instant::now()));
                    }
                    if !self.engine.ask((task, work)) {
                        return Err(RunError::Engine("its thread has ended".into()));
                    }
                }
                Output::Plan { when, roster } => self.plan(when, roster),
                Output::Sign(statement) => self.sign(&statement),
                Output::SignAdmission(admission) => self.sign_admission(admission),
                Output::CheckAdmission(admission) => self.check_admission(admission),
                Output::Event(event) => self.event(event)?,
            }
        }
        Ok(())
    }

    /// Has paths planned for a step. A plan holds as long as who holds what, and what is known,
    /// does: steps after it do not wait for another one.
    fn plan(&mut self, when: When, roster: Roster) {
        let mut wish = self.wish.clone();
        if self.full_every > 0 && when.step.is_multiple_of(self.full_every) {
            wish.visits = self.settings.stages;
        }
        let (visits, revision) = (wish.visits, self.links.revision());
        let last = self.plans.get(&visits);
        if let Some(last) = last.filter(|last| last.roster == roster && last.revision == revision) {
            let paths = last.planned.paths.clone();
            return self.inputs.push_back(Input::Planned { when, paths });
        }
        let before = last.filter(|last| last.roster == roster);
        let before = before.map(|last| last.planned.paths.clone());
        let (known, leader) = (self.links.known().clone(), self.me);
        let planned = self.planned.clone();
        tokio::task::spawn_blocking(move || {
            let drawn = Drawn {
                when,
                visits,
                planned: match before {
                    Some(paths) => replan(paths, &roster, &wish, &known, leader, when.step),
                    None => plan(&roster, &wish, &known, leader, when.step),
                },
                roster,
                revision,
            };
            // The peer may have ended meanwhile.
            let _ = planned.send(drawn);
        });
    }

    /// Paths were planned.
    fn drawn(&mut self, drawn: Drawn) {
        if let Some(prediction) = &drawn.planned.prediction {
            self.watcher.planned(prediction);
        }
        let (when, paths) = (drawn.when, drawn.planned.paths.clone());
        self.plans.insert(drawn.visits, drawn);
        self.inputs.push_back(Input::Planned { when, paths });
    }

    /// What a step along its record's paths should have taken.
    fn predicted(&self, record: &StepRecord) -> Option<Prediction> {
        let paths = record.passages.iter().map(|passage| {
            let hops = passage.visits.iter().map(|visit| visit.hop);
            Way::new(hops.collect()).ok()
        });
        let paths: Vec<Way> = paths.collect::<Option<_>>()?;
        let (known, leader) = (self.links.known(), self.member.leader());
        Prediction::of(known, &record.roster, &paths, leader, &self.wish.sizes).ok()
    }

    fn faults(&mut self, faults: Vec<Fault>) {
        for fault in faults {
            self.watcher.event(&fault.into());
        }
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

    fn sign_admission(&mut self, mut admission: Admission) {
        let place = seats::place(self.settings.job, &admission);
        let statement = admission.statement(self.settings.job);
        let peer = admission.peer;
        let input = match self.signer.sign(&place, &statement.0) {
            Ok(signature) => {
                admission.signature = signature.to_vec();
                // It is checked as if another leader had said it.
                return self.check_admission(admission);
            }
            Err(error) => {
                let what = format!("does not sign the admission of {peer}: {error}");
                self.watcher.event(&Event::Fault {
                    peer: self.me,
                    what,
                });
                Input::NotAdmitted(peer)
            }
        };
        self.inputs.push_back(input);
    }

    fn check_admission(&mut self, admission: Admission) {
        let (leader, peer) = (admission.term.leader, admission.peer);
        let input = match seats::check(self.settings.job, &admission, &self.peers) {
            Ok(_) => Input::Admitted(admission),
            Err(why) => {
                self.watcher.event(&Event::Fault {
                    peer: leader,
                    what: why.to_string(),
                });
                Input::NotAdmitted(peer)
            }
        };
        self.inputs.push_back(input);
    }

    /// A peer is a member from here on.
    fn admitted(&mut self, admission: &Admission) -> Result<(), RunError> {
        let peer = seats::check(self.settings.job, admission, &self.peers)?;
        self.channels.add(peer)?;
        self.links.add(peer)?;
        self.peers.push(peer);
        self.charter.admitted.push(admission.clone());
        self.charter.save(self.folder)?;
        let addresses = admission.newcomer.addresses.iter();
        let addresses = addresses.filter_map(|text| text.parse().ok()).collect();
        let handle = self.handle.clone();
        tokio::spawn(async move { handle.offer(Source::Peers, addresses).await });
        Ok(())
    }

    fn network(&mut self, event: NetEvent) -> Result<(), RunError> {
        match event {
            NetEvent::Request { from, bytes, reply } => {
                let question = (from, &bytes[..]);
                let answer = seats::answer(&self.member, &self.charter, &self.peers, question);
                let answer = match answer {
                    Some(Reply::Said(answer)) => answer,
                    Some(Reply::Noted(answer, newcomer)) => {
                        self.inputs.push_back(Input::Newcomer(newcomer));
                        answer
                    }
                    None => return Ok(()),
                };
                // A peer that does not wait any more asks again.
                let _ = reply.send(wire::to_bytes(&answer));
            }
            NetEvent::DuplicateIdentity { is_newcomer: true } => return Err(RunError::Duplicate),
            NetEvent::DuplicateIdentity { is_newcomer: false } => {
                self.watcher.event(&Event::Fault {
                    peer: self.me,
                    what: "has a second process with its key, which must end".into(),
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn event(&mut self, event: Event) -> Result<(), RunError> {
        match &event {
            Event::Began { .. } => {
                self.step_begun.get_or_insert_with(Instant::now);
            }
            Event::Moved { state, .. } => {
                if let (Some(record), Some((stage, _))) = (self.member.last(), self.member.held()) {
                    let peer = self.number(&self.signer.peer());
                    let hop = peer.map(|peer| Hop { stage, peer });
                    let entry = Entry {
                        record: record.clone(),
                        states: hop
                            .into_iter()
                            .map(|hop| (hop, *state, Vec::new()))
                            .collect(),
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
                let stated = stepped.statements.iter();
                let states =
                    stated.map(|(hop, (state, signature))| (*hop, *state, signature.clone()));
                let entry = Entry {
                    record: stepped.record.clone(),
                    states: states.collect(),
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
