//! `swarm-node job work` and `job verify`: an account's part in a job, from the first look to the
//! money.

use std::path::{Path, PathBuf};

use clap::Args;
use contracts::U256;
use contracts::jobs::{JobState, JobView};
use contracts::swarm::calls as tokens;
use skippipe::content::Digest;
use swarm_dispute::party::PartyError;
use swarm_dispute::role::Role;
use swarm_learn::job_run::HISTORY;
use swarm_learn::pipeline::stage_plan::SumFault;
use swarm_settle::chain::DEV_CHAINS;
use swarm_settle::tokens::token_text;
use swarm_store::Store;
use verde::fault::Fault;

use super::market::{JobId, Market, MarketOptions, runtime};
use crate::cli::account::Account;
use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::{self, print_rows, when};
use crate::cli::signals::stop_on_signals;
use crate::cli::subject::{StageOptions, Subject, own_statement};
use crate::config::Config;
use crate::job::{
    Job, Part, PartError, PartEvent, PartPlace, SPEC, Stop, certified, disputed, seal_salt,
};
use crate::pipeline::stage_job::StageJob;

/// The file of a folder's transactions.
const STORE: &str = "transactions.redb";
/// Says in which step of a folder's run a bit is wrong on purpose.
const FAULT_FILE: &str = "fault";

/// Does a job for its reward: accepts it, computes it, claims what it came to, and defends that.
///
/// With the folder of a pipeline's peer the job is one step of its stage, and what is claimed must
/// be what that peer signed.
///
/// Goes on where the job stands, so the same command after a crash continues. SIGINT and SIGTERM
/// stop it with everything saved; while a claim can be disputed a worker should run, or it loses by
/// its clock.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  swarm-node job work configs/nano/job.toml --contracts jobs.toml --job \
0x… --out runs/worker"
)]
pub(super) struct Work {
    #[command(flatten)]
    part: PartOptions,
    /// Flips a bit of a gradient, or of a drawn token, in this step, as a defective machine would, to
    /// see what follows: the claim is refuted, and half of the bond is the challenger's. On dev chains only.
    #[arg(long, value_name = "STEP")]
    fault: Option<u64>,
}

/// Verifies a job: computes it again, seals what it found, and disputes a claim that differs.
///
/// Nothing is disputed that was not computed whole here. Who wins a dispute gets half of the
/// worker's bond. Goes on where the job stands, so the same command after a crash continues.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  swarm-node job verify configs/nano/job.toml --contracts jobs.toml \
--job 0x… --out runs/verifier"
)]
pub(super) struct Verify {
    #[command(flatten)]
    part: PartOptions,
    /// What the worker published: a copy of its folder. Where it has signed the step that is wrong
    /// (`job sign`), its claim is refuted without a game and without a bond.
    #[arg(long, value_name = "DIR")]
    published: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct PartOptions {
    /// The job, a TOML file; or the folder of a pipeline's peer, of which one step of one stage is
    /// the job.
    #[arg(value_name = "SPEC")]
    spec: PathBuf,
    #[command(flatten)]
    stage: StageOptions,
    #[command(flatten)]
    market: MarketOptions,
    /// What the job is known by on the chain.
    #[arg(long, value_name = "JOB")]
    job: JobId,
    /// Folder of the history, of checkpoints and of transactions.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Creates the tokens of the bond first, if they are not there; works with test tokens only.
    #[arg(long)]
    mint: bool,
}

impl Work {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: &[(String, String)],
    ) -> Result<(), Failure> {
        self.part
            .run((Role::Worker, self.fault, None), options, environment)
    }
}

impl Verify {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: &[(String, String)],
    ) -> Result<(), Failure> {
        let published = self.published.as_deref();
        self.part
            .run((Role::Verifier, None, published), options, environment)
    }
}

