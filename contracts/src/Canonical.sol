// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice The bytes are not the one encoding of their form; `place` is where that shows.
error NotCanonical(uint256 place);

/// @title  The one encoding of a value
/// @notice Checks that bytes are what the ABI's encoder writes of a tuple, and nothing else.
/// @dev    Solidity reads a tuple in calldata wherever its offsets lead, even out of the bytes that it was given in. So bytes
///         that mean something to the contract need not mean it to whoever reads them alone, as a log has them. Past this
///         check every offset is the one that an encoder writes, so nothing lies elsewhere, twice, or between.
///
///         A form is what a tuple consists of, one byte each:
///
///           tuple   how many members, then each of them
///           member  0 a word; 1 a list of words; 2 bytes; 3 and a tuple; 4, how many bytes its tuple takes in the form, and that
///                   tuple, for a list of them
///
///         Words are not checked: whoever reads a smaller number from one reverts where it is larger. Every tuple here has a
///         member of variable length, so an offset leads to it. Sums are not checked: a place is at most the length of the data
///         and 33 times a length that was read, which is no more than that.
library Canonical {
    uint256 private constant WORD = 32;

    /// @notice Reverts unless `data` are the encoding of one tuple of this form.
    function check(bytes calldata data, bytes32 form) internal pure {
        if (_word(data, 0) != WORD) revert NotCanonical(0);
        (, uint256 end) = _tuple(data, form, 0, WORD);
        // INVARIANT: with the bounds of each word that was read, nothing lies behind the data, and nothing is left over.
        if (end != data.length) revert NotCanonical(end);
    }

    /// Where the form of a tuple ends, and where its encoding does.
    function _tuple(bytes calldata data, bytes32 form, uint256 index, uint256 start)
        private
        pure
        returns (uint256 next, uint256 end)
    {
        unchecked {
            uint256 behind = start + WORD * _at(form, index);
            (next, end) = (index + 1, behind);
            for (uint256 place = start; place < behind; place += WORD) {
                uint256 member = _at(form, next++);
                if (member == 0) continue;
                // INVARIANT: members lie one behind another.
                if (_word(data, place) != end - start) revert NotCanonical(place);
                if (member == 3) (next, end) = _tuple(data, form, next, end);
                else if (member == 4) (next, end) = _tuples(data, form, next, end);
                else end = _list(data, end, member == 1 ? WORD : 1);
            }
        }
    }

    function _tuples(bytes calldata data, bytes32 form, uint256 index, uint256 start)
        private
        pure
        returns (uint256 next, uint256 end)
    {
        unchecked {
            uint256 first = start + WORD;
            uint256 behind = first + WORD * _length(data, start);
            (next, end) = (index + 1 + _at(form, index), behind);
            for (uint256 place = first; place < behind; place += WORD) {
                if (_word(data, place) != end - first) revert NotCanonical(place);
                (, end) = _tuple(data, form, index + 1, end);
            }
        }
    }

    /// Where a list of words, or of bytes, ends.
    function _list(bytes calldata data, uint256 start, uint256 size) private pure returns (uint256 end) {
        unchecked {
            uint256 length = size * _length(data, start);
            uint256 rest = length % WORD;
            end = start + WORD + length;
            if (rest == 0) return end;
            end += WORD - rest;
            // INVARIANT: padding is zero, as an encoder writes it.
            if (_word(data, end - WORD) << (8 * rest) != 0) revert NotCanonical(end - WORD);
        }
    }

    function _length(bytes calldata data, uint256 start) private pure returns (uint256 length) {
        length = _word(data, start);
        // INVARIANT: past this guard no place overflows.
        if (length > data.length) revert NotCanonical(start);
    }

    function _word(bytes calldata data, uint256 place) private pure returns (uint256) {
        unchecked {
            // INVARIANT: nothing behind the data is read.
            if (place + WORD > data.length) revert NotCanonical(place);
            return uint256(bytes32(data[place:]));
        }
    }

    /// The byte of a form.
    function _at(bytes32 form, uint256 place) private pure returns (uint256) {
        unchecked {
            return uint256(form) >> (248 - 8 * place) & 0xff;
        }
    }
}
