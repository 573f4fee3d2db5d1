//! A step computed again from its record, by one machine that holds every stage.
//!
//! What is compared: the digest of every activation and gradient that went over a link, the loss of
//! every microbatch, and the state that each stage came to. The first that differs is an error that
//! names the peer who made it.

use std::collections::BTreeMap;

use crate::content::{Content, Digest};
use crate::meeting::Taken;
use crate::path::{Hop, Microbatch, Peer, Stage};
use crate::transcript::{Joined, Passage, Recovery, StepRecord, Sums, Visit};
use crate::work::{Engine, Outcome, Task, Work};

/// All stages of a pipeline at one machine.
#[derive(Debug)]
pub struct Replay<E> {
    stages: Vec<E>,
    states: Vec<Digest>,
    /// Whole states before steps from which a stage could be restored.
    copies: BTreeMap<(Stage, u64), Content>,
    keep_every: u64,
    next_step: u64,
    next_task: u64,
}

/// Why a record is not of this pipeline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// Steps are replayed one after the other.
    #[error("the record is of step {found}; the next to replay is step {expected}")]
    Step {
        /// The record's.
        found: u64,
        /// The one that follows.
        expected: u64,
    },
    /// A record that could be of no step.
    #[error("the record of step {step} cannot be: stages must ascend and be below {stages}")]
    Unsound {
        /// Its step.
        step: u64,
        /// Stages of the pipeline.
        stages: usize,
    },
    /// A meeting takes what other pipelines contributed.
    #[error("step {0} is a meeting of pipelines; it is replayed with all of them")]
    Meeting(u64),
    /// What a peer made is not what its stage makes.
    #[error("step {step}, {microbatch}: {what} of {hop} is {found}, not {expected}")]
    Differs {
        /// The step.
        step: u64,
        /// The microbatch.
        microbatch: Microbatch,
        /// Who made it.
        hop: Hop,
        /// What.
        what: &'static str,
        /// As recorded.
        found: Digest,
        /// As computed.
        expected: Digest,
    },
    /// The loss that a source reported is not what its head computes.
    #[error("step {step}, {microbatch}: the loss of {hop} is bits {found:08x}, not {expected:08x}")]
    Loss {
        /// The step.
        step: u64,
        /// The microbatch.
        microbatch: Microbatch,
        /// Its source.
        hop: Hop,
        /// As recorded.
        found: u32,
        /// As computed.
        expected: u32,
    },
    /// A stage was taken up in another state than it must have had.
    #[error("before step {step} {hop} took up a state that is not the stage's")]
    Joined {
        /// The step.
        step: u64,
        /// Who.
        hop: Hop,
    },
    /// A stage was restored from a state that was never copied.
    #[error("before step {step} {stage} was restored from step {from}, which kept no copy")]
    NoCopy {
        /// The step.
        step: u64,
        /// Which.
        stage: Stage,
        /// From where.
        from: u64,
    },
    /// The engine does not compute it.
    #[error("the engine answered {0}")]
    Engine(String),
}

/// What a replayed step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Bits of the norm of all gradients.
    pub norm: u32,
    /// Each stage's state after the step.
    pub states: Vec<Digest>,
    /// How each holder of a stage that moved must have summed.
    pub sums: BTreeMap<Hop, Sums>,
}

/// Gradients of a stage that count, summed.
struct Summed {
    whole: Content,
    visits: Vec<Microbatch>,
    /// Of each holder of the stage.
    sums: BTreeMap<Hop, Sums>,
}

/// What came to a stage for a visit, as a replay computed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The microbatch.
    pub microbatch: Microbatch,
    /// Who was visited.
    pub hop: Hop,
    /// The activation that came in; at stage 0 the one that came back to the head.
    pub input: Content,
    /// The gradient of the activation that went out.
    pub gradient: Content,
}

impl<E: Engine> Replay<E> {
    /// Engines of all stages in the states before the first step, with the digests of those states.
    /// `keep_every` as in the pipeline's settings.
    pub fn new(stages: Vec<E>, states: Vec<Digest>, keep_every: u64) -> Self {
        Self {
            stages,
            states,
            copies: BTreeMap::new(),
            keep_every,
            next_step: 0,
            next_task: 0,
        }
    }

    /// The engines, by stage.
    pub fn stages(&self) -> &[E] {
        &self.stages
    }

    /// The states that the stages have come to.
    pub fn states(&self) -> &[Digest] {
        &self.states
    }

    /// Computes a step again.
    ///
    /// # Errors
    /// The record is of another step or cannot be, or something in it is not what the stages
    /// compute.
    pub fn step(&mut self, record: &StepRecord) -> Result<Replayed, ReplayError> {
        self.step_with(record, &mut |_| {})
    }

