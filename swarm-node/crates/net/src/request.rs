//! Small requests and their answers: four bytes of length, big-endian, then as many bytes.
//!
//! A length is checked before anything is read for it, and memory grows only as bytes arrive. The
//! time limit of a request covers reading, too, so a peer that sends a byte a second is cut off.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response;
use thiserror::Error;
use tokio::time::timeout;

use crate::limits::{MAX_ANSWER_BYTES, MAX_REQUEST_BYTES};

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// There is no connection with the peer, and none could be made.
    #[error("peer is not connected and no known address of it answers; ask another one")]
    Unreachable,
    /// The deadline passed.
    #[error("no answer within the deadline; ask another peer")]
    Timeout,
    /// The peer has no answer, or is over its quota.
    #[error("the peer refused or broke off; ask another one, or later")]
    Refused,
    /// The peer does not speak this swarm's protocol.
    #[error("the peer does not answer requests of this swarm")]
    Unsupported,
    /// The request itself is too long.
    #[error("a request of {0} bytes is over the limit of {MAX_REQUEST_BYTES}; split it")]
    TooLong(usize),
    /// The peer's answer breaks the protocol.
    #[error("the peer's answer is over the limit of {MAX_ANSWER_BYTES} bytes")]
    BadAnswer,
    /// Too many requests of this node are under way.
    #[error("too many requests are under way; wait for some to end")]
    Busy,
    /// The network was shut down.
    #[error("the network is shut down")]
    Closed,
}

/// Why a frame was refused, in the error that the transport carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a frame of {length} bytes is over the limit of {limit}")]
pub struct Oversize {
    /// The length that was announced.
    pub length: usize,
    /// What is allowed.
    pub limit: usize,
}

/// Reads one frame, at most `limit` bytes.
///
/// # Errors
/// [`Oversize`] in an [`io::ErrorKind::InvalidData`], [`io::ErrorKind::UnexpectedEof`] if it ends
/// early, and whatever the stream says.
pub async fn read_frame(io: &mut (impl AsyncRead + Unpin), limit: usize) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length) as usize;
    if length > limit {
        let oversize = Oversize { length, limit };
        return Err(io::Error::new(io::ErrorKind::InvalidData, oversize));
    }
    let mut bytes = Vec::new();
    io.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

async fn write_frame(io: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    io.write_all(&length.to_be_bytes()).await?;
    io.write_all(bytes).await?;
    io.close().await
}

/// What was wrong with a request of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    /// It announced more bytes than a request may have.
    Oversize,
    /// It did not come in time.
    Stalled,
    /// It ended early.
    Broken,
}

/// How requests and answers lie on a stream.
///
/// A request that cannot be read is handed on as [`Bad`]: libp2p does not tell who sent it
/// otherwise, and nobody could be blamed.
#[derive(Clone, Debug)]
pub(crate) struct Codec {
    /// Time in which a request must be read.
    pub(crate) time: Duration,
}

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Result<Vec<u8>, Bad>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Self::Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        let read = timeout(self.time, read_frame(io, MAX_REQUEST_BYTES)).await;
        Ok(match read {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) if is_oversize(&error) => Err(Bad::Oversize),
            Ok(Err(_)) => Err(Bad::Broken),
            Err(_) => Err(Bad::Stalled),
        })
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read_frame(io, MAX_ANSWER_BYTES).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: Self::Request,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let bytes = request.map_err(|_| io::ErrorKind::InvalidInput)?;
        write_frame(io, &bytes).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(io, &bytes).await
    }
}

fn is_oversize(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Oversize>())
}

/// Where libp2p takes the answer to a request.
pub(crate) type Channel = request_response::ResponseChannel<Vec<u8>>;

/// An answer that the daemon is asked for; nothing if it refuses.
pub(crate) type PendingAnswer = Pin<
    Box<dyn Future<Output = (request_response::InboundRequestId, Channel, Option<Vec<u8>>)> + Send>,
>;

/// What a failure of an own request means.
pub(crate) fn failure(error: request_response::OutboundFailure) -> RequestError {
    use request_response::OutboundFailure as Failure;
    match error {
        Failure::DialFailure => RequestError::Unreachable,
        Failure::Timeout => RequestError::Timeout,
        Failure::ConnectionClosed => RequestError::Refused,
        Failure::UnsupportedProtocols => RequestError::Unsupported,
        Failure::Io(error) if is_oversize(&error) => RequestError::BadAnswer,
        Failure::Io(_) => RequestError::Refused,
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::io::Cursor;
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8], limit: usize) -> io::Result<Vec<u8>> {
        block_on(read_frame(&mut Cursor::new(bytes), limit))
    }

    #[test]
    fn an_announced_length_over_the_limit_is_refused_unread() {
        let refused = read(&[0xff, 0xff, 0xff, 0xff, 1], 10).unwrap_err();
        let oversize = refused.get_ref().unwrap().downcast_ref::<Oversize>();
        assert_eq!(oversize.unwrap().length, u32::MAX as usize);
    }

    proptest! {
        #[test]
        fn frames_come_back(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut wire = Cursor::new(Vec::new());
            block_on(write_frame(&mut wire, &bytes)).unwrap();
            let wire = wire.into_inner();
            prop_assert_eq!(read(&wire, 300).unwrap(), bytes);
            for end in 0..wire.len() {
                let kind = read(&wire[..end], 300).unwrap_err().kind();
                prop_assert_eq!(kind, io::ErrorKind::UnexpectedEof);
            }
        }

        #[test]
        fn what_is_read_was_announced(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(read) = read(&bytes, 32) {
                prop_assert!(read.len() <= 32);
                prop_assert_eq!(&bytes[4..4 + read.len()], &read[..]);
            }
        }
    }
}
