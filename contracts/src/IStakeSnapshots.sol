// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {Timestamp} from "./types.sol";

/// @title What a coordinator needs to know of a stake: who weighed how much at a time that can no longer change.
interface IStakeSnapshots {
    /// @notice The token that is staked.
    function token() external view returns (IERC20);

    /// @notice Seconds between asking for money back and getting it.
    function exitDelay() external view returns (uint64);

    /// @notice Voting weight of `owner` at the end of the last block whose time is not after `time`.
    /// @dev Reverts unless `time` is strictly in the past.
    function stakeAt(address owner, Timestamp time) external view returns (uint256);

    /// @notice Sum of all voting weights at the end of the last block whose time is not after `time`.
    /// @dev Reverts unless `time` is strictly in the past.
    function totalStakeAt(Timestamp time) external view returns (uint256);
}
