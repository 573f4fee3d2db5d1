//! Where a pipeline stands, as a peer's folder tells it: steps, losses, holders of stages, and
//! everything that did not go as planned.
//!
//! A function of charter and transcript. What it says is what is recorded; whether the records are
//! true is what a replay finds.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;
use skippipe::meeting::{Interval, Met, Reason, Taken};
use skippipe::path::{Hop, Peer, Stage};
use skippipe::transcript::{Recovery, Roster, StepRecord};

use super::blueprint::by_turns;
use super::transcript::Entry;
use crate::job::PipelineSpec;
use crate::meeting::charter::Charter;

/// Changes that the text for people shows, the newest.
const SHOWN: usize = 12;

/// Where a pipeline stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The job.
    pub job: String,
    /// Whether this peer's process runs.
    pub is_running: bool,
    /// Its pipeline, where there are several that meet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<u32>,
    /// This peer's number, in its pipeline; none where its key is not in the charter.
    pub me: Option<u32>,
    /// Steps up to the last that this peer has seen.
    pub done: u64,
    /// Steps of the job.
    pub steps: u64,
    /// Steps before that which this peer has no record of.
    pub missed: u64,
    /// Losses of the last recorded steps, in nats a token; at most twenty.
    pub losses: Vec<Loss>,
    /// Stages, and who held them when the last step ended.
    pub stages: Vec<StageStatus>,
    /// What did not go as planned, by step.
    pub changes: Vec<Change>,
}

/// The loss of a step before its update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Loss {
    /// Which step, from 0.
    pub step: u64,
    /// Nats a token.
    pub loss: f32,
}

/// A stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageStatus {
    /// Which.
    pub stage: u16,
    /// Numbers of its holders.
    pub holders: Vec<u32>,
    /// Microbatches of the last step whose gradients it learned from.
    pub visits: usize,
}

/// Something that did not go as planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// In which step, from 0.
    pub step: u64,
    /// What.
    pub what: String,
}

