//! The embedded dev chain.
