//! The settling nodes of all peers, and the messages between them.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use contracts::B256;
use contracts::writer::Writer;
use swarm_identity::{NodeKey, Signer};
use swarm_round::DecidedRound;
use swarm_settle::chain::{ChainConfig, Endpoint, Link, patiently, public_url, trouble};
use swarm_settle::node::{Node, NodeEvent, NodeMessage, NodeParts, NodeStatus};
use swarm_settle::settlement::phase::{EpochStatus, Phase};
use swarm_settle::settlement::records::RoundRecord;
use swarm_settle::settlement::schedule::{EpochNumber, Schedule};
use swarm_settle::settlement::settler::{Account, Policy};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::accounting::{PeerBalance, RewardReport, SettledOn};
use super::decided::DecidedRounds;
use super::deploy::{DemoKeys, Owner};
use super::message::{SettlementCommand, SettlementUpdate};
use super::run_folder::{DemoDeployment, PeerStores, RunError, SettlementPlan};

/// How long the chain may take to tell the balances for the report. After that the report counts
/// what the events that were read say.
const BALANCE_TIMEOUT: Duration = Duration::from_secs(10);
/// Events that wait to be handled; nodes wait beyond that.
const EVENTS: usize = 1024;
/// Seconds that pass on an embedded chain between two looks, once the last round is over: turns and
/// waiting times go by the chain's time. Not a multiple of a turn's length.
const STEP_SECONDS: u64 = 3;
/// Owners of a demo have no money but what they earn, and claim all of it.
const POLICY: Policy = Policy {
    claim_from: 1,
    bonds: false,
};

