//! A cheat: a training job whose worker gets one bit of a gradient wrong, and what becomes of it.
//!
//! ```text
//! payer ─launch─▶ job ◀─accept, claim─ worker (one bit of a gradient is flipped)
//!                  ▲
//!                  └─recompute, challenge─ verifier ─▶ game ─▶ one element, recomputed by the contract
//! ```
//! The contracts are those that are deployed, on an embedded chain of its own, so that it costs
//! nobody anything; worker and verifier are those of `job work` and `job verify`.

use std::cell::RefCell;
use std::time::Instant;

use contracts::bindings::TestToken;
use contracts::client::Call;
use contracts::jobs::{self, Escrow, JobContracts, JobParameters, JobSpec as Wanted, JobView};
use contracts::swarm::calls as tokens;
use contracts::writer::{Intent, IntentId, Submitted, Writer};
use contracts::{Address, B256, Bytes, U256};
use reproducible_ops::engine::Engine;
use serde::Serialize;
use swarm_devchain::dev_accounts;
use swarm_dispute::games::Games;
use swarm_dispute::role::Role;
use swarm_identity::NodeKey;
use swarm_settle::chain::{ChainConfig, Link, account_writer, wall_clock};
use swarm_settle::tokens::{TOKEN, token_text};
use verde::fault::Fault;
use verde::game::Rules;
use verde::history::Claim;
use verde::job::Job as Disputed;
use verde::player::Game;

use crate::job::{
    Job, JobSpec, Part, PartEvent, PartPlace, PartUnderWay, Progress, Silent, Stop, disputed,
    length, seal_salt,
};

const SPEC: &str = include_str!("../../../configs/nano/job.toml");
/// Steps of the job, and how often its state is committed to.
const LENGTH: (u64, u64) = (6, 2);
/// Rows of a microbatch.
const ROWS: usize = 4;
/// The step with the fault; the element and the bit of the gradient.
const FAULT: (u64, usize, u32) = (3, 0, 22);
/// Seconds of the embedded chain's time, which passes while all wait.
const WINDOW: u64 = 10;
const CLOCK: u32 = 60;
const REWARD: u128 = 10 * TOKEN;
const WORKER_BOND: u128 = 20 * TOKEN;
const CHALLENGER_BOND: u128 = 5 * TOKEN;
const ACCEPT_SECONDS: u64 = 3_600;

/// What became of a cheat.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheatReport {
    /// How the job ended: `refuted`, unless the contracts failed.
    pub state: String,
    /// Steps of the job.
    pub steps: u64,
    /// The step in which a bit was flipped.
    pub step: u64,
    /// What the game came down to.
    pub place: String,
    /// Transactions of the game, from the challenge to the proof.
    pub transactions: usize,
    /// Gas of all of these.
    pub gas: u64,
    /// Gas of the dearest.
    pub largest_call_gas: u64,
    /// Seconds from the launch to the end, with both computations.
    pub seconds: f64,
    /// Tokens that the worker lost.
    pub worker_lost: String,
    /// Tokens that the verifier gained.
    pub verifier_gained: String,
}

/// Why there is no cheat to tell of.
pub(super) type CheatError = Box<dyn std::error::Error + Send + Sync>;

/// Plays the cheat on this engine; none after a request to stop.
pub(super) fn cheat(
    engine: &dyn Engine,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<CheatReport, CheatError> {
    let mut spec: JobSpec = toml::from_str(SPEC)?;
    (spec.steps, spec.stride) = LENGTH;
    (spec.schedule.warmup, spec.schedule.decay) = (2, 2);
    spec.batch.rows = ROWS;
    let job = Job::of_training(&spec, &Silent)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (fault_step, element, bit) = FAULT;
    let training = &job.training("a gradient")?.plan;
    let fault = training.gradient_fault(fault_step, element, bit);
    let scene = Scene {
        disputed: disputed(job.claimable())?,
        fault: fault.ok_or("the job has no gradient")?,
        job,
        engine,
        stop,
    };
    progress.begin("a cheat", 1);
    let report = runtime.block_on(scene.play())?;
    progress.end("");
    Ok(report)
}

struct Scene<'a> {
    job: Job,
    disputed: Disputed,
    fault: Fault,
    engine: &'a dyn Engine,
    stop: &'a Stop,
}

