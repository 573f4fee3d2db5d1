//! Questions of which something was changed: the contract decides what `verde` decides of the same
//! bytes, and reverts with a named error where `verde` decides nothing.

use contracts::bindings::Referee;
use reproducible_ops::program::{Elementwise, Node, OPERATORS, Program, TensorType};
use verde::element::{Operation, Place};

use crate::cases::Case;
use crate::evm::Contract;
use crate::question::{Question, Site};
use crate::random::Random;
use reproducible_ops::random::Stream;

/// Changed questions of each operator.
const CHANGES: usize = 300;
/// Of them, from one case.
const OF_ONE_CASE: usize = 30;

/// The kinds of change.
const KINDS: &[fn(&mut Random, &mut Question)] = &[
    node_bit,
    node_length,
    root,
    dtype,
    axis,
    rank,
    operands,
    tile_bit,
    tile_length,
    sibling_bit,
    sibling_count,
    openings,
    element,
    part,
    claimed,
];

#[test]
fn a_changed_question_is_answered_as_in_rust_or_refused() {
    let mut random = Random(11);
    let mut contract = Contract::deploy(&Referee::BYTECODE);
    let (mut decided, mut refused) = (0, 0);
    for name in OPERATORS.iter().map(|row| row.name) {
        let mut stream = Stream::from_seed(name, 8);
        for _ in 0..CHANGES / OF_ONE_CASE {
            let case = case(&mut stream, name);
            let site = Site::new(&case);
            for _ in 0..OF_ONE_CASE {
                let original = ask(&mut random, &site);
                let mut question = original.clone();
                random.pick(KINDS)(&mut random, &mut question);
                let expected = verdict(&site, &original, &question);
                let answer = question.on_chain(&mut contract);
                assert_eq!(
                    answer.as_ref().ok(),
                    expected.as_ref(),
                    "{answer:?}: {question:?}"
                );
                match expected {
                    Some(_) => decided += 1,
                    None => refused += 1,
                }
            }
        }
    }
    println!("{decided} decided, {refused} refused");
    assert!(decided > 1_000 && refused > 5_000);
}

/// The only refusal without a name is that of the call's own encoding.
#[test]
fn an_element_type_that_there_is_not_is_no_call() {
    let mut contract = Contract::deploy(&Referee::BYTECODE);
    let case = case(&mut Stream::from_seed("types", 9), "sum");
    let site = Site::new(&case);
    let mut headers = vec![site.operands[0].header()];
    let node: Vec<u8> = site.node.clone();
    let mut ask = |headers: &[Referee::Header]| {
        let (node, headers) = (node.clone().into(), headers.to_vec());
        contract.call(&Referee::blocksCall { node, headers })
    };
    assert!(ask(&headers).is_ok());
    headers[0].dtype = 3;
    assert!(ask(&headers).is_err());
}

fn case(stream: &mut Stream, name: &str) -> Case {
    let row = Elementwise::ALL
        .iter()
        .find(|row| row.operator().name() == name);
    match row {
        Some(&row) => Case::elementwise(stream, row),
        None => Case::tensor(stream, name).unwrap_or_else(|| panic!("{name} has no case")),
    }
}

/// Something that is well asked; the claimed bits are mostly wrong.
fn ask(random: &mut Random, site: &Site<'_>) -> Question {
    let element = random.word() as usize % site.case.node.ty.shape.elements();
    let part = random.word() as usize % site.operation.blocks();
    let claimed = random.pick(&[0, 1, 0x3f80_0000]);
    site.ask(Place { element, part }, claimed).0
}

/// What `verde` says of a changed question. The ids of a node's operands say nothing about the node
/// itself, so that a change there changes nothing.
fn verdict(site: &Site<'_>, original: &Question, changed: &Question) -> Option<bool> {
    let types: Option<Vec<TensorType>> = changed.operands.iter().map(|of| of.ty()).collect();
    let types = types?;
    let node = match only_ids_differ(site, original, changed) {
        true => site.case.node.clone(),
        false => decode(site, &changed.node)?,
    };
    let types: Vec<&TensorType> = types.iter().collect();
    let operation = Operation::new(&node, &types).ok()?;
    changed.in_rust(&operation)
}

fn only_ids_differ(site: &Site<'_>, original: &Question, changed: &Question) -> bool {
    let header = 5 + 4 * site.case.node.ty.shape.rank();
    let ids = 4 * site.operands.len();
    let length = original.node.len();
    let region = length - header - ids..length - header;
    let pairs = original.node.iter().zip(&changed.node).enumerate();
    let mut differing = pairs.filter(|(_, (one, other))| one != other);
    original.node.len() == changed.node.len() && differing.all(|(at, _)| region.contains(&at))
}

