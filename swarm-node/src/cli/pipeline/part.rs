//! Taking part: from a key and a job to a finished stage.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use skippipe::meeting::Replica;
use skippipe::path::Stage;
use swarm_learn::pipeline::worker::StageWorker;

use super::lines::Lines;
use super::{KeepOptions, assemble};
use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::job::runtime;
use crate::cli::options::Options;
use crate::cli::output::Answer;
use crate::cli::part::{Folder, Kind, Member, PartOptions, Role};
use crate::config::Config;
use crate::job::{JobSpec, certified};
use crate::pipeline::blueprint::Assembled;
use crate::pipeline::kept::{Keeping, KeepingWorker};
use crate::pipeline::paths::Wish;
use crate::pipeline::probe::compute;
use crate::pipeline::run::{Ended, Running, run};
use crate::pipeline::transcript;

/// What taking part came to.
#[derive(Serialize)]
struct Part<'a> {
    job: &'a str,
    steps: u64,
    stage: Option<u16>,
    state: Option<String>,
    folder: String,
}

/// Pipelines, as parts in them are taken.
struct Pipelines<'c>(&'c Console);

impl Kind for Pipelines<'_> {
    const COMMAND: &'static str = "pipeline";
    type Assembled = Assembled;

    fn assemble(&self, spec: &JobSpec) -> Result<Assembled, Failure> {
        assemble(spec, self.0)
    }

    fn job(assembled: &Assembled) -> &str {
        &assembled.job
    }
}

/// Takes part until the job is done, and prints what came of it.
pub(super) fn take(
    (part, keep): (&PartOptions, &KeepOptions),
    config: &Config,
    role: Role,
    options: &Options,
) -> Result<(), Failure> {
    let folder = part.open()?;
    let console = Console::new();
    let kind = Pipelines(&console);
    let known = folder.known(&kind, &role)?;
    if let Some((_, assembled)) = &known {
        let steps = assembled.settings.steps;
        let done = transcript::steps(folder.path()).map_err(Failure::work)?;
        if done >= steps {
            return finish(folder.path(), assembled, &Ended::before(steps), options);
        }
    }
    runtime()?.block_on(async {
        let member = folder.find(&kind, role, known).await?;
        let keeping = Keeping {
            folder: part.out.clone(),
            steps: keep.keep_steps,
            fault: keep.fault,
        };
        take_part(config, &folder, (member, keeping), options).await
    })
}

async fn take_part(
    config: &Config,
    folder: &Folder<'_>,
    (mut member, keeping): (Member<Assembled>, Keeping),
    options: &Options,
) -> Result<(), Failure> {
    let engine = certified(&config.engine, config.engine.workers())?;
    let Member {
        assembled,
        again,
        is_late,
        place,
        ..
    } = &member;
    // Who has taken part before has lost its stage, and who comes late has none: it is given one.
    let again = *again || *is_late;
    let place = place.filter(|_| !again);
    // Of several pipelines, those of the first come first; in each, peers hold stages by turns.
    let peers = assembled.settings.peers as usize;
    let pipeline = Replica((member.place.unwrap_or(0) / peers.max(1)) as u32);
    let (blueprint, settings) = assembled.of(pipeline);
    let place = place.map(|place| place % peers.max(1));
    let stage = place.map(|place| Stage((place % blueprint.model.stages()) as u16));
    let made = || StageWorker::new(blueprint.clone(), engine.clone(), stage).map_err(Failure::work);
    let times = match stage {
        Some(stage) => {
            let times = compute::times(&mut made()?, &blueprint, stage);
            Some(times.map_err(Failure::work)?)
        }
        None => None,
    };
    let worker = KeepingWorker::new(made()?, keeping);
    folder.be_ready::<Pipelines<'_>>(&mut member).await?;
    let Member {
        charter,
        assembled,
        handle,
        mut events,
        ..
    } = member;
    let spec = charter.spec.pipeline.as_ref();
    let running = Running {
        settings,
        across: assembled.across.clone(),
        worker,
        signer: folder.signer.clone(),
        handle: handle.clone(),
        times,
        again,
        wish: Wish {
            microbatches: assembled.settings.microbatches,
            visits: spec
                .and_then(|one| one.visits)
                .unwrap_or(assembled.settings.stages),
            sizes: assembled.sizes.clone(),
        },
        full_every: spec.map_or(0, |spec| spec.full_every),
        frame_bytes: u32::try_from(assembled.state_bytes).unwrap_or(u32::MAX),
        charter,
        folder: folder.path(),
        stop: &folder.stop,
    };
    let steps = assembled.settings.steps;
    let mut lines = Lines { steps };
    let ended = run(running, &mut events, &mut lines).await;
    let ended = ended.map_err(Failure::work)?;
    handle.shutdown().await;
    if let Some(signal) = folder.stop.signal().filter(|_| !ended.is_complete) {
        let state = format!(
            "{} of {steps} steps are in the transcript in {}; the same command takes part again",
            transcript::steps(folder.path()).map_err(Failure::work)?,
            folder.path().display()
        );
        return Err(Failure::Stopped { signal, state });
    }
    finish(folder.path(), &assembled, &ended, options)
}

fn finish(
    out: &Path,
    assembled: &Assembled,
    ended: &Ended,
    options: &Options,
) -> Result<(), Failure> {
    let state = ended
        .worker
        .as_ref()
        .map(|kept| kept.worker().train_state())
        .transpose();
    if let (Some(Some(state)), Some((stage, _))) = (state.map_err(Failure::work)?, ended.held) {
        let path = out.join(format!("stage-{:02}.safetensors", stage.0));
        state.params.save(&path).map_err(Failure::work)?;
    }
    let part = Part {
        job: &assembled.job,
        steps: ended.steps,
        stage: ended.held.map(|(stage, _)| stage.0),
        state: ended.held.map(|(_, state)| state.to_string()),
        folder: out.display().to_string(),
    };
    let mut text = format!("job          {}\nsteps        {}\n", part.job, part.steps);
    if let (Some(stage), Some(state)) = (part.stage, &part.state) {
        let _ = writeln!(text, "stage        {stage}, state {state}");
    }
    let _ = writeln!(
        text,
        "folder       {}: check it with `swarm-node pipeline replay {}{}",
        part.folder,
        part.folder,
        match assembled.across {
            Some(_) => " FOLDER…`, with a folder of each other pipeline",
            None => "`",
        }
    );
    let json = serde_json::to_string(&part).map_err(Failure::work)?;
    let kept = part.folder.clone();
    Answer { text, json, kept }.print(options.json)
}