impl Status {
    /// The status of the peer with number `me` of the pipeline of a charter.
    pub fn of(
        (charter, pipeline): (&Charter, &PipelineSpec),
        entries: &[Entry],
        me: Option<u32>,
        is_running: bool,
    ) -> Self {
        let done = entries.last().map_or(0, |entry| entry.record.step + 1);
        let mut roster = by_turns(pipeline.stages, pipeline.peers);
        let interval = charter.spec.averaging.as_ref();
        let interval = interval.map(|averaging| Interval::new(averaging.inner_steps));
        let steps = interval.map_or(charter.spec.steps, |interval| {
            interval.steps(charter.spec.steps / interval.get())
        });
        // Of several pipelines, numbers count within one.
        let pipelines = interval.zip(me).map(|(_, me)| me / pipeline.peers.max(1));
        let me = me.map(|me| me % pipeline.peers.max(1));
        let sent = charter.spec.batch.microbatches;
        let mut changes = Vec::new();
        let mut admitted = BTreeSet::new();
        for Entry { record, .. } in entries {
            let step = record.step;
            let new = record
                .joined
                .iter()
                .filter_map(|joined| joined.admission.as_ref());
            for one in new.filter(|one| admitted.insert(one.peer)) {
                let (peer, leader) = (one.peer, one.term.leader);
                let what = format!("{peer} was admitted by {leader}");
                changes.push(Change { step, what });
            }
            let found = changes_of(record, &roster, pipeline, sent);
            changes.extend(found.into_iter().map(|what| Change { step, what }));
            roster = record.roster.clone();
        }
        let last = entries.last().map(|entry| entry.record.visits());
        let visits = |stage: Stage| {
            let visits = last.as_ref().and_then(|visits| visits.get(&stage));
            visits.map_or(0, Vec::len)
        };
        let stages = (0..).map(Stage).zip(&roster.0);
        let stages = stages.map(|(stage, holders)| StageStatus {
            stage: stage.0,
            holders: holders.iter().map(|peer| peer.0).collect(),
            visits: visits(stage),
        });
        let trained = entries.iter().filter(|entry| entry.record.met.is_empty());
        let trained: Vec<&Entry> = trained.collect();
        let newest = trained.len().saturating_sub(20);
        let losses = trained[newest..].iter().map(|entry| Loss {
            step: entry.record.step,
            loss: entry.record.loss(),
        });
        Self {
            job: charter.job.clone(),
            is_running,
            pipeline: pipelines,
            me,
            done,
            steps,
            missed: done - entries.len() as u64,
            losses: losses.collect(),
            stages: stages.collect(),
            changes,
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!("job          {}\n", self.job);
        let state = match (self.done >= self.steps, self.is_running) {
            (true, _) => "finished",
            (false, true) => "running",
            (false, false) => "not running; the command that started this peer goes on from here",
        };
        let _ = writeln!(
            text,
            "state        step {} of {}, {state}",
            self.done, self.steps
        );
        if let Some(pipeline) = self.pipeline {
            let _ = writeln!(
                text,
                "pipeline     {pipeline}; steps in which pipelines meet are counted"
            );
        }
        if self.missed > 0 {
            let _ = writeln!(
                text,
                "missed       {} steps, while this peer was away; other peers have their records",
                self.missed
            );
        }
        if let (Some(first), Some(last)) = (self.losses.first(), self.losses.last()) {
            let _ = write!(
                text,
                "loss         {:.4} in step {}",
                last.loss,
                last.step + 1
            );
            if first.step < last.step {
                let _ = write!(text, ", {:.4} in step {}", first.loss, first.step + 1);
            }
            text.push('\n');
        }
        for stage in &self.stages {
            let holders = stage
                .holders
                .iter()
                .map(|holder| match Some(*holder) == self.me {
                    true => format!("{} (this one)", Peer(*holder)),
                    false => Peer(*holder).to_string(),
                });
            let holders: Vec<String> = holders.collect();
            let holders = match holders.is_empty() {
                true => "nobody".to_owned(),
                false => holders.join(", "),
            };
            let (number, visits) = (stage.stage, stage.visits);
            let _ = writeln!(
                text,
                "stage {number:<6} {holders}; {visits} visits in the last step"
            );
        }
        let hidden = self.changes.len().saturating_sub(SHOWN);
        if hidden > 0 {
            let _ = writeln!(
                text,
                "changes      {hidden} earlier ones (--json has all), then"
            );
        }
        for change in &self.changes[hidden..] {
            let _ = writeln!(text, "step {:<7} {}", change.step + 1, change.what);
        }
        text
    }
}

/// What each stage did where pipelines met.
pub fn met_in_words(record: &StepRecord) -> Vec<String> {
    let met = record.met.iter().map(|(stage, met)| match &met.taken {
        Taken::Averaged { parts, .. } => format!("{stage} averaged {} pipelines", parts.len()),
        Taken::Adopted { from, .. } => format!("{stage} took the anchor of pipeline {}", from.0),
        Taken::Alone(Reason::Single) => format!("{stage} is the odd one out"),
        Taken::Alone(reason) => format!("{stage} moved alone ({})", reason.text()),
    });
    met.collect()
}

/// What a step's record has that was not planned; `before` is who held what when the last one
/// ended, `sent` how many microbatches went out.
fn changes_of(
    record: &StepRecord,
    before: &Roster,
    pipeline: &PipelineSpec,
    sent: usize,
) -> Vec<String> {
    let mut changes = Vec::new();
    for joined in &record.joined {
        let Hop { stage, peer } = joined.hop;
        let from = match &joined.recovery {
            Recovery::Copied => "copied from its holders".to_owned(),
            Recovery::Averaged { of } => {
                let of: Vec<String> = of.iter().map(|(stage, _)| stage.to_string()).collect();
                format!("rebuilt as the mean of {}", of.join(" and "))
            }
            Recovery::Restored { step } => {
                format!(
                    "restored from the copy that was kept before step {}",
                    step + 1
                )
            }
        };
        changes.push(format!("{peer} took up {stage}, {from}"));
    }
    let lost = before.hops().filter(|hop| !record.roster.holds(*hop));
    changes
        .extend(lost.map(|Hop { stage, peer }| format!("{peer} does not hold {stage} any more")));
    if !record.met.is_empty() {
        let is_planned = |met: &Met| match &met.taken {
            Taken::Averaged { .. } | Taken::Alone(Reason::Single) => true,
            Taken::Adopted { .. } | Taken::Alone(_) => false,
        };
        if !record.met.values().all(is_planned) {
            changes.push(format!(
                "pipelines met: {}",
                met_in_words(record).join(", ")
            ));
        }
        return changes;
    }
    let is_full = pipeline.full_every > 0 && record.step.is_multiple_of(pipeline.full_every);
    let planned = match is_full {
        true => pipeline.stages,
        false => pipeline.visits.unwrap_or(pipeline.stages),
    };
    let passages = record.passages.iter();
    let short = passages.filter(|passage| passage.visits.len() < usize::from(planned));
    let counts = [
        (short.count(), "went past a stage that nobody could serve"),
        (
            sent.saturating_sub(record.passages.len()),
            "did not come back",
        ),
    ];
    let some = counts.into_iter().filter(|(count, _)| *count > 0);
    changes.extend(some.map(|(count, what)| format!("{count} of {sent} microbatches {what}")));
    if !record.excluded.is_empty() {
        let count = record.excluded.len();
        changes.push(format!(
            "gradients of {count} visits were lost with their peers"
        ));
    }
    changes
}

#[cfg(test)]
mod tests {
    use skippipe::content::Digest;
    use skippipe::path::Microbatch;
    use skippipe::transcript::{Joined, Passage, Visit};

