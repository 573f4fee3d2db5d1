//! The part of a peer's loop that is about paths: planned in a thread of their own, and kept for as
//! long as they hold.

use skippipe::member::Input;
use skippipe::message::When;
use skippipe::path::Path as Way;
use skippipe::predict::Prediction;
use skippipe::transcript::{Roster, StepRecord};
use swarm_identity::SignOnce;

use super::{Drawn, Shell};
use crate::pipeline::paths::{plan, replan};
use crate::pipeline::probe::links::Fault;

impl<T: SignOnce> Shell<'_, '_, T> {
    /// Has paths planned for a step. A plan holds as long as who holds what, and what is known,
    /// does: steps after it do not wait for another one.
    pub(super) fn plan(&mut self, when: When, roster: Roster) {
        let mut wish = self.wish.clone();
        if self.full_every > 0 && when.step.is_multiple_of(self.full_every) {
            wish.visits = self.settings.stages;
        }
        let (visits, revision) = (wish.visits, self.links.revision());
        let last = self.plans.get(&visits);
        if let Some(last) = last.filter(|last| last.roster == roster && last.revision == revision) {
            let paths = last.planned.paths.clone();
            return self.inputs.push_back(Input::Planned { when, paths });
        }
        let before = last.filter(|last| last.roster == roster);
        let before = before.map(|last| last.planned.paths.clone());
        let (known, leader) = (self.links.known().clone(), self.me);
        let planned = self.planned.clone();
        tokio::task::spawn_blocking(move || {
            let drawn = Drawn {
                when,
                visits,
                planned: match before {
                    Some(paths) => replan(paths, &roster, &wish, &known, leader, when.step),
                    None => plan(&roster, &wish, &known, leader, when.step),
                },
                roster,
                revision,
            };
            // The peer may have ended meanwhile.
            let _ = planned.send(drawn);
        });
    }

    /// Paths were planned.
    pub(super) fn drawn(&mut self, drawn: Drawn) {
        if let Some(prediction) = &drawn.planned.prediction {
            self.watcher.planned(prediction);
        }
        let (when, paths) = (drawn.when, drawn.planned.paths.clone());
        self.plans.insert(drawn.visits, drawn);
        self.inputs.push_back(Input::Planned { when, paths });
    }

    /// What a step along its record's paths should have taken.
    pub(super) fn predicted(&self, record: &StepRecord) -> Option<Prediction> {
        if !record.met.is_empty() {
            return None;
        }
        let paths = record.passages.iter().map(|passage| {
            let hops = passage.visits.iter().map(|visit| visit.hop);
            Way::new(hops.collect()).ok()
        });
        let paths: Vec<Way> = paths.collect::<Option<_>>()?;
        let (known, leader) = (self.links.known(), self.member.leader());
        Prediction::of(known, &record.roster, &paths, leader, &self.wish.sizes).ok()
    }

    pub(super) fn faults(&mut self, faults: Vec<Fault>) {
        for fault in faults {
            self.watcher.event(&fault.into());
        }
    }
}
