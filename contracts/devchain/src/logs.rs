//! `eth_getLogs`: events by address, topics and range of blocks. Answers are bounded.

use alloy::rpc::types::{Filter, Log};
use thiserror::Error;

use super::block::Block;
use super::chain::Chain;

/// Events in one answer.
pub const MAX_LOGS: usize = 10_000;
/// Bytes of topics and data in one answer.
pub const MAX_LOG_BYTES: usize = 8 << 20;

/// Why events were not listed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LogsError {
    /// The answer would be too large.
    #[error(
        "query returned more than {MAX_LOGS} results or {MAX_LOG_BYTES} bytes: ask for fewer \
         blocks than {0}-{1}"
    )]
    TooMany(u64, u64),
    /// The first block is after the last one.
    #[error("invalid block range: from {0} is after to {1}")]
    Range(u64, u64),
}

/// Events of the blocks `from..=to` that pass the filter's addresses and topics. Blocks that do not
/// exist hold none.
///
/// # Errors
/// [`LogsError`].
pub fn logs(chain: &Chain, filter: &Filter, from: u64, to: u64) -> Result<Vec<Log>, LogsError> {
    if from > to {
        return Err(LogsError::Range(from, to));
    }
    let mut found = Found::default();
    for block in (from..=to.min(chain.latest().number())).filter_map(|number| chain.block(number)) {
        let matching = block_logs(block)
            .into_iter()
            .filter(|log| filter.rpc_matches(log));
        if !matching.into_iter().all(|log| found.add(log)) {
            return Err(LogsError::TooMany(from, to));
        }
    }
    Ok(found.logs)
}

/// All events of a block, with their places.
pub fn block_logs(block: &Block) -> Vec<Log> {
    let hash = block.mined.as_ref().map(|mined| mined.hash());
    (0..)
        .zip(block.logs())
        .map(|(index, log)| Log {
            inner: log.clone(),
            block_hash: Some(block.hash()),
            block_number: Some(block.number()),
            block_timestamp: Some(block.timestamp()),
            transaction_hash: hash,
            transaction_index: Some(0),
            log_index: Some(index),
            removed: false,
        })
        .collect()
}

#[derive(Default)]
struct Found {
    logs: Vec<Log>,
    bytes: usize,
}

impl Found {
    /// Takes an event in, `false` if it does not fit.
    fn add(&mut self, log: Log) -> bool {
        self.bytes += log.topics().len() * 32 + log.data().data.len();
        self.logs.push(log);
        self.logs.len() <= MAX_LOGS && self.bytes <= MAX_LOG_BYTES
    }
}
