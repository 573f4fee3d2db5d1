//! Connecting: TLS set up once, then the chain id.

use std::sync::Once;

use alloy::primitives::Address;
use alloy::providers::{Provider, ProviderBuilder};
use alloy::rpc::client::RpcClient;
use reqwest::Url;

use super::{Client, ConnectError, PATIENCE, RpcError};

static TLS: Once = Once::new();

impl Client {
    /// Connects to `endpoint` (`http://…` or `https://…`), which must serve the chain `expected`.
    ///
    /// # Errors
    /// [`ConnectError`] if it is no such address, does not answer, or serves another chain.
    pub async fn connect(endpoint: &str, expected: u64) -> Result<Self, ConnectError> {
        let url = parse(endpoint)?;
        let http = http_client()?;
        let name = host(&url);
        Self::over(RpcClient::new_http_with_client(http, url), &name, expected).await
    }

    /// Connects over any transport of alloy, such as the dev chain's; `name` stands for it in errors.
    ///
    /// # Errors
    /// [`ConnectError`] if it does not answer or serves another chain than `expected`.
    pub async fn over(rpc: RpcClient, name: &str, expected: u64) -> Result<Self, ConnectError> {
        let provider = ProviderBuilder::default().connect_client(rpc).erased();
        let client = Self { provider, endpoint: name.into(), chain_id: expected };
        let actual = client.ask("its chain id", || client.provider.get_chain_id()).await;
        match actual.map_err(|error| ConnectError::Dead { endpoint: name.into(), cause: error.cause() })? {
            actual if actual == expected => Ok(client),
            actual => Err(ConnectError::WrongChain { endpoint: name.into(), actual, expected }),
        }
    }

    /// Checks that a contract is at `address`.
    ///
    /// # Errors
    /// [`ConnectError::NoContract`] if there is none, [`ConnectError::Dead`] if the endpoint does not say.
    pub async fn require_code(&self, address: Address) -> Result<(), ConnectError> {
        let code = self.ask("code", || self.provider.get_code_at(address)).await;
        match code.map_err(|error| self.dead(&error))?.is_empty() {
            false => Ok(()),
            true => Err(ConnectError::NoContract { address, chain_id: self.chain_id }),
        }
    }

    fn dead(&self, error: &RpcError) -> ConnectError {
        ConnectError::Dead { endpoint: self.endpoint.to_string(), cause: error.cause() }
    }
}

fn parse(endpoint: &str) -> Result<Url, ConnectError> {
    let invalid = |cause: String| ConnectError::Endpoint { endpoint: endpoint.into(), cause };
    let url: Url = endpoint.parse().map_err(|cause| invalid(format!("{cause}")))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(invalid(format!("'{scheme}' is not supported"))),
    }
}

fn http_client() -> Result<reqwest::Client, ConnectError> {
    // A second provider in the process is fine: the first one stays.
    TLS.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    reqwest::Client::builder().timeout(PATIENCE).build().map_err(|cause| ConnectError::Tls(cause.to_string()))
}

fn host(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_addresses_are_not_shown() {
        let url = parse("https://user:secret@rpc.example:8443/v3/secret?key=secret").unwrap();
        assert_eq!(host(&url), "https://rpc.example:8443");
    }

    #[test]
    fn other_addresses_are_refused() {
        for bad in ["", "rpc.example", "ftp://rpc.example", "ws://rpc.example"] {
            assert!(matches!(parse(bad), Err(ConnectError::Endpoint { .. })), "{bad}");
        }
    }
}
