// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice How many parts a plan has of each kind, as its first part says.
struct PlanCounts {
    uint32 programs;
    uint32 constants;
    uint32 state;
    uint32 given;
    uint32 runs;
}

/// @notice What a worker claims: that a plan made of a state another, in so many steps.
/// @param  plan   Digest of the plan.
/// @param  counts Its parts.
/// @param  steps  Steps of the job.
/// @param  stride Steps between checkpoints.
/// @param  top    Top of the tree over the roots of the states at the checkpoints.
struct Claim {
    bytes32 plan;
    PlanCounts counts;
    uint64 steps;
    uint32 stride;
    bytes32 top;
}

/// @title  What the dispute game needs of the contract that holds jobs and their money
interface IJobs {
    /// @notice A game about a job begins: takes the challenger's bond. Reverts unless the job's result can be challenged.
    ///         Only the game contract calls it.
    /// @return worker Who has to answer.
    /// @return claim  What is disputed.
    function beginGame(uint256 job, address challenger) external returns (address worker, Claim memory claim);

    /// @notice A game is over. Only the game contract calls it, once for each game that began.
    /// @param  workerLost False if the challenger lost.
    function endGame(uint256 job, address challenger, bool workerLost) external;

    /// @notice What a job's worker claims. Reverts unless that can be challenged.
    function claimOf(uint256 job) external view returns (address worker, Claim memory claim);

    /// @notice A job's claim was shown to be false without a game, while it can be challenged. Only the game contract calls it.
    function refute(uint256 job, address challenger) external;

    /// @notice Whether a job's result was refuted, so that its other games have nothing to decide.
    function isRefuted(uint256 job) external view returns (bool);

    /// @notice Ends a game about a job that another game refuted: the challenger gets its bond back.
    function voidGame(uint256 job, address challenger) external;
}
