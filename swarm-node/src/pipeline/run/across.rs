//! The part of a peer's loop that is about other pipelines: what its stage exchanges with them.

use std::sync::Arc;
use std::time::Duration;

use skippipe::meeting::Replica;
use skippipe::member::Input;
use swarm_identity::{AVERAGING_OFFER, PeerId, Place, SignOnce};
use swarm_learn::averaging::transcript::Statement as Offered;
use swarm_learn::pipelines::exchange;
use swarm_learn::pipelines::message::{Message as AcrossMessage, Signer as Whose};
use swarm_learn::pipelines::settings::Seat;
use swarm_net::Behaviour;

use super::{Asker, RunError, Shell};
use crate::pipeline::word::Word;

/// Places in the charter of whose signature it must be.
pub(super) fn places(whose: Whose, peers: u32) -> std::ops::Range<u32> {
    match whose {
        Whose::Seat(Seat { pipeline, peer }) => {
            let place = pipeline.0 * peers + peer.0;
            place..place + 1
        }
        Whose::Pipeline(pipeline) => {
            let first = pipeline.0.saturating_mul(peers);
            first..first.saturating_add(peers)
        }
    }
}

impl<T: SignOnce> Shell<'_, '_, T> {
    /// Hands a message of another pipeline on whose signatures hold.
    pub(super) fn heard_across(&mut self, peer: PeerId, from: Seat, message: AcrossMessage) {
        let Some(across) = &self.across else {
            self.handle.report(peer, Behaviour::Malformed);
            return;
        };
        let signed = message.signed(&across.settings, from);
        let is_bounded = signed.len() <= across.settings.pipelines as usize;
        let holds = signed.iter().all(|(whose, statement, signature)| {
            let places = places(*whose, self.settings.peers);
            let mut places = places.into_iter();
            places.any(|place| self.keys.hold(Replica(place), statement, signature))
        });
        if is_bounded && holds {
            self.exchanged
                .push_back(exchange::Input::Message { from, message });
        } else {
            self.handle.report(peer, Behaviour::InvalidRecord);
        }
    }

    /// What follows from what happened to the exchange with other pipelines.
    pub(super) fn exchange(
        &mut self,
        input: exchange::Input,
        now: Duration,
    ) -> Result<(), RunError> {
        let Some(exchange) = &mut self.exchange else {
            return Ok(());
        };
        for output in exchange.handle(input, now) {
            match output {
                exchange::Output::Send { to, message } => {
                    let place = to.pipeline.0 * self.settings.peers + to.peer.0;
                    if let Some(peer) = self.all.get(place as usize) {
                        let frame: Arc<[u8]> = Word::Across(message).to_bytes().into();
                        // Who is down or behind is asked again.
                        let _ = self.channels.send(*peer, frame);
                    }
                }
                exchange::Output::Work { task, work } => {
                    if !self.engine.ask((Asker::Exchange, task, work)) {
                        return Err(RunError::Engine("its thread has ended".into()));
                    }
                }
                exchange::Output::Sign(statement) => self.sign_offer(&statement),
                exchange::Output::Concluded(concluded) => {
                    self.inputs.push_back(Input::Concluded(concluded));
                }
                exchange::Output::Fault { seat, what } => self.watcher.fault_across(seat, what),
            }
        }
        Ok(())
    }

    /// Signs what the stage contributes, once for each meeting.
    pub(super) fn sign_offer(&mut self, statement: &Offered) {
        let Offered::Offer { job, round, .. } = *statement else {
            return;
        };
        let place = Place {
            swarm: job.0,
            kind: AVERAGING_OFFER,
            round,
            slot: 0,
        };
        let statement = statement.digest();
        // Without a signature the stage moves alone, and its record says why.
        let signature = self.signer.sign(&place, &statement.0);
        let signature = signature.map_or(Vec::new(), Into::into);
        self.exchanged.push_back(exchange::Input::Signed {
            statement,
            signature,
        });
    }
}
