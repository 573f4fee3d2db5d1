//! Puts the contracts on a chain, and keeps what is deployed in a file.
//!
//! ```text
//!  Parameters ─ check ─▶ TestToken (or a token that exists) ─▶ SwarmStake ─▶ SwarmCoordinator ─▶ Deployment ─▶ file
//! ```
//! The contracts have no owner and nothing in them can be changed, so parameters are checked here
//! by the rules of their constructors before anything is paid for. The intents are named after what
//! is deployed: the same deployment started again goes on where it was interrupted.

mod file;
mod parameters;

use alloy::primitives::{Address, Bytes, hex, keccak256};
use alloy::sol_types::SolConstructor;
use thiserror::Error;

pub use file::{Chain, Contracts, Deployment, FileError, MAX_FILE_BYTES};
pub use parameters::{ParameterError, Parameters};

use crate::bindings::{SwarmCoordinator, SwarmStake, TestToken};
use crate::writer::{
    Inclusion, Intent, IntentError, IntentId, SubmitError, Submitted, Ticket, TicketError, Writer,
};

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

/// Deploys what `parameters` describe through `writer` and waits until it is final. Without a
/// `token`, a token is deployed that anyone may mint. `now` is the chain's time, in seconds since
/// 1970. What is sent is added to `submitted`.
///
/// # Errors
/// [`DeployError`]; started again with the same arguments it goes on. `submitted` says what is on
/// the chain already.
pub async fn deploy(
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
    let stake_ticket = create(writer, "stake", stake_code(parameters, token), submitted).await?;
    let stake = address(&stake_ticket.included().await?)?;
    let coordinator_ticket = create(
        writer,
        "coordinator",
        coordinator_code(parameters, stake),
        submitted,
    )
    .await?;
    let block = stake_ticket.finalised().await?.block;
    let coordinator = address(&coordinator_ticket.finalised().await?)?;
    Ok(Contracts {
        token,
        stake,
        coordinator,
        block,
    })
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

/// Code that creates a `SwarmStake` of `token`.
pub fn stake_code(parameters: &Parameters, token: Address) -> Bytes {
    let arguments = SwarmStake::constructorCall {
        token_: token,
        exitDelay_: parameters.exit_delay,
        slasher_: parameters.slasher,
    };
    with_arguments(&SwarmStake::BYTECODE, &arguments)
}

/// Code that creates the `SwarmCoordinator` over `stake`.
pub fn coordinator_code(parameters: &Parameters, stake: Address) -> Bytes {
    let p = SwarmCoordinator::Parameters {
        stake,
        genesis: parameters.genesis,
        roundLength: parameters.round_length,
        roundsPerEpoch: parameters.rounds_per_epoch,
        unitsPerPoint: parameters.units_per_point,
        epochCap: parameters.epoch_cap,
        claimWindow: parameters.claim_window,
    };
    with_arguments(
        &SwarmCoordinator::BYTECODE,
        &SwarmCoordinator::constructorCall { p },
    )
}

fn with_arguments(code: &Bytes, arguments: &impl SolConstructor) -> Bytes {
    code.iter()
        .copied()
        .chain(arguments.abi_encode())
        .collect::<Vec<u8>>()
        .into()
}

/// Submits the creation of a contract under a name that its code determines.
async fn create(
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

fn address(inclusion: &Inclusion) -> Result<Address, DeployError> {
    inclusion
        .contract
        .ok_or(DeployError::NoContract(inclusion.tx))
}

#[cfg(test)]
mod tests;
