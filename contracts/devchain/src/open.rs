//! A dev chain in a folder, shared by the processes of a machine.
//!
//! ```text
//! open ─▶ lock the journal ── free ──▶ replay, serve, write `endpoint` ─▶ Owner
//!                 └───────── taken ──▶ read `endpoint` until it answers ─▶ Shared
//! ```
//! The lock decides, never the `endpoint` file: one that a killed owner left behind is removed by
//! the next owner, and is not believed before something listens there.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use thiserror::Error;

use super::dev_chain::{DevChain, Options};
use super::journal::{Contents, Journal, JournalError};
use super::ledger::{Ledger, ReplayError};
use super::server::{ServeError, Server};
use super::shared::SharedLedger;

/// Name of the file that says where the owner serves the chain.
pub const ENDPOINT: &str = "endpoint";
/// How long to wait for an owner that is starting.
pub const OWNER_WAIT: Duration = Duration::from_secs(20);
const RETRY: Duration = Duration::from_millis(50);
/// Bytes of an `endpoint` file.
const MAX_ENDPOINT: usize = 64;

/// A chain in a folder.
#[derive(Debug)]
pub enum Opened {
    /// This process owns it, and serves it to others.
    Owner(DevChain),
    /// Another process owns it.
    Shared {
        /// Where it is served.
        url: String,
    },
}

/// Why a folder's chain was not opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal leads elsewhere.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The server.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The folder's chain has another id.
    #[error(
        "{folder} holds a dev chain with id {found}, not {wanted}: choose another folder or that id"
    )]
    ChainId {
        /// The folder.
        folder: PathBuf,
        /// Its chain.
        found: u64,
        /// The chain asked for.
        wanted: u64,
    },
    /// Another process owns the chain and does not serve it.
    #[error(
        "another process owns the dev chain in {0} but does not serve it: wait until it has \
         started, or stop it"
    )]
    NotServed(PathBuf),
    /// The endpoint file cannot be written.
    #[error("{path}: {source}")]
    Endpoint {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

impl DevChain {
    /// Opens the chain in a folder, begins one there, or finds the process that has it open. Blocks
    /// while the journal is replayed, and up to [`OWNER_WAIT`] for an owner that is starting.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(folder: &Path, options: Options) -> Result<Opened, OpenError> {
        let new = options.identity();
        match Journal::open(folder, new) {
            Ok((journal, contents)) => own(folder, options, journal, contents).map(Opened::Owner),
            Err(JournalError::Locked(_)) => find_owner(folder).map(|url| Opened::Shared { url }),
            Err(error) => Err(error.into()),
        }
    }
}

fn own(
    folder: &Path,
    options: Options,
    journal: Journal,
    contents: Contents,
) -> Result<DevChain, OpenError> {
    let path = folder.join(ENDPOINT);
    remove(&path).map_err(|source| OpenError::Endpoint {
        path: path.clone(),
        source,
    })?;
    let found = contents.identity.chain_id;
    if found != options.chain_id {
        return Err(OpenError::ChainId {
            folder: folder.into(),
            found,
            wanted: options.chain_id,
        });
    }
    let ledger = Ledger::replay(journal, &contents)?;
    let chain = DevChain {
        ledger: SharedLedger::new(ledger),
        server: None,
        torn: contents.torn,
    };
    let server = chain.serve(options.port)?;
    publish(&path, &server).map_err(|source| OpenError::Endpoint {
        path: path.clone(),
        source,
    })?;
    Ok(DevChain {
        server: Some(Arc::new(server.announced(path))),
        ..chain
    })
}

