//! Which node a command is about, and the settings that lie in its folder.

use std::path::PathBuf;

use clap::Args;

use crate::api::Client;
use crate::cli::failure::Failure;
use crate::cli::options::{Flag, Options};
use crate::config::Config;
use crate::node::home::Home;

/// The flag of every command that is about a node.
#[derive(Clone, Debug, Args)]
pub(super) struct HomeFlag {
    /// Folder of the node [default: ~/.swarm-node].
    #[arg(long, value_name = "DIR")]
    home: Option<String>,
}

impl HomeFlag {
    /// The node's folder and its settings: those of the folder, unless another file is named.
    pub(super) fn settings(
        &self,
        options: &Options,
        flags: &[Flag<'_>],
        environment: Vec<(String, String)>,
    ) -> Result<(Home, Config), Failure> {
        let flags: Vec<Flag<'_>> = [("--home", "node.home", &self.home)]
            .into_iter()
            .chain(flags.iter().copied())
            .collect();
        let named = options
            .settings(&flags, environment.clone())?
            .config::<Config>()?;
        let home = home(&named)?;
        let options = options.or_file(home.config(), &environment);
        let config = options.settings(&flags, environment)?.config::<Config>()?;
        Ok((home, config))
    }

    /// The node that runs from the folder.
    pub(super) fn client(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<Client, Failure> {
        let (home, _) = self.settings(options, &[], environment)?;
        Client::open(&home.api()).map_err(Failure::work)
    }
}

fn home(config: &Config) -> Result<Home, Failure> {
    let user: Option<PathBuf> = std::env::home_dir();
    Home::of(&config.node.home, user.as_deref()).map_err(|error| Failure::Usage(error.into()))
}
