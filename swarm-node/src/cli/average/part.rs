//! Taking part: from a key and a job to a trained replica.

use std::path::Path;

use serde::Serialize;
use swarm_learn::averaging::transcript::Replica;
use swarm_learn::checkpoint::write_files;

use super::assemble;
use super::lines::Lines;
use crate::averaging::blueprint::Assembled;
use crate::averaging::replica::SavedReplica;
use crate::averaging::run::{RunError, Running, run};
use crate::averaging::status::{Status, rosters};
use crate::averaging::transcript::{self, Read};
use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::job::runtime;
use crate::cli::options::Options;
use crate::cli::output::Answer;
use crate::cli::part::{Folder, Kind, Member, PartOptions, Role, place_of};
use crate::config::Config;
use crate::job::{JobSpec, certified};

/// The model in a peer's folder.
const MODEL: &str = "model";

/// Averaging jobs, as parts in them are taken.
struct Averaging<'c>(&'c Console);

impl Kind for Averaging<'_> {
    const COMMAND: &'static str = "average";
    type Assembled = Assembled;

    fn assemble(&self, spec: &JobSpec) -> Result<Assembled, Failure> {
        assemble(spec, self.0)
    }

    fn job(assembled: &Assembled) -> &str {
        &assembled.job
    }
}

/// What taking part came to.
#[derive(Serialize)]
struct Part {
    job: String,
    replica: u32,
    /// Rounds up to the last that it signed.
    rounds: u64,
    averaged: usize,
    alone: usize,
    missed: u64,
    /// Its whole state.
    state: Option<String>,
    /// The folder of its model.
    model: String,
    folder: String,
}

/// Takes part until the job is done, and prints what came of it.
pub(super) fn take(
    part: &PartOptions,
    config: &Config,
    role: Role,
    options: &Options,
) -> Result<(), Failure> {
    let folder = part.open()?;
    let console = Console::new();
    let kind = Averaging(&console);
    let known = folder.known(&kind, &role)?;
    if let Some((charter, assembled)) = &known
        && let Some(me) = place_of(folder.path(), charter)?
    {
        let read = transcript::read(folder.path(), &assembled.settings).map_err(Failure::work)?;
        let last = assembled.replicas().map(|one| read.ledger.last(one));
        let mut last = last.map(|last| last.map_or(0, |last| last.record.round + 1));
        if last.all(|rounds| rounds >= assembled.settings.rounds) {
            let replica = restored(config, &folder, assembled, &read, Replica(me))?;
            return finish(folder.path(), assembled, &replica, Replica(me), options);
        }
    }
    runtime()?.block_on(async {
        let member = folder.find(&kind, role, known).await?;
        take_part(config, &folder, member, options).await
    })
}

/// The replica in the state after the last round that its folder has.
fn restored(
    config: &Config,
    folder: &Folder<'_>,
    assembled: &Assembled,
    read: &Read,
    me: Replica,
) -> Result<SavedReplica, Failure> {
    let engine = certified(&config.engine, config.engine.workers())?;
    let worker = assembled
        .replica(engine.as_ref(), me)
        .map_err(Failure::work)?;
    let last = read.last_of(me);
    SavedReplica::new(worker, folder.path(), last).map_err(Failure::work)
}

async fn take_part(
    config: &Config,
    folder: &Folder<'_>,
    mut member: Member<Assembled>,
    options: &Options,
) -> Result<(), Failure> {
    let place = member.place.ok_or(RunError::Stranger);
    let me = Replica(place.map_err(Failure::work)? as u32);
    let settings = member.assembled.settings.clone();
    let read = transcript::read(folder.path(), &settings).map_err(Failure::work)?;
    let replica = restored(config, folder, &member.assembled, &read, me)?;
    folder.be_ready::<Averaging<'_>>(&mut member).await?;
    let Member {
        charter,
        assembled,
        again,
        handle,
        mut events,
        ..
    } = member;
    let known = rosters(&read.ledger, &settings);
    let mut lines = Lines::new(settings.clone(), assembled.inner_steps, known);
    let running = Running {
        charter,
        settings,
        replica,
        read,
        again,
        signer: folder.signer.clone(),
        handle: handle.clone(),
        frame_bytes: assembled.frame_bytes,
        folder: folder.path(),
        stop: &folder.stop,
    };
    let ended = run(running, &mut events, &mut lines).await;
    let ended = ended.map_err(Failure::work)?;
    handle.shutdown().await;
    let stopped = folder.stop.signal().filter(|_| !ended.is_complete);
    match (ended.replica, stopped) {
        (Some(replica), None) => finish(folder.path(), &assembled, &replica, me, options),
        (_, Some(signal)) => {
            let read = transcript::read(folder.path(), &assembled.settings);
            let read = read.map_err(Failure::work)?;
            let done = read.last_of(me).map_or(0, |(round, _)| round + 1);
            let state = format!(
                "{done} of {} rounds are in the transcript in {}; the same command goes on from there",
                assembled.settings.rounds,
                folder.path().display()
            );
            Err(Failure::Stopped { signal, state })
        }
        (None, None) => Err(Failure::Work(anyhow::anyhow!(
            "the replica's engine is gone; the same command goes on from its last round"
        ))),
    }
}

/// Writes the replica's model, and says what it came to.
fn finish(
    out: &Path,
    assembled: &Assembled,
    replica: &SavedReplica,
    me: Replica,
    options: &Options,
) -> Result<(), Failure> {
    let model = out.join(MODEL);
    std::fs::create_dir_all(&model).map_err(Failure::work)?;
    let weights = &replica.worker().outer().anchor;
    let saved = weights.save(model.join("model.safetensors"));
    saved.map_err(Failure::work)?;
    write_files(&assembled.model.files, &model).map_err(Failure::work)?;
    let read = transcript::read(out, &assembled.settings).map_err(Failure::work)?;
    let state = read.last_of(me).map(|(_, state)| state.to_string());
    let status = Status::of(&assembled.settings, &read.ledger, Some(me.0), false);
    let Some(own) = status.replicas.get(me.index()) else {
        return Err(Failure::work(RunError::Stranger));
    };
    let part = Part {
        job: assembled.job.clone(),
        replica: me.0,
        rounds: own.done,
        averaged: own.averaged,
        alone: own.alone,
        missed: own.missed,
        state,
        model: model.display().to_string(),
        folder: out.display().to_string(),
    };
    let missed = match part.missed {
        0 => String::new(),
        missed => format!(", away in {missed}"),
    };
    let text = format!(
        "job          {}\nreplica      {}, {} rounds: with others in {}, alone in {}{missed}\nstate        \
         {}\nmodel        {}: this replica's own, try `swarm-node eval --model {}`\nfolder       {}: check it \
         with `swarm-node average replay {}`\n",
        part.job,
        part.replica,
        part.rounds,
        part.averaged,
        part.alone,
        part.state.as_deref().unwrap_or("as it began"),
        part.model,
        part.model,
        part.folder,
        part.folder
    );
    let json = serde_json::to_string(&part).map_err(Failure::work)?;
    let kept = part.folder.clone();
    Answer { text, json, kept }.print(options.json)
}
