//! A learning peer: writes answers, critiques and decisions in a round, and trains on what the
//! round exchanged.
//!
//! ```text
//! answers ─▶ critiques ─▶ decisions ─▶ learn(result)
//!    │           │            │          own groups      drawn by Mix ┐
//!    └───────────┴────────────┘          external groups drawn by Mix ┼─▶ optimizer step ─▶ guard
//!         groups kept for learning       critiques, decisions (own)   ┘
//! ```
//! External answers are text: they are encoded with the peer's own vocabulary ([`super::exchange`])
//! and judged by the peer itself (the rewards are those of its own [`RoundResult`]). They are
//! samples of other policies, so each token weighs as much as its probability under the peer's own
//! policy makes up of the writer's, at most 1.
//!
//! Invariants: what a peer writes is a function of its parameters and the round's seeds; what it
//! learns is a function of its state and the result. A peer that missed a stage learns from the
//! rest.

mod config;
mod stage;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use config::PeerConfig;
use reproducible_ops::random::key_from;
use swarm_identity::PeerId;
use swarm_model::Tokenizer;
use swarm_model::generate::{Generation, Prompt, Request};
use swarm_model::tokenizer::TextError;
use swarm_round::{
    Answers, Asked, CritiqueText, Critiques, Decisions, Mark, QuestionTally, RoundResult, Stage,
    StageTask,
};
use swarm_task::prompt::{self, Composer, PromptError};
use swarm_task::{Question, TaskError};

use self::stage::{Draft, Listed, ballots, decision, endorsed, grouped};
use super::advantage::{advantages, is_informative, mean};
use super::exchange;
use super::group::{Group, Rollout};
use super::guard::{Guard, Verdict};
use super::inputs::{Example, Sample};
use super::judge::TaskJudge;
use super::policy::{Policy, PolicyError};
use super::programs::TrainError;
use super::sapo::ExternalGroup;
use super::schedule::Schedule;
use super::trainer::{StepReport, TrainState, Trainer};

/// Why a peer cannot write or learn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// A question cannot be generated.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// A prompt does not fit its limit.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// A text cannot be read by the model.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The model fails.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Training fails.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The guard would return to a state that was not kept, or the reverse.
    #[error(
        "the state to resume has a guard without the state to return to, or the reverse; it was \
         changed by hand: resume from an older one"
    )]
    NoBest,
}

/// What a peer learned in a round.
#[derive(Clone, Debug, PartialEq)]
pub struct LearnReport {
    /// The round.
    pub round: u64,
    /// Mean reward of its own answers; none if it gave none.
    pub reward: Option<f32>,
    /// Completions that it generated, in all stages.
    pub generated: usize,
    /// Groups trained on, of its own answers, external answers, critiques and decisions.
    pub groups: [usize; 4],
    /// Completions of other peers, or published ones of its own, that are empty or that its
    /// vocabulary cannot read.
    pub unreadable: usize,
    /// The optimizer step; none if no group told completions apart.
    pub step: Option<StepReport>,
    /// What the guard made of it.
    pub verdict: Verdict,
}

/// What a peer has become by learning: all that its next step depends on, beside the round.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerState {
    /// Parameters, moments and the optimizer's step.
    pub state: TrainState,
    /// The state to which the guard would return.
    pub best: Option<TrainState>,
    /// The guard.
    pub guard: Guard,
}

/// Everything a peer is made of.
pub struct PeerParts {
    /// Its identity in rounds.
    pub id: PeerId,
    /// The model that writes.
    pub policy: Box<dyn Policy>,
    /// The training run of the same model, with a GRPO objective.
    pub trainer: Trainer,
    /// Text and tokens.
    pub tokenizer: Arc<Tokenizer>,
    /// Questions and judgement.
    pub judge: Arc<TaskJudge>,
    /// Prompts of the stages.
    pub composer: Arc<Composer<'static>>,
    /// How it learns.
    pub config: PeerConfig,
}

