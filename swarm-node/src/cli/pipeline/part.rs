//! Taking part: from a key and a job to a finished stage.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use skippipe::path::Stage;
use swarm_files::whole::require_writable;
use swarm_identity::key_file::KeyFile;
use swarm_identity::{Secret, Signer};
use swarm_learn::pipeline::worker::StageWorker;
use swarm_net::{Config as NetConfig, Multiaddr, NoBlobs, Source};
use swarm_store::Store;

use super::lines::Lines;
use super::{assemble, parse_address};
use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::job::runtime;
use crate::cli::options::Options;
use crate::cli::output::{self, Answer};
use crate::cli::signals::stop_on_signals;
use crate::config::Config;
use crate::job::{JobSpec, Stop, certified};
use crate::pipeline::blueprint::Assembled;
use crate::pipeline::charter::{Charter, name};
use crate::pipeline::gathering::{GatherError, Gathering, swarm};
use crate::pipeline::paths::Wish;
use crate::pipeline::probe::compute;
use crate::pipeline::run::{Ended, Running, run};
use crate::pipeline::transcript;

/// Where a peer's folder is, and where it listens.
#[derive(Debug, Args)]
pub(super) struct PartOptions {
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

/// How a peer comes to the pipeline.
pub(super) enum Role {
    /// It starts this job's.
    First(Box<JobSpec>),
    /// It asks whoever listens there.
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
    /// Takes part until the job is done, and prints what came of it.
    pub(super) fn take(
        &self,
        config: &Config,
        role: Role,
        options: &Options,
    ) -> Result<(), Failure> {
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
        let join_options = if self.loopback { " --loopback" } else { "" };
        let mut gathering = Gathering::new(handle.clone(), join_options, stop, &output::note);
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
                let charter = gathering.host(&mut events, &spec, job, want).await;
                let charter = charter.map_err(|error| ungathered(error, stop))?;
                (charter, assembled)
            }
            (None, Role::Newcomer(_)) => {
                let charter = gathering.ask(&mut events, None, false).await;
                let charter = charter.map_err(|error| ungathered(error, stop))?;
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
                    handle.offer(Source::Peers, vec![address]).await;
                }
            }
        }
        // Who has taken part before has lost its stage, and is given one.
        let place = place.filter(|_| !again);
        let stage = place.map(|place| Stage((place % assembled.blueprint.model.stages()) as u16));
        let made = || {
            let blueprint = assembled.blueprint.clone();
            StageWorker::new(blueprint, engine.clone(), stage).map_err(Failure::work)
        };
        let times = match stage {
            Some(stage) => {
                let times = compute::times(&mut made()?, &assembled.blueprint, stage);
                Some(times.map_err(Failure::work)?)
            }
            None => None,
        };
        let worker = made()?;
        charter.save(&self.out).map_err(Failure::work)?;
        if !again {
            let gathered = match place {
                Some(0) => gathering.wait_for_all(&mut events, &charter).await,
                _ => {
                    let first = peers.first().copied();
                    gathering.ask(&mut events, first, true).await.map(drop)
                }
            };
            gathered.map_err(|error| ungathered(error, stop))?;
        }
        let pipeline = charter.spec.pipeline.as_ref();
        let running = Running {
            settings: assembled.settings.clone(),
            worker,
            signer,
            handle: handle.clone(),
            times,
            again,
            wish: Wish {
                microbatches: assembled.settings.microbatches,
                visits: pipeline
                    .and_then(|one| one.visits)
                    .unwrap_or(assembled.settings.stages),
                sizes: assembled.sizes.clone(),
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

fn ungathered(error: GatherError, stop: &Stop) -> Failure {
    match error {
        GatherError::Stopped => Failure::Stopped {
            signal: stop.signal().unwrap_or(15),
            state: "no step was made yet".to_owned(),
        },
        error => Failure::work(error),
    }
}
