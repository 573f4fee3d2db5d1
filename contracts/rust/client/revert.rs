//! Why a call reverts: the error by its type for programs, the reason in words for people.

use std::fmt;

use alloy::primitives::{Bytes, hex};
use alloy::sol_types::{Panic, Revert as Text, SolError};
use serde::{Deserialize, Serialize};

use crate::bindings;

/// Characters of a reason that are kept: a contract can return any amount.
const REASON_CHARS: usize = 300;
/// Returned bytes that are kept; none of our errors has as many, and of more none are.
const MAX_DATA: usize = 1024;
/// Returned bytes that are shown if nothing knows them.
const SHOWN_BYTES: usize = 36;

/// A revert: its reason and the bytes that it returned.
///
/// Programs ask for the error by its type ([`Revert::decode`]); the reason is for people. Written
/// down it is one text: the returned bytes in hexadecimal, or the reason where there are none.
///
/// ```
/// use alloy::sol_types::SolError;
/// use contracts::bindings::SwarmRewards::{NoPoints, NothingToPay};
/// use contracts::client::Revert;
///
/// let revert = Revert::returned(NothingToPay { epoch: 3 }.abi_encode());
/// assert_eq!(revert.decode(), Some(NothingToPay { epoch: 3 }));
/// assert_eq!(revert.decode::<NoPoints>(), None);
/// assert_eq!(revert.to_string(), "NothingToPay { epoch: 3 }");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Revert {
    reason: String,
    data: Bytes,
}

impl Revert {
    /// Reads the bytes that a call returned: `Error(string)`, `Panic(uint256)`, one of our errors,
    /// or anything.
    pub fn returned(data: impl Into<Bytes>) -> Self {
        let mut data = data.into();
        let reason = text(&data)
            .or_else(|| panic(&data))
            .or_else(|| bindings::explain(&data))
            .unwrap_or_else(|| unknown(&data));
        if data.len() > MAX_DATA {
            data.clear();
        }
        Self {
            reason: cut(&reason),
            data,
        }
    }

    /// Reads the returned bytes; the node's message serves if there are none.
    pub(super) fn new(message: &str, data: Bytes) -> Self {
        match data.is_empty() {
            true => message.to_owned().into(),
            false => Self::returned(data),
        }
    }

    /// Why, in words.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The error `E` of the bindings, if that is what the contract returned.
    pub fn decode<E: SolError>(&self) -> Option<E> {
        E::abi_decode(&self.data).ok()
    }
}

impl From<String> for Revert {
    /// Reads what was written down, and a reason alone.
    fn from(text: String) -> Self {
        match text.strip_prefix("0x").map(hex::decode) {
            Some(Ok(data)) if !data.is_empty() => Self::returned(data),
            _ => Self {
                reason: cut(&text),
                data: Bytes::new(),
            },
        }
    }
}

impl From<Revert> for String {
    fn from(revert: Revert) -> Self {
        match revert.data.is_empty() {
            true => revert.reason,
            false => revert.data.to_string(),
        }
    }
}

/// A reason of bounded length.
fn cut(reason: &str) -> String {
    reason.chars().take(REASON_CHARS).collect()
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
        hex::encode(&data[..data.len().min(SHOWN_BYTES)])
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
    fn an_error_is_told_by_its_type() {
        use crate::bindings::SwarmRewards::{NoPoints, NothingToPay};
        let revert = Revert::new("words", NothingToPay { epoch: 7 }.abi_encode().into());
        assert_eq!(revert.decode(), Some(NothingToPay { epoch: 7 }));
        assert_eq!(revert.decode::<NoPoints>(), None);
        // Words that name an error are not the error.
        let words = Revert::new("NothingToPay { epoch: 7 }", Bytes::new());
        assert_eq!(words.decode::<NothingToPay>(), None);
        let quoted = Revert::returned(Text::from("NothingToPay { epoch: 7 }").abi_encode());
        assert_eq!(quoted.decode::<NothingToPay>(), None);
    }

    proptest! {
        #[test]
        fn a_revert_that_is_written_down_is_read_again(
            message in ".{0,400}", data in prop::collection::vec(any::<u8>(), 0..MAX_DATA + 100),
        ) {
            let revert = Revert::new(&message, data.into());
            prop_assert_eq!(&Revert::from(String::from(revert.clone())), &revert);
        }
    }

    #[test]
    fn reasons_are_bounded() {
        assert_eq!(
            reason(Text::from("x".repeat(100_000)).abi_encode()).len(),
            REASON_CHARS
        );
    }
}
