//! Owns the state of a training run and steps it, batch by batch.
//!
//! ```text
//! batch ─▶ rows ─▶ microbatch 0 ─▶ … ─▶ microbatch n ─▶ update ─▶ parameters, moments, step + 1
//!                      └── gradients add up in this order ──┘
//! ```
//! Invariants: the order of addition is that of rows, which is a function of the batch alone; each
//! step divides by the number of trained tokens of the whole batch, so the size of a microbatch is
//! not a hyper-parameter. Two loaded programs serve every batch. Memory is that of one microbatch,
//! however large the batch. Gradients and parameters stay in the engine's memory: each program is
//! bound to the buffers that the other made.

use std::collections::BTreeMap;
use std::sync::Arc;

use reproducible_ops::engine::{Buffer, Engine, EngineError, Session};
use reproducible_ops::optim::{GRAD_NORM, LEARNING_RATE, initial_state};
use reproducible_ops::program::{Program, Role, Shape};
use reproducible_ops::scalar;
use reproducible_ops::tensor::Tensor;
use reproducible_ops::weights::{Buffers, Weights};

use super::assemble::{self, GRADIENT};
use super::batch::{Sequence, pack};
use super::data_set::DataSet;
use super::inputs::{Example, Inputs};
use super::programs::{Programs, TrainError};

/// What a step did.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// Number of the step, from 0.
    pub step: u64,
    /// Token-mean loss before the step.
    pub loss: f32,
    /// Norm of the whole gradient before clipping.
    pub grad_norm: f32,
    /// Learning rate used.
    pub learning_rate: f32,
    /// Trained tokens.
    pub tokens: usize,
    /// Microbatches run.
    pub microbatches: usize,
    /// Share of computed positions that held a token.
    pub utilisation: f32,
    /// Token means of the loss's further scalar outputs, by name.
    pub metrics: BTreeMap<String, f32>,
}

/// What a step trains on.
struct TakenStep {
    tokens: usize,
    microbatches: usize,
    utilisation: f32,
}

/// Parameters and everything else a run needs to continue exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainState {
    /// Steps taken.
    pub step: u64,
    /// Parameters by name.
    pub params: Weights,
    /// Optimizer state by name.
    pub optimizer: Weights,
}

/// A training run.
pub struct Trainer {
    programs: Arc<Programs>,
    accumulation: Box<dyn Session>,
    update: Box<dyn Session>,
    params: Vec<String>,
    /// Gradients of 0, by the name of the accumulated gradient.
    zeros: Vec<(String, Buffer)>,
    metrics: Vec<String>,
    step: u64,
}

impl Trainer {
    /// A run at step 0. `weights` holds the parameters and the constants of the forward program.
    ///
    /// # Errors
    /// A tensor is missing or has another shape; the engine refuses a program.
    pub fn new(
        engine: &dyn Engine,
        programs: Arc<Programs>,
        weights: &Weights,
    ) -> Result<Self, TrainError> {
        let state = TrainState::initial(&programs.update, weights)?;
        let mut accumulation = engine.load(&programs.accumulation)?;
        write_role(accumulation.as_mut(), Role::Constant, weights)?;
        let mut trainer = Self {
            update: engine.load(&programs.update)?,
            zeros: zero_gradients(engine, &programs.accumulation)?,
            params: names(&programs.accumulation, Role::Param),
            metrics: scalar_outputs(&programs.accumulation),
            accumulation,
            programs,
            step: 0,
        };
        trainer.restore(&state)?;
        Ok(trainer)
    }

    /// Steps taken.
    pub fn step_count(&self) -> u64 {
        self.step
    }

    /// The programs that are run.
    pub fn programs(&self) -> &Arc<Programs> {
        &self.programs
    }

    /// Trains on a batch: one optimizer step.
    ///
    /// # Errors
    /// An empty batch, a completion too long for a row, or a loss or gradient that is not finite
    /// (the state is then unchanged).
    pub fn step(
        &mut self,
        batch: &[Example],
        learning_rate: f32,
    ) -> Result<StepReport, TrainError> {
        let sequences: Vec<Sequence<'_>> = batch.iter().map(Example::sequence).collect();
        let mut packing = pack(&sequences, self.programs.length)?;
        packing.pad_rows(self.programs.rows);
        let tokens = packing.token_count();
        if tokens == 0 {
            return Err(TrainError::EmptyBatch);
        }
        let inputs = Inputs::new(&packing, batch, &self.programs)?;
        let taken = TakenStep {
            tokens,
            microbatches: packing.rows / self.programs.rows,
            utilisation: packing.utilisation(),
        };
        self.step_on(&inputs, taken, learning_rate)
    }

