//! The deployment file of the contracts of jobs.
//!
//! ```toml
//! jobs = 1
//!
//! [chain]
//! # as in the file of a swarm
//!
//! [parameters]
//! work_window = 86400
//! # …
//!
//! [contracts]
//! token = "0x…"
//! # …
//! escrow = "0x…"
//! block = 3
//! ```

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::deploy::{JobContracts, JobParameters};
use crate::client::{Client, ConnectError};
use crate::deploy::{self, Chain, FileError};

/// Version of the contracts of jobs, and of the file.
pub const VERSION: i64 = 1;

const JOBS: deploy::Kind = deploy::Kind {
    key: "jobs",
    version: VERSION,
    command: "swarm-node job deploy",
};

/// The contracts of jobs on a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobDeployment {
    /// [`VERSION`].
    pub jobs: i64,
    /// The chain.
    pub chain: Chain,
    /// What the contracts were deployed with.
    pub parameters: JobParameters,
    /// Where they are.
    pub contracts: JobContracts,
}

impl JobDeployment {
    /// Reads a file.
    ///
    /// # Errors
    /// [`FileError`] if it cannot be read, is of other contracts, or has missing or unknown keys.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        deploy::read(path, JOBS)
    }

    /// The text of a file.
    ///
    /// # Errors
    /// [`FileError::Unwritable`] for a number that TOML does not have.
    pub fn to_text(&self) -> Result<String, FileError> {
        Ok(toml::to_string_pretty(self)?)
    }

    /// Checks that the chain has the contracts.
    ///
    /// # Errors
    /// [`ConnectError::NoContract`] names the first that is absent.
    pub async fn check(&self, client: &Client) -> Result<(), ConnectError> {
        let JobContracts {
            token,
            referee,
            rules,
            game,
            escrow,
            block: _,
        } = self.contracts;
        for address in [token, referee, rules, game, escrow] {
            client.require_code(address).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;

    use super::*;

    fn deployment() -> JobDeployment {
        JobDeployment {
            jobs: VERSION,
            chain: Chain {
                name: "dev".into(),
                id: 31_337,
                rpc: Some("http://127.0.0.1:8545".into()),
                confirmations: 0,
                poll_ms: 500,
            },
            parameters: JobParameters {
                work_window: 10,
                seal_window: 20,
                reveal_window: 30,
                challenge_window: 40,
                clock: 60,
                // More than an integer of TOML holds.
                least_worker_bond: 100_000_000_000_000_000_000,
                least_challenger_bond: 1,
                bond_share: 1_000,
            },
            contracts: JobContracts {
                token: Address::repeat_byte(1),
                referee: Address::repeat_byte(2),
                rules: Address::repeat_byte(3),
                game: Address::repeat_byte(4),
                escrow: Address::repeat_byte(5),
                block: 6,
            },
        }
    }

    #[test]
    fn a_deployment_survives_its_file_and_is_told_from_a_swarms() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.toml");
        let text = deployment().to_text().unwrap();
        std::fs::write(&path, &text).unwrap();
        assert_eq!(JobDeployment::read(&path).unwrap(), deployment());
        let error = deploy::Deployment::read(&path).unwrap_err();
        assert!(error.to_string().contains("chain deploy"), "{error}");
        std::fs::write(&path, text.replace("jobs = 1", "version = 2")).unwrap();
        let error = JobDeployment::read(&path).unwrap_err();
        assert!(error.to_string().contains("job deploy"), "{error}");
        std::fs::write(&path, text.replace("jobs = 1", "jobs = 7")).unwrap();
        let error = JobDeployment::read(&path).unwrap_err();
        assert!(error.to_string().contains("version 7"), "{error}");
    }
}
