//! Errors of JSON-RPC with the codes that Ethereum clients expect.

use alloy::primitives::Bytes;
use serde::Serialize;

use crate::call::CallError;
use crate::ledger::ChangeError;
use crate::logs::LogsError;

/// A reverted call; `data` holds what the contract returned.
pub const REVERTED: i64 = 3;
/// The request is fine, but not now or not here.
pub const SERVER: i64 = -32_000;
/// More was asked for than is answered at once.
pub const LIMIT: i64 = -32_005;
/// Not JSON.
pub const PARSE: i64 = -32_700;
/// Not a request.
pub const REQUEST: i64 = -32_600;
/// No such method.
pub const METHOD: i64 = -32_601;
/// A parameter is missing or malformed.
pub const PARAMS: i64 = -32_602;
/// The answer cannot be written as JSON.
pub const INTERNAL: i64 = -32_603;

/// An error as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RpcError {
    /// One of the codes above.
    pub code: i64,
    /// What happened, the value seen, what to do.
    pub message: String,
    /// Bytes of a revert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Bytes>,
}

impl RpcError {
    /// An error without data.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// A refused request.
    pub fn server(message: impl Into<String>) -> Self {
        Self::new(SERVER, message)
    }

    /// Something too large.
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(LIMIT, message)
    }

    /// Bytes that are not JSON.
    pub fn parse(error: &serde_json::Error) -> Self {
        Self::new(PARSE, format!("parse error: {error}"))
    }

    /// JSON that is not a request.
    pub fn request(what: &str) -> Self {
        Self::new(REQUEST, format!("invalid request: {what}"))
    }

    /// A method that is not offered.
    pub fn method(method: &str) -> Self {
        let shown: String = method.chars().take(64).collect();
        Self::new(
            METHOD,
            format!("the method {shown} does not exist/is not available"),
        )
    }
}

impl From<CallError> for RpcError {
    fn from(error: CallError) -> Self {
        let data = error.data().cloned();
        let code = if data.is_some() { REVERTED } else { SERVER };
        Self {
            code,
            message: error.to_string(),
            data,
        }
    }
}

impl From<ChangeError> for RpcError {
    fn from(error: ChangeError) -> Self {
        Self::server(error.to_string())
    }
}

impl From<LogsError> for RpcError {
    fn from(error: LogsError) -> Self {
        match error {
            LogsError::TooMany(..) => Self::limit(error.to_string()),
            LogsError::Range(..) => Self::new(PARAMS, error.to_string()),
        }
    }
}
