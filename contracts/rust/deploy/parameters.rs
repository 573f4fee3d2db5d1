//! The parameters of a deployment and the rules of the constructors.

use alloy::primitives::{Address, B256, keccak256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest length in seconds: 366 days. Guards against values in milliseconds.
pub(crate) const MAX_LENGTH: u64 = 366 * 86_400;
/// Gas of bringing a verdict's votes to a court.
const DISPUTE_GAS: u128 = 2_100_000;
/// Most slashers beside `SwarmSlasher`.
const MAX_SLASHERS: u128 = 3;
/// Most blocks from an objection to its seed.
const MAX_SEED_DELAY: u64 = 128;

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
    /// Seconds between asking for a deposit back and getting it.
    pub exit_delay: u64,
    /// Most token units a point may be worth.
    #[serde(with = "decimal")]
    pub units_per_point: u128,
    /// Most token units an epoch may pay, fee included.
    #[serde(with = "decimal")]
    pub epoch_cap: u128,
    /// Least stake that all owners together must have when an epoch begins, in token units.
    #[serde(with = "decimal")]
    pub minimum_stake: u128,
    /// Token units that the pool pays to whoever brings an outcome that becomes final.
    #[serde(with = "decimal")]
    pub submitter_fee: u128,
    /// Token units that a proposer puts at stake.
    #[serde(with = "decimal")]
    pub proposal_bond: u128,
    /// Token units that an objector puts at stake.
    #[serde(with = "decimal")]
    pub objection_bond: u128,
    /// Seconds after an epoch in which its outcome may be brought.
    pub proposal_window: u64,
    /// Seconds after a proposal in which anybody may object.
    pub objection_window: u64,
    /// Seconds that each of the two courts has, its draw included.
    pub court_window: u64,
    /// Blocks from an objection to the block whose hash draws the court.
    pub seed_delay: u64,
    /// Part of its stake that a liar loses, in basis points.
    pub slash_fraction: u16,
    /// Contracts that may lock and slash deposits beside `SwarmSlasher`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slashers: Vec<Address>,
}

impl Parameters {
    /// The least bond of proposers and objectors where an epoch pays `cap` units at most: a
    /// hundredth of it.
    pub fn least_bond(cap: u128) -> u128 {
        cap.div_ceil(100)
    }

    /// The bond that makes disputes pay for themselves where a unit of gas costs `units_per_gas`
    /// units of the token at its dearest: half of a lost bond pays whoever brings 171 votes, a
    /// quarter the other side, each a quarter more than its gas. At least
    /// [`least_bond`](Self::least_bond).
    pub fn bond(cap: u128, units_per_gas: u128) -> u128 {
        Self::least_bond(cap).max(units_per_gas.saturating_mul(DISPUTE_GAS * 5 / 2))
    }

    /// Seconds an epoch lasts.
    pub fn epoch_length(&self) -> u64 {
        self.round_length.saturating_mul(self.rounds_per_epoch)
    }

    /// The least exit delay: stake stays until everything that it votes on is decided.
    pub fn least_exit_delay(&self) -> u64 {
        self.epoch_length()
            .saturating_add(self.proposal_window)
            .saturating_add(self.objection_window)
            .saturating_add(self.court_window.saturating_mul(2))
    }

    /// Checks what the constructors check, at the chain's time `now` in seconds since 1970.
    ///
    /// # Errors
    /// The first parameter that they would refuse.
    pub fn check(&self, now: u64) -> Result<(), ParameterError> {
        let latest = u128::from(now) + u128::from(MAX_LENGTH);
        let genesis = "seconds since 1970, at most a year ahead";
        within("genesis", self.genesis.into(), 1, latest, genesis)?;
        self.check_times()?;
        self.check_amounts()?;
        let slashers = self.slashers.len() as u128;
        within("slashers", slashers, 0, MAX_SLASHERS, "beside SwarmSlasher")
    }

    fn check_times(&self) -> Result<(), ParameterError> {
        let times = |name, value: u64, least: u64, most: u64, reason| {
            within(name, value.into(), least.into(), most.into(), reason)
        };
        times("round_length", self.round_length, 1, MAX_LENGTH, "seconds")?;
        times(
            "rounds_per_epoch",
            self.rounds_per_epoch,
            1,
            MAX_LENGTH / self.round_length,
            "an epoch lasts a year at most",
        )?;
        times(
            "proposal_window",
            self.proposal_window,
            self.epoch_length(),
            MAX_LENGTH,
            "seconds, an epoch at least",
        )?;
        for (name, window) in [
            ("objection_window", self.objection_window),
            ("court_window", self.court_window),
        ] {
            times(name, window, 1, MAX_LENGTH, "seconds")?;
        }
        times(
            "seed_delay",
            self.seed_delay,
            1,
            MAX_SEED_DELAY,
            "blocks whose hashes a contract can still ask for",
        )?;
        times(
            "exit_delay",
            self.exit_delay,
            self.least_exit_delay(),
            MAX_LENGTH,
            "seconds, an epoch and all windows of its outcome at least: votes stay at stake",
        )
    }

    fn check_amounts(&self) -> Result<(), ParameterError> {
        let amount = |name, value, least, most| within(name, value, least, most, "token units");
        amount("units_per_point", self.units_per_point, 1, u128::MAX)?;
        amount("epoch_cap", self.epoch_cap, self.units_per_point, u128::MAX)?;
        amount("minimum_stake", self.minimum_stake, 1, u128::MAX)?;
        amount(
            "submitter_fee",
            self.submitter_fee,
            0,
            self.epoch_cap - self.units_per_point,
        )?;
        let least = Self::least_bond(self.epoch_cap);
        for (name, bond) in [
            ("proposal_bond", self.proposal_bond),
            ("objection_bond", self.objection_bond),
        ] {
            let reason = "token units, a hundredth of epoch_cap at least";
            within(name, bond, least, u128::MAX, reason)?;
        }
        let fraction = u128::from(self.slash_fraction);
        within("slash_fraction", fraction, 1, 10_000, "basis points")
    }

    /// A name for this set of parameters.
    pub fn digest(&self) -> B256 {
        keccak256(format!("{self:?}"))
    }
}

pub(crate) fn within(
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
pub(crate) mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(amount: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(amount)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|_| {
            de::Error::custom(format!("'{text}' is not a whole number of token units"))
        })
    }
}
