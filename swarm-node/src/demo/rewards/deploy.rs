//! Before the first reward: keys, contracts, stakes, bindings and a pool of money.
//!
//! Steps that need nothing of each other are sent together; each step is named after what it does,
//! so that one that was interrupted goes on. A step begins when the one before it is final, so that
//! no reorganisation can take back what it builds on. The coordinator comes last: its first epoch
//! begins when all stakes are in.

use contracts::client::RpcError;
use contracts::deploy::{coordinator_code, stake_code, token_code};
use contracts::swarm::{Addresses, Swarm, calls};
use contracts::typed::Domain;
use contracts::writer::{
    Inclusion, Intent, IntentError, IntentId, StoreError, SubmitError, Submitted, Ticket,
    TicketError, Writer,
};
use contracts::{Address, Bytes, PrivateKeySigner, U256};
use swarm_devchain::dev_accounts;
use swarm_identity::digest::{Digest32, Hasher};
use swarm_identity::key::KeyError;
use swarm_identity::{NodeKey, Secret};
use swarm_settle::EpochSchedule;
use swarm_settle::chain::{Binding, Link, patiently, signer};
use thiserror::Error;

use super::accounting::{RewardTerms, STAKE};

/// Gas that an owner's transactions may use in a demo, at the highest fee there is now: submissions
/// and claims.
const OWNER_GAS: u128 = 3_000_000;
/// Gas of an owner's transactions of one epoch, added to [`OWNER_GAS`].
const EPOCH_GAS: u128 = 600_000;

/// The keys of a demo.
#[derive(Clone, Debug)]
pub struct DemoKeys {
    /// Deploys, and pays for everything.
    pub funder: PrivateKeySigner,
    /// Accounts of the peers' owners.
    pub owners: Vec<Owner>,
    /// Node keys of the peers.
    pub nodes: Vec<NodeKey>,
    /// Seed of the demo.
    pub seed: u64,
}

/// The owner of a peer.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Signs its transactions.
    pub signer: PrivateKeySigner,
    /// The same key, as it signs a binding.
    pub key: NodeKey,
}

impl Owner {
    /// The owner's account.
    pub fn address(&self) -> Address {
        self.signer.address()
    }
}

/// The account that pays for a demo on a chain.
#[derive(Clone, Debug)]
pub enum Funder {
    /// An account of the embedded chain, which costs nothing.
    Dev,
    /// The account with this secret.
    Secret(Secret),
    /// Nobody, for this reason.
    Nobody(String),
}

impl Funder {
    /// The secret of the account.
    ///
    /// # Errors
    /// The reason why there is none.
    pub fn secret(&self) -> Result<Digest32, String> {
        match self {
            Self::Dev => {
                let account = dev_accounts()
                    .into_iter()
                    .next()
                    .map(|account| account.secret.0);
                account.ok_or_else(|| "the embedded chain has no account".to_owned())
            }
            Self::Secret(secret) => Ok(*secret.to_bytes()),
            Self::Nobody(reason) => Err(reason.clone()),
        }
    }
}

impl DemoKeys {
    /// The keys of a demo. Owners derive from the funder's secret, so that what is left in their
    /// accounts stays within reach of whoever has it.
    ///
    /// # Errors
    /// [`KeyError`] if a derived secret is no key, which has negligible probability.
    pub fn new(funder: &Digest32, seed: u64, nodes: Vec<NodeKey>) -> Result<Self, KeyError> {
        let owner = |number| {
            let secret = Hasher::new("demo-owner")
                .bytes(funder)
                .u64(seed)
                .u64(number)
                .finish();
            Ok(Owner {
                signer: signer(&secret)?,
                key: NodeKey::from_secret(&secret)?,
            })
        };
        let owners = (0..nodes.len() as u64)
            .map(owner)
            .collect::<Result<_, KeyError>>()?;
        Ok(Self {
            funder: signer(funder)?,
            owners,
            nodes,
            seed,
        })
    }
}

/// Why a demo has no contracts.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// A question to the chain.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The writer did not take a transaction.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// A transaction did not happen.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// The writer's records.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A transaction made no contract.
    #[error(
        "transaction {0} created no contract; the chain's RPC does not follow the rules of Ethereum"
    )]
    NoContract(contracts::B256),
    /// A key that cannot sign, which has negligible probability.
    #[error("a derived key cannot be used; take another demo.seed")]
    Key,
}

impl From<IntentError> for PrepareError {
    fn from(error: IntentError) -> Self {
        Self::Submit(error.into())
    }
}

/// The contracts of a swarm whose members have staked and are bound.
pub struct SwarmContracts {
    /// The contracts.
    pub swarm: Swarm,
    /// When epochs end.
    pub schedule: EpochSchedule,
    /// The block of the first event that matters.
    pub block: u64,
}

