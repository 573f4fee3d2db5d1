//! The settling nodes of honest members, the messages between them, and when each learns what.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use anyhow::{Context, Result};
use contracts::outcome::Outcome;
use swarm_identity::{MemoryTable, Signer};
use swarm_round::sim::SimulationReport;
use swarm_settle::chain::Link;
use swarm_settle::node::{Node, NodeEvent, NodeMessage, NodeParts};
use swarm_settle::settlement::phase::Phase;
use swarm_settle::settlement::records::RoundRecord;
use swarm_settle::settlement::schedule::{EpochNumber, Schedule};
use swarm_settle::settlement::settler::{Account, Policy};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::chain::{Deployed, Member};

/// How long a second of the chain lasts while something is to be settled.
const SECOND: Duration = Duration::from_millis(100);
/// Until a node that has no room has some.
const MOMENT: Duration = Duration::from_millis(2);
/// Events of a node that wait to be heard.
const EVENTS: usize = 4_096;

/// A running node, and what it said last.
struct Running {
    /// The member.
    peer: usize,
    inbox: mpsc::Sender<NodeMessage>,
    events: mpsc::Receiver<NodeEvent>,
    account: Account,
    phases: BTreeMap<EpochNumber, Phase>,
    /// What it has signed, by the last epoch.
    signed: BTreeMap<EpochNumber, Outcome>,
}

/// A round that a node learns of.
struct Due {
    /// In milliseconds of the chain's time.
    at_ms: u64,
    node: usize,
    record: RoundRecord,
}

/// All of them.
pub struct Nodes {
    link: Link,
    nodes: Vec<Running>,
    /// What is still to come, in the order of time.
    due: VecDeque<Due>,
    /// Decided rounds: what members fetch from each other.
    rounds: BTreeMap<u64, RoundRecord>,
}

impl Nodes {
    /// Starts a node for each honest member.
    pub fn start(deployed: &Deployed, members: &[Member], honest: &[usize]) -> Result<Self> {
        let mut nodes = Vec::with_capacity(honest.len());
        for peer in honest {
            let member = &members[*peer];
            let parts = NodeParts {
                signer: Signer::new(member.node.clone(), MemoryTable::default()),
                schedule: deployed.schedule,
                policy: Policy {
                    claim_from: 1,
                    bonds: true,
                },
                link: deployed.link.clone(),
                swarm: deployed.swarm.clone(),
                first_block: deployed.block,
                writer: deployed.writer(member)?,
                store: None,
            };
            let (outbox, events) = mpsc::channel(EVENTS);
            let (node, inbox, messages) = Node::new(parts, outbox).context("a key of a node")?;
            tokio::spawn(node.run(messages));
            nodes.push(Running {
                peer: *peer,
                inbox,
                events,
                account: Account {
                    earned: 0,
                    taken: 0,
                },
                phases: BTreeMap::new(),
                signed: BTreeMap::new(),
            });
        }
        Ok(Self {
            link: deployed.link.clone(),
            nodes,
            due: VecDeque::new(),
            rounds: BTreeMap::new(),
        })
    }

    /// Lays down when each node learns of the rounds of these epochs: as late as its member had the
    /// decision, which is counted from so many milliseconds after a round's begin.
    pub fn plan(
        &mut self,
        report: &SimulationReport,
        schedule: &Schedule,
        epochs: u64,
        windows_ms: u64,
    ) {
        let mut due = Vec::new();
        let rounds = report.rounds.range(..schedule.first_round(epochs));
        for (round, report) in rounds {
            let Some(decided) = &report.decided else {
                continue;
            };
            let record = RoundRecord::new(*round, decided.certificate.minutes, &decided.result);
            let begin = schedule.genesis + round * schedule.round_seconds;
            for (node, running) in self.nodes.iter().enumerate() {
                if let Some(delay) = report.delays.get(&running.peer) {
                    due.push(Due {
                        at_ms: begin * 1_000 + windows_ms + delay,
                        node,
                        record: record.clone(),
                    });
                }
            }
            self.rounds.insert(*round, record);
        }
        due.sort_by_key(|due| (due.at_ms, due.node, due.record.round()));
        self.due = due.into();
    }

