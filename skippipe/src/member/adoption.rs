//! A stage that a member takes up.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::content::Content;
use crate::message::{Adopt, When};
use crate::path::Stage;

/// A stage that is being taken up.
#[derive(Debug)]
pub struct Adoption {
    /// Before which step.
    pub when: When,
    /// What and whence.
    pub adopt: Adopt,
    /// States that have come.
    pub parts: BTreeMap<Stage, Content>,
    /// When it is given up.
    pub until: Duration,
}
