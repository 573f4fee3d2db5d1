//! A few settling nodes on a chain, with one account beside them that is up to no good.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::deploy::{Contracts, Parameters, deploy};
use contracts::swarm::{Swarm, calls};
use contracts::typed::{self, Domain};
use contracts::writer::{Intent, IntentId, Submitted, Ticket, Writer};
use contracts::{Address, Bytes, U256};
use swarm_identity::{NodeKey, Signer};
use swarm_settle::chain::{
    Binding, ChainConfig, Link, StoredIntents, account_writer, patiently, signer,
};
use swarm_settle::node::store::SettleStore;
use swarm_settle::node::{Node, NodeEvent, NodeMessage, NodeParts};
use swarm_settle::settlement::records::RoundRecord;
use swarm_settle::settlement::schedule::Schedule;
use swarm_settle::settlement::settler::{Account, Policy};
use swarm_store::{Chain, SignOnceTable, Store};
use tokio::sync::mpsc;

/// Nodes of the swarm, each with an owner of its own.
pub const NODES: usize = 4;
/// Units of the token that each owner stakes.
const STAKE: u128 = 1_000;
/// Units that each owner has beside, and the stranger.
pub const PURSE: u128 = 100_000;
/// Units that whoever brings the outcome gets.
pub const FEE: u128 = 40;
/// Units at stake of who proposes, and of who objects.
pub const BONDS: [u128; 2] = [8_000, 4_000];
/// Where burned money is booked.
const FIRE: Address = Address::new([
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xde, 0xad,
]);
/// Wei that pays for the gas of an account.
const GAS_MONEY: u64 = 100_000_000_000_000_000;
/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(240);
/// Between two looks.
const GLANCE: Duration = Duration::from_millis(40);
/// Seconds from the last deployment to round 0 on a chain that has a time of its own.
const LEAD: u64 = 45;

/// The secret of an account or a node: of the owners first, of the nodes second, of the stranger.
fn secret(kind: u8, number: usize) -> [u8; 32] {
    let mut secret = [kind; 32];
    secret[0] = number as u8 + 1;
    secret
}

fn node_key(number: usize) -> NodeKey {
    NodeKey::from_secret(&secret(2, number)).unwrap()
}

/// One running node, and what it said last.
struct Running {
    inbox: mpsc::Sender<NodeMessage>,
    events: mpsc::Receiver<NodeEvent>,
    writer: Writer,
    account: Account,
}

/// The swarm.
pub struct TestSwarm {
    pub link: Link,
    pub swarm: Swarm,
    pub parameters: Parameters,
    contracts: Contracts,
    first_block: [u8; 32],
    stores: Vec<Store>,
    nodes: Vec<Running>,
    rounds: Vec<RoundRecord>,
    /// Votes that wait until they are let through.
    held: VecDeque<(usize, NodeMessage)>,
    /// Votes pass from node to node.
    pub open: bool,
    /// The account beside the swarm.
    stranger: Writer,
    sent: u64,
}

fn parameters(genesis: u64) -> Parameters {
    let windows = Parameters {
        genesis,
        round_length: 1,
        rounds_per_epoch: 2,
        exit_delay: 0,
        units_per_point: 10,
        epoch_cap: 100_000,
        minimum_stake: STAKE,
        submitter_fee: FEE,
        proposal_bond: BONDS[0],
        objection_bond: BONDS[1],
        proposal_window: 600,
        objection_window: 40,
        court_window: 90,
        seed_delay: 1,
        slash_fraction: 1_000,
        slashers: vec![],
    };
    Parameters {
        exit_delay: windows.least_exit_delay(),
        ..windows
    }
}

fn schedule(parameters: &Parameters) -> Schedule {
    Schedule {
        genesis: parameters.genesis,
        round_seconds: parameters.round_length,
        rounds_per_epoch: parameters.rounds_per_epoch,
        proposal_window: parameters.proposal_window,
        objection_window: parameters.objection_window,
        court_window: parameters.court_window,
    }
}