/// An account of the embedded chain.
struct Actor {
    writer: Writer,
    key: NodeKey,
    sent: u32,
}

impl Actor {
    fn new(link: &Link, number: usize) -> Result<Self, CheatError> {
        let accounts = dev_accounts();
        let account = accounts.get(number).ok_or("too few accounts")?;
        Ok(Self {
            writer: account_writer(link, account.signer.clone())?,
            key: NodeKey::from_secret(&account.secret.0)?,
            sent: 0,
        })
    }

    fn address(&self) -> Address {
        self.writer.account()
    }

    async fn send(&mut self, to: Option<Address>, data: Bytes) -> Result<Address, CheatError> {
        self.sent += 1;
        let id = IntentId::new(format!("cheat/{}", self.sent))?;
        let intent = match to {
            Some(to) => Intent::call(id, to, data),
            None => Intent::create(id, data),
        };
        let included = self.writer.submit(intent).await?.included().await?;
        Ok(included.contract.or(to).ok_or("no contract was made")?)
    }
}

impl Scene<'_> {
    async fn play(&self) -> Result<CheatReport, CheatError> {
        let link = Link::connect(&ChainConfig::default(), wall_clock()).await?;
        let link = link.ok_or("there is no embedded chain")?;
        let [mut payer, worker, verifier] = [
            Actor::new(&link, 0)?,
            Actor::new(&link, 1)?,
            Actor::new(&link, 2)?,
        ];
        let contracts = deploy(&link, &mut payer).await?;
        let escrow = Escrow::new(link.client.clone(), contracts);
        for (actor, units) in [
            (payer.address(), REWARD),
            (worker.address(), WORKER_BOND),
            (verifier.address(), CHALLENGER_BOND),
        ] {
            let mint = tokens::mint(actor, U256::from(units));
            payer.send(Some(contracts.token), mint).await?;
        }
        let begun = Instant::now();
        let id = self.launch(&link, &escrow, &mut payer).await?;
        let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
        let gas = RefCell::new(Vec::new());
        let tell = |event: PartEvent<'_>| {
            if let PartEvent::Mined {
                what, gas: used, ..
            } = event
                && (what == "challenge" || what.starts_with("move"))
            {
                gas.borrow_mut().push(used);
            }
        };
        let part = |role, number: usize, fault| Part {
            id,
            role,
            job: self.job.claimable(),
            disputed: &self.disputed,
            engine: self.engine,
            fault,
            folder: folders[number].path(),
            published: None,
            progress: &Silent,
            stop: self.stop,
            tell: &tell,
        };
        let place = |actor| place(actor, &escrow, &link, id);
        let mut parts = [
            part(Role::Worker, 0, Some(self.fault))
                .begin(&place(&worker))
                .await?,
            part(Role::Verifier, 1, None)
                .begin(&place(&verifier))
                .await?,
        ];
        let view = in_turn(&mut parts, &link).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let gas = gas.borrow().clone();
        let held = |account| escrow.tokens_of(account);
        let [worker_has, verifier_has] = [
            held(worker.address()).await?.to::<u128>(),
            held(verifier.address()).await?.to::<u128>(),
        ];
        Ok(CheatReport {
            state: view.state.to_string(),
            steps: LENGTH.0,
            step: FAULT.0,
            place: self.came_to(&escrow, &view).await?,
            transactions: gas.len(),
            gas: gas.iter().sum(),
            largest_call_gas: gas.iter().copied().max().unwrap_or(0),
            seconds: (seconds * 10.0).round() / 10.0,
            worker_lost: token_text(WORKER_BOND.saturating_sub(worker_has)),
            verifier_gained: token_text(verifier_has.saturating_sub(CHALLENGER_BOND)),
        })
    }

    async fn launch(
        &self,
        link: &Link,
        escrow: &Escrow,
        payer: &mut Actor,
    ) -> Result<U256, CheatError> {
        let planned = self.job.plan();
        let wanted = Wanted {
            initial: planned.schedule()?.state_root(&planned.state)?,
            length: length(self.job.claimable())?,
            reward: REWARD,
            worker_bond: WORKER_BOND,
            challenger_bond: CHALLENGER_BOND,
            worker: None,
            accept_by: link.now().await? + ACCEPT_SECONDS,
            salt: B256::ZERO,
        };
        let contracts = escrow.contracts();
        let allow = tokens::approve(contracts.escrow, U256::from(REWARD));
        payer.send(Some(contracts.token), allow).await?;
        let launch = jobs::launch(&self.disputed, &wanted).ok_or("the plan has no first part")?;
        payer.send(Some(contracts.escrow), launch).await?;
        let ask = jobs::id_of(&self.disputed, payer.address(), &wanted);
        let id = link.client.call(&Call::to(contracts.escrow, ask)).await?;
        Ok(U256::try_from_be_slice(&id).ok_or("the job has no id")?)
    }

    /// Where the last game stood before the move that ended it.
    async fn came_to(&self, escrow: &Escrow, view: &JobView) -> Result<String, CheatError> {
        let contracts = escrow.contracts();
        let client = escrow.client().clone();
        let mut games = Games::new(contracts.game, contracts.block, client);
        games.read().await?;
        let last = games.docket().games().keys().next_back();
        let told = last.and_then(|game| games.docket().told(*game));
        let claim = Claim {
            plan: self.disputed.digest(),
            length: length(self.job.claimable())?,
            top: view.commitment.0,
        };
        let rules = Rules {
            job: &self.disputed,
            claim: &claim,
        };
        let mut game = Game::new(rules);
        for (side, made) in told.iter().flat_map(|told| &told.moves) {
            game.play(*side, made)?;
        }
        Ok(game.place().to_string())
    }
}

