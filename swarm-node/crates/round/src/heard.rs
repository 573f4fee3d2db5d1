//! What members said in their places: the first message of each, or the proof that there are two.
//!
//! ```text
//!                first message                another payload
//! place: empty ────────────────► one message ────────────────► contradicted (Evidence)
//!                                 │      ▲                          │    ▲
//!                                 └──────┘ the same: duplicate      └────┘ anything: duplicate
//! ```
//! The first properly signed message takes a place; a different one is an *equivocation*: both are
//! kept as [`Evidence`], and the place stays closed.

use std::collections::HashMap;
use std::sync::Arc;

use swarm_identity::key::PeerId;

use crate::agreement::MessagePlace;
use crate::envelope::Envelope;
use crate::payload::Kind;
use crate::rejection::Rejection;

/// Two signed messages of one peer for one place: a proof that needs no witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The peer that contradicted itself.
    pub peer: PeerId,
    /// The message that arrived first.
    pub first: Arc<[u8]>,
    /// The one that differs.
    pub second: Arc<[u8]>,
}

impl Evidence {
    /// The proof of a message and another one that came before it.
    pub fn new(envelope: &Envelope<'_>, first: Arc<[u8]>, second: &Arc<[u8]>) -> Self {
        Self {
            peer: envelope.header.peer,
            first,
            second: second.clone(),
        }
    }
}

/// Why a message does not count, with the proof if it is an equivocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub reason: Rejection,
    /// Of an equivocation.
    pub evidence: Option<Box<Evidence>>,
    /// True if the message was noted all the same: what follows may depend on it.
    pub is_noted: bool,
}

impl Refusal {
    /// Of a message that was noted.
    pub fn noted(reason: Rejection) -> Self {
        Self {
            is_noted: true,
            ..reason.into()
        }
    }
}

impl From<Rejection> for Refusal {
    fn from(reason: Rejection) -> Self {
        Self {
            reason,
            evidence: None,
            is_noted: false,
        }
    }
}

impl From<Evidence> for Refusal {
    fn from(evidence: Evidence) -> Self {
        Self {
            reason: Rejection::Equivocation,
            evidence: Some(Box::new(evidence)),
            is_noted: true,
        }
    }
}

/// What a member said in a place.
enum Said {
    Once(Arc<[u8]>),
    Twice { first: Arc<[u8]>, second: Arc<[u8]> },
}

/// The messages of a round by place. Hashed and not sorted, because every message looks its place
/// up.
#[derive(Default)]
pub(crate) struct Heard(HashMap<MessagePlace, Said>);

impl Heard {
    /// Places in which something was said.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if something was said in the place.
    pub fn contains(&self, place: MessagePlace) -> bool {
        self.0.contains_key(&place)
    }

    /// The message of a place that came first.
    pub fn first(&self, place: MessagePlace) -> Option<&Arc<[u8]>> {
        self.messages(place).next()
    }

    /// The messages of a place: both, where they contradict each other.
    pub fn messages(&self, place: MessagePlace) -> impl Iterator<Item = &Arc<[u8]>> {
        let (first, second) = match self.0.get(&place) {
            None => (None, None),
            Some(Said::Once(first)) => (Some(first), None),
            Some(Said::Twice { first, second }) => (Some(first), Some(second)),
        };
        first.into_iter().chain(second)
    }

    /// The places of this kind and slot in which something was said, ascending by member.
    pub fn places(&self, kind: Kind, slot: u16) -> Vec<MessagePlace> {
        let places = self.0.keys().copied();
        let mut found: Vec<_> = places
            .filter(|place| (place.kind, place.slot) == (kind, slot))
            .collect();
        found.sort_unstable();
        found
    }

    /// Refuses a message whose place is closed or says the same already. Compares payloads: a
    /// member that signs the same payload twice does not contradict itself.
    ///
    /// # Errors
    /// [`Rejection::Duplicate`].
    pub fn check(&self, place: MessagePlace, envelope: &Envelope<'_>) -> Result<(), Rejection> {
        let is_new = match self.0.get(&place) {
            None => true,
            Some(Said::Twice { .. }) => false,
            Some(Said::Once(bytes)) => {
                Envelope::parse(bytes).is_ok_and(|known| known.payload != envelope.payload)
            }
        };
        match is_new {
            true => Ok(()),
            false => Err(Rejection::Duplicate),
        }
    }

    /// Notes a signed message that was checked. Returns the proof if it contradicts the first.
    ///
    /// # Errors
    /// [`Rejection::Duplicate`] if the place is closed.
    pub fn note(
        &mut self,
        place: MessagePlace,
        envelope: &Envelope<'_>,
        bytes: &Arc<[u8]>,
    ) -> Result<Option<Evidence>, Rejection> {
        let (said, evidence) = match self.0.get(&place) {
            None => (Said::Once(bytes.clone()), None),
            Some(Said::Once(first)) => {
                let (first, second) = (first.clone(), bytes.clone());
                let evidence = Evidence::new(envelope, first.clone(), bytes);
                (Said::Twice { first, second }, Some(evidence))
            }
            Some(Said::Twice { .. }) => return Err(Rejection::Duplicate),
        };
        self.0.insert(place, said);
        Ok(evidence)
    }
}
