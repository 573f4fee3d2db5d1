//! A peer's folder during an averaging job: the transcript, and the replica's state after its last
//! rounds.
//!
//! ```text
//! transcript.bin              everybody's entries, as they came; own rounds before they are signed
//! state-000007.safetensors    after round 7: parameters, optimizer, anchor, momentum; two of these
//! ```
//! **What a crash leaves.** The state after a round is on disk before its record is made, the
//! record before it is signed, the signature before anybody hears of it. So whatever was signed is
//! found again, with the state that belongs to it; a state without a record is of a round that is
//! done again.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use skippipe::content::Digest;
use swarm_files::whole::{Access, Reserved};
use swarm_learn::averaging::settings::Settings;
use swarm_learn::averaging::transcript::{Replica, RoundRecord};

use super::ledger::{Entry, Ledger, Refused};
use crate::record_file::{self, RecordFile};

/// The transcript in a peer's folder.
pub const TRANSCRIPT: &str = "transcript.bin";
const STATE: &str = "state-";
const STATE_END: &str = ".safetensors";

/// What stands in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kept {
    /// An entry of a replica.
    Told {
        /// Whose.
        of: Replica,
        /// What it signed.
        entry: Entry,
    },
    /// This peer begins a round.
    Began(u64),
    /// A round of this peer's own, which is about to be signed.
    Ending(Ending),
}

/// A round that is over, and not signed or not known to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// What the replica did.
    pub record: RoundRecord,
    /// Its whole state after it.
    pub state: Digest,
    /// Mean loss of its inner steps, as bits.
    pub loss: u32,
}

/// Why there is no transcript.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TranscriptError {
    /// The file.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What stands there is of another job.
    #[error("{path}: {source}; the charter beside it is another job's", path = path.display())]
    Other {
        /// Which.
        path: PathBuf,
        /// What.
        source: Refused,
    },
}

/// What a folder's transcript says.
#[derive(Clone, Debug)]
pub struct Read {
    /// Everybody's entries.
    pub ledger: Ledger,
    /// The last round that this peer has begun.
    pub began: Option<u64>,
    /// A round of this peer's own that is over and has no signature yet.
    pub ending: Option<Ending>,
}

impl Read {
    /// The last round of this peer's replica that is over, signed or about to be, and the state
    /// after it.
    pub fn last_of(&self, me: Replica) -> Option<(u64, Digest)> {
        match &self.ending {
            Some(ending) => Some((ending.record.round, ending.state)),
            None => {
                let last = self.ledger.last(me)?;
                Some((last.record.round, last.state))
            }
        }
    }

    /// The round that a replica which comes back does first: the one that it was in, so that what
    /// it may have contributed to is in its transcript; and none that its last roster is not of.
    pub fn next_round(&self, me: Replica) -> u64 {
        let signed = self.last_of(me).map(|(round, _)| round + 1);
        let from = self.ledger.roster(me).map(|listed| listed.roster.from);
        let known = [signed, self.began, from];
        known.into_iter().flatten().max().unwrap_or(0)
    }
}

/// Reads a folder's transcript; an empty one where there is none.
///
/// # Errors
/// The file cannot be read, or is of another job.
pub fn read(folder: &Path, settings: &Settings) -> Result<Read, TranscriptError> {
    let path = folder.join(TRANSCRIPT);
    let kept: Vec<Kept> = match record_file::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(TranscriptError::File { path, source }),
        Ok(kept) => kept,
    };
    let (mut ledger, mut began, mut ending) = (Ledger::new(settings), None, None::<Ending>);
    for one in kept {
        match one {
            Kept::Began(round) => began = Some(round),
            Kept::Ending(own) => ending = Some(own),
            Kept::Told { of, entry } => {
                let is_signed = matches!(&entry, Entry::Round { completed, .. }
                    if ending.as_ref().is_some_and(|own| own.record == completed.record));
                if is_signed {
                    ending = None;
                }
                if let Err(source) = ledger.keep(of, entry) {
                    return Err(TranscriptError::Other { path, source });
                }
            }
        }
    }
    Ok(Read {
        ledger,
        began,
        ending,
    })
}

/// A transcript that is written.
#[derive(Debug)]
pub struct TranscriptFile {
    file: RecordFile<Kept>,
    path: PathBuf,
}

