//! Somebody ran a training step and says what came out. Is it true?
//!
//! A claim names the program by its digest and the results by the root of a hash tree. Whoever has
//! the inputs runs the step again, on any engine, and compares the roots: no tolerance, no trust in
//! the other's machine. A single flipped bit is another root, and the tensors say where it is.

use reproducible_ops::engine::{Engine, EngineError, cpu::CpuEngine, reference};
use reproducible_ops::optim::{LEARNING_RATE, Sgd, StepError, TrainStep};
use reproducible_ops::program::{
    Builder, Digest, Program, Role, Shape, TensorType, TypeError, merkle_root,
};
use reproducible_ops::random::Stream;
use reproducible_ops::tensor::{Tensor, TensorError};

/// What a worker publishes.
struct Claim {
    program: Digest,
    results: Digest,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let step = step()?;
    let inputs = inputs(&step)?;

    let mut outputs = run(&CpuEngine::new(2), &step, &inputs)?;
    let honest = claim(&step, &outputs);
    println!("program  {}", hex(&honest.program));
    println!("results  {}", hex(&honest.results));

    let expected = reference::evaluate(&step, &inputs)?;
    assert_eq!(honest.results, claim(&step, &expected).results);
    println!("verified on the reference engine");

    outputs[1].words_mut()[7] ^= 1;
    let forged = claim(&step, &outputs);
    assert_ne!(forged.results, claim(&step, &expected).results);
    let (name, element) = first_difference(&step, &outputs, &expected).ok_or("no difference")?;
    println!("forged   {}", hex(&forged.results));
    println!("found    element {element} of `{name}` differs");
    Ok(())
}

/// Linear regression by gradient descent: forward, backward and update as one program.
fn step() -> Result<Program, StepError> {
    TrainStep::assemble(&forward()?, "loss", &Sgd::default(), None)
}

fn forward() -> Result<Program, TypeError> {
    let mut b = Builder::new();
    let weight = b.input("weight", TensorType::f32([1, 16]), Role::Param);
    let x = b.input("x", TensorType::f32([64, 16]), Role::Data);
    let y = b.input("y", TensorType::f32([64, 1]), Role::Data);
    let product = b.matmul_nt(x, weight)?;
    let error = b.sub(product, y)?;
    let square = b.mul(error, error)?;
    let total = b.sum_all(square)?;
    let count = b.full_like(64.0, total)?;
    let loss = b.div(total, count)?;
    b.output("loss", loss);
    Ok(b.finish())
}

/// Random numbers for every input, and a learning rate of 0.1.
fn inputs(step: &Program) -> Result<Vec<Tensor>, TensorError> {
    let mut stream = Stream::from_seed("example", 2);
    let mut tensor = |input: &reproducible_ops::program::Input| {
        if input.name == LEARNING_RATE {
            return Tensor::f32(Shape::scalar(), vec![0.1]);
        }
        let values = (0..input.ty.shape.elements()).map(|_| stream.uniform() - 0.5);
        Tensor::f32(input.ty.shape.clone(), values.collect())
    };
    step.inputs().iter().map(&mut tensor).collect()
}

/// The outputs of a program on an engine, in declaration order.
fn run(
    engine: &dyn Engine,
    program: &Program,
    inputs: &[Tensor],
) -> Result<Vec<Tensor>, EngineError> {
    let mut session = engine.load(program)?;
    for (input, tensor) in program.inputs().iter().zip(inputs) {
        session.write(&input.name, tensor)?;
    }
    session.run()?;
    let outputs = program.outputs().iter();
    outputs.map(|output| session.read(&output.name)).collect()
}

/// The digest of the program, and the root over its outputs as little-endian words.
fn claim(program: &Program, outputs: &[Tensor]) -> Claim {
    let leaf = |tensor: &Tensor| -> Vec<u8> {
        let words = tensor.words().iter();
        words.flat_map(|word| word.to_le_bytes()).collect()
    };
    Claim {
        program: program.digest(),
        results: merkle_root(outputs.iter().map(leaf)),
    }
}

/// Name of the output and index of the element where two results part.
fn first_difference<'a>(
    program: &'a Program,
    found: &[Tensor],
    expected: &[Tensor],
) -> Option<(&'a str, usize)> {
    let pairs = found.iter().zip(expected).zip(program.outputs());
    pairs.into_iter().find_map(|((found, expected), output)| {
        let mut words = found.words().iter().zip(expected.words());
        let element = words.position(|(found, expected)| found != expected)?;
        Some((output.name.as_str(), element))
    })
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
