//! The folder of a node: everything that it keeps between two starts.
//!
//! ```text
//! ~/.swarm-node/config.toml    settings, as `init` wrote them
//!               swarm.toml     the swarm that the node belongs to
//!               deployment.toml  the contracts on which the swarm settles
//!               node.key       its identity, locked while the node runs
//!               node.redb      what was signed, decided rounds, the journal
//!               model/         checkpoints of what it trains
//!               evidence/      proofs that peers contradicted themselves; `verify` checks them
//!               logs/          what `up` said, a file a day; `swarm-node logs` shows them
//!               peers.json     addresses that were good before
//!               bans           who is not let in, until when
//!               api.json       where the local API listens, and its token, while the node runs
//! ```
//! Only the owner can enter the folder.

use std::fs::{self, DirBuilder};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The folder's name below the user's home.
const NAME: &str = ".swarm-node";

/// Why a node has no folder.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HomeError {
    /// The user has no home.
    #[error("neither HOME nor node.home says where the node's folder is; give it with --home DIR")]
    Nowhere,
    /// The system refuses.
    #[error(
        "cannot use the node's folder {path}: {source}; give another with --home DIR",
        path = path.display()
    )]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A node's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// The folder that the setting names, else the one below the user's home. Nothing is created.
    ///
    /// # Errors
    /// The setting is empty and there is no user's home.
    pub fn of(setting: &str, user: Option<&Path>) -> Result<Self, HomeError> {
        let root = match setting {
            "" => user.ok_or(HomeError::Nowhere)?.join(NAME),
            named => PathBuf::from(named),
        };
        Ok(Self { root })
    }

    /// The node's folder is this one.
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// Creates the folder if it is not there.
    ///
    /// # Errors
    /// The system refuses.
    pub fn create(&self) -> Result<(), HomeError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .create(&self.root)
            .and_then(|()| fs::read_dir(&self.root).map(drop))
            .map_err(|source| HomeError::Io {
                path: self.root.clone(),
                source,
            })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its settings.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// The file of the node's swarm.
    pub fn swarm(&self) -> PathBuf {
        self.root.join("swarm.toml")
    }

    /// The contracts on which the swarm settles.
    pub fn deployment(&self) -> PathBuf {
        self.root.join("deployment.toml")
    }

    /// The node's key.
    pub fn key(&self) -> PathBuf {
        self.root.join("node.key")
    }

    /// The node's store.
    pub fn store(&self) -> PathBuf {
        self.root.join(swarm_store::FILE_NAME)
    }

    /// The checkpoints of what the node trains.
    pub fn model(&self) -> PathBuf {
        self.root.join("model")
    }

    /// Proofs that peers contradicted themselves.
    pub fn evidence(&self) -> PathBuf {
        self.root.join("evidence")
    }

    /// The log, a file a day.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Addresses of peers that were good before.
    pub fn peers(&self) -> PathBuf {
        self.root.join("peers.json")
    }

    /// Who is not let in, until when.
    pub fn bans(&self) -> PathBuf {
        self.root.join("bans")
    }

    /// Where the local API of the running node is.
    pub fn api(&self) -> PathBuf {
        self.root.join("api.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_wins_over_the_users_home() {
        let user = Path::new("/home/somebody");
        let home = Home::of("", Some(user)).unwrap();
        assert_eq!(home.root(), user.join(".swarm-node"));
        assert_eq!(
            Home::of("/n", Some(user)).unwrap().key(),
            Path::new("/n/node.key")
        );
        assert!(matches!(Home::of("", None), Err(HomeError::Nowhere)));
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node");
        fs::write(&path, "").unwrap();
        let home = Home::of(path.to_str().unwrap(), None).unwrap();
        let error = home.create().unwrap_err().to_string();
        assert!(
            error.contains("node") && error.contains("--home"),
            "{error}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_enters() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let home = Home::of(path.to_str().unwrap(), None).unwrap();
        home.create().unwrap();
        home.create().unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
