//! Peers by the swarm's chain: who is to be found where, and what this node says of itself.
//!
//! ```text
//! deployment, RPC ─▶ task: connect ─▶ reader ─▶ Announcements ─ a few at random ─▶ network
//!                             store ◀───┘             │ this node's own word
//!  network: addresses that others reached ─▶ Announcer ┴─ due? ─▶ the owner's writer ─▶ SwarmMembers
//! ```
//! Reading costs nothing and needs no account. Writing costs the owner gas, so it is off unless a
//! period is set, and happens when the addresses have changed and at most once in a period: the
//! name of the transaction is that of its period, so that a restart cannot pay twice. A chain that
//! is away, or that lies, costs calls that fail.

use std::convert::Infallible;
use std::time::Duration;

use contracts::Bytes;
use contracts::client::{ConnectError, RpcError};
use contracts::deploy::Deployment;
use contracts::swarm::calls;
use contracts::typed;
use contracts::writer::{Intent, IntentId, SubmitError, Writer};
use swarm_identity::PeerId;
use swarm_net::announcement::{self, Scope};
use swarm_net::{Handle, Multiaddr, Source};
use swarm_settle::announcement_reader::{AnnouncementReader, Reading};
use swarm_settle::announcements::Announcements;
use swarm_settle::chain::{ChainConfig, DEV_CHAINS, Link, LinkError, wall_clock};
use swarm_store::{Chain, Cursors, Store};
use thiserror::Error;
use tokio::sync::watch;

use super::board::Board;
use super::event::{Happening, NodeEvent};
use super::settling::chain_config;
use super::time;

/// Nodes that are drawn at one look.
const DRAWN: usize = 32;
/// Looks at the chain, in its own looks for transactions, and the bounds of the time between two.
const LOOKS: u32 = 20;
const LOOK_SOONEST: Duration = Duration::from_secs(1);
const LOOK_LATEST: Duration = Duration::from_secs(60);
/// Between two attempts to reach a chain that does not answer.
const RETRY: Duration = Duration::from_secs(15);
/// How long a node's addresses must be the same before they are worth a transaction, in seconds:
/// those of both transports are found out within a few.
const STEADY: u64 = 15;

/// What the task is made of.
pub struct AnnouncingParts {
    /// The settings of the chain.
    pub chain: ChainConfig,
    /// The swarm's contracts.
    pub deployment: Deployment,
    /// This node.
    pub peer: PeerId,
    /// The network.
    pub network: Handle,
    /// Where what happens is shown.
    pub board: Board,
    /// Seconds between two announcements at least; `None` announces nothing.
    pub period: Option<u64>,
    /// The node's store, in which it is kept how far the chain was read.
    pub store: Store,
    /// The writer of the owner's account, once there is one.
    pub writer: watch::Receiver<Option<Writer>>,
}

