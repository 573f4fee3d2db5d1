//! The node's rewards: a settling node beside the round core, on a chain of its own pace.
//!
//! ```text
//! decided rounds, votes, tables ─▶ Settling ─▶ task: connect ─▶ swarm_settle::Node ─▶ chain
//!        votes to publish, tables and rounds to fetch, warnings, status ◀──┘
//! ```
//! A chain that is away stops nothing. What waits for it is bounded: decided rounds that found no
//! room are told again when the settling node asks for them, from the results on disk.

use std::collections::VecDeque;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use contracts::deploy::Deployment;
use contracts::swarm::Swarm;
use contracts::writer::Writer;
use contracts::{B256, PrivateKeySigner};
use swarm_files::whole::{Access, Reserved};
use swarm_identity::{NodeKey, Signer};
use swarm_net::Reply;
use swarm_round::clock::Round;
use swarm_round::codec;
use swarm_round::{DecidedRound, SwarmConfig};
use swarm_settle::chain::{ChainConfig, Endpoint, Link, StoredIntents, patiently};
use swarm_settle::node::store::SettleStore;
use swarm_settle::node::{Node, NodeEvent, NodeMessage, NodeParts, NodeStatus};
use swarm_settle::settlement::attestation::Attestation;
use swarm_settle::settlement::records::RoundRecord;
use swarm_settle::settlement::schedule::Schedule;
use swarm_settle::settlement::settler::Policy;
use swarm_settle::tokens::token_text;
use swarm_store::{Chain, Store};
use thiserror::Error;
use tokio::sync::{mpsc, watch};

use super::query::Answer;
use super::status::{EpochLine, Rewards};

/// Messages that wait for the settling node, and events of it that wait for this one.
const QUEUE: usize = 1024;
/// Peers that wait for a table.
const MAX_ASKERS: usize = 16;
/// Rounds that are told again at once.
const MAX_TOLD: usize = 256;
/// Between two attempts to reach a chain that does not answer.
const RETRY: Duration = Duration::from_secs(5);
/// Most bytes of what is kept of a round: the points of the largest swarm.
const MAX_RESULT: usize = 1 << 20;

/// Why a deployment is of no use to a swarm.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SettlingError {
    /// It is another swarm's.
    #[error(
        "the swarm settles on `{swarm}`, and the deployment is of `{deployment}`; give the \
         deployment file of this swarm with --deployment FILE"
    )]
    Other {
        /// What the swarm's file says.
        swarm: String,
        /// What the deployment is.
        deployment: String,
    },
    /// Its rounds are others.
    #[error(
        "the contracts count rounds of {chain_s} s from {chain_genesis_s}, and the swarm has rounds \
         of {swarm_ms} ms from {swarm_genesis_ms} ms; make the swarm's file anew with `swarm-node \
         swarm new --deployment FILE`"
    )]
    Rounds {
        /// Start of round 0 by the contracts, in seconds since 1970.
        chain_genesis_s: u64,
        /// Seconds of a round by the contracts.
        chain_s: u64,
        /// Start of round 0 by the swarm's file, in milliseconds since 1970.
        swarm_genesis_ms: u64,
        /// Milliseconds of a round by the swarm's file.
        swarm_ms: u64,
    },
}

/// What a swarm's file says of a deployment: chain and contract.
pub fn settlement_name(deployment: &Deployment) -> String {
    format!("{}:{}", deployment.chain.id, deployment.contracts.rewards)
}

/// Writes a deployment into a node's folder, in the place of one that is there.
///
/// # Errors
/// The system refuses.
pub fn save(deployment: &Deployment, path: &Path) -> io::Result<()> {
    let text = deployment.to_text().map_err(io::Error::other)?;
    Reserved::new(path, Access::Umask, text.len())?.replace(text.as_bytes())
}

