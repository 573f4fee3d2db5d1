//! A chain's time, as far as a node may rely on what a server says of it.
//!
//! A server may lag, lie, or follow a branch that is reorganised away, so the time of its newest
//! block jumps both ways. What a node decides by time is of two kinds, and each errs on the side
//! that costs less:
//!
//! * May this be done *yet*? That is judged by [`next_block`](ChainClock::next_block): the newest
//!   block, or the wall clock if that is ahead. To be too early costs nothing: the contract refuses
//!   the call before it is sent.
//! * Is it too *late*? That is judged by [`latest`](ChainClock::latest): the greatest block time
//!   ever seen. A deadline that has passed must not open again because a server shows an old block.
//!
//! Too late is the expensive error: a reward that is never claimed. So the wall clock alone makes
//! nothing late (the contract goes by block time), and a block counts only up to [`AHEAD_SECONDS`]
//! beyond the wall clock: a server that was far ahead once makes nothing late, and one that stays
//! within the tolerance is overtaken by the truth that much later. A maximum that is beyond the
//! tolerance, because the wall clock was wrong and has been set right, is given up for the next
//! block that is not. Only a wall clock that is ahead *and* a server that lies can make something
//! late that is not; a wall clock that is behind makes nothing late.

/// How far a block's time may be ahead of the wall clock and count for deadlines, in seconds. An
/// hour: the furthest that sequencers of rollups may date a block ahead, and well above the error
/// of a clock that is set by a time server.
pub const AHEAD_SECONDS: u64 = 3_600;

/// What is known of a chain's time. All times are seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainClock {
    newest: u64,
    latest: u64,
}

impl ChainClock {
    /// A clock that has seen blocks up to a time before a restart.
    pub fn resume(latest: u64) -> Self {
        Self { newest: 0, latest }
    }

    /// Takes in the time of the newest block; `wall` is the wall clock, `None` for a chain in this
    /// process, whose time is its own and true.
    pub fn observe(&mut self, block: u64, wall: Option<u64>) {
        self.newest = block;
        let limit = wall.map_or(u64::MAX, |wall| wall.saturating_add(AHEAD_SECONDS));
        if block <= limit {
            self.latest = if self.latest <= limit {
                self.latest.max(block)
            } else {
                block
            };
        }
    }

    /// What the next block will say, as far as one can know: a chain that mines on demand shows an
    /// old block until somebody sends a transaction.
    pub fn next_block(&self, wall: Option<u64>) -> u64 {
        self.newest.max(wall.unwrap_or_default())
    }

    /// The greatest time that a block has had: what is over by it is over.
    pub fn latest(&self) -> u64 {
        self.latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn a_block_that_goes_back_reopens_no_deadline() {
        let mut clock = ChainClock::default();
        clock.observe(NOW, Some(NOW));
        clock.observe(NOW - 86_400, Some(NOW + 1));
        assert_eq!(
            (clock.latest(), clock.next_block(Some(NOW - 5))),
            (NOW, NOW - 5)
        );
        let mut again = ChainClock::resume(clock.latest());
        again.observe(NOW - 86_400, Some(NOW + 2));
        assert_eq!(again.latest(), NOW, "nor after a restart");
    }

    #[test]
    fn a_server_that_was_far_ahead_once_stops_nothing() {
        let mut clock = ChainClock::default();
        clock.observe(NOW, Some(NOW));
        clock.observe(u64::MAX, Some(NOW));
        assert_eq!(clock.latest(), NOW);
        clock.observe(NOW + AHEAD_SECONDS + 1, Some(NOW));
        assert_eq!(clock.latest(), NOW);
        clock.observe(NOW + AHEAD_SECONDS, Some(NOW));
        assert_eq!(
            clock.latest(),
            NOW + AHEAD_SECONDS,
            "within the tolerance a block counts"
        );
        clock.observe(NOW + 12, Some(NOW + 12));
        assert_eq!(clock.next_block(Some(NOW + 12)), NOW + 12);
    }

    #[test]
    fn a_wall_clock_that_was_wrong_is_recovered_from() {
        let mut clock = ChainClock::default();
        let wrong = NOW + 30 * 86_400;
        clock.observe(wrong, Some(wrong));
        clock.observe(NOW, Some(NOW));
        assert_eq!(
            clock.latest(),
            NOW,
            "what no clock supports any more is given up"
        );
        clock.observe(NOW + 60, Some(7));
        assert_eq!(
            clock.latest(),
            NOW,
            "a wall clock that is behind makes nothing late, and forgets nothing"
        );
    }

    #[test]
    fn the_wall_clock_makes_nothing_late_and_a_chain_in_this_process_needs_none() {
        let mut clock = ChainClock::default();
        clock.observe(100, Some(NOW));
        assert_eq!((clock.latest(), clock.next_block(Some(NOW))), (100, NOW));
        clock.observe(NOW, None);
        assert_eq!((clock.latest(), clock.next_block(None)), (NOW, NOW));
    }
}
