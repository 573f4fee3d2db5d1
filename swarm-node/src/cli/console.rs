//! Progress for people: bars on a terminal, plain lines otherwise, always on standard error.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::output;
use crate::job::Progress;

/// Most plain lines of one piece of work: enough to follow, few enough for a log.
const LINES: u64 = 30;
const BAR: &str = "{prefix:14} [{bar:24}] {pos}/{len} {elapsed} {wide_msg}";

/// Shows progress on standard error.
pub(super) struct Console {
    terminal: bool,
    work: Mutex<Option<Work>>,
}

struct Work {
    what: String,
    steps: u64,
    done: u64,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Console {
    pub(super) fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            work: Mutex::new(None),
        }
    }

    fn with(&self, act: impl FnOnce(&mut Option<Work>)) {
        act(&mut self.work.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn bar(what: &str, steps: u64) -> ProgressBar {
        #[expect(clippy::expect_used, reason = "a constant, which a test shows")]
        let style = ProgressStyle::with_template(BAR).expect("invariant: the bar is a template");
        let bar = ProgressBar::new(steps)
            .with_style(style.progress_chars("=> "))
            .with_prefix(what.to_owned());
        bar.tick();
        bar
    }
}

impl Work {
    fn advance(&mut self, note: &str) {
        let shown = self.share();
        self.done += 1;
        match &self.bar {
            Some(bar) => {
                bar.set_message(note.to_owned());
                bar.inc(1);
            }
            None if self.share() > shown || self.done == self.steps => self.line(note),
            None => {}
        }
    }

    /// How many of the plain lines are due.
    fn share(&self) -> u64 {
        self.done * LINES / self.steps.max(1)
    }

    fn line(&self, note: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        let note = match note.is_empty() {
            true => String::new(),
            false => format!(": {note}"),
        };
        output::note(&format!(
            "{} {}/{} after {seconds:.1} s{note}",
            self.what, self.done, self.steps
        ));
    }

    fn finish(self, note: &str) {
        match self.bar {
            Some(bar) if note.is_empty() => bar.finish(),
            Some(bar) => bar.finish_with_message(note.to_owned()),
            None if !note.is_empty() => output::note(&format!("{}: {note}", self.what)),
            None => {}
        }
    }
}

impl Progress for Console {
    fn begin(&self, what: &str, steps: u64) {
        let bar = self.terminal.then(|| Self::bar(what, steps));
        if bar.is_none() {
            output::note(&format!("{what}: {steps} steps"));
        }
        self.with(|work| {
            *work = Some(Work {
                what: what.into(),
                steps,
                done: 0,
                started: Instant::now(),
                bar,
            })
        });
    }

    fn step(&self, note: &str) {
        self.with(|work| {
            if let Some(work) = work {
                work.advance(note);
            }
        });
    }

    fn end(&self, note: &str) {
        self.with(|work| {
            if let Some(work) = work.take() {
                work.finish(note);
            }
        });
    }

    fn warn(&self, text: &str) {
        self.with(
            |work| match work.as_ref().and_then(|work| work.bar.as_ref()) {
                Some(bar) => bar.suspend(|| output::warning(text)),
                None => output::warning(text),
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_a_template() {
        assert_eq!(Console::bar("training", 3).length(), Some(3));
    }
}
