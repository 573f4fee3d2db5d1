//! The transactions of a node: from what the core wants to calls, and what becomes of them.

use contracts::bindings::SwarmRewards::{
    BadEarningsProof, EpochFinal, NotPending, NothingOwed, OutcomePending, SeedNotReady,
    WrongEpoch, WrongPhase, WrongSince,
};
use contracts::bindings::SwarmSlasher::{AlreadySlashed, NothingToSlash};
use contracts::client::RpcError;
use contracts::swarm::{Phase, Swarm, calls};
use contracts::writer::{Intent, IntentId, SubmitError, TicketError, Writer};
use contracts::{Address, Bytes, U256};
use swarm_identity::digest::{Digest32, hex};
use tokio::sync::mpsc;

use super::message::NodeMessage;
use crate::settlement::event::{Action, Transaction};

/// Hexadecimal digits that tell one node's transactions on one contract from those of others.
const NAME_DIGITS: usize = 16;

/// Sends one node's transactions and tells it of those that do not happen.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) swarm: Swarm,
    pub(super) writer: Writer,
    /// To the node.
    pub(super) node: mpsc::Sender<NodeMessage>,
    /// Names the node and its contract.
    pub(super) name: Digest32,
}

impl Sender {
    /// Sends a transaction and follows it elsewhere, so that the node waits for nothing.
    pub(super) fn send(&self, action: Action, transaction: Transaction, number: u32) {
        let sender = self.clone();
        tokio::spawn(async move {
            let message = match sender.carry_out(action, transaction, number).await {
                Ok(true) => return,
                Ok(false) => NodeMessage::Unfinished(action),
                Err(Some(error)) => NodeMessage::Refused(action, error),
                // The writer is full or has stopped, or the chain is away: the core waits and
                // tries again. After a restart a number may stand for another call; the next is
                // free.
                Err(None) => NodeMessage::Unfinished(action),
            };
            // The node has ended: nobody needs to know.
            let _ = sender.node.send(message).await;
        });
    }

    /// True if the transaction did what it is for.
    async fn carry_out(
        &self,
        action: Action,
        transaction: Transaction,
        number: u32,
    ) -> Result<bool, Option<TicketError>> {
        if let Transaction::Propose(_) | Transaction::Object(_) = &transaction {
            self.allow_bond(&format!("{action}/{number}")).await?;
        }
        let (to, data) = self.call(transaction).await.map_err(none)?;
        self.submit(&format!("{action}/{number}"), to, data).await?;
        match action {
            // Where the block of the seed was missed, the call only names another.
            Action::Draw(..) => Ok(self.phase().await.map_err(none)? != Some(Phase::Drawing)),
            _ => Ok(true),
        }
    }

    /// The call of a transaction, and the contract that it calls.
    async fn call(&self, transaction: Transaction) -> Result<(Address, Bytes), RpcError> {
        let addresses = self.swarm.addresses();
        let data = match transaction {
            Transaction::FinaliseFast(outcome, votes) => calls::finalise_fast(&outcome, votes),
            Transaction::Propose(outcome) => calls::propose(&outcome),
            Transaction::Object(outcome) => calls::object(outcome.hash()),
            Transaction::Draw(_) => calls::draw(),
            Transaction::Judge(outcome, votes) => calls::judge(&outcome, votes),
            Transaction::Finalise(outcome) => match self.phase().await? {
                Some(Phase::Undecided) => calls::refuse(),
                _ => calls::finalise(&outcome),
            },
            Transaction::Claim(claim) => calls::claim([calls::Claim {
                owner: claim.owner,
                earned: claim.earned,
                proof: claim.proof,
            }]),
            Transaction::Collect => calls::collect(),
            Transaction::SlashContradiction(found) => {
                let [first, second] =
                    [&found.first, &found.second].map(|said| (&said.outcome, said.vote));
                let data = calls::slash_contradiction(first, second);
                return Ok((addresses.slasher, data));
            }
            Transaction::SlashLoser(loser) => {
                let data = calls::slash_losers(&loser.outcome, [loser.vote]);
                return Ok((addresses.slasher, data));
            }
        };
        Ok((addresses.rewards, data))
    }

    async fn phase(&self) -> Result<Option<Phase>, RpcError> {
        Ok(self.swarm.pending().await?.map(|pending| pending.phase))
    }

    /// Lets the contract take bonds, once and for all: it takes one only where its sender proposes
    /// or objects.
    async fn allow_bond(&self, purpose: &str) -> Result<(), Option<TicketError>> {
        let rewards = self.swarm.addresses().rewards;
        let account = self.writer.account();
        let allowed = self.swarm.allowance(account, rewards).await.map_err(none)?;
        if allowed > U256::MAX / U256::from(2) {
            return Ok(());
        }
        let data = calls::approve(rewards, U256::MAX);
        self.submit(
            &format!("allow/{purpose}"),
            self.swarm.addresses().token,
            data,
        )
        .await
    }

    /// Submits a call and waits until it is final.
    async fn submit(
        &self,
        what: &str,
        to: Address,
        data: Bytes,
    ) -> Result<(), Option<TicketError>> {
        let ticket = self
            .writer
            .submit(Intent::call(self.id(what), to, data))
            .await
            .map_err(|_: SubmitError| None)?;
        ticket.included().await.map_err(Some)?;
        ticket.finalised().await.map_err(Some)?;
        Ok(())
    }

    #[expect(
        clippy::expect_used,
        reason = "these parts are short and visible ASCII"
    )]
    fn id(&self, what: &str) -> IntentId {
        let name = hex(&self.name);
        IntentId::new(format!("{what}/{}", &name[..NAME_DIGITS]))
            .expect("invariant: the parts make an intent's id")
    }
}

fn none<E>(_: E) -> Option<TicketError> {
    None
}

/// True if somebody else was faster, or time was: that is how it should be, and no news.
pub(super) fn is_overtaken(error: &TicketError) -> bool {
    error.is_refused_with::<EpochFinal>()
        || error.is_refused_with::<WrongSince>()
        || error.is_refused_with::<WrongEpoch>()
        || error.is_refused_with::<WrongPhase>()
        || error.is_refused_with::<NotPending>()
        || error.is_refused_with::<OutcomePending>()
        || error.is_refused_with::<SeedNotReady>()
        // Of a claim: a newer outcome became final meanwhile, and the next claim proves it.
        || error.is_refused_with::<BadEarningsProof>()
        // Collected by hand, or a reorganisation has taken the credit back.
        || error.is_refused_with::<NothingOwed>()
        || error.is_refused_with::<AlreadySlashed>()
        || error.is_refused_with::<NothingToSlash>()
}
