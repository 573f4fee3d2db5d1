//! The phases of a node and the only edges between them.
//!
//! ```text
//!              ┌──────────────────────────────────────────────────────────────────────┐
//!              ▼                                                                      │
//! Waiting ─► ShareSeal ─► ShareReveal ─► CritiqueSeal ─► CritiqueReveal ─► DecideSeal │
//!    ▲                                                                         │      │
//!    └──────────────────────────────── Settle ◄──────────── DecideReveal ◄─────┘      │
//!                                        └────────────────────────────────────────────┘
//! ```
//! A node waits before genesis, after it started in the middle of a round, and after it overslept
//! the start of one. In a round it visits every window in order, even those it slept through, so
//! each window's duties run exactly once.

use crate::clock::Window;

/// Where a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Not in a round.
    Waiting,
    /// In a window of a round.
    In(Window),
}

/// Every legal transition.
pub const EDGES: [(Phase, Phase); 9] = [
    (Phase::Waiting, Phase::In(Window::ShareSeal)),
    (Phase::In(Window::ShareSeal), Phase::In(Window::ShareReveal)),
    (
        Phase::In(Window::ShareReveal),
        Phase::In(Window::CritiqueSeal),
    ),
    (
        Phase::In(Window::CritiqueSeal),
        Phase::In(Window::CritiqueReveal),
    ),
    (
        Phase::In(Window::CritiqueReveal),
        Phase::In(Window::DecideSeal),
    ),
    (
        Phase::In(Window::DecideSeal),
        Phase::In(Window::DecideReveal),
    ),
    (Phase::In(Window::DecideReveal), Phase::In(Window::Settle)),
    (Phase::In(Window::Settle), Phase::In(Window::ShareSeal)),
    (Phase::In(Window::Settle), Phase::Waiting),
];

/// True if the table has the edge.
pub fn is_legal(from: Phase, to: Phase) -> bool {
    EDGES.contains(&(from, to))
}
