//! One pair, as one of the two sees it.
//!
//! ```text
//!            Here heard, the lower number              last train
//!  waiting ───────────────────────────────▶ my turn ───────────────▶ their turn ─▶ over
//!     │      a Ping, the higher number                  YourTurn                    ▲
//!     └──────────────────────────────────▶ their turn ──────────▶ my turn ──────────┘ Over
//! ```
//! Whoever hears nothing for [`STALL_TIME`] goes on with what it has.

use std::time::Duration;

use skippipe::measured::{LinkMeasure, MAX_LATENCY, MAX_RATE, MIN_RATE, PairMeasure};
use skippipe::path::Peer;
use skippipe::topology::Micros;

use super::word::{Piece, Received, Word};

/// Longest that a pair takes.
pub const PAIR_TIME: Duration = Duration::from_secs(12);
/// Longest that nothing is heard of a partner that was there.
pub(super) const STALL_TIME: Duration = Duration::from_secs(4);
/// Time in which one way's trains are sent.
const SENDING_TIME: Duration = Duration::from_secs(3);
/// Time after which `Here` is said again.
const HERE_AGAIN: Duration = Duration::from_millis(250);
/// Round trips that a latency is taken from.
const PINGS: u32 = 5;
/// Bytes of the first train; each one is twice as long as the one before, while there is time.
const FIRST_TRAIN: u64 = 16 << 10;
/// How often the first train is doubled at most: 4 MiB.
const DOUBLINGS: u8 = 8;
/// Most trains of one way.
const MAX_TRAINS: u8 = 15;
/// Two trains can agree from this many doublings on, of 512 KiB, …
const LONG_TRAIN: u8 = 5;
/// … or if the second takes so long: what is shorter may fit into buffers on its way.
const LONG: Duration = Duration::from_millis(50);
/// Pieces of a train, at least.
const PIECES: u64 = 8;
/// Longest piece.
const MAX_PIECE: u64 = 64 << 10;

/// A pair that is being measured.
#[derive(Debug)]
pub(super) struct Pair {
    me: Peer,
    partner: Peer,
    turn: Turn,
    /// Whether the partner has been here.
    met: bool,
    begun: Duration,
    heard: Duration,
    said_here: Duration,
    round_trips: Vec<Duration>,
    rate_to: Option<u64>,
    rate_from: Option<u64>,
    /// Of the last train that came.
    rate_before: Option<u64>,
    arriving: Arriving,
}

#[derive(Debug)]
enum Turn {
    Waiting,
    Pinging { number: u32, sent: Duration },
    Sending(PacketTrain),
    Theirs,
    Over,
}

/// A train that is sent.
#[derive(Clone, Copy, Debug)]
struct PacketTrain {
    number: u8,
    /// How often the first one was doubled for it.
    doublings: u8,
    sent: Duration,
    nonces: u64,
    /// When the first was sent.
    begun: Duration,
    /// Of the train before.
    before: Option<u64>,
}

/// A train that comes in.
#[derive(Debug, Default)]
struct Arriving {
    train: u8,
    first: Option<Duration>,
    last: Duration,
    /// Without the first piece's.
    bytes: u64,
    nonces: u64,
}

impl Pair {
    pub(super) fn new(me: Peer, partner: Peer, now: Duration) -> Self {
        Self {
            me,
            partner,
            turn: Turn::Waiting,
            met: false,
            begun: now,
            heard: now,
            said_here: now,
            round_trips: Vec::new(),
            rate_to: None,
            rate_from: None,
            rate_before: None,
            arriving: Arriving::default(),
        }
    }

    pub(super) fn partner(&self) -> Peer {
        self.partner
    }

    /// When this peer came to the pair, or its partner did, if that was later.
    pub(super) fn begun(&self) -> Duration {
        self.begun
    }

