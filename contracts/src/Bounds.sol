// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {NotAContract, ParameterOutOfRange} from "./errors.sol";

/// @title Checks of constructor parameters, so that a mistyped value never becomes immutable.
library Bounds {
    /// @dev Reverts unless `least <= value <= most`.
    function check(string memory name, uint256 value, uint256 least, uint256 most) internal pure {
        if (value < least || value > most) revert ParameterOutOfRange(name, value, least, most);
    }

    /// @dev Reverts unless `account` holds code.
    function checkContract(address account) internal view {
        if (account.code.length == 0) revert NotAContract(account);
    }
}
