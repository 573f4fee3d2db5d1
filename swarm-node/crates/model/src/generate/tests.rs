use reproducible_ops::engine::reference::ReferenceEngine;
use reproducible_ops::engine::{Engine as _, Session};

use super::*;
use crate::init;
use crate::programs;
use crate::rope::Tables;
use crate::tests::tiny;

fn weights(seed: u64) -> Weights {
    init::initialise(&tiny(), seed).unwrap()
}

fn generator(ends: &[u32], max_rows: usize) -> Generator {
    let mut generator = Generator::new(Arc::new(ReferenceEngine), tiny(), ends)
        .unwrap()
        .with_max_rows(max_rows);
    generator.set_weights(weights(1)).unwrap();
    generator
}

fn prompts() -> Vec<Prompt> {
    let prompt = |(index, length): (usize, usize)| Prompt {
        tokens: (0..length)
            .map(|at| ((at * 5 + index * 3) % 19) as u32)
            .collect(),
        index: index as u32 + 40,
    };
    [3, 1, 31, 7].into_iter().enumerate().map(prompt).collect()
}

fn request(prompts: &[Prompt], temperature: f32) -> Request<'_> {
    Request {
        prompts,
        samples: 3,
        max_new: 6,
        key: [3, 9],
        temperature,
    }
}

/// The most likely continuation by one whole forward pass per token.
fn greedy(prompt: &[u32], max_new: usize) -> Vec<u32> {
    let mut tokens = prompt.to_vec();
    for _ in 0..max_new {
        let length = tokens.len();
        let mut session = ReferenceEngine
            .load(&programs::forward(&tiny(), 1, length).unwrap())
            .unwrap();
        weights(1).write_to(session.as_mut()).unwrap();
        Tables::new(&tiny(), length)
            .unwrap()
            .write_to(session.as_mut())
            .unwrap();
        session.write_words("tokens", &tokens).unwrap();
        session
            .write_words("positions", &(0..length as u32).collect::<Vec<_>>())
            .unwrap();
        session.write_words("segment", &vec![0; length]).unwrap();
        session.write_words("parent", &vec![0; length]).unwrap();
        session.run().unwrap();
        tokens.push(best(session.as_ref(), length));
    }
    tokens.split_off(prompt.len())
}

fn best(session: &dyn Session, length: usize) -> u32 {
    let all = session.read_words("logits").unwrap();
    let logits = all.chunks(tiny().vocab_size).nth(length - 1).unwrap();
    let value = |&token: &usize| f32::from_bits(logits[token]);
    (0..logits.len())
        .max_by(|a, b| value(a).total_cmp(&value(b)))
        .unwrap() as u32
}

#[test]
fn temperature_zero_is_greedy() {
    let found = generator(&[], 128)
        .generate(&request(&prompts(), 0.0))
        .unwrap();
    for (prompt, completions) in prompts().iter().zip(found) {
        let expected = greedy(&prompt.tokens, 6);
        assert!(
            completions
                .iter()
                .all(|completion| completion.tokens == expected && !completion.ended)
        );
    }
}

#[test]
fn company_leaves_bits_alone() {
    let ends = [0, 1, 2, 3, 4];
    let all = prompts();
    let together = generator(&ends, 128).generate(&request(&all, 1.0)).unwrap();
    assert!(
        together.iter().flatten().any(|completion| completion.ended),
        "nothing ended"
    );
    let lengths: std::collections::HashSet<usize> = together
        .iter()
        .flatten()
        .map(|made| made.tokens.len())
        .collect();
    assert!(
        lengths.len() > 2,
        "rows end together, so nothing was compacted"
    );
    for max_rows in [1, 2, 5] {
        assert_eq!(
            generator(&ends, max_rows)
                .generate(&request(&all, 1.0))
                .unwrap(),
            together,
            "{max_rows}"
        );
    }
    let mut reused = generator(&ends, 128);
    for (prompt, expected) in all.iter().zip(&together) {
        let alone = reused
            .generate(&request(std::slice::from_ref(prompt), 1.0))
            .unwrap();
        assert_eq!(alone, std::slice::from_ref(expected));
    }
}

#[test]
fn noise_depends_on_key_index_sample_and_position() {
    let base = vec![Prompt {
        tokens: vec![3, 4],
        index: 0,
    }];
    let mut generator = generator(&[], 128);
    let long = Request {
        max_new: 30,
        ..request(&base, 50.0)
    };
    let first = generator.generate(&long).unwrap();
    assert_ne!(first[0][0].tokens, first[0][1].tokens, "samples");
    assert!(
        first[0][0].tokens.windows(2).any(|pair| pair[0] != pair[1]),
        "positions"
    );
    let moved = vec![Prompt {
        index: 1,
        ..base[0].clone()
    }];
    assert_ne!(
        generator
            .generate(&Request {
                prompts: &moved,
                ..long
            })
            .unwrap(),
        first,
        "index"
    );
    assert_ne!(
        generator
            .generate(&Request {
                key: [3, 10],
                ..long
            })
            .unwrap(),
        first,
        "key"
    );
    assert_eq!(generator.generate(&long).unwrap(), first, "again");
}

