//! What `JobEscrow` says.

use alloy::primitives::{Address, B256, Log, U256};
use alloy::sol_types::SolEvent;

use crate::bindings::JobEscrow;

/// An event of `JobEscrow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEvent {
    /// A payer wants something done.
    Launched {
        /// The job.
        job: U256,
        /// Who pays.
        payer: Address,
        /// Digest of its plan.
        plan: B256,
        /// Root of the state that it begins with.
        initial: B256,
        /// Steps.
        steps: u64,
        /// Steps between checkpoints.
        stride: u32,
        /// What arrived of the reward.
        reward: u128,
    },
    /// A worker accepted it.
    Accepted {
        /// The job.
        job: U256,
        /// Who.
        worker: Address,
        /// The last second for a sealed claim.
        deadline: u64,
    },
    /// The worker sealed its claim.
    ClaimSealed {
        /// The job.
        job: U256,
        /// The last second for verifiers' seals.
        sealed_by: u64,
        /// The last second for the worker's commitment.
        deadline: u64,
    },
    /// The worker committed to its claim.
    Committed {
        /// The job.
        job: U256,
        /// Top of the tree over the states at checkpoints.
        top: B256,
        /// Root of the last one.
        last: B256,
        /// The last second for games to begin.
        deadline: u64,
    },
    /// A game about the claim ended, and the worker lost it.
    GameLost {
        /// The job.
        job: U256,
    },
    /// The claim was refuted.
    Refuted {
        /// The job.
        job: U256,
        /// By whom.
        challenger: Address,
    },
    /// The claim is final.
    Finalized {
        /// The job.
        job: U256,
    },
    /// Nobody accepted it, its worker was late, or its payer took it back.
    Ended {
        /// The job.
        job: U256,
    },
}

impl JobEvent {
    /// Reads a log of the contract; `None` for other events, and for malformed ones.
    pub fn read(log: &Log) -> Option<Self> {
        match *log.topics().first()? {
            JobEscrow::Launched::SIGNATURE_HASH => {
                let event = JobEscrow::Launched::decode_log(log).ok()?.data;
                Some(Self::Launched {
                    job: event.job,
                    payer: event.payer,
                    plan: event.spec.plan,
                    initial: event.spec.initialState,
                    steps: event.spec.steps,
                    stride: event.spec.stride,
                    reward: event.reward,
                })
            }
            JobEscrow::Accepted::SIGNATURE_HASH => {
                let event = JobEscrow::Accepted::decode_log(log).ok()?.data;
                Some(Self::Accepted {
                    job: event.job,
                    worker: event.worker,
                    deadline: event.deadline,
                })
            }
            JobEscrow::ClaimSealed::SIGNATURE_HASH => {
                let event = JobEscrow::ClaimSealed::decode_log(log).ok()?.data;
                Some(Self::ClaimSealed {
                    job: event.job,
                    sealed_by: event.sealDeadline,
                    deadline: event.deadline,
                })
            }
            JobEscrow::Committed::SIGNATURE_HASH => {
                let event = JobEscrow::Committed::decode_log(log).ok()?.data;
                Some(Self::Committed {
                    job: event.job,
                    top: event.top,
                    last: event.finalState,
                    deadline: event.deadline,
                })
            }
            JobEscrow::GameEnded::SIGNATURE_HASH => {
                let event = JobEscrow::GameEnded::decode_log(log).ok()?.data;
                event
                    .workerLost
                    .then_some(Self::GameLost { job: event.job })
            }
            JobEscrow::Refuted::SIGNATURE_HASH => {
                let event = JobEscrow::Refuted::decode_log(log).ok()?.data;
                Some(Self::Refuted {
                    job: event.job,
                    challenger: event.challenger,
                })
            }
            JobEscrow::Finalized::SIGNATURE_HASH => {
                let job = JobEscrow::Finalized::decode_log(log).ok()?.data.job;
                Some(Self::Finalized { job })
            }
            JobEscrow::Expired::SIGNATURE_HASH => {
                let job = JobEscrow::Expired::decode_log(log).ok()?.data.job;
                Some(Self::Ended { job })
            }
            JobEscrow::Cancelled::SIGNATURE_HASH => {
                let job = JobEscrow::Cancelled::decode_log(log).ok()?.data.job;
                Some(Self::Ended { job })
            }
            _ => None,
        }
    }
}
