//! Optimizers against their formulas in f64, clipping, and whole steps.

use super::*;
use crate::engine::reference;
use crate::program::{Builder, Program, Role, TensorType, ValueId};
use crate::random::Stream;
use crate::tensor::Tensor;

const SHAPE: [usize; 2] = [3, 5];

/// `loss = Σ (w · x + b)²`, so that gradients change with the parameters; the data input is `x`.
fn forward() -> Program {
    let mut b = Builder::new();
    let w = b.input("w", TensorType::f32(SHAPE), Role::Param);
    let bias = b.input("b", TensorType::f32([5]), Role::Param);
    let x = b.input("x", TensorType::f32(SHAPE), Role::Data);
    let product = b.mul(w, x).unwrap();
    let bias = b.broadcast(bias, SHAPE).unwrap();
    let y = b.add(product, bias).unwrap();
    let square = b.mul(y, y).unwrap();
    let loss = b.sum_all(square).unwrap();
    b.output("loss", loss);
    b.output("y", y);
    b.finish()
}

/// A step with its inputs by name.
struct Run {
    program: Program,
    inputs: Vec<(String, Tensor)>,
}

impl Run {
    fn new(program: Program) -> Self {
        let mut stream = Stream::from_seed("optimizer tests", 3);
        let mut inputs = initial_state(&program);
        for (_, input) in program.inputs_with_role(Role::Param) {
            let values = (0..input.ty.shape.elements())
                .map(|_| stream.uniform() - 0.5)
                .collect();
            inputs.push((
                input.name.clone(),
                Tensor::f32(input.ty.shape.clone(), values).unwrap(),
            ));
        }
        Self { program, inputs }
    }

    fn set(&mut self, name: &str, tensor: Tensor) {
        self.inputs.retain(|(known, _)| known != name);
        self.inputs.push((name.into(), tensor));
    }

    fn get(&self, name: &str) -> Vec<f32> {
        let (_, tensor) = self.inputs.iter().find(|(known, _)| known == name).unwrap();
        tensor.as_f32().unwrap().to_vec()
    }

    /// Runs the step on `x`; outputs become the inputs of their name. Returns all outputs.
    fn step(&mut self, x: &[f32], learning_rate: f32) -> Vec<(String, Tensor)> {
        self.set("x", Tensor::f32(SHAPE, x.to_vec()).unwrap());
        self.set(
            LEARNING_RATE,
            Tensor::f32([0usize; 0], vec![learning_rate]).unwrap(),
        );
        let ordered: Vec<Tensor> = self
            .program
            .inputs()
            .iter()
            .map(|input| self.tensor(&input.name))
            .collect();
        let outputs = reference::evaluate(&self.program, &ordered).unwrap();
        let named: Vec<(String, Tensor)> = self
            .program
            .outputs()
            .iter()
            .map(|output| output.name.clone())
            .zip(outputs)
            .collect();
        for (name, tensor) in &named {
            if self.program.input_named(name).is_some() {
                self.set(name, tensor.clone());
            }
        }
        named
    }

    fn tensor(&self, name: &str) -> Tensor {
        self.inputs
            .iter()
            .find(|(known, _)| known == name)
            .unwrap()
            .1
            .clone()
    }
}

fn output(outputs: &[(String, Tensor)], name: &str) -> f32 {
    let (_, tensor) = outputs.iter().find(|(known, _)| known == name).unwrap();
    tensor.as_f32().unwrap()[0]
}

fn batch(step: u64) -> Vec<f32> {
    let mut stream = Stream::from_seed("optimizer batches", step);
    (0..15).map(|_| stream.uniform() * 2.0 - 1.0).collect()
}

/// Parameters and moments in f64.
struct Twin {
    w: Vec<f64>,
    b: Vec<f64>,
    moments: Vec<[f64; 2]>,
    step: i32,
}

impl Twin {
    fn new(run: &Run) -> Self {
        let wide = |name| {
            run.get(name)
                .iter()
                .map(|&value| f64::from(value))
                .collect()
        };
        Self {
            w: wide("w"),
            b: wide("b"),
            moments: vec![[0.0; 2]; 20],
            step: 0,
        }
    }

    fn gradient(&self, x: &[f32]) -> Vec<f64> {
        let y = |i: usize| self.w[i] * f64::from(x[i]) + self.b[i % 5];
        let by_w = (0..15).map(|i| 2.0 * y(i) * f64::from(x[i]));
        let by_b = (0..5).map(|column| (0..3).map(|row| 2.0 * y(row * 5 + column)).sum());
        by_w.chain(by_b).collect()
    }

    fn value(&mut self, index: usize) -> &mut f64 {
        if index < 15 {
            &mut self.w[index]
        } else {
            &mut self.b[index - 15]
        }
    }

