//! What the chain says about each epoch, and what it cost.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use contracts::Address;
use contracts::cursor::Cursor;
use contracts::outcome::Outcome;
use contracts::swarm::Event;
use swarm_round::sim::SimulationReport;
use swarm_settle::settlement::schedule::{EpochNumber, Schedule};

use super::chain::{Deployed, Member, ROUNDS_PER_EPOCH};
use super::nodes::Nodes;
use super::report::EpochRow;

/// An outcome that became final.
struct Final {
    outcome: Outcome,
    worth: u128,
    /// When, in seconds.
    time: u64,
    gas: u64,
    /// Claims since then, and their gas.
    claims: (u64, u64),
}

/// Follows the contract's events.
pub struct Watch {
    cursor: Cursor,
    schedule: Schedule,
    epochs: u64,
    finals: Vec<Final>,
    /// All that each owner was paid.
    paid: BTreeMap<Address, u128>,
}

impl Watch {
    /// A watch over the first epochs of a swarm.
    pub fn new(deployed: &Deployed, epochs: u64) -> Self {
        Self {
            cursor: Cursor::new(deployed.swarm.addresses().rewards, deployed.block),
            schedule: deployed.schedule,
            epochs,
            finals: Vec::new(),
            paid: BTreeMap::new(),
        }
    }

    /// The first epoch that is not final.
    pub fn next(&self) -> EpochNumber {
        self.finals.last().map_or(0, |last| last.outcome.epoch + 1)
    }

    /// True if every epoch is final.
    pub fn is_final(&self) -> bool {
        self.next() >= self.epochs
    }

    /// True if an epoch that is over is not final.
    pub fn is_behind(&self, time: u64) -> bool {
        self.next() < self.schedule.epoch_at(time).min(self.epochs)
    }

    /// Reads the contract's events on.
    pub async fn look(&mut self, deployed: &Deployed) -> Result<()> {
        let client = &deployed.link.client;
        let batch = self.cursor.poll(client).await?;
        for log in &batch.logs {
            let (Some(event), Some(hash)) = (Event::read(&log.inner), log.transaction_hash) else {
                continue;
            };
            let receipt = client.receipt(hash).await?;
            let gas = receipt.context("a log without a receipt")?.gas_used;
            match event {
                Event::Finalised { outcome, worth, .. } => {
                    let number = log.block_number.context("a log outside of a block")?;
                    let block = client.block(number).await?;
                    self.finals.push(Final {
                        outcome,
                        worth,
                        time: block.context("a log in an unknown block")?.timestamp,
                        gas,
                        claims: (0, 0),
                    });
                }
                Event::Claimed { owner, earned, .. } => {
                    self.paid.insert(owner, earned);
                    if let Some(last) = self.finals.last_mut() {
                        last.claims = (last.claims.0 + 1, last.claims.1 + gas);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// How each epoch ended. What ended with a later one has that one's figures.
    pub fn rows(&self, nodes: &Nodes) -> Vec<EpochRow> {
        let rows = self.finals.iter().flat_map(|last| {
            let (signed, other) = nodes.signers(&last.outcome);
            (last.outcome.since..=last.outcome.epoch).map(move |epoch| EpochRow {
                epoch,
                after: last.time.saturating_sub(self.schedule.end(epoch)),
                signed,
                other,
                settled: nodes.settled(epoch),
                gas: last.gas,
                claims: last.claims.0,
                claim_gas: last.claims.1,
            })
        });
        rows.collect()
    }

    /// Honest members who were paid exactly what their points in the simulation are worth.
    pub fn paid(&self, nodes: &Nodes, members: &[Member], report: &SimulationReport) -> usize {
        let is_right = |(peer, taken): &(usize, u128)| {
            let right = self.earned(*peer, report);
            let account = members[*peer].account();
            *taken == right && self.paid.get(&account).copied().unwrap_or(0) == right
        };
        nodes.paid().filter(is_right).count()
    }

    /// What a member's points in the epochs that are final are worth.
    fn earned(&self, peer: usize, report: &SimulationReport) -> u128 {
        let rows = report.rows(peer);
        let epochs = rows.chunks(ROUNDS_PER_EPOCH as usize).map(|epoch| {
            let points: i64 = epoch.iter().map(|rows| rows.total()).sum();
            points.max(0).unsigned_abs()
        });
        let points: Vec<u64> = epochs.collect();
        let units = self.finals.iter().flat_map(|last| {
            let span = last.outcome.since..=last.outcome.epoch;
            span.map(|epoch| u128::from(points[epoch as usize]) * last.worth)
        });
        units.sum()
    }
}
