//! From a model written in Burn to a [`Program`].
//!
//! ```text
//! Burn module ──parameters become inputs──▶ capture device ──operations──▶ translate ──▶ simplify ──▶ Program
//!      │                                        ▲
//!      └── parameters() ──▶ Weights             └ Recorder: data inputs, constants, outputs, our own operators
//! ```
//!
//! The forward function runs once on Burn's capture device, where tensors have a shape but no
//! value, and every operation is recorded. So the function may branch on shapes and configuration,
//! never on values. Parameters enter by name and shape only: recording a program copies no weight.
//!
//! ```
//! use burn::nn::LinearConfig;
//! use burn::prelude::*;
//! use reproducible_ops::{lower, program::Role};
//!
//! let model = LinearConfig::new(4, 2).init(&Device::flex());
//! let lowered = lower::lower(&model, |model, recorder| {
//!     let x = recorder.float::<2>("x", Role::Data, [3, 4]);
//!     recorder.output("y", model.forward(x));
//! })?;
//! assert!(lowered.program.input_named("weight").is_some());
//! let weights = lower::parameters(&model)?;
//! weights.check_against(&lowered.program).unwrap();
//! # Ok::<(), lower::LowerError>(())
//! ```
//!
//! # What is supported
//! | Burn | as primitives |
//! |---|---|
//! | `+ − ×` on float and int, `÷` on float, `neg abs clamp sign recip sqrt exp log tanh` | the operator; broadcasting becomes `expand` |
//! | `powi`, `powf` with an integer exponent of at most 16 in size, 0.5 or −0.5 | products, `sqrt`, division |
//! | `sum mean max min argmax argmin` over one axis, some or all; `any`, `all` | `permute`, reduction, division by the count |
//! | comparisons, `bool_and/or/xor/not`, `mask_where`, `mask_fill` | `compare`, `select` |
//! | `reshape swap_dims permute expand repeat slice slice_assign cat pad` | views, `concat`, `pad` |
//! | `select`, `gather`, `embedding` | `gather_rows`, `take_along_last`; an index out of range gives zeros |
//! | `matmul`, `linear`, `layer_norm` | `matmul_nt` over a permuted right side, and the formula |
//! | `softmax softmin log_softmax sigmoid relu leaky_relu hard_sigmoid` | their patterns |
//! | `zeros ones full arange`, tensors from data | `full`, `iota`, or a [`Role::Constant`] input |
//! | `int()` on floats | exact truncation toward zero, as Burn's (NaN gives 0) |
//! | [`ops`]: `update_rows`, `philox_uniform`, `one_hot` | the operator |
//!
//! Everything else is refused with [`LowerError::Unsupported`], which names the operator, the place
//! and a way out. Numbers are f32, i32 (Burn's wider integers are narrowed, constants checked) and
//! bool. Ties in `argmax` go to the lowest index, whatever a Burn backend does.
//!
//! # Limits
//! Modules with running state (batch norm) share it between clones and must not be lowered.
//! Building a graph needs unwinding panics: Burn reports mistakes in the forward function by
//! panicking, which becomes [`LowerError::Panicked`].
//!
//! [`Role::Constant`]: crate::program::Role::Constant
//! [`Program`]: crate::program::Program

mod constants;
mod error;
pub mod ops;
mod parameters;
mod record;
mod simplify;
mod translate;

pub use constants::burn_data;
pub use error::{LowerError, Place};
pub use parameters::parameters;
pub use record::{Recordable, Recorder};

use burn::module::Module;

use crate::program::Program;
use crate::weights::Weights;

/// A recorded model.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// Inputs in this order: the module's parameters (in module order, named by their Burn path),
    /// the inputs declared on the [`Recorder`] (in order of declaration, whether read or not), then
    /// embedded constants.
    pub program: Program,
    /// Values of the constants: those given to [`Recorder::constant`], and tensors that the
    /// function made from data (named `constant.0`, `constant.1`, … in order of use; a number is
    /// missing where nothing needs the tensor).
    pub constants: Weights,
}

/// Records `forward` and translates it.
///
/// # Errors
/// See [`LowerError`].
pub fn lower<M: Module>(
    model: &M,
    forward: impl FnOnce(&M, &mut Recorder),
) -> Result<Lowered, LowerError> {
    let recording = record::record(|recorder| {
        let placed = parameters::place_parameters(model, recorder);
        forward(&placed, recorder);
    })?;
    let (program, constants) = translate::translate(recording)?;
    Ok(Lowered { program, constants })
}

#[cfg(test)]
mod tests;
