//! `swarm-node audit`: a piece of a job recomputed, for a piece of its price.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use reproducible_ops::program::ValueId;
use serde::{Serialize, Serializer};
use swarm_identity::digest::hex;
use swarm_learn::evidence_file::StepEvidence;
use swarm_learn::job_audit::{AuditError, Audited, Auditor, NodePlace, audit_folder, describe};
use verde::audit::Verdict;
use verde::evidence::Evidence;

use super::console::Console;
use super::failure::Failure;
use super::options::Options;
use super::output::Answer;
use crate::config::Config;
use crate::job::{Job, JobFile, SPEC, certified};

/// Checks a piece of a job by recomputing it: right, wrong, or cannot-tell.
///
/// Without a piece: whether history and checkpoints belong together, and one step drawn at random.
/// A claim commits to checkpoints only; what is inside a step is held against its trace, which the
/// worker writes when it is asked (`job trace`). Exit codes: 0 right, 6 wrong, 7 cannot tell.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AuditCommand {
    /// Folder of `job run`.
    #[arg(value_name = "RUN", required_unless_present = "recheck")]
    folder: Option<PathBuf>,
    /// The job, a TOML file, which an auditor should have of its own [default: the copy in the
    /// folder].
    #[arg(long, value_name = "SPEC")]
    spec: Option<PathBuf>,
    /// One step, from 0.
    #[arg(long, value_name = "N")]
    step: Option<u64>,
    /// One run of the step's plan, from 0.
    #[arg(long, value_name = "R", requires = "step")]
    run: Option<usize>,
    /// What the run that trains on this sequence of the step's batch comes to; from 0.
    #[arg(long, value_name = "I", requires = "step", conflicts_with = "run")]
    sequence: Option<usize>,
    /// One operator of the run: the id of its value, or the name of an output.
    #[arg(long, value_name = "K", requires = "step")]
    operator: Option<String>,
    /// One element of the operator's result, in row-major order, from 0.
    #[arg(long, value_name = "E", requires = "operator")]
    element: Option<usize>,
    /// Writes what anybody can recheck the operator or the element with.
    #[arg(long, value_name = "FILE", requires = "operator")]
    evidence: Option<PathBuf>,
    /// Seed of the step that is drawn [default: a random one, which is shown].
    #[arg(long, value_name = "SEED", conflicts_with = "step")]
    seed: Option<u64>,
    /// Rechecks evidence, with no other file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["folder", "spec", "step", "seed"])]
    recheck: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:\n  swarm-node audit runs/job\n  swarm-node audit runs/job --step 7 \
--sequence 3\n  swarm-node audit runs/job --step 7 --run 3 --operator 120 --element 5 --evidence \
e.json\n  swarm-node audit --recheck e.json";

/// What `audit --json` tells.
#[derive(Serialize)]
struct Report {
    #[serde(serialize_with = "word")]
    verdict: Verdict,
    compared: Vec<String>,
    reason: Option<String>,
    /// The step drawn, and the seed that it was drawn with.
    drawn: Option<Drawn>,
    seconds: f64,
    read_bytes: u64,
    hashed_bytes: u64,
    evidence: Option<String>,
}

#[derive(Clone, Copy, Serialize)]
struct Drawn {
    step: u64,
    seed: u64,
}

fn word<S: Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(verdict.word())
}

