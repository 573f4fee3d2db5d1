//! Probers in a network of known links: what they find, with loss, with the dead, with liars.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use reproducible_ops::random::Stream;
use skippipe::measured::{Basis, LinkMeasure, MAX_RATE, Measurements, PairMeasure, Report};
use skippipe::path::Peer;
use skippipe::topology::Micros;

use super::prober::{Input, Output, Prober};
use super::word::{Received, Word};

/// Bytes of a word that is no piece.
const SHORT: u64 = 64;
const TICK: u64 = 50_000;

/// Latency in microseconds and bytes a second of each way.
type Truth = fn(u32, u32) -> (u64, u64);

/// Home links: 10 to 60 ms, 1 to 7 MB/s, other ways back.
fn home(from: u32, to: u32) -> (u64, u64) {
    let seed = u64::from(from * 7 + to * 3);
    (10_000 + seed % 6 * 10_000, 1_000_000 + seed % 7 * 1_000_000)
}

struct Scene {
    truth: Truth,
    probers: Vec<Prober>,
    /// When each peer's two lines are free again: messages follow each other, whoever they are for.
    free: Vec<[u64; 2]>,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    under_way: BTreeMap<u64, (Peer, Peer, Word)>,
    number: u64,
    now: u64,
    random: Stream,
    loss: f32,
    silent: BTreeSet<u32>,
    liars: BTreeSet<u32>,
    sent: BTreeMap<(Peer, Peer), u64>,
    faults: Vec<String>,
}

impl Scene {
    fn new(peers: u32, truth: Truth) -> Self {
        let prober = |me| Prober::new(Peer(me), peers, u64::from(me), None, Duration::ZERO);
        Self {
            truth,
            probers: (0..peers).map(prober).collect(),
            free: vec![[0; 2]; peers as usize],
            events: BinaryHeap::new(),
            under_way: BTreeMap::new(),
            number: 0,
            now: 0,
            random: Stream::from_seed("probe test", 5),
            loss: 0.0,
            silent: BTreeSet::new(),
            liars: BTreeSet::new(),
            sent: BTreeMap::new(),
            faults: Vec::new(),
        }
    }

    /// Runs until everybody who speaks is done, for so many seconds at most; the seconds that it
    /// took.
    fn run(&mut self, most: u64) -> u64 {
        for me in 0..self.probers.len() {
            let now = self.time();
            let outputs = self.probers[me].start(now);
            self.carry_out(Peer(me as u32), outputs);
        }
        let mut tick = 0;
        while self.now < most * 1_000_000 && !self.is_over() {
            let next = self.events.peek().map(|event| event.0);
            if let Some((at, number)) = next.filter(|(at, _)| *at < tick) {
                self.events.pop();
                self.now = at;
                self.deliver(number);
            } else {
                self.now = tick;
                tick += TICK;
                for me in 0..self.probers.len() {
                    self.input(Peer(me as u32), Input::Tick);
                }
            }
        }
        self.now / 1_000_000
    }

    fn time(&self) -> Duration {
        Duration::from_micros(self.now)
    }

    fn is_over(&self) -> bool {
        let mut probers = (0..).zip(&self.probers);
        probers.all(|(me, prober)| self.silent.contains(&me) || prober.is_over())
    }

    fn deliver(&mut self, number: u64) {
        if let Some((from, to, word)) = self.under_way.remove(&number) {
            self.input(to, Input::Word { from, word });
        }
    }

    fn input(&mut self, me: Peer, input: Input) {
        if self.silent.contains(&me.0) {
            return;
        }
        let now = self.time();
        let outputs = self.probers[me.index()].handle(input, now);
        self.carry_out(me, outputs);
    }

