//! Questions between processes of one key, by way of a neighbour; see [`crate::runs`].

use std::time::Instant;

use libp2p::PeerId;
use libp2p::request_response::{Event, Message, OutboundRequestId};

use super::Task;
use crate::event::Event as NetEvent;
use crate::limits::Behaviour;
use crate::request::Bad;
use crate::runs::{Question, Seen, Statement};

impl Task {
    /// A connection names the run of its peer; false if it is a new one.
    pub(super) fn is_present_run(&mut self, id: PeerId, run: u64) -> bool {
        match self.runs.note(id, run, Instant::now()) {
            Seen::Known => true,
            Seen::Begun => false,
            Seen::Beside { other, ask } => {
                if ask {
                    // Each of the two answers the question about the other one.
                    for run in [run, other] {
                        let asked = self.tell_runs(id, &Question::Beside(run));
                        self.asked_runs.extend(asked);
                    }
                }
                true
            }
        }
    }

    /// Sends a question by each connection with a peer, as they may lead to different processes:
    /// libp2p takes the next connection for each request.
    fn tell_runs(&mut self, id: PeerId, question: &Question) -> Vec<OutboundRequestId> {
        let connections = self.peers.get(&id).map_or(0, |peer| peer.connections());
        let runs = &mut self.swarm.behaviour_mut().runs;
        let send = |_| runs.send_request(&id, Ok(question.to_bytes()));
        (0..connections).map(send).collect()
    }

    pub(super) fn on_run_question(&mut self, event: Event<Result<Vec<u8>, Bad>, Vec<u8>>) {
        match event {
            Event::Message { peer, message, .. } => match message {
                Message::Request {
                    request, channel, ..
                } => {
                    let answer = self.answer_run_question(peer, request);
                    // A peer that no longer waits needs no answer.
                    let runs = &mut self.swarm.behaviour_mut().runs;
                    let _ = runs.send_response(channel, answer.unwrap_or_default());
                }
                Message::Response {
                    request_id,
                    response,
                } => {
                    let was_asked = self.asked_runs.remove(&request_id);
                    // The process that is meant gives no answer, the other one tells it.
                    if let Some(statement) = Statement::from_bytes(&response).filter(|_| was_asked)
                    {
                        self.tell_runs(peer, &Question::Told(statement));
                    }
                }
            },
            Event::OutboundFailure { request_id, .. } => {
                self.asked_runs.remove(&request_id);
            }
            Event::InboundFailure { .. } | Event::ResponseSent { .. } => {}
        }
    }

    fn answer_run_question(
        &mut self,
        id: PeerId,
        request: Result<Vec<u8>, Bad>,
    ) -> Option<Vec<u8>> {
        let now = Instant::now();
        let peer = self.peers.get_mut(&id)?;
        let name = peer.name;
        let bytes = request.ok()?;
        if !peer.take_request(bytes.len(), now) {
            self.stats.requests_refused += 1;
            self.score(name, Behaviour::Flood);
            return None;
        }
        match Question::from_bytes(&bytes) {
            Some(Question::Beside(other)) => Some(self.own_run.beside(other, now)?.to_bytes()),
            Some(Question::Told(statement)) => {
                let is_newcomer = self.own_run.judge(&statement, now)?;
                self.emit(NetEvent::DuplicateIdentity { is_newcomer });
                None
            }
            None => {
                self.score(name, Behaviour::Malformed);
                None
            }
        }
    }
}
