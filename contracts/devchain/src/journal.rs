//! The journal: every command in an append-only file, on disk before it is answered.
//!
//! The first record says which chain it is, the others hold a [`Command`] and the hash of the
//! latest block after it, so that a replay that goes another way (a damaged file, another version
//! of the virtual machine) is noticed at once. A torn tail is moved into a file of its own and
//! reported: nothing that was answered is in it, and nothing is deleted. The journal is locked
//! while it is open: one process owns a chain.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::{fs, io};

use alloy::primitives::B256;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::chain::Identity;
use super::command::Command;
use super::frame::{self, Frame, MAX_PAYLOAD};

/// Name of the journal in its folder.
pub const JOURNAL: &str = "journal";
/// Bytes of a journal that is read: it is read as a whole.
pub const MAX_JOURNAL: u64 = 1 << 30;
const VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"devchain";

/// The first record.
#[derive(Serialize, Deserialize)]
struct Header {
    magic: [u8; 8],
    version: u32,
    identity: Identity,
}

/// A command that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What was done.
    pub command: Command,
    /// Hash of the latest block afterwards.
    pub tip: [u8; 32],
}

impl Record {
    /// A command and the block that it led to.
    pub fn new(command: Command, tip: B256) -> Self {
        Self {
            command,
            tip: tip.0,
        }
    }
}

/// A torn tail that was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Where the journal now ends, in bytes.
    pub offset: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
    /// Where they are.
    pub kept: PathBuf,
}

/// What an opened journal holds.
#[derive(Debug)]
pub struct Contents {
    /// The chain.
    pub identity: Identity,
    /// All that was done to it, and the byte at which each record begins.
    pub records: Vec<(u64, Record)>,
    /// What a killed process left behind.
    pub torn: Option<Torn>,
}

/// Why a journal was not opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another process has it.
    #[error("{0} is in use by another process")]
    Locked(PathBuf),
    /// A frame is neither whole nor torn.
    #[error(
        "{path} is damaged at byte {offset}: restore it from a copy, or cut it there to keep what \
         is before"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
    },
    /// A file of something else, or of another version.
    #[error("{0} is not a journal of version {VERSION}: choose another folder")]
    Foreign(PathBuf),
    /// More than [`MAX_JOURNAL`].
    #[error(
        "{path} has {bytes} bytes, more than {MAX_JOURNAL}: start a new chain in another folder"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The disk.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// Why a record was not written; the command is not done then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The disk.
    #[error(
        "the journal cannot be written ({0}), nothing was done: make room on the disk and send it \
         again"
    )]
    Io(#[from] io::Error),
    /// An earlier record could be neither written nor taken back.
    #[error("the journal is broken since an earlier failure: restart the dev chain")]
    Broken,
    /// The record does not fit.
    #[error(transparent)]
    TooLarge(#[from] frame::TooLarge),
    /// The record has no encoding.
    #[error("the record cannot be encoded: {0}")]
    Encoding(#[from] bincode::error::EncodeError),
}

/// An open journal, locked until it is dropped.
#[derive(Debug)]
pub struct Journal {
    file: File,
    /// Bytes of whole frames.
    length: usize,
    broken: bool,
}

impl Journal {
    /// Opens the journal of a folder, or begins one for the chain `new`.
    ///
    /// # Errors
    /// [`JournalError`]; nothing is cut off then.
    pub fn open(folder: &Path, new: Identity) -> Result<(Self, Contents), JournalError> {
        let path = folder.join(JOURNAL);
        let (file, bytes) = lock(folder, &path)?;
        let (contents, length) = read(&path, &bytes, new)?;
        let mut journal = Self {
            file,
            length,
            broken: false,
        };
        journal
            .begin(new)
            .and_then(|()| sync(folder))
            .map_err(|source| JournalError::Io { path, source })?;
        Ok((journal, contents))
    }

    /// Drops what is behind the whole frames, and writes the first one if there is none.
    fn begin(&mut self, new: Identity) -> io::Result<()> {
        self.file.set_len(self.length as u64)?;
        self.file.seek(SeekFrom::Start(self.length as u64))?;
        if self.length == 0 {
            self.write(&Header::new(new)).map_err(io::Error::other)?;
        }
        self.file.sync_all()
    }

    /// Writes a record and waits until it is on disk.
    ///
    /// # Errors
    /// [`AppendError`]; the journal is as before.
    pub fn append(&mut self, record: &Record) -> Result<(), AppendError> {
        if self.broken {
            return Err(AppendError::Broken);
        }
        self.write(record)
            .inspect_err(|_| self.broken = self.take_back().is_err())
    }

    fn write(&mut self, record: &impl Serialize) -> Result<(), AppendError> {
        let payload = bincode::serde::encode_to_vec(record, bincode::config::standard())?;
        let frame = frame::encode(self.length, &payload)?;
        self.file.write_all(&frame)?;
        self.file.sync_data()?;
        self.length += frame.len();
        Ok(())
    }

    fn take_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.length as u64)?;
        self.file
            .seek(SeekFrom::Start(self.length as u64))
            .map(|_| ())
    }
}

