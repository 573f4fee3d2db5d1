//! How long work tells where it is, without knowing who listens.

/// Listens to long work. Calls may come from several threads.
pub trait Watch: Sync {
    /// Work of `steps` steps begins.
    fn begin(&self, what: &str, steps: u64);

    /// One step is done; the note says what it showed.
    fn step(&self, note: &str);

    /// The work that began last is done.
    fn end(&self, note: &str);

    /// Something that people should know.
    fn warn(&self, text: &str);
}

/// Nobody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Watch for Silent {
    fn begin(&self, _what: &str, _steps: u64) {}
    fn step(&self, _note: &str) {}
    fn end(&self, _note: &str) {}
    fn warn(&self, _text: &str) {}
}
