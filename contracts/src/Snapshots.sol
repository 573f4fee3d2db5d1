// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import {Timestamp, blockTime} from "./types.sol";

/// @dev A number and all that it ever was.
/// @param latest Its present value above the second since when (96 bits): one word, so that a value which has not changed lately
///        costs one read.
/// @param past Its earlier values.
struct Trace {
    uint256 latest;
    Checkpoints.Trace160 past;
}

/// @title Values with a memory: what one was at the end of any second that has passed.
/// @dev INVARIANT: keys rise strictly from `past` to `latest`, and no value of a finished second ever changes.
library Snapshots {
    using Checkpoints for Checkpoints.Trace160;

    /// @dev Makes `value` the present one.
    function set(Trace storage self, uint160 value) internal {
        uint96 time = Timestamp.unwrap(blockTime());
        (uint96 since, uint160 previous) = _unpack(self.latest);
        // INVARIANT: a second that has passed keeps its value; only the present one's is written over.
        if (since != time && since != 0) {
            // What `push` returns is known already.
            // slither-disable-next-line unused-return
            self.past.push(since, previous);
        }
        self.latest = uint256(value) << 96 | time;
    }

    /// @dev The present value.
    function current(Trace storage self) internal view returns (uint160 value) {
        (, value) = _unpack(self.latest);
    }

    /// @dev The value at the end of the last block whose time is not after `time`; only final if `time` has passed.
    function valueAt(Trace storage self, uint96 time) internal view returns (uint160) {
        (uint96 since, uint160 value) = _unpack(self.latest);
        return since <= time ? value : self.past.upperLookupRecent(time);
    }

    function _unpack(uint256 latest) private pure returns (uint96 since, uint160 value) {
        // The lower 96 bits.
        // forge-lint: disable-next-line(unsafe-typecast)
        return (uint96(latest), uint160(latest >> 96));
    }
}
