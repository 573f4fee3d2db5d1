//! The steps that a pass through the records consists of.

/// A step of a pass, for the record at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Find it in the chain.
    Locate(u64),
    /// Get it into the chain.
    Push(u64),
    /// Try it, to give it a nonce.
    Preflight(u64),
    /// Fill a nonce that nobody has, below others that wait for it.
    CloseGap,
}
