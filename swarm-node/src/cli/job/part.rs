//! `swarm-node job work` and `job verify`: an account's part in a job, from the first look to the money.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use contracts::jobs::{JobState, JobView};
use contracts::swarm::calls as tokens;
use contracts::writer::Ticket;
use contracts::{B256, U256};
use reproducible_ops::engine::Engine;
use swarm_dispute::party::{Party, PartyError, Progress as Progressed};
use swarm_dispute::player::{Known, KnownJob};
use swarm_dispute::role::{Act, Role};
use swarm_identity::digest::{Hasher, hex};
use swarm_learn::job_record::{FolderStates, record, whole_history};
use swarm_learn::job_run::{JobRun, JobRunError};
use swarm_learn::run_folder::RunFolder;
use swarm_settle::chain::DEV_CHAINS;
use swarm_settle::tokens::token_text;
use swarm_store::Store;
use verde::fault::Fault;
use verde::game::Rules;
use verde::history::{Claim, History};
use verde::job::Job as Disputed;
use verde::record::Replay;

use super::launch::{disputed, length};
use super::market::{JobId, Market, MarketOptions, runtime};
use super::run::carry_out;
use crate::cli::account::Account;
use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::{self, print_rows, when};
use crate::cli::signals::stop_on_signals;
use crate::job::{Job, JobSpec, SPEC, Stop, certified};

/// The file of a folder's transactions.
const STORE: &str = "transactions.redb";
/// The element and the bit of a gradient that `--fault` flips.
const FAULT: (usize, u32) = (0, 22);

/// Does a job for its reward: accepts it, computes it, claims what it came to, and defends that.
///
/// Goes on where the job stands, so the same command after a crash continues. SIGINT and SIGTERM stop
/// it with everything saved; while a claim can be disputed a worker should run, or it loses by its
/// clock.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  swarm-node job work configs/nano/job.toml --contracts jobs.toml --job \
0x… --out runs/worker"
)]
pub(super) struct Work {
    #[command(flatten)]
    part: PartOptions,
    /// Flips a bit of a gradient in this step, as a defective machine would, to see what follows: the
    /// claim is refuted, and half of the bond is the challenger's. On dev chains only.
    #[arg(long, value_name = "STEP")]
    fault: Option<u64>,
}

/// Verifies a job: computes it again, seals what it found, and disputes a claim that differs.
///
/// Nothing is disputed that was not computed whole here. Who wins a dispute gets half of the worker's
/// bond. Goes on where the job stands, so the same command after a crash continues.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  swarm-node job verify configs/nano/job.toml --contracts jobs.toml \
--job 0x… --out runs/verifier"
)]
pub(super) struct Verify {
    #[command(flatten)]
    part: PartOptions,
}

#[derive(Debug, Args)]
struct PartOptions {
    /// The job, a TOML file.
    #[arg(value_name = "SPEC")]
    spec: PathBuf,
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
            .run(Role::Worker, self.fault, options, environment)
    }
}

impl Verify {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: &[(String, String)],
    ) -> Result<(), Failure> {
        self.part.run(Role::Verifier, None, options, environment)
    }
}

impl PartOptions {
    fn run(
        &self,
        role: Role,
        fault: Option<u64>,
        options: &Options,
        environment: &[(String, String)],
    ) -> Result<(), Failure> {
        let spec = JobSpec::load(&self.spec)?;
        let config = options.settings(&[], environment.to_vec())?;
        let config = config.config::<crate::config::Config>()?;
        let engine = certified(&config.engine, config.engine.workers())?;
        let console = Console::new();
        let job = Job::assemble(&spec, &console)?;
        let fault = fault.map(|step| fault_in(&job, step)).transpose()?;
        std::fs::create_dir_all(&self.out).map_err(Failure::work)?;
        spec.save(&self.out.join(SPEC))?;
        let store = Store::open(&self.out.join(STORE)).map_err(Failure::work)?;
        let stop = stop_on_signals()?;
        let disputed = disputed(&job)?;
        let mut part = Part {
            id: self.job,
            role,
            fault,
            job: &job,
            disputed: &disputed,
            engine: engine.as_ref(),
            folder: &self.out,
            console: &console,
            stop: &stop,
            history: None,
            knows: Knows::default(),
            said: Vec::new(),
        };
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
            if self.mint {
                part.mint(&market, &account).await?;
            }
            let last = part.play(&market, &account).await?;
            account.writer.stop().await;
            part.tell(&market, &account, &last, options.json).await
        })
    }
}

