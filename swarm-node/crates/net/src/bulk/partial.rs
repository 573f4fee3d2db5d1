//! A blob on disk while it is fetched.
//!
//! ```text
//! NAME.outline   hashes of the pieces, written whole before the first piece
//! NAME.partial   the content, with holes
//! NAME           appears when all pieces are there
//! ```
//! Which pieces are there is not written down: after a restart, each is read and checked against
//! the outline, so whatever a crash left behind is either right or fetched again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use swarm_files::whole::{self, Access, Reserved};

use super::blob::BlobId;
use super::outline::{HASH_BYTES, Outline, pieces, range};

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The outline that an earlier attempt left, if it is this blob's.
pub(crate) fn known_outline(path: &Path, id: BlobId) -> Option<Outline> {
    let mut bytes = Vec::new();
    let limit = pieces(&id) * HASH_BYTES as u64;
    let file = File::open(beside(path, ".outline")).ok()?;
    file.take(limit + 1).read_to_end(&mut bytes).ok()?;
    Outline::from_bytes(id, &bytes)
}

/// True if the whole blob is there already.
pub(crate) fn is_complete(path: &Path, id: BlobId) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(found) if found.len() == id.bytes => Ok(BlobId::of_file(path)? == id),
        Ok(_) => Ok(false),
        Err(absent) if absent.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The file that pieces are written to.
#[derive(Debug)]
pub(crate) struct Partial {
    path: PathBuf,
    file: File,
    outline: Outline,
    /// The file has content of an earlier attempt.
    resumed: bool,
    /// Bytes that were written since the disk was last told to take them.
    unsynced: u64,
    syncing: Option<JoinHandle<()>>,
}

/// Bytes after which the disk begins to take them, so that little is left to do at the end.
const SYNC_BYTES: u64 = 16 << 20;

impl Partial {
    /// Opens the file of an earlier attempt or a new one.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(crate) fn open(path: &Path, outline: Outline) -> io::Result<Self> {
        fs::create_dir_all(whole::folder_of(path))?;
        let known = known_outline(path, outline.id());
        let resumed = known.is_some_and(|known| known == outline);
        if !resumed {
            let bytes = outline.to_bytes(0, outline.len());
            let place = beside(path, ".outline");
            Reserved::new(&place, Access::Umask, bytes.len())?.replace(&bytes)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(!resumed)
            .open(beside(path, ".partial"))?;
        file.set_len(outline.id().bytes)?;
        Ok(Self {
            path: path.into(),
            file,
            outline,
            resumed,
            unsynced: 0,
            syncing: None,
        })
    }

    /// Which pieces are there, by reading them.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(crate) fn there(&mut self) -> io::Result<Vec<bool>> {
        let mut there = vec![false; self.outline.len() as usize];
        if !self.resumed {
            return Ok(there);
        }
        let mut buffer = Vec::new();
        for (piece, there) in there.iter_mut().enumerate() {
            let range = range(&self.outline.id(), piece as u32);
            buffer.resize((range.end - range.start) as usize, 0);
            self.file.seek(SeekFrom::Start(range.start))?;
            self.file.read_exact(&mut buffer)?;
            *there = self.outline.verify(piece as u32, &buffer);
        }
        Ok(there)
    }

    /// Writes a piece if it is right; false if it is not.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(crate) fn write(&mut self, piece: u32, bytes: &[u8]) -> io::Result<bool> {
        if !self.outline.verify(piece, bytes) {
            return Ok(false);
        }
        let start = range(&self.outline.id(), piece).start;
        self.file.seek(SeekFrom::Start(start))?;
        self.file.write_all(bytes)?;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_BYTES && self.syncing.as_ref().is_none_or(JoinHandle::is_finished)
        {
            self.unsynced = 0;
            let file = self.file.try_clone()?;
            // What fails here fails again at the end.
            self.syncing = Some(thread::spawn(move || _ = file.sync_data()));
        }
        Ok(true)
    }

    /// Gives the whole file its name.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(beside(&self.path, ".partial"), &self.path)?;
        whole::sync_folder(whole::folder_of(&self.path))?;
        fs::remove_file(beside(&self.path, ".outline"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::outline::PIECE_BYTES;

    #[test]
    fn what_was_written_is_there_after_a_restart_and_damage_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/blob");
        let bytes: Vec<u8> = (0..4 * PIECE_BYTES + 9).map(|i| (i / 7) as u8).collect();
        let id = BlobId::of(&bytes);
        let outline = Outline::of(id, &bytes).unwrap().unwrap();
        let part = |piece| {
            let range = range(&id, piece);
            &bytes[range.start as usize..range.end as usize]
        };
        let mut partial = Partial::open(&path, outline.clone()).unwrap();
        assert_eq!(partial.there().unwrap(), [false; 5]);
        assert!(partial.write(0, part(0)).unwrap() && partial.write(4, part(4)).unwrap());
        assert!(!partial.write(1, part(2)).unwrap(), "a wrong piece");
        drop(partial);
        assert_eq!(known_outline(&path, id), Some(outline.clone()));
        let mut file = OpenOptions::new()
            .write(true)
            .open(beside(&path, ".partial"))
            .unwrap();
        file.write_all(b"torn").unwrap();
        let mut partial = Partial::open(&path, outline).unwrap();
        let there = [false, false, false, false, true];
        assert_eq!(partial.there().unwrap(), there);
        for piece in 0..4 {
            assert!(partial.write(piece, part(piece)).unwrap());
        }
        assert!(!is_complete(&path, id).unwrap());
        partial.finish().unwrap();
        assert!(is_complete(&path, id).unwrap());
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
