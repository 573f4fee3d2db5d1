//! One completion as its writer publishes it: the text, how it ended, and how probable its tokens
//! were to the writer.
//!
//! The log-probabilities let others learn from the text as what it is, the sample of another
//! policy: the importance of a token is own / writer's probability, capped at 1. They are part of
//! the sealed and signed body, in steps of [`LogProb::STEP`], so an audit that recomputes the
//! completion must find exactly these numbers.
//!
//! Invariants: a completion that was cut has no end and, as its tokens are not those that were
//! sampled any more, either the log-probabilities of exactly the tokens that are left or none.
//! Whoever claims too small a probability gains nothing by it (the cap), whoever claims too large a
//! one is learned from less.

use serde::{Deserialize, Serialize};

use crate::codec::{Text, bounded_list};
use crate::config::MAX_TOKENS;

/// The log-probability of a token, rounded to steps of 1/256 nat, from 0 down to
/// [`LogProb::LEAST`].
///
/// ```
/// use swarm_round::LogProb;
///
/// assert_eq!(LogProb::of(-0.5).nats(), -0.5);
/// assert_eq!(LogProb::of(-1000.0).nats(), LogProb::LEAST);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogProb(u16);

impl LogProb {
    /// Distance of two neighbouring values, in nats: a factor of 1.004 in probability.
    pub const STEP: f32 = 1.0 / 256.0;
    /// The smallest value, in nats.
    pub const LEAST: f32 = -(u16::MAX as f32) * Self::STEP;

    /// The nearest value. Positive numbers and NaN, which no log-probability is, count as 0.
    pub fn of(nats: f32) -> Self {
        // Scaling by a power of two is exact, and `as` saturates, so equal bits give equal values
        // everywhere.
        Self((-nats / Self::STEP).round() as u16)
    }

    /// The value in nats.
    pub fn nats(self) -> f32 {
        -f32::from(self.0) * Self::STEP
    }
}

/// One completion of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedCompletion {
    /// What the writer's model wrote, without the token that ended it.
    pub text: Text,
    /// That token's id in the writer's vocabulary; none if the text was cut off before its end.
    pub end: Option<u32>,
    /// Log-probabilities of the tokens, that of the end included, at the temperature at which they
    /// were sampled; empty if the writer tells none.
    #[serde(deserialize_with = "bounded_list::<_, _, { MAX_TOKENS as usize }>")]
    pub logp: Vec<LogProb>,
}

impl SharedCompletion {
    /// A text of which no more is known.
    pub fn untold(text: String) -> Self {
        Self {
            text: Text::cut(text, u16::MAX),
            end: None,
            logp: Vec::new(),
        }
    }

    /// Cuts the completion to these limits. A cut text has lost its end, and its log-probabilities,
    /// which belong to tokens that this function does not know; a writer that wants to keep them
    /// cuts at tokens beforehand.
    pub(super) fn fit(self, text_bytes: u16, tokens: u16) -> Self {
        let is_cut = self.text.as_str().len() > usize::from(text_bytes);
        let Self {
            text,
            end,
            mut logp,
        } = self;
        if is_cut || logp.len() > usize::from(tokens) {
            logp.clear();
        }
        Self {
            text: text.shorten(text_bytes),
            end: end.filter(|_| !is_cut),
            logp,
        }
    }

    /// Whether the completion keeps these limits.
    pub(super) fn fits(&self, text_bytes: u16, tokens: u16) -> bool {
        self.text.as_str().len() <= usize::from(text_bytes)
            && self.logp.len() <= usize::from(tokens)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::{decode, encode};
    use crate::config::{FRAME_BYTES, LOG_PROB_BYTES};

    #[test]
    fn golden_bytes() {
        let logp = [0.0, -0.25, -2.0].map(LogProb::of).to_vec();
        let told = SharedCompletion {
            text: Text::cut("42".into(), 9),
            end: Some(1),
            logp,
        };
        // Text; end; three numbers of 0, 64 and 512 steps, the last in three bytes.
        assert_eq!(
            encode(&told).unwrap(),
            b"\x0242\x01\x01\x03\x00\x40\xfb\x00\x02"
        );
        assert_eq!(
            encode(&SharedCompletion::untold("42".into())).unwrap(),
            b"\x0242\x00\x00"
        );
    }

    #[test]
    fn log_probabilities_are_rounded_to_the_nearest_step() {
        for (nats, steps) in [
            (0.0, 0),
            (-0.0019, 0),
            (-0.002, 1),
            (-1.0, 256),
            (-255.99, 65533),
            (-1e9, 65535),
        ] {
            assert_eq!(LogProb::of(nats), LogProb(steps), "{nats}");
        }
        for no_log_probability in [f32::NAN, 0.1, f32::INFINITY] {
            assert_eq!(LogProb::of(no_log_probability), LogProb(0));
        }
        assert_eq!(LogProb::of(f32::NEG_INFINITY).nats(), LogProb::LEAST);
    }

    #[test]
    fn a_cut_text_has_no_end_and_no_log_probabilities() {
        let told = SharedCompletion {
            text: Text::cut("12345".into(), 9),
            end: Some(7),
            logp: vec![LogProb::of(-1.0); 6],
        };
        assert_eq!(told.clone().fit(5, 6), told);
        assert_eq!(
            told.clone().fit(4, 6),
            SharedCompletion::untold("1234".into())
        );
        let kept = told.clone().fit(5, 5);
        assert_eq!((kept.end, kept.logp.len()), (Some(7), 0));
        assert!(told.fits(5, 6) && !told.fits(4, 6) && !told.fits(5, 5));
    }

    #[test]
    fn a_hostile_list_of_log_probabilities_is_refused() {
        let logp = vec![LogProb(0); usize::from(MAX_TOKENS) + 1];
        let bytes = encode(&SharedCompletion {
            text: Text::cut(String::new(), 0),
            end: None,
            logp,
        })
        .unwrap();
        assert!(decode::<SharedCompletion>(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn a_completion_survives_the_codec_within_its_bytes(
            text in ".{0,60}", end: Option<u32>, logp in prop::collection::vec(-300f32..0.0, 0..40),
        ) {
            let logp: Vec<LogProb> = logp.into_iter().map(LogProb::of).collect();
            let completion = SharedCompletion { text: Text::cut(text, 240), end, logp };
            let bytes = encode(&completion).unwrap();
            let most = completion.text.as_str().len() + completion.logp.len() * LOG_PROB_BYTES + FRAME_BYTES;
            prop_assert!(bytes.len() <= most);
            prop_assert_eq!(decode::<SharedCompletion>(&bytes).unwrap(), completion);
        }

        #[test]
        fn rounding_is_to_half_a_step_and_idempotent(nats in LogProb::LEAST..0.0) {
            let rounded = LogProb::of(nats);
            prop_assert!((rounded.nats() - nats).abs() <= LogProb::STEP / 2.0);
            prop_assert_eq!(LogProb::of(rounded.nats()), rounded);
        }
    }
}
