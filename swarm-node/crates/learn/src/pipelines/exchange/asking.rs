//! Whom of another pipeline to ask, what comes of it, and who counts as gone.

use std::time::Duration;

use skippipe::content::Content;
use skippipe::meeting::{MAX_SIGNATURE, Part, Reason, Replica};
use skippipe::path::Peer;
use skippipe::work::Work;

use super::{Asked, Exchange, Package, Purpose};
use crate::averaging::message::{Mean, Offer};
use crate::pipelines::message::Body;
use crate::pipelines::settings::Seat;

impl Exchange {
    /// Whether this peer is at a meeting that it speaks at, and does not know what comes of it.
    pub(super) fn is_open(&self) -> bool {
        let open = self.meeting.as_ref().filter(|meeting| {
            meeting.concluded.is_none() && meeting.present.speaker == self.me.peer
        });
        open.is_some()
    }

    /// Asks whoever owes something and was not asked lately.
    pub(super) fn ask(&mut self) {
        if !self.is_open() {
            return;
        }
        let paired = self.settings.paired;
        let owed = self.meeting.as_ref();
        let owed = owed.map_or(Vec::new(), |meeting| meeting.owed_by(self.me, paired));
        for pipeline in owed {
            self.ask_pipeline(pipeline);
        }
    }

    fn ask_pipeline(&mut self, pipeline: Replica) {
        let (now, again) = (self.now, self.settings.again);
        let first = self.next_peer(pipeline, None);
        let Some(meeting) = &mut self.meeting else {
            return;
        };
        let adopts = meeting.adopting.is_some();
        let has = meeting.came.contains_key(&pipeline) && !adopts;
        if has || meeting.out.contains_key(&pipeline) {
            return;
        }
        let Some(first) = first else { return };
        let asked = meeting.asked.entry(pipeline).or_insert(Asked {
            peer: first,
            at: None,
            hints: 0,
        });
        let peer = asked.peer;
        let is_lost = self.lost.contains(&Seat { pipeline, peer });
        let is_due = asked.at.is_none_or(|at| now >= at + again);
        if !is_due && !is_lost {
            return;
        }
        // Who did not answer may not be who speaks there.
        let turns = is_lost || (asked.at.is_some() && !meeting.here.contains(&pipeline));
        let peer = match turns {
            true => self.next_peer(pipeline, Some(peer)).unwrap_or(peer),
            false => peer,
        };
        self.ask_peer(Seat { pipeline, peer });
    }

    /// Asks a peer of a pipeline, and from here on this one.
    pub(super) fn ask_peer(&mut self, seat: Seat) {
        let now = self.now;
        let Some(meeting) = &mut self.meeting else {
            return;
        };
        let asked = meeting.asked.entry(seat.pipeline).or_insert(Asked {
            peer: seat.peer,
            at: None,
            hints: 0,
        });
        (asked.peer, asked.at) = (seat.peer, Some(now));
        let body = match meeting.adopting {
            Some(_) => Body::OuterWanted,
            None => Body::Want,
        };
        self.say(seat, body);
    }

    /// The peer that is asked after another: holders of the stage as pipelines begin come first, then
    /// everybody by turns. None where all are lost.
    fn next_peer(&self, pipeline: Replica, after: Option<Peer>) -> Option<Peer> {
        let stages = self.settings.sizes.len() as u32;
        let stage = self.meeting.as_ref()?.present.stage;
        let mut peers: Vec<Peer> = (0..self.settings.peers).map(Peer).collect();
        peers.sort_by_key(|peer| (peer.0 % stages.max(1) != u32::from(stage.0), peer.0));
        let place = after.and_then(|after| peers.iter().position(|peer| *peer == after));
        peers.rotate_left(place.map_or(0, |place| place + 1));
        let mut peers = peers.into_iter();
        peers.find(|peer| {
            let peer = *peer;
            !self.lost.contains(&Seat { pipeline, peer })
        })
    }

    /// Somebody says who speaks for the stage in its pipeline.
    pub(super) fn elsewhere(&mut self, from: Seat, peer: Peer) {
        let (peers, open) = (self.settings.peers, self.is_open());
        let Some(meeting) = &mut self.meeting else {
            return;
        };
        let Some(asked) = meeting.asked.get_mut(&from.pipeline) else {
            return;
        };
        // As often as there are peers: two could name each other for ever.
        if open && asked.peer == from.peer && peer.0 < peers && asked.hints < peers {
            asked.hints += 1;
            let pipeline = from.pipeline;
            self.ask_peer(Seat { pipeline, peer });
        }
    }

