//! A holder's part in a meeting of pipelines: a state machine beside its pipeline's member.
//!
//! ```text
//!           Present        contributions here, good         Concluded
//!  (away) ─────────▶ open ───────────────────────────▶ concluded ─────▶ (the pipeline's record)
//!                     │  lost, late, declined, wrong: alone   ▲
//!                     │  all meet, another anchor ─▶ adopting ┘
//! ```
//! Who speaks for a stage asks its partner's peers for their contribution ([`Body::Want`]), and gives its
//! own to who asks. What it gave it gives again until the next meeting: a pipeline that begins a meeting
//! anew, because a peer of it was lost, gets the same once more. Other holders of the stage keep what the
//! record says, and answer after who spoke is gone.
//!
//! Invariants: what is concluded of a meeting does not change; whoever is told that this stage moves alone
//! is given nothing afterwards. Nothing is taken that was not asked for; every signature in a message
//! holds, which the shell sees to.

mod asking;
mod concluding;
mod giving;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use skippipe::content::{Content, Digest};
use skippipe::meeting::{Concluded, Part, Present, Reason, Replica};
use skippipe::path::Peer;
use skippipe::work::{Outcome, Task, Work};

use super::message::{Body, Message, offered};
use super::settings::{Seat, Settings};
use crate::averaging::pairing::Group;
use crate::averaging::transcript::Statement;

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// From the own member: its stage is at a meeting.
    Present(Present),
    /// From the own member: what its pipeline's record says that the stage does.
    Concluded(Concluded),
    /// From the own member: the stage has moved by a meeting.
    Moved {
        /// Which.
        round: u64,
    },
    /// A message whose signatures hold, over a connection that says whose it is.
    Message {
        /// Whose.
        from: Seat,
        /// What.
        message: Message,
    },
    /// The transport cannot reach a peer any more.
    Lost(Seat),
    /// The transport reaches it again.
    Found(Seat),
    /// Work is done.
    Done {
        /// Which.
        task: Task,
        /// What came of it.
        outcome: Outcome,
    },
    /// A statement that was to be signed.
    Signed {
        /// Its digest.
        statement: Digest,
        /// The signature; empty where the sign-once table has another one for its place.
        signature: Vec<u8>,
    },
    /// Time passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// To a peer of another pipeline.
    Send {
        /// Whom.
        to: Seat,
        /// What.
        message: Message,
    },
    /// To the stage's engine.
    Work {
        /// Its name, among those that are asked for from here.
        task: Task,
        /// What.
        work: Work,
    },
    /// To whoever holds the key, through the sign-once table.
    Sign(Statement),
    /// To the own member: what came of the meeting.
    Concluded(Concluded),
    /// To whoever watches: a peer sent what it must not.
    Fault {
        /// Who.
        seat: Seat,
        /// What.
        what: &'static str,
    },
}

/// What a task was asked for.
#[derive(Clone, Debug)]
enum Purpose {
    /// Whether what a pipeline sent can be used.
    Check(Replica),
    /// The mean of what is here.
    Mean,
    /// Whether the leader's anchor can be taken over.
    CheckOuter(Content),
    /// The own anchor, for a peer.
    Export(Seat),
}

/// What came from a pipeline.
#[derive(Clone, Debug)]
struct Package {
    /// The contribution, or those that a mean is of.
    parts: Vec<Part>,
    /// Digest of the anchor and momentum that it is a change of, or that the mean moves.
    outer: Digest,
    content: Content,
    /// Whether it can be used; none while the engine looks.
    verdict: Option<Result<(), Reason>>,
}

/// Whom of a pipeline is asked.
#[derive(Clone, Copy, Debug)]
struct Asked {
    peer: Peer,
    /// When last; none before the first time.
    at: Option<Duration>,
    /// How often somebody named another peer.
    hints: u32,
}

