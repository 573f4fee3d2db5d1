//! The transcript as a file: what each step was, and what peers stated about it.
//!
//! A file of entries, each with its length in front (u32, little-endian) and in bincode. An entry that a
//! crash cut off is the last, and is dropped when the file is opened again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use skippipe::content::Digest;
use skippipe::path::Hop;
use skippipe::transcript::StepRecord;

/// The transcript in a peer's folder.
pub const TRANSCRIPT: &str = "transcript.bin";
/// Longest entry, in bytes.
const MAX_ENTRY: u32 = 64 << 20;

/// A step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it was.
    pub record: StepRecord,
    /// States that stages came to, with their holders' signatures; an empty one where it is not known.
    pub states: Vec<(Hop, Digest, Vec<u8>)>,
}

/// A transcript that is written.
#[derive(Debug)]
pub struct TranscriptFile(File);

impl TranscriptFile {
    /// Opens the transcript of a folder at its end.
    ///
    /// # Errors
    /// The system refuses.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(TRANSCRIPT);
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let (_, end) = read_entries(&mut file)?;
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        Ok(Self(file))
    }

    /// Appends a step.
    ///
    /// # Errors
    /// The system refuses.
    pub fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let config = bincode::config::standard();
        let bytes = bincode::serde::encode_to_vec(entry, config).map_err(io::Error::other)?;
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let whole = [&length.to_le_bytes()[..], &bytes].concat();
        self.0.write_all(&whole)?;
        self.0.sync_data()
    }
}

/// The steps of a folder's transcript, in order; what several entries state of one is put together.
///
/// # Errors
/// There is none, or the system refuses.
pub fn read(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut file = File::open(folder.join(TRANSCRIPT))?;
    let (entries, _) = read_entries(&mut file)?;
    let mut steps: BTreeMap<u64, Entry> = BTreeMap::new();
    for entry in entries {
        match steps.get_mut(&entry.record.step) {
            Some(known) if known.record == entry.record => known.states.extend(entry.states),
            // A later leader's word about the step holds.
            _ => {
                steps.insert(entry.record.step, entry);
            }
        }
    }
    Ok(steps.into_values().collect())
}

/// Steps up to the last in a folder's transcript; 0 where there is none.
pub fn steps(folder: &Path) -> u64 {
    let entries = read(folder).unwrap_or_default();
    entries.last().map_or(0, |entry| entry.record.step + 1)
}

/// Whole entries, and where the last of them ends.
fn read_entries(file: &mut File) -> io::Result<(Vec<Entry>, u64)> {
    let (mut entries, mut end) = (Vec::new(), 0);
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(0))?;
    loop {
        let mut header = [0; 4];
        if length - end < 4 {
            return Ok((entries, end));
        }
        file.read_exact(&mut header)?;
        let size = u32::from_le_bytes(header);
        if size > MAX_ENTRY || u64::from(size) > length - end - 4 {
            return Ok((entries, end));
        }
        let mut bytes = vec![0; size as usize];
        file.read_exact(&mut bytes)?;
        let config = bincode::config::standard();
        match bincode::serde::decode_from_slice::<Entry, _>(&bytes, config) {
            Ok((entry, read)) if read == bytes.len() => entries.push(entry),
            _ => return Ok((entries, end)),
        }
        end += 4 + u64::from(size);
    }
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
            },
            states: vec![(hop, Digest([state; 32]), vec![state])],
        }
    }

    #[test]
    fn what_a_crash_cut_off_is_dropped_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = TranscriptFile::open(folder.path()).unwrap();
        for step in 0..3 {
            file.append(&entry(step, 1)).unwrap();
        }
        drop(file);
        let path = folder.path().join(TRANSCRIPT);
        let whole = std::fs::read(&path).unwrap();
        for cut in [1, 3, 4, 20] {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let mut file = TranscriptFile::open(folder.path()).unwrap();
            file.append(&entry(7, 2)).unwrap();
            let steps = read(folder.path()).unwrap();
            let found: Vec<u64> = steps.iter().map(|entry| entry.record.step).collect();
            assert_eq!(found, [0, 1, 7], "{cut} bytes cut");
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
        assert_eq!(steps[0].states.len(), 2);
    }
}
