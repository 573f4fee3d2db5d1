//! A key that signs one digest per place.
//!
//! The key is nowhere else: whoever holds a [`Signer`] can sign nothing past its table.

use thiserror::Error;

use crate::digest::Digest32;
use crate::key::{NodeKey, PeerId, RecoverableBytes, SaltKey, SignatureBytes};
use crate::once::{Place, SignOnce, SignOnceError};

/// Why there is no signature.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignError {
    /// The table does not allow it.
    #[error(transparent)]
    Once(#[from] SignOnceError),
    /// No nonce signs this digest, which has negligible probability.
    #[error("{0}: this digest cannot be signed; skip this message")]
    Unsignable(Place),
}

/// A node's key behind its table: a digest is committed before its signature exists.
#[derive(Clone, Debug)]
pub struct Signer<T> {
    key: NodeKey,
    table: T,
}

impl<T: SignOnce> Signer<T> {
    /// Puts a key behind a table; the table must be the one that saw everything the key has signed.
    pub fn new(key: NodeKey, table: T) -> Self {
        Self { key, table }
    }

    /// Signs a message's digest.
    ///
    /// # Errors
    /// Every [`SignError`]; there is no signature then.
    pub fn sign(&self, place: &Place, digest: &Digest32) -> Result<SignatureBytes, SignError> {
        self.table.commit(place, digest)?;
        self.key.sign(digest).ok_or(SignError::Unsignable(*place))
    }

    /// Signs a digest (EIP-712) so that a contract can recover the signer.
    ///
    /// # Errors
    /// Every [`SignError`]; there is no signature then.
    pub fn sign_recoverable(
        &self,
        place: &Place,
        digest: &Digest32,
    ) -> Result<RecoverableBytes, SignError> {
        self.table.commit(place, digest)?;
        self.key
            .sign_recoverable(digest)
            .ok_or(SignError::Unsignable(*place))
    }

    /// Forgets the rounds of a kind below `round`; nothing is signed for them any more.
    ///
    /// # Errors
    /// The table cannot be written.
    pub fn forget_before(
        &self,
        swarm: &Digest32,
        kind: u8,
        round: u64,
    ) -> Result<(), SignOnceError> {
        self.table.raise_floor(swarm, kind, round)
    }

    /// The identity that belongs to the key.
    pub fn peer(&self) -> PeerId {
        self.key.peer()
    }

    /// What derives the node's salts.
    pub fn salt_key(&self) -> SaltKey {
        self.key.salt_key()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::PublicKey;
    use crate::once::MemoryTable;
    use crate::testing::place;

    fn signer() -> Signer<MemoryTable> {
        Signer::new(
            NodeKey::from_secret(&[1; 32]).unwrap(),
            MemoryTable::default(),
        )
    }

    #[test]
    fn the_same_digest_has_the_same_signature_and_another_has_none() {
        let (signer, place) = (signer(), place(1, 1, 1, 1));
        let first = signer.sign(&place, &[7; 32]).unwrap();
        assert_eq!(signer.sign(&place, &[7; 32]).unwrap(), first);
        assert_eq!(
            signer.sign_recoverable(&place, &[7; 32]).unwrap()[..64],
            first
        );
        assert!(matches!(
            signer.sign(&place, &[8; 32]),
            Err(SignError::Once(SignOnceError::Conflict { .. }))
        ));
        assert!(signer.sign_recoverable(&place, &[8; 32]).is_err());
        assert!(
            PublicKey::try_from(signer.peer())
                .unwrap()
                .verify(&[7; 32], &first)
        );
    }

    #[test]
    fn forgotten_rounds_are_not_signed() {
        let (signer, place) = (signer(), place(1, 1, 1, 1));
        signer.sign(&place, &[7; 32]).unwrap();
        signer.forget_before(&place.swarm, place.kind, 2).unwrap();
        assert!(matches!(
            signer.sign(&place, &[7; 32]),
            Err(SignError::Once(SignOnceError::Forgotten { floor: 2, .. }))
        ));
    }

    /// A table that cannot write.
    struct Broken;

    impl SignOnce for Broken {
        fn commit(&self, _: &Place, _: &Digest32) -> Result<(), SignOnceError> {
            Err(SignOnceError::Table {
                source: "no space left on device".into(),
            })
        }

        fn raise_floor(&self, _: &Digest32, _: u8, _: u64) -> Result<(), SignOnceError> {
            Ok(())
        }
    }

    #[test]
    fn nothing_is_signed_without_the_table() {
        let signer = Signer::new(NodeKey::from_secret(&[1; 32]).unwrap(), Broken);
        let error = signer
            .sign(&place(1, 1, 1, 1), &[7; 32])
            .unwrap_err()
            .to_string();
        assert_eq!(error, "no space left on device; nothing was signed");
        assert!(
            signer
                .sign_recoverable(&place(1, 1, 1, 1), &[7; 32])
                .is_err()
        );
    }
}
