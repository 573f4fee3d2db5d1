// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice The bytes do not have the form of what they should be; `place` is where that shows.
error Malformed(uint256 place);

/// @title  Parts of bytes, where they lie in the calldata
/// @notice Numbers and lists that stand side by side, without what the ABI puts between them.
/// @dev    INVARIANT: nothing behind the bytes is read, and no list is cut off. So bytes say the same to whoever reads them alone,
///         as a log has them. Places are at most a transaction's length, so sums of a few of them do not overflow.
library Slices {
    /// @notice The number in `size` bytes at a place, the highest byte first.
    function number(bytes calldata data, uint256 place, uint256 size) internal pure returns (uint256 read) {
        unchecked {
            if (place + size > data.length) revert Malformed(place);
            // What lies behind the number is shifted away.
            // slither-disable-next-line assembly
            assembly ("memory-safe") {
                read := shr(sub(256, mul(8, size)), calldataload(add(data.offset, place)))
            }
        }
    }

    /// @notice The word at a place.
    function word(bytes calldata data, uint256 place) internal pure returns (bytes32) {
        return bytes32(number(data, place, 32));
    }

    /// @notice The `count` words at a place.
    function words(bytes calldata data, uint256 place, uint256 count) internal pure returns (bytes32[] calldata list) {
        unchecked {
            // A count is read from few bytes, or from the length of the data.
            if (place + 32 * count > data.length) revert Malformed(place);
            // slither-disable-next-line assembly
            assembly ("memory-safe") {
                list.offset := add(data.offset, place)
                list.length := count
            }
        }
    }

    /// @notice The words from a place on: whole ones, with nothing left over.
    function rest(bytes calldata data, uint256 place) internal pure returns (bytes32[] calldata) {
        unchecked {
            if (place > data.length || (data.length - place) % 32 != 0) revert Malformed(data.length);
            return words(data, place, (data.length - place) / 32);
        }
    }
}
