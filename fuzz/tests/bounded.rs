//! Every decoder withstands a few thousand mutated inputs, the same in every run.

use fuzz::attack::attack;
use fuzz::targets::{TARGETS, Target};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const INPUTS: u64 = 3_000;

// One test: what other threads allocate meanwhile would count.
#[test]
fn decoders_withstand_mutated_inputs() {
    for target in TARGETS {
        let result = attack(target, 1, &MEMORY, |tried| tried < INPUTS);
        if let Err(broken) = result {
            panic!("{}: {}: {:?}", target.name, broken.what, broken.input);
        }
    }

    let glutton = Target {
        run: |bytes| drop(vec![0u8; 64 * bytes.len() + (2 << 20)]),
        ..TARGETS[1]
    };
    let broken = attack(&glutton, 1, &MEMORY, |tried| tried < 10).unwrap_err();
    assert!(broken.what.contains("are allowed"), "{}", broken.what);
    let fragile = Target {
        run: |bytes| assert!(bytes.len() != 3),
        seeds: || vec![vec![1, 2, 3]],
        ..TARGETS[1]
    };
    let broken = attack(&fragile, 1, &MEMORY, |tried| tried < 1_000).unwrap_err();
    assert!(broken.input.len() == 3 && broken.what.starts_with("panicked"));
}
