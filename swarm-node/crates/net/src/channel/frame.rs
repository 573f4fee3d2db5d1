//! What lies on the stream of a channel.
//!
//! ```text
//! sender                               receiver
//! hello  01 │ job 32 │ run 8      ──▶
//!                                 ◀──  answer 1: accepted, unknown job, no member
//!                                 ◀──  run 8, if accepted
//! frame  length 4 │ bytes         ──▶
//! frame  …                        ◀──  pulse 00, once a second
//! ```
//! A *run* is the member's part in the job from its start to its end: by another one than before a
//! side knows that the other has begun anew, and remembers nothing. After its answer the receiver
//! sends pulses, by which the sender knows that it is there however little is said; whichever side
//! closes ends the stream.
//!
//! Numbers are little-endian. A length is checked before anything is allocated for it, and memory
//! grows with what comes, not with what was announced.

use std::io;
use std::time::{Duration, Instant};

use futures::{AsyncRead, AsyncReadExt};
use thiserror::Error;
use tokio::time::timeout;

use crate::limits::ChannelLimits;

/// Bytes of a hello.
pub const HELLO_BYTES: usize = 41;
/// Bytes of a run's number.
pub const RUN_BYTES: usize = 8;
/// Bytes in front of a frame.
pub const HEADER_BYTES: usize = 4;
/// What is read of a frame at once, in bytes.
pub(crate) const STEP_BYTES: usize = 64 << 10;

/// The name of a job, which all its members know.
pub type JobId = [u8; 32];

/// Says that the receiver is there.
pub const PULSE: u8 = 0;

/// The first byte of a hello or an answer is that of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a channel begins with byte {0}, which has no meaning there")]
pub struct UnknownByte(pub u8);

/// The first bytes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Which job it is for.
    pub job: JobId,
    /// The sender's run.
    pub run: u64,
}

impl Hello {
    /// Its bytes.
    pub fn to_bytes(self) -> [u8; HELLO_BYTES] {
        let mut bytes = [1; HELLO_BYTES];
        let (job, run) = bytes[1..].split_at_mut(self.job.len());
        job.copy_from_slice(&self.job);
        run.copy_from_slice(&self.run.to_le_bytes());
        bytes
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`UnknownByte`].
    pub fn from_bytes(bytes: &[u8; HELLO_BYTES]) -> Result<Self, UnknownByte> {
        let [kind, rest @ ..] = bytes;
        if *kind != 1 {
            return Err(UnknownByte(*kind));
        }
        let mut hello = Self {
            job: [0; 32],
            run: 0,
        };
        let (job, run) = rest.split_at(hello.job.len());
        hello.job.copy_from_slice(job);
        let mut number = [0; RUN_BYTES];
        number.copy_from_slice(run);
        hello.run = u64::from_le_bytes(number);
        Ok(hello)
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

/// What is in front of a frame, whose length was checked when it was queued.
pub(crate) fn header(frame: &[u8]) -> [u8; HEADER_BYTES] {
    (frame.len() as u32).to_le_bytes()
}

/// Reads the next frame. It may begin at any time.
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    limits: &ChannelLimits,
) -> Result<(Vec<u8>, Duration), ReadError> {
    let mut header = [0; HEADER_BYTES];
    let (first, rest) = header.split_at_mut(1);
    stream.read_exact(first).await?;
    let begun = Instant::now();
    step(stream, rest, limits.stall).await?;
    let bytes = u32::from_le_bytes(header);
    let limit = limits.frame_bytes;
    if bytes > limit {
        return Err(ReadError::Oversize { bytes, limit });
    }
    let body = body(stream, bytes as usize, limits.stall).await?;
    Ok((body, begun.elapsed()))
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

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures::io::Cursor;
    use proptest::prelude::*;

    use super::*;

    fn limits(frame_bytes: u32) -> ChannelLimits {
        ChannelLimits {
            frame_bytes,
            ..ChannelLimits::default()
        }
    }

    /// Bytes, and the room that was offered for them.
    struct Offered<'a> {
        bytes: Cursor<&'a [u8]>,
        most: usize,
    }

