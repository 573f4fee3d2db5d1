//! Pipelines as replicas: several pipelines of one model train apart, each on rows of its own, and
//! meet after every so many steps. Each stage meets the same stage of the others, so nobody holds or
//! sends a whole model.
//!
//! ```text
//!               pipeline 0                       pipeline 1
//! stage 0   member ─▶ exchange ◀── contributions ──▶ exchange ◀─ member      who speaks for the stage
//! stage 1   member ─▶ exchange ◀── contributions ──▶ exchange ◀─ member      in each pipeline
//!              │ what each stage did, by hash
//!              ▼
//!           leader ─▶ record of the meeting ─▶ prepared ─▶ commit             within each pipeline
//! ```
//! A meeting is a step of each pipeline ([`skippipe::meeting`]): its record says of every stage which
//! contributions it averaged or why it moved alone, and all holders of all stages move by it or none. So
//! whoever dies in a pipeline, its replicas of a stage stay the same.
//!
//! | module | what is in it |
//! |---|---|
//! | [`settings`] | what all pipelines agree on beforehand |
//! | [`message`] | what stages of different pipelines say to each other |
//! | [`exchange`] | a holder's part in a meeting, a state machine |
//! | [`replay`] | all pipelines computed again, bit for bit |
//!
//! Who meets whom ([`crate::averaging::pairing`]), the outer step ([`crate::averaging::outer`]) and how
//! contributions are sent are those of replicas that are one trainer. All stages of a pipeline meet the
//! same partner.
//!
//! Limits: which pipelines there are is fixed, so the partner of one that is gone moves alone. Both of a
//! pair decide for themselves: where the contribution of one arrives and that of the other does not, for
//! three times as long as one waits, one averages and the other does not, as their records say.

pub mod exchange;
pub mod message;
pub mod replay;
pub mod settings;
#[cfg(test)]
mod testing;
