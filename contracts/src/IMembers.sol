// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC5805} from "@openzeppelin/contracts/interfaces/IERC5805.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title What the rewards need to know of the members: who weighed how much, with which nodes, at a time that can no longer
///        change; and how a liar loses its deposit.
interface IMembers is IERC5805 {
    /// @notice The token that is deposited.
    function token() external view returns (IERC20);

    /// @notice Seconds between asking for money back and getting it.
    function exitDelay() external view returns (uint64);

    /// @notice Votes of `owner` at `timepoint` if `node` was its own then, else 0.
    function getPastVotesBy(address owner, address node, uint256 timepoint) external view returns (uint256);

    /// @notice What of `owner`'s money here nobody holds fast.
    function freeOf(address owner) external view returns (uint256);

    /// @notice Holds `amount` more of `owner` fast. Slashers only.
    function lock(address owner, uint256 amount) external;

    /// @notice Takes `amount` of what the caller holds fast of `owner` and owes it to `to`; zero burns it. Slashers only.
    function slash(address owner, uint256 amount, address to) external;
}
