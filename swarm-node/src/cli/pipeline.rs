//! `swarm-node pipeline`: a model too big for one machine, trained across peers.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde::Serialize;
use skippipe::content::Digest;
use skippipe::event::Event;
use skippipe::path::{Hop, Stage};
use skippipe::replay::{Replay, ReplayError};
use skippipe::topology::Micros;
use skippipe::transcript::{Statement, StepRecord};
use swarm_files::whole::require_writable;
use swarm_identity::key::{PublicKey, SignatureBytes};
use swarm_identity::key_file::KeyFile;
use swarm_identity::{PeerId, Secret, Signer};
use swarm_learn::pipeline::worker::StageWorker;
use swarm_model::stages::StagedModel;
use swarm_net::{Config as NetConfig, Event as NetEvent, Events, Handle, Multiaddr, NoBlobs};
use swarm_store::Store;
use verde::audit::Verdict;

use super::console::Console;
use super::failure::Failure;
use super::job::runtime;
use super::options::Options;
use super::output::{self, Answer};
use super::signals::stop_on_signals;
use crate::config::Config;
use crate::job::{JobSpec, Stop, WireFormat, certified};
use crate::pipeline::blueprint::Assembled;
use crate::pipeline::charter::{Charter, name};
use crate::pipeline::meeting::{self, Ask, Meeting};
use crate::pipeline::paths::Wish;
use crate::pipeline::run::{Ended, Running, Watcher, decode, encode, run};
use crate::pipeline::transcript;

/// Trains a model across peers: each holds a stage of it, and microbatches go from peer to peer.
///
/// The job is a TOML file with a part [pipeline] (see configs/nano/pipeline.toml). One peer starts it and
/// waits for the others, who join by its address. Peers may come and go; whatever happens is in the
/// transcript, and one machine can compute every step of it again, bit for bit. Without skips and with
/// activations sent as f32 the result is the one of `job run`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PipelineCommand {
    #[command(subcommand)]
    action: PipelineAction,
}

const EXAMPLES: &str = "Examples:\n  swarm-node pipeline plan configs/nano/pipeline.toml\n  swarm-node \
pipeline start configs/nano/pipeline.toml --out runs/first\n  swarm-node pipeline join \
/ip4/192.0.2.7/udp/4001/quic-v1 --out runs/second\n  swarm-node pipeline replay runs/first --out \
model.safetensors";

#[derive(Debug, Subcommand)]
enum PipelineAction {
    /// Shows the stages of a job's pipeline, what each needs, and what its hops move.
    Plan {
        /// The job, a TOML file with a part [pipeline].
        #[arg(value_name = "SPEC")]
        spec: PathBuf,
        /// Memory of a peer, in mebibytes, to see whether stages fit.
        #[arg(long, value_name = "MIB")]
        memory: Option<u64>,
    },
    /// Starts a pipeline: waits for its peers, then takes part.
    Start {
        /// The job, a TOML file with a part [pipeline].
        #[arg(value_name = "SPEC")]
        spec: PathBuf,
        #[command(flatten)]
        part: PartOptions,
    },
    /// Joins a pipeline, or goes on where the folder stands.
    Join {
        /// Where a peer of it listens, as `pipeline start` prints it.
        #[arg(value_name = "ADDRESS")]
        address: String,
        #[command(flatten)]
        part: PartOptions,
    },
    /// Computes every step of a transcript again, on this machine alone, and compares.
    Replay {
        /// Folder of a peer that has seen all steps.
        #[arg(value_name = "RUN")]
        folder: PathBuf,
        /// Writes the whole model's weights, a safetensors file.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct PartOptions {
    /// Folder of this peer: key, charter, transcript, its stage at the end.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Where to listen [default: every interface, QUIC and TCP, ports that the system chooses].
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// Listens on this machine alone.
    #[arg(long)]
    loopback: bool,
}

impl PipelineCommand {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let config = options.settings(&[], environment)?.config()?;
        match &self.action {
            PipelineAction::Plan { spec, memory } => plan(spec, *memory, options),
            PipelineAction::Start { spec, part } => {
                let spec = Box::new(JobSpec::load(spec)?);
                part.take(&config, Role::First(spec), options)
            }
            PipelineAction::Join { address, part } => {
                let address = parse_address(address)?;
                part.take(&config, Role::Newcomer(address), options)
            }
            PipelineAction::Replay { folder, out } => {
                replay(&config, folder, out.as_deref(), options)
            }
        }
    }
}

