//! A contract for tests that shows what a chain does: state, events, reverts, the block it runs in,
//! and gas.
//!
//! The bytecode is that of the source below, compiled by solc 0.8.37 with `viaIR`, the optimizer at
//! 200 runs, Cancun and no metadata:
//! ```text
//! error Refused(uint256 code);
//! event Set(address indexed by, uint256 indexed value, uint256 time);
//! uint256 public value;
//! function set(uint256 next) external payable { value = next; emit Set(msg.sender, next, block.timestamp); }
//! function facts() external view returns (uint256 time, uint256 number, uint256 chain, uint256 fee, bytes32 parent) {
//!     return (block.timestamp, block.number, block.chainid, block.basefee, blockhash(block.number - 1));
//! }
//! function fail(string calldata why) external pure { revert(why); }
//! function refuse(uint256 code) external pure { revert Refused(code); }
//! function spin() external view { while (true) { value; } }
//! function many(uint256 count) external {
//!     for (uint256 i = 0; i < count; i++) { emit Set(msg.sender, i, block.timestamp); }
//! }
//! function nested(uint256 depth) external { if (depth == 0) { value += 1; } else { this.nested(depth - 1); } }
//! function clear() external { value = 0; }
//! ```

alloy::sol! {
    #[allow(missing_docs)]
    #[derive(Debug)]
    #[sol(rpc, bytecode = "60808060405234601557610348908161001a8239f35b5f80fdfe6080806040526004361015610012575f80fd5b5f905f3560e01c90816310b8090814610280575080633fa4f2451461026357806342739be01461020b57806352efea6e146101f457806360fe47b1146101b257806378122f3a1461011f5780637e74f360146100ca578063a60a07b2146100a35763f0acd7d514610081575f80fd5b346100a057806003193601126100a0575b801561009b5780f35b610092565b80fd5b50346100a05760203660031901126100a05763590a515160e01b8152600480359052602490fd5b50346100a057806003193601126100a0575f1943019043821161010b5760a08260405190428252436020830152466040830152486060830152406080820152f35b634e487b7160e01b81526011600452602490fd5b50346100a05760203660031901126100a05760043567ffffffffffffffff81116101ae57366023820112156101ae57806004013567ffffffffffffffff81116101aa5736602482840101116101aa57908160249360449360405195869462461bcd60e51b86526020600487015282828701520185850137828201840152601f01601f19168101030190fd5b8280fd5b5080fd5b5060203660031901126100a0576004358082556040514281527f9eca8f7bcfb868d72b4ed95b71c627c194ab6bcb9b83adb2280e8a0320bb847660203392a380f35b50346100a057806003193601126100a05780805580f35b50346100a05760203660031901126100a057600435815b81811061022d578280f35b806001916040514281527f9eca8f7bcfb868d72b4ed95b71c627c194ab6bcb9b83adb2280e8a0320bb847660203392a301610222565b50346100a057806003193601126100a05760209054604051908152f35b90503461033057602036600319011261033057600435806102c35750508054600181018091116102af57815580f35b634e487b7160e01b82526011600452602482fd5b5f19810190811161033457303b1561033057630217012160e31b825260048201525f8160248183305af18015610325576102fb575080f35b905067ffffffffffffffff811161031157604052005b634e487b7160e01b5f52604160045260245ffd5b6040513d5f823e3d90fd5b5f80fd5b634e487b7160e01b5f52601160045260245ffd")]
    contract Probe {
        error Refused(uint256 code);
        event Set(address indexed by, uint256 indexed value, uint256 time);
        function value() external view returns (uint256);
        function set(uint256 next) external payable;
        function facts() external view
            returns (uint256 time, uint256 number, uint256 chain, uint256 fee, bytes32 parent);
        function fail(string calldata why) external pure;
        function refuse(uint256 code) external pure;
        function spin() external view;
        function many(uint256 count) external;
        function nested(uint256 depth) external;
        function clear() external;
    }
}