    /// Computes a step again, and shows what came to each visit. What is shown before an error is
    /// not yet compared.
    ///
    /// # Errors
    /// See [`Replay::step`].
    pub fn step_with(
        &mut self,
        record: &StepRecord,
        seen: &mut dyn FnMut(Arrival),
    ) -> Result<Replayed, ReplayError> {
        if !record.met.is_empty() {
            return Err(ReplayError::Meeting(record.step));
        }
        self.check(record)?;
        for joined in &record.joined {
            self.join(record.step, joined)?;
        }
        let mut kept = BTreeMap::new();
        for passage in &record.passages {
            self.pass(record.step, passage, &mut kept, seen)?;
        }
        let summed = self.sums(record, &kept)?;
        let (norm, sums) = self.update(record, summed)?;
        let forgotten: Vec<Task> = kept.into_values().collect();
        for stage in &mut self.stages {
            let task = Task(self.next_task);
            stage.perform(task, Work::Forget(forgotten.clone()));
        }
        self.next_step += 1;
        self.copy_states()?;
        Ok(Replayed {
            norm,
            states: self.states.clone(),
            sums,
        })
    }

    fn check(&self, record: &StepRecord) -> Result<(), ReplayError> {
        let (found, expected) = (record.step, self.next_step);
        if found != expected {
            return Err(ReplayError::Step { found, expected });
        }
        if !record.is_sound() || record.roster.0.len() != self.stages.len() {
            let (step, stages) = (record.step, self.stages.len());
            return Err(ReplayError::Unsound { step, stages });
        }
        Ok(())
    }

    /// The step that is replayed next.
    pub fn next_step(&self) -> u64 {
        self.next_step
    }

    /// What each stage contributes to a meeting that is the next step, with digests of its anchor and
    /// momentum: the last is what it moved by. Those before it are of states that it had before it was
    /// taken up anew, which may have been given to other pipelines. `record` is the meeting's; none of a
    /// pipeline that did not come to its end.
    ///
    /// # Errors
    /// The record is of another step or cannot be, or a stage was taken up in a state that is not its
    /// own.
    pub fn contributions(
        &mut self,
        round: u64,
        record: Option<&StepRecord>,
    ) -> Result<Vec<Vec<(Content, Digest)>>, ReplayError> {
        if let Some(record) = record {
            self.check(record)?;
        }
        let mut all = Vec::new();
        for stage in (0..).map(Stage).take(self.stages.len()) {
            all.push(vec![self.contribution(stage, round)?]);
        }
        for joined in record.iter().flat_map(|record| &record.joined) {
            self.join(self.next_step, joined)?;
            let stage = joined.hop.stage;
            if joined.recovery != Recovery::Copied
                && let Some(of_stage) = all.get_mut(stage.index())
            {
                of_stage.push(self.contribution(stage, round)?);
            }
        }
        Ok(all)
    }

    fn contribution(&mut self, stage: Stage, round: u64) -> Result<(Content, Digest), ReplayError> {
        match self.perform(stage, Work::Contribute { round })?.1 {
            Outcome::Contribution(contribution, outer) => Ok((contribution, outer)),
            other => Err(unexpected(&other)),
        }
    }

    /// The mean of contributions of a stage.
    ///
    /// # Errors
    /// The engine does not take them.
    pub fn mean(&mut self, stage: Stage, parts: Vec<Content>) -> Result<Content, ReplayError> {
        self.content(stage, Work::Mean(parts))
    }

    /// Anchor and momentum of a stage, as others take them over.
    ///
    /// # Errors
    /// The engine does not give them.
    pub fn outer(&mut self, stage: Stage) -> Result<Content, ReplayError> {
        self.content(stage, Work::ExportOuter)
    }

    /// Moves the stages of a meeting whose contributions were computed, but for those that take over
    /// anchors of others where `adopting` is false, and none but those where it is true. `contents`
    /// has what their steps take.
    ///
    /// # Errors
    /// The engine does not take a step.
    pub fn meet(
        &mut self,
        record: &StepRecord,
        contents: &BTreeMap<Stage, Content>,
        adopting: bool,
    ) -> Result<(), ReplayError> {
        for (&stage, met) in &record.met {
            if matches!(met.taken, Taken::Adopted { .. }) != adopting {
                continue;
            }
            let (met, content) = (met.clone(), contents.get(&stage).cloned());
            let moved = match self.perform(stage, Work::Meet { met, content })?.1 {
                Outcome::State(state) => state,
                other => return Err(unexpected(&other)),
            };
            if let Some(state) = self.states.get_mut(stage.index()) {
                *state = moved;
            }
        }
        Ok(())
    }

