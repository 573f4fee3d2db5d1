//! All replicas of a transcript, computed again on this machine alone.

use std::path::Path;

use serde::Serialize;
use skippipe::content::Digest;
use swarm_learn::averaging::replay::{Replay, ReplayError, Replayed};
use swarm_learn::averaging::transcript::Replica;
use verde::audit::Verdict;

use super::assemble;
use crate::averaging::keys::Keys;
use crate::averaging::transcript;
use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::Answer;
use crate::cli::part::{charter_of, place_of};
use crate::config::Config;
use crate::job::certified;

/// What a replay found.
#[derive(Serialize)]
struct Found {
    job: String,
    verdict: &'static str,
    /// Rounds of all replicas.
    rounds: usize,
    /// Of them, with others.
    averaged: usize,
    /// Of them, alone.
    alone: usize,
    signatures: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    wrong: Option<String>,
    /// What each replica came to.
    states: Vec<Option<String>>,
}

/// Computes a folder's transcript again and prints whether it is right. `out` is where a replica's
/// weights go, and whose, the folder's own unless told otherwise.
pub(super) fn replay(
    config: &Config,
    folder: &Path,
    out: Option<(&Path, Option<u32>)>,
    options: &Options,
) -> Result<(), Failure> {
    let charter = charter_of(folder)?;
    let assembled = assemble(&charter.spec, &Console::new())?;
    let settings = &assembled.settings;
    let wanted = match out {
        Some((path, Some(replica))) => Some((path, replica)),
        Some((path, None)) => place_of(folder, &charter)?.map(|own| (path, own)),
        None => None,
    };
    if let Some((_, replica)) = wanted.filter(|(_, replica)| *replica >= settings.replicas) {
        let last = settings.replicas - 1;
        return Err(Failure::Usage(anyhow::anyhow!(
            "--replica is {replica}; the job's are 0 to {last}"
        )));
    }
    let read = transcript::read(folder, settings).map_err(Failure::work)?;
    let transcripts = read.ledger.transcripts();
    let keys = Keys::new(&charter.peers().map_err(Failure::work)?);
    let signed = transcripts.iter().flat_map(|one| one.signed());
    let (mut signatures, mut wrong) = (0, None);
    for (by, statement, signature) in signed {
        match keys.hold(by, &statement, signature) {
            true => signatures += 1,
            false => wrong = Some(format!("a signature of {by} is not its own")),
        }
    }
    let engine = certified(&config.engine, config.engine.workers())?;
    let engines = assembled.replicas();
    let engines = engines.map(|replica| assembled.replica(engine.as_ref(), replica));
    let engines: Vec<_> = engines.collect::<Result<_, _>>().map_err(Failure::work)?;
    let mut replay = Replay::new(settings.job, settings.paired, engines);
    let mut replayed = Replayed::default();
    if wrong.is_none() {
        match replay.run(&transcripts) {
            Ok(found) => replayed = found,
            Err(ReplayError::Missing { round, replica }) => {
                let why = format!(
                    "round {}: {replica} contributed, and the folder lacks its records before; replay the folder \
                     of a peer that has them",
                    round + 1
                );
                return Failure::unless_right(Verdict::CannotTell, Some(why));
            }
            Err(why) => wrong = Some(why.to_string()),
        }
    }
    if let (Some((path, replica)), None) = (wanted, &wrong)
        && let Some(engine) = replay.engines().get(Replica(replica).index())
    {
        engine.outer().anchor.save(path).map_err(Failure::work)?;
    }
    let found = Found {
        job: assembled.job.clone(),
        verdict: if wrong.is_some() { "wrong" } else { "right" },
        rounds: replayed.rounds,
        averaged: replayed.averaged + replayed.adopted,
        alone: replayed.alone.values().sum(),
        signatures,
        states: states(replay.states()),
        wrong,
    };
    let text = match &found.wrong {
        None => format!(
            "right: {} rounds of {} replicas computed again, {} with others and {} alone; {} signatures\n",
            found.rounds, settings.replicas, found.averaged, found.alone, found.signatures
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

fn states(states: &[Option<Digest>]) -> Vec<Option<String>> {
    let states = states.iter();
    states
        .map(|state| state.as_ref().map(Digest::to_string))
        .collect()
}
