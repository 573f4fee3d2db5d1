//! Estimates refined by what a peer sees while steps go on: how fast messages of others arrived
//! here, and what work took here.
//!
//! ```text
//! message that arrived (bytes, time from its first to its last) ─▶ window of its sender ┐
//! work that was done (time, without what waited before it) ──────▶ window of its kind   ├▶ medians
//!                            report, where a median is clearly another than it says ◀───┘
//! ```
//! A receiver times a message by its own clock, so clocks of others have no say, and a sender can
//! only seem slower than it is. What a peer sees goes into its own report, for the ways into it and
//! its own work, so the rules of [`super`] hold: of two ends the slower counts.
//!
//! Robust: a median of the last [`WINDOW`] messages, of at least [`LEAST`], moves when more than
//! half of them are slow; what differs by less than [`CLEAR`] times moves nothing, so that who
//! plans is not woken by noise.
//!
//! Limits: latencies are not refined. A message that shares the line with others counts as if the
//! line was as slow as its share. A way is never thought faster than it was measured before the
//! first step, for what arrives may have waited here already.

use std::collections::{BTreeMap, VecDeque};

use super::ASSUMED;
use super::report::{LinkMeasure, MAX_RATE, MIN_RATE, PairMeasure, Report, StageTimes};
use super::view::middle;
use crate::path::{Peer, Stage};
use crate::topology::{MAX_TIME, Micros};
use crate::work::Work;

/// Messages of a sender, and tasks of a kind, that count.
pub const WINDOW: usize = 16;
/// Fewest that say anything.
pub const LEAST: usize = 8;
/// How many times as much or as little a median must be to count as another.
pub const CLEAR: u64 = 2;
/// Shortest message that says how fast a way is, in bytes: shorter ones come at once.
pub const SHORTEST: u64 = 16 << 10;
/// Senders that are kept apart.
const MAX_SENDERS: usize = 4096;

/// A kind of work that a report has a time of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// See [`StageTimes::forward`].
    Forward,
    /// See [`StageTimes::backward`].
    Backward,
    /// See [`StageTimes::loss`].
    Loss,
    /// See [`StageTimes::sum`].
    Sum,
    /// See [`StageTimes::add`].
    Add,
    /// See [`StageTimes::squares`].
    Squares,
    /// See [`StageTimes::update`].
    Update,
}

/// What a peer saw last.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    ways: BTreeMap<Peer, VecDeque<u64>>,
    work: BTreeMap<Part, VecDeque<Micros>>,
}

impl Part {
    /// Of which kind a piece of work is; none that no report has a time of.
    pub fn of(work: &Work) -> Option<Self> {
        match work {
            Work::Embed { .. } | Work::Forward { .. } => Some(Self::Forward),
            Work::Backward { .. } | Work::EmbedBackward { .. } => Some(Self::Backward),
            Work::Loss { .. } => Some(Self::Loss),
            Work::Sum(_) => Some(Self::Sum),
            Work::Add(..) => Some(Self::Add),
            Work::Squares { .. } => Some(Self::Squares),
            Work::Update { .. } => Some(Self::Update),
            Work::Norm(_)
            | Work::Forget(_)
            | Work::Export
            | Work::Load { .. }
            | Work::Average { .. }
            | Work::Contribute { .. }
            | Work::Check(_)
            | Work::CheckOuter(_)
            | Work::Mean(_)
            | Work::Meet { .. }
            | Work::ExportOuter => None,
        }
    }

    fn of_times(self, times: &mut StageTimes) -> &mut Micros {
        match self {
            Self::Forward => &mut times.forward,
            Self::Backward => &mut times.backward,
            Self::Loss => &mut times.loss,
            Self::Sum => &mut times.sum,
            Self::Add => &mut times.add,
            Self::Squares => &mut times.squares,
            Self::Update => &mut times.update,
        }
    }
}

impl Observed {
    /// Nothing was seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// A message of a peer arrived; its bytes took so long from the first to the last.
    pub fn arrived(&mut self, from: Peer, bytes: u64, took: Micros) {
        let is_new = !self.ways.contains_key(&from);
        if bytes < SHORTEST || is_new && self.ways.len() >= MAX_SENDERS {
            return;
        }
        let rate = u128::from(bytes) * 1_000_000 / u128::from(took.0.max(1));
        let rate = (rate.min(MAX_RATE.into()) as u64).max(MIN_RATE);
        keep(self.ways.entry(from).or_default(), rate);
    }

    /// A piece of work was done and took so long.
    pub fn worked(&mut self, part: Part, took: Micros) {
        keep(self.work.entry(part).or_default(), took.min(MAX_TIME));
    }

    /// What was seen of work is of another stage.
    pub fn forget_work(&mut self) {
        self.work.clear();
    }

