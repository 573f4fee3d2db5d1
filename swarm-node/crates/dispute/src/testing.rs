//! A dev chain with the contracts of jobs, and accounts that play: for tests and measurements.
//! Behind the feature `testing`.
#![allow(clippy::unwrap_used, missing_docs, reason = "for tests")]

use std::sync::Arc;

use contracts::bindings::TestToken;
use contracts::client::{Call, Client};
use contracts::game::{SignedStep, announce, calls, step_claim_digest};
use contracts::jobs::{self, Commit, Escrow, JobContracts, JobParameters, JobSpec, JobState};
use contracts::swarm::calls as tokens;
use contracts::typed::Domain;
use contracts::writer::{
    Inclusion, Intent, IntentId, MemoryStore, Submitted, TicketError, Writer, WriterConfig,
};
use contracts::{Address, B256, Bytes, U256};
use swarm_devchain::{DevChain, Options, dev_accounts};
use swarm_identity::NodeKey;
use verde::game::Rules;
use verde::history::{Claim, History};
use verde::job::Job;
use verde::record::Record;

use crate::answer::{AnswerError, first_moves, refutation};
use crate::docket::End;
use crate::party::Party;
use crate::player::{Known, KnownJob, Player};
use crate::role::Role;

pub const START: u64 = 1_800_000_000;
pub const HOUR: u64 = 3_600;
pub const REWARD: u128 = 10_000;
pub const WORKER_BOND: u128 = 4_000;
pub const CHALLENGER_BOND: u128 = 1_000;
/// Units that each account begins with.
pub const PURSE: u128 = 100_000;
/// Where burned money is booked.
pub const BURNED: Address = Address::new([
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xde, 0xad,
]);

pub const PAYER: usize = 0;
pub const WORKER: usize = 1;
pub const CHALLENGER: usize = 2;
pub const GRIEFER: usize = 3;

fn parameters() -> JobParameters {
    JobParameters {
        work_window: 10 * HOUR,
        seal_window: HOUR,
        reveal_window: HOUR,
        challenge_window: 20 * HOUR,
        clock: 12 * HOUR as u32,
        least_worker_bond: 2_000,
        least_challenger_bond: 500,
        bond_share: 1_000,
    }
}

/// An account on the chain.
pub struct Account {
    pub writer: Writer,
    sent: u64,
}

impl Account {
    pub async fn send(&mut self, to: Address, data: Bytes) -> Result<Inclusion, TicketError> {
        self.sent += 1;
        let id = IntentId::new(format!("call/{}", self.sent)).unwrap();
        let intent = Intent::call(id, to, data);
        self.writer.submit(intent).await.unwrap().included().await
    }
}

/// A chain with the contracts of jobs, a payer, a worker and challengers.
pub struct World {
    pub chain: DevChain,
    pub client: Client,
    pub contracts: JobContracts,
    pub accounts: Vec<Account>,
}

/// What an account knows: one job, whatever its number.
pub struct Knows<'a> {
    pub job: &'a Job,
    pub claim: Claim,
    pub record: &'a mut dyn Record,
    pub public: Option<&'a mut dyn Record>,
    pub signed: Vec<SignedStep>,
}

impl Known for Knows<'_> {
    fn of(&mut self, _: U256) -> Option<KnownJob<'_>> {
        Some(KnownJob {
            rules: Rules {
                job: self.job,
                claim: &self.claim,
            },
            record: self.record,
            public: match &mut self.public {
                Some(public) => Some(&mut **public),
                None => None,
            },
            signed: &self.signed,
        })
    }
}

fn writer(client: &Client, account: usize, store: Arc<MemoryStore>) -> Writer {
    let config = WriterConfig {
        confirmations: 0,
        poll_ms: 2,
        ..WriterConfig::default()
    };
    let signer = dev_accounts()[account].signer.clone();
    Writer::start(client.clone(), signer, store, config).unwrap()
}

