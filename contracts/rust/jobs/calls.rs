//! Call data for `JobEscrow`.

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::sol_types::{SolCall, SolValue};
use verde::history::{History, Length};
use verde::job::Job;
use verde::plan::Part;

use crate::bindings::JobEscrow;

/// What a payer wants to have done, and for how much. Amounts are in units of the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSpec {
    /// Root of the state that the job begins with.
    pub initial: [u8; 32],
    /// Steps, and how often the state is committed to.
    pub length: Length,
    /// What the worker gets.
    pub reward: u128,
    /// What the worker puts at stake.
    pub worker_bond: u128,
    /// What each challenger puts at stake.
    pub challenger_bond: u128,
    /// Who may accept it; none: anyone.
    pub worker: Option<Address>,
    /// The last second in which it can be accepted.
    pub accept_by: u64,
    /// Anything; two jobs of a payer that are alike otherwise need two.
    pub salt: B256,
}

/// What a worker commits to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Top of the tree over the states at checkpoints.
    pub top: [u8; 32],
    /// Root of the last one.
    pub last: [u8; 32],
    /// Of the seal.
    pub salt: B256,
    /// Hashes beside the paths of the first and the last state.
    pub paths: (Vec<[u8; 32]>, Vec<[u8; 32]>),
}

impl Commit {
    /// What commits to a history, sealed with this salt.
    #[expect(
        clippy::expect_used,
        reason = "a history has as many states as its tree has leaves"
    )]
    pub fn of(history: &History, salt: B256) -> Self {
        let (tree, states) = (history.tree(), history.states());
        let last = states.len() - 1;
        let path = |at| {
            tree.path(at)
                .expect("invariant: the state is in the history")
        };
        Self {
            top: history.claim().top,
            last: states[last],
            salt,
            paths: (path(0), path(last)),
        }
    }
}

fn spec(job: &Job, spec: &JobSpec) -> JobEscrow::Spec {
    let plan = job.plan();
    // A plan's limits are far below 2³².
    let counts = JobEscrow::PlanCounts {
        programs: plan.programs.len() as u32,
        constants: plan.constants.len() as u32,
        state: plan.state.len() as u32,
        given: plan.given.len() as u32,
        runs: plan.runs.len() as u32,
    };
    JobEscrow::Spec {
        plan: job.digest().into(),
        counts,
        initialState: spec.initial.into(),
        steps: spec.length.steps(),
        stride: spec.length.stride(),
        reward: spec.reward,
        workerBond: spec.worker_bond,
        challengerBond: spec.challenger_bond,
        worker: spec.worker.unwrap_or_default(),
        acceptBy: spec.accept_by,
        salt: spec.salt,
    }
}

/// `JobEscrow.launch`; none for a plan without a first part, which there is not.
pub fn launch(job: &Job, wanted: &JobSpec) -> Option<Bytes> {
    let place = job.plan().place_of(Part::Header)?;
    let siblings = job.plan_parts().prove(place)?.siblings;
    let call = JobEscrow::launchCall {
        spec: spec(job, wanted),
        siblings: siblings.into_iter().map(B256::from).collect(),
    };
    Some(call.abi_encode().into())
}

/// What the job that `payer` launches is known by: `JobEscrow.idOf`.
pub fn id_of(job: &Job, payer: Address, wanted: &JobSpec) -> Bytes {
    let spec = spec(job, wanted);
    JobEscrow::idOfCall { payer, spec }.abi_encode().into()
}

/// `JobEscrow.accept`.
pub fn accept(job: U256) -> Bytes {
    JobEscrow::acceptCall { job }.abi_encode().into()
}

/// What a claim, or what a verifier found, is sealed by.
pub fn seal(top: &[u8; 32], account: Address, salt: B256) -> B256 {
    keccak256((B256::from(top), account, salt).abi_encode_packed())
}

/// `JobEscrow.commitSeal`.
pub fn commit_seal(job: U256, hash: B256) -> Bytes {
    JobEscrow::commitSealCall { job, hash }.abi_encode().into()
}

/// `JobEscrow.commit`.
pub fn commit(job: U256, commit: &Commit) -> Bytes {
    let hashes = |path: &[[u8; 32]]| path.iter().copied().map(B256::from).collect();
    let call = JobEscrow::commitCall {
        job,
        top: commit.top.into(),
        finalState: commit.last.into(),
        salt: commit.salt,
        first: hashes(&commit.paths.0),
        last: hashes(&commit.paths.1),
    };
    call.abi_encode().into()
}

/// `JobEscrow.cancel`.
pub fn cancel(job: U256) -> Bytes {
    JobEscrow::cancelCall { job }.abi_encode().into()
}

/// `JobEscrow.seal`, of what a verifier found.
pub fn verifier_seal(job: U256, hash: B256) -> Bytes {
    JobEscrow::sealCall { job, hash }.abi_encode().into()
}

/// `JobEscrow.reveal`.
pub fn reveal(job: U256, top: [u8; 32], salt: B256) -> Bytes {
    let top = top.into();
    JobEscrow::revealCall { job, top, salt }.abi_encode().into()
}

/// `JobEscrow.finalize`.
pub fn finalize(job: U256) -> Bytes {
    JobEscrow::finalizeCall { job }.abi_encode().into()
}

/// `JobEscrow.expire`.
pub fn expire(job: U256) -> Bytes {
    JobEscrow::expireCall { job }.abi_encode().into()
}

/// `JobEscrow.withdraw`.
pub fn withdraw() -> Bytes {
    JobEscrow::withdrawCall {}.abi_encode().into()
}

/// `JobEscrow.owedTo`: units that wait for a receiver.
pub fn owed_to(receiver: Address) -> Bytes {
    JobEscrow::owedToCall { receiver }.abi_encode().into()
}
