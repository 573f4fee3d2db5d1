//! The libraries that are compared, each on the same operands in the same layout.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Mutex;

use anyhow::Result;
use burn::tensor::{Device, Tensor, TensorData};
use reproducible_ops::engine::cpu::InstructionSet;
use reproducible_ops::engine::cpu::gemm::{Gemm, GemmScratch, Offsets, PackedB, Rhs, Shape};

use super::cases::{Case, Data, operand};
use super::team::Team;

/// Keys of the contenders, ours first, in the order of [`all`].
pub const NAMES: [&str; 4] = ["ours", "gemm", "matrixmultiply", "burn_flex"];

/// One library on one case.
pub struct Contender<'a> {
    /// Computes the product.
    pub call: Box<dyn FnMut() + 'a>,
    /// Computes the product and returns it.
    pub result: Box<dyn FnMut() -> Vec<f32> + 'a>,
}

/// Every contender, in the order of [`NAMES`].
pub fn all<'a>(case: &'a Case, data: &'a Data, team: &'a Team) -> Result<Vec<Contender<'a>>> {
    Ok(vec![
        ours(case, data, team)?,
        gemm_crate(case, data, team),
        matrixmultiply(case, data),
        burn_flex(case, data),
    ])
}

/// A contender that writes into an output of its own.
fn writing<'a>(case: &Case, multiply: impl FnMut(&mut [f32]) + 'a) -> Contender<'a> {
    let len = case.batch * case.shape.m * case.shape.n;
    let state = Rc::new(RefCell::new((multiply, vec![0.0; len])));
    let again = Rc::clone(&state);
    let call = move || {
        let (multiply, c) = &mut *state.borrow_mut();
        multiply(c);
    };
    let result = move || {
        let (multiply, c) = &mut *again.borrow_mut();
        multiply(c);
        c.clone()
    };
    Contender {
        call: Box::new(call),
        result: Box::new(result),
    }
}

/// Strided operands, or the right one packed beforehand; bounds are checked in every call.
fn ours<'a>(case: &'a Case, data: &'a Data, team: &'a Team) -> Result<Contender<'a>> {
    let isa = InstructionSet::detect();
    let Shape { n, k, .. } = case.shape;
    let (a, b) = (
        operand(&data.a, case.a_strides()),
        operand(&data.b, case.b_strides()),
    );
    let packed = if case.weights {
        Some(PackedB::new(isa, b, n, k)?)
    } else {
        None
    };
    let scratches: Vec<_> = (0..team.threads())
        .map(|_| Mutex::new(GemmScratch::new()))
        .collect();
    Gemm::batched(isa, case.shape, a, Rhs::Strided(b), n, &data.offsets)?;
    Ok(writing(case, move |c| {
        let b = packed.as_ref().map_or(Rhs::Strided(b), Rhs::Packed);
        let gemm = Gemm::batched(isa, case.shape, a, b, n, &data.offsets);
        let run = gemm.and_then(|gemm| gemm.run_parallel(c, &scratches, |task| team.run(task)));
        run.unwrap_or_else(|error| panic!("the product that was checked before: {error}"));
    }))
}

/// `gemm` 0.19 with `x86-v4`, a call per product.
fn gemm_crate<'a>(case: &'a Case, data: &'a Data, team: &Team) -> Contender<'a> {
    let threads = team.threads();
    let parallelism = if threads > 1 {
        gemm::Parallelism::Rayon(threads)
    } else {
        gemm::Parallelism::None
    };
    writing(case, move |c| {
        data.offsets
            .iter()
            .for_each(|at| call_gemm(case, data, at, c, parallelism))
    })
}

fn call_gemm(
    case: &Case,
    data: &Data,
    at: &Offsets,
    c: &mut [f32],
    parallelism: gemm::Parallelism,
) {
    let Shape { m, n, k } = case.shape;
    let [[a_row, a_step], [b_row, b_step]] =
        [case.a_strides(), case.b_strides()].map(|s| s.map(usize::cast_signed));
    // SAFETY: `Data` holds whole matrices at these offsets with these strides, and `c` every
    // output.
    unsafe {
        let (a, b) = (data.a.as_ptr().add(at.a), data.b.as_ptr().add(at.b));
        let c = c.as_mut_ptr().add(at.c);
        gemm::gemm(
            m,
            n,
            k,
            c,
            1,
            n.cast_signed(),
            false,
            a,
            a_step,
            a_row,
            b,
            b_row,
            b_step,
            0.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// `matrixmultiply` 0.3, a call per product; its threads come from `MATMUL_NUM_THREADS`.
fn matrixmultiply<'a>(case: &'a Case, data: &'a Data) -> Contender<'a> {
    writing(case, move |c| {
        data.offsets
            .iter()
            .for_each(|at| call_matrixmultiply(case, data, at, c))
    })
}

fn call_matrixmultiply(case: &Case, data: &Data, at: &Offsets, c: &mut [f32]) {
    let Shape { m, n, k } = case.shape;
    let [[a_row, a_step], [b_row, b_step]] =
        [case.a_strides(), case.b_strides()].map(|s| s.map(usize::cast_signed));
    // SAFETY: `Data` holds whole matrices at these offsets with these strides, and `c` every
    // output.
    unsafe {
        let (a, b) = (data.a.as_ptr().add(at.a), data.b.as_ptr().add(at.b));
        let c = c.as_mut_ptr().add(at.c);
        matrixmultiply::sgemm(
            m,
            k,
            n,
            1.0,
            a,
            a_row,
            a_step,
            b,
            b_step,
            b_row,
            0.0,
            c,
            n.cast_signed(),
            1,
        );
    }
}

/// Burn flex: one batched tensor product; it allocates its output, as every Burn operation does.
fn burn_flex<'a>(case: &Case, data: &Data) -> Contender<'a> {
    let Shape { m, n, k } = case.shape;
    let device = Device::flex();
    let tensor = |values: &[f32], by_rows, rows, columns| {
        let shape = if by_rows {
            [case.batch, rows, columns]
        } else {
            [case.batch, columns, rows]
        };
        let tensor = Tensor::<3>::from_data(TensorData::new(values.to_vec(), shape), &device);
        if by_rows {
            tensor
        } else {
            tensor.swap_dims(1, 2)
        }
    };
    let a = tensor(&data.a, case.a_by_rows, m, k);
    let b = tensor(&data.b, case.b_by_rows, n, k).swap_dims(1, 2);
    let multiply = move || a.clone().matmul(b.clone());
    let again = multiply.clone();
    #[expect(clippy::expect_used, reason = "Burn multiplies f32 to f32")]
    let result = move || {
        let product = again().into_data().try_to_vec();
        product.expect("invariant: the product is f32")
    };
    Contender {
        call: Box::new(move || drop(multiply())),
        result: Box::new(result),
    }
}