impl World {
    pub async fn new() -> Self {
        let chain = DevChain::in_memory(Options::standing(START));
        let client = Client::over(chain.client(), "the dev chain", chain.chain_id());
        let client = client.await.unwrap();
        let account = |number| Account {
            writer: writer(&client, number, Arc::default()),
            sent: 0,
        };
        let mut accounts: Vec<Account> = (0..4).map(account).collect();
        let id = IntentId::new("token").unwrap();
        let create = Intent::create(id, TestToken::BYTECODE.clone());
        let created = accounts[0].writer.submit(create).await.unwrap();
        let token = created.included().await.unwrap().contract.unwrap();
        let mut submitted = Submitted::default();
        let deployer = &accounts[0].writer;
        let parameters = parameters();
        let contracts = jobs::deploy(&client, deployer, &parameters, token, &mut submitted)
            .await
            .unwrap();
        for account in &mut accounts {
            let address = account.writer.account();
            let mint = tokens::mint(address, U256::from(PURSE));
            account.send(token, mint).await.unwrap();
            let approve = tokens::approve(contracts.escrow, U256::MAX);
            account.send(token, approve).await.unwrap();
        }
        Self {
            chain,
            client,
            contracts,
            accounts,
        }
    }

    pub fn pass(&self, seconds: u64) {
        self.chain.set_time(self.chain.now() + seconds).unwrap();
    }

    /// A job that was launched, to be computed as this history tells.
    pub async fn launched(&mut self, job: &Job, history: &History, salt: u8) -> U256 {
        let spec = JobSpec {
            initial: history.states()[0],
            length: history.claim().length,
            reward: REWARD,
            worker_bond: WORKER_BOND,
            challenger_bond: CHALLENGER_BOND,
            worker: None,
            accept_by: self.chain.now() + HOUR,
            salt: B256::repeat_byte(salt),
        };
        let escrow = self.contracts.escrow;
        let launch = jobs::launch(job, &spec).unwrap();
        self.accounts[PAYER].send(escrow, launch).await.unwrap();
        let payer = self.accounts[PAYER].writer.account();
        let id = Call::to(escrow, jobs::id_of(job, payer, &spec));
        U256::from_be_slice(&self.client.call(&id).await.unwrap())
    }

    /// A job that was launched, accepted, and claimed to have come to what this worker computed.
    pub async fn claimed(&mut self, job: &Job, history: &History, salt: u8) -> U256 {
        let id = self.launched(job, history, salt).await;
        let escrow = self.contracts.escrow;
        let account = &mut self.accounts[WORKER];
        account.send(escrow, jobs::accept(id)).await.unwrap();
        let address = account.writer.account();
        let commit = Commit::of(history, B256::repeat_byte(9));
        let hash = jobs::seal(&commit.top, address, commit.salt);
        account
            .send(escrow, jobs::commit_seal(id, hash))
            .await
            .unwrap();
        self.pass(HOUR + 1);
        let account = &mut self.accounts[WORKER];
        account
            .send(escrow, jobs::commit(id, &commit))
            .await
            .unwrap();
        id
    }

    pub fn player(&self, account: usize) -> Player {
        let JobContracts { game, block, .. } = self.contracts;
        let writer = self.accounts[account].writer.clone();
        Player::new(game, block, self.client.clone(), writer)
    }

    /// An account's part in a job, as if it had just been started.
    pub fn party(&self, role: Role, account: usize, job: U256) -> Party {
        let writer = self.accounts[account].writer.clone();
        let salt = B256::repeat_byte(account as u8);
        let escrow = Escrow::new(self.client.clone(), self.contracts);
        Party::new(role, job, escrow, writer, salt, parameters().reveal_window)
    }

    pub async fn open(
        &mut self,
        account: usize,
        id: U256,
        claim: &Claim,
    ) -> Result<Inclusion, TicketError> {
        let game = self.contracts.game;
        self.accounts[account]
            .send(game, calls::open(id, claim.top, &[]))
            .await
    }

