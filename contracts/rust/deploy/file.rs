//! The deployment file: which chain, which parameters, which contracts.
//!
//! ```toml
//! version = 2
//!
//! [chain]
//! name = "dev"
//! id = 31337
//! rpc = "http://127.0.0.1:8545"
//! confirmations = 0
//! poll_ms = 500
//!
//! [parameters]
//! genesis = 1800000000
//! # …
//!
//! [contracts]
//! token = "0x…"
//! members = "0x…"
//! rewards = "0x…"
//! slasher = "0x…"
//! block = 3
//! ```

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use alloy::primitives::Address;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::parameters::Parameters;
use crate::client::{Client, ConnectError, RpcUrl};
use crate::swarm::Addresses;

/// Most bytes of a deployment file.
pub const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Version of the contracts, and of the file.
pub const VERSION: i64 = 2;

/// Why a deployment file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be read.
    #[error("the deployment file {path} cannot be read: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        cause: io::Error,
    },
    /// It is something else.
    #[error(
        "the deployment file {0} has more than {MAX_FILE_BYTES} bytes; it must be something else"
    )]
    Size(PathBuf),
    /// It is of contracts that this program does not know.
    #[error(
        "the deployment file {path} is of version {version} of the contracts, and this program \
         knows version {known} alone; deploy anew with `{command}`"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: i64,
        /// The version that this program knows.
        known: i64,
        /// What deploys that one.
        command: &'static str,
    },
    /// It is of other contracts.
    #[error(
        "the deployment file {path} is none of {command}: it has no `{key}`; name the file that \
         this command wrote"
    )]
    Kind {
        /// The file.
        path: PathBuf,
        /// The key that is missing.
        key: &'static str,
        /// What writes files with it.
        command: &'static str,
    },
    /// It is malformed.
    #[error("the deployment file {path} is malformed: {cause}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and how.
        cause: Box<toml::de::Error>,
    },
    /// It cannot be put into words.
    #[error("the deployment cannot be written as TOML: {0}")]
    Unwritable(#[from] toml::ser::Error),
}

/// The chain of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// What people call it.
    pub name: String,
    /// Its id (EIP-155).
    pub id: u64,
    /// An RPC that serves it. One that may carry a key is not written.
    #[serde(default, skip_serializing_if = "is_private")]
    pub rpc: Option<String>,
    /// Blocks on top of a transaction until it counts as final.
    pub confirmations: u64,
    /// Milliseconds between two looks at it.
    pub poll_ms: u64,
}

/// Where the contracts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contracts {
    /// The token of stakes and rewards.
    pub token: Address,
    /// `SwarmMembers`.
    pub members: Address,
    /// `SwarmRewards`.
    pub rewards: Address,
    /// `SwarmSlasher`.
    pub slasher: Address,
    /// The block of the first of these: events begin here.
    pub block: u64,
}

impl From<&Contracts> for Addresses {
    fn from(contracts: &Contracts) -> Self {
        Self {
            token: contracts.token,
            members: contracts.members,
            rewards: contracts.rewards,
            slasher: contracts.slasher,
        }
    }
}

/// A swarm's contracts on a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// [`VERSION`].
    pub version: i64,
    /// The chain.
    pub chain: Chain,
    /// What the contracts were deployed with.
    pub parameters: Parameters,
    /// Where they are.
    pub contracts: Contracts,
}

impl Deployment {
    /// Reads a file.
    ///
    /// # Errors
    /// [`FileError`] if it cannot be read, or has missing or unknown keys.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        read(path, SWARM)
    }

    /// The text of a file.
    ///
    /// # Errors
    /// [`FileError::Unwritable`] for a number that TOML does not have.
    pub fn to_text(&self) -> Result<String, FileError> {
        Ok(toml::to_string_pretty(self)?)
    }

    /// Checks that the chain has the contracts.
    ///
    /// # Errors
    /// [`ConnectError::NoContract`] names the first that is absent.
    pub async fn check(&self, client: &Client) -> Result<(), ConnectError> {
        for address in [
            self.contracts.token,
            self.contracts.members,
            self.contracts.rewards,
            self.contracts.slasher,
        ] {
            client.require_code(address).await?;
        }
        Ok(())
    }
}

/// What tells the files of one kind of contracts from others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// The key of the version.
    pub(crate) key: &'static str,
    /// The version that this program knows.
    pub(crate) version: i64,
    /// What writes such files.
    pub(crate) command: &'static str,
}

const SWARM: Kind = Kind {
    key: "version",
    version: VERSION,
    command: "swarm-node chain deploy",
};

/// Reads a file of a kind.
pub(crate) fn read<T: DeserializeOwned>(path: &Path, kind: Kind) -> Result<T, FileError> {
    let text = read_text(path).map_err(|cause| FileError::Io {
        path: path.into(),
        cause,
    })?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(FileError::Size(path.into()));
    }
    let malformed = |cause: toml::de::Error| FileError::Malformed {
        path: path.into(),
        cause: cause.into(),
    };
    let Kind {
        key,
        version: known,
        command,
    } = kind;
    let path = || PathBuf::from(path);
    match version(&toml::from_str(&text).map_err(malformed)?, key) {
        Some(version) if version == known => toml::from_str(&text).map_err(malformed),
        Some(version) => Err(FileError::Version {
            path: path(),
            version,
            known,
            command,
        }),
        None => Err(FileError::Kind {
            path: path(),
            key,
            command,
        }),
    }
}

/// The version that a file names. Files of the first version named none.
fn version(file: &toml::Table, key: &str) -> Option<i64> {
    let named = file.get(key).and_then(toml::Value::as_integer);
    let contracts = file.get("contracts").and_then(toml::Value::as_table);
    let first = contracts.is_some_and(|contracts| contracts.contains_key("coordinator"));
    named.or(first.then_some(1))
}

/// True unless the address can be shown as a whole.
fn is_private(rpc: &Option<String>) -> bool {
    let url = rpc.as_deref().and_then(|rpc| RpcUrl::parse(rpc).ok());
    url.is_none_or(|url| url.public().is_none())
}

/// The text of a file, at most one byte more than it may have. A UTF-8 byte order mark is no part
/// of it.
fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is UTF-16 text; save it as UTF-8",
        ));
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let text = std::str::from_utf8(text).map_err(|error| {
        let at = bytes.len() - text.len() + error.valid_up_to();
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("byte {at} (counted from 0) is no UTF-8 text; save it as UTF-8"),
        )
    })?;
    Ok(text.to_owned())
}
