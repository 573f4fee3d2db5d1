//! Every element of every operator against the engine's whole tensor.

mod cases;

use reproducible_ops::engine::reference::evaluate_operator;
use reproducible_ops::program::{DType, Elementwise, OPERATORS, OperatorRow, Shape, ValueId};
use reproducible_ops::random::Stream;

use super::*;
use crate::tensor;
use cases::{Case, LONG, product, reduction_of};

/// Cases drawn of each operator, and of each row of the elementwise table.
const DRAWS: usize = 24;
/// Elements tried of one case.
const ELEMENTS: usize = 40;

fn operation(case: &Case) -> Operation<'_> {
    let types: Vec<&TensorType> = case.operands.iter().map(Tensor::ty).collect();
    Operation::new(&case.node, &types).unwrap()
}

fn operands(case: &Case) -> Vec<&Tensor> {
    case.operands.iter().collect()
}

fn roots(case: &Case) -> Vec<Digest> {
    case.operands.iter().map(tensor::root).collect()
}

fn whole(case: &Case) -> Tensor {
    evaluate_operator(&case.node.operator, &operands(case)).unwrap()
}

/// All of a case's elements, or some of them.
fn elements(stream: &mut Stream, count: usize) -> Vec<usize> {
    match count <= ELEMENTS {
        true => (0..count).collect(),
        false => (0..ELEMENTS).map(|_| stream.index(count)).collect(),
    }
}

/// What prover and judge say alike, one of them from the openings that the other made.
fn verdict(case: &Case, roots: &[Digest], place: Place, claimed: u32) -> bool {
    let operation = operation(case);
    let (proved, openings) = operation.prove(place, claimed, &operands(case)).unwrap();
    let judged = operation.judge(place, claimed, roots, &openings).unwrap();
    assert_eq!(proved, judged);
    judged
}

/// The element's number, of which each block is checked on the way.
fn number(case: &Case, roots: &[Digest], element: usize, flip: u32) -> u32 {
    let operation = operation(case);
    let operands = operands(case);
    let mut level: Vec<u32> = (0..operation.blocks())
        .map(|part| {
            let place = Place { element, part };
            let mut prover = Prover::new(&operation.operands, &operands).unwrap();
            let number = operation.number(place, &mut prover).unwrap();
            if part < 3 {
                assert!(!verdict(case, roots, place, number));
                assert!(verdict(case, roots, place, number ^ flip));
            }
            number
        })
        .collect();
    while level.len() > 1 {
        let blocks = level.chunks(reduce::BLOCK);
        level = blocks.map(|block| operation.join(block).unwrap()).collect();
    }
    level[0]
}

fn check(stream: &mut Stream, case: &Case) {
    let (expected, roots) = (whole(case), roots(case));
    for element in elements(stream, expected.words().len()) {
        let flip = 1 << stream.index(32);
        let found = number(case, &roots, element, flip);
        let operator = case.node.operator.name();
        assert_eq!(found, expected.words()[element], "{operator}, {element}");
    }
}

#[test]
fn every_row_of_the_elementwise_table() {
    for &row in Elementwise::ALL {
        let mut stream = Stream::from_seed(row.name(), 1);
        for _ in 0..DRAWS {
            let case = Case::elementwise(&mut stream, row);
            check(&mut stream, &case);
        }
    }
}

#[test]
fn every_operator_on_whole_tensors() {
    let whole = |row: &&OperatorRow| !row.elementwise;
    for row in OPERATORS.iter().filter(whole) {
        let mut stream = Stream::from_seed(row.name, 2);
        for _ in 0..DRAWS {
            let case = Case::tensor(&mut stream, row.name);
            let case = case.unwrap_or_else(|| panic!("{} has no case", row.name));
            match row.name {
                "argmax" => check_argmax(&mut stream, &case),
                _ => check(&mut stream, &case),
            }
        }
    }
}