    /// One step of AdamW as published, on a gradient scaled to `max_norm`.
    fn adamw(&mut self, x: &[f32], rate: f64, config: &AdamW, max_norm: f64) -> f64 {
        let gradient = self.gradient(x);
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let scale = (max_norm / (norm + 1e-6)).min(1.0);
        let (beta1, beta2) = (f64::from(config.beta1), f64::from(config.beta2));
        self.step += 1;
        for (index, g) in gradient.iter().map(|g| g * scale).enumerate() {
            let [m, v] = self.moments[index];
            let [m, v] = [
                beta1 * m + (1.0 - beta1) * g,
                beta2 * v + (1.0 - beta2) * g * g,
            ];
            self.moments[index] = [m, v];
            let (mean, spread) = (
                m / (1.0 - beta1.powi(self.step)),
                v / (1.0 - beta2.powi(self.step)),
            );
            let decay = if index < 15 {
                f64::from(config.weight_decay)
            } else {
                0.0
            };
            let value = self.value(index);
            *value = *value * (1.0 - rate * decay)
                - rate * mean / (spread.sqrt() + f64::from(config.epsilon));
        }
        norm
    }

    fn assert_matches(&self, run: &Run, tolerance: f64) {
        for (name, expected) in [("w", &self.w), ("b", &self.b)] {
            for (found, expected) in run.get(name).iter().zip(expected) {
                assert!(
                    (f64::from(*found) - expected).abs() < tolerance,
                    "{name}: {found} instead of {expected}"
                );
            }
        }
    }
}

#[test]
fn adamw_follows_its_formula() {
    let config = AdamW {
        weight_decay: 0.1,
        beta2: 0.99,
        ..AdamW::default()
    };
    let mut run = Run::new(TrainStep::assemble(&forward(), "loss", &config, Some(1.0)).unwrap());
    let mut twin = Twin::new(&run);
    for step in 0..40 {
        let rate = if step < 20 { 0.03 } else { 0.01 };
        let outputs = run.step(&batch(step), rate);
        let norm = twin.adamw(&batch(step), f64::from(rate), &config, 1.0);
        assert!((f64::from(output(&outputs, GRAD_NORM)) / norm - 1.0).abs() < 1e-5);
        twin.assert_matches(&run, 2e-6 * (step + 1) as f64);
    }
    assert!((run.get("adamw.beta1_power")[0] / 0.9f32.powi(40) - 1.0).abs() < 1e-5);
}

#[test]
fn decay_covers_what_it_says() {
    let step = |decay| {
        let config = AdamW {
            weight_decay: 0.5,
            decay,
            ..AdamW::default()
        };
        let mut run = Run::new(TrainStep::assemble(&forward(), "loss", &config, None).unwrap());
        run.step(&batch(0), 0.01);
        (run.get("w"), run.get("b"))
    };
    let (matrices, all) = (step(Decay::Matrices), step(Decay::All));
    assert_eq!(matrices.0, all.0);
    assert_ne!(matrices.1, all.1);
}

#[test]
fn sgd_follows_its_formula() {
    for momentum in [None, Some(0.9)] {
        let mut run =
            Run::new(TrainStep::assemble(&forward(), "loss", &Sgd { momentum }, None).unwrap());
        let mut twin = Twin::new(&run);
        for step in 0..10 {
            let gradient = twin.gradient(&batch(step));
            for (index, g) in gradient.into_iter().enumerate() {
                twin.moments[index][0] =
                    twin.moments[index][0] * momentum.map_or(0.0, f64::from) + g;
                *twin.value(index) -= f64::from(0.01f32) * twin.moments[index][0];
            }
            run.step(&batch(step), 0.01);
            twin.assert_matches(&run, 1e-5);
        }
        assert_eq!(
            initial_state(&run.program).len(),
            if momentum.is_some() { 2 } else { 0 }
        );
    }
}

#[test]
fn a_gradient_below_the_limit_keeps_its_bits() {
    let step = |max_norm| {
        let mut run =
            Run::new(TrainStep::assemble(&forward(), "loss", &Sgd::default(), max_norm).unwrap());
        run.step(&batch(0), 0.1);
        run.get("w")
    };
    assert_eq!(step(None), step(Some(1e6)));
    assert_ne!(step(None), step(Some(1e-3)));
}

#[test]
fn a_gradient_that_is_not_finite_moves_nothing() {
    for bad in [f32::NAN, f32::INFINITY, 1e30] {
        let mut run =
            Run::new(TrainStep::assemble(&forward(), "loss", &Sgd::default(), Some(1.0)).unwrap());
        let before = (run.get("w"), run.get("b"));
        let mut x = batch(0);
        x[7] = bad;
        let outputs = run.step(&x, 0.1);
        assert!(
            !output(&outputs, GRAD_NORM).is_finite(),
            "the caller sees it"
        );
        assert_eq!((run.get("w"), run.get("b")), before);
    }
}

