//! Forwarding: what a member accepts, it hands on to its neighbours in a random mesh.
//!
//! ```text
//! publish ──► direct links, each with its own fate ──────────► receiver's core ──accepted──┐
//!                                   ▲                                                      │
//!                                   └── neighbours that would get it later, or never ◄─────┘
//! ```
//! Duplicates are not simulated. A [`Message`] knows when each receiver gets it first; whoever can
//! deliver it sooner moves that time forward, and the event of the later arrival is stale when its
//! time comes. So a message is delivered once to each receiver, and it is forgotten with the last
//! of its events.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use reproducible_ops::random::Stream;

use super::seed::seed_key;
use crate::allowance::Link;
use crate::clock::{Millis, Round};
use crate::envelope::Envelope;
use crate::rejection::Rejection;
use crate::state::Output;

const NEVER: u32 = u32::MAX;

/// A published message on its way.
pub(super) struct Message {
    /// The message.
    pub bytes: Arc<[u8]>,
    /// What its fate on a link depends on.
    pub id: u64,
    published: Millis,
    /// The first arrival at each peer, in milliseconds since it was published; empty if nobody
    /// forwards.
    first: Box<[Cell<u32>]>,
}

impl Message {
    /// A message that `author` publishes; `receivers` is the number of all peers, or 0 if nobody
    /// forwards.
    pub fn new(bytes: Arc<[u8]>, author: usize, published: Millis, receivers: usize) -> Self {
        let first = vec![Cell::new(NEVER); receivers].into_boxed_slice();
        if let Some(own) = first.get(author) {
            own.set(0);
        }
        Self {
            id: fingerprint(&bytes),
            bytes,
            published,
            first,
        }
    }

    /// True if a peer gets it after `at`, or not at all.
    pub fn comes_after(&self, peer: usize, at: Millis) -> bool {
        let first = self.first.get(peer).map_or(NEVER, Cell::get);
        u64::from(first) > at.saturating_sub(self.published)
    }

    /// Notes that it arrives; false if it does not arrive any sooner than known.
    pub fn expect(&self, peer: usize, at: Millis) -> bool {
        // What takes 49 days never arrives.
        let Ok(after) = u32::try_from(at - self.published) else {
            return false;
        };
        let is_sooner = self.comes_after(peer, at);
        if let Some(first) = self.first.get(peer).filter(|_| is_sooner) {
            first.set(after);
        }
        is_sooner
    }

    /// True if it arrives at this time: false if it came sooner.
    pub fn is_due(&self, peer: usize, at: Millis) -> bool {
        let first = self.first.get(peer);
        first.is_none_or(|first| u64::from(first.get()) == at - self.published)
    }
}

/// The end of a message, which is the end of its signature: cheap and different for every message.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes
        .last_chunk()
        .map_or(bytes.len() as u64, |tail| u64::from_le_bytes(*tail))
}

/// Who forwards to whom: another random graph in every round, the union of cycles through all
/// peers. So it is connected, and everybody has two neighbours per cycle.
pub(super) struct Mesh {
    key: [u32; 2],
    peers: usize,
    cycles: usize,
    round: Option<Round>,
    /// Two per cycle for each peer.
    neighbours: Vec<u32>,
}

impl Mesh {
    /// A mesh with `degree` neighbours for each of `peers`; none if `degree` is 0.
    pub fn new(peers: usize, degree: usize, seed: u64) -> Self {
        Self {
            key: seed_key("round-simulation-mesh", seed),
            peers,
            cycles: degree.div_ceil(2),
            round: None,
            neighbours: Vec::new(),
        }
    }

    /// True if nobody has a neighbour.
    pub fn is_empty(&self) -> bool {
        self.cycles == 0
    }

    /// Neighbours of each peer.
    pub fn degree(&self) -> usize {
        2 * self.cycles
    }

