//! What a node asks of others while it agrees.

use serde::{Deserialize, Serialize};
use swarm_identity::digest::Digest32;

use super::place::MessagePlace;
use super::receipt::ReceiptName;
use crate::clock::Round;
use crate::codec::bounded_list;
use crate::membership::MemberIndex;

/// Most items of one request; the rest is asked for later.
pub const MAX_WANTED: usize = 1024;

/// Things of one round that any holder may send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// The round.
    pub round: Round,
    /// What of it.
    pub what: Wanted,
}

/// What is wanted. Whoever knows the round decided sends it whole instead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Wanted {
    /// The round with its certificate, if it is decided.
    Decision,
    /// Receipts by member and name.
    Receipts(
        #[serde(deserialize_with = "bounded_list::<_, _, MAX_WANTED>")]
        Vec<(MemberIndex, ReceiptName)>,
    ),
    /// The messages of places; of contradicted ones both.
    Messages(#[serde(deserialize_with = "bounded_list::<_, _, MAX_WANTED>")] Vec<MessagePlace>),
    /// The prevotes for these minutes in a ballot.
    Prevotes(u16, Digest32),
}
