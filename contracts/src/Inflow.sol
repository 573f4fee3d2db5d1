// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {NothingReceived, ZeroAmount} from "./errors.sol";

/// @title Takes tokens in and tells how many arrived.
library Inflow {
    using SafeERC20 for IERC20;

    /// @dev Pulls `amount` from the sender of the message into this contract. The function that calls this must be guarded
    ///      against reentrancy: a payment out of this contract during the transfer would be measured as well.
    /// @return received What the balance grew by: less than `amount` where the token takes a fee.
    function pull(IERC20 token, uint256 amount) internal returns (uint256 received) {
        if (amount == 0) revert ZeroAmount();
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 afterwards = token.balanceOf(address(this));
        // INVARIANT: only what arrived is credited, whatever the token says.
        if (afterwards <= before) revert NothingReceived();
        return afterwards - before;
    }

    /// @dev `pull` from somebody else, above 0: only for a caller that asks for nobody but its own callers.
    function pullFrom(IERC20 token, address from, uint256 amount) internal returns (uint256 received) {
        uint256 before = token.balanceOf(address(this));
        // slither-disable-next-line arbitrary-send-erc20
        token.safeTransferFrom(from, address(this), amount);
        uint256 afterwards = token.balanceOf(address(this));
        // INVARIANT: as above.
        if (afterwards <= before) revert NothingReceived();
        return afterwards - before;
    }

    /// @dev Lets the token know that the sender of the message allows this contract `amount` (ERC-2612). A permit that fails is
    ///      passed over: somebody may have sent it first, and then the allowance is there all the same.
    function allow(IERC20 token, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) internal {
        try IERC20Permit(address(token)).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
    }
}
