//! The settling nodes of all peers, and the messages between them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use contracts::cursor::Cursor;
use contracts::writer::Writer;
use swarm_identity::{NodeKey, Signer};
use swarm_settle::chain::{ChainConfig, Endpoint, Link, patiently, public_url, trouble};
use swarm_settle::node::{Node, NodeEvent, NodeMessage, NodeParts};
use swarm_settle::{EpochNumber, EpochSchedule, Phase};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::accounting::{PeerBalance, RewardReport, RewardTerms, SettledOn};
use super::deploy::{DemoKeys, Owner};
use super::message::{SettlementCommand, SettlementUpdate};
use super::run_folder::{DemoDeployment, PeerStores, RunError, SettlementPlan, Start};

/// How long the chain may take to tell the balances for the report. After that the report counts
/// what the events that were read say.
const BALANCE_TIMEOUT: Duration = Duration::from_secs(10);
/// Events that wait to be handled; nodes wait beyond that.
const EVENTS: usize = 1024;

/// Why the peers' nodes do not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum NodesError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("the closed epochs of a peer cannot be read: {0}")]
    Closed(#[from] swarm_store::StoreError),
    #[error(transparent)]
    Intents(#[from] contracts::writer::StoreError),
}

/// A node for each peer, each with its owner's writer.
pub(super) struct PeerNodes {
    link: Link,
    terms: RewardTerms,
    schedule: EpochSchedule,
    pub(super) writers: Vec<Writer>,
    /// Epochs that each node must bring to an end.
    due: Vec<u64>,
    nodes: Vec<mpsc::Sender<NodeMessage>>,
    events: Vec<mpsc::Receiver<NodeEvent>>,
    /// The last that each node said of each epoch: it forgets those that are over for good.
    epochs: Vec<BTreeMap<EpochNumber, (Phase, u64)>>,
    updates: std_mpsc::Sender<SettlementUpdate>,
    paid: usize,
    closed: bool,
}

impl PeerNodes {
    /// Starts a node for each peer.
    pub(super) fn open(
        plan: &SettlementPlan,
        deployment: &DemoDeployment,
        updates: std_mpsc::Sender<SettlementUpdate>,
    ) -> Result<Self, NodesError> {
        let count = plan.keys.nodes.len();
        let mut nodes = Self {
            terms: plan.terms,
            schedule: deployment.contracts.schedule,
            link: deployment.link.clone(),
            writers: Vec::with_capacity(count),
            due: Vec::with_capacity(count),
            nodes: Vec::with_capacity(count),
            events: Vec::with_capacity(count),
            epochs: vec![BTreeMap::new(); count],
            updates,
            paid: 0,
            closed: false,
        };
        for (peer, (key, owner)) in plan.keys.nodes.iter().zip(&plan.keys.owners).enumerate() {
            nodes.start(plan, deployment, peer, key, owner)?;
        }
        Ok(nodes)
    }

    /// Starts the node of a peer.
    fn start(
        &mut self,
        plan: &SettlementPlan,
        deployment: &DemoDeployment,
        peer: usize,
        key: &NodeKey,
        owner: &Owner,
    ) -> Result<(), NodesError> {
        let PeerStores {
            intents,
            signed,
            store,
        } = PeerStores::open(deployment, owner, peer)?;
        let due = match (&plan.start, &store) {
            (Start::Resumed { .. }, Some(store)) => {
                let scan = store.epochs.all()?;
                // A damaged epoch is due, too, and so what is due is never done.
                (scan.records.len() + scan.damaged.len()) as u64
            }
            _ => self.terms.epochs(),
        };
        let writer = Writer::start(
            self.link.client.clone(),
            owner.signer.clone(),
            intents,
            self.link.writer(),
        )?;
        let parts = NodeParts {
            signer: Signer::new(key.clone(), signed),
            members: plan.keys.nodes.iter().map(|node| node.peer()).collect(),
            schedule: self.schedule,
            link: self.link.clone(),
            swarm: deployment.contracts.swarm.clone(),
            cursor: Cursor::new(
                deployment.contracts.swarm.addresses().coordinator,
                deployment.contracts.block,
            ),
            writer: writer.clone(),
            store,
        };
        let (outbox, heard) = mpsc::channel(EVENTS);
        let (node, own, inbox) = Node::new(parts, outbox);
        tokio::spawn(node.run(inbox));
        self.nodes.push(own);
        self.events.push(heard);
        self.writers.push(writer);
        self.due.push(due);
        Ok(())
    }

    /// Hands on what the demo's thread said, as far as the nodes have room: this never waits
    /// for a node, for a node may wait until its events are heard. After the last round, says so.
    pub(super) fn deliver(&mut self, backlog: &mut VecDeque<SettlementCommand>, last: bool) {
        while let Some(SettlementCommand::RoundOver(peer, round, result)) = backlog.front() {
            self.link
                .advance_to(self.schedule.round_start(round.saturating_add(1)));
            let message = NodeMessage::RoundOver(*round, result.clone());
            if is_full(self.nodes[*peer].try_send(message)) {
                return;
            }
            backlog.pop_front();
        }
        if last && !self.closed {
            self.link.advance_to(
                self.schedule
                    .end(self.schedule.epoch_of(self.terms.rounds.saturating_sub(1))),
            );
            // To be told twice changes nothing.
            self.closed = !self
                .nodes
                .iter()
                .any(|node| is_full(node.try_send(NodeMessage::NoMoreRounds)));
        }
    }

    /// Carries attestations from node to node, and everything else to the demo's thread.
    pub(super) fn hear(&mut self) {
        for peer in 0..self.events.len() {
            while let Ok(event) = self.events[peer].try_recv() {
                self.pass_on(peer, event);
            }
        }
        let paid = self.count(|phase| phase == Phase::Paid);
        if self.closed {
            let due = self.count(|phase| !matches!(phase, Phase::Empty | Phase::Unrewarded));
            (self.paid + 1..=paid)
                .for_each(|paid| drop(self.updates.send(SettlementUpdate::Paid(paid, due))));
            self.paid = paid;
        }
    }

    fn pass_on(&mut self, peer: usize, event: NodeEvent) {
        match event {
            NodeEvent::Publish(attestation) => {
                let others = self
                    .nodes
                    .iter()
                    .enumerate()
                    .filter(|(other, _)| *other != peer);
                for (_, node) in others {
                    // As on any network a message may get lost; members repeat themselves.
                    let _ = node.try_send(NodeMessage::Attestation(attestation.clone()));
                }
            }
            NodeEvent::Warning(text) => {
                let _ = self.updates.send(SettlementUpdate::Warning(format!(
                    "peer {}: {text}",
                    peer + 1
                )));
            }
            NodeEvent::Epochs(epochs) => {
                let phases = epochs
                    .into_iter()
                    .map(|(epoch, phase, points)| (epoch, (phase, points)));
                self.epochs[peer].extend(phases);
            }
        }
    }

    fn count(&self, phase: impl Fn(Phase) -> bool) -> usize {
        self.epochs
            .iter()
            .flat_map(BTreeMap::values)
            .filter(|(at, _)| phase(*at))
            .count()
    }

    /// True if the nodes have heard of every round, so that what they need later is on disk.
    pub(super) fn is_recorded(&self) -> bool {
        self.closed
            && self
                .nodes
                .iter()
                .all(|node| node.capacity() == node.max_capacity())
    }

    /// True if every epoch of every node has come to its end, and no transaction is under way.
    pub(super) fn is_done(&self) -> bool {
        let all = self.closed
            && self
                .epochs
                .iter()
                .zip(&self.due)
                .all(|(epochs, due)| epochs.len() as u64 >= *due);
        let idle = self
            .writers
            .iter()
            .all(|writer| writer.status().live() == 0);
        all && idle && self.count(|phase| !phase.is_final()) == 0
    }

    pub(super) async fn report(
        &self,
        plan: &SettlementPlan,
        deployment: &DemoDeployment,
    ) -> RewardReport {
        let swarm = &deployment.contracts.swarm;
        let mut accounts = Vec::new();
        for (epochs, owner) in self.epochs.iter().zip(&plan.keys.owners) {
            let points = epochs.values().map(|(_, points)| points).sum();
            let asked = tokio::time::timeout(
                BALANCE_TIMEOUT,
                patiently(|| swarm.tokens_of(owner.address())),
            )
            .await;
            let claimed = asked
                .ok()
                .and_then(Result::ok)
                .map_or_else(|| paid_units(epochs), |units| units.saturating_to());
            accounts.push(PeerBalance { points, claimed });
        }
        let accepted = |phase: Phase| {
            !matches!(
                phase,
                Phase::Open | Phase::Voting | Phase::Failed | Phase::Lapsed
            )
        };
        let first: Vec<Phase> = self
            .epochs
            .first()
            .into_iter()
            .flat_map(|epochs| epochs.values())
            .map(|at| at.0)
            .collect();
        let epochs = [
            first.iter().filter(|phase| accepted(**phase)).count(),
            first.len(),
        ];
        let trouble = self
            .writers
            .iter()
            .find_map(trouble)
            .or_else(|| self.odd_phase());
        let place = Some(place(&plan.chain, deployment, &plan.keys));
        let needs_url = public_url(&plan.chain).is_none();
        RewardReport {
            place,
            accounts,
            epochs,
            trouble,
            folder: deployment.folder.clone(),
            needs_url,
        }
    }

    /// Why an epoch is not paid, if not for the chain.
    fn odd_phase(&self) -> Option<String> {
        let odd = |phase: Phase| match phase {
            Phase::Contradicted => Some("the chain accepted other scores than this swarm computed"),
            Phase::Expired => Some("the time to claim is over"),
            Phase::Failed => Some("its points make no score table; a warning says why"),
            Phase::Lapsed => Some("the scores were not accepted in time, and no more are taken"),
            Phase::Unbound => Some("a node key is bound to no account"),
            Phase::Voting => Some("the scores are not accepted yet"),
            Phase::Claiming => Some("the claims are not paid yet"),
            _ => None,
        };
        let mut phases = self
            .epochs
            .iter()
            .flatten()
            .map(|(epoch, (phase, _))| (epoch, odd(*phase)));
        phases.find_map(|(epoch, odd)| Some(format!("epoch {epoch}: {}", odd?)))
    }
}

/// True if a message found no room.
fn is_full(sent: Result<(), TrySendError<NodeMessage>>) -> bool {
    matches!(sent, Err(TrySendError::Full(_)))
}

/// What the chain had paid when it was last seen.
fn paid_units(epochs: &BTreeMap<EpochNumber, (Phase, u64)>) -> u128 {
    let paid = epochs.values().filter(|(phase, _)| *phase == Phase::Paid);
    PeerBalance {
        points: paid.map(|(_, points)| points).sum(),
        claimed: 0,
    }
    .earned()
}

fn place(chain: &ChainConfig, deployment: &DemoDeployment, keys: &DemoKeys) -> SettledOn {
    let DemoDeployment {
        link, contracts, ..
    } = deployment;
    let addresses = contracts.swarm.addresses();
    let endpoint = match Endpoint::of(chain) {
        Ok(Endpoint::Url(_)) => link.client.endpoint().to_owned(),
        _ => "embedded".to_owned(),
    };
    SettledOn {
        endpoint,
        id: link.client.chain_id(),
        token: addresses.token.to_string(),
        stake: addresses.stake.to_string(),
        coordinator: addresses.coordinator.to_string(),
        owners: keys
            .owners
            .iter()
            .map(|owner| owner.address().to_string())
            .collect(),
    }
}
