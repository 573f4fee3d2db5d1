//! Seats of a pipeline that runs, as keys and signatures: what a newcomer is answered, and whether
//! an admission is what the leader of its term signed.
//!
//! What a seat is and who gives it is in [`skippipe::admission`]; here its keys are peers of the
//! network, which a connection has proved.

use std::collections::BTreeMap;

use skippipe::admission::{Admission, MAX_ADDRESS, MAX_ADDRESSES, Newcomer, Seat};
use skippipe::content::Digest;
use skippipe::member::Member;
use skippipe::path::Peer;
use skippipe::transcript::Joined;
use skippipe::wire;
use swarm_identity::key::{PublicKey, SignatureBytes};
use swarm_identity::{PIPELINE_ADMISSION, PeerId, Place};

use crate::meeting::charter::Charter;
use crate::meeting::{Answer, Ask};

/// Why an admission does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SeatError {
    /// The number is not the next.
    #[error("{0} was admitted, and is not the next")]
    Number(Peer),
    /// The key is none, or a member's.
    #[error("the key of {0}, which was admitted, is none or has a seat already")]
    Key(Peer),
    /// The signature is not that of the leader of the term.
    #[error("the admission of {0} is not signed by who led")]
    Signature(Peer),
}

/// What a peer that takes part answers whoever asks.
pub enum Reply {
    /// This.
    Said(Answer),
    /// This, and its member is told of the newcomer.
    Noted(Answer, Newcomer),
}

/// The place of a leader's signature: one for each number in a term.
pub fn place(job: Digest, admission: &Admission) -> Place {
    Place {
        swarm: job.0,
        kind: PIPELINE_ADMISSION,
        round: admission.term.number.into(),
        slot: admission.peer.0 as u16,
    }
}

/// The key of who was admitted after those of these members whose numbers are lower.
///
/// # Errors
/// See [`SeatError`].
pub fn check(job: Digest, admission: &Admission, peers: &[PeerId]) -> Result<PeerId, SeatError> {
    let number = admission.peer;
    let before = peers.get(..number.index());
    let before = before.ok_or(SeatError::Number(number))?;
    let key = signed_key(job, admission, before.get(admission.term.leader.index()))?;
    let is_new = !before.contains(&key);
    is_new.then_some(key).ok_or(SeatError::Key(number))
}

/// The key that an admission is for, which the leader of its term has signed.
fn signed_key(
    job: Digest,
    admission: &Admission,
    leader: Option<&PeerId>,
) -> Result<PeerId, SeatError> {
    let number = admission.peer;
    let key = admission.newcomer.key.as_slice().try_into().map(PeerId);
    let key = key.ok().filter(|key| PublicKey::try_from(*key).is_ok());
    let key = key.ok_or(SeatError::Key(number))?;
    let leader = leader.and_then(|leader| PublicKey::try_from(*leader).ok());
    let signature: Option<SignatureBytes> = admission.signature.as_slice().try_into().ok();
    let signed = leader
        .zip(signature)
        .is_some_and(|(leader, signature)| leader.verify(&admission.statement(job).0, &signature));
    signed.then_some(key).ok_or(SeatError::Signature(number))
}

/// Keys of members by their numbers, as a transcript tells them: records name those that took up a
/// stage, so numbers of others are missing.
#[derive(Clone, Debug)]
pub struct Keys {
    start: u32,
    keys: BTreeMap<Peer, PeerId>,
}

impl Keys {
    /// Of the members of the start.
    pub fn new(start: &[PeerId]) -> Self {
        Self {
            start: start.len() as u32,
            keys: (0..).map(Peer).zip(start.iter().copied()).collect(),
        }
    }

    /// A member's key.
    pub fn of(&self, peer: Peer) -> Option<PeerId> {
        self.keys.get(&peer).copied()
    }

    /// Takes note of who took up a stage.
    ///
    /// # Errors
    /// It came after the start and nothing says who admitted it, or that is not signed, or it had
    /// another key before.
    pub fn joined(&mut self, job: Digest, joined: &Joined) -> Result<(), SeatError> {
        let peer = joined.hop.peer;
        let Some(admission) = &joined.admission else {
            let is_known = peer.0 < self.start;
            return is_known.then_some(()).ok_or(SeatError::Number(peer));
        };
        if peer.0 < self.start || admission.peer != peer {
            return Err(SeatError::Number(peer));
        }
        let key = signed_key(job, admission, self.keys.get(&admission.term.leader))?;
        let mut others = self.keys.iter();
        // One key for a number, and one number for a key.
        if others.any(|(other, known)| (*known == key) != (*other == peer)) {
            return Err(SeatError::Key(peer));
        }
        self.keys.insert(peer, key);
        Ok(())
    }
}

/// All members of a charter: those of the start, and those admitted since, each of which is checked.
///
/// # Errors
/// See [`SeatError`].
pub fn members(
    job: Digest,
    start: Vec<PeerId>,
    admitted: &[Admission],
) -> Result<Vec<PeerId>, SeatError> {
    let mut peers = start;
    for admission in admitted {
        if admission.peer.index() != peers.len() {
            return Err(SeatError::Number(admission.peer));
        }
        peers.push(check(job, admission, &peers)?);
    }
    Ok(peers)
}

