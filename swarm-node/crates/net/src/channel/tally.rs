//! Counts bytes of one stream and tells them now and then, since frames may be many and small.

use std::time::{Duration, Instant};

use swarm_identity::PeerId;

use crate::bulk::network::{Purpose, Reports, Traffic};

/// Time between two tellings.
const EVERY: Duration = Duration::from_secs(1);

/// What moved and was not told yet; the rest is told at the end.
pub(crate) struct Tally<R: Reports> {
    reports: R,
    peer: PeerId,
    traffic: Traffic,
    told: Instant,
}

impl<R: Reports> Tally<R> {
    pub(crate) fn new(reports: R, peer: PeerId) -> Self {
        Self {
            reports,
            peer,
            traffic: Traffic::default(),
            told: Instant::now(),
        }
    }

    /// Counts what was sent.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.traffic.sent += bytes as u64;
        self.tell_in_time();
    }

    /// Counts what came.
    pub(crate) fn received(&mut self, bytes: usize) {
        self.traffic.received += bytes as u64;
        self.tell_in_time();
    }

    fn tell_in_time(&mut self) {
        if self.told.elapsed() >= EVERY {
            self.tell();
        }
    }

    fn tell(&mut self) {
        self.told = Instant::now();
        let traffic = std::mem::take(&mut self.traffic);
        self.reports.moved(self.peer, Purpose::Channels, traffic);
    }
}

impl<R: Reports> Drop for Tally<R> {
    fn drop(&mut self) {
        self.tell();
    }
}
