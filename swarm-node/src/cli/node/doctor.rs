//! `swarm-node doctor`: what may keep a node from working, each with its remedy.

use std::fmt::Write as _;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use swarm_files::{private, text_file, whole};
use swarm_identity::key_file;
use swarm_learn::policy::Policy as _;
use swarm_model::generate::{Prompt, Request};

use super::home::HomeFlag;
use super::status::status;
use crate::api::Client;
use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::Answer;
use crate::config::{Config, path};
use crate::job::{Model, ModelFactory, certified};
use crate::node::home::Home;
use crate::node::status::{Status, span};
use crate::node::swarm_file::SwarmFile;

/// Checks what a node needs, and says what to do about what it lacks.
///
/// Ends with code 5 if something fails. What only a running node knows (clock, ports, peers) is
/// asked of it, and skipped if none runs.
#[derive(Debug, Args)]
pub(in crate::cli) struct Doctor {
    #[command(flatten)]
    home: HomeFlag,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Good,
    Warning,
    Failed,
    Skipped,
}

/// A check that was made.
#[derive(Clone, Debug, Serialize)]
struct Finding {
    /// Its name, which stays the same from version to version.
    id: &'static str,
    outcome: Outcome,
    /// What was seen.
    seen: String,
    /// What to do; empty if nothing.
    remedy: String,
}

impl Finding {
    fn good(id: &'static str, seen: impl Into<String>) -> Self {
        Self::new(id, Outcome::Good, seen, "")
    }

    fn failed(id: &'static str, seen: impl Into<String>, remedy: &str) -> Self {
        Self::new(id, Outcome::Failed, seen, remedy)
    }

    fn new(id: &'static str, outcome: Outcome, seen: impl Into<String>, remedy: &str) -> Self {
        Self {
            id,
            outcome,
            seen: seen.into(),
            remedy: remedy.into(),
        }
    }
}

impl Doctor {
    pub(in crate::cli) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let (home, config) = self.home.settings(options, &[], environment)?;
        let mut findings = vec![folder(&home), key(&home), swarm(&home)];
        findings.extend(arithmetic(&config));
        findings.extend(running(&home));
        let failed = findings
            .iter()
            .filter(|finding| finding.outcome == Outcome::Failed)
            .count();
        Answer {
            text: text(&findings),
            json: serde_json::to_string(&findings).map_err(Failure::work)?,
            kept: String::new(),
        }
        .print(options.json)?;
        match failed {
            0 => Ok(()),
            failed => Err(Failure::Doctor(failed)),
        }
    }
}

fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let mark = match finding.outcome {
            Outcome::Good => "ok",
            Outcome::Warning => "warn",
            Outcome::Failed => "FAIL",
            Outcome::Skipped => "skip",
        };
        let _ = writeln!(text, "{mark:<4} {:<12} {}", finding.id, finding.seen);
        if !finding.remedy.is_empty() {
            let _ = writeln!(text, "{:<17} → {}", "", finding.remedy);
        }
    }
    text
}

fn folder(home: &Home) -> Finding {
    let path = home.root();
    let seen = path.display().to_string();
    match path.exists() {
        false => Finding::failed("folder", format!("{seen} is not there"), "swarm-node init"),
        true => match whole::require_writable(path) {
            Ok(()) => Finding::good("folder", seen),
            Err(error) => Finding::failed(
                "folder",
                format!("{seen} cannot be written: {error}"),
                "give the folder to the user who runs the node, or free space",
            ),
        },
    }
}

fn key(home: &Home) -> Finding {
    let path = home.key();
    let shown = path.display();
    let exposed = std::fs::File::open(&path).and_then(|file| private::exposed_mode(&file));
    match exposed {
        Ok(None) => match text_file::read(&path, key_file::MAX_BYTES as u64)
            .map_err(|error| error.to_string())
            .and_then(|text| key_file::from_text(&text).map_err(|error| error.to_string()))
        {
            Ok(_) => Finding::good("key", format!("{shown}, readable by its owner alone")),
            Err(error) => {
                Finding::failed("key", format!("{shown}: {error}"), "restore it from a copy")
            }
        },
        Ok(Some(mode)) => Finding::failed(
            "key",
            format!("others can read {shown} (mode {mode:o})"),
            &format!("chmod 600 {shown}"),
        ),
        Err(error) => Finding::failed("key", format!("{shown}: {error}"), "swarm-node init"),
    }
}

fn swarm(home: &Home) -> Finding {
    match SwarmFile::load(&home.swarm()) {
        Ok(swarm) => Finding::good(
            "swarm",
            format!("{}, {}", swarm.name, swarm.tasks.canonical()),
        ),
        Err(error) => Finding::failed(
            "swarm",
            error.to_string(),
            "join one: swarm-node up --swarm FILE",
        ),
    }
}

