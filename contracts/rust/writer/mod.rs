//! The one writer of an account.
