//! What a worker and a verifier do next about a job: pure decisions.
//!
//! ```text
//!            worker                             verifier
//! open       Accept                             waits
//! assigned   Compute, then Seal                 Compute, then Seal what it found
//! sealed     waits for the verifiers, Commit    Seal what it found, as long as that counts
//! committed  Play; when nobody doubts, Finalize Challenge what differs, Play, Finalize
//! over       Withdraw                           Withdraw
//! ```
//! Nothing that is decided depends on anything but what the chain says now and what was computed,
//! so whoever was killed goes on where the job stands. What time decides is decided by the chain's
//! time.
//!
//! Invariant: a verifier challenges only a claim that differs from a history that it computed
//! whole.

use contracts::Address;
use contracts::jobs::{JobState, JobView};
use reproducible_ops::program::Digest;

/// What an account is in a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Does the job, and defends what it claims.
    Worker,
    /// Does it again, and challenges a claim that differs.
    Verifier,
}

/// What is known about a job and an account's part in it.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// The job.
    pub job: JobView,
    /// The account.
    pub account: Address,
    /// The chain's time in seconds: what the next block will say.
    pub now: u64,
    /// Seconds that the worker has to commit, after the verifiers' time to seal.
    pub reveal_window: u64,
    /// Top of the tree over the states that the account computed; none before it has.
    pub found: Option<Digest>,
    /// The account has sealed what it found and not revealed it; of verifiers.
    pub has_sealed: bool,
    /// A game of the account about the job is under way; of verifiers.
    pub has_game: bool,
    /// The account has lost a game about the job already; of verifiers.
    pub has_lost: bool,
    /// The escrow owes the account something.
    pub is_owed: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Accept the job, with the worker's bond.
    Accept,
    /// Compute the job.
    Compute,
    /// Seal the claim, or what a verifier found.
    Seal,
    /// Commit to the sealed claim.
    Commit,
    /// Tell what was sealed.
    Reveal,
    /// Open a game, with the challenger's bond.
    Challenge,
    /// Say what there is to say in games.
    Play,
    /// Take the bond of a game back that another game has made pointless.
    Void,
    /// Make the unrefuted claim final.
    Finalize,
    /// End a job whose time is over.
    Expire,
    /// Take what the escrow owes.
    Withdraw,
    /// Wait for something, until a second of the chain's time where there is one.
    Wait(Awaited, Option<u64>),
    /// There is nothing left to do.
    Over,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// Somebody who accepts the job.
    Worker,
    /// The worker's sealed claim.
    Claim,
    /// The end of the time in which verifiers seal.
    Verifiers,
    /// The worker's commitment.
    Commitment,
    /// The end of the time in which games can begin.
    Challenges,
    /// Games.
    Games,
}

impl Awaited {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Worker => "a worker",
            Self::Claim => "the worker's sealed claim",
            Self::Verifiers => "verifiers, who may seal what they found",
            Self::Commitment => "the worker's commitment",
            Self::Challenges => "challenges of the claim",
            Self::Games => "games to end",
        }
    }
}

/// Why an account has no part in a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoleError {
    /// The job is somebody else's.
    #[error("the job is that of {0}, who has accepted it or for whom it was launched")]
    OtherWorker(Address),
    /// A worker cannot verify itself.
    #[error("{0} does the job itself; verify it from another account")]
    OwnJob(Address),
}

impl Role {
    /// What the account does next.
    ///
    /// # Errors
    /// [`RoleError`].
    pub fn next(self, sight: &Sight) -> Result<Act, RoleError> {
        if sight.job.state.is_over() {
            return Ok(match (sight.has_game, sight.is_owed) {
                (true, _) => Act::Void,
                (false, true) => Act::Withdraw,
                (false, false) => Act::Over,
            });
        }
        match self {
            Self::Worker => worker(sight),
            Self::Verifier => verifier(sight),
        }
    }
}

fn worker(sight: &Sight) -> Result<Act, RoleError> {
    let job = &sight.job;
    if !job.worker.is_zero() && job.worker != sight.account {
        return Err(RoleError::OtherWorker(job.worker));
    }
    let is_late = sight.now > job.deadline;
    Ok(match job.state {
        JobState::Open | JobState::Assigned | JobState::Sealed if is_late => Act::Expire,
        JobState::Open => Act::Accept,
        _ if sight.found.is_none() => Act::Compute,
        JobState::Assigned => Act::Seal,
        JobState::Sealed if sight.now <= sealed_by(sight) => {
            Act::Wait(Awaited::Verifiers, Some(sealed_by(sight)))
        }
        JobState::Sealed => Act::Commit,
        _ => committed(sight, job.games > 0),
    })
}

fn verifier(sight: &Sight) -> Result<Act, RoleError> {
    let job = &sight.job;
    if job.worker == sight.account {
        return Err(RoleError::OwnJob(job.worker));
    }
    let is_late = sight.now > job.deadline;
    Ok(match job.state {
        JobState::Open | JobState::Assigned | JobState::Sealed if is_late => Act::Expire,
        JobState::Open => Act::Wait(Awaited::Worker, Some(job.deadline)),
        _ if sight.found.is_none() => Act::Compute,
        JobState::Assigned if sight.has_sealed => Act::Wait(Awaited::Claim, Some(job.deadline)),
        JobState::Assigned => Act::Seal,
        JobState::Sealed if !sight.has_sealed && sight.now <= sealed_by(sight) => Act::Seal,
        JobState::Sealed => Act::Wait(Awaited::Commitment, Some(job.deadline)),
        _ => {
            let differs = sight.found.is_some_and(|top| job.commitment.0 != top);
            match () {
                // Who could not show the fault once would only pay again.
                () if differs && !sight.has_game && !sight.has_lost && !is_late => Act::Challenge,
                () if sight.has_sealed => Act::Reveal,
                () => committed(sight, sight.has_game),
            }
        }
    })
}