    use super::*;
    use crate::job::JobSpec;
    use crate::meeting::charter::Address;

    fn charter() -> Charter {
        let text = include_str!("../../../configs/nano/pipeline.toml")
            .replace("microbatches = 8", "microbatches = 2");
        let spec: JobSpec = toml::from_str(&text).unwrap();
        let member = |number: u8| Address {
            peer: const_hex::encode([number; 33]),
            addresses: Vec::new(),
        };
        Charter {
            spec,
            job: "ab".into(),
            members: (0..4).map(member).collect(),
            admitted: Vec::new(),
        }
    }

    /// A step whose microbatches visit these stages, at the first peer of each.
    fn entry(step: u64, roster: &[&[u32]], paths: &[&[u16]]) -> Entry {
        let peers = |list: &&[u32]| list.iter().copied().map(Peer).collect();
        let roster = Roster(roster.iter().map(peers).collect());
        let visit = |stage: &u16| Visit {
            hop: Hop {
                stage: Stage(*stage),
                peer: roster.of(Stage(*stage))[0],
            },
            output: Digest([0; 32]),
            gradient: Digest([0; 32]),
        };
        let passages = (0..).zip(paths).map(|(number, stages)| Passage {
            microbatch: Microbatch(number),
            loss: 1.25_f32.to_bits(),
            visits: stages.iter().map(visit).collect(),
        });
        let record = StepRecord {
            step,
            joined: Vec::new(),
            passages: passages.collect(),
            excluded: Default::default(),
            met: Default::default(),
            roster,
        };
        Entry {
            record,
            stated: Vec::new(),
        }
    }

    fn status_of(entries: &[Entry], me: Option<u32>, is_running: bool) -> Status {
        let charter = charter();
        let pipeline = charter.spec.pipeline.as_ref().unwrap();
        Status::of((&charter, pipeline), entries, me, is_running)
    }

    #[test]
    fn everything_that_was_not_planned_is_said_once() {
        let full: &[&[u16]] = &[&[0, 1], &[0, 1]];
        let all: &[&[u32]] = &[&[0, 2], &[1, 3]];
        let mut entries = vec![entry(0, all, full), entry(1, &[&[0, 2], &[3]], &[&[0]])];
        entries[1].record.excluded.insert((Microbatch(0), Stage(1)));
        let mut back = entry(2, all, full);
        back.record.joined.push(Joined {
            hop: Hop {
                stage: Stage(1),
                peer: Peer(1),
            },
            recovery: Recovery::Restored { step: 1 },
            state: Digest([0; 32]),
            admission: None,
        });
        entries.push(back);
        let status = status_of(&entries, Some(2), true);
        let changes: Vec<(u64, &str)> = status
            .changes
            .iter()
            .map(|change| (change.step, &*change.what))
            .collect();
        assert_eq!(
            changes,
            [
                (1, "peer 1 does not hold stage 1 any more"),
                (
                    1,
                    "1 of 2 microbatches went past a stage that nobody could serve"
                ),
                (1, "1 of 2 microbatches did not come back"),
                (1, "gradients of 1 visits were lost with their peers"),
                (
                    2,
                    "peer 1 took up stage 1, restored from the copy that was kept before step 2"
                ),
            ]
        );
        assert_eq!((status.done, status.steps, status.missed), (3, 20, 0));
        let text = status.text();
        assert!(text.contains("step 3 of 20, running"), "{text}");
        assert!(
            text.contains("stage 0      peer 0, peer 2 (this one); 2 visits"),
            "{text}"
        );
        assert!(
            text.contains("loss         2.5000 in step 3, 2.5000 in step 1"),
            "{text}"
        );
    }

    #[test]
    fn a_folder_without_steps_and_one_with_a_gap_are_shown_as_they_are() {
        let status = status_of(&[], None, false);
        assert_eq!((status.done, status.losses.len()), (0, 0));
        assert!(status.text().contains("step 0 of 20, not running"));
        let late = [entry(19, &[&[0], &[1]], &[&[0, 1], &[0, 1]])];
        let status = status_of(&late, None, false);
        assert_eq!((status.done, status.missed), (20, 19));
        assert!(status.text().contains("finished"));
    }
}
