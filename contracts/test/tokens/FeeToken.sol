// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {TestToken} from "../../src/dev/TestToken.sol";

/// @title A token that burns a share of every transfer.
contract FeeToken is TestToken {
    /// @dev Per cent of a transfer that is burned.
    uint256 public fee = 10;

    function setFee(uint256 fee_) external {
        fee = fee_;
    }

    function _update(address from, address to, uint256 value) internal override {
        uint256 burned = from == address(0) || to == address(0) ? 0 : value * fee / 100;
        if (burned > 0) super._update(from, address(0), burned);
        super._update(from, to, value - burned);
    }
}
