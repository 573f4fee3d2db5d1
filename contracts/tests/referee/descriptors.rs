//! The descriptors that `test/Programs.t.sol` reads are those of a program.

use alloy::hex;
use reproducible_ops::program::{Builder, Role, TensorType};

/// As they are written out there: header, input, node and output.
const DESCRIPTORS: [&str; 4] = [
    "03000000726f31010000000100000001000000",
    "0100000078000200000002000000\
     2c01000002",
    "1701000000000000000002000000\
     0200000001000000",
    "010000007901000000",
];

#[test]
fn the_program_written_out_is_the_sum_of_x() {
    let mut builder = Builder::new();
    let x = builder.input("x", TensorType::f32([2, 300]), Role::Data);
    let y = builder.sum(x).unwrap();
    builder.output("y", y);
    let descriptors = builder.finish().descriptors();
    assert_eq!(
        descriptors,
        DESCRIPTORS.map(|text| hex::decode(text).unwrap())
    );
}
