//! The shell of [`Settler`]: one node's task with its writer, its cursor and its key.
//!
//! ```text
//!            rounds, attestations ──▶ inbox ─┐
//!  chain ──▶ cursor ──▶ facts, rollbacks ────┼─▶ Settler ─┬─▶ signer ──▶ attestation ──▶ outbox
//!            time ───────────────────────────┘            ├─▶ snapshot ◀── chain
//!                      refusals ◀── tickets ◀── writer ◀──┘   submit, claim
//! ```
//! A chain that does not answer stops nothing: rounds go on, and what is due is done when it answers again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use contracts::client::RpcError;
use contracts::cursor::{Batch, Cursor};
use contracts::swarm::{Event, Swarm, calls};
use contracts::typed;
use contracts::writer::{Intent, IntentId, Ticket, Writer};
use contracts::{Address, Bytes, U256};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::core::{Action, Attestation, Fact, Input, Now, Output, Settler};
use super::epoch::Phase;
use super::kept::Kept;
use super::schedule::{EpochNumber, Schedule};
use super::seats::{Seat, Seats};
use super::table::{Claim, Domain, Statement};
use crate::chain::Link;
use crate::identity::{EPOCH_SCORES, Place, SignOnce, Signer};
use crate::round::RoundResult;
use crate::round::digest::{Digest32, Hasher};
use crate::round::key::{PeerId, RecoverableBytes};
use crate::store::Epochs;

/// Messages that wait for a node; a sender waits beyond that.
const INBOX: usize = 1024;

/// What a node is told.
#[derive(Clone, Debug)]
pub enum Message {
    /// A round is over, with its result if the members agreed on one.
    RoundOver(u64, Option<Arc<RoundResult>>),
    /// No more rounds will come.
    NoMoreRounds,
    /// A member's signature.
    Attestation(Attestation),
    /// A transaction will not happen.
    Refused(EpochNumber, Action, String),
}

/// What a node says.
#[derive(Clone, Debug)]
pub enum Report {
    /// Send this to all other members.
    Publish(Attestation),
    /// Something that people should know.
    Warning(String),
    /// Every epoch with its phase and the node's points in it.
    Epochs(Vec<(EpochNumber, Phase, u64)>),
}

/// What a node needs to settle.
pub struct Setup<T> {
    /// The hash of the chain's first block: a dev chain that is made anew is another chain with the same id.
    pub first_block: Digest32,
    /// The node's key.
    pub signer: Signer<T>,
    /// Members whose node keys may be bound.
    pub members: Vec<PeerId>,
    /// When epochs end.
    pub schedule: Schedule,
    /// The chain.
    pub link: Link,
    /// The contracts.
    pub swarm: Swarm,
    /// Where their events begin.
    pub cursor: Cursor,
    /// The owner's writer.
    pub writer: Writer,
    /// Where closed epochs are kept; `None` for a chain that ends with the process.
    pub kept: Option<Epochs<Kept>>,
}

/// One settling node.
pub struct Node<T> {
    setup: Setup<T>,
    settler: Settler,
    started: Instant,
    chain_now: u64,
    /// To itself, for answers that come later.
    own: mpsc::Sender<Message>,
    reports: mpsc::Sender<Report>,
    told: Vec<(EpochNumber, Phase, u64)>,
}