/// Writes the endpoint file as a whole: a reader sees all of it or none.
fn publish(path: &Path, server: &Server) -> io::Result<()> {
    let draft = path.with_extension("draft");
    fs::write(&draft, server.url())?;
    fs::rename(draft, path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn find_owner(folder: &Path) -> Result<String, OpenError> {
    let begin = Instant::now();
    while begin.elapsed() < OWNER_WAIT {
        if let Some(url) = answering(&folder.join(ENDPOINT)) {
            return Ok(url);
        }
        thread::sleep(RETRY);
    }
    Err(OpenError::NotServed(folder.into()))
}

/// The address in an endpoint file, if something listens there.
fn answering(path: &Path) -> Option<String> {
    let url = fs::read_to_string(path)
        .ok()
        .filter(|url| url.len() <= MAX_ENDPOINT)?;
    let address: SocketAddr = url.strip_prefix("http://")?.parse().ok()?;
    TcpStream::connect_timeout(&address, RETRY)
        .ok()
        .map(|_| url)
}

#[cfg(test)]
mod tests {
    use alloy::providers::Provider;
    use tempfile::TempDir;

    use super::*;
    use crate::tests::{send, transfer};
    use crate::{CHAIN_ID, dev_accounts};

    const START: u64 = 1_800_000_000;

    fn own(folder: &TempDir) -> DevChain {
        match DevChain::open(folder.path(), Options::standing(START)).unwrap() {
            Opened::Owner(chain) => chain,
            Opened::Shared { url } => panic!("owned by {url}"),
        }
    }

    /// Everything that can be told about a short chain.
    async fn story(chain: &DevChain) -> Vec<String> {
        let provider = chain.provider();
        let mut story = vec![chain.now().to_string()];
        for number in 0..=provider.get_block_number().await.unwrap() {
            story.push(format!(
                "{:?}",
                provider
                    .get_block_by_number(number.into())
                    .full()
                    .await
                    .unwrap()
            ));
        }
        for account in dev_accounts() {
            story.push(
                provider
                    .get_balance(account.address)
                    .await
                    .unwrap()
                    .to_string(),
            );
        }
        story
    }

    async fn live(chain: &DevChain) {
        let provider = chain.provider();
        send(&provider, &transfer(0, |_| {})).await;
        chain.set_time(START + 60).unwrap();
        send(&provider, &transfer(1, |tx| tx.value += tx.value)).await;
        chain.mine(3).unwrap();
        chain.increase_time(7).unwrap();
        send(&provider, &transfer(0, |tx| tx.nonce = 1)).await;
        chain.set_time(START + 900).unwrap();
    }

    #[tokio::test]
    async fn a_restart_changes_nothing() {
        let folder = TempDir::new().unwrap();
        let chain = own(&folder);
        live(&chain).await;
        let before = story(&chain).await;
        drop(chain);
        let chain = own(&folder);
        assert_eq!(story(&chain).await, before);
        assert_eq!((before.len(), chain.torn()), (1 + 7 + 10, None));
    }

    #[tokio::test]
    async fn one_process_owns_the_chain_and_the_others_are_told_where() {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join(ENDPOINT), "http://127.0.0.1:1").unwrap();
        let owner = own(&folder);
        let shared = DevChain::open(folder.path(), Options::default()).unwrap();
        assert!(matches!(&shared, Opened::Shared { url } if Some(url.as_str()) == owner.url()));
        drop(owner);
        assert!(!folder.path().join(ENDPOINT).exists());
        own(&folder);
    }

    #[tokio::test]
    async fn a_transport_keeps_the_chain_open() {
        let folder = TempDir::new().unwrap();
        let provider = own(&folder).provider();
        assert!(matches!(
            DevChain::open(folder.path(), Options::default()),
            Ok(Opened::Shared { .. })
        ));
        assert_eq!(provider.get_chain_id().await.unwrap(), CHAIN_ID);
    }

    #[test]
    fn another_chain_id_is_refused() {
        let folder = TempDir::new().unwrap();
        drop(own(&folder));
        let options = Options {
            chain_id: 5,
            ..Options::default()
        };
        let error = DevChain::open(folder.path(), options).unwrap_err();
        assert!(
            matches!(
                error,
                OpenError::ChainId {
                    found: CHAIN_ID,
                    wanted: 5,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_journal_that_leads_elsewhere_is_refused() {
        use crate::command::Command;
        use crate::journal::Record;
        let folder = TempDir::new().unwrap();
        live(&own(&folder)).await;
        let (mut journal, _) = Journal::open(folder.path(), Options::default().identity()).unwrap();
        let mine = Command::Mine {
            count: 1,
            timestamp: START + 1_000,
        };
        journal
            .append(&Record {
                command: mine,
                tip: [9; 32],
            })
            .unwrap();
        drop(journal);
        let error = DevChain::open(folder.path(), Options::default()).unwrap_err();
        assert!(matches!(error, OpenError::Replay(_)), "{error}");
    }
}
