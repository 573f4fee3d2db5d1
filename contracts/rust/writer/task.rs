//! The task that drives the core: performs its actions on chain and store, one after the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy::primitives::B256;
use alloy::rpc::types::TransactionReceipt;
use alloy::signers::local::PrivateKeySigner;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::config::WriterConfig;
use super::core::{Action, BroadcastOutcome, Core, EstimateError, Event};
use super::handle::{Command, Watched, Writer};
use super::intent::{Inclusion, Intent, IntentId, State, SubmitError};
use super::signer::LocalSigner;
use super::store::{IntentStore, StoreError};
use super::view::View;
use crate::client::{Client, RpcError};

/// Commands that wait for the task.
const COMMANDS: usize = 64;

impl Writer {
    /// Starts the writer of the account that `signer` holds, on the current tokio runtime. It goes
    /// on where `store` ends.
    ///
    /// There must be one writer per account.
    ///
    /// # Errors
    /// [`StoreError`] if the records cannot be read.
    pub fn start(
        client: Client,
        signer: PrivateKeySigner,
        store: Arc<dyn IntentStore>,
        config: WriterConfig,
    ) -> Result<Self, StoreError> {
        let core = Core::new(
            config,
            LocalSigner::new(signer, client.chain_id()),
            store.load()?,
        );
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (stop, stopped) = mpsc::channel(1);
        let (publish, status) = watch::channel(core.status());
        let account = core.account();
        let task = Task {
            core,
            client,
            store,
            inbox,
            publish,
            watchers: HashMap::new(),
            clock: Clock::start(),
        };
        tokio::spawn(task.run(stopped));
        Ok(Self {
            account,
            commands,
            status,
            stop,
        })
    }
}

/// Milliseconds since 1970 that never go back, whatever happens to the system's clock.
struct Clock {
    origin: Instant,
    at_origin: u64,
}

impl Clock {
    fn start() -> Self {
        // A system's clock that is set before 1970 counts as 1970.
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            origin: Instant::now(),
            at_origin: milliseconds(since),
        }
    }

    fn now(&self) -> u64 {
        self.at_origin
            .saturating_add(milliseconds(self.origin.elapsed()))
    }

    fn instant(&self, time: u64) -> Instant {
        // A day bounds the sum; the core is asked again then.
        let wait = Duration::from_millis(time.saturating_sub(self.at_origin))
            .min(self.origin.elapsed() + DAY);
        self.origin + wait
    }
}

const DAY: Duration = Duration::from_secs(86_400);

#[expect(clippy::expect_used, reason = "a clock does not reach it")]
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("invariant: a time is below 584 million years")
}

struct Task {
    core: Core<LocalSigner>,
    client: Client,
    store: Arc<dyn IntentStore>,
    inbox: mpsc::Receiver<Command>,
    publish: watch::Sender<super::status::Status>,
    watchers: HashMap<IntentId, watch::Sender<Option<State>>>,
    clock: Clock,
}

impl Task {
    async fn run(mut self, mut stopped: mpsc::Receiver<()>) {
        // Dropping `work` at an await is a crash as far as the records go: they are written before
        // what follows.
        tokio::select! {
            _ = stopped.recv() => (),
            () = self.work() => (),
        }
    }

    /// Works until all handles are gone.
    async fn work(&mut self) {
        loop {
            while let Some(action) = self.core.next(self.clock.now()) {
                let event = self.perform(action).await;
                self.core.handle(self.clock.now(), event);
                while let Ok(command) = self.inbox.try_recv() {
                    self.obey(command);
                }
                self.publish.send_replace(self.core.status());
            }
            tokio::select! {
                command = self.inbox.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                () = sleep_until(self.clock.instant(self.core.wake_at())) => (),
            }
        }
    }

    fn obey(&mut self, command: Command) {
        let Command::Submit {
            intent,
            again,
            reply,
        } = command;
        // An error says that nobody waits for the reply.
        reply.send(self.submit(intent, again)).ok();
    }