impl PartOptions {
    fn run(
        &self,
        (role, fault, published): (Role, Option<u64>, Option<&Path>),
        options: &Options,
        environment: &[(String, String)],
    ) -> Result<(), Failure> {
        if let Some(published) = published.filter(|folder| !folder.is_dir()) {
            return Err(Failure::Usage(anyhow::anyhow!(
                "--published {}: there is no such folder",
                published.display()
            )));
        }
        let config = options.settings(&[], environment.to_vec())?;
        let config = config.config::<Config>()?;
        let engine = certified(&config.engine, config.engine.workers())?;
        let console = Console::new();
        let subject = self.stage.subject(&self.spec, &engine)?;
        let job = subject.claimable();
        let marked = fault;
        let fault = fault.map(|step| fault_of(&subject, step)).transpose()?;
        std::fs::create_dir_all(&self.out).map_err(|error| {
            Failure::Usage(anyhow::anyhow!(
                "the folder {} cannot be made: {error}; name another with --out",
                self.out.display()
            ))
        })?;
        self.require_fault(marked)?;
        if let Subject::Job(job) = &subject {
            job.file.save(&self.out.join(SPEC))?;
        }
        let store = Store::open(&self.out.join(STORE)).map_err(Failure::work)?;
        let stop = stop_on_signals()?;
        let disputed = disputed(job).map_err(Failure::work)?;
        runtime()?.block_on(async {
            let opened = self.market.open(options, environment, Some(&store));
            let (market, account) = opened.await?;
            if fault.is_some() && !DEV_CHAINS.contains(&account.link.client.chain_id()) {
                return Err(Failure::Usage(anyhow::anyhow!(
                    "--fault is for dev chains, and this is chain {}: a false claim costs its \
                     bond",
                    account.link.client.chain_id()
                )));
            }
            // Before any money moves, and told with what a person knows the job by.
            let view = market.job(self.job).await?;
            let part = Part {
                id: self.job.0,
                role,
                job,
                disputed: &disputed,
                engine: engine.as_ref(),
                fault,
                folder: &self.out,
                published,
                progress: &console,
                stop: &stop,
                tell: &tell,
            };
            let place = PartPlace {
                escrow: &market.escrow,
                writer: &account.writer,
                link: &account.link,
                salt: seal_salt(&account.key, self.job.0),
                reveal_window: market.deployment.parameters.reveal_window,
            };
            let failed = |error| failure(error, &stop);
            if let (Subject::Stage(stage), Role::Worker) = (&subject, role) {
                self.require_signed(stage, &part)?;
            }
            if self.mint && !view.state.is_over() {
                mint(&view, self.job, role, &market, &account).await?;
            }
            let mut under_way = part.begin(&place).await.map_err(failed)?;
            let view = under_way.play().await.map_err(failed)?;
            let found = under_way.history().map(|history| history.claim().top);
            account.writer.stop().await;
            let held = market.escrow.tokens_of(account.owner).await;
            let held = held.map_err(Failure::work)?;
            let mut rows = vec![
                ("job", self.job.to_string()),
                ("state", view.state.to_string()),
                ("outcome", outcome(role, &view, found)),
                ("last", view.last.to_string()),
                ("account", account.owner.to_string()),
                ("tokens held", token_text(held.saturating_to())),
            ];
            if role == Role::Verifier {
                let agrees = match found {
                    None => "nothing was computed",
                    Some(top) if top == view.commitment.0 => "yes",
                    Some(_) => "no",
                };
                rows.push(("agrees", agrees.to_owned()));
            }
            let kept = format!("the run is in {}", self.out.display());
            print_rows(&rows, options.json, kept)
        })
    }
}

impl PartOptions {
    /// That the stage's step comes to what this peer signed, before its claim puts a bond at stake.
    fn require_signed(&self, stage: &StageJob, part: &Part<'_>) -> Result<(), Failure> {
        let Some((hop, signed)) = own_statement(&self.spec, stage)? else {
            return Ok(());
        };
        let computed = part.compute().map_err(|error| failure(error, part.stop))?;
        let Some(computed) = computed else {
            return Err(failure(PartError::Stopped, part.stop));
        };
        match computed.states().last() {
            Some(state) if *state == signed => Ok(()),
            _ => Err(Failure::Wrong(format!(
                "{hop} signed that step {} came to {}, and this machine computes another state; \
                 nothing is claimed: a false claim costs its bond",
                stage.record.step,
                Digest(signed)
            ))),
        }
    }

    /// That the folder was computed with this fault, or without one: what a defective machine
    /// computed must not be claimed, or doubted with, by accident.
    fn require_fault(&self, fault: Option<u64>) -> Result<(), Failure> {
        let (path, out) = (self.out.join(FAULT_FILE), self.out.display());
        let marked = marked_fault(&self.out)?;
        let has_history = self.out.join(HISTORY).exists();
        match (marked, fault) {
            (None, None) => {
                if has_history {
                    output::note(&format!("going on with what is computed in {out}"));
                }
                Ok(())
            }
            (Some(marked), Some(fault)) if marked == fault => Ok(()),
            (Some(marked), _) => Err(Failure::Usage(anyhow::anyhow!(
                "{out} was computed with --fault {marked}: what is in it is wrong on purpose; name \
                 another folder with --out"
            ))),
            (None, Some(_)) if has_history => Err(Failure::Usage(anyhow::anyhow!(
                "{out} was computed without a fault; name another folder with --out"
            ))),
            (None, Some(fault)) => std::fs::write(&path, format!("{fault}\n")).map_err(|error| {
                let text = format!("{} cannot be written: {error}", path.display());
                Failure::Work(anyhow::anyhow!(text))
            }),
        }
    }
}

