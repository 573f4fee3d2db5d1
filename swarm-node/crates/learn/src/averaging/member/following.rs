//! What a follower of a group does.
//!
//! ```text
//! Offer ─▶ (leader)   waits ── Offer or Mean, checked ──▶ Have ─▶ in doubt ── Decided ──▶ averages
//!                       │ lost, late, declined, wrong                │ lost, late, declined
//!                       └──────────────▶ alone ◀─────────────────────┘
//! ```

use std::time::Duration;

use skippipe::content::{Content, Digest};

use super::round::{Exchange, Package, Phase, Verdict};
use super::{Member, Purpose};
use crate::averaging::message::{Body, Mean};
use crate::averaging::transcript::{MAX_SIGNATURE, Part, Reason, Replica, Taken};
use crate::averaging::work::{Move, Work};

impl Member {
    /// How long a follower waits, each time.
    fn follower_patience(&self) -> Duration {
        3 * self.settings.patience
    }

    pub(super) fn follow(&mut self) {
        let Some(leader) = self.round.group.leader() else {
            return;
        };
        let Phase::Exchanging(Exchange { since, doubt, .. }) = self.round.phase else {
            return;
        };
        let waits = doubt.unwrap_or(since);
        let is_late = self.now > waits + self.follower_patience();
        let gone = self.gone(leader, is_late);
        let package = self.round.packages.get(&leader);
        let verdict = package.map(|package| (package.verdict, package.content.digest()));
        match (verdict, doubt) {
            (Some((Verdict::Bad(reason), _)), _) => self.alone(reason),
            (_, Some(_)) => match gone {
                // It said so itself, and does not decide any more.
                Some(reason @ (Reason::Declined | Reason::OtherRoster)) => self.alone(reason),
                // One that is lost may have decided, and may be found again in time.
                Some(_) if is_late => self.alone(Reason::InDoubt),
                _ => {}
            },
            (package, None) => match (gone, package) {
                (Some(reason), _) => self.alone(reason),
                (None, Some((Verdict::Good, digest))) => self.say_have(leader, digest),
                (None, _) => {}
            },
        }
    }

    /// Tells the leader that its contribution is here and can be used; from here on it decides.
    fn say_have(&mut self, leader: Replica, contribution: Digest) {
        if let Phase::Exchanging(exchange) = &mut self.round.phase {
            exchange.doubt = Some(self.now);
        }
        self.send(leader, Body::Have(contribution));
    }

    /// A mean came.
    pub(super) fn mean(&mut self, from: Replica, mean: Mean) {
        if self.settings.paired || self.round.group.leader() != Some(from) {
            return self.fault(from, "sent a mean without leading");
        }
        let group = &self.round.group;
        let parts = &mean.parts;
        let named = |part: &Part| {
            let is_bounded = part.signature.len() <= MAX_SIGNATURE;
            group.contains(part.replica) && part.outer == mean.outer && is_bounded
        };
        let is_sound = parts
            .windows(2)
            .all(|pair| pair[0].replica < pair[1].replica)
            && parts.iter().all(named)
            && parts.iter().any(|part| part.replica == from);
        // Whoever's contribution counts has that very one in it.
        let own = self.round.own.as_ref().map(|own| own.content.digest());
        let of_me = parts.iter().find(|part| part.replica == self.me);
        let is_mine = of_me.is_none_or(|part| Some(part.contribution) == own || own.is_none());
        let verdict = if mean.content.bytes().len() != self.settings.contribution_bytes {
            Verdict::Bad(Reason::WrongSize)
        } else if !is_sound || !is_mine {
            Verdict::Bad(Reason::WrongParts)
        } else {
            Verdict::Unseen
        };
        self.came(
            from,
            Package {
                outer: mean.outer,
                parts: mean.parts,
                content: mean.content,
                verdict,
            },
        );
    }