fn parse_address(text: &str) -> Result<Multiaddr, Failure> {
    text.parse().map_err(|error| {
        Failure::Usage(anyhow::anyhow!(
            "`{text}` is no address: {error}; write it like /ip4/192.0.2.7/udp/4001/quic-v1"
        ))
    })
}

/// What a pipeline needs, by stage.
#[derive(Serialize)]
struct Outlook {
    job: String,
    stages: Vec<StageOutlook>,
    peers: u32,
    visits: u16,
    full_every: u64,
    microbatches: u32,
    /// Bytes of an activation between peers, and of a step's activations and gradients in all.
    hop_bytes: u64,
    step_bytes: u64,
    /// Whether every stage fits into a peer's memory, where that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    fits: Option<bool>,
}

#[derive(Serialize)]
struct StageOutlook {
    stage: u16,
    layers: usize,
    /// Peers that hold it to begin with.
    peers: u32,
    parameters: u64,
    /// What a peer of it needs, about, in bytes.
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fits: Option<bool>,
}

/// Bytes that a peer needs for a stage, about: parameters, two moments, a sum of gradients and the
/// gradients of its visits of a step; what goes in and out for each slot, and what the layers of one
/// microbatch keep on their way back (some sixteen times the residual stream).
fn stage_bytes(parameters: u64, layers: usize, hop: u64, slots: u64, visits: u64) -> u64 {
    parameters * 4 * (4 + visits) + hop * 2 * slots + hop * 16 * layers as u64
}

fn plan(path: &Path, memory: Option<u64>, options: &Options) -> Result<(), Failure> {
    let spec = JobSpec::load(path)?;
    let console = Console::new();
    let assembled = assemble(&spec, &console)?;
    let pipeline = spec.pipeline.as_ref();
    let settings = &assembled.settings;
    let visits = pipeline
        .and_then(|one| one.visits)
        .unwrap_or(settings.stages);
    let memory = memory.map(|mebibytes| mebibytes << 20);
    let need = |stages: usize, stage: usize| {
        let model = StagedModel::new(assembled.blueprint.model.config().clone(), stages).ok()?;
        let shapes = model.parameters(stage).into_iter();
        let parameters: u64 = shapes
            .map(|(_, shape)| shape.iter().product::<usize>() as u64)
            .sum();
        let layers = model.layers(stage)?.len();
        let peers = (settings.peers as usize + stages - 1 - stage) / stages;
        let kept = u64::from(settings.microbatches).div_ceil(peers.max(1) as u64);
        let (hop, slots) = (assembled.hop_bytes, settings.slots as u64);
        let bytes = stage_bytes(parameters, layers, hop, slots, kept);
        Some((parameters, layers, peers as u32, bytes))
    };
    let stages = assembled.stages().filter_map(|stage| {
        let (parameters, layers, peers, bytes) = need(usize::from(settings.stages), stage.index())?;
        Some(StageOutlook {
            stage: stage.0,
            layers,
            peers,
            parameters,
            bytes,
            fits: memory.map(|memory| bytes <= memory),
        })
    });
    let stages: Vec<StageOutlook> = stages.collect();
    let hops = match visits {
        1 => 0,
        visits => u64::from(visits) * u64::from(settings.microbatches) * 2,
    };
    let hop_bytes = match pipeline.map(|one| one.format) {
        Some(WireFormat::Bf16) => assembled.hop_bytes / 2,
        Some(WireFormat::Int8) => assembled.hop_bytes / 4,
        _ => assembled.hop_bytes,
    };
    let outlook = Outlook {
        job: assembled.job.clone(),
        peers: settings.peers,
        visits,
        full_every: pipeline.map_or(0, |one| one.full_every),
        microbatches: settings.microbatches,
        hop_bytes,
        step_bytes: hop_bytes * hops,
        fits: memory.map(|_| stages.iter().all(|stage| stage.fits == Some(true))),
        stages,
    };
    let most = settings.stages..=64;
    let enough = memory
        .filter(|_| outlook.fits == Some(false))
        .map(|memory| {
            most.into_iter().find(|stages| {
                let stages = usize::from(*stages);
                let fits = |stage| need(stages, stage).is_some_and(|(.., bytes)| bytes <= memory);
                (0..stages).all(fits)
            })
        });
    let text = outlook.text(settings.stages, enough);
    let json = serde_json::to_string(&outlook).map_err(Failure::work)?;
    let kept = String::new();
    Answer { text, json, kept }.print(options.json)
}

