//! A second process that runs with this node's key, noticed by what it signs.
//!
//! ```text
//! an own message that is new here, for a window that opened
//!   before this process started  ─▶ an earlier run may have signed it: proves nothing
//!   within its first rounds      ─▶ this process is the newcomer, and must end
//!   later                        ─▶ the other one is the newcomer: told, and gone on
//! ```
//! Both processes have their own sign-once table, so together they contradict themselves, which costs
//! the stake. The later one ends, whichever of the two hears first; if both are new, both do. Two of
//! one key that were never both heard at one place are not noticed.

use swarm_round::clock::{Clock, Millis, Position, Round};
use swarm_round::envelope::{Envelope, Header};

/// Rounds, in lengths of one, in which a process counts as new: the first that it may take part in
/// begins within the first, and is over within the second.
const NEW_FOR: u64 = 3;

/// A message of this node's key that this process did not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Foreign {
    /// The round of the message.
    pub(super) round: Round,
    /// True if this process is the one that came later.
    pub(super) is_newcomer: bool,
}

/// Judges a message of this node's key that it did not know, heard by a process that started at
/// `started`; none if an earlier run may have signed it.
pub(super) fn judge(header: &Header, clock: &Clock, started: Millis) -> Option<Foreign> {
    let opened = clock.start(Position {
        round: header.round,
        window: header.kind.window(),
    });
    (opened > started).then(|| Foreign {
        round: header.round,
        is_newcomer: opened <= started.saturating_add(NEW_FOR * clock.length()),
    })
}

/// The header of a message.
pub(super) fn header(bytes: &[u8]) -> Option<Header> {
    Envelope::parse(bytes).ok().map(|message| message.header)
}

#[cfg(test)]
mod tests {
    use swarm_identity::NodeKey;
    use swarm_identity::Secret;
    use swarm_round::Windows;
    use swarm_round::payload::{Kind, STAGE_SLOT};
    use swarm_round::sim::toy;

    use super::*;

    /// What a process that started so long after genesis makes of a foreign message of a round.
    fn judged(started: Millis, round: Round, kind: Kind) -> Option<Foreign> {
        let mut config = toy::config(4);
        config.genesis_ms = 10_000;
        config.windows = Windows::uniform(1_000);
        let secret = Secret::from_bytes(&[7; 32]).unwrap();
        let header = Header {
            swarm: config.swarm_id(),
            round,
            kind,
            slot: STAGE_SLOT,
            peer: NodeKey::from(&secret).peer(),
            sequence: 0,
        };
        judge(&header, &Clock::new(&config), 10_000 + started)
    }

    #[test]
    fn the_process_that_came_later_is_the_newcomer() {
        // Rounds of seven seconds; this process came half a second into round 2.
        let started = 14_500;
        assert_eq!(judged(started, 1, Kind::Precommit), None);
        assert_eq!(judged(started, 2, Kind::ShareSeal), None);
        let found = |round, is_newcomer| Some(Foreign { round, is_newcomer });
        assert_eq!(judged(started, 2, Kind::ShareReveal), found(2, true));
        assert_eq!(judged(started, 4, Kind::Receipt), found(4, true));
        assert_eq!(judged(started, 5, Kind::ShareSeal), found(5, true));
        assert_eq!(judged(started, 5, Kind::ShareReveal), found(5, false));
    }
}