/// Everything that was generated, as somebody claims it.
fn claims<'a>(prompts: &'a [Prompt], made: &'a [Vec<Generation>]) -> Vec<Claimed<'a>> {
    let of_prompt = |(prompt, samples): (&'a Prompt, &'a Vec<Generation>)| {
        let claimed = samples.iter().zip(0..);
        claimed.map(move |(made, sample)| Claimed {
            prompt,
            sample,
            tokens: &made.tokens,
        })
    };
    prompts.iter().zip(made).flat_map(of_prompt).collect()
}

#[test]
fn one_pass_draws_what_was_generated_token_by_token() {
    let (all, ends) = (prompts(), [0, 1, 2]);
    for (temperature, max_new) in [(0.0, 6), (1.0, 6), (3.0, 60)] {
        let request = Request {
            max_new,
            ..request(&all, temperature)
        };
        let made = generator(&ends, 128).generate(&request).unwrap();
        let claimed = claims(&all, &made);
        let expected: Vec<Vec<u32>> = claimed.iter().map(|one| one.tokens.to_vec()).collect();
        for max_rows in [1, 5, 128] {
            let replayed =
                generator(&ends, max_rows).replay(&claimed, request.key, request.temperature);
            assert_eq!(replayed.unwrap(), expected, "{temperature}, {max_rows}");
        }
        let draws: usize = expected.iter().map(Vec::len).sum();
        assert!(
            max_new < 60 || draws > 64,
            "one piece holds all {draws} draws"
        );
    }
}

#[test]
fn a_changed_token_is_drawn_as_it_was_and_changes_what_follows() {
    let all = prompts();
    // Untrained logits are small: more noise would hide what was read.
    let request = Request {
        max_new: 30,
        ..request(&all, 0.01)
    };
    let mut generator = generator(&[], 128);
    let made = generator.generate(&request).unwrap();
    let right = &made[2][1].tokens;
    let mut tokens = right.clone();
    tokens[4] = (tokens[4] + 1) % 19;
    let claimed = [Claimed {
        prompt: &all[2],
        sample: 1,
        tokens: &tokens,
    }];
    let drawn = generator
        .replay(&claimed, request.key, request.temperature)
        .unwrap();
    assert_eq!(drawn[0][..5], right[..5]);
    assert_ne!(drawn[0][5..], right[5..], "what was claimed is not read");
    let mut differs = |sample, key, temperature| {
        let claimed = [Claimed {
            sample,
            tokens: right,
            ..claimed[0]
        }];
        generator.replay(&claimed, key, temperature).unwrap()[0] != *right
    };
    assert!(!differs(1, request.key, 0.01));
    assert!(differs(2, request.key, 0.01), "sample");
    assert!(differs(1, [3, 8], 0.01), "key");
    assert!(differs(1, request.key, 1.5), "temperature");
}

#[test]
fn impossible_replays_are_refused() {
    let mut generator = generator(&[], 128);
    let mut error = |prompt: Vec<u32>, tokens: &[u32]| {
        let prompt = Prompt {
            tokens: prompt,
            index: 0,
        };
        let claimed = [Claimed {
            prompt: &prompt,
            sample: 0,
            tokens,
        }];
        generator.replay(&claimed, [0; 2], 1.0).unwrap_err()
    };
    assert!(matches!(error(vec![], &[1]), GenerateError::Empty { .. }));
    assert!(matches!(
        error(vec![1], &[18, 19]),
        GenerateError::Token { token: 19, .. }
    ));
    assert!(matches!(
        error(vec![1; 91], &[1; 6]),
        GenerateError::TooLong { .. }
    ));
    let nothing = generator.replay(&[], [0; 2], 1.0).unwrap();
    assert!(nothing.is_empty());
}

#[test]
fn logp_is_that_of_the_chosen_token() {
    let all = prompts();
    let found = generator(&[], 128).generate(&request(&all, 1.0)).unwrap();
    assert!(
        found
            .iter()
            .flatten()
            .all(|made| made.logp.len() == made.tokens.len())
    );
    assert!(
        found
            .iter()
            .flatten()
            .flat_map(|made| &made.logp)
            .all(|&logp| logp < 0.0 && logp > -20.0)
    );
}

#[test]
fn new_weights_replace_the_old_ones_in_every_program() {
    let all = prompts();
    let mut changed = generator(&[], 128);
    let before = changed.generate(&request(&all, 0.0)).unwrap();
    changed.set_weights(weights(2)).unwrap();
    let after = changed.generate(&request(&all, 0.0)).unwrap();
    assert_ne!(before, after);
    let mut fresh = Generator::new(Arc::new(ReferenceEngine), tiny(), &[]).unwrap();
    fresh.set_weights(weights(2)).unwrap();
    assert_eq!(fresh.generate(&request(&all, 0.0)).unwrap(), after);
}

