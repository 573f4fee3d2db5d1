//! A swarm's contracts on an embedded chain, with the stakes of its members and a pool.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use contracts::deploy::{Contracts, Parameters, deploy};
use contracts::swarm::{Swarm, calls};
use contracts::typed::Domain;
use contracts::writer::{Intent, IntentId, MemoryStore, Submitted, Ticket, Writer};
use contracts::{Address, Bytes, PrivateKeySigner, U256};
use swarm_devchain::dev_accounts;
use swarm_identity::NodeKey;
use swarm_identity::digest::Hasher;
use swarm_round::sim::Spec;
use swarm_settle::chain::{Binding, ChainConfig, Link, account_writer, signer};
use swarm_settle::settlement::schedule::Schedule;

/// Rounds of an epoch.
pub const ROUNDS_PER_EPOCH: u64 = 20;
/// When the chain begins.
const BEGINNING: u64 = 1_800_000_000;
/// Seconds from the contracts to round 0: every transaction may take one.
const LEAD: u64 = 7_200;
/// Units that each owner stakes.
const STAKE: u128 = 1_000;
/// Units that an epoch may pay, and those at stake of who proposes or objects.
const CAP: u128 = 1 << 70;
const BOND: u128 = CAP / 100 + 1;
/// Wei that pays for an owner's gas.
const GAS_MONEY: u64 = 10_000_000_000_000_000_000;
/// Transactions that are sent together.
const TOGETHER: usize = 64;
/// Between two looks of a node or a writer at the chain.
const POLL: Duration = Duration::from_millis(50);

/// A member's keys.
pub struct Member {
    pub node: NodeKey,
    pub owner: PrivateKeySigner,
    owner_key: NodeKey,
}

impl Member {
    /// The keys of a simulated peer and of its owner.
    pub fn new(spec: &Spec, peer: usize) -> Result<Self> {
        let hasher = Hasher::new("experiment-owner").u64(spec.seed);
        let secret = hasher.u64(peer as u64).finish();
        Ok(Self {
            node: spec.key(peer)?,
            owner: signer(&secret)?,
            owner_key: NodeKey::from_secret(&secret)?,
        })
    }

    /// The owner's account.
    pub fn account(&self) -> Address {
        self.owner.address()
    }
}

/// The contracts of a swarm whose members have staked and are bound.
pub struct Deployed {
    pub link: Link,
    pub swarm: Swarm,
    pub schedule: Schedule,
    /// The block from which on events matter.
    pub block: u64,
}

fn parameters(genesis: u64, round_seconds: u64) -> Parameters {
    let epoch = round_seconds * ROUNDS_PER_EPOCH;
    let windows = Parameters {
        genesis,
        round_length: round_seconds,
        rounds_per_epoch: ROUNDS_PER_EPOCH,
        exit_delay: 0,
        units_per_point: 10,
        epoch_cap: CAP,
        minimum_stake: STAKE,
        submitter_fee: 0,
        proposal_bond: BOND,
        objection_bond: BOND,
        proposal_window: 2 * epoch,
        objection_window: epoch,
        court_window: epoch,
        seed_delay: 1,
        slash_fraction: 1_000,
        slashers: vec![],
    };
    Parameters {
        exit_delay: windows.least_exit_delay(),
        ..windows
    }
}

impl Deployed {
    /// Puts a swarm with rounds of this length and a pool for these epochs on a new chain.
    pub async fn new(members: &[Member], round_seconds: u64, epochs: u64) -> Result<Self> {
        let config = ChainConfig {
            endpoint: "embedded".into(),
            ..ChainConfig::default()
        };
        let link = Link::connect(&config, BEGINNING).await?;
        let mut link = link.context("an embedded chain")?;
        let accounts = dev_accounts().into_iter();
        let funder = accounts.map(|account| account.signer).next();
        let funder = account_writer(&link, funder.context("an account of the dev chain")?)?;
        let now = link.now().await?;
        let parameters = parameters(now + LEAD, round_seconds);
        let mut submitted = Submitted::default();
        let client = link.client.clone();
        let contracts = deploy(&client, &funder, &parameters, None, now, &mut submitted).await?;
        fund(&link, &funder, &contracts, &parameters, members, epochs).await?;
        funder.stop().await;
        link.poll = POLL;
        Ok(Self {
            swarm: Swarm::new(client, (&contracts).into()),
            schedule: Schedule {
                genesis: parameters.genesis,
                round_seconds,
                rounds_per_epoch: ROUNDS_PER_EPOCH,
                proposal_window: parameters.proposal_window,
                objection_window: parameters.objection_window,
                court_window: parameters.court_window,
            },
            block: contracts.block,
            link,
        })
    }

    /// The writer of an owner.
    pub fn writer(&self, member: &Member) -> Result<Writer> {
        Ok(Writer::start(
            self.link.client.clone(),
            member.owner.clone(),
            Arc::new(MemoryStore::default()),
            self.link.writer(),
        )?)
    }
}

/// Money for everybody, stakes, bindings and the pool.
async fn fund(
    link: &Link,
    funder: &Writer,
    contracts: &Contracts,
    parameters: &Parameters,
    members: &[Member],
    epochs: u64,
) -> Result<()> {
    let (token, rewards) = (contracts.token, contracts.rewards);
    let pool = U256::from(CAP) * U256::from(epochs + 1);
    let mut calls: Vec<(Address, Bytes)> = vec![
        (token, calls::mint(funder.account(), pool + pool)),
        (token, calls::approve(contracts.members, U256::MAX)),
        (token, calls::approve(rewards, U256::MAX)),
        (rewards, calls::fund(pool)),
    ];
    let domain = Domain {
        chain_id: link.client.chain_id(),
        contract: contracts.members,
    };
    for member in members {
        let account = member.account();
        let binding = Binding {
            domain,
            owner: account,
            owner_key: &member.owner_key,
            node_key: &member.node,
            nonce: U256::ZERO,
            now: parameters.genesis,
        };
        calls.push((token, calls::mint(account, U256::from(2 * BOND))));
        calls.push((
            contracts.members,
            calls::deposit(account, U256::from(STAKE)),
        ));
        calls.push((
            contracts.members,
            binding.call().context("a key that is none")?,
        ));
    }
    let payments = members.iter().enumerate().map(|(number, member)| {
        let id = IntentId::new(format!("gas/{number}"))?;
        Ok(Intent::pay(id, member.account(), U256::from(GAS_MONEY)))
    });
    let calls = calls.into_iter().enumerate().map(|(number, (to, data))| {
        let id = IntentId::new(format!("call/{number}"))?;
        Ok(Intent::call(id, to, data))
    });
    let intents: Vec<Intent> = payments.chain(calls).collect::<Result<_>>()?;
    for together in intents.chunks(TOGETHER) {
        send(funder, together).await?;
    }
    Ok(())
}

/// Sends transactions and waits for all of them.
async fn send(writer: &Writer, intents: &[Intent]) -> Result<()> {
    let mut tickets: Vec<Ticket> = Vec::new();
    for intent in intents {
        tickets.push(writer.submit(intent.clone()).await?);
    }
    for ticket in tickets {
        ticket.finalised().await?;
    }
    Ok(())
}
