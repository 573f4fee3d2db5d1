//! What a core holds, counted: it must not grow with time.

/// Entries of all collections of a core. Every field is named here and below it, so that a new one
/// is counted or left out on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Of the round whose windows are open.
    pub active: usize,
    /// Rounds that are not decided.
    pub undecided: usize,
    /// Of those rounds.
    pub open: usize,
    /// Of what is known of decided rounds.
    pub history: usize,
    /// Registrations and stakes.
    pub members: usize,
    /// Rounds that were missed, or begun before the journal.
    pub missed: usize,
    /// Messages that wait for their window, and links that delivered what waits or is passed over.
    pub early: usize,
}

impl Census {
    /// The larger of each count.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            active: self.active.max(other.active),
            undecided: self.undecided.max(other.undecided),
            open: self.open.max(other.open),
            history: self.history.max(other.history),
            members: self.members.max(other.members),
            missed: self.missed.max(other.missed),
            early: self.early.max(other.early),
        }
    }
}
