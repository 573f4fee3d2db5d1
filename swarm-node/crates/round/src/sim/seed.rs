//! From the seed of a simulation to the keys of its streams.

use reproducible_ops::random::key_from;

/// The key of a purpose, for [`block`](reproducible_ops::random::block) and
/// [`Stream`](reproducible_ops::random::Stream): the job is the seed in little-endian bytes before
/// 24 zeros.
pub(super) fn seed_key(purpose: &str, seed: u64) -> [u32; 2] {
    let mut job = [0; 32];
    job[..8].copy_from_slice(&seed.to_le_bytes());
    key_from(purpose, &job, &[0; 32])
}
