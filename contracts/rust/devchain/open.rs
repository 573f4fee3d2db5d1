//! A dev chain in a folder, shared by the processes of a machine.
//!
//! ```text
//! open ─▶ lock the journal ── free ──▶ replay, serve, write `endpoint` ─▶ Owner
//!                 └───────── taken ──▶ read `endpoint` until it answers ─▶ Shared
//! ```
//! The lock decides, never the `endpoint` file: one that a killed owner left behind is removed by the next owner, and
//! is not believed before something listens there.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use thiserror::Error;

use super::chain::Chain;
use super::journal::{Contents, Identity, Journal, JournalError};
use super::ledger::{Ledger, ReplayError};
use super::server::{ServeError, Server};
use super::{DevChain, Options};

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

impl Opened {
    /// Where the chain is served.
    pub fn url(&self) -> &str {
        match self {
            Self::Owner(chain) => chain.url().unwrap_or_default(),
            Self::Shared { url } => url,
        }
    }
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
    #[error("{folder} holds a dev chain with id {found}, not {wanted}: choose another folder or that id")]
    ChainId {
        /// The folder.
        folder: PathBuf,
        /// Its chain.
        found: u64,
        /// The chain asked for.
        wanted: u64,
    },
    /// Another process owns the chain and does not serve it.
    #[error("another process owns the dev chain in {0} but does not serve it: wait until it has started, or stop it")]
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
    /// Opens the chain in a folder, begins one there, or finds the process that has it open. Blocks while the journal is
    /// replayed, and up to [`OWNER_WAIT`] for an owner that is starting.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(folder: &Path, options: Options) -> Result<Opened, OpenError> {
        let new = Identity { chain_id: options.chain_id, genesis_time: options.genesis_time() };
        match Journal::open(folder, new) {
            Ok((journal, contents)) => own(folder, options, journal, contents).map(Opened::Owner),
            Err(JournalError::Locked(_)) => find_owner(folder).map(|url| Opened::Shared { url }),
            Err(error) => Err(error.into()),
        }
    }
}

fn own(folder: &Path, options: Options, journal: Journal, contents: Contents) -> Result<DevChain, OpenError> {
    let path = folder.join(ENDPOINT);
    remove(&path).map_err(|source| OpenError::Endpoint { path: path.clone(), source })?;
    let Identity { chain_id, genesis_time } = contents.identity;
    if chain_id != options.chain_id {
        return Err(OpenError::ChainId { folder: folder.into(), found: chain_id, wanted: options.chain_id });
    }
    let chain = Chain::new(chain_id, genesis_time, options.clock);
    let ledger = Arc::new(Mutex::new(Ledger::replay(chain, journal, &contents)?));
    let chain = DevChain { ledger, server: None, torn: contents.torn };
    let server = chain.serve(options.port)?;
    publish(&path, &server).map_err(|source| OpenError::Endpoint { path: path.clone(), source })?;
    Ok(DevChain { server: Some(Arc::new(server.announced(path))), ..chain })
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
    let url = fs::read_to_string(path).ok().filter(|url| url.len() <= MAX_ENDPOINT)?;
    let address: SocketAddr = url.strip_prefix("http://")?.parse().ok()?;
    TcpStream::connect_timeout(&address, RETRY).ok().map(|_| url)
}