    /// Trains on rows of a data set that was packed before, whole microbatches of them, in this
    /// order: one optimizer step.
    ///
    /// # Errors
    /// As [`Trainer::step`], and rows of another number or length.
    pub fn step_on_rows(
        &mut self,
        data: &DataSet,
        rows: &[usize],
        learning_rate: f32,
    ) -> Result<StepReport, TrainError> {
        let (inputs, tokens) = data.inputs(rows, &self.programs)?;
        if tokens == 0 {
            return Err(TrainError::EmptyBatch);
        }
        let taken = TakenStep {
            tokens,
            microbatches: rows.len() / self.programs.rows,
            utilisation: data.utilisation(rows),
        };
        self.step_on(&inputs, taken, learning_rate)
    }

    fn step_on(
        &mut self,
        inputs: &Inputs,
        taken: TakenStep,
        learning_rate: f32,
    ) -> Result<StepReport, TrainError> {
        self.clear_gradients()?;
        let metrics = self.accumulate(inputs, taken.microbatches)?;
        let grad_norm = self.apply(learning_rate)?;
        Ok(self.report(metrics, grad_norm, learning_rate, taken))
    }

    fn clear_gradients(&mut self) -> Result<(), TrainError> {
        for (gradient, zero) in &self.zeros {
            self.accumulation.bind(gradient, zero)?;
        }
        Ok(())
    }

    /// Runs the microbatches; returns the sums of the scalar outputs.
    fn accumulate(
        &mut self,
        inputs: &Inputs,
        microbatches: usize,
    ) -> Result<BTreeMap<String, f32>, TrainError> {
        let mut sums: BTreeMap<String, f32> = BTreeMap::new();
        for microbatch in 0..microbatches {
            inputs.write(self.accumulation.as_mut(), microbatch)?;
            self.accumulation.run()?;
            for name in &self.metrics {
                let value = read_scalar(self.accumulation.as_ref(), name)?;
                let sum = sums.entry(name.clone()).or_insert(0.0);
                *sum = scalar::add(*sum, value);
            }
            self.accumulation.advance();
        }
        self.require_finite("the loss", sums["loss"])?;
        Ok(sums)
    }

    /// Clips and steps; returns the norm of the gradient.
    fn apply(&mut self, learning_rate: f32) -> Result<f32, TrainError> {
        for name in &self.params {
            let gradient = format!("{GRADIENT}{name}");
            self.update
                .bind(&gradient, &self.accumulation.input(&gradient)?)?;
        }
        self.update
            .write_words(LEARNING_RATE, &[learning_rate.to_bits()])?;
        self.update.run()?;
        let grad_norm = read_scalar(self.update.as_ref(), GRAD_NORM)?;
        self.require_finite("the gradient's norm", grad_norm)?;
        self.update.advance();
        self.step += 1;
        self.publish()?;
        Ok(grad_norm)
    }

    /// Hands the updated parameters to the session that computes gradients.
    fn publish(&mut self) -> Result<(), TrainError> {
        for name in &self.params {
            self.accumulation.bind(name, &self.update.input(name)?)?;
        }
        Ok(())
    }

    fn require_finite(&self, what: &'static str, value: f32) -> Result<(), TrainError> {
        if value.is_finite() {
            return Ok(());
        }
        Err(TrainError::NotFinite {
            step: self.step,
            what,
            value,
        })
    }

    fn report(
        &self,
        mut metrics: BTreeMap<String, f32>,
        grad_norm: f32,
        learning_rate: f32,
        taken: TakenStep,
    ) -> StepReport {
        #[expect(clippy::expect_used, reason = "every objective's program has a loss")]
        let loss = metrics
            .remove("loss")
            .expect("invariant: a step has a loss");
        StepReport {
            step: self.step - 1,
            loss,
            grad_norm,
            learning_rate,
            tokens: taken.tokens,
            microbatches: taken.microbatches,
            utilisation: taken.utilisation,
            metrics,
        }
    }

