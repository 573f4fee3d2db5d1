//! What the owner of a running node may tell it: pause, resume, drain.
//!
//! ```text
//!            pause(until)            drain
//! Working ──────────────▶ Paused ─────────▶ Draining ─▶ the process ends
//!    ▲ └────────────────────┼───────────────▲  │
//!    └── resume, or its end ┘                  └─ resume ─▶ Working
//! ```
//! All of them take effect between rounds: a round that was begun is finished. A paused node stays
//! connected, hands messages on and votes; only its model rests.

use serde::{Deserialize, Serialize};
use swarm_round::clock::Millis;

/// A wish of the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// Let the model rest, for so many milliseconds or until further notice.
    Pause(Option<Millis>),
    /// Work again.
    Resume,
    /// Finish the round, and end.
    Drain,
}

/// What the owner wants of the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// To work.
    #[default]
    Working,
    /// To rest, until a time or until further notice.
    Paused(Option<Millis>),
    /// To end after the round.
    Draining,
}

impl Mode {
    /// The mode after a wish.
    pub fn after(self, wish: Control, now: Millis) -> Self {
        match wish {
            Control::Pause(length) => Self::Paused(length.map(|ms| now.saturating_add(ms))),
            Control::Resume => Self::Working,
            Control::Drain => Self::Draining,
        }
    }

    /// The mode when it is this late.
    pub fn at(self, now: Millis) -> Self {
        match self {
            Self::Paused(Some(until)) if until <= now => Self::Working,
            mode => mode,
        }
    }

    /// True if the model may begin a round.
    pub fn works(self) -> bool {
        self == Self::Working
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_by_itself_or_by_a_wish() {
        let paused = Mode::Working.after(Control::Pause(Some(1_000)), 500);
        assert_eq!(paused.at(1_499), Mode::Paused(Some(1_500)));
        assert_eq!(paused.at(1_500), Mode::Working);
        let forever = paused.after(Control::Pause(None), 600);
        assert_eq!(forever.at(u64::MAX), Mode::Paused(None));
        assert!(forever.after(Control::Resume, 700).works());
        assert!(!paused.works() && !Mode::Draining.at(u64::MAX).works());
    }
}