    /// This peer's report as it should be, where that is clearly another than it is. `measured` is
    /// what it said before the first step, which no way is thought faster than; `stage` is the one
    /// that it holds, and `peers` are all there are.
    pub fn refine(
        &self,
        peers: u32,
        report: &Report,
        measured: &Report,
        stage: Option<Stage>,
    ) -> Option<Report> {
        let mut refined = report.clone();
        for (&peer, rates) in self.ways.iter().filter(|(peer, _)| peer.0 < peers) {
            let Some(seen) = median(rates) else { continue };
            let before = measured.pair(peer).and_then(|pair| pair.from);
            let fastest = before.map_or(MAX_RATE, |before| before.bytes_per_second);
            let seen = seen.min(fastest);
            let place = refined.pairs.binary_search_by_key(&peer, |pair| pair.peer);
            let place = place.unwrap_or_else(|place| {
                // It came after the start, and was not measured.
                let (to, from) = (None, None);
                refined.pairs.insert(place, PairMeasure { peer, to, from });
                place
            });
            let from = &mut refined.pairs[place].from;
            let latency = from.map_or(ASSUMED.latency, |link| link.latency);
            let known = from.map(|link| link.bytes_per_second);
            if known.is_none_or(|known| is_clear(seen, known)) {
                *from = Some(LinkMeasure {
                    latency,
                    bytes_per_second: seen,
                });
            }
        }
        if let Some(times) = refined
            .times
            .as_mut()
            .filter(|one| Some(one.stage) == stage)
        {
            for (part, took) in &self.work {
                let known = part.of_times(times);
                if let Some(seen) = median(took).filter(|seen| is_clear(seen.0, known.0)) {
                    *known = seen;
                }
            }
        }
        (refined != *report).then_some(refined)
    }
}

fn keep<T>(window: &mut VecDeque<T>, value: T) {
    if window.len() == WINDOW {
        window.pop_front();
    }
    window.push_back(value);
}

fn median<T: Ord + Copy>(window: &VecDeque<T>) -> Option<T> {
    let enough = window.len() >= LEAST;
    enough.then(|| middle(window.iter().copied())).flatten()
}

