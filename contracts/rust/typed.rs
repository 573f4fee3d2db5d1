//! What is signed: EIP-712 digests.
