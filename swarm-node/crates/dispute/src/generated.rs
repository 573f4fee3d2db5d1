//! Disputes about what a model generates, on a dev chain: a token that was not drawn, a state of the
//! generator that does not follow, and an honest worker who is doubted.

use std::sync::Arc;

use contracts::jobs::{self, JobState};
use reproducible_ops::engine::Engine;
use reproducible_ops::engine::cpu::CpuEngine;
use reproducible_ops::program::Digest;
use reproducible_ops::random::key_from;
use reproducible_ops::tensor::Tensor;
use swarm_learn::generation_plan::{ANSWERS, GenerationPlan, KEY};
use swarm_learn::job_plan::STEP;
use swarm_model::ModelConfig;
use swarm_model::generate::{Prompt, Request};
use swarm_model::init::initialise;
use verde::execute::Executor;
use verde::fault::Fault;
use verde::game::Side;
use verde::history::{History, Length};
use verde::job::Job;
use verde::record::{Checkpoints, Record, RecordError, Replay, RunRecord, StepRecord};

use crate::docket::End;
use crate::testing::*;

/// Steps of the job, with a checkpoint after each.
const STEPS: u64 = 3;
/// The step about which somebody is wrong.
const WRONG: u64 = 1;

/// Six prompts of several lengths, two in a step, answered by a tiny model.
fn planned() -> GenerationPlan {
    let config = ModelConfig {
        hidden_size: 16,
        num_layers: 1,
        num_heads: 2,
        num_kv_heads: 1,
        head_dim: 8,
        intermediate_size: 32,
        ..ModelConfig::preset("nano").unwrap()
    };
    let prompt = |index: u32| Prompt {
        tokens: (0..=index).map(|at| (7 * index + at) % 64).collect(),
        index,
    };
    let prompts: Vec<Prompt> = (0..2 * STEPS as u32).map(prompt).collect();
    let request = Request {
        prompts: &prompts,
        samples: 1,
        max_new: 3,
        key: key_from("generated", &[1; 32], &[0; 32]),
        temperature: 1.0,
    };
    let weights = initialise(&config, 1).unwrap();
    GenerationPlan::new(&config, &weights, &request, &[1], 2).unwrap()
}

struct States(Vec<Vec<Tensor>>);

impl Checkpoints for States {
    fn state(&mut self, checkpoint: u64) -> Result<Vec<Tensor>, RecordError> {
        Ok(self.0[checkpoint as usize].clone())
    }
}

/// What somebody computed of the job.
struct Computed<'a> {
    replay: Replay<'a, States>,
    /// Roots of the tensors of the state that it names after [`WRONG`].
    named: Option<Vec<Digest>>,
}

impl Record for Computed<'_> {
    fn history(&self) -> &History {
        self.replay.history()
    }

    fn interval(&mut self, checkpoint: u64) -> Result<Vec<Digest>, RecordError> {
        let states = self.replay.history().states();
        Ok(states[checkpoint as usize - 1..=checkpoint as usize].to_vec())
    }

    fn step(&mut self, step: u64) -> Result<Arc<StepRecord>, RecordError> {
        let computed = self.replay.step(step)?;
        match &self.named {
            Some(named) if step == WRONG => Ok(Arc::new(StepRecord::new(
                computed.before.clone(),
                named.clone(),
                computed.runs.clone(),
            ))),
            _ => Ok(computed),
        }
    }

    fn run(&mut self, step: u64, run: usize) -> Result<Arc<RunRecord>, RecordError> {
        self.replay.run(step, run)
    }
}

/// The job as the contracts know it, and what computes it.
struct Scene {
    planned: GenerationPlan,
    job: Job,
    engine: CpuEngine,
}

impl Scene {
    fn new() -> Self {
        let planned = planned();
        let job = Job::new(planned.plan.clone(), planned.programs.clone()).unwrap();
        let engine = CpuEngine::new(1);
        Self {
            planned,
            job,
            engine,
        }
    }