/// Checks that a deployment settles this swarm.
///
/// # Errors
/// [`SettlingError`].
pub fn check(deployment: &Deployment, swarm: &SwarmConfig) -> Result<(), SettlingError> {
    let name = settlement_name(deployment);
    if !name.eq_ignore_ascii_case(&swarm.settlement) {
        return Err(SettlingError::Other {
            swarm: swarm.settlement.clone(),
            deployment: name,
        });
    }
    let parameters = &deployment.parameters;
    let swarm_ms = swarm.windows.round_ms();
    let is_same = parameters.genesis.checked_mul(1000) == Some(swarm.genesis_ms)
        && parameters.round_length.checked_mul(1000) == Some(swarm_ms);
    match is_same {
        true => Ok(()),
        false => Err(SettlingError::Rounds {
            chain_genesis_s: parameters.genesis,
            chain_s: parameters.round_length,
            swarm_genesis_ms: swarm.genesis_ms,
            swarm_ms,
        }),
    }
}

/// The results of decided rounds on disk: what they are worth to whom. Clones are the same.
#[derive(Clone, Debug)]
pub struct Results(swarm_store::Archive);

impl Results {
    /// The results of a store.
    pub fn new(results: swarm_store::Archive) -> Self {
        Self(results)
    }

    /// Keeps what a round came to; it is on disk once the next signature is.
    ///
    /// # Errors
    /// In words: the store fails, or the round has more members than any.
    pub fn put(&self, decided: &DecidedRound) -> Result<(), String> {
        let record = record(decided);
        let bytes = codec::encode_within::<_, MAX_RESULT>(&record);
        let bytes = bytes.map_err(|error| error.to_string())?;
        let kept = self.0.put(decided.round(), &bytes);
        kept.map_err(|error| error.to_string())
    }

    /// Forgets all but the newest rounds.
    ///
    /// # Errors
    /// In words: the store fails.
    pub fn prune(&self, keep: u64) -> Result<(), String> {
        self.0.prune(keep).map_err(|error| error.to_string())
    }

    /// The results of rounds, at most so many; one that cannot be read is left out.
    fn range(&self, rounds: &RangeInclusive<Round>, most: usize) -> Vec<RoundRecord> {
        let found = self.0.range(*rounds.start(), most, usize::MAX);
        let found = found.inspect_err(|error| tracing::warn!(%error, "results cannot be read"));
        let wanted = found.into_iter().flatten();
        let wanted = wanted.filter(|(round, _)| rounds.contains(round));
        let read = wanted.filter_map(|(round, bytes)| {
            let result = codec::decode_within::<_, MAX_RESULT>(&bytes);
            result
                .inspect_err(|error| tracing::warn!(round, %error, "a result is damaged"))
                .ok()
        });
        read.collect()
    }
}

fn record(decided: &DecidedRound) -> RoundRecord {
    RoundRecord::new(
        decided.round(),
        decided.certificate.minutes,
        &decided.result,
    )
}

/// What a settling node is made of.
pub struct SettlingParts {
    /// The settings of the chain.
    pub chain: ChainConfig,
    /// The swarm's contracts.
    pub deployment: Deployment,
    /// The owner's account.
    pub wallet: PrivateKeySigner,
    /// The node's key.
    pub key: NodeKey,
    /// The node's store.
    pub store: Store,
    /// What the owner decides.
    pub policy: Policy,
    /// Results of decided rounds.
    pub results: Results,
    /// Where the writer is shown once there is one, as an account has one alone.
    pub shown: watch::Sender<Option<Writer>>,
}

/// The settling node, seen from the node.
pub struct Settling {
    tell: mpsc::Sender<NodeMessage>,
    results: Results,
    /// Peers that wait for a table, by number.
    askers: VecDeque<(u64, Reply)>,
    next_asker: u64,
    rewards: Rewards,
}

/// What the settling node wants of its surroundings, beside what [`Settling`] does itself.
#[derive(Debug)]
pub enum Wanted {
    /// Publish these bytes.
    Publish(Vec<u8>),
    /// Ask peers for the table with this root.
    Table(B256),
    /// Somebody should know.
    Trouble(String),
    /// The owner was paid.
    Paid,
}

