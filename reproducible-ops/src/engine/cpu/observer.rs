//! What the steps of a plan are, told to whoever measures them; the engine itself knows no time.
//!
//! ```text
//! run: started ─▶ step ─▶ finished(step) ─▶ step ─▶ finished(step) ─▶ …      on the thread that runs the steps
//! ```

use std::fmt::Write;

use crate::program::ValueId;

use super::gemm::Shape;
use super::rows::{Code, RowKernel};
use super::step::{Matmul, Step};

/// Told about every step of the sessions of an engine: see [`CpuEngine::observed`].
///
/// [`CpuEngine::observed`]: super::CpuEngine::observed
pub trait Observer: Send + Sync {
    /// A run begins.
    fn started(&self);
    /// A step is done; those of a run come one after the other.
    fn finished(&self, step: &PlannedStep);
}

/// What kind of work a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum StepKind {
    /// One matrix product.
    Product,
    /// A batch of matrix products: attention.
    BatchedProduct,
    /// Rows with a sum or a maximum: softmax, norms, the loss.
    Reduction,
    /// Elementwise chains.
    Elementwise,
    /// Elementwise chains that make the next value of an input: the optimizer.
    Update,
    /// Elements moved, nothing computed: layouts, slices put together, rows looked up or replaced.
    Copy,
    /// Random numbers.
    Random,
}

impl StepKind {
    /// The name that tables use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Product => "products",
            Self::BatchedProduct => "batched products",
            Self::Reduction => "rows with reductions",
            Self::Elementwise => "elementwise",
            Self::Update => "optimizer",
            Self::Copy => "copies",
            Self::Random => "random numbers",
        }
    }
}

/// A batch of products of one shape, and how their operands lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlannedProduct {
    /// Number of products.
    pub batch: usize,
    /// Sizes of each.
    pub shape: Shape,
    /// Whether A's steps of k lie side by side; otherwise its rows do.
    pub a_by_rows: bool,
    /// Whether B's steps of k lie side by side; otherwise its rows do.
    pub b_by_rows: bool,
}

impl PlannedProduct {
    /// Floating-point operations: two for each multiply-add.
    #[must_use]
    pub fn flops(&self) -> f64 {
        let Shape { m, n, k } = self.shape;
        2.0 * self.batch as f64 * m as f64 * n as f64 * k as f64
    }
}

/// A step of a loaded program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedStep {
    /// Its place in the plan.
    pub index: usize,
    /// What kind of work it is.
    pub kind: StepKind,
    /// The products that it computes.
    pub products: Vec<PlannedProduct>,
    /// Sizes and operators, for people.
    pub text: String,
}

impl PlannedStep {
    /// The description of a step. `becomes_input` says whether a buffer holds the next value of an
    /// input.
    pub(super) fn new(index: usize, step: &Step, becomes_input: impl Fn(ValueId) -> bool) -> Self {
        let (kind, products, text) = match step {
            Step::Rows(kernel) => {
                let updates = kernel.outputs.iter().any(|(id, _)| becomes_input(*id));
                (rows_kind(kernel, updates), Vec::new(), rows_text(kernel))
            }
            Step::Matmul(matmul) => {
                let product = product(matmul);
                let kind = if product.batch == 1 {
                    StepKind::Product
                } else {
                    StepKind::BatchedProduct
                };
                (kind, vec![product], product_text(matmul))
            }
            Step::Gather(step) => copy(format!("gather of rows of {}", step.width)),
            Step::TakeMany(step) => copy(format!("{} of each row of {}", step.picks, step.length)),
            Step::Paste(step) => copy(format!("paste of {}", step.operands.len())),
            Step::UpdateRows(step) => copy(format!("{} rows of {}", step.count, step.width)),
            Step::Philox(step) => (
                StepKind::Random,
                Vec::new(),
                format!("rows of {}", step.lanes),
            ),
        };
        Self {
            index,
            kind,
            products,
            text,
        }
    }
}

fn copy(text: String) -> (StepKind, Vec<PlannedProduct>, String) {
    (StepKind::Copy, Vec::new(), text)
}

fn rows_kind(kernel: &RowKernel, updates: bool) -> StepKind {
    let codes = || {
        kernel
            .instructions
            .iter()
            .map(|instruction| &instruction.code)
    };
    let reduces = |code: &Code| matches!(code, Code::Sum | Code::Max | Code::Argmax);
    if codes().any(reduces) {
        StepKind::Reduction
    } else if codes().all(|code| matches!(code, Code::Load(_) | Code::Copy)) {
        StepKind::Copy
    } else if updates {
        StepKind::Update
    } else {
        StepKind::Elementwise
    }
}

fn rows_text(kernel: &RowKernel) -> String {
    let mut text = format!(
        "{}×{}, {} read, {} written:",
        kernel.rows,
        kernel.cols,
        kernel.loads.len(),
        kernel.outputs.len()
    );
    for instruction in &kernel.instructions {
        let name = match &instruction.code {
            Code::Load(_) => "load",
            Code::Copy => "copy",
            Code::Elementwise(row) => row.name(),
            Code::OneHot => "one_hot",
            Code::Sum => "sum",
            Code::Max => "max",
            Code::Argmax => "argmax",
            Code::Pick => "pick",
            Code::Rotate(_) => "rotate",
        };
        // A `String` takes whatever is written to it.
        let _ = write!(text, " {name}");
    }
    text
}

fn product(matmul: &Matmul) -> PlannedProduct {
    let &Matmul { m, n, k, .. } = matmul;
    PlannedProduct {
        batch: matmul.batches.len(),
        shape: Shape { m, n, k },
        a_by_rows: matmul.a.k_stride == 1 || k == 1,
        b_by_rows: matmul.b.k_stride == 1 || k == 1,
    }
}

fn product_text(matmul: &Matmul) -> String {
    let Matmul { m, n, k, a, b, .. } = matmul;
    format!(
        "{} of {m}×{n}×{k}, A by ({}, {}), B by ({}, {})",
        matmul.batches.len(),
        a.row_stride,
        a.k_stride,
        b.row_stride,
        b.k_stride
    )
}
