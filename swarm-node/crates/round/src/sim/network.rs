//! The simulated network: delay, loss with retransmission, and partitions, as a pure function.
//!
//! ```text
//! delay of a link = between the regions + access of both peers + jitter + tail
//!                   └──────────── fixed ───────────────────┘   └ by message ─┘
//! ```
//! A message's fate on a link is a function of (seed, sender, receiver, message); each attempt
//! after a loss or into a partition comes `retry_ms` later.

use std::ops::Range;

use reproducible_ops::random::block;

use super::seed::seed_key;
use super::tail::Tail;
use crate::clock::Millis;

/// Neighbours of a peer in the mesh where messages are forwarded, as gossip protocols have them.
pub const MESH: usize = 6;

/// Behaviour of all links.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Shortest delay between peers whose regions `regions_ms` does not have, in milliseconds.
    pub delay_ms: u32,
    /// Shortest delay from region (row) to region (column), in milliseconds; empty for a world of
    /// one region.
    pub regions_ms: Vec<Vec<u32>>,
    /// Additional delay, uniform in `0..=jitter_ms`.
    pub jitter_ms: u32,
    /// Additional delay with a heavy tail.
    pub tail: Tail,
    /// Probability that one attempt is lost.
    pub loss: f32,
    /// Attempts before a message is lost for good.
    pub attempts: u32,
    /// Time between attempts, in milliseconds.
    pub retry_ms: u32,
    /// Times in which the swarm is split.
    pub partitions: Vec<Partition>,
    /// Neighbours to whom a peer forwards what it accepts, rounded up to an even number, usually
    /// [`MESH`]; 0 if nobody forwards.
    pub mesh: usize,
}

/// Where a peer lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Home {
    /// Its row and column in [`Network::regions_ms`].
    pub region: u16,
    /// Delay between it and its region, either way, in milliseconds.
    pub access_ms: u32,
}

/// A split of the swarm in groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// First millisecond.
    pub from: Millis,
    /// First millisecond after it.
    pub until: Millis,
    /// The peers of each group, by index. Those that are in none are one more group together.
    pub groups: Vec<Vec<usize>>,
}

impl Partition {
    /// A split in two: peers below `cut`, and the rest.
    pub fn cut(from: Millis, until: Millis, cut: usize) -> Self {
        Self {
            from,
            until,
            groups: vec![(0..cut).collect()],
        }
    }
}

impl Default for Network {
    /// A calm wide-area network: 20–80 ms, no loss, nobody forwards.
    fn default() -> Self {
        Self {
            delay_ms: 20,
            regions_ms: Vec::new(),
            jitter_ms: 60,
            tail: Tail::None,
            loss: 0.0,
            attempts: 4,
            retry_ms: 100,
            partitions: Vec::new(),
            mesh: 0,
        }
    }
}

/// One-way delays between North America, Europe, East Asia, South America and Oceania, in
/// milliseconds.
const CONTINENTS_MS: [[u32; 5]; 5] = [
    [15, 45, 80, 65, 95],
    [45, 10, 110, 95, 130],
    [80, 110, 25, 150, 60],
    [65, 95, 150, 15, 145],
    [95, 130, 60, 145, 15],
];

impl Network {
    /// Five continents, a log-normal tail up to a second and a half, 1 % loss; members forward.
    pub fn world() -> Self {
        Self {
            regions_ms: CONTINENTS_MS.map(Vec::from).into(),
            jitter_ms: 10,
            tail: Tail::LogNormal {
                median_ms: 10,
                cap_ms: 1_500,
            },
            loss: 0.01,
            mesh: MESH,
            ..Self::default()
        }
    }

    /// The first peer whose region is not there.
    pub(super) fn homeless(&self, homes: &[Home]) -> Option<usize> {
        let regions = &self.regions_ms;
        let square = regions.iter().all(|row| row.len() == regions.len());
        let is_there = |home: &Home| square && usize::from(home.region) < regions.len();
        let first = homes.iter().position(|home| !is_there(home));
        first.filter(|_| !regions.is_empty())
    }
}

