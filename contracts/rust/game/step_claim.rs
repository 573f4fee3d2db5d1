//! What a worker signs of a step, and refutations by it: `StepClaims.sol` and `DisputeGame.refute`.

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::{SolCall, SolStruct};
use verde::game::StepClaim;

use super::bytes::pack;
use super::types::Move;
use crate::bindings::DisputeGame;
use crate::typed::{self, Domain};

mod typed_data {
    #![allow(missing_docs, reason = "the contract documents it")]

    alloy::sol! {
        struct StepClaim {
            uint256 job;
            address auditor;
            bytes32 before;
            bytes32 next;
            bytes32 states;
            bytes32 runs;
        }
    }
}

/// What a worker says of a step of a job to an auditor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaidStep {
    /// What the job is known by.
    pub job: U256,
    /// Who may use it.
    pub auditor: Address,
    /// What is claimed.
    pub claim: StepClaim,
}

impl SaidStep {
    /// What the worker signs, for the game contract of the domain.
    pub fn digest(&self, domain: &Domain) -> B256 {
        self.typed().eip712_signing_hash(&domain.separator())
    }

    fn typed(&self) -> typed_data::StepClaim {
        let StepClaim {
            before,
            after,
            states,
            runs,
        } = self.claim;
        let [before, next, states, runs] = [before, after, states, runs].map(B256::from);
        typed_data::StepClaim {
            job: self.job,
            auditor: self.auditor,
            before,
            next,
            states,
            runs,
        }
    }
}

/// The same, signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedStep {
    /// What was said.
    pub said: SaidStep,
    /// Of its digest, by the job's worker: r ‖ s ‖ v.
    pub signature: [u8; 65],
}

impl SignedStep {
    /// Who signed it; none where the signature is none.
    pub fn signer(&self, domain: &Domain) -> Option<Address> {
        typed::signer(&self.said.digest(domain), &self.signature)
    }
}

/// `DisputeGame.refute`: the moves of a whole game, by what the worker signed. The caller must be
/// the auditor that it was signed for.
pub fn refute(signed: &SignedStep, moves: &[Move]) -> Bytes {
    let typed_data::StepClaim {
        job,
        auditor,
        before,
        next,
        states,
        runs,
    } = signed.said.typed();
    let call = DisputeGame::refuteCall {
        step: DisputeGame::StepClaim {
            job,
            auditor,
            before,
            next,
            states,
            runs,
        },
        signature: signed.signature.into(),
        moves: pack(moves),
    };
    call.abi_encode().into()
}
