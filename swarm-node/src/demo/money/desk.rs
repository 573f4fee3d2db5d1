//! The nodes of all peers at work on one chain.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use contracts::cursor::Cursor;
use contracts::writer::Writer;
use swarm_identity::Signer;
use swarm_settle::chain::ChainConfig;
use swarm_settle::chain::{Endpoint, Link, patiently, public_url, trouble};
use swarm_settle::node::{Message, Node, Report, Setup};
use swarm_settle::{EpochNumber, Phase, Schedule};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::account::{Account, MoneyReport, Place};
use super::cast::Cast;
use super::economy::Economy;
use super::ground::{Drawer, Ground, Origin};
use super::handle::{Command, News};
use super::office::{Office, OfficeError};

/// How long the last question, for the balances, may take; then the events that were seen must do.
const LAST_WORD: Duration = Duration::from_secs(10);
/// Reports that wait to be handled; nodes wait beyond that.
const REPORTS: usize = 1024;

/// The nodes at work.
pub(super) struct Desk {
    link: Link,
    economy: Economy,
    schedule: Schedule,
    pub(super) writers: Vec<Writer>,
    /// Epochs that each node must bring to an end.
    due: Vec<u64>,
    nodes: Vec<mpsc::Sender<Message>>,
    reports: Vec<mpsc::Receiver<Report>>,
    /// The last that each node said of each epoch: it forgets those that are over for good.
    epochs: Vec<BTreeMap<EpochNumber, (Phase, u64)>>,
    tell: std_mpsc::Sender<News>,
    paid: usize,
    closed: bool,
}

impl Desk {
    pub(super) fn open(office: &Office, ground: &Ground) -> Result<Self, OfficeError> {
        let count = office.cast.nodes.len();
        let mut desk = Self {
            economy: office.economy,
            schedule: ground.stage.schedule,
            link: ground.link.clone(),
            writers: Vec::with_capacity(count),
            due: Vec::with_capacity(count),
            nodes: Vec::with_capacity(count),
            reports: Vec::with_capacity(count),
            epochs: vec![BTreeMap::new(); count],
            tell: office.tell.clone(),
            paid: 0,
            closed: false,
        };
        (0..count).try_for_each(|peer| desk.seat(office, ground, peer))?;
        Ok(desk)
    }

    /// Starts the node of a peer.
    fn seat(&mut self, office: &Office, ground: &Ground, peer: usize) -> Result<(), OfficeError> {
        let (Some(key), Some(owner)) = (office.cast.nodes.get(peer), office.cast.owners.get(peer))
        else {
            return Ok(());
        };
        let Drawer {
            intents,
            signed,
            disk,
        } = Drawer::open(ground, owner, peer)?;
        let due = match (&office.origin, &disk) {
            (Origin::Resumed { .. }, Some(disk)) => {
                let scan = disk.epochs.all()?;
                // A damaged epoch is due, too, and so what is due is never done.
                (scan.records.len() + scan.damaged.len()) as u64
            }
            _ => self.economy.epochs(),
        };
        let writer = Writer::start(
            self.link.client.clone(),
            owner.signer.clone(),
            intents,
            self.link.writer(),
        )?;
        let setup = Setup {
            signer: Signer::new(key.clone(), signed),
            members: office.cast.nodes.iter().map(|node| node.peer()).collect(),
            schedule: self.schedule,
            link: self.link.clone(),
            swarm: ground.stage.swarm.clone(),
            cursor: Cursor::new(
                ground.stage.swarm.addresses().coordinator,
                ground.stage.block,
            ),
            writer: writer.clone(),
            disk,
        };
        let (reports, heard) = mpsc::channel(REPORTS);
        let (node, own, inbox) = Node::new(setup, reports);
        tokio::spawn(node.run(inbox));
        self.nodes.push(own);
        self.reports.push(heard);
        self.writers.push(writer);
        self.due.push(due);
        Ok(())
    }