/// Puts a demo's swarm on the chain.
///
/// # Errors
/// [`PrepareError`]; an account without money is none, the writer waits for it. `submitted` says
/// what was sent.
pub async fn prepare(
    link: &Link,
    funder: &Writer,
    keys: &DemoKeys,
    terms: &RewardTerms,
    submitted: &mut Submitted,
) -> Result<SwarmContracts, PrepareError> {
    let mut sender = Sender { funder, submitted };
    let draft = terms.parameters(1);
    let token = sender.create("token", token_code(&draft)).await?;
    let stake = sender.create("stake", stake_code(&draft, token)).await?;
    sender
        .all(money(link, keys, terms, funder.account(), token, stake).await?)
        .await?;
    sender.all(deposits(keys, stake)?).await?;
    let genesis = patiently(|| link.client.head()).await?.timestamp + 1;
    let code = coordinator_code(&terms.parameters(genesis), stake);
    let inclusion = sender.created("coordinator", code).await?;
    let coordinator = inclusion
        .contract
        .ok_or(PrepareError::NoContract(inclusion.tx))?;
    let addresses = Addresses {
        token,
        stake,
        coordinator,
    };
    sender
        .all(membership(link, keys, terms, &addresses, genesis)?)
        .await?;
    sender
        .all(vec![intent(
            "fund",
            coordinator,
            calls::fund(U256::from(terms.pool())),
        )?])
        .await?;
    let swarm = Swarm::new(link.client.clone(), addresses);
    Ok(SwarmContracts {
        swarm,
        schedule: terms.schedule(genesis),
        block: inclusion.block,
    })
}

fn intent(name: &str, to: Address, data: Bytes) -> Result<Intent, PrepareError> {
    Ok(Intent::call(
        IntentId::new(format!("demo/{name}/{to}"))?,
        to,
        data,
    ))
}

/// Tokens and gas money, and the leave to move the tokens.
async fn money(
    link: &Link,
    keys: &DemoKeys,
    terms: &RewardTerms,
    funder: Address,
    token: Address,
    stake: Address,
) -> Result<Vec<Intent>, PrepareError> {
    let all = terms.pool() + STAKE * keys.owners.len() as u128;
    let mut intents = vec![
        intent("mint", token, calls::mint(funder, U256::from(all)))?,
        intent("approve-stake", token, calls::approve(stake, U256::MAX))?,
    ];
    let fee = patiently(|| link.client.head()).await?.base_fee * 2
        + patiently(|| link.client.tip()).await?;
    let epochs = u128::from(terms.epochs());
    let gas_money = U256::from(fee) * U256::from(OWNER_GAS + EPOCH_GAS * epochs);
    for owner in &keys.owners {
        let balance = patiently(|| link.client.balance(owner.address())).await?;
        let missing = gas_money.saturating_sub(balance);
        if !missing.is_zero() {
            let id = IntentId::new(format!("demo/gas/{stake}/{}", owner.address()))?;
            intents.push(Intent::pay(id, owner.address(), missing));
        }
    }
    Ok(intents)
}

fn deposits(keys: &DemoKeys, stake: Address) -> Result<Vec<Intent>, PrepareError> {
    let deposit = |owner: &Owner| {
        let id = format!("deposit-{}", owner.address());
        intent(
            &id,
            stake,
            calls::deposit(owner.address(), U256::from(STAKE)),
        )
    };
    keys.owners.iter().map(deposit).collect()
}

/// Bindings of all peers, and the leave to fund the pool.
fn membership(
    link: &Link,
    keys: &DemoKeys,
    terms: &RewardTerms,
    addresses: &Addresses,
    now: u64,
) -> Result<Vec<Intent>, PrepareError> {
    let Addresses {
        token, coordinator, ..
    } = *addresses;
    let domain = Domain {
        chain_id: link.client.chain_id(),
        contract: coordinator,
    };
    let approve = intent(
        "approve-pool",
        token,
        calls::approve(coordinator, U256::from(terms.pool())),
    );
    let bind = |(owner, node): (&Owner, &NodeKey)| binding(domain, owner, node, now);
    std::iter::once(approve)
        .chain(keys.owners.iter().zip(&keys.nodes).map(bind))
        .collect()
}

/// Owner and node agree to belong together; the owner has bound nothing before.
fn binding(
    domain: Domain,
    owner: &Owner,
    node: &NodeKey,
    now: u64,
) -> Result<Intent, PrepareError> {
    let name = format!("bind-{}", node.peer());
    let binding = Binding {
        domain,
        owner: owner.address(),
        owner_key: &owner.key,
        node_key: node,
        nonce: U256::ZERO,
        now,
    };
    intent(
        &name,
        domain.contract,
        binding.call().ok_or(PrepareError::Key)?,
    )
}

/// The funder's writer, and what it has sent.
struct Sender<'a> {
    funder: &'a Writer,
    submitted: &'a mut Submitted,
}

impl Sender<'_> {
    async fn create(&mut self, name: &str, code: Bytes) -> Result<Address, PrepareError> {
        let inclusion = self.created(name, code).await?;
        inclusion
            .contract
            .ok_or(PrepareError::NoContract(inclusion.tx))
    }

    async fn created(&mut self, name: &str, code: Bytes) -> Result<Inclusion, PrepareError> {
        let intent = Intent::create(IntentId::new(format!("demo/create/{name}"))?, code);
        let ticket = self.funder.submit(intent).await?;
        self.submitted.add(name, &ticket);
        Ok(ticket.finalised().await?)
    }

    /// Sends intents that need nothing of each other.
    async fn all(&mut self, intents: Vec<Intent>) -> Result<(), PrepareError> {
        let mut tickets: Vec<Ticket> = Vec::with_capacity(intents.len());
        for intent in intents {
            let ticket = self.funder.submit(intent).await?;
            self.submitted.add(ticket.id().as_str(), &ticket);
            tickets.push(ticket);
        }
        for ticket in tickets {
            ticket.finalised().await?;
        }
        Ok(())
    }
}
