//! Puts the contracts on a chain; deployment files.
