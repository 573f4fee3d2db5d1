//! A target under libFuzzer: `TARGET=name cargo +nightly fuzz run guided --features libfuzzer`.
#![no_main]

use std::sync::LazyLock;

use fuzz::targets::{self, Target};
use libfuzzer_sys::fuzz_target;

#[expect(
    clippy::expect_used,
    reason = "a mistake on the command line stops the program"
)]
static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name =
        std::env::var("TARGET").expect("set TARGET to one of the targets of `cargo run -p fuzz`");
    targets::find(&name).expect("TARGET is one of the targets of `cargo run -p fuzz`")
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
