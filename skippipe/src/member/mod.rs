//! A member of a pipeline: a state machine that passes microbatches on, reduces gradients, moves
//! its stage, takes over when the leader is gone, and takes up a stage that it is given.
//!
//! ```text
//!            Begin                    Close                      Commit
//!  waiting ───────────▶ passing ─────────────────▶ reducing ─────────────────▶ updating ──▶ waiting
//!     ▲                  │    ▲                     │     ▲                        (next step)
//!     └── Ask, Begin ────┘    └── a higher term ────┘     └── Close, a higher amendment
//! ```
//! A microbatch's way through one member :
//!
//! ```text
//!           Forward              sent on                 Backward
//!  (none) ─────────▶ forwarding ────────▶ away ─────────────────▶ backwarding ──▶ done
//!                         ▲                │ peer lost, late, or refused: a replica, or skip the stage
//!                         └─ other input, higher version ─┘
//! ```
//! *Stateless backward* (SWARM, arXiv 2301.11913): whoever sends an activation keeps it until the
//! gradient is back, so a peer that is lost costs one hop. Copies of one message are told by
//! content: who gets the same input again answers as before.
//!
//! Invariants: a stage moves only by a commit of a record for which every holder of every stage
//! said that it is prepared; what a record does not count moves nothing. So all holders of a stage
//! have the same state, whatever is lost.
//!
//! Limits: a network that is cut in two parts, each of which holds all of stage 0 that it needs,
//! goes on as two; their records have other rosters and other signers.

mod admitting;
mod adopting;
mod adoption;
mod meeting;
mod passing;
mod reducing;
mod reduction;
mod routing;
mod succession;
mod visits;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use adoption::Adoption;
use meeting::Meeting;
use reduction::Reduction;
use visits::Visits;

use crate::admission::{Admission, Admitted, Newcomer};
use crate::content::{Content, Digest};
use crate::event::Event;
use crate::leader::{Leader, LeaderOutput};
use crate::meeting::{Concluded, Present};
use crate::message::{Body, Commit, Message, Standing, Term, When};
use crate::path::{Hop, Microbatch, Path, Peer, Stage};
use crate::settings::Settings;
use crate::transcript::{Joined, Roster, Stated, Statement, StepRecord, Sums};
use crate::work::{Outcome, Task, Work};

/// Most messages of a step that has not begun here yet.
const MAX_EARLY: usize = 64;
/// Of them, of one peer.
const MAX_EARLY_OF_PEER: usize = 16;

/// What happens to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A message, over a connection that says whose it is.
    Message {
        /// Whose.
        from: Peer,
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
    /// The transport cannot reach a peer any more.
    Lost(Peer),
    /// The transport reaches it again.
    Found(Peer),
    /// Paths for a step, a microbatch each.
    Planned {
        /// For when.
        when: When,
        /// In the order of microbatches.
        paths: Vec<Path>,
    },
    /// The statement that was to be signed.
    Signed {
        /// Its digest.
        statement: Digest,
        /// The signature.
        signature: Vec<u8>,
    },
    /// What came of a meeting for the stage that this member speaks for.
    Concluded(Concluded),
    /// A peer asks for a seat, over a connection that proves its key, and has none.
    Newcomer(Newcomer),
    /// An admission that this leader signed, or that was checked.
    Admitted(Admission),
    /// The admission of this number was not signed, or is none.
    NotAdmitted(Peer),
    /// Time passed.
    Tick,
}

/// What a member wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// To a peer.
    Send {
        /// Whom.
        to: Peer,
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
    /// To the planner: paths for the microbatches of a step, through these peers.
    Plan {
        /// For when.
        when: When,
        /// Who holds what.
        roster: Roster,
    },
    /// To whoever holds the key, through the sign-once table.
    Sign(Statement),
    /// To whoever exchanges with other pipelines: the stage is at a meeting. Who speaks for it is to
    /// be told what comes of it.
    Present(Present),
    /// To the same: what the stage is about to do, as the leader's record says it.
    Concluded(Concluded),
    /// The same for an admission, which comes back with its signature.
    SignAdmission(Admission),
    /// To whoever knows all keys: an admission that a leader told, which comes back if it is signed
    /// by that leader's key and the newcomer's is none of the start.
    CheckAdmission(Admission),
    /// To whoever watches.
    Event(Event),
}

