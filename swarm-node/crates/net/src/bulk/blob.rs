//! What a blob is called, and what a node serves.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Name of a blob: the BLAKE3 hash of its bytes, and how many they are. Whoever names it knows both
/// (a manifest says so), so no peer is trusted for a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId {
    /// The BLAKE3 hash.
    pub hash: [u8; 32],
    /// The length in bytes.
    pub bytes: u64,
}

impl BlobId {
    /// The name of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            hash: blake3::hash(bytes).into(),
            bytes: bytes.len() as u64,
        }
    }

    /// The name of a file's content, which is read once.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        let bytes = io::copy(&mut File::open(path)?, &mut hasher)?;
        Ok(Self {
            hash: hasher.finalize().into(),
            bytes,
        })
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = const_hex::encode(&self.hash[..6]);
        write!(f, "{head} ({} bytes)", self.bytes)
    }
}

/// The content of one blob. It is read on threads that may block.
pub trait Blob: Send + Sync {
    /// Fills the buffer from an offset.
    ///
    /// # Errors
    /// Whatever the system says, and [`io::ErrorKind::UnexpectedEof`] if there is less.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

/// What a node serves.
pub trait Blobs: Send + Sync {
    /// A blob, if the node has it whole. That the content matches the name is checked when it is
    /// first served.
    fn open(&self, id: &BlobId) -> Option<Arc<dyn Blob>>;
}

/// Serves nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBlobs;

impl Blobs for NoBlobs {
    fn open(&self, _: &BlobId) -> Option<Arc<dyn Blob>> {
        None
    }
}

impl Blob for Vec<u8> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(buffer.len());
        let part = self.get(start..end);
        buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A file as a blob.
#[derive(Debug)]
pub struct FileBlob(Mutex<File>);

impl FileBlob {
    /// Opens a file.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(Mutex::new).map(Self)
    }
}

impl Blob for FileBlob {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        use io::{Read, Seek};
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(io::SeekFrom::Start(offset))?;
        file.read_exact(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_memory_have_the_same_names_and_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blob");
        let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(BlobId::of(&bytes), BlobId::of_file(&path).unwrap());
        let file = FileBlob::open(&path).unwrap();
        let (mut a, mut b) = ([0; 100], [0; 100]);
        file.read_at(4900, &mut a).unwrap();
        bytes.read_at(4900, &mut b).unwrap();
        assert_eq!((a, &a[..]), (b, &bytes[4900..]));
        assert!(file.read_at(4901, &mut a).is_err() && bytes.read_at(4901, &mut b).is_err());
        assert!(bytes.read_at(u64::MAX, &mut b).is_err());
    }
}