/// A partition with the group of each peer.
#[derive(Clone, Debug)]
struct Split {
    time: Range<Millis>,
    groups: Vec<usize>,
}

impl Split {
    fn new(partition: &Partition, peers: usize) -> Self {
        let mut groups = vec![partition.groups.len(); peers];
        for (group, members) in partition.groups.iter().enumerate() {
            for member in members {
                if let Some(known) = groups.get_mut(*member) {
                    *known = group;
                }
            }
        }
        Self {
            time: partition.from..partition.until,
            groups,
        }
    }

    fn separates(&self, from: usize, to: usize, at: Millis) -> bool {
        self.time.contains(&at) && self.groups[from] != self.groups[to]
    }
}

/// The fates of messages, fixed by a seed.
#[derive(Clone, Debug)]
pub struct NetworkModel {
    network: Network,
    key: [u32; 2],
    loss: u32,
    homes: Vec<Home>,
    splits: Vec<Split>,
}

impl NetworkModel {
    /// The weather of a seed between peers who live there, in the network's regions.
    pub fn new(network: Network, homes: Vec<Home>, seed: u64) -> Self {
        let loss = (f64::from(network.loss.clamp(0.0, 1.0)) * f64::from(u32::MAX)) as u32;
        let partitions = network.partitions.iter();
        Self {
            key: seed_key("round-simulation-network", seed),
            loss,
            splits: partitions
                .map(|partition| Split::new(partition, homes.len()))
                .collect(),
            homes,
            network,
        }
    }

    /// The shortest delay of a link, in milliseconds.
    pub fn shortest_ms(&self, from: usize, to: usize) -> u64 {
        let [a, b] = [&self.homes[from], &self.homes[to]];
        let row = self.network.regions_ms.get(usize::from(a.region));
        let between = row.and_then(|row| row.get(usize::from(b.region)));
        let between = between.copied().unwrap_or(self.network.delay_ms);
        u64::from(between) + u64::from(a.access_ms) + u64::from(b.access_ms)
    }

    /// When a message arrives, if it does. `message` identifies it.
    pub fn arrival(&self, from: usize, to: usize, message: u64, sent: Millis) -> Option<Millis> {
        let link = ((from as u32) << 16) | (to as u32 & 0xffff);
        let network = &self.network;
        (0..network.attempts).find_map(|attempt| {
            let [lost, delay, tail, _] = block(
                [link, message as u32, (message >> 32) as u32, attempt],
                self.key,
            );
            let at = sent + u64::from(attempt) * u64::from(network.retry_ms);
            let is_blocked = self
                .splits
                .iter()
                .any(|split| split.separates(from, to, at));
            if is_blocked || lost < self.loss {
                return None;
            }
            let jitter = (u64::from(delay) * (u64::from(network.jitter_ms) + 1)) >> 32;
            Some(at + self.shortest_ms(from, to) + jitter + network.tail.delay_ms(tail))
        })
    }

