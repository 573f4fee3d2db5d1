//! A line for each step, and for whatever goes wrong.

use std::time::Duration;

use skippipe::event::Event;
use skippipe::transcript::StepRecord;

use crate::cli::output;
use crate::pipeline::run::Watcher;

/// Prints them.
pub(super) struct Lines {
    /// Steps of the job.
    pub(super) steps: u64,
}

impl Watcher for Lines {
    fn stepped(&mut self, record: &StepRecord, took: Duration) {
        let losses = record
            .passages
            .iter()
            .map(|passage| f32::from_bits(passage.loss));
        let loss: f32 = losses.sum();
        let visits: usize = record
            .passages
            .iter()
            .map(|passage| passage.visits.len())
            .sum();
        let lost = match record.excluded.len() {
            0 => String::new(),
            lost => format!(", {lost} lost"),
        };
        output::note(&format!(
            "step {}/{}: loss {loss:.4}, {} microbatches, {visits} visits{lost}, {:.2} s",
            record.step + 1,
            self.steps,
            record.passages.len(),
            took.as_secs_f64()
        ));
    }

    fn event(&mut self, event: &Event) {
        let line = match event {
            Event::Rerouted {
                microbatch,
                from,
                to,
                why,
            } => {
                let to = match to {
                    Some(peer) => format!("to {peer}"),
                    None => "past the stage".to_owned(),
                };
                format!(
                    "{microbatch}: {} ({}) {why:?}, goes {to}",
                    from.peer, from.stage
                )
            }
            Event::Fault { peer, what } => format!("{peer} {what}"),
            Event::Dropped { hop } => {
                format!("{} ({}) does not take part any more", hop.peer, hop.stage)
            }
            Event::Leads => "this peer leads from here on".to_owned(),
            Event::Joined(joined) => format!(
                "{} holds {} ({:?})",
                joined.hop.peer, joined.hop.stage, joined.recovery
            ),
            _ => return,
        };
        output::note(&line);
    }
}