/// Sends calls of one account and waits for all of them.
async fn send_all(writer: &Writer, name: &str, calls: Vec<(Address, Bytes)>) {
    let mut tickets: Vec<Ticket> = Vec::new();
    for (number, (to, data)) in calls.into_iter().enumerate() {
        let id = IntentId::new(format!("{name}/{number}")).unwrap();
        tickets.push(writer.submit(Intent::call(id, to, data)).await.unwrap());
    }
    for ticket in tickets {
        ticket.finalised().await.unwrap();
    }
}

impl TestSwarm {
    /// A swarm whose members have staked, with a pool, before its first epoch.
    pub async fn deployed(config: &ChainConfig, funder: &[u8; 32], folder: &Path) -> Self {
        let link = Link::connect(config, 1_800_000_000).await.unwrap().unwrap();
        let writer = account_writer(&link, signer(funder).unwrap()).unwrap();
        let client = link.client.clone();
        let now = link.now().await.unwrap();
        let parameters = parameters(now + LEAD);
        let mut submitted = Submitted::default();
        let contracts = deploy(&client, &writer, &parameters, None, now, &mut submitted)
            .await
            .unwrap();
        let swarm = Swarm::new(client, (&contracts).into());
        let first_block = patiently(|| link.client.block(0)).await.unwrap().unwrap();
        let stranger = account_writer(&link, signer(&secret(3, 0)).unwrap()).unwrap();
        let stores = (0..NODES)
            .map(|number| Store::open(&folder.join(format!("{number}.redb"))).unwrap())
            .collect();
        let mut world = Self {
            link,
            swarm,
            parameters,
            contracts,
            first_block: first_block.hash.0,
            stores,
            nodes: Vec::new(),
            rounds: Vec::new(),
            held: VecDeque::new(),
            open: false,
            stranger,
            sent: 0,
        };
        world.fund(&writer).await;
        for number in 0..NODES {
            let running = world.start(number);
            world.nodes.push(running);
        }
        world
    }

    /// Money for everybody, stakes, bindings and the pool.
    async fn fund(&self, funder: &Writer) {
        let Contracts {
            token,
            members,
            rewards,
            ..
        } = self.contracts;
        let accounts: Vec<Address> = (0..NODES)
            .map(owner)
            .chain([self.stranger.account()])
            .collect();
        for (number, account) in accounts.iter().enumerate() {
            let id = IntentId::new(format!("gas/{number}")).unwrap();
            let pay = Intent::pay(id, *account, U256::from(GAS_MONEY));
            funder.submit(pay).await.unwrap();
        }
        let pool = U256::from(10 * self.parameters.epoch_cap);
        let mut money: Vec<(Address, Bytes)> = accounts
            .iter()
            .map(|account| (token, calls::mint(*account, U256::from(PURSE))))
            .collect();
        money.push((token, calls::mint(funder.account(), pool + pool)));
        money.push((token, calls::approve(members, U256::MAX)));
        money.push((token, calls::approve(rewards, U256::MAX)));
        send_all(funder, "money", money).await;
        let deposits = (0..NODES).map(|number| {
            let data = calls::deposit(owner(number), U256::from(STAKE));
            (members, data)
        });
        let bindings = (0..NODES).map(|number| (members, self.binding(number)));
        let fund = (rewards, calls::fund(pool));
        let all = deposits.chain(bindings).chain([fund]).collect();
        send_all(funder, "members", all).await;
    }

    fn binding(&self, number: usize) -> Bytes {
        Binding {
            domain: Domain {
                chain_id: self.link.client.chain_id(),
                contract: self.contracts.members,
            },
            owner: owner(number),
            owner_key: &NodeKey::from_secret(&secret(1, number)).unwrap(),
            node_key: &node_key(number),
            nonce: U256::ZERO,
            now: self.parameters.genesis,
        }
        .call()
        .unwrap()
    }

