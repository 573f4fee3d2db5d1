//! Why a call reverts, in words.

use std::fmt;

use alloy::primitives::{Bytes, hex};
use alloy::sol_types::{Panic, Revert as Text, SolError};

use crate::bindings;

/// Characters of a reason that are kept: a contract can return any amount.
const REASON_CHARS: usize = 300;
/// Returned bytes that are shown if nothing knows them.
const SHOWN_BYTES: usize = 36;

/// A revert: its reason and the bytes that it returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revert {
    /// In words.
    pub reason: String,
    /// As returned: `Error(string)`, `Panic(uint256)`, one of our errors, or anything.
    pub data: Bytes,
}

impl Revert {
    /// Reads the returned bytes; the node's message serves if there are none.
    pub(crate) fn new(message: &str, data: Bytes) -> Self {
        let reason = match data.is_empty() {
            true => message.into(),
            false => text(&data)
                .or_else(|| panic(&data))
                .or_else(|| bindings::explain(&data))
                .unwrap_or(unknown(&data)),
        };
        Self {
            reason: reason.chars().take(REASON_CHARS).collect(),
            data,
        }
    }
}

impl fmt::Display for Revert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

fn text(data: &[u8]) -> Option<String> {
    Text::abi_decode(data).ok().map(|revert| revert.reason)
}

fn panic(data: &[u8]) -> Option<String> {
    Panic::abi_decode(data).ok().map(|panic| panic.to_string())
}

fn unknown(data: &[u8]) -> String {
    format!(
        "an error that is not ours: 0x{}",
        hex::encode(data.get(..SHOWN_BYTES).unwrap_or(data))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(data: Vec<u8>) -> String {
        Revert::new("execution reverted", data.into()).reason
    }

    #[test]
    fn standard_reasons_are_read() {
        assert_eq!(reason(Text::from("too late").abi_encode()), "too late");
        let overflow = Panic {
            code: alloy::primitives::U256::from(0x11),
        };
        assert!(
            reason(overflow.abi_encode()).contains("overflow"),
            "{}",
            reason(overflow.abi_encode())
        );
        assert_eq!(reason(vec![]), "execution reverted");
        assert_eq!(
            reason(vec![1, 2, 3, 4]),
            "an error that is not ours: 0x01020304"
        );
    }

    #[test]
    fn reasons_are_bounded() {
        assert_eq!(
            reason(Text::from("x".repeat(100_000)).abi_encode()).len(),
            REASON_CHARS
        );
    }
}