/// The last meeting that the stage was at.
#[derive(Debug)]
struct Meeting {
    present: Present,
    group: Group,
    signature: Option<Vec<u8>>,
    since: Duration,
    asked: BTreeMap<Replica, Asked>,
    /// Pipelines that are at this meeting: they asked.
    here: BTreeSet<Replica>,
    /// Who asked for what is not there yet.
    waiting: BTreeSet<Seat>,
    /// To whom a content went, and when last.
    given: BTreeMap<Seat, Duration>,
    came: BTreeMap<Replica, Package>,
    /// Who moves without this pipeline.
    out: BTreeMap<Replica, Reason>,
    /// Who was at an earlier meeting when it was heard of last.
    behind: BTreeSet<Replica>,
    /// As leader of all: what the mean is of.
    closed: Option<Vec<Part>>,
    /// Since when the leader's anchor is waited for.
    adopting: Option<Duration>,
    concluded: Option<Concluded>,
    moved: bool,
}

/// A holder's part in meetings.
#[derive(Debug)]
pub struct Exchange {
    settings: Settings,
    me: Seat,
    now: Duration,
    lost: BTreeSet<Seat>,
    meeting: Option<Meeting>,
    tasks: BTreeMap<Task, Purpose>,
    next_task: u64,
    outputs: Vec<Output>,
}

impl Exchange {
    /// Of a peer before its first meeting.
    pub fn new(settings: Settings, me: Seat) -> Self {
        Self {
            settings,
            me,
            now: Duration::ZERO,
            lost: BTreeSet::new(),
            meeting: None,
            tasks: BTreeMap::new(),
            next_task: 0,
            outputs: Vec::new(),
        }
    }

    /// What follows from an input. Time never goes back.
    pub fn handle(&mut self, input: Input, now: Duration) -> Vec<Output> {
        self.now = self.now.max(now);
        match input {
            Input::Present(present) => self.present(present),
            Input::Concluded(concluded) => self.told(concluded),
            Input::Moved { round } => self.moved(round),
            Input::Message { from, message } => self.hear(from, message),
            Input::Lost(seat) => {
                self.lost.insert(seat);
                self.ask();
            }
            Input::Found(seat) => {
                self.lost.remove(&seat);
            }
            Input::Done { task, outcome } => self.done(task, outcome),
            Input::Signed {
                statement,
                signature,
            } => self.signed(statement, signature),
            Input::Tick => self.ask(),
        }
        self.review();
        std::mem::take(&mut self.outputs)
    }

    /// Contents that are kept: what must not grow.
    pub fn load(&self) -> usize {
        let meeting = self.meeting.as_ref();
        meeting.map_or(0, |meeting| meeting.came.len() + 2) + self.tasks.len()
    }

    fn present(&mut self, present: Present) {
        let known = self.meeting.as_mut().filter(|meeting| {
            let same = |one: &Present| (one.round, one.stage, one.contribution.digest());
            same(&meeting.present) == same(&present)
        });
        if let Some(meeting) = known {
            // The meeting begins anew in the pipeline; here it goes on.
            let speaks = present.speaker == self.me.peer;
            if speaks && meeting.present.speaker != present.speaker {
                meeting.since = self.now;
            }
            meeting.present = present;
            if let (true, Some(concluded)) = (speaks, meeting.concluded.clone()) {
                self.outputs.push(Output::Concluded(concluded));
            }
            return self.ask();
        }
        let Settings { job, paired, .. } = self.settings;
        let roster = self.settings.roster();
        let group = Group::of(&job, present.round, &roster, paired, self.me.pipeline);
        let statement = self.statement(&present);
        self.tasks.clear();
        self.meeting = Some(Meeting {
            present,
            group,
            signature: None,
            since: self.now,
            asked: BTreeMap::new(),
            here: BTreeSet::new(),
            waiting: BTreeSet::new(),
            given: BTreeMap::new(),
            came: BTreeMap::new(),
            out: BTreeMap::new(),
            behind: BTreeSet::new(),
            closed: None,
            adopting: None,
            concluded: None,
            moved: false,
        });
        self.outputs.push(Output::Sign(statement));
        self.ask();
    }

    fn statement(&self, present: &Present) -> Statement {
        offered(
            &self.settings,
            (present.round, present.stage),
            self.me.pipeline,
            present.outer,
            present.contribution.digest(),
        )
    }

    fn signed(&mut self, statement: Digest, signature: Vec<u8>) {
        let asked = self.meeting.as_ref().map(|meeting| &meeting.present);
        let asked = asked.map(|present| self.statement(present).digest());
        if asked != Some(statement) {
            return;
        }
        if signature.is_empty() {
            return self.conclude_alone(Reason::Unsigned);
        }
        if let Some(meeting) = &mut self.meeting {
            meeting.signature = Some(signature);
            self.give_to_waiting();
        }
    }

