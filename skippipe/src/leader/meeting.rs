//! A step in which pipelines meet: the leader waits until whoever speaks for each stage says what it
//! did, and closes with that.
//!
//! A holder that is lost, or does not say in time, makes the meeting begin anew in a term of its own:
//! another holder then speaks for the stage.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::phase::{Meeting, Phase};
use super::{Leader, LeaderOutput};
use crate::event::Event;
use crate::meeting::Met;
use crate::message::Body;
use crate::path::{Hop, Peer, Stage};
use crate::transcript::StepRecord;

impl Leader {
    pub(super) fn begin_meeting(&mut self, now: Duration) {
        let longest = self.settings.meetings.map(|meetings| meetings.longest);
        self.phase = Phase::Meeting(Meeting {
            met: BTreeMap::new(),
            until: now + longest.unwrap_or_default() + self.settings.phase_time,
        });
        self.say_to_all(Body::Begin(self.roster.clone()));
    }

    /// What a stage did, by who speaks for it.
    pub(super) fn met(&mut self, from: Peer, met: Met, now: Duration) {
        let stage = self.roster.stage_of(from);
        let stage = stage.filter(|stage| self.roster.of(*stage).first() == Some(&from));
        let (Phase::Meeting(meeting), Some(stage)) = (&mut self.phase, stage) else {
            return;
        };
        if !met.is_sound() {
            let what = "says of its stage what cannot be".into();
            let event = Event::Fault { peer: from, what };
            self.outputs.push(LeaderOutput::Event(event));
            return self.drop_peer(from, now);
        }
        meeting.met.insert(stage, met);
        if self.silent_speakers().is_empty() {
            self.close_meeting(now);
        }
    }

    /// Who speaks for stages that have not said what they did.
    fn silent_speakers(&self) -> Vec<Hop> {
        let Phase::Meeting(meeting) = &self.phase else {
            return Vec::new();
        };
        let stages = (0..self.settings.stages).map(Stage);
        let open = stages.filter(|stage| !meeting.met.contains_key(stage));
        let speakers = open.filter_map(|stage| {
            let peer = self.roster.of(stage).first().copied()?;
            Some(Hop { stage, peer })
        });
        speakers.collect()
    }

    fn close_meeting(&mut self, now: Duration) {
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        let Phase::Meeting(meeting) = phase else {
            self.phase = phase;
            return;
        };
        let record = StepRecord {
            step: self.when.step,
            joined: self.joined.clone(),
            roster: self.roster.clone(),
            passages: Vec::new(),
            excluded: BTreeSet::new(),
            met: meeting.met,
        };
        self.say_record(0, record, BTreeSet::new(), now);
    }

    /// The same meeting once more, with who is left.
    pub(super) fn meet_anew(&mut self, now: Duration) {
        self.when.term.number += 1;
        self.boundary(now);
    }

    /// Who does not say in time what its stage did does not take part any more.
    pub(super) fn drop_silent(&mut self, now: Duration) {
        for hop in self.silent_speakers() {
            self.take_out(hop);
        }
        self.meet_anew(now);
    }
}
