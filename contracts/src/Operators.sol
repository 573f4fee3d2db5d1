// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title  The operator table
/// @notice Tags of the operators: the first byte of a node. They are never reused or changed.
library Operators {
    uint256 internal constant FULL = 0;
    uint256 internal constant IOTA = 1;
    uint256 internal constant NEG = 2;
    uint256 internal constant ABS = 3;
    uint256 internal constant SQRT = 4;
    uint256 internal constant EXP = 5;
    uint256 internal constant LOG = 6;
    uint256 internal constant TANH = 7;
    uint256 internal constant NOT = 8;
    uint256 internal constant CAST = 9;
    uint256 internal constant ADD = 10;
    uint256 internal constant SUB = 11;
    uint256 internal constant MUL = 12;
    uint256 internal constant DIV = 13;
    uint256 internal constant MAX = 14;
    uint256 internal constant MIN = 15;
    uint256 internal constant AND = 16;
    uint256 internal constant OR = 17;
    uint256 internal constant EQUAL = 18;
    uint256 internal constant LESS = 19;
    uint256 internal constant LESS_EQUAL = 20;
    uint256 internal constant SELECT = 21;
    uint256 internal constant MATMUL_NT = 22;
    uint256 internal constant SUM = 23;
    uint256 internal constant REDUCE_MAX = 24;
    uint256 internal constant ARGMAX = 25;
    uint256 internal constant RESHAPE = 26;
    uint256 internal constant PERMUTE = 27;
    uint256 internal constant EXPAND = 28;
    uint256 internal constant SLICE = 29;
    uint256 internal constant CONCAT = 30;
    uint256 internal constant PAD = 31;
    uint256 internal constant GATHER_ROWS = 32;
    uint256 internal constant ONE_HOT = 33;
    uint256 internal constant TAKE_ALONG_LAST = 34;
    uint256 internal constant UPDATE_ROWS = 35;
    uint256 internal constant PHILOX_UNIFORM = 36;

    /// @notice Whether an element is a reduction over a row of its first operand, in blocks of a tile.
    function isBlockwise(uint256 tag) internal pure returns (bool) {
        return tag == MATMUL_NT || tag == SUM || tag == REDUCE_MAX;
    }

    /// @notice Whether each element of the result comes from the elements at the same place of the operands.
    function isElementwise(uint256 tag) internal pure returns (bool) {
        return tag >= NEG && tag <= SELECT;
    }
}