impl AuditCommand {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        let mut report = match (&self.recheck, &self.folder) {
            (Some(file), _) => recheck(file)?,
            (None, Some(folder)) => {
                let config = options.settings(&[], environment)?.config::<Config>()?;
                self.audit(&config, folder)?
            }
            (None, None) => {
                let text = "name the folder of a job, or evidence with --recheck";
                return Err(Failure::Usage(anyhow::anyhow!(text)));
            }
        };
        report.seconds = begun.elapsed().as_secs_f64();
        report.finish(options)
    }

    fn audit(&self, config: &Config, folder: &Path) -> Result<Report, Failure> {
        let mut folders = None;
        if self.step.is_none() {
            let audited = audit_folder(folder)?;
            if audited.verdict == Verdict::Wrong {
                return Ok(Report::of(audited));
            }
            folders = Some(audited);
        }
        let path = self.spec.clone().unwrap_or_else(|| folder.join(SPEC));
        if self.spec.is_none() && !path.exists() {
            let reason = format!("there is no {}; name the job with --spec", path.display());
            return Ok(Report::of(Audited {
                verdict: Verdict::CannotTell,
                compared: folders.map_or(Vec::new(), |audited| audited.compared),
                reason: Some(reason),
                read_bytes: 0,
                hashed_bytes: 0,
            }));
        }
        let spec = JobFile::load(&path)?;
        let engine = certified(&config.engine, config.engine.workers())?;
        let job = Job::assemble(&spec, &Console::new())?;
        let identity = job.identity.clone();
        let auditor = Auditor::new(engine.as_ref(), job.plan(), identity, folder)?;
        match (self.step, folders) {
            (Some(step), _) => self.piece(&auditor, &job, step),
            (None, audited) => self.drawn(&auditor, &job, audited),
        }
    }

    /// One step at random, after the folder itself.
    fn drawn(
        &self,
        auditor: &Auditor<'_>,
        job: &Job,
        folder: Option<Audited>,
    ) -> Result<Report, Failure> {
        let seed = match self.seed {
            Some(seed) => seed,
            None => getrandom::u64().map_err(|error| Failure::work(anyhow::anyhow!("{error}")))?,
        };
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let [word, _] =
            reproducible_ops::random::key_from("swarm-node/audit/step", &bytes, &[0; 32]);
        let step = u64::from(word) % job.identity.steps;
        let found = auditor.step(step)?;
        let both = match folder {
            Some(folder) => joined(folder, found),
            None => found,
        };
        let drawn = Some(Drawn { step, seed });
        Ok(Report {
            drawn,
            ..Report::of(both)
        })
    }

    fn piece(&self, auditor: &Auditor<'_>, job: &Job, step: u64) -> Result<Report, Failure> {
        let run = self.run_of(job)?;
        let Some(operator) = &self.operator else {
            let audited = match run {
                None => auditor.step(step)?,
                Some(run) if self.sequence.is_some() => auditor.outputs(step, run)?,
                Some(run) => auditor.run(step, run)?,
            };
            return Ok(Report::of(audited));
        };
        let Some(run) = run else {
            let text = "--operator needs the run that it is of: --run R, or --sequence I";
            return Err(Failure::Usage(anyhow::anyhow!(text)));
        };
        let place = NodePlace {
            step,
            run,
            value: value_of(auditor, run, operator)?,
        };
        let (audited, evidence) = match self.element {
            None => auditor.node(place, self.evidence.is_some())?,
            Some(element) => auditor.element(place, element)?,
        };
        let mut report = Report::of(audited);
        if let (Some(path), Some(evidence)) = (&self.evidence, evidence) {
            report.keep(path, StepEvidence { step, evidence })?;
        }
        Ok(report)
    }

    fn run_of(&self, job: &Job) -> Result<Option<usize>, Failure> {
        let Some(sequence) = self.sequence else {
            return Ok(self.run);
        };
        let training = &job.training("--sequence")?.plan;
        match training.run_of_sequence(sequence) {
            Some((run, _)) => Ok(Some(run)),
            None => Err(AuditError::NoSuch {
                what: "sequence",
                value: sequence as u64,
                count: training.sequences() as u64,
            }
            .into()),
        }
    }
}

/// A value by its id, or by the name of an output.
fn value_of(auditor: &Auditor<'_>, run: usize, text: &str) -> Result<ValueId, Failure> {
    if let Ok(id) = text.parse() {
        return Ok(ValueId(id));
    }
    let program = auditor.job().run(run).map(|(_, program)| program);
    let value = program.and_then(|program| program.output_named(text));
    value.ok_or_else(|| {
        Failure::Usage(anyhow::anyhow!(
            "--operator {text}: neither the id of a value nor the name of an output of run {run}"
        ))
    })
}

