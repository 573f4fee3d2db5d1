//! What the node keeps on disk.
pub mod private;
