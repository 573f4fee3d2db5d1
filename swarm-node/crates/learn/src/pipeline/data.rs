//! What a pipeline trains on, as a function of step and microbatch.
//!
//! Rows are drawn as in a job of one machine ([`crate::training_plan::drawn_rows`]), so both train
//! on the same rows in the same order. A pipeline that meets others has rows of its own, drawn as a
//! replica's that is one trainer ([`crate::averaging::trainer::drawn`]); the meetings among its
//! steps are not counted.

use std::sync::Arc;

use skippipe::content::Digest;
use skippipe::meeting::{Interval, Replica};
use skippipe::path::Microbatch as Number;

use super::microbatch::{Layout, Microbatch};
use crate::averaging::trainer::drawn;
use crate::data_set::{CHANNELS, DataSet, LOSS_WEIGHT};
use crate::training_plan::{Sampling, drawn_rows};

/// Rows, which of them a step takes, and how far it moves.
#[derive(Clone, Debug)]
pub struct StepData {
    rows: Arc<DataSet>,
    sampling: Sampling,
    rows_of_microbatch: usize,
    rates: Vec<f32>,
    /// Trained tokens of each row.
    tokens: Vec<usize>,
    apart: Option<Apart>,
}

/// What a pipeline has for itself that meets others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apart {
    /// The job of all pipelines.
    pub job: Digest,
    /// Which pipeline it is.
    pub pipeline: Replica,
    /// Its rows, at least one; see [`crate::averaging::trainer::shard`].
    pub own: Arc<[usize]>,
    /// When it meets others.
    pub interval: Interval,
}

/// A data set that lacks a channel of supervised training.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the data set has no channel `{0}`; a pipeline trains on tokens, targets and weights")]
pub struct MissingChannel(pub &'static str);

impl StepData {
    /// Rows of a data set for steps with a learning rate each.
    ///
    /// # Errors
    /// The data set lacks a channel.
    pub fn new(
        rows: DataSet,
        sampling: Sampling,
        rows_of_microbatch: usize,
        rates: Vec<f32>,
    ) -> Result<Self, MissingChannel> {
        let missing = CHANNELS
            .into_iter()
            .find(|name| !rows.channels().contains_key(*name));
        match missing {
            Some(name) => Err(MissingChannel(name)),
            None => Ok(Self {
                tokens: trained_tokens(&rows),
                rows: Arc::new(rows),
                apart: None,
                sampling,
                rows_of_microbatch,
                rates,
            }),
        }
    }

    /// The same rows for one of several pipelines.
    pub fn apart(&self, apart: Apart) -> Self {
        Self {
            apart: Some(apart),
            ..self.clone()
        }
    }

    /// How many steps before this one trained.
    fn trained_before(&self, step: u64) -> u64 {
        let apart = self.apart.as_ref();
        apart.map_or(step, |apart| apart.interval.trained_before(step))
    }

    /// Steps that there are rates for.
    pub fn steps(&self) -> u64 {
        self.rates.len() as u64
    }

    /// Microbatches of a step.
    pub fn microbatches(&self) -> u32 {
        self.sampling.microbatches as u32
    }

    /// The learning rate of a step; 0 behind the last.
    pub fn rate(&self, step: u64) -> f32 {
        let step = usize::try_from(self.trained_before(step)).ok();
        step.and_then(|step| self.rates.get(step).copied())
            .unwrap_or(0.0)
    }

    /// A microbatch of a step.
    pub fn microbatch(&self, step: u64, number: Number) -> Microbatch {
        let rows = self.drawn(step, number);
        Microbatch {
            tokens: self.integers("tokens", &rows),
            layout: Layout {
                positions: self.integers("positions", &rows),
                segment: self.integers("segment", &rows),
                parent: self.integers("parent", &rows),
            },
            targets: self.integers("targets", &rows),
            loss_weight: self.words(LOSS_WEIGHT, &rows, f32::from_bits),
        }
    }

    /// Trained tokens of some microbatches of a step.
    pub fn tokens(&self, step: u64, numbers: impl IntoIterator<Item = Number>) -> usize {
        let rows = numbers
            .into_iter()
            .flat_map(|number| self.drawn(step, number));
        rows.map(|row| self.tokens[row]).sum()
    }

    /// Trained tokens of all microbatches of a step.
    pub fn step_tokens(&self, step: u64) -> usize {
        self.tokens(step, (0..self.microbatches()).map(Number))
    }

    fn drawn(&self, step: u64, number: Number) -> Vec<usize> {
        let step = self.trained_before(step);
        if let Some(Apart {
            job, pipeline, own, ..
        }) = &self.apart
        {
            let size = self.rows_of_microbatch;
            let batch = size * self.sampling.microbatches;
            let mut rows = drawn(job, own, batch, (*pipeline, step));
            let first = size * number.index().min(self.sampling.microbatches);
            rows.drain(..first);
            rows.truncate(size);
            return rows;
        }
        let draw = step * u64::from(self.microbatches()) + u64::from(number.0);
        let rows = self.rows.rows();
        drawn_rows(
            self.sampling.key,
            draw as u32,
            self.rows_of_microbatch,
            rows,
        )
    }

    fn integers(&self, channel: &'static str, rows: &[usize]) -> Vec<i32> {
        self.words(channel, rows, u32::cast_signed)
    }

    fn words<T>(&self, channel: &'static str, rows: &[usize], read: fn(u32) -> T) -> Vec<T> {
        let length = self.rows.length();
        let words = self.rows.channels()[channel].words();
        let rows = rows
            .iter()
            .flat_map(|row| &words[row * length..(row + 1) * length]);
        rows.map(|word| read(*word)).collect()
    }
}

/// Queries of each row whose weight is not 0.
fn trained_tokens(rows: &DataSet) -> Vec<usize> {
    let weights = rows.channels()[LOSS_WEIGHT].words();
    let rows = weights.chunks(rows.length());
    let trained = |weight: &&u32| f32::from_bits(**weight) != 0.0;
    rows.map(|row| row.iter().filter(trained).count()).collect()
}
