//! Reasons to reject a message, their counters, and what one link may cost a node per round.
//!
//! Messages are judged cheapest first: size, version, swarm, round window, member, duplicate, rate, signature, content.
//! Work is charged to the *link* that delivered a message, never to the peer that it names: a forger must not be able to
//! use up somebody else's allowance.

use std::collections::HashMap;

use thiserror::Error;

/// A neighbour that delivers messages, numbered by the network layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Link(pub u64);

impl Link {
    /// The node's own messages.
    pub const OWN: Self = Self(u64::MAX);
}

/// Messages with a bad signature or content that a link may deliver per round before it is muted for the rest of it.
pub const FAULTS_PER_LINK: u32 = 32;
/// Links that are accounted for at a time; messages of further ones are refused for the round.
pub const MAX_LINKS: usize = 4096;
/// Messages of the next window held per link until it opens (neighbours' clocks run ahead by a little).
pub const EARLY_PER_LINK: u32 = 256;
/// Bytes held for the next window over all links.
pub const EARLY_BYTES: usize = 16 << 20;

/// Why a message was not accepted, in the order of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Error)]
pub enum Rejection {
    /// Wrong size, or a payload length that disagrees.
    #[error("the message's size is out of bounds or differs from its header")]
    Size,
    /// Another protocol version.
    #[error("another protocol version")]
    Version,
    /// A kind that this version does not know.
    #[error("unknown kind")]
    Kind,
    /// Another swarm.
    #[error("another swarm")]
    Swarm,
    /// Its window is over.
    #[error("late: its window is over")]
    Late,
    /// Its window is far ahead, or the room for early messages is used up.
    #[error("early: its window is far ahead or too many wait already")]
    Early,
    /// The node itself is not in a round.
    #[error("this node waits for its first whole round")]
    Waiting,
    /// Signed by somebody who is not a member of the round.
    #[error("not a member of the round")]
    NotMember,
    /// Known already, or about a place that is closed after an equivocation.
    #[error("duplicate")]
    Duplicate,
    /// The link used up its allowance.
    #[error("the link used up its allowance of this round")]
    Rate,
    /// The signature is not the peer's.
    #[error("bad signature")]
    Signature,
    /// The member is not assigned to the question, or the slot does not fit the kind.
    #[error("the member has no such assignment")]
    NotAssigned,
    /// A second, different signed message for the same place.
    #[error("equivocation: contradicts an earlier message of the peer")]
    Equivocation,
    /// The payload is not a body of its kind.
    #[error("malformed payload")]
    Malformed,
    /// The reveal was not sealed, or differs from its seal.
    #[error("the reveal does not match a seal")]
    Unsealed,
}

impl Rejection {
    /// All reasons in the order of the checks.
    pub const ALL: [Self; 15] = [
        Self::Size,
        Self::Version,
        Self::Kind,
        Self::Swarm,
        Self::Late,
        Self::Early,
        Self::Waiting,
        Self::NotMember,
        Self::Duplicate,
        Self::Rate,
        Self::Signature,
        Self::NotAssigned,
        Self::Equivocation,
        Self::Malformed,
        Self::Unsealed,
    ];

    /// True for what no honest neighbour forwards after checking it, and what costs a signature check to find out.
    fn is_fault(self) -> bool {
        matches!(self, Self::Signature | Self::NotAssigned | Self::Malformed | Self::Unsealed)
    }
}

/// Counts of accepted and rejected messages since the node started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Accepted messages.
    pub accepted: u64,
    rejected: [u64; Rejection::ALL.len()],
}

impl Counters {
    /// How many messages were rejected for a reason.
    pub fn rejected(&self, reason: Rejection) -> u64 {
        self.rejected.get(reason as usize).copied().unwrap_or(0)
    }

    pub(super) fn reject(&mut self, reason: Rejection) {
        if let Some(count) = self.rejected.get_mut(reason as usize) {
            *count += 1;
        }
    }

    /// Adds another node's counts.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.rejected.iter_mut().zip(other.rejected).for_each(|(sum, count)| *sum += count);
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    checks: u32,
    faults: u32,
}

/// What links have cost in the current round.
#[derive(Clone, Debug, Default)]
pub struct Allowance {
    links: HashMap<Link, Usage>,
    checks_per_link: u32,
}

impl Allowance {
    /// A fresh allowance for a round in which at most `messages` honest messages exist.
    ///
    /// A neighbour may forward all of them, and a contradiction for each.
    pub fn new(messages: u32) -> Self {
        Self { links: HashMap::new(), checks_per_link: messages.saturating_mul(2) }
    }

    /// Takes one signature check from a link's allowance.
    ///
    /// # Errors
    /// [`Rejection::Rate`] if it is used up.
    pub fn take(&mut self, link: Link) -> Result<(), Rejection> {
        if self.links.len() >= MAX_LINKS && !self.links.contains_key(&link) {
            return Err(Rejection::Rate);
        }
        let limit = self.checks_per_link;
        let usage = self.links.entry(link).or_default();
        if usage.faults >= FAULTS_PER_LINK || usage.checks >= limit {
            return Err(Rejection::Rate);
        }
        usage.checks += 1;
        Ok(())
    }

    /// Charges a rejection to the link.
    pub fn charge(&mut self, link: Link, reason: Rejection) {
        if let Some(usage) = self.links.get_mut(&link).filter(|_| reason.is_fault()) {
            usage.faults = usage.faults.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_apart() {
        let mut counters = Counters::default();
        for (i, reason) in Rejection::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, i);
            counters.reject(reason);
        }
        assert!(Rejection::ALL.into_iter().all(|reason| counters.rejected(reason) == 1));
    }

    #[test]
    fn a_faulty_link_is_muted_and_others_are_not() {
        let mut allowance = Allowance::new(1000);
        for _ in 0..FAULTS_PER_LINK {
            allowance.take(Link(1)).unwrap();
            allowance.charge(Link(1), Rejection::Signature);
        }
        assert_eq!(allowance.take(Link(1)), Err(Rejection::Rate));
        assert_eq!(allowance.take(Link(2)), Ok(()));
    }

    #[test]
    fn a_link_gets_as_many_checks_as_honest_traffic_needs() {
        let mut allowance = Allowance::new(3);
        let taken = (0..10).filter(|_| allowance.take(Link(1)).is_ok()).count();
        assert_eq!(taken, 6);
    }

    #[test]
    fn the_number_of_links_is_bounded() {
        let mut allowance = Allowance::new(3);
        let taken = (0..MAX_LINKS as u64 + 5).filter(|link| allowance.take(Link(*link)).is_ok()).count();
        assert_eq!(taken, MAX_LINKS);
    }
}
