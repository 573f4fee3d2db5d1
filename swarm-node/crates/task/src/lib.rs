//! Verifiable tasks: every peer regenerates question and right answer itself, so nobody's word for
//! either is needed.
//!
//! A [`Task`] is a handful of numbers. [`Task::question`] turns it into a prompt, the right answer,
//! and the answer of the family's fixed careless procedure; [`score`] judges a text against it.
//! Both are pure: the same task gives the same question on every machine, and nothing but Philox
//! streams is random.
//!
//! ```text
//! Task ──generate──> Question ──score(text)──> 0 or 1
//!                       │
//!                       ├── prompt   critique and decide prompts within a budget
//!                       └── corpus   supervised examples with a known share of careless labels
//! ```
//!
//! ```
//! use swarm_task::{FamilyId, Task};
//!
//! // The first training question of the family at its easiest level under seed 1.
//! let task = Task::train(FamilyId::Max, 1, 0, 0);
//! let question = task.question()?;
//! assert!(question.prompt.starts_with("max ") && question.prompt.ends_with('='));
//! assert_eq!(question.score(&format!("Answer: {}", question.gold)), 1.0);
//! assert_eq!(question.score("no idea"), 0.0);
//! # Ok::<(), swarm_task::TaskError>(())
//! ```
//!
//! Held-out questions are those whose canonical form has a SHA-256 that is 0 modulo 8. The
//! canonical form ([`Question::canonical`]) is one text for all twins of a question, which are the
//! same problem in another order: `sort 38152=` and `sort 83152=`. A task says which [`Split`] it
//! belongs to and generation redraws until the question is in it, so a training task can never show
//! a held-out question nor a twin of one.
//!
//! Limits: texts are read up to [`MAX_TEXT_BYTES`], prompts are cut to their budget, dataset files
//! are bounded in [`gsm8k`]. No text, file or task makes a function here panic.

pub mod charset;
pub mod corpus;
pub mod gsm8k;
pub mod number;
pub mod prompt;

mod answer;
mod family;
mod held_out;
mod library;
mod plain;
mod quantity;
mod question;
mod random;
mod reading;
mod split;
mod task;
mod words;

pub use answer::{Answer, Kind, MAX_ITEMS, MAX_SYMBOLS, MAX_TEXT_BYTES};
pub use family::{Family, FamilyId, NANO_ANSWER_CHARS, NANO_PROMPT_CHARS, UnknownFamily};
pub use held_out::held_out_set;
pub use library::Library;
pub use question::Question;
pub use split::{HELD_OUT_MODULUS, Split};
pub use task::{Task, TaskError, score};
