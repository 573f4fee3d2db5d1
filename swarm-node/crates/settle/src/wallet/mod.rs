//! The owner account's key: the one that stakes and is paid. It may stay cold; a node works without
//! it.
//!
//! ```text
//! source ─┬─ environment ────────────────────────────▶ Secret ─▶ Address
//!         └─ file ─▶ keystore (JSON, encrypted) ─▶ scrypt ─┘
//!                       ▲ password: environment, file, or asked for
//! ```
//! Invariants: a secret or password is never in an error, a log or `Debug`, and its memory is
//! wiped; a keystore file is never written over; the cost a file asks for is judged before it is
//! paid. The node's own key, which signs messages, is another one: see [`swarm_identity`].

mod config;
pub mod file;
mod hex;
pub mod keystore;
pub mod password;
pub mod scrypt;
pub mod source;

pub use config::WalletConfig;
pub use file::FileError;
pub use keystore::{Keystore, KeystoreError, KeystoreRandomness};
pub use password::{Password, PasswordError};
pub use scrypt::Cost;
pub use source::{PasswordSource, Wallet, WalletError, WalletInputs, WalletSource};

/// The command that makes a keystore, as errors name it.
pub const NEW_COMMAND: &str = "swarm-node wallet new";