impl Header {
    fn new(identity: Identity) -> Self {
        Self {
            magic: MAGIC,
            version: VERSION,
            identity,
        }
    }

    fn identity(&self) -> Option<Identity> {
        (self.magic == MAGIC && self.version == VERSION).then_some(self.identity)
    }
}

/// Makes the names in a folder durable, where the system has a way to.
fn sync(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}

/// Opens and locks the file, and reads it.
fn lock(folder: &Path, path: &Path) -> Result<(File, Vec<u8>), JournalError> {
    let failed = |source| JournalError::Io {
        path: path.into(),
        source,
    };
    fs::create_dir_all(folder).map_err(failed)?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(JournalError::Locked(path.into())),
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    let bytes = file.metadata().map_err(failed)?.len();
    if bytes > MAX_JOURNAL {
        return Err(JournalError::TooLarge {
            path: path.into(),
            bytes,
        });
    }
    let mut content = Vec::new();
    file.read_to_end(&mut content).map_err(failed)?;
    Ok((file, content))
}

/// Decodes a journal; also tells how long it is without a torn tail.
fn read(path: &Path, bytes: &[u8], new: Identity) -> Result<(Contents, usize), JournalError> {
    let foreign = || JournalError::Foreign(path.into());
    let (identity, mut place) = match frame::decode(bytes, 0) {
        Frame::Whole { payload, next } => {
            let header = decode::<Header>(payload).and_then(|header| header.identity());
            (header.ok_or_else(foreign)?, next)
        }
        Frame::End => (new, 0),
        // Only the beginning of what is written here first: a process was killed when it began the
        // journal.
        Frame::Torn if bytes.len() < MAX_PAYLOAD => (new, 0),
        _ => return Err(foreign()),
    };
    let mut records = Vec::new();
    while let Some((record, next)) = record(path, bytes, place)? {
        records.push((place as u64, record));
        place = next;
    }
    let torn = keep_torn(path, bytes, place).map_err(|source| JournalError::Io {
        path: path.into(),
        source,
    })?;
    Ok((
        Contents {
            identity,
            records,
            torn,
        },
        place,
    ))
}

/// The record at a place and the place of the next one, `None` at the end.
fn record(
    path: &Path,
    bytes: &[u8],
    place: usize,
) -> Result<Option<(Record, usize)>, JournalError> {
    let damaged = || JournalError::Damaged {
        path: path.into(),
        offset: place as u64,
    };
    match frame::decode(bytes, place) {
        Frame::Whole { payload, next } => Ok(Some((decode(payload).ok_or_else(damaged)?, next))),
        Frame::End | Frame::Torn => Ok(None),
        Frame::Damaged => Err(damaged()),
    }
}

fn decode<T: DeserializeOwned>(payload: &[u8]) -> Option<T> {
    let config = bincode::config::standard().with_limit::<MAX_PAYLOAD>();
    let (value, read) = bincode::serde::decode_from_slice(payload, config).ok()?;
    (read == payload.len()).then_some(value)
}

