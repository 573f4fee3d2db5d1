// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IMembers} from "./IMembers.sol";
import {Timestamp, Units} from "./types.sol";

/// @notice What `SwarmRewards` is deployed with; nothing of it can ever change. Bounds and their reasons: its constructor.
/// @param members Where votes come from; its token is also the token of the rewards and bonds.
/// @param genesis When round 0 begins.
/// @param roundLength Seconds a round lasts.
/// @param roundsPerEpoch Rounds an epoch lasts.
/// @param unitsPerPoint Most token units one point may be worth.
/// @param epochCap Most token units the outcome of an epoch may pay, fee included.
/// @param minimumStake Least votes that all owners together must have when an epoch begins.
/// @param submitterFee What the pool pays to whoever brings an outcome that becomes final.
/// @param proposalBond What a proposer puts at stake.
/// @param objectionBond What an objector puts at stake.
/// @param proposalWindow Seconds after an epoch in which its outcome may be brought.
/// @param objectionWindow Seconds after a proposal in which anybody may object.
/// @param courtWindow Seconds each of the two courts has, its draw included.
/// @param seedDelay Blocks from an objection to the block whose hash draws the court.
struct RewardsParameters {
    IMembers members;
    Timestamp genesis;
    uint64 roundLength;
    uint64 roundsPerEpoch;
    Units unitsPerPoint;
    Units epochCap;
    Units minimumStake;
    Units submitterFee;
    Units proposalBond;
    Units objectionBond;
    uint64 proposalWindow;
    uint64 objectionWindow;
    uint64 courtWindow;
    uint64 seedDelay;
}