    /// Whether the partner has been here.
    pub(super) fn is_met(&self) -> bool {
        self.met
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.turn, Turn::Over)
    }

    /// What was measured so far.
    pub(super) fn measure(&self) -> PairMeasure {
        let mut sorted = self.round_trips.clone();
        sorted.sort_unstable();
        let link = |rate: Option<u64>| {
            let round_trip = sorted.get(sorted.len() / 2)?;
            let latency = Micros(round_trip.as_micros() as u64 / 2).min(MAX_LATENCY);
            let bytes_per_second = rate?.clamp(MIN_RATE, MAX_RATE);
            Some(LinkMeasure {
                latency,
                bytes_per_second,
            })
        };
        PairMeasure {
            peer: self.partner,
            to: link(self.rate_to),
            from: link(self.rate_from.or(self.arriving.rate())),
        }
    }

    /// Time passed.
    pub(super) fn tick(&mut self, now: Duration, say: &mut Vec<Word>) {
        let stalled = self.met && now > self.heard + STALL_TIME;
        if stalled || (self.met && now > self.begun + PAIR_TIME) {
            self.turn = Turn::Over;
        }
        if matches!(self.turn, Turn::Waiting) && now > self.said_here + HERE_AGAIN {
            self.here(now, say);
        }
    }

    /// Tells the partner that this peer is at the pair.
    pub(super) fn here(&mut self, now: Duration, say: &mut Vec<Word>) {
        self.said_here = now;
        say.push(Word::Here);
    }

    /// A word of the partner. `nonce` gives random numbers.
    pub(super) fn hear(
        &mut self,
        word: &Word,
        now: Duration,
        nonce: &mut dyn FnMut() -> u64,
        say: &mut Vec<Word>,
    ) {
        if !self.met {
            self.met = true;
            self.begun = now;
        }
        self.heard = now;
        match (word, &mut self.turn) {
            (Word::Here, Turn::Waiting) if self.me < self.partner => self.ping(0, now, say),
            (Word::Here, Turn::Waiting) => self.here(now, say),
            (Word::Ping(number), turn) => {
                if matches!(turn, Turn::Waiting) && self.me > self.partner {
                    *turn = Turn::Theirs;
                }
                say.push(Word::Pong(*number));
            }
            (Word::Pong(answered), Turn::Pinging { number, sent }) if answered == number => {
                let round_trip = now.saturating_sub(*sent);
                let next = *number + 1;
                self.round_trips.push(round_trip);
                match next < PINGS {
                    true => self.ping(next, now, say),
                    false => {
                        let first = PacketTrain {
                            number: 0,
                            doublings: 0,
                            sent: now,
                            nonces: 0,
                            begun: now,
                            before: None,
                        };
                        self.send(first, nonce, say);
                    }
                }
            }
            (Word::Piece(piece), Turn::Theirs) => self.arrives(*piece, now, say),
            (Word::Received(received), Turn::Sending(train)) => {
                let train = *train;
                self.received(train, *received, now, nonce, say);
            }
            (Word::YourTurn, Turn::Theirs) if self.me > self.partner => self.ping(0, now, say),
            (Word::Over, Turn::Theirs) if self.me < self.partner => self.turn = Turn::Over,
            _ => {}
        }
    }

    fn ping(&mut self, number: u32, now: Duration, say: &mut Vec<Word>) {
        self.turn = Turn::Pinging { number, sent: now };
        say.push(Word::Ping(number));
    }

    /// Sends a train.
    fn send(
        &mut self,
        mut train: PacketTrain,
        nonce: &mut dyn FnMut() -> u64,
        say: &mut Vec<Word>,
    ) {
        let bytes = train.bytes();
        let piece = (bytes / PIECES).min(MAX_PIECE);
        let count = bytes / piece;
        for number in 1..=count {
            let nonce = nonce();
            train.nonces = train.nonces.wrapping_add(nonce);
            say.push(Word::Piece(Piece {
                train: train.number,
                last: number == count,
                nonce,
                bytes: piece as u32,
            }));
        }
        self.turn = Turn::Sending(train);
    }

    /// A piece of the partner's train.
    fn arrives(&mut self, piece: Piece, now: Duration, say: &mut Vec<Word>) {
        let arriving = &mut self.arriving;
        if arriving.first.is_none() || piece.train != arriving.train {
            *arriving = Arriving {
                train: piece.train,
                first: Some(now),
                ..Arriving::default()
            };
        } else {
            arriving.bytes += u64::from(piece.bytes);
        }
        arriving.last = now;
        arriving.nonces = arriving.nonces.wrapping_add(piece.nonce);
        if piece.last {
            let rate = arriving
                .rate()
                .unwrap_or(MAX_RATE)
                .clamp(MIN_RATE, MAX_RATE);
            let nonces = arriving.nonces;
            let before = self.rate_before.replace(rate);
            self.rate_from = Some(before.map_or(rate, |before| before.max(rate)));
            self.arriving = Arriving::default();
            say.push(Word::Received(Received {
                train: piece.train,
                nonces,
                rate,
            }));
        }
    }

    /// The partner has a train: another one, or its turn.
    fn received(
        &mut self,
        train: PacketTrain,
        received: Received,
        now: Duration,
        nonce: &mut dyn FnMut() -> u64,
        say: &mut Vec<Word>,
    ) {
        if received.train != train.number || received.nonces != train.nonces {
            return;
        }
        let bytes = train.bytes();
        let fitting = self.fitting(bytes, now.saturating_sub(train.sent));
        let rate = received.rate.clamp(MIN_RATE, MAX_RATE).min(fitting);
        // What is lost on the way makes a train slow, and slow start those before it: of the last
        // two, the faster.
        self.rate_to = Some(train.before.map_or(rate, |before| before.max(rate)));
        let micros = bytes * 1_000_000 / rate;
        let long = train.doublings >= LONG_TRAIN || micros >= LONG.as_micros() as u64;
        let agrees = train
            .before
            .is_some_and(|before| before.abs_diff(rate) <= rate / 10);
        let left = (train.begun + SENDING_TIME).saturating_sub(now);
        let fits = |times: u64| Duration::from_micros(times * micros) <= left;
        let next = PacketTrain {
            number: train.number + 1,
            doublings: train.doublings + u8::from(fits(2)),
            sent: now,
            nonces: 0,
            before: Some(rate),
            ..train
        };
        match (long && agrees) || !fits(1) || next.doublings > DOUBLINGS || next.number > MAX_TRAINS
        {
            true => self.turn_over(now, say),
            false => self.send(next, nonce, say),
        }
    }

    /// Twice the rate at which a train and its answer take so long.
    fn fitting(&self, bytes: u64, took: Duration) -> u64 {
        let round_trip = self.round_trips.iter().min().copied().unwrap_or_default();
        let micros = took.saturating_sub(round_trip).as_micros() as u64;
        (2 * bytes * 1_000_000 / micros.max(1)).max(MIN_RATE)
    }

    fn turn_over(&mut self, now: Duration, say: &mut Vec<Word>) {
        self.heard = now;
        if self.me < self.partner {
            self.turn = Turn::Theirs;
            say.push(Word::YourTurn);
        } else {
            self.turn = Turn::Over;
            say.push(Word::Over);
        }
    }
}

impl PacketTrain {
    fn bytes(&self) -> u64 {
        FIRST_TRAIN << self.doublings
    }
}

impl Arriving {
    /// Bytes a second; none for a single piece.
    fn rate(&self) -> Option<u64> {
        let took = self.last.saturating_sub(self.first?).as_micros() as u64;
        (self.bytes > 0).then(|| self.bytes * 1_000_000 / took.max(1))
    }
}
