//! What `JobEscrow` answers.

use std::fmt;

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::SolCall;

use super::deploy::JobContracts;
use crate::bindings::{DisputeGame, JobEscrow, TestToken};
use crate::client::{Call, Client, RpcError};
use crate::game::Game;
use crate::game::calls::written;
use crate::swarm::decode;

/// The states of a job; what leads from one to the next is drawn in `JobEscrow.sol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Waits for a worker.
    Open,
    /// Is being done.
    Assigned,
    /// The worker is done and shows but a hash of its claim.
    Sealed,
    /// The worker claims something that can be challenged.
    Committed,
    /// The claim was not refuted. Over.
    Finalized,
    /// The claim was refuted. Over.
    Refuted,
    /// Nobody accepted the job, or the worker was late. Over.
    Expired,
    /// The payer took the job back. Over.
    Cancelled,
}

impl JobState {
    /// The state of the contract's number; `None` where there is no job.
    fn of(number: u8) -> Result<Option<Self>, RpcError> {
        Ok(Some(match number {
            0 => return Ok(None),
            1 => Self::Open,
            2 => Self::Assigned,
            3 => Self::Sealed,
            4 => Self::Committed,
            5 => Self::Finalized,
            6 => Self::Refuted,
            7 => Self::Expired,
            8 => Self::Cancelled,
            other => {
                return Err(RpcError::Malformed {
                    what: "jobOf()",
                    cause: format!("{other} is no state of a job"),
                });
            }
        }))
    }

    /// Whether nothing can change any more.
    pub fn is_over(self) -> bool {
        matches!(
            self,
            Self::Finalized | Self::Refuted | Self::Expired | Self::Cancelled
        )
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Assigned => "assigned",
            Self::Sealed => "sealed",
            Self::Committed => "committed",
            Self::Finalized => "finalized",
            Self::Refuted => "refuted",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        })
    }
}

/// A job as the contract knows it. Amounts are in units of the token, times in seconds of block
/// time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Its state.
    pub state: JobState,
    /// Who launched it.
    pub payer: Address,
    /// Who accepted it; before, who may; zero: anyone.
    pub worker: Address,
    /// The last second of what its state waits for.
    pub deadline: u64,
    /// Games under way.
    pub games: u32,
    /// Digest of the plan.
    pub plan: B256,
    /// Steps.
    pub steps: u64,
    /// Steps between checkpoints.
    pub stride: u32,
    /// Root of the state that it begins with.
    pub initial: B256,
    /// Root of the state that it ends with, as claimed; final where the job is finalized.
    pub last: B256,
    /// Top of the tree over the states at checkpoints; while the job is sealed, the seal of that.
    pub commitment: B256,
    /// What arrived of the reward.
    pub reward: u128,
    /// What arrived of the worker's bond; before, what it must be.
    pub worker_bond: u128,
    /// What a challenger's bond must be.
    pub challenger_bond: u128,
}

/// The contracts of jobs, to be asked.
#[derive(Clone, Debug)]
pub struct Escrow {
    client: Client,
    contracts: JobContracts,
}

impl Escrow {
    /// The contracts at these addresses.
    pub fn new(client: Client, contracts: JobContracts) -> Self {
        Self { client, contracts }
    }

    /// The connection.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where the contracts are.
    pub fn contracts(&self) -> &JobContracts {
        &self.contracts
    }

    /// A job; none where there is none.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn job(&self, job: U256) -> Result<Option<JobView>, RpcError> {
        let known = self.ask(JobEscrow::jobOfCall { job }).await?;
        let state = JobState::of(known.state)?;
        Ok(state.map(|state| JobView {
            state,
            payer: known.payer,
            worker: known.worker,
            deadline: known.deadline,
            games: known.games.to(),
            plan: known.plan,
            steps: known.steps,
            stride: known.stride,
            initial: known.initialState,
            last: known.finalState,
            commitment: known.commitment,
            reward: known.reward,
            worker_bond: known.workerBond,
            challenger_bond: known.challengerBond,
        }))
    }

    /// What an account has sealed about a job and not revealed; zero for nothing.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn seal_of(&self, job: U256, verifier: Address) -> Result<B256, RpcError> {
        self.ask(JobEscrow::sealOfCall { job, verifier }).await
    }

    /// The bond of a challenger's game about a job; 0 where none is under way.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn game_bond_of(&self, job: U256, challenger: Address) -> Result<u128, RpcError> {
        self.ask(JobEscrow::gameBondOfCall { job, challenger })
            .await
    }

    /// Units that wait to be withdrawn by a receiver.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn owed_to(&self, receiver: Address) -> Result<u128, RpcError> {
        self.ask(JobEscrow::owedToCall { receiver }).await
    }

    /// Units of the token that an account holds.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn tokens_of(&self, account: Address) -> Result<U256, RpcError> {
        let call = TestToken::balanceOfCall { account };
        self.ask_of(self.contracts.token, call).await
    }

    /// Units of the token that the escrow may take from an account.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn allowance(&self, owner: Address) -> Result<U256, RpcError> {
        let call = TestToken::allowanceCall {
            owner,
            spender: self.contracts.escrow,
        };
        self.ask_of(self.contracts.token, call).await
    }

    /// Seconds that the side to move in a game has left; none for a game that does not stand so: it
    /// went on, is over or never was.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn time_left(
        &self,
        game: U256,
        g: &Game,
        position: B256,
    ) -> Result<Option<u64>, RpcError> {
        let g = written(g);
        let call = DisputeGame::timeLeftCall { game, g, position };
        match self.ask_of(self.contracts.game, call).await {
            Ok(left) => Ok(Some(left.saturating_to())),
            Err(RpcError::Reverted { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gas of a call by an account in the next block.
    ///
    /// # Errors
    /// [`RpcError::Reverted`] with the contract's reason if it would revert.
    pub async fn estimate(&self, from: Address, to: Address, data: Bytes) -> Result<u64, RpcError> {
        let call = Call {
            from,
            ..Call::to(to, data)
        };
        self.client.estimate(&call).await
    }

    async fn ask<C: SolCall>(&self, call: C) -> Result<C::Return, RpcError> {
        self.ask_of(self.contracts.escrow, call).await
    }

    async fn ask_of<C: SolCall>(&self, of: Address, call: C) -> Result<C::Return, RpcError> {
        let call = Call::to(of, call.abi_encode());
        decode::<C>(&self.client.call_pending(&call).await?)
    }
}
