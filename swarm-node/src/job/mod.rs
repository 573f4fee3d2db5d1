//! Puts models, engines and learners together as settings say: what commands start from.
//!
//! ```text
//! path ─▶ source ─▶ Model ─┐
//! EngineConfig ─▶ engine ──┼─▶ Workshop ─▶ Generator · Trainer · Peer
//! LearnConfig ─────────────┘                             └─▶ solo (training without peers)
//! recipe file ─▶ recipe ─▶ Pretrainer
//! ```
//!
//! Nothing is decided here that changes a number: the same settings give the same bits whatever
//! engine executes them.

mod engine;
mod progress;
mod recipe;
mod shipped;
mod solo;
mod source;
mod stop;
mod workshop;

pub use engine::{EngineError, certified, engine};
pub use progress::{Silent, Watch};
pub use recipe::{Recipe, RecipeError};
pub use shipped::{BASE, ShippedError, base};
pub use solo::{Solo, SoloConfig, SoloError, SoloStep};
pub use source::{Model, SourceError};
pub use stop::{STOP_POLL, Stop};
pub use workshop::{Workshop, WorkshopError};
