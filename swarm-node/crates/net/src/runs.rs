//! Runs of a node's process, and what shows that two of them live at one time.
//!
//! To a neighbour, a node that begins anew and a copy of a node look alike at first: the peer's
//! connections name another run than before. A run that was taken for gone and comes back tells the
//! second case, and then the neighbour lets both know of each other.
//!
//! ```text
//!         another run                  the run before, again
//!  Known ─────────────▶ Begun ──────────────────────────────────▶ Beside
//!        (all connections with the peer end)
//!
//!  run a               neighbour               run b
//!    │◀─ is b beside you? ─│                     │
//!    │── "a beside b", ───▶│── "a beside b", ───▶│ b is its own number: a lives beside it.
//!    │   signed            │   signed            │ The one that began later must end.
//! ```
//! The neighbour's word counts for nothing. Nobody knows the number of a run before it begins, so
//! whoever signed it with the node's key lived afterwards. The signature is made by the key of
//! connections over a text of its own domain, which cannot contradict another one: it is none of
//! those that a sign-once table is for.
//!
//! A thief of the key may say that it has lived longer, and so end the node. It could cost the node
//! its stake as well; what is left to the owner is the message.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use libp2p::PeerId;
use libp2p::identity::{Keypair, PublicKey};

use crate::bucket::Bucket;
use crate::limits::Rate;

/// What a statement is signed under.
const DOMAIN: &[u8] = b"swarm-node/run-beside/1";
/// Longest signature, in bytes: ECDSA in DER.
const MAX_SIGNATURE: usize = 72;
/// Two runs that began within this time of each other are told apart by their numbers, as a
/// statement takes a while to arrive.
const SAME_START: Duration = Duration::from_secs(5);
/// Time for which the runs of a peer that is gone are remembered.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Peers whose runs are remembered; connections are bounded far below it.
const MAX_PEERS: usize = 4096;
/// How often a peer whose runs live beside each other is asked. The first questions may come while
/// only one of the two is connected.
const ASKED: Rate = Rate {
    per_second: 0.2,
    burst: 4.0,
};

/// What the name of a run tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is the run that was seen last, or the first one.
    Known,
    /// It is a new one: connections may lead to an old one that is gone.
    Begun,
    /// The one that was seen before this one lives, too.
    Beside {
        /// The other run.
        other: u64,
        /// Whether the two are to be asked about each other now.
        ask: bool,
    },
}

#[derive(Debug)]
struct Known {
    last: u64,
    before: Option<u64>,
    at: Instant,
    asked: Bucket,
}

/// The last two runs of each peer.
#[derive(Debug, Default)]
pub(crate) struct Runs(HashMap<PeerId, Known>);

impl Runs {
    /// A connection names a peer's run.
    pub(crate) fn note(&mut self, peer: PeerId, run: u64, now: Instant) -> Seen {
        let has_room = self.0.len() < MAX_PEERS;
        let Some(known) = self.0.get_mut(&peer) else {
            if has_room {
                let known = Known {
                    last: run,
                    before: None,
                    at: now,
                    asked: Bucket::new(ASKED, now),
                };
                self.0.insert(peer, known);
            }
            return Seen::Known;
        };
        known.at = now;
        if known.last == run {
            return Seen::Known;
        }
        let other = std::mem::replace(&mut known.last, run);
        if known.before.replace(other) != Some(run) {
            return Seen::Begun;
        }
        let ask = known.asked.take(1.0, now);
        Seen::Beside { other, ask }
    }

    /// Forgets those that are not connected and were not seen for a while.
    pub(crate) fn tidy(&mut self, is_connected: impl Fn(&PeerId) -> bool, now: Instant) {
        self.0
            .retain(|peer, known| is_connected(peer) || now < known.at + REMEMBERED);
    }
}

/// What one process says to another about runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Does this run live beside the one that is asked?
    Beside(u64),
    /// A run says so.
    Told(Statement),
}

impl Question {
    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Beside(run) => [&[0][..], &run.to_be_bytes()].concat(),
            Self::Told(statement) => [&[1][..], &statement.to_bytes()].concat(),
        }
    }

    /// Reads one; `None` for what is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (0, run) => Some(Self::Beside(u64::from_be_bytes(run.try_into().ok()?))),
            (1, rest) => Statement::from_bytes(rest).map(Self::Told),
            _ => None,
        }
    }
}

/// A run's word that it lives beside another one of the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    run: u64,
    beside: u64,
    /// How long the run has lived, in milliseconds.
    lived: u64,
    signature: Vec<u8>,
}

impl Statement {
    fn text([run, beside, lived]: [u64; 3]) -> Vec<u8> {
        let numbers = [run, beside, lived].map(u64::to_be_bytes);
        [DOMAIN, numbers.as_flattened()].concat()
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let numbers = [self.run, self.beside, self.lived].map(u64::to_be_bytes);
        [numbers.as_flattened(), &self.signature].concat()
    }

    /// Reads one, signed or not; `None` for what is none.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (numbers, signature) = bytes.split_first_chunk::<24>()?;
        let ([run, beside, lived], []) = numbers.as_chunks::<8>() else {
            return None;
        };
        let signature = signature.to_vec();
        (signature.len() <= MAX_SIGNATURE).then(|| Self {
            run: u64::from_be_bytes(*run),
            beside: u64::from_be_bytes(*beside),
            lived: u64::from_be_bytes(*lived),
            signature,
        })
    }

    fn is_signed_by(&self, key: &PublicKey) -> bool {
        let text = Self::text([self.run, self.beside, self.lived]);
        key.verify(&text, &self.signature)
    }
}