impl<T: SignOnce + 'static> Node<T> {
    /// A node and the way to tell it something. It says what it has to say into `reports`.
    pub fn new(
        setup: Setup<T>,
        reports: mpsc::Sender<Report>,
    ) -> (Self, mpsc::Sender<Message>, mpsc::Receiver<Message>) {
        let contract = setup.swarm.addresses().coordinator;
        let domain = Domain { chain_id: setup.link.client.chain_id(), contract };
        let settler = Settler::new(setup.signer.peer(), setup.schedule, domain);
        let (own, inbox) = mpsc::channel(INBOX);
        let node =
            Self { setup, settler, started: Instant::now(), chain_now: 0, own: own.clone(), reports, told: Vec::new() };
        (node, own, inbox)
    }

    /// Settles until nobody listens to its reports any more.
    pub async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut ticks = tokio::time::interval(self.setup.link.poll);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.restore().await;
        while !self.reports.is_closed() {
            tokio::select! {
                Some(message) = inbox.recv() => self.hear(message).await,
                _ = ticks.tick() => self.look().await,
            }
        }
    }

    /// Takes what was kept before a restart; a damaged epoch is reported and left alone.
    async fn restore(&mut self) {
        let Some(kept) = &self.setup.kept else { return };
        match kept.all() {
            Ok(scan) => {
                for damaged in scan.damaged {
                    self.say(Report::Warning(damaged.to_string())).await;
                }
                for kept in scan.records {
                    self.input(Input::Restored(kept)).await;
                }
            }
            Err(error) => self.say(Report::Warning(format!("closed epochs cannot be read: {error}"))).await,
        }
    }

    fn now(&self) -> Now {
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { chain: self.chain_now, ms }
    }

    async fn hear(&mut self, message: Message) {
        let input = match message {
            Message::RoundOver(round, result) => Input::RoundOver(round, result),
            Message::NoMoreRounds => Input::NoMoreRounds,
            Message::Attestation(attestation) => Input::Attestation(attestation),
            Message::Refused(epoch, action, reason) => {
                self.warn_of_refusal(epoch, action, &reason).await;
                Input::Refused(epoch, action)
            }
        };
        self.input(input).await;
    }

    /// Somebody else was faster: that is how it should be, and no news.
    async fn warn_of_refusal(&mut self, epoch: EpochNumber, action: Action, reason: &str) {
        if !reason.contains("AlreadyAccepted") && !reason.contains("AlreadyClaimed") && !reason.contains("EpochNotOver")
        {
            let what = if action == Action::Submit { "the scores" } else { "the claim" };
            self.say(Report::Warning(format!("epoch {epoch}: {what} did not pass: {reason}; tried again"))).await;
        }
    }

    /// One look at the chain: its time and its events.
    async fn look(&mut self) {
        // What cannot be read now is read at the next look; the writer's status says since when the chain is away.
        if let Ok(now) = self.setup.link.now().await {
            self.chain_now = self.chain_now.max(now);
        }
        let client = self.setup.swarm.client().clone();
        if let Ok(batch) = self.setup.cursor.poll(&client).await {
            self.take(batch).await;
        }
        self.input(Input::Tick).await;
    }

    async fn take(&mut self, batch: Batch) {
        if let Some(block) = batch.rolled_back_to {
            self.input(Input::Rollback(block)).await;
        }
        for log in &batch.logs {
            let fact = Event::read(&log.inner).and_then(|event| self.fact(event));
            if let (Some(fact), Some(block)) = (fact, log.block_number) {
                self.input(Input::Fact(block, fact)).await;
            }
        }
    }

    fn fact(&self, event: Event) -> Option<Fact> {
        match event {
            Event::Accepted { epoch, root, deadline } => Some(Fact::Accepted { epoch, root: root.0, deadline }),
            Event::Claimed { epoch, node, .. } => {
                let peer = self.setup.members.iter().find(|peer| typed::address(&peer.0) == Some(node))?;
                Some(Fact::Paid { epoch, peer: *peer })
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
            self.say(Report::Epochs(epochs)).await;
        }
    }

    async fn output(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Sign(statement) => self.sign(&statement).await,
            Output::Seats(epoch) => match self.seats(epoch).await {
                Ok(seats) => Some(Input::Seats(epoch, seats)),
                // The core asks again; the writer's status says since when the chain is away.
                Err(error) if error.is_transient() => None,
                Err(error) => {
                    let text = format!("epoch {epoch}: the stakes cannot be read: {error}; asked again");
                    self.say(Report::Warning(text)).await;
                    None
                }
            },
            Output::Publish(attestation) => {
                self.say(Report::Publish(attestation)).await;
                None
            }
            Output::Submit(statement, signatures, number) => self.submit(&statement, &signatures, number).await,
            Output::Claim(claim, number) => self.claim(claim, number).await,
            Output::Keep(kept) => {
                let stored = self.setup.kept.as_ref().map(|epochs| epochs.put(kept.epoch(), &kept));
                if let Some(Err(error)) = stored {
                    self.say(Report::Warning(format!("epoch {} is not kept: {error}", kept.epoch()))).await;
                }
                None
            }
            Output::Failed(epoch, error) => {
                let text = format!("epoch {epoch} is not settled, as its points make no score table: {error}");
                self.say(Report::Warning(text)).await;
                None
            }
            Output::Rejected(peer, rejection) => {
                self.say(Report::Warning(format!("a signature of peer {peer} was refused: {rejection}"))).await;
                None
            }
        }
    }

    async fn sign(&mut self, statement: &Statement) -> Option<Input> {
        let (epoch, domain) = (statement.epoch(), self.settler.domain());
        let place = Place { swarm: self.contract_id(), kind: EPOCH_SCORES, round: epoch, slot: 0 };
        match self.setup.signer.sign_recoverable(&place, &statement.digest(domain)) {
            Ok(signature) => Some(Input::Signed(epoch, signature)),
            Err(error) => {
                self.say(Report::Warning(format!("epoch {epoch} is not signed: {error}"))).await;
                None
            }
        }
    }

    /// What signatures of epochs are for: one contract on one chain.
    fn contract_id(&self) -> Digest32 {
        let Domain { chain_id, contract } = self.settler.domain();
        let hasher = Hasher::new("settlement").u64(*chain_id).bytes(&self.setup.first_block);
        hasher.bytes(contract.as_slice()).finish()
    }

    async fn seats(&self, epoch: EpochNumber) -> Result<Seats, RpcError> {
        // A member whose name is no key has no seat; an epoch that it earned points in fails, and says so.
        let known = self.setup.members.iter().filter_map(|peer| Some((*peer, typed::address(&peer.0)?)));
        let (peers, nodes): (Vec<PeerId>, Vec<Address>) = known.unzip();
        let snapshot = self.setup.swarm.snapshot(&nodes, self.setup.schedule.start(epoch)).await?;
        let mut seats = BTreeMap::new();
        for (peer, seat) in peers.into_iter().zip(snapshot.seats) {
            if let Some(seat) = seat {
                seats.insert(peer, Seat { owner: seat.owner.into(), stake: units(seat.stake)? });
            }
        }
        Ok(Seats { seats, total: units(snapshot.total)? })
    }

    async fn submit(&self, statement: &Statement, signatures: &[RecoverableBytes], number: u32) -> Option<Input> {
        let data = calls::submit(statement.scores().clone(), signatures);
        self.send(statement.epoch(), Action::Submit, number, data).await
    }

    async fn claim(&self, claim: Claim, number: u32) -> Option<Input> {
        let Claim { epoch, index, node, points, proof, .. } = claim;
        self.send(epoch, Action::Claim, number, calls::claim(epoch, index, node, points, proof)).await
    }

    /// Hands a call of the coordinator to the writer and waits for its end elsewhere.
    async fn send(&self, epoch: EpochNumber, action: Action, number: u32, data: Bytes) -> Option<Input> {
        let contract = self.setup.swarm.addresses().coordinator;
        let verb = if action == Action::Submit { "submit" } else { "claim" };
        let peer = self.setup.signer.peer();
        let intent = IntentId::new(format!("{verb}/{contract}/{epoch}/{peer}/{number}"))
            .ok()
            .map(|id| Intent::call(id, contract, data));
        match self.setup.writer.submit(intent?).await {
            Ok(ticket) => {
                tokio::spawn(follow(ticket, self.own.clone(), epoch, action));
                None
            }
            // After a restart the same number may stand for another call, which is then refused; the next number is free.
            // A writer that is full or has stopped refuses, too. The core waits and tries again.
            Err(_) => Some(Input::Refused(epoch, action)),
        }
    }

    async fn say(&self, report: Report) {
        // Nobody listens: the node ends at its next turn.
        let _ = self.reports.send(report).await;
    }
}

/// A stake as the core counts it. A token with more units than fit would make the shares of a quorum wrong.
fn units(stake: U256) -> Result<u128, RpcError> {
    let large = |_| RpcError::Malformed { what: "a stake", cause: format!("{stake} units, more than 128 bits hold") };
    u128::try_from(stake).map_err(large)
}

/// Tells the node if its transaction does not happen, even long after it was seen in a block.
async fn follow(ticket: Ticket, node: mpsc::Sender<Message>, epoch: EpochNumber, action: Action) {
    let end = match ticket.included().await {
        Ok(_) => ticket.finalised().await,
        Err(error) => Err(error),
    };
    if let Err(error) = end {
        let _ = node.send(Message::Refused(epoch, action, error.to_string())).await;
    }
}
