//! `Binary32.sol` against the law, `reproducible_ops::scalar`: at least 400,000 cases for each
//! operation, compared by their bits.

use crate::evm::Contract;
use crate::operands::{self, Family, Operands};
use crate::random::Random;
use Binary32Harness::{addCall, divCall, fmaCall, mulCall, sqrtCall, stepsCall, subCall};
use alloy::sol;
use alloy::sol_types::SolCall;
use reproducible_ops::conformance::vectors;
use reproducible_ops::program::Elementwise;
use reproducible_ops::scalar;
use revm::primitives::Bytes;

sol!(Binary32Harness, "artifacts/Binary32Harness.json");

/// Draws of one operation, over all its families.
const DRAWS: usize = 400_000;
/// Cases of one call.
const BATCH: usize = 5_000;

/// An operation, in the contract and in the law.
struct Operation<C> {
    name: &'static str,
    arity: usize,
    call: fn(Bytes) -> C,
    law: fn([f32; 3]) -> f32,
    families: &'static [Family],
}

fn addition(families: &'static [Family]) -> Operation<addCall> {
    Operation {
        name: "add",
        arity: 2,
        call: |operands| addCall { operands },
        law: |[a, b, _]| scalar::add(a, b),
        families,
    }
}

#[test]
fn add_is_the_law() {
    addition(&[
        operands::uniform,
        operands::ordinary,
        operands::tiny,
        operands::cancelling,
        operands::aligned_sum,
        operands::large_product,
    ])
    .check();
}

#[test]
fn sub_is_the_law() {
    Operation {
        name: "sub",
        arity: 2,
        call: |operands| subCall { operands },
        law: |[a, b, _]| scalar::sub(a, b),
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
fn mul_is_the_law() {
    Operation {
        name: "mul",
        arity: 2,
        call: |operands| mulCall { operands },
        law: |[a, b, _]| scalar::mul(a, b),
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

fn fused<C: SolCall<Return = Bytes>>(name: &'static str, call: fn(Bytes) -> C) -> Operation<C> {
    Operation {
        name,
        arity: 3,
        call,
        law: |[a, b, c]| scalar::fma(a, b, c),
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
}

#[test]
fn fma_is_the_law() {
    fused("fma", |operands| fmaCall { operands }).check();
}

/// What chains of it are made of.
#[test]
fn steps_are_the_law() {
    fused("steps", |operands| stepsCall { operands }).check();
}

#[test]
fn div_is_the_law() {
    Operation {
        name: "div",
        arity: 2,
        call: |operands| divCall { operands },
        law: |[a, b, _]| scalar::div(a, b),
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
fn sqrt_is_the_law() {
    Operation {
        name: "sqrt",
        arity: 1,
        call: |operands| sqrtCall { operands },
        law: |[a, _, _]| scalar::sqrt(a),
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
fn sqrt_is_the_law_on_every_significand() {
    let operation = Operation {
        name: "sqrt",
        arity: 1,
        call: |operands| sqrtCall { operands },
        law: |[a, _, _]| scalar::sqrt(a),
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

    /// Every pair of edge values (or every one, for a function of one operand), the operator
    /// table's vectors, then equal shares of the families.
    fn cases(&self) -> Vec<Operands> {
        let mut random = Random(0x5eed);
        let edges = operands::edges();
        let seconds = if self.arity == 1 { &edges[..1] } else { &edges };
        let pairs = edges
            .iter()
            .flat_map(|&a| seconds.iter().map(move |&b| [a, b, a ^ b]));
        let mut cases: Vec<Operands> = pairs.collect();
        cases.extend(self.table_cases());
        for family in self.families {
            cases.extend((0..DRAWS.div_ceil(self.families.len())).map(|_| family(&mut random)));
        }
        cases
    }

    /// The vectors of the operator of this name; fma is part of others and has none.
    fn table_cases(&self) -> Vec<Operands> {
        let row = Elementwise::ALL.iter().find(|row| row.name() == self.name);
        let vectors = row.into_iter().flat_map(|&row| vectors(row, BATCH));
        vectors
            .map(|vector| {
                let mut operands = [0; 3];
                operands[..self.arity].copy_from_slice(&vector.operands);
                operands
            })
            .collect()
    }

    /// Stops at the first case in which the contract's bits are not those of the law.
    fn check_batch(&self, contract: &mut Contract, cases: &[Operands]) {
        if let Some((case, [got, want])) = self.first_difference(contract, cases) {
            panic!(
                "{} of {:08x?}: {got:#010x}, not {want:#010x}",
                self.name,
                &case[..self.arity]
            );
        }
    }

    /// The first case in which the contract differs, with its bits and those of the law. A NaN of
    /// the law is canonical already.
    fn first_difference(
        &self,
        contract: &mut Contract,
        cases: &[Operands],
    ) -> Option<(Operands, [u32; 2])> {
        let operands = cases
            .iter()
            .flat_map(|case| &case[..self.arity])
            .flat_map(|x| x.to_be_bytes());
        let results = contract.call(&(self.call)(operands.collect())).unwrap();
        let (results, rest) = results.as_chunks();
        assert_eq!((results.len(), rest), (cases.len(), &[][..]));
        cases.iter().zip(results).find_map(|(case, bytes)| {
            let bits = [
                u32::from_be_bytes(*bytes),
                (self.law)(case.map(f32::from_bits)).to_bits(),
            ];
            (bits[0] != bits[1]).then_some((*case, bits))
        })
    }
}

/// The operator table has the names under which its vectors are looked up here.
#[test]
fn the_operator_table_has_vectors_for_the_contract_s_operations() {
    for name in ["add", "sub", "mul", "div", "sqrt"] {
        let row = Elementwise::ALL.iter().find(|row| row.name() == name);
        assert!(
            row.is_some_and(|&row| vectors(row, 1).next().is_some()),
            "{name}"
        );
    }
}

/// The comparison can fail: laws that are wrong in a single bit of rare cases are found out.
#[test]
fn a_wrong_law_is_noticed() {
    let wrong: [fn([f32; 3]) -> f32; 4] = [
        // Subnormal results become zero.
        |[a, b, _]| match scalar::add(a, b) {
            sum if sum.is_subnormal() => 0.0,
            sum => sum,
        },
        // The sign of a zero is lost.
        |[a, b, _]| match scalar::add(a, b) {
            0.0 => 0.0,
            sum => sum,
        },
        // A NaN keeps the payload of its operand.
        |[a, b, _]| match scalar::add(a, b).is_nan() && a.is_nan() {
            true => a,
            false => scalar::add(a, b),
        },
        // A tie is rounded away from zero: the exact sum of floats close to each other fits f64.
        |[a, b, _]| {
            let (sum, exact) = (scalar::add(a, b), f64::from(a) + f64::from(b));
            let next = f32::from_bits(sum.to_bits().wrapping_add(1));
            match sum.is_normal() && f64::from(sum) + f64::from(next) == 2.0 * exact {
                true => next,
                false => sum,
            }
        },
    ];
    for (number, law) in wrong.into_iter().enumerate() {
        let operation = Operation {
            law,
            ..addition(&[operands::uniform, operands::ordinary, operands::tiny])
        };
        let (mut contract, cases) = (operation.deploy(), operation.cases());
        let found = cases
            .chunks(BATCH)
            .any(|batch| operation.first_difference(&mut contract, batch).is_some());
        assert!(found, "wrong law {number} passes");
    }
}
