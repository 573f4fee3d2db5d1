//! Floats of two bytes, as most models are shipped, and the f32 that each of them is.

/// A float type of two bytes. Every value of it is exact in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HalfFormat {
    /// bfloat16: the upper half of an f32.
    Bf16,
    /// IEEE binary16: 1 sign, 5 exponent (bias 15) and 10 fraction bits.
    F16,
}

/// Bits of an exponent field of ones: those of infinity. What lies above is NaN.
const INFINITE: [u16; 2] = [0x7f80, 0x7c00];
/// Bits of the NaN that widens to the canonical one, `0x7fc00000`.
const CANONICAL_NAN: [u16; 2] = [0x7fc0, 0x7e00];

impl HalfFormat {
    /// Both, in the order of the tables above.
    pub const ALL: [Self; 2] = [Self::Bf16, Self::F16];

    /// The bits of the f32 of the same value. A NaN keeps sign and payload.
    ///
    /// ```
    /// use reproducible_ops::tensor::HalfFormat;
    ///
    /// assert_eq!(HalfFormat::Bf16.widen(0x3f80), 1f32.to_bits());
    /// // The smallest subnormal of binary16 is 2⁻²⁴.
    /// assert_eq!(HalfFormat::F16.widen(0x0001), 2f32.powi(-24).to_bits());
    /// ```
    #[inline(always)]
    pub fn widen(self, bits: u16) -> u32 {
        match self {
            Self::Bf16 => u32::from(bits) << 16,
            Self::F16 => widen_f16(bits),
        }
    }

    /// The same bits, any NaN as the one that widens to the canonical NaN.
    #[inline(always)]
    pub fn canonical(self, bits: u16) -> u16 {
        let at = self as usize;
        if bits & 0x7fff > INFINITE[at] {
            CANONICAL_NAN[at]
        } else {
            bits
        }
    }
}

#[inline(always)]
fn widen_f16(bits: u16) -> u32 {
    let (sign, exponent, fraction) = (
        u32::from(bits >> 15) << 31,
        u32::from(bits >> 10) & 0x1f,
        u32::from(bits) & 0x3ff,
    );
    let magnitude = match exponent {
        // Subnormal: a multiple of 2⁻²⁴, exact in f32.
        0 => (fraction as f32 * f32::from_bits(0x3380_0000)).to_bits(),
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    sign | magnitude
}

/// Numbers that are kept at two bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halves {
    format: HalfFormat,
    bits: Vec<u16>,
}

impl Halves {
    pub(super) fn new(format: HalfFormat, bits: Vec<u16>) -> Self {
        Self { format, bits }
    }

    /// What the bits mean.
    pub fn format(&self) -> HalfFormat {
        self.format
    }

    /// The numbers, row-major.
    pub fn bits(&self) -> &[u16] {
        &self.bits
    }

    /// Writes the f32 bits of numbers from `first` on over `to`.
    ///
    /// # Panics
    /// There are not so many.
    pub fn widen_into(&self, first: usize, to: &mut [u32]) {
        let bits = &self.bits[first..first + to.len()];
        for (word, &bits) in to.iter_mut().zip(bits) {
            *word = self.format.widen(bits);
        }
    }

    /// The f32 bits of all numbers.
    pub(super) fn widened(&self) -> Vec<u32> {
        let bits = self.bits.iter();
        bits.map(|&bits| self.format.widen(bits)).collect()
    }

    /// The largest magnitude, as f32 bits: infinity and then NaN lie behind all numbers.
    pub(super) fn largest(&self) -> u32 {
        let magnitudes = self.bits.iter().map(|bits| bits & 0x7fff);
        self.format.widen(magnitudes.fold(0, u16::max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What 16 bits mean by the definition of the format, in f64, in which all of it is exact.
    fn by_definition(format: HalfFormat, bits: u16) -> f64 {
        let (fraction_bits, bias) = match format {
            HalfFormat::Bf16 => (7, 127),
            HalfFormat::F16 => (10, 15),
        };
        let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
        let exponent = i32::from(bits & 0x7fff) >> fraction_bits;
        let fraction = f64::from(bits & ((1 << fraction_bits) - 1));
        let ulp = 2f64.powi(-fraction_bits);
        sign * match exponent {
            0 => fraction * ulp * 2f64.powi(1 - bias),
            exponent => (1.0 + fraction * ulp) * 2f64.powi(exponent - bias),
        }
    }

    #[test]
    fn every_half_is_the_f32_of_its_value() {
        for format in HalfFormat::ALL {
            for bits in 0..=u16::MAX {
                let found = f32::from_bits(format.widen(bits));
                let magnitude = bits & 0x7fff;
                let infinite = INFINITE[format as usize];
                if magnitude > infinite {
                    assert!(found.is_nan(), "{format:?} {bits:04x}");
                    assert_eq!(found.to_bits() >> 31, u32::from(bits >> 15));
                    assert_eq!(format.widen(format.canonical(bits)), 0x7fc0_0000);
                    continue;
                }
                assert_eq!(format.canonical(bits), bits);
                if magnitude == infinite {
                    assert!(found.is_infinite(), "{format:?} {bits:04x}");
                    continue;
                }
                let wanted = by_definition(format, bits) as f32;
                assert_eq!(
                    found.to_bits(),
                    wanted.to_bits(),
                    "{format:?} {bits:04x}: {found} is not {wanted}"
                );
            }
        }
    }
}
