//! From the inner steps to the outer one: what both leaders and followers do.

use skippipe::content::{Content, Digest};

use super::round::{Decision, Exchange, Package, Past, Phase, Verdict};
use super::{MAX_EARLY, MAX_PAST, Member, Output, Purpose};
use crate::averaging::message::{Body, Message, Offer};
use crate::averaging::transcript::{MAX_SIGNATURE, Part, Reason, Replica, Statement, Taken};
use crate::averaging::work::{Move, Task, Work};

impl Member {
    /// The inner steps are done: what the replica contributes is signed before anybody sees it.
    pub(super) fn trained(&mut self, content: Content, outer: Digest) {
        let found = content.bytes().len();
        if found != self.settings.contribution_bytes {
            let expected = self.settings.contribution_bytes;
            return self.stuck(format!("a contribution of {found} bytes, not {expected}"));
        }
        self.round.own = Some(Package {
            outer,
            parts: Vec::new(),
            content,
            verdict: Verdict::Good,
        });
        self.round.phase = Phase::Signing;
        self.outputs
            .extend(self.offer_statement().map(Output::Sign));
    }

    fn offer_statement(&self) -> Option<Statement> {
        let own = self.round.own.as_ref()?;
        Some(Statement::Offer {
            job: self.settings.job,
            replica: self.me,
            round: self.round.number,
            roster: self.round.roster.digest(),
            outer: own.outer,
            contribution: own.content.digest(),
        })
    }

    /// The own contribution may be sent: the group meets.
    pub(super) fn offer_signed(&mut self, statement: Digest, signature: Vec<u8>) {
        let asked = self
            .offer_statement()
            .filter(|one| one.digest() == statement);
        let (Phase::Signing, Some(_)) = (&self.round.phase, asked) else {
            return;
        };
        let replica = self.me;
        if let Some(own) = &mut self.round.own {
            own.parts = vec![Part {
                replica,
                outer: own.outer,
                contribution: own.content.digest(),
                signature,
            }];
        }
        self.round.phase = Phase::Exchanging(Exchange::new(self.now));
        match self.round.group.members() {
            [] => return self.alone(Reason::NotListed),
            [_] => return self.alone(Reason::Single),
            _ => {}
        }
        if self.settings.paired || !self.leads() {
            self.send_offer();
        }
        if let (true, Phase::Exchanging(exchange)) = (self.settings.paired, &mut self.round.phase) {
            exchange.package = self.round.own.clone();
        }
        self.review();
    }

    /// Sends the own contribution: to the partner, or to the leader.
    fn send_offer(&mut self) {
        let to = match (self.leads(), self.round.group.leader()) {
            (false, Some(leader)) => leader,
            _ => match self.round.group.others(self.me).next() {
                Some(partner) if self.settings.paired => partner,
                _ => return,
            },
        };
        let Some(own) = &self.round.own else { return };
        let Some(part) = own.parts.first() else {
            return;
        };
        let offer = Offer {
            outer: own.outer,
            contribution: part.contribution,
            signature: part.signature.clone(),
            content: own.content.clone(),
        };
        self.send(to, Body::Offer(offer));
    }

    /// Whether this member leads its group.
    pub(super) fn leads(&self) -> bool {
        self.round.group.leader() == Some(self.me)
    }

