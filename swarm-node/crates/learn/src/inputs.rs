//! Batches as a trainer takes them, and as programs read them.

use reproducible_ops::engine::Session;

use super::assemble::Objective;
use super::batch::{Packing, Sequence, Slot};
use super::programs::{Programs, TrainError};

/// Stands in `behaviour_logp` for a token whose writer told no log-probability.
pub(super) const UNTOLD: f32 = 1.0;

/// A completion with what the loss needs to know about each of its tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Tokens after the prompt.
    pub tokens: Vec<u32>,
    /// Weight of each of its tokens in the loss.
    pub weight: f32,
    /// Advantage of the completion; not read by cross-entropy.
    pub advantage: f32,
    /// Log-probabilities under the policy before the update; read by [`Objective::OffPolicy`] only.
    pub old_logp: Option<Vec<f32>>,
    /// Log-probabilities under the policy that wrote it; read where importance is corrected. None
    /// stands for equality with the old policy and is allowed on-policy only.
    pub behaviour_logp: Option<Vec<f32>>,
    /// Log-probabilities under the reference policy; read where divergence is penalised.
    pub reference_logp: Option<Vec<f32>>,
}

/// A prompt with the completions to train on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Example {
    /// Prompt tokens, at least one.
    pub prompt: Vec<u32>,
    /// Its completions.
    pub samples: Vec<Sample>,
}

impl Example {
    /// Its tokens, as they are packed and scored.
    pub fn sequence(&self) -> Sequence<'_> {
        Sequence {
            prompt: &self.prompt,
            completions: self
                .samples
                .iter()
                .map(|sample| &sample.tokens[..])
                .collect(),
        }
    }
}

/// Data inputs of all microbatches of a batch.
pub(super) struct Inputs {
    /// Name and words of `[rows, length]` inputs, all microbatches one after another.
    per_token: Vec<(&'static str, Vec<u32>)>,
    /// Name and word of scalar inputs.
    scalars: Vec<(&'static str, u32)>,
    /// Elements of one microbatch.
    elements: usize,
}

fn int_words(values: &[i32]) -> Vec<u32> {
    values.iter().map(|&value| value as u32).collect()
}

impl Inputs {
    /// The layout of rows, without a loss.
    pub(super) fn layout(packing: &Packing, elements: usize) -> Self {
        let layout = [
            ("tokens", &packing.tokens),
            ("positions", &packing.positions),
            ("segment", &packing.segment),
            ("parent", &packing.parent),
            ("targets", &packing.targets),
        ];
        let per_token = layout
            .map(|(name, values)| (name, int_words(values)))
            .to_vec();
        Self {
            per_token,
            scalars: Vec::new(),
            elements,
        }
    }

    pub(super) fn new(
        packing: &Packing,
        batch: &[Example],
        programs: &Programs,
    ) -> Result<Self, TrainError> {
        let mut inputs = Self::layout(packing, programs.rows * programs.length);
        let channels = Channels { packing, batch };
        inputs
            .scalars
            .push(("token_count", (packing.token_count() as f32).to_bits()));
        inputs.add("loss_weight", channels.constant(|sample| sample.weight));
        if let Some(config) = programs.objective().grpo() {
            inputs.add("advantage", channels.constant(|sample| sample.advantage));
            let off_policy = matches!(programs.objective(), Objective::OffPolicy(_));
            let wanted = [
                ("old_logp", off_policy, Told::Always, old_logp as Channel),
                (
                    "behaviour_logp",
                    config.importance_cap.is_some(),
                    Told::Sometimes,
                    behaviour_logp,
                ),
                (
                    "reference_logp",
                    config.divergence.is_some(),
                    Told::Always,
                    reference_logp,
                ),
            ];
            for (name, _, told, channel) in wanted.into_iter().filter(|(_, wanted, ..)| *wanted) {
                inputs.add(name, channels.per_token(name, told, channel)?);
            }
        }
        Ok(inputs)
    }

    /// Words of rows that were packed before, of which so many tokens are trained.
    pub(super) fn packed(
        per_token: Vec<(&'static str, Vec<u32>)>,
        tokens: usize,
        elements: usize,
    ) -> Self {
        Self {
            per_token,
            scalars: vec![("token_count", (tokens as f32).to_bits())],
            elements,
        }
    }

    fn add(&mut self, name: &'static str, values: Vec<f32>) {
        self.per_token
            .push((name, values.into_iter().map(f32::to_bits).collect()));
    }

    pub(super) fn write(
        &self,
        session: &mut dyn Session,
        microbatch: usize,
    ) -> Result<(), TrainError> {
        let range = microbatch * self.elements..(microbatch + 1) * self.elements;
        for (name, words) in &self.per_token {
            // Positions of the prompt are needed by every model, targets and the like only by
            // programs with that loss.
            if session.program().input_named(name).is_some() {
                session.write_words(name, &words[range.clone()])?;
            }
        }
        for (name, word) in &self.scalars {
            session.write_words(name, &[*word])?;
        }
        Ok(())
    }
}

/// Spreads numbers of samples over the positions of their tokens.
struct Channels<'a> {
    packing: &'a Packing,
    batch: &'a [Example],
}

impl Channels<'_> {
    fn sample(&self, slot: &Slot) -> &Sample {
        &self.batch[slot.sequence].samples[slot.completion]
    }

    fn constant(&self, value: impl Fn(&Sample) -> f32) -> Vec<f32> {
        self.packing.channel(|slot, _| value(self.sample(slot)))
    }

    fn per_token(
        &self,
        name: &'static str,
        told: Told,
        channel: Channel,
    ) -> Result<Vec<f32>, TrainError> {
        for sample in self.batch.iter().flat_map(|example| &example.samples) {
            check_length(name, told, sample, channel(sample))?;
        }
        Ok(self.packing.channel(|slot, token| {
            channel(self.sample(slot)).map_or(UNTOLD, |numbers| numbers[token])
        }))
    }
}

/// Whether every sample must have a channel.
#[derive(Clone, Copy, PartialEq)]
enum Told {
    Always,
    Sometimes,
}

/// One of a sample's lists with a number per token.
type Channel = fn(&Sample) -> Option<&[f32]>;

fn old_logp(sample: &Sample) -> Option<&[f32]> {
    sample.old_logp.as_deref()
}

fn behaviour_logp(sample: &Sample) -> Option<&[f32]> {
    sample.behaviour_logp.as_deref()
}

fn reference_logp(sample: &Sample) -> Option<&[f32]> {
    sample.reference_logp.as_deref()
}

fn check_length(
    channel: &'static str,
    told: Told,
    sample: &Sample,
    values: Option<&[f32]>,
) -> Result<(), TrainError> {
    let expected = sample.tokens.len();
    match values {
        None if told == Told::Sometimes => Ok(()),
        Some(values) if values.len() == expected => Ok(()),
        _ => Err(TrainError::Channel {
            channel,
            expected,
            found: values.map_or(0, <[f32]>::len),
        }),
    }
}