/// Copies a torn tail into a file of its own.
fn keep_torn(path: &Path, bytes: &[u8], place: usize) -> io::Result<Option<Torn>> {
    let tail = &bytes[place..];
    if tail.is_empty() {
        return Ok(None);
    }
    let kept = path.with_extension(format!("torn-{place}"));
    fs::write(&kept, tail)?;
    Ok(Some(Torn {
        offset: place as u64,
        bytes: tail.len() as u64,
        kept,
    }))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::clock::Clock;

    const NEW: Identity = Identity {
        chain_id: 5,
        genesis_time: 77,
        clock: Clock::standing(77),
    };

    fn records(count: u8) -> Vec<Record> {
        let send = |n| Command::Send {
            raw: vec![n; usize::from(n)],
            timestamp: u64::from(n),
        };
        (1..=count)
            .map(|n| Record {
                command: send(n),
                tip: [n; 32],
            })
            .collect()
    }

    /// A folder with a journal of records, and the length of the file after each.
    fn written(records: &[Record]) -> (TempDir, Vec<u64>) {
        let folder = TempDir::new().unwrap();
        let mut journal = Journal::open(folder.path(), NEW).unwrap().0;
        let mut lengths = vec![journal.length as u64];
        for record in records {
            journal.append(record).unwrap();
            lengths.push(journal.length as u64);
        }
        (folder, lengths)
    }

    fn reopen(folder: &TempDir) -> Result<Vec<Record>, JournalError> {
        let (_, contents) = Journal::open(folder.path(), Identity { chain_id: 1, ..NEW })?;
        assert_eq!(contents.identity, NEW);
        Ok(contents
            .records
            .into_iter()
            .map(|(_, record)| record)
            .collect())
    }

    #[test]
    fn records_survive_and_more_can_follow() {
        let (folder, _) = written(&records(3));
        assert_eq!(reopen(&folder).unwrap(), records(3));
        let mut journal = Journal::open(folder.path(), NEW).unwrap().0;
        journal.append(&records(4)[3]).unwrap();
        drop(journal);
        assert_eq!(reopen(&folder).unwrap(), records(4));
    }

    #[test]
    fn a_kill_at_any_byte_of_the_last_record_loses_only_that() {
        let whole = fs::read(written(&records(3)).0.path().join(JOURNAL)).unwrap();
        let lengths = written(&records(3)).1;
        for cut in lengths[2] + 1..lengths[3] {
            let folder = TempDir::new().unwrap();
            fs::write(folder.path().join(JOURNAL), &whole[..cut as usize]).unwrap();
            let (journal, contents) = Journal::open(folder.path(), NEW).unwrap();
            let torn = contents.torn.unwrap();
            assert_eq!(
                (contents.records.len(), torn.offset, torn.bytes),
                (2, lengths[2], cut - lengths[2])
            );
            assert_eq!(
                fs::read(torn.kept).unwrap(),
                &whole[lengths[2] as usize..cut as usize]
            );
            drop(journal);
            assert_eq!(reopen(&folder).unwrap(), records(2), "{cut}");
        }
    }

    #[test]
    fn a_kill_while_a_journal_begins_begins_it_again() {
        let whole = fs::read(written(&[]).0.path().join(JOURNAL)).unwrap();
        for cut in 0..whole.len() {
            let folder = TempDir::new().unwrap();
            fs::write(folder.path().join(JOURNAL), &whole[..cut]).unwrap();
            Journal::open(folder.path(), NEW).unwrap();
            assert_eq!(
                fs::read(folder.path().join(JOURNAL)).unwrap(),
                whole,
                "{cut}"
            );
        }
    }

    #[test]
    fn damage_is_named_and_left_alone() {
        let (folder, lengths) = written(&records(3));
        let path = folder.path().join(JOURNAL);
        let whole = fs::read(&path).unwrap();
        for at in lengths[0]..lengths[2] {
            let mut damaged = whole.clone();
            damaged[at as usize] ^= 0x10;
            fs::write(&path, &damaged).unwrap();
            let Err(JournalError::Damaged { offset, .. }) = reopen(&folder) else {
                panic!("byte {at} was accepted")
            };
            assert_eq!(
                offset,
                if at < lengths[1] {
                    lengths[0]
                } else {
                    lengths[1]
                }
            );
            assert_eq!(fs::read(&path).unwrap(), damaged);
        }
    }

    #[test]
    fn other_files_are_left_alone() {
        let folder = TempDir::new().unwrap();
        fs::write(
            folder.path().join(JOURNAL),
            "Dear diary, today I met a chain.",
        )
        .unwrap();
        assert!(matches!(
            Journal::open(folder.path(), NEW),
            Err(JournalError::Foreign(_))
        ));
    }

    #[test]
    fn a_journal_has_one_owner() {
        let folder = TempDir::new().unwrap();
        let first = Journal::open(folder.path(), NEW).unwrap();
        assert!(matches!(
            Journal::open(folder.path(), NEW),
            Err(JournalError::Locked(_))
        ));
        drop(first);
        assert!(Journal::open(folder.path(), NEW).is_ok());
    }

    #[test]
    fn what_cannot_be_written_is_taken_back() {
        let (folder, lengths) = written(&records(1));
        let mut journal = Journal::open(folder.path(), NEW).unwrap().0;
        let large = Command::Send {
            raw: vec![0; MAX_PAYLOAD],
            timestamp: 0,
        };
        let error = journal
            .append(&Record {
                command: large,
                tip: [0; 32],
            })
            .unwrap_err();
        assert!(matches!(error, AppendError::TooLarge(_)));
        assert_eq!(
            fs::metadata(folder.path().join(JOURNAL)).unwrap().len(),
            lengths[1]
        );
        journal.append(&records(2)[1]).unwrap();
        drop(journal);
        assert_eq!(reopen(&folder).unwrap(), records(2));
    }
}