impl Outlook {
    /// `enough` is the number of stages that would fit, where these do not.
    fn text(&self, stages: u16, enough: Option<Option<u16>>) -> String {
        let mut text = format!("job          {}\n", self.job);
        let _ = write!(
            text,
            "paths        each of {} microbatches a step visits {} of {stages} stages",
            self.microbatches, self.visits
        );
        if self.visits < stages && self.full_every > 0 {
            let _ = write!(text, "; all of them every {} steps", self.full_every);
        }
        let _ = writeln!(
            text,
            "\nsent         {:.1} kB from peer to peer, {:.2} MB a step by all",
            self.hop_bytes as f64 / 1e3,
            self.step_bytes as f64 / 1e6
        );
        for stage in &self.stages {
            let fits = match stage.fits {
                Some(true) => ", fits",
                Some(false) => ", does not fit",
                None => "",
            };
            let _ = writeln!(
                text,
                "stage {:<6} {} layers, {} parameters; held by {}, about {:.1} MB each{fits}",
                stage.stage,
                stage.layers,
                stage.parameters,
                stage.peers,
                stage.bytes as f64 / 1e6
            );
        }
        match enough {
            Some(Some(stages)) => {
                let _ = writeln!(text, "would fit    {stages} stages");
            }
            Some(None) => text.push_str("would fit    no number of stages up to 64\n"),
            None => {}
        }
        text
    }
}

/// How a peer comes to the pipeline.
enum Role {
    First(Box<JobSpec>),
    Newcomer(Multiaddr),
}

/// What taking part came to.
#[derive(Serialize)]
struct Part<'a> {
    job: &'a str,
    steps: u64,
    stage: Option<u16>,
    state: Option<String>,
    folder: String,
}

impl PartOptions {
    fn take(&self, config: &Config, role: Role, options: &Options) -> Result<(), Failure> {
        let made = std::fs::create_dir_all(&self.out).and_then(|()| require_writable(&self.out));
        made.map_err(|error| {
            let out = self.out.display();
            Failure::Work(anyhow::anyhow!(
                "{out} cannot be this peer's folder: {error}"
            ))
        })?;
        let stop = stop_on_signals()?;
        let key = KeyFile::open(&self.out.join("node.key"), Secret::random);
        let key = key.map_err(Failure::work)?;
        let store = Store::open(&self.out.join("signed.redb")).map_err(Failure::work)?;
        let signer = Signer::new(key.key().clone(), store.sign_once());
        let runtime = runtime()?;
        runtime.block_on(self.take_part(config, role, (&key, signer), &stop, options))
    }

