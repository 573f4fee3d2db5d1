//! Between steps: who takes up which stage, and whence.

use std::time::Duration;

use super::phase::{Phase, Recovering};
use super::{Leader, LeaderOutput};
use crate::content::Digest;
use crate::event::Event;
use crate::message::{Adopt, Body};
use crate::path::{Hop, Peer, Stage};
use crate::transcript::{Joined, Recovery};

impl Leader {
    /// Before a step: the next peer that takes up a stage; else the step's plan.
    pub(super) fn boundary(&mut self, now: Duration) {
        if self.when.step >= self.settings.steps {
            self.phase = Phase::Over;
            self.say_to_others(&Body::Over);
            return self.outputs.push(LeaderOutput::Event(Event::Finished));
        }
        if self.roster.of(Stage::FIRST).is_empty() {
            return self.stuck("nobody holds stage 0");
        }
        let Some((peer, adopt)) = self.next_adoption() else {
            return match self.settings.round_of(self.when.step) {
                Some(_) => self.begin_meeting(now),
                None => self.plan(),
            };
        };
        self.joins.remove(&peer);
        self.tried.insert(peer);
        self.roster.remove(peer);
        self.say(peer, Body::Adopt(adopt.clone()));
        self.phase = Phase::Recovering(Recovering {
            peer,
            adopt,
            until: now + self.settings.phase_time,
        });
    }

    /// A stage that nobody holds comes first, then the one with fewest holders.
    fn next_adoption(&self) -> Option<(Peer, Adopt)> {
        let stages = (0..self.settings.stages).map(Stage);
        let empty = stages
            .clone()
            .filter(|&stage| self.roster.of(stage).is_empty());
        for stage in empty {
            if let (Some(peer), Some(adopt)) = (self.candidate(), self.rebuilt(stage)) {
                return Some((peer, adopt));
            }
        }
        let joiner = self.joiner()?;
        let held = stages.filter(|&stage| !self.roster.of(stage).is_empty());
        let stage = held.min_by_key(|&stage| self.roster.of(stage).len())?;
        let source = self.roster.of(stage).first().copied()?;
        let adopt = Adopt {
            stage,
            recovery: Recovery::Copied,
            sources: vec![Hop {
                stage,
                peer: source,
            }],
            roster: self.roster.clone(),
            joined: self.joined.clone(),
        };
        Some((joiner, adopt))
    }

    fn joiner(&self) -> Option<Peer> {
        let waiting = self.joins.iter().copied();
        waiting
            .into_iter()
            .find(|&peer| !self.tried.contains(&peer) && self.may_try(peer))
    }

    /// Who can take up a stage that nobody holds: somebody without one, else a peer of the stage
    /// with most holders to spare. Stage 0 keeps two, as nothing goes on without it.
    fn candidate(&self) -> Option<Peer> {
        let spare = |peers: &&Vec<Peer>| {
            let first = self.roster.of(Stage::FIRST) == peers.as_slice();
            peers.len().saturating_sub(if first { 2 } else { 1 })
        };
        let fullest = || {
            let fullest = self.roster.0.iter().max_by_key(spare);
            let fullest = fullest.filter(|peers| spare(peers) > 0)?;
            let others = fullest.iter().copied().filter(|&peer| peer != self.me);
            others.rev().find(|peer| !self.tried.contains(peer))
        };
        self.joiner().or_else(fullest)
    }

    /// From where a stage can be had that nobody holds.
    fn rebuilt(&self, stage: Stage) -> Option<Adopt> {
        self.averaged(stage).or_else(|| self.restored(stage))
    }

    /// From its neighbours, which must be stages of layers, too.
    fn averaged(&self, stage: Stage) -> Option<Adopt> {
        if !self.settings.rebuild || stage == Stage::FIRST {
            return None;
        }
        let lower = stage
            .0
            .checked_sub(1)
            .map(Stage)
            .filter(|&lower| lower != Stage::FIRST);
        let upper = Some(Stage(stage.0 + 1));
        let (mut of, mut sources) = (Vec::new(), Vec::new());
        for neighbour in lower.into_iter().chain(upper) {
            let holder = self.roster.of(neighbour).first().copied();
            let norm = self.norms.get(&neighbour).copied();
            if let (Some(peer), Some(norm)) = (holder, norm) {
                let stage = neighbour;
                of.push((stage, norm));
                sources.push(Hop { stage, peer });
            }
        }
        (!of.is_empty()).then_some(Adopt {
            stage,
            recovery: Recovery::Averaged { of },
            sources,
            roster: self.roster.clone(),
            joined: self.joined.clone(),
        })
    }

    fn restored(&self, stage: Stage) -> Option<Adopt> {
        let &(step, peer) = self.kept.get(&stage)?;
        Some(Adopt {
            stage,
            recovery: Recovery::Restored { step },
            sources: vec![Hop { stage, peer }],
            roster: self.roster.clone(),
            joined: self.joined.clone(),
        })
    }

    pub(super) fn adopted(&mut self, from: Peer, stage: Stage, state: Digest, now: Duration) {
        let Phase::Recovering(recovering) = &self.phase else {
            return;
        };
        if recovering.peer != from || recovering.adopt.stage != stage {
            return;
        }
        let recovery = recovering.adopt.recovery.clone();
        if recovery == Recovery::Copied && self.states.get(&stage) != Some(&state) {
            // The copy is not what the others hold; whose fault it is cannot be told.
            return self.not_adopted(now);
        }
        let hop = Hop { stage, peer: from };
        self.states.insert(stage, state);
        self.roster.insert(hop);
        let joined = Joined {
            hop,
            recovery,
            state,
            admission: self.seats.of(from).cloned(),
        };
        self.failed.remove(&from);
        self.joined.push(joined.clone());
        self.outputs
            .push(LeaderOutput::Event(Event::Joined(joined)));
        self.boundary(now);
    }

    /// A peer did not take up its stage: the step goes on without it.
    pub(super) fn not_adopted(&mut self, now: Duration) {
        self.note_failure();
        if let Phase::Recovering(recovering) = &self.phase
            && let Recovery::Restored { .. } = recovering.adopt.recovery
        {
            // The copy is not where it was said to be; a newer one will be told.
            self.kept.remove(&recovering.adopt.stage);
        }
        self.boundary(now);
    }
}
