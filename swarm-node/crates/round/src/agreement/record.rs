//! The bytes of a decided round: what a peer sends, an archive keeps and a file exports.
//!
//! ```text
//! certificate │ minutes │ shares │ critiques │ decisions │ equivocations │ hellos      bincode, see `codec`
//! ```
//! Members, questions and assignments are not in it: they follow from the swarm's configuration and
//! its members, as scores follow from the contents. So a record is as good as its certificate, and
//! whoever knows the members proves it with [`RoundRecord::open`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use swarm_identity::key::{PeerId, SignatureMemo};

use super::certificate::Certificate;
use super::decided::{AdoptError, DecidedRound};
use super::minutes::Minutes;
use super::voters::Voters;
use crate::clock::Round;
use crate::codec::{self, CodecError, bounded_list};
use crate::membership::hello::MAX_HELLOS;
use crate::membership::{MAX_MEMBERS, MemberIndex};
use crate::payload::{CompletionGroup, Critique, Decision};
use crate::question::Judge;
use crate::transcript::{RoundPlan, Transcript, TranscriptKey};

/// Most bytes of a record: far more than the largest round that fits its windows.
pub const MAX_RECORD: usize = 64 << 20;
/// Most contents of a stage: thirty-two of each of the most members.
pub const MAX_CONTENTS: usize = 32 * MAX_MEMBERS;
/// Most bytes of a certificate: a signature of each of the most members.
const MAX_CERTIFICATE: usize = 1 << 19;
/// Most hellos that can be counted: each is shown by more than half of the weight.
const MAX_COUNTED: usize = 2 * MAX_HELLOS;

/// A decided round without what its reader knows or can compute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundRecord {
    #[serde(deserialize_with = "bounded_list::<_, _, MAX_CERTIFICATE>")]
    certificate: Vec<u8>,
    minutes: Minutes,
    #[serde(deserialize_with = "bounded_list::<_, _, MAX_CONTENTS>")]
    shares: Vec<(TranscriptKey, CompletionGroup)>,
    #[serde(deserialize_with = "bounded_list::<_, _, MAX_CONTENTS>")]
    critiques: Vec<(TranscriptKey, Critique)>,
    #[serde(deserialize_with = "bounded_list::<_, _, MAX_CONTENTS>")]
    decisions: Vec<(TranscriptKey, Decision)>,
    #[serde(deserialize_with = "bounded_list::<_, _, MAX_MEMBERS>")]
    equivocations: Vec<(MemberIndex, u32)>,
    #[serde(deserialize_with = "bounded_list::<_, _, MAX_COUNTED>")]
    hellos: Vec<(PeerId, u64)>,
}

impl From<&DecidedRound> for RoundRecord {
    fn from(round: &DecidedRound) -> Self {
        let transcript = round.transcript();
        Self {
            certificate: round.certificate.to_bytes(),
            minutes: (*round.minutes).clone(),
            shares: listed(&transcript.shares),
            critiques: listed(&transcript.critiques),
            decisions: listed(&transcript.decisions),
            equivocations: listed(&transcript.equivocations),
            hellos: listed(&transcript.hellos),
        }
    }
}

fn listed<K: Clone, V: Clone>(table: &BTreeMap<K, V>) -> Vec<(K, V)> {
    let entries = table.iter();
    entries
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// The table of a list in ascending order, which is the only order that is read.
fn table<K: Ord, V>(list: Vec<(K, V)>) -> Option<BTreeMap<K, V>> {
    list.is_sorted_by(|a, b| a.0 < b.0)
        .then(|| list.into_iter().collect())
}

impl RoundRecord {
    /// The round that it says it is.
    pub fn round(&self) -> Round {
        self.minutes.round
    }

    /// The record's bytes.
    ///
    /// # Errors
    /// A round of more than [`MAX_RECORD`] bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode_within::<_, MAX_RECORD>(self)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// Bytes that are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode_within::<_, MAX_RECORD>(bytes)
    }

    /// Checks certificate, minutes and contents against each other and against the plan and the
    /// voters of the round, and computes the scores. Nothing is computed from contents that nobody
    /// decided.
    ///
    /// # Errors
    /// The first that does not fit.
    pub fn open(
        self,
        plan: Arc<RoundPlan>,
        voters: &Voters,
        memo: &SignatureMemo,
        judge: &dyn Judge,
    ) -> Result<DecidedRound, AdoptError> {
        let round = self.round();
        let certificate = Certificate::parse(&self.certificate)?;
        certificate.verify(&plan, voters, memo)?;
        if self.minutes.digest() != certificate.minutes {
            return Err(AdoptError::Minutes(round));
        }
        let contents = (
            table(self.shares),
            table(self.critiques),
            table(self.decisions),
            table(self.equivocations),
            table(self.hellos),
        );
        let (Some(shares), Some(critiques), Some(decisions), Some(equivocations), Some(hellos)) =
            contents
        else {
            return Err(AdoptError::Transcript(round));
        };
        let transcript = Transcript {
            plan,
            shares,
            critiques,
            decisions,
            equivocations,
            hellos,
        };
        if transcript.digest() != self.minutes.transcript {
            return Err(AdoptError::Transcript(round));
        }
        let (minutes, transcript) = (Arc::new(self.minutes), Arc::new(transcript));
        Ok(DecidedRound::new(certificate, minutes, transcript, judge))
    }
}