    async fn take_part(
        &self,
        config: &Config,
        role: Role,
        (key, signer): (&KeyFile, Signer<swarm_store::SignOnceTable>),
        stop: &Stop,
        options: &Options,
    ) -> Result<(), Failure> {
        let mut net = match self.loopback {
            true => NetConfig::loopback(swarm()),
            false => NetConfig::new(swarm()),
        };
        if !self.listen.is_empty() {
            let listen = self.listen.iter().map(|text| parse_address(text));
            net.listen = listen.collect::<Result<_, _>>()?;
        }
        if let Role::Newcomer(address) = &role {
            net.bootstrap.push(address.clone());
        }
        let known = Charter::load(&self.out).map_err(Failure::work)?;
        if let Some(charter) = &known {
            // The others know where this peer was.
            let own = charter
                .members
                .iter()
                .find(|member| member.peer == name(&signer.peer()));
            let own = own.into_iter().flat_map(|member| &member.addresses);
            let before: Vec<Multiaddr> = own.filter_map(|text| text.parse().ok()).collect();
            if self.listen.is_empty() && !before.is_empty() {
                net.listen = before;
            }
        }
        let started = swarm_net::start(net, key.secret(), Arc::new(NoBlobs)).await;
        let (handle, mut events) = started.map_err(Failure::work)?;
        let mut table = Table {
            handle: handle.clone(),
            listening: Vec::new(),
            loopback: self.loopback,
            stop,
        };
        let again = known.is_some();
        let engine = certified(&config.engine, config.engine.workers())?;
        let console = Console::new();
        let (charter, assembled) = match (known, role) {
            (Some(charter), role) => {
                let assembled = assemble(&charter.spec, &console)?;
                if let Role::First(spec) = role {
                    let given = assemble(&spec, &console)?.job;
                    if given != charter.job {
                        let (out, known) = (self.out.display(), &charter.job);
                        return Err(Failure::Usage(anyhow::anyhow!(
                            "{out} is a folder of the job {known}, and the file is the job {given}; \
                             name another folder with --out"
                        )));
                    }
                }
                if transcript::steps(&self.out) >= assembled.settings.steps {
                    let ended = Ended::before(assembled.settings.steps);
                    return self.finish(&assembled, &ended, options);
                }
                output::note("this peer has taken part before; looking for the others");
                (charter, assembled)
            }
            (None, Role::First(spec)) => {
                let assembled = assemble(&spec, &console)?;
                let want = assembled.settings.peers;
                let job = assembled.job.clone();
                let charter = table.host(&mut events, &spec, job, want).await?;
                (charter, assembled)
            }
            (None, Role::Newcomer(_)) => {
                let charter = table.ask(&mut events, None, false).await?;
                let assembled = assemble(&charter.spec, &console)?;
                (charter, assembled)
            }
        };
        if charter.job != assembled.job {
            return Err(Failure::Work(anyhow::anyhow!(
                "this machine makes the job {} of the charter's file, the others {}: its data or model \
                 files differ",
                assembled.job,
                charter.job
            )));
        }
        let me = signer.peer();
        let peers = charter.peers().map_err(Failure::work)?;
        let place = peers.iter().position(|peer| *peer == me);
        for (peer, address) in peers.iter().zip(&charter.members) {
            for text in address.addresses.iter().filter(|_| *peer != me) {
                if let Ok(address) = text.parse() {
                    handle.dial(address).await;
                }
            }
        }
        // Who has taken part before has lost its stage, and is given one.
        let place = place.filter(|_| !again);
        let stage = place.map(|place| Stage((place % assembled.blueprint.model.stages()) as u16));
        let blueprint = assembled.blueprint.clone();
        let worker = StageWorker::new(blueprint, engine, stage).map_err(Failure::work)?;
        charter.save(&self.out).map_err(Failure::work)?;
        if !again {
            match place {
                Some(0) => {
                    table
                        .wait_for_all(&mut events, &charter, &assembled)
                        .await?
                }
                _ => {
                    let first = peers.first().copied();
                    table.ask(&mut events, first, true).await?;
                }
            }
        }
        let pipeline = charter.spec.pipeline.as_ref();
        let running = Running {
            settings: assembled.settings.clone(),
            worker,
            signer,
            handle: handle.clone(),
            wish: Wish {
                microbatches: assembled.settings.microbatches,
                visits: pipeline
                    .and_then(|one| one.visits)
                    .unwrap_or(assembled.settings.stages),
                slots: assembled.settings.slots as u16,
                hop_bytes: assembled.hop_bytes,
                forward: Micros(100_000),
                latency: Vec::new(),
            },
            full_every: pipeline.map_or(0, |pipeline| pipeline.full_every),
            frame_bytes: u32::try_from(assembled.state_bytes).unwrap_or(u32::MAX),
            charter,
            folder: &self.out,
            stop,
        };
        let steps = assembled.settings.steps;
        let mut lines = Lines { steps };
        let ended = run(running, &mut events, &mut lines).await;
        let ended = ended.map_err(Failure::work)?;
        handle.shutdown().await;
        if let Some(signal) = stop.signal().filter(|_| !ended.is_complete) {
            let state = format!(
                "{} of {steps} steps are in the transcript in {}; the same command takes part again",
                transcript::steps(&self.out),
                self.out.display()
            );
            return Err(Failure::Stopped { signal, state });
        }
        self.finish(&assembled, &ended, options)
    }

