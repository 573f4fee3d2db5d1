//! The simulated network: delay, loss with retransmission, and partitions, as a pure function.

use reproducible_ops::random::{block, key_from};

use crate::clock::Millis;

/// Behaviour of all links.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Shortest delay, in milliseconds.
    pub delay_ms: u32,
    /// Additional delay, uniform in `0..=jitter_ms`.
    pub jitter_ms: u32,
    /// Probability that one attempt is lost.
    pub loss: f32,
    /// Attempts before a message is lost for good.
    pub attempts: u32,
    /// Time between attempts, in milliseconds.
    pub retry_ms: u32,
    /// Times in which the swarm is split.
    pub partitions: Vec<Partition>,
}

/// A split of the swarm in two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// First millisecond.
    pub from: Millis,
    /// First millisecond after it.
    pub until: Millis,
    /// Peers below this index are on one side, the rest on the other.
    pub cut: usize,
}

impl Partition {
    fn separates(&self, from: usize, to: usize, at: Millis) -> bool {
        (self.from..self.until).contains(&at) && (from < self.cut) != (to < self.cut)
    }
}

impl Default for Network {
    /// A calm wide-area network: 20–80 ms, no loss.
    fn default() -> Self {
        Self {
            delay_ms: 20,
            jitter_ms: 60,
            loss: 0.0,
            attempts: 4,
            retry_ms: 100,
            partitions: Vec::new(),
        }
    }
}

/// The fates of messages, fixed by a seed.
#[derive(Clone, Debug)]
pub struct NetworkModel {
    network: Network,
    key: [u32; 2],
    loss: u32,
}

impl NetworkModel {
    /// The weather of a seed.
    pub fn new(network: Network, seed: u64) -> Self {
        let mut job = [0; 32];
        job[..8].copy_from_slice(&seed.to_le_bytes());
        let loss = (f64::from(network.loss.clamp(0.0, 1.0)) * f64::from(u32::MAX)) as u32;
        Self {
            key: key_from("round-simulation-network", &job, &[0; 32]),
            loss,
            network,
        }
    }

    /// When a message arrives, if it does. `message` identifies it.
    pub fn arrival(&self, from: usize, to: usize, message: u64, sent: Millis) -> Option<Millis> {
        let link = ((from as u32) << 16) | (to as u32 & 0xffff);
        (0..self.network.attempts).find_map(|attempt| {
            let [lost, delay, ..] = block(
                [link, message as u32, (message >> 32) as u32, attempt],
                self.key,
            );
            let at = sent + u64::from(attempt) * u64::from(self.network.retry_ms);
            let blocked = self
                .network
                .partitions
                .iter()
                .any(|partition| partition.separates(from, to, at));
            let jitter = (u64::from(delay) * (u64::from(self.network.jitter_ms) + 1)) >> 32;
            let arrives = !blocked && lost >= self.loss;
            arrives.then(|| at + u64::from(self.network.delay_ms) + jitter)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(network: Network, sent: Millis) -> Vec<Option<Millis>> {
        let weather = NetworkModel::new(network, 5);
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
        let partitions = vec![Partition {
            from: 0,
            until: 150,
            cut: 5,
        }];
        let network = Network {
            partitions,
            ..Network::default()
        };
        assert!(
            arrivals(network.clone(), 0)
                .into_iter()
                .flatten()
                .all(|at| at >= 220)
        );
        let weather = NetworkModel::new(network, 5);
        assert!(weather.arrival(6, 9, 1, 0).is_some_and(|at| at <= 80));
    }
}
