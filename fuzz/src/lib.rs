//! Fuzzing of the decoders: everything that a peer, a user's file or a chain's server can send.
//!
//! A [`Target`](targets::Target) is a decoder with a few valid inputs. `cargo run -p fuzz` mutates
//! these for a bounded time and looks for panics, for memory out of proportion, and for what the
//! target itself asserts (that what decodes encodes to the same bytes). It needs nothing but stable
//! Rust; a test does the same with a few thousand inputs, so that it is part of the checks. The
//! same targets run guided by coverage under `cargo fuzz`:
//!
//! ```text
//! cargo run --release -p fuzz -- --seconds 60            every target, a minute each
//! cargo run --release -p fuzz -- program --input FILE    one input again
//! TARGET=program cargo +nightly fuzz run guided --features libfuzzer
//! ```
//!
//! ```
//! let target = fuzz::targets::find("envelope").unwrap();
//! (target.run)(b"not an envelope");
//! ```

pub mod attack;
pub mod mirror;
pub mod mutate;
pub mod targets;
