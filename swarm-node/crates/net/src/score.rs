//! Scores and bans of peers, as a pure table: time is an argument, points stand in
//! [`crate::limits`].
//!
//! ```text
//! report ─▶ points, decayed ─▶ below BAN_SCORE ─▶ banned until … ─▶ let in again, half forgiven
//! ```
//! A ban doubles each time. The table is bounded: the peer whose score is nearest to 0 and who is
//! not banned is forgotten first, so a crowd of new names cannot push an offender out.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use swarm_identity::PeerId;

use crate::limits::{
    BAN_FIRST, BAN_LONGEST, BAN_SCORE, Behaviour, MAX_SCORE, MAX_SCORED_PEERS, SCORE_HALF_LIFE,
};

/// A decision to let a peer in no more, for a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ban {
    /// Who.
    pub peer: PeerId,
    /// What it did last.
    pub reason: Behaviour,
    /// For how long.
    pub lasts: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    score: f64,
    at: Instant,
    bans: u32,
    until: Option<Instant>,
}

impl Entry {
    fn new(now: Instant) -> Self {
        Self {
            score: 0.0,
            at: now,
            bans: 0,
            until: None,
        }
    }

    fn decayed(&self, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.score * (-elapsed / SCORE_HALF_LIFE.as_secs_f64()).exp2()
    }
}

/// Scores by peer.
#[derive(Debug, Default)]
pub struct Scores {
    entries: HashMap<PeerId, Entry>,
}

impl Scores {
    /// Adds what a behaviour is worth; tells if the peer is to be banned by it.
    pub fn report(&mut self, peer: PeerId, behaviour: Behaviour, now: Instant) -> Option<Ban> {
        self.make_room(&peer, now);
        let entry = self.entries.entry(peer).or_insert_with(|| Entry::new(now));
        entry.score = (entry.decayed(now) + behaviour.points()).min(MAX_SCORE);
        entry.at = now;
        if entry.until.is_some() || entry.score > BAN_SCORE {
            return None;
        }
        let lasts = BAN_FIRST
            .saturating_mul(1 << entry.bans.min(16))
            .min(BAN_LONGEST);
        entry.bans = entry.bans.saturating_add(1);
        entry.until = Some(now + lasts);
        Some(Ban {
            peer,
            reason: behaviour,
            lasts,
        })
    }

    /// Lets a ban of an earlier run go on for what is left of it.
    pub fn resume(&mut self, peer: PeerId, left: Duration, bans: u32, now: Instant) {
        self.make_room(&peer, now);
        let entry = Entry {
            score: BAN_SCORE,
            at: now,
            bans,
            until: Some(now + left),
        };
        self.entries.insert(peer, entry);
    }

    /// The peers that are banned, each with what is left of it and how often it was by now.
    pub fn banned(&self, now: Instant) -> impl Iterator<Item = (PeerId, Duration, u32)> + '_ {
        self.entries.iter().filter_map(move |(peer, entry)| {
            let left = entry.until?.saturating_duration_since(now);
            Some((*peer, left, entry.bans))
        })
    }

    /// The score of a peer; 0 for one that nothing is known of.
    pub fn score(&self, peer: &PeerId, now: Instant) -> f64 {
        self.entries
            .get(peer)
            .map_or(0.0, |entry| entry.decayed(now))
    }

    /// True while a peer is banned.
    pub fn is_banned(&self, peer: &PeerId) -> bool {
        self.entries
            .get(peer)
            .is_some_and(|entry| entry.until.is_some())
    }

    /// Ends the bans that are over and names the peers; half of what they did is forgiven.
    pub fn release(&mut self, now: Instant) -> Vec<PeerId> {
        let mut released = Vec::new();
        for (peer, entry) in &mut self.entries {
            if entry.until.is_some_and(|until| until <= now) {
                entry.until = None;
                entry.score = entry.score.max(BAN_SCORE) / 2.0;
                entry.at = now;
                released.push(*peer);
            }
        }
        released
    }

    fn make_room(&mut self, peer: &PeerId, now: Instant) {
        if self.entries.len() < MAX_SCORED_PEERS || self.entries.contains_key(peer) {
            return;
        }
        let least = self
            .entries
            .iter()
            .min_by(|(_, a), (_, b)| weight(a, now).total_cmp(&weight(b, now)))
            .map(|(peer, _)| *peer);
        if let Some(least) = least {
            self.entries.remove(&least);
        }
    }
}