    /// The chain's time moves on to a second; while there is something to settle, it takes its
    /// time.
    pub async fn pass(&mut self, time: u64, is_busy: bool) {
        self.link.advance_to(time);
        while let Some(due) = self.due.pop_front_if(|due| due.at_ms <= time * 1_000) {
            self.tell(due.node, NodeMessage::Decided(due.record)).await;
        }
        if is_busy {
            tokio::time::sleep(SECOND).await;
        }
        self.hear().await;
    }

    /// Tells a node something, as soon as it has room.
    async fn tell(&mut self, node: usize, message: NodeMessage) {
        let mut message = message;
        while let Err(TrySendError::Full(back)) = self.nodes[node].inbox.try_send(message) {
            message = back;
            // A node without room may be waiting to be heard itself.
            self.hear_only();
            tokio::time::sleep(MOMENT).await;
        }
    }

    /// Carries messages from node to node.
    async fn hear(&mut self) {
        for node in 0..self.nodes.len() {
            while let Ok(event) = self.nodes[node].events.try_recv() {
                self.carry(node, event);
            }
        }
        tokio::task::yield_now().await;
    }

    fn hear_only(&mut self) {
        for node in 0..self.nodes.len() {
            while let Ok(event) = self.nodes[node].events.try_recv() {
                self.carry(node, event);
            }
        }
    }

    /// What finds no room is lost, as on any network; nodes repeat themselves.
    fn carry(&mut self, node: usize, event: NodeEvent) {
        match event {
            NodeEvent::Publish(vote) => {
                let outcome = vote.outcome;
                self.nodes[node].signed.insert(outcome.epoch, outcome);
                self.tell_others(node, &NodeMessage::Attestation(vote));
            }
            NodeEvent::FetchRounds(wanted) => {
                let rounds = wanted.into_iter().flatten();
                for record in rounds.filter_map(|round| self.rounds.get(&round)) {
                    let decided = NodeMessage::Decided(record.clone());
                    let _ = self.nodes[node].inbox.try_send(decided);
                }
            }
            NodeEvent::FetchTable(root) => {
                let asker = node as u64;
                self.tell_others(node, &NodeMessage::TableWanted { root, asker });
            }
            NodeEvent::Table { asker, bytes } => {
                if let Some(asker) = self.nodes.get(asker as usize) {
                    let _ = asker.inbox.try_send(NodeMessage::Table(bytes));
                }
            }
            NodeEvent::Warning(text) => {
                eprintln!("member {}: {text}", self.nodes[node].peer);
            }
            NodeEvent::Status(status) => {
                let node = &mut self.nodes[node];
                node.account = status.account;
                let phases = status.epochs.iter().map(|at| (at.epoch, at.phase));
                node.phases.extend(phases);
            }
        }
    }

    fn tell_others(&self, node: usize, message: &NodeMessage) {
        let others = self.nodes.iter().enumerate();
        for (_, other) in others.filter(|(other, _)| *other != node) {
            let _ = other.inbox.try_send(message.clone());
        }
    }

    /// True if for every node the epochs before this one are final, and it has taken all that it
    /// earned in them.
    pub fn have_ended(&self, epoch: EpochNumber) -> bool {
        let has_ended = |node: &Running| {
            let last = epoch.checked_sub(1);
            let phase = last.and_then(|last| node.phases.get(&last));
            let is_final = last.is_none() || phase.is_some_and(|phase| phase.is_final());
            is_final && node.account.taken >= node.account.earned
        };
        self.nodes.iter().all(has_ended)
    }

    /// Members who signed this outcome, and those who signed another of its last epoch.
    pub fn signers(&self, outcome: &Outcome) -> (usize, usize) {
        let signed = self.nodes.iter();
        let signed = signed.filter_map(|node| node.signed.get(&outcome.epoch));
        let (same, other): (Vec<&Outcome>, Vec<&Outcome>) =
            signed.partition(|signed| *signed == outcome);
        (same.len(), other.len())
    }

    /// Nodes for which an epoch is final, computed alike.
    pub fn settled(&self, epoch: EpochNumber) -> usize {
        let is_settled = |node: &&Running| node.phases.get(&epoch) == Some(&Phase::Settled);
        self.nodes.iter().filter(is_settled).count()
    }

    /// Members with what they were paid.
    pub fn paid(&self) -> impl Iterator<Item = (usize, u128)> {
        self.nodes
            .iter()
            .map(|node| (node.peer, node.account.taken))
    }
}
