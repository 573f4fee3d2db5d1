//! One direction of a link: a queue of limited length before a line with a rate, a delay and loss.
//!
//! ```text
//! packet ─▶ queue (bytes) ─▶ line (bits a second) ─▶ delay ─▶ arrives, or is lost by chance
//!              │ full: dropped
//! ```
//! The line sends one packet after the other, in their order; a lost one has taken its time.

use std::time::Duration;

use reproducible_ops::random::Stream;

/// What a link is like; the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkSettings {
    /// Time from the end of a packet's sending to its arrival.
    pub delay: Duration,
    /// Bits a second; none for any number.
    pub rate: Option<u64>,
    /// Share of packets that are lost, from 0 to 1.
    pub loss: f32,
    /// Bytes that may wait for the line.
    pub queue: usize,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives at this time.
    Arrives(Duration),
    /// It is lost on the way.
    Lost,
    /// The queue is full.
    Dropped,
}

/// One direction of a link. Times count from the network's beginning.
#[derive(Clone, Debug)]
pub struct Link {
    settings: LinkSettings,
    /// When the line has sent all that waits.
    free: Duration,
    random: Stream,
}

impl Link {
    /// An idle link.
    pub fn new(settings: LinkSettings, random: Stream) -> Self {
        Self {
            settings,
            free: Duration::ZERO,
            random,
        }
    }

    /// Sends a packet of so many bytes.
    pub fn send(&mut self, bytes: usize, now: Duration) -> Fate {
        let begin = self.free.max(now);
        if self.time(self.settings.queue) < (begin - now) + self.time(bytes) {
            return Fate::Dropped;
        }
        self.free = begin + self.time(bytes);
        match self.random.chance(self.settings.loss) {
            true => Fate::Lost,
            false => Fate::Arrives(self.free + self.settings.delay),
        }
    }

    /// How long the line takes for so many bytes.
    fn time(&self, bytes: usize) -> Duration {
        match self.settings.rate {
            Some(rate) => Duration::from_nanos(bytes as u64 * 8_000_000_000 / rate),
            None => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn link(rate: Option<u64>, loss: f32) -> Link {
        let settings = LinkSettings {
            delay: 50 * MILLISECOND,
            rate,
            loss,
            queue: 3000,
        };
        Link::new(settings, Stream::from_seed("link test", 1))
    }

    #[test]
    fn rate_and_delay_are_exact() {
        // 8 Mbit a second are 1000 bytes a millisecond.
        let mut link = link(Some(8_000_000), 0.0);
        let sent = [1000, 1000, 500].map(|bytes| link.send(bytes, MILLISECOND));
        let at = |micros| Fate::Arrives(Duration::from_micros(micros));
        assert_eq!(sent, [at(52_000), at(53_000), at(53_500)]);
        assert_eq!(link.send(1000, 100 * MILLISECOND), at(151_000), "idle");
    }

    #[test]
    fn a_full_queue_drops_and_empties_with_time() {
        let mut link = link(Some(8_000_000), 0.0);
        let full = |fate| fate == Fate::Dropped;
        assert_eq!(
            [0; 4].map(|_| full(link.send(1000, MILLISECOND))),
            [false, false, false, true]
        );
        assert!(!full(link.send(1000, 2 * MILLISECOND)), "one was sent");
        assert!(full(link.send(1, 2 * MILLISECOND)));
    }

    #[test]
    fn loss_is_a_share_and_a_function_of_the_seed() {
        let lost = || {
            let mut link = link(None, 0.005);
            let sent = (0..100_000).map(|_| link.send(1000, MILLISECOND));
            sent.map(|fate| fate == Fate::Lost).collect::<Vec<bool>>()
        };
        let first = lost();
        assert_eq!(first, lost());
        let count = first.iter().filter(|lost| **lost).count();
        assert!((400..600).contains(&count), "{count} of 100000 at 0.5 %");
        assert_eq!(
            link(None, 0.0).send(9, MILLISECOND),
            Fate::Arrives(51 * MILLISECOND)
        );
    }
}
