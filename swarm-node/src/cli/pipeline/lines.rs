//! A line for each step, and for whatever goes wrong; what was measured, in short.

use std::fmt::Write as _;
use std::time::Duration;

use skippipe::event::Event;
use skippipe::measured::{Basis, Known, LinkMeasure, Measurements};
use skippipe::path::{Hop, Peer};
use skippipe::predict::Prediction;
use skippipe::transcript::{Roster, StepRecord};
use swarm_learn::pipelines::settings::Seat;

use crate::cli::output;
use crate::pipeline::paths::Wish;
use crate::pipeline::run::Watcher;
use crate::pipeline::status::met_in_words;

/// Links that are shown, the slowest first.
const LINKS: usize = 5;
/// Peers whose times are shown.
const PEERS: usize = 16;

/// Prints them.
pub(super) struct Lines {
    /// Steps of the job.
    pub(super) steps: u64,
}

/// What is known of a pipeline's links and engines, a line each.
pub(super) fn measured(known: &Measurements, roster: &Roster, wish: &Wish) -> String {
    let hops: Vec<Hop> = roster.hops().collect();
    let pairs = hops.iter().flat_map(|from| {
        let others = hops.iter().filter(|to| to.peer != from.peer);
        others.map(|to| (from.peer, to.peer))
    });
    let bytes = wish.sizes.hop;
    let link = |(from, to): (Peer, Peer)| (from, to, known.link(from, to));
    let mut links: Vec<(Peer, Peer, Known<LinkMeasure>)> = pairs.map(link).collect();
    links.sort_by_key(|(from, to, link)| (std::cmp::Reverse(link.value.time(bytes)), *from, *to));
    let mut text = format!(
        "links: {} of {} measured, the slowest for {:.1} kB\n",
        links
            .iter()
            .filter(|(.., link)| link.basis == Basis::Measured)
            .count(),
        links.len(),
        bytes as f64 / 1e3
    );
    for (from, to, link) in links.iter().take(LINKS) {
        let LinkMeasure {
            latency,
            bytes_per_second,
        } = link.value;
        let _ = writeln!(
            text,
            "  {from} to {to}: {:.1} ms, {:.1} Mbit/s, {:.0} ms in all{}",
            latency.as_seconds() * 1e3,
            bytes_per_second as f64 * 8e-6,
            link.value.time(bytes).as_seconds() * 1e3,
            basis(link.basis)
        );
    }
    for hop in hops.iter().take(PEERS) {
        let times = known.times(*hop);
        let [forward, backward, loss, update] = [
            times.value.forward,
            times.value.backward,
            times.value.loss,
            times.value.update,
        ]
        .map(|time| time.as_seconds() * 1e3);
        let _ = writeln!(
            text,
            "  {} ({}): forward {forward:.1} ms, backward {backward:.1}, loss {loss:.1}, \
             update {update:.1}{}",
            hop.peer,
            hop.stage,
            basis(times.basis)
        );
    }
    text.truncate(text.trim_end().len());
    text
}

fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::Measured => "",
        Basis::Estimated => " (estimated by others)",
        Basis::Assumed => " (assumed)",
    }
}

/// What a step should take, in a line.
pub(super) fn predicted(prediction: &Prediction) -> String {
    let mut text = format!(
        "{:.2} s (passes {:.2}, reduction {:.2}, commit {:.2})",
        prediction.time().as_seconds(),
        prediction.passes.as_seconds(),
        prediction.reduction.as_seconds(),
        prediction.commit.as_seconds()
    );
    if let Some(link) = &prediction.bottleneck {
        let _ = write!(
            text,
            "; {:.2} s of it on the link from {} to {}",
            link.deciding.as_seconds(),
            link.from,
            link.to
        );
    }
    text
}

impl Watcher for Lines {
    fn measuring(&mut self, over: u32, rounds: u32) {
        if rounds > 0 && over < rounds {
            output::note(&format!("measuring links: round {} of {rounds}", over + 1));
        }
    }

    fn measured(&mut self, known: &Measurements, roster: &Roster, wish: &Wish) {
        output::note(&measured(known, roster, wish));
    }

    fn planned(&mut self, prediction: &Prediction) {
        output::note(&format!("a step should take {}", predicted(prediction)));
    }

    fn stepped(&mut self, record: &StepRecord, took: Duration, prediction: Option<&Prediction>) {
        if !record.met.is_empty() {
            let (step, steps) = (record.step + 1, self.steps);
            let met = met_in_words(record).join(", ");
            let took = took.as_secs_f64();
            return output::note(&format!(
                "step {step}/{steps}: pipelines met: {met}, {took:.2} s"
            ));
        }
        let loss = record.loss();
        let visits: usize = record
            .passages
            .iter()
            .map(|passage| passage.visits.len())
            .sum();
        let lost = match record.excluded.len() {
            0 => String::new(),
            lost => format!(", {lost} lost"),
        };
        let expected = match prediction {
            Some(prediction) => format!(", predicted {:.2} s", prediction.time().as_seconds()),
            None => String::new(),
        };
        output::note(&format!(
            "step {}/{}: loss {loss:.4}, {} microbatches, {visits} visits{lost}, {:.2} s{expected}",
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
            Event::Admitted(admission) => format!(
                "{} is a member from here on: {} admitted it in step {}",
                admission.peer, admission.term.leader, admission.step
            ),
            Event::Leads => "this peer leads from here on".to_owned(),
            Event::Joined(joined) => format!(
                "{} holds {} ({:?})",
                joined.hop.peer, joined.hop.stage, joined.recovery
            ),
            _ => return,
        };
        output::note(&line);
    }

    fn fault_across(&mut self, seat: Seat, what: &str) {
        output::note(&format!("{seat} {what}"));
    }

    fn alone(&mut self) {
        output::note(
            "no other peer of this job is connected; waiting for them. They may have ended: stop \
             with Ctrl-C then, the folder keeps what is here",
        );
    }

    fn staying(&mut self, away: &[Peer], longest: Duration) {
        let names: Vec<String> = away.iter().map(Peer::to_string).collect();
        output::note(&format!(
            "all steps are done; staying {} s at most for {}, which cannot be reached (Ctrl-C ends)",
            longest.as_secs(),
            names.join(", ")
        ));
    }
}