    fn finish(
        &self,
        assembled: &Assembled,
        ended: &Ended,
        options: &Options,
    ) -> Result<(), Failure> {
        let state = ended
            .worker
            .as_ref()
            .map(StageWorker::train_state)
            .transpose();
        if let (Some(Some(state)), Some((stage, _))) = (state.map_err(Failure::work)?, ended.held) {
            let path = self.out.join(format!("stage-{:02}.safetensors", stage.0));
            state.params.save(&path).map_err(Failure::work)?;
        }
        let part = Part {
            job: &assembled.job,
            steps: ended.steps,
            stage: ended.held.map(|(stage, _)| stage.0),
            state: ended.held.map(|(_, state)| state.to_string()),
            folder: self.out.display().to_string(),
        };
        let mut text = format!("job          {}\nsteps        {}\n", part.job, part.steps);
        if let (Some(stage), Some(state)) = (part.stage, &part.state) {
            let _ = writeln!(text, "stage        {stage}, state {state}");
        }
        let _ = writeln!(
            text,
            "folder       {}: check it with `swarm-node pipeline replay {}`",
            part.folder, part.folder
        );
        let json = serde_json::to_string(&part).map_err(Failure::work)?;
        let kept = part.folder.clone();
        Answer { text, json, kept }.print(options.json)
    }
}

/// How long an address may be silent before that is told.
const SILENCE: Duration = Duration::from_secs(3);

fn texts(addresses: &[Multiaddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(Multiaddr::to_string).collect();
    texts.join(", ")
}

/// Longest that a peer is waited for when it is asked.
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// All pipelines meet in one network; their messages go by job.
fn swarm() -> [u8; 32] {
    Digest::of(b"swarm-node pipelines").0
}

fn assemble(spec: &JobSpec, console: &Console) -> Result<Assembled, Failure> {
    Assembled::new(spec, console).map_err(|error| Failure::Usage(error.into()))
}

/// Where peers find together.
struct Table<'t> {
    handle: Handle,
    listening: Vec<String>,
    loopback: bool,
    stop: &'t Stop,
}