/// What a task was asked for.
#[derive(Clone, Debug)]
enum Purpose {
    Forward(Microbatch),
    Loss(Microbatch),
    Backward(Microbatch),
    Sum,
    Add,
    Squares,
    Update,
    Export(Vec<Peer>),
    Keep(u64),
    Load,
    Norm,
    Contribute,
    Check,
}

/// How far a term may be ahead of the last that a member has heard of.
const MAX_TERMS: u32 = 1 << 16;

/// A member.
#[derive(Debug)]
pub struct Member {
    settings: Settings,
    me: Peer,
    now: Duration,
    when: When,
    /// Passing or reducing; otherwise waiting for the leader.
    active: bool,
    roster: Roster,
    /// What is held, and the state before step `next`.
    held: Option<(Stage, Digest)>,
    next: u64,
    last: Option<Box<Commit>>,
    /// How the last step was summed here.
    sums: Sums,
    /// Who took up stages since the last step, this member last; empty if it did not.
    joined: Vec<Joined>,
    admitted: Admitted,
    /// What was told of it and not checked.
    unchecked: Vec<Admission>,
    lost: BTreeSet<Peer>,
    /// How often peers were late or sent nonsense in this step.
    trouble: BTreeMap<Peer, u32>,
    visits: Visits,
    reduction: Option<Reduction>,
    meeting: Option<Meeting>,
    adoption: Option<Adoption>,
    kept: BTreeMap<Stage, (u64, Content)>,
    unsigned: Option<(Statement, Stated)>,
    early_sums: Vec<(Peer, Body)>,
    asked_meanwhile: bool,
    leader: Option<Leader>,
    heard: Duration,
    early: Vec<(Peer, Message)>,
    tasks: BTreeMap<Task, Purpose>,
    next_task: u64,
    outputs: Vec<Output>,
}

