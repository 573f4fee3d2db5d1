//! The rule of the matrix product `C = A · Bᵀ`.

use crate::program::{Built, Operator};

use super::{Emitter, Site};

/// `dA = dC · B`, as `dC · (Bᵀ)ᵀ`.
pub(super) fn left(e: &mut Emitter, site: &Site<'_>) -> Built {
    let b = e.transpose(site.operands[1])?;
    e.push(Operator::MatmulNt, &[site.gradient, b])
}

/// `dB = dCᵀ · A`, as `dCᵀ · (Aᵀ)ᵀ`. The transposes are nodes of their own, which engines fold into
/// packing.
pub(super) fn right(e: &mut Emitter, site: &Site<'_>) -> Built {
    let d = e.transpose(site.gradient)?;
    let a = e.transpose(site.operands[0])?;
    e.push(Operator::MatmulNt, &[d, a])
}
