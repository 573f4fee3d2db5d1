//! Every operator and each of its type rows: what the contract makes of an element is what the
//! engine makes of it.

use alloy::primitives::U256;
use contracts::bindings::Referee::{self, blocksCall, joinCall};
use reproducible_ops::conformance::vectors;
use reproducible_ops::engine::reference::evaluate_operator;
use reproducible_ops::program::{Elementwise, OPERATORS, Operator, OperatorRow, TensorType};
use reproducible_ops::random::Stream;
use reproducible_ops::scalar::reduce::BLOCK;
use reproducible_ops::tensor::Tensor;
use verde::element::{Place, Prover};

use crate::cases::{Case, LONG, product, reduction_of};
use crate::evm::Contract;
use crate::question::Site;

/// Elements tried of each operator and each row of the elementwise table.
const ELEMENTS: usize = 2_000;
/// Of them, elements of one case.
const OF_ONE_CASE: usize = 20;
/// Random vectors of an elementwise row, besides all combinations of its edge values.
const VECTORS: usize = 1_200;

struct Bench {
    contract: Contract,
    stream: Stream,
    tried: usize,
}

impl Bench {
    fn new(name: &str) -> Self {
        Self {
            contract: Contract::deploy(&Referee::BYTECODE),
            stream: Stream::from_seed(name, 7),
            tried: 0,
        }
    }

    /// The right bits stand, and no other bits do.
    fn compare(&mut self, site: &Site<'_>, place: Place, right: u32) {
        let flip = 1 << self.stream.index(32);
        for claimed in [right, right ^ flip] {
            let (question, contradicted) = site.ask(place, claimed);
            let answer = question.on_chain(&mut self.contract);
            let name = site.case.node.operator.name();
            assert_eq!(contradicted, claimed != right, "{name}: {question:?}");
            assert_eq!(answer.unwrap(), contradicted, "{name}: {question:?}");
        }
        self.tried += 1;
    }

    /// An element, some of its blocks, and how they are joined.
    fn element(&mut self, site: &Site<'_>, element: usize, expected: u32, most: usize) {
        let numbers = numbers(site, element);
        for _ in 0..most.min(numbers.len()) {
            let part = self.stream.index(numbers.len());
            self.compare(site, Place { element, part }, numbers[part]);
        }
        let mut level = numbers;
        while level.len() > 1 {
            let blocks = level.chunks(BLOCK);
            level = blocks.map(|numbers| self.join(site, numbers)).collect();
        }
        assert_eq!(level[0], expected);
    }

    fn join(&mut self, site: &Site<'_>, numbers: &[u32]) -> u32 {
        let call = joinCall {
            node: site.node.clone().into(),
            numbers: numbers.to_vec(),
        };
        let joined = self.contract.call(&call).unwrap();
        assert_eq!(Ok(joined), site.operation.join(numbers));
        joined
    }

    /// A case: the number of its blocks, and some of its elements.
    fn case(&mut self, case: &Case) {
        let site = Site::new(case);
        let call = blocksCall {
            node: site.node.clone().into(),
            headers: site
                .operands
                .iter()
                .map(|operand| operand.header())
                .collect(),
        };
        let blocks = self.contract.call(&call).unwrap();
        assert_eq!(blocks, U256::from(site.operation.blocks()));
        let expected = whole(case);
        let count = expected.words().len();
        for _ in 0..OF_ONE_CASE.min(2 * count) {
            let element = self.stream.index(count);
            match case.node.operator {
                Operator::Argmax => self.argmax(&site, element, expected.words()[element]),
                _ => self.element(&site, element, expected.words()[element], 2),
            }
        }
    }

    /// Claims against witnesses of one row: all of a short one.
    fn argmax(&mut self, site: &Site<'_>, row: usize, right: u32) {
        let length = site.case.operands[0].shape().last();
        let beyond = self.stream.next_u32().max(length as u32);
        let mut claims = vec![right, self.stream.index(length) as u32, beyond];
        let mut witnesses = vec![right as usize, self.stream.index(length), length - 1];
        if length < 4 {
            claims = (0..=length as u32).collect();
            witnesses = (0..length).collect();
        }
        for claimed in claims {
            for &part in &witnesses {
                let outside = claimed as usize >= length;
                let part = if outside { 0 } else { part };
                let place = Place { element: row, part };
                let (question, contradicted) = site.ask(place, claimed);
                let answer = question.on_chain(&mut self.contract).unwrap();
                assert_eq!(answer, contradicted, "{question:?}");
                let decisive = outside || part == right as usize;
                assert_eq!(answer, claimed != right && (decisive || answer));
                self.tried += 1;
            }
        }
    }
}

/// The numbers of an element's blocks.
fn numbers(site: &Site<'_>, element: usize) -> Vec<u32> {
    let types: Vec<&TensorType> = site.case.operands.iter().map(Tensor::ty).collect();
    let operands: Vec<&Tensor> = site.case.operands.iter().collect();
    let number = |part| {
        let mut prover = Prover::new(&types, &operands).unwrap();
        let place = Place { element, part };
        site.operation.number(place, &mut prover).unwrap()
    };
    (0..site.operation.blocks()).map(number).collect()
}

fn whole(case: &Case) -> Tensor {
    let operands: Vec<&Tensor> = case.operands.iter().collect();
    evaluate_operator(&case.node.operator, &operands).unwrap()
}

/// A case whose elements are vectors of the row: all combinations of edge values, then random ones.
fn of_vectors(row: Elementwise) -> (Case, Vec<u32>) {
    let vectors: Vec<_> = vectors(row, VECTORS).collect();
    let operands = row.operands().iter().enumerate();
    let operands = operands.map(|(operand, &dtype)| {
        let words = vectors.iter().map(|vector| vector.operands[operand]);
        let ty = TensorType::new(dtype, [vectors.len()]);
        Tensor::from_words(ty, words.collect()).unwrap()
    });
    let case = Case::new(row.operator(), operands.collect());
    (case, vectors.iter().map(|vector| vector.result).collect())
}

#[test]
fn every_row_of_the_elementwise_table() {
    for &row in Elementwise::ALL {
        let mut bench = Bench::new(row.name());
        let (case, results) = of_vectors(row);
        let site = Site::new(&case);
        for (element, &result) in results.iter().enumerate() {
            bench.compare(&site, Place { element, part: 0 }, result);
        }
        while bench.tried < ELEMENTS.max(results.len() + 200) {
            let case = Case::elementwise(&mut bench.stream, row);
            bench.case(&case);
        }
        println!("{}: {} elements", row.name(), bench.tried);
    }
}

#[test]
fn every_operator_on_whole_tensors() {
    let whole = |row: &&OperatorRow| !row.elementwise;
    for row in OPERATORS.iter().filter(whole) {
        let mut bench = Bench::new(row.name);
        while bench.tried < ELEMENTS {
            let case = Case::tensor(&mut bench.stream, row.name);
            bench.case(&case.unwrap_or_else(|| panic!("{} has no case", row.name)));
        }
        println!("{}: {} elements", row.name, bench.tried);
    }
}

#[test]
fn reductions_of_more_blocks_than_one_chain_joins() {
    let mut bench = Bench::new("long reductions");
    let cases = [
        reduction_of(&mut bench.stream, Operator::Sum, LONG),
        reduction_of(&mut bench.stream, Operator::ReduceMax, LONG),
        product(&mut bench.stream, LONG),
    ];
    for case in &cases {
        let site = Site::new(case);
        assert_eq!(site.operation.blocks(), 258);
        bench.element(&site, 0, whole(case).words()[0], 40);
    }
}