/// Each claim against each witness: only the right index stands against all.
fn check_argmax(stream: &mut Stream, case: &Case) {
    let (expected, roots) = (whole(case), roots(case));
    let length = case.operands[0].shape().last();
    let row = stream.index(expected.words().len());
    let words = &case.operands[0].words()[row * length..][..length];
    let right = expected.words()[row];
    for part in elements(stream, length) {
        let place = Place { element: row, part };
        assert!(!verdict(case, &roots, place, right));
    }
    let beyond = [length as u32, u32::MAX, 1 << 31];
    let claims = elements(stream, length)
        .into_iter()
        .map(|index| index as u32);
    for claimed in claims.chain(beyond).filter(|claimed| *claimed != right) {
        let part = witness(words, claimed).unwrap();
        let place = Place { element: row, part };
        assert!(verdict(case, &roots, place, claimed));
    }
    assert_eq!(witness(words, right), None);
}

#[test]
fn reductions_of_more_blocks_than_one_chain_joins() {
    let mut stream = Stream::from_seed("long reductions", 3);
    for operator in [Operator::Sum, Operator::ReduceMax] {
        let case = reduction_of(&mut stream, operator, LONG);
        assert_eq!(operation(&case).blocks(), 258);
        let expected = whole(&case);
        assert_eq!(number(&case, &roots(&case), 0, 1), expected.words()[0]);
    }
    let case = product(&mut stream, LONG);
    assert_eq!(number(&case, &roots(&case), 0, 1), whole(&case).words()[0]);
}

#[test]
fn the_chain_above_one_block_makes_no_negative_zero() {
    let tiny = |x: f32| Tensor::f32([1, 1], vec![x]).unwrap();
    let (a, b) = (tiny(-(2f32.powi(-100))), tiny(2f32.powi(-100)));
    let case = Case::new(Operator::MatmulNt, vec![a, b]);
    assert_eq!(number(&case, &roots(&case), 0, 1), 0);
    let operation = operation(&case);
    assert_eq!(operation.join(&[0x8000_0000]), Ok(0));
}

#[test]
fn a_witness_must_be_ahead() {
    let bits = |values: &[f32]| Tensor::f32([1, values.len()], values.to_vec()).unwrap();
    let ahead = |values: &[f32], claimed: u32, part: usize| {
        let case = Case::new(Operator::Argmax, vec![bits(values)]);
        verdict(&case, &roots(&case), Place { element: 0, part }, claimed)
    };
    assert!(ahead(&[-0.0, 0.0], 0, 1));
    assert!(!ahead(&[0.0, -0.0], 0, 1));
    assert!(ahead(&[1.0, 1.0], 1, 0));
    assert!(!ahead(&[1.0, 1.0], 0, 1));
    assert!(!ahead(&[1.0, 1.0], 0, 0));
    assert!(ahead(&[f32::INFINITY, f32::NAN], 0, 1));
    assert!(ahead(&[f32::NAN, -f32::NAN], 1, 0));
    assert!(!ahead(&[-f32::NAN, f32::NAN], 0, 1));
}

/// A case of three operands whose element 300 is read from the second tile of a row.
fn select() -> Case {
    let mut stream = Stream::from_seed("malformed", 4);
    let mut of = |dtype| cases::tensor(&mut stream, dtype, &[3, 300]);
    let operands = vec![of(DType::Bool), of(DType::F32), of(DType::F32)];
    Case::new(Operator::Select, operands)
}

const PLACE: Place = Place {
    element: 299,
    part: 0,
};

#[test]
fn openings_that_are_not_those_read_decide_nothing() {
    let case = select();
    let (operation, roots) = (operation(&case), roots(&case));
    let (_, openings) = operation.prove(PLACE, 0, &operands(&case)).unwrap();
    let judge = |openings: &[Opening]| operation.judge(PLACE, 0, &roots, openings);
    assert!(judge(&openings).is_ok());
    let miscounted = |given, read| Err(ElementError::Openings { given, read });
    assert_eq!(judge(&openings[..2]), miscounted(2, 3));
    let more = [&openings[..], &openings[..1]].concat();
    assert_eq!(judge(&more), miscounted(4, 3));
    let is_refused = |openings: &[Opening], at: usize| {
        let refusal = judge(openings).unwrap_err();
        assert!(matches!(refusal, ElementError::Opening { operand, .. } if operand == at));
    };
    let swapped = [&openings[1..2], &openings[..1], &openings[2..]].concat();
    is_refused(&swapped, 0);
    for operand in 0..3 {
        let mut changed = openings.clone();
        changed[operand].tile[7] ^= 1;
        is_refused(&changed, operand);
        let mut changed = openings.clone();
        changed[operand].siblings[1][9] ^= 1;
        is_refused(&changed, operand);
        let mut changed = openings.clone();
        changed[operand].tile.pop();
        is_refused(&changed, operand);
    }
}