    /// The parameters in the engine's memory.
    ///
    /// # Errors
    /// Only where the engine lost an input.
    pub fn param_buffers(&self) -> Result<Buffers, TrainError> {
        let names = self.params.iter();
        names
            .map(|name| Ok((name.clone(), self.update.input(name)?)))
            .collect()
    }

    /// A copy of the parameters.
    ///
    /// # Errors
    /// Only where the engine lost an input.
    pub fn params(&self) -> Result<Weights, TrainError> {
        self.read_role(Role::Param)
    }

    /// A copy of the whole state.
    ///
    /// # Errors
    /// Only where the engine lost an input.
    pub fn state(&self) -> Result<TrainState, TrainError> {
        let (params, optimizer) = (self.read_role(Role::Param)?, self.read_role(Role::State)?);
        Ok(TrainState {
            step: self.step,
            params,
            optimizer,
        })
    }

    fn read_role(&self, role: Role) -> Result<Weights, TrainError> {
        let inputs = self.programs.update.inputs_with_role(role);
        inputs
            .map(|(_, input)| Ok((input.name.clone(), self.update.input(&input.name)?.read()?)))
            .collect()
    }

    /// Continues from a state.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn restore(&mut self, state: &TrainState) -> Result<(), TrainError> {
        write_role(self.update.as_mut(), Role::Param, &state.params)?;
        write_role(self.update.as_mut(), Role::State, &state.optimizer)?;
        self.step = state.step;
        self.publish()
    }
}

impl TrainState {
    /// The state before the first step: these weights, zero moments, unit powers.
    ///
    /// # Errors
    /// A parameter of the update program is missing.
    pub fn initial(update: &Program, weights: &Weights) -> Result<Self, TrainError> {
        let param = |name: String| {
            let tensor = weights
                .get(&name)
                .cloned()
                .ok_or_else(|| TrainError::Missing(name.clone()))?;
            Ok((name, tensor))
        };
        let params = names(update, Role::Param)
            .into_iter()
            .map(param)
            .collect::<Result<_, TrainError>>()?;
        Ok(Self {
            step: 0,
            params,
            optimizer: initial_state(update).into_iter().collect(),
        })
    }
}

fn zero_gradients(
    engine: &dyn Engine,
    accumulation: &Program,
) -> Result<Vec<(String, Buffer)>, EngineError> {
    assemble::parameters(accumulation)
        .into_iter()
        .map(|(name, ty)| {
            Ok((
                format!("{GRADIENT}{name}"),
                engine.upload(&Tensor::zeros(ty))?,
            ))
        })
        .collect()
}

/// Names of the inputs of a role, in the program's order.
pub(super) fn names(program: &Program, role: Role) -> Vec<String> {
    program
        .inputs_with_role(role)
        .map(|(_, input)| input.name.clone())
        .collect()
}

/// Scalar f32 outputs: loss and metrics.
fn scalar_outputs(program: &Program) -> Vec<String> {
    let is_scalar = |id| {
        program
            .type_of(id)
            .is_some_and(|ty| ty.shape == Shape::scalar())
    };
    let outputs = program
        .outputs()
        .iter()
        .filter(|output| is_scalar(output.value));
    outputs
        .map(|output| output.name.clone())
        .filter(|name| !name.starts_with(GRADIENT))
        .collect()
}

fn read_scalar(session: &dyn Session, name: &str) -> Result<f32, EngineError> {
    Ok(f32::from_bits(session.read_words(name)?[0]))
}

