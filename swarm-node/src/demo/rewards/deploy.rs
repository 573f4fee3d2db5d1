//! Before the first reward: keys, contracts, stakes, bindings and a pool of money.
//!
//! Steps that need nothing of each other are sent together; each step is named after what it does,
//! so that one that was interrupted goes on. A step begins when the one before it is final, so that
//! no reorganisation can take back what it builds on. `SwarmRewards` comes after all stakes and
//! bindings, so that they count from its first epoch on; `SwarmMembers` names its slasher before
//! that exists, by the nonce that it will have.

use contracts::client::RpcError;
use contracts::deploy::{members_code, rewards_code, slasher_code, token_code};
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
use swarm_settle::chain::{Binding, Link, patiently, permit, signer};
use swarm_settle::settlement::schedule::Schedule;
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
    /// Something else used the funder's account.
    #[error(
        "SwarmSlasher is at {slasher}, and SwarmMembers lets {predicted} slash: another transaction \
         of this account came between; run again while nothing else uses the account"
    )]
    Moved {
        /// Where it was to be.
        predicted: Address,
        /// Where it is.
        slasher: Address,
    },
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
    pub schedule: Schedule,
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
    let account = funder.account();
    let draft = terms.parameters(1);
    let token = sender.create("token", token_code(&draft)).await?;
    let first = patiently(|| link.client.nonce(account)).await?;
    let members = account.create(first);
    let begun = patiently(|| link.client.head()).await?.timestamp;
    let money = money(link, keys, terms, account, token, members).await?;
    let membership = membership(link, keys, members, begun)?;
    let predicted = account.create(first + 1 + (money.len() + membership.len()) as u64 + 1);
    let block = sender
        .submit_creation("members", members_code(&draft, token, predicted))
        .await?
        .finalised()
        .await?
        .block;
    sender.all(money).await?;
    sender.all(membership).await?;
    let ready = patiently(|| link.client.head()).await?.timestamp;
    // A chain that was slow until now is given as much time once more.
    let lead = match link.dev {
        Some(_) => 1,
        None => terms.lead_seconds.max(ready.saturating_sub(begun)),
    };
    let parameters = terms.parameters(ready + lead);
    let rewards = sender
        .create("rewards", rewards_code(&parameters, members))
        .await?;
    let fund = fund(link, keys, terms, token, rewards).await?;
    let ticket = sender
        .submit_creation("slasher", slasher_code(&parameters, rewards))
        .await?;
    sender.all(vec![fund]).await?;
    let slasher = created(&ticket.finalised().await?)?;
    if slasher != predicted {
        return Err(PrepareError::Moved { predicted, slasher });
    }
    let addresses = Addresses {
        token,
        members,
        rewards,
        slasher,
    };
    Ok(SwarmContracts {
        swarm: Swarm::new(link.client.clone(), addresses),
        schedule: terms.schedule(parameters.genesis),
        block,
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
    members: Address,
) -> Result<Vec<Intent>, PrepareError> {
    let all = terms.pool() + STAKE * keys.owners.len() as u128;
    let mut intents = vec![
        intent("mint", token, calls::mint(funder, U256::from(all)))?,
        intent("approve", token, calls::approve(members, U256::MAX))?,
    ];
    let fee = patiently(|| link.client.head()).await?.base_fee * 2
        + patiently(|| link.client.tip()).await?;
    let epochs = u128::from(terms.epochs());
    let gas_money = U256::from(fee) * U256::from(OWNER_GAS + EPOCH_GAS * epochs);
    for owner in &keys.owners {
        let balance = patiently(|| link.client.balance(owner.address())).await?;
        let missing = gas_money.saturating_sub(balance);
        if !missing.is_zero() {
            let id = IntentId::new(format!("demo/gas/{members}/{}", owner.address()))?;
            intents.push(Intent::pay(id, owner.address(), missing));
        }
    }
    Ok(intents)
}

/// Deposits and bindings of all peers.
fn membership(
    link: &Link,
    keys: &DemoKeys,
    members: Address,
    now: u64,
) -> Result<Vec<Intent>, PrepareError> {
    let domain = Domain {
        chain_id: link.client.chain_id(),
        contract: members,
    };
    let deposit = |owner: &Owner| {
        let name = format!("deposit-{}", owner.address());
        let data = calls::deposit(owner.address(), U256::from(STAKE));
        intent(&name, members, data)
    };
    let bind = |(owner, node): (&Owner, &NodeKey)| binding(domain, owner, node, now);
    let deposits = keys.owners.iter().map(deposit);
    let bindings = keys.owners.iter().zip(&keys.nodes).map(bind);
    deposits.chain(bindings).collect()
}

/// The pool of all epochs, with the funder's leave to move it.
async fn fund(
    link: &Link,
    keys: &DemoKeys,
    terms: &RewardTerms,
    token: Address,
    rewards: Address,
) -> Result<Intent, PrepareError> {
    let addresses = Addresses {
        token,
        members: Address::ZERO,
        rewards,
        slasher: Address::ZERO,
    };
    let swarm = Swarm::new(link.client.clone(), addresses);
    let key = NodeKey::from_secret(&keys.funder.to_bytes().0).map_err(|_| PrepareError::Key)?;
    let amount = U256::from(terms.pool());
    let leave = patiently(|| permit(&swarm, &key, keys.funder.address(), rewards, amount)).await?;
    let leave = leave.ok_or(PrepareError::Key)?;
    intent("fund", rewards, calls::fund_with_permit(amount, &leave))
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

/// The contract that a transaction made.
fn created(inclusion: &Inclusion) -> Result<Address, PrepareError> {
    inclusion
        .contract
        .ok_or(PrepareError::NoContract(inclusion.tx))
}

/// The funder's writer, and what it has sent.
struct Sender<'a> {
    funder: &'a Writer,
    submitted: &'a mut Submitted,
}

impl Sender<'_> {
    /// Creates a contract and waits until that is final.
    async fn create(&mut self, name: &str, code: Bytes) -> Result<Address, PrepareError> {
        let ticket = self.submit_creation(name, code).await?;
        created(&ticket.finalised().await?)
    }

    async fn submit_creation(&mut self, name: &str, code: Bytes) -> Result<Ticket, PrepareError> {
        let intent = Intent::create(IntentId::new(format!("demo/create/{name}"))?, code);
        let ticket = self.funder.submit(intent).await?;
        self.submitted.add(name, &ticket);
        Ok(ticket)
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
