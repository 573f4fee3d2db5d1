//! The shell around [`Settler`]: one node's task, with its chain, its transactions and its key.
//!
//! ```text
//!          rounds, votes, tables ──▶ inbox ─┐
//!  chain ──▶ cursor ──▶ facts, rollbacks ───┼─▶ Settler ─┬─▶ signer ──▶ vote ──▶ outbox
//!            time ──────────────────────────┘            ├─▶ snapshots, terms ◀── chain
//!                     refusals ◀── tickets ◀── writer ◀──┘   outcomes, objections, claims
//! ```
//! A chain that does not answer stops nothing: rounds go on, and what is due is done when it
//! answers again. What a node lacks it asks of its surroundings ([`NodeEvent::FetchRounds`],
//! [`NodeEvent::FetchTable`]); what comes back is checked by the core.
//!
//! The place of a signature in the sign-once table is named by chain id and contract, as EIP-712's
//! domain is: by all that the signature is valid for, and by nothing that the chain's server says.
//! So a server cannot make a node sign a second outcome for the same epochs. On a dev chain that
//! was made anew under its old id a contract may have its old address; a node that signed there
//! before keeps to what it signed. A demo takes another folder, with another table, then.
//!
//! A batch of events becomes one input, and the position after it is written with what it led to
//! ([`store`]).

mod message;
mod reading;
mod sending;
pub mod store;

use std::sync::Arc;
use std::time::Instant;

use contracts::Address;
use contracts::cursor::{Batch, Cursor};
use contracts::earnings::EarningsTable;
use contracts::outcome::{Outcome, Vote};
use contracts::swarm::{Event, Swarm};
use contracts::typed::{self, Domain};
use contracts::writer::{TicketError, Writer};
use swarm_identity::digest::{Digest32, Hasher};
use swarm_identity::{EPOCH_OUTCOME, SignOnce, Signer};
use swarm_store::StoreError;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

pub use self::message::{NodeEvent, NodeMessage, NodeStatus};
use self::reading::{BoundNodes, fact};
use self::sending::{Sender, is_overtaken};
use self::store::{Position, SettleStore};
use crate::chain::{ChainClock, Link};
use crate::settlement::attestation::Attestation;
use crate::settlement::event::{Action, Events, Input, Now, Output, Rejection, Terms, TermsQuery};
use crate::settlement::schedule::{EpochNumber, Schedule};
use crate::settlement::settler::{Policy, Settler};
use crate::settlement::span::{Span, domain_id, place};

/// Longest time between two writes of a position that has changed, in milliseconds; a change that
/// matters is written at once.
const POSITION_MS: u64 = 10_000;
/// Messages that wait for a node; a sender waits beyond that.
const INBOX: usize = 1024;

/// What a node needs to settle.
pub struct NodeParts<T> {
    /// The node's key.
    pub signer: Signer<T>,
    /// When epochs end.
    pub schedule: Schedule,
    /// What the node's people decide.
    pub policy: Policy,
    /// The chain.
    pub link: Link,
    /// The contracts.
    pub swarm: Swarm,
    /// The block from which on their events matter.
    pub first_block: u64,
    /// The owner's writer.
    pub writer: Writer,
    /// What a restart must not lose; `None` for a chain that ends with the process.
    pub store: Option<SettleStore>,
}

/// One settling node.
pub struct Node<T> {
    parts: NodeParts<T>,
    settler: Settler,
    sender: Sender,
    cursor: Cursor,
    bound: BoundNodes,
    started: Instant,
    clock: ChainClock,
    /// The position that was written last, and when.
    written: (Option<Position>, u64),
    outbox: mpsc::Sender<NodeEvent>,
    told: Option<NodeStatus>,
}

