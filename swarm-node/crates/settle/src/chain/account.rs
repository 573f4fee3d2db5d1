//! An account's writer, and what it waits for in words.

use std::sync::Arc;

use contracts::PrivateKeySigner;
use contracts::writer::{MemoryStore, StoreError, Writer};
use swarm_identity::digest::Digest32;
use swarm_identity::key::KeyError;

use super::link::Link;

/// The account with a secret.
///
/// # Errors
/// [`KeyError::Secret`] for a secret that is no key.
pub fn signer(secret: &Digest32) -> Result<PrivateKeySigner, KeyError> {
    PrivateKeySigner::from_slice(secret).map_err(|_| KeyError::Secret)
}

/// The writer of an account whose records end with the process, for work that is of no use to
/// another process.
///
/// # Errors
/// [`StoreError`] never, as an empty store has no record that could be damaged.
pub fn account_writer(link: &Link, signer: PrivateKeySigner) -> Result<Writer, StoreError> {
    Writer::start(
        link.client.clone(),
        signer,
        Arc::new(MemoryStore::default()),
        link.writer(),
    )
}

/// Why a writer gets nowhere, if so.
pub fn trouble(writer: &Writer) -> Option<String> {
    let status = writer.status();
    let outage = status
        .outage
        .map(|outage| format!("the chain is away: {}", outage.cause));
    let waiting = || {
        status
            .waiting
            .first()
            .map(|(_, trouble)| format!("account {}: {trouble}", status.account))
    };
    outage.or_else(waiting)
}
