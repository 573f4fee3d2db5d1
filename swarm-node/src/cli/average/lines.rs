//! A line for each round, and for whatever goes wrong.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use skippipe::content::Digest;
use swarm_learn::averaging::member::Event;
use swarm_learn::averaging::settings::Settings;
use swarm_learn::averaging::transcript::{Completed, Replica, Roster};

use crate::averaging::run::Watcher;
use crate::averaging::status::told;
use crate::cli::output;

/// Inner steps are told so far apart.
const BETWEEN: Duration = Duration::from_secs(10);

/// Prints them.
pub(super) struct Lines {
    settings: Settings,
    inner_steps: u64,
    rosters: BTreeMap<Digest, Roster>,
    /// When something was told last.
    last: Instant,
}

impl Lines {
    /// `rosters` are those that the replica went by before.
    pub(super) fn new(
        settings: Settings,
        inner_steps: u64,
        rosters: BTreeMap<Digest, Roster>,
    ) -> Self {
        Self {
            settings,
            inner_steps,
            rosters,
            last: Instant::now(),
        }
    }

    fn say(&mut self, line: &str) {
        self.last = Instant::now();
        output::note(line);
    }
}

impl Watcher for Lines {
    fn trained(&mut self, round: u64, step: u64, loss: f32) {
        if self.last.elapsed() < BETWEEN {
            return;
        }
        let (rounds, steps) = (self.settings.rounds, self.inner_steps);
        self.say(&format!(
            "round {}/{rounds}: inner step {step}/{steps}, loss {loss:.4}",
            round + 1
        ));
    }

    fn moved(&mut self, completed: &Completed, loss: f32, took: Duration) {
        let record = &completed.record;
        let roster = self.rosters.get(&record.roster);
        let (what, _) = told(record, &self.settings, roster);
        let rounds = self.settings.rounds;
        self.say(&format!(
            "round {}/{rounds}: loss {loss:.4}, {what}, {:.2} s",
            record.round + 1,
            took.as_secs_f64()
        ));
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Roster(listed) => {
                let roster = &listed.roster;
                self.rosters.insert(roster.digest(), roster.clone());
                let who: Vec<String> = roster.replicas.iter().map(Replica::to_string).collect();
                self.say(&format!("taking part from here on: {}", who.join(", ")));
            }
            Event::Fault { replica, what } => self.say(&format!("{replica} {what}")),
            Event::Ending { .. } | Event::Round(_) | Event::Finished | Event::Stuck(_) => {}
        }
    }

    fn reached(&mut self, replica: Replica, is_up: bool) {
        let line = match is_up {
            true => "can be reached again",
            false => "cannot be reached",
        };
        self.say(&format!("{replica} {line}"));
    }
}
