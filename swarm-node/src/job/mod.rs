//! Puts models, engines and learners together as settings say: what commands start from.
//!
//! ```text
//! path ─▶ source ─▶ Model ─┐
//! EngineConfig ─▶ engine ──┼─▶ ModelFactory ─▶ Generator · Trainer · Peer
//! LearnConfig ─────────────┘                                └─▶ solo (training without peers)
//! recipe file ─▶ recipe ─▶ Pretrainer
//! specification ─▶ spec, generation_spec ─▶ Job (a plan of training, or of generation) ─▶ JobRun
//!                                 └─▶ Part (a worker's or a verifier's part in it, on a chain)
//! ```
//!
//! Nothing is decided here that changes a number: the same settings give the same bits whatever
//! engine executes them.

mod across;
mod answers;
mod assembled;
mod carry_out;
mod claimable;
mod engine;
mod factory;
mod generation_spec;
mod memory;
mod part;
mod progress;
mod published;
mod recipe;
mod shipped;
mod solo;
mod source;
mod spec;
mod stop;

pub use across::{AveragingSpec, Method, PipelineSpec, WireFormat};
pub use answers::ANSWERS;
pub use assembled::{Generation, Job, JobFile, Training, Work};
pub use carry_out::{Divergence, Times, carry_out};
pub use claimable::Claimable;
pub use engine::{EngineError, certified, engine};
pub use factory::{FactoryError, ModelFactory, memory_note};
pub use generation_spec::{DrawSpec, GenerationSpec, PromptSpec};
pub use memory::{GenerationMemory, peak_bytes};
pub use part::{Part, PartError, PartEvent, PartPlace, PartUnderWay, disputed, length, seal_salt};
pub use progress::{Progress, Silent};
pub use published::{Published, SignedFile, SignedFileError};
pub use recipe::{Recipe, RecipeError};
pub use shipped::{BASE, ShippedError, base};
pub use solo::{Solo, SoloConfig, SoloError, SoloStep};
pub use source::{Model, SourceError};
pub use spec::{BatchSpec, CorpusSpec, DataSpec, JobError, JobSpec, ModelSpec, SPEC, ScheduleSpec};
pub use stop::{STOP_POLL, Stop};
