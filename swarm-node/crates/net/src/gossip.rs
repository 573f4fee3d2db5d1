//! How records are gossiped: settings of gossipsub, and the records that wait for a neighbour.
//!
//! A message has no author and no sequence number on this layer: the record inside is signed by its
//! author, and its name is the hash of its bytes, so one record is one message, whoever sends it.
//! Nothing is forwarded before it is judged.

use std::collections::VecDeque;
use std::time::Duration;

use libp2p::gossipsub::{
    Behaviour, ConfigBuilder, IdentTopic, Message, MessageAcceptance, MessageAuthenticity,
    MessageId, PeerScoreParams, PeerScoreThresholds, ValidationMode, WhitelistSubscriptionFilter,
};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::event::{GossipId, Verdict};
use crate::limits::{
    GOSSIP_OVERHEAD_BYTES, GRAYLIST_SCORE, JUDGE_WITHIN_SECONDS, MAX_RECORD_BYTES, RECORD_MEMORY,
};

/// Gossipsub with topics that only this swarm has.
pub(crate) type Gossip = Behaviour<
    libp2p::gossipsub::IdentityTransform,
    libp2p::gossipsub::MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>,
>;

/// Why gossip cannot be set up; a fault of this program.
#[derive(Debug, Error)]
#[error("the settings of gossip are contradictory: {0}; report this as a fault of the program")]
pub struct GossipSettings(String);

/// Messages for one neighbour that wait for it to take them.
const QUEUE_PER_NEIGHBOUR: usize = 256;

/// Gossipsub, subscribed to the topic of records.
pub(crate) fn behaviour(topic: &IdentTopic) -> Result<Gossip, GossipSettings> {
    let fault = |text: &dyn ToString| GossipSettings(text.to_string());
    let config = ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(|message: &Message| MessageId::from(id(&message.data).0.to_vec()))
        .max_transmit_size(MAX_RECORD_BYTES + GOSSIP_OVERHEAD_BYTES)
        .flood_publish(false)
        .history_length(JUDGE_WITHIN_SECONDS)
        .history_gossip(4)
        .duplicate_cache_time(RECORD_MEMORY)
        .heartbeat_initial_delay(Duration::from_millis(200))
        .max_publish_messages(512)
        .max_control_messages_sent(512)
        .connection_handler_queue_len(QUEUE_PER_NEIGHBOUR)
        .forward_queue_duration(Duration::from_secs(5))
        .build()
        .map_err(|error| fault(&error))?;
    let filter = libp2p::gossipsub::MaxCountSubscriptionFilter {
        filter: WhitelistSubscriptionFilter([topic.hash()].into()),
        max_subscribed_topics: 2,
        max_subscriptions_per_request: 8,
    };
    let author = MessageAuthenticity::Anonymous;
    let mut gossip = Gossip::new_with_subscription_filter(author, config, filter)
        .map_err(|error| fault(&error))?;
    gossip
        .with_peer_score(score_weights(), thresholds())
        .map_err(|error| fault(&error))?;
    gossip.subscribe(topic).map_err(|error| fault(&error))?;
    Ok(gossip)
}

/// Only the node's own score counts, and what gossipsub alone can see: broken promises and grafts
/// out of turn.
fn score_weights() -> PeerScoreParams {
    PeerScoreParams {
        app_specific_weight: 1.0,
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_weight: -1.0,
        behaviour_penalty_threshold: 6.0,
        behaviour_penalty_decay: 0.9,
        ..PeerScoreParams::default()
    }
}

fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: GRAYLIST_SCORE / 2.0,
        publish_threshold: GRAYLIST_SCORE * 0.75,
        graylist_threshold: GRAYLIST_SCORE,
        ..PeerScoreThresholds::default()
    }
}

/// The name of a record.
pub(crate) fn id(bytes: &[u8]) -> GossipId {
    GossipId(Sha256::digest(bytes).into())
}

/// The name in a message's identifier.
pub(crate) fn from_message(id: &MessageId) -> Option<GossipId> {
    id.0.as_slice().try_into().ok().map(GossipId)
}

/// The identifier of a message by its name.
pub(crate) fn to_message(id: GossipId) -> MessageId {
    MessageId::from(id.0.to_vec())
}

/// A verdict in gossipsub's words.
pub(crate) fn acceptance(verdict: Verdict) -> MessageAcceptance {
    match verdict {
        Verdict::Accept => MessageAcceptance::Accept,
        Verdict::Ignore => MessageAcceptance::Ignore,
        Verdict::Reject => MessageAcceptance::Reject,
    }
}

/// Records that no neighbour could take yet, in order; the oldest makes room.
#[derive(Debug)]
pub(crate) struct Outbox {
    waiting: VecDeque<std::sync::Arc<[u8]>>,
    limit: usize,
}

impl Outbox {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            limit,
        }
    }

    /// Adds a record; true if another one was lost by it.
    pub(crate) fn push(&mut self, bytes: std::sync::Arc<[u8]>) -> bool {
        let full = self.waiting.len() >= self.limit;
        if full {
            self.waiting.pop_front();
        }
        self.waiting.push_back(bytes);
        full
    }

    pub(crate) fn pop(&mut self) -> Option<std::sync::Arc<[u8]>> {
        self.waiting.pop_front()
    }

    /// Puts back what could not be sent.
    pub(crate) fn put_back(&mut self, bytes: std::sync::Arc<[u8]>) {
        self.waiting.push_front(bytes);
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gossip_can_be_set_up() {
        behaviour(&IdentTopic::new("/swarm/00000000/records/1")).unwrap();
    }

    #[test]
    fn names_are_of_content() {
        assert_eq!(id(b"a"), id(b"a"));
        assert_ne!(id(b"a"), id(b"b"));
        assert_eq!(from_message(&to_message(id(b"a"))), Some(id(b"a")));
        assert_eq!(from_message(&MessageId::from("short")), None);
    }

    #[test]
    fn the_outbox_is_bounded_and_keeps_order() {
        let mut outbox = Outbox::new(3);
        let lost: Vec<bool> = (0..5_u8).map(|n| outbox.push([n].into())).collect();
        assert_eq!(lost, [false, false, false, true, true]);
        let first = outbox.pop().unwrap();
        assert_eq!(*first, [2]);
        outbox.put_back(first);
        assert_eq!((outbox.len(), outbox.pop().unwrap()[0]), (3, 2));
    }
}
