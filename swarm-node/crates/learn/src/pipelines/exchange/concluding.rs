//! What comes of a meeting for the stage.

use skippipe::content::{Content, Digest};
use skippipe::meeting::{Concluded, Met, Part, Reason, Replica, Taken};
use skippipe::work::Work;

use super::{Exchange, Output, Purpose};
use crate::pipelines::message::Body;
use crate::pipelines::settings::Seat;

impl Exchange {
    /// Concludes the meeting as soon as it can be.
    pub(super) fn review(&mut self) {
        if !self.is_open() {
            return;
        }
        let Some(meeting) = &self.meeting else { return };
        if meeting.group.members().len() == 1 {
            return self.conclude_alone(Reason::Single);
        }
        match (self.settings.paired, meeting.leads(self.me)) {
            (true, _) => self.review_pair(),
            (false, true) => self.review_all(),
            (false, false) => self.review_mean(),
        }
    }

    fn review_pair(&mut self) {
        let Some(meeting) = &self.meeting else { return };
        let Some(partner) = meeting.group.others(self.me.pipeline).next() else {
            return;
        };
        let package = meeting.came.get(&partner);
        match package.and_then(|package| package.verdict) {
            Some(Err(reason)) => self.conclude_alone(reason),
            Some(Ok(())) => {
                let (Some(own), Some(package)) = (meeting.own_part(self.me), package) else {
                    // The own contribution is not signed yet.
                    return;
                };
                let mut parts = package.parts.clone();
                parts.push(own);
                parts.sort_by_key(|part| part.replica);
                let content = package.content.clone();
                self.conclude(Taken::Averaged { parts, mean: None }, Some(content));
            }
            None => {
                if let Some(reason) = self.gone(partner) {
                    self.conclude_alone(reason);
                }
            }
        }
    }

    /// As leader of all: the mean is of what is here when nobody is waited for any more, and moves the
    /// own anchor.
    fn review_all(&mut self) {
        let Some(meeting) = &self.meeting else { return };
        let Some(own) = meeting.own_part(self.me) else {
            return;
        };
        let others: Vec<Replica> = meeting.group.others(self.me.pipeline).collect();
        let verdict = |other: &Replica| meeting.came.get(other).and_then(|one| one.verdict);
        let waits = |other: &Replica| verdict(other).is_none() && self.gone(*other).is_none();
        if meeting.closed.is_some() || others.iter().any(waits) {
            return;
        }
        let outer = own.outer;
        let counts = |other: &&Replica| {
            let package = meeting.came.get(other);
            verdict(other) == Some(Ok(())) && package.is_some_and(|one| one.outer == outer)
        };
        let counted = others.iter().filter(counts);
        let counted = counted.filter_map(|other| meeting.came.get(other));
        let mut parts: Vec<(Part, Content)> = counted
            .flat_map(|one| Some((one.parts.first()?.clone(), one.content.clone())))
            .collect();
        if parts.is_empty() {
            let why = others.iter().filter_map(|other| match verdict(other) {
                Some(Err(reason)) => Some(reason),
                Some(Ok(())) => Some(Reason::Stale),
                None => self.gone(*other),
            });
            let reason = why.into_iter().next();
            return self.conclude_alone(reason.unwrap_or(Reason::Late));
        }
        parts.push((own, meeting.present.contribution.clone()));
        parts.sort_by_key(|(part, _)| part.replica);
        let (parts, contents) = parts.into_iter().unzip();
        if let Some(meeting) = &mut self.meeting {
            meeting.closed = Some(parts);
        }
        self.work(Work::Mean(contents), Purpose::Mean);
    }

    /// The mean is here.
    pub(super) fn averaged(&mut self, mean: Content) {
        let parts = self.meeting.as_mut();
        let parts = parts.and_then(|meeting| meeting.closed.clone());
        if let (true, Some(parts)) = (self.is_open(), parts) {
            let taken = Taken::Averaged {
                parts,
                mean: Some(mean.digest()),
            };
            self.conclude(taken, Some(mean));
        }
    }