/// Whether a value is at least [`CLEAR`] times the other, or the other of it.
fn is_clear(seen: u64, known: u64) -> bool {
    let (less, more) = (seen.min(known), seen.max(known));
    more >= less.saturating_mul(CLEAR) && more > 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measured::{ASSUMED_TIMES, Measurements};
    use crate::path::{Hop, Path};
    use crate::plan::{Plan, Request};
    use crate::predict::{Prediction, Sizes};
    use crate::transcript::Roster;

    const FAST: u64 = 10_000_000;

    fn link(rate: u64) -> LinkMeasure {
        LinkMeasure {
            latency: Micros(5_000),
            bytes_per_second: rate,
        }
    }

    /// Peers in a network of equal links, two of each of three stages.
    fn measured() -> Measurements {
        let mut known = Measurements::new();
        for me in 0..6 {
            let others = (0..6).filter(|other| *other != me);
            let pair = |other| PairMeasure {
                peer: Peer(other),
                to: Some(link(FAST)),
                from: Some(link(FAST)),
            };
            let report = Report {
                pairs: others.map(pair).collect(),
                times: Some(StageTimes {
                    stage: Stage((me % 3) as u16),
                    ..ASSUMED_TIMES
                }),
            };
            known.insert(Peer(me), report, 6).unwrap();
        }
        known
    }

    fn roster() -> Roster {
        let stages = [[0, 3], [1, 4], [2, 5]];
        Roster(stages.map(|peers| peers.map(Peer).to_vec()).to_vec())
    }

    fn sizes() -> Sizes {
        Sizes {
            hop: 4 << 20,
            sums: vec![1 << 20; 3],
            slots: 2,
        }
    }

    fn paths(known: &Measurements) -> Vec<Path> {
        let hops: Vec<Hop> = roster().hops().collect();
        let topology = known.topology(&hops, 2, sizes().hop).unwrap();
        let request = Request {
            stages: 3,
            visits: 3,
            max_jump: 4,
            microbatches: 2,
            bytes: sizes().hop,
            seed: 1,
            evaluations: None,
        };
        let plan = Plan::make(&topology, &request).unwrap();
        let named = plan.paths.iter().map(|path| {
            let own = path.hops().iter().map(|hop| hops[hop.peer.index()]);
            Path::new(own.collect()).unwrap()
        });
        named.collect()
    }

    fn crosses(paths: &[Path], from: Peer, to: Peer) -> bool {
        let mut pairs = paths.iter().flat_map(|path| path.hops().windows(2));
        pairs.any(|pair| pair[0].peer == from && pair[1].peer == to)
    }

    fn time(known: &Measurements, paths: &[Path]) -> Prediction {
        Prediction::of(known, &roster(), paths, Peer(0), &sizes()).unwrap()
    }

    #[test]
    fn a_link_that_becomes_ten_times_slower_is_noticed_and_gone_around() {
        let mut known = measured();
        let before = paths(&known);
        let crossed = [(0, 1), (0, 4), (3, 1), (3, 4)].map(|(a, b)| (Peer(a), Peer(b)));
        let crossed = crossed.into_iter().find(|&(a, b)| crosses(&before, a, b));
        let (from, to) = crossed.expect("a path goes from stage 0 to stage 1");
        let promised = time(&known, &before);

        let start = known.report(to).unwrap().clone();
        let mut seen = Observed::new();
        let slow = link(FAST / 10);
        let mut told = 0;
        let mut noticed = None;
        for message in 0..40 {
            // The first messages are as fast as ever; a single slow one says nothing.
            let is_slow = message == 3 || message >= 10;
            let rate = if is_slow { slow } else { link(FAST) };
            let bytes = sizes().hop;
            let took = rate.time(bytes) - rate.latency;
            seen.arrived(from, bytes, took);
            let report = known.report(to).unwrap().clone();
            if let Some(refined) = seen.refine(6, &report, &start, Some(Stage(1))) {
                known.insert(to, refined, 6).unwrap();
                told += 1;
                noticed.get_or_insert(message);
            }
        }
        // Once, when most of the last messages are slow, and of this way alone.
        assert_eq!(told, 1);
        let noticed = noticed.unwrap();
        assert!(
            (10 + LEAST / 2..10 + WINDOW).contains(&noticed),
            "{noticed}"
        );
        let rate = known.link(from, to).value.bytes_per_second;
        assert!(rate.abs_diff(FAST / 10) < 1000, "{rate}");
        assert_eq!(known.link(to, from).value, link(FAST));

        let slower = time(&known, &before);
        assert!(slower.time().0 > promised.time().0 * 3 / 2, "{slower:?}");
        let after = paths(&known);
        assert!(!crosses(&after, from, to), "{after:?}");
        let again = time(&known, &after);
        assert!(again.gains_on(&slower), "{again:?} on {slower:?}");
        assert!(!slower.gains_on(&again) && !again.gains_on(&again));

        // It is fast again, and not thought faster than it was measured.
        for _ in 0..WINDOW {
            seen.arrived(from, sizes().hop, Micros(1));
        }
        let report = known.report(to).unwrap().clone();
        let refined = seen.refine(6, &report, &start, Some(Stage(1))).unwrap();
        assert_eq!(refined, start);
    }

    #[test]
    fn work_that_takes_longer_is_noticed_for_the_stage_that_is_held() {
        let known = measured();
        let report = known.report(Peer(1)).unwrap();
        let mut seen = Observed::new();
        for _ in 0..LEAST - 1 {
            seen.worked(Part::Forward, Micros(500_000));
        }
        assert_eq!(
            seen.refine(6, report, report, Some(Stage(1))),
            None,
            "too few"
        );
        seen.worked(Part::Forward, Micros(500_000));
        let refined = seen.refine(6, report, report, Some(Stage(1))).unwrap();
        let times = refined.times.unwrap();
        assert_eq!(times.forward, Micros(500_000));
        assert_eq!(times.backward, ASSUMED_TIMES.backward);
        assert_eq!(seen.refine(6, report, report, Some(Stage(2))), None);
        seen.forget_work();
        assert_eq!(seen.refine(6, report, report, Some(Stage(1))), None);
    }

    #[test]
    fn short_messages_and_small_changes_say_nothing() {
        let known = measured();
        let report = known.report(Peer(1)).unwrap();
        let mut seen = Observed::new();
        for _ in 0..WINDOW {
            seen.arrived(Peer(0), SHORTEST - 1, Micros(1_000_000));
            seen.arrived(Peer(2), 1_000_000, Micros(150_000));
            seen.arrived(Peer(9), 1_000_000, Micros(150_000_000));
        }
        assert_eq!(seen.refine(6, report, report, Some(Stage(1))), None);
        // One that came after the start.
        let with_it = seen.refine(10, report, report, None).unwrap();
        let rate = with_it.pair(Peer(9)).and_then(|pair| pair.from);
        assert_eq!(rate.map(|link| link.bytes_per_second), Some(6_666));
    }

    proptest! {
        /// Whatever arrives, the report is one that others take.
        #[test]
        fn a_refined_report_is_within_limits(
            messages in proptest::collection::vec((0..8_u32, any::<u64>(), any::<u64>()), 0..200),
            tasks in proptest::collection::vec(any::<u64>(), 0..40),
        ) {
            let known = measured();
            let report = known.report(Peer(1)).unwrap();
            let mut seen = Observed::new();
            // A peer sends itself nothing.
            for (from, bytes, took) in messages.into_iter().filter(|(from, ..)| *from != 1) {
                seen.arrived(Peer(from), bytes, Micros(took));
            }
            for took in tasks {
                seen.worked(Part::Backward, Micros(took));
            }
            if let Some(refined) = seen.refine(6, report, report, Some(Stage(1))) {
                prop_assert!(refined.check(Peer(1), 6).is_ok());
            }
        }
    }
}
