//! Forward, prefill and decode agree bit for bit.

use std::collections::HashMap;

use reproducible_ops::engine::reference::ReferenceEngine;
use reproducible_ops::engine::{Engine, Session};
use reproducible_ops::program::Program;
use reproducible_ops::tensor::Tensor;
use reproducible_ops::weights::Weights;

use super::tiny;
use crate::programs::{self, Prefill};
use crate::{ModelConfig, init, rope};

fn session(program: &Program) -> Box<dyn Session> {
    let mut session = ReferenceEngine.load(program).unwrap();
    let weights: Weights = init::initialise(&tiny(), 5).unwrap();
    // Biases start at 0, which would hide a missing one.
    let bias = |tensor: &Tensor| {
        Tensor::f32(tensor.shape().clone(), vec![0.3; tensor.words().len()]).unwrap()
    };
    for (name, tensor) in weights.iter() {
        let tensor = if name.ends_with("bias") {
            bias(tensor)
        } else {
            tensor.clone()
        };
        session.write(name, &tensor).unwrap();
    }
    rope::Tables::new(&tiny(), rope::addressed(program))
        .unwrap()
        .write_to(session.as_mut())
        .unwrap();
    session
}

fn write(session: &mut dyn Session, name: &str, values: &[i32]) {
    let words: Vec<u32> = values.iter().map(|&value| value as u32).collect();
    session.write_words(name, &words).unwrap();
}

/// Logits of every token of plain causal rows, padded to `length`; one list per row.
fn forward(rows: &[Vec<i32>], length: usize) -> Vec<Vec<Vec<u32>>> {
    let mut session = session(&programs::forward(&tiny(), rows.len(), length).unwrap());
    let padded = |row: &Vec<i32>, fill: i32, value: &dyn Fn(usize) -> i32| -> Vec<i32> {
        (0..length)
            .map(|at| if at < row.len() { value(at) } else { fill })
            .collect()
    };
    let all = |fill, value: &dyn Fn(&[i32], usize) -> i32| -> Vec<i32> {
        rows.iter()
            .flat_map(|row| padded(row, fill, &|at| value(row, at)))
            .collect()
    };
    write(session.as_mut(), "tokens", &all(0, &|row, at| row[at]));
    write(session.as_mut(), "positions", &all(0, &|_, at| at as i32));
    write(session.as_mut(), "segment", &all(-1, &|_, _| 0));
    write(session.as_mut(), "parent", &all(-1, &|_, _| 0));
    session.run().unwrap();
    let logits = session.read_words("logits").unwrap();
    let logits = logits.chunks(tiny().vocab_size * length);
    let per_row = logits.zip(rows).map(|(words, row)| {
        words
            .chunks(tiny().vocab_size)
            .take(row.len())
            .map(<[u32]>::to_vec)
            .collect()
    });
    per_row.collect()
}

fn example() -> Vec<Vec<i32>> {
    let row = |length: usize, salt: usize| {
        (0..length)
            .map(|at| ((at * 7 + salt) % 19) as i32)
            .collect()
    };
    vec![row(37, 3), row(5, 11), row(1, 8)]
}

#[test]
fn padding_and_batch_leave_bits_alone() {
    let together = forward(&example(), 41);
    for (row, expected) in example().into_iter().zip(together) {
        let length = row.len();
        assert_eq!(forward(&[row], length)[0], expected);
    }
}

#[test]
fn a_shared_prefix_is_seen_and_siblings_are_not() {
    // Two completions of one prompt in one row: [prompt | a | b].
    let (prompt, a, b) = (vec![4, 9, 2], vec![7, 7], vec![11, 3]);
    let packed = |a: &[i32]| {
        let mut session = session(&programs::forward(&tiny(), 1, 7).unwrap());
        write(session.as_mut(), "tokens", &[&prompt[..], a, &b].concat());
        write(session.as_mut(), "positions", &[0, 1, 2, 3, 4, 3, 4]);
        write(session.as_mut(), "segment", &[0, 0, 0, 1, 1, 2, 2]);
        write(session.as_mut(), "parent", &[0; 7]);
        session.run().unwrap();
        let logits = session.read_words("logits").unwrap();
        let words = logits.chunks(tiny().vocab_size);
        words.map(<[u32]>::to_vec).collect::<Vec<_>>()
    };
    let (shared, other) = (packed(&a), packed(&[1, 2]));
    assert_eq!(shared[5..], other[5..], "b depends on a");
    let alone = &forward(&[[prompt.clone(), a.clone()].concat()], 5)[0];
    assert_eq!(shared[..5], alone[..], "prompt and first completion");
    let alone = &forward(&[[prompt.clone(), b.clone()].concat()], 5)[0];
    let close = |x: &u32, y: &u32| (f32::from_bits(*x) - f32::from_bits(*y)).abs() < 1e-5;
    assert!(
        shared[5..]
            .concat()
            .iter()
            .zip(&alone[3..].concat())
            .all(|(x, y)| close(x, y))
    );
}

