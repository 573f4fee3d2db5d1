//! What the members of an averaging job say to each other.
//!
//! ```text
//! pairs   leader ─Offer─▶ follower          follower ─Offer, Have─▶ leader ─Decided─▶ follower
//! all     followers ─Offer─▶ leader ─Mean─▶ followers ─Have─▶ leader ─Decided─▶ followers
//!
//! either  Want: what is missing, once more        Alone: who says it moves without the group
//! all     OuterWanted ─▶ leader ─Outer─▶ who has another anchor than the mean moves
//! back    Where ─▶ everybody ─At─▶ who comes back: in which rounds the others are
//! ```
//! A message is an envelope with the round and the roster that its sender goes by. Whoever sent it
//! is known from the connection; signatures in it are checked before it is handed to a member.

use serde::{Deserialize, Serialize};
use skippipe::content::{Content, Digest};
use skippipe::wire::{self, NoMessage};

use super::transcript::{Listed, Part, Replica, RosterId, Statement};

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The round that it is about.
    pub round: u64,
    /// What its sender goes by in it.
    pub roster: RosterId,
    /// What.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// A replica's contribution.
    Offer(Offer),
    /// Leader: the mean of contributions.
    Mean(Mean),
    /// The sender is ready, and has not got what the receiver owes it.
    Want,
    /// Follower to leader: what you sent is here, is good, and has this hash.
    Have(Digest),
    /// Leader: all have what they need of the content with this hash; everybody moves.
    Decided(Digest),
    /// The sender moves without the group.
    Alone,
    /// Who takes part from a round on.
    Roster(Box<Listed>),
    /// The sender averaged with the receiver, but from another anchor.
    OuterWanted,
    /// Anchor and momentum after the round.
    Outer(Content),
    /// The sender comes back, and asks which round the receiver is in.
    Where,
    /// The sender is in the round of this message.
    At,
}

/// A contribution on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Digest of the sender's anchor and momentum.
    pub outer: Digest,
    /// Hash of the contribution, as it was signed.
    pub contribution: Digest,
    /// Signature of [`Statement::Offer`].
    pub signature: Vec<u8>,
    /// The contribution.
    pub content: Content,
}

/// A mean on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mean {
    /// Digest of the anchor and momentum that it moves.
    pub outer: Digest,
    /// What it is the mean of, ascending by replica.
    pub parts: Vec<Part>,
    /// The mean.
    pub content: Content,
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

    /// Every signature in a message from `from`, with its signer and what it is of. A message with
    /// one that does not hold is not to be handed to a member.
    pub fn signed(&self, job: Digest, from: Replica) -> Vec<(Replica, Statement, &[u8])> {
        let offered = |replica, outer, contribution| Statement::Offer {
            job,
            replica,
            round: self.round,
            roster: self.roster.digest,
            outer,
            contribution,
        };
        match &self.body {
            Body::Offer(offer) => {
                let statement = offered(from, offer.outer, offer.contribution);
                vec![(from, statement, &offer.signature)]
            }
            Body::Mean(mean) => {
                let parts = mean.parts.iter();
                let of = |part: &Part| offered(part.replica, part.outer, part.contribution);
                parts
                    .map(|part| (part.replica, of(part), part.signature.as_slice()))
                    .collect()
            }
            Body::Roster(listed) => {
                vec![(listed.by, listed.statement(job), &listed.signature)]
            }
            Body::Want
            | Body::Have(_)
            | Body::Decided(_)
            | Body::Alone
            | Body::OuterWanted
            | Body::Outer(_)
            | Body::Where
            | Body::At => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::averaging::transcript::Roster;

    fn sample(tag: u8, round: u64, bytes: Vec<u8>) -> Message {
        let digest = Digest([tag; 32]);
        let part = Part {
            replica: Replica(u32::from(tag)),
            outer: digest,
            contribution: digest,
            signature: bytes.clone(),
        };
        let content = Content::new(bytes.clone());
        let body = match tag % 11 {
            0 => Body::Offer(Offer {
                outer: digest,
                contribution: content.digest(),
                signature: bytes,
                content,
            }),
            1 => Body::Mean(Mean {
                outer: digest,
                parts: vec![part; usize::from(tag % 4)],
                content,
            }),
            2 => Body::Want,
            3 => Body::Have(digest),
            4 => Body::Decided(digest),
            5 => Body::Alone,
            6 => Body::Roster(Box::new(Listed {
                roster: Roster::initial(u32::from(tag)),
                by: Replica(1),
                signature: bytes,
            })),
            7 => Body::OuterWanted,
            8 => Body::Where,
            9 => Body::At,
            _ => Body::Outer(content),
        };
        let roster = Roster::initial(3).id();
        Message {
            round,
            roster,
            body,
        }
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

    #[test]
    fn signatures_are_of_all_that_a_step_depends_on() {
        let job = Digest([9; 32]);
        let message = sample(11, 4, vec![1, 2]);
        let (signer, statement, signature) = message.signed(job, Replica(5))[0];
        assert_eq!((signer, signature), (Replica(5), [1, 2].as_slice()));
        let Statement::Offer { round, roster, .. } = statement else {
            panic!("{statement:?}")
        };
        assert_eq!((round, roster), (4, Roster::initial(3).digest()));
        assert_eq!(sample(23, 4, vec![]).signed(job, Replica(5)).len(), 3);
        assert_eq!(
            sample(28, 4, vec![]).signed(job, Replica(5))[0].0,
            Replica(1)
        );
    }
}