    /// Whether a pipeline owes this stage a content, which has not come.
    fn is_awaited(&self, from: Seat) -> bool {
        let meeting = self.meeting.as_ref().filter(|_| self.is_open());
        meeting.is_some_and(|meeting| {
            let owed = meeting.owed_by(self.me, self.settings.paired);
            owed.contains(&from.pipeline) && !meeting.came.contains_key(&from.pipeline)
        })
    }

    /// A contribution came.
    pub(super) fn offered(&mut self, from: Seat, offer: Offer) {
        let Offer {
            outer,
            contribution,
            signature,
            content,
        } = offer;
        let expects = |meeting: &super::Meeting| self.settings.paired || meeting.leads(self.me);
        if !self.is_awaited(from) || !self.meeting.as_ref().is_some_and(expects) {
            return;
        }
        let verdict = if content.bytes().len() != self.contribution_bytes() {
            Some(Err(Reason::WrongSize))
        } else if content.digest() != contribution || signature.len() > MAX_SIGNATURE {
            Some(Err(Reason::WrongHash))
        } else {
            None
        };
        let part = Part {
            replica: from.pipeline,
            outer,
            contribution,
            signature,
        };
        self.came(from, vec![part], outer, content, verdict);
    }

    /// A mean came.
    pub(super) fn mean_came(&mut self, from: Seat, mean: Mean) {
        let Mean {
            outer,
            parts,
            content,
        } = mean;
        let Some(meeting) = self.meeting.as_ref().filter(|_| self.is_awaited(from)) else {
            return;
        };
        if self.settings.paired || meeting.group.leader() != Some(from.pipeline) {
            return;
        }
        let own = meeting.present.contribution.digest();
        let ascending = parts
            .windows(2)
            .all(|pair| pair[0].replica < pair[1].replica);
        let named = |part: &Part| {
            let is_own = part.replica == self.me.pipeline;
            meeting.group.contains(part.replica)
                && part.outer == outer
                && part.signature.len() <= MAX_SIGNATURE
                && (!is_own || part.contribution == own)
        };
        let is_sound = ascending
            && parts.len() >= 2
            && parts.iter().all(named)
            && parts.iter().any(|part| part.replica == from.pipeline);
        let verdict = if content.bytes().len() != self.contribution_bytes() {
            Some(Err(Reason::WrongSize))
        } else {
            (!is_sound).then_some(Err(Reason::WrongParts))
        };
        self.came(from, parts, outer, content, verdict);
    }

    fn came(
        &mut self,
        from: Seat,
        parts: Vec<Part>,
        outer: skippipe::content::Digest,
        content: Content,
        verdict: Option<Result<(), Reason>>,
    ) {
        let Some(meeting) = &mut self.meeting else {
            return;
        };
        meeting.here.insert(from.pipeline);
        let package = Package {
            parts,
            outer,
            content: content.clone(),
            verdict,
        };
        meeting.came.insert(from.pipeline, package);
        match verdict {
            None => self.work(Work::Check(content), Purpose::Check(from.pipeline)),
            Some(_) => {
                let what = "sent what is no content of the meeting";
                self.outputs.push(super::Output::Fault { seat: from, what });
            }
        }
    }

    fn contribution_bytes(&self) -> usize {
        let stage = self.meeting.as_ref().map(|meeting| meeting.present.stage);
        let sizes = stage.and_then(|stage| self.settings.sizes.get(stage.index()));
        sizes.map_or(0, |sizes| sizes.contribution)
    }

    /// Why a pipeline that is waited for counts as gone, if it does.
    pub(super) fn gone(&self, pipeline: Replica) -> Option<Reason> {
        let meeting = self.meeting.as_ref()?;
        if let Some(reason) = meeting.out.get(&pipeline) {
            return Some(*reason);
        }
        let seats = (0..self.settings.peers).map(|peer| Seat {
            pipeline,
            peer: Peer(peer),
        });
        if seats.into_iter().all(|seat| self.lost.contains(&seat)) {
            return Some(Reason::Lost);
        }
        let late = match meeting.behind.contains(&pipeline) {
            true => Reason::Stale,
            false => Reason::Late,
        };
        let is_late = self.now > meeting.since + self.patience_with(pipeline);
        is_late.then_some(late)
    }

    /// Who is at the meeting is waited for longer, and who collects from all.
    fn patience_with(&self, pipeline: Replica) -> Duration {
        let patience = self.settings.patience;
        let meeting = self.meeting.as_ref();
        let longer = meeting.is_some_and(|meeting| {
            let collects = !self.settings.paired && meeting.group.leader() == Some(pipeline);
            collects || meeting.here.contains(&pipeline)
        });
        if longer { 3 * patience } else { patience }
    }
}