    /// As one of all: the leader's mean, or its anchor where the own is another than the mean moves.
    fn review_mean(&mut self) {
        let now = self.now;
        let Some(meeting) = &mut self.meeting else {
            return;
        };
        let Some(leader) = meeting.group.leader() else {
            return;
        };
        if let Some(since) = meeting.adopting {
            let is_late = now > since + 3 * self.settings.patience;
            let is_late = is_late.then_some(Reason::Late);
            let is_out = self.gone(leader).filter(|reason| *reason != Reason::Late);
            if let Some(reason) = is_out.or(is_late) {
                self.conclude_alone(reason);
            }
            return;
        }
        let package = meeting.came.get(&leader);
        match package.map(|package| (package.verdict, package)) {
            Some((Some(Err(reason)), _)) => self.conclude_alone(reason),
            Some((Some(Ok(())), package)) if package.outer == meeting.present.outer => {
                let content = package.content.clone();
                let taken = Taken::Averaged {
                    parts: package.parts.clone(),
                    mean: Some(content.digest()),
                };
                self.conclude(taken, Some(content));
            }
            Some((Some(Ok(())), _)) => {
                meeting.adopting = Some(now);
                let asked = meeting.asked.get_mut(&leader);
                if let Some(asked) = asked {
                    asked.at = None;
                }
                self.ask();
            }
            _ => {
                if let Some(reason) = self.gone(leader) {
                    self.conclude_alone(reason);
                }
            }
        }
    }

    /// The leader's anchor and momentum came.
    pub(super) fn outer_came(&mut self, from: Seat, content: Content) {
        let expected = self.meeting.as_ref().filter(|_| self.is_open());
        let is_checked = self.tasks.values();
        let mut is_checked = is_checked.filter(|purpose| matches!(purpose, Purpose::CheckOuter(_)));
        let expected = expected.filter(|meeting| {
            meeting.adopting.is_some() && meeting.group.leader() == Some(from.pipeline)
        });
        let Some(meeting) = expected.filter(|_| is_checked.next().is_none()) else {
            return;
        };
        let sizes = self.settings.sizes.get(meeting.present.stage.index());
        if sizes.is_none_or(|sizes| sizes.outer != content.bytes().len()) {
            let what = "sent an anchor and momentum of another size";
            self.outputs.push(Output::Fault { seat: from, what });
            return self.conclude_alone(Reason::WrongSize);
        }
        self.work(
            Work::CheckOuter(content.clone()),
            Purpose::CheckOuter(content),
        );
    }

    pub(super) fn adopted(&mut self, content: Content) {
        let leader = self
            .meeting
            .as_ref()
            .and_then(|meeting| meeting.group.leader());
        if let (true, Some(from)) = (self.is_open(), leader) {
            let outer: Digest = content.digest();
            self.conclude(Taken::Adopted { from, outer }, Some(content));
        }
    }

    /// The stage moves alone; the others of its group are told.
    pub(super) fn conclude_alone(&mut self, reason: Reason) {
        if !self.is_open() {
            return;
        }
        self.conclude(Taken::Alone(reason), None);
        let me = self.me.pipeline;
        let Some(meeting) = &self.meeting else { return };
        let asked = meeting.asked.iter();
        let asked = asked.filter(|(pipeline, _)| **pipeline != me);
        let told: Vec<Seat> = asked
            .map(|(pipeline, asked)| Seat {
                pipeline: *pipeline,
                peer: asked.peer,
            })
            .collect();
        for seat in told {
            self.say(seat, Body::Alone);
        }
    }

    fn conclude(&mut self, taken: Taken, content: Option<Content>) {
        let Some(meeting) = &mut self.meeting else {
            return;
        };
        let met = Met {
            contribution: meeting.present.contribution.digest(),
            taken,
        };
        // Where both of a pair contributed the same bytes, the own ones are enough.
        let content = content.filter(|content| met.needed() == Some(content.digest()));
        let concluded = Concluded {
            round: meeting.present.round,
            met,
            content,
        };
        meeting.concluded = Some(concluded.clone());
        meeting.came.clear();
        self.outputs.push(Output::Concluded(concluded));
        self.give_to_waiting();
    }

    /// The pipeline's record says what the stage does: by this it answers from here on.
    pub(super) fn told(&mut self, concluded: Concluded) {
        let Some(meeting) = &mut self.meeting else {
            return;
        };
        if meeting.present.round == concluded.round && meeting.concluded.is_none() {
            meeting.concluded = Some(concluded);
            self.give_to_waiting();
        }
    }
}
