//! Puts the contracts of jobs on a chain.

use alloy::primitives::Address;
use serde::{Deserialize, Serialize};

use crate::bindings::{DisputeGame, GameRules, JobEscrow, Referee};
use crate::client::Client;
use crate::deploy::{
    DeployError, MAX_LENGTH, ParameterError, address, create, decimal, with_arguments, within,
};
use crate::writer::{Submitted, Writer};

/// What the contracts of jobs are deployed with; nothing of it can ever change. Times are in
/// seconds, amounts in units of the token. Bounds and their reasons: the constructors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobParameters {
    /// From the acceptance of a job to the last second in which its worker can seal a claim.
    pub work_window: u64,
    /// After that seal, for verifiers to seal what they found.
    pub seal_window: u64,
    /// After that, for the worker to commit to what it sealed.
    pub reveal_window: u64,
    /// After the commitment, for games to begin.
    pub challenge_window: u64,
    /// For all moves of one side of a game.
    pub clock: u32,
    /// Least bond of a worker.
    #[serde(with = "decimal")]
    pub least_worker_bond: u128,
    /// Least bond of a challenger.
    #[serde(with = "decimal")]
    pub least_challenger_bond: u128,
    /// Least bond of a worker, in basis points of the reward.
    pub bond_share: u32,
}

impl JobParameters {
    /// Checks what the constructors check, before anything is paid for.
    ///
    /// # Errors
    /// The first parameter that a constructor would refuse.
    pub fn check(&self) -> Result<(), ParameterError> {
        let windows = [
            ("work_window", self.work_window, 1),
            ("seal_window", self.seal_window, 1),
            ("reveal_window", self.reveal_window, 1),
            ("challenge_window", self.challenge_window, self.work_window),
        ];
        for (name, seconds, least) in windows {
            let reason = match name {
                "challenge_window" => {
                    "seconds, as long as work_window at least: whoever recomputes \
                                       is done in time"
                }
                _ => "seconds",
            };
            within(
                name,
                seconds.into(),
                least.into(),
                MAX_LENGTH.into(),
                reason,
            )?;
        }
        let clock = u128::from(self.clock);
        within("clock", clock, 60, 90 * 86_400, "seconds")?;
        let counter = self.least_challenger_bond;
        let most = u128::MAX / 2;
        within("least_challenger_bond", counter, 1, most, "token units")?;
        within(
            "least_worker_bond",
            self.least_worker_bond,
            2 * counter,
            u128::MAX,
            "token units, twice least_challenger_bond at least",
        )?;
        let share = u128::from(self.bond_share);
        within("bond_share", share, 200, 100_000, "basis points")
    }
}

/// Where the contracts of jobs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobContracts {
    /// The token of rewards and bonds.
    pub token: Address,
    /// `Referee`.
    pub referee: Address,
    /// `GameRules`.
    pub rules: Address,
    /// `DisputeGame`.
    pub game: Address,
    /// `JobEscrow`.
    pub escrow: Address,
    /// The block of the first of these: events begin here.
    pub block: u64,
}

/// Deploys the contracts of jobs over a token, and waits until they are final.
///
/// # Errors
/// [`DeployError`]; started again with the same arguments it goes on.
pub async fn deploy(
    client: &Client,
    writer: &Writer,
    parameters: &JobParameters,
    token: Address,
    submitted: &mut Submitted,
) -> Result<JobContracts, DeployError> {
    parameters.check()?;
    let ticket = create(writer, "referee", Referee::BYTECODE.clone(), submitted).await?;
    let first = ticket.included().await?;
    let referee = address(&first)?;
    let arguments = GameRules::constructorCall { referee_: referee };
    let code = with_arguments(&GameRules::BYTECODE, &arguments);
    let rules = address(
        &create(writer, "rules", code, submitted)
            .await?
            .included()
            .await?,
    )?;
    // The game names the escrow, which comes after it.
    let nonce = client.nonce(writer.account()).await?;
    let predicted = writer.account().create(nonce + 1);
    let arguments = DisputeGame::constructorCall {
        rules_: rules,
        jobs_: predicted,
        clock_: parameters.clock,
    };
    let code = with_arguments(&DisputeGame::BYTECODE, &arguments);
    let game = address(
        &create(writer, "game", code, submitted)
            .await?
            .included()
            .await?,
    )?;
    let code = with_arguments(&JobEscrow::BYTECODE, &escrow(parameters, token, game));
    let ticket = create(writer, "escrow", code, submitted).await?;
    let escrow = address(&ticket.finalised().await?)?;
    if escrow != predicted {
        return Err(DeployError::Moved {
            contract: "JobEscrow",
            predicted,
            found: escrow,
        });
    }
    Ok(JobContracts {
        token,
        referee,
        rules,
        game,
        escrow,
        block: first.block,
    })
}

fn escrow(parameters: &JobParameters, token: Address, game: Address) -> JobEscrow::constructorCall {
    let p = JobEscrow::JobParameters {
        token,
        game,
        workWindow: parameters.work_window,
        sealWindow: parameters.seal_window,
        revealWindow: parameters.reveal_window,
        challengeWindow: parameters.challenge_window,
        leastWorkerBond: parameters.least_worker_bond,
        leastChallengerBond: parameters.least_challenger_bond,
        bondShare: parameters.bond_share,
    };
    JobEscrow::constructorCall { p }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_constructor_would_refuse_is_refused_before() {
        let good = JobParameters {
            work_window: 10,
            seal_window: 1,
            reveal_window: 1,
            challenge_window: 10,
            clock: 60,
            least_worker_bond: 2,
            least_challenger_bond: 1,
            bond_share: 200,
        };
        assert_eq!(good.check(), Ok(()));
        let name = |change: fn(&mut JobParameters)| {
            let mut other = good.clone();
            change(&mut other);
            other.check().unwrap_err().name
        };
        assert_eq!(name(|it| it.work_window = 11), "challenge_window");
        assert_eq!(name(|it| it.seal_window = 0), "seal_window");
        assert_eq!(name(|it| it.reveal_window = 367 * 86_400), "reveal_window");
        assert_eq!(name(|it| it.clock = 59), "clock");
        assert_eq!(name(|it| it.least_challenger_bond = 2), "least_worker_bond");
        assert_eq!(name(|it| it.bond_share = 199), "bond_share");
    }
}
