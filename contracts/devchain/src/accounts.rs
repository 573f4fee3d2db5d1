//! Accounts that every dev chain funds at genesis. Their keys are public and worthless: never send
//! real money to them.
//!
//! Key number `i` is the Keccak-256 hash of [`PHRASE`] followed by `i` as eight big-endian bytes,
//! so every program derives the same ones and no secret is stored anywhere.

use std::sync::LazyLock;

use alloy::primitives::utils::Unit;
use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::signers::local::PrivateKeySigner;

/// What the keys are derived from.
pub const PHRASE: &str = "swarm-node dev chain: these keys are public and worthless";
/// Funded accounts.
pub const ACCOUNTS: u64 = 10;
/// Ether of each account at genesis.
pub const ACCOUNT_ETHER: u64 = 10_000;

/// An account funded at genesis.
#[derive(Clone, Debug)]
pub struct DevAccount {
    /// Its secret key, which everybody knows.
    pub secret: B256,
    /// Its address.
    pub address: Address,
    /// Signs with the key.
    pub signer: PrivateKeySigner,
}

impl DevAccount {
    /// The account of an index, `None` in the case (of probability 2⁻¹²⁸) that the hash is not a
    /// secret key.
    fn derive(index: u64) -> Option<Self> {
        let secret = keccak256([PHRASE.as_bytes(), &index.to_be_bytes()].concat());
        let signer = PrivateKeySigner::from_bytes(&secret).ok()?;
        Some(Self {
            secret,
            address: signer.address(),
            signer,
        })
    }
}

/// The accounts, always the same ones in the same order.
pub fn dev_accounts() -> Vec<DevAccount> {
    // Ten multiplications on the curve, which a process does once.
    static DERIVED: LazyLock<Vec<DevAccount>> =
        LazyLock::new(|| (0..ACCOUNTS).filter_map(DevAccount::derive).collect());
    DERIVED.clone()
}

/// Wei of each account at genesis.
pub fn genesis_balance() -> U256 {
    U256::from(ACCOUNT_ETHER) * Unit::ETHER.wei()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_ten_and_never_change() {
        let accounts = dev_accounts();
        assert_eq!(accounts.len(), 10);
        let mut addresses: Vec<_> = accounts.iter().map(|account| account.address).collect();
        addresses.dedup();
        assert_eq!(addresses.len(), 10);
        assert_eq!(
            accounts[0].address.to_string(),
            "0x8135284017C6C3821F15f7dd16504bd8560ed345"
        );
    }
}
