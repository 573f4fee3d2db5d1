//! Patterns of several nodes that have a cheaper derivative as a whole.
//!
//! * **Softmax** `y = p / Σp`, `p = eˢ`: `ds = y · (d − Σ d·y)`. The rules of its nodes would
//!   divide once more per element and keep `p` alive until the backward pass.
//! * **Sigmoid** `y = 1 / (1 + e⁻ˣ)`: `dx = d · (y · (1 − y))`.
//! * **Shifts.** Softmax and log-softmax subtract the row maximum, which changes no result. Such a
//!   maximum is recognised by following what depends on it through the program: a value moves with
//!   the shift δ either as `v + kδ` or as `v · e^{kδ}`, and if everything that reaches the loss has
//!   k = 0, the maximum has no gradient.
//!
//! A pattern is used only where none of the values it steps over is differentiated by.

use std::collections::{BTreeSet, HashMap};

use crate::program::{Built, Node, Operator, Program, ValueId};

use super::emit::Emitter;
use super::site::Site;

/// A recognised function of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    Softmax,
    Sigmoid,
}

impl Pattern {
    /// Gradient of the loss by the pattern's argument.
    pub(super) fn gradient(self, e: &mut Emitter, site: &Site<'_>) -> Built {
        match self {
            Self::Softmax => softmax(e, site),
            Self::Sigmoid => sigmoid(e, site),
        }
    }
}

fn softmax(e: &mut Emitter, site: &Site<'_>) -> Built {
    let shape = e.shape_of(site.output);
    let weighted = e.mul(site.gradient, site.output)?;
    let mean = e.push(Operator::Sum, &[weighted])?;
    let mean = e.expand(mean, shape)?;
    let centred = e.sub(site.gradient, mean)?;
    e.mul(site.output, centred)
}

fn sigmoid(e: &mut Emitter, site: &Site<'_>) -> Built {
    let shape = e.shape_of(site.output);
    let one = e.full(1.0, shape)?;
    let rest = e.sub(one, site.output)?;
    let slope = e.mul(site.output, rest)?;
    e.mul(site.gradient, slope)
}

/// What was found in one program.
#[derive(Default)]
pub(super) struct Patterns {
    /// By the pattern's last node: its argument and what it is.
    heads: HashMap<ValueId, (ValueId, Pattern)>,
    /// Maxima that the loss does not depend on.
    shifts: BTreeSet<ValueId>,
}

impl Patterns {
    pub(super) fn find(program: &Program, loss: ValueId, wrt: &[ValueId]) -> Self {
        let nodes = || (0..program.nodes().len()).map(|index| program.id_of_node(index));
        let heads = nodes().filter_map(|id| {
            let (over, argument, pattern) = matched(program, id)?;
            let free = over.iter().all(|id| !wrt.contains(id));
            free.then_some((id, (argument, pattern)))
        });
        let tracer = Tracer::new(program, loss);
        let is_max = |id: &ValueId| matches!(operator(program, *id), Some(Operator::ReduceMax));
        let shifts = nodes().filter(is_max).filter(|&id| tracer.is_shift(id));
        Self {
            heads: heads.collect(),
            shifts: shifts.collect(),
        }
    }

    pub(super) fn at(&self, id: ValueId) -> Option<(ValueId, Pattern)> {
        self.heads.get(&id).copied()
    }

    pub(super) fn is_shift(&self, id: ValueId) -> bool {
        self.shifts.contains(&id)
    }
}

fn operator(program: &Program, id: ValueId) -> Option<&Operator> {
    program.node_of(id).map(|node| &node.operator)
}

/// The values stepped over, the argument and the pattern that ends in `id`.
fn matched(program: &Program, id: ValueId) -> Option<(Vec<ValueId>, ValueId, Pattern)> {
    let node = program.node_of(id)?;
    let (Operator::Div, &[above, below]) = (&node.operator, node.inputs.as_slice()) else {
        return None;
    };
    matched_softmax(program, above, below).or_else(|| matched_sigmoid(program, above, below))
}

/// `above = exp(s)`, `below = expand(sum(above))`.
fn matched_softmax(
    program: &Program,
    above: ValueId,
    below: ValueId,
) -> Option<(Vec<ValueId>, ValueId, Pattern)> {
    let argument = only_operand(program, above, |operator| matches!(operator, Operator::Exp))?;
    let total = only_operand(program, below, |operator| {
        matches!(operator, Operator::Expand(_))
    })?;
    let summed = only_operand(program, total, |operator| matches!(operator, Operator::Sum))?;
    (summed == above).then(|| (vec![above, below, total], argument, Pattern::Softmax))
}

