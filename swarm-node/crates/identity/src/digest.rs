//! SHA-256 with a domain in front, so that bytes hashed for one purpose never mean something for
//! another.

use sha2::{Digest, Sha256};

/// A 32-byte SHA-256 value.
pub type Digest32 = [u8; 32];

/// Incremental SHA-256 over `domain ‖ 0x00 ‖ parts`; parts of variable length must be last or carry
/// their length.
pub struct Hasher(Sha256);

impl Hasher {
    /// Starts a hash in the domain `swarm-node/round/1/<domain>`.
    pub fn new(domain: &str) -> Self {
        let mut sha = Sha256::new();
        sha.update(b"swarm-node/round/1/");
        sha.update(domain.as_bytes());
        sha.update([0]);
        Self(sha)
    }

    /// Adds bytes.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    /// Adds a little-endian number.
    pub fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    /// The digest.
    pub fn finish(self) -> Digest32 {
        self.0.finalize().into()
    }
}

/// The first eight bytes of a digest as a little-endian number.
pub fn low_u64(digest: &Digest32) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *digest;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// A digest as lower-case hexadecimal text.
pub fn hex(digest: &Digest32) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