    /// Opens a game as who knows this does: with first moves, where the worker's data are public.
    pub async fn open_with(
        &mut self,
        account: usize,
        id: U256,
        known: &mut Knows<'_>,
    ) -> Result<Inclusion, TicketError> {
        let (game, top) = (self.contracts.game, known.claim.top);
        let KnownJob {
            rules,
            record,
            public,
            ..
        } = known.of(id).unwrap();
        let moves = first_moves(rules, record, public).unwrap_or_default();
        self.accounts[account]
            .send(game, calls::open(id, top, &moves))
            .await
    }

    /// What the worker signs of a step, as its record has it.
    pub fn signed(
        &self,
        id: U256,
        claim: &Claim,
        record: &mut dyn Record,
        step: u64,
    ) -> SignedStep {
        let claim = verde::player::step_claim(claim, record, step).unwrap();
        let domain = self.domain();
        let digest = step_claim_digest(&domain, id, &claim);
        let key = NodeKey::from_secret(&dev_accounts()[WORKER].secret.0).unwrap();
        SignedStep {
            job: id,
            claim,
            signature: key.sign_recoverable(&digest.0).unwrap(),
        }
    }

    /// Where signatures about jobs count.
    pub fn domain(&self) -> Domain {
        Domain {
            chain_id: self.chain.chain_id(),
            contract: self.contracts.game,
        }
    }

    /// Refutes a claim by what its worker signed of one step: the gas of both transactions.
    ///
    /// # Errors
    /// A game is needed, or nothing is wrong.
    pub async fn refute(
        &mut self,
        account: usize,
        id: U256,
        known: &mut Knows<'_>,
    ) -> Result<Result<[u64; 2], TicketError>, AnswerError> {
        let KnownJob {
            rules,
            record,
            public,
            signed,
        } = known.of(id).unwrap();
        let salt = B256::repeat_byte(5);
        let refutation = refutation(rules, &signed[0], record, public.unwrap(), salt)?;
        let game = self.contracts.game;
        let account = &mut self.accounts[account];
        let hash = refutation.announcement(account.writer.account());
        let announced = account.send(game, announce(hash)).await.unwrap();
        let refuted = account.send(game, refutation.call()).await;
        Ok(refuted.map(|refuted| [announced.gas_used, refuted.gas_used]))
    }

    /// The state of a job.
    pub async fn state(&self, id: U256) -> JobState {
        let escrow = Escrow::new(self.client.clone(), self.contracts);
        escrow.job(id).await.unwrap().unwrap().state
    }

    /// Units that the escrow owes an address.
    pub async fn owed_to(&self, receiver: Address) -> u128 {
        let call = Call::to(self.contracts.escrow, jobs::owed_to(receiver));
        let owed = self.client.call(&call).await.unwrap();
        u128::try_from(U256::from_be_slice(&owed)).unwrap()
    }

    pub async fn owed(&self) -> [u128; 5] {
        let mut owed = [0; 5];
        for (place, owed) in owed.iter_mut().enumerate() {
            let account = self.accounts.get(place);
            let receiver = account.map_or(BURNED, |account| account.writer.account());
            *owed = self.owed_to(receiver).await;
        }
        owed
    }

    /// Lets players act in turn until none has anything to send; the gas of what they sent. Each
    /// player is a new one every time, as after a crash.
    pub async fn play(&mut self, knows: &mut [(usize, Knows<'_>)]) -> Vec<u64> {
        let mut gas = Vec::new();
        for _ in 0..100 {
            let before = gas.len();
            for (account, known) in knows.iter_mut() {
                let mut player = self.player(*account);
                for (_, ticket) in player.play(known).await.unwrap().sent {
                    // A move that the rules refuse is the worker's silence.
                    if let Ok(included) = ticket.included().await {
                        gas.push(included.gas_used);
                    }
                }
            }
            if gas.len() == before {
                return gas;
            }
        }
        panic!("the games do not end");
    }

    pub async fn ends(&self) -> Vec<Option<End>> {
        let mut player = self.player(PAYER);
        player.read().await.unwrap();
        player
            .docket()
            .games()
            .values()
            .map(|game| game.end)
            .collect()
    }
}
