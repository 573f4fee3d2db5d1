//! The meaning of every scalar operation: the law that all engines, kernels and contracts are
//! tested against.
//!
//! * Numbers are IEEE-754 binary32, rounded to nearest even, with subnormals. A NaN result is
//!   always [`CANONICAL_NAN`]; inputs of a program are canonicalised with [`canon`] when they enter
//!   it, so operations that only move values (select, gather, reshape) need not look at them.
//! * [`add`], [`sub`], [`mul`], [`div`], [`sqrt`] and [`fma`] are the correctly rounded operations.
//!   [`exp`], [`log`] and [`tanh`] are fixed short programs of these and of integer operations on
//!   the bits; nothing here calls the platform's mathematical library.
//! * Every function is `#[inline(always)]`, free of branches and of tables. A plain loop over
//!   slices inside a function with `#[target_feature(enable = "avx512f,…")]` or `"avx2,fma"`
//!   therefore becomes vector code of that width, and the bits are equal by construction: it is the
//!   same code.
//! * Without hardware fused multiply-add, [`f32::mul_add`] is still exact (it becomes a call of the
//!   C library's `fmaf`), only slow. [`soft`] is the exact integer twin that depends on neither.
//!
//! | room | contents |
//! |---|---|
//! | `arithmetic` | the IEEE operations, `max`, `min`, `canon` |
//! | `functions` | `exp`, `log`, `tanh` |
//! | `activation` | `sigmoid`, `silu`, `gelu` as compositions |
//! | [`compare`] | comparisons and `select` |
//! | [`cast`] | conversions between f32, i32 and bool |
//! | [`int`] | wrapping i32 arithmetic |
//! | [`logic`] | `not`, `and`, `or` of bools |
//! | [`reduce`] | `dot`, `sum`, `max`, `argmax` along a slice |
//! | [`soft`] | the IEEE operations in integer arithmetic |

#[cfg(test)]
mod accuracy;
mod activation;
mod arithmetic;
pub mod cast;
pub mod compare;
mod functions;
pub mod int;
#[cfg(test)]
mod known_answers;
pub mod logic;
pub mod reduce;
pub mod soft;
#[cfg(test)]
mod width_tests;

pub use activation::{gelu, sigmoid, silu};
pub use arithmetic::{CANONICAL_NAN, abs, add, canon, div, fma, max, min, mul, neg, sqrt, sub};
pub use functions::{exp, log, tanh};
