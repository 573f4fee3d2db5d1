//! Signatures in Rust and in the contract: what one accepts the other accepts, too.

use alloy::primitives::{Address, B256, Signature, U256, hex};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use contracts::bindings::SwarmMembers;
use contracts::client::{Call, Revert, RpcError};
use contracts::swarm::calls;
use contracts::typed::{self, CompressedKey};

use crate::world::{DAY, START, World};

/// The order of secp256k1.
const ORDER: U256 = U256::from_be_bytes(hex!(
    "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
));

/// A signer with its account and its public key.
struct Key {
    signer: PrivateKeySigner,
    public: CompressedKey,
}

impl Key {
    fn new(byte: u8) -> Self {
        let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(byte)).unwrap();
        let public = signer
            .credential()
            .verifying_key()
            .to_encoded_point(true)
            .as_bytes()
            .try_into()
            .unwrap();
        Self { signer, public }
    }

    fn address(&self) -> Address {
        self.signer.address()
    }

    fn sign(&self, digest: &B256) -> [u8; 65] {
        self.signer.sign_hash_sync(digest).unwrap().as_bytes()
    }
}

fn is_of_signature(revert: &Revert) -> bool {
    revert.decode::<SwarmMembers::BadOwnerSignature>().is_some()
        || revert.decode::<SwarmMembers::BadNodeSignature>().is_some()
        || revert
            .decode::<SwarmMembers::ECDSAInvalidSignature>()
            .is_some()
        || revert
            .decode::<SwarmMembers::ECDSAInvalidSignatureS>()
            .is_some()
}

#[tokio::test]
async fn rust_accepts_exactly_the_signatures_that_the_contract_accepts() {
    let world = World::deployed().await;
    let (client, domain) = (world.client.clone(), world.members_domain());
    let expiry = U256::from(START + DAY);
    let mut accepted = Vec::new();
    for (owner, node) in [
        (Key::new(1), Key::new(2)),
        (Key::new(3), Key::new(4)),
        (Key::new(5), Key::new(6)),
    ] {
        assert_eq!(typed::address(&node.public), Some(node.address()));
        let digest = domain.binding(owner.address(), node.address(), U256::ZERO, expiry);
        let (by_owner, by_node) = (owner.sign(&digest), node.sign(&digest));
        let key = typed::uncompressed(&node.public).unwrap();
        let high = |low: &[u8; 65]| {
            let low = Signature::from_raw_array(low).unwrap();
            Signature::new(low.r(), ORDER - low.s(), !low.v()).as_bytes()
        };
        let with_v = |mut signature: [u8; 65], v: u8| {
            signature[64] = v;
            signature
        };
        let mut agree = async |by_owner: [u8; 65], by_node: [u8; 65]| {
            let bind = calls::bind(owner.address(), &key, expiry, &by_owner, &by_node);
            let contract = match client.call_pending(&Call::to(domain.contract, bind)).await {
                Ok(_) => true,
                Err(RpcError::Reverted { revert, .. }) if is_of_signature(&revert) => false,
                Err(other) => panic!("refused for another reason: {other}"),
            };
            let rust = typed::signer(&digest, &by_owner) == Some(owner.address())
                && typed::signer(&digest, &by_node) == Some(node.address());
            assert_eq!(
                contract,
                rust,
                "owner {}, node {}",
                hex::encode(by_owner),
                hex::encode(by_node)
            );
            accepted.extend(contract.then_some(by_node[64]));
        };
        for v in 0..=255 {
            agree(by_owner, with_v(by_node, v)).await;
            agree(by_owner, with_v(high(&by_node), v)).await;
            agree(with_v(by_owner, v), by_node).await;
        }
        for v in [27, 28] {
            agree(by_owner, with_v([0; 65], v)).await;
            agree(by_owner, with_v([255; 65], v)).await;
        }
    }
    // Each key's own signature, once as it is and once as the other's companion.
    assert_eq!(accepted.len(), 3 * 2, "{accepted:?}");
    assert!(accepted.iter().all(|v| matches!(v, 27 | 28)));
}
