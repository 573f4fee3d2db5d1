//! What lies on the stream of a channel.
//!
//! ```text
//! sender                               receiver
//! hello  01 │ job 32              ──▶
//!                                 ◀──  answer 1: accepted, unknown job, no member
//! frame  length 4 │ bytes         ──▶
//! frame  …
//! ```
//! Numbers are little-endian. After its answer the receiver sends nothing; whichever side closes ends
//! the stream. A length is checked before anything is allocated for it, and memory grows with what
//! comes, not with what was announced.

use std::io;
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt};
use thiserror::Error;
use tokio::time::timeout;

use crate::limits::ChannelLimits;

/// Bytes of a hello.
pub const HELLO_BYTES: usize = 33;
/// Bytes in front of a frame.
pub const HEADER_BYTES: usize = 4;
/// What is read of a frame at once, in bytes.
pub(crate) const STEP_BYTES: usize = 64 << 10;

/// The name of a job, which all its members know.
pub type JobId = [u8; 32];

/// The first byte of a hello or an answer is that of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a channel begins with byte {0}, which has no meaning there")]
pub struct UnknownByte(pub u8);

/// The first bytes of a stream: which job it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello(pub JobId);

impl Hello {
    /// Its bytes.
    pub fn to_bytes(self) -> [u8; HELLO_BYTES] {
        let mut bytes = [1; HELLO_BYTES];
        bytes[1..].copy_from_slice(&self.0);
        bytes
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`UnknownByte`].
    pub fn from_bytes(bytes: &[u8; HELLO_BYTES]) -> Result<Self, UnknownByte> {
        let [kind, rest @ ..] = bytes;
        match kind {
            1 => Ok(Self(*rest)),
            other => Err(UnknownByte(*other)),
        }
    }
}

/// The answer to a hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Frames may follow.
    Accepted = 1,
    /// The job is not here; it may begin later.
    UnknownJob = 2,
    /// The job is here, and the sender is no member of it.
    NoMember = 3,
}

impl Answer {
    /// Reads it.
    ///
    /// # Errors
    /// [`UnknownByte`].
    pub fn from_byte(byte: u8) -> Result<Self, UnknownByte> {
        match byte {
            1 => Ok(Self::Accepted),
            2 => Ok(Self::UnknownJob),
            3 => Ok(Self::NoMember),
            other => Err(UnknownByte(other)),
        }
    }
}

/// Why no frame comes.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    /// It is announced to be longer than allowed.
    #[error("a frame of {bytes} bytes is over the limit of {limit}")]
    Oversize { bytes: u32, limit: u32 },
    /// It began and does not go on.
    #[error("a frame stopped in the middle")]
    Stalled,
    /// The stream ended.
    #[error(transparent)]
    Broken(#[from] io::Error),
}

/// Reads the next frame. It may begin at any time.
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    limits: &ChannelLimits,
) -> Result<Vec<u8>, ReadError> {
    let mut header = [0; HEADER_BYTES];
    let (first, rest) = header.split_at_mut(1);
    stream.read_exact(first).await?;
    step(stream, rest, limits.stall).await?;
    let bytes = u32::from_le_bytes(header);
    let limit = limits.frame_bytes;
    if bytes > limit {
        return Err(ReadError::Oversize { bytes, limit });
    }
    body(stream, bytes as usize, limits.stall).await
}

async fn body(
    stream: &mut (impl AsyncRead + Unpin),
    length: usize,
    stall: Duration,
) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let came = bytes.len();
        let end = length.min(came + STEP_BYTES);
        if bytes.capacity() < end {
            // Doubles, but never beyond the frame.
            bytes.reserve_exact(came.max(STEP_BYTES).min(length - came));
        }
        bytes.resize(end, 0);
        step(stream, &mut bytes[came..], stall).await?;
    }
    Ok(bytes)
}

async fn step(
    stream: &mut (impl AsyncRead + Unpin),
    bytes: &mut [u8],
    stall: Duration,
) -> Result<(), ReadError> {
    let read = timeout(stall, stream.read_exact(bytes)).await;
    Ok(read.map_err(|_| ReadError::Stalled)??)
}
