//! What can go wrong between a node and a chain.

use std::error::Error;

use alloy::primitives::Address;
use alloy::rpc::json_rpc::{ErrorPayload, RpcError as Failure};
use alloy::transports::{TransportError, TransportErrorKind};
use thiserror::Error;

use super::RpcUrl;
use super::revert::Revert;

/// JSON-RPC code of a call that reverts, where the node follows geth.
const REVERTED: i64 = 3;

/// Why there is no connection to the chain.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The TLS library did not start.
    #[error("TLS could not be set up: {0}")]
    Tls(String),
    /// No usable answer.
    #[error(
        "the chain's RPC at {endpoint} does not answer ({cause}); check that it runs, \
         and the address given as `--chain` (setting chain.endpoint)"
    )]
    Dead {
        /// Its host.
        endpoint: String,
        /// What happened.
        cause: String,
    },
    /// Another chain answers.
    #[error(
        "{endpoint} serves chain {actual}, but chain {expected} is expected; \
         if chain {actual} is meant, set chain.id={actual}, else give another `--chain`"
    )]
    WrongChain {
        /// Its host.
        endpoint: String,
        /// The chain that answered.
        actual: u64,
        /// The chain of the configuration.
        expected: u64,
    },
    /// Nothing is deployed there.
    #[error(
        "no contract at {address} on chain {chain_id}: deploy first with `swarm-node chain \
         deploy`, or fix the deployment file"
    )]
    NoContract {
        /// The address.
        address: Address,
        /// The chain.
        chain_id: u64,
    },
}

/// Why a question to the chain has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RpcError {
    /// The endpoint did not answer, or asked for patience: ask again later.
    #[error("the chain did not give {what}: {cause}; ask again")]
    Unavailable {
        /// What was asked for.
        what: &'static str,
        /// What happened.
        cause: String,
    },
    /// The contract refuses.
    #[error("{what} reverts: {revert}")]
    Reverted {
        /// What was asked for.
        what: &'static str,
        /// Why.
        revert: Revert,
    },
    /// The answer cannot be read: another contract is there than expected.
    #[error("{what} gave an answer that cannot be read ({cause}); check the contract's address")]
    Malformed {
        /// What was asked for.
        what: &'static str,
        /// Why not.
        cause: String,
    },
    /// The chain lacks what is needed here.
    #[error("{what} shows that this chain cannot be used: {cause}; choose another one")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
        /// What it lacks.
        cause: &'static str,
    },
    /// The endpoint refuses: asking again gives the same answer.
    #[error("the chain refused {what}: {message} (code {code})")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// JSON-RPC code.
        code: i64,
        /// The endpoint's words.
        message: String,
    },
}

impl RpcError {
    /// True if the same question may be answered later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// What happened, without what was asked for.
    pub fn cause(&self) -> String {
        match self {
            Self::Unavailable { cause, .. } | Self::Malformed { cause, .. } => cause.clone(),
            Self::Unsupported { cause, .. } => (*cause).to_owned(),
            Self::Reverted { revert, .. } => revert.to_string(),
            Self::Refused { message, .. } => message.clone(),
        }
    }

    /// Why a question has no answer, without the keys of the address `url` that it was sent to.
    pub(super) fn classify(
        what: &'static str,
        error: TransportError,
        url: Option<&RpcUrl>,
    ) -> Self {
        let censored = |text: String| url.map(|url| url.censor(&text)).unwrap_or(text);
        match error {
            Failure::ErrorResp(payload) => {
                Self::answered(what, censored(payload.message.to_string()), &payload)
            }
            Failure::Transport(kind) => Self::Unavailable {
                what,
                cause: censored(transport(&kind)),
            },
            other => Self::Unavailable {
                what,
                cause: censored(other.to_string()),
            },
        }
    }

    fn answered(what: &'static str, message: String, payload: &ErrorPayload) -> Self {
        // Nodes that do not follow geth have another code, and tell a revert in words alone.
        if payload.code == REVERTED || message.contains("revert") {
            return Self::Reverted {
                what,
                revert: Revert::new(&message, payload.as_revert_data().unwrap_or_default()),
            };
        }
        match payload.is_retry_err() {
            true => Self::Unavailable {
                what,
                cause: message,
            },
            false => Self::Refused {
                what,
                code: payload.code,
                message,
            },
        }
    }
}

/// The innermost cause: the outer ones name the address, which may carry a key.
fn transport(kind: &TransportErrorKind) -> String {
    match kind {
        TransportErrorKind::Custom(error) | TransportErrorKind::NonRetryable(error) => {
            innermost(&**error)
        }
        other => other.to_string(),
    }
}

fn innermost(mut error: &dyn Error) -> String {
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(json: &str) -> RpcError {
        let payload: ErrorPayload = serde_json::from_str(json).unwrap();
        RpcError::answered("gas", payload.message.to_string(), &payload)
    }

    #[test]
    fn answers_are_sorted() {
        let error = answer(r#"{"code": 3, "message": "execution reverted", "data": "0x"}"#);
        assert!(matches!(error, RpcError::Reverted { .. }), "{error}");
        let error = answer(r#"{"code": 429, "message": "too many requests"}"#);
        assert!(error.is_transient(), "{error}");
        let error = answer(r#"{"code": -32000, "message": "nonce too low"}"#);
        assert_eq!(error.cause(), "nonce too low");
        assert!(
            matches!(error, RpcError::Refused { code: -32000, .. }),
            "{error}"
        );
    }
}
