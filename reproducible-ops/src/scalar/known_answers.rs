//! The bits of the functions, pinned: an accuracy bound would let a changed coefficient pass.
//!
//! Each digest covers the results for every 65,521st bit pattern, in ascending order,
//! little-endian. A digest that changes is another arithmetic: it needs another version name in the
//! header of programs.

use super::{exp, gelu, log, sigmoid, silu, tanh};
use crate::random::gumbel;
use sha2::{Digest, Sha256};

/// Name, function, digest.
type Case = (&'static str, fn(f32) -> f32, u64);

/// The first eight bytes of the SHA-256 of all results.
fn digest(f: fn(f32) -> f32) -> u64 {
    let mut hasher = Sha256::new();
    for bits in (0..=u32::MAX).step_by(65_521) {
        hasher.update(f(f32::from_bits(bits)).to_bits().to_le_bytes());
    }
    u64::from_be_bytes(hasher.finalize()[..8].try_into().unwrap())
}

#[test]
fn functions_keep_their_bits() {
    let cases: [Case; 7] = [
        ("exp", exp, 0xdb06_7d04_f774_28d1),
        ("log", log, 0x8b3d_3b5e_711f_4259),
        ("tanh", tanh, 0x8bf0_a832_4347_b3a6),
        ("sigmoid", sigmoid, 0x5892_7ec2_5d50_41e4),
        ("silu", silu, 0xb8f5_9c3e_f22e_6438),
        ("gelu", gelu, 0x7c0c_f924_5903_7f68),
        ("gumbel", gumbel, 0xe821_a06c_67c1_7bce),
    ];
    let changed: Vec<String> = cases
        .into_iter()
        .map(|(name, function, want)| (name, digest(function), want))
        .filter(|(_, got, want)| got != want)
        .map(|(name, got, want)| format!("{name}: {got:#018x} against {want:#018x}"))
        .collect();
    assert!(changed.is_empty(), "{changed:#?}");
}
