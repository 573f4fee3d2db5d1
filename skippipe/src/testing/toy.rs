//! A stage of three numbers, whose sums depend on their order as those of real ones do.
//!
//! A layer is `y = (1 + p₁) x + p₀`, elementwise; the head is `½ Σ (h y − t)²` with `h` = 1 + p₁
//! and the target `t` a function of step and microbatch; the embedding is that of layers, of a
//! constant. Where pipelines meet, in pairs, anchors become the mean of anchors plus the mean of changes;
//! alone, the own anchor plus the own change.

use std::collections::BTreeMap;

use crate::content::{Content, Digest};
use crate::meeting::{Part, Taken};
use crate::path::{Microbatch, Stage};
use crate::work::{Engine, Outcome, Task, Work};

const WIDTH: usize = 3;
const PARAMETERS: usize = 2;

/// A toy stage: two parameters and their momenta, and the anchors of its last meeting.
#[derive(Clone, Debug)]
pub struct ToyStage {
    stage: Stage,
    parameters: [f32; PARAMETERS],
    momenta: [f32; PARAMETERS],
    anchors: [f32; PARAMETERS],
    kept: BTreeMap<Task, [f32; PARAMETERS]>,
}

impl ToyStage {
    /// A stage before the first step.
    pub fn new(stage: Stage) -> Self {
        let parameters = [0.01 * f32::from(stage.0), 0.02];
        Self {
            stage,
            parameters,
            momenta: [0.0; PARAMETERS],
            anchors: parameters,
            kept: BTreeMap::new(),
        }
    }

    /// The same of one of several pipelines, which begins elsewhere.
    pub fn of(pipeline: u32, stage: Stage) -> Self {
        let mut made = Self::new(stage);
        made.parameters[0] += 0.003 * pipeline as f32;
        made.anchors = made.parameters;
        made
    }

    /// For peers of a network: a stage and its state, or a stage to be loaded.
    pub fn for_peer(stage: Option<Stage>) -> (Self, Option<Digest>) {
        let made = Self::new(stage.unwrap_or(Stage::FIRST));
        let state = stage.map(|_| made.state());
        (made, state)
    }

    /// Digest of parameters and momenta.
    pub fn state(&self) -> Digest {
        self.export().digest()
    }

