// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {SwarmCoordinator} from "../src/SwarmCoordinator.sol";
import {BadNodeSignature, BadOwnerSignature, BindingExpired, NodeAlreadyBound, NotNodeOwner} from "../src/errors.sol";
import {Vm} from "./Test.sol";
import {SwarmTest} from "./fixtures/SwarmTest.sol";
import {Wallet} from "./fixtures/Wallet.sol";

/// @title A node belongs to an owner when both have said so, for this contract, this chain and this time.
contract CoordinatorBindingTest is SwarmTest {
    uint256 private constant NEVER = type(uint256).max;

    Member private m;

    function setUp() public override {
        super.setUp();
        m = _newMember(1);
    }

    function test_bindByAnySender() public {
        bytes32 digest = _bindingDigest(m.owner, m.node.addr, 0, NEVER);
        (bytes memory own, bytes memory node) = (_sign(m.ownerKey, digest), _sign(m.node.privateKey, digest));
        vm.expectEmit(address(coordinator));
        emit SwarmCoordinator.Bound(m.owner, m.node.addr, _compressed(m.node));
        vm.prank(STRANGER);
        _sendBinding(m.owner, m.node, NEVER, own, node);
        vm.assertEq(coordinator.ownerOf(m.node.addr), m.owner);
        vm.assertEq(coordinator.nonces(m.owner), 1);
    }

    function testFuzz_addressAndCompressedKey(uint256 seed) public {
        Member memory member = _newMember(seed);
        vm.expectEmit(address(coordinator));
        emit SwarmCoordinator.Bound(member.owner, member.node.addr, _compressed(member.node));
        _bind(member);
    }

    function test_ownerMayHaveManyNodes() public {
        _bind(m);
        Vm.Wallet memory second = vm.createWallet(77);
        _bind(m.owner, m.ownerKey, second);
        vm.assertEq(coordinator.ownerOf(second.addr), m.owner);
        vm.assertEq(coordinator.nonces(m.owner), 2);
    }

    function test_boundNodeIsRefusedAlsoForItsOwner() public {
        _bind(m);
        bytes memory refusal = abi.encodeWithSelector(NodeAlreadyBound.selector, m.node.addr, m.owner);
        vm.expectRevert(refusal);
        _sendBinding(m.owner, m.node, NEVER, "", "");
        vm.expectRevert(refusal);
        _sendBinding(STRANGER, m.node, NEVER, "", "");
    }

    function test_unbindThenAnotherOwner() public {
        _bind(m);
        vm.expectEmit(address(coordinator));
        emit SwarmCoordinator.Unbound(m.owner, m.node.addr);
        vm.prank(m.owner);
        coordinator.unbind(m.node.addr);
        vm.assertEq(coordinator.ownerOf(m.node.addr), address(0));
        Member memory other = _newMember(2);
        _bind(other.owner, other.ownerKey, m.node);
        vm.assertEq(coordinator.ownerOf(m.node.addr), other.owner);
    }

    function test_unbindByOthersIsRefused() public {
        _bind(m);
        vm.expectRevert(abi.encodeWithSelector(NotNodeOwner.selector, m.node.addr, m.owner, STRANGER));
        vm.prank(STRANGER);
        coordinator.unbind(m.node.addr);
        vm.expectRevert(abi.encodeWithSelector(NotNodeOwner.selector, m.node.addr, m.owner, m.node.addr));
        vm.prank(m.node.addr);
        coordinator.unbind(m.node.addr);
    }

    function test_unbindOfUnboundIsRefused() public {
        vm.expectRevert(abi.encodeWithSelector(NotNodeOwner.selector, m.node.addr, address(0), m.owner));
        vm.prank(m.owner);
        coordinator.unbind(m.node.addr);
    }

    // ---- replay

    function test_expiryIsTheLastSecond() public {
        bytes32 digest = _bindingDigest(m.owner, m.node.addr, 0, GENESIS);
        (bytes memory own, bytes memory node) = (_sign(m.ownerKey, digest), _sign(m.node.privateKey, digest));
        vm.warp(GENESIS + 1);
        vm.expectRevert(abi.encodeWithSelector(BindingExpired.selector, GENESIS, GENESIS + 1));
        _sendBinding(m.owner, m.node, GENESIS, own, node);
        vm.warp(GENESIS);
        _sendBinding(m.owner, m.node, GENESIS, own, node);
    }

    function test_oldNonceIsRefused() public {
        bytes32 digest = _bindingDigest(m.owner, m.node.addr, 0, NEVER);
        (bytes memory own, bytes memory node) = (_sign(m.ownerKey, digest), _sign(m.node.privateKey, digest));
        _sendBinding(m.owner, m.node, NEVER, own, node);
        vm.prank(m.owner);
        coordinator.unbind(m.node.addr);
        vm.expectPartialRevert(BadNodeSignature.selector);
        _sendBinding(m.owner, m.node, NEVER, own, node);
    }

    function test_ownersOldConsentIsRefused() public {
        bytes memory old = _sign(m.ownerKey, _bindingDigest(m.owner, m.node.addr, 0, NEVER));
        _bind(m);
        vm.prank(m.owner);
        coordinator.unbind(m.node.addr);
        bytes memory fresh = _sign(m.node.privateKey, _bindingDigest(m.owner, m.node.addr, 1, NEVER));
        _expectBadOwner(1);
        _sendBinding(m.owner, m.node, NEVER, old, fresh);
    }

    function test_otherChainIsRefused() public {
        bytes32 elsewhere = _digest(address(coordinator), block.chainid + 1, _hash());
        _expectForeignIsRefused(elsewhere);
    }

    function test_otherContractIsRefused() public {
        bytes32 elsewhere = _digest(address(stake), block.chainid, _hash());
        _expectForeignIsRefused(elsewhere);
    }

    /// After a fork of the chain the old consents are worth nothing on the side with the new id.
    function test_forkedChainIsRefused() public {
        bytes32 digest = _bindingDigest(m.owner, m.node.addr, 0, NEVER);
        (bytes memory own, bytes memory node) = (_sign(m.ownerKey, digest), _sign(m.node.privateKey, digest));
        vm.chainId(4_242);
        vm.expectPartialRevert(BadNodeSignature.selector);
        _sendBinding(m.owner, m.node, NEVER, own, node);
    }

    function test_highSignaturesAreRefused() public {
        bytes32 digest = _bindingDigest(m.owner, m.node.addr, 0, NEVER);
        (bytes memory own, bytes memory node) = (_sign(m.ownerKey, digest), _sign(m.node.privateKey, digest));
        vm.expectPartialRevert(ECDSA.ECDSAInvalidSignatureS.selector);
        _sendBinding(m.owner, m.node, NEVER, own, _malleate(node));
        _expectBadOwner(0);
        _sendBinding(m.owner, m.node, NEVER, _malleate(own), node);
    }

    function test_shortSignaturesAreRefused() public {
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 64));
        _sendBinding(m.owner, m.node, NEVER, new bytes(64), new bytes(64));
    }

    function test_swappedSignaturesAreRefused() public {
        bytes32 digest = _bindingDigest(m.owner, m.node.addr, 0, NEVER);
        (bytes memory own, bytes memory node) = (_sign(m.ownerKey, digest), _sign(m.node.privateKey, digest));
        vm.expectRevert(abi.encodeWithSelector(BadNodeSignature.selector, m.node.addr, m.owner));
        _sendBinding(m.owner, m.node, NEVER, node, own);
    }

    /// Consent to belong to one owner is not consent to belong to another, nor for another node.
    function test_consentNamesOwnerAndNode() public {
        Member memory other = _newMember(2);
        bytes32 digest = _bindingDigest(m.owner, m.node.addr, 0, NEVER);
        (bytes memory own, bytes memory node) = (_sign(m.ownerKey, digest), _sign(m.node.privateKey, digest));
        bytes memory thief = _sign(other.ownerKey, _bindingDigest(other.owner, m.node.addr, 0, NEVER));
        vm.expectPartialRevert(BadNodeSignature.selector);
        _sendBinding(other.owner, m.node, NEVER, thief, node);
        vm.expectPartialRevert(BadNodeSignature.selector);
        _sendBinding(m.owner, other.node, NEVER, own, node);
    }

    function test_zeroOwnerIsRefused() public {
        bytes memory node = _sign(m.node.privateKey, _bindingDigest(address(0), m.node.addr, 0, NEVER));
        vm.expectRevert(abi.encodeWithSelector(BadOwnerSignature.selector, address(0), 0));
        _sendBinding(address(0), m.node, NEVER, new bytes(65), node);
    }

    // ---- contracts as owners

    function test_walletConsentsByErc1271() public {
        Wallet wallet = new Wallet();
        bytes32 digest = _bindingDigest(address(wallet), m.node.addr, 0, NEVER);
        bytes memory node = _sign(m.node.privateKey, digest);
        vm.expectRevert(abi.encodeWithSelector(BadOwnerSignature.selector, address(wallet), 0));
        _sendBinding(address(wallet), m.node, NEVER, "anything", node);
        wallet.approve(digest);
        _sendBinding(address(wallet), m.node, NEVER, "anything", node);
        vm.assertEq(coordinator.ownerOf(m.node.addr), address(wallet));
    }

    // ---- words

    function _hash() private view returns (bytes32) {
        return _bindingHash(m.owner, m.node.addr, 0, NEVER);
    }

    function _expectForeignIsRefused(bytes32 foreign) private {
        bytes32 digest = _bindingDigest(m.owner, m.node.addr, 0, NEVER);
        vm.expectPartialRevert(BadNodeSignature.selector);
        _sendBinding(m.owner, m.node, NEVER, _sign(m.ownerKey, digest), _sign(m.node.privateKey, foreign));
        _expectBadOwner(0);
        _sendBinding(m.owner, m.node, NEVER, _sign(m.ownerKey, foreign), _sign(m.node.privateKey, digest));
        vm.assertEq(coordinator.nonces(m.owner), 0);
    }

    function _expectBadOwner(uint256 nonce) private {
        vm.expectRevert(abi.encodeWithSelector(BadOwnerSignature.selector, m.owner, nonce));
    }

    function _compressed(Vm.Wallet memory node) private pure returns (bytes memory) {
        return abi.encodePacked(node.publicKeyY & 1 == 0 ? hex"02" : hex"03", node.publicKeyX);
    }
}
