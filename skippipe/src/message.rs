//! What the members of a pipeline say to each other.
//!
//! ```text
//! leader ─Admitted, Begin, Launch─▶ sources ─Forward─▶ … ─Forward─▶ source (loss) ─Backward─▶ … ─▶ source
//! source ─Finished─▶ leader ─Close─▶ all ─Partial─▶ root ─Sum─▶ replicas ─Prepared─▶ leader
//! leader ─Commit─▶ all ─Updated─▶ leader
//! ```
//! A message is an envelope with the step and the term it belongs to. Whoever sent it is known from
//! the connection; the transcript that members sign is of contents.

use serde::{Deserialize, Serialize};

use crate::admission::Admission;
use crate::content::{Content, Digest};
use crate::meeting::Met;
use crate::path::{Hop, Microbatch, Path, Peer, Stage};
pub use crate::term::Term;
use crate::transcript::{Joined, Recovery, Roster, Stated, StepRecord, Visit};
use crate::wire::{self, NoMessage};

impl Message {
    /// As it is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::to_bytes(self)
    }

    /// Reads a message, which all bytes are of.
    ///
    /// # Errors
    /// These bytes are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NoMessage> {
        wire::from_bytes(bytes)
    }
}

/// When something is said: messages of other terms and steps are none of a member's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct When {
    /// The step.
    pub step: u64,
    /// The term.
    pub term: Term,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// When it is said.
    pub when: When,
    /// What.
    pub body: Body,
}

/// Which of several tries along a path a message belongs to: how often the microbatch was launched,
/// then how often each hop behind it tried before. What a hop tries anew ends all that followed its
/// earlier tries, and versions compare so: lists, from the first number on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version(pub Vec<u32>);

impl Version {
    /// The version of a hop's try.
    pub fn then(&self, tries: u32) -> Self {
        Self(self.0.iter().copied().chain([tries]).collect())
    }

    /// Whether it follows from another's hop.
    pub fn follows(&self, earlier: &Self) -> bool {
        self.0.starts_with(&earlier.0)
    }
}

/// A hop that a microbatch has behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Where.
    pub hop: Hop,
    /// What the stage made, as it was sent.
    pub output: Digest,
}

/// A microbatch on its way forward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Which.
    pub microbatch: Microbatch,
    /// Of which try; the highest holds.
    pub version: Version,
    /// Hops so far, the sender's last.
    pub behind: Vec<Passed>,
    /// Hops to come, the receiver's first; none where it comes back for the loss.
    pub ahead: Vec<Hop>,
    /// What the sender made.
    pub content: Content,
}

/// A microbatch on its way back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backward {
    /// Which.
    pub microbatch: Microbatch,
    /// The version of the forward message that is answered.
    pub version: Version,
    /// The hops beyond the receiver's, by stage.
    pub beyond: Vec<Visit>,
    /// The gradient of what the receiver made.
    pub content: Content,
}

/// A microbatch for a peer of stage 0 to send on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Which.
    pub microbatch: Microbatch,
    /// How often it was launched before.
    pub launches: u32,
    /// Its path.
    pub path: Path,
}

/// What a member has come to, for a new leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its stage and the state of it; none who holds none.
    pub state: Option<(Stage, Digest)>,
    /// The step that it would do next.
    pub next: u64,
    /// The commit of its last step, for those who have not heard it.
    pub last: Option<Box<Commit>>,
    /// Who took up stages since the last step, in their order, if it did itself: its own is the
    /// last.
    pub joined: Vec<Joined>,
    /// States of other stages that it keeps, and before which steps they were.
    pub kept: Vec<(Stage, u64)>,
    /// Who became a member after the start, as far as it knows.
    pub admitted: Vec<Admission>,
}

/// The step is as it is: everybody moves its stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The record.
    pub record: StepRecord,
    /// Bits of the norm of all gradients, f32.
    pub norm: u32,
}

