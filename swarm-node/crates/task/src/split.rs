//! Which questions may be trained on: one is held out exactly when its canonical form's SHA-256 is
//! 0 modulo 8.
//!
//! The canonical form is the same for all orders of a question's parts that cannot matter. So `sort
//! 38152=` and `sort 83152=` are in one split: a model that has trained on either has seen the
//! answer to both. The rule needs no list, so pretraining, reinforcement learning and every peer
//! skip the same questions.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One question in this many is held out.
pub const HELD_OUT_MODULUS: u8 = 8;

/// The part of all questions that a task is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Seven eighths: pretraining and reinforcement learning.
    Train,
    /// One eighth: evaluation only.
    HeldOut,
}

impl Split {
    /// The split of the questions with this canonical form, [`super::Question::canonical`].
    pub fn of(canonical: &str) -> Self {
        // The last byte of the big-endian digest alone decides divisibility by eight.
        let last = Sha256::digest(canonical.as_bytes())[31];
        if last.is_multiple_of(HELD_OUT_MODULUS) {
            Self::HeldOut
        } else {
            Self::Train
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::HeldOut => "held-out",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_is_the_digest_modulo_eight() {
        // SHA-256("abc") ends in …15ad, SHA-256("") in …b855; 0xad % 8 = 5, 0x55 % 8 = 5.
        assert_eq!(Split::of("abc"), Split::Train);
        assert_eq!(Split::of(""), Split::Train);
        let digest = |text: &str| Sha256::digest(text.as_bytes())[31];
        let held = (0..200)
            .map(|n| n.to_string())
            .find(|text| digest(text) % 8 == 0)
            .unwrap();
        assert_eq!(Split::of(&held), Split::HeldOut);
    }
}
