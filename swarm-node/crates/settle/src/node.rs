//! The shell around [`Settler`]: one node's task, with its chain, its transactions and its key.
//!
//! ```text
//!            rounds, attestations ──▶ inbox ─┐
//!  chain ──▶ cursor ──▶ facts, rollbacks ────┼─▶ Settler ─┬─▶ signer ──▶ attestation ──▶ outbox
//!            time ───────────────────────────┘            ├─▶ snapshot ◀── chain
//!                      refusals ◀── tickets ◀── writer ◀──┘   submit, claim
//! ```
//! A chain that does not answer stops nothing: rounds go on, and what is due is done when it
//! answers again.
//!
//! The place of a signature in the sign-once table is named by chain id and contract, as EIP-712's
//! domain is: by all that the signature is valid for, and by nothing that the chain's server says.
//! So a server cannot make a node sign a second table for an epoch. On a dev chain that was made
//! anew under its old id a contract may have its old address; a node that signed there before keeps
//! to what it signed. A demo takes another folder, with another table, then.
//!
//! A batch of events becomes one input, and the position after it is written with what it led to
//! (`records`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use contracts::bindings::SwarmCoordinator::{AlreadyAccepted, EpochNotOver};
use contracts::client::RpcError;
use contracts::cursor::{Batch, Cursor};
use contracts::swarm::{Event, Swarm, calls};
use contracts::typed;
use contracts::writer::{Intent, IntentId, Ticket, TicketError, Writer};
use contracts::{Address, Bytes, U256};
use swarm_identity::digest::{Digest32, Hasher};
use swarm_identity::key::{PeerId, RecoverableBytes};
use swarm_identity::{EPOCH_SCORES, Place, SignOnce, Signer};
use swarm_round::RoundResult;
use swarm_store::StoreError;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::epoch::Phase;
use super::event::{Action, Attestation, Events, Fact, Input, Now, Output};
use super::records::{Position, SettleStore};
use super::schedule::{EpochNumber, EpochSchedule};
use super::settler::Settler;
use super::snapshot::{MemberStake, StakeSnapshot};
use super::table::{Claim, Domain, Statement};
use crate::chain::{ChainClock, Link};

/// Longest time between two writes of a position that has changed, in milliseconds; a change that
/// matters is written at once.
const POSITION_MS: u64 = 10_000;
/// Messages that wait for a node; a sender waits beyond that.
const INBOX: usize = 1024;

/// What a node is told by its surroundings.
#[derive(Clone, Debug)]
pub enum NodeMessage {
    /// A round is over, with its result if the members agreed on one.
    RoundOver(u64, Option<Arc<RoundResult>>),
    /// No more rounds will come.
    NoMoreRounds,
    /// A member's signature.
    Attestation(Attestation),
    /// A transaction will not happen.
    Refused(EpochNumber, Action, TicketError),
}

/// What a node tells its surroundings.
#[derive(Clone, Debug)]
pub enum NodeEvent {
    /// Send this to all other members.
    Publish(Attestation),
    /// Something that people should know.
    Warning(String),
    /// Every epoch with its phase and the node's points in it.
    Epochs(Vec<(EpochNumber, Phase, u64)>),
}

/// What a node needs to settle.
pub struct NodeParts<T> {
    /// The node's key.
    pub signer: Signer<T>,
    /// Members whose node keys may be bound.
    pub members: Vec<PeerId>,
    /// When epochs end.
    pub schedule: EpochSchedule,
    /// The chain.
    pub link: Link,
    /// The contracts.
    pub swarm: Swarm,
    /// Where their events begin, for a node that has read none.
    pub cursor: Cursor,
    /// The owner's writer.
    pub writer: Writer,
    /// What a restart must not lose; `None` for a chain that ends with the process.
    pub store: Option<SettleStore>,
}

/// One settling node.
pub struct Node<T> {
    parts: NodeParts<T>,
    settler: Settler,
    started: Instant,
    clock: ChainClock,
    /// The position that was written last, and when.
    written: (Option<Position>, u64),
    /// To itself, for answers that come later.
    own: mpsc::Sender<NodeMessage>,
    outbox: mpsc::Sender<NodeEvent>,
    told: Vec<(EpochNumber, Phase, u64)>,
}