/// How much would be lost if an entry were forgotten.
fn weight(entry: &Entry, now: Instant) -> f64 {
    let banned = if entry.until.is_some() { 1e6 } else { 0.0 };
    entry.decayed(now).abs() + 10.0 * f64::from(entry.bans) + banned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u16) -> PeerId {
        let mut bytes = [2; 33];
        bytes[1..3].copy_from_slice(&number.to_le_bytes());
        PeerId(bytes)
    }

    #[test]
    fn faults_ban_once_for_longer_each_time() {
        let (mut scores, start) = (Scores::default(), Instant::now());
        let bad = peer(1);
        let bans: Vec<Ban> = (0..20)
            .filter_map(|_| scores.report(bad, Behaviour::InvalidRecord, start))
            .collect();
        assert_eq!(bans.len(), 1, "one ban at a time");
        assert_eq!(bans[0].lasts, BAN_FIRST);
        assert!(scores.is_banned(&bad) && !scores.is_banned(&peer(2)));
        assert!(
            scores
                .release(start + BAN_FIRST - Duration::from_secs(1))
                .is_empty()
        );
        let later = start + BAN_FIRST;
        assert_eq!(scores.release(later), [bad]);
        assert!(!scores.is_banned(&bad));
        let again = (0..3).find_map(|_| scores.report(bad, Behaviour::InvalidRecord, later));
        assert_eq!(again.unwrap().lasts, 2 * BAN_FIRST);
    }

    #[test]
    fn scores_are_forgotten_by_half_and_good_ones_are_capped() {
        let (mut scores, start) = (Scores::default(), Instant::now());
        scores.report(peer(1), Behaviour::Oversize, start);
        let half = scores.score(&peer(1), start + SCORE_HALF_LIFE);
        assert!((half - Behaviour::Oversize.points() / 2.0).abs() < 1e-9);
        for _ in 0..10_000 {
            scores.report(peer(2), Behaviour::UsefulAnswer, start);
        }
        assert_eq!(scores.score(&peer(2), start), MAX_SCORE);
        assert_eq!(scores.score(&peer(3), start), 0.0);
    }

    #[test]
    fn a_ban_goes_on_in_the_next_run_and_the_next_one_is_longer() {
        let (mut scores, start) = (Scores::default(), Instant::now());
        let bad = peer(1);
        while scores.report(bad, Behaviour::Oversize, start).is_none() {}
        let then = start + BAN_FIRST / 4;
        let kept: Vec<_> = scores.banned(then).collect();
        assert_eq!(kept, [(bad, BAN_FIRST / 4 * 3, 1)]);
        let mut next = Scores::default();
        next.resume(bad, kept[0].1, kept[0].2, then);
        assert!(next.is_banned(&bad));
        assert!(
            next.release(start + BAN_FIRST - Duration::from_secs(1))
                .is_empty()
        );
        assert_eq!(next.release(start + BAN_FIRST), [bad]);
        let later = start + BAN_FIRST;
        let again = (0..9).find_map(|_| next.report(bad, Behaviour::Oversize, later));
        assert_eq!(again.unwrap().lasts, 2 * BAN_FIRST);
    }

    #[test]
    fn a_crowd_cannot_push_an_offender_out() {
        let (mut scores, start) = (Scores::default(), Instant::now());
        let bad = peer(u16::MAX);
        while scores.report(bad, Behaviour::WrongPiece, start).is_none() {}
        for number in 0..2 * MAX_SCORED_PEERS as u16 {
            scores.report(peer(number), Behaviour::Stalled, start);
        }
        assert_eq!(scores.entries.len(), MAX_SCORED_PEERS);
        assert!(scores.is_banned(&bad));
    }
}