    fn hear(&mut self, from: Seat, message: Message) {
        let Message { round, stage, body } = message;
        if from.pipeline == self.me.pipeline {
            return;
        }
        let at = self.meeting.as_ref().map(|meeting| &meeting.present);
        let at = at.map(|present| (present.round, present.stage));
        if at != Some((round, stage)) {
            return self.hear_of_another(from, round, body);
        }
        match body {
            Body::Want => self.wanted(from),
            Body::Offer(offer) => self.offered(from, offer),
            Body::Mean(mean) => self.mean_came(from, mean),
            Body::Alone => {
                if let Some(meeting) = &mut self.meeting {
                    let package = meeting.came.get(&from.pipeline);
                    if meeting.group.contains(from.pipeline) && package.is_none() {
                        meeting.out.insert(from.pipeline, Reason::Declined);
                    }
                }
            }
            Body::Elsewhere(peer) => self.elsewhere(from, peer),
            Body::OuterWanted => self.outer_wanted(from),
            Body::Outer(content) => self.outer_came(from, content),
        }
    }

    /// Who asks about a meeting that is over here is told so; of one that is still to come nothing is
    /// known.
    fn hear_of_another(&mut self, from: Seat, round: u64, body: Body) {
        let Some(meeting) = &mut self.meeting else {
            return;
        };
        if round < meeting.present.round && body == Body::Want {
            meeting.behind.insert(from.pipeline);
            let (stage, body) = (meeting.present.stage, Body::Alone);
            let message = Message { round, stage, body };
            self.outputs.push(Output::Send { to: from, message });
        }
    }

    fn done(&mut self, task: Task, outcome: Outcome) {
        let Some(purpose) = self.tasks.remove(&task) else {
            return;
        };
        match (purpose, outcome) {
            (Purpose::Check(pipeline), outcome) => {
                let verdict = match outcome {
                    Outcome::Nothing => Ok(()),
                    _ => Err(Reason::Refused),
                };
                let package = self.meeting.as_mut();
                let package = package.and_then(|meeting| meeting.came.get_mut(&pipeline));
                if let Some(package) = package {
                    package.verdict = Some(verdict);
                }
            }
            (Purpose::Mean, Outcome::Content(mean)) => self.averaged(mean),
            (Purpose::Mean, _) => self.conclude_alone(Reason::Refused),
            (Purpose::CheckOuter(content), Outcome::Nothing) => self.adopted(content),
            (Purpose::CheckOuter(_), _) => self.conclude_alone(Reason::Refused),
            (Purpose::Export(seat), Outcome::Content(content)) => {
                self.say(seat, Body::Outer(content));
            }
            (Purpose::Export(_), _) => {}
        }
    }

    fn work(&mut self, work: Work, purpose: Purpose) {
        let task = Task(self.next_task);
        self.next_task += 1;
        self.tasks.insert(task, purpose);
        self.outputs.push(Output::Work { task, work });
    }

    /// Says something about the meeting that the stage is at.
    fn say(&mut self, to: Seat, body: Body) {
        if let Some(meeting) = &self.meeting {
            let Present { round, stage, .. } = meeting.present;
            let message = Message { round, stage, body };
            self.outputs.push(Output::Send { to, message });
        }
    }
}

impl Meeting {
    /// Whether this pipeline leads its group.
    fn leads(&self, me: Seat) -> bool {
        self.group.leader() == Some(me.pipeline)
    }

    /// Whose contents this stage needs: the partner's, the leader's, or as leader of all everybody's.
    fn owed_by(&self, me: Seat, paired: bool) -> Vec<Replica> {
        let others = self.group.others(me.pipeline);
        match paired || self.leads(me) {
            true => others.collect(),
            false => self.group.leader().into_iter().collect(),
        }
    }

    fn own_part(&self, me: Seat) -> Option<Part> {
        Some(Part {
            replica: me.pipeline,
            outer: self.present.outer,
            contribution: self.present.contribution.digest(),
            signature: self.signature.clone()?,
        })
    }
}
