//! A member of an averaging job: a state machine that trains a replica, exchanges contributions
//! with the replicas that a round brings it together with, and moves with them, or alone.
//!
//! ```text
//!               trained             signed                 decided, or alone: why
//!  ┌▶ training ────────▶ signing ──────────▶ exchanging ─────────────────────────▶ moving ─┐
//!  │                                             │ decided, from another anchor     ▲      │ moved
//!  │                                             └────────────▶ adopting ───────────┘      │
//!  ├───────────────────────────── the next round ◀─────────────────────────────────────────┤
//!  └──────────── a later round, as others begin it ◀── returning ◀── was restarted ─────────┘
//! ```
//! **Agreement.** The leader of a group averages when a follower has said that it has all it needs
//! and finds it good, and then says so; a follower averages when it hears that. Before, both of a
//! pair can still turn back, and either tells the other. So they come to the same conclusion,
//! unless the leader's word, which is said again whenever the follower asks, is lost for as long as
//! the follower waits: then the leader has averaged, and the follower's record has the reason
//! [`InDoubt`](super::transcript::Reason::InDoubt). No protocol over links that lose messages can
//! exclude that.
//!
//! **Pairs.** Leader and follower send each other their contributions at once. **All.** Followers
//! send theirs to the leader, which sends back the mean: twice the parameters for each follower and
//! round, where everybody to everybody would be as many times as there are replicas; and there is
//! one who says which contributions count, without which replicas would average different ones.
//! Another leads each round, so no one carries more for long. A follower that missed a decision has
//! another anchor than the others; its contribution does not count then, and it takes the leader's
//! anchor and momentum.
//!
//! **Roster.** The lowest replica that is not lost says who takes part, from two rounds ahead.
//! Whoever goes by another roster in a round moves alone in it; so a roster that somebody has not
//! heard of costs rounds, and never a wrong mean.
//!
//! **Coming back.** A member that was restarted does the round again in which it was, so that what
//! it may have contributed to is in its transcript; its partner has moved meanwhile, so it mostly
//! moves alone. Then it asks everybody which round they are in. Where they are ahead it waits until
//! more than half of those that it reaches begin another round, and begins the same one: rounds
//! between are left out of its transcript, and its state is as before.
//!
//! Invariants: a member says that it averaged only where it did; every content that it averaged is
//! named by hash, with its maker's signature; it signs one offer and one record for each round,
//! whatever peers do. Memory is that of one content for each member of the group, and of
//! [`MAX_EARLY`] that came early.
//!
//! Limits: rounds have numbers, so a replica that falls behind by more than the others wait moves
//! alone until they wait for it again, or until it is restarted. One that is reached and says
//! nothing costs its group a wait in each round, which is its partner alone where replicas meet in
//! pairs.

mod following;
mod leading;
mod meeting;
mod returning;
mod rosters;
mod round;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use skippipe::content::Digest;

use returning::Return;
use round::{Past, Phase, Round};

use super::message::{Body, Message};
use super::pairing::Group;
use super::settings::Settings;
use super::transcript::{
    Completed, Listed, Replica, Roster, RosterId, RoundRecord, Statement, Taken,
};
use super::work::{Outcome, Task, Work};

/// Contents of the next round that are kept until it begins.
pub const MAX_EARLY: usize = 4;
/// Rounds that a member still answers for.
const MAX_PAST: usize = 4;
/// How many rounds ahead a roster may begin.
const MAX_AHEAD: u64 = 64;

/// What happens to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A message, over a connection that says whose it is, and whose signatures hold
    /// ([`Message::signed`]).
    Message {
        /// Whose.
        from: Replica,
        /// What.
        message: Message,
    },
    /// A task is done.
    Done {
        /// Which.
        task: Task,
        /// What came of it.
        outcome: Outcome,
    },
    /// The transport cannot reach a replica any more.
    Lost(Replica),
    /// The transport reaches it again.
    Found(Replica),
    /// The statement that was to be signed.
    Signed {
        /// Its digest.
        statement: Digest,
        /// The signature; empty where it may not be signed.
        signature: Vec<u8>,
    },
    /// Time passed.
    Tick,
}

/// What a member wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// To a replica.
    Send {
        /// Whom.
        to: Replica,
        /// What.
        message: Message,
    },
    /// To the engine.
    Work {
        /// Its name.
        task: Task,
        /// What.
        work: Work,
    },
    /// To whoever holds the key, through the sign-once table.
    Sign(Statement),
    /// To whoever watches.
    Event(Event),
}