    pub(super) fn hear(&mut self, from: Replica, message: Message) {
        if from == self.me || from.0 >= self.settings.replicas {
            return;
        }
        let Message {
            round,
            roster,
            body,
        } = message;
        match body {
            Body::Roster(listed) => return self.listed(from, *listed),
            Body::OuterWanted => return self.outer_wanted(from, round),
            Body::Outer(content) => return self.adopted(from, round, content),
            Body::Where => return self.asked_where(from, roster),
            Body::At => return self.heard_of(from, round),
            _ => {}
        }
        let is_over = self.past.iter().any(|past| past.number == round);
        if is_over || round < self.round.number {
            if matches!(body, Body::Offer(_)) && round < self.round.number {
                self.round.behind.insert(from);
            }
            return self.answer_of_past(from, round, &body);
        }
        if round > self.round.number {
            let is_content = matches!(body, Body::Offer(_) | Body::Mean(_));
            let fits = self.early.len() < MAX_EARLY || self.early.contains_key(&from);
            if round == self.round.number + 1 && is_content && fits && self.has_size(&body) {
                let message = Message {
                    round,
                    roster,
                    body,
                };
                self.early.insert(from, message);
            }
            return;
        }
        if matches!(self.round.phase, Phase::Over) {
            return;
        }
        if roster != self.round.roster.id() {
            return self.other_roster(from, roster.number, &body);
        }
        if !self.round.group.contains(from) {
            return self.fault(from, "speaks of a round in which it is of another group");
        }
        match body {
            Body::Offer(offer) => self.offered(from, offer),
            Body::Mean(mean) => self.mean(from, mean),
            Body::Want => self.wanted(from),
            Body::Have(digest) => self.has(from, digest),
            Body::Decided(digest) => self.decided(from, digest),
            Body::Alone => {
                self.round.out.insert(from, Reason::Declined);
                self.review();
            }
            Body::Roster(_) | Body::OuterWanted | Body::Outer(_) | Body::Where | Body::At => {}
        }
    }

    /// Two that go by different rosters do not average: each tells the other.
    fn other_roster(&mut self, from: Replica, theirs: u32, body: &Body) {
        if self.round.group.contains(from) {
            self.round.out.insert(from, Reason::OtherRoster);
        }
        if theirs <= self.round.roster.number {
            self.tell_roster(from);
        }
        if !matches!(body, Body::Alone) {
            self.send(from, Body::Alone);
        }
        self.review();
    }

    fn has_size(&self, body: &Body) -> bool {
        let content = match body {
            Body::Offer(offer) => &offer.content,
            Body::Mean(mean) => &mean.content,
            _ => return true,
        };
        content.bytes().len() == self.settings.contribution_bytes
    }

    /// A contribution came, which must be of whoever this member waits for.
    fn offered(&mut self, from: Replica, offer: Offer) {
        let leader = self.round.group.leader();
        let is_awaited = self.leads() || (self.settings.paired && leader == Some(from));
        if !is_awaited {
            return self.fault(
                from,
                "sent its contribution to a replica that does not lead",
            );
        }
        let verdict = if offer.content.bytes().len() != self.settings.contribution_bytes {
            Verdict::Bad(Reason::WrongSize)
        } else if offer.content.digest() != offer.contribution {
            Verdict::Bad(Reason::WrongHash)
        } else if offer.signature.len() > MAX_SIGNATURE {
            Verdict::Bad(Reason::WrongParts)
        } else {
            Verdict::Unseen
        };
        let part = Part {
            replica: from,
            outer: offer.outer,
            contribution: offer.contribution,
            signature: offer.signature,
        };
        self.came(
            from,
            Package {
                outer: offer.outer,
                parts: vec![part],
                content: offer.content,
                verdict,
            },
        );
    }

    /// Keeps the first content of each member of the group.
    pub(super) fn came(&mut self, from: Replica, package: Package) {
        if self.round.packages.contains_key(&from) {
            return;
        }
        if let Verdict::Bad(reason) = package.verdict {
            self.fault(from, format!("sent what is no contribution: {reason:?}"));
        }
        self.round.packages.insert(from, package);
        self.review();
    }

    /// The engine has looked at a content.
    pub(super) fn checked(&mut self, task: Task, of: Replica, why: Option<String>) {
        let package = self.round.packages.get_mut(&of);
        let Some(package) = package.filter(|one| one.verdict == Verdict::Asked(task)) else {
            return;
        };
        match why {
            None => package.verdict = Verdict::Good,
            Some(why) => {
                package.verdict = Verdict::Bad(Reason::Refused);
                self.fault(of, format!("sent what is no contribution: {why}"));
            }
        }
        self.review();
    }

    /// What follows from all that is known while the group meets.
    pub(super) fn review(&mut self) {
        if !matches!(self.round.phase, Phase::Exchanging(_)) {
            return self.look_for_outer();
        }
        let unseen = self.round.packages.iter();
        let unseen = unseen.filter(|(_, package)| package.verdict == Verdict::Unseen);
        let unseen: Vec<(Replica, Content)> = unseen
            .map(|(from, package)| (*from, package.content.clone()))
            .collect();
        for (from, content) in unseen {
            let task = self.work(Work::Check(content), Purpose::Check(from));
            if let Some(package) = self.round.packages.get_mut(&from) {
                package.verdict = Verdict::Asked(task);
            }
        }
        match (self.leads(), self.settings.paired) {
            (false, _) => self.follow(),
            (true, true) => self.lead_pair(),
            (true, false) => self.lead_all(),
        }
    }

