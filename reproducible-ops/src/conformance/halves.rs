//! Products with a weight that is kept at two bytes a number, and look-ups of its rows.

use crate::program::{Builder, Operator, Role, TensorType, TypeError};
use crate::random::Stream;
use crate::tensor::{HalfFormat, Tensor};

use super::case::Case;
use super::inputs::Kind;

/// More rows than a panel of any instruction set, and more steps than a block.
const WEIGHT: [usize; 2] = [70, 300];
const ROWS: usize = 3;

/// A case for each format.
pub(super) fn cases() -> Result<[Case; 2], TypeError> {
    Ok([
        case("matmul_nt of bf16 weights", HalfFormat::Bf16)?,
        case("matmul_nt of f16 weights", HalfFormat::F16)?,
    ])
}

fn case(name: &'static str, format: HalfFormat) -> Result<Case, TypeError> {
    let mut b = Builder::new();
    let weight = b.input("weight", TensorType::f32(WEIGHT), Role::Param);
    let x = b.input("x", TensorType::f32([ROWS, WEIGHT[1]]), Role::Data);
    let ids = b.input("ids", TensorType::i32([ROWS]), Role::Data);
    let rows = b.push(Operator::GatherRows, &[weight, ids])?;
    let product = b.matmul_nt(x, weight)?;
    b.output("product", product);
    b.output("rows", rows);
    let mut case = Case::new(name, b.finish(), Kind::Ordinary);
    case.inputs[0] = weights(format);
    Ok(case)
}

/// Numbers below 4 of mixed magnitude, with zeros and subnormals; in a few rows any bits.
#[expect(
    clippy::expect_used,
    reason = "as many numbers are drawn as the shape has"
)]
fn weights(format: HalfFormat) -> Tensor {
    let mut stream = Stream::from_seed("conformance of halves", format as u64);
    let [rows, width] = WEIGHT;
    let bits = (0..rows * width).map(|index| {
        let bits = stream.next_u32() as u16;
        match (bits % 16, format) {
            (0, _) => bits & 0x8000,
            (1, _) if index / width % 16 == 3 => stream.next_u32() as u16,
            (1, HalfFormat::F16) => bits & 0x83ff,
            (1, HalfFormat::Bf16) => bits & 0x807f,
            (_, HalfFormat::F16) => bits & 0xbfff,
            (_, HalfFormat::Bf16) => (bits & 0x8000) | (0x3b00 + (bits & 0x03ff)),
        }
    });
    let bits = bits.collect();
    Tensor::from_halves(WEIGHT, format, bits).expect("invariant: as many as the shape has")
}
