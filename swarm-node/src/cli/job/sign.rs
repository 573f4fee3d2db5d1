//! `swarm-node job sign`: what a worker answers for of a single step.

use std::path::PathBuf;

use clap::Args;
use contracts::B256;
use contracts::game::{SignedStep, step_claim_digest};
use contracts::jobs::JobState;
use contracts::typed::Domain;
use swarm_identity::digest::Hasher;
use swarm_identity::{Place, STEP_CLAIM, Signer};
use swarm_learn::job_record::record;
use swarm_learn::published::PublishedRecord;
use swarm_learn::step_trace::trace_path;
use swarm_store::Store;
use verde::game::StepClaim;
use verde::history::History;
use verde::job::Job as Disputed;
use verde::player::step_claim;
use verde::record::Record;

use super::market::{JobId, MarketOptions, runtime};
use super::part::{fault_in, marked_fault};
use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::print_rows;
use crate::config::Config;
use crate::job::{Job, JobFile, SPEC, SignedFile, certified, disputed};

/// What was signed in a folder, so that nothing else is signed in its place.
const STORE: &str = "signed.redb";

/// Signs what the account's claim says of one step, for whoever audits it.
///
/// A claim commits to checkpoints. With this the worker answers for what lies between them, as
/// `job trace` has written it: who can show that it is false refutes the claim at once, without a
/// game and without a bond. The step is computed once more before it is signed, and nothing is
/// signed that this machine does not compute.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  swarm-node job trace runs/worker --step 3 --values 2\n  swarm-node job sign \
runs/worker --contracts jobs.toml --job 0x… --step 3"
)]
pub(super) struct Sign {
    /// Folder of `job work`.
    #[arg(value_name = "RUN")]
    folder: PathBuf,
    #[command(flatten)]
    market: MarketOptions,
    /// What the job is known by on the chain.
    #[arg(long, value_name = "JOB")]
    job: JobId,
    /// The step, from 0.
    #[arg(long, value_name = "N")]
    step: u64,
    /// The job, a TOML file [default: the copy in the folder].
    #[arg(long, value_name = "SPEC")]
    spec: Option<PathBuf>,
}

impl Sign {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: &[(String, String)],
    ) -> Result<(), Failure> {
        let spec = self.spec.clone().unwrap_or_else(|| self.folder.join(SPEC));
        let job = Job::assemble(&JobFile::load(&spec)?, &Console::new())?;
        let disputed = disputed(job.claimable()).map_err(Failure::work)?;
        let record = PublishedRecord::open(&self.folder, &disputed, &job.identity);
        let mut record = record.map_err(Failure::work)?.about(self.step);
        let claim = *record.history().claim();
        let steps = claim.length.steps();
        if self.step >= steps {
            return Err(Failure::Usage(anyhow::anyhow!(
                "step {}: the job has {steps}, numbered from 0",
                self.step
            )));
        }
        let claimed = step_claim(&claim, &mut record, self.step).map_err(Failure::work)?;
        let history = record.history().clone();
        self.require_computed(&job, (&disputed, history), &claimed, options, environment)?;
        runtime()?.block_on(async {
            let (market, account) = self.market.open(options, environment, None).await?;
            let view = market.job(self.job).await?;
            if view.worker != account.owner {
                return Err(Failure::Usage(anyhow::anyhow!(
                    "the worker of this job is {}, and the wallet's account is {}; only the worker \
                     answers for its claim",
                    view.worker,
                    account.owner
                )));
            }
            if view.state != JobState::Committed {
                return Err(Failure::Usage(anyhow::anyhow!(
                    "the job is {}: there is something to answer for while its claim can be \
                     challenged, in the state `committed`",
                    view.state
                )));
            }
            if view.commitment.0 != claim.top {
                return Err(Failure::Usage(anyhow::anyhow!(
                    "the claim on the chain is {}, and that of {} is {}; name the folder in which \
                     the claim was computed",
                    view.commitment,
                    self.folder.display(),
                    B256::from(claim.top)
                )));
            }
            let domain = Domain {
                chain_id: account.link.client.chain_id(),
                contract: market.deployment.contracts.game,
            };
            let place = Place {
                swarm: Hasher::new("step claims of a job")
                    .u64(domain.chain_id)
                    .bytes(domain.contract.as_slice())
                    .bytes(&self.job.0.to_be_bytes::<32>())
                    .finish(),
                kind: STEP_CLAIM,
                round: self.step,
                slot: 0,
            };
            let store = Store::open(&self.folder.join(STORE)).map_err(Failure::work)?;
            let signer = Signer::new(account.key.clone(), store.sign_once());
            let digest = step_claim_digest(&domain, self.job.0, &claimed);
            let signature = signer.sign_recoverable(&place, &digest.0);
            let signed = SignedStep {
                job: self.job.0,
                claim: claimed,
                signature: signature.map_err(Failure::work)?,
            };
            let file = SignedFile::new(&domain, self.step, &signed);
            let path = file.write(&self.folder).map_err(Failure::work)?;
            let rows = [
                ("job", self.job.to_string()),
                ("step", self.step.to_string()),
                ("signed by", account.owner.to_string()),
                ("file", path.display().to_string()),
            ];
            print_rows(&rows, options.json, String::new())
        })
    }

    /// That this machine computes what the trace says, right or wrong on purpose.
    fn require_computed(
        &self,
        job: &Job,
        (disputed, history): (&Disputed, History),
        claimed: &StepClaim,
        options: &Options,
        environment: &[(String, String)],
    ) -> Result<(), Failure> {
        let config = options.settings(&[], environment.to_vec())?;
        let config = config.config::<Config>()?;
        let engine = certified(&config.engine, config.engine.workers())?;
        let claim = *history.claim();
        let fault = marked_fault(&self.folder)?;
        let fault = fault.map(|step| fault_in(job, step)).transpose()?;
        let folder = &self.folder;
        let own = record(
            engine.as_ref(),
            disputed,
            job.plan(),
            folder,
            history,
            fault,
        );
        let mut own = own.map_err(Failure::work)?;
        let computed = step_claim(&claim, &mut own, self.step).map_err(Failure::work)?;
        match computed == *claimed {
            true => Ok(()),
            false => Err(Failure::Work(anyhow::anyhow!(
                "{} says of step {} what this machine does not compute; nothing is signed. Write it \
                 again with `job trace {} --step {}`",
                trace_path(folder, self.step).display(),
                self.step,
                folder.display(),
                self.step
            ))),
        }
    }
}
