//! All pipelines computed again from their records, by one machine that holds every stage of each.
//!
//! What is compared, beyond what [`skippipe::replay`] compares of each pipeline: every contribution that a
//! record names, of its own pipeline and of others; every mean and every anchor that was taken over; who
//! met whom. States that stages came to are shown to the caller, who has the signed statements.

use std::collections::{BTreeMap, BTreeSet};

use skippipe::content::{Content, Digest};
use skippipe::meeting::{Interval, Met, Part, Replica, Taken};
use skippipe::path::Stage;
use skippipe::replay::{Replay as Pipeline, ReplayError as PipelineError, Replayed as Stepped};
use skippipe::transcript::StepRecord;
use skippipe::work::Engine;

use crate::averaging::pairing::Group;
use crate::averaging::replay::{Replayed, is_of_group};
use crate::averaging::transcript::Roster;

/// All pipelines at one machine.
#[derive(Debug)]
pub struct Replay<E> {
    job: Digest,
    paired: bool,
    interval: Interval,
    pipelines: Vec<Pipeline<E>>,
}

/// Why records are not what the pipelines compute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// There must be records of each.
    #[error("there are records of {found} pipelines, of {expected}")]
    Pipelines {
        /// Of the job.
        expected: usize,
        /// Given.
        found: usize,
    },
    /// A pipeline alone.
    #[error("pipeline {}: {source}", pipeline.0)]
    Pipeline {
        /// Which.
        pipeline: Replica,
        /// What.
        source: PipelineError,
    },
    /// A record that could be of no such meeting.
    #[error("meeting {}: the record of pipeline {} is not sound: {what}", round + 1, pipeline.0)]
    Unsound {
        /// The meeting, from 0; texts count from 1.
        round: u64,
        /// Whose record.
        pipeline: Replica,
        /// Why.
        what: &'static str,
    },
    /// A contribution is needed of a pipeline whose steps up to there are not known.
    #[error(
        "meeting {}: pipeline {} contributed to it, and its steps up to there are not in what was given",
        round + 1,
        pipeline.0
    )]
    Missing {
        /// The meeting, from 0; texts count from 1.
        round: u64,
        /// Which pipeline.
        pipeline: Replica,
    },
    /// A stage contributed something else than it computes.
    #[error(
        "meeting {}: {stage} of pipeline {} contributed {found}, by the record of pipeline {}, and computes \
         {expected}",
        round + 1,
        pipeline.0,
        told_by.0
    )]
    Contribution {
        /// The meeting, from 0; texts count from 1.
        round: u64,
        /// The stage.
        stage: Stage,
        /// Whose.
        pipeline: Replica,
        /// Whose record names it.
        told_by: Replica,
        /// As recorded.
        found: Digest,
        /// As computed.
        expected: Digest,
    },
    /// What the leader sent is not the mean, or not its anchor.
    #[error(
        "meeting {}: what {stage} of pipeline {} took from the leader is {found}, not {expected}",
        round + 1,
        pipeline.0
    )]
    Leader {
        /// The meeting, from 0; texts count from 1.
        round: u64,
        /// The stage.
        stage: Stage,
        /// Who took it.
        pipeline: Replica,
        /// As recorded.
        found: Digest,
        /// As computed.
        expected: Digest,
    },
}

/// Contributions of all stages of the pipelines that came to a meeting, as
/// [`Pipeline::contributions`] has them.
type Contributed = BTreeMap<Replica, Vec<Vec<(Content, Digest)>>>;

impl<E: Engine> Replay<E> {
    /// Pipelines before their first step.
    pub fn new(job: Digest, paired: bool, interval: Interval, pipelines: Vec<Pipeline<E>>) -> Self {
        Self {
            job,
            paired,
            interval,
            pipelines,
        }
    }

    /// The pipelines.
    pub fn pipelines(&self) -> &[Pipeline<E>] {
        &self.pipelines
    }

