//! Puts the contracts on a chain, and keeps what is deployed in a file.
//!
//! ```text
//!  Parameters ─ check ─▶ TestToken (or a token that exists) ─▶ SwarmMembers ─▶ SwarmRewards ─▶ SwarmSlasher ─▶ Deployment ─▶ file
//! ```
//! Members name who may slash them, so the address of `SwarmSlasher` is known before it exists: it
//! follows from the account's nonce. The contracts have no owner and nothing in them can be
//! changed, so parameters are checked here by the rules of their constructors before anything is
//! paid for. The intents are named after what is deployed: the same deployment started again goes
//! on where it was interrupted.

mod file;
mod parameters;

use alloy::primitives::{Address, Bytes, hex, keccak256};
use alloy::sol_types::SolConstructor;
use thiserror::Error;

pub use file::{Chain, Contracts, Deployment, FileError, MAX_FILE_BYTES, VERSION};
pub(crate) use file::{Kind, read};
pub(crate) use parameters::{MAX_LENGTH, decimal, within};
pub use parameters::{ParameterError, Parameters};

use crate::bindings::{SwarmMembers, SwarmRewards, SwarmSlasher, TestToken};
use crate::client::{Client, RpcError};
use crate::writer::{
    Inclusion, Intent, IntentError, IntentId, SubmitError, Submitted, Ticket, TicketError, Writer,
};

/// Nonces back from the next one at which a token may have been created by the same deployment.
const RECENT: u64 = 16;

/// Why the contracts are not deployed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeployError {
    /// A constructor would refuse.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// The writer did not take a contract.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// A question to the chain.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// A contract is not where others expect it.
    #[error(
        "{contract} is at {found}, and the other contracts expect it at {predicted}: another \
         transaction of this account came between; deploy again while nothing else uses the account"
    )]
    Moved {
        /// Which one.
        contract: &'static str,
        /// Where it was to be.
        predicted: Address,
        /// Where it is.
        found: Address,
    },
    /// A contract did not get on the chain.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// A transaction made no contract.
    #[error(
        "transaction {0} created no contract; the chain's RPC does not follow the rules of Ethereum"
    )]
    NoContract(alloy::primitives::B256),
}

impl From<IntentError> for DeployError {
    fn from(error: IntentError) -> Self {
        Self::Submit(error.into())
    }
}

/// Deploys what `parameters` describe through the account of `writer` and waits until it is final.
/// Without a `token`, a token is deployed that anyone may mint. `now` is the chain's time, in
/// seconds since 1970. What is sent is added to `submitted`.
///
/// # Errors
/// [`DeployError`]; started again with the same arguments it goes on. `submitted` says what is on
/// the chain already.
pub async fn deploy(
    client: &Client,
    writer: &Writer,
    parameters: &Parameters,
    token: Option<Address>,
    now: u64,
    submitted: &mut Submitted,
) -> Result<Contracts, DeployError> {
    parameters.check(now)?;
    let token = match token {
        Some(token) => token,
        None => address(
            &create(writer, "token", token_code(parameters), submitted)
                .await?
                .included()
                .await?,
        )?,
    };
    let nonce = next_nonce(
        writer.account(),
        client.nonce(writer.account()).await?,
        token,
    );
    let predicted = writer.account().create(nonce + 2);
    let code = members_code(parameters, token, predicted);
    let members_ticket = create(writer, "members", code, submitted).await?;
    let members = address(&members_ticket.included().await?)?;
    let code = rewards_code(parameters, members);
    let rewards_ticket = create(writer, "rewards", code, submitted).await?;
    let rewards = address(&rewards_ticket.included().await?)?;
    let code = slasher_code(parameters, rewards);
    let slasher_ticket = create(writer, "slasher", code, submitted).await?;
    let block = members_ticket.finalised().await?.block;
    rewards_ticket.finalised().await?;
    let slasher = address(&slasher_ticket.finalised().await?)?;
    if slasher != predicted {
        return Err(DeployError::Moved {
            contract: "SwarmSlasher",
            predicted,
            found: slasher,
        });
    }
    Ok(Contracts {
        token,
        members,
        rewards,
        slasher,
        block,
    })
}

/// The nonce of the transaction that follows the creation of `token`, if the account created it
/// just before; else its next one.
fn next_nonce(account: Address, next: u64, token: Address) -> u64 {
    let recent = next.saturating_sub(RECENT)..next;
    let created = recent.rev().find(|nonce| account.create(*nonce) == token);
    created.map_or(next, |nonce| nonce + 1)
}

/// Code that creates a `TestToken`; each set of parameters gets one of its own.
pub fn token_code(parameters: &Parameters) -> Bytes {
    // What follows the code is ignored by a constructor without arguments; it makes the intent's
    // name differ.
    TestToken::BYTECODE
        .iter()
        .copied()
        .chain(parameters.digest())
        .collect::<Vec<u8>>()
        .into()
}

/// Code that creates a `SwarmMembers` of `token`, whose deposits `slasher` may lock and slash.
pub fn members_code(parameters: &Parameters, token: Address, slasher: Address) -> Bytes {
    let slashers = std::iter::once(slasher).chain(parameters.slashers.iter().copied());
    let arguments = SwarmMembers::constructorCall {
        token_: token,
        exitDelay_: parameters.exit_delay,
        slashers_: slashers.collect(),
    };
    with_arguments(&SwarmMembers::BYTECODE, &arguments)
}

/// Code that creates the `SwarmRewards` over `members`.
pub fn rewards_code(parameters: &Parameters, members: Address) -> Bytes {
    let p = SwarmRewards::RewardsParameters {
        members,
        genesis: parameters.genesis,
        roundLength: parameters.round_length,
        roundsPerEpoch: parameters.rounds_per_epoch,
        unitsPerPoint: parameters.units_per_point,
        epochCap: parameters.epoch_cap,
        minimumStake: parameters.minimum_stake,
        submitterFee: parameters.submitter_fee,
        proposalBond: parameters.proposal_bond,
        objectionBond: parameters.objection_bond,
        proposalWindow: parameters.proposal_window,
        objectionWindow: parameters.objection_window,
        courtWindow: parameters.court_window,
        seedDelay: parameters.seed_delay,
    };
    with_arguments(
        &SwarmRewards::BYTECODE,
        &SwarmRewards::constructorCall { p },
    )
}

/// Code that creates the `SwarmSlasher` of `rewards`.
pub fn slasher_code(parameters: &Parameters, rewards: Address) -> Bytes {
    let arguments = SwarmSlasher::constructorCall {
        rewards_: rewards,
        slashFraction_: parameters.slash_fraction,
    };
    with_arguments(&SwarmSlasher::BYTECODE, &arguments)
}

pub(crate) fn with_arguments(code: &Bytes, arguments: &impl SolConstructor) -> Bytes {
    code.iter()
        .copied()
        .chain(arguments.abi_encode())
        .collect::<Vec<u8>>()
        .into()
}

/// Submits the creation of a contract under a name that its code determines.
pub(crate) async fn create(
    writer: &Writer,
    name: &str,
    code: Bytes,
    submitted: &mut Submitted,
) -> Result<Ticket, DeployError> {
    let id = IntentId::new(format!("deploy/{name}/{}", hex::encode(keccak256(&code))))?;
    let ticket = writer.retry(Intent::create(id, code)).await?;
    submitted.add(name, &ticket);
    Ok(ticket)
}

pub(crate) fn address(inclusion: &Inclusion) -> Result<Address, DeployError> {
    inclusion
        .contract
        .ok_or(DeployError::NoContract(inclusion.tx))
}

#[cfg(test)]
mod tests;