/// A learning peer.
pub struct Peer {
    parts: PeerParts,
    guard: Guard,
    best: Option<TrainState>,
    round: u64,
    /// Completions generated in the round.
    generated: usize,
    drafts: BTreeMap<(Stage, u16), Draft>,
}

impl Peer {
    /// A peer at the state of its trainer; the policy takes over the trainer's parameters.
    ///
    /// # Errors
    /// The policy does not take the parameters.
    pub fn new(mut parts: PeerParts) -> Result<Self, PeerError> {
        parts.policy.load(parts.trainer.param_buffers()?)?;
        let guard = Guard::new(parts.config.guard);
        Ok(Self {
            parts,
            guard,
            best: None,
            round: 0,
            generated: 0,
            drafts: BTreeMap::new(),
        })
    }

    /// Its identity.
    pub fn id(&self) -> PeerId {
        self.parts.id
    }

    /// What it has become.
    ///
    /// # Errors
    /// Only where the engine lost an input.
    pub fn state(&self) -> Result<PeerState, PeerError> {
        Ok(PeerState {
            state: self.parts.trainer.state()?,
            best: self.best.clone(),
            guard: self.guard.clone(),
        })
    }

    /// Returns to what a peer of the same model had become. Drafts of the present round are lost,
    /// as in a restart: the peer reads its own answers of it like those of others.
    ///
    /// # Errors
    /// A state of another model, or one that does not fit its guard.
    pub fn restore(&mut self, from: PeerState) -> Result<(), PeerError> {
        if from.guard.has_best() != from.best.is_some() {
            return Err(PeerError::NoBest);
        }
        self.parts.trainer.restore(&from.state)?;
        self.parts
            .policy
            .load(self.parts.trainer.param_buffers()?)?;
        (self.best, self.guard) = (from.best, from.guard);
        self.drafts.clear();
        Ok(())
    }

    /// Its training run.
    pub fn trainer(&self) -> &Trainer {
        &self.parts.trainer
    }

    /// Its model, for evaluation.
    pub fn policy(&mut self) -> &mut dyn Policy {
        self.parts.policy.as_mut()
    }

    /// Text and tokens.
    pub fn tokenizer(&self) -> Arc<Tokenizer> {
        self.parts.tokenizer.clone()
    }

