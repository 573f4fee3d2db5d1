//! The server of the API.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tower::limit::GlobalConcurrencyLimitLayer;

use super::access::{self, Access, ApiFile, ApiFileError};
use super::routes::{self, Source};
use crate::node::board::Board;
use crate::node::parts::Request;

/// Requests with the token that are served at a time.
const MAX_REQUESTS: usize = 32;

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
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the local API ended");
            }
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