/// Why the peers' nodes do not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum NodesError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("the rounds of a peer cannot be read: {0}")]
    Rounds(#[from] swarm_store::StoreError),
    #[error(transparent)]
    Intents(#[from] contracts::writer::StoreError),
    #[error("peer {0} has a key that is none; take another demo.seed")]
    Key(usize),
}

/// A peer's node, seen from outside.
struct PeerNode {
    inbox: mpsc::Sender<NodeMessage>,
    events: mpsc::Receiver<NodeEvent>,
    /// The last that it said of each epoch: it forgets those that are over for good.
    epochs: BTreeMap<EpochNumber, EpochStatus>,
    account: Account,
}

impl PeerNode {
    /// Epochs that are final, and paid for as far as this peer is concerned.
    fn paid(&self) -> usize {
        match self.account.taken >= self.account.earned {
            true => self.count(|phase| phase == Phase::Settled),
            false => 0,
        }
    }

    fn count(&self, phase: impl Fn(Phase) -> bool) -> usize {
        self.epochs.values().filter(|at| phase(at.phase)).count()
    }

    fn points(&self) -> u64 {
        let points: u128 = self.epochs.values().map(|at| at.points).sum();
        u64::try_from(points).unwrap_or(u64::MAX)
    }
}

/// A node for each peer, each with its owner's writer.
pub(super) struct PeerNodes {
    link: Link,
    schedule: Schedule,
    pub(super) writers: Vec<Writer>,
    nodes: Vec<PeerNode>,
    rounds: DecidedRounds,
    updates: std_mpsc::Sender<SettlementUpdate>,
    paid: usize,
    /// Messages of [`tell_all`](Self::tell_all) that were sent.
    told: usize,
    /// Every node was told of the last round.
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
            schedule: deployment.contracts.schedule,
            link: deployment.link.clone(),
            writers: Vec::with_capacity(count),
            nodes: Vec::with_capacity(count),
            rounds: DecidedRounds::default(),
            updates,
            paid: 0,
            told: 0,
            closed: false,
        };
        for (peer, (key, owner)) in plan.keys.nodes.iter().zip(&plan.keys.owners).enumerate() {
            nodes.start(deployment, peer, key, owner)?;
        }
        Ok(nodes)
    }

    /// Starts the node of a peer.
    fn start(
        &mut self,
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
        if let Some(store) = &store {
            for round in store.rounds()? {
                self.rounds.keep(round);
            }
        }
        let writer = Writer::start(
            self.link.client.clone(),
            owner.signer.clone(),
            intents,
            self.link.writer(),
        )?;
        let parts = NodeParts {
            signer: Signer::new(key.clone(), signed),
            schedule: self.schedule,
            policy: POLICY,
            link: self.link.clone(),
            swarm: deployment.contracts.swarm.clone(),
            first_block: deployment.contracts.block,
            writer: writer.clone(),
            store,
        };
        let (outbox, events) = mpsc::channel(EVENTS);
        let (node, inbox, messages) = Node::new(parts, outbox).ok_or(NodesError::Key(peer + 1))?;
        tokio::spawn(node.run(messages));
        self.nodes.push(PeerNode {
            inbox,
            events,
            epochs: BTreeMap::new(),
            account: Account {
                earned: 0,
                taken: 0,
            },
        });
        self.writers.push(writer);
        Ok(())
    }

    /// Hands on what the demo's thread said, as far as the nodes have room: this never waits
    /// for a node, for a node may wait until its events are heard. After the last round, the epoch
    /// is filled up with rounds in which nobody did anything.
    pub(super) fn deliver(&mut self, backlog: &mut VecDeque<SettlementCommand>, last: bool) {
        while let Some(SettlementCommand::Decided(peer, decided)) = backlog.front() {
            self.link
                .advance_to(end_of_round(&self.schedule, decided.round()));
            if !self.decided(*peer, decided) {
                return;
            }
            backlog.pop_front();
        }
        if self.closed {
            self.link.pass(STEP_SECONDS);
        }
        if last && !self.closed {
            let Some(round) = self.rounds.last() else {
                self.closed = true;
                return;
            };
            let epoch = self.schedule.epoch_of(round);
            self.link.advance_to(self.schedule.end(epoch));
            self.rounds.fill(self.schedule.rounds(epoch).end);
            self.closed = self.tell_all();
        }
    }

    /// Tells a peer's node of a round; false if it has no room.
    fn decided(&mut self, peer: usize, decided: &DecidedRound) -> bool {
        let minutes = decided.certificate.minutes;
        let record = RoundRecord::new(decided.round(), minutes, &decided.result);
        let told = !self.is_full(peer, NodeMessage::Decided(record.clone()));
        if told {
            self.rounds.keep(record);
        }
        told
    }

    /// Tells every node of every round, which changes nothing where it is known; false if one has
    /// no room. It goes on where it was.
    fn tell_all(&mut self) -> bool {
        let peers = self.nodes.len();
        let records: Vec<RoundRecord> =
            self.rounds.all().skip(self.told / peers).cloned().collect();
        for record in records {
            for peer in self.told % peers..peers {
                if self.is_full(peer, NodeMessage::Decided(record.clone())) {
                    return false;
                }
                self.told += 1;
            }
        }
        true
    }

    fn is_full(&self, peer: usize, message: NodeMessage) -> bool {
        let sent = self.nodes[peer].inbox.try_send(message);
        matches!(sent, Err(TrySendError::Full(_)))
    }

    /// Carries messages from node to node, and everything else to the demo's thread.
    pub(super) fn hear(&mut self) {
        for peer in 0..self.nodes.len() {
            while let Ok(event) = self.nodes[peer].events.try_recv() {
                self.pass_on(peer, event);
            }
        }
        let paid = self.nodes.iter().map(PeerNode::paid).sum();
        if self.closed {
            let due = self.nodes.iter().map(|node| node.epochs.len()).sum();
            (self.paid + 1..=paid)
                .for_each(|paid| drop(self.updates.send(SettlementUpdate::Paid(paid, due))));
            // An outcome that is final adds to what is due before it is paid.
            self.paid = self.paid.max(paid);
        }
    }

    fn pass_on(&mut self, peer: usize, event: NodeEvent) {
        match event {
            NodeEvent::Publish(attestation) => {
                self.tell_others(peer, &NodeMessage::Attestation(attestation));
            }
            NodeEvent::FetchRounds(wanted) => self.serve_rounds(peer, wanted),
            NodeEvent::FetchTable(root) => self.ask_for_table(peer, root),
            NodeEvent::Table { asker, bytes } => {
                if let Some(node) = self.nodes.get(asker as usize) {
                    let _ = node.inbox.try_send(NodeMessage::Table(bytes));
                }
            }
            NodeEvent::Warning(text) => {
                let text = format!("peer {}: {text}", peer + 1);
                let _ = self.updates.send(SettlementUpdate::Warning(text));
            }
            NodeEvent::Status(NodeStatus { epochs, account }) => {
                let node = &mut self.nodes[peer];
                let epochs = epochs.into_iter().map(|at| (at.epoch, at));
                node.epochs.extend(epochs);
                node.account = account;
            }
        }
    }

    /// As on any network a message may get lost; members repeat themselves.
    fn tell_others(&self, peer: usize, message: &NodeMessage) {
        for (other, node) in self.nodes.iter().enumerate() {
            if other != peer {
                let _ = node.inbox.try_send(message.clone());
            }
        }
    }

    fn serve_rounds(&self, peer: usize, wanted: Vec<RangeInclusive<u64>>) {
        for record in wanted
            .into_iter()
            .flat_map(|range| self.rounds.range(range))
        {
            let _ = self.nodes[peer]
                .inbox
                .try_send(NodeMessage::Decided(record.clone()));
        }
    }

    fn ask_for_table(&self, peer: usize, root: B256) {
        let asker = peer as u64;
        self.tell_others(peer, &NodeMessage::TableWanted { root, asker });
    }

    /// True if the nodes have heard of every round, so that what they need later is on disk.
    pub(super) fn is_recorded(&self) -> bool {
        self.closed
            && self
                .nodes
                .iter()
                .all(|node| node.inbox.capacity() == node.inbox.max_capacity())
    }

    /// True if every epoch of every node has come to its end and is paid, and no transaction is
    /// under way.
    pub(super) fn is_done(&self) -> bool {
        let idle = self
            .writers
            .iter()
            .all(|writer| writer.status().live() == 0);
        self.closed && idle && self.nodes.iter().all(|node| self.is_done_at(node))
    }

    fn is_done_at(&self, node: &PeerNode) -> bool {
        let due = self
            .rounds
            .last()
            .map(|round| self.schedule.epoch_of(round));
        let over = due.is_none_or(|last| {
            (0..=last).all(|epoch| {
                let at = node.epochs.get(&epoch);
                at.is_some_and(|at| is_over(at.phase))
            })
        });
        over && node.account.taken >= node.account.earned
    }

    pub(super) async fn report(
        &self,
        plan: &SettlementPlan,
        deployment: &DemoDeployment,
    ) -> RewardReport {
        let swarm = &deployment.contracts.swarm;
        let mut accounts = Vec::new();
        for (node, owner) in self.nodes.iter().zip(&plan.keys.owners) {
            let asked = tokio::time::timeout(
                BALANCE_TIMEOUT,
                patiently(|| swarm.tokens_of(owner.address())),
            )
            .await;
            let claimed = asked
                .ok()
                .and_then(Result::ok)
                .map_or(node.account.taken, |units| units.saturating_to());
            accounts.push(PeerBalance {
                points: node.points(),
                claimed,
            });
        }
        let epochs = match self.nodes.first() {
            Some(node) => [node.count(is_over), node.epochs.len()],
            None => [0, 0],
        };
        let trouble = self
            .writers
            .iter()
            .find_map(trouble)
            .or_else(|| self.odd_phase());
        RewardReport {
            place: Some(place(&plan.chain, deployment, &plan.keys)),
            accounts,
            epochs,
            trouble,
            folder: deployment.folder.clone(),
            needs_url: public_url(&plan.chain).is_none(),
        }
    }

    /// Why an epoch is not paid, if not for the chain.
    fn odd_phase(&self) -> Option<String> {
        let statuses = self.nodes.iter().flat_map(|node| node.epochs.values());
        let mut odd = statuses.filter_map(|at| Some((at.epoch, odd(at.phase)?)));
        let unpaid = || {
            let owing = |node: &PeerNode| node.account.taken < node.account.earned;
            let any = self.nodes.iter().any(owing);
            any.then(|| "the claims are not paid yet".to_owned())
        };
        odd.next()
            .map(|(epoch, odd)| format!("epoch {epoch}: {odd}"))
            .or_else(unpaid)
    }
}

