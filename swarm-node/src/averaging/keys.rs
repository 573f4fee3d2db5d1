//! The keys of an averaging job's replicas, and whether a signature is one's own. Where pipelines are the
//! replicas, those of all peers by their places in the charter.

use skippipe::content::Digest;
use swarm_identity::PeerId;
use swarm_identity::key::{PublicKey, SignatureBytes};
use swarm_learn::averaging::transcript::{Replica, Statement};

/// Keys by replica.
#[derive(Clone, Debug)]
pub struct Keys(Vec<Option<PublicKey>>);

impl Keys {
    /// Of peers in the order of their replicas. Whose name is no point of the curve signs nothing.
    pub fn new(peers: &[PeerId]) -> Self {
        let keys = peers.iter().map(|peer| PublicKey::try_from(*peer).ok());
        Self(keys.collect())
    }

    /// Whether a replica signed a statement.
    pub fn hold(&self, by: Replica, statement: &Statement, signature: &[u8]) -> bool {
        self.hold_digest(by, &statement.digest(), signature)
    }

    fn hold_digest(&self, by: Replica, digest: &Digest, signature: &[u8]) -> bool {
        let key = self.0.get(by.index()).and_then(Option::as_ref);
        let signature = SignatureBytes::try_from(signature);
        let (Some(key), Ok(signature)) = (key, signature) else {
            return false;
        };
        key.verify(&digest.0, &signature)
    }
}
