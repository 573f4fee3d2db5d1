//! Score tables: the Merkle tree that claims prove against.