    /// Answers the questions of a share task.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub fn answers(&mut self, task: &StageTask) -> Result<Answers, PeerError> {
        self.begin(task);
        let prompts = self.prompts(task, |peer, _, question| {
            Ok((peer.parts.composer.share(&question.prompt)?, None))
        })?;
        self.write(task, prompts, u32::from(task.group))?;
        task.asked
            .iter()
            .map(|asked| Ok((asked.slot, self.published(asked.slot)?)))
            .collect()
    }

    fn published(&self, slot: u16) -> Result<Vec<swarm_round::SharedCompletion>, TextError> {
        let written = &self.draft(Stage::Share, slot).written;
        written
            .iter()
            .map(|one| exchange::publish(one, &self.parts.tokenizer))
            .collect()
    }

    /// Reads the revealed answers of a critique task and endorses one or none.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub fn critiques(&mut self, task: &StageTask) -> Result<Critiques, PeerError> {
        self.begin(task);
        let prompts = self.prompts(task, |peer, asked, question| {
            let answers: Vec<String> = grouped(question, asked)
                .into_iter()
                .map(|group| group.text)
                .collect();
            let prompt = peer.parts.composer.critique(&question.prompt, &answers)?;
            Ok((prompt.clone(), Some((answers, prompt))))
        })?;
        self.write(task, prompts, self.parts.config.stage_samples.max(1))?;
        task.asked
            .iter()
            .map(|asked| Ok((asked.slot, self.published_critique(asked)?)))
            .collect()
    }

    fn published_critique(&self, asked: &Asked) -> Result<CritiqueText, PeerError> {
        let question = self.parts.judge.question(&asked.question)?;
        let text = self.first_text(Stage::Critique, asked.slot)?;
        let draft = self.draft(Stage::Critique, asked.slot);
        let endorsed = endorsed(&question, draft, &text);
        Ok(CritiqueText {
            endorsed,
            reason: String::new(),
        })
    }

    /// Reads answers and critiques of a decide task and decides.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub fn decisions(&mut self, task: &StageTask) -> Result<Decisions, PeerError> {
        self.begin(task);
        let prompts = self.prompts(task, |peer, asked, question| {
            let prompt = peer
                .parts
                .composer
                .decide(&question.prompt, &ballots(question, asked))?;
            Ok((prompt, None))
        })?;
        self.write(task, prompts, self.parts.config.stage_samples.max(1))?;
        task.asked
            .iter()
            .map(|asked| {
                let text = self.first_text(Stage::Decide, asked.slot)?;
                Ok((asked.slot, decision(&text)))
            })
            .collect()
    }

    /// Drafts of earlier rounds are of no use any more.
    fn begin(&mut self, task: &StageTask) {
        if task.round != self.round {
            self.drafts.clear();
            (self.round, self.generated) = (task.round, 0);
        }
    }

    fn prompts(
        &self,
        task: &StageTask,
        compose: impl Fn(&Self, &Asked, &Question) -> Result<(prompt::Prompt, Listed), PeerError>,
    ) -> Result<Vec<Draft>, PeerError> {
        let mut drafts = Vec::with_capacity(task.asked.len());
        for asked in &task.asked {
            let question = self.parts.judge.question(&asked.question)?;
            let (prompt, listed) = compose(self, asked, &question)?;
            drafts.push(Draft {
                prompt: self.parts.tokenizer.encode_prompt(&prompt.text)?,
                written: Vec::new(),
                listed,
            });
        }
        Ok(drafts)
    }

    /// Completes the drafts of a task, within the bytes that a text may have. The key is the seed
    /// of the task's first question, and the slot tells questions apart, so whoever knows the round
    /// can recompute every completion.
    fn write(
        &mut self,
        task: &StageTask,
        drafts: Vec<Draft>,
        samples: u32,
    ) -> Result<(), PeerError> {
        let Some(seed) = task.asked.first().map(|asked| asked.seed) else {
            return Ok(());
        };
        let prompts: Vec<Prompt> = task
            .asked
            .iter()
            .zip(&drafts)
            .map(|(asked, draft)| Prompt {
                tokens: draft.prompt.clone(),
                index: asked.slot.into(),
            })
            .collect();
        let written = self.parts.policy.write(&Request {
            prompts: &prompts,
            samples,
            max_new: self.parts.config.max_new,
            key: [(seed >> 32) as u32, seed as u32],
            temperature: 1.0,
        })?;
        for ((asked, mut draft), written) in task.asked.iter().zip(drafts).zip(written) {
            self.generated += written.len();
            for one in written {
                let (bytes, tokens) = (task.text_bytes, task.tokens);
                let fitting = exchange::shorten(one, &self.parts.tokenizer, bytes, tokens)?;
                draft.written.push(fitting);
            }
            self.drafts.insert((task.stage, asked.slot), draft);
        }
        Ok(())
    }

    /// What was written for a question that is asked in the stage.
    #[expect(
        clippy::expect_used,
        reason = "`write` leaves a draft for every question of a task"
    )]
    fn draft(&self, stage: Stage, slot: u16) -> &Draft {
        self.drafts
            .get(&(stage, slot))
            .expect("invariant: every question asked has its draft")
    }

    /// The completion that is published of a critique or decision, which has one sample at least.
    fn first_text(&self, stage: Stage, slot: u16) -> Result<String, TextError> {
        let first = &self.draft(stage, slot).written[0];
        self.parts.tokenizer.decode(&first.tokens)
    }

    /// Trains on a round: at most one optimizer step.
    ///
    /// # Errors
    /// See [`PeerError`]. The state is unchanged then.
    pub fn learn(&mut self, result: &RoundResult) -> Result<LearnReport, PeerError> {
        let round = result.transcript.plan.round;
        if round != self.round {
            self.drafts.clear();
            (self.round, self.generated) = (round, 0);
        }
        let (own, external, unreadable) = self.answer_groups(result)?;
        let stages = [
            self.stage_groups(result, Stage::Critique)?,
            self.stage_groups(result, Stage::Decide)?,
        ];
        let mean_rewards: Vec<f32> = own.iter().map(Group::mean_reward).collect();
        let reward = (!mean_rewards.is_empty()).then(|| mean(&mean_rewards));
        let (groups, step) = self.train(result, &own, &external, &stages)?;
        let verdict = self.guard(&mean_rewards)?;
        self.drafts.clear();
        let generated = std::mem::take(&mut self.generated);
        Ok(LearnReport {
            round,
            reward,
            generated,
            groups,
            unreadable,
            step,
            verdict,
        })
    }

    /// Groups of answers: own, external, and the number of completions that could not be read.
    fn answer_groups(
        &self,
        result: &RoundResult,
    ) -> Result<(Vec<Group>, Vec<ExternalGroup>, usize), PeerError> {
        let me = result.transcript.plan.members.find(&self.parts.id);
        let (mut own, mut external, mut unreadable) = (Vec::new(), Vec::new(), 0);
        for board in &result.tallies {
            let question = self.parts.judge.question(&board.question)?;
            let prompt = self
                .parts
                .tokenizer
                .encode_prompt(&self.parts.composer.share(&question.prompt)?.text)?;
            for (member, marks) in &board.groups {
                let Some(share) = result.transcript.shares.get(&(board.slot, *member)) else {
                    continue;
                };
                let rewards = marks.iter().map(|mark| board.worth(mark) as f32 / 1000.0);
                // A peer's own tokens are those it sampled, where it still has them.
                if let Some(draft) = self
                    .drafts
                    .get(&(Stage::Share, board.slot))
                    .filter(|_| Some(*member) == me)
                {
                    own.push(group_of(
                        Stage::Share,
                        &draft.prompt,
                        &draft.written,
                        rewards,
                    ));
                    continue;
                }
                let group = self.read_group(&prompt, &share.completions, rewards);
                unreadable += share.completions.len() - group.rollouts.len();
                if Some(*member) == me {
                    own.push(group);
                } else {
                    external.push(ExternalGroup {
                        writer: *member,
                        group,
                    });
                }
            }
        }
        Ok((own, external, unreadable))
    }

    /// The completions of a published group that can be read.
    fn read_group(
        &self,
        prompt: &[u32],
        completions: &[swarm_round::SharedCompletion],
        rewards: impl Iterator<Item = f32>,
    ) -> Group {
        let PeerParts {
            tokenizer, config, ..
        } = &self.parts;
        let read = completions
            .iter()
            .zip(rewards)
            .map(|(one, reward)| exchange::read(one, reward, tokenizer, config.max_new));
        Group {
            stage: Stage::Share,
            prompt: prompt.to_vec(),
            // What cannot be read is left out, and counted by the caller.
            rollouts: read.flatten().flatten().collect(),
        }
    }

    /// The peer's own critiques or decisions that tell completions apart.
    fn stage_groups(&self, result: &RoundResult, stage: Stage) -> Result<Vec<Group>, PeerError> {
        let mut groups = Vec::new();
        for board in &result.tallies {
            let Some(draft) = self.drafts.get(&(stage, board.slot)) else {
                continue;
            };
            let question = self.parts.judge.question(&board.question)?;
            let mut rewards = Vec::with_capacity(draft.written.len());
            for written in &draft.written {
                let text = self.parts.tokenizer.decode(&written.tokens)?;
                rewards.push(match stage {
                    Stage::Critique => self.critique_reward(board, &question, draft, &text),
                    _ => self.decision_reward(board, &text),
                });
            }
            groups.push(group_of(
                stage,
                &draft.prompt,
                &draft.written,
                rewards.into_iter(),
            ));
        }
        groups.retain(|group| is_informative(&group.rewards()));
        Ok(groups)
    }

    fn critique_reward(
        &self,
        board: &QuestionTally,
        question: &Question,
        draft: &Draft,
        text: &str,
    ) -> f32 {
        let endorsed = endorsed(question, draft, text);
        let mark =
            endorsed.map(|text| Mark::new(self.parts.judge.as_ref(), &board.question, &text));
        f32::from(u8::from(board.critique_is_right(mark.as_ref())))
    }

    fn decision_reward(&self, board: &QuestionTally, text: &str) -> f32 {
        let decision = decision(text);
        let mark = |text: &str| Mark::new(self.parts.judge.as_ref(), &board.question, text);
        let right = board.worth(&mark(&decision.answer)) as f32 / 1000.0;
        let foreseen = board.is_winner(&mark(&decision.foreseen));
        right
            + if foreseen {
                self.parts.config.foreseen_reward
            } else {
                0.0
            }
    }

    /// One optimizer step on the drawn groups; returns their numbers.
    fn train(
        &mut self,
        result: &RoundResult,
        own: &[Group],
        external: &[ExternalGroup],
        stages: &[Vec<Group>; 2],
    ) -> Result<([usize; 4], Option<StepReport>), PeerError> {
        let plan = &result.transcript.plan;
        let drawn = self.parts.config.mix.draw(
            own,
            external,
            key_from("sapo", &plan.swarm, &plan.beacon),
            member_word(&self.parts.id),
        );
        let [critiques, decisions] = stages;
        let own = drawn.own.iter().map(|&at| &own[at]);
        let external = drawn.external.iter().map(|&at| &external[at].group);
        let batch: Vec<Example> = own
            .chain(external)
            .chain(critiques)
            .chain(decisions)
            .map(example)
            .collect();
        let counts = [
            drawn.own.len(),
            drawn.external.len(),
            critiques.len(),
            decisions.len(),
        ];
        Ok((counts, self.step(&batch)?))
    }

    fn step(&mut self, batch: &[Example]) -> Result<Option<StepReport>, PeerError> {
        if batch.is_empty() {
            return Ok(None);
        }
        let PeerParts {
            trainer,
            policy,
            config,
            ..
        } = &mut self.parts;
        let rate =
            Schedule::constant(config.learning_rate, config.warmup).rate(trainer.step_count());
        let report = trainer.step(batch, rate)?;
        policy.load(trainer.param_buffers()?)?;
        Ok(Some(report))
    }

    fn guard(&mut self, rewards: &[f32]) -> Result<Verdict, PeerError> {
        let verdict = self.guard.observe(rewards);
        match (&verdict, &self.best) {
            (Verdict::Best, _) => self.best = Some(self.parts.trainer.state()?),
            (Verdict::RollBack { .. }, Some(best)) => {
                self.parts.trainer.restore(best)?;
                let params = self.parts.trainer.param_buffers()?;
                self.parts.policy.load(params)?;
            }
            _ => {}
        }
        Ok(verdict)
    }
}

/// A training example: every completion of the group with its advantage.
pub fn example(group: &Group) -> Example {
    let rollouts = group.rollouts.iter().zip(advantages(&group.rewards()));
    Example {
        prompt: group.prompt.clone(),
        samples: rollouts
            .map(|(rollout, advantage)| Sample {
                tokens: rollout.tokens.clone(),
                weight: 1.0,
                advantage,
                behaviour_logp: rollout.behaviour_logp.clone(),
                ..Sample::default()
            })
            .collect(),
    }
}

fn group_of(
    stage: Stage,
    prompt: &[u32],
    written: &[Generation],
    rewards: impl Iterator<Item = f32>,
) -> Group {
    Group {
        stage,
        prompt: prompt.to_vec(),
        rollouts: written
            .iter()
            .zip(rewards)
            .map(|(written, reward)| Rollout {
                tokens: written.tokens.clone(),
                reward,
                behaviour_logp: Some(written.logp.clone()),
            })
            .collect(),
    }
}

/// A word that tells peers apart in the draw of groups.
fn member_word(id: &PeerId) -> u32 {
    id.0.iter()
        .rev()
        .take(4)
        .fold(0, |word, &byte| word << 8 | u32::from(byte))
}
