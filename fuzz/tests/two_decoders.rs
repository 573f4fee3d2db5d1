//! Whatever bytes, bincode through serde and wincode read the same or refuse them.

use fuzz::mirror::compare;
use fuzz::mutate::mutated;
use fuzz::targets;
use reproducible_ops::random::Stream;

/// Random bytes; half of them small, as lengths, tags and numbers in valid inputs are.
fn random(random: &mut Stream) -> Vec<u8> {
    let length = random.index(96);
    let small = random.index(2) == 0;
    let byte = |random: &mut Stream| match small && random.index(4) > 0 {
        true => random.index(4) as u8,
        false => random.next_u32() as u8,
    };
    (0..length).map(|_| byte(random)).collect()
}

#[test]
fn random_inputs_are_read_the_same() {
    let mut stream = Stream::from_seed("two-decoders", 1);
    (0..30_000).for_each(|_| compare(&random(&mut stream)));
}

#[test]
fn valid_inputs_and_all_their_beginnings_are_read_the_same() {
    let target = targets::find("two-decoders").unwrap();
    for seed in (target.seeds)() {
        (0..=seed.len()).for_each(|end| compare(&seed[..end]));
    }
}

#[test]
fn mutated_inputs_are_read_the_same() {
    let target = targets::find("two-decoders").unwrap();
    let (seeds, mut stream) = ((target.seeds)(), Stream::from_seed("two-decoders", 2));
    (0..30_000).for_each(|_| compare(&mutated(&seeds, &mut stream)));
}

/// Numbers may be written longer than they need to be; both libraries read them.
#[test]
fn numbers_in_every_width_are_read_the_same() {
    for width in [251, 252, 253, 254, 255] {
        for value in [0, 1, 250, 251, 255] {
            let mut bytes = vec![width, value];
            for _ in 0..20 {
                compare(&bytes);
                bytes.push(0);
            }
        }
    }
}
