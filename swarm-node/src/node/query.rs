//! What a node asks another one directly, and the answers; what everybody must hear is gossip.
//!
//! ```text
//! Time              ─▶ Time(ms)                                  clocks are compared
//! Want(round, what) ─▶ Round(record) │ Blob(hash, bytes)         the round is decided there
//!                   └▶ Messages(envelopes) │ Nothing             it is open there
//! Again(messages)   ─▶ Nothing                                   said before, and perhaps not heard
//! Table(root)       ─▶ Table(bytes) │ Blob(hash, bytes) │ Nothing  what all owners earned
//! ```
//! Gossip delivers a message once; whoever was away, or not ready for it, never hears it again. So
//! what is said again is told to neighbours directly.
//!
//! Both sides are bincode of [`swarm_round::codec`], as long as the network allows; a decided round
//! that is longer than an answer is fetched by its hash.

use serde::{Deserialize, Serialize};
use swarm_net::BlobId;
use swarm_round::agreement::Want;
use swarm_round::clock::Millis;
use swarm_round::codec::{self, CodecError, bounded_list};

/// Most bytes of a question.
pub const MAX_QUERY: usize = swarm_net::limits::MAX_REQUEST_BYTES;
/// Most bytes of an answer.
pub const MAX_ANSWER: usize = swarm_net::limits::MAX_ANSWER_BYTES;
/// Most envelopes of an answer; the rest is asked for again.
const MAX_ENVELOPES: usize = 1024;
/// Bytes of an answer beside its content, at most.
const FRAME: usize = 16;

/// A question to a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// What time is it?
    Time,
    /// Something of a round.
    Want(Want),
    /// Signed messages that may have been missed.
    Again(#[serde(deserialize_with = "bounded_list::<_, _, MAX_ENVELOPES>")] Vec<Envelope>),
    /// The table of earnings with this root.
    Table([u8; 32]),
}

/// The answer of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Milliseconds since 1970 by the peer's clock.
    Time(Millis),
    /// The record of the decided round.
    Round(#[serde(deserialize_with = "bounded_list::<_, _, MAX_ANSWER>")] Vec<u8>),
    /// It is larger: fetch it by this hash.
    Blob {
        /// BLAKE3 of its bytes.
        hash: [u8; 32],
        /// Its length in bytes.
        bytes: u64,
    },
    /// Signed envelopes of an open round.
    Messages(#[serde(deserialize_with = "bounded_list::<_, _, MAX_ENVELOPES>")] Vec<Envelope>),
    /// The peer has nothing of it.
    Nothing,
    /// A table of earnings.
    Table(#[serde(deserialize_with = "bounded_list::<_, _, MAX_ANSWER>")] Vec<u8>),
}

/// The bytes of a signed message: an envelope of a round, or a vote on an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Envelope(
    #[serde(deserialize_with = "bounded_list::<_, _, { swarm_round::envelope::MAX_ENVELOPE }>")]
    pub Vec<u8>,
);

impl Query {
    /// These envelopes, in as many questions as they need.
    pub fn again(envelopes: &[std::sync::Arc<[u8]>]) -> Vec<Self> {
        let mut queries: Vec<(usize, Vec<Envelope>)> = Vec::new();
        for envelope in envelopes {
            let bytes = envelope.len() + FRAME;
            match queries.last_mut() {
                Some((room, list)) if *room >= bytes && list.len() < MAX_ENVELOPES => {
                    *room -= bytes;
                    list.push(Envelope(envelope.to_vec()));
                }
                // One that fits no question fits no record either.
                _ if bytes + FRAME <= MAX_QUERY => {
                    let list = vec![Envelope(envelope.to_vec())];
                    queries.push((MAX_QUERY - FRAME - bytes, list));
                }
                _ => {}
            }
        }
        queries
            .into_iter()
            .map(|(_, list)| Self::Again(list))
            .collect()
    }

    /// Its bytes.
    ///
    /// # Errors
    /// A want that is too long for one question.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode_within::<_, MAX_QUERY>(self)
    }

    /// Reads a question.
    ///
    /// # Errors
    /// Bytes that are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode_within::<_, MAX_QUERY>(bytes)
    }
}

