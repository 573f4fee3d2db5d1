//! A peer that measures: its pairs one after the other, its report, and the reports of others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reproducible_ops::random::Stream;
use skippipe::measured::{Measurements, PairMeasure, Report, StageTimes};
use skippipe::path::Peer;

use super::pair::{PAIR_TIME, Pair};
use super::tournament::{partner, rounds};
use super::word::Word;

/// Longest that a partner is waited for, which may be held up by its partner before.
pub const WAIT_TIME: Duration = Duration::from_secs(30);
/// Longest that reports are waited for when all pairs are over.
const REPORT_TIME: Duration = Duration::from_secs(10);
/// Reports that one peer may send while this one runs; more are ignored.
const MAX_REPORTS: u32 = 256;

/// What happens to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A peer said something.
    Word {
        /// Who.
        from: Peer,
        /// What.
        word: Word,
    },
    /// A peer cannot be reached.
    Lost(Peer),
    /// It can again.
    Found(Peer),
    /// Time passed.
    Tick,
}

/// What it wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// To be said to a peer.
    Say {
        /// To whom.
        to: Peer,
        /// What.
        word: Word,
    },
    /// A report is known that was not before.
    Known(Peer),
    /// A peer's report is absurd.
    Fault {
        /// Whose.
        peer: Peer,
        /// What it says.
        what: String,
    },
}

/// See the module.
#[derive(Debug)]
pub struct Prober {
    me: Peer,
    peers: u32,
    now: Duration,
    begun: Duration,
    random: Stream,
    /// The next round, and the pair of the one before.
    round: u32,
    pair: Option<Pair>,
    /// Who is at a pair with this peer already.
    here: BTreeSet<Peer>,
    lost: BTreeSet<Peer>,
    measured: Vec<PairMeasure>,
    times: Option<StageTimes>,
    known: Measurements,
    reports: BTreeMap<Peer, u32>,
    /// When its pairs were over; none while they are not.
    reported: Option<Duration>,
    outputs: Vec<Output>,
}

impl Prober {
    /// A peer that measures its links to all others; `seed` is secret, `times` are its own
    /// engine's.
    pub fn new(me: Peer, peers: u32, seed: u64, times: Option<StageTimes>, now: Duration) -> Self {
        Self {
            me,
            peers,
            now,
            begun: now,
            random: Stream::from_seed("probe nonces", seed),
            round: 0,
            pair: None,
            here: BTreeSet::new(),
            lost: BTreeSet::new(),
            measured: Vec::new(),
            times,
            known: Measurements::new(),
            reports: BTreeMap::new(),
            reported: None,
            outputs: Vec::new(),
        }
    }

    /// A peer that has measured before, and knows what it knew then; it asks for what is new.
    pub fn again(me: Peer, peers: u32, known: Measurements, now: Duration) -> Self {
        let report = known.report(me).cloned().unwrap_or_default();
        Self {
            round: rounds(peers),
            measured: report.pairs,
            known,
            reported: Some(now),
            ..Self::new(me, peers, 0, report.times, now)
        }
    }

    /// There are so many peers from here on. Those that were not there at the start are not
    /// measured: links to them are estimated.
    pub fn set_peers(&mut self, peers: u32) {
        self.peers = peers;
    }

    /// Begins.
    pub fn start(&mut self, now: Duration) -> Vec<Output> {
        self.now = now;
        match self.reported {
            Some(_) => self.say_to_all(&Word::Wanted),
            None => self.next_pair(),
        }
        std::mem::take(&mut self.outputs)
    }

    /// What follows from an input. Time never goes back.
    pub fn handle(&mut self, input: Input, now: Duration) -> Vec<Output> {
        self.now = self.now.max(now);
        match input {
            Input::Word { from, word } if from != self.me && from.0 < self.peers => {
                self.hear(from, word);
            }
            Input::Word { .. } => {}
            Input::Lost(peer) => {
                self.lost.insert(peer);
                self.here.remove(&peer);
                if self
                    .pair
                    .as_ref()
                    .is_some_and(|pair| pair.partner() == peer)
                {
                    self.pair_over();
                }
            }
            Input::Found(peer) => {
                self.lost.remove(&peer);
                // What was said meanwhile is lost.
                if self.reported.is_some() {
                    self.say_report(peer);
                }
            }
            Input::Tick => self.tick(),
        }
        std::mem::take(&mut self.outputs)
    }

    /// Whether there is nothing more to wait for.
    pub fn is_over(&self) -> bool {
        let Some(reported) = self.reported else {
            return false;
        };
        let mut others = (0..self.peers).map(Peer);
        let all = others.all(|peer| self.lost.contains(&peer) || self.known.report(peer).is_some());
        all || self.now > reported + REPORT_TIME
    }

