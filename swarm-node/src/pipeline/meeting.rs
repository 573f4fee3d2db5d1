//! How peers find together.
//!
//! ```text
//! newcomer ─Ask{addresses}─▶ first peer: Wait{have, want} … until all have come: Charter
//! newcomer ─Ask{ready}─────▶ first peer begins when all are ready
//! ```
//! Pure but for the names: what is asked and answered, and who has come.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use swarm_identity::PeerId;

use super::charter::{Address, Charter, MAX_ADDRESSES, name};
use crate::job::JobSpec;

/// A request of a newcomer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Where it listens.
    pub addresses: Vec<String>,
    /// It has the charter, and its engine is ready.
    pub ready: bool,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// Not all have come yet.
    Wait {
        /// Who has.
        have: u32,
        /// How many there will be.
        want: u32,
    },
    /// All have come: the charter, as text.
    Charter(String),
    /// The pipeline has its peers, and the newcomer is none of them.
    Full,
}

/// Who has come so far, as the first peer knows it.
#[derive(Debug)]
pub struct Meeting {
    spec: JobSpec,
    job: String,
    want: u32,
    members: Vec<PeerId>,
    addresses: BTreeMap<PeerId, Vec<String>>,
    ready: BTreeSet<PeerId>,
}

impl Meeting {
    /// A meeting of `want` peers, of which the first has come.
    pub fn new(spec: JobSpec, job: String, want: u32, me: PeerId, addresses: Vec<String>) -> Self {
        Self {
            spec,
            job,
            want,
            members: vec![me],
            addresses: BTreeMap::from([(me, addresses)]),
            ready: BTreeSet::from([me]),
        }
    }

    /// What a peer is answered.
    pub fn asked(&mut self, from: PeerId, ask: Ask) -> Answer {
        let known = self.members.contains(&from);
        if !known && self.members.len() >= self.want as usize {
            return Answer::Full;
        }
        if !known {
            self.members.push(from);
        }
        let addresses = ask
            .addresses
            .into_iter()
            .filter(|address| address.len() < 256);
        let addresses = addresses.take(MAX_ADDRESSES).collect();
        self.addresses.insert(from, addresses);
        if ask.ready {
            self.ready.insert(from);
        }
        match self.charter().map(|charter| charter.to_text()) {
            Some(Ok(text)) => Answer::Charter(text),
            _ => Answer::Wait {
                have: self.have(),
                want: self.want,
            },
        }
    }

    /// How many have come.
    pub fn have(&self) -> u32 {
        self.members.len() as u32
    }

    /// Whether all have come and are ready.
    pub fn is_ready(&self) -> bool {
        self.ready.len() >= self.want as usize
    }

    /// The charter, once all have come.
    pub fn charter(&self) -> Option<Charter> {
        let members = self.members.iter().map(|peer| Address {
            peer: name(peer),
            addresses: self.addresses.get(peer).cloned().unwrap_or_default(),
        });
        (self.have() >= self.want).then(|| Charter {
            spec: self.spec.clone(),
            job: self.job.clone(),
            members: members.collect(),
        })
    }
}