    /// Gradients that are kept.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    fn export(&self) -> Content {
        let numbers = [self.parameters, self.momenta, self.anchors].concat();
        encode(&numbers)
    }

    /// Changes and anchors.
    fn contribution(&self) -> Content {
        let change = [0, 1].map(|at| self.parameters[at] - self.anchors[at]);
        encode(&[change, self.anchors].concat())
    }

    fn meet(&mut self, parts: &[Content]) -> Result<Outcome, String> {
        let mut sum = [0.0; 2 * PARAMETERS];
        for part in parts {
            let part = decode::<{ 2 * PARAMETERS }>(part)?;
            sum.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
        }
        let mean = sum.map(|sum| sum / parts.len() as f32);
        self.anchors = [mean[2] + mean[0], mean[3] + mean[1]];
        self.parameters = self.anchors;
        Ok(Outcome::State(self.state()))
    }

    fn layer(&self, x: &[f32]) -> Vec<f32> {
        let [bias, scale] = self.parameters;
        x.iter().map(|x| (1.0 + scale) * x + bias).collect()
    }

    /// Keeps the gradients of the parameters; gives that of the input.
    fn back(&mut self, task: Task, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        let bias = gradient.iter().sum();
        let scale = gradient.iter().zip(x).map(|(g, x)| g * x).sum();
        self.kept.insert(task, [bias, scale]);
        let scale = 1.0 + self.parameters[1];
        gradient.iter().map(|g| g * scale).collect()
    }

    fn loss(&mut self, task: Task, x: &[f32], target: &[f32]) -> Outcome {
        let scale = 1.0 + self.parameters[1];
        let errors: Vec<f32> = x.iter().zip(target).map(|(x, t)| scale * x - t).collect();
        let loss: f32 = errors.iter().map(|e| 0.5 * e * e).sum();
        let of_scale = errors.iter().zip(x).map(|(e, x)| e * x).sum();
        self.kept.insert(task, [0.0, of_scale]);
        let gradient: Vec<f32> = errors.iter().map(|e| e * scale).collect();
        Outcome::Loss(loss.to_bits(), encode(&gradient))
    }

    fn sum(&self, visits: &[Task]) -> Option<[f32; PARAMETERS]> {
        let mut total = [0.0; PARAMETERS];
        for visit in visits {
            total = add(total, *self.kept.get(visit)?);
        }
        Some(total)
    }

    fn update(&mut self, sum: [f32; PARAMETERS], norm: f32) {
        for (index, gradient) in sum.into_iter().enumerate() {
            self.momenta[index] = 0.9 * self.momenta[index] + gradient / (1.0 + norm);
            self.parameters[index] -= 0.01 * self.momenta[index];
        }
    }

    fn attempt(&mut self, task: Task, work: Work) -> Result<Outcome, String> {
        Ok(match work {
            Work::Embed { step, microbatch } => {
                Outcome::Content(encode(&self.layer(&tokens(step, microbatch))))
            }
            Work::Forward { input, .. } => {
                Outcome::Content(encode(&self.layer(&decode::<WIDTH>(&input)?)))
            }
            Work::Loss {
                step,
                microbatch,
                input,
            } => {
                let target = tokens(step + 1, microbatch);
                self.loss(task, &decode::<WIDTH>(&input)?, &target)
            }
            Work::Backward {
                input, gradient, ..
            } => {
                let (x, gradient) = (decode::<WIDTH>(&input)?, decode::<WIDTH>(&gradient)?);
                Outcome::Content(encode(&self.back(task, &x, &gradient)))
            }
            Work::EmbedBackward {
                step,
                microbatch,
                gradient,
                loss,
            } => {
                let gradient = decode::<WIDTH>(&gradient)?;
                let head = *self.kept.get(&loss).ok_or("no such loss")?;
                self.back(task, &tokens(step, microbatch), &gradient);
                self.kept
                    .entry(task)
                    .and_modify(|kept| *kept = add(head, *kept));
                Outcome::Nothing
            }
            Work::Sum(visits) => {
                let sum = self.sum(&visits).ok_or("no such gradient")?;
                Outcome::Content(encode(&sum))
            }
            Work::Add(left, right) => {
                let (left, right) = (decode(&left)?, decode(&right)?);
                Outcome::Content(encode(&add(left, right)))
            }
            Work::Squares { sum, visits, .. } => {
                let squares = mean(decode(&sum)?, &visits).map(|g| (g * g).to_bits());
                Outcome::Squares(squares.to_vec())
            }
            Work::Norm(squares) => norm(&squares),
            Work::Update {
                sum, visits, norm, ..
            } => {
                self.update(mean(decode(&sum)?, &visits), f32::from_bits(norm));
                Outcome::State(self.state())
            }
            Work::Forget(tasks) => {
                self.kept.retain(|task, _| !tasks.contains(task));
                Outcome::Nothing
            }
            Work::Export => Outcome::Content(self.export()),
            Work::Load { stage, state } => {
                let [p0, p1, m0, m1, a0, a1] = decode::<{ 3 * PARAMETERS }>(&state)?;
                self.anchors = [a0, a1];
                self.take([p0, p1], [m0, m1], stage)
            }
            Work::Average { stage, parts } => {
                let mut mean = [0.0; PARAMETERS];
                let weights: f32 = parts
                    .iter()
                    .map(|(_, weight)| f32::from_bits(*weight))
                    .sum();
                for (state, weight) in parts {
                    let [p0, p1, ..] = decode::<{ 3 * PARAMETERS }>(&state)?;
                    let part = f32::from_bits(weight) / weights;
                    mean = add(mean, [p0 * part, p1 * part]);
                }
                self.anchors = mean;
                self.take(mean, [0.0; PARAMETERS], stage)
            }
            Work::Contribute { .. } => {
                let outer = encode(&self.anchors).digest();
                Outcome::Contribution(self.contribution(), outer)
            }
            Work::Check(content) => {
                decode::<{ 2 * PARAMETERS }>(&content)?;
                Outcome::Nothing
            }
            Work::Meet { met, content } => {
                let own = self.contribution();
                let parts = match &met.taken {
                    Taken::Averaged { parts, .. } => parts.as_slice(),
                    Taken::Adopted { .. } | Taken::Alone(_) => return self.meet(&[own]),
                };
                let part = |part: &Part| match part.contribution == own.digest() {
                    true => Ok(own.clone()),
                    false => content.clone().ok_or("the partner's part is missing"),
                };
                let parts: Vec<Content> = parts.iter().map(part).collect::<Result<_, _>>()?;
                self.meet(&parts)?
            }
            Work::Mean(_) | Work::CheckOuter(_) | Work::ExportOuter => {
                return Err("toys meet in pairs".into());
            }
        })
    }

    fn take(&mut self, parameters: [f32; 2], momenta: [f32; 2], stage: Stage) -> Outcome {
        (self.stage, self.parameters, self.momenta) = (stage, parameters, momenta);
        self.kept.clear();
        Outcome::State(self.state())
    }
}

impl Engine for ToyStage {
    fn perform(&mut self, task: Task, work: Work) -> Option<Outcome> {
        let silent = matches!(work, Work::Forget(_));
        let outcome = self.attempt(task, work).unwrap_or_else(Outcome::Refused);
        (!silent).then_some(outcome)
    }
}

fn norm(squares: &BTreeMap<Stage, Vec<u32>>) -> Outcome {
    let sum = |of: &Vec<u32>| of.iter().map(|&bits| f32::from_bits(bits)).sum::<f32>();
    let root = |(&stage, of): (&Stage, &Vec<u32>)| (stage, sum(of).sqrt().to_bits());
    let total: f32 = squares.values().map(sum).sum();
    Outcome::Norm(total.sqrt().to_bits(), squares.iter().map(root).collect())
}

fn mean(sum: [f32; PARAMETERS], visits: &[Microbatch]) -> [f32; PARAMETERS] {
    sum.map(|g| g / visits.len() as f32)
}

fn add(left: [f32; PARAMETERS], right: [f32; PARAMETERS]) -> [f32; PARAMETERS] {
    [left[0] + right[0], left[1] + right[1]]
}

fn tokens(step: u64, microbatch: Microbatch) -> [f32; WIDTH] {
    let seed = step * 31 + u64::from(microbatch.0) * 7;
    [1, 2, 3].map(|lane| ((seed * lane) % 17) as f32 / 16.0)
}

/// Numbers as little-endian bytes.
pub fn encode(numbers: &[f32]) -> Content {
    Content::new(
        numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect(),
    )
}

fn decode<const N: usize>(content: &Content) -> Result<[f32; N], String> {
    let bytes = content.bytes();
    if bytes.len() != 4 * N {
        return Err(format!("{} bytes, not {}", bytes.len(), 4 * N));
    }
    let mut numbers = [0.0; N];
    for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks().0) {
        *number = f32::from_le_bytes(*bytes);
    }
    let finite = numbers.iter().all(|number| number.is_finite());
    finite
        .then_some(numbers)
        .ok_or_else(|| "a number is not finite".into())
}