/// Two audits as one: the worse verdict, with its reason.
fn joined(first: Audited, second: Audited) -> Audited {
    let rank = |audited: &Audited| match audited.verdict {
        Verdict::Right => 0,
        Verdict::CannotTell => 1,
        Verdict::Wrong => 2,
    };
    let mut compared = first.compared.clone();
    // The history was read for both.
    let new = second
        .compared
        .iter()
        .filter(|text| !first.compared.contains(text));
    compared.extend(new.cloned());
    let read_bytes = first.read_bytes + second.read_bytes;
    let hashed_bytes = first.hashed_bytes + second.hashed_bytes;
    let worse = match rank(&second) > rank(&first) {
        true => second,
        false => first,
    };
    Audited {
        compared,
        read_bytes,
        hashed_bytes,
        ..worse
    }
}

fn recheck(path: &Path) -> Result<Report, Failure> {
    let StepEvidence { step, evidence } = StepEvidence::read(path).map_err(Failure::work)?;
    let finding = evidence.recheck().map_err(Failure::work)?;
    let verdict = finding.verdict();
    let named = format!(
        "value {} of run {} of step {step} (as the file says) with its operands; plan {}, step root {}",
        evidence.value.0,
        evidence.run.number,
        hex(&evidence.step.plan),
        hex(&evidence.root)
    );
    let bytes = std::fs::metadata(path).map_err(Failure::work)?.len();
    Ok(Report::of(Audited {
        verdict,
        compared: vec![named],
        reason: (verdict == Verdict::Wrong).then(|| describe(&finding)),
        read_bytes: bytes,
        hashed_bytes: tiles_of(&evidence),
    }))
}

/// Bytes of tensors in evidence, all of which are hashed.
fn tiles_of(evidence: &Evidence) -> u64 {
    use verde::evidence::Piece;
    let words: usize = match &evidence.piece {
        Piece::Element { result, tiles, .. } => {
            let tiles = tiles.iter().map(|opening| opening.tile.len());
            result.tile.len() + tiles.sum::<usize>()
        }
        Piece::Node { operands } => operands.iter().map(Vec::len).sum(),
    };
    4 * words as u64
}

impl Report {
    fn of(audited: Audited) -> Self {
        Self {
            verdict: audited.verdict,
            compared: audited.compared,
            reason: audited.reason,
            drawn: None,
            seconds: 0.0,
            read_bytes: audited.read_bytes,
            hashed_bytes: audited.hashed_bytes,
            evidence: None,
        }
    }

    fn keep(&mut self, path: &Path, evidence: StepEvidence) -> Result<(), Failure> {
        evidence.write(path).map_err(Failure::work)?;
        self.evidence = Some(path.to_string_lossy().into_owned());
        Ok(())
    }

    fn text(&self) -> String {
        let mut lines = vec![self.verdict.to_string()];
        if let Some(Drawn { step, seed }) = self.drawn {
            lines.push(format!("drawn      step {step}, by --seed {seed}"));
        }
        let compared = self.compared.iter();
        lines.extend(compared.map(|text| format!("compared   {text}")));
        lines.extend(self.reason.iter().map(|text| format!("because    {text}")));
        lines.extend(
            self.evidence
                .iter()
                .map(|path| format!("evidence   {path}")),
        );
        lines.push(format!(
            "took       {:.3} s, {} bytes read, {} bytes hashed",
            self.seconds, self.read_bytes, self.hashed_bytes
        ));
        lines.join("\n")
    }

    fn finish(self, options: &Options) -> Result<(), Failure> {
        let json = serde_json::to_string(&self).map_err(Failure::work)?;
        let (text, kept) = (self.text(), String::new());
        Answer { text, json, kept }.print(options.json)?;
        Failure::unless_right(self.verdict, self.reason)
    }
}
