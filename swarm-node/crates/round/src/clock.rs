//! Round number and window from time alone: no coordinator, no key holder.
//!
//! ```text
//! genesis + r·length
//! │ ShareSeal │ ShareReveal │ CritiqueSeal │ CritiqueReveal │ DecideSeal │ DecideReveal │ Settle │ next round
//! ```
//! Time is an argument everywhere. A window contains its first millisecond and not its last.

use crate::config::SwarmConfig;

/// Milliseconds since the Unix epoch, or of virtual time.
pub type Millis = u64;
/// Number of a round, counted from genesis.
pub type Round = u64;

/// The seven windows of a round in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Window {
    /// Answers are computed and sealed.
    ShareSeal,
    /// Answers are revealed.
    ShareReveal,
    /// Critiques are computed and sealed.
    CritiqueSeal,
    /// Critiques are revealed.
    CritiqueReveal,
    /// Decisions are computed and sealed.
    DecideSeal,
    /// Decisions are revealed.
    DecideReveal,
    /// Members agree on what counts; the round is resolved and learned from.
    Settle,
}

impl Window {
    /// All windows in order.
    pub const ALL: [Self; 7] = [
        Self::ShareSeal,
        Self::ShareReveal,
        Self::CritiqueSeal,
        Self::CritiqueReveal,
        Self::DecideSeal,
        Self::DecideReveal,
        Self::Settle,
    ];

    /// The window after this one in the same round.
    pub fn next(self) -> Option<Self> {
        Self::ALL.get(self as usize + 1).copied()
    }
}

/// A place in time: a round and a window of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The round.
    pub round: Round,
    /// The window in the round.
    pub window: Window,
}

impl Position {
    /// The position that follows.
    pub fn next(self) -> Self {
        match self.window.next() {
            Some(window) => Self { window, ..self },
            None => Self {
                round: self.round.saturating_add(1),
                window: Window::ShareSeal,
            },
        }
    }
}

/// Turns time into positions.
#[derive(Clone, Debug)]
pub struct Clock {
    genesis: Millis,
    /// Start of each window from the start of its round.
    starts: [u64; 7],
    length: u64,
}

impl Clock {
    /// The clock of a swarm.
    ///
    /// # Panics
    /// If no window has a length, which no valid configuration says.
    pub fn new(config: &SwarmConfig) -> Self {
        let mut starts = [0; 7];
        let mut length = 0;
        for (start, window) in starts.iter_mut().zip(config.windows.lengths()) {
            *start = length;
            length += u64::from(window);
        }
        assert!(length > 0, "invariant: a valid configuration has windows");
        Self {
            genesis: config.genesis_ms,
            starts,
            length,
        }
    }

    /// Length of a round in milliseconds.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The position at a time; `None` before genesis.
    #[expect(clippy::expect_used, reason = "the first window starts at 0")]
    pub fn at(&self, now: Millis) -> Option<Position> {
        let elapsed = now.checked_sub(self.genesis)?;
        let within = elapsed % self.length;
        let (window, _) = Window::ALL
            .into_iter()
            .zip(self.starts)
            .rfind(|(_, start)| *start <= within)
            .expect("invariant: the first window starts at 0");
        Some(Position {
            round: elapsed / self.length,
            window,
        })
    }

    /// The first millisecond of a position, saturating at the end of time.
    pub fn start(&self, at: Position) -> Millis {
        let round = at
            .round
            .saturating_mul(self.length)
            .saturating_add(self.genesis);
        round.saturating_add(self.starts[at.window as usize])
    }

    /// The first millisecond of the window after the one at `now`; genesis before genesis.
    pub fn next_boundary(&self, now: Millis) -> Millis {
        self.at(now)
            .map_or(self.genesis, |at| self.start(at.next()))
    }

    /// The segment of the journal at `now`: the round that comes next in a settle window, else the
    /// present one, and 0 before genesis.
    pub fn segment(&self, now: Millis) -> Round {
        match self.at(now) {
            None => 0,
            Some(at) if at.window == Window::Settle => at.round.saturating_add(1),
            Some(at) => at.round,
        }
    }

    /// The first round that starts at or after `now`.
    pub fn first_whole_round(&self, now: Millis) -> Round {
        now.saturating_sub(self.genesis).div_ceil(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::toy;

    fn clock() -> Clock {
        let mut config = toy::config(4);
        config.genesis_ms = 1_000;
        config.windows = crate::config::Windows::uniform(10);
        config.windows.settle_ms = 40;
        Clock::new(&config)
    }

    #[test]
    fn windows_follow_each_other_without_gap() {
        let clock = clock();
        assert_eq!(clock.length(), 100);
        assert_eq!(clock.at(999), None);
        let mut at = Position {
            round: 0,
            window: Window::ShareSeal,
        };
        for _ in 0..30 {
            let start = clock.start(at);
            assert_eq!(clock.at(start), Some(at));
            assert_eq!(clock.next_boundary(start), clock.start(at.next()));
            at = at.next();
            assert_eq!(clock.at(clock.start(at) - 1).map(Position::next), Some(at));
        }
        assert_eq!(at.round, 4);
    }

    #[test]
    fn a_late_node_joins_the_next_round() {
        let clock = clock();
        assert_eq!(clock.first_whole_round(5), 0);
        assert_eq!(clock.first_whole_round(1_000), 0);
        assert_eq!(clock.first_whole_round(1_001), 1);
        assert_eq!(clock.first_whole_round(1_100), 1);
    }

    #[test]
    fn the_end_of_time_saturates() {
        let clock = clock();
        let at = clock.at(u64::MAX).unwrap();
        assert!(clock.next_boundary(u64::MAX) >= clock.start(at));
    }
}
