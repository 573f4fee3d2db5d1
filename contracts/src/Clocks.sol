// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Side} from "./Position.sol";
import {Timestamp} from "./types.sol";

/// @dev When a turn began, whose it is, and the seconds that both sides had left then, in one word: it is shown, hashed and
///      logged with every move. From the lowest bit: `since` 64, the worker's 32, the challenger's 32, the turn 8.
type Clocks is uint256;

using ClockWords for Clocks global;

/// @title  The clocks of a game
/// @dev    Only the two functions that make them do so, and a game takes no others.
library ClockWords {
    /// @notice Clocks of a turn that begins.
    function begin(Timestamp since, Side turn_, uint32 worker, uint32 challenger) internal pure returns (Clocks) {
        uint256 word = uint256(turn_) << 128 | uint256(challenger) << 96 | uint256(worker) << 64;
        return Clocks.wrap(word | Timestamp.unwrap(since));
    }

    /// @notice Clocks of the next turn, which begins when the side to move has this much left.
    function next(Clocks self, Timestamp since, Side turn_, uint32 rest) internal pure returns (Clocks) {
        bool isWorkers = self.turn() == Side.Worker;
        return begin(since, turn_, isWorkers ? rest : self.ofWorker(), isWorkers ? self.ofChallenger() : rest);
    }

    /// @notice Whose turn it is.
    function turn(Clocks self) internal pure returns (Side) {
        return Side(Clocks.unwrap(self) >> 128);
    }

    /// @notice Seconds that the side to move has left at `time`, which is not before the turn began.
    function left(Clocks self, Timestamp time) internal pure returns (uint32) {
        // forge-lint: disable-next-line(unsafe-typecast) the lowest 64 bits
        uint256 spent = Timestamp.unwrap(time) - uint64(Clocks.unwrap(self));
        uint32 had = self.turn() == Side.Worker ? self.ofWorker() : self.ofChallenger();
        // forge-lint: disable-next-line(unsafe-typecast) less than what was left
        return spent < had ? uint32(had - spent) : 0;
    }

    /// @notice Seconds that the worker had when the turn began.
    function ofWorker(Clocks self) internal pure returns (uint32) {
        // forge-lint: disable-next-line(unsafe-typecast) 32 bits of the word
        return uint32(Clocks.unwrap(self) >> 64);
    }

    /// @notice Seconds that the challenger had when the turn began.
    function ofChallenger(Clocks self) internal pure returns (uint32) {
        // forge-lint: disable-next-line(unsafe-typecast) 32 bits of the word
        return uint32(Clocks.unwrap(self) >> 96);
    }
}