impl<T: SignOnce + 'static> Node<T> {
    /// A node and the way to tell it something. It says what it has to say into `outbox`.
    pub fn new(
        parts: NodeParts<T>,
        outbox: mpsc::Sender<NodeEvent>,
    ) -> (Self, mpsc::Sender<NodeMessage>, mpsc::Receiver<NodeMessage>) {
        let contract = parts.swarm.addresses().coordinator;
        let domain = Domain {
            chain_id: parts.link.client.chain_id(),
            contract,
        };
        let settler = Settler::new(parts.signer.peer(), parts.schedule, domain);
        let (own, inbox) = mpsc::channel(INBOX);
        let node = Self {
            parts,
            settler,
            started: Instant::now(),
            clock: ChainClock::default(),
            written: (None, 0),
            own: own.clone(),
            outbox,
            told: Vec::new(),
        };
        (node, own, inbox)
    }

    /// Settles until nobody listens to it any more.
    pub async fn run(mut self, mut inbox: mpsc::Receiver<NodeMessage>) {
        let mut ticks = tokio::time::interval(self.parts.link.poll);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.restore().await;
        while !self.outbox.is_closed() {
            tokio::select! {
                Some(message) = inbox.recv() => self.hear(message).await,
                _ = ticks.tick() => self.look().await,
            }
        }
    }

    /// Takes what was kept before a restart; a damaged record is reported and left alone.
    async fn restore(&mut self) {
        let Some(store) = self.parts.store.clone() else {
            return;
        };
        match store.position.get() {
            Ok(None) => {}
            Ok(Some(position)) => {
                self.parts.cursor = position.cursor.clone();
                self.clock = ChainClock::resume(position.latest);
                self.input(Input::Resumed(position.facts.clone())).await;
                self.written.0 = Some(position);
            }
            Err(error) => {
                self.say(NodeEvent::Warning(format!(
                    "{error}; events are read from the first again"
                )))
                .await
            }
        }
        match store.epochs.all() {
            Ok(scan) => {
                for damaged in scan.damaged {
                    self.say(NodeEvent::Warning(damaged.to_string())).await;
                }
                for record in scan.records {
                    match store.epochs.votes(record.epoch()) {
                        Ok(votes) => {
                            let votes = votes
                                .into_iter()
                                .map(|(peer, signature)| (PeerId(peer), signature));
                            self.input(Input::Restored(record, votes.collect())).await;
                        }
                        Err(error) => self.say(NodeEvent::Warning(error.to_string())).await,
                    }
                }
            }
            Err(error) => {
                self.say(NodeEvent::Warning(format!(
                    "closed epochs cannot be read: {error}"
                )))
                .await
            }
        }
    }

    fn now(&self) -> Now {
        #[expect(clippy::expect_used, reason = "64 bits of milliseconds last for ages")]
        let ms = u64::try_from(self.started.elapsed().as_millis())
            .expect("invariant: a process runs for less than 500 million years");
        Now {
            chain: self.clock.next_block(self.parts.link.wall()),
            latest: self.clock.latest(),
            ms,
        }
    }

    async fn hear(&mut self, message: NodeMessage) {
        let input = match message {
            NodeMessage::RoundOver(round, result) => Input::RoundOver(round, result),
            NodeMessage::NoMoreRounds => Input::NoMoreRounds,
            NodeMessage::Attestation(attestation) => Input::Attestation(attestation),
            NodeMessage::Refused(epoch, action, error) => {
                self.warn_of_refusal(epoch, action, &error).await;
                Input::Refused(epoch, action)
            }
        };
        self.input(input).await;
    }

    /// Somebody else was faster: that is how it should be, and no news.
    async fn warn_of_refusal(&mut self, epoch: EpochNumber, action: Action, error: &TicketError) {
        if !error.is_refused_with::<AlreadyAccepted>() && !error.is_refused_with::<EpochNotOver>() {
            let what = if action == Action::Submit {
                "the scores"
            } else {
                "the claim"
            };
            self.say(NodeEvent::Warning(format!(
                "epoch {epoch}: {what} did not pass: {error}; tried again"
            )))
            .await;
        }
    }

    /// One look at the chain: its time and its events.
    async fn look(&mut self) {
        // What cannot be read now is read at the next look; the writer's status says since when the
        // chain is away.
        let client = self.parts.swarm.client().clone();
        if let Ok(batch) = self.parts.cursor.poll(&client).await {
            self.parts.link.observe(&mut self.clock, batch.time);
            let events = self.events(&batch);
            self.input(Input::Events(events)).await;
        }
        self.input(Input::Tick).await;
        self.keep_position(false).await;
    }

    fn events(&self, batch: &Batch) -> Events {
        let facts = batch.logs.iter().filter_map(|log| {
            let fact = Event::read(&log.inner).and_then(|event| self.fact(event));
            Some((log.block_number?, fact?))
        });
        Events {
            rolled_back_to: batch.rolled_back_to,
            facts: facts.collect(),
            caught_up: batch.behind == 0,
        }
    }

    /// Writes how far events were read and what they led to, if that has changed: at once what
    /// matters, else now and then.
    async fn keep_position(&mut self, at_once: bool) {
        let Some(store) = &self.parts.store else {
            return;
        };
        let now = self.now();
        let position = Position {
            cursor: self.parts.cursor.clone(),
            facts: self.settler.facts().clone(),
            latest: self.clock.latest(),
        };
        let (written, when) = &self.written;
        let matters = at_once
            || written
                .as_ref()
                .is_none_or(|written| written.facts != position.facts);
        let due = matters || now.ms >= when.saturating_add(POSITION_MS);
        if !due || written.as_ref() == Some(&position) {
            return;
        }
        match store.position.put(&position) {
            Ok(()) => self.written = (Some(position), now.ms),
            Err(error) => {
                let text = format!("the position in the chain's events is not kept: {error}");
                self.say(NodeEvent::Warning(text)).await;
            }
        }
    }

    fn fact(&self, event: Event) -> Option<Fact> {
        match event {
            Event::Accepted {
                epoch,
                root,
                deadline,
            } => Some(Fact::Accepted {
                epoch,
                root: root.0,
                deadline,
            }),
            Event::Claimed { epoch, node, .. } => {
                let me = self.parts.signer.peer();
                (typed::address(&me.0) == Some(node)).then_some(Fact::Paid { epoch, peer: me })
            }
            Event::Bound { .. } => None,
        }
    }

    /// Lets the core take an input, and everything that follows from it at once.
    async fn input(&mut self, input: Input) {
        let mut queue = vec![input];
        while let Some(input) = queue.pop() {
            for output in self.settler.handle(input, self.now()) {
                queue.extend(self.output(output).await);
            }
        }
        let epochs: Vec<_> = self.settler.epochs(self.now()).collect();
        if epochs != self.told {
            self.told.clone_from(&epochs);
            // Whoever hears that an epoch has ended relies on it.
            self.keep_position(true).await;
            self.say(NodeEvent::Epochs(epochs)).await;
        }
    }

    async fn output(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Sign(statement) => self.sign(&statement).await,
            Output::ReadSnapshot(epoch) => match self.snapshot(epoch).await {
                Ok(snapshot) => Some(Input::Snapshot(epoch, snapshot)),
                // The core asks again; the writer's status says since when the chain is away.
                Err(error) if error.is_transient() => None,
                Err(error) => {
                    let text =
                        format!("epoch {epoch}: the stakes cannot be read: {error}; asked again");
                    self.say(NodeEvent::Warning(text)).await;
                    None
                }
            },
            Output::Publish(attestation) => {
                self.say(NodeEvent::Publish(attestation)).await;
                None
            }
            Output::Submit(statement, signatures, number) => {
                self.submit(&statement, &signatures, number).await
            }
            Output::Claim(claim, number) => self.claim(claim, number).await,
            Output::Save(record) => {
                self.store(record.epoch(), |store| {
                    store.epochs.put(record.epoch(), &record)
                })
                .await;
                None
            }
            Output::SaveVotes(epoch, votes) => {
                let votes: Vec<_> = votes
                    .into_iter()
                    .map(|(peer, signature)| (peer.0, signature))
                    .collect();
                self.store(epoch, |store| store.epochs.put_votes(epoch, &votes))
                    .await;
                None
            }
            Output::Forget(epoch) => {
                self.store(epoch, |store| store.epochs.forget(epoch)).await;
                None
            }
            Output::ForgetBefore(epoch) => {
                self.forget_before(epoch).await;
                None
            }
            Output::Failed(epoch, error) => {
                let text = format!(
                    "epoch {epoch} is not settled, as its points make no score table: {error}"
                );
                self.say(NodeEvent::Warning(text)).await;
                None
            }
            Output::Rejected(peer, rejection) => {
                self.say(NodeEvent::Warning(format!(
                    "a signature of peer {peer} was refused: {rejection}"
                )))
                .await;
                None
            }
        }
    }

    /// Changes what is kept about an epoch, and warns if that fails.
    async fn store(
        &self,
        epoch: EpochNumber,
        change: impl FnOnce(&SettleStore) -> Result<(), StoreError>,
    ) {
        if let Some(Err(error)) = self.parts.store.as_ref().map(change) {
            self.say(NodeEvent::Warning(format!(
                "what is kept of epoch {epoch} is not changed: {error}"
            )))
            .await;
        }
    }

    /// Forgets epochs that are over for good, in an order in which every part is safe without the
    /// next.
    async fn forget_before(&mut self, epoch: EpochNumber) {
        self.keep_position(true).await;
        let place = self.place(epoch);
        match self
            .parts
            .signer
            .forget_before(&place.swarm, place.kind, epoch)
        {
            Ok(()) => {
                self.store(epoch, |store| store.epochs.forget_before(epoch))
                    .await
            }
            Err(error) => {
                self.say(NodeEvent::Warning(format!(
                    "epochs before {epoch} are not forgotten: {error}"
                )))
                .await;
            }
        }
    }

    async fn sign(&mut self, statement: &Statement) -> Option<Input> {
        let epoch = statement.epoch();
        match self
            .parts
            .signer
            .sign_recoverable(&self.place(epoch), &statement.digest(self.settler.domain()))
        {
            Ok(signature) => Some(Input::Signed(epoch, signature)),
            Err(error) => {
                self.say(NodeEvent::Warning(format!(
                    "epoch {epoch} is not signed: {error}"
                )))
                .await;
                None
            }
        }
    }

    fn place(&self, epoch: EpochNumber) -> Place {
        Place {
            swarm: domain_id(self.settler.domain()),
            kind: EPOCH_SCORES,
            round: epoch,
            slot: 0,
        }
    }

    async fn snapshot(&self, epoch: EpochNumber) -> Result<StakeSnapshot, RpcError> {
        // A member whose name is no key has no stake; an epoch that it earned points in fails, and
        // says so.
        let known = self
            .parts
            .members
            .iter()
            .filter_map(|peer| Some((*peer, typed::address(&peer.0)?)));
        let (peers, nodes): (Vec<PeerId>, Vec<Address>) = known.unzip();
        let snapshot = self
            .parts
            .swarm
            .snapshot(&nodes, self.parts.schedule.start(epoch))
            .await?;
        let mut members = BTreeMap::new();
        for (peer, seat) in peers.into_iter().zip(snapshot.seats) {
            let Some(seat) = seat else { continue };
            members.insert(
                peer,
                MemberStake {
                    owner: seat.owner.into(),
                    stake: units(seat.stake)?,
                },
            );
        }
        Ok(StakeSnapshot {
            members,
            total: units(snapshot.total)?,
        })
    }

    async fn submit(
        &self,
        statement: &Statement,
        signatures: &[RecoverableBytes],
        number: u32,
    ) -> Option<Input> {
        let data = calls::submit(statement.scores().clone(), signatures);
        self.send(statement.epoch(), Action::Submit, number, data)
            .await
    }

    async fn claim(&self, claim: Claim, number: u32) -> Option<Input> {
        let Claim {
            epoch,
            index,
            node,
            points,
            proof,
            ..
        } = claim;
        self.send(
            epoch,
            Action::Claim,
            number,
            calls::claim(epoch, index, node, points, proof),
        )
        .await
    }

    /// Hands a call of the coordinator to the writer and waits for its end elsewhere.
    async fn send(
        &self,
        epoch: EpochNumber,
        action: Action,
        number: u32,
        data: Bytes,
    ) -> Option<Input> {
        let contract = self.parts.swarm.addresses().coordinator;
        let verb = if action == Action::Submit {
            "submit"
        } else {
            "claim"
        };
        let peer = self.parts.signer.peer();
        #[expect(
            clippy::expect_used,
            reason = "an id of these parts is short and visible ASCII"
        )]
        let id = IntentId::new(format!("{verb}/{contract}/{epoch}/{peer}/{number}"))
            .expect("invariant: the parts make an intent's id");
        let intent = Intent::call(id, contract, data);
        match self.parts.writer.submit(intent).await {
            Ok(ticket) => {
                tokio::spawn(follow(ticket, self.own.clone(), epoch, action));
                None
            }
            // After a restart the same number may stand for another call, which is then refused;
            // the next number is free. A writer that is full or has stopped refuses, too. The core
            // waits and tries again.
            Err(_) => Some(Input::Refused(epoch, action)),
        }
    }

    async fn say(&self, report: NodeEvent) {
        // Nobody listens: the node ends at its next turn.
        let _ = self.outbox.send(report).await;
    }
}

/// A stake as the core counts it. A token with more units than fit would make the shares of a
/// quorum wrong.
fn units(stake: U256) -> Result<u128, RpcError> {
    let large = |_| RpcError::Malformed {
        what: "a stake",
        cause: format!("{stake} units, more than 128 bits hold"),
    };
    u128::try_from(stake).map_err(large)
}

/// Names in the sign-once table what signatures under epochs are valid for: one contract on one
/// chain.
pub(super) fn domain_id(domain: &Domain) -> Digest32 {
    Hasher::new("settlement")
        .u64(domain.chain_id)
        .bytes(domain.contract.as_slice())
        .finish()
}

/// Tells the node if its transaction does not happen, even long after it was seen in a block.
async fn follow(
    ticket: Ticket,
    node: mpsc::Sender<NodeMessage>,
    epoch: EpochNumber,
    action: Action,
) {
    let end = match ticket.included().await {
        Ok(_) => ticket.finalised().await,
        Err(error) => Err(error),
    };
    if let Err(error) = end {
        let _ = node.send(NodeMessage::Refused(epoch, action, error)).await;
    }
}

#[cfg(test)]
mod tests;
