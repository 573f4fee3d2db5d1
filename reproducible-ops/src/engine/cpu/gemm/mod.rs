//! Matrix multiplication `C = A · Bᵀ` in the ro1 order, with the same bits on every instruction set
//! and for every split over threads.
//!
//! # Order
//! For each output element the reduced axis is cut in blocks of [`K_BLOCK`] = 256. Inside a block
//! one chain `acc = fma(a_k, b_k, acc)` runs in ascending order from +0. Block results are combined
//! by one ascending chain of `add` from +0; more than 256 of them are combined 256 at a time, and
//! those results again. A single block is also added to +0: an `fma` whose product underflows can
//! leave −0 in the chain, and that last `add` is what makes trailing zeros change nothing. A NaN is
//! stored as `0x7fc00000`. `K = 0` gives +0.
//!
//! # How it is fast
//! Lanes and registers hold different *outputs*, never parts of one sum, so the order costs
//! nothing:
//!
//! ```text
//!            panel: 2 vectors of columns             one micro-tile: up to 14 rows x 2 vectors (AVX-512)
//!   Bᵀ      +--------+--------+--------+             for k in block:  load 2 vectors of Bᵀ,
//!   k-block |  [k][columns of the panel] |                              for each row: broadcast a, 2 fma
//!           +--------+--------+--------+             then C = C + tile, stored once per k-block
//!   A rows  x read in place, or copied to rows
//! ```
//!
//! `B` is packed in panels of one k-block each, unless its columns already lie side by side;
//! [`PackedB`] keeps the panels of a weight for many calls. With few rows a tile takes several
//! panels at once, which reads them at memory speed; a `B` of rows that only few rows of `A` read
//! (a token's scores over a cache of keys) is not packed but turned into columns in registers.
//!
//! # Limits
//! Operands are strided views into slices; all bounds are checked once in [`Gemm::new`]. Nothing
//! allocates after that.

mod blocking;
mod driver;
mod few;
mod isa;
mod kernel;
mod lanes;
#[cfg(target_arch = "aarch64")]
mod neon;
mod on_isa;
mod operand;
mod pack;
mod packed;
mod problem;
mod scratch;
mod split;
#[cfg(test)]
mod tests;
mod transpose;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use blocking::K_BLOCK;
pub use operand::{GemmError, Operand};
pub use packed::PackedB;
pub(in crate::engine::cpu) use packed::panel_columns;
pub use problem::{Gemm, Offsets, Rhs, Shape};
pub use scratch::GemmScratch;
pub use split::Bound;
pub(in crate::engine::cpu) use transpose::transpose;