/// What a watcher learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The member goes by this roster from here on.
    Roster(Listed),
    /// A replica sent what it must not.
    Fault {
        /// Who.
        replica: Replica,
        /// What.
        what: String,
    },
    /// A round is over, and about to be signed with this state. Whoever restarts the member later
    /// must have kept it: there is no other record of the round that may be signed.
    Ending {
        /// What the replica did.
        record: Box<RoundRecord>,
        /// Its whole state after it.
        state: Digest,
    },
    /// A round is over, and signed.
    Round(Box<Completed>),
    /// All rounds are done.
    Finished,
    /// It cannot go on: why.
    Stuck(String),
}

/// What a task was asked for.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Train,
    Check(Replica),
    Mean,
    Move,
    Export(Replica),
}

/// A member.
#[derive(Debug)]
pub struct Member {
    settings: Settings,
    me: Replica,
    now: Duration,
    round: Round,
    /// Contents of the next round, by sender.
    early: BTreeMap<Replica, Message>,
    past: VecDeque<Past>,
    /// Rosters by number, from the one of this round on, and who says so.
    rosters: BTreeMap<u32, (Roster, Option<Listed>)>,
    /// A roster that is being signed.
    proposed: Option<Listed>,
    /// Since when other replicas live than the newest roster has.
    outdated: Option<Duration>,
    /// Numbers of rosters below this one are used up.
    least_number: u32,
    /// From a restart until it is in step with the others.
    back: Option<Return>,
    lost: BTreeSet<Replica>,
    /// Records that are being signed, by the digest of the statement.
    unsigned: BTreeMap<Digest, (RoundRecord, Digest)>,
    tasks: BTreeMap<Task, Purpose>,
    next_task: u64,
    outputs: Vec<Output>,
}

impl Member {
    /// A member before the first round.
    pub fn new(settings: Settings, me: Replica) -> Self {
        let roster = Roster::initial(settings.replicas);
        Self {
            round: Round {
                number: 0,
                group: Group::of(&settings.job, 0, &roster, settings.paired, me),
                roster: roster.clone(),
                phase: Phase::Over,
                own: None,
                packages: BTreeMap::new(),
                out: BTreeMap::new(),
                behind: BTreeSet::new(),
            },
            settings,
            me,
            now: Duration::ZERO,
            early: BTreeMap::new(),
            past: VecDeque::new(),
            rosters: BTreeMap::from([(0, (roster, None))]),
            proposed: None,
            outdated: None,
            least_number: 1,
            back: None,
            lost: BTreeSet::new(),
            unsigned: BTreeMap::new(),
            tasks: BTreeMap::new(),
            next_task: 0,
            outputs: Vec::new(),
        }
    }

    /// A member that was restarted and begins with round `next`: the one that it was in, as it may
    /// have contributed to it. It went by this roster last, if it was not the first. Its engine
    /// must be in the state after the last round that it signed.
    pub fn resume(settings: Settings, me: Replica, next: u64, roster: Option<Listed>) -> Self {
        let mut member = Self::new(settings, me);
        if let Some(listed) = roster {
            let roster = listed.roster.clone();
            member.round.roster = roster.clone();
            member.rosters.insert(roster.number, (roster, Some(listed)));
        }
        member.round.number = next;
        member.back = Some(Return::default());
        member
    }

    /// Begins.
    pub fn start(&mut self, now: Duration) -> Vec<Output> {
        self.now = now;
        self.begin(self.round.number);
        self.ask_around();
        std::mem::take(&mut self.outputs)
    }

    /// What follows from an input. Time never goes back.
    pub fn handle(&mut self, input: Input, now: Duration) -> Vec<Output> {
        self.now = self.now.max(now);
        match input {
            Input::Message { from, message } => self.hear(from, message),
            Input::Done { task, outcome } => self.done(task, outcome),
            Input::Lost(replica) => {
                self.lost.insert(replica);
                self.review();
            }
            Input::Found(replica) => {
                self.lost.remove(&replica);
            }
            Input::Signed {
                statement,
                signature,
            } => self.signed(statement, signature),
            Input::Tick => self.tick(),
        }
        std::mem::take(&mut self.outputs)
    }

    /// The round that it is in.
    pub fn round(&self) -> u64 {
        self.round.number
    }

    /// Contents, records and tasks that are kept: what must not grow.
    pub fn load(&self) -> usize {
        self.round.packages.len() + self.early.len() + self.unsigned.len() + self.tasks.len()
    }