/// From whom and how a peer gets its stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopt {
    /// The stage.
    pub stage: Stage,
    /// How.
    pub recovery: Recovery,
    /// Whom to ask for which stage's state.
    pub sources: Vec<Hop>,
    /// Who holds what meanwhile.
    pub roster: Roster,
    /// Who took up stages before, since the last step.
    pub joined: Vec<Joined>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Leader: who leads, who holds what.
    Begin(Roster),
    /// Leader: who became a member after the start, all so far.
    Admitted(Vec<Admission>),
    /// Leader to a source.
    Launch(Launch),
    /// On the way forward.
    Forward(Forward),
    /// On the way back.
    Backward(Backward),
    /// No slot is free, and as many microbatches wait for one; the sender keeps the content until
    /// it hears `Free`.
    Busy(Microbatch),
    /// There is a place.
    Free(Microbatch),
    /// The content of a microbatch is not what the stage takes.
    Refused {
        /// Which.
        microbatch: Microbatch,
        /// The version of the message.
        version: Version,
        /// Whose content it is.
        sender: Peer,
    },
    /// Source to leader: it came back.
    Finished {
        /// Which.
        microbatch: Microbatch,
        /// Bits of its loss.
        loss: u32,
        /// Its visits, by stage.
        visits: Vec<Visit>,
    },
    /// Source to leader: it does not come back.
    Failed(Microbatch),
    /// Leader: what counts. A later amendment replaces an earlier one.
    Close {
        /// Counts up.
        amendment: u32,
        /// What counts.
        record: StepRecord,
    },
    /// Member to leader: its own visits were not as the record says.
    Disputed {
        /// Of which record.
        amendment: u32,
        /// Of which microbatches.
        microbatches: Vec<Microbatch>,
    },
    /// Member to leader: what a child in the reduce tree sent is no sum.
    Accused {
        /// Of which record.
        amendment: u32,
        /// Who.
        peer: Peer,
    },
    /// To the parent in the reduce tree.
    Partial {
        /// Of which record.
        amendment: u32,
        /// Sum of gradients.
        content: Content,
    },
    /// Root to the other peers of its stage.
    Sum {
        /// Of which record.
        amendment: u32,
        /// Sum of all gradients of the stage.
        content: Content,
    },
    /// Member to leader: it could move its stage.
    Prepared {
        /// Of which record.
        amendment: u32,
        /// What it would add: digest of the sum; none where nothing counts.
        sum: Option<Digest>,
        /// The root's: bits of the sum of squares of each parameter's gradient, f32.
        squares: Vec<u32>,
    },
    /// Leader: it is so.
    Commit(Commit),
    /// Member to leader: it moved.
    Updated {
        /// The record that it is of.
        record: Digest,
        /// What its stage has come to, and how.
        stated: Stated,
        /// States of other stages that it keeps, and before which steps they were.
        kept: Vec<(Stage, u64)>,
    },
    /// Leader: the step is over, and this is what its holders stated, with their signatures.
    Stated {
        /// Digest of its record.
        record: Digest,
        /// Bits of the norm of all gradients, f32.
        norm: u32,
        /// Holders, and what they stated.
        statements: Vec<(Hop, Stated)>,
    },
    /// New leader: where is everybody?
    Ask,
    /// Member to leader.
    Standing(Standing),
    /// Leader to a peer without a stage.
    Adopt(Adopt),
    /// Who wants a state.
    StateWanted(Stage),
    /// The state.
    State {
        /// Of which stage.
        stage: Stage,
        /// The step before which it was so.
        step: u64,
        /// Parameters and moments.
        content: Content,
    },
    /// Member to leader: it holds the stage.
    Adopted {
        /// Which.
        stage: Stage,
        /// The state.
        state: Digest,
    },
    /// A root to the peer that keeps a copy of its state.
    Keep {
        /// Of which stage.
        stage: Stage,
        /// The step before which it is so.
        step: u64,
        /// Parameters and moments.
        content: Content,
    },
    /// A peer without a stage to the leader.
    Join,
    /// Leader: all steps are done.
    Over,
    /// To the leader: what the sender's stage did where pipelines met.
    Met(Met),
}
