//! The vocabulary: peers, stages, microbatches, and the paths that microbatches take.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A peer of a pipeline, by its place in the pipeline's list of peers.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default,
)]
pub struct Peer(pub u32);

/// A stage of the model, from 0. Stage 0 holds the embedding, the head and the loss: a path starts
/// there, comes back for the loss, and goes the same way backward.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default,
)]
pub struct Stage(pub u16);

/// A microbatch of a step, from 0.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default,
)]
pub struct Microbatch(pub u32);

impl Peer {
    /// Place in lists of peers.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl Stage {
    /// The stage of embedding, head and loss.
    pub const FIRST: Self = Self(0);

    /// Place in lists of stages.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl Microbatch {
    /// Place in lists of microbatches.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer {}", self.0)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stage {}", self.0)
    }
}

impl fmt::Display for Microbatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "microbatch {}", self.0)
    }
}

/// A visit of a microbatch: which stage, at which of its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hop {
    /// The stage.
    pub stage: Stage,
    /// The peer that computes it.
    pub peer: Peer,
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.peer, self.stage)
    }
}

/// The hops of a microbatch in the order of its forward pass. The first is of stage 0 and computes
/// the loss, too, so the way back to it is not listed; stages ascend.
///
/// ```
/// use skippipe::path::{Hop, Path, Peer, Stage};
///
/// let hop = |stage, peer| Hop { stage: Stage(stage), peer: Peer(peer) };
/// let path = Path::new(vec![hop(0, 4), hop(2, 7), hop(3, 1)])?;
/// assert_eq!(path.source(), Peer(4));
/// assert!(Path::new(vec![hop(0, 4), hop(3, 1), hop(2, 7)]).is_err());
/// # Ok::<(), skippipe::path::PathError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Vec<Hop>", into = "Vec<Hop>")]
pub struct Path(Vec<Hop>);

/// Why hops are no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A path begins where the embedding is.
    #[error("a path must begin at stage 0")]
    Start,
    /// Paths whose stages do not ascend can wait for each other for ever.
    #[error("{after} follows {before}; the stages of a path must ascend")]
    Order {
        /// A stage.
        before: Stage,
        /// The one that follows it.
        after: Stage,
    },
}

impl Path {
    /// A path of these hops.
    ///
    /// # Errors
    /// They do not begin at stage 0, or do not ascend.
    pub fn new(hops: Vec<Hop>) -> Result<Self, PathError> {
        if hops.first().map(|hop| hop.stage) != Some(Stage::FIRST) {
            return Err(PathError::Start);
        }
        for pair in hops.windows(2) {
            let (before, after) = (pair[0].stage, pair[1].stage);
            if after <= before {
                return Err(PathError::Order { before, after });
            }
        }
        Ok(Self(hops))
    }

    /// The hops.
    pub fn hops(&self) -> &[Hop] {
        &self.0
    }

    /// The same way through peers with other numbers: `places` has the new one of every old one.
    /// None where one of its peers has none.
    pub fn renamed(&self, places: &[Option<Peer>]) -> Option<Self> {
        let hop = |hop: &Hop| {
            let peer = places.get(hop.peer.index()).copied().flatten()?;
            Some(Hop { peer, ..*hop })
        };
        self.0.iter().map(hop).collect::<Option<_>>().map(Self)
    }

    /// The peer of stage 0, whose microbatch it is.
    pub fn source(&self) -> Peer {
        self.0[0].peer
    }

    /// The hop at a stage; none where the path skips it.
    pub fn hop_at(&self, stage: Stage) -> Option<Hop> {
        let found = self.0.binary_search_by_key(&stage, |hop| hop.stage);
        found.ok().map(|index| self.0[index])
    }
}

impl TryFrom<Vec<Hop>> for Path {
    type Error = PathError;

    fn try_from(hops: Vec<Hop>) -> Result<Self, PathError> {
        Self::new(hops)
    }
}

impl From<Path> for Vec<Hop> {
    fn from(path: Path) -> Self {
        path.0
    }
}
