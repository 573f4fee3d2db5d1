// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {BeforeGenesis} from "./errors.sol";
import {Epoch, Round, Timestamp} from "./types.sol";

/// @dev When rounds and epochs begin.
/// @param genesis When round 0 begins.
/// @param roundLength Seconds a round lasts, above 0.
/// @param roundsPerEpoch Rounds an epoch lasts, above 0.
struct Schedule {
    Timestamp genesis;
    uint64 roundLength;
    uint64 roundsPerEpoch;
}

using RoundSchedule for Schedule global;

/// @title Rounds and epochs from time alone: nobody opens or closes them.
/// @dev Arithmetic is in 256 bits; a result beyond 64 bits reverts in `SafeCast`.
library RoundSchedule {
    /// @dev The round that runs at `time`.
    function roundAt(Schedule memory self, Timestamp time) internal pure returns (Round) {
        if (time < self.genesis) revert BeforeGenesis(time, self.genesis);
        return Round.wrap((Timestamp.unwrap(time) - Timestamp.unwrap(self.genesis)) / self.roundLength);
    }

    /// @dev The epoch that `round` belongs to.
    function epochOf(Schedule memory self, Round round) internal pure returns (Epoch) {
        return Epoch.wrap(Round.unwrap(round) / self.roundsPerEpoch);
    }

    /// @dev First second of `epoch`.
    function epochStart(Schedule memory self, Epoch epoch) internal pure returns (Timestamp) {
        return self.boundary(Epoch.unwrap(epoch));
    }

    /// @dev First second after `epoch`.
    function epochEnd(Schedule memory self, Epoch epoch) internal pure returns (Timestamp) {
        return self.boundary(uint256(Epoch.unwrap(epoch)) + 1);
    }

    /// @dev First second after `epochs` whole epochs.
    function boundary(Schedule memory self, uint256 epochs) internal pure returns (Timestamp) {
        uint256 elapsed = epochs * self.epochLength();
        return Timestamp.wrap(SafeCast.toUint64(Timestamp.unwrap(self.genesis) + elapsed));
    }

    /// @dev Seconds an epoch lasts.
    function epochLength(Schedule memory self) internal pure returns (uint256) {
        return uint256(self.roundLength) * self.roundsPerEpoch;
    }
}