fn place<'a>(actor: &'a Actor, escrow: &'a Escrow, link: &'a Link, job: U256) -> PartPlace<'a> {
    PartPlace {
        escrow,
        writer: &actor.writer,
        link,
        salt: seal_salt(&actor.key, job),
        reveal_window: WINDOW,
    }
}

/// Lets two parts act in turn until the job is over for both.
async fn in_turn(parts: &mut [PartUnderWay<'_>; 2], link: &Link) -> Result<JobView, CheatError> {
    loop {
        let [worker, verifier] = &mut *parts;
        let (first, second) = (worker.advance().await?, verifier.advance().await?);
        if let (Some(view), Some(_)) = (first, second) {
            return Ok(view);
        }
        link.pass(1);
    }
}

async fn deploy(link: &Link, payer: &mut Actor) -> Result<JobContracts, CheatError> {
    let token = payer.send(None, TestToken::BYTECODE.clone()).await?;
    let parameters = JobParameters {
        work_window: WINDOW,
        seal_window: WINDOW,
        reveal_window: WINDOW,
        challenge_window: WINDOW,
        clock: CLOCK,
        least_worker_bond: WORKER_BOND,
        least_challenger_bond: CHALLENGER_BOND,
        bond_share: 10_000,
    };
    let (client, writer) = (&link.client, &payer.writer);
    let mut submitted = Submitted::default();
    Ok(jobs::deploy(client, writer, &parameters, token, &mut submitted).await?)
}

#[cfg(test)]
mod tests {
    use contracts::jobs::JobState;
    use reproducible_ops::engine::cpu::CpuEngine;

    use super::*;

    #[test]
    fn a_flipped_bit_is_found_played_and_paid_for() {
        let engine = CpuEngine::new(1);
        let report = cheat(&engine, &Silent, &Stop::default()).unwrap();
        assert_eq!(report.state, JobState::Refuted.to_string());
        assert!(report.place.starts_with("tile"), "{report:?}");
        assert!(report.place.ends_with("of step 3"), "{report:?}");
        assert!(report.largest_call_gas < 2_000_000, "{report:?}");
        assert_eq!(
            (report.worker_lost.as_str(), report.verifier_gained.as_str()),
            ("20", "10")
        );
    }
}
