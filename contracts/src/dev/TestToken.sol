// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title A token for dev chains and tests. Anyone may mint any amount: never deploy it where money is real.
contract TestToken is ERC20Permit {
    constructor() ERC20("Swarm Test Token", "STT") ERC20Permit("Swarm Test Token") {}

    /// @notice Creates `amount` units for `to`.
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}
