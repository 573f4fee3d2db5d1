//! A model written in Burn becomes one reproducible training step.
//!
//! `cargo run --release -p reproducible-ops --example train_step` prints the same digests on every
//! machine.

use burn::nn::{Linear, LinearConfig};
use burn::prelude::*;
use reproducible_ops::engine::{Engine as _, cpu::CpuEngine};
use reproducible_ops::optim::{AdamW, LEARNING_RATE, TrainStep, initial_state};
use reproducible_ops::program::{Role, Shape, merkle_root};
use reproducible_ops::{lower, random::Stream, tensor::Tensor as HostTensor};

#[derive(Module, Debug)]
struct Model {
    inner: Linear,
    outer: Linear,
}

impl Model {
    /// Mean squared error of `[batch, 8] → [batch, 1]`.
    fn loss(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
        let error = self.outer.forward(self.inner.forward(x).tanh()) - y;
        (error.clone() * error).mean()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The shapes of the model make the program; the values of its parameters do not.
    let device = Device::flex();
    let (inner, outer) = (LinearConfig::new(8, 16), LinearConfig::new(16, 1));
    let model = Model {
        inner: inner.init(&device),
        outer: outer.init(&device),
    };
    let forward = lower::lower(&model, |model, recorder| {
        let x = recorder.float::<2>("x", Role::Data, [32, 8]);
        let y = recorder.float::<2>("y", Role::Data, [32, 1]);
        recorder.output("loss", model.loss(x, y));
    })?;
    let step = TrainStep::assemble(&forward.program, "loss", &AdamW::default(), Some(1.0))?;
    println!("program {}", hex(&step.digest()));

    // Numbers from Philox, the same everywhere, where Burn's own initialisation would differ.
    let mut session = CpuEngine::new(2).load(&step)?;
    let mut stream = Stream::from_seed("example", 1);
    for input in step.inputs() {
        let draws = (0..input.ty.shape.elements()).map(|_| stream.uniform() - 0.5);
        let tensor = HostTensor::f32(input.ty.shape.clone(), draws.collect())?;
        session.write(&input.name, &tensor)?;
    }
    for (name, state) in initial_state(&step) {
        session.write(&name, &state)?;
    }
    let rate = HostTensor::f32(Shape::scalar(), vec![0.01])?;
    for round in 1..=5 {
        session.write(LEARNING_RATE, &rate)?;
        session.run()?;
        let loss = session.read("loss")?.as_f32()?[0];
        let mut parameters = Vec::new();
        for (_, input) in step.inputs_with_role(Role::Param) {
            let next = session.read(&input.name)?;
            parameters.push(bytemuck::cast_slice::<u32, u8>(next.words()).to_vec());
        }
        let digest = merkle_root(&parameters);
        println!("step {round}  loss {loss:.6}  parameters {}", hex(&digest));
        session.advance();
    }
    Ok(())
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