    /// Computes all steps again; `records` has those of each pipeline, in order. `seen` is shown each
    /// step and what it came to. What is counted are stages at meetings.
    ///
    /// # Errors
    /// A record is not of these pipelines, or something in it is not what they compute.
    pub fn run(
        &mut self,
        records: &[Vec<StepRecord>],
        seen: &mut dyn FnMut(Replica, &StepRecord, &Stepped),
    ) -> Result<Replayed, ReplayError> {
        let (expected, found) = (self.pipelines.len(), records.len());
        if expected != found {
            return Err(ReplayError::Pipelines { expected, found });
        }
        let mut rest: Vec<&[StepRecord]> = records.iter().map(Vec::as_slice).collect();
        let mut replayed = Replayed::default();
        for round in 0.. {
            if rest.iter().all(|records| records.is_empty()) {
                break;
            }
            let meeting = self.interval.step_of(round);
            let mut told = BTreeMap::new();
            for (pipeline, records) in (0..).map(Replica).zip(&mut rest) {
                while let Some((record, after)) = records.split_first()
                    && record.step < meeting
                {
                    let stepped = self.pipelines[pipeline.index()].step(record);
                    let stepped = stepped.map_err(of(pipeline))?;
                    seen(pipeline, record, &stepped);
                    *records = after;
                }
                if let Some((record, after)) = records.split_first()
                    && record.step == meeting
                {
                    told.insert(pipeline, record);
                    *records = after;
                }
            }
            self.meeting(round, &told, &mut replayed)?;
            for (pipeline, record) in told {
                let ended = self.pipelines[pipeline.index()].end_meeting(record);
                seen(pipeline, record, &ended.map_err(of(pipeline))?);
            }
        }
        Ok(replayed)
    }

    fn meeting(
        &mut self,
        round: u64,
        told: &BTreeMap<Replica, &StepRecord>,
        replayed: &mut Replayed,
    ) -> Result<(), ReplayError> {
        let mut contributed = Contributed::new();
        for (pipeline, replay) in (0..).map(Replica).zip(&mut self.pipelines) {
            // Who came to the meeting may have been lost before its record.
            if replay.next_step() == self.interval.step_of(round) {
                let record = told.get(&pipeline).copied();
                let contributions = replay.contributions(round, record);
                contributed.insert(pipeline, contributions.map_err(of(pipeline))?);
            }
        }
        let mut adopting = Vec::new();
        for (pipeline, record) in told {
            let mut contents = BTreeMap::new();
            for (stage, met) in &record.met {
                let place = (round, *pipeline, *stage);
                self.check(place, met, &contributed, told)?;
                if let Taken::Adopted { from, outer } = &met.taken {
                    adopting.push((place, *from, *outer));
                } else if let Some(content) = self.content(place, met, &contributed)? {
                    contents.insert(*stage, content);
                }
                count(replayed, place, met, told);
            }
            let replay = &mut self.pipelines[pipeline.index()];
            replay
                .meet(record, &contents, false)
                .map_err(of(*pipeline))?;
        }
        let mut taken_over: BTreeMap<Replica, BTreeMap<Stage, Content>> = BTreeMap::new();
        for ((_, pipeline, stage), from, found) in adopting {
            if !told.contains_key(&from) {
                let pipeline = from;
                return Err(ReplayError::Missing { round, pipeline });
            }
            let outer = self.pipelines[from.index()].outer(stage);
            let outer = outer.map_err(of(from))?;
            let expected = outer.digest();
            if found != expected {
                return Err(ReplayError::Leader {
                    round,
                    stage,
                    pipeline,
                    found,
                    expected,
                });
            }
            taken_over.entry(pipeline).or_default().insert(stage, outer);
        }
        for (pipeline, contents) in taken_over {
            let moved = self.pipelines[pipeline.index()].meet(told[&pipeline], &contents, true);
            moved.map_err(of(pipeline))?;
        }
        Ok(())
    }