/// `above = 1`, `below = 1 + exp(−x)`.
fn matched_sigmoid(
    program: &Program,
    above: ValueId,
    below: ValueId,
) -> Option<(Vec<ValueId>, ValueId, Pattern)> {
    let node = program.node_of(below)?;
    let (Operator::Add, &[one, exp]) = (&node.operator, node.inputs.as_slice()) else {
        return None;
    };
    let (one, exp) = if is_one(program, one) {
        (one, exp)
    } else {
        (exp, one)
    };
    let negated = only_operand(program, exp, |operator| matches!(operator, Operator::Exp))?;
    let argument = only_operand(program, negated, |operator| {
        matches!(operator, Operator::Neg)
    })?;
    let ones = is_one(program, above) && is_one(program, one);
    ones.then(|| {
        (
            vec![above, below, one, exp, negated],
            argument,
            Pattern::Sigmoid,
        )
    })
}

fn is_one(program: &Program, id: ValueId) -> bool {
    matches!(operator(program, id), Some(Operator::Full { bits, .. }) if *bits == 1f32.to_bits())
}

fn only_operand(
    program: &Program,
    id: ValueId,
    wanted: impl Fn(&Operator) -> bool,
) -> Option<ValueId> {
    let node = program.node_of(id).filter(|node| wanted(&node.operator))?;
    node.inputs.first().copied()
}

/// How a value changes when a row's shift grows by δ, the same δ for all elements of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Movement {
    /// `v + kδ`.
    Shift(i32),
    /// `v · e^{kδ}`.
    Scale(i32),
}

use Movement::{Scale, Shift};

/// Follows shifts from a value to the loss.
struct Tracer<'a> {
    program: &'a Program,
    loss: ValueId,
    /// Per value: the nodes on the way to the loss that read it.
    readers: Vec<Vec<ValueId>>,
}

impl<'a> Tracer<'a> {
    fn new(program: &'a Program, loss: ValueId) -> Self {
        let cone = program.cone(loss);
        let mut readers = vec![Vec::new(); program.value_count()];
        for (index, node) in program.nodes().iter().enumerate() {
            let id = program.id_of_node(index);
            if cone[id.index()] {
                node.inputs
                    .iter()
                    .for_each(|input| readers[input.index()].push(id));
            }
        }
        Self {
            program,
            loss,
            readers,
        }
    }

    /// Whether shifting every row of `origin` by its own amount leaves the loss as it is.
    fn is_shift(&self, origin: ValueId) -> bool {
        let mut moving = HashMap::from([(origin, Shift(1))]);
        let mut open: BTreeSet<ValueId> = self.readers[origin.index()].iter().copied().collect();
        while let Some(id) = open.pop_first() {
            match self.movement(id, &moving) {
                Some(Shift(0) | Scale(0)) => continue,
                Some(movement) => moving.insert(id, movement),
                None => return false,
            };
            open.extend(&self.readers[id.index()]);
        }
        !moving.contains_key(&self.loss)
    }

    /// How the value of a node moves, or `None` if in no way that is followed.
    fn movement(&self, id: ValueId, moving: &HashMap<ValueId, Movement>) -> Option<Movement> {
        let node = self.program.node_of(id)?;
        let of = |operand: usize| {
            node.inputs
                .get(operand)
                .and_then(|id| moving.get(id))
                .copied()
        };
        match (&node.operator, of(0), of(1)) {
            (Operator::Neg, Some(Shift(k)), _) => Some(Shift(-k)),
            (Operator::Exp, Some(Shift(k)), _) => Some(Scale(k)),
            (Operator::Log, Some(Scale(k)), _) => Some(Shift(k)),
            (Operator::Sum, Some(Scale(k)), _) => Some(Scale(k)),
            (Operator::Expand(_), Some(movement), _) => self.keeps_rows(node).then_some(movement),
            (Operator::Add, a, b) => Some(Shift(shift(a)?.checked_add(shift(b)?)?)),
            (Operator::Sub, a, b) => Some(Shift(shift(a)?.checked_sub(shift(b)?)?)),
            (Operator::Mul, a, b) => Some(Scale(scale(a)?.checked_add(scale(b)?)?)),
            (Operator::Div, a, b) => Some(Scale(scale(a)?.checked_sub(scale(b)?)?)),
            _ => None,
        }
    }

    /// Whether an expansion repeats only the last axis, so that rows stay apart.
    fn keeps_rows(&self, node: &Node) -> bool {
        let source = node.inputs.first().and_then(|&id| self.program.type_of(id));
        source.is_some_and(|source| source.shape.with_last(1) == node.ty.shape.with_last(1))
    }
}

/// The shift of an operand; one that does not move shifts by 0.
fn shift(movement: Option<Movement>) -> Option<i32> {
    match movement {
        None => Some(0),
        Some(Shift(k)) => Some(k),
        Some(Scale(_)) => None,
    }
}

/// The scale of an operand; one that does not move scales by e⁰.
fn scale(movement: Option<Movement>) -> Option<i32> {
    match movement {
        None => Some(0),
        Some(Scale(k)) => Some(k),
        Some(Shift(_)) => None,
    }
}
