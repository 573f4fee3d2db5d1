//! The consent of an owner and a node to belong together.

use contracts::swarm::calls;
use contracts::typed::{self, Domain};
use contracts::{Address, Bytes, U256};
use swarm_identity::NodeKey;

/// Seconds in which a binding can be sent.
const BINDING_SECONDS: u64 = 86_400;

/// Who is bound to whom, where, and when.
#[derive(Clone, Debug)]
pub struct Binding<'a> {
    /// The contract.
    pub domain: Domain,
    /// The owner's account.
    pub owner: Address,
    /// The owner's key.
    pub owner_key: &'a NodeKey,
    /// The node's key.
    pub node_key: &'a NodeKey,
    /// The contract's nonce for the owner.
    pub nonce: U256,
    /// Now, in seconds of block time; a day later the binding is void.
    pub now: u64,
}

impl Binding<'_> {
    /// The call of `SwarmMembers.bind`, signed by both; `None` if a key cannot sign, which has
    /// negligible probability.
    pub fn call(&self) -> Option<Bytes> {
        let (peer, expiry) = (
            self.node_key.peer(),
            U256::from(self.now.saturating_add(BINDING_SECONDS)),
        );
        let (key, node) = (typed::uncompressed(&peer.0)?, typed::address(&peer.0)?);
        let digest = self.domain.binding(self.owner, node, self.nonce, expiry);
        let by_owner = self.owner_key.sign_recoverable(&digest.0)?;
        let by_node = self.node_key.sign_recoverable(&digest.0)?;
        Some(calls::bind(self.owner, &key, expiry, &by_owner, &by_node))
    }
}
