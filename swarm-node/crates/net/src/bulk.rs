//! Blobs: content of any size, named by its hash and fetched from whoever has it.

mod blob;

pub use blob::{Blob, BlobId, Blobs, FileBlob, NoBlobs};