    /// Starts a node with what its store has.
    fn start(&self, number: usize) -> Running {
        let store = &self.stores[number];
        let chain = Chain {
            id: self.link.client.chain_id(),
            genesis: self.first_block,
        };
        let owner_key = signer(&secret(1, number)).unwrap();
        let intents = StoredIntents::new(store, chain, owner_key.address().into());
        let writer = Writer::start(
            self.link.client.clone(),
            owner_key,
            Arc::new(intents),
            self.link.writer(),
        )
        .unwrap();
        let parts: NodeParts<SignOnceTable> = NodeParts {
            signer: Signer::new(node_key(number), store.sign_once()),
            schedule: schedule(&self.parameters),
            policy: Policy {
                claim_from: 1,
                bonds: true,
            },
            link: self.link.clone(),
            swarm: self.swarm.clone(),
            first_block: self.contracts.block,
            writer: writer.clone(),
            store: Some(SettleStore::new(
                store,
                chain,
                self.contracts.rewards.into(),
            )),
        };
        let (outbox, events) = mpsc::channel(1_024);
        let (node, inbox, messages) = Node::new(parts, outbox).unwrap();
        tokio::spawn(node.run(messages));
        Running {
            inbox,
            events,
            writer,
            account: Account {
                earned: 0,
                taken: 0,
            },
        }
    }

    /// Ends a node as a crash would, and starts it with what its store has.
    pub async fn restart(&mut self, number: usize) {
        let old = self.nodes.remove(number);
        old.writer.stop().await;
        drop(old);
        let running = self.start(number);
        self.nodes.insert(number, running);
    }

    /// The rounds of epoch 0 are decided: node n earned n + 1 points in each.
    pub async fn decide(&mut self) {
        for round in 0..self.parameters.rounds_per_epoch {
            let points = (0..NODES).map(|number| (node_key(number).peer(), number as i64 + 1));
            let record = RoundRecord::of_points(round, [7; 32], points);
            self.rounds.push(record);
        }
        for node in &self.nodes {
            for record in &self.rounds {
                let decided = NodeMessage::Decided(record.clone());
                node.inbox.send(decided).await.unwrap();
            }
        }
    }

    /// Units that the owner of a node earns in epoch 0.
    fn earned(&self, number: usize) -> u128 {
        let points = (number as u128 + 1) * u128::from(self.parameters.rounds_per_epoch);
        points * self.parameters.units_per_point
    }

    /// Points of epoch 0.
    pub fn points(&self) -> u128 {
        let units: u128 = (0..NODES).map(|number| self.earned(number)).sum();
        units / self.parameters.units_per_point
    }

    /// Lets a moment pass: time, and messages between nodes.
    async fn step(&mut self) {
        tokio::time::sleep(GLANCE).await;
        if let Some(dev) = &self.link.dev {
            self.link.pass(1);
            dev.mine(1).unwrap();
        }
        for number in 0..NODES {
            while let Ok(event) = self.nodes[number].events.try_recv() {
                self.hear(number, event).await;
            }
        }
        while let Some((from, message)) = self.held.pop_front_if(|_| self.open) {
            for (to, node) in self.nodes.iter().enumerate() {
                if to != from {
                    let _ = node.inbox.send(message.clone()).await;
                }
            }
        }
    }

