//! The settings of the owner's account.

use swarm_settings::{Kind, section};

section! {
    /// The account that pays for transactions. Secrets are no settings: they come from the
    /// environment, a file, or the terminal.
    pub struct WalletConfig: "wallet" {
        /// Keystore of the account that pays; empty takes SWARM_NODE_WALLET_SECRET, or no wallet.
        file: String = "", Kind::Text;
        /// File with the keystore's password; empty takes SWARM_NODE_WALLET_PASSWORD, or asks.
        password_file: String = "", Kind::Text;
    }
}
