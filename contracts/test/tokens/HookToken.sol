// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {TestToken} from "../../src/dev/TestToken.sol";

/// @title Told of a transfer, in the middle of it.
interface ITransferHook {
    function onTransfer() external;
}

/// @title A token that calls one address during every transfer that this address takes part in.
contract HookToken is TestToken {
    ITransferHook public hook;

    function setHook(ITransferHook hook_) external {
        hook = hook_;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (from == address(hook) || to == address(hook)) hook.onTransfer();
    }
}
