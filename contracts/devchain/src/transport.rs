//! A dev chain as an alloy transport: requests are answered in this process, without sockets.
//!
//! A request is answered while it is polled: a transaction takes the time of its execution and,
//! with a journal, of writing to disk.

use std::sync::Arc;
use std::task::{Context, Poll};

use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use tower::Service;

use super::server::Server;
use super::shared::SharedLedger;

/// Answers requests from a dev chain, which stays open as long as this.
#[derive(Clone, Debug)]
pub struct Transport {
    /// Kept for as long as the ledger, and dropped before it: the server holds the ledger, too.
    pub(super) _server: Option<Arc<Server>>,
    pub(super) ledger: SharedLedger,
}

impl Transport {
    fn answer(&self, request: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let request = request.serialize().map_err(TransportError::ser_err)?;
        let answer = self.ledger.answer(request.get().as_bytes());
        let answer =
            answer.ok_or_else(|| TransportErrorKind::custom_str("a notification has no answer"))?;
        serde_json::from_slice(&answer)
            .map_err(|error| TransportError::deser_err(error, "an answer of the dev chain"))
    }
}

impl Service<RequestPacket> for Transport {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        let transport = self.clone();
        Box::pin(async move { transport.answer(request) })
    }
}
