//! A peer's two names: the compressed public key of this project, and libp2p's peer id, which wraps
//! the same key in a protobuf and an identity multihash.
//!
//! ```text
//! 00 25 │ 08 02 12 21 │ 33 bytes: the compressed point
//! identity, 37 bytes │ type secp256k1, 33 bytes
//! ```
//! The map is one to one: whoever has a key of another type, or one that only a hash is known of,
//! has no [`PeerId`] and is refused.

use libp2p::identity::{Keypair, PublicKey, secp256k1};
use swarm_identity::key::PublicKey as NodePublicKey;
use swarm_identity::{PeerId, Secret};
use thiserror::Error;

/// What libp2p's peer id has in front of the point.
const PREFIX: [u8; 6] = [0x00, 0x25, 0x08, 0x02, 0x12, 0x21];

/// Why a peer of libp2p has no name here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("peer {0} has no secp256k1 key; nodes of this project do, refuse it")]
pub struct ForeignKey(pub libp2p::PeerId);

/// The key of this project in libp2p's peer id.
///
/// # Errors
/// [`ForeignKey`] for other types of keys, for points in other forms and for what is no point.
pub fn from_libp2p(peer: &libp2p::PeerId) -> Result<PeerId, ForeignKey> {
    let bytes = peer.to_bytes();
    let point = bytes
        .strip_prefix(&PREFIX)
        .and_then(|point| point.try_into().ok());
    let name = point.map(PeerId).ok_or(ForeignKey(*peer))?;
    NodePublicKey::try_from(name).map_err(|_| ForeignKey(*peer))?;
    Ok(name)
}

/// Libp2p's peer id of a key.
///
/// # Errors
/// The bytes are no compressed point: [`swarm_identity::key::KeyError::Point`].
pub fn to_libp2p(peer: PeerId) -> Result<libp2p::PeerId, swarm_identity::key::KeyError> {
    let refused = || swarm_identity::key::KeyError::Point(peer);
    NodePublicKey::try_from(peer)?;
    let point = secp256k1::PublicKey::try_from_bytes(&peer.0).map_err(|_| refused())?;
    Ok(PublicKey::from(point).to_peer_id())
}

/// The key pair with which libp2p proves the node's identity.
#[expect(
    clippy::expect_used,
    reason = "a secret is a scalar of the curve by its type"
)]
pub(crate) fn key_pair(secret: &Secret) -> Keypair {
    let mut bytes = secret.to_bytes();
    let scalar = secp256k1::SecretKey::try_from_bytes(bytes.as_mut());
    let scalar = scalar.expect("invariant: a secret is a scalar of secp256k1");
    secp256k1::Keypair::from(scalar).into()
}

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;
    use proptest::prelude::*;
    use swarm_identity::NodeKey;

    use super::*;

    #[test]
    fn both_names_are_one_key() {
        for byte in 1..30 {
            let secret = Secret::from_bytes(&[byte; 32]).unwrap();
            let name = NodeKey::from(&secret).peer();
            let libp2p = key_pair(&secret).public().to_peer_id();
            assert_eq!(to_libp2p(name).unwrap(), libp2p);
            assert_eq!(from_libp2p(&libp2p).unwrap(), name);
        }
    }

    #[test]
    fn keys_of_other_types_are_refused() {
        let hashed = libp2p::PeerId::random();
        assert_eq!(from_libp2p(&hashed), Err(ForeignKey(hashed)));
        let mut compact = NodeKey::from_secret(&[7; 32]).unwrap().peer();
        compact.0[0] = 5;
        assert!(to_libp2p(compact).is_err());
        let pair = Keypair::generate_secp256k1().public().to_peer_id();
        assert!(from_libp2p(&pair).is_ok());
    }

    proptest! {
        #[test]
        fn what_is_no_point_is_refused(bytes: [u8; 32], tag: u8) {
            let mut name = PeerId([tag; 33]);
            name.0[1..].copy_from_slice(&bytes);
            if let Ok(peer) = to_libp2p(name) {
                prop_assert!(matches!(tag, 2 | 3));
                prop_assert_eq!(from_libp2p(&peer), Ok(name));
            }
        }
    }
}
