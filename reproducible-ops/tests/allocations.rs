//! A session whose threads have begun runs without allocating, on one thread and on two.

#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use reproducible_ops::engine::Engine;
use reproducible_ops::engine::cpu::CpuEngine;
use reproducible_ops::optim::{AdamW, LEARNING_RATE, TrainStep, initial_state};
use reproducible_ops::program::{
    Builder, Operator, Program, Role, Shape, TensorType, TypeError, ValueId,
};
use reproducible_ops::tensor::Tensor;

/// Counts what the whole process allocates: every thread of the engine is included.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the caller's promise is that of `System`.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the caller's promise is that of `System`.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }

    // SAFETY: the caller's promise is that of `System`.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Runs before allocations are counted. The first makes what later ones use; a thread allocates
/// once when it waits for another the first time, which under load need not be in the first run.
const BEGINNING: usize = 20;
const TOKENS: usize = 160;
const WIDTH: usize = 96;
const VOCABULARY: usize = 100;
const MEMORY: usize = 200;

/// Embedding, a memory of earlier rows, RMSNorm, attention over the memory, SiLU, cross-entropy.
fn forward() -> Result<Program, TypeError> {
    let mut b = Builder::new();
    let table = b.input("table", TensorType::f32([VOCABULARY, WIDTH]), Role::Param);
    let gain = b.input("gain", TensorType::f32([WIDTH]), Role::Param);
    let weight = b.input("weight", TensorType::f32([2 * WIDTH, WIDTH]), Role::Param);
    let back = b.input("back", TensorType::f32([WIDTH, 2 * WIDTH]), Role::Param);
    let memory = b.input("memory", TensorType::f32([MEMORY, WIDTH]), Role::State);
    let ids = b.input("ids", TensorType::i32([TOKENS]), Role::Data);
    let at = b.input("at", TensorType::i32([]), Role::Data);
    let x = b.push(Operator::GatherRows, &[table, ids])?;
    let first = b.push(
        Operator::Slice {
            starts: vec![0, 0],
            ends: vec![1, WIDTH],
        },
        &[x],
    )?;
    let next = b.push(Operator::UpdateRows, &[memory, first, at])?;
    b.output("memory", next);
    let normed = rms_norm(&mut b, x, gain)?;
    let scores = b.matmul_nt(normed, memory)?;
    let shares = b.softmax(scores)?;
    let values = b.transpose(memory)?;
    let read = b.matmul_nt(shares, values)?;
    let x = b.add(x, read)?;
    let twice = b.push(Operator::Concat { axis: 0 }, &[x, normed])?;
    let inner = b.matmul_nt(twice, weight)?;
    let active = b.silu(inner)?;
    let out = b.matmul_nt(active, back)?;
    let logits = b.matmul_nt(out, table)?;
    let log_p = b.log_softmax(logits)?;
    let doubled = b.push(Operator::Concat { axis: 0 }, &[ids, ids])?;
    let column = b.reshape(doubled, [2 * TOKENS, 1])?;
    let chosen = b.push(Operator::TakeAlongLast, &[log_p, column])?;
    let total = b.sum_all(chosen)?;
    let loss = b.neg(total)?;
    b.output("loss", loss);
    Ok(b.finish())
}

fn rms_norm(b: &mut Builder, x: ValueId, gain: ValueId) -> Result<ValueId, TypeError> {
    let shape = b.shape_of(x).clone();
    let square = b.mul(x, x)?;
    let sum = b.sum(square)?;
    let (count, tiny) = (b.full_like(WIDTH as f32, sum)?, b.full_like(1e-6, sum)?);
    let mean = b.div(sum, count)?;
    let mean = b.add(mean, tiny)?;
    let root = b.sqrt(mean)?;
    let root = b.expand(root, shape.clone())?;
    let normed = b.div(x, root)?;
    let gain = b.broadcast(gain, shape)?;
    b.mul(normed, gain)
}

/// Something small and not constant for every input.
fn start(program: &Program) -> Vec<(String, Tensor)> {
    let mut all = initial_state(program);
    for input in program
        .inputs()
        .iter()
        .filter(|input| input.role != Role::State)
    {
        let mut tensor = Tensor::zeros(input.ty.clone());
        let is_float = input.ty.dtype == reproducible_ops::program::DType::F32;
        for (index, word) in tensor.words_mut().iter_mut().enumerate() {
            let number = index % 7;
            *word = if is_float {
                ((number as f32 - 3.0) * 0.05).to_bits()
            } else {
                number as u32
            };
        }
        all.push((input.name.clone(), tensor));
    }
    all.push((
        LEARNING_RATE.into(),
        Tensor::f32(Shape::scalar(), vec![1e-3]).unwrap(),
    ));
    all
}

/// One test, so that no other test of this binary allocates meanwhile.
#[test]
fn a_step_after_the_beginning_allocates_nothing() {
    let step =
        TrainStep::assemble(&forward().unwrap(), "loss", &AdamW::default(), Some(1.0)).unwrap();
    let inputs = start(&step);
    let ids: Vec<u32> = (0..TOKENS as u32).map(|index| index % 50).collect();
    let mut losses = Vec::new();
    for threads in [1, 2] {
        let mut session = CpuEngine::new(threads).load(&step).unwrap();
        inputs
            .iter()
            .for_each(|(name, tensor)| session.write(name, tensor).unwrap());
        for _ in 0..BEGINNING {
            session.run().unwrap();
            session.advance();
        }
        let before = ALLOCATIONS.load(Relaxed);
        for at in 0..150 {
            session.write_words("ids", &ids).unwrap();
            session.write_words("at", &[at]).unwrap();
            session.run().unwrap();
            session.advance();
        }
        assert_eq!(
            ALLOCATIONS.load(Relaxed) - before,
            0,
            "allocations with {threads} threads"
        );
        losses.push(session.read("loss").unwrap());
    }
    assert_eq!(losses[0], losses[1]);
    assert!(losses[0].as_f32().unwrap()[0].is_finite());
}
