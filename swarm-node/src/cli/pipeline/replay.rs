//! Every step of a transcript, computed again on this machine alone.

use std::path::Path;
use std::sync::Arc;

use reproducible_ops::engine::Engine;
use reproducible_ops::weights::Weights;
use serde::Serialize;
use skippipe::content::Digest;
use skippipe::meeting::Replica;
use skippipe::replay::{Replay, ReplayError};
use skippipe::statements;
use swarm_learn::pipeline::worker::StageWorker;
use verde::audit::Verdict;

use super::assemble;
use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::{self, Answer};
use crate::cli::part::charter_of;
use crate::config::Config;
use crate::job::certified;
use crate::pipeline::blueprint::Assembled;
use crate::pipeline::seats::Keys;
use crate::pipeline::transcript::{self, Entry};

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

/// Computes a folder's transcript again and prints whether it is right.
pub(super) fn of_one(
    config: &Config,
    folder: &Path,
    out: Option<&Path>,
    options: &Options,
) -> Result<(), Failure> {
    let charter = charter_of(folder)?;
    let entries = transcript::read(folder).map_err(Failure::work)?;
    let mut keys = Keys::new(&charter.peers().map_err(Failure::work)?);
    let console = Console::new();
    let assembled = assemble(&charter.spec, &console)?;
    let engine = certified(&config.engine, config.engine.workers())?;
    let mut replay = begin(&assembled, &engine, Replica(0))?;
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
        for joined in &entry.record.joined {
            if let Err(why) = keys.joined(assembled.settings.job, joined) {
                wrong = Some(format!("step {}: {why}", entry.record.step));
                break;
            }
        }
        // Statements are of the record, and none of one whose admissions are not what was signed.
        if wrong.is_some() {
            break;
        }
        let stated = stated(assembled.settings.job, entry, &replayed, &keys);
        match stated {
            Ok(counts) => {
                statements += counts.0;
                signatures += counts.1;
            }
            Err(why) => wrong = Some(why),
        }
        if wrong.is_some() {
            break;
        }
        output::note(&format!("step {} is as recorded", entry.record.step + 1));
    }
    if let (Some(path), None) = (out, &wrong) {
        save(&replay, path)?;
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

/// All stages of a pipeline before its first step.
pub(super) fn begin(
    assembled: &Assembled,
    engine: &Arc<dyn Engine>,
    pipeline: Replica,
) -> Result<Replay<StageWorker>, Failure> {
    let (blueprint, settings) = assembled.of(pipeline);
    let (mut stages, mut states) = (Vec::new(), Vec::new());
    for stage in assembled.stages() {
        let worker = StageWorker::new(blueprint.clone(), engine.clone(), Some(stage));
        let worker = worker.map_err(Failure::work)?;
        states.extend(worker.state().map_err(Failure::work)?);
        stages.push(worker);
    }
    Ok(Replay::new(stages, states, settings.keep_every))
}

/// How many statements of a step there are, and how many of them are signed; an error where one is
/// not of what was computed, or its signature not its peer's own.
pub(super) fn stated(
    job: Digest,
    entry: &Entry,
    replayed: &skippipe::replay::Replayed,
    keys: &Keys,
) -> Result<(usize, usize), String> {
    let step = entry.record.step;
    let (stated, signed) = entry
        .statements(job, keys)
        .map_err(|foreign| format!("step {step}: {foreign}"))?;
    let faults = statements::of_step(&entry.record, replayed, &stated);
    if faults.is_empty() {
        return Ok((stated.len(), signed));
    }
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    Err(format!("step {step}: {}", faults.join("; ")))
}

/// Writes the parameters of all stages.
pub(super) fn save(replay: &Replay<StageWorker>, path: &Path) -> Result<(), Failure> {
    let mut whole = Weights::default();
    for worker in replay.stages() {
        if let Some(state) = worker.train_state().map_err(Failure::work)? {
            for (name, tensor) in state.params.iter() {
                whole.insert(name, tensor.clone());
            }
        }
    }
    whole.save(path).map_err(Failure::work)
}
