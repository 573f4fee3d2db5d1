//! One piece of safe code, compiled once per instruction set.
//!
//! A [`Task`] is ordinary Rust whose loops the compiler turns into vector instructions. Rust
//! neither contracts nor reorders floating-point operations, so every version gives the same bits;
//! only the width differs.
#![allow(unsafe_code)]

use super::instruction_set::InstructionSet;

/// Code that is to be compiled per instruction set: `run` and all it calls must be
/// `#[inline(always)]`.
pub(super) trait Task {
    fn run(self);
}

/// Runs a task in the version for `isa`.
pub(super) fn dispatch(isa: InstructionSet, task: impl Task) {
    match isa {
        // SAFETY: an `InstructionSet` other than `Scalar` is only used where the machine has its
        // instructions; see `InstructionSet::require`.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 => unsafe { avx512(task) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 => unsafe { avx2(task) },
        _ => task.run(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
fn avx512(task: impl Task) {
    task.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(task: impl Task) {
    task.run();
}

/// Asks for the cache lines of some words, which are read or written soon.
#[inline]
pub(super) fn prefetch(words: &[u32]) {
    #[cfg(target_arch = "x86_64")]
    for line in words.chunks(16) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch accesses no memory, and every x86-64 processor has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = words;
}
