//! Where the time of a step goes, by kind of work: what the engine tells of its steps, timed.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use reproducible_ops::engine::cpu::{Observer, PlannedProduct, PlannedStep, StepKind};

use crate::samples::Samples;

/// Times the steps of every run.
pub struct Clock(Mutex<Times>);

/// What a [`Clock`] has seen.
#[derive(Clone, Debug)]
pub struct Times {
    /// When the last step ended.
    last: Instant,
    /// Steps of a plan and their seconds in the run under way, by kind.
    run: BTreeMap<StepKind, (usize, f64)>,
    /// Products of a plan with their number.
    products: Vec<(PlannedProduct, usize)>,
    /// Whether the run under way is the first, whose products are noted.
    is_first: bool,
}

impl Clock {
    pub fn new() -> Self {
        Self(Mutex::new(Times {
            last: Instant::now(),
            run: BTreeMap::new(),
            products: Vec::new(),
            is_first: true,
        }))
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Different products of the plan, and how many steps have each.
    pub fn products(&self) -> Vec<(PlannedProduct, usize)> {
        self.times().products.clone()
    }

    /// Adds the last run to the samples of each kind.
    pub fn push_to(&self, kinds: &mut BTreeMap<StepKind, Kind>) {
        for (&kind, &(steps, seconds)) in &self.times().run {
            let entry = kinds.entry(kind).or_default();
            entry.steps = steps;
            entry.seconds.push(seconds);
        }
    }
}

/// The steps of one kind.
#[derive(Clone, Debug, Default)]
pub struct Kind {
    /// Number of steps in a plan.
    pub steps: usize,
    /// Seconds of all of them, by run.
    pub seconds: Samples,
}

impl Observer for Clock {
    fn started(&self) {
        let mut times = self.times();
        times.is_first = times.products.is_empty();
        times.run.clear();
        times.last = Instant::now();
    }

    fn finished(&self, step: &PlannedStep) {
        let mut times = self.times();
        let seconds = times.last.elapsed().as_secs_f64();
        let entry = times.run.entry(step.kind).or_default();
        entry.0 += 1;
        entry.1 += seconds;
        if times.is_first {
            for product in &step.products {
                times.note(product);
            }
        }
        times.last = Instant::now();
    }
}

impl Times {
    fn note(&mut self, product: &PlannedProduct) {
        let known = self.products.iter_mut().find(|(known, _)| known == product);
        match known {
            Some((_, count)) => *count += 1,
            None => self.products.push((*product, 1)),
        }
    }
}
