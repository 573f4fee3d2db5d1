//! Sessions that share buffers: what each of them sees, the same on every engine.

use super::cpu::CpuEngine;
use super::reference::ReferenceEngine;
use super::*;
use crate::program::{Builder, Operator, Role};

fn engines() -> Vec<Box<dyn Engine>> {
    vec![
        Box::new(CpuEngine::new(1)),
        Box::new(CpuEngine::new(2)),
        Box::new(ReferenceEngine),
    ]
}

fn tensor<const N: usize>(dims: impl Into<crate::program::Shape>, values: [f32; N]) -> Tensor {
    Tensor::f32(dims, values.to_vec()).expect("sized")
}

fn floats(session: &dyn Session, output: &str) -> Vec<f32> {
    let output = session.read(output).expect("computed");
    output.as_f32().expect("floats").to_vec()
}

/// `y = x · wᵀ`, with a weight that is kept packed.
fn product() -> Program {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([1, 2]), Role::Data);
    let w = b.input("w", TensorType::f32([2, 2]), Role::Param);
    let y = b.matmul_nt(x, w).expect("typed");
    b.output("y", y);
    b.finish()
}

/// `w + g` as the next `w`.
fn step() -> Program {
    let mut b = Builder::new();
    let w = b.input("w", TensorType::f32([2, 2]), Role::Param);
    let g = b.input("g", TensorType::f32([2, 2]), Role::Data);
    let next = b.add(w, g).expect("typed");
    b.output("w", next);
    b.finish()
}

/// One row of `cache` replaced, as the next `cache`.
fn update() -> Program {
    let mut b = Builder::new();
    let cache = b.input("cache", TensorType::f32([2, 1]), Role::State);
    let row = b.input("row", TensorType::f32([1, 1]), Role::Data);
    let at = b.input("at", TensorType::i32([]), Role::Data);
    let next = b
        .push(Operator::UpdateRows, &[cache, row, at])
        .expect("typed");
    b.output("cache", next);
    b.finish()
}

#[test]
fn a_weight_that_another_session_steps_is_seen_once_it_is_bound() {
    for engine in engines() {
        let mut forward = engine.load(&product()).expect("valid");
        let mut update = engine.load(&step()).expect("valid");
        let weight = engine
            .upload(&tensor([2, 2], [1.0, 2.0, 3.0, 4.0]))
            .expect("stored");
        forward.bind("w", &weight).expect("typed");
        update.bind("w", &weight).expect("typed");
        forward
            .write("x", &tensor([1, 2], [1.0, 1.0]))
            .expect("typed");
        update
            .write("g", &tensor([2, 2], [10.0, 0.0, 0.0, 10.0]))
            .expect("typed");
        for step in 0..4 {
            let added = 10.0 * step as f32;
            let name = engine.name();
            forward.run().expect("written");
            let expected = vec![3.0 + added, 7.0 + added];
            assert_eq!(floats(forward.as_ref(), "y"), expected, "{name} {step}");
            update.run().expect("written");
            update.advance();
            forward.run().expect("written");
            let unbound = floats(forward.as_ref(), "y");
            assert_eq!(unbound, expected, "{name} {step}, not bound yet");
            forward
                .bind("w", &update.input("w").expect("advanced"))
                .expect("typed");
        }
        assert_eq!(
            weight.read().expect("stored"),
            tensor([2, 2], [1.0, 2.0, 3.0, 4.0])
        );
    }
}

#[test]
fn a_weight_that_is_written_again_is_packed_again() {
    for engine in engines() {
        let mut session = engine.load(&product()).expect("valid");
        session
            .write("x", &tensor([1, 2], [1.0, 1.0]))
            .expect("typed");
        for factor in [1.0, 2.0, 3.0] {
            session
                .write("w", &tensor([2, 2], [factor; 4]))
                .expect("typed");
            session.run().expect("written");
            assert_eq!(
                floats(session.as_ref(), "y"),
                [2.0 * factor; 2],
                "{}",
                engine.name()
            );
        }
    }
}

