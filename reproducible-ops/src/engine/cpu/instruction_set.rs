//! Instruction sets that the CPU kernels are written for, and which of them this machine has.
//!
//! An instruction set only changes speed: every kernel gives the same bits on every instruction
//! set. Callers detect an instruction set once and pass it on; nothing here reads the environment.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// An instruction set that kernels are written for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum InstructionSet {
    /// Plain Rust with `f32::mul_add`: the definition of the bits, exact everywhere, slow.
    #[default]
    Scalar,
    /// x86-64 with AVX2, FMA and F16C: 8 lanes.
    Avx2,
    /// x86-64 with AVX-512 F, VL, DQ and BW: 16 lanes.
    Avx512,
    /// AArch64 with NEON: 4 lanes.
    Neon,
}

/// Why a text does not name an instruction set that can run here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InstructionSetError {
    /// No instruction set has this name.
    #[error("unknown instruction set `{0}`: use one of scalar, avx2, avx512, neon")]
    Unknown(String),
    /// The instruction set exists, but this machine lacks its instructions.
    #[error("instruction set `{wanted}` is not available on this machine: use one of {available}")]
    Unavailable {
        /// The instruction set that was asked for.
        wanted: InstructionSet,
        /// The instruction sets that can run here, separated by commas.
        available: String,
    },
}

impl InstructionSet {
    /// Every instruction set, slowest first.
    const ALL: [Self; 4] = [Self::Scalar, Self::Neon, Self::Avx2, Self::Avx512];

    /// The fastest instruction set of this machine.
    #[must_use]
    pub fn detect() -> Self {
        Self::ALL
            .into_iter()
            .rev()
            .find(|isa| isa.is_available())
            .unwrap_or(Self::Scalar)
    }

    /// Every instruction set that can run on this machine, slowest first;
    /// [`InstructionSet::Scalar`] always can.
    #[must_use]
    pub fn available() -> Vec<Self> {
        Self::ALL
            .into_iter()
            .filter(|isa| isa.is_available())
            .collect()
    }

    /// Whether this machine has the instructions of this instruction set.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            Self::Avx2 => has_avx2(),
            Self::Avx512 => has_avx512(),
            Self::Neon => cfg!(target_arch = "aarch64"),
        }
    }

    /// This instruction set if it can run here.
    ///
    /// # Errors
    /// [`InstructionSetError::Unavailable`] if the machine lacks its instructions.
    pub fn require(self) -> Result<Self, InstructionSetError> {
        if self.is_available() {
            return Ok(self);
        }
        let available: Vec<_> = Self::available().iter().map(ToString::to_string).collect();
        Err(InstructionSetError::Unavailable {
            wanted: self,
            available: available.join(", "),
        })
    }

    /// The name that [`FromStr`] reads.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
        }
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for InstructionSet {
    type Err = InstructionSetError;

    /// Reads the name of an instruction set that can run on this machine.
    fn from_str(text: &str) -> Result<Self, InstructionSetError> {
        let found = Self::ALL.into_iter().find(|isa| isa.name() == text);
        found
            .ok_or_else(|| InstructionSetError::Unknown(text.to_owned()))?
            .require()
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    has_avx2()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx2() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx512() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detected_one_is_the_last_available_one() {
        let available = InstructionSet::available();
        assert_eq!(available.first(), Some(&InstructionSet::Scalar));
        assert_eq!(available.last(), Some(&InstructionSet::detect()));
    }

    #[test]
    fn names_of_available_sets_read_back() {
        for isa in InstructionSet::available() {
            assert_eq!(isa.to_string().parse(), Ok(isa));
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "sse2".parse::<InstructionSet>().unwrap_err().to_string();
        assert!(
            error.contains("`sse2`") && error.contains("avx512"),
            "{error}"
        );
    }

    #[test]
    fn the_set_of_another_machine_is_refused_with_what_is_available() {
        let foreign = if cfg!(target_arch = "aarch64") {
            "avx2"
        } else {
            "neon"
        };
        let error = foreign.parse::<InstructionSet>().unwrap_err().to_string();
        assert!(
            error.contains(foreign) && error.contains("scalar"),
            "{error}"
        );
    }
}