/// The step that a folder was computed wrong in on purpose; none for others.
pub(super) fn marked_fault(folder: &Path) -> Result<Option<u64>, Failure> {
    let path = folder.join(FAULT_FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let text = format!("{} cannot be read: {error}", path.display());
            return Err(Failure::Work(anyhow::anyhow!(text)));
        }
    };
    match text.trim().parse() {
        Ok(step) => Ok(Some(step)),
        Err(_) => Err(Failure::Work(anyhow::anyhow!(
            "{} says {text:?}, which is no step; the folder is of nobody's run",
            path.display()
        ))),
    }
}

fn fault_of(subject: &Subject, step: u64) -> Result<Fault, Failure> {
    match subject {
        Subject::Job(job) => fault_in(job, step),
        Subject::Stage(stage) if stage.record.step == step => {
            let fault = stage.planned.fault(SumFault::EXAMPLE);
            fault.ok_or_else(|| {
                Failure::Usage(anyhow::anyhow!(
                    "--fault: the stage has no tensor to be wrong in"
                ))
            })
        }
        Subject::Stage(stage) => Err(Failure::Usage(anyhow::anyhow!(
            "--fault {step}: the job is step {} alone",
            stage.record.step
        ))),
    }
}

pub(super) fn fault_in(job: &Job, step: u64) -> Result<Fault, Failure> {
    job.fault(step).ok_or_else(|| {
        Failure::Usage(anyhow::anyhow!(
            "--fault {step}: the job has {} steps, numbered from 0",
            job.identity.steps
        ))
    })
}

/// What the end of a job means for an account.
fn outcome(role: Role, view: &JobView, found: Option<[u8; 32]>) -> String {
    let differs = found.is_some_and(|top| top != view.commitment.0);
    let tokens = |units| token_text(units);
    match (role, view.state) {
        (Role::Worker, JobState::Finalized) => format!(
            "paid: the reward of {} tokens, and the bond of {} is back",
            tokens(view.reward),
            tokens(view.worker_bond)
        ),
        (Role::Worker, JobState::Refuted) => {
            format!("lost: the bond of {} tokens", tokens(view.worker_bond))
        }
        (Role::Worker, JobState::Expired) => "too late: half of the bond is lost".into(),
        (Role::Verifier, JobState::Finalized) if differs => {
            "a claim that differs from what was computed here is final".into()
        }
        (Role::Verifier, JobState::Finalized) => "the claim is final".into(),
        (Role::Verifier, JobState::Refuted) => "the claim is refuted; who showed it has half of \
                                                the worker's bond"
            .into(),
        (_, state) => state.to_string(),
    }
}

/// Creates the test tokens that are missing for a bond.
async fn mint(
    view: &JobView,
    job: JobId,
    role: Role,
    market: &Market,
    account: &Account,
) -> Result<(), Failure> {
    let bond = U256::from(match role {
        Role::Worker => view.worker_bond,
        Role::Verifier => view.challenger_bond,
    });
    let held = market.escrow.tokens_of(account.owner).await;
    let held = held.map_err(Failure::work)?;
    if held >= bond {
        return Ok(());
    }
    let token = market.deployment.contracts.token;
    let data = tokens::mint(account.owner, bond - held);
    let remedy = |_: &_| "the same command goes on from there".to_owned();
    let patience = market.config.chain.wait_s;
    let name = format!("mint/{:x}", job.0);
    let sent = account.send(&name, vec![("mint", token, data)], patience, remedy);
    sent.await.map(|_| ())
}

fn failure(error: PartError, stop: &Stop) -> Failure {
    match error {
        PartError::Stopped => Failure::stopped(
            stop,
            "what was done is kept, and the same command goes on from there; a game goes on \
             without this process, until its clock has run out",
        ),
        PartError::OtherJob { .. } => Failure::Usage(error.into()),
        PartError::Party(PartyError::Funds { .. }) => Failure::Work(anyhow::anyhow!(
            "{error}; send it more of that token, or create test tokens with --mint"
        )),
        error => Failure::work(error),
    }
}

/// Shows what happens to a part.
fn tell(event: PartEvent<'_>) {
    match event {
        PartEvent::Stands(state, what, Some(until)) => {
            output::note(&format!("{state}: {what}, until {}", when(until)));
        }
        PartEvent::Stands(state, what, None) => output::note(&format!("{state}: {what}")),
        PartEvent::Mined { what, block, gas } => {
            output::note(&format!("{what}: in block {block}, {gas} gas"));
        }
        PartEvent::Refused { what, error } => output::note(&format!("{what}: {error}")),
        PartEvent::Silent(game, why) => {
            output::warning(&format!("game {game}: nothing to say: {why}"));
        }
        PartEvent::Away(error) => {
            output::note(&format!("the chain is away, and is waited for: {error}"))
        }
        PartEvent::Back => output::note("the chain answers again"),
        PartEvent::Waits { what, why } => output::note(&format!("{what}: waiting: {why}")),
        PartEvent::Damaged(text) => output::warning(text),
    }
}