#[test]
fn places_that_there_are_not_decide_nothing() {
    let case = select();
    let operation = operation(&case);
    let at = |element, part| operation.prove(Place { element, part }, 0, &operands(&case));
    let elements = 900;
    let element = 900;
    let beyond = ElementError::Element { element, elements };
    assert_eq!(at(900, 0), Err(beyond));
    let (part, parts) = (1, 1);
    assert_eq!(at(0, 1), Err(ElementError::Part { part, parts }));
    let other = &roots(&case)[..2];
    let (given, expected) = (2, 3);
    let missing = Err(ElementError::Count { given, expected });
    assert_eq!(operation.judge(PLACE, 0, other, &[]), missing);
}

#[test]
fn parts_of_reductions_and_rows_are_counted() {
    let row = |length| Tensor::zeros(TensorType::f32([1, length]));
    let at = |operator, length, claimed, part| {
        let case = Case::new(operator, vec![row(length)]);
        let proved = operation(&case).prove(Place { element: 0, part }, claimed, &operands(&case));
        proved.map(|(contradicted, openings)| (contradicted, openings.len()))
    };
    let none = |part, parts| Err(ElementError::Part { part, parts });
    assert_eq!(at(Operator::Sum, 0, 0, 0), Ok((false, 0)));
    assert_eq!(at(Operator::Sum, 0, 0, 1), none(1, 1));
    assert_eq!(at(Operator::Sum, 256, 0, 1), none(1, 1));
    assert_eq!(at(Operator::Sum, 257, 0, 1), Ok((false, 1)));
    assert_eq!(at(Operator::Sum, 257, 0, 2), none(2, 2));
    assert_eq!(at(Operator::Argmax, 7, 0, 6), Ok((false, 2)));
    assert_eq!(at(Operator::Argmax, 7, 0, 7), none(7, 7));
    assert_eq!(at(Operator::Argmax, 7, 7, 0), Ok((true, 0)));
    assert_eq!(at(Operator::Argmax, 7, 7, 1), none(1, 1));
}

#[test]
fn a_node_whose_types_do_not_fit_is_refused() {
    let case = select();
    let types: Vec<&TensorType> = case.operands.iter().map(Tensor::ty).collect();
    let refused = |node: &Node, types: &[&TensorType]| Operation::new(node, types).unwrap_err();
    let missing = refused(&case.node, &types[1..]);
    assert!(matches!(missing, ElementError::Count { .. }));
    let other = refused(&case.node, &[types[1], types[1], types[2]]);
    assert!(matches!(other, ElementError::Operands(_)));
    let node = Node {
        ty: TensorType::f32([300, 3]),
        ..case.node.clone()
    };
    assert!(matches!(
        refused(&node, &types),
        ElementError::Result { .. }
    ));
    let huge = TensorType::f32(Shape::new([1 << 31, 2]));
    let node = Node {
        operator: Operator::Sum,
        inputs: vec![ValueId(0)],
        ty: TensorType::f32([1 << 31, 1]),
    };
    assert!(matches!(
        refused(&node, &[&huge]),
        ElementError::TooLarge { .. }
    ));
}

#[test]
fn only_reductions_join_from_1_to_256_numbers() {
    let sum = Case::new(Operator::Sum, vec![Tensor::zeros(TensorType::f32([1]))]);
    let sum = operation(&sum);
    assert_eq!(sum.join(&[]), Err(ElementError::Numbers { given: 0 }));
    assert!(sum.join(&[0; 256]).is_ok());
    let given = 257;
    assert_eq!(sum.join(&[0; 257]), Err(ElementError::Numbers { given }));
    let select = select();
    let refused = operation(&select).join(&[0]);
    assert!(matches!(refused, Err(ElementError::Operator { .. })));
}
