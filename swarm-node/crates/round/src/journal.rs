//! The journal: what a core was told, so that another one can be told the same after a restart.
//!
//! A core is a function of its inputs and their times, so it is not its state that is written down
//! but what led to it: one [`Record`] for each input that changed anything. What was refused
//! without a trace, which anybody can send without end, is not in it.
//!
//! ```text
//! segment r                                                       segment r + 1
//! │ Begin(snapshot) │ Tick │ Envelope │ Work │ Signed │ Decided … │ Begin(snapshot) │ …
//! └ round r − 1 enters its settle window                          └ round r enters its own
//! ```
//! Everything that a round depends on is in its segment or a later one: its early messages come in
//! the window before it begins. So the segments before the first undecided round are dropped
//! ([`Output::ForgetBefore`](crate::Output::ForgetBefore)), and a replay begins with any segment.
//!
//! The rule for whoever runs a core: **an input that can lead to a signature is in the journal
//! before the signature leaves.** In this order:
//! 1. [`Core::handle_recorded`](crate::Core::handle_recorded);
//! 2. archive the rounds of [`Output::Decided`](crate::Output::Decided);
//! 3. append the records;
//! 4. act on the outputs.
//!
//! If 2 or 3 fails, nothing of 4 happens and the node stops. Neither needs to be on disk at once:
//! it suffices that the sign-once table's commit, which comes before each signature, brings all
//! that was written before to disk with it. Then what is left after a crash is a beginning of the
//! journal that has every input which led to a signature that anybody saw. A core that replays it
//! asks for those very signatures and for none that contradicts them, and it knows what its votes
//! bind it to.
//!
//! Decided rounds are in it by number only; the archive has them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use swarm_identity::Place;
use swarm_identity::key::{PeerId, SIGNATURE_BYTES, SignatureBytes};

use crate::agreement::History;
use crate::clock::{Millis, Round};
use crate::codec::{self, CodecError, bounded_list};
use crate::config::SwarmId;
use crate::envelope::MAX_ENVELOPE;
use crate::membership::{MAX_MEMBERS, Member};
use crate::work::Work;

/// Version of the core's behaviour: raised whenever the same inputs may lead to other outputs. A
/// journal of another version is not replayed.
pub const JOURNAL_VERSION: u16 = 3;
/// Most bytes of a record; the largest is the work of a stage.
pub const MAX_ENTRY: usize = 64 << 20;

/// Something that happened to a core, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The core's time.
    pub at: Millis,
    /// What happened.
    pub what: Entry,
}

/// What happened to a core.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Entry {
    /// A segment begins with this state.
    Begin(Box<Snapshot>),
    /// Time passed.
    Tick,
    /// [`Input::Lead`](crate::Input::Lead).
    Lead(Millis),
    /// A message of a neighbour.
    Envelope(PeerId, Message),
    /// Finished work for a round.
    Work(Round, Work),
    /// A registration.
    Register(Member),
    /// A signature for a place.
    Signed(SignedPlace, SignatureRecord),
    /// There is none.
    Refused(SignedPlace),
    /// A round is decided: by what happened before, or because it was adopted.
    Decided(Round),
    /// The stakes of an epoch.
    Stakes(
        u64,
        #[serde(deserialize_with = "bounded_list::<_, _, MAX_MEMBERS>")] Vec<Member>,
    ),
}

/// What a core knows when a segment begins, less what is decided by now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`JOURNAL_VERSION`].
    pub version: u16,
    /// The swarm.
    pub swarm: SwarmId,
    /// The node.
    pub peer: PeerId,
    /// First round that the node may still take part in.
    pub next_round: Round,
    /// First round since which the node remembers everything.
    pub first: Round,
    /// The round in which the clock was last seen, and the first undecided round then.
    pub seen: Option<(Round, Round)>,
    /// Undecided rounds that were opened because they were missed.
    pub missed: BTreeSet<Round>,
    /// Rounds that were begun and are not decided. If the journal begins here, it tells of them
    /// only that they are decided.
    pub open: BTreeSet<Round>,
    /// How long before the end of a window contents must go out, in milliseconds.
    pub lead: Millis,
    /// The registrations, each with the round from which it counts.
    #[serde(deserialize_with = "bounded_list::<_, _, MAX_MEMBERS>")]
    pub registered: Vec<(Round, Member)>,
    /// The stakes by epoch.
    pub stakes: BTreeMap<u64, Vec<Member>>,
    /// The decided rounds, as far as votes depend on them.
    pub history: History,
}

impl Record {
    /// The record's bytes.
    ///
    /// # Errors
    /// More than [`MAX_ENTRY`] bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode_within::<_, MAX_ENTRY>(self)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// Bytes that are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode_within::<_, MAX_ENTRY>(bytes)
    }
}

/// The bytes of an envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Message(
    #[serde(serialize_with = "message_bytes", deserialize_with = "bounded_message")] pub Arc<[u8]>,
);

fn message_bytes<S: Serializer>(bytes: &Arc<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(bytes.iter())
}

fn bounded_message<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
    bounded_list::<_, u8, MAX_ENVELOPE>(deserializer).map(Arc::from)
}

/// A place in the sign-once table of the journal's swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedPlace {
    kind: u8,
    round: Round,
    slot: u16,
}

impl From<&Place> for SignedPlace {
    fn from(place: &Place) -> Self {
        let Place {
            kind, round, slot, ..
        } = *place;
        Self { kind, round, slot }
    }
}

impl SignedPlace {
    /// The place in a swarm.
    pub fn of(self, swarm: SwarmId) -> Place {
        let Self { kind, round, slot } = self;
        Place {
            swarm,
            kind,
            round,
            slot,
        }
    }
}

