//! What the state of a training step is before the first step.

use crate::program::{Program, Role, TensorType};
use crate::tensor::Tensor;

/// State input of AdamW: β₁ to the number of steps done.
pub(super) const BETA1_POWER: &str = "adamw.beta1_power";
/// State input of AdamW: β₂ to the number of steps done.
pub(super) const BETA2_POWER: &str = "adamw.beta2_power";

/// The first value of every [`Role::State`] input, by name and in id order: zeros, but 1 for the
/// powers of AdamW.
pub fn initial_state(program: &Program) -> Vec<(String, Tensor)> {
    let state = program.inputs_with_role(Role::State);
    state
        .map(|(_, input)| (input.name.clone(), initial(&input.name, &input.ty)))
        .collect()
}

fn initial(name: &str, ty: &TensorType) -> Tensor {
    let mut tensor = Tensor::zeros(ty.clone());
    if [BETA1_POWER, BETA2_POWER].contains(&name) {
        tensor.words_mut().fill(1f32.to_bits());
    }
    tensor
}
