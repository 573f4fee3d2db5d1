//! The products of a step, each alone on operands that lie side by side: what the matrix kernel
//! reaches, and so the limit of a step that had nothing else to do.

use std::time::Instant;

use anyhow::Result;
use reproducible_ops::engine::cpu::gemm::Shape;
use reproducible_ops::engine::cpu::{CpuEngine, InstructionSet, PlannedProduct};
use reproducible_ops::engine::{Engine, Session};
use reproducible_ops::program::{Builder, Operator, Program, Role, TensorType, TypeError, ValueId};
use reproducible_ops::random::Stream;
use reproducible_ops::tensor::Tensor;

/// Every different product of a plan.
pub struct Alone {
    products: Vec<Loaded>,
}

/// One product as a program of its own.
struct Loaded {
    session: Box<dyn Session>,
    /// How often a step needs it.
    count: usize,
    flops: f64,
}

impl Alone {
    /// Loads the products, and runs each once.
    pub fn new(
        products: &[(PlannedProduct, usize)],
        isa: InstructionSet,
        threads: usize,
    ) -> Result<Self> {
        let engine = CpuEngine::with_instruction_set(isa, threads)?;
        let load = |&(product, count): &(PlannedProduct, usize)| {
            let session = session(&engine, &product)?;
            let flops = product.flops();
            Ok(Loaded {
                session,
                count,
                flops,
            })
        };
        Ok(Self {
            products: products.iter().map(load).collect::<Result<_>>()?,
        })
    }

    /// Floating-point operations of a step's products.
    pub fn flops(&self) -> f64 {
        self.products
            .iter()
            .map(|product| product.flops * product.count as f64)
            .sum()
    }

    /// Seconds that the products of a step would take, each as fast as alone.
    pub fn measure(&mut self) -> Result<f64> {
        let mut seconds = 0.0;
        for product in &mut self.products {
            let start = Instant::now();
            product.session.run()?;
            seconds += start.elapsed().as_secs_f64() * product.count as f64;
        }
        Ok(seconds)
    }
}

fn session(engine: &CpuEngine, product: &PlannedProduct) -> Result<Box<dyn Session>> {
    let program = program(product)?;
    let mut session = engine.load(&program)?;
    let mut random = Stream::from_seed("experiments/step/alone", 1);
    for input in program.inputs() {
        let count = input.ty.shape.elements();
        let values = (0..count).map(|_| random.uniform() - 0.5).collect();
        session.write(&input.name, &Tensor::f32(input.ty.shape.clone(), values)?)?;
    }
    session.run()?;
    Ok(session)
}

/// The product as a program: an operand whose rows lie side by side is a transposed input.
fn program(product: &PlannedProduct) -> Result<Program, TypeError> {
    let mut builder = Builder::new();
    let Shape { m, n, k } = product.shape;
    let batch = product.batch;
    let a = operand(&mut builder, "a", [batch, m, k], product.a_by_rows)?;
    let b = operand(&mut builder, "b", [batch, n, k], product.b_by_rows)?;
    let c = builder.matmul_nt(a, b)?;
    builder.output("c", c);
    Ok(builder.finish())
}

fn operand(
    builder: &mut Builder,
    name: &str,
    [batch, rows, k]: [usize; 3],
    by_rows: bool,
) -> Result<ValueId, TypeError> {
    if by_rows {
        return Ok(builder.input(name, TensorType::f32([batch, rows, k]), Role::Data));
    }
    let columns = builder.input(name, TensorType::f32([batch, k, rows]), Role::Data);
    builder.push(Operator::Permute(vec![0, 2, 1]), &[columns])
}
