//! What a node asks of its peers: what it lacks of rounds, and the time.
//!
//! ```text
//! Want ─▶ to [`ASKED`] peers, in turn ─▶ Messages │ Round │ Blob ─▶ fetched by hash ─▶ Round
//! Table ─▶ to [`ASKED`] peers, in turn ─▶ Table │ Blob ─▶ fetched by hash ─▶ Table
//! Again ─▶ to [`TOLD`] neighbours, in turn
//! every [`CLOCK_EVERY`] ─▶ to [`CLOCK_PEERS`] peers ─▶ an exchange for the clock's offset
//! ```
//! At most [`MAX_ASKING`] requests are under way; what does not fit is dropped, and the core asks
//! again when it is still needed.

use std::collections::VecDeque;
use std::sync::Arc;

use contracts::earnings::MAX_BYTES as MAX_TABLE;
use swarm_identity::PeerId;
use swarm_net::{BlobId, FetchError, Handle};
use swarm_round::agreement::{MAX_RECORD, Want};
use swarm_round::clock::Millis;
use swarm_round::clock_offset::Exchange;
use tokio::task::JoinSet;

use super::query::{Answer, Query};
use super::time::wall_clock;

/// Most requests of this node that are under way.
pub const MAX_ASKING: usize = 64;
/// Peers that are asked for the same thing.
const ASKED: usize = 2;
/// Neighbours that are told a message again, in turn.
const TOLD: usize = 8;
/// Milliseconds between two comparisons of clocks.
const CLOCK_EVERY: Millis = 15_000;
/// Peers that are asked in one comparison.
const CLOCK_PEERS: usize = 16;

/// What a peer answered.
#[derive(Debug)]
pub struct Answered {
    /// The peer.
    pub peer: PeerId,
    /// What.
    pub what: Given,
}

/// An answer of a peer, with what was to be fetched fetched.
#[derive(Debug)]
pub enum Given {
    /// Its time.
    Time(Exchange),
    /// Something of a round.
    Round(Answer),
    /// A table of earnings.
    Table(Vec<u8>),
    /// Nothing that helps: it is gone, or has nothing.
    Nothing,
    /// What it sent is no answer.
    Nonsense(String),
}

/// The questions that wait to be asked.
#[derive(Debug, Default)]
pub struct Asking {
    waiting: VecDeque<(PeerId, Query)>,
    /// Whose turn it is among the peers.
    turn: usize,
    /// When clocks are compared next.
    clocks_at: Millis,
}

impl Asking {
    /// Wants something of a round from some of these peers, each time from others.
    pub fn want(&mut self, want: &Want, peers: &[PeerId]) {
        self.ask(&Query::Want(want.clone()), peers);
    }

    /// Wants the table of earnings with this root from some of these peers.
    pub fn table(&mut self, root: [u8; 32], peers: &[PeerId]) {
        self.ask(&Query::Table(root), peers);
    }

    fn ask(&mut self, query: &Query, peers: &[PeerId]) {
        for _ in 0..ASKED.min(peers.len()) {
            let peer = peers[self.turn % peers.len()];
            self.turn = self.turn.wrapping_add(1);
            self.add(peer, query.clone());
        }
    }

    /// Tells these peers messages that some of them may have missed.
    pub fn again(&mut self, envelopes: &[Arc<[u8]>], peers: &[PeerId]) {
        for query in Query::again(envelopes) {
            for step in 0..TOLD.min(peers.len()) {
                self.add(peers[(self.turn + step) % peers.len()], query.clone());
            }
        }
        self.turn = self.turn.wrapping_add(TOLD);
    }

    /// Compares clocks with these peers, if it is time to.
    pub fn compare_clocks(&mut self, peers: &[PeerId], now: Millis) {
        if now < self.clocks_at || peers.is_empty() {
            return;
        }
        self.clocks_at = now + CLOCK_EVERY;
        for peer in peers.iter().take(CLOCK_PEERS) {
            self.add(*peer, Query::Time);
        }
    }

    fn add(&mut self, peer: PeerId, query: Query) {
        if self.waiting.len() < MAX_ASKING {
            self.waiting.push_back((peer, query));
        }
    }

