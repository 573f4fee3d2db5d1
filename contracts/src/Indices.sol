// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title  Which element of an operand an element of a result is
/// @notice For the operators that move elements. Elements are counted in row-major order.
/// @dev    Every function takes an element that the result has, and shapes that fit the operator.
library Indices {
    /// @notice Coordinates of an element, outermost first.
    function coordinates(uint32[] memory shape, uint256 element) internal pure returns (uint256[] memory place) {
        place = new uint256[](shape.length);
        unchecked {
            for (uint256 axis = shape.length; axis > 0; --axis) {
                uint256 length = shape[axis - 1];
                (place[axis - 1], element) = (element % length, element / length);
            }
        }
    }

    /// @notice The element with these coordinates.
    function flat(uint32[] memory shape, uint256[] memory place) internal pure returns (uint256 element) {
        unchecked {
            for (uint256 axis = 0; axis < shape.length; ++axis) {
                element = element * shape[axis] + place[axis];
            }
        }
    }

    /// @notice The same element before the axes changed places: axis i of the result was axis `axes[i]`.
    function permuted(uint32[] memory source, uint32[] memory axes, uint256[] memory place)
        internal
        pure
        returns (uint256)
    {
        uint256[] memory before = new uint256[](place.length);
        for (uint256 axis = 0; axis < place.length; ++axis) {
            before[axes[axis]] = place[axis];
        }
        return flat(source, before);
    }

    /// @notice The element that is repeated: axes of length 1 have one coordinate.
    function expanded(uint32[] memory source, uint256[] memory place) internal pure returns (uint256) {
        for (uint256 axis = 0; axis < place.length; ++axis) {
            if (source[axis] == 1) place[axis] = 0;
        }
        return flat(source, place);
    }

    /// @notice The element behind the first ones of each axis that are left out.
    function sliced(uint32[] memory source, uint32[] memory starts, uint256[] memory place)
        internal
        pure
        returns (uint256)
    {
        for (uint256 axis = 0; axis < place.length; ++axis) {
            place[axis] += starts[axis];
        }
        return flat(source, place);
    }

    /// @notice The element, and whether there is one: none in the padding.
    function padded(uint32[] memory source, uint32[] memory before, uint256[] memory place)
        internal
        pure
        returns (bool found, uint256 element)
    {
        for (uint256 axis = 0; axis < place.length; ++axis) {
            if (place[axis] < before[axis]) return (false, 0);
            place[axis] -= before[axis];
            if (place[axis] >= source[axis]) return (false, 0);
        }
        return (true, flat(source, place));
    }
}
