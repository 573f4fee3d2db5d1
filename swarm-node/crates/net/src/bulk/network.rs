//! What serving and fetching need of the network.

use futures::{AsyncRead, AsyncWrite};
use swarm_identity::PeerId;

use super::streams::OpenError;
use crate::limits::Behaviour;

/// What raw streams are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Serving and fetching blobs.
    Blobs,
    /// Channels of jobs.
    Channels,
}

/// Content that moved between this node and a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Bytes that were sent.
    pub(crate) sent: u64,
    /// Bytes that came and are right.
    pub(crate) received: u64,
}

/// Where what peers did is told.
pub(crate) trait Reports: Clone + Send + Sync + 'static {
    /// A peer did something.
    fn report(&self, peer: PeerId, behaviour: Behaviour);
    /// Content moved.
    fn moved(&self, peer: PeerId, purpose: Purpose, traffic: Traffic);
}

/// Where streams come from.
pub(crate) trait Network: Reports {
    /// A stream of the protocol of blobs.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send;
    /// Opens a stream with a peer.
    fn open(&self, peer: PeerId) -> impl Future<Output = Result<Self::Stream, OpenError>> + Send;
}