    /// Sends what waits, as far as there is room.
    pub fn send(&mut self, network: &Handle, tasks: &mut JoinSet<Answered>) {
        while tasks.len() < MAX_ASKING
            && let Some((peer, query)) = self.waiting.pop_front()
        {
            tasks.spawn(ask(network.clone(), peer, query));
        }
    }
}

async fn ask(network: Handle, peer: PeerId, query: Query) -> Answered {
    let what = match exchange(&network, peer, &query).await {
        Ok(given) => given,
        Err(nonsense) => Given::Nonsense(nonsense),
    };
    Answered { peer, what }
}

/// Asks, and fetches what the answer only names.
async fn exchange(network: &Handle, peer: PeerId, query: &Query) -> Result<Given, String> {
    let Ok(bytes) = query.to_bytes() else {
        // A want of more than one message; the core asks for less at a time.
        return Ok(Given::Nothing);
    };
    let sent = wall_clock();
    let Ok(answer) = network.request(peer, bytes).await else {
        return Ok(Given::Nothing);
    };
    let returned = wall_clock();
    let answer = Answer::from_bytes(&answer).map_err(|error| error.to_string())?;
    match (query, answer) {
        (_, Answer::Nothing) => Ok(Given::Nothing),
        (Query::Time, Answer::Time(received)) => Ok(Given::Time(Exchange {
            sent,
            received,
            returned,
        })),
        (Query::Want(_), Answer::Blob { hash, bytes }) => {
            if bytes > MAX_RECORD as u64 {
                return Err(format!("a round of {bytes} bytes"));
            }
            let record = fetch(network, peer, BlobId { hash, bytes }).await;
            Ok(record.map_or(Given::Nothing, |record| Given::Round(Answer::Round(record))))
        }
        (Query::Table(_), Answer::Blob { hash, bytes }) => {
            if bytes > MAX_TABLE as u64 {
                return Err(format!("a table of {bytes} bytes"));
            }
            let table = fetch(network, peer, BlobId { hash, bytes }).await;
            Ok(table.map_or(Given::Nothing, Given::Table))
        }
        (Query::Table(_), Answer::Table(table)) => Ok(Given::Table(table)),
        (Query::Want(_), answer @ (Answer::Round(_) | Answer::Messages(_))) => {
            Ok(Given::Round(answer))
        }
        (query, answer) => Err(format!("{answer:?} is no answer to {query:?}")),
    }
}

/// Fetches what is longer than an answer, by way of a file.
async fn fetch(network: &Handle, peer: PeerId, id: BlobId) -> Option<Vec<u8>> {
    let refused = |error: &std::io::Error| tracing::warn!(%error, "no place for what is fetched");
    let folder = tempfile::tempdir().inspect_err(refused).ok()?;
    let path = folder.path().join("content");
    match network.fetch(id, &path, vec![peer]).await {
        // It is at most some megabytes, and was just written.
        Ok(_) => std::fs::read(&path).inspect_err(refused).ok(),
        Err(FetchError::Disk(error)) => {
            refused(&error);
            None
        }
        // Another peer may have it.
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use swarm_round::agreement::Wanted;

    use super::*;

    fn want(round: u64) -> Want {
        Want {
            round,
            what: Wanted::Decision,
        }
    }

    #[test]
    fn peers_are_asked_in_turn() {
        let mut asking = Asking::default();
        let peers: Vec<PeerId> = (0..3).map(|peer| PeerId([peer; 33])).collect();
        (0..3).for_each(|round| asking.want(&want(round), &peers));
        let asked: Vec<u8> = asking.waiting.iter().map(|(peer, _)| peer.0[0]).collect();
        assert_eq!(asked, [0, 1, 2, 0, 1, 2]);
        asking.want(&want(3), &[]);
        assert_eq!(asking.waiting.len(), 6);
    }

    #[test]
    fn questions_do_not_pile_up() {
        let mut asking = Asking::default();
        (0..1_000).for_each(|round| asking.want(&want(round), &[PeerId([1; 33])]));
        assert_eq!(asking.waiting.len(), MAX_ASKING);
    }

    #[test]
    fn clocks_are_compared_now_and_then() {
        let mut asking = Asking::default();
        asking.compare_clocks(&[], 5);
        let peers = [PeerId([1; 33])];
        for now in [10, 11, 10 + CLOCK_EVERY] {
            asking.compare_clocks(&peers, now);
        }
        assert_eq!(asking.waiting.len(), 2);
    }
}