fn fault_in(job: &Job, step: u64) -> Result<Fault, Failure> {
    let fault = job.training.gradient_fault(step, FAULT.0, FAULT.1);
    let fault = fault.filter(|_| step < job.identity.steps);
    fault.ok_or_else(|| {
        Failure::Usage(anyhow::anyhow!(
            "--fault {step}: the job has {} steps, numbered from 0",
            job.identity.steps
        ))
    })
}

/// What the account knows of the job, for games about it.
#[derive(Default)]
struct Knows<'a> {
    job: Option<(U256, &'a Disputed)>,
    /// What is claimed on the chain.
    claim: Option<Claim>,
    record: Option<Replay<'a, FolderStates<'a>>>,
}

impl Known for Knows<'_> {
    fn of(&mut self, job: U256) -> Option<KnownJob<'_>> {
        let (id, known) = self.job?;
        if id != job {
            return None;
        }
        Some(KnownJob {
            rules: Rules {
                job: known,
                claim: self.claim.as_ref()?,
            },
            record: self.record.as_mut()?,
            public: None,
        })
    }
}

/// An account's part in a job, with all that it takes.
struct Part<'a> {
    id: JobId,
    role: Role,
    fault: Option<Fault>,
    job: &'a Job,
    disputed: &'a Disputed,
    engine: &'a dyn Engine,
    folder: &'a Path,
    console: &'a Console,
    stop: &'a Stop,
    history: Option<History>,
    knows: Knows<'a>,
    /// How the job stood when that was said last.
    said: Vec<String>,
}

