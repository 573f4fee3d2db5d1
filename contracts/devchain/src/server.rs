//! JSON-RPC over HTTP on the loopback interface, in a thread of its own.
//!
//! It listens on 127.0.0.1 only. A web page in a browser on the same machine is not let in: a
//! request must name a loopback host (so a foreign name that was pointed here is refused) and be
//! declared as JSON (so a page of another origin would have to ask first, which is not answered).
//! Processes of the same machine are trusted not to attack the chain, but may have faults: what
//! they leave open or unfinished costs others nothing ([`super::connections`]).

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::{fs, io};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use thiserror::Error;
use tokio::runtime;
use tokio::sync::oneshot;

use super::connections::{self, Limits};
use super::rpc::MAX_REQUEST_BYTES;
use super::shared::SharedLedger;

/// Names of this machine for itself.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Why the chain is not served.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The port is in use or not allowed.
    #[error("127.0.0.1:{port} cannot be listened on ({source}): choose another port, or 0 for any")]
    Bind {
        /// The port asked for.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// The system gives no thread or event queue.
    #[error("the server cannot be started: {0}")]
    Start(io::Error),
}

/// A running server, which stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    url: String,
    /// File that tells others the address.
    announcement: Option<PathBuf>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves a ledger on a port of 127.0.0.1, 0: any free one.
    ///
    /// # Errors
    /// [`ServeError`].
    pub(super) fn start(ledger: SharedLedger, port: u16) -> Result<Self, ServeError> {
        let (listener, address) = bind(port).map_err(|source| ServeError::Bind { port, source })?;
        let (stop, stopped) = oneshot::channel();
        let thread = start(ledger, listener, stopped).map_err(ServeError::Start)?;
        Ok(Self {
            url: format!("http://{address}"),
            announcement: None,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it still serves; only a fault in it ends it while the value lives.
    pub fn is_running(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }

    /// Removes the file that tells its address when it stops.
    pub(super) fn announced(mut self, file: PathBuf) -> Self {
        self.announcement = Some(file);
        self
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A file that stays is not believed by others; the rest fails only if the thread has ended
        // already.
        let _ = self.announcement.take().map(fs::remove_file);
        let _ = self.stop.take().map(|stop| stop.send(()));
        // A panic has been printed by the thread.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn bind(port: u16) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn start(
    ledger: SharedLedger,
    listener: TcpListener,
    stopped: oneshot::Receiver<()>,
) -> io::Result<JoinHandle<()>> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let listener = {
        let _context = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    thread::Builder::new()
        .name("devchain".into())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = connections::serve(listener, routes(ledger), Limits::default()) => {}
                    _ = stopped => {}
                }
            });
        })
}

/// What is served, on one thread: requests are answered one after another.
fn routes(ledger: SharedLedger) -> Router {
    Router::new()
        .route("/", post(answer))
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .with_state(ledger)
}

async fn answer(State(ledger): State<SharedLedger>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(refusal) = check(&headers) {
        return refusal.into_response();
    }
    match ledger.answer(&body) {
        Some(answer) => ([(CONTENT_TYPE, "application/json")], answer).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

/// Whether the request was meant for a server on this machine, by a program rather than a web page.
fn check(headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    if !is_loopback(text(HOST)) {
        return Err((
            StatusCode::FORBIDDEN,
            "this dev chain answers to 127.0.0.1 and localhost only\n",
        ));
    }
    match text(CONTENT_TYPE).split(';').next().map(str::trim) {
        Some("application/json") => Ok(()),
        _ => Err((
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send JSON-RPC with content-type: application/json\n",
        )),
    }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    LOOPBACK
        .iter()
        .any(|loopback| loopback.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use alloy::providers::{Provider, RootProvider};
    use reqwest::{Client, RequestBuilder};

    use super::*;
    use crate::tests::{send, transfer};
    use crate::{CHAIN_ID, DevChain, Options};

    fn served() -> (DevChain, Server) {
        let chain = DevChain::in_memory(Options::standing(1_800_000_000));
        let server = chain.serve(0).unwrap();
        (chain, server)
    }

    fn client() -> Client {
        // Fails if another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::new()
    }

    /// A request as a well-behaved client sends it.
    fn request(server: &Server) -> RequestBuilder {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
        client()
            .post(server.url())
            .header("content-type", "application/json")
            .body(body)
    }

    async fn status(request: RequestBuilder) -> u16 {
        request.send().await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn http_and_the_transport_are_the_same_chain() {
        let (chain, server) = served();
        let http =
            RootProvider::<alloy::network::Ethereum>::new(alloy::rpc::client::RpcClient::new(
                alloy::transports::http::Http::with_client(client(), server.url().parse().unwrap()),
                true,
            ));
        assert_eq!(http.get_chain_id().await.unwrap(), CHAIN_ID);
        let hash = send(&http.clone().erased(), &transfer(0, |_| {})).await;
        let receipt = http.get_transaction_receipt(hash).await.unwrap();
        assert_eq!(
            receipt,
            chain
                .provider()
                .get_transaction_receipt(hash)
                .await
                .unwrap()
        );
        assert!(receipt.unwrap().status());
    }

    #[tokio::test]
    async fn web_pages_are_not_let_in() {
        let (_chain, server) = served();
        assert_eq!(status(request(&server)).await, 200);
        assert_eq!(
            status(request(&server).header("host", "evil.example")).await,
            403
        );
        let undeclared = client()
            .post(server.url())
            .header("content-type", "text/plain")
            .body("{}");
        assert_eq!(status(undeclared).await, 415);
        assert_eq!(status(client().get(server.url())).await, 405);
    }

    #[tokio::test]
    async fn bodies_have_a_limit() {
        let (_chain, server) = served();
        assert_eq!(
            status(request(&server).body(vec![b' '; MAX_REQUEST_BYTES + 1])).await,
            413
        );
        assert_eq!(status(request(&server)).await, 200);
    }

    #[test]
    fn a_server_that_ended_by_itself_is_known_to_have() {
        let (_chain, mut server) = served();
        thread::sleep(std::time::Duration::from_millis(50));
        assert!(server.is_running());
        // As if its thread had panicked: what it held is dropped.
        drop(server.stop.take());
        let begun = std::time::Instant::now();
        while server.is_running() {
            assert!(
                begun.elapsed() < std::time::Duration::from_secs(10),
                "it is not noticed"
            );
            thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    #[tokio::test]
    async fn a_dropped_server_is_gone() {
        let (chain, server) = served();
        let again = request(&server);
        let port = server.url().rsplit_once(':').unwrap().1.parse().unwrap();
        drop(server);
        assert!(again.send().await.is_err());
        assert_eq!(status(request(&chain.serve(port).unwrap())).await, 200);
    }

    #[test]
    fn only_loopback_names_are_answered() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8545",
            "localhost:1",
            "LOCALHOST",
            "[::1]:80",
            "[::1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:80",
            "127.0.0.1.evil.example",
            "localhost.evil",
            "::1",
            "127.0.0.1:x",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
