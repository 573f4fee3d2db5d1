// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Balances and allowances, without the return values of ERC-20.
abstract contract BareToken {
    mapping(address => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function _move(address from, address to, uint256 amount) internal {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @title A token whose transfers return nothing, as some large ones do.
contract SilentToken is BareToken {
    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        _move(from, to, amount);
    }
}

/// @title A token that can be told to answer false instead of reverting, or to answer true and move nothing.
contract LyingToken is BareToken {
    bool public answer = true;
    bool public moves = true;

    function set(bool answer_, bool moves_) external {
        (answer, moves) = (answer_, moves_);
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        if (moves) _move(msg.sender, to, amount);
        return answer;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        if (moves) _move(from, to, amount);
        return answer;
    }
}
