//! `swarm-node lab`: a scenario with real processes on this machine.

use std::path::PathBuf;

use clap::Args;
use swarm_identity::digest::hex;

use super::console::Console;
use super::failure::Failure;
use super::options::Options;
use super::output::{self, Answer};
use super::signals::stop_on_signals;
use crate::hosts;
use crate::job::Model;
use crate::lab::{self, LabError, Scenario};

/// Plays a scenario with real processes on this machine, and checks what comes of it.
///
/// A scenario is a file: nodes, rounds, what is killed and started when, what the network between
/// them is like, and what must come of it. Examples are in configs/lab. Ends with code 1 if
/// something differs from what was expected; then the nodes' folders and logs are kept. A scenario
/// that needs an emulated network is skipped where this user may not make network namespaces, and
/// says so.
#[derive(Debug, Args)]
#[command(after_help = "Example: swarm-node lab configs/lab/bootstrap-dies.toml")]
pub(super) struct Lab {
    /// The scenario.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Folder for the nodes, which is kept [default: a temporary one].
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

impl Lab {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        // Settings are checked, and the nodes take their own.
        options.settings(&[], environment)?;
        let scenario = Scenario::load(&self.file).map_err(|error| Failure::Usage(error.into()))?;
        if scenario.is_emulated()
            && let Err(error) = hosts::prepare()
        {
            return skipped(&scenario, &error.to_string(), options);
        }
        let console = Console::new();
        let base = Model::load(None, &console).map_err(Failure::work)?;
        let program = std::env::current_exe().map_err(Failure::work)?;
        let folder = tempfile::Builder::new()
            .prefix("swarm-lab-")
            .tempdir()
            .map_err(Failure::work)?;
        let path = self.keep.clone().unwrap_or_else(|| folder.path().into());
        let stop = stop_on_signals()?;
        let digest = hex(&base.weights.digest());
        let found = lab::run(&scenario, program, &path, digest, &console, &stop);
        let found = match found {
            Err(LabError::Stopped) => {
                let state = "the scenario was not played to its end; all nodes are gone";
                return Err(Failure::stopped(&stop, state));
            }
            Err(error) if error.is_unsupported() => {
                return skipped(&scenario, &error.to_string(), options);
            }
            Err(error) => {
                let _ = folder.keep();
                output::note(&format!("logs are in {}", path.display()));
                return Err(Failure::work(error));
            }
            Ok(found) => found,
        };
        let kept = match found.is_good() {
            true => String::new(),
            false => {
                let _ = folder.keep();
                format!("folders and logs are in {}", path.display())
            }
        };
        Answer {
            text: found.render(),
            json: serde_json::to_string(&found).map_err(Failure::work)?,
            kept: kept.clone(),
        }
        .print(options.json)?;
        match found.failures.len() {
            0 => Ok(()),
            count => Err(Failure::Work(anyhow::anyhow!(
                "{count} things differ from what the scenario expects; {kept}"
            ))),
        }
    }
}

/// What is said of a scenario that cannot be played here.
fn skipped(scenario: &Scenario, reason: &str, options: &Options) -> Result<(), Failure> {
    Answer {
        text: format!("{}: skipped: {reason}", scenario.name),
        json: serde_json::json!({"name": scenario.name, "skipped": reason}).to_string(),
        kept: String::new(),
    }
    .print(options.json)
}
