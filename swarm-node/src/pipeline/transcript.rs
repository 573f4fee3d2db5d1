//! The transcript as a file: what each step was, and what peers stated about it.
//!
//! A [`RecordFile`] of entries.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use skippipe::content::Digest;
use skippipe::path::Hop;
use skippipe::statements::Statements;
use skippipe::transcript::{Stated, StepRecord};
use swarm_identity::key::{PublicKey, SignatureBytes};

use super::seats::Keys;
use crate::record_file::{self, RecordFile};

/// The transcript in a peer's folder.
pub const TRANSCRIPT: &str = "transcript.bin";

/// A step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it was.
    pub record: StepRecord,
    /// What holders stated; what one states twice is the same, with and without signature.
    pub stated: Vec<(Hop, Stated)>,
}

/// A statement whose signature is not its holder's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature of {0} is not its own")]
pub struct ForeignSignature(pub Hop);

impl Entry {
    /// What holders stated, and how many of them signed it. Of two statements of one holder the
    /// signed one holds.
    ///
    /// # Errors
    /// A signature is not the holder's.
    pub fn statements(
        &self,
        job: Digest,
        keys: &Keys,
    ) -> Result<(Statements, usize), ForeignSignature> {
        let (mut statements, mut signed) = (Statements::new(), 0);
        for (hop, stated) in &self.stated {
            if stated.signature.is_empty() {
                statements.entry(*hop).or_insert_with(|| stated.clone());
                continue;
            }
            let statement = stated.statement(job, &self.record, hop.stage).digest();
            let peer = keys.of(hop.peer);
            let key = peer.and_then(|peer| PublicKey::try_from(peer).ok());
            let signature: Option<SignatureBytes> = stated.signature[..].try_into().ok();
            let own = key.zip(signature);
            if !own.is_some_and(|(key, signature)| key.verify(&statement.0, &signature)) {
                return Err(ForeignSignature(*hop));
            }
            let before = statements.insert(*hop, stated.clone());
            if before.is_none_or(|before| before.signature.is_empty()) {
                signed += 1;
            }
        }
        Ok((statements, signed))
    }
}

/// A transcript that is written.
#[derive(Debug)]
pub struct TranscriptFile(RecordFile<Entry>);

impl TranscriptFile {
    /// Opens the transcript of a folder at its end.
    ///
    /// # Errors
    /// The system refuses.
    pub fn open(folder: &Path) -> io::Result<Self> {
        RecordFile::open(&folder.join(TRANSCRIPT)).map(Self)
    }

    /// Appends a step.
    ///
    /// # Errors
    /// The system refuses.
    pub fn append(&mut self, entry: &Entry) -> io::Result<()> {
        self.0.append(entry)
    }
}

/// The steps of a folder's transcript, in order; what several entries state of one is put together.
///
/// # Errors
/// There is none, or the system refuses.
pub fn read(folder: &Path) -> io::Result<Vec<Entry>> {
    let entries: Vec<Entry> = record_file::read(&folder.join(TRANSCRIPT))?;
    let mut steps: BTreeMap<u64, Entry> = BTreeMap::new();
    for entry in entries {
        match steps.get_mut(&entry.record.step) {
            Some(known) if known.record == entry.record => known.stated.extend(entry.stated),
            // A later leader's word about the step holds.
            _ => {
                steps.insert(entry.record.step, entry);
            }
        }
    }
    Ok(steps.into_values().collect())
}

/// The same of a folder whose part may not have begun: no steps where there is no transcript.
///
/// # Errors
/// The system refuses.
pub fn read_so_far(folder: &Path) -> io::Result<Vec<Entry>> {
    match read(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries,
    }
}

/// Steps up to the last in a folder's transcript; 0 where there is none.
///
/// # Errors
/// The system refuses.
pub fn steps(folder: &Path) -> io::Result<u64> {
    let entries = read_so_far(folder)?;
    Ok(entries.last().map_or(0, |entry| entry.record.step + 1))
}

#[cfg(test)]
mod tests {
    use skippipe::path::{Peer, Stage};

    use super::*;

    fn entry(step: u64, state: u8) -> Entry {
        let hop = Hop {
            stage: Stage(0),
            peer: Peer(u32::from(state)),
        };
        Entry {
            record: StepRecord {
                step,
                joined: Vec::new(),
                roster: skippipe::transcript::Roster(vec![vec![Peer(1)]]),
                passages: Vec::new(),
                excluded: Default::default(),
                met: Default::default(),
            },
            stated: vec![(
                hop,
                Stated {
                    state: Digest([state; 32]),
                    sums: Default::default(),
                    signature: vec![state],
                },
            )],
        }
    }

    #[test]
    fn statements_of_one_step_are_put_together() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = TranscriptFile::open(folder.path()).unwrap();
        file.append(&entry(0, 1)).unwrap();
        file.append(&entry(0, 2)).unwrap();
        let steps = read(folder.path()).unwrap();
        assert_eq!(steps.len(), 1);
        assert_eq!(steps[0].stated.len(), 2);
    }
}