    /// The mesh of a round.
    pub fn enter(&mut self, round: Round) {
        if self.round == Some(round) {
            return;
        }
        self.round = Some(round);
        self.neighbours = vec![0; self.peers * self.degree()];
        let mut random = Stream::new(self.key, round as u32, (round >> 32) as u32);
        let mut cycle: Vec<usize> = (0..self.peers).collect();
        for place in 0..self.cycles {
            random.shuffle(&mut cycle);
            let next = cycle.iter().cycle().skip(1);
            for (from, to) in cycle.iter().zip(next) {
                self.neighbours[from * 2 * self.cycles + 2 * place] = *to as u32;
                self.neighbours[to * 2 * self.cycles + 2 * place + 1] = *from as u32;
            }
        }
    }

    /// A neighbour of a peer in the round entered last.
    pub fn neighbour(&self, peer: usize, place: usize) -> usize {
        self.neighbours[peer * self.degree() + place] as usize
    }
}

/// A message and the neighbour who delivers it.
pub(super) struct Delivery {
    pub via: Link,
    pub message: Rc<Message>,
}

impl Delivery {
    /// The reason if the output refuses this delivery.
    fn refused_by(&self, output: &Output) -> Option<Rejection> {
        let Output::Rejected { link, peer, reason } = output else {
            return None;
        };
        let author = Envelope::parse(&self.message.bytes).map(|envelope| envelope.header.peer);
        (*link == self.via && *peer == author.ok()).then_some(*reason)
    }
}

/// What a peer got and its core has not judged: at most one new message, and those of a window to
/// come.
#[derive(Default)]
pub(super) struct Inbox {
    unjudged: Vec<Delivery>,
}

impl Inbox {
    /// Puts a new message behind the others.
    pub fn put(&mut self, delivery: Delivery) {
        self.unjudged.push(delivery);
    }

    /// Forgets everything, as a crash does.
    pub fn clear(&mut self) {
        self.unjudged.clear();
    }

