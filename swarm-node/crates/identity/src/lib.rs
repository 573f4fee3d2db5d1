//! Who the node is: its key, and what it has signed.
//!
//! ```text
//! key_file ─▶ NodeKey ──────────────┐
//!                                   ├─▶ Signer ─▶ signature
//! once (a table, on disk: store) ───┘
//!            place, digest ─▶ committed ─▶ signed
//! ```
//! One secp256k1 key signs every message of a node, and libp2p's peer id and the account that
//! contracts see are derived from it. Two signed messages for one place are evidence of cheating,
//! whoever caused the second one, so:
//! * a digest is on disk for its place *before* a signature leaves ([`SignOnce`]); a restart cannot
//!   sign another;
//! * two processes cannot use one key ([`KeyFile`] locks it);
//! * what was pruned is refused, not signed again.
//!
//! ```
//! use swarm_identity::{MemoryTable, NodeKey, Place, SignError, SignOnceError, Signer};
//!
//! let key = NodeKey::from_secret(&[7; 32])?;
//! let signer = Signer::new(key, MemoryTable::default());
//! let place = Place { swarm: [1; 32], kind: 1, round: 9, slot: 0 };
//!
//! let signature = signer.sign(&place, &[0xaa; 32])?;
//! // The same digest again is harmless: the signature is the same.
//! assert_eq!(signer.sign(&place, &[0xaa; 32])?, signature);
//! // Another digest for the place would be equivocation.
//! assert!(matches!(
//!     signer.sign(&place, &[0xbb; 32]),
//!     Err(SignError::Once(SignOnceError::Conflict { .. }))
//! ));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The table protects as long as it is the one that signed. After a loss, or with an older copy,
//! call [`Signer::forget_before`] with a round that has not begun before anything is signed.

pub mod digest;
pub mod key;
pub mod key_file;
pub mod once;
mod peer_text;
pub mod secret;
pub mod signer;
#[cfg(any(test, feature = "testing"))]
#[expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]
pub mod testing;

pub use key::{NodeKey, PeerId, SaltKey};
pub use key_file::{KeyFile, KeyFileError};
pub use once::{
    AVERAGING_OFFER, AVERAGING_ROSTER, AVERAGING_ROUND, EPOCH_OUTCOME, EPOCH_REFUSAL, MemoryTable,
    PIPELINE_ADMISSION, PIPELINE_STEP, Place, STEP_CLAIM, SignOnce, SignOnceError,
};
pub use peer_text::PeerIdError;
pub use secret::{Address, Secret, SecretError};
pub use signer::{SignError, Signer};
