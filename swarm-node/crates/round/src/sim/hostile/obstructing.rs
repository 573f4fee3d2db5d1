//! Works against the agreement, with everything that a member can do there.

use std::sync::Arc;

use super::{Attacker, Outgoing, Strategy};
use crate::agreement::{MessagePlace, Minutes, Proposal, Receipt, Vote};
use crate::codec;
use crate::envelope::Envelope;
use crate::payload::{Kind, STAGE_SLOT};

/// Follows the protocol in its contents. Of each message of agreement it draws by lot what becomes
/// of it:
/// * a receipt shows everything, nothing, or something; comes to half of the members, or just
///   before others fix what they demand; or there are two;
/// * a proposal leaves receipts out, strikes innocent places, names another transcript, or is
///   another one for each half of the members;
/// * a vote is for nothing, for something that nobody proposed, another one for each half, held
///   back until it is of most harm, or never sent.
pub struct Obstructing;

impl Strategy for Obstructing {
    fn send(&mut self, message: Arc<[u8]>, me: &mut Attacker) -> Vec<Outgoing> {
        let Ok(envelope) = Envelope::parse(&message) else {
            return vec![message.into()];
        };
        match envelope.header.kind {
            Kind::Receipt => receipt(&envelope, &message, me),
            Kind::Proposal => proposal(&envelope, &message, me),
            Kind::Prevote | Kind::Precommit => vote(&envelope, &message, me),
            _ => vec![message.into()],
        }
    }
}

fn receipt(envelope: &Envelope<'_>, message: &Arc<[u8]>, me: &mut Attacker) -> Vec<Outgoing> {
    let lie = |fill: u8, me: &mut Attacker| {
        let Ok(honest) = codec::decode::<Receipt>(envelope.payload) else {
            return message.clone();
        };
        let places = honest.bytes() * 8;
        let shown = (0..places - 8).filter(|place| (fill >> (place % 8)) & 1 == 1);
        signed(envelope, &Receipt::new(places, shown), me).unwrap_or_else(|| message.clone())
    };
    match me.chance.index(6) {
        0 => vec![lie(0xff, me).into()],
        1 => vec![lie(0, me).into()],
        2 => vec![lie(0x5a, me).into()],
        3 => divided(message.clone(), lie(0xff, me), me),
        4 => vec![
            Outgoing::from(message.clone())
                .only(me.half_of_others())
                .after(me.until_part(envelope, 4)),
        ],
        _ => vec![Outgoing::from(message.clone()).after(me.until_part(envelope, 2))],
    }
}

fn proposal(envelope: &Envelope<'_>, message: &Arc<[u8]>, me: &mut Attacker) -> Vec<Outgoing> {
    let Ok(Proposal { polka, minutes }) = codec::decode::<Proposal>(envelope.payload) else {
        return vec![message.clone().into()];
    };
    let falsify = |edit: &dyn Fn(&mut Minutes), me: &mut Attacker| {
        let mut minutes = minutes.clone();
        edit(&mut minutes);
        let body = Proposal { polka, minutes };
        signed(envelope, &body, me).unwrap_or_else(|| message.clone())
    };
    let half = minutes.receipts.len() / 2;
    let innocent = MessagePlace {
        kind: Kind::ShareSeal,
        slot: STAGE_SLOT,
        member: 0,
    };
    match me.chance.index(6) {
        0 => vec![falsify(&|m| drop(m.receipts.split_off(half)), me).into()],
        1 => vec![falsify(&|m| m.struck = vec![innocent], me).into()],
        2 => vec![falsify(&|m| m.transcript[0] ^= 1, me).into()],
        3 => divided(
            message.clone(),
            falsify(&|m| m.receipts.truncate(half + 1), me),
            me,
        ),
        4 => vec![Outgoing::from(message.clone()).only(me.half_of_others())],
        _ => Vec::new(),
    }
}

fn vote(envelope: &Envelope<'_>, message: &Arc<[u8]>, me: &mut Attacker) -> Vec<Outgoing> {
    let other = |value, me: &mut Attacker| {
        signed(envelope, &Vote { value }, me).unwrap_or_else(|| message.clone())
    };
    match me.chance.index(6) {
        0 => vec![other(None, me).into()],
        1 => vec![other(Some([7; 32]), me).into()],
        2 => divided(message.clone(), other(None, me), me),
        3 => vec![Outgoing::from(message.clone()).only(me.half_of_others())],
        4 => {
            let wait = me.chance.index(3_000) as u64;
            vec![Outgoing::from(message.clone()).after(wait)]
        }
        _ => Vec::new(),
    }
}

/// One message to half of the others, another one to the rest.
pub(super) fn divided(one: Arc<[u8]>, other: Arc<[u8]>, me: &mut Attacker) -> Vec<Outgoing> {
    let half = me.half_of_others();
    let rest = (0..me.surroundings.peers)
        .filter(|peer| !half.contains(peer))
        .collect();
    vec![
        Outgoing::from(one).only(half),
        Outgoing::from(other).only(rest),
    ]
}

pub(super) fn signed<T: serde::Serialize>(
    envelope: &Envelope<'_>,
    body: &T,
    me: &mut Attacker,
) -> Option<Arc<[u8]>> {
    let payload = codec::encode(body).ok()?;
    me.sign_for(
        envelope.header.round,
        envelope.header.kind,
        envelope.header.slot,
        &payload,
    )
}