impl Answer {
    /// As many of these envelopes, in their order, as fit one answer.
    pub fn messages<'a>(envelopes: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut room = MAX_ANSWER - FRAME;
        let mut list = Vec::new();
        for envelope in envelopes.into_iter().take(MAX_ENVELOPES) {
            match room.checked_sub(envelope.len() + FRAME) {
                Some(rest) => room = rest,
                None => break,
            }
            list.push(Envelope(envelope.to_vec()));
        }
        match list.is_empty() {
            true => Self::Nothing,
            false => Self::Messages(list),
        }
    }

    /// The record of a decided round, or where it can be fetched.
    pub fn record(record: &[u8]) -> Self {
        Self::whole(record).map_or_else(Self::blob(record), Self::Round)
    }

    /// A table of earnings, or where it can be fetched.
    pub fn table(table: &[u8]) -> Self {
        Self::whole(table).map_or_else(Self::blob(table), Self::Table)
    }

    /// What fits one answer.
    fn whole(bytes: &[u8]) -> Option<Vec<u8>> {
        (bytes.len() + FRAME <= MAX_ANSWER).then(|| bytes.to_vec())
    }

    fn blob(bytes: &[u8]) -> impl FnOnce() -> Self {
        move || {
            let BlobId { hash, bytes } = BlobId::of(bytes);
            Self::Blob { hash, bytes }
        }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// A content that is too long for one answer.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode_within::<_, MAX_ANSWER>(self)
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// Bytes that are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode_within::<_, MAX_ANSWER>(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use swarm_round::agreement::Wanted;

    use super::*;

    #[test]
    fn questions_and_answers_come_back() {
        let want = Want {
            round: 7,
            what: Wanted::Prevotes(2, [9; 32]),
        };
        for query in [Query::Time, Query::Want(want), Query::Table([3; 32])] {
            assert_eq!(Query::from_bytes(&query.to_bytes().unwrap()), Ok(query));
        }
        let list = [&b"one"[..], b"two"];
        for answer in [
            Answer::Time(5),
            Answer::record(&[1; 100]),
            Answer::record(&vec![1; MAX_ANSWER]),
            Answer::table(&[2; 100]),
            Answer::messages(list),
            Answer::Nothing,
        ] {
            assert_eq!(Answer::from_bytes(&answer.to_bytes().unwrap()), Ok(answer));
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_or_fetched() {
        let envelope = vec![7; 20_000];
        let answer = Answer::messages(std::iter::repeat_n(&envelope[..], 100));
        let Answer::Messages(list) = &answer else {
            panic!("{answer:?}")
        };
        assert_eq!(list.len(), (MAX_ANSWER - FRAME) / (20_000 + FRAME));
        assert!(answer.to_bytes().is_ok());
        assert_eq!(Answer::messages([]), Answer::Nothing);
        let record = Answer::record(&vec![1; MAX_ANSWER]);
        assert!(matches!(record, Answer::Blob { .. }));
    }

    #[test]
    fn envelopes_are_told_again_in_as_few_questions_as_they_need() {
        let envelopes: Vec<std::sync::Arc<[u8]>> = [30_000, 30_000, 60_000, 10]
            .map(|len| vec![7; len].into())
            .into();
        let queries = Query::again(&envelopes);
        let lengths: Vec<usize> = queries
            .iter()
            .map(|query| match query {
                Query::Again(list) => list.len(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(lengths, [2, 2]);
        for query in queries {
            assert_eq!(Query::from_bytes(&query.to_bytes().unwrap()), Ok(query));
        }
        assert_eq!(Query::again(&[]), []);
    }

    #[test]
    fn golden_bytes() {
        let want = Want {
            round: 300,
            what: Wanted::Decision,
        };
        assert_eq!(Query::Want(want).to_bytes().unwrap(), [1, 251, 44, 1, 0]);
        assert_eq!(Answer::Time(5).to_bytes().unwrap(), [0, 5]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Query::from_bytes(&bytes);
            let _ = Answer::from_bytes(&bytes);
        }
    }
}
