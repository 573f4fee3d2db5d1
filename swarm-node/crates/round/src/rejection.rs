//! Reasons to reject a message or to withhold one's own, and their counters.
//!
//! Messages are judged cheapest first: size, version, swarm, round window, member, duplicate,
//! assignment, rate, signature, content.

use thiserror::Error;

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
    /// The member is not assigned to the question, or the slot does not fit the kind.
    #[error("the member has no such assignment")]
    NotAssigned,
    /// The link used up its allowance.
    #[error("the link used up its allowance of this round")]
    Rate,
    /// The signature is not the peer's.
    #[error("bad signature")]
    Signature,
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
        Self::NotAssigned,
        Self::Rate,
        Self::Signature,
        Self::Equivocation,
        Self::Malformed,
        Self::Unsealed,
    ];
}

/// Why a node did not publish a message of its own. It is silent in that place then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Error)]
pub enum Withheld {
    /// The sign-once table does not allow the signature: another digest was signed for the place,
    /// before a restart, or the table cannot be written.
    #[error("its signature was refused: it could contradict an earlier message of this node")]
    Refused,
    /// The window closed before the message was signed.
    #[error("its window closed before it was signed")]
    Late,
    /// The window was open, but not for as long as the message needs to the others.
    #[error("its window was about to close: it would have come too late at most peers")]
    OutOfReach,
    /// The node's own log does not take it; the rejection says why.
    #[error("this node itself rejects it")]
    Rejected,
}

impl Withheld {
    /// All reasons.
    pub const ALL: [Self; 4] = [Self::Refused, Self::Late, Self::OutOfReach, Self::Rejected];
}

/// Counts of messages since the node started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Accepted messages.
    pub accepted: u64,
    rejected: [u64; Rejection::ALL.len()],
    withheld: [u64; Withheld::ALL.len()],
}

impl Counters {
    /// How many messages were rejected for a reason.
    pub fn rejected(&self, reason: Rejection) -> u64 {
        self.rejected[reason as usize]
    }

    /// How many messages of its own the node withheld for a reason.
    pub fn withheld(&self, reason: Withheld) -> u64 {
        self.withheld[reason as usize]
    }

    pub(crate) fn reject(&mut self, reason: Rejection) {
        self.rejected[reason as usize] += 1;
    }

    pub(crate) fn withhold(&mut self, reason: Withheld) {
        self.withheld[reason as usize] += 1;
    }

    /// Adds another node's counts.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        for (sum, count) in self.rejected.iter_mut().zip(other.rejected) {
            *sum += count;
        }
        for (sum, count) in self.withheld.iter_mut().zip(other.withheld) {
            *sum += count;
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
        assert!(
            Rejection::ALL
                .into_iter()
                .all(|reason| counters.rejected(reason) == 1)
        );
        for (i, reason) in Withheld::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, i);
            counters.withhold(reason);
            assert_eq!(counters.withheld(reason), 1);
        }
    }
}
