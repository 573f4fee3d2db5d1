//! Cross-entropy on given completions, appended to a forward program.
//!
//! `loss = Σ loss_weight · −logp(target) / token_count`; see [`super::head`] for inputs and
//! outputs.

use reproducible_ops::program::Program;

use super::head::{Head, HeadError};

/// The forward program with its cross-entropy.
///
/// # Errors
/// The program has no `logits` of shape `[rows, length, vocabulary]`.
pub fn cross_entropy(forward: &Program) -> Result<Program, HeadError> {
    let mut head = Head::new(forward)?;
    let negative = head.builder.neg(head.logp)?;
    let loss = head.token_mean(negative)?;
    Ok(head.finish(loss))
}
