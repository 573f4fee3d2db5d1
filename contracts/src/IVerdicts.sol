// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IMembers} from "./IMembers.sol";
import {Outcome} from "./Outcome.sol";
import {Epoch, Timestamp} from "./types.sol";

/// @title What a slasher needs to know of the rewards: how votes are signed, and what courts found.
interface IVerdicts {
    /// @notice Where votes come from.
    function members() external view returns (IMembers);

    /// @notice First second of `epoch`; the votes and bindings of this moment count for it.
    function epochStart(Epoch epoch) external view returns (Timestamp);

    /// @notice The EIP-712 digest that a node of `owner` signs to vote for `outcome`.
    function voteDigest(Outcome calldata outcome, address owner) external view returns (bytes32);

    /// @notice The outcome that became final for `since` to `epoch` while a court sat, and the court's seed; zeros where none.
    function verdictOn(Epoch since, Epoch epoch) external view returns (bytes32 hash, bytes32 seed);

    /// @notice Seats that `owner` has in the court drawn by `seed` for `epoch`.
    function seatsOf(bytes32 seed, address owner, Epoch epoch) external view returns (uint256);
}
