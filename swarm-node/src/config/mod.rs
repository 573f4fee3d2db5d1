//! Settings of all commands, each with the place it came from.
//!
//! ```text
//! schema (default, kind, help) ─┐
//! file      section.key = …     ├─ later wins ─▶ Settings ─▶ Config (typed)
//! environment SWARM_NODE_…      │                   └──────▶ `config show --origin`
//! flag      --set section.key=… ┘
//! ```
//!
//! Invariants: every key is a row of [`schema::KEYS`], with its kind, range and help; an unknown
//! key anywhere is an error that names the nearest one; a value is checked against its row where it
//! is read, so the error can tell the place. Nothing in here looks at the environment by itself:
//! the caller hands it in.

mod error;
mod file;
mod nearest;
mod origin;
pub mod schema;
mod settings;
mod typed;
mod value;

pub use error::ConfigError;
pub use nearest::nearest;
pub use origin::Origin;
pub use settings::{CONFIG_VARIABLE, PREFIX, SECRET_VARIABLES, Settings, Sources, variable};
pub use typed::{
    ChainConfig, Config, DemoConfig, EndpointText, EngineConfig, EvalConfig, LearnConfig,
    TrainConfig, WalletConfig, path,
};
pub use value::{Kind, Value};
