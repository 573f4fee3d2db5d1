//! The server of the API.
//!
//! Whoever is on this machine may connect, with or without the token. So there are at most
//! [`MAX_CONNECTIONS`] at a time, and one whose request's head does not come to an end within
//! [`HEAD_TIME`] is closed; what a request may do, the routes say.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;
use tower::limit::GlobalConcurrencyLimitLayer;

use super::access::{self, Access, ApiFile, ApiFileError};
use super::routes::{self, Source};
use crate::node::board::Board;
use crate::node::parts::Request;

/// Requests with the token that are served at a time.
const MAX_REQUESTS: usize = 32;
/// Connections at a time; further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 128;
/// Time for the head of a request, and for the next one of an idle connection.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// Wait after the system gave no connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Why the API is not there.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The address is not this machine's own.
    #[error("node.api is {0}; the API listens on loopback only, for example 127.0.0.1:0")]
    NotLoopback(SocketAddr),
    /// The address cannot be had.
    #[error("the local API cannot listen on {address}: {source}; set node.api to a free address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The file with the token cannot be written.
    #[error(transparent)]
    File(#[from] ApiFileError),
    /// There is no randomness for the token.
    #[error("the system gives no randomness: {0}")]
    Random(io::Error),
}

/// A server that runs. Dropped, it ends, and its file is removed.
#[derive(Debug)]
pub struct Server {
    file: ApiFile,
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts the server, and writes where it is into the file at `path`.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn start(
        address: SocketAddr,
        path: PathBuf,
        node: mpsc::Sender<Request>,
        board: Board,
    ) -> Result<Self, ApiError> {
        if !address.ip().is_loopback() {
            return Err(ApiError::NotLoopback(address));
        }
        let listen = |source| ApiError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let file = ApiFile {
            address: listener.local_addr().map_err(listen)?,
            token: access::fresh_token().map_err(ApiError::Random)?,
            process: std::process::id(),
        };
        file.write(&path)?;
        let access = Access::new(file.address, file.token.clone());
        let router = router(&access, Source { node, board });
        let task = tokio::spawn(async move {
            serve(listener, router).await;
        });
        Ok(Self { file, path, task })
    }

    /// Where it is.
    pub fn file(&self) -> &ApiFile {
        &self.file
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        if let Err(error) = ApiFile::remove(&self.path) {
            tracing::warn!(%error, "api.json is left");
        }
    }
}

/// Serves for ever. Dropped, it ends all connections.
async fn serve(listener: TcpListener, routes: Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // How a connection ends, an error or not, is its client's affair.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, routes.clone()))),
                // The process has no file left, or the client is gone already.
                Err(_) => sleep(PAUSE).await,
            },
        }
    }
}

/// Answers the requests of one connection, one after another.
async fn connection(stream: TcpStream, routes: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection of the local API");
    }
}

fn router(access: &Access, source: Source) -> Router {
    let owners = Router::new()
        .route("/metrics", get(routes::metrics))
        .route("/api/status", get(routes::status))
        .route("/api/events", get(routes::events))
        .route("/api/rounds/{round}", get(routes::round))
        .route("/api/control", post(routes::control))
        .layer(from_fn_with_state(access.clone(), access::with_token))
        .layer(GlobalConcurrencyLimitLayer::new(MAX_REQUESTS));
    Router::new()
        .route("/healthz", get(routes::health))
        .route("/readyz", get(routes::ready))
        .merge(owners)
        .layer(from_fn_with_state(access.clone(), access::for_us))
        .with_state(source)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Longer than anything here takes on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    async fn start() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().route("/", get(|| async { "here" }));
        tokio::spawn(serve(listener, routes));
        address
    }

    async fn answers(address: SocketAddr) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("here"), "{answer}");
    }

    #[tokio::test]
    async fn half_sent_heads_end_and_hold_nobody_up_for_long() {
        let address = start().await;
        let mut held = Vec::new();
        for _ in 0..2 * MAX_CONNECTIONS {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nX-").await.unwrap();
            held.push(stream);
        }
        let begun = Instant::now();
        tokio::time::timeout(PATIENCE, answers(address))
            .await
            .unwrap();
        assert!(begun.elapsed() >= HEAD_TIME / 2, "they were not held back");
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(PATIENCE, held[0].read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "the connection is still open");
    }
}