/// Writes every input of a role from `tensors`.
pub(super) fn write_role(
    session: &mut dyn Session,
    role: Role,
    tensors: &Weights,
) -> Result<(), TrainError> {
    for name in names(session.program(), role) {
        let tensor = tensors
            .get(&name)
            .ok_or_else(|| TrainError::Missing(name.clone()))?;
        session.write(&name, tensor)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::f32::consts::LN_2;

    use super::super::assemble::{Objective, OptimizerConfig};
    use super::super::checkpoint::Checkpoint;
    use super::super::grpo::GrpoConfig;
    use super::super::inputs::Sample;
    use super::super::run_folder::RunFolder;
    use super::super::schedule::Schedule;
    use super::super::testing::{forward, weights};
    use super::*;
    use reproducible_ops::engine::reference::ReferenceEngine;

    fn sample(tokens: &[u32], advantage: f32) -> Sample {
        Sample {
            tokens: tokens.to_vec(),
            weight: 1.0,
            advantage,
            ..Sample::default()
        }
    }

    fn batch() -> Vec<Example> {
        vec![
            Example {
                prompt: vec![5, 6, 7],
                samples: vec![
                    sample(&[8, 9, 1], 1.0),
                    sample(&[8, 1], -1.0),
                    sample(&[3, 1], 0.5),
                ],
            },
            Example {
                prompt: vec![9, 6],
                samples: vec![sample(&[2, 3, 4, 1], -0.5), sample(&[2, 1], 0.7)],
            },
            Example {
                prompt: vec![11],
                samples: vec![sample(&[12, 1], 0.3), sample(&[10, 13, 1], -0.3)],
            },
        ]
    }

    fn trainer(rows: usize, length: usize, objective: Objective) -> Trainer {
        let programs = Programs::new(
            &forward(rows, length),
            objective,
            &OptimizerConfig::default(),
        )
        .unwrap();
        Trainer::new(&ReferenceEngine, Arc::new(programs), &weights(1)).unwrap()
    }

    const ON_POLICY: Objective = Objective::OnPolicy(GrpoConfig {
        clip_low: 0.2,
        clip_high: 0.28,
        divergence: None,
        importance_cap: None,
    });

    fn bits(weights: &Weights) -> Vec<u32> {
        weights
            .iter()
            .flat_map(|(_, tensor)| tensor.words().to_vec())
            .collect()
    }

    fn close(a: &Weights, b: &Weights, tolerance: f32) -> bool {
        let pairs = bits(a)
            .into_iter()
            .zip(bits(b))
            .map(|(a, b)| (f32::from_bits(a), f32::from_bits(b)));
        bits(a).len() == bits(b).len() && pairs.into_iter().all(|(a, b)| (a - b).abs() <= tolerance)
    }

    #[test]
    fn training_lowers_the_loss() {
        let mut trainer = trainer(2, 12, Objective::Supervised);
        let losses: Vec<f32> = (0..20)
            .map(|_| trainer.step(&batch(), 3e-2).unwrap().loss)
            .collect();
        assert!((losses[0] - 64f32.ln()).abs() < 0.5, "{losses:?}");
        assert!(losses[19] < 0.6 * losses[0], "{losses:?}");
    }

    #[test]
    fn a_policy_step_raises_good_completions_and_lowers_bad_ones() {
        let mut trainer = trainer(2, 12, ON_POLICY);
        let score = |params: &Weights| {
            let mut all = weights(1);
            all.extend(params.clone());
            let mut scorer =
                super::super::scorer::Scorer::new(&ReferenceEngine, &forward(2, 12), &all).unwrap();
            let batch = batch();
            let sequences: Vec<Sequence<'_>> = batch.iter().map(Example::sequence).collect();
            scorer
                .score(&sequences)
                .unwrap()
                .iter()
                .map(|logp| logp.iter().sum::<f32>())
                .collect::<Vec<f32>>()
        };
        let before = score(&trainer.params().unwrap());
        let report = trainer.step(&batch(), 1e-2).unwrap();
        assert_eq!(report.metrics["clip_fraction"], 0.0);
        assert!(
            (report.metrics["entropy"] - 64f32.ln()).abs() < 0.2,
            "{report:?}"
        );
        let after = score(&trainer.params().unwrap());
        let signs: Vec<f32> = batch()
            .iter()
            .flat_map(|example| &example.samples)
            .map(|sample| sample.advantage)
            .collect();
        let gain: f32 = before
            .iter()
            .zip(&after)
            .zip(signs)
            .map(|((before, after), sign)| (after - before) * sign)
            .sum();
        assert!(gain > 0.0, "{before:?} {after:?}");
    }

    #[test]
    fn microbatches_add_up_to_the_whole_step() {
        for objective in [Objective::Supervised, ON_POLICY] {
            let (mut small, mut large) = (trainer(1, 12, objective), trainer(3, 12, objective));
            let (first, second) = (
                small.step(&batch(), 1e-3).unwrap(),
                large.step(&batch(), 1e-3).unwrap(),
            );
            assert!(first.microbatches > second.microbatches);
            assert!(
                (first.loss - second.loss).abs() < 1e-5
                    && (first.grad_norm - second.grad_norm).abs() < 1e-5
            );
            assert!(close(
                &small.params().unwrap(),
                &large.params().unwrap(),
                1e-5
            ));
        }
    }

    #[test]
    fn one_program_is_the_same_step_bit_for_bit() {
        for objective in [Objective::Supervised, ON_POLICY] {
            let mut trainer = trainer(3, 12, objective);
            let program =
                assemble::training_step(&forward(3, 12), &objective, &OptimizerConfig::default())
                    .unwrap();
            let mut session = ReferenceEngine.load(&program).unwrap();
            let state = trainer.state().unwrap();
            weights(1)
                .iter()
                .for_each(|(name, tensor)| session.write(name, tensor).unwrap());
            state
                .optimizer
                .iter()
                .for_each(|(name, tensor)| session.write(name, tensor).unwrap());
            for _ in 0..3 {
                let batch = batch();
                let sequences: Vec<Sequence<'_>> = batch.iter().map(Example::sequence).collect();
                let mut packing = pack(&sequences, 12).unwrap();
                packing.pad_rows(3);
                assert_eq!(packing.rows, 3);
                Inputs::new(&packing, &batch, &trainer.programs)
                    .unwrap()
                    .write(session.as_mut(), 0)
                    .unwrap();
                session
                    .write_words(LEARNING_RATE, &[1e-2f32.to_bits()])
                    .unwrap();
                session.run().unwrap();
                session.advance();
                trainer.step(&batch, 1e-2).unwrap();
            }
            for (name, tensor) in trainer.params().unwrap().iter() {
                assert_eq!(session.input_words(name).unwrap(), tensor.words(), "{name}");
            }
        }
    }

    #[test]
    fn recorded_log_probabilities_of_the_policy_itself_give_the_on_policy_step() {
        let config = *ON_POLICY.grpo().unwrap();
        let mut on = trainer(3, 12, ON_POLICY);
        let mut off = trainer(3, 12, Objective::OffPolicy(config));
        let mut batch = batch();
        record(&mut batch, |sample, logp| sample.old_logp = Some(logp));
        on.step(&batch, 1e-2).unwrap();
        let report = off.step(&batch, 1e-2).unwrap();
        assert!(close(&on.params().unwrap(), &off.params().unwrap(), 1e-6));
        assert_eq!(report.metrics["clip_fraction"], 0.0);
        // The second step on the same batch is off-policy: ratios leave 1 and some are clipped.
        let clipped: Vec<f32> = (0..12)
            .map(|_| off.step(&batch, 3e-2).unwrap().metrics["clip_fraction"])
            .collect();
        assert!(clipped[11] > 0.0, "{clipped:?}");
    }

    /// Scores the batch under the initial weights.
    fn record(batch: &mut [Example], set: impl Fn(&mut Sample, Vec<f32>)) {
        let mut scorer =
            super::super::scorer::Scorer::new(&ReferenceEngine, &forward(3, 12), &weights(1))
                .unwrap();
        let scored = {
            let sequences: Vec<Sequence<'_>> = batch.iter().map(Example::sequence).collect();
            scorer.score(&sequences).unwrap()
        };
        let samples = batch.iter_mut().flat_map(|example| &mut example.samples);
        samples
            .zip(scored)
            .for_each(|(sample, logp)| set(sample, logp));
    }

    #[test]
    fn importance_is_truncated_and_unknown_writers_count_once() {
        let objective = Objective::OnPolicy(GrpoConfig {
            importance_cap: Some(2.0),
            ..GrpoConfig::default()
        });
        let step = |shift: Option<f32>| {
            let mut batch = vec![Example {
                prompt: vec![5, 6],
                samples: vec![sample(&[8, 1], 1.0)],
            }];
            if let Some(shift) = shift {
                record(&mut batch, |sample, logp| {
                    sample.behaviour_logp = Some(logp.iter().map(|x| x - shift).collect())
                });
            }
            trainer(3, 12, objective).step(&batch, 0.0).unwrap()
        };
        let (unknown, equal, twice, far) = (
            step(None),
            step(Some(0.0)),
            step(Some(LN_2)),
            step(Some(5.0)),
        );
        assert!((unknown.loss - equal.loss).abs() < 1e-5 && (unknown.loss + 1.0).abs() < 1e-5);
        assert!(
            (twice.loss / equal.loss - 2.0).abs() < 1e-3
                && (far.loss / equal.loss - 2.0).abs() < 1e-3
        );
        assert!((far.grad_norm / equal.grad_norm - 2.0).abs() < 1e-3);
        assert!((step(Some(-LN_2)).loss / equal.loss - 0.5).abs() < 1e-3);
    }

    #[test]
    fn the_divergence_to_the_reference_is_zero_at_the_reference_and_grows() {
        let objective = Objective::OnPolicy(GrpoConfig {
            divergence: Some(0.5),
            ..GrpoConfig::default()
        });
        let mut batch = batch();
        record(&mut batch, |sample, logp| {
            sample.reference_logp = Some(logp)
        });
        let mut trainer = trainer(3, 12, objective);
        let found: Vec<f32> = (0..5)
            .map(|_| trainer.step(&batch, 3e-2).unwrap().metrics["divergence"])
            .collect();
        assert!(found[0].abs() < 1e-6 && found[4] > 1e-3, "{found:?}");
    }

    #[test]
    fn values_computed_again_change_no_bit() {
        for objective in [Objective::Supervised, ON_POLICY] {
            let mut kept = trainer(3, 12, objective);
            let programs = kept.programs().recomputing(3).unwrap();
            assert!(
                programs.accumulation.nodes().len() > kept.programs().accumulation.nodes().len()
            );
            let again = Trainer::new(&ReferenceEngine, Arc::new(programs), &weights(1));
            let mut again = again.unwrap();
            for _ in 0..2 {
                let reports = [&mut kept, &mut again].map(|trainer| trainer.step(&batch(), 1e-2));
                let [kept, again] = reports.map(Result::unwrap);
                assert_eq!(kept.loss.to_bits(), again.loss.to_bits());
            }
            assert_eq!(kept.state().unwrap(), again.state().unwrap());
        }
    }

    #[test]
    fn a_resumed_run_has_the_bits_of_an_unbroken_one() {
        let schedule = Schedule {
            peak: 1e-2,
            warmup: 3,
            decay: 4,
            total: 8,
            floor: 0.1,
        };
        let run = |trainer: &mut Trainer, steps: std::ops::Range<u64>| {
            for step in steps {
                assert_eq!(trainer.step_count(), step);
                trainer.step(&batch(), schedule.rate(step)).unwrap();
            }
        };
        let mut unbroken = trainer(2, 12, ON_POLICY);
        run(&mut unbroken, 0..8);
        let mut first = trainer(2, 12, ON_POLICY);
        run(&mut first, 0..5);
        let temporary = tempfile::tempdir().unwrap();
        let folder = RunFolder::open(temporary.path(), 2, Arc::default()).unwrap();
        let (config, run_state) = (serde_json::Value::Null, serde_json::Value::Null);
        let checkpoint = Checkpoint {
            steps: 5,
            state: first.state().unwrap(),
            best: None,
            config,
            run: run_state,
        };
        folder.save(&checkpoint).unwrap();
        let mut resumed = trainer(2, 12, ON_POLICY);
        resumed
            .restore(
                &folder
                    .resume(&serde_json::Value::Null)
                    .unwrap()
                    .0
                    .unwrap()
                    .state,
            )
            .unwrap();
        run(&mut resumed, 5..8);
        assert_eq!(resumed.state().unwrap(), unbroken.state().unwrap());
    }

    #[test]
    fn bad_batches_are_refused_and_change_nothing() {
        let mut subject = trainer(2, 12, ON_POLICY);
        let before = subject.state().unwrap();
        assert!(matches!(
            subject.step(&[], 0.1),
            Err(TrainError::EmptyBatch)
        ));
        let endless = Example {
            prompt: vec![1; 30],
            samples: vec![sample(&[1], 1.0)],
        };
        assert!(matches!(
            subject.step(&[endless], 0.1),
            Err(TrainError::Pack(_))
        ));
        let infinite = Example {
            prompt: vec![1],
            samples: vec![sample(&[1], f32::INFINITY)],
        };
        assert!(matches!(
            subject.step(&[infinite], 0.1),
            Err(TrainError::NotFinite { step: 0, .. })
        ));
        assert_eq!(subject.state().unwrap(), before);
        let after = subject.step(&batch(), 1e-2).unwrap();
        let fresh = trainer(2, 12, ON_POLICY).step(&batch(), 1e-2).unwrap();
        assert_eq!(after, fresh);
        let mut off = trainer(2, 12, Objective::OffPolicy(GrpoConfig::default()));
        let error = off.step(&batch(), 1e-2).unwrap_err().to_string();
        assert!(
            error.contains("`old_logp`") && error.contains("3 tokens"),
            "{error}"
        );
    }
}
