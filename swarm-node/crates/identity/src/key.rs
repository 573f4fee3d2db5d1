//! Node keys (secp256k1), peer identities and a bounded memory of verified signatures.
//!
//! Signing is deterministic (RFC 6979) with a low `s`, and verification refuses a high `s`, so one
//! message has one signature per key. [`SignatureMemo`] makes a hundred simulated receivers, or a
//! node that sees the same record from ten neighbours, pay for one verification; it changes time,
//! never an outcome.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use k256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use k256::ecdsa::{Signature, SigningKey, VerifyingKey};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::digest::{Digest32, Hasher};
use crate::secret::Secret;

/// Bytes of a signature: `r ‖ s`.
pub const SIGNATURE_BYTES: usize = 64;
/// Verified signatures remembered before the memory starts afresh (about 20 MiB).
pub const MEMO_ENTRIES: usize = 65_536;

/// A signature as it goes on the wire.
pub type SignatureBytes = [u8; SIGNATURE_BYTES];
/// A signature as contracts take it, from which `ecrecover` finds the signer: `r ‖ s ‖ v` with `v`
/// 27 or 28.
pub type RecoverableBytes = [u8; SIGNATURE_BYTES + 1];

/// Bytes of a peer id.
pub const PEER_BYTES: usize = 33;

/// The identity of a peer: its compressed SEC1 public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; PEER_BYTES]);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, head @ .., _] = self.0;
        head.iter()
            .take(6)
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

/// Why bytes are not a key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The secret is zero or not below the order of the curve.
    #[error("the secret is not a scalar of secp256k1; generate another one")]
    Secret,
    /// The public key is not a point of the curve, or not in compressed form (SEC1 tag 2 or 3).
    #[error("peer {0} is not a compressed point of secp256k1; refuse it")]
    Point(PeerId),
}

/// The key with which a node signs its messages.
#[derive(Clone)]
pub struct NodeKey {
    signing: SigningKey,
    peer: PeerId,
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({})", self.peer)
    }
}

impl NodeKey {
    /// A key from its 32 secret bytes.
    ///
    /// # Errors
    /// [`KeyError::Secret`] for zero and for values not below the curve's order.
    pub fn from_secret(secret: &[u8; 32]) -> Result<Self, KeyError> {
        let signing = SigningKey::from_slice(secret).map_err(|_| KeyError::Secret)?;
        Ok(Self::new(signing))
    }

    fn new(signing: SigningKey) -> Self {
        let peer = peer_of(signing.verifying_key());
        Self { signing, peer }
    }

    /// The identity that belongs to the key.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// Signs a digest; `None` only for a digest that no nonce can sign, which has negligible
    /// probability.
    pub fn sign(&self, digest: &Digest32) -> Option<SignatureBytes> {
        let signature: Signature = self.signing.sign_prehash(digest).ok()?;
        Some(signature.to_bytes().into())
    }

    /// Signs a digest for a contract: the bytes of [`NodeKey::sign`] and `v`. `None` only for a
    /// digest that no nonce can sign, or whose `v` a contract would not take; both have negligible
    /// probability.
    pub fn sign_recoverable(&self, digest: &Digest32) -> Option<RecoverableBytes> {
        let (signature, parity) = self.signing.sign_prehash_recoverable(digest).ok()?;
        let mut bytes = [27 + u8::from(parity.is_y_odd()); SIGNATURE_BYTES + 1];
        bytes[..SIGNATURE_BYTES].copy_from_slice(&signature.to_bytes());
        (!parity.is_x_reduced()).then_some(bytes)
    }

    /// What derives the node's salts and can sign nothing.
    pub fn salt_key(&self) -> SaltKey {
        SaltKey(Zeroizing::new(self.signing.to_bytes().into()))
    }
}

impl From<&Secret> for NodeKey {
    fn from(secret: &Secret) -> Self {
        Self::new(SigningKey::from(secret.scalar()))
    }
}

#[expect(
    clippy::expect_used,
    reason = "the length of a compressed point is fixed"
)]
fn peer_of(key: &VerifyingKey) -> PeerId {
    let point = key.to_encoded_point(true);
    let bytes = point.as_bytes().try_into();
    PeerId(bytes.expect("invariant: a compressed point has 33 bytes"))
}

/// Derives salts from a node's secret. It has no way to sign, so it can be handed to code that must
/// not. Its memory is wiped when it is dropped.
#[derive(Clone)]
pub struct SaltKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for SaltKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SaltKey(..)")
    }
}

impl SaltKey {
    /// A salt that nobody else can guess and that the node can derive again after a restart.
    pub fn salt(&self, context: &Digest32) -> Digest32 {
        Hasher::new("salt")
            .bytes(self.0.as_slice())
            .bytes(context)
            .finish()
    }
}

/// A peer's public key, decompressed once.
#[derive(Clone, Debug)]
pub struct PublicKey(VerifyingKey);

impl TryFrom<PeerId> for PublicKey {
    type Error = KeyError;

    fn try_from(peer: PeerId) -> Result<Self, KeyError> {
        // The curve's library also reads the compact form, tag 5: a second name, and so a second
        // member, for one key.
        if !matches!(peer.0[0], 2 | 3) {
            return Err(KeyError::Point(peer));
        }
        VerifyingKey::from_sec1_bytes(&peer.0)
            .map(Self)
            .map_err(|_| KeyError::Point(peer))
    }
}