/// The 64 bytes of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureRecord(pub SignatureBytes);

impl Serialize for SignatureRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = serializer.serialize_tuple(SIGNATURE_BYTES)?;
        self.0
            .iter()
            .try_for_each(|byte| bytes.serialize_element(byte))?;
        bytes.end()
    }
}

impl<'de> Deserialize<'de> for SignatureRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(SIGNATURE_BYTES, SignatureVisitor)
    }
}

struct SignatureVisitor;

impl<'de> Visitor<'de> for SignatureVisitor {
    type Value = SignatureRecord;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {SIGNATURE_BYTES} bytes of a signature")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<SignatureRecord, A::Error> {
        let mut bytes = [0; SIGNATURE_BYTES];
        for (index, byte) in bytes.iter_mut().enumerate() {
            let item = items.next_element()?;
            *byte = item.ok_or_else(|| A::Error::invalid_length(index, &self))?;
        }
        Ok(SignatureRecord(bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::completion::SharedCompletion;
    use crate::config::{Agreement, Membership};
    use crate::work::{CritiqueText, DecisionText};

    fn place() -> SignedPlace {
        SignedPlace {
            kind: 7,
            round: 300,
            slot: 2,
        }
    }

    fn bytes(what: Entry) -> Vec<u8> {
        Record { at: 5, what }.to_bytes().unwrap()
    }

    #[test]
    fn golden_bytes() {
        let peer = PeerId([2; 33]);
        assert_eq!(bytes(Entry::Tick), [5, 1]);
        assert_eq!(bytes(Entry::Lead(9)), [5, 2, 9]);
        let message = Entry::Envelope(peer, Message(vec![1, 0xff].into()));
        assert_eq!(
            bytes(message),
            [&[5, 3][..], &[2; 33], &[2, 1, 0xff]].concat()
        );
        let answers = Work::Answers(vec![(1, vec![SharedCompletion::untold("a".into())])]);
        assert_eq!(
            bytes(Entry::Work(6, answers)),
            b"\x05\x04\x06\x00\x01\x01\x01\x01a\x00\x00"
        );
        let critiques = Work::Critiques(vec![(1, CritiqueText::default())]);
        assert_eq!(bytes(Entry::Work(6, critiques)), [5, 4, 6, 1, 1, 1, 0, 0]);
        let decisions = Work::Decisions(vec![(1, DecisionText::default())]);
        assert_eq!(bytes(Entry::Work(6, decisions)), [5, 4, 6, 2, 1, 1, 0, 0]);
        let signed = Entry::Signed(place(), SignatureRecord([8; 64]));
        assert_eq!(
            bytes(signed),
            [&[5, 6, 7, 251, 44, 1, 2][..], &[8; 64]].concat()
        );
        assert_eq!(bytes(Entry::Refused(place())), [5, 7, 7, 251, 44, 1, 2]);
        assert_eq!(bytes(Entry::Decided(4)), [5, 8, 4]);
        let stakes = Entry::Stakes(6, vec![Member::new(peer)]);
        let topics = [253, 255, 255, 255, 255, 255, 255, 255, 255];
        assert_eq!(
            bytes(stakes),
            [&[5, 9, 6, 1][..], &[2; 33], &[1], &topics].concat()
        );
    }

    fn snapshot() -> Snapshot {
        Snapshot {
            version: JOURNAL_VERSION,
            swarm: [1; 32],
            peer: PeerId([2; 33]),
            next_round: 7,
            first: 2,
            seen: Some((6, 5)),
            missed: [3].into(),
            open: [3, 6].into(),
            lead: 40,
            registered: vec![(3, Member::new(PeerId([3; 33])))],
            history: History::new(Agreement::default(), &Membership::default()),
            stakes: [(4, vec![Member::new(PeerId([4; 33]))])].into(),
        }
    }

    fn entries() -> impl Strategy<Value = Entry> {
        let message = prop::collection::vec(any::<u8>(), 0..300);
        let texts = prop::collection::vec((any::<u16>(), "\\PC{0,20}"), 0..4);
        prop_oneof![
            Just(Entry::Begin(Box::new(snapshot()))),
            Just(Entry::Tick),
            any::<u64>().prop_map(Entry::Lead),
            message.prop_map(|bytes| Entry::Envelope(PeerId([3; 33]), Message(bytes.into()))),
            (any::<u64>(), texts).prop_map(|(round, texts)| {
                let texts = texts.into_iter();
                let answers =
                    texts.map(|(slot, text)| (slot, vec![SharedCompletion::untold(text)]));
                Entry::Work(round, Work::Answers(answers.collect()))
            }),
            any::<u64>().prop_map(Entry::Decided),
            Just(Entry::Register(Member::new(PeerId([3; 33])))),
            Just(Entry::Refused(place())),
        ]
    }

    proptest! {
        #[test]
        fn a_record_comes_back_whole_or_not_at_all(at: u64, what in entries(), more: u8) {
            let record = Record { at, what };
            let mut bytes = record.to_bytes().unwrap();
            prop_assert_eq!(Record::from_bytes(&bytes), Ok(record));
            for len in 0..bytes.len() {
                prop_assert!(Record::from_bytes(&bytes[..len]).is_err());
            }
            bytes.push(more);
            prop_assert!(Record::from_bytes(&bytes).is_err());
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Record::from_bytes(&bytes);
        }
    }

    #[test]
    fn a_message_is_bounded() {
        let long = Entry::Envelope(PeerId([2; 33]), Message(vec![0; MAX_ENVELOPE + 1].into()));
        assert!(Record::from_bytes(&bytes(long)).is_err());
    }
}
