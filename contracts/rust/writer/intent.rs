//! What an account wants done on chain, and how far it has come: the record that is kept on disk.
//!
//! ```text
//!            preflight reverts
//!  Queued ────────────────────▶ Refused
//!    │ ▲
//!    │ └── its nonce went to somebody else's transaction, confirmed
//!    ▼
//!   Sent ◀────── reorganisation ──────┐
//!    └─────▶ Included ────────────────┤
//!                └────── confirmed ──▶ Final
//! ```
//! A record carries every transaction that was ever signed for its nonce: any of them may be the
//! one that is mined.

use std::fmt;

use alloy::primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::client::Revert;

/// Longest identifier of an intent, in bytes.
pub const ID_BYTES: usize = 128;
/// Most call data of an intent, in bytes: what a chain takes as the code of a new contract
/// (EIP-3860), with room.
pub const DATA_BYTES: usize = 128 * 1024;
/// Prefix of the identifiers that the writer gives to its own transactions.
pub(crate) const OWN_PREFIX: &str = "writer/";

/// Why an intent cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IntentError {
    /// Identifiers are keys of a store and appear in logs.
    #[error(
        "'{0}' is not an intent's identifier: 1 to {ID_BYTES} visible ASCII characters, not \
         starting '{OWN_PREFIX}'"
    )]
    Id(String),
    /// The data would not fit into a transaction.
    #[error("the data of intent {id} has {bytes} bytes; at most {DATA_BYTES} fit")]
    Data {
        /// The intent.
        id: IntentId,
        /// Its size.
        bytes: usize,
    },
}

/// Why an intent is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// It is malformed.
    #[error(transparent)]
    Intent(#[from] IntentError),
    /// Its name stands for something else.
    #[error(
        "intent {0} was submitted before with another content; give each content its own identifier"
    )]
    Conflict(IntentId),
    /// Too many are not done.
    #[error("{limit} intents wait already; submit again when some are done")]
    Full {
        /// How many may wait.
        limit: usize,
    },
    /// The writer has ended.
    #[error("the writer has stopped; intents that it has taken go on when it starts again")]
    Stopped,
}

/// The name of an intent, the same whenever the same thing is wanted, such as `claim/0x…/3`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IntentId(String);

impl IntentId {
    /// Checks and wraps a name.
    ///
    /// # Errors
    /// [`IntentError::Id`] if it is empty, longer than [`ID_BYTES`], not visible ASCII, or the
    /// writer's own.
    pub fn new(text: impl Into<String>) -> Result<Self, IntentError> {
        let text = text.into();
        let visible = (1..=ID_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        match visible && !text.starts_with(OWN_PREFIX) {
            true => Ok(Self(text)),
            false => Err(IntentError::Id(text.chars().take(ID_BYTES).collect())),
        }
    }

    /// The writer's own transaction that closes the gap at a nonce.
    pub(crate) fn gap(nonce: u64) -> Self {
        Self(format!("{OWN_PREFIX}gap/{nonce}"))
    }

    /// True for the writer's own transactions.
    pub(crate) fn is_own(&self) -> bool {
        self.0.starts_with(OWN_PREFIX)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something to be done on chain, once.
///
/// An intent that depends on another is submitted after the other is included: each is tried
/// against the latest block before it gets a nonce.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Its name.
    pub id: IntentId,
    /// The account or contract that is called; `None` creates a contract.
    pub to: Option<Address>,
    /// Call data, or the new contract's code with its arguments.
    pub data: Bytes,
    /// Wei sent along.
    pub value: U256,
}

impl Intent {
    /// A call of a contract.
    pub fn call(id: IntentId, to: Address, data: impl Into<Bytes>) -> Self {
        Self {
            id,
            to: Some(to),
            data: data.into(),
            value: U256::ZERO,
        }
    }

    /// The creation of a contract.
    pub fn create(id: IntentId, code: impl Into<Bytes>) -> Self {
        Self {
            id,
            to: None,
            data: code.into(),
            value: U256::ZERO,
        }
    }

    /// A payment of `value` wei.
    pub fn pay(id: IntentId, to: Address, value: U256) -> Self {
        Self {
            id,
            to: Some(to),
            data: Bytes::new(),
            value,
        }
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// [`IntentError::Data`] if the data has more than [`DATA_BYTES`].
    pub fn check(&self) -> Result<(), IntentError> {
        match self.data.len() {
            0..=DATA_BYTES => Ok(()),
            bytes => Err(IntentError::Data {
                id: self.id.clone(),
                bytes,
            }),
        }
    }
}

/// Prices of EIP-1559, in wei per gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fees {
    /// The most that is paid.
    pub max: u128,
    /// The most of it that goes to the block's producer.
    pub tip: u128,
}

/// One signed transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its hash.
    pub hash: B256,
    /// Its bytes as they are broadcast.
    pub raw: Bytes,
    /// What it offers.
    pub fees: Fees,
    /// When it was signed, in milliseconds since 1970.
    pub at: u64,
}

/// A nonce and the transactions signed for it, oldest first, never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The account's nonce.
    pub nonce: u64,
    /// Gas limit.
    pub gas: u64,
    /// The transactions.
    pub attempts: Vec<Attempt>,
}

