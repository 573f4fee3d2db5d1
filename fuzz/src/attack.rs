//! Runs a target on mutated inputs, and judges each run.

use std::panic::{AssertUnwindSafe, catch_unwind};

use peak_alloc::PeakAlloc;
use reproducible_ops::random::Stream;

use crate::mutate::mutated;
use crate::targets::Target;

/// What a target withstood.
#[derive(Clone, Copy, Debug, Default)]
pub struct Withstood {
    /// Inputs that were tried.
    pub inputs: u64,
    /// Most memory that one of them took, in bytes.
    pub peak: usize,
}

/// An input that broke a target.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The input.
    pub input: Vec<u8>,
    /// What happened.
    pub what: String,
}

/// Tries inputs while `go_on`, which is told how many were tried. `memory` is the program's global
/// allocator.
///
/// # Errors
/// The first input on which the target panics or takes more memory than it may.
pub fn attack(
    target: &Target,
    seed: u64,
    memory: &PeakAlloc,
    mut go_on: impl FnMut(u64) -> bool,
) -> Result<Withstood, Broken> {
    let seeds = (target.seeds)();
    let mut random = Stream::from_seed(target.name, seed);
    let mut withstood = Withstood::default();
    while go_on(withstood.inputs) {
        let input = mutated(&seeds, &mut random);
        match tried(target, &input, memory) {
            Ok(bytes) => withstood.peak = withstood.peak.max(bytes),
            Err(what) => return Err(Broken { input, what }),
        }
        withstood.inputs += 1;
    }
    Ok(withstood)
}

/// Runs one input; the bytes that it took at most, or what broke.
fn tried(target: &Target, input: &[u8], memory: &PeakAlloc) -> Result<usize, String> {
    memory.reset_peak_usage();
    let before = memory.current_usage();
    let run = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let bytes = memory.peak_usage().saturating_sub(before);
    if let Err(panic) = run {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        return Err(format!(
            "panicked: {}",
            message.unwrap_or("without a message")
        ));
    }
    if bytes > target.memory {
        let limit = target.memory;
        return Err(format!("took {bytes} bytes, at most {limit} are allowed"));
    }
    Ok(bytes)
}
