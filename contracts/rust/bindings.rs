//! Typed bindings from the committed artifacts, and the contracts' errors in words.
#![allow(
    missing_docs,
    clippy::too_many_arguments,
    reason = "generated from the ABI; the contracts document themselves"
)]

use std::fmt;

use alloy::sol;
use alloy::sol_types::SolInterface;

sol!(
    #[sol(rpc)]
    #[derive(Debug, PartialEq, Eq)]
    JobEscrow,
    "artifacts/JobEscrow.json"
);
sol!(
    #[sol(rpc)]
    #[derive(Debug, PartialEq, Eq)]
    SwarmMembers,
    "artifacts/SwarmMembers.json"
);
sol!(
    #[sol(rpc)]
    #[derive(Debug, PartialEq, Eq)]
    SwarmRewards,
    "artifacts/SwarmRewards.json"
);
sol!(
    #[sol(rpc)]
    #[derive(Debug, PartialEq, Eq)]
    SwarmSlasher,
    "artifacts/SwarmSlasher.json"
);
sol!(
    #[sol(rpc)]
    #[derive(Debug, PartialEq, Eq)]
    GameRules,
    "artifacts/GameRules.json"
);
sol!(
    #[sol(rpc)]
    #[derive(Debug, PartialEq, Eq)]
    DisputeGame,
    "artifacts/DisputeGame.json"
);
sol!(
    #[sol(rpc)]
    #[derive(Debug, PartialEq, Eq)]
    Referee,
    "artifacts/Referee.json"
);
sol!(
    #[sol(rpc)]
    #[derive(Debug, PartialEq, Eq)]
    TestToken,
    "artifacts/TestToken.json"
);

/// Names one of our contracts' errors with its values, such as `EpochFinal { epoch: 3, … }`;
/// `None` for bytes that are none.
pub fn explain(data: &[u8]) -> Option<String> {
    name::<SwarmRewards::SwarmRewardsErrors>(data)
        .or_else(|| name::<SwarmMembers::SwarmMembersErrors>(data))
        .or_else(|| name::<SwarmSlasher::SwarmSlasherErrors>(data))
        .or_else(|| name::<GameRules::GameRulesErrors>(data))
        .or_else(|| name::<DisputeGame::DisputeGameErrors>(data))
        .or_else(|| name::<JobEscrow::JobEscrowErrors>(data))
        .or_else(|| name::<Referee::RefereeErrors>(data))
        .or_else(|| name::<TestToken::TestTokenErrors>(data))
}

/// One of the errors `E` of a contract with its values.
fn name<E: SolInterface + fmt::Debug>(data: &[u8]) -> Option<String> {
    let text = format!("{:?}", E::abi_decode(data).ok()?);
    // The inside of `Name(Name { … })`; other text is as good for people.
    let inside = text
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .map(str::to_owned);
    Some(inside.unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use alloy::primitives::U256;
    use alloy::sol_types::SolError;

    use super::*;

    #[test]
    fn errors_have_names_and_values() {
        let error = SwarmRewards::StakeTooSmall {
            total: U256::from(7),
            minimum: U256::from(9),
        };
        assert_eq!(
            explain(&error.abi_encode()).as_deref(),
            Some("StakeTooSmall { total: 7, minimum: 9 }")
        );
        let error = JobEscrow::WrongJobState {
            job: U256::from(7),
            state: 4,
        };
        assert_eq!(
            explain(&error.abi_encode()).as_deref(),
            Some("WrongJobState { job: 7, state: 4 }")
        );
        assert_eq!(explain(&[1, 2, 3, 4]), None);
        assert_eq!(explain(&[]), None);
    }
}