    async fn hear(&mut self, from: usize, event: NodeEvent) {
        match event {
            NodeEvent::Publish(vote) => {
                self.held.push_back((from, NodeMessage::Attestation(vote)));
            }
            NodeEvent::FetchRounds(_) => {
                for record in &self.rounds {
                    let decided = NodeMessage::Decided(record.clone());
                    let _ = self.nodes[from].inbox.send(decided).await;
                }
            }
            NodeEvent::FetchTable(root) => {
                for (number, node) in self.nodes.iter().enumerate() {
                    let asker = from as u64;
                    let wanted = NodeMessage::TableWanted { root, asker };
                    if number != from {
                        let _ = node.inbox.send(wanted).await;
                    }
                }
            }
            NodeEvent::Table { asker, bytes } => {
                let node = &self.nodes[asker as usize];
                let _ = node.inbox.send(NodeMessage::Table(bytes)).await;
            }
            NodeEvent::Warning(text) => println!("node {from}: {text}"),
            NodeEvent::Status(status) => self.nodes[from].account = status.account,
        }
    }

    /// Lets time pass until something is so.
    pub async fn until(&mut self, what: &str, is_so: impl AsyncFn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self).await {
            assert!(begun.elapsed() < PATIENCE, "{what} takes too long");
            self.step().await;
        }
        println!("{what} after {:.1} s", begun.elapsed().as_secs_f64());
    }

    /// The newest block's number.
    pub async fn head(&self) -> u64 {
        let head = patiently(|| self.link.client.head()).await;
        head.unwrap().number
    }

    /// Waits for a second of the chain's time.
    pub async fn until_time(&mut self, time: u64) {
        if self.link.dev.is_some() {
            self.link.advance_to(time);
        }
        self.until("its time comes", async |world: &Self| {
            let head = patiently(|| world.link.client.head()).await.unwrap();
            let now = match &world.link.dev {
                Some(dev) => dev.now(),
                None => head.timestamp,
            };
            now >= time
        })
        .await;
    }

    /// The stranger sends a call of the rewards, with a bond.
    pub async fn stranger_sends(&mut self, data: Bytes) {
        let rewards = self.contracts.rewards;
        let approve = (self.contracts.token, calls::approve(rewards, U256::MAX));
        self.sent += 1;
        let name = format!("stranger/{}", self.sent);
        let stranger = self.stranger.clone();
        send_all(&stranger, &format!("{name}/allow"), vec![approve]).await;
        send_all(&stranger, &name, vec![(rewards, data)]).await;
    }

    /// Every owner is paid exactly, once; and of the lost bond a quarter is the other side's, half
    /// whoever's votes decided, and the rest burned.
    pub async fn assert_settled(&mut self, lost: u128) {
        self.until("everybody is paid", async |world: &Self| {
            let mut paid = true;
            for number in 0..NODES {
                let taken = patiently(|| world.swarm.taken_by(owner(number)))
                    .await
                    .unwrap();
                paid &= taken == world.earned(number);
            }
            paid
        })
        .await;
        let earned: u128 = (0..NODES).map(|number| self.earned(number)).sum();
        let swarm = NODES as u128 * PURSE + earned + FEE + lost / 4 + lost / 2;
        self.until("bonds and fees are collected", async |world: &Self| {
            let mut held = 0;
            for number in 0..NODES {
                let tokens = patiently(|| world.swarm.tokens_of(owner(number))).await;
                held += tokens.unwrap().to::<u128>();
            }
            assert!(held <= swarm, "{held} of {swarm}");
            held == swarm
        })
        .await;
        let stranger = self.stranger.account();
        let left = self.swarm.tokens_of(stranger).await.unwrap();
        assert_eq!(left.to::<u128>(), PURSE - lost, "the stranger has lost it");
        assert_eq!(self.swarm.owed_to(stranger).await.unwrap(), 0);
        assert_eq!(self.swarm.owed_to(FIRE).await.unwrap(), lost / 4);
        let pool = self.swarm.pool().await.unwrap();
        assert_eq!(
            (pool.committed, pool.taken),
            (earned + FEE, earned + FEE),
            "nothing is promised twice"
        );
    }
}

/// The account of a node's owner.
fn owner(number: usize) -> Address {
    let key = NodeKey::from_secret(&secret(1, number)).unwrap();
    typed::address(&key.peer().0).unwrap()
}
