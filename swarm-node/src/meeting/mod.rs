//! How the peers of a job find together, whatever kind of job it is.
//!
//! ```text
//! newcomer ─Ask{addresses}─▶ first peer: Wait{have, want} … until all have come: Charter
//! newcomer ─Ask{ready}─────▶ first peer begins when all are ready
//! late     ─Ask{addresses}─▶ any peer of a job that runs: Elsewhere{who leads}; who leads: Admitting …
//!                            until it is admitted: Charter
//! ```
//! Here, pure but for the names, is what is asked and answered, and who has come; [`gathering`] is
//! the same over the network, [`charter`] what all know in the end. Whoever has the charter can be
//! asked for it, and a peer that begins anew with its folder needs nobody.

pub mod charter;
pub mod gathering;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use swarm_identity::PeerId;

use skippipe::wire;
use swarm_net::Reply;

use self::charter::{Address, Charter, MAX_ADDRESSES, name};
use crate::job::JobSpec;

/// A request of a newcomer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Where it listens.
    pub addresses: Vec<String>,
    /// It has the charter, and its engine is ready.
    pub ready: bool,
    /// The command that it was started by, which is of one kind of job.
    pub command: String,
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
    /// The job has its peers, and the newcomer is none of them.
    Full,
    /// The job is of another kind: the command that it is joined by.
    Other(String),
    /// The job runs, and the newcomer may be admitted; it should ask again.
    Admitting,
    /// Another peer admits newcomers.
    Elsewhere {
        /// Its key.
        peer: Vec<u8>,
        /// Where it listens.
        addresses: Vec<String>,
    },
    /// The job is over.
    Over,
}

/// Whoever asks is told who takes part: a member that lost its folder's charter, or a late
/// newcomer.
pub fn answer(charter: &str, bytes: &[u8], reply: Reply) {
    if wire::from_bytes::<Ask>(bytes).is_ok() {
        let answer = Answer::Charter(charter.to_owned());
        // A peer that does not wait any more asks again.
        let _ = reply.send(wire::to_bytes(&answer));
    }
}

/// Who has come so far, as the first peer knows it.
#[derive(Debug)]
pub struct Meeting {
    command: &'static str,
    spec: JobSpec,
    job: String,
    want: u32,
    members: Vec<PeerId>,
    addresses: BTreeMap<PeerId, Vec<String>>,
    ready: BTreeSet<PeerId>,
}

impl Meeting {
    /// A meeting of the peers of a job, of which the first has come. They join by a command.
    pub fn new(
        command: &'static str,
        spec: JobSpec,
        job: String,
        me: PeerId,
        addresses: Vec<String>,
    ) -> Self {
        Self {
            command,
            want: spec.peers().unwrap_or(1),
            spec,
            job,
            members: vec![me],
            addresses: BTreeMap::from([(me, addresses)]),
            ready: BTreeSet::from([me]),
        }
    }

    /// What a peer is answered.
    pub fn asked(&mut self, from: PeerId, ask: Ask) -> Answer {
        if ask.command != self.command {
            return Answer::Other(self.command.to_owned());
        }
        let known = self.members.contains(&from);
        if !known && self.members.len() >= self.want as usize {
            // Some jobs take more once they run.
            let later = self.spec.most_peers() > Some(self.want);
            return if later {
                Answer::Admitting
            } else {
                Answer::Full
            };
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
            admitted: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(command: &str) -> Ask {
        Ask {
            addresses: vec!["/ip4/127.0.0.1/tcp/1".into(); 20],
            ready: true,
            command: command.into(),
        }
    }

    #[test]
    fn who_comes_first_takes_part_and_who_comes_for_something_else_does_not() {
        let text = include_str!("../../../configs/nano/averaging.toml");
        let spec: JobSpec = toml::from_str(&text.replace("replicas = 4", "replicas = 2")).unwrap();
        let peers = [1, 2, 3].map(|number| PeerId([number; 33]));
        let mut meeting = Meeting::new("average", spec, "ab".into(), peers[0], Vec::new());
        assert!(!meeting.is_ready() && meeting.charter().is_none());
        let other = meeting.asked(peers[1], ask("pipeline"));
        assert_eq!(
            (other, meeting.have()),
            (Answer::Other("average".into()), 1)
        );
        let Answer::Charter(text) = meeting.asked(peers[2], ask("average")) else {
            panic!("all have come")
        };
        let charter = Charter::parse(&text).unwrap();
        assert_eq!(charter.peers().unwrap(), [peers[0], peers[2]]);
        assert_eq!(charter.members[1].addresses.len(), MAX_ADDRESSES);
        assert!(meeting.is_ready());
        assert_eq!(meeting.asked(peers[1], ask("average")), Answer::Full);
        let mut few = charter;
        few.members.pop();
        let refused = Charter::parse(&few.to_text().unwrap()).unwrap_err();
        assert!(
            refused.to_string().contains("1 peers, and its job has 2"),
            "{refused}"
        );
    }
}
