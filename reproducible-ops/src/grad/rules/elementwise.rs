//! Elementwise rules. `d` is the gradient of the result `y`, `a` and `b` are the operands.

use crate::program::{Built, Comparison, Elementwise, Operator};

use super::{Emitter, Site};

pub(super) fn gradient(e: &mut Emitter, site: &Site<'_>, operand: usize) -> Option<Built> {
    use Elementwise::*;
    Some(match e.row(site)? {
        NegF32 => e.neg(site.gradient),
        AbsF32 => abs(e, site),
        SqrtF32 => sqrt(e, site),
        ExpF32 => e.mul(site.gradient, site.output),
        LogF32 => e.div(site.gradient, site.operands[0]),
        TanhF32 => tanh(e, site),
        CastF32ToF32 => Ok(site.gradient),
        AddF32 => Ok(site.gradient),
        SubF32 => sub(e, site, operand),
        MulF32 => e.mul(site.gradient, site.operands[1 - operand]),
        DivF32 => div(e, site, operand),
        MaxF32 => pick(e, site, operand, [0, 1]),
        MinF32 => pick(e, site, operand, [1, 0]),
        SelectF32 if operand > 0 => select(e, site, operand),
        // The condition of a selection, integers and bools: see the module documentation of `grad`.
        SelectF32 | SelectI32 | SelectBool => return None,
        NegI32 | AbsI32 | AddI32 | SubI32 | MulI32 | MaxI32 | MinI32 => return None,
        NotBool | AndBool | OrBool => return None,
        EqualF32 | EqualI32 | LessF32 | LessI32 | LessEqualF32 | LessEqualI32 => return None,
        CastF32ToI32 | CastF32ToBool => return None,
        CastI32ToF32 | CastI32ToI32 | CastI32ToBool => return None,
        CastBoolToF32 | CastBoolToI32 | CastBoolToBool => return None,
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