/// The run of this process.
pub(crate) struct OwnRun {
    number: u64,
    began: Instant,
    key: Keypair,
}

impl OwnRun {
    pub(crate) fn new(number: u64, key: Keypair, now: Instant) -> Self {
        Self {
            number,
            began: now,
            key,
        }
    }

    fn lived(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// The answer to the question whether another run lives; `None` if it is this one.
    pub(crate) fn beside(&self, other: u64, now: Instant) -> Option<Statement> {
        if other == self.number {
            return None;
        }
        let lived = u64::try_from(self.lived(now).as_millis()).unwrap_or(u64::MAX);
        let text = Statement::text([self.number, other, lived]);
        Some(Statement {
            run: self.number,
            beside: other,
            lived,
            signature: self.key.sign(&text).ok()?,
        })
    }

    /// What a statement proves: nothing, or that another process has this node's key, and whether
    /// this one began later and must end.
    pub(crate) fn judge(&self, statement: &Statement, now: Instant) -> Option<bool> {
        let is_meant = statement.beside == self.number && statement.run != self.number;
        if !is_meant || !statement.is_signed_by(&self.key.public()) {
            return None;
        }
        let (own, other) = (self.lived(now), Duration::from_millis(statement.lived));
        Some(match own.abs_diff(other) <= SAME_START {
            true => self.number > statement.run,
            false => own < other,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::peer_id;
    use crate::testing::secret;

    fn own(number: u64, key: u8, began: Instant) -> OwnRun {
        OwnRun::new(number, peer_id::key_pair(&secret(key)), began)
    }

    #[test]
    fn a_run_that_comes_back_lives_beside_the_one_that_came_after_it() {
        let (mut runs, now, peer) = (Runs::default(), Instant::now(), PeerId::random());
        let at = |seconds| now + Duration::from_secs(seconds);
        let seen = [1, 1, 2, 2].map(|run| runs.note(peer, run, now));
        assert_eq!(seen, [Seen::Known, Seen::Known, Seen::Begun, Seen::Known]);
        let beside = |other, ask| Seen::Beside { other, ask };
        for (run, other) in [(1, 2), (2, 1), (1, 2), (2, 1)] {
            assert_eq!(runs.note(peer, run, at(1)), beside(other, true));
        }
        assert_eq!(runs.note(peer, 1, at(1)), beside(2, false), "often enough");
        assert_eq!(runs.note(peer, 2, at(7)), beside(1, true));
        assert_eq!(runs.note(peer, 1, at(7)), beside(2, false));
        // Once the other one is gone, nothing is told any more.
        assert_eq!(runs.note(peer, 1, at(9)), Seen::Known);
        assert_eq!(runs.note(peer, 3, at(9)), Seen::Begun);
        assert_eq!(runs.note(PeerId::random(), 3, now), Seen::Known);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_who_is_gone() {
        let (mut runs, now) = (Runs::default(), Instant::now());
        let stays = PeerId::random();
        runs.note(stays, 1, now);
        for _ in 0..MAX_PEERS + 9 {
            runs.note(PeerId::random(), 1, now);
        }
        assert_eq!(runs.0.len(), MAX_PEERS);
        runs.tidy(|peer| *peer == stays, now + REMEMBERED);
        assert_eq!(runs.0.len(), 1);
        assert_eq!(runs.note(stays, 2, now), Seen::Begun);
    }

    #[test]
    fn the_later_one_of_two_runs_ends_whoever_is_asked() {
        let start = Instant::now();
        for (later, numbers) in [(60, [1, 2]), (60, [2, 1]), (2, [1, 2]), (0, [2, 1])] {
            let began = start + Duration::from_secs(later);
            let [first, second] = [own(numbers[0], 7, start), own(numbers[1], 7, began)];
            let now = began + Duration::from_secs(1);
            let told = |by: &OwnRun, to: &OwnRun| {
                let statement = by.beside(to.number, now).unwrap();
                to.judge(&statement, now + Duration::from_millis(300))
            };
            let ends = [told(&second, &first), told(&first, &second)];
            let expected = match later {
                60 => [false, true],
                _ => [numbers[0] > numbers[1], numbers[1] > numbers[0]],
            };
            assert_eq!(ends, expected.map(Some), "{later} s, {numbers:?}");
        }
    }

    #[test]
    fn a_statement_counts_only_from_the_same_key_about_this_run_by_another_one() {
        let now = Instant::now();
        let (first, second) = (own(1, 7, now), own(2, 7, now));
        let good = first.beside(2, now).unwrap();
        assert_eq!(second.judge(&good, now), Some(true));
        assert_eq!(own(2, 8, now).judge(&good, now), None, "another key");
        assert_eq!(own(3, 7, now).judge(&good, now), None, "another run");
        assert_eq!(own(1, 7, now).judge(&good, now), None, "its own");
        assert_eq!(first.beside(1, now), None);
        let older = Statement {
            lived: good.lived + 60_000,
            ..good.clone()
        };
        assert_eq!(second.judge(&older, now), None, "changed");
    }

    #[test]
    fn questions_come_back() {
        let statement = own(1, 7, Instant::now()).beside(2, Instant::now());
        for question in [Question::Beside(9), Question::Told(statement.unwrap())] {
            let bytes = question.to_bytes();
            assert_eq!(Question::from_bytes(&bytes), Some(question));
        }
    }

    proptest! {
        #[test]
        fn strangers_bytes_are_read_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..120),
            kind in 0_u8..3,
        ) {
            let bytes = [&[kind][..], &bytes].concat();
            if let Some(question) = Question::from_bytes(&bytes) {
                prop_assert_eq!(question.to_bytes(), bytes);
            }
        }
    }
}
