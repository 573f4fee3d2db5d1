//! The parameters of a deployment and the rules of the constructors.

use alloy::primitives::{Address, B256, keccak256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest length in seconds: 366 days. Guards against values in milliseconds.
const MAX_LENGTH: u64 = 366 * 86_400;

/// A parameter that a constructor would refuse.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("[parameters] {name} = {value} must be {least} to {most} ({reason})")]
pub struct ParameterError {
    /// Its name in the file.
    pub name: &'static str,
    /// Its value.
    pub value: u128,
    /// The least that is taken.
    pub least: u128,
    /// The most that is taken.
    pub most: u128,
    /// Why.
    pub reason: &'static str,
}

/// What the contracts are deployed with; nothing of it can be changed later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// When round 0 begins, in seconds since 1970.
    pub genesis: u64,
    /// Seconds a round lasts.
    pub round_length: u64,
    /// Rounds an epoch lasts.
    pub rounds_per_epoch: u64,
    /// Seconds between asking for a stake back and getting it.
    pub exit_delay: u64,
    /// Seconds from the acceptance of an epoch's scores to its last claim.
    pub claim_window: u64,
    /// Token units a point is worth.
    #[serde(with = "decimal")]
    pub units_per_point: u128,
    /// Most token units an epoch may pay.
    #[serde(with = "decimal")]
    pub epoch_cap: u128,
    /// Who may slash; zero is nobody.
    #[serde(default)]
    pub slasher: Address,
}

impl Parameters {
    /// Checks what the constructors check, at the chain's time `now` in seconds since 1970.
    ///
    /// # Errors
    /// The first parameter that they would refuse.
    pub fn check(&self, now: u64) -> Result<(), ParameterError> {
        let length = u128::from(MAX_LENGTH);
        let (round, epoch) = (
            u128::from(self.round_length),
            u128::from(self.rounds_per_epoch),
        );
        within(
            "genesis",
            self.genesis.into(),
            1,
            u128::from(now) + length,
            "seconds since 1970, at most a year ahead",
        )?;
        within("round_length", round, 1, length, "seconds")?;
        within(
            "rounds_per_epoch",
            epoch,
            1,
            length / round,
            "an epoch lasts a year at most",
        )?;
        within(
            "exit_delay",
            self.exit_delay.into(),
            2 * round * epoch,
            length,
            "seconds, two epochs at least: votes stay at stake",
        )?;
        within(
            "units_per_point",
            self.units_per_point,
            1,
            u128::MAX,
            "token units",
        )?;
        within(
            "epoch_cap",
            self.epoch_cap,
            self.units_per_point,
            u128::MAX,
            "token units, one point at least",
        )?;
        within(
            "claim_window",
            self.claim_window.into(),
            1,
            length,
            "seconds",
        )
    }

    /// A name for this set of parameters.
    pub fn digest(&self) -> B256 {
        keccak256(format!("{self:?}"))
    }
}

fn within(
    name: &'static str,
    value: u128,
    least: u128,
    most: u128,
    reason: &'static str,
) -> Result<(), ParameterError> {
    match (least..=most).contains(&value) {
        true => Ok(()),
        false => Err(ParameterError {
            name,
            value,
            least,
            most,
            reason,
        }),
    }
}

/// Amounts as text: TOML's integers end at 2⁶³, nine tokens of 18 decimals.
mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(amount: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(amount)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|_| {
            de::Error::custom(format!("'{text}' is not a whole number of token units"))
        })
    }
}