#[test]
fn a_buffer_keeps_its_words_while_sessions_go_on() {
    for engine in engines() {
        let start = engine.upload(&tensor([2, 1], [1.0, 2.0])).expect("stored");
        let mut one = engine.load(&update()).expect("valid");
        let mut other = engine.load(&update()).expect("valid");
        let mut kept = vec![start.clone()];
        for (session, value) in [(&mut one, 5.0), (&mut other, 7.0)] {
            session.bind("cache", &start).expect("typed");
            session
                .write("row", &tensor([1, 1], [value]))
                .expect("typed");
            for at in [0, 1] {
                session.write_words("at", &[at]).expect("sized");
                session.run().expect("written");
                kept.push(session.output("cache").expect("computed"));
                session.advance();
            }
        }
        let found: Vec<Tensor> = kept
            .iter()
            .map(|buffer| buffer.read().expect("kept"))
            .collect();
        let expected = [[1.0, 2.0], [5.0, 2.0], [5.0, 5.0], [7.0, 2.0], [7.0, 7.0]];
        assert_eq!(
            found,
            expected.map(|values| tensor([2, 1], values)),
            "{}",
            engine.name()
        );
    }
}

#[test]
fn what_has_no_value_cannot_be_read_or_run() {
    for engine in engines() {
        let mut session = engine.load(&step()).expect("valid");
        let unwritten = |name: &str| EngineError::Unwritten(name.into());
        assert_eq!(session.input("w").err(), Some(unwritten("w")));
        assert_eq!(
            session.output("w").err(),
            Some(EngineError::NotComputed("w".into()))
        );
        session
            .write("w", &tensor([2, 2], [1.0; 4]))
            .expect("typed");
        assert_eq!(session.run(), Err(unwritten("g")));
        session
            .write("g", &tensor([2, 2], [1.0; 4]))
            .expect("typed");
        session.run().expect("written");
        session.advance();
        assert_eq!(
            session.output("w").err(),
            Some(EngineError::NotComputed("w".into()))
        );
        assert_eq!(session.input_words("w"), Ok(vec![2f32.to_bits(); 4]));
    }
}

/// The second run would put the row into a cache that has it.
#[test]
fn a_state_that_a_run_used_up_must_be_given_again() {
    let mut session = CpuEngine::new(1).load(&update()).expect("valid");
    session
        .write("cache", &tensor([2, 1], [1.0, 2.0]))
        .expect("typed");
    session.write("row", &tensor([1, 1], [3.0])).expect("typed");
    session.write_words("at", &[0]).expect("sized");
    session.run().expect("written");
    let used_up = EngineError::Unwritten("cache".into());
    assert_eq!(session.run(), Err(used_up.clone()));
    assert_eq!(session.input("cache").err(), Some(used_up));
    session.advance();
    assert_eq!(session.run(), Ok(()));
}

#[test]
fn a_buffer_of_another_type_or_engine_is_refused() {
    for engine in engines() {
        let mut session = engine.load(&product()).expect("valid");
        let row = tensor([1, 2], [1.0, 2.0]);
        let own = engine.upload(&row).expect("stored");
        assert_eq!(session.bind("x", &own), Ok(()));
        let wrong = session.bind("w", &own).map_err(|error| error.to_string());
        assert_eq!(wrong, Err("input `w` is f32[2, 2], got f32[1, 2]".into()));
        let foreign: Box<dyn Engine> = if engine.name() == "reference" {
            Box::new(CpuEngine::new(1))
        } else {
            Box::new(ReferenceEngine)
        };
        let foreign = foreign.upload(&row).expect("stored");
        assert_eq!(
            session.bind("x", &foreign),
            Err(EngineError::ForeignBuffer("x".into()))
        );
    }
}

#[test]
fn stored_words_are_canonical() {
    for engine in engines() {
        let payload = Tensor::from_words(TensorType::f32([1]), vec![0xffc0_1234]).expect("sized");
        let stored = engine.upload(&payload).expect("stored");
        assert_eq!(
            stored.read_words(),
            Ok(vec![0x7fc0_0000]),
            "{}",
            engine.name()
        );
    }
}
