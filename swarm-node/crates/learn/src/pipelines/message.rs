//! What holders of a stage say to those of the same stage in other pipelines.
//!
//! ```text
//! pairs   Want ⇄ Want      Offer ⇄ Offer
//! all     followers ─Want─▶ leader, leader ─Want─▶ followers ─Offer─▶ leader ─Mean─▶ followers
//!         OuterWanted ─▶ leader ─Outer─▶ who has another anchor than the mean moves
//! either  Alone: not with me      Elsewhere: ask that peer, who speaks for the stage here
//! ```
//! Whoever sent a message is known from the connection; signatures in it are checked before it is handed
//! on.

use serde::{Deserialize, Serialize};
use skippipe::content::{Content, Digest};
use skippipe::meeting::{Part, Replica};
use skippipe::path::{Peer, Stage};
use skippipe::wire::{self, NoMessage};

use super::settings::{Seat, Settings};
use crate::averaging::message::{Mean, Offer};
use crate::averaging::transcript::Statement;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The meeting that it is about.
    pub round: u64,
    /// The stage.
    pub stage: Stage,
    /// What.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// The sender speaks for its stage at this meeting, and has not got what the receiver owes it.
    Want,
    /// What the sender's stage contributes.
    Offer(Offer),
    /// Leader: the mean of contributions.
    Mean(Mean),
    /// The sender's stage does not average with the receiver's at this meeting.
    Alone,
    /// Another peer speaks for the stage in the sender's pipeline.
    Elsewhere(Peer),
    /// The sender takes over the anchor that the mean moved.
    OuterWanted,
    /// Anchor and momentum after the meeting.
    Outer(Content),
}

/// Whose a signature must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// This peer's.
    Seat(Seat),
    /// That of some peer of this pipeline.
    Pipeline(Replica),
}

impl Message {
    /// As it is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::to_bytes(self)
    }

    /// Reads a message, which all bytes are of.
    ///
    /// # Errors
    /// These bytes are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NoMessage> {
        wire::from_bytes(bytes)
    }

    /// Every signature in a message from `from`, whose it must be and what it is of. A message with one
    /// that does not hold is not to be handed on.
    pub fn signed(&self, settings: &Settings, from: Seat) -> Vec<(Signer, Statement, &[u8])> {
        let statement = |pipeline, outer, contribution| {
            offered(
                settings,
                (self.round, self.stage),
                pipeline,
                outer,
                contribution,
            )
        };
        match &self.body {
            Body::Offer(offer) => {
                let of = statement(from.pipeline, offer.outer, offer.contribution);
                vec![(Signer::Seat(from), of, &offer.signature)]
            }
            Body::Mean(mean) => {
                let parts = mean.parts.iter();
                let signed = |part: &'_ Part| {
                    let of = statement(part.replica, part.outer, part.contribution);
                    (Signer::Pipeline(part.replica), of)
                };
                parts
                    .map(|part| {
                        let (signer, of) = signed(part);
                        (signer, of, part.signature.as_slice())
                    })
                    .collect()
            }
            Body::Want | Body::Alone | Body::Elsewhere(_) | Body::OuterWanted | Body::Outer(_) => {
                Vec::new()
            }
        }
    }
}

/// What a holder signs of its stage's contribution.
pub fn offered(
    settings: &Settings,
    (round, stage): (u64, Stage),
    pipeline: Replica,
    outer: Digest,
    contribution: Digest,
) -> Statement {
    Statement::Offer {
        job: settings.job_of_stage(stage),
        replica: pipeline,
        round,
        roster: settings.roster().digest(),
        outer,
        contribution,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(tag: u8, round: u64, bytes: Vec<u8>) -> Message {
        let digest = Digest([tag; 32]);
        let content = Content::new(bytes.clone());
        let part = Part {
            replica: Replica(u32::from(tag)),
            outer: digest,
            contribution: digest,
            signature: bytes.clone(),
        };
        let body = match tag % 7 {
            0 => Body::Want,
            1 => Body::Offer(Offer {
                outer: digest,
                contribution: content.digest(),
                signature: bytes,
                content,
            }),
            2 => Body::Mean(Mean {
                outer: digest,
                parts: vec![part; usize::from(tag % 4)],
                content,
            }),
            3 => Body::Alone,
            4 => Body::Elsewhere(Peer(u32::from(tag))),
            5 => Body::OuterWanted,
            _ => Body::Outer(content),
        };
        let stage = Stage(u16::from(tag));
        Message { round, stage, body }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(tag in any::<u8>(), round in any::<u64>(), bytes in any::<Vec<u8>>()) {
            let message = sample(tag, round, bytes);
            let written = message.to_bytes();
            prop_assert_eq!(Message::from_bytes(&written).unwrap(), message);
            prop_assert!(Message::from_bytes(&written[..written.len() - 1]).is_err());
        }

        #[test]
        fn what_is_no_message_is_refused_without_harm(
            tag in any::<u8>(), at in any::<usize>(), byte in any::<u8>(), bytes in any::<Vec<u8>>(),
        ) {
            let _ = Message::from_bytes(&bytes);
            let mut changed = sample(tag, 1, bytes).to_bytes();
            let at = at % changed.len();
            changed[at] = byte;
            if let Ok(message) = Message::from_bytes(&changed) {
                prop_assert_eq!(Message::from_bytes(&message.to_bytes()).unwrap(), message);
            }
        }
    }
}