    /// The delay, in milliseconds, with which half of the other peers get what a peer publishes,
    /// partitions aside.
    pub fn median_ms(&self, from: usize) -> u64 {
        const SAMPLES: u64 = 64;
        let others = (0..self.homes.len()).filter(|to| *to != from);
        let weather = Self {
            splits: Vec::new(),
            ..self.clone()
        };
        let draws = others.flat_map(|to| (0..SAMPLES).map(move |message| (to, message)));
        let mut delays: Vec<_> = draws
            .map(|(to, message)| weather.arrival(from, to, message, 0).unwrap_or(Millis::MAX))
            .collect();
        delays.sort_unstable();
        delays.get(delays.len() / 2).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weather(network: Network) -> NetworkModel {
        NetworkModel::new(network, vec![Home::default(); 10], 5)
    }

    fn arrivals(network: Network, sent: Millis) -> Vec<Option<Millis>> {
        let weather = weather(network);
        (0..2_000)
            .map(|message| weather.arrival(1, 9, message, sent))
            .collect()
    }

    #[test]
    fn delays_stay_in_their_range_and_use_it() {
        let delays: Vec<_> = arrivals(Network::default(), 0)
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(delays.len(), 2_000);
        assert_eq!(
            (delays.iter().min(), delays.iter().max()),
            (Some(&20), Some(&80))
        );
    }

    #[test]
    fn loss_delays_first_and_drops_last() {
        let network = Network {
            loss: 0.5,
            attempts: 2,
            ..Network::default()
        };
        let arrivals = arrivals(network, 0);
        let lost = arrivals.iter().filter(|at| at.is_none()).count();
        let late = arrivals.iter().flatten().filter(|at| **at > 80).count();
        assert!(
            (400..600).contains(&lost) && (400..600).contains(&late),
            "{lost} lost, {late} late"
        );
    }

    #[test]
    fn partitions_block_one_side_from_the_other() {
        let network = Network {
            partitions: vec![Partition::cut(0, 150, 5)],
            ..Network::default()
        };
        assert!(
            arrivals(network.clone(), 0)
                .into_iter()
                .flatten()
                .all(|at| at >= 220)
        );
        let weather = weather(network);
        assert!(weather.arrival(6, 9, 1, 0).is_some_and(|at| at <= 80));
    }

    #[test]
    fn a_partition_has_as_many_groups_as_one_likes() {
        let partition = Partition {
            from: 0,
            until: 1_000,
            groups: vec![vec![0, 7], vec![3, 4]],
        };
        let weather = weather(Network {
            partitions: vec![partition],
            ..Network::default()
        });
        let hears = |from, to| weather.arrival(from, to, 1, 0).is_some();
        assert!(hears(7, 0) && hears(3, 4) && hears(9, 1));
        assert!(!hears(0, 3) && !hears(4, 9) && !hears(9, 7));
        assert!(weather.arrival(0, 3, 1, 1_000).is_some());
    }

    #[test]
    fn a_link_is_as_long_as_its_ends_are_far_apart() {
        let mut homes = vec![Home::default(); 10];
        (homes[1].region, homes[2].region, homes[2].access_ms) = (1, 2, 30);
        let network = Network {
            regions_ms: vec![vec![5, 40, 90], vec![45, 6, 110], vec![90, 110, 7]],
            jitter_ms: 0,
            ..Network::default()
        };
        assert_eq!(network.homeless(&homes), None);
        let weather = NetworkModel::new(network.clone(), homes.clone(), 5);
        let delays = [(0, 3), (0, 1), (1, 0), (2, 1), (0, 2)];
        let delays = delays.map(|(from, to)| weather.arrival(from, to, 1, 1_000));
        assert_eq!(delays, [1_005, 1_040, 1_045, 1_140, 1_120].map(Some));
        homes[4].region = 3;
        assert_eq!(network.homeless(&homes), Some(4));
    }

    #[test]
    fn a_tail_comes_on_top_of_the_jitter() {
        let tail = Tail::Pareto {
            scale_ms: 20,
            cap_ms: 500,
        };
        let calm = arrivals(Network::default(), 0);
        let heavy = arrivals(
            Network {
                tail,
                ..Network::default()
            },
            0,
        );
        let extra = |(calm, heavy): (&Option<u64>, &Option<u64>)| heavy.unwrap() - calm.unwrap();
        let mut extra: Vec<_> = calm.iter().zip(&heavy).map(extra).collect();
        extra.sort_unstable();
        // The median is 0.41 scales, the 99th percentile 9.
        assert!((7..=9).contains(&extra[1_000]), "{}", extra[1_000]);
        assert!((120..=260).contains(&extra[1_980]), "{}", extra[1_980]);
        assert!(extra[1_999] <= 500);
    }

    #[test]
    fn half_of_the_peers_get_a_message_in_the_median_time() {
        let weather = weather(Network::default());
        let median = weather.median_ms(3);
        assert!((40..=60).contains(&median), "{median}");
        let in_time = (0..2_000).filter(|message| {
            let at = weather.arrival(3, 8, 77 + message, 0);
            at.is_some_and(|at| at <= median)
        });
        assert!((800..1_200).contains(&in_time.count()));
    }
}