impl Part<'_> {
    /// Does what there is to do until nothing is left.
    async fn play(&mut self, market: &Market, account: &Account) -> Result<JobView, Failure> {
        self.require_same(&market.job(self.id).await?)?;
        self.remember()?;
        let window = market.deployment.parameters.reveal_window;
        let salt = self.salt(account);
        let (escrow, writer) = (market.escrow.clone(), account.writer.clone());
        let mut party = Party::new(self.role, self.id.0, escrow, writer, salt, window);
        while !self.stop.is_requested() {
            let now = account.link.now().await;
            let looked = match now {
                Ok(now) => {
                    let found = self.history.as_ref();
                    party.advance(now, found, &mut self.knows).await
                }
                Err(error) => Err(error.into()),
            };
            match looked {
                Ok(progress) => {
                    self.follow(&progress);
                    if progress.act == Act::Over {
                        return Ok(progress.job);
                    }
                    self.carry_on(progress).await?;
                }
                Err(error) if error.is_transient() => {
                    self.say(format!("waiting: {error}"));
                }
                Err(error @ PartyError::Funds { .. }) => {
                    return Err(Failure::Work(anyhow::anyhow!(
                        "{error}; send it more of that token"
                    )));
                }
                Err(error) => return Err(Failure::work(error)),
            }
            self.rest(account.link.poll).await;
        }
        let state = "what was done is kept; the same command goes on from there, and a dispute goes \
                     on without this process until its clock has run out";
        Err(Failure::Stopped {
            signal: self.stop.signal().unwrap_or_default(),
            state: state.into(),
        })
    }

    /// Creates the test tokens that are missing for the bond.
    async fn mint(&self, market: &Market, account: &Account) -> Result<(), Failure> {
        let view = market.job(self.id).await?;
        let bond = U256::from(match self.role {
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
        let name = format!("mint/{:x}", self.id.0);
        let sent = account.send(&name, vec![("mint", token, data)], patience, remedy);
        sent.await.map(|_| ())
    }

    /// That the job of the chain is the one of the file.
    fn require_same(&self, view: &JobView) -> Result<(), Failure> {
        let identity = &self.job.identity;
        let of_chain = [hex(&view.plan.0), hex(&view.initial.0)];
        let of_file = [identity.plan.clone(), identity.initial.clone()];
        let length = length(self.job)?;
        let same_length = (view.steps, view.stride) == (length.steps(), length.stride());
        match of_chain == of_file && same_length {
            true => Ok(()),
            false => Err(Failure::Usage(anyhow::anyhow!(
                "job {} is another one: on the chain plan {}, initial state {}, {} steps with a \
                 checkpoint every {}; in the file plan {}, initial state {}, {} steps with a \
                 checkpoint every {}; ask its payer for its file",
                self.id,
                of_chain[0],
                of_chain[1],
                view.steps,
                view.stride,
                of_file[0],
                of_file[1],
                length.steps(),
                length.stride()
            ))),
        }
    }

    /// The salt of the account's seal: the same whenever it is asked, and nobody else's to know.
    fn salt(&self, account: &Account) -> B256 {
        let job: [u8; 32] = self.id.0.to_be_bytes();
        let context = Hasher::new("seal of a job").bytes(&job).finish();
        account.key.salt_key().salt(&context).into()
    }

    /// Reads what was computed, if it is whole.
    fn remember(&mut self) -> Result<(), Failure> {
        let history = whole_history(self.folder, &self.job.identity);
        let Some(history) = history.map_err(Failure::work)? else {
            return Ok(());
        };
        let (engine, training) = (self.engine, &self.job.training);
        let record = record(
            engine,
            self.disputed,
            training,
            self.folder,
            history.clone(),
            self.fault,
        );
        self.knows.record = Some(record.map_err(Failure::work)?);
        self.knows.job = Some((self.id.0, self.disputed));
        self.history = Some(history);
        Ok(())
    }

    /// Notes what the chain says, and tells it where it is new.
    fn follow(&mut self, progress: &Progressed) {
        let view = &progress.job;
        if view.state == JobState::Committed
            && let Some(history) = &self.history
        {
            self.knows.claim = Some(Claim {
                top: view.commitment.0,
                ..*history.claim()
            });
        }
        let what = match progress.act {
            Act::Wait(what, Some(until)) => {
                format!("waiting for {}, until {}", what.text(), when(until))
            }
            Act::Wait(what, None) => format!("waiting for {}", what.text()),
            Act::Compute => "computing".into(),
            Act::Play => match view.games {
                1 => "a game is under way".into(),
                games => format!("{games} games are under way"),
            },
            Act::Over => "over".into(),
            _ => return,
        };
        self.say(format!("{}: {what}", view.state));
        for (game, why) in &progress.games.silent {
            self.say(format!("game {game}: nothing to say: {why}"));
        }
    }

    async fn carry_on(&mut self, progress: Progressed) -> Result<(), Failure> {
        if progress.act == Act::Compute {
            return self.compute();
        }
        if let Some((name, ticket)) = progress.sent {
            self.see_through(name, &ticket).await;
        }
        for (game, ticket) in progress.games.sent {
            self.see_through(&format!("move in game {game}"), &ticket)
                .await;
        }
        Ok(())
    }

    /// Waits until a transaction is in a block. One that is refused is decided on anew: somebody may
    /// have been faster.
    async fn see_through(&self, what: &str, ticket: &Ticket) {
        let included = tokio::select! {
            included = ticket.included() => included,
            () = self.stop.requested() => return,
        };
        match included {
            Ok(included) => {
                let (block, gas) = (included.block, included.gas_used);
                output::note(&format!("{what}: in block {block}, {gas} gas"));
            }
            Err(error) => output::note(&format!("{what}: {error}")),
        }
    }

    fn compute(&mut self) -> Result<(), Failure> {
        let files = self.job.model.files.clone();
        let folder = RunFolder::open(self.folder, usize::MAX, files).map_err(Failure::work)?;
        let identity = self.job.identity.clone();
        let begun = JobRun::new(self.engine, &self.job.training, identity, folder);
        let (mut run, damaged) = begun.map_err(Failure::work)?;
        damaged.iter().for_each(|text| output::warning(text));
        if let Some(fault) = self.fault {
            run.break_with(fault);
        }
        carry_out(&mut run, self.console, self.stop)?;
        drop(run);
        self.remember()
    }

    async fn rest(&self, poll: Duration) {
        tokio::select! {
            () = tokio::time::sleep(poll) => {}
            () = self.stop.requested() => {}
        }
    }

    /// Says how the job stands, unless that was said before.
    fn say(&mut self, text: String) {
        if !self.said.contains(&text) {
            output::note(&text);
            self.said.push(text);
        }
    }

    async fn tell(
        &self,
        market: &Market,
        account: &Account,
        view: &JobView,
        json: bool,
    ) -> Result<(), Failure> {
        let held = market.escrow.tokens_of(account.owner).await;
        let held = held.map_err(Failure::work)?;
        let agrees = match &self.history {
            None => "nothing was computed",
            Some(history) if history.claim().top == view.commitment.0 => "yes",
            Some(_) => "no",
        };
        let mut rows = vec![
            ("job", self.id.to_string()),
            ("state", view.state.to_string()),
            ("last", view.last.to_string()),
            ("account", account.owner.to_string()),
            ("tokens", token_text(held.saturating_to())),
        ];
        if self.role == Role::Verifier {
            rows.push(("agrees", agrees.to_owned()));
        }
        print_rows(
            &rows,
            json,
            format!("the run is in {}", self.folder.display()),
        )
    }
}

impl From<JobRunError> for Failure {
    fn from(error: JobRunError) -> Self {
        Self::work(error)
    }
}
