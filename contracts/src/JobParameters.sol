// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {Units} from "./types.sol";

/// @notice What `JobEscrow` is deployed with; nothing of it can ever change. Bounds and their reasons: its constructor.
/// @param token The token of rewards and bonds.
/// @param game The dispute game; it may be deployed later, at this address.
/// @param workWindow Seconds from the acceptance of a job to the last one in which its worker can seal a claim.
/// @param sealWindow Seconds after the worker's seal in which verifiers can still seal what they found.
/// @param revealWindow Seconds after that in which the worker must commit to what it sealed.
/// @param challengeWindow Seconds after the commitment in which games can begin.
/// @param leastWorkerBond Least bond of a worker.
/// @param leastChallengerBond Least bond of a challenger.
/// @param bondShare Least bond of a worker, in basis points of the reward.
struct JobParameters {
    IERC20 token;
    address game;
    uint64 workWindow;
    uint64 sealWindow;
    uint64 revealWindow;
    uint64 challengeWindow;
    Units leastWorkerBond;
    Units leastChallengerBond;
    uint32 bondShare;
}
