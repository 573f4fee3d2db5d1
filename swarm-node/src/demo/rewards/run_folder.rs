//! What a demo leaves behind on a chain that lasts, so that its rewards can be settled after its
//! process has ended.
//!
//! ```text
//! runs/demo/0x…/           named after SwarmRewards
//!   run.toml               the chain, the contracts, the seed of the keys; no secrets
//!   peer-1/node.redb       what the peer signed, its transactions, its rounds
//! ```
//! On a dev chain the folder is named after the chain's first block, too: a chain that is made anew
//! gives the old addresses again, and what was signed for the old contracts would bind the new
//! ones.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use contracts::deploy::VERSION;
use contracts::swarm::{Addresses, Swarm};
use contracts::writer::{IntentStore, MemoryStore};
use contracts::{Address, B256};
use serde::{Deserialize, Serialize};
use swarm_files::text_file;
use swarm_files::whole::{Access, Reserved, require_writable};
use swarm_identity::{MemoryTable, SignOnce};
use swarm_settle::chain::{ChainConfig, DEV_CHAINS, Link, StoredIntents};
use swarm_settle::node::store::SettleStore;
use swarm_store::{Chain, FILE_NAME, OpenError, Store};
use thiserror::Error;

use super::accounting::{FUNDING_SECONDS, RewardTerms};
use super::deploy::{DemoKeys, Owner, SwarmContracts};

/// Most bytes of a run file.
const MAX_BYTES: u64 = 64 * 1024;
/// Its name.
const RUN_FILE: &str = "run.toml";

/// Why a run's folder cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The system refuses.
    #[error(
        "{path} cannot be written: {cause}; check free space and permissions, or set demo.run to \
         another folder"
    )]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        cause: std::io::Error,
    },
    /// It cannot be put into words.
    #[error("the run cannot be written as TOML: {0}")]
    Unwritable(#[from] toml::ser::Error),
    /// It is something else.
    #[error(
        "{path} is no run of a demo: {cause}; name the folder with run.toml in it, below runs/demo"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: String,
    },
    /// A peer's store.
    #[error(transparent)]
    Store(#[from] OpenError),
}

/// A demo whose contracts are on a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunFile {
    /// Version of the contracts.
    pub version: i64,
    /// URL of the chain's RPC server; absent where it may carry a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Id of the chain.
    pub chain: u64,
    /// Hash of the chain's first block: another chain may have the same id.
    pub first_block: B256,
    /// Seed of the demo.
    pub seed: u64,
    /// Peers.
    pub peers: usize,
    /// Rounds that were to be played.
    pub rounds: u64,
    /// Rounds of an epoch.
    pub rounds_per_epoch: u64,
    /// Seconds of a round.
    pub round_seconds: u64,
    /// Start of round 0, in seconds since 1970.
    pub genesis: u64,
    /// The token.
    pub token: Address,
    /// `SwarmMembers`.
    pub members: Address,
    /// `SwarmRewards`.
    pub rewards: Address,
    /// `SwarmSlasher`.
    pub slasher: Address,
    /// The first block of their events.
    pub block: u64,
    /// The account that paid; the owners' accounts derive from its key.
    pub funder: Address,
}

impl RunFile {
    /// What is to be remembered of a demo's contracts.
    pub(super) fn new(origin: &RunOrigin, terms: &RewardTerms, contracts: &SwarmContracts) -> Self {
        let addresses = contracts.swarm.addresses();
        Self {
            version: VERSION,
            endpoint: origin.endpoint.clone(),
            chain: contracts.swarm.client().chain_id(),
            first_block: origin.first_block,
            seed: origin.seed,
            peers: terms.peers,
            rounds: terms.rounds,
            rounds_per_epoch: terms.rounds_per_epoch,
            round_seconds: terms.round_seconds,
            genesis: contracts.schedule.genesis,
            token: addresses.token,
            members: addresses.members,
            rewards: addresses.rewards,
            slasher: addresses.slasher,
            block: contracts.block,
            funder: origin.funder,
        }
    }

    /// The contracts of the demo.
    pub(super) fn contracts(&self, link: &Link) -> SwarmContracts {
        let Self {
            token,
            members,
            rewards,
            slasher,
            ..
        } = *self;
        let swarm = Swarm::new(
            link.client.clone(),
            Addresses {
                token,
                members,
                rewards,
                slasher,
            },
        );
        SwarmContracts {
            swarm,
            schedule: self.terms().schedule(self.genesis),
            block: self.block,
        }
    }

    /// The numbers of the demo.
    pub(super) fn terms(&self) -> RewardTerms {
        let Self {
            rounds,
            rounds_per_epoch,
            round_seconds,
            ..
        } = *self;
        RewardTerms {
            peers: self.peers,
            rounds,
            rounds_per_epoch: rounds_per_epoch.max(1),
            round_seconds,
            lead_seconds: FUNDING_SECONDS,
        }
    }

    /// Reads the run of a folder.
    ///
    /// # Errors
    /// [`RunError`] if it is absent, too large, or malformed.
    pub fn read(folder: &Path) -> Result<Self, RunError> {
        let path = folder.join(RUN_FILE);
        let malformed = |cause: String| RunError::Malformed {
            path: path.clone(),
            cause,
        };
        let text =
            text_file::read(&path, MAX_BYTES).map_err(|error| malformed(error.to_string()))?;
        let file: toml::Table =
            toml::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        if file.get("version").and_then(toml::Value::as_integer) != Some(VERSION) {
            return Err(malformed(format!(
                "its contracts are not of version {VERSION}, the only one that this program settles"
            )));
        }
        file.try_into()
            .map_err(|error: toml::de::Error| malformed(error.to_string()))
    }

