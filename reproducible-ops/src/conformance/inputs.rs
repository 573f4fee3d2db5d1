//! Fixed inputs: Philox numbers mixed with the values at which arithmetic goes wrong.

use crate::program::{DType, TensorType};
use crate::random::Stream;
use crate::tensor::Tensor;

/// f32 bits worth meeting often: zeros, subnormals, infinities, NaN, the largest and smallest
/// numbers, halves, and the thresholds of `exp` and `tanh`.
pub(super) const FLOAT_EDGES: [u32; 26] = [
    0x0000_0000,
    0x8000_0000,
    0x0000_0001,
    0x8000_0001,
    0x007f_ffff,
    0x807f_ffff,
    0x0080_0000,
    0x8080_0000,
    0x7f7f_ffff,
    0xff7f_ffff,
    0x7f80_0000,
    0xff80_0000,
    0x7fc0_0000,
    0x3f80_0000,
    0xbf80_0000,
    0x3f7f_ffff,
    0x3f00_0000,
    0xbfc0_0000,
    0x42b1_7217,
    0x42b1_7218,
    0xc2cf_f1b5,
    0x3f0c_cccd,
    0x4b80_0000,
    0x4f00_0000,
    0xcf00_0001,
    0x3f35_04f3,
];

/// How wild floats are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Edge values, any bits, and ordinary numbers.
    Any,
    /// Ordinary numbers of mixed magnitude only, so that the order of additions shows.
    Ordinary,
}

/// Deals inputs from one Philox stream.
pub(super) struct Inputs {
    stream: Stream,
}

impl Inputs {
    pub fn new(seed: u64) -> Self {
        Self {
            stream: Stream::from_seed("conformance", seed),
        }
    }

    /// A tensor of any type; integers lie between −3 and 12 with a few extremes.
    pub fn tensor(&mut self, ty: &TensorType, kind: Kind) -> Tensor {
        let mut tensor = Tensor::zeros(ty.clone());
        tensor
            .words_mut()
            .iter_mut()
            .for_each(|word| *word = self.word(ty.dtype, kind));
        tensor
    }

    fn word(&mut self, dtype: DType, kind: Kind) -> u32 {
        match (dtype, kind) {
            (DType::F32, Kind::Any) => any_float(&mut self.stream),
            (DType::F32, Kind::Ordinary) => ordinary(&mut self.stream),
            (DType::I32, _) => self.integer(),
            (DType::Bool, _) => self.stream.next_u32() & 1,
        }
    }

    fn integer(&mut self) -> u32 {
        match self.stream.next_u32() % 16 {
            0 => [i32::MIN, i32::MAX, -1, 0x0100_0001][self.stream.index(4)] as u32,
            _ => self.stream.range(-3, 12) as i32 as u32,
        }
    }
}

/// An edge value, any bits, or an ordinary number.
pub(super) fn any_float(stream: &mut Stream) -> u32 {
    match stream.next_u32() % 4 {
        0 => FLOAT_EDGES[stream.index(FLOAT_EDGES.len())],
        1 => stream.next_u32(),
        _ => ordinary(stream),
    }
}

/// Between −4 and 4 times a power of two from 2⁻⁸ to 2⁷.
fn ordinary(stream: &mut Stream) -> u32 {
    let scale = f32::from_bits((119 + stream.next_u32() % 16) << 23);
    ((stream.uniform() - 0.5) * 8.0 * scale).to_bits()
}
