//! `swarm-node key`: the node's identity, its backup, and the way back.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use swarm_files::private;
use swarm_identity::key_file;
use swarm_identity::{NodeKey, Secret};

use super::home::HomeFlag;
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::print_rows;

/// Shows the node's identity, backs it up, and restores it.
///
/// Who has the key is the node: its stake, its rewards and its name in the swarm hang on it.
#[derive(Debug, Args)]
pub(in crate::cli) struct KeyCommand {
    #[command(subcommand)]
    action: KeyAction,
}

#[derive(Debug, Subcommand)]
enum KeyAction {
    /// Shows the node's id.
    Show {
        #[command(flatten)]
        home: HomeFlag,
    },
    /// Copies the key into a file that only its owner can read; one that exists is never written
    /// over.
    Backup {
        /// The file to write.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        home: HomeFlag,
    },
    /// Puts a key back into a folder that has none.
    ///
    /// A node that runs elsewhere with this key must be ended first. What it signed is in its
    /// store: with the key alone, the node takes part again from the next round on.
    Restore {
        /// The backup.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        home: HomeFlag,
    },
}

impl KeyCommand {
    pub(in crate::cli) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let (KeyAction::Show { home }
        | KeyAction::Backup { home, .. }
        | KeyAction::Restore { home, .. }) = &self.action;
        let (home, _) = home.settings(options, &[], environment)?;
        let (read, written) = match &self.action {
            KeyAction::Show { .. } => (home.key(), None),
            KeyAction::Backup { file, .. } => (home.key(), Some(file.clone())),
            KeyAction::Restore { file, .. } => (file.clone(), Some(home.key())),
        };
        let secret = key_file::peek(&read).map_err(Failure::work)?;
        if let Some(written) = &written {
            home.create().map_err(Failure::work)?;
            write(written, &secret)?;
        }
        let key = NodeKey::from_secret(&secret.to_bytes()).map_err(Failure::work)?;
        let place = written.unwrap_or(read);
        let rows = [
            ("peer", key.peer().text()),
            ("file", place.display().to_string()),
        ];
        let kept = format!("the key is in {}", place.display());
        print_rows(&rows, options.json, kept)
    }
}

fn write(path: &Path, secret: &Secret) -> Result<(), Failure> {
    private::create(path, key_file::to_text(secret).as_bytes()).map_err(|error| {
        Failure::Work(anyhow::anyhow!(
            "{} is not written: {error}; a key is never written over another",
            path.display()
        ))
    })
}