    /// Computes the job on a machine with a fault, or by somebody who changes a bit of this tensor
    /// of the state after [`WRONG`] and goes on from that.
    fn computed(&self, fault: Option<Fault>, changed: Option<&str>) -> Computed<'_> {
        let planned = &self.planned;
        let engine: &dyn Engine = &self.engine;
        let schedule = planned.schedule().unwrap();
        let executor = Executor::new(engine, schedule, &planned.constants, &planned.state);
        let mut executor = executor.unwrap();
        if let Some(fault) = fault {
            executor.break_with(fault);
        }
        let (mut states, mut named) = (vec![planned.state.clone()], None);
        for step in 0..STEPS {
            executor.step(&[]).unwrap();
            let mut state = executor.state().unwrap();
            if let Some(name) = changed.filter(|_| step == WRONG) {
                let place = planned.place_in_state(name).unwrap();
                state[place].words_mut()[0] ^= 1;
                executor.restore(&state).unwrap();
                named = Some(state.iter().map(verde::tensor::root).collect());
            }
            states.push(state);
        }
        let roots = states.iter().map(|state| schedule.state_root(state));
        let roots = roots.collect::<Result<_, _>>().unwrap();
        let length = Length::new(STEPS, 1).unwrap();
        let history = History::new(self.job.digest(), length, roots).unwrap();
        Computed {
            replay: Replay::new(&self.job, history, States(states), executor),
            named,
        }
    }

    fn knows<'a>(&'a self, claimed: &History, record: &'a mut Computed<'_>) -> Knows<'a> {
        Knows {
            job: &self.job,
            claim: *claimed.claim(),
            record,
            public: None,
            signed: Vec::new(),
        }
    }

    /// A token of the answer to the first prompt of [`WRONG`] that was not drawn.
    fn wrong_token(&self) -> Fault {
        self.planned.token_fault(WRONG, 0, 1).unwrap()
    }

    /// A dispute about a claim to its end, won by who computed the job rightly.
    async fn refuted(&self, mut liar: Computed<'_>) {
        let mut world = World::new().await;
        let mut honest = self.computed(None, None);
        let history = liar.history().clone();
        let id = world.claimed(&self.job, &history, 1).await;
        let mut challenger = self.knows(&history, &mut honest);
        let opened = world.open_with(CHALLENGER, id, &mut challenger).await;
        let worker = self.knows(&history, &mut liar);
        let sides = &mut [(CHALLENGER, challenger), (WORKER, worker)];
        let played = world.play(sides).await;
        let gas = [vec![opened.unwrap().gas_used], played].concat();
        println!("{} transactions: {gas:?}", gas.len());
        let shown = End::Lost {
            side: Side::Worker,
            by_clock: false,
        };
        assert_eq!(world.ends().await, [Some(shown)]);
        assert_eq!(world.state(id).await, JobState::Refuted);
        let won = WORKER_BOND / 2 + CHALLENGER_BOND;
        let back = WORKER_BOND / 5 + REWARD;
        assert_eq!(world.owed().await, [back, 0, won, 0, WORKER_BOND * 3 / 10]);
    }
}

#[tokio::test]
async fn a_token_that_was_not_drawn_is_refuted() {
    let scene = Scene::new();
    let liar = scene.computed(Some(scene.wrong_token()), None);
    scene.refuted(liar).await;
}

#[tokio::test]
async fn a_state_of_the_generator_that_does_not_follow_is_refuted() {
    let scene = Scene::new();
    for name in [KEY, ANSWERS, STEP] {
        scene.refuted(scene.computed(None, Some(name))).await;
    }
}

/// A challenger whose machine draws a token wrong doubts a worker that is right: it can show
/// nothing, and its bond is the worker's.
#[tokio::test]
async fn an_honest_worker_keeps_its_bond() {
    let scene = Scene::new();
    let mut world = World::new().await;
    let mut honest = scene.computed(None, None);
    let mut wrong = scene.computed(Some(scene.wrong_token()), None);
    let history = honest.history().clone();
    let id = world.claimed(&scene.job, &history, 1).await;
    let mut challenger = scene.knows(&history, &mut wrong);
    world
        .open_with(CHALLENGER, id, &mut challenger)
        .await
        .unwrap();
    let worker = scene.knows(&history, &mut honest);
    let sides = &mut [(CHALLENGER, challenger), (WORKER, worker)];
    world.play(sides).await;
    world.pass(12 * HOUR + 1);
    world.play(sides).await;
    let silent = End::Lost {
        side: Side::Challenger,
        by_clock: true,
    };
    assert_eq!(world.ends().await, [Some(silent)]);
    world.pass(20 * HOUR);
    let escrow = world.contracts.escrow;
    let finalize = jobs::finalize(id);
    world.accounts[PAYER].send(escrow, finalize).await.unwrap();
    let paid = REWARD + WORKER_BOND + CHALLENGER_BOND;
    assert_eq!(world.owed().await, [0, paid, 0, 0, 0]);
}
