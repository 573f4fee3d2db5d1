//! The CPU engine: vector kernels chosen at run time, every path with the same bits.

pub mod gemm;
pub mod path;

pub use path::Path;
