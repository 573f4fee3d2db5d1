//! Every step of a transcript, computed again on this machine alone.

use std::path::Path;

use serde::Serialize;
use skippipe::content::Digest;
use skippipe::path::Hop;
use skippipe::replay::{Replay, ReplayError};
use skippipe::transcript::{Statement, StepRecord};
use swarm_identity::key::{PublicKey, SignatureBytes};
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
use crate::pipeline::seats::Keys;
use crate::pipeline::transcript;

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
pub(super) fn replay(
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
            match is_signed(job, &entry.record, (*hop, *state), signature, &keys) {
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
    keys: &Keys,
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
    let key = keys.of(hop.peer);
    let key = key.and_then(|peer| PublicKey::try_from(peer).ok());
    let signature: Option<SignatureBytes> = signature.try_into().ok();
    let (key, signature) = key.zip(signature)?;
    Some(key.verify(&statement.digest().0, &signature))
}