    /// Whether what a record says of a stage could be, and is of contributions that were made.
    fn check(
        &self,
        (round, pipeline, stage): (u64, Replica, Stage),
        met: &Met,
        contributed: &Contributed,
        told: &BTreeMap<Replica, &StepRecord>,
    ) -> Result<(), ReplayError> {
        let roster = Roster::initial(self.pipelines.len() as u32);
        let group = Group::of(&self.job, round, &roster, self.paired, pipeline);
        is_of_group(&met.taken, &group, self.paired).map_err(|what| ReplayError::Unsound {
            round,
            pipeline,
            what,
        })?;
        let made = |of: Replica| {
            let stages = contributed.get(&of);
            stages.and_then(|stages| stages.get(stage.index()))
        };
        let differs = |of: Replica, found, expected| ReplayError::Contribution {
            round,
            stage,
            pipeline: of,
            told_by: pipeline,
            found,
            expected,
        };
        let missing = |pipeline| ReplayError::Missing { round, pipeline };
        let own = made(pipeline).and_then(|made| made.last());
        let (own, _) = own.ok_or_else(|| missing(pipeline))?;
        if own.digest() != met.contribution {
            return Err(differs(pipeline, met.contribution, own.digest()));
        }
        let Taken::Averaged { parts, .. } = &met.taken else {
            return Ok(());
        };
        for part in parts {
            let of = part.replica;
            let known = made(of).ok_or_else(|| missing(of))?;
            let (last, _) = known.last().ok_or_else(|| missing(of))?;
            if find(known, part).is_none() {
                // Without its record nobody knows which stages it took up anew.
                return Err(match told.contains_key(&of) {
                    true => differs(of, part.contribution, last.digest()),
                    false => missing(of),
                });
            }
        }
        Ok(())
    }

    /// What a stage takes besides its own contribution, where that was not another's anchor.
    fn content(
        &mut self,
        (round, pipeline, stage): (u64, Replica, Stage),
        met: &Met,
        contributed: &Contributed,
    ) -> Result<Option<Content>, ReplayError> {
        let Taken::Averaged { parts, mean } = &met.taken else {
            return Ok(None);
        };
        // All of them were found when the record was checked.
        let made = |part: &Part| {
            let known = contributed.get(&part.replica)?.get(stage.index())?;
            find(known, part).cloned()
        };
        let Some(found) = *mean else {
            let partner = parts.iter().find(|part| part.replica != pipeline);
            let content = partner.and_then(made);
            return Ok(content.filter(|content| met.needed() == Some(content.digest())));
        };
        let contents = parts.iter().filter_map(made).collect();
        let mean = self.pipelines[pipeline.index()].mean(stage, contents);
        let mean = mean.map_err(of(pipeline))?;
        let expected = mean.digest();
        if found != expected {
            return Err(ReplayError::Leader {
                round,
                stage,
                pipeline,
                found,
                expected,
            });
        }
        Ok(Some(mean))
    }
}

/// The contribution that a part names.
fn find<'c>(known: &'c [(Content, Digest)], part: &Part) -> Option<&'c Content> {
    let named = (part.contribution, part.outer);
    let mut known = known.iter();
    let found = known.find(|(content, outer)| (content.digest(), *outer) == named);
    found.map(|(content, _)| content)
}

fn of(pipeline: Replica) -> impl FnOnce(PipelineError) -> ReplayError {
    move |source| ReplayError::Pipeline { pipeline, source }
}

fn count(
    replayed: &mut Replayed,
    (round, pipeline, stage): (u64, Replica, Stage),
    met: &Met,
    told: &BTreeMap<Replica, &StepRecord>,
) {
    replayed.rounds += 1;
    match &met.taken {
        Taken::Averaged { parts, .. } => {
            replayed.averaged += 1;
            let others = parts.iter().map(|part| part.replica);
            let alone: BTreeSet<Replica> = others
                .filter(|other| {
                    let record = told.get(other);
                    let met = record.and_then(|record| record.met.get(&stage));
                    met.is_some_and(|met| matches!(met.taken, Taken::Alone(_)))
                })
                .collect();
            let alone = alone.into_iter().map(|other| (round, pipeline, other));
            replayed.one_sided.extend(alone);
        }
        Taken::Adopted { .. } => replayed.adopted += 1,
        Taken::Alone(reason) => *replayed.alone.entry(*reason).or_default() += 1,
    }
}