    /// Hands on what the demo's thread said, as far as the nodes have room: the desk never waits
    /// for a node, for a node may wait for the desk. After the last round, says so.
    pub(super) fn deliver(&mut self, backlog: &mut VecDeque<Command>, last: bool) {
        while let Some(Command::RoundOver(peer, round, result)) = backlog.front() {
            self.link
                .advance_to(self.schedule.round_start(round.saturating_add(1)));
            let message = Message::RoundOver(*round, result.clone());
            if self
                .nodes
                .get(*peer)
                .is_some_and(|node| is_full(node.try_send(message)))
            {
                return;
            }
            backlog.pop_front();
        }
        if last && !self.closed {
            self.link.advance_to(
                self.schedule.end(
                    self.schedule
                        .epoch_of(self.economy.rounds.saturating_sub(1)),
                ),
            );
            // To be told twice changes nothing.
            self.closed = !self
                .nodes
                .iter()
                .any(|node| is_full(node.try_send(Message::NoMoreRounds)));
        }
    }

    /// Carries attestations from node to node, and everything else to the demo's thread.
    pub(super) fn hear(&mut self) {
        for peer in 0..self.reports.len() {
            while let Some(report) = self
                .reports
                .get_mut(peer)
                .and_then(|heard| heard.try_recv().ok())
            {
                self.pass_on(peer, report);
            }
        }
        let paid = self.count(|phase| phase == Phase::Paid);
        if self.closed {
            let due = self.count(|phase| !matches!(phase, Phase::Empty | Phase::Unrewarded));
            (self.paid + 1..=paid).for_each(|paid| drop(self.tell.send(News::Paid(paid, due))));
            self.paid = paid;
        }
    }

    fn pass_on(&mut self, peer: usize, report: Report) {
        match report {
            Report::Publish(attestation) => {
                let others = self
                    .nodes
                    .iter()
                    .enumerate()
                    .filter(|(other, _)| *other != peer);
                for (_, node) in others {
                    // As on any network a message may get lost; members repeat themselves.
                    let _ = node.try_send(Message::Attestation(attestation.clone()));
                }
            }
            Report::Warning(text) => {
                let _ = self
                    .tell
                    .send(News::Warning(format!("peer {}: {text}", peer + 1)));
            }
            Report::Epochs(epochs) => {
                if let Some(known) = self.epochs.get_mut(peer) {
                    known.extend(
                        epochs
                            .into_iter()
                            .map(|(epoch, phase, points)| (epoch, (phase, points))),
                    );
                }
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

    pub(super) async fn report(&self, office: &Office, ground: &Ground) -> MoneyReport {
        let swarm = &ground.stage.swarm;
        let mut accounts = Vec::new();
        for (epochs, owner) in self.epochs.iter().zip(&office.cast.owners) {
            let points = epochs.values().map(|(_, points)| points).sum();
            let asked =
                tokio::time::timeout(LAST_WORD, patiently(|| swarm.tokens_of(owner.address())))
                    .await;
            let claimed = asked
                .ok()
                .and_then(Result::ok)
                .map_or_else(|| paid_units(epochs), |units| units.saturating_to());
            accounts.push(Account { points, claimed });
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
        let place = Some(place(&office.chain, ground, &office.cast));
        let needs_url = public_url(&office.chain).is_none();
        MoneyReport {
            place,
            accounts,
            epochs,
            trouble,
            folder: ground.folder.clone(),
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
fn is_full(sent: Result<(), TrySendError<Message>>) -> bool {
    matches!(sent, Err(TrySendError::Full(_)))
}

/// What the chain had paid when it was last seen.
fn paid_units(epochs: &BTreeMap<EpochNumber, (Phase, u64)>) -> u128 {
    let paid = epochs.values().filter(|(phase, _)| *phase == Phase::Paid);
    Account {
        points: paid.map(|(_, points)| points).sum(),
        claimed: 0,
    }
    .earned()
}

fn place(chain: &ChainConfig, ground: &Ground, cast: &Cast) -> Place {
    let Ground { link, stage, .. } = ground;
    let addresses = stage.swarm.addresses();
    let endpoint = match Endpoint::of(chain) {
        Ok(Endpoint::Url(_)) => link.client.endpoint().to_owned(),
        _ => "embedded".to_owned(),
    };
    Place {
        endpoint,
        id: link.client.chain_id(),
        token: addresses.token.to_string(),
        stake: addresses.stake.to_string(),
        coordinator: addresses.coordinator.to_string(),
        owners: cast
            .owners
            .iter()
            .map(|owner| owner.address().to_string())
            .collect(),
    }
}
