//! The wallet of the settings.

use crate::config::{WalletConfig, path};
use crate::wallet::{Given, Wallet, WalletError, WalletSource, password};

/// What is forgone without a wallet, and how to have one.
pub(super) const NO_WALLET: &str = "there is no wallet to pay with; make one with `swarm-node wallet new` and name it with \
--set wallet.file=FILE, or set SWARM_NODE_WALLET_SECRET";

/// Unlocks the wallet of the settings and the environment; `None` if there is none.
pub(super) fn unlock(config: &WalletConfig, environment: &[(String, String)]) -> Result<Option<Wallet>, WalletError> {
    let variable = |name: &str| environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let given = Given {
        keystore: path(&config.file).map(Into::into),
        password_file: path(&config.password_file).map(Into::into),
        ..Given::default()
    };
    let wallet = WalletSource::resolve(given.with_environment(variable))?.unlock(password::ask)?;
    if let Some(warning) = wallet.as_ref().and_then(|wallet| wallet.warning.as_ref()) {
        eprintln!("warning: {warning}");
    }
    Ok(wallet)
}