/// Where a transaction is in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inclusion {
    /// The transaction's hash.
    pub tx: B256,
    /// Its block's number.
    pub block: u64,
    /// Its block's hash.
    pub block_hash: B256,
    /// False if it was mined and reverted.
    pub success: bool,
    /// The contract that it created.
    pub contract: Option<Address>,
    /// Gas that it used.
    pub gas_used: u64,
}

/// How far an intent has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It has no nonce yet.
    Queued,
    /// Its transaction is signed and may be known to the chain.
    Sent(Sent),
    /// Its transaction is in a block that may still leave the chain.
    Included(Sent, Inclusion),
    /// Its transaction is as deep as was asked. The one that was mined is kept, for a chain that is
    /// rolled back.
    Final(Sent, Inclusion),
    /// It would revert, for this reason; it took no nonce.
    Refused(Revert),
}

impl State {
    /// True if nothing is left to do.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Final(..) | Self::Refused(_))
    }

    /// The nonce and its transactions, once there are any.
    pub fn sent(&self) -> Option<&Sent> {
        match self {
            Self::Sent(sent) | Self::Included(sent, _) | Self::Final(sent, _) => Some(sent),
            Self::Queued | Self::Refused(_) => None,
        }
    }

    /// Where it is in the chain, if it is.
    pub fn inclusion(&self) -> Option<&Inclusion> {
        match self {
            Self::Included(_, inclusion) | Self::Final(_, inclusion) => Some(inclusion),
            _ => None,
        }
    }
}

/// What is kept of an intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The order of submission.
    pub sequence: u64,
    /// What is wanted.
    pub intent: Intent,
    /// How far it has come.
    pub state: State,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_short_visible_and_not_the_writers() {
        assert_eq!(
            IntentId::new("claim/0xab/3").unwrap().as_str(),
            "claim/0xab/3"
        );
        for bad in ["", "a b", "ä", "writer/gap/3", &"x".repeat(ID_BYTES + 1)] {
            assert!(
                matches!(IntentId::new(bad), Err(IntentError::Id(_))),
                "{bad}"
            );
        }
    }

    #[test]
    fn data_is_bounded() {
        let id = IntentId::new("a").unwrap();
        assert!(
            Intent::create(id.clone(), vec![0; DATA_BYTES])
                .check()
                .is_ok()
        );
        assert!(Intent::create(id, vec![0; DATA_BYTES + 1]).check().is_err());
    }

    #[test]
    fn records_survive_both_encodings() {
        let fees = Fees {
            max: u128::MAX,
            tip: 1,
        };
        let attempt = Attempt {
            hash: B256::repeat_byte(1),
            raw: vec![2, 3].into(),
            fees,
            at: 4,
        };
        let sent = Sent {
            nonce: 5,
            gas: 6,
            attempts: vec![attempt],
        };
        let inclusion = Inclusion {
            tx: B256::repeat_byte(1),
            block: 7,
            block_hash: B256::repeat_byte(8),
            success: true,
            contract: Some(Address::repeat_byte(9)),
            gas_used: 10,
        };
        let intent = Intent::pay(
            IntentId::new("pay").unwrap(),
            Address::repeat_byte(1),
            U256::MAX,
        );
        for state in [
            State::Queued,
            State::Final(sent, inclusion),
            State::Refused("no".to_owned().into()),
            State::Refused(Revert::returned(vec![1, 2, 3, 4])),
        ] {
            let record = Record {
                sequence: 1,
                intent: intent.clone(),
                state,
            };
            let json = serde_json::to_string(&record).unwrap();
            assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record);
            let bytes =
                bincode::serde::encode_to_vec(&record, bincode::config::standard()).unwrap();
            let (back, read) =
                bincode::serde::decode_from_slice(&bytes, bincode::config::standard()).unwrap();
            assert_eq!((record, bytes.len()), (back, read));
        }
    }
}
