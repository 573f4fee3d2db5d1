//! Every step of several pipelines that meet, computed again on this machine alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use skippipe::meeting::{Part, Replica, Taken};
use skippipe::transcript::StepRecord;
use swarm_identity::PeerId;
use swarm_learn::pipelines::message::offered;
use swarm_learn::pipelines::replay::{Replay, ReplayError};
use verde::audit::Verdict;

use super::assemble;
use super::replay::{begin, of_one, save, stated};
use crate::averaging::keys::Keys;
use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::{self, Answer};
use crate::cli::part::{charter_of, place_of};
use crate::config::Config;
use crate::job::certified;
use crate::meeting::charter::Charter;
use crate::pipeline::blueprint::Across;
use crate::pipeline::seats::Keys as SeatKeys;
use crate::pipeline::transcript::{self, Entry};

/// What a replay found.
#[derive(Serialize)]
struct Replayed {
    job: String,
    verdict: &'static str,
    pipelines: usize,
    steps: usize,
    /// Of stages at meetings: how many averaged, and how many moved alone.
    averaged: usize,
    alone: usize,
    statements: usize,
    signatures: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    wrong: Option<String>,
}

/// Computes the transcripts of folders again, one of each pipeline, and prints whether they are right.
pub(super) fn replay(
    config: &Config,
    folders: &[PathBuf],
    out: Option<&Path>,
    options: &Options,
) -> Result<(), Failure> {
    let folder = folders.first();
    let folder = folder.ok_or_else(|| Failure::Usage(anyhow::anyhow!("name a peer's folder")))?;
    let charter = charter_of(folder)?;
    let (averaging, pipeline) = (&charter.spec.averaging, &charter.spec.pipeline);
    let (Some(averaging), Some(pipeline)) = (averaging, pipeline) else {
        if folders.len() > 1 {
            let text = "the job is one pipeline; name the folder of one peer of it";
            return Err(Failure::Usage(anyhow::anyhow!(text)));
        }
        return of_one(config, folder, out, options);
    };
    let mut entries: BTreeMap<Replica, Vec<Entry>> = BTreeMap::new();
    let mut first = None;
    for folder in folders {
        let of_folder = charter_of(folder)?;
        let place = place_of(folder, &of_folder)?;
        let (true, Some(place)) = (of_folder.job == charter.job, place) else {
            let text = format!(
                "{} is of another job than the first folder",
                folder.display()
            );
            return Err(Failure::Usage(anyhow::anyhow!(text)));
        };
        let number = Replica(place / pipeline.peers.max(1));
        first.get_or_insert(number);
        let read = transcript::read(folder).map_err(Failure::work)?;
        let longest = entries.entry(number).or_default();
        if read.len() > longest.len() {
            *longest = read;
        }
    }
    let missing = (0..averaging.replicas).map(Replica);
    let missing = missing.into_iter().find(|one| !entries.contains_key(one));
    if let Some(Replica(missing)) = missing {
        let why = format!(
            "of pipeline {missing} there is no folder; where pipelines meet, name one of each"
        );
        return Failure::unless_right(Verdict::CannotTell, Some(why));
    }
    compute(config, &charter, entries, (first, out), options)
}

fn compute(
    config: &Config,
    charter: &Charter,
    entries: BTreeMap<Replica, Vec<Entry>>,
    (first, out): (Option<Replica>, Option<&Path>),
    options: &Options,
) -> Result<(), Failure> {
    let all = charter.peers().map_err(Failure::work)?;
    let assembled = assemble(&charter.spec, &Console::new())?;
    let engine = certified(&config.engine, config.engine.workers())?;
    let Some(across) = &assembled.across else {
        return Err(Failure::Work(anyhow::anyhow!(
            "the job's pipelines do not meet"
        )));
    };
    let mut pipelines = Vec::new();
    for pipeline in assembled.pipelines() {
        pipelines.push(begin(&assembled, &engine, pipeline)?);
    }
    let settings = &across.settings;
    let mut replay = Replay::new(settings.job, settings.paired, across.interval, pipelines);
    let peers = settings.peers as usize;
    let (mut statements, mut signatures, mut wrong) = (0, 0, None);
    let keys = Keys::new(&all);
    let records: Vec<Vec<StepRecord>> = entries
        .values()
        .map(|entries| entries.iter().map(|entry| entry.record.clone()).collect())
        .collect();
    let replayed = replay.run(&records, &mut |pipeline, record, stepped| {
        let own: &[PeerId] = all
            .chunks(peers.max(1))
            .nth(pipeline.index())
            .unwrap_or(&[]);
        let entry = entries[&pipeline]
            .iter()
            .find(|entry| entry.record.step == record.step);
        let Some(entry) = entry else { return };
        let (number, step) = (pipeline.0, record.step + 1);
        let counted = stated(
            settings.job_of(pipeline),
            entry,
            stepped,
            &SeatKeys::new(own),
        )
        .and_then(|counted| offers(across, record, &keys).map(|()| counted));
        match counted {
            Ok((stated, signed)) => {
                statements += stated;
                signatures += signed;
                output::note(&format!("pipeline {number}: step {step} is as recorded"));
            }
            Err(why) => {
                wrong.get_or_insert(format!("pipeline {number}, {why}"));
            }
        }
    });
    let counted = match replayed {
        Ok(counted) => counted,
        Err(why @ ReplayError::Missing { .. }) => {
            return Failure::unless_right(Verdict::CannotTell, Some(why.to_string()));
        }
        Err(why) => {
            wrong.get_or_insert(why.to_string());
            Default::default()
        }
    };
    if let (Some(path), Some(first), None) = (out, first, &wrong) {
        save(&replay.pipelines()[first.index()], path)?;
    }
    let found = Replayed {
        job: assembled.job.clone(),
        verdict: if wrong.is_some() { "wrong" } else { "right" },
        pipelines: entries.len(),
        steps: records.iter().map(Vec::len).sum(),
        averaged: counted.averaged,
        alone: counted.alone.values().sum(),
        statements,
        signatures,
        wrong,
    };
    let text = match &found.wrong {
        None => format!(
            "right: {} steps of {} pipelines computed again; stages averaged {} times and moved alone {} \
             times; {} statements about states, {} of them signed\n",
            found.steps,
            found.pipelines,
            found.averaged,
            found.alone,
            found.statements,
            found.signatures
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

/// Whether every contribution that a record names is signed by a peer of the pipeline that made it.
fn offers(across: &Across, record: &StepRecord, keys: &Keys) -> Result<(), String> {
    let settings = &across.settings;
    let Some(round) = across.interval.round_of(record.step) else {
        return Ok(());
    };
    for (stage, met) in &record.met {
        let Taken::Averaged { parts, .. } = &met.taken else {
            continue;
        };
        let is_signed = |part: &Part| {
            let (replica, outer) = (part.replica, part.outer);
            let of = (round, *stage);
            let statement = offered(settings, of, replica, outer, part.contribution);
            let first = replica.0.saturating_mul(settings.peers);
            let mut places = first..first.saturating_add(settings.peers);
            places.any(|place| keys.hold(Replica(place), &statement, &part.signature))
        };
        if let Some(part) = parts.iter().find(|part| !is_signed(part)) {
            return Err(format!(
                "step {}: no peer of pipeline {} signed what {stage} is said to have averaged of it",
                record.step, part.replica.0
            ));
        }
    }
    Ok(())
}