impl TranscriptFile {
    /// Opens the transcript of a folder at its end.
    ///
    /// # Errors
    /// The system refuses.
    pub fn open(folder: &Path) -> Result<Self, TranscriptError> {
        let path = folder.join(TRANSCRIPT);
        match RecordFile::open(&path) {
            Ok(file) => Ok(Self { file, path }),
            Err(source) => Err(TranscriptError::File { path, source }),
        }
    }

    /// Appends something. It is on disk when this returns.
    ///
    /// # Errors
    /// The system refuses.
    pub fn append(&mut self, kept: &Kept) -> Result<(), TranscriptError> {
        let appended = self.file.append(kept);
        appended.map_err(|source| TranscriptError::File {
            path: self.path.clone(),
            source,
        })
    }
}

/// Where the state after a round lies.
pub fn state_path(folder: &Path, round: u64) -> PathBuf {
    folder.join(format!("{STATE}{round:06}{STATE_END}"))
}

/// Keeps the state after a round, and of those before only the newest.
///
/// # Errors
/// The system refuses.
pub fn save_state(folder: &Path, round: u64, bytes: &[u8]) -> io::Result<()> {
    let path = state_path(folder, round);
    Reserved::new(&path, Access::Umask, bytes.len())?.replace(bytes)?;
    let mut rounds = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| {
            let number = name.strip_prefix(STATE)?.strip_suffix(STATE_END)?;
            number.parse::<u64>().ok()
        });
        rounds.extend(number.filter(|number| *number < round));
    }
    rounds.sort_unstable();
    rounds.pop();
    for old in rounds {
        std::fs::remove_file(state_path(folder, old))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use swarm_learn::averaging::transcript::{Completed, Reason, Roster, Taken};

    use super::*;

    fn settings(replicas: u32) -> Settings {
        Settings {
            job: Digest([7; 32]),
            paired: true,
            replicas,
            rounds: 9,
            contribution_bytes: 8,
            outer_bytes: 8,
            patience: Duration::from_secs(1),
            again: Duration::from_secs(1),
        }
    }

    fn ending(round: u64) -> Ending {
        Ending {
            record: RoundRecord {
                job: Digest([7; 32]),
                replica: Replica(1),
                round,
                roster: Roster::initial(2).digest(),
                contribution: Digest([1; 32]),
                taken: Taken::Alone(Reason::Late),
            },
            state: Digest([round as u8; 32]),
            loss: 0,
        }
    }

    fn told(
        Ending {
            record,
            state,
            loss,
        }: Ending,
    ) -> Kept {
        let completed = Completed {
            record,
            state,
            signature: vec![1; 64],
        };
        Kept::Told {
            of: Replica(1),
            entry: Entry::Round {
                completed: Box::new(completed),
                loss,
            },
        }
    }

    #[test]
    fn a_round_that_is_not_known_to_be_signed_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let open = || TranscriptFile::open(folder.path()).unwrap();
        let read = || read(folder.path(), &settings(2)).unwrap();
        assert!(read().ending.is_none() && read().ledger.counts() == [0, 0]);
        open().append(&Kept::Ending(ending(3))).unwrap();
        let found = read();
        assert_eq!(found.last_of(Replica(1)), Some((3, ending(3).state)));
        assert_eq!(
            (found.next_round(Replica(1)), found.ending),
            (4, Some(ending(3)))
        );
        open().append(&told(ending(3))).unwrap();
        let found = read();
        assert_eq!(found.ledger.counts(), [0, 1]);
        assert_eq!((found.next_round(Replica(1)), &found.ending), (4, &None));
        // What it was in is done again, although rounds are left out before it.
        open().append(&Kept::Began(7)).unwrap();
        assert_eq!(read().next_round(Replica(1)), 7);
        let other = super::read(folder.path(), &settings(1)).unwrap_err();
        assert!(other.to_string().contains("another job"), "{other}");
    }

    #[test]
    fn the_last_two_states_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        for round in [0, 1, 2, 9, 10] {
            save_state(folder.path(), round, &[round as u8]).unwrap();
        }
        let kept = |round| state_path(folder.path(), round).exists();
        let kept = [0, 1, 2, 9, 10].map(kept);
        assert_eq!(kept, [false, false, false, true, true]);
        // The round after the one before is done again.
        save_state(folder.path(), 10, &[7]).unwrap();
        assert_eq!(std::fs::read(state_path(folder.path(), 10)).unwrap(), [7]);
        assert!(state_path(folder.path(), 9).exists());
    }
}
