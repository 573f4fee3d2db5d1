//! The contenders that are Python programs, on the same weights.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use reproducible_ops::engine::cpu::InstructionSet;
use serde_json::json;
use swarm_model::ModelConfig;

use super::run::{CHECKED, Run};
use crate::python::Contender;

/// What llama.cpp's logits may differ by: it rounds keys and values to f16, and weights to bf16
/// where it is told to.
const ROUNDING: f32 = 0.1;

/// Starts the contender of this name; `None` where Python lacks what it needs.
///
/// # Errors
/// It does not compute what we do: `logits` are ours behind [`CHECKED`].
pub fn start(
    python: &str,
    name: &str,
    (model, weights): (&ModelConfig, &Path),
    run: Run,
    threads: usize,
    logits: &[f32],
) -> Result<Option<Contender>> {
    let script = if name == "pytorch" {
        "decode.py"
    } else {
        "llama_decode.py"
    };
    let options = json!({
        "model": model,
        "weights": weights,
        "type": if name == "llama_bf16" { "bf16" } else { "f32" },
        "threads": threads,
        "batch": run.batch,
        "start": run.start,
        "tokens": run.tokens,
        "slots": run.slots,
        "check": CHECKED,
    });
    let contender = Contender::start(python, script, &options, InstructionSet::detect());
    if let Some(contender) = &contender {
        check(name, contender, logits)?;
    }
    Ok(contender)
}

/// Weights of PyTorch are random, as only its time counts; llama.cpp says its logits.
fn check(name: &str, contender: &Contender, ours: &[f32]) -> Result<()> {
    let Some(theirs) = contender.hello["logits"].as_array() else {
        return Ok(());
    };
    ensure!(
        theirs.len() <= ours.len(),
        "{name} has {} logits, we have {}",
        theirs.len(),
        ours.len()
    );
    for (theirs, ours) in theirs.iter().zip(ours) {
        let theirs = theirs.as_f64().context("a logit is no number")?;
        let apart = (theirs - f64::from(*ours)).abs();
        ensure!(
            apart < f64::from(ROUNDING),
            "a logit of {name} is {theirs}, ours is {ours}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_python_leaves_the_contender_out() {
        let model = ModelConfig::preset("nano").unwrap();
        let run = Run {
            batch: 1,
            start: 0,
            tokens: 1,
            slots: 8,
        };
        let given = (&model, Path::new("weights.safetensors"));
        let started = start("no-such-python", "llama_f32", given, run, 1, &[]).unwrap();
        assert!(started.is_none());
    }
}