impl<T: SignOnce + 'static> Node<T> {
    /// A node and the way to tell it something; `None` if its key is no point of secp256k1. It says
    /// what it has to say into `outbox`.
    pub fn new(
        parts: NodeParts<T>,
        outbox: mpsc::Sender<NodeEvent>,
    ) -> Option<(Self, mpsc::Sender<NodeMessage>, mpsc::Receiver<NodeMessage>)> {
        let addresses = *parts.swarm.addresses();
        let domain = Domain {
            chain_id: parts.link.client.chain_id(),
            contract: addresses.rewards,
        };
        let me = typed::address(&parts.signer.peer().0)?;
        let account = parts.writer.account();
        let (own, inbox) = mpsc::channel(INBOX);
        let node = Self {
            settler: Settler::new(me, account, parts.schedule, domain, parts.policy),
            sender: Sender {
                swarm: parts.swarm.clone(),
                writer: parts.writer.clone(),
                node: own.clone(),
                name: name(&domain, me),
            },
            cursor: Cursor::new(addresses.rewards, parts.first_block),
            bound: BoundNodes::since(addresses.members, parts.first_block),
            started: Instant::now(),
            clock: ChainClock::default(),
            written: (None, 0),
            outbox,
            told: None,
            parts,
        };
        Some((node, own, inbox))
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
        let kept = store.restore();
        for damaged in kept.damaged {
            self.warn(damaged).await;
        }
        if let Some(position) = kept.position {
            self.cursor = position.cursor.clone();
            self.clock = ChainClock::resume(position.latest);
            self.input(Input::Resumed(Box::new(position.facts.clone())))
                .await;
            self.written.0 = Some(position);
        }
        for (epoch, table) in kept.tables {
            self.input(Input::RestoredTable(epoch, table)).await;
        }
        if let Some(sum) = kept.sum {
            self.input(Input::RestoredSum(sum)).await;
        }
        for round in kept.rounds {
            self.input(Input::Restored(round)).await;
        }
        self.input(Input::RestoredVotes(kept.votes)).await;
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
            NodeMessage::Decided(round) => Input::Decided(round),
            NodeMessage::Attestation(attestation) => Input::Attestation(attestation),
            NodeMessage::Table(bytes) => {
                Input::Table(EarningsTable::from_bytes(&bytes).map(Arc::new))
            }
            NodeMessage::TableWanted { root, asker } => {
                if let Some(table) = self.settler.table(root) {
                    let bytes = table.to_bytes();
                    self.say(NodeEvent::Table { asker, bytes }).await;
                }
                return;
            }
            NodeMessage::Refused(action, error) => {
                self.warn_of_refusal(action, &error).await;
                Input::Refused(action)
            }
            NodeMessage::Unfinished(action) => Input::Refused(action),
        };
        self.input(input).await;
    }

    async fn warn_of_refusal(&mut self, action: Action, error: &TicketError) {
        if !is_overtaken(error) {
            self.warn(format!("{action} did not pass: {error}; tried again"))
                .await;
        }
    }

    /// One look at the chain: its time and its events.
    async fn look(&mut self) {
        // What cannot be read now is read at the next look; the writer's status says since when the
        // chain is away.
        if let Ok(batch) = self.cursor.poll(self.parts.swarm.client()).await {
            self.parts.link.observe(&mut self.clock, batch.time);
            let events = self.events(&batch);
            self.input(Input::Events(events)).await;
        }
        self.input(Input::Tick).await;
        self.keep_position(false).await;
    }

    fn events(&self, batch: &Batch) -> Events {
        let account = self.parts.writer.account();
        let mut facts = Vec::new();
        for log in &batch.logs {
            let (Some(block), Some(event)) = (log.block_number, Event::read(&log.inner)) else {
                continue;
            };
            facts.extend(fact(event, account).map(|fact| (block, fact)));
        }
        // Where blocks are final at once they come with transactions, and have no pace.
        let time = match self.parts.link.confirmations {
            0 => 0,
            _ => batch.time,
        };
        Events {
            rolled_back_to: batch.rolled_back_to,
            facts,
            head: (batch.head, time),
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
            cursor: self.cursor.clone(),
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
        match store.put_position(&position) {
            Ok(()) => self.written = (Some(position), now.ms),
            Err(error) => {
                let text = format!("the position in the chain's events is not kept: {error}");
                self.warn(text).await;
            }
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
        let status = NodeStatus {
            epochs: self.settler.epochs(self.now()),
            account: self.settler.account(),
        };
        if self.told.as_ref() != Some(&status) {
            self.told = Some(status.clone());
            // Whoever hears that an epoch has ended relies on it.
            self.keep_position(true).await;
            self.say(NodeEvent::Status(status)).await;
        }
    }

    async fn output(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Sign(outcome, owner) => return self.sign(outcome, owner).await,
            Output::ReadSnapshot(epoch, nodes) => return self.snapshot(epoch, &nodes).await,
            Output::ReadTerms(query) => return self.terms(query).await,
            Output::Publish(attestation) => self.say(NodeEvent::Publish(attestation)).await,
            Output::FetchRounds(rounds) => self.say(NodeEvent::FetchRounds(rounds)).await,
            Output::FetchTable(root) => self.say(NodeEvent::FetchTable(root)).await,
            Output::Send(action, transaction, number) => {
                self.sender.send(action, transaction, number);
            }
            Output::SaveRound(round) => self.keep(|store| store.put_round(&round)).await,
            Output::SaveSum(sum) => {
                let schedule = self.parts.schedule;
                self.keep(|store| store.put_sum(&sum, &schedule)).await;
            }
            Output::SaveTable(epoch, table) => {
                self.keep(|store| store.put_table(epoch, &table)).await;
            }
            Output::SaveVotes(votes) => self.keep(|store| store.put_votes(&votes)).await,
            Output::ForgetBefore(epoch) => self.forget_before(epoch).await,
            // Late, early and repeated messages are how a network is.
            Output::Rejected(
                _,
                Rejection::Span(_)
                | Rejection::Refusal(_)
                | Rejection::Duplicate
                | Rejection::Unwanted(_),
            ) => {}
            Output::Rejected(owner, rejection) => {
                self.warn(format!(
                    "a message of owner {owner} was refused: {rejection}"
                ))
                .await;
            }
            Output::Notice(notice) => self.warn(notice.to_string()).await,
        }
        None
    }

    /// Changes what is kept, and warns if that fails.
    async fn keep(&self, change: impl FnOnce(&SettleStore) -> Result<(), StoreError>) {
        if let Some(Err(error)) = self.parts.store.as_ref().map(change) {
            self.warn(format!("what is kept is not changed: {error}"))
                .await;
        }
    }

    /// Forgets epochs that are over for good, in an order in which every part is safe without the
    /// next.
    async fn forget_before(&mut self, epoch: EpochNumber) {
        self.keep_position(true).await;
        let swarm = domain_id(self.settler.domain());
        match self
            .parts
            .signer
            .forget_before(&swarm, EPOCH_OUTCOME, epoch)
        {
            Ok(()) => {
                let schedule = self.parts.schedule;
                self.keep(|store| store.forget_before(epoch, &schedule))
                    .await;
            }
            Err(error) => {
                self.warn(format!("epochs before {epoch} are not forgotten: {error}"))
                    .await;
            }
        }
    }

    async fn sign(&mut self, outcome: Outcome, owner: Address) -> Option<Input> {
        let domain = *self.settler.domain();
        let span = Span::of(&outcome);
        let place = place(&outcome, &domain)?;
        let digest = domain.outcome(owner, &outcome);
        match self.parts.signer.sign_recoverable(&place, &digest.0) {
            Ok(signature) => {
                let vote = Vote::new(owner, &signature)?;
                Some(Input::Signed(Attestation { outcome, vote }))
            }
            Err(error) => {
                self.warn(format!("epochs {span} are not signed: {error}"))
                    .await;
                None
            }
        }
    }

    async fn snapshot(&mut self, epoch: EpochNumber, nodes: &[Address]) -> Option<Input> {
        let start = self.parts.schedule.start(epoch);
        match self.bound.snapshot(&self.parts.swarm, nodes, start).await {
            Ok(snapshot) => Some(Input::Snapshot(epoch, snapshot)),
            // The core asks again; the writer's status says since when the chain is away.
            Err(error) if error.is_transient() => None,
            Err(error) => {
                self.warn(format!(
                    "epoch {epoch}: the stakes cannot be read: {error}; asked again"
                ))
                .await;
                None
            }
        }
    }

    async fn terms(&mut self, query: TermsQuery) -> Option<Input> {
        let read = self.parts.swarm.terms(query.span.epoch, query.points).await;
        // Away, or final meanwhile: the core asks again, or hears of it.
        let terms = read.ok()?;
        let answer = Terms {
            since: terms.since,
            worth: terms.worth,
        };
        Some(Input::Terms(query, answer))
    }

    async fn warn(&self, text: String) {
        self.say(NodeEvent::Warning(text)).await;
    }

    async fn say(&self, report: NodeEvent) {
        // Nobody listens: the node ends at its next turn.
        let _ = self.outbox.send(report).await;
    }
}

/// Names a node and its contract in the ids of transactions.
fn name(domain: &Domain, me: Address) -> Digest32 {
    Hasher::new("transactions")
        .bytes(&domain_id(domain))
        .bytes(me.as_slice())
        .finish()
}

#[cfg(test)]
mod tests;