    fn carry_out(&mut self, me: Peer, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Say { .. } if self.silent.contains(&me.0) => {}
                Output::Say { to, word } if self.liars.contains(&me.0) => {
                    self.send(me, to, lie(word));
                }
                Output::Say { to, word } => self.send(me, to, word),
                Output::Fault { what, .. } => self.faults.push(what),
                Output::Known(_) => {}
            }
        }
    }

    fn send(&mut self, from: Peer, to: Peer, word: Word) {
        let bytes = match &word {
            Word::Piece(piece) => u64::from(piece.bytes),
            _ => SHORT,
        };
        *self.sent.entry((from, to)).or_default() += bytes;
        let (latency, rate) = (self.truth)(from.0, to.0);
        let free = self.free[from.index()][0].max(self.free[to.index()][1]);
        let over = free.max(self.now) + bytes * 1_000_000 / rate;
        self.free[from.index()][0] = over;
        self.free[to.index()][1] = over;
        if !self.random.chance(self.loss) {
            self.number += 1;
            self.under_way.insert(self.number, (from, to, word));
            self.events.push(Reverse((over + latency, self.number)));
        }
    }

    fn known(&self, me: u32) -> &Measurements {
        self.probers[me as usize].known()
    }

    /// How far what is known of a way is from the truth, in percent: latency, rate.
    fn error(&self, me: u32, from: u32, to: u32) -> Option<(f64, f64)> {
        let link = self.known(me).link(Peer(from), Peer(to));
        let ((out, rate), (back, _)) = ((self.truth)(from, to), (self.truth)(to, from));
        let off = |seen: u64, is: u64| (seen as f64 / is as f64 - 1.0).abs() * 100.0;
        let seen = link.value;
        (link.basis == Basis::Measured)
            // Of a round trip, each way is taken to be half.
            .then(|| {
                (
                    off(seen.latency.0, (out + back) / 2),
                    off(seen.bytes_per_second, rate),
                )
            })
    }
}

/// A liar has had everything at once, and its links are perfect.
fn lie(word: Word) -> Word {
    match word {
        Word::Received(received) => Word::Received(Received {
            rate: MAX_RATE,
            ..received
        }),
        Word::Report(report) => {
            let perfect = LinkMeasure {
                latency: Micros(1),
                bytes_per_second: MAX_RATE,
            };
            let pairs = report.pairs.into_iter().map(|pair| PairMeasure {
                to: Some(perfect),
                from: Some(perfect),
                ..pair
            });
            Word::Report(Report {
                pairs: pairs.collect(),
                times: None,
            })
        }
        word => word,
    }
}

fn ways(peers: u32) -> impl Iterator<Item = (u32, u32)> {
    let all = (0..peers).flat_map(move |from| (0..peers).map(move |to| (from, to)));
    all.filter(|(from, to)| from != to)
}

#[test]
fn everybody_knows_every_link_as_it_is() {
    for peers in [1, 2, 5, 6] {
        let mut scene = Scene::new(peers, home);
        let took = scene.run(600);
        assert!(took <= 6 * u64::from(peers), "{took} s for {peers} peers");
        for me in 0..peers {
            for (from, to) in ways(peers) {
                let (latency, rate) = scene.error(me, from, to).unwrap();
                assert!(
                    latency < 3.0 && rate < 3.0,
                    "{from} to {to}: {latency} {rate}"
                );
            }
        }
    }
}

#[test]
fn a_slow_link_is_sent_less_and_any_link_no_more_than_is_allowed() {
    let mut scene = Scene::new(2, |from, _| match from {
        0 => (200_000, 20_000),
        _ => (1_000, 500_000_000),
    });
    scene.run(60);
    let (slow, fast) = (
        scene.sent[&(Peer(0), Peer(1))],
        scene.sent[&(Peer(1), Peer(0))],
    );
    assert!(slow < 100_000, "{slow} bytes at 20 kB/s");
    assert!((900_000..9 << 20).contains(&fast), "{fast} bytes");
    let (_, rate) = scene.error(0, 0, 1).unwrap();
    assert!(rate < 3.0, "{rate}");
}

