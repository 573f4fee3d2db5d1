//! What a node reads from the chain: who owned which node with how much stake, and what points are
//! worth.

use std::collections::BTreeSet;

use contracts::client::RpcError;
use contracts::cursor::Cursor;
use contracts::swarm::{Event, Swarm};
use contracts::{Address, U256};

use crate::settlement::facts::Fact;
use crate::settlement::snapshot::Snapshot;

/// Most node keys of others that are asked for; beyond that only those whose points count.
const MAX_NODES: usize = 1 << 14;

/// Node keys that were ever bound: any of them may sign for its owner.
#[derive(Debug)]
pub(super) struct BoundNodes {
    cursor: Cursor,
    nodes: BTreeSet<Address>,
}

impl BoundNodes {
    /// Those that are bound from a block of `SwarmMembers` on.
    pub(super) fn since(members: Address, block: u64) -> Self {
        Self {
            cursor: Cursor::new(members, block),
            nodes: BTreeSet::new(),
        }
    }

    /// Reads what was bound since the last time.
    async fn catch_up(&mut self, swarm: &Swarm) -> Result<(), RpcError> {
        loop {
            let batch = self.cursor.poll(swarm.client()).await?;
            for log in &batch.logs {
                if let Some(Event::Bound { node, .. }) = Event::read(&log.inner)
                    && self.nodes.len() < MAX_NODES
                {
                    self.nodes.insert(node);
                }
            }
            if batch.behind == 0 {
                return Ok(());
            }
        }
    }

    /// Bindings and stakes at a time, of these nodes and of all that are known.
    pub(super) async fn snapshot(
        &mut self,
        swarm: &Swarm,
        nodes: &[Address],
        time: u64,
    ) -> Result<Snapshot, RpcError> {
        self.catch_up(swarm).await?;
        let asked: BTreeSet<Address> = self.nodes.iter().chain(nodes).copied().collect();
        let asked: Vec<Address> = asked.into_iter().collect();
        let read = swarm.snapshot(&asked, time).await?;
        let stakes = read
            .stakes
            .into_iter()
            .map(|(owner, stake)| Ok((owner, units(stake)?)));
        Ok(Snapshot {
            owners: read.owners,
            stakes: stakes.collect::<Result<_, RpcError>>()?,
            total: units(read.total)?,
        })
    }
}

/// A stake as the core counts it. A token with more units than fit would make the shares of a
/// quorum wrong.
fn units(stake: U256) -> Result<u128, RpcError> {
    u128::try_from(stake).map_err(|_| RpcError::Malformed {
        what: "a stake",
        cause: format!("{stake} units, more than 128 bits hold"),
    })
}

/// What an event says to the node of this account.
pub(super) fn fact(event: Event, account: Address) -> Option<Fact> {
    match event {
        Event::Proposed {
            outcome, deadline, ..
        } => Some(Fact::Proposed { outcome, deadline }),
        Event::Objected {
            epoch, seed_block, ..
        }
        | Event::SeedBlockSet {
            epoch, seed_block, ..
        } => Some(Fact::Objected { epoch, seed_block }),
        Event::Drawn {
            epoch,
            draw,
            seed,
            deadline,
        } => Some(Fact::Drawn {
            epoch,
            draw,
            seed,
            deadline,
        }),
        Event::Refused { epoch, .. } => Some(Fact::Refused { epoch }),
        Event::Finalised { outcome, worth, .. } => Some(Fact::Finalised { outcome, worth }),
        Event::Claimed { owner, earned, .. } if owner == account => {
            Some(Fact::Claimed { owner, earned })
        }
        Event::Credited { receiver, amount } if receiver == account => {
            Some(Fact::Credited { receiver, amount })
        }
        Event::Collected { receiver, amount } if receiver == account => {
            Some(Fact::Collected { receiver, amount })
        }
        Event::Claimed { .. }
        | Event::Bound { .. }
        | Event::Unbound { .. }
        | Event::Announced { .. }
        | Event::Judged { .. }
        | Event::Credited { .. }
        | Event::Collected { .. } => None,
    }
}
