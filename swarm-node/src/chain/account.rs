//! An account's writer, and what it waits for in words.

use std::sync::Arc;

use contracts::PrivateKeySigner;
use contracts::writer::{MemoryStore, StoreError, Writer};

use super::Link;
use crate::wallet::Secret;

/// The writer of an account whose records end with the process, for commands that wait until all is done.
///
/// # Errors
/// [`StoreError`] if the secret is no key, which [`Secret`] excludes.
pub fn account_writer(link: &Link, secret: &Secret) -> Result<Writer, StoreError> {
    let signer = PrivateKeySigner::from_slice(secret.to_bytes().as_slice()).map_err(StoreError::new)?;
    Writer::start(link.client.clone(), signer, Arc::new(MemoryStore::default()), link.writer())
}

/// Why a writer gets nowhere, if so.
pub fn trouble(writer: &Writer) -> Option<String> {
    let status = writer.status();
    let outage = status.outage.map(|outage| format!("the chain is away: {}", outage.cause));
    let waiting = || status.waiting.first().map(|(_, trouble)| format!("account {}: {trouble}", status.account));
    outage.or_else(waiting)
}
