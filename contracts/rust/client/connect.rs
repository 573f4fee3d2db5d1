//! Opening a connection: TLS is set up once per process, then the chain id is checked.

use std::sync::{Arc, Once};

use alloy::primitives::Address;
use alloy::providers::{Provider, ProviderBuilder};
use alloy::rpc::client::RpcClient;

use super::{ANSWER_TIMEOUT, Client, ConnectError, RpcError, RpcUrl, WAITS};

static TLS: Once = Once::new();

impl Client {
    /// Connects to the server at `url`, which must serve the chain `expected`.
    ///
    /// # Errors
    /// [`ConnectError`] if it does not answer, or serves another chain.
    pub async fn connect(url: &RpcUrl, expected: u64) -> Result<Self, ConnectError> {
        let rpc = RpcClient::new_http_with_client(http_client()?, url.to_url());
        Self::checked(rpc, &url.to_string(), Some(Arc::new(url.clone())), expected).await
    }

    /// Connects over any transport of alloy, such as the dev chain's; `name` stands for it in
    /// errors.
    ///
    /// # Errors
    /// [`ConnectError`] if it does not answer or serves another chain than `expected`.
    pub async fn over(rpc: RpcClient, name: &str, expected: u64) -> Result<Self, ConnectError> {
        Self::checked(rpc, name, None, expected).await
    }

    async fn checked(
        rpc: RpcClient,
        name: &str,
        url: Option<Arc<RpcUrl>>,
        expected: u64,
    ) -> Result<Self, ConnectError> {
        let provider = ProviderBuilder::default().connect_client(rpc).erased();
        let client = Self {
            provider,
            endpoint: name.into(),
            url,
            chain_id: expected,
            waits: WAITS,
        };
        let actual = client
            .ask("its chain id", || client.provider.get_chain_id())
            .await;
        match actual.map_err(|error| ConnectError::Dead {
            endpoint: name.into(),
            cause: error.cause(),
        })? {
            actual if actual == expected => Ok(client),
            actual => Err(ConnectError::WrongChain {
                endpoint: name.into(),
                actual,
                expected,
            }),
        }
    }

    /// Checks that a contract is at `address`.
    ///
    /// # Errors
    /// [`ConnectError::NoContract`] if there is none, [`ConnectError::Dead`] if the endpoint does
    /// not say.
    pub async fn require_code(&self, address: Address) -> Result<(), ConnectError> {
        let code = self
            .ask("code", || self.provider.get_code_at(address))
            .await;
        match code.map_err(|error| self.dead(&error))?.is_empty() {
            false => Ok(()),
            true => Err(ConnectError::NoContract {
                address,
                chain_id: self.chain_id,
            }),
        }
    }

    fn dead(&self, error: &RpcError) -> ConnectError {
        ConnectError::Dead {
            endpoint: self.endpoint.to_string(),
            cause: error.cause(),
        }
    }
}

fn http_client() -> Result<reqwest::Client, ConnectError> {
    // A second provider in the process is fine: the first one stays.
    TLS.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    reqwest::Client::builder()
        .timeout(ANSWER_TIMEOUT)
        .build()
        .map_err(|cause| ConnectError::Tls(cause.to_string()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    const KEY: &str = "0123456789abcdef";

    /// A server that gives every request this answer, and the address of it with a key in every
    /// place.
    fn server(status: &'static str, body: &'static str) -> RpcUrl {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 4096]);
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\nLocation: /{KEY}\r\nContent-Length: \
                     {length}\r\nConnection: close\r\n\r\n{body}"
                );
            }
        });
        RpcUrl::parse(&format!(
            "http://u{KEY}:p{KEY}@127.0.0.1:{port}/v3/{KEY}?key={KEY}"
        ))
        .unwrap()
    }

    #[tokio::test]
    async fn no_error_shows_a_key_whatever_the_server_does() {
        let refused = r#"{"jsonrpc":"2.0","id":0,"error":{"code":-32001,"message":"no project 0123456789abcdef"}}"#;
        let answers = [
            (
                "404 Not Found",
                "Cannot POST /v3/0123456789abcdef?key=0123456789abcdef",
            ),
            ("200 OK", "<html>0123456789abcdef</html>"),
            (
                "200 OK",
                r#"{"jsonrpc":"2.0","id":0,"result":"0123456789abcdef"}"#,
            ),
            ("302 Found", ""),
            ("307 Temporary Redirect", ""),
            ("nonsense", ""),
            ("200 OK", refused),
        ];
        let mut urls: Vec<RpcUrl> = answers
            .into_iter()
            .map(|(status, body)| server(status, body))
            .collect();
        urls.push(RpcUrl::parse(&format!("http://127.0.0.1:9/{KEY}")).unwrap());
        let mut asked = tokio::task::JoinSet::new();
        for url in urls {
            asked.spawn(async move { (Client::connect(&url, 1).await.unwrap_err(), url) });
        }
        for (error, url) in asked.join_all().await {
            for text in [error.to_string(), format!("{error:?}")] {
                assert!(!text.contains(KEY), "{text}");
            }
            assert!(error.to_string().contains(&url.to_string()), "{error}");
        }
    }

    #[tokio::test]
    async fn a_client_shows_no_key() {
        let url = server("200 OK", r#"{"jsonrpc":"2.0","id":0,"result":"0x1"}"#);
        let client = Client::connect(&url, 1).await.unwrap();
        assert_eq!(client.endpoint(), url.to_string());
        assert!(!format!("{client:?}").contains(KEY), "{client:?}");
    }
}
