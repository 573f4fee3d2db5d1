// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import {Claim} from "../src/Earnings.sol";
import {Outcome} from "../src/Outcome.sol";
import {RewardsParameters} from "../src/RewardsParameters.sol";
import {SwarmMembers} from "../src/SwarmMembers.sol";
import {SwarmRewards} from "../src/SwarmRewards.sol";
import {SwarmSlasher} from "../src/SwarmSlasher.sol";
import {TestToken} from "../src/dev/TestToken.sol";
import {Epoch, Points, Units} from "../src/types.sol";
import {Settlement} from "./fixtures/Settlement.sol";

/// @title Gas of what a swarm does every epoch and in a dispute, as its senders pay it: intrinsic gas and calldata included.
/// @dev   256 owners with a node and a seat each; figures go to `snapshots/Settlement.json`.
/// forge-config: default.isolate = true
contract SettlementGasTest is Settlement {
    string private constant GROUP = "Settlement";
    uint256 private constant COUNT = 256;

    /// @dev What the latest creation cost.
    uint256 private _creationGas;

    function setUp() public {
        _start();
        _joinMany(COUNT, 300);
        _fund(1_000_000_000);
        vm.warp(GENESIS);
        // The first outcome of all fills slots that are never empty again.
        _settle(0);
        _toEnd(1);
    }

    function test_codeFitsTheLimitOfAContract() public view {
        vm.assertLe(address(rewards).code.length, 24_576);
        vm.assertLe(address(stake).code.length, 24_576);
        vm.assertLe(address(slasher).code.length, 24_576);
    }

    function test_deposit() public {
        token.mint(STRANGER, 10);
        vm.startPrank(STRANGER);
        token.approve(address(stake), 10);
        stake.deposit(STRANGER, 10);
        vm.snapshotGasLastCall(GROUP, "deposit, first of an owner");
    }

    function test_bind() public {
        Member memory m = _newMember(9_999);
        _deposit(m.owner, 10);
        _bind(m);
        vm.snapshotGasLastCall(GROUP, "bind, first of an owner");
    }

    /// Two addresses of usual length.
    function test_announce() public {
        Member memory m = members[0];
        bytes memory addresses = "/ip4/192.0.2.107/udp/41453/quic-v1 /ip4/192.0.2.107/tcp/41453";
        vm.prank(m.owner);
        stake.announce(bytes32(m.node.publicKeyX), bytes32(m.node.publicKeyY), addresses);
        vm.assertLe(vm.snapshotGasLastCall(GROUP, "announce, two addresses"), 35_000);
    }

    function test_unopposedEpoch() public {
        Outcome memory o = _honest(1);
        _propose(o);
        uint256 sum = vm.snapshotGasLastCall(GROUP, "propose");
        pass(OBJECTION_WINDOW + 1);
        rewards.finalise(o);
        sum += vm.snapshotGasLastCall(GROUP, "finalise");
        vm.snapshotValue(GROUP, "propose + finalise", sum);
        vm.assertLe(sum, 220_000);
    }

    /// The very first outcome, where every slot is new.
    function test_firstEpochOfAll() public {
        _deploy(IERC20(address(token)));
        vm.warp(GENESIS - 1_000);
        _join(1_000, 300);
        _fund(1_000_000_000);
        _toEnd(0);
        Outcome memory o =
            Outcome(Epoch.wrap(0), Epoch.wrap(0), keccak256("root"), Points.wrap(210), keccak256("rounds"));
        _propose(o);
        uint256 sum = vm.snapshotGasLastCall(GROUP, "propose, first of all");
        pass(OBJECTION_WINDOW + 1);
        rewards.finalise(o);
        sum += vm.snapshotGasLastCall(GROUP, "finalise, first of all");
        vm.assertLe(sum, 300_000);
    }

    /// 171 of 256 seats, one each: the dearest court there is.
    function test_dispute() public {
        Outcome memory wrong = _false(1);
        Outcome memory right = _honest(1);
        _propose(wrong);
        _object(wrong);
        uint256 sum = vm.snapshotGasLastCall(GROUP, "object");
        _draw();
        sum += vm.snapshotGasLastCall(GROUP, "draw");
        _judge(right, _votes(right, 0, COUNT));
        sum += vm.snapshotGasLastCall(GROUP, "judge, 256 votes");
        _assertFinal(1, right.root);
        vm.snapshotValue(GROUP, "object + draw + court of 256 seats, one call", sum);
        vm.assertLe(sum, 2_600_000);
    }

    /// The same in calls of 64 votes, for blocks that are full.
    function test_disputeInSmallCalls() public {
        Outcome memory wrong = _false(1);
        Outcome memory right = _honest(1);
        _propose(wrong);
        _object(wrong);
        uint256 sum = vm.snapshotGasLastCall(GROUP, "object");
        _draw();
        sum += vm.snapshotGasLastCall(GROUP, "draw");
        for (uint256 i = 0; i < 4 && rewards.phase() == SwarmRewards.Phase.Court; ++i) {
            _judge(right, _votes(right, 64 * i, 64 * (i + 1)));
            sum += vm.snapshotGasLastCall(GROUP, "judge, last 64 of 192 votes");
        }
        _assertFinal(1, right.root);
        vm.snapshotValue(GROUP, "object + draw + court of 256 seats, 64 votes a call", sum);
        vm.assertLe(sum, 2_600_000);
    }

    function test_refuse() public {
        Outcome memory wrong = _false(1);
        _toCourt(wrong);
        pass(2 * COURT_WINDOW + 1);
        rewards.refuse();
        vm.snapshotGasLastCall(GROUP, "refuse");
    }

    function test_fastPathOf172() public {
        Outcome memory o = _honest(1);
        rewards.finaliseFast(o, _votes(o, 0, 172));
        vm.snapshotGasLastCall(GROUP, "finaliseFast, 172 votes");
    }

    function test_fastPathOfOneLargeOwner() public {
        _deposit(members[0].owner, 1_000_000);
        _toEnd(2);
        Outcome memory o = _honest(2);
        rewards.finaliseFast(o, _votes(o, 0, 1));
        vm.snapshotGasLastCall(GROUP, "finaliseFast, 1 vote");
    }

    /// The receivers hold no token before: the dearest case.
    function test_claims() public {
        (Claim[] memory first, bytes32 root) = _deep(1_000, 5);
        _finalise(1, root);
        rewards.claim(first);
        vm.assertLe(vm.snapshotGasLastCall(GROUP, "claim, first of an owner, 32 leaves"), 95_000);
        rewards.claim(first);
        vm.snapshotGasLastCall(GROUP, "claim, taken already");
        (Claim[] memory later, bytes32 next) = _deep(2_000, 5);
        _toEnd(2);
        _finalise(2, next);
        rewards.claim(later);
        vm.assertLe(vm.snapshotGasLastCall(GROUP, "claim, later, 32 leaves"), 60_000);
        (later, next) = _deep(3_000, 17);
        _toEnd(3);
        _finalise(3, next);
        rewards.claim(later);
        vm.snapshotGasLastCall(GROUP, "claim, later, 100,000 leaves");
    }

    function test_claimFromALargeTable() public {
        (Claim[] memory first, bytes32 root) = _deep(1_000, 17);
        _finalise(1, root);
        rewards.claim(first);
        vm.snapshotGasLastCall(GROUP, "claim, first of an owner, 100,000 leaves");
    }

    /// What a claim costs each of sixteen owners that one call pays, as anybody may send it.
    function test_claimsOfSixteenFromALargeTable() public {
        (Claim[] memory first, bytes32 root) = _deepTable(1_000, 16);
        _finalise(1, root);
        rewards.claim(first);
        uint256 each = vm.snapshotGasLastCall(GROUP, "claim, first of 16 owners, 100,000 leaves") / 16;
        vm.assertLe(each, 95_000);
        (Claim[] memory later, bytes32 next) = _deepTable(2_000, 16);
        _toEnd(2);
        _finalise(2, next);
        rewards.claim(later);
        each = vm.snapshotGasLastCall(GROUP, "claim, later of 16 owners, 100,000 leaves") / 16;
        vm.assertLe(each, 60_000);
    }

    function test_collect() public {
        vm.prank(PROPOSER);
        rewards.collect();
        vm.snapshotGasLastCall(GROUP, "collect");
    }

    function test_slashContradiction() public {
        Outcome memory wrong = _false(1);
        Outcome memory right = _honest(1);
        bytes memory a = _vote(wrong, 7);
        bytes memory b = _vote(right, 7);
        slasher.slashContradiction(wrong, a, right, b);
        vm.snapshotGasLastCall(GROUP, "slashContradiction");
    }

    /// @dev Enough for the points of all.
    function _parameters() internal view override returns (RewardsParameters memory p) {
        p = super._parameters();
        p.epochCap = Units.wrap(10_000_000);
        p.proposalBond = Units.wrap(100_000);
        p.objectionBond = Units.wrap(100_000);
    }

    // ---- the committed bytecode

    function _newToken() internal override returns (TestToken) {
        return TestToken(_create("TestToken", ""));
    }

    function _deploy(IERC20 money) internal override {
        address[] memory slashers = new address[](1);
        slashers[0] = _predict(2);
        stake = SwarmMembers(_create("SwarmMembers", abi.encode(money, EXIT_DELAY, slashers)));
        vm.snapshotValue(GROUP, "deploy SwarmMembers", _creationGas);
        rewards = SwarmRewards(_create("SwarmRewards", abi.encode(_parameters())));
        vm.snapshotValue(GROUP, "deploy SwarmRewards", _creationGas);
        slasher = SwarmSlasher(_create("SwarmSlasher", abi.encode(rewards, SLASH)));
        vm.snapshotValue(GROUP, "deploy SwarmSlasher", _creationGas);
    }

    function _create(string memory name, bytes memory arguments) private returns (address created) {
        bytes memory artifact = vm.getCode(string.concat("artifacts/", name, ".json"));
        bytes memory code = abi.encodePacked(artifact, arguments);
        uint256 before = gasleft();
        assembly ("memory-safe") {
            created := create(0, add(code, 32), mload(code))
        }
        _creationGas = before - gasleft();
        vm.assertTrue(created.code.length > 0);
    }

    // ---- words

    function _finalise(uint64 epoch, bytes32 root) private {
        Outcome memory o =
            Outcome(rewards.nextEpoch(), Epoch.wrap(epoch), root, Points.wrap(1_000), keccak256("rounds"));
        rewards.finaliseFast(o, _votes(o, 0, 172));
    }

    /// @dev The first `count` of a table of all members that is part of a tree 17 levels deep, and the root of that.
    function _deepTable(uint128 amount, uint256 count) private view returns (Claim[] memory claims, bytes32 root) {
        uint128[] memory table = new uint128[](COUNT);
        for (uint256 i = 0; i < COUNT; ++i) {
            table[i] = amount;
        }
        Claim[] memory all = _claims(table);
        claims = new Claim[](count);
        for (uint256 i = 0; i < count; ++i) {
            claims[i] = Claim(all[i].owner, all[i].earned, new bytes32[](17));
            for (uint256 level = 0; level < 17; ++level) {
                claims[i].proof[level] = level < 8 ? all[i].proof[level] : keccak256(abi.encode("sibling", level));
            }
        }
        root = MerkleProof.processProof(claims[0].proof, _leafOf(claims[0]));
    }

    function _leafOf(Claim memory c) private pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(c.owner, c.earned))));
    }

    /// @dev A leaf of member 7 `depth` levels deep in a tree, and the root above: 5 for 32 leaves, 17 for 100,000.
    function _deep(uint128 amount, uint256 depth) private view returns (Claim[] memory claims, bytes32 root) {
        claims = new Claim[](1);
        claims[0] = Claim(members[7].owner, Units.wrap(amount), new bytes32[](depth));
        root = keccak256(bytes.concat(keccak256(abi.encode(members[7].owner, amount))));
        for (uint256 i = 0; i < depth; ++i) {
            bytes32 sibling = keccak256(abi.encode("sibling", i));
            claims[0].proof[i] = sibling;
            root = keccak256(root < sibling ? abi.encode(root, sibling) : abi.encode(sibling, root));
        }
    }
}