    fn submit(&mut self, intent: Intent, again: bool) -> Result<Watched, SubmitError> {
        let id = intent.id.clone();
        self.core.submit(intent, again)?;
        let state = self.core.state(&id).cloned();
        match self.watchers.get(&id) {
            Some(watcher) => Ok(watcher.subscribe()),
            None => Ok(self.follow(id, state)),
        }
    }

    fn follow(&mut self, id: IntentId, state: Option<State>) -> Watched {
        let done = state.as_ref().is_some_and(State::is_done);
        let (watcher, states) = watch::channel(state);
        if !done {
            self.watchers.insert(id, watcher);
        }
        states
    }

    async fn perform(&mut self, action: Action) -> Event {
        let outcome = match action {
            Action::Write(record) => return self.write(&record),
            Action::Remove(id) => return stored(self.store.remove(&id)),
            Action::Look => self.look().await.map(Event::Looked),
            Action::Locate(id, hashes) => self
                .locate(hashes)
                .await
                .map(|found| Event::Located(id, found)),
            Action::Preflight(id, call) => estimate_outcome(self.client.estimate(&call).await)
                .map(|estimate| Event::Estimated(id, estimate)),
            Action::Broadcast(id, raw) => broadcast_outcome(self.client.broadcast(&raw).await)
                .map(|outcome| Event::Broadcast(id, outcome)),
        };
        outcome.unwrap_or_else(|error| Event::Failed(error.to_string()))
    }

    /// Writes a record, then shows it to those who follow it.
    fn write(&mut self, record: &super::intent::Record) -> Event {
        let written = self.store.put(record);
        if written.is_ok() {
            self.show(&record.intent.id, &record.state);
        }
        stored(written)
    }

    fn show(&mut self, id: &IntentId, state: &State) {
        if let Some(watcher) = self.watchers.get(id) {
            watcher.send_replace(Some(state.clone()));
        }
        if state.is_done() {
            self.watchers.remove(id);
        }
    }

    async fn look(&self) -> Result<View, RpcError> {
        let account = self.core.account();
        let head = self.client.head().await?;
        let nonce = self.client.nonce(account).await?;
        let balance = self.client.balance(account).await?;
        Ok(View {
            head,
            tip: self.client.tip().await?,
            nonce,
            balance,
        })
    }

    async fn locate(&self, hashes: Vec<B256>) -> Result<Option<Inclusion>, RpcError> {
        for hash in hashes {
            if let Some(inclusion) = self.client.receipt(hash).await?.and_then(inclusion) {
                return Ok(Some(inclusion));
            }
        }
        Ok(None)
    }
}

fn stored(outcome: Result<(), StoreError>) -> Event {
    outcome.map_or_else(
        |error| Event::NotStored(error.to_string()),
        |()| Event::Stored,
    )
}

/// A receipt without a block is of a transaction that is not in the chain.
fn inclusion(receipt: TransactionReceipt) -> Option<Inclusion> {
    Some(Inclusion {
        tx: receipt.transaction_hash,
        block: receipt.block_number?,
        block_hash: receipt.block_hash?,
        success: receipt.status(),
        contract: receipt.contract_address,
        gas_used: receipt.gas_used,
    })
}

/// Keeps failures of the connection apart from what the chain says.
fn estimate_outcome(
    estimate: Result<u64, RpcError>,
) -> Result<Result<u64, EstimateError>, RpcError> {
    match estimate {
        Ok(gas) => Ok(Ok(gas)),
        Err(RpcError::Reverted { revert, .. }) => Ok(Err(EstimateError::Revert(revert))),
        Err(RpcError::Refused { message, .. }) => Ok(Err(EstimateError::Other(message))),
        Err(error) => Err(error),
    }
}

fn broadcast_outcome(sent: Result<B256, RpcError>) -> Result<BroadcastOutcome, RpcError> {
    match sent {
        Ok(_) => Ok(BroadcastOutcome::Known),
        Err(error) if error.is_transient() => Err(error),
        Err(error) => Ok(BroadcastOutcome::read(&error.cause())),
    }
}
