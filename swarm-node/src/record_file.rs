//! A file of records that is only appended to.
//!
//! Each record is in bincode, with its length in front (u32, little-endian). A record that a crash
//! cut off is the last, and is dropped when the file is opened again.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest record, in bytes.
const MAX_RECORD: u32 = 64 << 20;

/// A file of records `T` that is written.
#[derive(Debug)]
pub struct RecordFile<T> {
    file: File,
    records: PhantomData<fn(T)>,
}

impl<T: Serialize + DeserializeOwned> RecordFile<T> {
    /// Opens a file at its end; makes it where there is none.
    ///
    /// # Errors
    /// The system refuses.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let (_, end) = read_records::<T>(&mut file)?;
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        Ok(Self {
            file,
            records: PhantomData,
        })
    }

    /// Appends a record. It is on disk when this returns.
    ///
    /// # Errors
    /// The system refuses.
    pub fn append(&mut self, record: &T) -> io::Result<()> {
        let config = bincode::config::standard();
        let bytes = bincode::serde::encode_to_vec(record, config).map_err(io::Error::other)?;
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let whole = [&length.to_le_bytes()[..], &bytes].concat();
        self.file.write_all(&whole)?;
        self.file.sync_data()
    }
}

/// The records of a file, in order.
///
/// # Errors
/// There is none, or the system refuses.
pub fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Vec<T>> {
    let (records, _) = read_records(&mut File::open(path)?)?;
    Ok(records)
}

/// Whole records, and where the last of them ends.
fn read_records<T: DeserializeOwned>(file: &mut File) -> io::Result<(Vec<T>, u64)> {
    let (mut records, mut end) = (Vec::new(), 0);
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(0))?;
    loop {
        let mut header = [0; 4];
        if length - end < 4 {
            return Ok((records, end));
        }
        file.read_exact(&mut header)?;
        let size = u32::from_le_bytes(header);
        if size > MAX_RECORD || u64::from(size) > length - end - 4 {
            return Ok((records, end));
        }
        let mut bytes = vec![0; size as usize];
        file.read_exact(&mut bytes)?;
        let config = bincode::config::standard();
        match bincode::serde::decode_from_slice::<T, _>(&bytes, config) {
            Ok((record, read)) if read == bytes.len() => records.push(record),
            _ => return Ok((records, end)),
        }
        end += 4 + u64::from(size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crash_cut_off_is_dropped_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.bin");
        let record = |number: u32| (number, vec![number; 20]);
        let mut file = RecordFile::open(&path).unwrap();
        for number in 0..3 {
            file.append(&record(number)).unwrap();
        }
        drop(file);
        let whole = std::fs::read(&path).unwrap();
        for cut in [1, 3, 4, 20] {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let mut file = RecordFile::open(&path).unwrap();
            file.append(&record(7)).unwrap();
            let found: Vec<(u32, Vec<u32>)> = read(&path).unwrap();
            assert_eq!(found, [0, 1, 7].map(record), "{cut} bytes cut");
        }
    }
}