    /// Why somebody that is waited for counts as gone, if it does. `is_late` where the time is up.
    pub(super) fn gone(&self, replica: Replica, is_late: bool) -> Option<Reason> {
        if let Some(reason) = self.round.out.get(&replica) {
            return Some(*reason);
        }
        let late = match self.round.behind.contains(&replica) {
            true => Reason::Stale,
            false => Reason::Late,
        };
        let lost = self.lost.contains(&replica).then_some(Reason::Lost);
        lost.or(is_late.then_some(late))
    }

    /// Moves without the group, which is told.
    pub(super) fn alone(&mut self, reason: Reason) {
        let told: Vec<Replica> = match (self.leads(), self.round.group.leader()) {
            (false, Some(leader)) => vec![leader],
            _ => self.round.group.others(self.me).collect(),
        };
        for replica in told {
            self.send(replica, Body::Alone);
        }
        let ending = Move::alone(self.settings.paired, reason);
        self.go(Taken::Alone(reason), ending, None);
    }

    /// The engine ends the round.
    pub(super) fn go(&mut self, taken: Taken, ending: Move, decided: Option<Decision>) {
        self.past.push_back(Past {
            number: self.round.number,
            roster: self.round.roster.id(),
            decided,
        });
        if self.past.len() > MAX_PAST {
            self.past.pop_front();
        }
        self.round.phase = Phase::Moving(taken);
        self.round.packages.clear();
        self.work(Work::Move(ending), Purpose::Move);
    }

    /// The engine does not end the round as it should: what a leader sent was not what it seemed.
    pub(super) fn not_moved(&mut self, why: String) {
        let Phase::Moving(taken) = &self.round.phase else {
            return;
        };
        match taken {
            Taken::Adopted { from, .. } => {
                let from = *from;
                self.fault(from, format!("sent what is no anchor and momentum: {why}"));
                self.round.phase = Phase::Moving(Taken::Alone(Reason::Refused));
                self.work(Work::Move(Move::Stay), Purpose::Move);
            }
            // What is averaged was checked before.
            Taken::Averaged { .. } | Taken::Alone(_) => self.stuck(why),
        }
    }

    /// Somebody is still in a round that is over here. Who had what was decided on hears so again,
    /// whatever it says: its earlier words may come after its last.
    fn answer_of_past(&mut self, from: Replica, round: u64, body: &Body) {
        if !matches!(body, Body::Have(_) | Body::Offer(_) | Body::Want) {
            return;
        }
        let past = self.past.iter_mut().find(|past| past.number == round);
        let roster = past
            .as_ref()
            .map_or(self.round.roster.id(), |past| past.roster);
        let mut answer = Body::Alone;
        if let Some(decision) = past.and_then(|past| past.decided.as_mut()) {
            let digest = decision.digest;
            if *body == Body::Have(digest) {
                decision.with.insert(from);
            }
            if decision.with.contains(&from) {
                answer = Body::Decided(digest);
            }
        }
        self.send_in(round, roster, from, answer);
    }

    /// Somebody lacks what this member owes it.
    fn wanted(&mut self, from: Replica) {
        let Phase::Exchanging(_) = &self.round.phase else {
            return;
        };
        match (self.settings.paired, self.leads()) {
            (false, true) => self.send_mean(from),
            _ => self.send_offer(),
        }
    }

    /// Says again what was not answered.
    pub(super) fn say_again(&mut self) {
        let (now, again) = (self.now, self.settings.again);
        match &mut self.round.phase {
            Phase::Exchanging(exchange) if now >= exchange.said + again => {
                exchange.said = now;
                match self.leads() {
                    true => self.say_again_as_leader(),
                    false => self.say_again_as_follower(),
                }
            }
            Phase::Adopting { said, .. } if now >= *said + again => {
                *said = now;
                self.ask_for_outer();
            }
            _ => {}
        }
    }
}
