//! Elementwise rules. `d` is the gradient of the result `y`, `a` and `b` are the operands.

use crate::program::{Built, Comparison, Elementwise as Row, Operator};

use super::{Emitter, Site};

pub(super) fn gradient(e: &mut Emitter, site: &Site<'_>, operand: usize) -> Option<Built> {
    Some(match e.row(site)? {
        Row::NegF32 => e.neg(site.gradient),
        Row::AbsF32 => abs(e, site),
        Row::SqrtF32 => sqrt(e, site),
        Row::ExpF32 => e.mul(site.gradient, site.output),
        Row::LogF32 => e.div(site.gradient, site.operands[0]),
        Row::TanhF32 => tanh(e, site),
        Row::CastF32ToF32 => Ok(site.gradient),
        Row::AddF32 => Ok(site.gradient),
        Row::SubF32 => sub(e, site, operand),
        Row::MulF32 => e.mul(site.gradient, site.operands[1 - operand]),
        Row::DivF32 => div(e, site, operand),
        Row::MaxF32 => pick(e, site, operand, [0, 1]),
        Row::MinF32 => pick(e, site, operand, [1, 0]),
        Row::SelectF32 if operand > 0 => select(e, site, operand),
        // The condition of a selection, integers and bools: see the module documentation of `grad`.
        Row::SelectF32 | Row::SelectI32 | Row::SelectBool => return None,
        Row::NegI32
        | Row::AbsI32
        | Row::AddI32
        | Row::SubI32
        | Row::MulI32
        | Row::MaxI32
        | Row::MinI32 => return None,
        Row::NotBool | Row::AndBool | Row::OrBool => return None,
        Row::EqualF32
        | Row::EqualI32
        | Row::LessF32
        | Row::LessI32
        | Row::LessEqualF32
        | Row::LessEqualI32 => return None,
        Row::CastF32ToI32 | Row::CastF32ToBool => return None,
        Row::CastI32ToF32 | Row::CastI32ToI32 | Row::CastI32ToBool => return None,
        Row::CastBoolToF32 | Row::CastBoolToI32 | Row::CastBoolToBool => return None,
    })
}

/// `d · sign(a)`, 0 at 0 and at NaN.
fn abs(e: &mut Emitter, site: &Site<'_>) -> Built {
    let a = site.operands[0];
    let zero = e.zeros_like(a)?;
    let negative = e.push(Operator::Compare(Comparison::Less), &[a, zero])?;
    let positive = e.push(Operator::Compare(Comparison::Less), &[zero, a])?;
    let flipped = e.neg(site.gradient)?;
    let kept = e.keep_where(positive, site.gradient)?;
    e.push(Operator::Select, &[negative, flipped, kept])
}

/// `d / 2y`; `y + y` is exactly `2y`.
fn sqrt(e: &mut Emitter, site: &Site<'_>) -> Built {
    let twice = e.add(site.output, site.output)?;
    e.div(site.gradient, twice)
}

/// `d · (1 − y²)`.
fn tanh(e: &mut Emitter, site: &Site<'_>) -> Built {
    let shape = e.shape_of(site.output);
    let one = e.full(1.0, shape)?;
    let square = e.mul(site.output, site.output)?;
    let slope = e.sub(one, square)?;
    e.mul(site.gradient, slope)
}

/// `d`, `−d`.
fn sub(e: &mut Emitter, site: &Site<'_>, operand: usize) -> Built {
    match operand {
        0 => Ok(site.gradient),
        _ => e.neg(site.gradient),
    }
}

/// `d / b`, `−(d / b) · y`: the quotients of both passes are reused.
fn div(e: &mut Emitter, site: &Site<'_>, operand: usize) -> Built {
    let over = e.div(site.gradient, site.operands[1])?;
    if operand == 0 {
        return Ok(over);
    }
    let scaled = e.mul(over, site.output)?;
    e.neg(scaled)
}

/// `d` to the second operand where it is strictly beyond the first, else to the first. `order`
/// holds the positions of the operands whose comparison `less` says so.
fn pick(e: &mut Emitter, site: &Site<'_>, operand: usize, order: [usize; 2]) -> Built {
    let [low, high] = order.map(|position| site.operands[position]);
    let second_wins = e.push(Operator::Compare(Comparison::Less), &[low, high])?;
    match operand {
        0 => e.drop_where(second_wins, site.gradient),
        _ => e.keep_where(second_wins, site.gradient),
    }
}

/// `d` where the operand was selected.
fn select(e: &mut Emitter, site: &Site<'_>, operand: usize) -> Built {
    match operand {
        1 => e.keep_where(site.operands[0], site.gradient),
        _ => e.drop_where(site.operands[0], site.gradient),
    }
}