/// The answer to a request; none to what is no question.
pub fn answer(
    member: &Member,
    charter: &Charter,
    peers: &[PeerId],
    (from, bytes): (PeerId, &[u8]),
) -> Option<Reply> {
    let ask: Ask = wire::from_bytes(bytes).ok()?;
    if ask.command != "pipeline" {
        return Some(Reply::Said(Answer::Other("pipeline".into())));
    }
    // Of several pipelines, members of the others are of the start, too.
    let is_of_start = charter.peers().ok()?.contains(&from);
    let whole = || charter.to_text().ok().map(Answer::Charter);
    if is_of_start {
        return whole().map(Reply::Said);
    }
    let answer = match member.seat(&from.0) {
        Seat::Given(_) => whole()?,
        Seat::Elsewhere(leader) => Answer::Elsewhere {
            peer: peers.get(leader.index())?.0.to_vec(),
            addresses: charter.addresses(leader.index()).to_vec(),
        },
        Seat::Full => Answer::Full,
        Seat::Over => Answer::Over,
        Seat::Wait => {
            let short = |address: &String| address.len() <= MAX_ADDRESS;
            let addresses = ask.addresses.into_iter().filter(short);
            let newcomer = Newcomer {
                key: from.0.to_vec(),
                addresses: addresses.take(MAX_ADDRESSES).collect(),
            };
            return Some(Reply::Noted(Answer::Admitting, newcomer));
        }
    };
    Some(Reply::Said(answer))
}

#[cfg(test)]
mod tests {
    use skippipe::message::Term;
    use skippipe::path::{Hop, Stage};
    use skippipe::transcript::Recovery;
    use swarm_identity::{NodeKey, Secret};

    use super::*;

    const JOB: Digest = Digest([3; 32]);

    fn key(byte: u8) -> NodeKey {
        NodeKey::from(&Secret::from_bytes(&[byte; 32]).unwrap())
    }

    fn signed(number: u32, newcomer: u8, leader: (u32, u8)) -> Admission {
        let mut admission = Admission {
            peer: Peer(number),
            newcomer: Newcomer {
                key: key(newcomer).peer().0.to_vec(),
                addresses: Vec::new(),
            },
            step: 4,
            term: Term {
                number: 2,
                leader: Peer(leader.0),
            },
            signature: Vec::new(),
        };
        let statement = admission.statement(JOB);
        admission.signature = key(leader.1).sign(&statement.0).unwrap().to_vec();
        admission
    }

    #[test]
    fn who_led_admits_the_next_of_a_new_key() {
        let start = vec![key(1).peer(), key(2).peer()];
        let third = signed(2, 3, (1, 2));
        // The third leads, and admits a fourth.
        let list = [third.clone(), signed(3, 4, (2, 3))];
        let peers = members(JOB, start.clone(), &list).unwrap();
        assert_eq!(peers[2..], [key(3).peer(), key(4).peer()]);
        let refused = |admission: &Admission| check(JOB, admission, &start).unwrap_err();
        assert_eq!(refused(&signed(3, 3, (1, 2))), SeatError::Number(Peer(3)));
        assert_eq!(refused(&signed(2, 1, (1, 2))), SeatError::Key(Peer(2)));
        assert_eq!(
            refused(&signed(2, 3, (1, 1))),
            SeatError::Signature(Peer(2))
        );
        assert_eq!(
            refused(&signed(2, 3, (7, 2))),
            SeatError::Signature(Peer(2))
        );
        let mut changed = third.clone();
        changed.step += 1;
        assert_eq!(refused(&changed), SeatError::Signature(Peer(2)));
        let mut short = third;
        short.newcomer.key.pop();
        assert_eq!(refused(&short), SeatError::Key(Peer(2)));
    }

    #[test]
    fn a_transcript_gives_each_number_one_key() {
        let start = [key(1).peer(), key(2).peer()];
        let joined = |number: u32, admission: Option<Admission>| Joined {
            hop: Hop {
                stage: Stage(1),
                peer: Peer(number),
            },
            recovery: Recovery::Copied,
            state: Digest([1; 32]),
            admission,
        };
        let mut keys = Keys::new(&start);
        keys.joined(JOB, &joined(1, None)).unwrap();
        // The third was admitted, too, and never took up a stage.
        let fourth = joined(3, Some(signed(3, 4, (1, 2))));
        for _ in 0..2 {
            keys.joined(JOB, &fourth).unwrap();
        }
        assert_eq!(keys.of(Peer(3)), Some(key(4).peer()));
        assert_eq!(keys.of(Peer(2)), None);
        let mut refused = |number, admission| {
            let joined = joined(number, admission);
            keys.joined(JOB, &joined).unwrap_err()
        };
        assert_eq!(refused(4, None), SeatError::Number(Peer(4)));
        let other = Some(signed(3, 5, (1, 2)));
        assert_eq!(refused(3, other), SeatError::Key(Peer(3)));
        let twice = Some(signed(4, 4, (1, 2)));
        assert_eq!(refused(4, twice), SeatError::Key(Peer(4)));
        let of_start = Some(signed(1, 5, (0, 1)));
        assert_eq!(refused(1, of_start), SeatError::Number(Peer(1)));
    }
}