    /// The leader says that the group averages.
    pub(super) fn decided(&mut self, from: Replica, digest: Digest) {
        if let Phase::Exchanging(Exchange { doubt: None, .. }) = self.round.phase {
            // It decided with this member before that was restarted, and does not say it all again.
            let leads = self.round.group.leader() == Some(from);
            if leads && !self.round.packages.contains_key(&from) {
                self.alone(Reason::Late);
            }
            return;
        }
        let Phase::Exchanging(Exchange { doubt: Some(_), .. }) = self.round.phase else {
            return;
        };
        let leader = self.round.group.leader().filter(|leader| *leader == from);
        let package = leader.and_then(|leader| self.round.packages.get(&leader));
        let package = package.filter(|package| package.content.digest() == digest);
        let (Some(package), Some(own)) = (package, &self.round.own) else {
            return;
        };
        if self.settings.paired {
            let (taken, ending) = pair(own, package);
            return self.go(taken, ending, None);
        }
        if package.outer != own.outer {
            let (since, said) = (self.now, self.now);
            self.round.phase = Phase::Adopting { since, said };
            return self.ask_for_outer();
        }
        let taken = Taken::Averaged {
            parts: package.parts.clone(),
            mean: Some(digest),
        };
        let ending = Move::Mean(package.content.clone());
        self.go(taken, ending, None);
    }

    pub(super) fn say_again_as_follower(&mut self) {
        let Some(leader) = self.round.group.leader() else {
            return;
        };
        let Phase::Exchanging(exchange) = &self.round.phase else {
            return;
        };
        let package = self.round.packages.get(&leader);
        let body = match (exchange.doubt, package) {
            (Some(_), Some(package)) => Body::Have(package.content.digest()),
            _ => Body::Want,
        };
        self.send(leader, body);
    }

    pub(super) fn ask_for_outer(&mut self) {
        if let Some(leader) = self.round.group.leader() {
            self.send(leader, Body::OuterWanted);
        }
    }

    /// Whether the leader's anchor is still worth waiting for.
    pub(super) fn look_for_outer(&mut self) {
        let Phase::Adopting { since, .. } = self.round.phase else {
            return;
        };
        let is_late = self.now > since + self.follower_patience();
        let leader = self.round.group.leader();
        let gone = leader.and_then(|leader| self.gone(leader, is_late));
        if let Some(reason) = gone {
            self.go(Taken::Alone(reason), Move::Stay, None);
        }
    }

    /// The leader's anchor and momentum came.
    pub(super) fn adopted(&mut self, from: Replica, round: u64, content: Content) {
        let is_awaited = matches!(self.round.phase, Phase::Adopting { .. })
            && round == self.round.number
            && self.round.group.leader() == Some(from);
        if !is_awaited {
            return;
        }
        if content.bytes().len() != self.settings.outer_bytes {
            self.fault(from, "sent an anchor and momentum of another size");
            return self.go(Taken::Alone(Reason::WrongSize), Move::Stay, None);
        }
        // What it is is known when it is taken.
        let outer = content.digest();
        self.go(Taken::Adopted { from, outer }, Move::Adopt(content), None);
    }

    /// Somebody averaged with this leader, but has another anchor. It is told the state after the
    /// round, which is there from then until the next outer step.
    pub(super) fn outer_wanted(&mut self, from: Replica, round: u64) {
        let past = self.past.iter().find(|past| past.number == round);
        let decided = past.and_then(|past| past.decided.as_ref());
        let with = decided.is_some_and(|decision| decision.with.contains(&from));
        let is_next = self.last_ended() == Some(round);
        let before_move = !matches!(self.round.phase, Phase::Moving(_));
        let is_asked = self.tasks.values();
        let mut is_asked =
            is_asked.filter(|purpose| matches!(purpose, Purpose::Export(to) if *to == from));
        if with && is_next && before_move && is_asked.next().is_none() {
            self.work(Work::Export, Purpose::Export(from));
        }
    }
}

/// What two contributions come to: both sides add them in ascending order.
pub(super) fn pair(own: &Package, other: &Package) -> (Taken, Move) {
    let mut both = [own, other];
    both.sort_by_key(|package| package.parts.first().map(|part| part.replica));
    let taken = Taken::Averaged {
        parts: both
            .iter()
            .flat_map(|package| package.parts.clone())
            .collect(),
        mean: None,
    };
    let contents = both.map(|package| package.content.clone());
    (taken, Move::Parts(contents.to_vec()))
}
