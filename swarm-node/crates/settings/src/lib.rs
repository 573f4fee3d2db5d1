//! Settings of a program, each with the place it came from.
//!
//! ```text
//! schema (default, kind, help) ─┐
//! file      section.key = …     ├─ later wins ─▶ Settings ─▶ typed sections
//! environment SWARM_NODE_…      │                   └──────▶ `config show --origin`
//! flag      --set section.key=… ┘
//! ```
//!
//! A setting is written down once, as a field of a [`section!`]: its name, type, default, limits
//! and help. The typed struct, the [`Key`]s that are read and shown, the texts of flags and the
//! documentation follow from it.
//!
//! ```
//! use swarm_settings::{Kind, Schema, Settings, Sources, section};
//!
//! section! {
//!     /// How the kettle boils.
//!     pub struct KettleConfig: "kettle" {
//!         /// Degrees Celsius at which it stops.
//!         stop: u8 = "100", Kind::Integer(20, 100);
//!     }
//! }
//!
//! #[derive(serde::Deserialize)]
//! struct Config {
//!     kettle: KettleConfig,
//! }
//!
//! const SCHEMA: Schema = Schema { sections: &[KettleConfig::KEYS], reserved: &[] };
//! let flags = vec![("kettle.stop".into(), "80".into(), "--stop".into())];
//! let settings = Settings::load(SCHEMA, &Sources { flags, ..Sources::default() })?;
//! assert_eq!(settings.config::<Config>()?.kettle.stop, 80);
//! assert_eq!(KettleConfig::default().stop, 100);
//!
//! let flags = vec![("kettle.stop".into(), "180".into(), "--stop".into())];
//! let refused = Settings::load(SCHEMA, &Sources { flags, ..Sources::default() }).unwrap_err();
//! assert_eq!(
//!     refused.to_string(),
//!     "flag --stop: `kettle.stop` is `180`; it must be a whole number from 20 to 100"
//! );
//! # Ok::<(), swarm_settings::SettingsError>(())
//! ```
//!
//! Invariants: an unknown key anywhere is an error that names the nearest one; a value is checked
//! against its key where it is read, so the error can tell the place. Nothing in here looks at the
//! environment by itself: the caller hands it in.

// `section!` names this crate by its name, in its own tests too.
#[cfg(test)]
extern crate self as swarm_settings;

mod error;
mod file;
mod key;
mod nearest;
mod origin;
mod section;
mod settings;
mod value;

pub use error::SettingsError;
pub use key::{Key, Schema};
pub use nearest::nearest;
pub use origin::Origin;
pub use section::defaults;
#[doc(hidden)]
pub use serde;
pub use settings::{CONFIG_VARIABLE, PREFIX, Settings, Sources, variable};
pub use value::{Kind, Value};
