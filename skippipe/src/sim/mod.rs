//! What a step takes: a discrete-event simulation of microbatches on their ways through the nodes.
//!
//! ```text
//!   release ─▶ forward at hop 0 ─link▶ forward at hop 1 … ─link▶ forward at hop L−1
//!              slot taken              slot taken                slot taken
//!                                                                   │ link
//!   end ◀── backward at hop 0 ◀link─ … ◀link─ backward at hop L−1 ◀link─ loss at hop 0
//!           slot given back                  slot given back
//! ```
//!
//! * A node does one task at a time, then pauses. What waits is served in the order of arrival; of
//!   one moment, microbatches by their number. What arrives in the very moment in which a node
//!   becomes ready is not among what it chooses from.
//! * A forward pass needs a free slot of its node, which is taken when it starts and given back
//!   when the backward pass of the same microbatch starts there. What needs no slot passes what
//!   waits for one.
//! * A *new* microbatch, whose first forward pass is due, waits for everything else that the node
//!   can do. It is due from its release on.
//! * Links carry any number of messages at once. Those of
//!   [`Links::Shared`](crate::topology::Links::Shared) do not: a node hands over a message when its
//!   task is done, messages from one node to another follow each other, and the messages of one
//!   sender or one receiver share its line (`lines`).
//!
//! These are the rules under which the plans of the published schedule of 20 nodes take the
//! published times: three of them to 2 µs, the fourth, in which tasks arrive just when nodes become
//! ready, to 0.33 %. Where nothing can start any more although microbatches are under way, the
//! answer is [`SimError::Deadlock`].
//!
//! A [`Simulator`] keeps its memory between runs: a run allocates nothing once it has seen a
//! schedule of the same size.

pub(crate) use engine::{Ended, check};

mod engine;
mod lines;
mod queues;
mod report;
mod schedule;

pub use engine::{MAX_TASKS, SimError, Simulator};
pub use report::{LinkUse, NodeUse, Report};
pub use schedule::Schedule;

#[cfg(test)]
mod tests;
