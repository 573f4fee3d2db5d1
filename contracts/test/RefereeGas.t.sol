// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Operators} from "../src/Operators.sol";
import {Operand, Referee} from "../src/Referee.sol";
import {DType, Header, Opening, TileTree} from "../src/TileTree.sol";
import {Test} from "./Test.sol";
import {HashTree} from "./fixtures/HashTree.sol";

/// @title Gas of judging one element, as its sender pays it: intrinsic gas and calldata included.
/// @dev   Operands have 2^24 elements in rows of 4,096: trees of 16 levels. Beside ordinary operands there are the dearest
///        that we know, and no leaf may cost more than `MOST`.
/// forge-config: default.isolate = true
contract RefereeGasTest is Test {
    uint256 private constant MOST = 500_000;
    uint32 private constant SIDE = 4096;
    /// Element (1024, 300) of an operand or of a product.
    uint256 private constant ELEMENT = 1024 * uint256(SIDE) + 300;

    Referee private referee;

    function setUp() public {
        bytes memory code = vm.getCode("artifacts/Referee.json");
        address deployed;
        assembly ("memory-safe") {
            deployed := create(0, add(code, 32), mload(code))
        }
        referee = Referee(deployed);
    }

    function test_gasOfBlocks() public {
        _block("dot block", Operators.MATMUL_NT, 2, _ordinary);
        _block("dot block, subnormal operands", Operators.MATMUL_NT, 2, _subnormal);
        _block("dot block, subnormal products", Operators.MATMUL_NT, 2, _small);
        _block("dot block, half of it zeros", Operators.MATMUL_NT, 2, _sparse);
        _block("dot block, alternating", Operators.MATMUL_NT, 2, _alternating);
        _block("sum block", Operators.SUM, 1, _ordinary);
        _block("sum block, subnormal", Operators.SUM, 1, _subnormal);
        _block("sum block, alternating", Operators.SUM, 1, _alternating);
        _block("max block", Operators.REDUCE_MAX, 1, _ordinary);
    }

    function test_gasOfFunctions() public {
        _elementwise("exp", Operators.EXP, 1, 0x3fc00000);
        _elementwise("exp, subnormal result", Operators.EXP, 1, 0xc2c80000);
        _elementwise("log", Operators.LOG, 1, 0x3fc00000);
        _elementwise("log, subnormal", Operators.LOG, 1, 0x00012345);
        _elementwise("tanh", Operators.TANH, 1, 0x3fc00000);
        _elementwise("tanh, small", Operators.TANH, 1, 0x3e800000);
        _elementwise("sqrt", Operators.SQRT, 1, 0x3fc00000);
        _elementwise("div", Operators.DIV, 2, 0x3fc00000);
    }

    function test_gasOfArgmax() public {
        Operand[] memory operands = new Operand[](1);
        Opening[] memory openings = new Opening[](2);
        operands[0].header = _header(DType.F32, SIDE, SIDE);
        bytes32 root;
        // Two tiles of one row, neighbours in the tree.
        (openings[0], openings[1], root) = _neighbours(operands[0].header, 1024 * 16);
        operands[0].root = root;
        bytes memory node = abi.encodePacked(uint8(Operators.ARGMAX), _ids(1), _typeOf(DType.I32, SIDE, 1));
        referee.contradicts(node, operands, 1024, 77, 300, openings);
        _record("argmax");
    }

    function test_gasOfPhilox() public {
        Operand[] memory operands = new Operand[](2);
        Opening[] memory openings = new Opening[](2);
        operands[0].header = Header(DType.I32, new uint32[](1));
        operands[0].header.shape[0] = 2;
        operands[1].header = _header(DType.I32, SIDE, 3);
        (openings[0], operands[0].root) = _open(operands[0].header, 0, 1, _ordinary);
        (openings[1], operands[1].root) = _open(operands[1].header, 1024, SIDE, _ordinary);
        bytes memory node =
            abi.encodePacked(uint8(Operators.PHILOX_UNIFORM), _word(SIDE), _ids(2), _typeOf(DType.F32, SIDE, SIDE));
        referee.contradicts(node, operands, ELEMENT, 0, 0, openings);
        _record("philox_uniform");
    }

    /// Each operand is named, though only one is read.
    function test_gasOfConcat() public {
        _concat("concat of 2", 2);
        _concat("concat of 34", 34);
    }

    function test_gasOfJoin() public {
        uint32[] memory numbers = new uint32[](256);
        for (uint256 i = 0; i < 256; ++i) {
            numbers[i] = _ordinary(1, i);
        }
        bytes memory node = abi.encodePacked(uint8(Operators.SUM), _ids(1), _typeOf(DType.F32, SIDE, 1));
        referee.join(node, numbers);
        _record("join 256 numbers");
    }

    // ---- questions

    /// The second block of element (1024, 300) of a product, or of row 1024.
    function _block(
        string memory name,
        uint256 tag,
        uint256 count,
        function(uint256, uint256) internal pure returns (uint32) number
    ) private {
        Operand[] memory operands = new Operand[](count);
        Opening[] memory openings = new Opening[](count);
        for (uint256 i = 0; i < count; ++i) {
            operands[i].header = _header(DType.F32, SIDE, SIDE);
            uint256 row = i == 0 ? 1024 : 300;
            (openings[i], operands[i].root) = _open(operands[i].header, row * 16 + 1, 1 << 16, number);
        }
        bool product = tag == Operators.MATMUL_NT;
        bytes memory node = abi.encodePacked(_octet(tag), _ids(count), _typeOf(DType.F32, SIDE, product ? SIDE : 1));
        referee.contradicts(node, operands, product ? ELEMENT : 1024, 0, 1, openings);
        _record(name);
    }

    function _elementwise(string memory name, uint256 tag, uint256 count, uint32 bits) private {
        Operand[] memory operands = new Operand[](count);
        Opening[] memory openings = new Opening[](count);
        for (uint256 i = 0; i < count; ++i) {
            operands[i].header = _header(DType.F32, SIDE, SIDE);
            (openings[i], operands[i].root) = _open(operands[i].header, ELEMENT / 256, 1 << 16, bits);
        }
        bytes memory node = abi.encodePacked(_octet(tag), _ids(count), _typeOf(DType.F32, SIDE, SIDE));
        referee.contradicts(node, operands, ELEMENT, 0, 0, openings);
        _record(name);
    }

    /// The last operand's element.
    function _concat(string memory name, uint256 count) private {
        Operand[] memory operands = new Operand[](count);
        Opening[] memory openings = new Opening[](1);
        Header memory header = _header(DType.F32, SIDE, SIDE);
        bytes32 root;
        (openings[0], root) = _open(header, ELEMENT / 256, 1 << 16, 0x3fc00000);
        for (uint256 i = 0; i < count; ++i) {
            operands[i] = Operand(root, header);
        }
        bytes memory node =
            abi.encodePacked(_octet(Operators.CONCAT), _word(0), _ids(count), _typeOf(DType.F32, count * SIDE, SIDE));
        referee.contradicts(node, operands, (count - 1) * SIDE * SIDE + ELEMENT, 0, 0, openings);
        _record(name);
    }

    function _record(string memory name) private {
        vm.assertLe(vm.snapshotGasLastCall("Referee", name), MOST, name);
    }

    // ---- tensors of which one path is known

    function _open(
        Header memory header,
        uint256 tile,
        uint256 tiles,
        function(uint256, uint256) internal pure returns (uint32) number
    ) private view returns (Opening memory opening, bytes32 root) {
        uint256 width = header.shape[header.shape.length - 1];
        for (uint256 i = 0; i < (width < 256 ? width : 256); ++i) {
            opening.tile = bytes.concat(opening.tile, _word(number(tile, i)));
        }
        return _close(header, opening.tile, tile, tiles);
    }

    function _open(Header memory header, uint256 tile, uint256 tiles, uint32 bits)
        private
        view
        returns (Opening memory, bytes32)
    {
        bytes memory content = "";
        for (uint256 i = 0; i < 256; ++i) {
            content = bytes.concat(content, _word(bits));
        }
        return _close(header, content, tile, tiles);
    }

    /// Any siblings, and the root to which they lead.
    function _close(Header memory header, bytes memory content, uint256 tile, uint256 tiles)
        private
        view
        returns (Opening memory opening, bytes32 root)
    {
        uint256 height = Math.log2(tiles, Math.Rounding.Ceil);
        opening = Opening(content, new bytes32[](height));
        root = sha256(bytes.concat(hex"00", content));
        for (uint256 i = 0; i < height; ++i) {
            bytes32 sibling = sha256(abi.encode(i));
            opening.siblings[i] = sibling;
            root = tile >> i & 1 == 0 ? HashTree.node(root, sibling) : HashTree.node(sibling, root);
        }
        root = TileTree.tensorRoot(header, root);
    }

    /// An even tile and the one after it.
    function _neighbours(Header memory header, uint256 tile)
        private
        view
        returns (Opening memory first, Opening memory second, bytes32 root)
    {
        (first,) = _open(header, tile, 1 << 16, _ordinary);
        (second,) = _open(header, tile + 1, 1 << 16, _subnormal);
        first.siblings[0] = sha256(bytes.concat(hex"00", second.tile));
        second.siblings[0] = sha256(bytes.concat(hex"00", first.tile));
        root = HashTree.node(second.siblings[0], first.siblings[0]);
        for (uint256 i = 1; i < 16; ++i) {
            bytes32 sibling = first.siblings[i];
            root = tile >> i & 1 == 0 ? HashTree.node(root, sibling) : HashTree.node(sibling, root);
        }
        root = TileTree.tensorRoot(header, root);
    }

    // ---- numbers

    /// Random, between 2^-8 and 2^8, of both signs.
    function _ordinary(uint256 seed, uint256 index) private pure returns (uint32) {
        uint256 random = uint256(sha256(abi.encode(seed, index)));
        return uint32((random & 0x807fffff) | (119 + (random >> 32) % 16) << 23);
    }

    function _subnormal(uint256 seed, uint256 index) private pure returns (uint32) {
        return _ordinary(seed, index) & 0x807fffff;
    }

    /// Products are subnormal numbers.
    function _small(uint256 seed, uint256 index) private pure returns (uint32) {
        return _ordinary(seed, index) & 0x807fffff | 0x1c000000;
    }

    /// As where gradients or weights are masked.
    function _sparse(uint256 seed, uint256 index) private pure returns (uint32) {
        return index & 1 == 0 ? 0 : _ordinary(seed, index);
    }

    /// Sums cancel to subnormal ones.
    function _alternating(uint256, uint256 index) private pure returns (uint32) {
        return index & 1 == 0 ? 0x1f812345 : 0x9f812345;
    }

    // ---- descriptors

    function _header(DType dtype, uint32 rows, uint32 width) private pure returns (Header memory header) {
        header = Header(dtype, new uint32[](2));
        (header.shape[0], header.shape[1]) = (rows, width);
    }

    function _typeOf(DType dtype, uint256 rows, uint256 width) private pure returns (bytes memory) {
        return abi.encodePacked(uint8(dtype), _word(2), _word(rows), _word(width));
    }

    function _ids(uint256 count) private pure returns (bytes memory ids) {
        ids = abi.encodePacked(_word(count));
        for (uint256 i = 0; i < count; ++i) {
            ids = bytes.concat(ids, _word(i));
        }
    }

    function _octet(uint256 x) private pure returns (uint8) {
        // forge-lint: disable-next-line(unsafe-typecast) tags are small
        return uint8(x);
    }

    function _word(uint256 x) private pure returns (bytes memory) {
        // forge-lint: disable-next-line(unsafe-typecast) tests write numbers of 32 bits
        return abi.encodePacked(TileTree.swap(uint32(x)));
    }
}