/// The first second after a round.
fn end_of_round(schedule: &Schedule, round: u64) -> u64 {
    let rounds = round.saturating_add(1);
    rounds
        .saturating_mul(schedule.round_seconds)
        .saturating_add(schedule.genesis)
}

/// True if nothing of an epoch is to be waited for.
pub(super) fn is_over(phase: Phase) -> bool {
    phase.is_final() || phase == Phase::Empty
}

fn odd(phase: Phase) -> Option<&'static str> {
    match phase {
        Phase::Contradicted => {
            Some("the chain holds another outcome final than this swarm computed")
        }
        Phase::Open | Phase::Incomplete => Some("rounds of it are missing"),
        Phase::Waiting => Some("what its outcome depends on is not read from the chain yet"),
        Phase::Unfunded => Some("the pool is too small for its points"),
        Phase::Voting => Some("its outcome is not final yet"),
        Phase::Pending => Some("its outcome is proposed, and may still be objected to"),
        Phase::Disputed => Some("its outcome is before the court"),
        Phase::Deferred => Some("no outcome was final in time; its points go with the next epoch"),
        Phase::Empty | Phase::Settled => None,
    }
}

pub(super) fn place(
    chain: &ChainConfig,
    deployment: &DemoDeployment,
    keys: &DemoKeys,
) -> SettledOn {
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
        members: addresses.members.to_string(),
        rewards: addresses.rewards.to_string(),
        slasher: addresses.slasher.to_string(),
        owners: keys
            .owners
            .iter()
            .map(|owner| owner.address().to_string())
            .collect(),
    }
}
