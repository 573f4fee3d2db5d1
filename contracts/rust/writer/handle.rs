//! What callers hold: the writer's handle and a ticket per intent.

use alloy::primitives::Address;
use alloy::sol_types::SolError;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use super::intent::{Inclusion, Intent, IntentId, State, SubmitError};
use super::status::Status;
use crate::client::Revert;

/// Why an intent is not in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TicketError {
    /// It would revert, and was not sent.
    #[error("{id} was not sent because it would revert: {revert}")]
    Refused {
        /// The intent.
        id: IntentId,
        /// Why.
        revert: Revert,
    },
    /// It was mined and reverted.
    #[error("{id} was mined in block {} as {} and reverted", .inclusion.block, .inclusion.tx)]
    Reverted {
        /// The intent.
        id: IntentId,
        /// Where.
        inclusion: Box<Inclusion>,
    },
    /// The writer has ended.
    #[error("the writer has stopped while {0} was under way; it goes on when it starts again")]
    Stopped(IntentId),
}

impl TicketError {
    /// True if it was not sent because the contract would refuse it with the error `E` of its
    /// bindings.
    pub fn is_refused_with<E: SolError>(&self) -> bool {
        matches!(self, Self::Refused { revert, .. } if revert.decode::<E>().is_some())
    }
}

/// What the handle asks of the writer's task.
pub(super) enum Command {
    Submit {
        intent: Intent,
        again: bool,
        reply: oneshot::Sender<Result<Watched, SubmitError>>,
    },
}

/// A state as the store has it; `None` until it has one.
pub(super) type Watched = watch::Receiver<Option<State>>;

/// The handle of a writer. Clones share it; the task ends when all are gone, or by
/// [`Writer::stop`].
#[derive(Clone, Debug)]
pub struct Writer {
    pub(super) account: Address,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) status: watch::Receiver<Status>,
    pub(super) stop: mpsc::Sender<()>,
}

impl Writer {
    /// Takes an intent and returns when the store has it. One that is known already keeps its
    /// outcome.
    ///
    /// # Errors
    /// [`SubmitError`] if it is malformed, differs from the known one of its name, too many wait,
    /// or the writer ended.
    pub async fn submit(&self, intent: Intent) -> Result<Ticket, SubmitError> {
        self.command(intent, false).await
    }

    /// As [`Writer::submit`], but an intent that was refused, or was mined and reverted for good,
    /// is tried once more.
    ///
    /// # Errors
    /// As [`Writer::submit`].
    pub async fn retry(&self, intent: Intent) -> Result<Ticket, SubmitError> {
        self.command(intent, true).await
    }

    async fn command(&self, intent: Intent, again: bool) -> Result<Ticket, SubmitError> {
        let (reply, answer) = oneshot::channel();
        let id = intent.id.clone();
        self.commands
            .send(Command::Submit {
                intent,
                again,
                reply,
            })
            .await
            .map_err(|_| SubmitError::Stopped)?;
        let mut states = answer.await.map_err(|_| SubmitError::Stopped)??;
        states
            .wait_for(Option::is_some)
            .await
            .map_err(|_| SubmitError::Stopped)?;
        Ok(Ticket { id, states })
    }

    /// The account that sends.
    pub fn account(&self) -> Address {
        self.account
    }

    /// The writer at this moment.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// The writer at every moment.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Ends the writer's task and returns when it has ended. What is under way goes on at the next
    /// start.
    pub async fn stop(&self) {
        // An error says that the task has ended, or is asked to, already.
        self.stop.try_send(()).ok();
        self.commands.closed().await;
    }
}

/// Follows one intent.
#[derive(Clone, Debug)]
pub struct Ticket {
    id: IntentId,
    states: Watched,
}

impl Ticket {
    /// The intent.
    pub fn id(&self) -> &IntentId {
        &self.id
    }

    /// How far it has come, as the store has it.
    #[expect(clippy::expect_used, reason = "`Writer::submit` waits for the store")]
    pub fn state(&self) -> State {
        self.states
            .borrow()
            .clone()
            .expect("invariant: the store has the intent before there is a ticket of it")
    }

    /// Waits until it is in a block, which may still leave the chain.
    ///
    /// # Errors
    /// [`TicketError`] if it would revert, has reverted, or the writer ended.
    pub async fn included(&self) -> Result<Inclusion, TicketError> {
        self.reach(|state| state.is_done() || state.inclusion().is_some())
            .await
    }

    /// Waits until its block is as deep as was asked.
    ///
    /// # Errors
    /// [`TicketError`] if it would revert, has reverted, or the writer ended.
    pub async fn finalised(&self) -> Result<Inclusion, TicketError> {
        self.reach(State::is_done).await
    }

    async fn reach(&self, there: impl Fn(&State) -> bool) -> Result<Inclusion, TicketError> {
        let mut states = self.states.clone();
        let state = match states
            .wait_for(|state| state.as_ref().is_some_and(&there))
            .await
        {
            Ok(state) => state.clone(),
            Err(_) => None,
        };
        let id = self.id.clone();
        match state {
            Some(State::Refused(revert)) => Err(TicketError::Refused { id, revert }),
            Some(State::Included(_, inclusion) | State::Final(_, inclusion)) => {
                match inclusion.success {
                    true => Ok(inclusion),
                    false => Err(TicketError::Reverted {
                        id,
                        inclusion: inclusion.into(),
                    }),
                }
            }
            Some(State::Queued | State::Sent(_)) | None => Err(TicketError::Stopped(id)),
        }
    }
}