    /// The messages to hand on after the core was asked: those that it `accepted` (how many, its
    /// counters say), and the second of two that contradict each other, because others should see
    /// the proof. `is_new` if the last message is a new one. What the core neither accepted nor
    /// refused it keeps for the next window, where it is judged in the order of arrival.
    pub fn judged(&mut self, is_new: bool, accepted: u64, outputs: &[Output]) -> Vec<Rc<Message>> {
        let has_entered = outputs
            .iter()
            .any(|output| matches!(output, Output::Entered(_)));
        let old = self.unjudged.len() - usize::from(is_new);
        let first = if has_entered { 0 } else { old };
        let mut left = accepted;
        let mut refusals = outputs
            .iter()
            .filter(|output| matches!(output, Output::Rejected { .. }))
            .peekable();
        let (mut handed_on, mut kept) = (Vec::new(), None);
        for (place, delivery) in self.unjudged.drain(first..).enumerate() {
            let refusal = refusals
                .peek()
                .and_then(|output| delivery.refused_by(output));
            match refusal {
                Some(reason) => {
                    refusals.next();
                    if reason == Rejection::Equivocation {
                        handed_on.push(delivery.message);
                    }
                }
                None if left > 0 => {
                    left -= 1;
                    handed_on.push(delivery.message);
                }
                None => kept = (first + place == old).then_some(delivery),
            }
        }
        self.unjudged.extend(kept);
        handed_on
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use swarm_identity::key::PeerId;

    use super::*;
    use crate::clock::Window;
    use crate::phase::Phase;

    fn neighbours(mesh: &Mesh, peer: usize) -> BTreeSet<usize> {
        (0..mesh.degree())
            .map(|place| mesh.neighbour(peer, place))
            .collect()
    }

    #[test]
    fn a_mesh_is_symmetric_connected_and_another_in_each_round() {
        let mut mesh = Mesh::new(50, 5, 3);
        assert_eq!((mesh.degree(), mesh.is_empty()), (6, false));
        mesh.enter(7);
        let seventh: Vec<_> = (0..50).map(|peer| neighbours(&mesh, peer)).collect();
        for (peer, others) in seventh.iter().enumerate() {
            assert!((2..=6).contains(&others.len()) && !others.contains(&peer));
            assert!(others.iter().all(|other| seventh[*other].contains(&peer)));
        }
        let mut reached = BTreeSet::from([0]);
        for _ in 0..50 {
            reached = reached
                .iter()
                .flat_map(|peer| seventh[*peer].clone())
                .chain([0])
                .collect();
        }
        assert!(reached.len() >= 49, "{reached:?}");
        mesh.enter(8);
        assert_ne!(seventh[0], neighbours(&mesh, 0));
        mesh.enter(7);
        assert_eq!(seventh[0], neighbours(&mesh, 0));
        assert!(Mesh::new(50, 0, 3).is_empty());
    }

    #[test]
    fn the_first_of_several_arrivals_is_the_one() {
        let message = Message::new(vec![7; 9].into(), 1, 1_000, 3);
        assert!(message.expect(0, 1_080) && message.comes_after(0, 1_079));
        assert!(!message.expect(0, 1_080) && !message.expect(0, 1_090));
        assert!(message.expect(0, 1_050));
        assert!(message.is_due(0, 1_050) && !message.is_due(0, 1_080));
        // The author has it, and peer 2 never gets it.
        assert!(!message.expect(1, 1_000) && message.comes_after(2, 1 << 31));
    }

    #[test]
    fn without_forwarding_every_arrival_counts() {
        let message = Message::new(vec![7; 9].into(), 1, 1_000, 0);
        assert!(message.expect(0, 1_080) && message.expect(0, 1_090));
        assert!(message.is_due(0, 1_080) && message.is_due(0, 1_090));
    }

    fn rejected(via: Link, reason: Rejection) -> Output {
        Output::Rejected {
            link: via,
            peer: None,
            reason,
        }
    }

    /// An inbox with messages of one byte, none of which is an envelope, by these links.
    fn inbox(links: &[u8]) -> Inbox {
        let mut inbox = Inbox::default();
        for (byte, link) in links.iter().enumerate() {
            let message = Rc::new(Message::new(vec![byte as u8].into(), 0, 0, 0));
            inbox.put(Delivery {
                via: via(*link),
                message,
            });
        }
        inbox
    }

    fn via(byte: u8) -> Link {
        Link(PeerId([byte; 33]))
    }

    fn bytes(messages: &[Rc<Message>]) -> Vec<u8> {
        messages.iter().map(|message| message.bytes[0]).collect()
    }

    #[test]
    fn what_the_core_accepts_is_handed_on_and_what_it_refuses_is_not() {
        assert_eq!(bytes(&inbox(&[1]).judged(true, 1, &[])), [0]);
        let late = rejected(via(1), Rejection::Late);
        let mut refused = inbox(&[1]);
        assert!(refused.judged(true, 0, &[late]).is_empty() && refused.unjudged.is_empty());
        let proof = rejected(via(1), Rejection::Equivocation);
        assert_eq!(bytes(&inbox(&[1]).judged(true, 0, &[proof])), [0]);
    }

    #[test]
    fn what_waits_for_a_window_is_judged_when_the_window_begins() {
        let entered = Output::Entered(Phase::In(Window::Settle));
        let mut inbox = inbox(&[1, 2, 3, 4]);
        // The last one is held, and so were the others before it.
        assert!(inbox.judged(true, 0, &[]).is_empty());
        assert!(inbox.judged(false, 0, &[]).is_empty());
        assert_eq!(inbox.unjudged.len(), 4);
        let outputs = [entered, rejected(via(2), Rejection::Duplicate)];
        assert_eq!(bytes(&inbox.judged(false, 3, &outputs)), [0, 2, 3]);
        assert!(inbox.unjudged.is_empty());
    }

    #[test]
    fn a_new_message_may_be_held_when_the_old_ones_are_judged() {
        let entered = Output::Entered(Phase::In(Window::Settle));
        let mut inbox = inbox(&[1, 2, 3]);
        assert_eq!(bytes(&inbox.judged(true, 2, &[entered])), [0, 1]);
        assert_eq!(inbox.unjudged.len(), 1);
        inbox.clear();
        assert!(inbox.unjudged.is_empty());
    }
}
