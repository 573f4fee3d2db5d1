//! Where a node settles, from its settings.

use contracts::client::{RpcUrl, UrlError, without_keys};
use thiserror::Error;

use super::config::ChainConfig;

/// Chain ids of chains that are made for development: geth's, anvil's and hardhat's, and our own.
pub const DEV_CHAINS: [u64; 3] = [1_337, 31_337, EMBEDDED_ID];
/// Chain id of the embedded dev chain.
pub const EMBEDDED_ID: u64 = swarm_devchain::CHAIN_ID;
/// Blocks on top of a transaction that make it final where the settings leave it open and the chain
/// is no dev chain.
const USUAL_CONFIRMATIONS: u64 = 4;

/// Where rewards are settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Nowhere.
    None,
    /// On a dev chain in this process.
    Embedded,
    /// On a chain with an RPC server.
    Url(RpcUrl),
}

/// Why the settings name no chain.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Not an endpoint; without what may be a key.
    #[error(
        "chain.endpoint is `{0}`; give `embedded`, `none`, or the URL of an RPC server (http:// or \
         https://)"
    )]
    Unknown(String),
    /// Not a URL.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A real chain must be named.
    #[error(
        "{endpoint} serves chain {id}, which is no dev chain; if you mean it, say so with --set \
         chain.id={id} \
         (transactions there cost money)"
    )]
    Unnamed {
        /// The endpoint.
        endpoint: RpcUrl,
        /// The id it serves.
        id: u64,
    },
}

impl Endpoint {
    /// The endpoint that the settings name.
    ///
    /// # Errors
    /// [`EndpointError::Unknown`] with the value seen, [`EndpointError::Url`] for a malformed URL.
    pub fn of(config: &ChainConfig) -> Result<Self, EndpointError> {
        match config.endpoint.as_str().trim() {
            "none" => Ok(Self::None),
            "embedded" => Ok(Self::Embedded),
            url if url.starts_with("http://") || url.starts_with("https://") => {
                Ok(Self::Url(RpcUrl::parse(url)?))
            }
            other => Err(EndpointError::Unknown(without_keys(other))),
        }
    }
}

/// The chain id that is expected of a server at `url` that says `served`: the one in the settings,
/// or any dev chain's.
///
/// # Errors
/// [`EndpointError::Unnamed`] for a real chain that the settings do not name.
pub fn expected_id(config: &ChainConfig, url: &RpcUrl, served: u64) -> Result<u64, EndpointError> {
    match config.id {
        0 if DEV_CHAINS.contains(&served) => Ok(served),
        0 => Err(EndpointError::Unnamed {
            endpoint: url.clone(),
            id: served,
        }),
        id => Ok(id),
    }
}

/// The URL of the settings' chain, if it is one that may be written into files: one that has no
/// place for a key.
pub fn public_url(config: &ChainConfig) -> Option<String> {
    match Endpoint::of(config) {
        Ok(Endpoint::Url(url)) => url.public(),
        _ => None,
    }
}

/// Blocks on top of a transaction that make it final on this chain.
pub fn confirmations(config: &ChainConfig, id: u64) -> u64 {
    let usual = if DEV_CHAINS.contains(&id) {
        0
    } else {
        USUAL_CONFIRMATIONS
    };
    u64::try_from(config.confirmations).unwrap_or(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(endpoint: &str, id: u64, confirmations: i64) -> ChainConfig {
        ChainConfig {
            endpoint: endpoint.into(),
            id,
            confirmations,
            ..ChainConfig::default()
        }
    }

    #[test]
    fn endpoints_are_read() {
        let of = |text| Endpoint::of(&config(text, 0, -1));
        assert_eq!(of("none"), Ok(Endpoint::None));
        assert_eq!(of(" embedded "), Ok(Endpoint::Embedded));
        let url = RpcUrl::parse("http://127.0.0.1:8545").unwrap();
        assert_eq!(of("http://127.0.0.1:8545"), Ok(Endpoint::Url(url)));
        for bad in ["", "anvil", "127.0.0.1:8545", "ws://x"] {
            assert_eq!(of(bad), Err(EndpointError::Unknown(bad.into())));
        }
        assert!(matches!(of("http://"), Err(EndpointError::Url(_))));
    }

    #[test]
    fn keys_are_not_shown() {
        for text in [
            "wss://rpc.example/v3/0123456789abcdef",
            "rpc.example/0123456789abcdef",
            "http://0123456789abcdef@",
        ] {
            let config = config(text, 0, -1);
            let error = Endpoint::of(&config).unwrap_err();
            assert!(
                !format!("{error} {error:?} {config:?}").contains("0123456789abcdef"),
                "{error}"
            );
        }
        let config = config("https://rpc.example/0123456789abcdef", 0, -1);
        let Ok(Endpoint::Url(url)) = Endpoint::of(&config) else {
            panic!("it is a URL")
        };
        let error = expected_id(&config, &url, 1).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("https://rpc.example/… serves chain 1"),
            "{error}"
        );
    }

    #[test]
    fn a_real_chain_must_be_named() {
        let url = RpcUrl::parse("http://x").unwrap();
        assert_eq!(
            expected_id(&config("http://x", 0, -1), &url, 31_337),
            Ok(31_337)
        );
        let unnamed = expected_id(&config("http://x", 0, -1), &url, 1).unwrap_err();
        assert!(
            unnamed.to_string().contains("--set chain.id=1"),
            "{unnamed}"
        );
        assert_eq!(
            expected_id(&config("http://x", 10, -1), &url, 1),
            Ok(10),
            "the client compares"
        );
    }

    #[test]
    fn dev_chains_need_no_confirmations() {
        let blocks = |setting, id| confirmations(&config("x", 0, setting), id);
        assert_eq!(
            (
                blocks(-1, 31_337),
                blocks(-1, 10),
                blocks(2, 31_337),
                blocks(0, 10)
            ),
            (0, 4, 2, 0)
        );
    }
}
