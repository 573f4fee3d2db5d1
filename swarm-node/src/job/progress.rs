//! How work that takes long shows its progress, whoever displays it: a terminal, a log, nobody.

/// Shows the progress of long work. Calls may come from several threads.
pub trait Progress: Sync {
    /// Work of `steps` steps begins.
    fn begin(&self, what: &str, steps: u64);

    /// One step is done; the note says what it showed.
    fn step(&self, note: &str);

    /// The work that began last is done.
    fn end(&self, note: &str);

    /// Something that people should know.
    fn warn(&self, text: &str);
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _what: &str, _steps: u64) {}
    fn step(&self, _note: &str) {}
    fn end(&self, _note: &str) {}
    fn warn(&self, _text: &str) {}
}
