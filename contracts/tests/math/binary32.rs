//! `Binary32.sol` against the floating-point unit of the machine: at least 400,000 cases for each
//! operation.

use crate::evm::Contract;
use crate::operands::{self, Family, Operands};
use crate::random::Random;
use Binary32Harness::{addCall, divCall, fmaCall, mulCall, sqrtCall, subCall};
use alloy::sol;
use alloy::sol_types::SolCall;
use revm::primitives::Bytes;

sol!(Binary32Harness, "artifacts/Binary32Harness.json");

/// Draws of one operation, over all its families.
const DRAWS: usize = 400_000;
/// Cases of one call.
const BATCH: usize = 5_000;
const CANONICAL_NAN: u32 = 0x7fc0_0000;

/// An operation, in the contract and in the machine.
struct Operation<C> {
    name: &'static str,
    arity: usize,
    call: fn(Bytes) -> C,
    native: fn([f32; 3]) -> f32,
    families: &'static [Family],
}

#[test]
fn add_equals_the_machine() {
    Operation {
        name: "add",
        arity: 2,
        call: |operands| addCall { operands },
        native: |[a, b, _]| a + b,
        families: &[
            operands::uniform,
            operands::ordinary,
            operands::tiny,
            operands::cancelling,
            operands::aligned_sum,
            operands::large_product,
        ],
    }
    .check();
}

#[test]
fn sub_equals_the_machine() {
    Operation {
        name: "sub",
        arity: 2,
        call: |operands| subCall { operands },
        native: |[a, b, _]| a - b,
        families: &[
            operands::uniform,
            operands::ordinary,
            operands::tiny,
            operands::aligned_sum,
        ],
    }
    .check();
}

#[test]
fn mul_equals_the_machine() {
    Operation {
        name: "mul",
        arity: 2,
        call: |operands| mulCall { operands },
        native: |[a, b, _]| a * b,
        families: &[
            operands::uniform,
            operands::ordinary,
            operands::tiny,
            operands::small_product,
            operands::large_product,
        ],
    }
    .check();
}

#[test]
fn fma_equals_the_machine() {
    Operation {
        name: "fma",
        arity: 3,
        call: |operands| fmaCall { operands },
        native: |[a, b, c]| a.mul_add(b, c),
        families: &[
            operands::uniform,
            operands::corners,
            operands::ordinary,
            operands::tiny,
            operands::cancelling,
            operands::aligned_fma,
            operands::aligned_fma,
            operands::small_product,
            operands::large_product,
        ],
    }
    .check();
}

#[test]
fn div_equals_the_machine() {
    Operation {
        name: "div",
        arity: 2,
        call: |operands| divCall { operands },
        native: |[a, b, _]| a / b,
        families: &[
            operands::uniform,
            operands::ordinary,
            operands::tiny,
            operands::extreme_quotient,
            operands::near_multiple,
        ],
    }
    .check();
}

#[test]
fn sqrt_equals_the_machine() {
    Operation {
        name: "sqrt",
        arity: 1,
        call: |operands| sqrtCall { operands },
        native: |[a, _, _]| a.sqrt(),
        families: &[
            operands::uniform,
            operands::ordinary,
            operands::tiny,
            operands::near_square,
        ],
    }
    .check();
}

/// The root depends on the mantissa and on the parity of the exponent alone, so these are all cases
/// there are.
#[test]
#[ignore = "16.8 million cases, about a minute"]
fn sqrt_equals_the_machine_on_every_significand() {
    let operation = Operation {
        name: "sqrt",
        arity: 1,
        call: |operands| sqrtCall { operands },
        native: |[a, _, _]| a.sqrt(),
        families: &[],
    };
    let mut contract = operation.deploy();
    let cases: Vec<Operands> = (0x3f80_0000..0x4080_0000)
        .map(|bits| [bits, 0, 0])
        .collect();
    cases
        .chunks(BATCH)
        .for_each(|batch| operation.check_batch(&mut contract, batch));
}

impl<C> Operation<C>
where
    C: SolCall<Return = Bytes>,
{
    fn check(&self) {
        let mut contract = self.deploy();
        let cases = self.cases();
        cases
            .chunks(BATCH)
            .for_each(|batch| self.check_batch(&mut contract, batch));
        println!("{}: {} cases, no difference", self.name, cases.len());
    }

    fn deploy(&self) -> Contract {
        Contract::deploy(&Binary32Harness::BYTECODE)
    }

    /// Every pair of edge values (or every one, for a function of one operand), then equal shares
    /// of the families.
    fn cases(&self) -> Vec<Operands> {
        let mut random = Random(0x5eed);
        let edges = operands::edges();
        let seconds = if self.arity == 1 { &edges[..1] } else { &edges };
        let pairs = edges
            .iter()
            .flat_map(|&a| seconds.iter().map(move |&b| [a, b, a ^ b]));
        let mut cases: Vec<Operands> = pairs.collect();
        for family in self.families {
            cases.extend((0..DRAWS.div_ceil(self.families.len())).map(|_| family(&mut random)));
        }
        cases
    }

    fn check_batch(&self, contract: &mut Contract, cases: &[Operands]) {
        let operands = cases
            .iter()
            .flat_map(|case| &case[..self.arity])
            .flat_map(|x| x.to_be_bytes());
        let results = contract.call(&(self.call)(operands.collect())).unwrap();
        assert_eq!(results.len(), 4 * cases.len());
        for (case, got) in cases.iter().zip(results.chunks_exact(4)) {
            let want = canonical((self.native)(case.map(f32::from_bits)));
            let got = u32::from_be_bytes(got.try_into().unwrap());
            let operands = &case[..self.arity];
            assert_eq!(
                got, want,
                "{} of {operands:08x?}: {got:#010x}, not {want:#010x}",
                self.name
            );
        }
    }
}

/// The bits of a result, a NaN in its canonical form; asked of the bits, which no compiler reasons
/// away.
fn canonical(result: f32) -> u32 {
    let bits = result.to_bits();
    if bits & 0x7fff_ffff > 0x7f80_0000 {
        CANONICAL_NAN
    } else {
        bits
    }
}
