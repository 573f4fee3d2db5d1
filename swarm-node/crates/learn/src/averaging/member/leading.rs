//! What the leader of a group does.
//!
//! ```text
//! pair   the follower's Offer is checked, and its Have is here ─▶ Decided
//! all    Offers ──all here, or late──▶ Mean ──Have of all, or late──▶ Decided
//! ```

use std::collections::BTreeSet;

use skippipe::content::{Content, Digest};

use super::following::pair;
use super::round::{Decision, Exchange, Package, Phase, Verdict};
use super::{Member, Purpose};
use crate::averaging::message::{Body, Mean};
use crate::averaging::transcript::{Part, Reason, Replica, Taken};
use crate::averaging::work::{Move, Work};

impl Member {
    /// A follower has what it needs.
    pub(super) fn has(&mut self, from: Replica, digest: Digest) {
        let Phase::Exchanging(exchange) = &mut self.round.phase else {
            return;
        };
        let package = exchange.package.as_ref();
        if package.is_some_and(|package| package.content.digest() == digest) {
            exchange.have.insert(from);
            self.review();
        }
    }

    pub(super) fn lead_pair(&mut self) {
        let Some(partner) = self.round.group.others(self.me).next() else {
            return;
        };
        let Phase::Exchanging(exchange) = &self.round.phase else {
            return;
        };
        let is_late = self.now > exchange.since + self.settings.patience;
        let has = exchange.have.contains(&partner);
        let package = self.round.packages.get(&partner);
        let verdict = package.map(|package| package.verdict);
        match (verdict, &self.round.own, package) {
            (Some(Verdict::Bad(reason)), ..) => self.alone(reason),
            (Some(Verdict::Good), Some(own), Some(package))
                if has && !self.round.out.contains_key(&partner) =>
            {
                let (taken, ending) = pair(own, package);
                let digest = own.content.digest();
                self.send(partner, Body::Decided(digest));
                let with = BTreeSet::from([partner]);
                self.go(taken, ending, Some(Decision { digest, with }));
            }
            _ => {
                if let Some(reason) = self.gone(partner, is_late) {
                    self.alone(reason);
                }
            }
        }
    }

    /// Members of the group that are neither lost nor out, without this one.
    fn present(&self) -> Vec<Replica> {
        let others = self.round.group.others(self.me);
        others
            .filter(|other| self.gone(*other, false).is_none())
            .collect()
    }

    pub(super) fn lead_all(&mut self) {
        let Phase::Exchanging(exchange) = &self.round.phase else {
            return;
        };
        let patience = self.settings.patience;
        let (since, closed) = (
            exchange.since,
            exchange.closed.as_ref().map(|closed| closed.0),
        );
        let (has_mean, have) = (exchange.package.is_some(), exchange.have.clone());
        let present = self.present();
        match closed {
            None => {
                let pending = |replica: &Replica| {
                    let package = self.round.packages.get(replica);
                    let verdict = package.map(|package| package.verdict);
                    matches!(verdict, None | Some(Verdict::Unseen | Verdict::Asked(_)))
                };
                if !present.iter().any(pending) || self.now > since + patience {
                    self.close();
                }
            }
            Some(closed) if has_mean => {
                let all = present.iter().all(|replica| have.contains(replica));
                if all || self.now > closed + patience {
                    self.decide(present, have);
                }
            }
            Some(_) => {}
        }
    }

    /// Nothing is waited for any more: the mean is of what is here and moves the leader's anchor.
    fn close(&mut self) {
        let Some(own) = &self.round.own else { return };
        let packages = self.round.packages.iter();
        let mut counted: Vec<&Package> = packages
            .filter(|(from, package)| {
                let is_good = package.verdict == Verdict::Good && package.outer == own.outer;
                is_good && !self.round.out.contains_key(from)
            })
            .map(|(_, package)| package)
            .collect();
        if counted.is_empty() {
            let others = self.round.group.others(self.me);
            let reason = others.filter_map(|other| self.why_not(other)).next();
            // Whoever leads others has lost them all for a reason; without others it is single.
            return self.alone(reason.unwrap_or(Reason::Single));
        }
        counted.push(own);
        counted.sort_by_key(|package| package.parts.first().map(|part| part.replica));
        let parts: Vec<Part> = counted
            .iter()
            .flat_map(|package| package.parts.clone())
            .collect();
        let contents = counted.iter().map(|package| package.content.clone());
        let contents: Vec<Content> = contents.collect();
        if let Phase::Exchanging(Exchange { closed, .. }) = &mut self.round.phase {
            *closed = Some((self.now, parts));
        }
        self.work(Work::Mean(contents), Purpose::Mean);
    }

    /// Why a member's contribution does not count.
    fn why_not(&self, replica: Replica) -> Option<Reason> {
        let package = self.round.packages.get(&replica);
        match package.map(|package| package.verdict) {
            Some(Verdict::Bad(reason)) => Some(reason),
            Some(Verdict::Good) => Some(Reason::Stale),
            _ => self.gone(replica, true),
        }
    }

    /// The mean is here: everybody present gets it.
    pub(super) fn averaged(&mut self, content: Content) {
        let outer = self.round.own.as_ref().map(|own| own.outer);
        let (Phase::Exchanging(exchange), Some(outer)) = (&mut self.round.phase, outer) else {
            return;
        };
        let Some((closed, parts)) = &mut exchange.closed else {
            return;
        };
        // Followers' time begins when they are told.
        *closed = self.now;
        exchange.package = Some(Package {
            outer,
            parts: parts.clone(),
            content,
            verdict: Verdict::Good,
        });
        for replica in self.present() {
            self.send_mean(replica);
        }
        self.review();
    }

    pub(super) fn send_mean(&mut self, to: Replica) {
        let Phase::Exchanging(exchange) = &self.round.phase else {
            return;
        };
        let Some(package) = &exchange.package else {
            return;
        };
        let mean = Mean {
            outer: package.outer,
            parts: package.parts.clone(),
            content: package.content.clone(),
        };
        self.send(to, Body::Mean(mean));
    }

    /// The group averages, or, where nobody has the mean, does not.
    fn decide(&mut self, present: Vec<Replica>, have: BTreeSet<Replica>) {
        let Phase::Exchanging(exchange) = &self.round.phase else {
            return;
        };
        let Some(package) = exchange.package.clone() else {
            return;
        };
        if have.is_empty() {
            return self.alone(Reason::Late);
        }
        let digest = package.content.digest();
        for replica in &present {
            self.send(*replica, Body::Decided(digest));
        }
        let taken = Taken::Averaged {
            parts: package.parts,
            mean: Some(digest),
        };
        let decision = Decision { digest, with: have };
        self.go(taken, Move::Mean(package.content), Some(decision));
    }

    pub(super) fn say_again_as_leader(&mut self) {
        let Phase::Exchanging(Exchange { closed: None, .. }) = &self.round.phase else {
            return;
        };
        for replica in self.present() {
            if !self.round.packages.contains_key(&replica) {
                self.send(replica, Body::Want);
            }
        }
    }
}