    /// The meeting is over.
    ///
    /// # Errors
    /// The engine does not export a state.
    pub fn end_meeting(&mut self, record: &StepRecord) -> Result<Replayed, ReplayError> {
        self.next_step += 1;
        self.copy_states()?;
        let holders = record.roster.hops().map(|hop| (hop, Sums::default()));
        Ok(Replayed {
            norm: 0,
            states: self.states.clone(),
            sums: holders.collect(),
        })
    }

    fn join(&mut self, step: u64, joined: &Joined) -> Result<(), ReplayError> {
        let Joined {
            hop,
            recovery,
            state,
            ..
        } = joined;
        let stage = hop.stage;
        let rebuilt = match recovery {
            Recovery::Copied => None,
            Recovery::Averaged { of } => {
                let mut parts = Vec::new();
                for &(neighbour, weight) in of {
                    parts.push((self.content(neighbour, Work::Export)?, weight));
                }
                Some(Work::Average { stage, parts })
            }
            Recovery::Restored { step: from } => {
                let from = *from;
                let copy = self.copies.get(&(stage, from)).cloned();
                let state = copy.ok_or(ReplayError::NoCopy { step, stage, from })?;
                Some(Work::Load { stage, state })
            }
        };
        if let Some(work) = rebuilt {
            self.states[stage.index()] = match self.perform(stage, work)?.1 {
                Outcome::State(state) => state,
                other => return Err(unexpected(&other)),
            };
        }
        let same = self.states.get(stage.index()) == Some(state);
        same.then_some(())
            .ok_or(ReplayError::Joined { step, hop: *hop })
    }

    /// A microbatch forward and back.
    fn pass(
        &mut self,
        step: u64,
        passage: &Passage,
        kept: &mut BTreeMap<(Microbatch, Stage), Task>,
        seen: &mut dyn FnMut(Arrival),
    ) -> Result<(), ReplayError> {
        let microbatch = passage.microbatch;
        let same = |visit: &Visit, what, found: Digest, expected: Digest| {
            let hop = visit.hop;
            let differs = ReplayError::Differs {
                step,
                microbatch,
                hop,
                what,
                found,
                expected,
            };
            (found == expected).then_some(()).ok_or(differs)
        };
        let mut inputs = Vec::new();
        let mut content = self.content(Stage::FIRST, Work::Embed { step, microbatch })?;
        for visit in &passage.visits {
            if visit.hop.stage != Stage::FIRST {
                let input = content.clone();
                inputs.push(input.clone());
                let work = Work::Forward {
                    step,
                    microbatch,
                    input,
                };
                content = self.content(visit.hop.stage, work)?;
            }
            same(visit, "the activation", visit.output, content.digest())?;
        }
        let returned = content;
        let work = Work::Loss {
            step,
            microbatch,
            input: returned.clone(),
        };
        let (head, outcome) = self.perform(Stage::FIRST, work)?;
        let (loss, mut gradient) = match outcome {
            Outcome::Loss(loss, gradient) => (loss, gradient),
            other => return Err(unexpected(&other)),
        };
        if loss != passage.loss {
            let (found, expected) = (passage.loss, loss);
            return Err(ReplayError::Loss {
                step,
                microbatch,
                hop: passage.visits[0].hop,
                found,
                expected,
            });
        }
        // The gradient that a hop gets is made by the hop after it, or by the head.
        for (place, visit) in passage.visits.iter().enumerate().rev() {
            let maker = passage.visits.get(place + 1).unwrap_or(&passage.visits[0]);
            same(maker, "the gradient", visit.gradient, gradient.digest())?;
            let (stage, before) = (visit.hop.stage, place.checked_sub(1));
            let input = before.map_or(&returned, |index| &inputs[index]).clone();
            seen(Arrival {
                microbatch,
                hop: visit.hop,
                input: input.clone(),
                gradient: gradient.clone(),
            });
            let work = match before {
                Some(_) => Work::Backward {
                    step,
                    microbatch,
                    input,
                    gradient,
                },
                None => Work::EmbedBackward {
                    step,
                    microbatch,
                    gradient,
                    loss: head,
                },
            };
            let (task, outcome) = self.perform(stage, work)?;
            kept.insert((microbatch, stage), task);
            gradient = match outcome {
                Outcome::Content(gradient) => gradient,
                Outcome::Nothing if place == 0 => return Ok(()),
                other => return Err(unexpected(&other)),
            };
        }
        Ok(())
    }

