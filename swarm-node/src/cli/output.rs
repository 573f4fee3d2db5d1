//! All output of the binary: results on standard output, everything else on standard error.
//!
//! Nothing here panics. Progress and messages never fail a run: an error of standard error is
//! passed over. A result that standard output does not take is no result: for a closed pipe the
//! command ends quietly, because the reader has seen all that it wanted; for any other error it
//! ends with code 1, and the message says where the result lies and repeats it. The macros that
//! print are denied in this crate (`clippy::print_stdout`, `clippy::print_stderr`).

use std::io::{self, Write};

use super::failure::Failure;

/// What a command found, in both of its forms.
pub(super) struct Answer {
    /// For people: one or more lines.
    pub(super) text: String,
    /// For programs: one line of JSON.
    pub(super) json: String,
    /// Where it lies besides, for when it cannot be printed; empty if nowhere.
    pub(super) kept: String,
}

impl Answer {
    /// Prints the answer on standard output: the text, or with `json` one line of JSON and nothing
    /// else.
    ///
    /// # Errors
    /// [`Failure::Output`] unless standard output took it or is a closed pipe.
    pub(super) fn print(&self, json: bool) -> Result<(), Failure> {
        let result = if json {
            self.json.as_str()
        } else {
            self.text.trim()
        };
        match write_line(io::stdout().lock(), result) {
            Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output {
                cause,
                kept: self.kept.clone(),
                result: result.to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

/// Prints names with values; `kept` says where they are besides.
pub(super) fn print_rows(
    rows: &[(&'static str, String)],
    json: bool,
    kept: String,
) -> Result<(), Failure> {
    let object: serde_json::Map<_, _> = rows
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone().into()))
        .collect();
    let text = rows
        .iter()
        .map(|(name, value)| format!("{name:<12} {value}\n"))
        .collect();
    Answer {
        text,
        json: serde_json::Value::Object(object).to_string(),
        kept,
    }
    .print(json)
}

/// A second since 1970 as this machine's clock on the wall shows it.
pub(super) fn when(second: u64) -> String {
    let known = i64::try_from(second).ok();
    let time = known.and_then(|second| jiff::Timestamp::from_second(second).ok());
    // A time that no calendar has is shown as it is.
    time.map_or_else(
        || format!("second {second}"),
        |time| {
            let local = time.to_zoned(jiff::tz::TimeZone::system());
            local.strftime("%F %T").to_string()
        },
    )
}

/// Writes lines to standard error; that they cannot be written changes nothing.
pub(super) fn note(text: &str) {
    if !text.is_empty() {
        let _ = write_line(io::stderr().lock(), text);
    }
}

/// Puts a code for the terminal before the next result; that it cannot be written changes nothing.
pub(super) fn clear(code: &str) {
    let _ = io::stdout().lock().write_all(code.as_bytes());
}

/// Writes a warning to standard error; that it cannot be written changes nothing.
pub(super) fn warning(text: &str) {
    note(&format!("warning: {text}"));
}

/// Writes a line in one piece, so that lines of several threads do not mix.
fn write_line(mut to: impl Write, text: &str) -> io::Result<()> {
    to.write_all(format!("{text}\n").as_bytes())?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_no_calendar_has_is_shown_as_it_is() {
        for second in [u64::MAX, i64::MAX as u64] {
            assert_eq!(when(second), format!("second {second}"));
        }
        assert!(when(1_800_000_000).starts_with("2027-01-1"));
    }
}
