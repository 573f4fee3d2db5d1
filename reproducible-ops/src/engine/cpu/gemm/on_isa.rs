//! From the instruction set that was chosen at run time to the [`Isa`](super::isa::Isa) that is
//! compiled for it.

/// Evaluates `$body` with `$isa` naming the [`Isa`] of an instruction set.
macro_rules! on_isa {
    ($set:expr, $isa:ident => $body:expr) => {
        match $set {
            #[cfg(target_arch = "x86_64")]
            $crate::engine::cpu::InstructionSet::Avx2 => {
                type $isa = $crate::engine::cpu::gemm::x86::Avx2;
                $body
            }
            #[cfg(target_arch = "x86_64")]
            $crate::engine::cpu::InstructionSet::Avx512 => {
                type $isa = $crate::engine::cpu::gemm::x86::Avx512;
                $body
            }
            #[cfg(target_arch = "aarch64")]
            $crate::engine::cpu::InstructionSet::Neon => {
                type $isa = $crate::engine::cpu::gemm::neon::Neon;
                $body
            }
            _ => {
                type $isa = $crate::engine::cpu::gemm::isa::Scalar;
                $body
            }
        }
    };
}
pub(super) use on_isa;