#[test]
fn nothing_asked_gives_nothing() {
    let mut generator = generator(&[], 128);
    let all = prompts();
    assert!(generator.generate(&request(&[], 1.0)).unwrap().is_empty());
    let none = generator
        .generate(&Request {
            samples: 0,
            ..request(&all, 1.0)
        })
        .unwrap();
    assert!(none.len() == all.len() && none.iter().all(Vec::is_empty));
    let empty = generator
        .generate(&Request {
            max_new: 0,
            ..request(&all, 1.0)
        })
        .unwrap();
    assert!(empty.iter().flatten().all(|made| made.tokens.is_empty()));
}

#[test]
fn the_last_position_can_be_reached() {
    let full = vec![Prompt {
        tokens: vec![1; 90],
        index: 0,
    }];
    let made = generator(&[], 128)
        .generate(&Request {
            max_new: 6,
            ..request(&full, 0.0)
        })
        .unwrap();
    assert_eq!(made[0][0].tokens, greedy(&full[0].tokens, 6));
}

#[test]
fn impossible_requests_are_refused() {
    let mut generator = generator(&[], 128);
    let mut error = |tokens: Vec<u32>, max_new, temperature| {
        let prompts = vec![Prompt { tokens, index: 0 }];
        let request = Request {
            max_new,
            ..request(&prompts, temperature)
        };
        generator.generate(&request).unwrap_err().to_string()
    };
    assert!(error(vec![], 3, 1.0).contains("empty"));
    assert!(error(vec![19], 3, 1.0).contains("19"));
    assert!(error(vec![1; 91], 6, 1.0).contains("96"));
    assert!(error(vec![1], usize::MAX, 1.0).contains("positions"));
    assert!(error(vec![1], 3, -1.0).contains("-1"));
    let mut empty = Generator::new(Arc::new(ReferenceEngine), tiny(), &[]).unwrap();
    assert!(matches!(
        empty.generate(&request(&prompts(), 0.0)),
        Err(GenerateError::NoWeights)
    ));
    assert!(matches!(
        empty.set_weights(Weights::new()),
        Err(GenerateError::Weights(_))
    ));
}

#[test]
fn the_cpu_engine_gives_the_completions_of_the_reference() {
    use reproducible_ops::engine::cpu::{CpuEngine, InstructionSet};
    let (all, ends) = (prompts(), [0, 1, 2, 3, 4]);
    let expected = generator(&ends, 128).generate(&request(&all, 1.0)).unwrap();
    for (isa, threads) in InstructionSet::available()
        .into_iter()
        .zip([1, 2, 3].into_iter().cycle())
    {
        let engine = Arc::new(CpuEngine::with_instruction_set(isa, threads).unwrap());
        let mut generator = Generator::new(engine, tiny(), &ends).unwrap();
        generator.set_weights(weights(1)).unwrap();
        assert_eq!(
            generator.generate(&request(&all, 1.0)).unwrap(),
            expected,
            "{isa} with {threads} threads"
        );
        assert_eq!(
            generator.generate(&request(&all, 1.0)).unwrap(),
            expected,
            "{isa}, kept programs"
        );
        let claimed = claims(&all, &expected);
        let replayed = generator.replay(&claimed, request(&all, 1.0).key, 1.0);
        let tokens = claimed.iter().map(|one| one.tokens.to_vec());
        assert_eq!(replayed.unwrap(), tokens.collect::<Vec<_>>(), "{isa}");
    }
}

/// Prints what a round's generation costs: `cargo test --release -p swarm-node
/// generate::tests::speed -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn speed() {
    use reproducible_ops::engine::cpu::CpuEngine;
    let config = ModelConfig::preset("nano").unwrap();
    let prompts: Vec<Prompt> = (0..16)
        .map(|index| Prompt {
            tokens: vec![9; 30],
            index,
        })
        .collect();
    for threads in [1, 2] {
        let engine = Arc::new(CpuEngine::new(threads));
        let mut generator = Generator::new(engine, config.clone(), &[]).unwrap();
        generator
            .set_weights(init::initialise(&config, 1).unwrap())
            .unwrap();
        for _ in 0..4 {
            let start = std::time::Instant::now();
            let request = Request {
                prompts: &prompts,
                samples: 8,
                max_new: 9,
                key: [1, 2],
                temperature: 1.0,
            };
            let made = generator.generate(&request).unwrap();
            println!(
                "{threads} threads: {} completions of 9 tokens in {:?}",
                made.len() * 8,
                start.elapsed()
            );
        }
    }
}