    impl AsyncRead for Offered<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            room: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            self.most = self.most.max(room.len());
            Pin::new(&mut self.bytes).poll_read(context, room)
        }
    }

    async fn read_all(bytes: &[u8], limits: &ChannelLimits) -> (Vec<Vec<u8>>, ReadError, usize) {
        let mut stream = Offered {
            bytes: Cursor::new(bytes),
            most: 0,
        };
        let mut frames = Vec::new();
        loop {
            match read(&mut stream, limits).await {
                Ok((frame, _)) => frames.push(frame),
                Err(error) => return (frames, error, stream.most),
            }
        }
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().build().unwrap().block_on(work)
    }

    #[test]
    fn the_bytes_are_these() {
        let hello = Hello {
            job: [7; 32],
            run: 0x0203,
        };
        assert_eq!(hello.to_bytes()[..3], [1, 7, 7]);
        assert_eq!(hello.to_bytes()[33..], [3, 2, 0, 0, 0, 0, 0, 0]);
        for first in 0..=255 {
            let mut bytes = hello.to_bytes();
            bytes[0] = first;
            let expected = (first == 1).then_some(hello);
            assert_eq!(Hello::from_bytes(&bytes).ok(), expected);
            let known = Answer::from_byte(first).map(|answer| answer as u8);
            assert_eq!(known.is_ok(), (1..=3).contains(&first));
            assert!(known.is_err() || known == Ok(first));
        }
        let two = [2, 0, 0, 0, 8, 9, 0, 0, 0, 0];
        let (frames, ..) = run(read_all(&two, &limits(2)));
        assert_eq!(frames, [vec![8, 9], vec![]]);
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_room_is_made() {
        let bytes = [&1001_u32.to_le_bytes()[..], &[0; 1001]].concat();
        let (frames, error, most) = run(read_all(&bytes, &limits(1000)));
        let refused = matches!(
            error,
            ReadError::Oversize {
                bytes: 1001,
                limit: 1000
            }
        );
        assert!(refused && frames.is_empty());
        assert!(most < HEADER_BYTES, "{most} bytes of room");
        let (frames, ..) = run(read_all(&bytes, &limits(1001)));
        assert_eq!(frames, [vec![0; 1001]]);
    }

    #[test]
    fn room_grows_with_what_comes() {
        let bytes = [&u32::MAX.to_le_bytes()[..], &[0; 3 * STEP_BYTES]].concat();
        let (frames, error, most) = run(read_all(&bytes, &limits(u32::MAX)));
        assert!(frames.is_empty() && matches!(error, ReadError::Broken(_)));
        assert_eq!(most, STEP_BYTES);
        let length = 5 * STEP_BYTES + 1;
        let mut stream = Cursor::new(vec![3; length]);
        let whole = run(body(&mut stream, length, Duration::from_secs(9))).unwrap();
        assert_eq!((whole.len(), whole.capacity()), (length, length));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn frames_come_as_they_were_sent(
            lengths in prop::collection::vec(0..3 * STEP_BYTES, 0..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let sent: Vec<Vec<u8>> = (0_u8..)
                .zip(lengths)
                .map(|(number, length)| vec![number; length])
                .collect();
            let wire: Vec<u8> = sent
                .iter()
                .flat_map(|frame| [&header(frame)[..], frame].concat())
                .collect();
            let limits = limits(3 * STEP_BYTES as u32);
            let (came, ..) = run(read_all(&wire, &limits));
            prop_assert!(came == sent);
            let (came, ..) = run(read_all(&wire[..cut.index(wire.len() + 1)], &limits));
            prop_assert!(came == sent[..came.len()]);
        }
    }
}