/// The node of a program in which these bytes stand for it.
fn decode(site: &Site<'_>, node: &[u8]) -> Option<Node> {
    let mut descriptors = site.program.descriptors();
    descriptors[1 + site.operands.len()] = node.to_vec();
    let mut bytes = Vec::new();
    for descriptor in descriptors {
        bytes.extend((descriptor.len() as u32).to_le_bytes());
        bytes.extend(descriptor);
    }
    Program::decode(&bytes)
        .ok()
        .map(|program| program.nodes()[0].clone())
}

// ---- changes; where there is nothing to change they do nothing

fn any_of<'a, T>(random: &mut Random, items: &'a mut [T]) -> Option<&'a mut T> {
    let count = items.len().max(1);
    items.get_mut(random.word() as usize % count)
}

fn flip(random: &mut Random, bytes: &mut [u8]) {
    let bit = random.between(0, 7);
    if let Some(byte) = any_of(random, bytes) {
        *byte ^= 1 << bit;
    }
}

fn resize(random: &mut Random, bytes: &mut Vec<u8>) {
    let length = bytes.len() as i32 + random.pick(&[-5, -4, -1, 1, 4, 7]);
    bytes.resize(length.max(0) as usize, 0);
}

fn node_bit(random: &mut Random, question: &mut Question) {
    flip(random, &mut question.node);
}

fn node_length(random: &mut Random, question: &mut Question) {
    resize(random, &mut question.node);
}

fn root(random: &mut Random, question: &mut Question) {
    if let Some(operand) = any_of(random, &mut question.operands) {
        flip(random, &mut operand.root);
    }
}

fn dtype(random: &mut Random, question: &mut Question) {
    if let Some(operand) = any_of(random, &mut question.operands) {
        operand.dtype = (operand.dtype + 1) % 3;
    }
}

fn axis(random: &mut Random, question: &mut Question) {
    let bit = random.between(0, 31);
    let operand = any_of(random, &mut question.operands);
    if let Some(length) = operand.and_then(|operand| any_of(random, &mut operand.shape)) {
        *length ^= 1 << bit;
    }
}

fn rank(random: &mut Random, question: &mut Question) {
    let more = random.between(0, 9) as usize;
    if let Some(operand) = any_of(random, &mut question.operands) {
        match more {
            0 => operand
                .shape
                .truncate(operand.shape.len().saturating_sub(1)),
            _ => operand.shape.extend(vec![1; more]),
        }
    }
}

fn operands(random: &mut Random, question: &mut Question) {
    let operands = &mut question.operands;
    match (random.bits() % 3, operands.first().cloned()) {
        (0, Some(first)) => operands.push(first),
        (1, _) => operands.truncate(operands.len().saturating_sub(1)),
        _ => operands.reverse(),
    }
}

fn tile_bit(random: &mut Random, question: &mut Question) {
    if let Some((tile, _)) = any_of(random, &mut question.openings) {
        flip(random, tile);
    }
}

fn tile_length(random: &mut Random, question: &mut Question) {
    if let Some((tile, _)) = any_of(random, &mut question.openings) {
        resize(random, tile);
    }
}

fn sibling_bit(random: &mut Random, question: &mut Question) {
    let opening = any_of(random, &mut question.openings);
    if let Some(hash) = opening.and_then(|(_, siblings)| any_of(random, siblings)) {
        flip(random, hash);
    }
}

fn sibling_count(random: &mut Random, question: &mut Question) {
    let more = random.bits() & 1 == 0;
    if let Some((_, siblings)) = any_of(random, &mut question.openings) {
        match more {
            true => siblings.push([7; 32]),
            false => siblings.truncate(siblings.len().saturating_sub(1)),
        }
    }
}

fn openings(random: &mut Random, question: &mut Question) {
    let openings = &mut question.openings;
    match random.bits() % 3 {
        0 => openings.push(openings.first().cloned().unwrap_or_default()),
        1 => openings.truncate(openings.len().saturating_sub(1)),
        _ => openings.reverse(),
    }
}

fn element(random: &mut Random, question: &mut Question) {
    question.element ^= 1 << random.between(0, 40);
}

fn part(random: &mut Random, question: &mut Question) {
    question.part ^= 1 << random.between(0, 40);
}

fn claimed(random: &mut Random, question: &mut Question) {
    question.claimed ^= 1 << random.between(0, 31);
}
