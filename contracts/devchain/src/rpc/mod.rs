//! JSON-RPC 2.0 as a function: the bytes of a request and the wall time go in, the bytes of the
//! answer come out.
//!
//! ```text
//! bytes ─► request or batch ─► params ─► methods ─► chain (read) · ledger (change)
//!                    │            │         │
//!                    └────────────┴─────────┴──► error: −32700 … −32600 of the standard, 3 for a revert
//! ```
//! The transport inside the process and the HTTP server both call [`handle`], so both answer the
//! same. A request that is not understood is refused alone; its neighbours in a batch are answered.
//! Whatever comes in, nothing panics.

mod change;
pub mod error;
mod methods;
mod params;
mod read;
#[cfg(test)]
mod tests;
mod view;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, from_slice, json};

use self::error::RpcError;
use self::params::Params;
use super::ledger::Ledger;

/// Bytes of a request or batch.
pub const MAX_REQUEST_BYTES: usize = 2 << 20;
/// Requests in a batch.
pub const MAX_BATCH: usize = 100;
/// Bytes of a batch's answer; the requests behind are refused.
pub const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Answers a request or a batch; `None` if nobody asked to be answered (notifications).
pub fn handle(ledger: &mut Ledger, wall: u64, request: &[u8]) -> Option<Vec<u8>> {
    let answer = match parse(request) {
        Ok(Value::Array(batch)) => batch_answer(ledger, wall, batch),
        Ok(single) => answer(ledger, wall, single),
        Err(error) => Some(refusal(&Value::Null, error)),
    };
    answer.map(|answer| answer.get().as_bytes().to_vec())
}

fn parse(request: &[u8]) -> Result<Value, RpcError> {
    if request.len() > MAX_REQUEST_BYTES {
        return Err(RpcError::limit(format!(
            "request of {} bytes, at most {MAX_REQUEST_BYTES}",
            request.len()
        )));
    }
    let value = from_slice(request).map_err(|error| RpcError::parse(&error))?;
    match &value {
        Value::Array(batch) if batch.is_empty() => Err(RpcError::request("an empty batch")),
        Value::Array(batch) if batch.len() > MAX_BATCH => Err(RpcError::limit(format!(
            "batch of {} requests, at most {MAX_BATCH}",
            batch.len()
        ))),
        _ => Ok(value),
    }
}

fn batch_answer(ledger: &mut Ledger, wall: u64, batch: Vec<Value>) -> Option<Box<RawValue>> {
    let mut bytes = 0;
    let mut answers = Vec::new();
    for request in batch {
        let full = bytes > MAX_ANSWER_BYTES;
        let answer = if full {
            full_refusal(&request)
        } else {
            answer(ledger, wall, request)
        };
        bytes += answer.as_ref().map_or(0, |answer| answer.get().len());
        answers.extend(answer);
    }
    (!answers.is_empty()).then(|| raw(&answers))
}

fn full_refusal(request: &Value) -> Option<Box<RawValue>> {
    let error = RpcError::limit(format!(
        "the batch's answer is over {MAX_ANSWER_BYTES} bytes: ask for less at once"
    ));
    request.get("id").map(|id| refusal(id, error))
}

fn answer(ledger: &mut Ledger, wall: u64, request: Value) -> Option<Box<RawValue>> {
    let Value::Object(mut request) = request else {
        return Some(refusal(&Value::Null, RpcError::request("not an object")));
    };
    let id = request.remove("id");
    let result = match (request.remove("method"), request.remove("params")) {
        (Some(Value::String(method)), params) => call(ledger, wall, &method, params),
        _ => {
            return Some(refusal(
                // The standard's null, where the id cannot be told.
                &id.unwrap_or_default(),
                RpcError::request("no method"),
            ));
        }
    };
    let id = id?;
    Some(match result {
        Ok(result) => raw(&json!({ "jsonrpc": "2.0", "id": id, "result": result })),
        Err(error) => refusal(&id, error),
    })
}

fn call(
    ledger: &mut Ledger,
    wall: u64,
    method: &str,
    params: Option<Value>,
) -> Result<Value, RpcError> {
    methods::call(ledger, wall, method, &Params::new(params)?)
}

fn refusal(id: &Value, error: RpcError) -> Box<RawValue> {
    raw(&json!({ "jsonrpc": "2.0", "id": id, "error": error }))
}

/// JSON of a value, of a list of them, or of an error.
#[expect(clippy::expect_used, reason = "none of the three can be without JSON")]
fn raw(value: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("invariant: JSON values are written as JSON")
}
