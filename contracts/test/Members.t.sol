// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {SwarmMembers} from "../src/SwarmMembers.sol";
import {
    BadNodeSignature,
    BadOwnerSignature,
    BadSlasher,
    BindingExpired,
    ExitNotReady,
    FutureLookup,
    InsufficientStake,
    NoDelegation,
    NoExit,
    NodeAlreadyBound,
    NotAContract,
    NotNodeOwner,
    NotSlasher,
    NothingOwed,
    ParameterOutOfRange,
    ZeroAmount,
    ZeroOwner
} from "../src/errors.sol";
import {Timestamp} from "../src/types.sol";
import {Vm} from "./Test.sol";
import {Settlement} from "./fixtures/Settlement.sol";
import {Wallet} from "./fixtures/Wallet.sol";

/// @title Deposits, node keys and what both weigh.
contract MembersTest is Settlement {
    address private constant ALICE = address(0xA11CE);
    address private constant FIRST = address(0x51A1);
    address private constant SECOND = address(0x51A2);

    function setUp() public {
        vm.warp(GENESIS);
        token = _newToken();
        stake = new SwarmMembers(IERC20(address(token)), EXIT_DELAY, _two());
    }

    function _two() private pure returns (address[] memory slashers) {
        slashers = new address[](2);
        (slashers[0], slashers[1]) = (FIRST, SECOND);
    }

    // ---- deployment

    function test_deployment() public view {
        vm.assertEq(address(stake.token()), address(token));
        vm.assertEq(stake.exitDelay(), EXIT_DELAY);
        vm.assertEq(stake.version(), "2");
        vm.assertEq(stake.CLOCK_MODE(), "mode=timestamp");
        vm.assertEq(stake.clock(), GENESIS);
        vm.assertEq(stake.slashers().length, 2);
        vm.assertEq(stake.slashers()[1], SECOND);
        vm.assertTrue(stake.isSlasher(FIRST) && stake.isSlasher(SECOND) && !stake.isSlasher(ALICE));
    }

    function test_deploymentIsBounded() public {
        IERC20 money = IERC20(address(token));
        vm.expectRevert(abi.encodeWithSelector(NotAContract.selector, ALICE));
        this.create(IERC20(ALICE), 1, _two());
        vm.expectPartialRevert(ParameterOutOfRange.selector);
        this.create(money, 0, _two());
        uint64 most = stake.MAX_EXIT_DELAY();
        vm.expectPartialRevert(ParameterOutOfRange.selector);
        this.create(money, most + 1, _two());
        vm.expectPartialRevert(ParameterOutOfRange.selector);
        this.create(money, 1, new address[](5));
        address[] memory slashers = _two();
        slashers[1] = FIRST;
        vm.expectRevert(abi.encodeWithSelector(BadSlasher.selector, FIRST));
        this.create(money, 1, slashers);
        slashers[0] = address(0);
        vm.expectRevert(abi.encodeWithSelector(BadSlasher.selector, address(0)));
        this.create(money, 1, slashers);
        this.create(money, most, new address[](0));
    }

    /// @dev A call, because an expectation of a revert passes over what `new` alone does.
    function create(IERC20 money, uint64 delay, address[] calldata slashers) external {
        new SwarmMembers(money, delay, slashers);
    }

    // ---- votes follow deposits and bindings

    function test_onlyDepositsOfOwnersWithANodeVote() public {
        Member memory m = _newMember(1);
        _deposit(m.owner, 100);
        vm.assertEq(stake.getVotes(m.owner), 0);
        vm.assertEq(stake.balanceOf(m.owner), 100);
        vm.expectEmit(address(stake));
        emit IVotes.DelegateVotesChanged(m.owner, 0, 100);
        _bind(m);
        vm.assertEq(stake.getVotes(m.owner), 100);
        _deposit(m.owner, 20);
        vm.assertEq(stake.getVotes(m.owner), 120);
        vm.prank(m.owner);
        stake.requestExit(50);
        vm.assertEq(stake.getVotes(m.owner), 70);
        Vm.Wallet memory second = vm.createWallet(4_711);
        _bind(m.owner, m.ownerKey, second);
        vm.assertEq(stake.nodesOf(m.owner), 2);
        _unbind(m);
        vm.assertEq(stake.getVotes(m.owner), 70);
        vm.prank(m.owner);
        stake.unbind(second.addr);
        vm.assertEq(stake.getVotes(m.owner), 0);
        vm.assertEq(stake.nodesOf(m.owner), 0);
        pass(1);
        vm.assertEq(stake.getPastTotalSupply(time() - 1), 0);
    }

    function test_pastIsRemembered() public {
        Member memory m = _newMember(1);
        uint64 t = time();
        _deposit(m.owner, 100);
        pass(10);
        _bind(m);
        pass(10);
        _deposit(m.owner, 5);
        pass(10);
        _unbind(m);
        pass(1);
        uint64[7] memory offsets = [uint64(0), 9, 10, 19, 20, 29, 30];
        uint8[7] memory votes = [0, 0, 100, 100, 105, 105, 0];
        for (uint256 i = 0; i < 7; ++i) {
            uint256 then = t + offsets[i];
            vm.assertEq(stake.getPastVotes(m.owner, then), votes[i]);
            vm.assertEq(stake.getPastTotalSupply(then), votes[i]);
            vm.assertEq(stake.ownerAt(m.node.addr, then), votes[i] > 0 ? m.owner : address(0));
            vm.assertEq(stake.getPastVotesBy(m.owner, m.node.addr, then), votes[i]);
        }
        vm.assertEq(stake.getPastVotes(m.owner, 0), 0);
        vm.assertEq(stake.getPastVotesBy(address(0), STRANGER, t), 0);
        vm.assertEq(stake.getPastVotesBy(m.owner, STRANGER, t + 10), 0);
    }

    function test_presentAndFutureAreNotTold() public {
        bytes memory reason = abi.encodeWithSelector(FutureLookup.selector, time(), time());
        vm.expectRevert(reason);
        stake.getPastVotes(ALICE, time());
        vm.expectRevert(reason);
        stake.getPastTotalSupply(time());
        vm.expectRevert(reason);
        stake.ownerAt(ALICE, time());
        vm.expectRevert(reason);
        stake.getPastVotesBy(ALICE, ALICE, time());
        vm.expectRevert(abi.encodeWithSelector(FutureLookup.selector, type(uint256).max, time()));
        stake.getPastVotes(ALICE, type(uint256).max);
    }

    /// Money borrowed for one block weighs nothing: the block's end is what counts.
    function test_borrowedMoneyNeverVotes() public {
        Member memory m = _newMember(1);
        _bind(m);
        _deposit(m.owner, 1_000_000);
        vm.prank(m.owner);
        stake.requestExit(1_000_000);
        pass(1);
        vm.assertEq(stake.getPastVotes(m.owner, time() - 1), 0);
    }

    function test_nobodyVotesForAnother() public {
        vm.assertEq(stake.delegates(ALICE), ALICE);
        vm.expectRevert(NoDelegation.selector);
        stake.delegate(ALICE);
        vm.expectRevert(NoDelegation.selector);
        stake.delegateBySig(ALICE, 0, 0, 27, 0, 0);
    }

    // ---- deposits

    function test_depositForAnother() public {
        token.mint(address(this), 100);
        token.approve(address(stake), 100);
        vm.expectEmit(address(stake));
        emit SwarmMembers.Deposited(ALICE, 100);
        stake.deposit(ALICE, 100);
        vm.assertEq(stake.balanceOf(ALICE), 100);
        vm.assertEq(stake.freeOf(ALICE), 100);
        vm.expectRevert(ZeroOwner.selector);
        stake.deposit(address(0), 1);
        vm.expectRevert(ZeroAmount.selector);
        stake.deposit(ALICE, 0);
    }

    function test_depositWithPermitEvenIfSentByAnotherFirst() public {
        (address payer, uint256 key) = (vm.addr(77), 77);
        token.mint(payer, 200);
        for (uint256 i = 0; i < 2; ++i) {
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, _permitDigest(payer, 100));
            if (i == 1) token.permit(payer, address(stake), 100, type(uint256).max, v, r, s);
            vm.prank(payer);
            stake.depositWithPermit(ALICE, 100, type(uint256).max, v, r, s);
        }
        vm.assertEq(stake.balanceOf(ALICE), 200);
        // Neither permit nor allowance: nothing happens.
        vm.prank(payer);
        vm.expectRevert();
        stake.depositWithPermit(ALICE, 100, type(uint256).max, 27, 0, 0);
    }

    function _permitDigest(address from, uint256 amount) private view returns (bytes32) {
        bytes32 typeHash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 hash =
            keccak256(abi.encode(typeHash, from, address(stake), amount, token.nonces(from), type(uint256).max));
        return keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), hash));
    }

    function test_exitWaits() public {
        _deposit(ALICE, 100);
        vm.startPrank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(InsufficientStake.selector, 101, 100));
        stake.requestExit(101);
        vm.expectEmit(address(stake));
        emit SwarmMembers.ExitRequested(ALICE, 60, Timestamp.wrap(time() + EXIT_DELAY));
        stake.requestExit(60);
        (uint256 amount, Timestamp readyAt) = stake.exitOf(ALICE);
        vm.assertEq(amount, 60);
        pass(EXIT_DELAY - 1);
        vm.expectRevert(abi.encodeWithSelector(ExitNotReady.selector, readyAt, time()));
        stake.withdraw();
        pass(1);
        vm.expectEmit(address(stake));
        emit SwarmMembers.Withdrawn(ALICE, 60);
        stake.withdraw();
        vm.assertEq(token.balanceOf(ALICE), 60);
        vm.assertEq(stake.balanceOf(ALICE), 40);
        vm.expectRevert(abi.encodeWithSelector(NoExit.selector, ALICE));
        stake.withdraw();
        vm.expectRevert(abi.encodeWithSelector(NoExit.selector, ALICE));
        stake.cancelExit();
    }

    function test_exitCanBeCancelled() public {
        Member memory m = _newMember(1);
        _bind(m);
        _deposit(m.owner, 100);
        vm.startPrank(m.owner);
        stake.requestExit(60);
        vm.expectEmit(address(stake));
        emit SwarmMembers.ExitCancelled(m.owner, 60);
        stake.cancelExit();
        vm.assertEq(stake.getVotes(m.owner), 100);
    }

    // ---- slashers

    function test_slasherLocksFreesAndTakes() public {
        Member memory m = _newMember(1);
        _bind(m);
        _deposit(m.owner, 100);
        vm.startPrank(FIRST);
        vm.expectEmit(address(stake));
        emit SwarmMembers.Locked(FIRST, m.owner, 70);
        stake.lock(m.owner, 70);
        vm.assertEq(stake.lockedOf(m.owner), 70);
        vm.assertEq(stake.lockedBy(FIRST, m.owner), 70);
        vm.assertEq(stake.freeOf(m.owner), 30);
        vm.assertEq(stake.getVotes(m.owner), 100);
        vm.expectEmit(address(stake));
        emit SwarmMembers.Unlocked(FIRST, m.owner, 10);
        stake.unlock(m.owner, 10);
        vm.expectEmit(address(stake));
        emit SwarmMembers.Slashed(FIRST, m.owner, 40, STRANGER);
        stake.slash(m.owner, 40, STRANGER);
        stake.slash(m.owner, 5, address(0));
        vm.assertEq(stake.lockedBy(FIRST, m.owner), 15);
        vm.assertEq(stake.balanceOf(m.owner), 55);
        vm.assertEq(stake.getVotes(m.owner), 55);
        vm.assertEq(stake.owedTo(FIRE), 5);
        vm.stopPrank();
        vm.expectEmit(address(stake));
        emit SwarmMembers.Collected(STRANGER, 40);
        vm.startPrank(STRANGER);
        stake.collect();
        vm.assertEq(token.balanceOf(STRANGER), 40);
        vm.expectRevert(abi.encodeWithSelector(NothingOwed.selector, STRANGER));
        stake.collect();
    }

    function test_onlySlashersLockAndTake() public {
        _deposit(ALICE, 100);
        bytes memory reason = abi.encodeWithSelector(NotSlasher.selector, STRANGER);
        vm.startPrank(STRANGER);
        vm.expectRevert(reason);
        stake.lock(ALICE, 1);
        vm.expectRevert(reason);
        stake.unlock(ALICE, 1);
        vm.expectRevert(reason);
        stake.slash(ALICE, 1, STRANGER);
    }

    /// One slasher's hold is none of another's: a job's bond cannot be freed or taken by the court.
    function test_slasherTouchesOnlyWhatItHoldsItself() public {
        _deposit(ALICE, 100);
        vm.prank(FIRST);
        stake.lock(ALICE, 60);
        vm.startPrank(SECOND);
        bytes memory reason = abi.encodeWithSelector(InsufficientStake.selector, 1, 0);
        vm.expectRevert(reason);
        stake.unlock(ALICE, 1);
        vm.expectRevert(reason);
        stake.slash(ALICE, 1, SECOND);
        vm.expectRevert(abi.encodeWithSelector(InsufficientStake.selector, 41, 40));
        stake.lock(ALICE, 41);
        stake.lock(ALICE, 40);
        stake.slash(ALICE, 40, SECOND);
        vm.assertEq(stake.balanceOf(ALICE), 60);
        vm.assertEq(stake.lockedBy(FIRST, ALICE), 60);
    }

    function test_nothingAndMoreThanThereIsAreRefused() public {
        _deposit(ALICE, 100);
        vm.expectRevert(ZeroAmount.selector);
        vm.prank(ALICE);
        stake.requestExit(0);
        vm.startPrank(FIRST);
        vm.expectRevert(ZeroAmount.selector);
        stake.lock(ALICE, 0);
        vm.expectRevert(ZeroAmount.selector);
        stake.slash(ALICE, 0, STRANGER);
        stake.lock(ALICE, 60);
        vm.expectRevert(abi.encodeWithSelector(InsufficientStake.selector, 61, 60));
        stake.unlock(ALICE, 61);
    }

    function test_lockedMoneyDoesNotLeave() public {
        _deposit(ALICE, 100);
        vm.prank(ALICE);
        stake.requestExit(100);
        vm.prank(FIRST);
        stake.lock(ALICE, 70);
        pass(EXIT_DELAY);
        vm.startPrank(ALICE);
        stake.withdraw();
        vm.assertEq(token.balanceOf(ALICE), 30);
        vm.expectPartialRevert(bytes4(keccak256("ExitLocked(uint256,uint256)")));
        stake.withdraw();
    }

    // ---- bindings

    function test_bindTellsTheKey() public {
        Member memory m = _newMember(1);
        bytes memory key =
            abi.encodePacked(m.node.publicKeyY % 2 == 0 ? bytes1(0x02) : bytes1(0x03), bytes32(m.node.publicKeyX));
        vm.expectEmit(address(stake));
        emit SwarmMembers.Bound(m.owner, m.node.addr, key);
        _bind(m);
        vm.assertEq(stake.ownerOf(m.node.addr), m.owner);
        vm.assertEq(stake.nonces(m.owner), 1);
        vm.assertEq(stake.nodesOf(m.owner), 1);
        vm.expectEmit(address(stake));
        emit SwarmMembers.Unbound(m.owner, m.node.addr);
        _unbind(m);
        vm.assertEq(stake.ownerOf(m.node.addr), address(0));
    }

    function test_bindingExpires() public {
        Member memory m = _newMember(1);
        bytes32 digest = _bindingDigest(m.owner, m.node.addr, 0, time());
        (bytes memory a, bytes memory b) = (_sign(m.ownerKey, digest), _sign(m.node.privateKey, digest));
        pass(1);
        vm.expectRevert(abi.encodeWithSelector(BindingExpired.selector, time() - 1, time()));
        _sendBinding(m.owner, m.node, time() - 1, a, b);
        vm.warp(time() - 1);
        _sendBinding(m.owner, m.node, time(), a, b);
    }

    function test_bothMustConsent() public {
        Member memory m = _newMember(1);
        Member memory other = _newMember(2);
        bytes32 digest = _bindingDigest(m.owner, m.node.addr, 0, type(uint256).max);
        bytes memory byOwner = _sign(m.ownerKey, digest);
        bytes memory byNode = _sign(m.node.privateKey, digest);
        bytes memory byOther = _sign(other.ownerKey, digest);
        vm.expectRevert(abi.encodeWithSelector(BadOwnerSignature.selector, m.owner, 0));
        _sendBinding(m.owner, m.node, type(uint256).max, byOther, byNode);
        vm.expectRevert(abi.encodeWithSelector(BadNodeSignature.selector, m.node.addr, other.owner));
        _sendBinding(m.owner, m.node, type(uint256).max, byOwner, byOther);
        vm.expectPartialRevert(BadNodeSignature.selector);
        _sendBinding(other.owner, m.node, type(uint256).max, byOther, byNode);
    }

    function test_consentIsGoodOnce() public {
        Member memory m = _newMember(1);
        bytes32 digest = _bindingDigest(m.owner, m.node.addr, 0, type(uint256).max);
        (bytes memory a, bytes memory b) = (_sign(m.ownerKey, digest), _sign(m.node.privateKey, digest));
        _sendBinding(m.owner, m.node, type(uint256).max, a, b);
        vm.expectRevert(abi.encodeWithSelector(NodeAlreadyBound.selector, m.node.addr, m.owner));
        _sendBinding(m.owner, m.node, type(uint256).max, a, b);
        _unbind(m);
        vm.expectPartialRevert(BadNodeSignature.selector);
        _sendBinding(m.owner, m.node, type(uint256).max, a, b);
    }

    function test_onlyTheOwnerUnbinds() public {
        Member memory m = _newMember(1);
        _bind(m);
        vm.expectRevert(abi.encodeWithSelector(NotNodeOwner.selector, m.node.addr, m.owner, STRANGER));
        vm.prank(STRANGER);
        stake.unbind(m.node.addr);
        vm.expectRevert(abi.encodeWithSelector(NotNodeOwner.selector, ALICE, address(0), STRANGER));
        vm.prank(STRANGER);
        stake.unbind(ALICE);
    }

    // ---- announcements

    function _announce(Vm.Wallet memory node, bytes memory addresses) private {
        stake.announce(bytes32(node.publicKeyX), bytes32(node.publicKeyY), addresses);
    }

    function test_announceTellsKeyAndAddresses() public {
        Member memory m = _newMember(1);
        _bind(m);
        bytes memory key =
            abi.encodePacked(m.node.publicKeyY % 2 == 0 ? bytes1(0x02) : bytes1(0x03), bytes32(m.node.publicKeyX));
        vm.expectEmit(address(stake));
        emit SwarmMembers.Announced(m.owner, m.node.addr, key, "/ip4/192.0.2.7/tcp/4001");
        vm.prank(m.owner);
        _announce(m.node, "/ip4/192.0.2.7/tcp/4001");
    }

    function test_onlyTheOwnerAnnounces() public {
        Member memory m = _newMember(1);
        vm.expectRevert(abi.encodeWithSelector(NotNodeOwner.selector, m.node.addr, address(0), m.owner));
        vm.prank(m.owner);
        _announce(m.node, "");
        _bind(m);
        vm.expectRevert(abi.encodeWithSelector(NotNodeOwner.selector, m.node.addr, m.owner, STRANGER));
        vm.prank(STRANGER);
        _announce(m.node, "");
        _unbind(m);
        vm.expectRevert(abi.encodeWithSelector(NotNodeOwner.selector, m.node.addr, address(0), m.owner));
        vm.prank(m.owner);
        _announce(m.node, "");
    }

    function test_announcementsAreBounded() public {
        Member memory m = _newMember(1);
        _bind(m);
        uint256 most = stake.MAX_ANNOUNCEMENT();
        vm.prank(m.owner);
        _announce(m.node, new bytes(most));
        vm.expectRevert(abi.encodeWithSelector(ParameterOutOfRange.selector, "addresses", most + 1, 0, most));
        vm.prank(m.owner);
        _announce(m.node, new bytes(most + 1));
    }

    function test_contractsOwnNodesToo() public {
        Wallet wallet = new Wallet();
        Member memory m = _newMember(1);
        bytes32 digest = _bindingDigest(address(wallet), m.node.addr, 0, type(uint256).max);
        bytes memory byNode = _sign(m.node.privateKey, digest);
        vm.expectRevert(abi.encodeWithSelector(BadOwnerSignature.selector, address(wallet), 0));
        _sendBinding(address(wallet), m.node, type(uint256).max, "", byNode);
        wallet.approve(digest);
        _sendBinding(address(wallet), m.node, type(uint256).max, "", byNode);
        _deposit(address(wallet), 50);
        vm.assertEq(stake.getVotes(address(wallet)), 50);
    }
}