impl Table<'_> {
    /// Waits for all peers.
    async fn host(
        &mut self,
        events: &mut Events,
        spec: &JobSpec,
        job: String,
        want: u32,
    ) -> Result<Charter, Failure> {
        let me = self.handle.me();
        let mut meeting = Meeting::new(spec.clone(), job, want, me, Vec::new());
        let mut said = 0;
        loop {
            if meeting.have() != said {
                said = meeting.have();
                output::note(&format!("peers: {said} of {want}"));
            }
            if let Some(charter) = meeting.charter() {
                return Ok(charter);
            }
            self.serve(events, &mut meeting).await?;
        }
    }

    /// Waits until all have their engines ready, for a minute at most.
    async fn wait_for_all(
        &mut self,
        events: &mut Events,
        charter: &Charter,
        assembled: &Assembled,
    ) -> Result<(), Failure> {
        let peers = charter.peers().map_err(Failure::work)?;
        let want = charter.members.len() as u32;
        let job = assembled.job.clone();
        let spec = charter.spec.clone();
        let own = self.listening.clone();
        let mut meeting = Meeting::new(spec, job, want, self.handle.me(), own);
        for (peer, member) in peers.iter().zip(&charter.members).skip(1) {
            let addresses = member.addresses.clone();
            meeting.asked(
                *peer,
                Ask {
                    addresses,
                    ready: false,
                },
            );
        }
        let begun = Instant::now();
        while !meeting.is_ready() && begun.elapsed() < Duration::from_secs(60) {
            self.serve(events, &mut meeting).await?;
        }
        Ok(())
    }

    /// One event of the network, or a moment.
    async fn serve(&mut self, events: &mut Events, meeting: &mut Meeting) -> Result<(), Failure> {
        let event = tokio::time::timeout(Duration::from_millis(200), events.next()).await;
        if self.stop.is_requested() {
            return Err(self.stopped());
        }
        match event {
            Ok(Some(NetEvent::Request { from, bytes, reply })) => {
                if let Some(ask) = decode::<Ask>(&bytes) {
                    // Who does not wait any more asks again.
                    let _ = reply.send(encode(&meeting.asked(from, ask)));
                }
            }
            Ok(Some(NetEvent::Listening(address))) => {
                self.listen(&address);
                let own = self.listening.clone();
                let me = self.handle.me();
                meeting.asked(
                    me,
                    Ask {
                        addresses: own,
                        ready: true,
                    },
                );
                let loopback = if self.loopback { " --loopback" } else { "" };
                output::note(&format!(
                    "others join by: swarm-node pipeline join {address} --out DIR{loopback}"
                ));
            }
            Ok(None) => return Err(Failure::Work(anyhow::anyhow!("the network has ended"))),
            _ => {}
        }
        Ok(())
    }

    fn listen(&mut self, address: &Multiaddr) {
        let text = address.to_string();
        if !self.listening.contains(&text) {
            self.listening.push(text);
        }
    }

    /// Asks for the charter until somebody has it: the first peer if it is known, else whoever is
    /// connected, and then whoever answered.
    async fn ask(
        &mut self,
        events: &mut Events,
        mut first: Option<PeerId>,
        ready: bool,
    ) -> Result<Charter, Failure> {
        let mut said = String::new();
        let begun = Instant::now();
        // Others will call this peer: they must be told where.
        while self.listening.is_empty() && begun.elapsed() < ANSWER_TIME {
            let wait = tokio::time::sleep(Duration::from_millis(50));
            self.meanwhile(events, wait).await?;
        }
        loop {
            let silent = self.handle.unanswered();
            if said.is_empty() && begun.elapsed() > SILENCE && !silent.is_empty() {
                said = format!("{} does not answer yet; trying again", texts(&silent));
                output::note(&said);
            }
            let connected = self.handle.peers().into_iter().map(|info| info.peer);
            let peers = first.map_or_else(|| connected.collect(), |peer| vec![peer]);
            for peer in peers {
                let answer = self.asked(events, peer, ready).await?;
                let text = match answer {
                    Some(meeting::Answer::Charter(text)) => {
                        return Charter::parse(&text).map_err(Failure::work);
                    }
                    Some(meeting::Answer::Full) => {
                        return Err(Failure::Work(anyhow::anyhow!(
                            "the pipeline has all the peers that it was started for"
                        )));
                    }
                    Some(meeting::Answer::Wait { have, want }) => {
                        format!("peers: {have} of {want}")
                    }
                    None => continue,
                };
                first = Some(peer);
                if text != said {
                    output::note(&text);
                    said = text;
                }
            }
            let wait = tokio::time::sleep(Duration::from_millis(300));
            self.meanwhile(events, wait).await?;
        }
    }

    /// A peer's answer; none where it gives none in time.
    async fn asked(
        &mut self,
        events: &mut Events,
        peer: PeerId,
        ready: bool,
    ) -> Result<Option<meeting::Answer>, Failure> {
        let ask = Ask {
            addresses: self.listening.clone(),
            ready,
        };
        let handle = self.handle.clone();
        let request = async move { handle.request(peer, encode(&ask)).await };
        let request = tokio::time::timeout(ANSWER_TIME, request);
        let answer = self.meanwhile(events, request).await?;
        let bytes = answer.ok().and_then(Result::ok);
        Ok(bytes.and_then(|bytes| decode::<meeting::Answer>(&bytes)))
    }

    /// Waits for something while the network's events are taken. Others' requests are refused: they ask
    /// the first peer.
    async fn meanwhile<F: Future>(
        &mut self,
        events: &mut Events,
        awaited: F,
    ) -> Result<F::Output, Failure> {
        tokio::pin!(awaited);
        loop {
            tokio::select! {
                output = &mut awaited => return Ok(output),
                () = self.stop.requested() => return Err(self.stopped()),
                event = events.next() => match event {
                    Some(NetEvent::Listening(address)) => self.listen(&address),
                    Some(_) => {}
                    None => return Err(Failure::Work(anyhow::anyhow!("the network has ended"))),
                },
            }
        }
    }

    fn stopped(&self) -> Failure {
        let signal = self.stop.signal().unwrap_or(15);
        let state = "no step was made yet".to_owned();
        Failure::Stopped { signal, state }
    }
}

