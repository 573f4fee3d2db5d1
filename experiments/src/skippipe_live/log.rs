//! What a peer's log says.

/// A step's line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct StepLine {
    /// From 1.
    pub(super) number: u64,
    /// Seconds.
    pub(super) measured: f64,
    /// Seconds, where the peer could tell.
    pub(super) predicted: Option<f64>,
}

/// The lines of steps.
pub(super) fn steps(text: &str) -> Vec<StepLine> {
    text.lines().filter_map(step).collect()
}

/// `step 3/12: loss 1.2345, 8 microbatches, 24 visits, 2.31 s, predicted 2.20 s`
fn step(line: &str) -> Option<StepLine> {
    let (_, rest) = line.split_once("step ")?;
    let (number, rest) = rest.split_once('/')?;
    let number = number.parse().ok()?;
    let seconds = |text: &str| text.trim().strip_suffix(" s")?.parse::<f64>().ok();
    let mut measured = None;
    let mut predicted = None;
    for part in rest.split(',') {
        match part.trim().strip_prefix("predicted ") {
            Some(time) => predicted = seconds(time),
            None => measured = seconds(part).or(measured),
        }
    }
    Some(StepLine {
        number,
        measured: measured?,
        predicted,
    })
}

/// What was measured of links and engines, and what a step should take by it.
pub(super) fn measured(text: &str) -> String {
    let lines = text.lines().filter(|line| {
        let told = ["links: ", "  peer ", "a step should take"];
        told.iter().any(|start| line.contains(start))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Who took up a stage again, in the words of whoever leads.
pub(super) fn joined(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.contains(" holds stage "));
    lines.map(|line| line.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_s_line_has_its_times() {
        let text = "peers: 6 of 6\n\
                    step 3/12: loss 1.2345, 8 microbatches, 24 visits, 2.31 s, predicted 2.20 s\n\
                    step 4/12: loss 1.2, 8 microbatches, 24 visits, 1 lost, 9.5 s\n";
        let expected = [(3, 2.31, Some(2.2)), (4, 9.5, None)];
        let expected = expected.map(|(number, measured, predicted)| StepLine {
            number,
            measured,
            predicted,
        });
        assert_eq!(steps(text), expected);
    }
}