#[test]
fn loss_costs_measurements_and_not_their_truth() {
    let mut scene = Scene::new(6, home);
    scene.loss = 0.003;
    let took = scene.run(600);
    assert!(scene.is_over() && took < 120, "{took} s");
    let errors = ways(6).filter_map(|(from, to)| scene.error(from, from, to));
    let errors: Vec<(f64, f64)> = errors.collect();
    assert!(errors.len() > 15, "{} of 30 ways", errors.len());
    for (latency, rate) in errors {
        // A train whose middle was lost looks slower than it was.
        assert!(latency < 3.0 && rate < 60.0, "{latency} {rate}");
    }
}

#[test]
fn who_is_silent_is_waited_for_and_then_estimated() {
    let mut scene = Scene::new(4, home);
    scene.silent.insert(2);
    let took = scene.run(600);
    assert!(scene.is_over() && took < 4 * 36, "{took} s");
    for (from, to) in ways(4) {
        let link = scene.known(0).link(Peer(from), Peer(to));
        let expected = match from == 2 || to == 2 {
            true => Basis::Estimated,
            false => Basis::Measured,
        };
        assert_eq!(link.basis, expected, "{from} to {to}");
    }
}

#[test]
fn who_is_known_to_be_gone_is_not_waited_for() {
    let mut scene = Scene::new(4, home);
    scene.silent.insert(2);
    for me in [0, 1, 3] {
        scene.input(Peer(me), Input::Lost(Peer(2)));
    }
    let took = scene.run(600);
    assert!(scene.is_over() && took < 20, "{took} s");
}

#[test]
fn a_liar_makes_no_link_look_faster_than_twice_what_it_is() {
    let mut scene = Scene::new(4, home);
    scene.liars.insert(3);
    scene.run(600);
    for (from, to) in ways(4) {
        let link = scene.known(0).link(Peer(from), Peer(to)).value;
        let (_, rate) = home(from, to);
        let most = if from == 3 || to == 3 { 2 * rate } else { rate };
        assert!(
            link.bytes_per_second <= most + rate / 20,
            "{from} to {to}: {link:?}"
        );
        let (latency, _) = scene.error(0, from, to).unwrap();
        assert!(latency < 3.0, "{from} to {to}");
    }
}

#[test]
fn absurd_reports_are_refused_by_name_and_a_flood_of_reports_is_ignored() {
    let mut prober = Prober::new(Peer(0), 3, 1, None, Duration::ZERO);
    let report = |rate| {
        Word::Report(Report {
            pairs: vec![PairMeasure {
                peer: Peer(2),
                to: Some(LinkMeasure {
                    latency: Micros(1),
                    bytes_per_second: rate,
                }),
                from: None,
            }],
            times: None,
        })
    };
    let mut said = |word| {
        let from = Peer(1);
        prober.handle(Input::Word { from, word }, Duration::ZERO)
    };
    let fault = said(report(0));
    let [Output::Fault { peer, what }] = &fault[..] else {
        panic!("{fault:?}")
    };
    assert_eq!(*peer, Peer(1));
    assert!(
        what.contains("reports 0 bytes a second with peer 2"),
        "{what}"
    );
    assert_eq!(said(report(5_000)), [Output::Known(Peer(1))]);
    let known = (0..1000).filter(|rate| !said(report(5_000 + rate)).is_empty());
    assert!(known.count() < 300);
}

#[test]
fn who_comes_back_asks_what_the_others_have_measured() {
    let mut scene = Scene::new(3, home);
    scene.run(600);
    let all = scene.known(0).clone();
    let own = all.report(Peer(1)).cloned().unwrap();
    let mut folder = Measurements::new();
    folder.insert(Peer(1), own, 3).unwrap();
    let back = Prober::again(Peer(1), 3, folder, scene.time());
    scene.probers[1] = back;
    assert!(!scene.probers[1].is_over());
    let now = scene.time();
    let outputs = scene.probers[1].start(now);
    scene.carry_out(Peer(1), outputs);
    while let Some(Reverse((at, number))) = scene.events.pop() {
        scene.now = at;
        scene.deliver(number);
    }
    assert_eq!(scene.known(1), &all);
    assert!(scene.probers[1].is_over());
}
