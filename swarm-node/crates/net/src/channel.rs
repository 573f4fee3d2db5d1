//! Channels: ordered streams of frames between the members of a job, for bulk that belongs to
//! nobody else (activations, gradients).
//!
//! ```text
//! send ─▶ queue of the member ─▶ stream ══▶ stream ─▶ frames that wait ─▶ ChannelEvents
//!          full: refused          ▲                    full: nothing is read, the sender waits
//!                                 └─ opened at the first frame, kept, opened again when it breaks
//! ```
//! # What is promised
//! * A frame comes whole, from the member that it is said to come from, at most once, and after
//!   those that the same member sent before it.
//! * While a member is not *down*, nothing that was queued for it is dropped here. What was written
//!   into a stream that then broke may be lost; what was still queued, or written in part, goes
//!   into the next stream. So nothing is certain without an answer: members say again what is not
//!   answered.
//! * A member that is slow is waited for. Its frames fill its queue, and then its sender is refused
//!   further ones ([`SendError::Full`](crate::SendError::Full)); other members and jobs do not
//!   notice.
//!
//! # When a member is down
//! ```text
//!           no stream for `patience`, or nothing was taken for `stall`
//!    up ────────────────────────────────────────────────────────────────▶ down: its queue is dropped,
//!     ▲                                                                    │    sends are refused
//!     └──────────── there is a stream again, or something was taken ───────┘
//! ```
//! All members are up at first. Streams are looked for in the background, for as long as the job
//! lasts, at pauses that grow to [`CHANNEL_PAUSE_LONGEST`](crate::limits::CHANNEL_PAUSE_LONGEST)
//! and that a stream which breaks at once does not shorten. A stream that only stands still is
//! kept: what was written into it still comes. A job that the other side does not have (yet) counts
//! as no stream. If a member's own stream breaks, one is opened with it even if nothing is to be
//! sent, so that members learn who is gone also where frames go one way only. Who receives gives a
//! sign of life once a second. A stream without one for `silence` is broken, so a process that is
//! killed, or a machine that vanishes without a goodbye, is down after `silence` and `patience`; its
//! connection alone would tell that half a minute later.
//!
//! A member that begins anew is told as down and up again, however fast it comes back: it remembers
//! nothing, and who waits for an answer from before would wait in vain. Both sides name their *run*.
//!
//! | module | what is in it |
//! |---|---|
//! | [`channels`] | starting, sending, ending |
//! | [`event`] | what comes: frames, and who is up or down |
//! | [`frame`] | what lies on a stream |
//! | `queue` | what waits for one member |
//! | `job` | what all parts of a job share |
//! | `registry` | the jobs of a node |
//! | `outgoing` | the stream to one member |
//! | `reception` | incoming streams: whose they are, and reading them |
//! | `tally` | counts bytes, and tells them now and then |

pub mod channels;
pub mod event;
pub mod frame;
pub(crate) mod job;
mod outgoing;
mod queue;
pub(crate) mod reception;
pub(crate) mod registry;
mod tally;
#[cfg(test)]
mod tests;