/// Why the chain tells nothing.
#[derive(Debug, Error)]
enum ReadError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Contracts(#[from] ConnectError),
    #[error(transparent)]
    Rpc(#[from] RpcError),
    #[error("the RPC server does not give block 0; choose another with chain.endpoint")]
    NoFirstBlock,
    #[error("no chain is set: chain.endpoint is the URL of an RPC server")]
    NoChain,
}

/// What was read so far, through outages of the chain.
struct Read {
    reader: AnnouncementReader,
    /// Where it is kept; none before the chain has answered.
    kept: Option<Cursors<Reading>>,
    announcer: Announcer,
    /// Why the chain tells nothing, as it was told last.
    trouble: Option<String>,
}

/// Looks for peers on the chain until the process ends.
pub async fn run(parts: AnnouncingParts) {
    let contracts = &parts.deployment.contracts;
    let mut read = Read {
        reader: AnnouncementReader::new(contracts.members, contracts.block, None),
        kept: None,
        announcer: Announcer::new(parts.period),
        trouble: None,
    };
    loop {
        let Err(error) = live(&parts, &mut read).await;
        if matches!(error, ReadError::NoChain) {
            return;
        }
        let reason = error.to_string();
        if read.trouble.as_ref() != Some(&reason) {
            read.trouble = Some(reason.clone());
            let what = "looking for peers on the chain".into();
            show(&parts.board, NodeEvent::Unavailable { what, reason });
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn show(board: &Board, event: NodeEvent) {
    let at_ms = time::wall_clock();
    board.show(Happening { at_ms, event });
}

async fn live(parts: &AnnouncingParts, read: &mut Read) -> Result<Infallible, ReadError> {
    let config = chain_config(&parts.chain, &parts.deployment);
    let link = Link::connect(&config, parts.deployment.parameters.genesis).await?;
    let link = link.ok_or(ReadError::NoChain)?;
    parts.deployment.check(&link.client).await?;
    if read.kept.is_none() {
        resume(parts, read, &link).await?;
    }
    let scope = match DEV_CHAINS.contains(&link.client.chain_id()) {
        true => Scope::Everywhere,
        false => Scope::Internet,
    };
    let pause = (link.poll * LOOKS).clamp(LOOK_SOONEST, LOOK_LATEST);
    loop {
        let batch = read.reader.cursor().poll(&link.client).await?;
        let is_at_head = read.reader.take(&batch);
        if let (Some(reading), Some(kept)) = (read.reader.to_write(is_at_head), &read.kept)
            && let Err(error) = kept.put(reading)
        {
            tracing::warn!(%error, "how far announcements were read is not kept");
        }
        if !is_at_head {
            continue;
        }
        read.trouble = None;
        let found = draw(read.reader.table(), parts.peer, scope);
        parts.network.offer(Source::Chain, found).await;
        announce(parts, read, scope, &link).await?;
        tokio::time::sleep(pause).await;
    }
}

/// Goes on where an earlier run ended, on the same chain.
async fn resume(parts: &AnnouncingParts, read: &mut Read, link: &Link) -> Result<(), ReadError> {
    let first = link.client.block(0).await?.ok_or(ReadError::NoFirstBlock)?;
    let chain = Chain {
        id: link.client.chain_id(),
        genesis: first.hash.0,
    };
    let contracts = &parts.deployment.contracts;
    let kept = parts.store.cursors(chain, contracts.members.into());
    let before = kept.get().unwrap_or_else(|error| {
        tracing::warn!(%error, "announcements are read from the contract's first block");
        None
    });
    read.reader = AnnouncementReader::new(contracts.members, contracts.block, before);
    read.kept = Some(kept);
    Ok(())
}

/// Addresses of a few other nodes.
fn draw(table: &Announcements, me: PeerId, scope: Scope) -> Vec<Multiaddr> {
    let random = || {
        let mut at = [0; 20];
        // Without random numbers of the system the first nodes are drawn.
        let _ = getrandom::fill(&mut at);
        at
    };
    let drawn = table.draw(DRAWN, random).into_iter();
    let others = drawn.filter(|said| said.key != me.0);
    // The two best of each, so that all fit into one offer.
    let addresses = others.flat_map(|said| {
        let found = announcement::parse(&said.addresses, PeerId(said.key), scope);
        found.into_iter().take(2)
    });
    addresses.collect()
}

/// Says where this node is, if that is due.
async fn announce(
    parts: &AnnouncingParts,
    read: &mut Read,
    scope: Scope,
    link: &Link,
) -> Result<(), ReadError> {
    let Some(writer) = parts.writer.borrow().clone() else {
        return Ok(());
    };
    let (Some(node), Some(key)) = (
        typed::address(&parts.peer.0),
        typed::uncompressed(&parts.peer.0),
    ) else {
        return Ok(());
    };
    let own = announcement::to_text(&parts.network.reachable_at(), scope);
    let last = match read.reader.table().of(&node) {
        None => None,
        Some(said) => {
            let block = link.client.block(said.block).await?;
            let at = block.map_or(0, |block| block.timestamp);
            Some((said.addresses.to_vec(), at))
        }
    };
    let last = last.as_ref().map(|(text, at)| (&text[..], *at));
    let Some(period) = read.announcer.due(&own, last, wall_clock()) else {
        return Ok(());
    };
    let data = calls::announce(&key, own.as_bytes());
    let event = match submit(&writer, format!("announce/{node}/{period}"), parts, data).await {
        Ok(()) => NodeEvent::Announced { addresses: own },
        // The period has its word already, which is on its way.
        Err(SubmitError::Conflict(_)) => return Ok(()),
        Err(error) => NodeEvent::Unavailable {
            what: "announcing this node's addresses on the chain".into(),
            reason: error.to_string(),
        },
    };
    show(&parts.board, event);
    Ok(())
}

async fn submit(
    writer: &Writer,
    name: String,
    parts: &AnnouncingParts,
    data: Bytes,
) -> Result<(), SubmitError> {
    let intent = Intent::call(
        IntentId::new(name)?,
        parts.deployment.contracts.members,
        data,
    );
    // Whether it happens, the next looks at the chain show.
    writer.submit(intent).await.map(drop)
}

/// When a node says where it is; time and the chain are arguments.
#[derive(Clone, Debug)]
struct Announcer {
    period: Option<u64>,
    /// What the node would say, and since when.
    steady: Option<(String, u64)>,
    /// The last period in which something was said, by this run.
    last: Option<u64>,
}

impl Announcer {
    /// One that says something at most once in so many seconds; never, without a period.
    fn new(period: Option<u64>) -> Self {
        Self {
            period: period.filter(|seconds| *seconds > 0),
            steady: None,
            last: None,
        }
    }

    /// The number of the period for which the node's addresses are to be announced, if they are:
    /// they differ from those on the chain (with the time of their block), have been the same for a
    /// while, and a period is over. A node that nobody reaches says nothing: what it said last may
    /// be true again tomorrow.
    fn due(&mut self, own: &str, on_chain: Option<(&[u8], u64)>, now: u64) -> Option<u64> {
        let period = self.period?;
        let since = match &self.steady {
            Some((text, since)) if text == own => *since,
            _ => {
                self.steady = Some((own.to_owned(), now));
                now
            }
        };
        let differs = on_chain.is_none_or(|(text, _)| text != own.as_bytes());
        let is_over = on_chain.is_none_or(|(_, at)| now >= at.saturating_add(period));
        let number = now / period;
        let is_due = !own.is_empty()
            && differs
            && is_over
            && now >= since.saturating_add(STEADY)
            && self.last.is_none_or(|last| last < number);
        is_due.then(|| {
            self.last = Some(number);
            number
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;
    const START: u64 = 500_000 * HOUR;

    #[test]
    fn nothing_is_said_without_a_period_or_without_an_address() {
        for period in [None, Some(0)] {
            let mut off = Announcer::new(period);
            for second in 0..100 {
                assert_eq!(off.due("/ip4/8.8.8.8/tcp/1", None, START + second), None);
            }
        }
        let mut hidden = Announcer::new(Some(HOUR));
        for second in 0..100 {
            assert_eq!(hidden.due("", Some((b"old", 0)), START + second), None);
        }
    }

    #[test]
    fn what_has_changed_and_is_steady_is_said_once_in_a_period() {
        let mut announcer = Announcer::new(Some(HOUR));
        assert_eq!(announcer.due("a", None, START), None, "not steady yet");
        assert_eq!(announcer.due("a b", None, START + STEADY), None);
        let said = announcer.due("a b", None, START + 2 * STEADY);
        assert_eq!(said, Some(START / HOUR));
        // It is on its way, and then there.
        assert_eq!(announcer.due("a b", None, START + 3 * STEADY), None);
        let there = |text, at| Some((text, at));
        let at = START + 4 * STEADY;
        assert_eq!(
            announcer.due("a b", there(&b"a b"[..], at), at + 9 * HOUR),
            None
        );
        // A change waits until the period is over.
        for second in (0..HOUR).step_by(60) {
            assert_eq!(announcer.due("c", there(b"a b", at), at + second), None);
        }
        let next = announcer.due("c", there(b"a b", at), at + HOUR);
        assert_eq!(next, Some((at + HOUR) / HOUR));
    }

    #[test]
    fn addresses_that_come_and_go_cost_no_more_than_the_period_allows() {
        let mut announcer = Announcer::new(Some(HOUR));
        let (mut on_chain, mut said) = (None::<(String, u64)>, 0);
        for second in 0..24 * HOUR {
            let own = format!("address {}", second / 100);
            let last = on_chain.as_ref().map(|(text, at)| (text.as_bytes(), *at));
            if announcer.due(&own, last, START + second).is_some() {
                said += 1;
                on_chain = Some((own, START + second));
            }
        }
        assert!((20..=24).contains(&said), "{said} times in a day");
    }
}
