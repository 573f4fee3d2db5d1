//! What an experiment is: a name, a line about it, and how it is measured.

/// Something that can be measured.
pub struct Experiment {
    /// What to type.
    pub name: &'static str,
    /// One line for the list.
    pub about: &'static str,
    /// Measures with the arguments after the name, the name first; prints a table and returns the
    /// result.
    pub run: fn(&[String]) -> anyhow::Result<serde_json::Value>,
}
