//! Taking up a stage, and what others need to take up one: states on request, and copies of states
//! at peers of other stages.

use std::collections::BTreeMap;

use super::adoption::Adoption;
use super::{Member, Purpose};
use crate::content::{Content, Digest};
use crate::event::Event;
use crate::message::{Adopt, Body, When};
use crate::path::{Hop, Peer, Stage};
use crate::transcript::{Joined, Recovery};
use crate::work::Work;

impl Member {
    pub(super) fn adopt(&mut self, when: When, adopt: Adopt) {
        let stages = self.settings.stages;
        let sound = adopt.stage.0 < stages
            && (1..=2).contains(&adopt.sources.len())
            && adopt.sources.iter().all(|hop| hop.stage.0 < stages)
            && adopt.roster.is_sound()
            && adopt.joined.len() <= self.admitted.members() as usize
            && adopt.roster.0.len() == usize::from(stages);
        if !sound {
            return self.fault(when.term.leader, "gave a stage that cannot be");
        }
        self.forget_step();
        self.when = when;
        let sources = adopt.sources.clone();
        self.adoption = Some(Adoption {
            when,
            adopt,
            parts: BTreeMap::new(),
            until: self.now + self.settings.phase_time,
        });
        for hop in sources {
            self.send(hop.peer, Body::StateWanted(hop.stage));
        }
    }

    pub(super) fn adoption_late(&mut self) {
        self.adoption.take_if(|adoption| adoption.until < self.now);
    }

    pub(super) fn state_wanted(&mut self, from: Peer, stage: Stage) {
        if self.stage() != Some(stage) {
            if let Some((step, content)) = self.kept.get(&stage) {
                let (step, content) = (*step, content.clone());
                let body = Body::State {
                    stage,
                    step,
                    content,
                };
                self.send(from, body);
            }
            return;
        }
        for purpose in self.tasks.values_mut() {
            if let Purpose::Export(to) = purpose {
                if !to.contains(&from) {
                    to.push(from);
                }
                return;
            }
        }
        self.work(Work::Export, Purpose::Export(vec![from]));
    }

    pub(super) fn exported(&mut self, to: &[Peer], content: &Content) {
        let Some(stage) = self.stage() else { return };
        for &peer in to {
            let body = Body::State {
                stage,
                step: self.next,
                content: content.clone(),
            };
            self.send(peer, body);
        }
    }

    pub(super) fn state(&mut self, from: Peer, stage: Stage, step: u64, content: Content) {
        let Some(adoption) = &mut self.adoption else {
            return;
        };
        let sources = &adoption.adopt.sources;
        let expected = match &adoption.adopt.recovery {
            Recovery::Restored { step } => *step,
            Recovery::Copied | Recovery::Averaged { .. } => adoption.when.step,
        };
        let asked = sources
            .iter()
            .any(|hop| hop.peer == from && hop.stage == stage);
        if !asked || step != expected || adoption.parts.insert(stage, content).is_some() {
            return;
        }
        if adoption.parts.len() < sources.len() {
            return;
        }
        let mut parts = std::mem::take(&mut adoption.parts);
        let stage = adoption.adopt.stage;
        let work = match &adoption.adopt.recovery {
            Recovery::Copied | Recovery::Restored { .. } => {
                let state = parts.pop_first().map(|(_, state)| state);
                state.map(|state| Work::Load { stage, state })
            }
            Recovery::Averaged { of } => {
                let weighted = of.iter().map(|(stage, weight)| {
                    let part = parts.remove(stage)?;
                    Some((part, *weight))
                });
                let parts: Option<Vec<(Content, u32)>> = weighted.collect();
                parts.map(|parts| Work::Average { stage, parts })
            }
        };
        // The old stage is gone from here on, whatever comes of the new one.
        self.held = None;
        self.last = None;
        self.joined.clear();
        match work {
            Some(work) => {
                self.work(work, Purpose::Load);
            }
            None => self.adoption = None,
        }
    }

    pub(super) fn loaded(&mut self, state: Digest) {
        let Some(adoption) = self.adoption.take() else {
            return;
        };
        let Adopt {
            stage,
            recovery,
            roster,
            joined,
            ..
        } = adoption.adopt;
        let hop = Hop {
            stage,
            peer: self.me,
        };
        self.held = Some((stage, state));
        self.roster = roster;
        self.roster.insert(hop);
        self.joined = joined;
        self.joined.push(Joined {
            hop,
            recovery,
            state,
            admission: self.admitted.of(self.me).cloned(),
        });
        self.next = adoption.when.step;
        self.kept.remove(&stage);
        self.send(adoption.when.term.leader, Body::Adopted { stage, state });
    }

    pub(super) fn load_refused(&mut self, what: &str) {
        let adoption = self.adoption.take();
        let sources = adoption.map(|adoption| adoption.adopt.sources);
        for hop in sources.into_iter().flatten() {
            self.event(Event::Fault {
                peer: hop.peer,
                what: format!("its state cannot be taken up: {what}"),
            });
        }
    }

    /// Every so many steps the first holder of a stage has its state kept by a peer of another one.
    pub(super) fn make_copy(&mut self, stage: Stage) {
        let every = self.settings.keep_every;
        let first = self.roster.of(stage).first() == Some(&self.me);
        if every > 0 && self.next.is_multiple_of(every) && first {
            self.work(Work::Export, Purpose::Keep(self.next));
        }
    }

    pub(super) fn copy_out(&mut self, step: u64, content: Content) {
        let Some(stage) = self.stage() else { return };
        let count = self.settings.stages;
        let others = (1..count).map(|distance| Stage((stage.0 + distance) % count));
        let keepers = others.flat_map(|other| self.roster.of(other).iter().copied());
        let keeper = keepers.into_iter().find(|peer| !self.lost.contains(peer));
        if let Some(keeper) = keeper {
            let body = Body::Keep {
                stage,
                step,
                content,
            };
            self.send(keeper, body);
        }
    }

    /// Keeps the newest state of a stage of another peer.
    pub(super) fn keep(&mut self, from: Peer, stage: Stage, step: u64, content: Content) {
        let theirs = self.roster.of(stage).contains(&from) && Some(stage) != self.stage();
        let newer = self.kept.get(&stage).is_none_or(|(kept, _)| *kept < step);
        if theirs && newer && step <= self.next + 1 {
            self.kept.insert(stage, (step, content));
        }
    }

    /// The states that are kept here: of which stages, before which steps.
    pub(super) fn copies(&self) -> Vec<(Stage, u64)> {
        let kept = self.kept.iter();
        kept.map(|(&stage, &(step, _))| (stage, step)).collect()
    }

    /// Digest of a stage's state that is kept here, for tests and watchers.
    pub fn kept(&self, stage: Stage) -> Option<(u64, Digest)> {
        let (step, content) = self.kept.get(&stage)?;
        Some((*step, content.digest()))
    }
}