/// A line for each step, and for whatever goes wrong.
struct Lines {
    steps: u64,
}

impl Watcher for Lines {
    fn stepped(&mut self, record: &StepRecord, took: Duration) {
        let losses = record
            .passages
            .iter()
            .map(|passage| f32::from_bits(passage.loss));
        let loss: f32 = losses.sum();
        let visits: usize = record
            .passages
            .iter()
            .map(|passage| passage.visits.len())
            .sum();
        let lost = match record.excluded.len() {
            0 => String::new(),
            lost => format!(", {lost} lost"),
        };
        output::note(&format!(
            "step {}/{}: loss {loss:.4}, {} microbatches, {visits} visits{lost}, {:.2} s",
            record.step + 1,
            self.steps,
            record.passages.len(),
            took.as_secs_f64()
        ));
    }

    fn event(&mut self, event: &Event) {
        let line = match event {
            Event::Rerouted {
                microbatch,
                from,
                to,
                why,
            } => {
                let to = match to {
                    Some(peer) => format!("to {peer}"),
                    None => "past the stage".to_owned(),
                };
                format!(
                    "{microbatch}: {} ({}) {why:?}, goes {to}",
                    from.peer, from.stage
                )
            }
            Event::Fault { peer, what } => format!("{peer} {what}"),
            Event::Dropped { hop } => {
                format!("{} ({}) does not take part any more", hop.peer, hop.stage)
            }
            Event::Leads => "this peer leads from here on".to_owned(),
            Event::Joined(joined) => format!(
                "{} holds {} ({:?})",
                joined.hop.peer, joined.hop.stage, joined.recovery
            ),
            _ => return,
        };
        output::note(&line);
    }
}

/// What a replay found.
#[derive(Serialize)]
struct Replayed {
    job: String,
    verdict: &'static str,
    steps: usize,
    statements: usize,
    signatures: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    wrong: Option<String>,
    states: Vec<String>,
}