#[test]
fn a_step_keeps_outputs_and_names_what_it_replaces() {
    let program = TrainStep::assemble(&forward(), "loss", &AdamW::default(), Some(1.0)).unwrap();
    program.validate().unwrap();
    assert_eq!(Program::decode(&program.encode()).unwrap(), program);
    for name in ["loss", "y", GRAD_NORM] {
        assert!(program.output_named(name).is_some(), "{name}");
    }
    for role in [Role::Param, Role::State] {
        for (id, input) in program.inputs_with_role(role) {
            let next = program.output_named(&input.name).unwrap();
            assert_ne!(next, id, "{} is replaced", input.name);
            assert_eq!(program.type_of(next), Some(&input.ty));
        }
    }
    assert_eq!(program.inputs_with_role(Role::State).count(), 6);
    assert_eq!(program, program.prune(), "no dead nodes");
}

#[test]
fn the_first_state_is_zero_but_for_the_powers() {
    let program = TrainStep::assemble(&forward(), "loss", &AdamW::default(), None).unwrap();
    for (name, tensor) in initial_state(&program) {
        let expected = if name.ends_with("_power") { 1.0 } else { 0.0 };
        assert!(
            tensor
                .as_f32()
                .unwrap()
                .iter()
                .all(|&value| value == expected),
            "{name}"
        );
    }
}

#[test]
fn unsuitable_programs_are_refused() {
    let optimizer = AdamW::default();
    let assemble =
        |program: &Program, loss: &str| TrainStep::assemble(program, loss, &optimizer, None);
    assert_eq!(
        assemble(&forward(), "cost"),
        Err(StepError::NoSuchLoss("cost".into()))
    );
    assert!(matches!(
        assemble(&forward(), "y"),
        Err(StepError::Gradient { .. })
    ));
    let frozen = {
        let mut b = Builder::new();
        let x = b.input("x", TensorType::f32([1]), Role::Data);
        b.output("loss", x);
        b.finish()
    };
    assert_eq!(assemble(&frozen, "loss"), Err(StepError::NoParameters));
    let mut b = Builder::from_program(&forward());
    b.input(LEARNING_RATE, TensorType::f32([1]), Role::Data);
    assert!(matches!(
        assemble(&b.finish(), "loss"),
        Err(StepError::Invalid(_))
    ));
}

#[test]
fn the_global_norm_spans_all_gradients() {
    let mut b = Builder::new();
    let values: [ValueId; 2] = [("x", &[2, 1][..]), ("y", &[1])]
        .map(|(name, shape): (&str, &[usize])| b.input(name, TensorType::f32(shape), Role::Data));
    let norm = global_norm(&mut b, &values).unwrap();
    b.output("norm", norm);
    let inputs = [
        Tensor::f32([2, 1], vec![2.0, 3.0]).unwrap(),
        Tensor::f32([1], vec![6.0]).unwrap(),
    ];
    assert_eq!(
        reference::evaluate(&b.finish(), &inputs).unwrap()[0]
            .as_f32()
            .unwrap(),
        [7.0]
    );
    let mut empty = Builder::new();
    assert!(global_norm(&mut empty, &[]).is_ok());
}

#[test]
fn parts_of_a_gradient_are_clipped_by_the_norm_of_the_whole() {
    let inputs = [
        Tensor::f32([2], vec![2.0, 3.0]).unwrap(),
        Tensor::f32([1], vec![6.0]).unwrap(),
    ];
    let gradients = |b: &mut Builder| {
        let named = ["x", "y"].into_iter().zip(&inputs);
        let ids = named.map(|(name, tensor)| b.input(name, tensor.ty().clone(), Role::Data));
        ids.collect::<Vec<ValueId>>()
    };
    let mut whole = Builder::new();
    let ids = gradients(&mut whole);
    let clipped = clip_by_global_norm(&mut whole, &ids, 1.0).unwrap();
    whole.output("x", clipped.gradients[0]);
    let mut part = Builder::new();
    let x = gradients(&mut part)[0];
    let norm = part.full(7.0, crate::program::Shape::scalar()).unwrap();
    let clipped = clip_by_norm(&mut part, &[x], norm, 1.0).unwrap();
    part.output("x", clipped[0]);
    let [whole, part] = [whole, part].map(|b| reference::evaluate(&b.finish(), &inputs).unwrap());
    assert_eq!(whole, part);
    assert_ne!(part[0], inputs[0], "clipped");
}
