//! What a job's replicas need and send, before anybody starts it.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use swarm_learn::averaging::outer::{Outer, contraction};

use super::assemble;
use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::Answer;
use crate::job::JobSpec;

/// What a job would be.
#[derive(Serialize)]
struct Outlook {
    job: String,
    method: &'static str,
    replicas: u32,
    rounds: u64,
    inner_steps: u64,
    parameters: u64,
    /// Rows of the data, and of each replica's own, about.
    rows: usize,
    rows_each: usize,
    /// Rows of an inner step.
    batch: usize,
    /// Bytes of a contribution.
    contribution_bytes: usize,
    /// Bytes that a replica sends a round, on average.
    round_bytes: u64,
    /// Bytes that a replica keeps in memory besides its activations, about.
    memory_bytes: u64,
    /// The share of the squared distances between replicas that a round's gossip leaves; none where
    /// all meet.
    #[serde(skip_serializing_if = "Option::is_none")]
    contraction: Option<f64>,
}

/// Prints it.
pub(super) fn plan(path: &Path, options: &Options) -> Result<(), Failure> {
    let spec = JobSpec::load(path)?;
    let assembled = assemble(&spec, &Console::new())?;
    let settings = &assembled.settings;
    let contribution = settings.contribution_bytes as u64;
    let replicas = u64::from(settings.replicas);
    // In pairs each sends its own; at an odd number one is alone. Of all, everybody but the leader
    // sends its own, and the leader sends everybody the mean.
    let round_bytes = match settings.paired {
        true => contribution * (replicas - replicas % 2) / replicas,
        false => contribution * 2 * (replicas - 1) / replicas,
    };
    let paired = settings.paired;
    let outlook = Outlook {
        job: assembled.job.clone(),
        method: if paired { "noloco" } else { "diloco" },
        replicas: settings.replicas,
        rounds: settings.rounds,
        inner_steps: assembled.inner_steps,
        parameters: assembled.parameters,
        rows: assembled.rows(),
        rows_each: assembled.rows() / settings.replicas as usize,
        batch: assembled.batch(),
        contribution_bytes: settings.contribution_bytes,
        round_bytes,
        // Parameters, gradients, two moments, anchor and momentum; own and others' contributions.
        memory_bytes: assembled.parameters * 4 * 6
            + contribution * if paired { 3 } else { replicas + 1 },
        contraction: match assembled.outer {
            Outer::NoLoCo { pull, .. } => Some(contraction(settings.replicas, f64::from(pull))),
            Outer::DiLoCo { .. } => None,
        },
    };
    let json = serde_json::to_string(&outlook).map_err(Failure::work)?;
    let (text, kept) = (outlook.text(), String::new());
    Answer { text, json, kept }.print(options.json)
}

impl Outlook {
    fn text(&self) -> String {
        let how = match self.contraction {
            Some(_) => "in random pairs (noloco)",
            None => "all at once (diloco)",
        };
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let mut text = format!("job          {}\n", self.job);
        let _ = writeln!(
            text,
            "replicas     {}, {} parameters each; about {:.1} MB of memory beside activations",
            self.replicas,
            self.parameters,
            megabytes(self.memory_bytes)
        );
        let _ = writeln!(
            text,
            "rounds       {} of {} inner steps; then replicas meet {how}",
            self.rounds, self.inner_steps
        );
        let _ = writeln!(
            text,
            "data         {} rows, about {} of each replica's own; {} an inner step",
            self.rows, self.rows_each, self.batch
        );
        let _ = writeln!(
            text,
            "sent         {:.2} MB a round by each replica, {:.2} MB a contribution",
            megabytes(self.round_bytes),
            megabytes(self.contribution_bytes as u64)
        );
        if let Some(share) = self.contraction {
            let _ = writeln!(
                text,
                "spread       a round leaves {:.0} % of the squared distances between replicas",
                share * 100.0
            );
        }
        text
    }
}
