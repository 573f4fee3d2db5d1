//! Who may use the API: whoever has the token, from this machine.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use swarm_files::{private, text_file};
use swarm_identity::digest::{Hasher, hex};
use thiserror::Error;

/// Longest time for a request to come and its answer to begin.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 4096;

/// Where a node's API is, and the token that it wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiFile {
    /// The address.
    pub address: SocketAddr,
    /// The token.
    pub token: String,
    /// The node's process.
    pub process: u32,
}

/// Why a node's API is not found.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ApiFileError {
    /// No node runs from the folder.
    #[error("no node runs from {home}; start it with `swarm-node up --home {home}`", home = .0.display())]
    NotRunning(PathBuf),
    /// The system refuses.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is no such file.
    #[error("{path}: {source}; remove it and start the node again", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

impl ApiFile {
    /// Reads the file of a node that runs.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn read(path: &Path) -> Result<Self, ApiFileError> {
        let text = text_file::read(path, MAX_FILE_BYTES).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => {
                ApiFileError::NotRunning(path.parent().unwrap_or(path).to_owned())
            }
            _ => ApiFileError::Io {
                path: path.to_owned(),
                source,
            },
        })?;
        serde_json::from_str(&text).map_err(|source| ApiFileError::Content {
            path: path.to_owned(),
            source,
        })
    }

    /// Writes the file, in the place of one that a killed process left.
    ///
    /// # Errors
    /// The system refuses.
    pub fn write(&self, path: &Path) -> Result<(), ApiFileError> {
        let io = |source| ApiFileError::Io {
            path: path.to_owned(),
            source,
        };
        Self::remove(path).map_err(io)?;
        let text = serde_json::to_vec(self)
            .map_err(io::Error::from)
            .map_err(io)?;
        private::create(path, &text).map_err(io)
    }

    /// Removes the file, if it is there.
    ///
    /// # Errors
    /// The system refuses.
    pub fn remove(path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// What a request must show.
#[derive(Clone, Debug)]
pub struct Access {
    address: SocketAddr,
    token: String,
}

impl Access {
    /// A server at this address that wants this token.
    pub fn new(address: SocketAddr, token: String) -> Self {
        Self { address, token }
    }

    /// Names that a client on this machine may use.
    fn hosts(&self) -> [String; 3] {
        let port = self.address.port();
        let localhost = format!("localhost:{port}");
        [
            self.address.to_string(),
            localhost,
            format!("127.0.0.1:{port}"),
        ]
    }

    /// True if the request was made for this server, and by no other site's page.
    fn is_for_us(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let is_ours = |host: &str| self.hosts().iter().any(|ours| ours == host);
        let host = text(header::HOST).is_some_and(is_ours);
        let origin = match headers.contains_key(header::ORIGIN) {
            true => text(header::ORIGIN)
                .and_then(|origin| origin.strip_prefix("http://"))
                .is_some_and(is_ours),
            false => true,
        };
        host && origin
    }

    /// True if the request shows the token. Digests are compared, so that the time which it takes
    /// says nothing about the token.
    fn has_token(&self, headers: &HeaderMap) -> bool {
        let shown = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let digest = |bytes: &[u8]| Hasher::new("api-token").bytes(bytes).finish();
        shown.is_some_and(|shown| digest(shown) == digest(self.token.as_bytes()))
    }
}

/// A token that nobody can guess.
///
/// # Errors
/// The system gives no randomness.
pub(super) fn fresh_token() -> io::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::from)?;
    Ok(hex(&bytes))
}

/// Refuses requests that were not made for this server.
pub(super) async fn for_us(State(access): State<Access>, request: Request, next: Next) -> Response {
    if !access.is_for_us(request.headers()) {
        let text = "this server is for this machine alone: use the address in api.json\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    match tokio::time::timeout(PATIENCE, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the request came too slowly\n").into_response(),
    }
}

/// Refuses requests without the token.
pub(super) async fn with_token(
    State(access): State<Access>,
    request: Request,
    next: Next,
) -> Response {
    if !access.has_token(request.headers()) {
        let text = "give the token in api.json: Authorization: Bearer TOKEN\n";
        return (StatusCode::UNAUTHORIZED, text).into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| {
                (
                    header::HeaderName::from_static(name),
                    value.parse().unwrap(),
                )
            })
            .collect()
    }

    fn access() -> Access {
        Access::new(([127, 0, 0, 1], 8080).into(), "secret".into())
    }

    #[test]
    fn other_hosts_and_sites_are_strangers() {
        let cases: [(&[(&str, &str)], bool); 7] = [
            (&[("host", "127.0.0.1:8080")], true),
            (&[("host", "localhost:8080")], true),
            (
                &[
                    ("host", "localhost:8080"),
                    ("origin", "http://localhost:8080"),
                ],
                true,
            ),
            (
                &[
                    ("host", "localhost:8080"),
                    ("origin", "http://evil.example"),
                ],
                false,
            ),
            (&[("host", "localhost:8080"), ("origin", "null")], false),
            (&[("host", "evil.example:8080")], false),
            (&[], false),
        ];
        for (list, expected) in cases {
            assert_eq!(access().is_for_us(&headers(list)), expected, "{list:?}");
        }
    }

    #[test]
    fn the_token_is_wanted_whole() {
        for (shown, expected) in [
            ("Bearer secret", true),
            ("Bearer secre", false),
            ("Bearer secrets", false),
            ("secret", false),
            ("", false),
        ] {
            assert_eq!(
                access().has_token(&headers(&[("authorization", shown)])),
                expected,
                "{shown}"
            );
        }
        assert!(!access().has_token(&HeaderMap::new()));
    }

    #[test]
    fn the_file_comes_back_and_a_missing_one_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.json");
        let error = ApiFile::read(&path).unwrap_err().to_string();
        assert!(error.contains("swarm-node up"), "{error}");
        let file = ApiFile {
            address: ([127, 0, 0, 1], 1).into(),
            token: fresh_token().unwrap(),
            process: 7,
        };
        file.write(&path).unwrap();
        file.write(&path).unwrap();
        assert_eq!(ApiFile::read(&path).unwrap(), file);
        ApiFile::remove(&path).unwrap();
        ApiFile::remove(&path).unwrap();
    }
}