fn replay(
    config: &Config,
    folder: &Path,
    out: Option<&Path>,
    options: &Options,
) -> Result<(), Failure> {
    let none = || Failure::Usage(anyhow::anyhow!("{} has no charter", folder.display()));
    let charter = Charter::load(folder)
        .map_err(Failure::work)?
        .ok_or_else(none)?;
    let entries = transcript::read(folder).map_err(Failure::work)?;
    let peers = charter.peers().map_err(Failure::work)?;
    let console = Console::new();
    let assembled = assemble(&charter.spec, &console)?;
    let engine = certified(&config.engine, config.engine.workers())?;
    let (mut stages, mut states) = (Vec::new(), Vec::new());
    for stage in assembled.stages() {
        let blueprint = assembled.blueprint.clone();
        let worker = StageWorker::new(blueprint, engine.clone(), Some(stage));
        let worker = worker.map_err(Failure::work)?;
        states.extend(worker.state().map_err(Failure::work)?);
        stages.push(worker);
    }
    let mut replay = Replay::new(stages, states, assembled.settings.keep_every);
    let (mut statements, mut signatures, mut wrong) = (0, 0, None);
    for entry in &entries {
        let replayed = match replay.step(&entry.record) {
            Ok(replayed) => replayed,
            Err(ReplayError::Step { found, expected }) => {
                let why = format!(
                    "the folder has no step {} to {found}, in which its peer took no part; replay the \
                     folder of one that did",
                    expected + 1
                );
                return Failure::unless_right(Verdict::CannotTell, Some(why));
            }
            Err(why) => {
                wrong = Some(why.to_string());
                break;
            }
        };
        for (hop, state, signature) in &entry.states {
            let expected = replayed.states.get(hop.stage.index());
            if expected != Some(state) {
                wrong = Some(format!(
                    "step {}: {} stated another state of {} than it has",
                    entry.record.step, hop.peer, hop.stage
                ));
            }
            let job = assembled.settings.job;
            statements += 1;
            match is_signed(job, &entry.record, (*hop, *state), signature, &peers) {
                Some(true) => signatures += 1,
                Some(false) => {
                    wrong = Some(format!(
                        "step {}: the signature of {} is not its own",
                        entry.record.step, hop.peer
                    ));
                }
                None => {}
            }
        }
        if wrong.is_some() {
            break;
        }
        output::note(&format!("step {} is as recorded", entry.record.step + 1));
    }
    if let (Some(path), None) = (out, &wrong) {
        let mut whole = reproducible_ops::weights::Weights::default();
        for worker in replay.stages() {
            if let Some(state) = worker.train_state().map_err(Failure::work)? {
                for (name, tensor) in state.params.iter() {
                    whole.insert(name, tensor.clone());
                }
            }
        }
        whole.save(path).map_err(Failure::work)?;
    }
    let found = Replayed {
        job: assembled.job.clone(),
        verdict: if wrong.is_some() { "wrong" } else { "right" },
        steps: entries.len(),
        statements,
        signatures,
        states: replay.states().iter().map(Digest::to_string).collect(),
        wrong,
    };
    let text = match &found.wrong {
        None => format!(
            "right: {} steps computed again; {} statements about states, {} of them signed\n",
            found.steps, found.statements, found.signatures
        ),
        Some(why) => format!("wrong: {why}\n"),
    };
    let json = serde_json::to_string(&found).map_err(Failure::work)?;
    let kept = String::new();
    Answer { text, json, kept }.print(options.json)?;
    match found.wrong {
        Some(why) => Failure::unless_right(Verdict::Wrong, Some(why)),
        None => Ok(()),
    }
}

/// Whether a peer signed what is stated; none where there is no signature.
fn is_signed(
    job: Digest,
    record: &StepRecord,
    (hop, state): (Hop, Digest),
    signature: &[u8],
    peers: &[PeerId],
) -> Option<bool> {
    if signature.is_empty() {
        return None;
    }
    let statement = Statement {
        job,
        step: record.step,
        record: record.digest(),
        stage: hop.stage,
        state,
    };
    let key = peers
        .get(hop.peer.index())
        .and_then(|peer| PublicKey::try_from(*peer).ok());
    let signature: Option<SignatureBytes> = signature.try_into().ok();
    let (key, signature) = key.zip(signature)?;
    Some(key.verify(&statement.digest().0, &signature))
}
