//! A bad line to a chain: questions that are lost, answers that are lost, answers that are late.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket};
use alloy::transports::http::Http;
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use contracts::client::Client;
use tower::Service;

use crate::chain::CHAIN_ID;

#[derive(Clone)]
struct BadLine {
    inner: Http<reqwest::Client>,
    percent: u64,
    asked: Arc<AtomicU64>,
}

impl BadLine {
    /// The same fate for the same question of a run: a hash of its number.
    fn fate(&self) -> u64 {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % 100
    }
}

impl Service<RequestPacket> for BadLine {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        let (fate, percent, mut inner) = (self.fate(), self.percent, self.inner.clone());
        Box::pin(async move {
            if fate < percent / 3 {
                return Err(TransportErrorKind::custom_str("the question is lost"));
            }
            let answer = inner.call(request).await;
            if fate < 2 * percent / 3 {
                return Err(TransportErrorKind::custom_str("the answer is lost"));
            }
            if fate < percent {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            answer
        })
    }
}

/// A client over a line on which so many of a hundred questions go wrong.
pub async fn client(url: &str, percent: u64) -> Client {
    let inner = Http::with_client(reqwest::Client::new(), url.parse().unwrap());
    let line = BadLine {
        inner,
        percent,
        asked: Arc::default(),
    };
    loop {
        let rpc = RpcClient::new(line.clone(), true);
        if let Ok(client) = Client::over(rpc, "a bad line", CHAIN_ID).await {
            return client;
        }
    }
}