/// A claim that can be challenged, or could.
fn committed(sight: &Sight, plays: bool) -> Act {
    let job = &sight.job;
    match (plays, sight.now > job.deadline, job.games) {
        (true, ..) => Act::Play,
        (false, false, _) => Act::Wait(Awaited::Challenges, Some(job.deadline)),
        (false, true, 0) => Act::Finalize,
        (false, true, _) => Act::Wait(Awaited::Games, None),
    }
}

/// The last second in which verifiers can seal.
fn sealed_by(sight: &Sight) -> u64 {
    sight.job.deadline.saturating_sub(sight.reveal_window)
}

#[cfg(test)]
mod tests {
    use contracts::B256;

    use super::*;

    const WORKER: Address = Address::repeat_byte(1);
    const VERIFIER: Address = Address::repeat_byte(2);
    const TOP: Digest = [7; 32];

    fn sight(state: JobState, account: Address) -> Sight {
        Sight {
            job: JobView {
                state,
                payer: Address::repeat_byte(9),
                worker: WORKER,
                deadline: 100,
                games: 0,
                plan: B256::ZERO,
                steps: 4,
                stride: 2,
                initial: B256::ZERO,
                last: B256::ZERO,
                commitment: TOP.into(),
                reward: 1,
                worker_bond: 1,
                challenger_bond: 1,
            },
            account,
            now: 50,
            reveal_window: 20,
            found: Some(TOP),
            has_sealed: false,
            has_game: false,
            has_lost: false,
            is_owed: false,
        }
    }

    fn act(role: Role, sight: Sight) -> Act {
        role.next(&sight).unwrap()
    }

    #[test]
    fn a_worker_goes_through_the_states_of_its_job() {
        let worker = |state| sight(state, WORKER);
        let next = |sight| act(Role::Worker, sight);
        assert_eq!(next(worker(JobState::Open)), Act::Accept);
        let early = Sight {
            found: None,
            ..worker(JobState::Assigned)
        };
        assert_eq!(next(early), Act::Compute);
        assert_eq!(next(worker(JobState::Assigned)), Act::Seal);
        let sealed = worker(JobState::Sealed);
        let waits = Act::Wait(Awaited::Verifiers, Some(80));
        assert_eq!(next(sealed), waits);
        assert_eq!(next(Sight { now: 80, ..sealed }), waits);
        assert_eq!(next(Sight { now: 81, ..sealed }), Act::Commit);
        assert_eq!(next(Sight { now: 101, ..sealed }), Act::Expire);
        let mut claimed = worker(JobState::Committed);
        assert_eq!(next(claimed), Act::Wait(Awaited::Challenges, Some(100)));
        claimed.job.games = 2;
        assert_eq!(next(claimed), Act::Play);
        claimed.now = 101;
        assert_eq!(next(claimed), Act::Play);
        claimed.job.games = 0;
        assert_eq!(next(claimed), Act::Finalize);
        let paid = Sight {
            is_owed: true,
            ..worker(JobState::Finalized)
        };
        assert_eq!(next(paid), Act::Withdraw);
        assert_eq!(next(worker(JobState::Finalized)), Act::Over);
        let beaten_to_it = Sight {
            has_game: true,
            is_owed: true,
            ..sight(JobState::Refuted, VERIFIER)
        };
        assert_eq!(act(Role::Verifier, beaten_to_it), Act::Void);
        let error = Role::Worker.next(&sight(JobState::Assigned, VERIFIER));
        assert_eq!(error, Err(RoleError::OtherWorker(WORKER)));
    }

    #[test]
    fn a_verifier_seals_what_it_found_and_doubts_only_what_differs() {
        let verifier = |state| sight(state, VERIFIER);
        let next = |sight| act(Role::Verifier, sight);
        assert_eq!(
            next(verifier(JobState::Open)),
            Act::Wait(Awaited::Worker, Some(100))
        );
        assert_eq!(next(verifier(JobState::Assigned)), Act::Seal);
        let sealed = verifier(JobState::Sealed);
        assert_eq!(next(sealed), Act::Seal);
        // Too late to seal: it would not count, and the contract would refuse it.
        let waits = Act::Wait(Awaited::Commitment, Some(100));
        assert_eq!(next(Sight { now: 81, ..sealed }), waits);
        let mut claimed = verifier(JobState::Committed);
        assert_eq!(next(claimed), Act::Wait(Awaited::Challenges, Some(100)));
        claimed.has_sealed = true;
        assert_eq!(next(claimed), Act::Reveal);
        claimed.job.commitment = B256::ZERO;
        assert_eq!(next(claimed), Act::Challenge);
        claimed.has_game = true;
        claimed.has_sealed = false;
        assert_eq!(next(claimed), Act::Play);
        // Who computed nothing doubts nothing.
        let blind = Sight {
            found: None,
            has_game: false,
            ..claimed
        };
        assert_eq!(next(blind), Act::Compute);
        let lost = Sight {
            has_lost: true,
            has_game: false,
            ..claimed
        };
        assert_eq!(next(lost), Act::Wait(Awaited::Challenges, Some(100)));
        // Nobody can begin a game any more.
        let late = Sight {
            now: 101,
            has_game: false,
            ..claimed
        };
        assert_eq!(next(late), Act::Finalize);
        let error = Role::Verifier.next(&sight(JobState::Assigned, WORKER));
        assert_eq!(error, Err(RoleError::OwnJob(WORKER)));
    }
}