impl Member {
    /// A member that holds a stage in a state, or none, before the first step. `roster` says who
    /// holds what to begin with.
    ///
    /// # Panics
    /// Nobody holds stage 0.
    #[expect(
        clippy::expect_used,
        reason = "a pipeline begins with all of its stages"
    )]
    pub fn new(settings: Settings, me: Peer, roster: Roster, state: Option<Digest>) -> Self {
        let held = roster.stage_of(me).zip(state);
        let leader = roster.of(Stage::FIRST).first().copied();
        let term = Term {
            number: 0,
            leader: leader.expect("invariant: somebody holds stage 0"),
        };
        Self {
            admitted: Admitted::new(settings.peers, settings.most_peers),
            unchecked: Vec::new(),
            settings,
            me,
            now: Duration::ZERO,
            when: When { step: 0, term },
            active: false,
            roster,
            held,
            next: 0,
            last: None,
            sums: Sums::default(),
            joined: Vec::new(),
            lost: BTreeSet::new(),
            trouble: BTreeMap::new(),
            visits: Visits::default(),
            reduction: None,
            meeting: None,
            adoption: None,
            kept: BTreeMap::new(),
            unsigned: None,
            early_sums: Vec::new(),
            asked_meanwhile: false,
            leader: None,
            heard: Duration::ZERO,
            early: Vec::new(),
            tasks: BTreeMap::new(),
            next_task: 0,
            outputs: Vec::new(),
        }
    }

    /// Begins: the first peer of stage 0 asks where everybody is. A member that has lost its stage
    /// waits until a leader speaks, and joins.
    pub fn start(&mut self, now: Duration) -> Vec<Output> {
        self.now = now;
        self.heard = now;
        if self.when.term.leader == self.me && self.held.is_some() {
            self.lead();
        }
        std::mem::take(&mut self.outputs)
    }

    /// What follows from an input. Time never goes back.
    pub fn handle(&mut self, input: Input, now: Duration) -> Vec<Output> {
        self.now = self.now.max(now);
        match input {
            Input::Message { from, message } => self.hear(from, message),
            Input::Done { task, outcome } => self.done(task, outcome),
            Input::Lost(peer) => self.lose(peer),
            Input::Found(peer) => {
                self.lost.remove(&peer);
                self.led(|leader, _| leader.found(peer));
            }
            Input::Planned { when, paths } => {
                self.led(|leader, now| leader.planned(when, paths, now));
            }
            Input::Signed {
                statement,
                signature,
            } => self.signed(statement, signature),
            Input::Concluded(concluded) => self.concluded(concluded),
            Input::Newcomer(newcomer) => self.led(|leader, _| leader.newcomer(newcomer)),
            Input::Admitted(admission) => self.give_seat(admission),
            Input::NotAdmitted(peer) => self.not_admitted(peer),
            Input::Tick => self.tick(),
        }
        std::mem::take(&mut self.outputs)
    }

    /// The stage that is held and its state, before step [`Self::next`].
    pub fn held(&self) -> Option<(Stage, Digest)> {
        self.held
    }

    /// The step that this member does next.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The record of the last step that moved this member's stage.
    pub fn last(&self) -> Option<&StepRecord> {
        self.last.as_deref().map(|commit| &commit.record)
    }

    /// How the gradients of that step were summed here.
    pub fn sums(&self) -> &Sums {
        &self.sums
    }

    /// Whether it leads.
    pub fn leads(&self) -> bool {
        self.leader.is_some()
    }

    /// Who leads, as far as this member knows.
    pub fn leader(&self) -> Peer {
        self.when.term.leader
    }

    /// Contents, visits and messages that are kept: what must not grow.
    pub fn load(&self) -> usize {
        self.visits.count() + self.early.len() + self.tasks.len() + self.kept.len()
    }

    fn hear(&mut self, from: Peer, message: Message) {
        let Message { when, body } = message;
        if from == when.term.leader && when.term >= self.when.term {
            self.heard = self.now;
        }
        match body {
            Body::Join => self.led(|leader, now| leader.join(from, now)),
            Body::StateWanted(stage) => self.state_wanted(from, stage),
            Body::State {
                stage,
                step,
                content,
            } => self.state(from, stage, step, content),
            Body::Keep {
                stage,
                step,
                content,
            } => self.keep(from, stage, step, content),
            Body::Over if self.obeys(from, when) => self.event(Event::Finished),
            // Said by who leads, in its own term.
            Body::Ask if self.obeys(from, when) => self.asked(when),
            Body::Begin(roster) if self.obeys(from, when) => self.begin(when, roster),
            Body::Admitted(list) if self.obeys(from, when) => self.told_admitted(from, list),
            Body::Commit(commit) if self.obeys(from, when) => self.commit(when, commit),
            Body::Adopt(adopt) if self.obeys(from, when) => self.adopt(when, adopt),
            Body::Stated {
                record,
                norm,
                statements,
            } if self.obeys(from, when) => self.stated(record, norm, statements),
            Body::Over
            | Body::Stated { .. }
            | Body::Ask
            | Body::Begin(_)
            | Body::Admitted(_)
            | Body::Commit(_)
            | Body::Adopt(_) => {}
            // Said to who leads.
            body @ (Body::Finished { .. }
            | Body::Failed(_)
            | Body::Disputed { .. }
            | Body::Accused { .. }
            | Body::Prepared { .. }
            | Body::Updated { .. }
            | Body::Standing(_)
            | Body::Adopted { .. }
            | Body::Met(_)) => {
                self.led(|leader, now| leader.hear(from, when, body, now));
            }
            body if when == self.when && self.active => self.in_step(from, body),
            // Its beginning has not been heard here.
            body if self.may_be_early(from, when) => {
                self.early.push((from, Message { when, body }));
            }
            // Of a step or term that is over.
            _ => {}
        }
    }

    fn in_step(&mut self, from: Peer, body: Body) {
        match body {
            Body::Launch(launch) if from == self.when.term.leader => self.launch(launch),
            Body::Close { amendment, record } if from == self.when.term.leader => {
                self.close(amendment, record);
            }
            Body::Forward(forward) => self.forward(from, forward),
            Body::Backward(backward) => self.backward(from, backward),
            Body::Busy(microbatch) => self.busy(from, microbatch),
            Body::Free(microbatch) => self.free(from, microbatch),
            Body::Refused {
                microbatch,
                version,
                sender,
            } => self.refused(from, microbatch, &version, sender),
            Body::Partial { amendment, content } => self.partial(from, amendment, content),
            Body::Sum { amendment, content } => self.whole_sum(from, amendment, content),
            _ => self.fault(from, "said what only a leader says"),
        }
    }

    /// Whether a message that only a leader sends is from one: of its own term, which is not over,
    /// and a holder of stage 0, as far as a member that holds a stage itself knows who is.
    fn obeys(&self, from: Peer, when: When) -> bool {
        let known = self.held.is_none()
            || when.term == self.when.term
            || self.roster.of(Stage::FIRST).contains(&from);
        let near = when.term.number <= self.when.term.number.saturating_add(MAX_TERMS);
        from == when.term.leader && when.term >= self.when.term && known && near
    }

    /// Whether a message may be of a step that begins soon, and there is room for it.
    fn may_be_early(&self, from: Peer, when: When) -> bool {
        let soon = when.step <= self.when.step.saturating_add(1);
        let near = when.term.number <= self.when.term.number.saturating_add(MAX_TERMS);
        let of_peer = self
            .early
            .iter()
            .filter(|(other, _)| *other == from)
            .count();
        let room = self.early.len() < MAX_EARLY && of_peer < MAX_EARLY_OF_PEER;
        when >= self.when && soon && near && room
    }

    /// A new step, or the same step in a new term.
    fn begin(&mut self, when: When, roster: Roster) {
        if when == self.when && self.active {
            // Said once more.
            return self.say_met();
        }
        if !roster.is_sound() || roster.0.len() != usize::from(self.settings.stages) {
            return self.fault(when.term.leader, "began with a roster that cannot be");
        }
        self.forget_step();
        self.adoption = None;
        self.when = when;
        self.roster = roster;
        let mine = self.roster.stage_of(self.me);
        self.active = mine.is_some() && mine == self.held.map(|(stage, _)| stage);
        self.active &= when.step == self.next;
        if !self.active {
            return self.send(when.term.leader, Body::Join);
        }
        self.event(Event::Began { when });
        self.begin_meeting();
        for (from, message) in std::mem::take(&mut self.early) {
            if message.when >= when {
                self.hear(from, message);
            }
        }
    }

    fn forget_step(&mut self) {
        let handles = self.visits.clear();
        if !handles.is_empty() {
            self.work_silently(Work::Forget(handles));
        }
        self.reduction = None;
        self.meeting = None;
        self.early_sums.clear();
        self.trouble.clear();
        self.active = false;
        // What was asked for in the step has no place any more; states are of any step.
        self.tasks.retain(|_, purpose| {
            matches!(
                purpose,
                Purpose::Export(_) | Purpose::Keep(_) | Purpose::Load | Purpose::Norm
            )
        });
    }

    fn done(&mut self, task: Task, outcome: Outcome) {
        let Some(purpose) = self.tasks.remove(&task) else {
            return self.late_gradients(task);
        };
        match (purpose, outcome) {
            (Purpose::Forward(microbatch), outcome) => self.forwarded(microbatch, task, outcome),
            (Purpose::Loss(microbatch), outcome) => self.lost_how_much(microbatch, task, outcome),
            (Purpose::Backward(microbatch), outcome) => self.backwarded(microbatch, task, outcome),
            (Purpose::Sum | Purpose::Add, Outcome::Content(sum)) => self.added(task, sum),
            (Purpose::Squares, Outcome::Squares(squares)) => self.squared(task, squares),
            (Purpose::Update, Outcome::State(state)) => self.updated(state),
            (Purpose::Export(to), Outcome::Content(content)) => self.exported(&to, &content),
            (Purpose::Keep(step), Outcome::Content(content)) => self.copy_out(step, content),
            (Purpose::Load, Outcome::State(state)) => self.loaded(state),
            (Purpose::Norm, Outcome::Norm(norm, stages)) => {
                self.led(|leader, now| leader.norm(norm, stages, now));
            }
            (Purpose::Norm, Outcome::Refused(what)) => {
                self.led(|leader, now| leader.norm_refused(&what, now));
            }
            (Purpose::Load, Outcome::Refused(what)) => self.load_refused(&what),
            (Purpose::Contribute, Outcome::Contribution(contribution, outer)) => {
                self.contributed(contribution, outer);
            }
            (Purpose::Check, Outcome::Nothing) => self.checked(task),
            (Purpose::Check, Outcome::Refused(_)) => self.check_refused(task),
            (Purpose::Add, Outcome::Refused(_)) => self.sum_refused(task),
            (_, outcome) => self.event(Event::Fault {
                peer: self.me,
                what: format!("the engine answered {outcome:?}"),
            }),
        }
    }

    /// An engine kept gradients for a visit that is not any more.
    fn late_gradients(&mut self, task: Task) {
        self.work_silently(Work::Forget(vec![task]));
    }

    fn tick(&mut self) {
        self.look_for_late();
        self.look_for_sums();
        self.adoption_late();
        self.led(|leader, now| leader.tick(now));
        self.watch_leader();
    }

    fn lose(&mut self, peer: Peer) {
        if peer == self.me || !self.lost.insert(peer) {
            return;
        }
        self.led(|leader, now| leader.lose(peer, now));
        self.reroute_lost(peer);
        self.watch_leader();
    }

    /// Where this member is, for a new leader.
    fn standing(&self) -> Standing {
        Standing {
            state: self.held,
            next: self.next,
            last: self.last.clone(),
            joined: self.joined.clone(),
            kept: self.copies(),
            admitted: self.admitted.list().to_vec(),
        }
    }

    /// Where this member is while it passes microbatches on.
    #[expect(clippy::expect_used, reason = "only who holds a stage is active")]
    fn hop(&self) -> Hop {
        let stage = self
            .stage()
            .expect("invariant: who is active holds a stage");
        Hop {
            stage,
            peer: self.me,
        }
    }

    fn stage(&self) -> Option<Stage> {
        self.held.map(|(stage, _)| stage)
    }

    fn work(&mut self, work: Work, purpose: Purpose) -> Task {
        let task = Task(self.next_task);
        self.next_task += 1;
        self.tasks.insert(task, purpose);
        self.outputs.push(Output::Work { task, work });
        task
    }

    /// Work that has no outcome.
    fn work_silently(&mut self, work: Work) {
        let task = Task(self.next_task);
        self.next_task += 1;
        self.outputs.push(Output::Work { task, work });
    }

    /// Says something to a peer, or hears it at once where it is this one.
    fn send(&mut self, to: Peer, body: Body) {
        let message = Message {
            when: self.when,
            body,
        };
        self.send_message(to, message);
    }

    fn send_message(&mut self, to: Peer, message: Message) {
        if to == self.me {
            self.hear(to, message);
        } else {
            self.outputs.push(Output::Send { to, message });
        }
    }

    fn event(&mut self, event: Event) {
        self.outputs.push(Output::Event(event));
    }

    fn fault(&mut self, peer: Peer, what: &str) {
        self.event(Event::Fault {
            peer,
            what: what.into(),
        });
    }

    /// Lets the leader's part of this member act, if it leads.
    fn led(&mut self, act: impl FnOnce(&mut Leader, Duration) -> Vec<LeaderOutput>) {
        let Some(mut leader) = self.leader.take() else {
            return;
        };
        let outputs = act(&mut leader, self.now);
        self.leader = Some(leader);
        for output in outputs {
            match output {
                LeaderOutput::Send { to, message } => self.send_message(to, message),
                LeaderOutput::Norm(squares) => {
                    self.work(Work::Norm(squares), Purpose::Norm);
                }
                LeaderOutput::Plan { when, roster } => {
                    self.outputs.push(Output::Plan { when, roster });
                }
                LeaderOutput::Admit(admission) => {
                    self.outputs.push(Output::SignAdmission(admission));
                }
                LeaderOutput::Told(admissions) => self.check_admitted(admissions),
                LeaderOutput::Event(event) => self.event(event),
            }
        }
    }
}