    /// Makes a run's folder below `runs`; a folder that exists belongs to the same contracts.
    pub(super) fn create(&self, runs: &Path) -> Result<PathBuf, RunError> {
        // A chain that is no dev chain gives an address once, so its name does not depend on what a
        // server calls block 0.
        let folder = if DEV_CHAINS.contains(&self.chain) {
            let [a, b, c, d, ..] = self.first_block.0;
            let block = u32::from_be_bytes([a, b, c, d]);
            runs.join(format!("{}-{block:08x}", self.rewards))
        } else {
            runs.join(self.rewards.to_string())
        };
        let path = folder.join(RUN_FILE);
        let text = self.to_text()?;
        let written = std::fs::create_dir_all(&folder)
            .and_then(|()| Reserved::new(&path, Access::Umask, text.len()))
            .and_then(|reserved| reserved.replace(text.as_bytes()));
        written.map_err(|cause| RunError::Io { path, cause })?;
        Ok(folder)
    }

    /// The text of a run file.
    ///
    /// # Errors
    /// [`RunError::Unwritable`] for a number that TOML does not have.
    pub fn to_text(&self) -> Result<String, RunError> {
        Ok(toml::to_string_pretty(self)?)
    }
}

/// Makes the folder of all runs, if there is none, and sees to it that a run can be kept there.
///
/// # Errors
/// [`RunError::Io`] if not: then nothing should be paid for.
pub(super) fn require_place(runs: &Path) -> Result<(), RunError> {
    let ready = std::fs::create_dir_all(runs).and_then(|()| require_writable(runs));
    ready.map_err(|cause| RunError::Io {
        path: runs.into(),
        cause,
    })
}

/// What a run is beside its contracts.
pub(super) struct RunOrigin {
    /// The chain's URL, if it may be written down.
    pub(super) endpoint: Option<String>,
    pub(super) first_block: B256,
    pub(super) seed: u64,
    pub(super) funder: Address,
}

/// The store of a peer, counted from 0.
pub(super) fn peer_store(folder: &Path, peer: usize) -> Result<Store, RunError> {
    let folder = folder.join(format!("peer-{}", peer + 1));
    let failed = |cause| RunError::Io {
        path: folder.clone(),
        cause,
    };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    Ok(Store::open(&folder.join(FILE_NAME))?)
}

/// What is to be settled, and on which chain.
#[derive(Clone)]
pub(super) struct SettlementPlan {
    pub(super) chain: ChainConfig,
    pub(super) terms: RewardTerms,
    pub(super) keys: DemoKeys,
    pub(super) start: Start,
}

/// Where a settlement begins.
#[derive(Clone, Debug)]
pub(super) enum Start {
    /// With new contracts; what is needed later is kept below this folder.
    New { runs: Option<PathBuf> },
    /// With what a demo has left.
    Resumed { run: Box<RunFile>, folder: PathBuf },
}

/// A chain with a swarm's contracts on it, and the folder of what is kept.
pub(super) struct DemoDeployment {
    pub(super) link: Link,
    pub(super) contracts: SwarmContracts,
    pub(super) first_block: B256,
    pub(super) folder: Option<PathBuf>,
}

/// Where a peer keeps what it must not forget.
pub(super) struct PeerStores {
    pub(super) intents: Arc<dyn IntentStore>,
    pub(super) signed: Arc<dyn SignOnce>,
    pub(super) store: Option<SettleStore>,
}

impl PeerStores {
    /// On disk for a chain that lasts, in memory for one that ends with the process.
    pub(super) fn open(
        deployment: &DemoDeployment,
        owner: &Owner,
        peer: usize,
    ) -> Result<Self, RunError> {
        let Some(folder) = &deployment.folder else {
            return Ok(Self {
                intents: Arc::new(MemoryStore::default()),
                signed: Arc::new(MemoryTable::default()),
                store: None,
            });
        };
        let store = peer_store(folder, peer)?;
        let chain = Chain {
            id: deployment.link.client.chain_id(),
            genesis: deployment.first_block.0,
        };
        let contract = deployment.contracts.swarm.addresses().rewards.into();
        Ok(Self {
            intents: Arc::new(StoredIntents::new(&store, chain, owner.address().into())),
            signed: Arc::new(store.sign_once()),
            store: Some(SettleStore::new(&store, chain, contract)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_file_is_replaced_whole_and_comes_back() {
        let runs = tempfile::tempdir().unwrap();
        let address = Address::repeat_byte(7);
        let run = RunFile {
            version: VERSION,
            endpoint: Some("http://127.0.0.1:8545".into()),
            chain: 31_338,
            first_block: B256::ZERO,
            seed: 1,
            peers: 2,
            rounds: 5,
            rounds_per_epoch: 2,
            round_seconds: 1,
            genesis: 1_800_000_000,
            token: address,
            members: address,
            rewards: address,
            slasher: address,
            block: 3,
            funder: address,
        };
        let folder = run.create(runs.path()).unwrap();
        std::fs::write(folder.join(RUN_FILE), vec![b'#'; 5000]).unwrap();
        assert_eq!(run.create(runs.path()).unwrap(), folder);
        assert_eq!(RunFile::read(&folder).unwrap(), run);
        assert_eq!(
            std::fs::read_dir(&folder).unwrap().count(),
            1,
            "no temporary file stays"
        );
    }

    #[test]
    fn a_place_that_cannot_hold_runs_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = require_place(&file.join("runs")).unwrap_err().to_string();
        assert!(
            error.contains("file/runs cannot be written") && error.contains("demo.run"),
            "{error}"
        );
        require_place(&folder.path().join("new/runs")).unwrap();
    }
}
