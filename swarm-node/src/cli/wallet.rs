//! `swarm-node wallet`: the keystore of the account that stakes, pays and is paid.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use swarm_identity::Secret;
use swarm_settle::wallet::WalletConfig;
use swarm_settle::wallet::{
    Cost, Keystore, KeystoreRandomness, Password, PasswordSource, Wallet, WalletError,
    WalletInputs, WalletSource,
};
use swarm_settle::wallet::{file, password, source};

use super::failure::Failure;
use super::options::Options;
use super::output::{self, Answer};
use crate::config::{Config, path};

/// What is forgone without a wallet, and how to have one.
pub(super) const NO_WALLET: &str = "there is no wallet to pay with; make one with `swarm-node \
wallet new` and name it with \
--set wallet.file=FILE, or set SWARM_NODE_WALLET_SECRET";

/// Makes and shows wallets.
///
/// A wallet is a keystore file (Web3 Secret Storage, scrypt), readable by other Ethereum tools. Its
/// password comes from SWARM_NODE_WALLET_PASSWORD, from the file named by wallet.password_file, or
/// is asked for. Servers may have no file and set SWARM_NODE_WALLET_SECRET instead. An empty
/// password is refused, and so is a file that others can read.
#[derive(Debug, Args)]
pub(super) struct WalletCommand {
    #[command(subcommand)]
    action: WalletAction,
}

#[derive(Debug, Subcommand)]
enum WalletAction {
    /// Makes a new key and writes its keystore. A file that exists is never written over.
    New {
        /// The keystore to write.
        #[arg(value_name = "FILE", default_value = "wallet.json")]
        file: PathBuf,
    },
    /// Writes a keystore for the key in SWARM_NODE_WALLET_SECRET.
    Import {
        /// The keystore to write.
        #[arg(value_name = "FILE", default_value = "wallet.json")]
        file: PathBuf,
    },
    /// Shows the address of the wallet of the settings, or of a keystore; needs no password.
    Show {
        /// A keystore instead of the one of the settings.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

impl WalletCommand {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let config = options
            .settings(&[], environment.clone())?
            .config::<Config>()?
            .wallet;
        let address = match &self.action {
            WalletAction::New { file } => {
                let secret = Secret::random().map_err(Failure::work)?;
                write(file, &secret, &config, &environment)?
            }
            WalletAction::Import { file } => {
                let text = variable(&environment, source::SECRET_VARIABLE);
                let text = text.ok_or_else(|| {
                    usage("set SWARM_NODE_WALLET_SECRET to the key that is to be imported")
                })?;
                let secret =
                    Secret::from_hex(&text).map_err(|error| Failure::Usage(error.into()))?;
                write(file, &secret, &config, &environment)?
            }
            WalletAction::Show { file } => {
                show(file.as_deref().or(path(&config.file)), &environment)?
            }
        };
        let kept = match &self.action {
            WalletAction::New { file } | WalletAction::Import { file } => {
                format!("the wallet is in {}", file.display())
            }
            WalletAction::Show { .. } => String::new(),
        };
        let json = serde_json::json!({ "address": address }).to_string();
        Answer {
            text: address,
            json,
            kept,
        }
        .print(options.json)
    }
}

fn usage(text: &'static str) -> Failure {
    Failure::Usage(anyhow::anyhow!(text))
}

fn variable(environment: &[(String, String)], name: &str) -> Option<String> {
    environment
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.clone())
}

/// Writes a keystore; returns its address.
fn write(
    path: &Path,
    secret: &Secret,
    config: &WalletConfig,
    environment: &[(String, String)],
) -> Result<String, Failure> {
    // Before anybody types a password.
    let place = file::NewKeystoreFile::reserve(path).map_err(Failure::work)?;
    let password = new_password(config, environment).map_err(Failure::work)?;
    let fresh = KeystoreRandomness::random().map_err(Failure::work)?;
    let keystore =
        Keystore::seal(secret, &password, Cost::default(), &fresh).map_err(Failure::work)?;
    place.create(&keystore).map_err(Failure::work)?;
    let wrote = path.display();
    output::note(&format!(
        "wrote {wrote}; without its password nobody can use it, and nobody can restore it"
    ));
    Ok(secret.address().to_string())
}

fn new_password(
    config: &WalletConfig,
    environment: &[(String, String)],
) -> Result<Password, WalletError> {
    if let Some(text) = variable(environment, source::PASSWORD_VARIABLE) {
        return Ok(PasswordSource::Known(Password::new(text)).take(|| password::ask(""))?);
    }
    let known = path(&config.password_file).map(|path| PasswordSource::File(path.into()));
    Ok(match known {
        Some(file) => file.take(|| password::ask(""))?,
        None => password::choose(password::ask)?,
    })
}

fn show(path: Option<&Path>, environment: &[(String, String)]) -> Result<String, Failure> {
    if let Some(path) = path {
        let address = file::read(path).map_err(Failure::work)?.address();
        return address
            .map(|address| address.to_string())
            .ok_or_else(|| usage("the keystore does not name its address"));
    }
    let text = variable(environment, source::SECRET_VARIABLE).ok_or_else(|| usage(NO_WALLET))?;
    let secret = Secret::from_hex(&text).map_err(|error| Failure::Usage(error.into()))?;
    Ok(secret.address().to_string())
}

/// Unlocks the wallet of the settings and the environment; `None` if there is none.
pub(super) fn unlock(
    config: &WalletConfig,
    environment: &[(String, String)],
) -> Result<Option<Wallet>, WalletError> {
    let given = WalletInputs {
        keystore: path(&config.file).map(Into::into),
        password_file: path(&config.password_file).map(Into::into),
        ..WalletInputs::default()
    };
    let given = given.with_environment(|name| variable(environment, name));
    WalletSource::resolve(given)?.unlock(password::ask)
}
