//! Whole disputes on a dev chain: jobs, money, and two accounts that play by what they computed.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;

use contracts::bindings::TestToken;
use contracts::client::{Call, Client};
use contracts::game::calls;
use contracts::jobs::{self, Commit, JobContracts, JobParameters, JobSpec};
use contracts::swarm::calls as tokens;
use contracts::writer::{
    Inclusion, Intent, IntentId, MemoryStore, Submitted, TicketError, Writer, WriterConfig,
};
use contracts::{Address, B256, Bytes, U256};
use swarm_devchain::{DevChain, Options, dev_accounts};
use swarm_dispute::docket::End;
use swarm_dispute::player::{Known, KnownJob, Player};
use verde::game::{Rules, Side};
use verde::history::Claim;
use verde::record::Record;
use verde::step::Schedule;
use verde::testing::{Fault, Kept, initial, job};

const START: u64 = 1_800_000_000;
const HOUR: u64 = 3_600;
const REWARD: u128 = 10_000;
const WORKER_BOND: u128 = 4_000;
const CHALLENGER_BOND: u128 = 1_000;
/// Units that each account begins with.
const PURSE: u128 = 100_000;
/// Where burned money is booked.
const BURNED: Address = Address::new([
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xde, 0xad,
]);

const PAYER: usize = 0;
const WORKER: usize = 1;
const CHALLENGER: usize = 2;
const GRIEFER: usize = 3;

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
struct Account {
    writer: Writer,
    sent: u64,
}

impl Account {
    async fn send(&mut self, to: Address, data: Bytes) -> Result<Inclusion, TicketError> {
        self.sent += 1;
        let id = IntentId::new(format!("call/{}", self.sent)).unwrap();
        let intent = Intent::call(id, to, data);
        self.writer.submit(intent).await.unwrap().included().await
    }
}

/// A chain with the contracts of jobs, a payer, a worker and challengers.
struct World {
    chain: DevChain,
    client: Client,
    contracts: JobContracts,
    accounts: Vec<Account>,
}

/// What an account knows: the job of these tests, whatever its number.
struct Knows<'a> {
    claim: Claim,
    record: &'a mut dyn Record,
    public: Option<Kept>,
}