/// Logits of every token: the first `prompt` by prefill, the rest one by one.
fn incremental(row: &[i32], prompt: usize, length: usize, slots: usize) -> Vec<Vec<u32>> {
    let config = tiny();
    let sizes = Prefill {
        rows: 1,
        length,
        slots,
        logits: true,
    };
    let mut filled = session(&programs::prefill(&config, sizes).unwrap());
    let mut tokens = vec![13; length];
    tokens[..prompt].copy_from_slice(&row[..prompt]);
    write(filled.as_mut(), "tokens", &tokens);
    write(
        filled.as_mut(),
        "positions",
        &(0..length as i32).collect::<Vec<_>>(),
    );
    filled.run().unwrap();
    let logits = filled.read_words("logits").unwrap();
    let logits = logits.chunks(config.vocab_size);
    let mut all: Vec<Vec<u32>> = logits.take(prompt).map(<[u32]>::to_vec).collect();
    let mut step = session(&programs::decode(&config, 1, slots).unwrap());
    let caches = (0..config.num_layers)
        .flat_map(|layer| [programs::key_cache(layer), programs::value_cache(layer)]);
    for cache in caches {
        step.bind(&cache, &filled.output(&cache).unwrap()).unwrap();
    }
    write(step.as_mut(), "key", &[1, 2]);
    step.write_words("temperature", &[0]).unwrap();
    for (position, &token) in row.iter().enumerate().skip(prompt) {
        write(step.as_mut(), "tokens", &[token]);
        write(step.as_mut(), "positions", &[position as i32]);
        write(step.as_mut(), "counter", &[0, 0, 0]);
        step.run().unwrap();
        all.push(step.read_words("logits").unwrap());
        assert_eq!(
            step.read_words("sampled").unwrap(),
            step.read_words("greedy").unwrap(),
            "temperature 0"
        );
        step.advance();
    }
    all
}

#[test]
fn prefill_and_decode_give_the_bits_of_forward() {
    let row = &example()[0];
    let expected = forward(std::slice::from_ref(row), 37).remove(0);
    for (prompt, length, slots) in [
        (0, 1, 37),
        (1, 1, 40),
        (20, 32, 64),
        (37, 37, 37),
        (36, 40, 96),
    ] {
        assert_eq!(
            incremental(row, prompt, length, slots),
            expected,
            "{prompt} of {length} in {slots}"
        );
    }
}

#[test]
fn tables_have_the_rows_that_a_program_addresses() {
    let config = ModelConfig {
        max_positions: 1 << 20,
        ..tiny()
    };
    let sizes = Prefill {
        rows: 2,
        length: 5,
        slots: 9,
        logits: false,
    };
    assert_eq!(
        rope::addressed(&programs::forward(&config, 2, 7).unwrap()),
        7
    );
    assert_eq!(
        rope::addressed(&programs::prefill(&config, sizes).unwrap()),
        5
    );
    assert_eq!(
        rope::addressed(&programs::decode(&config, 2, 9).unwrap()),
        9
    );
}

#[test]
fn impossible_lengths_are_refused() {
    let error = programs::decode(&tiny(), 1, 97).unwrap_err().to_string();
    assert!(error.contains("97") && error.contains("96"), "{error}");
    assert!(
        programs::prefill(
            &tiny(),
            Prefill {
                rows: 1,
                length: 9,
                slots: 8,
                logits: false
            }
        )
        .is_err()
    );
    assert!(
        programs::forward(&tiny(), 1, 96).is_ok() && programs::forward(&tiny(), 1, 97).is_err()
    );
}

#[test]
fn samples_follow_the_distribution() {
    let config = tiny();
    let rows = 600;
    let mut session = session(&programs::decode(&config, rows, 8).unwrap());
    write(session.as_mut(), "tokens", &vec![5; rows]);
    write(session.as_mut(), "positions", &vec![0; rows]);
    write(session.as_mut(), "key", &[17, -4]);
    session
        .write_words("temperature", &[1f32.to_bits()])
        .unwrap();
    write(
        session.as_mut(),
        "counter",
        &(0..rows as i32)
            .flat_map(|row| [row, 0, 0])
            .collect::<Vec<_>>(),
    );
    for layer in 0..config.num_layers {
        let empty = vec![0; rows * config.kv_width() * 8];
        session
            .write_words(&programs::key_cache(layer), &empty)
            .unwrap();
        session
            .write_words(&programs::value_cache(layer), &empty)
            .unwrap();
    }
    session.run().unwrap();
    let logp = session
        .read_words("logp")
        .unwrap()
        .into_iter()
        .map(f32::from_bits);
    let sampled = session.read_words("sampled").unwrap();
    // Every row has the same distribution, so one token's frequency and probability must agree.
    let mut seen: HashMap<u32, (f32, f32)> = HashMap::new();
    for (token, logp) in sampled.iter().zip(logp) {
        let entry = seen.entry(*token).or_insert((0.0, logp.exp()));
        entry.0 += 1.0 / rows as f32;
    }
    assert!(seen.len() > 5);
    for (token, (frequency, probability)) in seen {
        let deviation = (probability * (1.0 - probability) / rows as f32).sqrt();
        assert!(
            (frequency - probability).abs() < 4.5 * deviation,
            "{token}: {frequency} of {probability}"
        );
    }
}
