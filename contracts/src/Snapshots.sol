// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import {Timestamp, blockTime} from "./types.sol";

/// @dev A number and all that it ever was.
/// @param latest Its present value and since when; one slot, so that a value which has not changed lately costs one read.
/// @param past Its earlier values.
struct Trace {
    Checkpoints.Checkpoint160 latest;
    Checkpoints.Trace160 past;
}

/// @title Values with a memory: what one was at the end of any second that has passed.
/// @dev INVARIANT: keys rise strictly from `past` to `latest`, and no value of a finished second ever changes.
library Snapshots {
    using Checkpoints for Checkpoints.Trace160;

    /// @dev Makes `value` the present one.
    function set(Trace storage self, uint160 value) internal {
        uint96 time = Timestamp.unwrap(blockTime());
        Checkpoints.Checkpoint160 memory latest = self.latest;
        // INVARIANT: a second that has passed keeps its value; only the present one's is written over.
        if (latest._key != time && latest._key != 0) {
            // What `push` returns is known already.
            // slither-disable-next-line unused-return
            self.past.push(latest._key, latest._value);
        }
        self.latest = Checkpoints.Checkpoint160(time, value);
    }

    /// @dev The present value.
    function current(Trace storage self) internal view returns (uint160) {
        return self.latest._value;
    }

    /// @dev The value at the end of the last block whose time is not after `time`; only final if `time` has passed.
    function valueAt(Trace storage self, uint96 time) internal view returns (uint160) {
        Checkpoints.Checkpoint160 memory latest = self.latest;
        return latest._key <= time ? latest._value : self.past.upperLookupRecent(time);
    }
}