impl PublicKey {
    /// True if the signature is the key holder's over the digest.
    pub fn verify(&self, digest: &Digest32, signature: &SignatureBytes) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.0.verify_prehash(digest, &signature).is_ok())
    }
}

/// Remembers outcomes of verifications by (peer, digest, signature).
#[derive(Debug, Default)]
pub struct SignatureMemo {
    known: Mutex<HashMap<(PeerId, Digest32, SignatureBytes), bool>>,
}

impl SignatureMemo {
    /// Same answer as [`PublicKey::verify`] with the peer's key, from memory when it is known.
    pub fn verify(
        &self,
        peer: PeerId,
        key: &PublicKey,
        digest: &Digest32,
        signature: &SignatureBytes,
    ) -> bool {
        let entry = (peer, *digest, *signature);
        if let Some(known) = self.lock().get(&entry) {
            return *known;
        }
        let valid = key.verify(digest, signature);
        self.remember(entry, valid);
        valid
    }

    fn remember(&self, entry: (PeerId, Digest32, SignatureBytes), valid: bool) {
        let mut known = self.lock();
        if known.len() >= MEMO_ENTRIES {
            known.clear();
        }
        known.insert(entry, valid);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(PeerId, Digest32, SignatureBytes), bool>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use k256::ecdsa::RecoveryId;

    use super::*;

    #[test]
    fn signatures_verify_for_their_key_and_digest_only() {
        let (a, b) = (
            NodeKey::from_secret(&[1; 32]).unwrap(),
            NodeKey::from_secret(&[2; 32]).unwrap(),
        );
        let key = PublicKey::try_from(a.peer()).unwrap();
        let memo = SignatureMemo::default();
        let signature = a.sign(&[7; 32]).unwrap();
        for _ in 0..2 {
            assert!(memo.verify(a.peer(), &key, &[7; 32], &signature));
            assert!(!memo.verify(a.peer(), &key, &[8; 32], &signature));
            assert!(!memo.verify(a.peer(), &key, &[7; 32], &b.sign(&[7; 32]).unwrap()));
        }
        assert_eq!(memo.lock().len(), 3);
    }

    #[test]
    fn a_malleated_signature_is_refused() {
        let node = NodeKey::from_secret(&[3; 32]).unwrap();
        let signature = Signature::from_slice(&node.sign(&[7; 32]).unwrap()).unwrap();
        let (r, s) = signature.split_scalars();
        let high = Signature::from_scalars(r, -*s).unwrap();
        let bytes: SignatureBytes = high.to_bytes().into();
        let key = PublicKey::try_from(node.peer()).unwrap();
        assert!(!key.verify(&[7; 32], &bytes));
    }

    #[test]
    fn a_contract_can_recover_the_signer() {
        let mut seen = std::collections::BTreeSet::new();
        for byte in 1..40 {
            let (node, digest) = (
                NodeKey::from_secret(&[byte; 32]).unwrap(),
                [byte ^ 0xa5; 32],
            );
            let bytes = node.sign_recoverable(&digest).unwrap();
            let (signature, v) = (Signature::from_slice(&bytes[..64]).unwrap(), bytes[64]);
            assert_eq!(bytes[..64], node.sign(&digest).unwrap());
            assert!(signature.normalize_s().is_none(), "s is high");
            let parity = RecoveryId::from_byte(v - 27).unwrap();
            let found = VerifyingKey::recover_from_prehash(&digest, &signature, parity).unwrap();
            assert_eq!(peer_of(&found), node.peer());
            seen.insert(v);
        }
        assert!(seen.into_iter().eq([27, 28]));
    }

    #[test]
    fn bad_keys_are_errors() {
        assert_eq!(
            NodeKey::from_secret(&[0; 32]).unwrap_err(),
            KeyError::Secret
        );
        assert!(PublicKey::try_from(PeerId([9; 33])).is_err());
    }

    #[test]
    fn a_key_has_one_name() {
        let peer = NodeKey::from_secret(&[7; 32]).unwrap().peer();
        let read = |tag| {
            let mut form = peer;
            form.0[0] = tag;
            PublicKey::try_from(form)
        };
        let accepted: Vec<u8> = (0..=255).filter(|tag| read(*tag).is_ok()).collect();
        assert_eq!(accepted, [2, 3]);
        let names = accepted
            .into_iter()
            .filter_map(|tag| Some(peer_of(&read(tag).ok()?.0)));
        assert_eq!(names.filter(|name| *name == peer).count(), 1);
    }

    #[test]
    fn salts_are_the_key_holders_alone_and_do_not_show_the_secret() {
        let [a, b] = [1, 2].map(|byte| NodeKey::from_secret(&[byte; 32]).unwrap().salt_key());
        assert_eq!(a.salt(&[7; 32]), a.clone().salt(&[7; 32]));
        assert_ne!(a.salt(&[7; 32]), a.salt(&[8; 32]));
        assert_ne!(a.salt(&[7; 32]), b.salt(&[7; 32]));
        assert_eq!(format!("{a:?}"), "SaltKey(..)");
    }

    #[test]
    fn the_memo_is_bounded() {
        let memo = SignatureMemo::default();
        for i in 0..=MEMO_ENTRIES as u64 {
            let digest = Hasher::new("t").u64(i).finish();
            memo.remember((PeerId([2; 33]), digest, [0; 64]), false);
        }
        assert_eq!(memo.lock().len(), 1);
    }
}