/// The engine's known answers, and how fast the model writes.
fn arithmetic(config: &Config) -> Vec<Finding> {
    let threads = config.engine.workers();
    let engine = match certified(&config.engine, threads) {
        Ok(engine) => engine,
        Err(error) => {
            return vec![Finding::failed(
                "engine",
                error.to_string(),
                "set engine.isa to scalar, and report this machine",
            )];
        }
    };
    let mut findings = vec![Finding::good(
        "engine",
        format!("gives every known answer, on {threads} threads"),
    )];
    let speed = Model::load(path(&config.node.base), &Console::new())
        .map_err(anyhow::Error::from)
        .and_then(|model| {
            let weights = model.weights.clone();
            let factory =
                ModelFactory::new(model, config.learn.clone(), config.engine.memory_bytes())?;
            let mut generator = factory.generator(engine, weights)?;
            let prompt = factory.model().tokenizer.encode_prompt("max 3 5 1")?;
            let prompts = [Prompt {
                tokens: prompt,
                index: 0,
            }];
            let begun = Instant::now();
            let written = generator.write(&Request {
                prompts: &prompts,
                samples: 16,
                max_new: config.learn.max_new,
                key: [1, 2],
                temperature: 1.0,
            })?;
            let tokens: usize = written.iter().flatten().map(|one| one.tokens.len()).sum();
            Ok(tokens as f64 / begun.elapsed().as_secs_f64())
        });
    findings.push(match speed {
        Ok(speed) => Finding::good(
            "speed",
            format!("the model writes {speed:.0} tokens a second"),
        ),
        Err(error) => Finding::failed("speed", format!("{error:#}"), "check node.base"),
    });
    findings
}

/// What a running node knows.
fn running(home: &Home) -> Vec<Finding> {
    let asked = Client::open(&home.api())
        .map_err(Failure::work)
        .and_then(|client| status(&client));
    match asked {
        Ok(status) => vec![
            identity(&status),
            peers(&status),
            sources(&status),
            reachability(&status),
            clock(&status),
            rewards(home, &status),
        ],
        Err(failure) => [
            "identity",
            "peers",
            "sources",
            "reachable",
            "clock",
            "rewards",
        ]
        .map(|id| Finding::new(id, Outcome::Skipped, failure.reason(), ""))
        .into(),
    }
}

/// Whether the node is the only one that signs with its key.
fn identity(status: &Status) -> Finding {
    match &status.duplicate {
        None => Finding::good(
            "identity",
            "nobody else was heard to sign with the node's key",
        ),
        Some((at, seen)) => {
            let ago = span(status.now_ms.saturating_sub(*at));
            Finding::failed(
                "identity",
                format!("{seen} ({ago} ago)"),
                "end the other process and start this one again; or leave with another key: \
                 swarm-node init --home DIR",
            )
        }
    }
}

fn peers(status: &Status) -> Finding {
    match status.peers.len() {
        0 => Finding::failed(
            "peers",
            status.condition.reason.clone(),
            "give the address of a member with --peer ADDRESS, and open UDP and TCP outwards",
        ),
        count => Finding::good("peers", format!("{count} are connected")),
    }
}

/// Where the node has peers from. Sources that give nothing are no fault as long as another one
/// does.
fn sources(status: &Status) -> Finding {
    let is_reached = status.sources.iter().any(|source| source.reached > 0);
    match is_reached {
        true => Finding::good("sources", status.sources_text()),
        false => Finding::new(
            "sources",
            Outcome::Warning,
            status.sources_text(),
            "none has given a peer that answers: add an address or a name (--peer), the contracts' \
             file (--deployment), or multicast DNS (net.mdns)",
        ),
    }
}

fn reachability(status: &Status) -> Finding {
    let seen = format!("this node is {}", status.reachability);
    match status.is_reachable {
        Some(false) => Finding::new(
            "reachable",
            Outcome::Warning,
            seen,
            "forward a port of the router to this machine and name it: net.listen, net.external",
        ),
        Some(true) => Finding::good("reachable", seen),
        None => Finding::new("reachable", Outcome::Skipped, seen, ""),
    }
}

/// Whether the node is paid for its work, in a swarm that settles on a chain.
fn rewards(home: &Home, status: &Status) -> Finding {
    let settles = SwarmFile::load(&home.swarm()).is_ok_and(|swarm| !swarm.settlement.is_empty());
    match &status.rewards {
        None if !settles => Finding::new(
            "rewards",
            Outcome::Skipped,
            "the swarm settles on no chain",
            "",
        ),
        None => Finding::new(
            "rewards",
            Outcome::Warning,
            "nothing is earned: the node runs without wallet, contracts or chain",
            "name a wallet (wallet.file), and give the contracts: swarm-node up --deployment FILE",
        ),
        Some(rewards) if !rewards.is_connected => Finding::failed(
            "rewards",
            "the chain has not answered yet",
            "check chain.endpoint; rounds go on, and are settled when it answers",
        ),
        Some(rewards) => Finding::good(
            "rewards",
            format!("{} tokens earned, {} paid", rewards.earned, rewards.paid),
        ),
    }
}

fn clock(status: &Status) -> Finding {
    match &status.clock {
        None => Finding::new(
            "clock",
            Outcome::Skipped,
            "three peers are needed to compare",
            "",
        ),
        Some(clock) if clock.is_off => Finding::failed(
            "clock",
            format!("{} ms off those of {} peers", clock.offset_ms, clock.peers),
            "set it by NTP: timedatectl set-ntp true, or the system's date settings",
        ),
        Some(clock) => Finding::good(
            "clock",
            format!("{} ms off those of {} peers", clock.offset_ms, clock.peers),
        ),
    }
}
