//! What is given to other pipelines, and when.

use skippipe::meeting::{Concluded, Present, Taken};
use skippipe::work::Work;

use super::{Exchange, Purpose};
use crate::averaging::message::{Mean, Offer};
use crate::pipelines::message::Body;
use crate::pipelines::settings::Seat;

impl Exchange {
    /// Somebody is at this meeting, and wants what this stage owes it.
    pub(super) fn wanted(&mut self, from: Seat) {
        let me = self.me.peer;
        let Some(meeting) = &mut self.meeting else {
            return;
        };
        if !meeting.group.contains(from.pipeline) {
            return;
        }
        let speaker = meeting.present.speaker;
        if speaker != me && meeting.concluded.is_none() {
            return self.say(from, Body::Elsewhere(speaker));
        }
        let is_new = meeting.here.insert(from.pipeline);
        let asked = meeting.asked.get(&from.pipeline).map(|asked| asked.peer);
        self.give(from);
        // Who asks is who can answer.
        let owes = self.meeting.as_ref().is_some_and(|meeting| {
            let owed = meeting.owed_by(self.me, self.settings.paired);
            owed.contains(&from.pipeline) && !meeting.came.contains_key(&from.pipeline)
        });
        if owes && self.is_open() && (is_new || asked != Some(from.peer)) {
            self.ask_peer(from);
        }
    }

    pub(super) fn give_to_waiting(&mut self) {
        let waiting = self.meeting.as_mut();
        let waiting = waiting.map(|meeting| std::mem::take(&mut meeting.waiting));
        for seat in waiting.into_iter().flatten() {
            self.give(seat);
        }
    }

    /// Gives a peer what this stage owes it, or notes that it waits for it.
    fn give(&mut self, to: Seat) {
        let (now, again, paired) = (self.now, self.settings.again, self.settings.paired);
        let Some(meeting) = &mut self.meeting else {
            return;
        };
        let taken = meeting.concluded.as_ref().map(|one| &one.met.taken);
        if let Some(Taken::Alone(_)) = taken {
            return self.say(to, Body::Alone);
        }
        let leader = meeting.group.leader();
        let is_leader = leader == Some(self.me.pipeline);
        let body = if paired || (!is_leader && leader == Some(to.pipeline)) {
            let Present {
                outer,
                contribution,
                ..
            } = &meeting.present;
            let offered = meeting.signature.clone().map(|signature| Offer {
                outer: *outer,
                contribution: contribution.digest(),
                signature,
                content: contribution.clone(),
            });
            offered.map(Body::Offer)
        } else if is_leader {
            mean(meeting.present.outer, meeting.concluded.as_ref()).map(Body::Mean)
        } else {
            return;
        };
        let Some(body) = body else {
            meeting.waiting.insert(to);
            return;
        };
        // A content is long, and asking for it is not.
        if meeting
            .given
            .get(&to)
            .is_some_and(|at| now < *at + again / 2)
        {
            return;
        }
        meeting.given.insert(to, now);
        self.say(to, body);
    }

    /// Somebody takes over the anchor that the mean of this pipeline moved.
    pub(super) fn outer_wanted(&mut self, from: Seat) {
        let Some(meeting) = &self.meeting else { return };
        let taken = meeting.concluded.as_ref().map(|one| &one.met.taken);
        let averaged = matches!(taken, Some(Taken::Averaged { mean: Some(_), .. }));
        let asked = self.tasks.values();
        let mut asked =
            asked.filter(|purpose| matches!(purpose, Purpose::Export(to) if *to == from));
        let is_member = meeting.group.contains(from.pipeline);
        if meeting.leads(self.me)
            && averaged
            && meeting.moved
            && is_member
            && asked.next().is_none()
        {
            self.work(Work::ExportOuter, Purpose::Export(from));
        }
    }

    /// The stage has moved.
    pub(super) fn moved(&mut self, round: u64) {
        if let Some(meeting) = &mut self.meeting
            && meeting.present.round == round
        {
            meeting.moved = true;
        }
    }
}

fn mean(outer: skippipe::content::Digest, concluded: Option<&Concluded>) -> Option<Mean> {
    let concluded = concluded?;
    let Taken::Averaged { parts, .. } = &concluded.met.taken else {
        return None;
    };
    Some(Mean {
        outer,
        parts: parts.clone(),
        content: concluded.content.clone()?,
    })
}
