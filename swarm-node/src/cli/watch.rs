//! What is shown once, or again every second.

use std::io::IsTerminal as _;
use std::time::Duration;

use super::failure::Failure;
use super::output::{self, Answer};
use super::signals::stop_on_signals;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Clears a terminal and puts the cursor at its top.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Prints what `look` finds, with `watch` every second, until Ctrl-C or until it says that nothing
/// more will come.
pub(super) fn show(
    watch: bool,
    json: bool,
    mut look: impl FnMut() -> Result<(Answer, bool), Failure>,
) -> Result<(), Failure> {
    if !watch {
        return look()?.0.print(json);
    }
    let stop = stop_on_signals()?;
    while !stop.is_requested() {
        let (answer, is_last) = look()?;
        if !json && std::io::stdout().is_terminal() {
            output::clear(CLEAR);
        }
        answer.print(json)?;
        if is_last {
            break;
        }
        std::thread::sleep(EVERY);
    }
    Ok(())
}