impl Settling {
    /// Starts the settling node on the present runtime.
    pub fn start(parts: SettlingParts) -> (Self, mpsc::Receiver<NodeEvent>) {
        let (tell, inbox) = mpsc::channel(QUEUE);
        let (out, events) = mpsc::channel(QUEUE);
        let settling = Self {
            tell,
            results: parts.results.clone(),
            askers: VecDeque::new(),
            next_asker: 0,
            rewards: Rewards {
                contract: settlement_name(&parts.deployment),
                owner: parts.wallet.address().to_string(),
                is_connected: false,
                earned: token_text(0),
                paid: token_text(0),
                epochs: Vec::new(),
            },
        };
        tokio::spawn(live(parts, inbox, out));
        (settling, events)
    }

    /// How the rewards stand.
    pub fn rewards(&self) -> &Rewards {
        &self.rewards
    }

    /// A round is decided.
    pub fn decided(&self, decided: &DecidedRound) {
        // Without room it is told when it is asked for.
        let _ = self.tell.try_send(NodeMessage::Decided(record(decided)));
    }

    /// A member's vote came.
    pub fn vote(&self, attestation: Attestation) {
        // Members repeat their votes.
        let _ = self.tell.try_send(NodeMessage::Attestation(attestation));
    }

    /// A table came.
    pub fn table(&self, bytes: Vec<u8>) {
        // Without room it is asked for again.
        let _ = self.tell.try_send(NodeMessage::Table(bytes));
    }

    /// A peer wants the table with this root. The one who waits longest is let go when too many do.
    pub fn asked(&mut self, root: B256, reply: Reply) {
        let asker = self.next_asker;
        self.next_asker = self.next_asker.wrapping_add(1);
        let message = NodeMessage::TableWanted { root, asker };
        if self.tell.try_send(message).is_ok() {
            self.askers.push_back((asker, reply));
        }
        if self.askers.len() > MAX_ASKERS {
            self.askers.pop_front();
        }
    }

    /// What the settling node says: done here, or wanted of the node.
    pub fn heard(
        &mut self,
        event: NodeEvent,
        offer: impl FnOnce(&[u8]) -> Answer,
    ) -> Option<Wanted> {
        match event {
            NodeEvent::Publish(attestation) => {
                return Some(Wanted::Publish(attestation.to_bytes()));
            }
            NodeEvent::FetchTable(root) => return Some(Wanted::Table(root)),
            NodeEvent::Warning(text) => return Some(Wanted::Trouble(format!("rewards: {text}"))),
            NodeEvent::FetchRounds(wanted) => self.tell_again(&wanted),
            NodeEvent::Table { asker, bytes } => self.answer(asker, &offer(&bytes)),
            NodeEvent::Status(status) => return self.note(&status),
        }
        None
    }

    /// Rounds that are not decided here yet come when they are.
    fn tell_again(&self, wanted: &[RangeInclusive<Round>]) {
        let mut room = MAX_TOLD.min(self.tell.capacity());
        for range in wanted {
            for record in self.results.range(range, room) {
                room -= 1;
                // There is room: this task alone sends.
                let _ = self.tell.try_send(NodeMessage::Decided(record));
            }
        }
    }

    fn answer(&mut self, asker: u64, answer: &Answer) {
        let waits = self.askers.iter().position(|(number, _)| *number == asker);
        let reply = waits.and_then(|at| self.askers.remove(at));
        if let (Some((_, reply)), Ok(bytes)) = (reply, answer.to_bytes()) {
            reply.send(bytes);
        }
    }

    fn note(&mut self, status: &NodeStatus) -> Option<Wanted> {
        let NodeStatus { epochs, account } = status;
        let before = self.rewards.paid.clone();
        self.rewards.is_connected = true;
        self.rewards.earned = token_text(account.earned);
        self.rewards.paid = token_text(account.taken);
        let epochs = epochs.iter().map(|at| EpochLine {
            epoch: at.epoch,
            phase: at.phase,
            rounds: at.rounds,
            points: u64::try_from(at.points).unwrap_or(u64::MAX),
        });
        self.rewards.epochs = epochs.collect();
        (self.rewards.paid != before).then_some(Wanted::Paid)
    }
}

