//! The part of a peer's loop that is about who takes part: newcomers that ask, and admissions.

use skippipe::admission::Admission;
use skippipe::event::Event;
use skippipe::member::Input;
use skippipe::wire;
use swarm_identity::SignOnce;
use swarm_net::{Event as NetEvent, Source};

use super::{RunError, Shell};
use crate::pipeline::seats::{self, Reply};

impl<T: SignOnce> Shell<'_, '_, T> {
    pub(super) fn sign_admission(&mut self, mut admission: Admission) {
        let place = seats::place(self.settings.job, &admission);
        let statement = admission.statement(self.settings.job);
        let peer = admission.peer;
        let input = match self.signer.sign(&place, &statement.0) {
            Ok(signature) => {
                admission.signature = signature.to_vec();
                // It is checked as if another leader had said it.
                return self.check_admission(admission);
            }
            Err(error) => {
                let what = format!("does not sign the admission of {peer}: {error}");
                self.watcher.event(&Event::Fault {
                    peer: self.me,
                    what,
                });
                Input::NotAdmitted(peer)
            }
        };
        self.inputs.push_back(input);
    }

    pub(super) fn check_admission(&mut self, admission: Admission) {
        let (leader, peer) = (admission.term.leader, admission.peer);
        let input = match seats::check(self.settings.job, &admission, &self.peers) {
            Ok(_) => Input::Admitted(admission),
            Err(why) => {
                self.watcher.event(&Event::Fault {
                    peer: leader,
                    what: why.to_string(),
                });
                Input::NotAdmitted(peer)
            }
        };
        self.inputs.push_back(input);
    }

    /// A peer is a member from here on.
    pub(super) fn admitted(&mut self, admission: &Admission) -> Result<(), RunError> {
        let peer = seats::check(self.settings.job, admission, &self.peers)?;
        self.channels.add(peer)?;
        self.links.add(peer)?;
        self.peers.push(peer);
        self.charter.admitted.push(admission.clone());
        self.charter.save(self.folder)?;
        let addresses = admission.newcomer.addresses.iter();
        let addresses = addresses.filter_map(|text| text.parse().ok()).collect();
        let handle = self.handle.clone();
        tokio::spawn(async move { handle.offer(Source::Peers, addresses).await });
        Ok(())
    }

    pub(super) fn network(&mut self, event: NetEvent) -> Result<(), RunError> {
        match event {
            NetEvent::Request { from, bytes, reply } => {
                let question = (from, &bytes[..]);
                let answer = seats::answer(&self.member, &self.charter, &self.peers, question);
                let answer = match answer {
                    Some(Reply::Said(answer)) => answer,
                    Some(Reply::Noted(answer, newcomer)) => {
                        self.inputs.push_back(Input::Newcomer(newcomer));
                        answer
                    }
                    None => return Ok(()),
                };
                // A peer that does not wait any more asks again.
                let _ = reply.send(wire::to_bytes(&answer));
            }
            NetEvent::DuplicateIdentity { is_newcomer: true } => return Err(RunError::Duplicate),
            NetEvent::DuplicateIdentity { is_newcomer: false } => {
                self.watcher.event(&Event::Fault {
                    peer: self.me,
                    what: "has a second process with its key, which must end".into(),
                });
            }
            _ => {}
        }
        Ok(())
    }
}
