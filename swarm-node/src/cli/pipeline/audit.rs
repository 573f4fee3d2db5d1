//! A step of one stage, computed again alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use reproducible_ops::engine::Engine;
use serde::Serialize;
use skippipe::path::{Hop, Stage};
use swarm_learn::pipeline::stage_audit::{norm_of, recompute};
use swarm_learn::pipeline::worker::StageWorker;
use verde::audit::Verdict;

use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::Answer;
use crate::cli::subject::{StageFailure, StageOptions};
use crate::config::Config;
use crate::job::certified;
use crate::pipeline::stage_job::{StageJob, StageJobError};

/// What an audit of a step of a stage found.
#[derive(Serialize)]
struct Audited {
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<u16>,
    holders: Vec<String>,
    compared: Vec<String>,
    /// What is wrong, or why it cannot be told.
    reasons: Vec<String>,
    /// Peers that are named by what is wrong.
    wrong: Vec<u32>,
    seconds: f64,
}

/// Computes a step of a stage again and prints whether its holders did what they say.
pub(super) fn audit(
    config: &Config,
    folder: &Path,
    wanted: &StageOptions,
    options: &Options,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let engine = certified(&config.engine, config.engine.workers())?;
    let (verdict, mut audited) = match wanted.find(folder, &engine) {
        Ok(found) => audited(&found, &engine)?,
        Err(StageFailure::Find(error)) if error.is_lack() => without(Verdict::CannotTell, &error),
        Err(StageFailure::Find(error @ StageJobError::Signature(_))) => {
            without(Verdict::Wrong, &error)
        }
        Err(failure) => return Err(failure.into_failure()),
    };
    audited.seconds = begun.elapsed().as_secs_f64();
    let text = audited.text();
    let json = serde_json::to_string(&audited).map_err(Failure::work)?;
    let kept = String::new();
    Answer { text, json, kept }.print(options.json)?;
    Failure::unless_right(verdict, Some(audited.reasons.join("; ")))
}

fn without(verdict: Verdict, error: &StageJobError) -> (Verdict, Audited) {
    let audited = Audited {
        verdict: verdict.word(),
        step: None,
        stage: None,
        holders: Vec::new(),
        compared: Vec::new(),
        reasons: vec![error.to_string()],
        wrong: Vec::new(),
        seconds: 0.0,
    };
    (verdict, audited)
}

fn audited(found: &StageJob, engine: &Arc<dyn Engine>) -> Result<(Verdict, Audited), Failure> {
    let (record, stage, kept) = (&found.record, found.stage, found.kept());
    let blueprint = &found.assembled.blueprint;
    let of = (record, stage, found.norm);
    let computed = recompute(&found.planned, engine.as_ref(), blueprint, of, &kept);
    let computed = computed.map_err(Failure::work)?;
    let findings = computed.findings((record, stage), &found.planned, &found.statements, &kept);
    let holders: Vec<Hop> = found.holders().collect();
    let stated = holders
        .iter()
        .filter(|hop| found.statements.contains_key(hop))
        .count();
    let mut compared = vec![
        format!(
            "what was sent on and back for {} visits with the record",
            computed.visits
        ),
        format!(
            "sums, squares and the state after it ({}) with the statements of {stated} of {} holders",
            computed.state,
            holders.len()
        ),
    ];
    let mut reasons: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let mut wrong: Vec<u32> = findings.iter().map(|finding| finding.hop.peer.0).collect();
    wrong.sort_unstable();
    wrong.dedup();
    match squares(found) {
        Ok(squares) => {
            let worker = StageWorker::new(blueprint.clone(), engine.clone(), None);
            let norm = norm_of(&mut worker.map_err(Failure::work)?, squares);
            if norm != Some(found.norm) {
                reasons.push(format!(
                    "{stage} moved by the norm of bits {:08x}, and the squares that all stages' \
                     roots state come to {}: whoever led step {} is wrong, or told a root so",
                    found.norm,
                    norm.map_or("none".to_owned(), |bits| format!("{bits:08x}")),
                    record.step
                ));
            }
            compared.push("the norm with the squares that the roots of all stages state".into());
        }
        Err(silent) => compared.push(format!(
            "the norm is taken as stated: the root of {silent} states no squares"
        )),
    }
    let verdict = match reasons.is_empty() {
        true => Verdict::Right,
        false => Verdict::Wrong,
    };
    let audited = Audited {
        verdict: verdict.word(),
        step: Some(record.step),
        stage: Some(stage.0),
        holders: holders.iter().map(|hop| hop.peer.to_string()).collect(),
        compared,
        reasons,
        wrong,
        seconds: 0.0,
    };
    Ok((verdict, audited))
}

/// Squares of all stages that moved, as their roots state them; the first stage whose root does
/// not.
fn squares(found: &StageJob) -> Result<BTreeMap<Stage, Vec<u32>>, Stage> {
    let moved = found.record.visits().into_keys();
    let of_stage = |stage| {
        let root = found.record.reduce_tree(stage).root();
        let stated = root.and_then(|peer| found.statements.get(&Hop { stage, peer }));
        let squares = stated
            .map(|stated| stated.sums.squares.clone())
            .filter(|one| !one.is_empty());
        Ok((stage, squares.ok_or(stage)?))
    };
    moved.map(of_stage).collect()
}

impl Audited {
    fn text(&self) -> String {
        let mut lines = vec![self.verdict.to_owned()];
        if let (Some(step), Some(stage)) = (self.step, self.stage) {
            let holders = self.holders.join(", ");
            lines.push(format!(
                "stage      {stage} in step {step}, held by {holders}"
            ));
        }
        lines.extend(
            self.compared
                .iter()
                .map(|text| format!("compared   {text}")),
        );
        lines.extend(self.reasons.iter().map(|text| format!("because    {text}")));
        lines.push(format!("took       {:.3} s", self.seconds));
        lines.join("\n") + "\n"
    }
}