/// Why there is no settlement.
#[derive(Debug, Error)]
enum OpenError {
    #[error(transparent)]
    Link(#[from] swarm_settle::chain::LinkError),
    #[error(transparent)]
    Contracts(#[from] contracts::client::ConnectError),
    #[error(transparent)]
    Rpc(#[from] contracts::client::RpcError),
    #[error("the settings name no chain: chain.endpoint is the URL of an RPC server")]
    NoChain,
    #[error(
        "the chain's server has no block 0, by which chains with one id are told apart; take one \
         that keeps the whole chain"
    )]
    NoFirstBlock,
    #[error("what was sent before cannot be read: {0}")]
    Intents(#[from] contracts::writer::StoreError),
    #[error("the node's key cannot sign")]
    Key,
}

impl OpenError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Link(error) => error.is_transient(),
            Self::Contracts(error) => {
                matches!(error, contracts::client::ConnectError::Dead { .. })
            }
            Self::Rpc(error) => error.is_transient(),
            _ => false,
        }
    }
}

/// Connects, however long that takes, and settles until nobody listens any more.
async fn live(
    parts: SettlingParts,
    mut inbox: mpsc::Receiver<NodeMessage>,
    out: mpsc::Sender<NodeEvent>,
) {
    let mut said = String::new();
    let (node, tell, messages) = loop {
        match open(&parts, &out).await {
            Ok(opened) => break opened,
            Err(error) => {
                let text = match error.is_transient() {
                    true => format!("{error}; rounds go on, and are settled when it answers"),
                    false => format!("nothing is settled: {error}"),
                };
                if said != text && out.send(NodeEvent::Warning(text.clone())).await.is_err() {
                    return;
                }
                said = text;
                if !error.is_transient() {
                    return;
                }
            }
        }
        tokio::time::sleep(RETRY).await;
    };
    tokio::spawn(node.run(messages));
    while let Some(message) = inbox.recv().await {
        if tell.send(message).await.is_err() {
            return;
        }
    }
}

type Opened = (
    Node<swarm_store::SignOnceTable>,
    mpsc::Sender<NodeMessage>,
    mpsc::Receiver<NodeMessage>,
);

async fn open(parts: &SettlingParts, out: &mpsc::Sender<NodeEvent>) -> Result<Opened, OpenError> {
    let Deployment {
        parameters,
        contracts: places,
        ..
    } = &parts.deployment;
    let chain = chain_config(&parts.chain, &parts.deployment);
    let link = Link::connect(&chain, parameters.genesis).await?;
    let link = link.ok_or(OpenError::NoChain)?;
    parts.deployment.check(&link.client).await?;
    let first = patiently(|| link.client.block(0)).await?;
    let first = first.ok_or(OpenError::NoFirstBlock)?;
    let chain = Chain {
        id: link.client.chain_id(),
        genesis: first.hash.0,
    };
    let intents = StoredIntents::new(&parts.store, chain, parts.wallet.address().into());
    let writer = Writer::start(
        link.client.clone(),
        parts.wallet.clone(),
        std::sync::Arc::new(intents),
        link.writer(),
    )?;
    parts.shown.send_replace(Some(writer.clone()));
    let store = SettleStore::new(&parts.store, chain, places.rewards.into());
    let node = NodeParts {
        signer: Signer::new(parts.key.clone(), parts.store.sign_once()),
        schedule: Schedule::from(parameters),
        policy: parts.policy,
        swarm: Swarm::new(link.client.clone(), places.into()),
        link,
        first_block: places.block,
        writer,
        store: Some(store),
    };
    Node::new(node, out.clone()).ok_or(OpenError::Key)
}

/// The settings' chain, or the deployment's where they name none.
pub(super) fn chain_config(settings: &ChainConfig, deployment: &Deployment) -> ChainConfig {
    let own = !matches!(Endpoint::of(settings), Ok(Endpoint::Embedded));
    let endpoint = match deployment.chain.rpc.as_deref() {
        Some(rpc) if !own => rpc.into(),
        _ if own => settings.endpoint.clone(),
        _ => "none".into(),
    };
    let confirmations = match settings.confirmations {
        ..0 => i64::try_from(deployment.chain.confirmations).unwrap_or(i64::MAX),
        own => own,
    };
    ChainConfig {
        endpoint,
        id: deployment.chain.id,
        confirmations,
        poll_ms: deployment.chain.poll_ms,
        ..settings.clone()
    }
}
