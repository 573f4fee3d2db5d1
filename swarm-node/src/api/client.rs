//! The commands' way to a node that runs.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::access::{ApiFile, ApiFileError};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most bytes of an answer: a round's record.
const MAX_ANSWER: u64 = 64 << 20;

/// Why there is no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The node's file.
    #[error(transparent)]
    File(#[from] ApiFileError),
    /// Nobody answers there.
    #[error(
        "the node of process {process} does not answer at {address}: {source}; if it was killed, \
         start it again with `swarm-node up`"
    )]
    Unreachable {
        /// The process that wrote the file.
        process: u32,
        /// The address.
        address: std::net::SocketAddr,
        /// What went wrong.
        source: Box<ureq::Error>,
    },
    /// The node refuses.
    #[error("{0}")]
    Refused(String),
    /// The answer is of another version.
    #[error("the node answers with something unknown: {0}; is it of another version?")]
    Unknown(serde_json::Error),
}

/// A connection to the node of a folder.
#[derive(Debug)]
pub struct Client {
    file: ApiFile,
    agent: ureq::Agent,
}

impl Client {
    /// The node whose file is at this path.
    ///
    /// # Errors
    /// No node runs there.
    pub fn open(path: &Path) -> Result<Self, ClientError> {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .build()
            .into();
        Ok(Self {
            file: ApiFile::read(path)?,
            agent,
        })
    }

    /// Gets a value.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        serde_json::from_slice(&self.get_bytes(path)?).map_err(ClientError::Unknown)
    }

    /// Gets bytes.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn get_bytes(&self, path: &str) -> Result<Vec<u8>, ClientError> {
        let request = self.agent.get(self.url(path));
        let answer = request.header("Authorization", self.bearer()).call();
        self.body(answer)
    }

    /// Sends a value and gets one.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        value: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(value).map_err(ClientError::Unknown)?;
        let request = self.agent.post(self.url(path));
        let answer = request
            .header("Authorization", self.bearer())
            .header("Content-Type", "application/json")
            .send(&body[..]);
        serde_json::from_slice(&self.body(answer)?).map_err(ClientError::Unknown)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.file.address)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.file.token)
    }

    fn body(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Vec<u8>, ClientError> {
        let unreachable = |source| ClientError::Unreachable {
            process: self.file.process,
            address: self.file.address,
            source: Box::new(source),
        };
        let answer = answer.map_err(unreachable)?;
        let is_good = answer.status().is_success();
        let mut bytes = Vec::new();
        let mut body = answer.into_body().into_reader().take(MAX_ANSWER);
        body.read_to_end(&mut bytes)
            .map_err(|error| unreachable(error.into()))?;
        match is_good {
            true => Ok(bytes),
            false => Err(ClientError::Refused(
                String::from_utf8_lossy(&bytes).trim().to_owned(),
            )),
        }
    }
}
