//! A step in which pipelines meet.
//!
//! ```text
//! Begin ─▶ contribution ─▶ Present ─▶ (exchange with other pipelines) ─▶ Concluded ─▶ Met ─▶ leader      who speaks
//! Begin ─▶ contribution ─▶ (waits)                                                                      others
//! Close ─▶ the record says of this stage what it must ─▶ what it needs, from who speaks ─▶ Prepared
//! ```
//! The first holder of a stage speaks for it. What it brings is checked against the record and by the
//! engine before a holder says that it is prepared, so that a commit can be carried out.

use std::collections::{BTreeMap, VecDeque};

use super::reduction::Reduction;
use super::{Member, Output, Purpose};
use crate::content::{Content, Digest};
use crate::meeting::{Concluded, Met, Present, Taken};
use crate::message::Body;
use crate::path::{Peer, Stage};
use crate::transcript::StepRecord;
use crate::work::{Task, Work};

/// How far this member is.
#[derive(Debug)]
pub struct Meeting {
    round: u64,
    stage: Stage,
    speaker: Peer,
    contribution: Option<Content>,
    /// What came of the exchange, where this member speaks.
    concluded: Option<(Met, Option<Content>)>,
    /// A record that came before the own contribution was there.
    early: Option<(u32, StepRecord)>,
}

impl Member {
    /// If the step that has begun is a meeting, this stage makes its contribution.
    pub(super) fn begin_meeting(&mut self) {
        let round = self.settings.round_of(self.when.step);
        let (Some(round), Some(stage)) = (round, self.stage()) else {
            return;
        };
        let Some(speaker) = self.roster.of(stage).first().copied() else {
            return;
        };
        self.meeting = Some(Meeting {
            round,
            stage,
            speaker,
            contribution: None,
            concluded: None,
            early: None,
        });
        self.work(Work::Contribute { round }, Purpose::Contribute);
    }

    pub(super) fn contributed(&mut self, contribution: Content, outer: Digest) {
        let Some(meeting) = &mut self.meeting else {
            return;
        };
        meeting.contribution = Some(contribution.clone());
        let present = Present {
            round: meeting.round,
            stage: meeting.stage,
            contribution,
            outer,
            speaker: meeting.speaker,
        };
        let early = meeting.early.take();
        self.outputs.push(Output::Present(present));
        if let Some((amendment, record)) = early {
            self.close(amendment, record);
        }
    }

    /// What came of the exchange for this stage.
    pub(super) fn concluded(&mut self, concluded: Concluded) {
        let Concluded {
            round,
            met,
            content,
        } = concluded;
        let me = self.me;
        let meeting = self.meeting.as_mut();
        if let Some(meeting) = meeting.filter(|one| one.round == round && one.speaker == me) {
            meeting.concluded = Some((met, content));
            self.say_met();
        }
    }

    /// Tells the leader what this stage did, if this member speaks and knows.
    pub(super) fn say_met(&mut self) {
        let meeting = self.meeting.as_ref();
        let concluded = meeting.and_then(|meeting| meeting.concluded.as_ref());
        if let Some((met, _)) = concluded {
            let body = Body::Met(met.clone());
            self.send(self.when.term.leader, body);
        }
    }

    /// The leader closes the meeting with what each stage did.
    pub(super) fn close_meeting(&mut self, amendment: u32, record: StepRecord, stage: Stage) {
        let (leader, me) = (self.when.term.leader, self.me);
        let Some(meeting) = &mut self.meeting else {
            return;
        };
        let Some(contribution) = &meeting.contribution else {
            meeting.early = Some((amendment, record));
            return;
        };
        let Some(met) = record.met.get(&stage) else {
            return self.fault(leader, "closed a meeting without a stage that is held");
        };
        let own = contribution.digest();
        let concluded = meeting.concluded.clone();
        let peer = meeting.speaker;
        if peer == me && concluded.as_ref().map(|(met, _)| met) != Some(met) {
            return self.fault(leader, "closed a meeting with what this stage did not say");
        }
        if met.contribution != own {
            // Holders of a stage have the same state, so who speaks for it said something else.
            self.fault(peer, "told another contribution than its stage has");
            return self.send(leader, Body::Accused { amendment, peer });
        }
        let whole = concluded.and_then(|(_, content)| content);
        let needed = met.needed();
        let tree = record.reduce_tree(stage);
        self.reduction = Some(Reduction {
            amendment,
            record,
            tree,
            sum: None,
            children: VecDeque::new(),
            handed: None,
            told: None,
            adding: None,
            received: Vec::new(),
            partials: BTreeMap::new(),
            task: None,
            whole: whole.clone(),
            waits: self.now,
            squares: Vec::new(),
            prepared: false,
            commit: None,
        });
        match (needed, whole) {
            (None, _) => self.prepared(None, Vec::new()),
            (Some(_), Some(content)) => {
                let others = self.roster.of(stage).to_vec();
                for peer in others.into_iter().filter(|peer| *peer != me) {
                    let content = content.clone();
                    self.send(peer, Body::Sum { amendment, content });
                }
                self.prepared(needed, Vec::new());
            }
            (Some(_), None) => {
                for (from, body) in std::mem::take(&mut self.early_sums) {
                    self.in_step(from, body);
                }
            }
        }
    }

    /// Who speaks for the stage brings what its step takes. False where this is no meeting.
    pub(super) fn brought(&mut self, content: &Content) -> bool {
        let stage = self.stage();
        let Some(reduction) = &mut self.reduction else {
            return false;
        };
        let met = stage.and_then(|stage| reduction.record.met.get(&stage));
        let Some(met) = met else { return false };
        if met.needed() != Some(content.digest()) || reduction.task.is_some() {
            return true;
        }
        let work = match met.taken {
            Taken::Adopted { .. } => Work::CheckOuter(content.clone()),
            Taken::Averaged { .. } | Taken::Alone(_) => Work::Check(content.clone()),
        };
        reduction.whole = Some(content.clone());
        let task = self.work(work, Purpose::Check);
        if let Some(reduction) = &mut self.reduction {
            reduction.task = Some(task);
        }
        true
    }

    /// The engine can take the step.
    pub(super) fn checked(&mut self, task: Task) {
        let reduction = self.reduction.as_mut();
        if let Some(reduction) = reduction.filter(|one| one.task == Some(task)) {
            reduction.task = None;
            let whole = reduction.whole.as_ref().map(Content::digest);
            self.prepared(whole, Vec::new());
        }
    }

    /// The engine cannot: who speaks for the stage brought what is no content of a meeting.
    pub(super) fn check_refused(&mut self, task: Task) {
        let reduction = self.reduction.as_ref().filter(|one| one.task == Some(task));
        let brought = reduction.and_then(|one| Some((one.amendment, one.tree.root()?)));
        if let Some((amendment, peer)) = brought {
            self.fault(peer, "brought what its stage cannot meet with");
            self.send(self.when.term.leader, Body::Accused { amendment, peer });
        }
    }

    /// What this stage did, for whoever answers other pipelines after who spoke for it is gone.
    pub(super) fn tell_concluded(&mut self) {
        let (stage, reduction) = (self.stage(), self.reduction.as_ref());
        let record = reduction.map(|reduction| &reduction.record);
        let met = stage.and_then(|stage| record?.met.get(&stage));
        let round = record.and_then(|record| self.settings.round_of(record.step));
        if let (Some(met), Some(round)) = (met, round) {
            let (met, content) = (met.clone(), reduction.and_then(|one| one.whole.clone()));
            self.outputs.push(Output::Concluded(Concluded {
                round,
                met,
                content,
            }));
        }
    }
}
