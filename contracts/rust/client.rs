//! A connection to a chain, checked.