impl Known for Knows<'_> {
    fn of(&mut self, _: U256) -> Option<KnownJob<'_>> {
        Some(KnownJob {
            rules: Rules {
                job: job(),
                claim: &self.claim,
            },
            record: self.record,
            public: self.public.as_mut().map(|public| public as &mut dyn Record),
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
    async fn new() -> Self {
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

    fn pass(&self, seconds: u64) {
        self.chain.set_time(self.chain.now() + seconds).unwrap();
    }

    /// A job that was launched, accepted, and claimed to have come to what this worker computed.
    async fn claimed(&mut self, worker: &Kept, salt: u8) -> U256 {
        let schedule = Schedule::new(job().plan(), job().programs()).unwrap();
        let spec = JobSpec {
            initial: schedule.state_root(&initial()).unwrap(),
            length: worker.history.claim().length,
            reward: REWARD,
            worker_bond: WORKER_BOND,
            challenger_bond: CHALLENGER_BOND,
            worker: None,
            accept_by: self.chain.now() + HOUR,
            salt: B256::repeat_byte(salt),
        };
        let escrow = self.contracts.escrow;
        let launch = jobs::launch(job(), &spec).unwrap();
        self.accounts[PAYER].send(escrow, launch).await.unwrap();
        let payer = self.accounts[PAYER].writer.account();
        let id = Call::to(escrow, jobs::id_of(job(), payer, &spec));
        let id = U256::from_be_slice(&self.client.call(&id).await.unwrap());
        let account = &mut self.accounts[WORKER];
        account.send(escrow, jobs::accept(id)).await.unwrap();
        let (history, address) = (&worker.history, account.writer.account());
        let (tree, states) = (history.tree(), history.states());
        let last = states.len() - 1;
        let commit = Commit {
            top: history.claim().top,
            last: states[last],
            salt: B256::repeat_byte(9),
            paths: (tree.path(0).unwrap(), tree.path(last).unwrap()),
        };
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

    fn player(&self, account: usize) -> Player {
        let JobContracts { game, block, .. } = self.contracts;
        let writer = self.accounts[account].writer.clone();
        Player::new(game, block, self.client.clone(), writer)
    }

    async fn open(
        &mut self,
        account: usize,
        id: U256,
        claim: &Claim,
    ) -> Result<Inclusion, TicketError> {
        let game = self.contracts.game;
        self.accounts[account]
            .send(game, calls::open(id, claim.top, Vec::new()))
            .await
    }

    /// Units that the escrow owes an address.
    async fn owed_to(&self, receiver: Address) -> u128 {
        let call = Call::to(self.contracts.escrow, jobs::owed_to(receiver));
        let owed = self.client.call(&call).await.unwrap();
        u128::try_from(U256::from_be_slice(&owed)).unwrap()
    }

    async fn owed(&self) -> [u128; 5] {
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
    async fn play(&mut self, knows: &mut [(usize, Knows<'_>)]) -> Vec<u64> {
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

    async fn ends(&self) -> Vec<Option<End>> {
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

fn fault(run: usize, value: usize) -> Fault {
    Fault::Value {
        step: 3,
        run,
        value,
        element: 0,
        bit: 20,
    }
}

#[tokio::test]
async fn a_liar_is_refuted_move_by_move_and_pays() {
    let mut world = World::new().await;
    let (mut liar, mut honest) = (Kept::play(2, Some(fault(1, 6))), Kept::honest(2));
    let claim = *liar.history.claim();
    let id = world.claimed(&liar, 1).await;
    world.open(CHALLENGER, id, &claim).await.unwrap();
    let gas = world
        .play(&mut [
            (
                WORKER,
                Knows {
                    claim,
                    record: &mut liar,
                    public: None,
                },
            ),
            (
                CHALLENGER,
                Knows {
                    claim,
                    record: &mut honest,
                    public: None,
                },
            ),
        ])
        .await;
    let shown = End::Lost {
        side: Side::Worker,
        by_clock: false,
    };
    assert_eq!(world.ends().await, [Some(shown)]);
    println!(
        "{} transactions, {} gas, the largest {:?}",
        gas.len(),
        gas.iter().sum::<u64>(),
        gas.iter().max()
    );
    // Half of the worker's bond and its own to the challenger, a fifth and the reward to the payer.
    let won = WORKER_BOND / 2 + CHALLENGER_BOND;
    let back = WORKER_BOND / 5 + REWARD;
    assert_eq!(world.owed().await, [back, 0, won, 0, WORKER_BOND * 3 / 10]);
}

#[tokio::test]
async fn with_public_data_a_liar_is_refuted_in_three_transactions() {
    let mut world = World::new().await;
    let (mut liar, mut honest) = (Kept::play(8, Some(fault(1, 6))), Kept::honest(8));
    let claim = *liar.history.claim();
    let public = liar.clone();
    let id = world.claimed(&liar, 1).await;
    world.open(CHALLENGER, id, &claim).await.unwrap();
    let gas = world
        .play(&mut [
            (
                CHALLENGER,
                Knows {
                    claim,
                    record: &mut honest,
                    public: Some(public),
                },
            ),
            (
                WORKER,
                Knows {
                    claim,
                    record: &mut liar,
                    public: None,
                },
            ),
        ])
        .await;
    let shown = End::Lost {
        side: Side::Worker,
        by_clock: false,
    };
    assert_eq!(world.ends().await, [Some(shown)]);
    println!(
        "{} transactions, {} gas, the largest {:?}",
        gas.len(),
        gas.iter().sum::<u64>(),
        gas.iter().max()
    );
}

/// A griefer opens a game about a true claim; it can show nothing, its clock runs out, and its bond is
/// the worker's. A job waits for its games and no longer.
#[tokio::test]
async fn an_honest_worker_is_paid_whoever_doubts() {
    let mut world = World::new().await;
    let mut honest = Kept::honest(2);
    let claim = *honest.history.claim();
    let id = world.claimed(&honest, 1).await;
    world.open(GRIEFER, id, &claim).await.unwrap();
    assert!(
        world.open(GRIEFER, id, &claim).await.is_err(),
        "one game at a time"
    );
    let mut worker = [(
        WORKER,
        Knows {
            claim,
            record: &mut honest,
            public: None,
        },
    )];
    world.play(&mut worker).await;
    world.pass(11 * HOUR);
    world.play(&mut worker).await;
    assert_eq!(world.ends().await, [None]);
    world.pass(HOUR + 1);
    world.play(&mut worker).await;
    let silent = End::Lost {
        side: Side::Challenger,
        by_clock: true,
    };
    assert_eq!(world.ends().await, [Some(silent)]);
    let escrow = world.contracts.escrow;
    assert!(
        world.accounts[PAYER]
            .send(escrow, jobs::finalize(id))
            .await
            .is_err()
    );
    world.pass(20 * HOUR);
    world.accounts[PAYER]
        .send(escrow, jobs::finalize(id))
        .await
        .unwrap();
    let paid = REWARD + WORKER_BOND + CHALLENGER_BOND;
    assert_eq!(world.owed().await, [0, paid, 0, 0, 0]);
}

/// Two challengers, one of whom is away: the other's game refutes the job, and the first gets its bond
/// back. A worker that says nothing loses by its clock.
#[tokio::test]
async fn a_silent_worker_loses_by_its_clock_and_other_games_are_void() {
    let mut world = World::new().await;
    let (liar, mut honest) = (Kept::play(2, Some(fault(0, 4))), Kept::honest(2));
    let claim = *liar.history.claim();
    let id = world.claimed(&liar, 1).await;
    world.open(GRIEFER, id, &claim).await.unwrap();
    world.open(CHALLENGER, id, &claim).await.unwrap();
    world.pass(12 * HOUR + 1);
    let mut challenger = [(
        CHALLENGER,
        Knows {
            claim,
            record: &mut honest,
            public: None,
        },
    )];
    world.play(&mut challenger).await;
    let lost = End::Lost {
        side: Side::Worker,
        by_clock: true,
    };
    assert_eq!(world.ends().await, [None, Some(lost)]);
    let game = world.contracts.game;
    world.accounts[PAYER]
        .send(game, calls::void(U256::from(1)))
        .await
        .unwrap();
    assert_eq!(world.ends().await, [Some(End::Void), Some(lost)]);
    let won = WORKER_BOND / 2 + CHALLENGER_BOND;
    let back = WORKER_BOND / 5 + REWARD;
    let burned = WORKER_BOND * 3 / 10;
    assert_eq!(world.owed().await, [back, 0, won, CHALLENGER_BOND, burned]);
}