    /// What is known.
    pub fn known(&self) -> &Measurements {
        &self.known
    }

    /// How many rounds there are, and how many are over.
    pub fn progress(&self) -> (u32, u32) {
        let over = self.round - u32::from(self.pair.is_some());
        (over, rounds(self.peers))
    }

    fn hear(&mut self, from: Peer, word: Word) {
        match word {
            Word::Report(report) => self.take_report(from, report),
            Word::Wanted if self.reported.is_some() => self.say_report(from),
            Word::Wanted => {}
            word => {
                if word == Word::Here {
                    self.here.insert(from);
                }
                if self
                    .pair
                    .as_ref()
                    .is_some_and(|pair| pair.partner() == from)
                {
                    self.in_pair(&word);
                }
            }
        }
    }

    fn take_report(&mut self, from: Peer, report: Report) {
        let count = self.reports.entry(from).or_default();
        *count += 1;
        if *count > MAX_REPORTS || self.known.report(from) == Some(&report) {
            return;
        }
        match self.known.insert(from, report, self.peers) {
            Ok(()) => self.outputs.push(Output::Known(from)),
            Err(error) => self.outputs.push(Output::Fault {
                peer: from,
                what: error.to_string(),
            }),
        }
    }

    fn in_pair(&mut self, word: &Word) {
        let Some(pair) = &mut self.pair else { return };
        let mut words = Vec::new();
        let random = &mut self.random;
        let mut nonce = || random.next_u64();
        pair.hear(word, self.now, &mut nonce, &mut words);
        self.said_in_pair(words);
    }

    fn said_in_pair(&mut self, words: Vec<Word>) {
        let Some(pair) = &self.pair else { return };
        let (to, over) = (pair.partner(), pair.is_over());
        let words = words.into_iter();
        self.outputs
            .extend(words.map(|word| Output::Say { to, word }));
        if over {
            self.pair_over();
        }
    }

    fn tick(&mut self) {
        let rounds = rounds(self.peers);
        let late = self.now > self.begun + PAIR_TIME * rounds + WAIT_TIME;
        if late && self.reported.is_none() {
            self.round = rounds;
            return self.pair_over();
        }
        let Some(pair) = &mut self.pair else { return };
        let mut words = Vec::new();
        pair.tick(self.now, &mut words);
        let waited = !pair.is_met() && self.now > pair.begun() + WAIT_TIME;
        self.said_in_pair(words);
        if waited {
            self.pair_over();
        }
    }

    fn pair_over(&mut self) {
        if let Some(pair) = self.pair.take() {
            self.here.remove(&pair.partner());
            self.measured.push(pair.measure());
        }
        self.next_pair();
    }

    /// The pair of the next round in which there is somebody; the report if there is none.
    fn next_pair(&mut self) {
        while self.round < rounds(self.peers) {
            let partner = partner(self.me.0, self.round, self.peers).map(Peer);
            self.round += 1;
            let Some(partner) = partner.filter(|peer| !self.lost.contains(peer)) else {
                continue;
            };
            let mut pair = Pair::new(self.me, partner, self.now);
            let mut words = Vec::new();
            pair.here(self.now, &mut words);
            self.pair = Some(pair);
            self.said_in_pair(words);
            if self.here.contains(&partner) {
                self.in_pair(&Word::Here);
            }
            return;
        }
        self.report();
    }

    fn report(&mut self) {
        if self.reported.replace(self.now).is_some() {
            return;
        }
        self.measured.sort_unstable_by_key(|pair| pair.peer);
        let report = Report {
            pairs: std::mem::take(&mut self.measured),
            times: self.times,
        };
        self.keep_own(report);
    }

    fn keep_own(&mut self, report: Report) {
        if let Err(error) = self.known.insert(self.me, report.clone(), self.peers) {
            self.outputs.push(Output::Fault {
                peer: self.me,
                what: error.to_string(),
            });
        }
        self.outputs.push(Output::Known(self.me));
        self.say_to_all(&Word::Report(report));
    }

    /// This peer's report is another from here on.
    pub fn say(&mut self, report: Report) -> Vec<Output> {
        self.keep_own(report);
        std::mem::take(&mut self.outputs)
    }

    fn say_report(&mut self, to: Peer) {
        let own = self.known.report(self.me).cloned();
        let word = own.map(Word::Report);
        self.outputs
            .extend(word.map(|word| Output::Say { to, word }));
    }

    fn say_to_all(&mut self, word: &Word) {
        let others = (0..self.peers).map(Peer).filter(|peer| *peer != self.me);
        for to in others {
            let word = word.clone();
            self.outputs.push(Output::Say { to, word });
        }
    }
}
