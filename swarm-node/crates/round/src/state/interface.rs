//! What goes into a core and what comes out of it.

use std::sync::Arc;

use swarm_identity::Place;
use swarm_identity::digest::Digest32;
use swarm_identity::key::{PeerId, SaltKey, SignatureBytes, SignatureMemo};
use thiserror::Error;

use crate::agreement::{AdoptError, DecidedRound, RoundRecord, Want};
use crate::allowance::Link;
use crate::clock::{Millis, Round};
use crate::config::{SwarmConfig, SwarmConfigError};
use crate::heard::Evidence;
use crate::journal::{JOURNAL_VERSION, Record};
use crate::membership::hello::Hello;
use crate::membership::{Member, RegisterError, Roster};
use crate::payload::Stage;
use crate::phase::Phase;
use crate::question::Judge;
use crate::rejection::{Rejection, Withheld};
use crate::work::{StageTask, Work};

/// Rounds that may be undecided at a time.
pub const MAX_UNDECIDED: usize = 64;

/// What happens to a node.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time passed.
    Tick,
    /// From now on contents go out this long before their window ends, in milliseconds, or not at
    /// all: see [`Estimate::lead_ms`](crate::clock_offset::Estimate::lead_ms).
    Lead(Millis),
    /// A neighbour delivered a message.
    Envelope(Link, Arc<[u8]>),
    /// The model finished work for a round.
    Work(Round, Work),
    /// A peer registered; it counts from the next round. Only where membership is
    /// [`Membership::Registered`](crate::Membership).
    Register(Member),
    /// The members of an epoch with their stakes, where membership is
    /// [`Membership::Stake`](crate::Membership). The first ones of an epoch stay.
    Stakes(u64, Vec<Member>),
    /// The signature that [`Output::Sign`] asked for.
    Signed(Place, SignatureBytes),
    /// There is no signature for this place: the sign-once table does not allow it.
    Refused(Place),
    /// A neighbour asks for something of a round that is not decided here. What is decided is
    /// answered from the archive, by whoever runs the core.
    Asked(Link, Want),
    /// A decided round, from the archive of this node or of another; it is checked.
    Adopt(Box<RoundRecord>),
}

/// What a node wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Sign this digest, once for its place, and come back with [`Input::Signed`] or
    /// [`Input::Refused`], for contents before the window ends.
    Sign {
        /// Where the signature belongs.
        place: Place,
        /// What is signed.
        digest: Digest32,
    },
    /// Rounds below this one are over: nothing is signed for them any more, so the sign-once table
    /// may forget them.
    ForgetBefore(Round),
    /// Publish this message to all members.
    Broadcast(Arc<[u8]>),
    /// The node keeps a message of its own back: it is silent in this place.
    Withheld(Place, Withheld),
    /// Let the model do this and come back with [`Input::Work`] before the window ends.
    Need(StageTask),
    /// Ask some peers for this; what they send comes back as [`Input::Envelope`] or
    /// [`Input::Adopt`].
    Ask(Want),
    /// Send this to a neighbour that asked.
    Send(Link, Arc<[u8]>),
    /// The members agree on what counts in a round: archive it, and learn from it. Rounds may be
    /// decided out of order, each once.
    Decided(Arc<DecidedRound>),
    /// A round was not adopted.
    NotAdopted(Round, AdoptError),
    /// A message was refused.
    Rejected {
        /// Who delivered it.
        link: Link,
        /// Who is said to have signed it, where the header can be read.
        peer: Option<PeerId>,
        /// Why.
        reason: Rejection,
    },
    /// A peer contradicted itself: keep the proof.
    Evidence(Box<Evidence>),
    /// This node's own work was not sealed in time: it sat out a stage.
    Missed(Round, Stage),
    /// A registration was refused.
    NotRegistered(RegisterError),
    /// The node changed its phase.
    Entered(Phase),
    /// The node begins no round until this is there.
    Waits(Waiting),
}

/// What a node waits for before it can begin a round: its members follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Waiting {
    /// Decided rounds.
    #[error("waits for the decided rounds {from} to {} to learn who is a member", until - 1)]
    Rounds {
        /// The first one that is missing.
        from: Round,
        /// The first one that is not needed.
        until: Round,
    },
    /// [`Input::Stakes`].
    #[error("waits for the stakes of epoch {0}")]
    Stakes(u64),
}

/// What a node needs to exist. There is no key in it that could sign.
#[derive(Clone)]
pub struct CoreSetup {
    /// The swarm's configuration.
    pub config: Arc<SwarmConfig>,
    /// The node's identity.
    pub peer: PeerId,
    /// Derives the salts of its seals.
    pub salts: SaltKey,
    /// The judge of its tasks.
    pub judge: Arc<dyn Judge>,
    /// Verified signatures; may be shared by nodes of one process.
    pub memo: Arc<SignatureMemo>,
    /// Peers registered so far, where membership is
    /// [`Membership::Registered`](crate::Membership).
    pub roster: Roster,
    /// What the node says in an open swarm to become a member; `None` if it only follows.
    pub hello: Option<Hello>,
}

/// What came of an input, and what the journal must have before any of it is acted upon.
#[derive(Debug)]
pub struct Recorded {
    /// What the node wants done.
    pub outputs: Vec<Output>,
    /// The segment of the journal in which the records belong.
    pub segment: Round,
    /// The records, in their order; none if the input changed nothing.
    pub records: Vec<Record>,
}

/// Why a journal cannot be replayed. Clear it, begin with [`Core::new`](crate::Core::new) and adopt
/// what is archived: the node votes in no round that it may have voted in before.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// There is nothing to begin with.
    #[error("the journal is empty or does not begin with a segment; begin without it")]
    Headless,
    /// Another version of the core wrote it.
    #[error(
        "the journal is of version {0}, this program replays {JOURNAL_VERSION}; begin without it"
    )]
    Version(u16),
    /// It belongs to another swarm or node.
    #[error("the journal belongs to another swarm or another node; begin without it")]
    Foreign,
    /// A registration of it is refused.
    #[error("a registration of the journal: {0}; begin without the journal")]
    Register(#[from] RegisterError),
    /// The configuration is out of its limits.
    #[error(transparent)]
    Config(#[from] SwarmConfigError),
    /// A decided round is not in the archive.
    #[error(
        "round {0} is decided by the journal, but the archive lacks it; begin without the journal"
    )]
    Missing(Round),
    /// The same inputs led to something else.
    #[error("the journal of segment {0} leads to something else than before; begin without it")]
    Diverged(Round),
}
