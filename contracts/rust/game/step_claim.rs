//! What a worker signs of a step, and refutations by it: `StepClaims.sol` and `DisputeGame.refute`.

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::sol_types::{SolCall, SolStruct, SolValue};
use verde::game::StepClaim;

use super::bytes::pack;
use super::types::Move;
use crate::bindings::DisputeGame;
use crate::typed::{self, Domain};

/// What a worker claims of a step of a job, signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedStep {
    /// What the job is known by.
    pub job: U256,
    /// What is claimed.
    pub claim: StepClaim,
    /// Of [`step_claim_digest`], by the job's worker: r ‖ s ‖ v.
    pub signature: [u8; 65],
}

/// What a worker signs to claim this of a step of a job, for the game contract of the domain.
pub fn step_claim_digest(domain: &Domain, job: U256, claim: &StepClaim) -> B256 {
    typed(job, claim).eip712_signing_hash(&domain.separator())
}

impl SignedStep {
    /// Who signed it; none where the signature is none.
    pub fn signer(&self, domain: &Domain) -> Option<Address> {
        let digest = step_claim_digest(domain, self.job, &self.claim);
        typed::signer(&digest, &self.signature)
    }
}

/// A refutation without a game: what the worker signed, and the moves of the whole game.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refutation {
    signed: SignedStep,
    moves: Bytes,
    salt: B256,
}

impl Refutation {
    /// A refutation by these moves. The salt keeps what was announced from being guessed.
    pub fn new(signed: SignedStep, moves: &[Move], salt: B256) -> Self {
        let moves = pack(moves);
        Self {
            signed,
            moves,
            salt,
        }
    }

    /// What the challenger announces a block before.
    pub fn announcement(&self, challenger: Address) -> B256 {
        let claim = typed(self.signed.job, &self.signed.claim).eip712_hash_struct();
        let parts = (challenger, claim, keccak256(&self.moves), self.salt);
        keccak256(parts.abi_encode())
    }

    /// `DisputeGame.refute`.
    pub fn call(&self) -> Bytes {
        let call = DisputeGame::refuteCall {
            step: typed(self.signed.job, &self.signed.claim),
            signature: self.signed.signature.into(),
            moves: self.moves.clone(),
            salt: self.salt,
        };
        call.abi_encode().into()
    }
}

/// `DisputeGame.announce`.
pub fn announce(hash: B256) -> Bytes {
    DisputeGame::announceCall { hash }.abi_encode().into()
}

fn typed(job: U256, claim: &StepClaim) -> DisputeGame::StepClaim {
    let [before, next, states, runs] =
        [claim.before, claim.after, claim.states, claim.runs].map(B256::from);
    DisputeGame::StepClaim {
        job,
        before,
        next,
        states,
        runs,
    }
}
