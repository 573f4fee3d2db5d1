//! Where a settlement stands: a chain with a swarm's contracts, and what is kept beside it.

use std::path::PathBuf;
use std::sync::Arc;

use contracts::B256;
use contracts::writer::{IntentStore, MemoryStore};
use swarm_identity::{MemoryTable, SignOnce};
use swarm_settle::Disk;
use swarm_settle::chain::Link;
use swarm_settle::chain::StoredIntents;
use swarm_store::Chain;

use super::cast::Owner;
use super::prepare::Stage;
use super::run_file::{Run, RunError, peer_store};

/// Where a settlement begins.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// With new contracts; what is needed later is kept below this folder.
    Fresh { runs: Option<PathBuf> },
    /// With what a demo has left.
    Resumed { run: Run, folder: PathBuf },
}

/// A chain with a swarm's contracts on it, and the folder of what is kept.
pub(super) struct Ground {
    pub(super) link: Link,
    pub(super) stage: Stage,
    pub(super) first_block: B256,
    pub(super) folder: Option<PathBuf>,
}

/// Where a peer keeps what it must not forget.
pub(super) struct Drawer {
    pub(super) intents: Arc<dyn IntentStore>,
    pub(super) signed: Arc<dyn SignOnce>,
    pub(super) disk: Option<Disk>,
}

impl Drawer {
    /// On disk for a chain that lasts, in memory for one that ends with the process.
    pub(super) fn open(ground: &Ground, owner: &Owner, peer: usize) -> Result<Self, RunError> {
        let Some(folder) = &ground.folder else {
            return Ok(Self {
                intents: Arc::new(MemoryStore::default()),
                signed: Arc::new(MemoryTable::default()),
                disk: None,
            });
        };
        let store = peer_store(folder, peer)?;
        let chain = Chain {
            id: ground.link.client.chain_id(),
            genesis: ground.first_block.0,
        };
        let contract = ground.stage.swarm.addresses().coordinator.into();
        Ok(Self {
            intents: Arc::new(StoredIntents::new(&store, chain, owner.address().into())),
            signed: Arc::new(store.sign_once()),
            disk: Some(Disk {
                epochs: store.epochs(chain, contract),
                position: store.cursors(chain, contract),
            }),
        })
    }
}