    /// Begins a round, or ends the job.
    fn begin(&mut self, number: u64) {
        let roster = self.roster_of(number);
        if roster != self.round.roster {
            let listed = self.rosters.get(&roster.number);
            let listed = listed.and_then(|(_, listed)| listed.clone());
            self.outputs
                .extend(listed.map(|listed| Output::Event(Event::Roster(listed))));
        }
        let Settings { job, paired, .. } = &self.settings;
        self.round = Round {
            number,
            group: Group::of(job, number, &roster, *paired, self.me),
            roster,
            phase: Phase::Over,
            own: None,
            packages: BTreeMap::new(),
            out: BTreeMap::new(),
            behind: BTreeSet::new(),
        };
        let early = std::mem::take(&mut self.early);
        if number >= self.settings.rounds {
            if self.unsigned.is_empty() {
                self.event(Event::Finished);
            }
            return;
        }
        self.round.phase = Phase::Training;
        self.work(Work::Train { round: number }, Purpose::Train);
        for (from, message) in early {
            self.hear(from, message);
        }
    }

    fn done(&mut self, task: Task, outcome: Outcome) {
        let Some(purpose) = self.tasks.remove(&task) else {
            return;
        };
        match (purpose, outcome) {
            (
                Purpose::Train,
                Outcome::Trained {
                    contribution,
                    outer,
                },
            ) => self.trained(contribution, outer),
            (Purpose::Check(of), Outcome::Good) => self.checked(task, of, None),
            (Purpose::Check(of), Outcome::Refused(why)) => self.checked(task, of, Some(why)),
            (Purpose::Mean, Outcome::Content(content)) => self.averaged(content),
            (Purpose::Move, Outcome::Moved { state, outer }) => self.moved(state, outer),
            (Purpose::Move, Outcome::Refused(why)) => self.not_moved(why),
            (Purpose::Export(to), Outcome::Content(content)) => {
                // Of the round before: it is asked for only between two moves.
                let roster = self.round.roster.id();
                if let Some(round) = self.last_ended() {
                    self.send_in(round, roster, to, Body::Outer(content));
                }
            }
            (purpose, outcome) => {
                self.stuck(format!("the engine answered {outcome:?} to {purpose:?}"))
            }
        }
    }

    fn signed(&mut self, statement: Digest, signature: Vec<u8>) {
        if let Some((record, state)) = self.unsigned.remove(&statement) {
            let completed = Completed {
                record,
                state,
                signature,
            };
            self.event(Event::Round(Box::new(completed)));
            let is_last = self.round.number >= self.settings.rounds;
            if is_last && self.unsigned.is_empty() {
                self.event(Event::Finished);
            }
        } else if !self.roster_signed(statement, &signature) {
            self.offer_signed(statement, signature);
        }
    }

    fn tick(&mut self) {
        self.look_at_roster();
        self.look_for_others();
        self.review();
        self.say_again();
    }

    /// The round is over for this member: it is signed, and the next begins.
    fn moved(&mut self, state: Digest, outer: Digest) {
        let Phase::Moving(taken) = &self.round.phase else {
            return;
        };
        let mut taken = taken.clone();
        if let Taken::Adopted { outer: adopted, .. } = &mut taken {
            *adopted = outer;
        }
        let Some(own) = &self.round.own else { return };
        let record = RoundRecord {
            job: self.settings.job,
            replica: self.me,
            round: self.round.number,
            roster: self.round.roster.digest(),
            contribution: own.content.digest(),
            taken,
        };
        self.event(Event::Ending {
            record: Box::new(record.clone()),
            state,
        });
        let statement = record.statement(state);
        self.unsigned.insert(statement.digest(), (record, state));
        self.outputs.push(Output::Sign(statement));
        match self.back {
            Some(_) => self.return_after(),
            None => self.begin(self.round.number + 1),
        }
    }

    fn stuck(&mut self, why: String) {
        self.round.phase = Phase::Over;
        self.event(Event::Stuck(why));
    }

    fn work(&mut self, work: Work, purpose: Purpose) -> Task {
        let task = Task(self.next_task);
        self.next_task += 1;
        self.tasks.insert(task, purpose);
        self.outputs.push(Output::Work { task, work });
        task
    }

    fn send(&mut self, to: Replica, body: Body) {
        self.send_in(self.round.number, self.round.roster.id(), to, body);
    }

    fn send_in(&mut self, round: u64, roster: RosterId, to: Replica, body: Body) {
        let message = Message {
            round,
            roster,
            body,
        };
        self.outputs.push(Output::Send { to, message });
    }

    fn event(&mut self, event: Event) {
        self.outputs.push(Output::Event(event));
    }

    fn fault(&mut self, replica: Replica, what: impl Into<String>) {
        let what = what.into();
        self.event(Event::Fault { replica, what });
    }
}