    /// The sum of each stage's gradients that count, added as the peers added them.
    fn sums(
        &mut self,
        record: &StepRecord,
        kept: &BTreeMap<(Microbatch, Stage), Task>,
    ) -> Result<BTreeMap<Stage, Summed>, ReplayError> {
        let mut summed = BTreeMap::new();
        for (stage, visits) in record.visits() {
            let tree = record.reduce_tree(stage);
            let mut own: BTreeMap<Peer, Content> = BTreeMap::new();
            let holders = record.roster.of(stage).iter();
            let mut sums: BTreeMap<Hop, Sums> = holders
                .map(|&peer| (Hop { stage, peer }, Sums::default()))
                .collect();
            for &peer in tree.peers() {
                let here = record
                    .counted(stage)
                    .filter(|(_, visit)| visit.hop.peer == peer);
                let tasks = here.filter_map(|(microbatch, _)| kept.get(&(microbatch, stage)));
                let tasks = tasks.copied().collect();
                own.insert(peer, self.content(stage, Work::Sum(tasks))?);
            }
            // Children are behind their parents, so from the last on every sum is whole in its
            // turn.
            for &peer in tree.peers().iter().rev() {
                let mut received = Vec::new();
                for child in tree.children(peer) {
                    if let (Some(sum), Some(part)) = (own.get(&peer), own.get(&child)) {
                        let work = Work::Add(sum.clone(), part.clone());
                        received.push(part.digest());
                        own.insert(peer, self.content(stage, work)?);
                    }
                }
                if let Some(of_peer) = sums.get_mut(&Hop { stage, peer }) {
                    of_peer.received = received;
                    of_peer.partial = own.get(&peer).map(Content::digest);
                }
            }
            if let Some(whole) = tree.root().and_then(|root| own.remove(&root)) {
                for of_peer in sums.values_mut() {
                    of_peer.whole = Some(whole.digest());
                }
                let of_stage = Summed {
                    whole,
                    visits,
                    sums,
                };
                summed.insert(stage, of_stage);
            }
        }
        Ok(summed)
    }

    fn update(
        &mut self,
        record: &StepRecord,
        mut summed: BTreeMap<Stage, Summed>,
    ) -> Result<(u32, BTreeMap<Hop, Sums>), ReplayError> {
        let mut squares = BTreeMap::new();
        let step = record.step;
        for (&stage, of_stage) in &mut summed {
            let work = Work::Squares {
                step,
                sum: of_stage.whole.clone(),
                visits: of_stage.visits.clone(),
            };
            let found = match self.perform(stage, work)?.1 {
                Outcome::Squares(found) => found,
                other => return Err(unexpected(&other)),
            };
            let root = record.reduce_tree(stage).root();
            let root = root.and_then(|peer| of_stage.sums.get_mut(&Hop { stage, peer }));
            if let Some(root) = root {
                root.squares.clone_from(&found);
            }
            squares.insert(stage, found);
        }
        let norm = match self.perform(Stage::FIRST, Work::Norm(squares))?.1 {
            Outcome::Norm(norm, _) => norm,
            other => return Err(unexpected(&other)),
        };
        let mut sums: BTreeMap<Hop, Sums> = BTreeMap::new();
        for (stage, of_stage) in summed {
            let Summed {
                whole,
                visits,
                sums: of_holders,
            } = of_stage;
            sums.extend(of_holders);
            let work = Work::Update {
                step,
                sum: whole,
                visits,
                norm,
            };
            self.states[stage.index()] = match self.perform(stage, work)?.1 {
                Outcome::State(state) => state,
                other => return Err(unexpected(&other)),
            };
        }
        // Who holds a stage that did not move has summed nothing, and heard of the norm.
        for hop in record.roster.hops() {
            sums.entry(hop).or_default().norm = norm;
        }
        Ok((norm, sums))
    }

    fn copy_states(&mut self) -> Result<(), ReplayError> {
        if self.keep_every == 0 || !self.next_step.is_multiple_of(self.keep_every) {
            return Ok(());
        }
        for stage in (0..).map(Stage).take(self.stages.len()) {
            let state = self.content(stage, Work::Export)?;
            self.copies.insert((stage, self.next_step), state);
        }
        Ok(())
    }

    fn content(&mut self, stage: Stage, work: Work) -> Result<Content, ReplayError> {
        match self.perform(stage, work)?.1 {
            Outcome::Content(content) => Ok(content),
            other => Err(unexpected(&other)),
        }
    }

    fn perform(&mut self, stage: Stage, work: Work) -> Result<(Task, Outcome), ReplayError> {
        let task = Task(self.next_task);
        self.next_task += 1;
        let engine = self.stages.get_mut(stage.index());
        let engine = engine.ok_or_else(|| ReplayError::Engine(format!("no {stage}")))?;
        let outcome = engine.perform(task, work);
        let outcome = outcome.ok_or_else(|| ReplayError::Engine("nothing".into()))?;
        Ok((task, outcome))
    }
}

fn unexpected(outcome: &Outcome) -> ReplayError {
    ReplayError::Engine(format!("{outcome:?}"))
}
