//! A node between its core and everything else: what comes in becomes an input, and each output is
//! carried out.

use std::collections::BTreeSet;
use std::sync::Arc;

use swarm_identity::PeerId;
use swarm_net::{Behaviour, Event, GossipId, Handle, Reachability, Verdict};
use swarm_round::agreement::{AdoptError, RoundRecord};
use swarm_round::allowance::Link;
use swarm_round::clock::{Millis, Position, Round, Window};
use swarm_round::clock_offset::ClockOffset;
use swarm_round::codec::CodecError;
use swarm_round::envelope::Envelope;
use swarm_round::phase::Phase;
use swarm_round::rejection::Rejection;
use swarm_round::state::{Core, Input, Output, Recorded, Waiting};
use swarm_round::{DecidedRound, SwarmConfig};
use swarm_settle::node::NodeEvent as SettlingEvent;
use swarm_settle::settlement::attestation::Attestation;
use tokio::task::JoinSet;

use super::archive::Archive;
use super::asking::{Answered, Asking, Given};
use super::board::Board;
use super::control::Mode;
use super::disk::Disk;
use super::duplicate::{Foreign, OwnSignatures};
use super::event::{Happening, NodeEvent};
use super::parts::{NodeParts, Request};
use super::query::{Answer, Envelope as WireEnvelope, Query};
use super::recent::Recent;
use super::report::{Facts, Report};
use super::schedule::{Machine, Schedule};
use super::settling::{Settling, Wanted};
use super::status::{Condition, LastRound, Rewards, Situation, Status, doing};
use super::time::local_minute;
use super::votes::Votes;
use super::worker::{Done, Worker};

/// Milliseconds between two looks at the machine, for the schedule.
const LOOK_EVERY: Millis = 10_000;
/// Milliseconds between two looks at what the node does, for its owner.
const ATTEND_EVERY: Millis = 1_000;

/// A running node.
pub(super) struct Node {
    core: Core,
    config: Arc<SwarmConfig>,
    peer: PeerId,
    network: Handle,
    disk: Disk,
    worker: Option<Worker>,
    archive: Archive,
    board: Board,
    asking: Asking,
    clocks: ClockOffset,
    mode: Mode,
    schedule: Schedule,
    /// Why the schedule lets the model rest, as of the last look, and when to look again.
    rest: Option<String>,
    look_at: Millis,
    /// When to attend to all that need not be done with every message.
    attend_at: Millis,
    /// Peers that are connected.
    connected: BTreeSet<PeerId>,
    /// Whether the model takes part in the present round: judged when it begins, as a round that
    /// was begun is finished.
    plays: bool,
    /// The last round in which it took part: what was begun is learned from, too.
    begun: Option<Round>,
    /// Messages that are to be told again.
    again: Vec<Arc<[u8]>>,
    /// What was published, or came by gossip, lately.
    published: Recent,
    /// What the core waits for before it begins a round.
    waits: Option<Waiting>,
    /// Addresses that were given to the node.
    given: usize,
    /// The last lead that the core was told.
    lead: Millis,
    report: Report,
    votes: Option<Votes>,
    settling: Option<Settling>,
    own_signatures: OwnSignatures,
    /// This process turned out to be the later one of two with one key.
    is_copy: bool,
    /// When it was last shown that another process signs with this key.
    duplicate_shown: Option<Millis>,
}

impl Node {
    pub(super) fn new(parts: NodeParts, now: Millis) -> Self {
        let lessons = parts.worker.as_ref().map_or(0, Worker::lessons_before);
        Self {
            report: Report::new(now, lessons),
            core: parts.core,
            config: parts.config,
            peer: parts.peer,
            network: parts.network,
            disk: parts.disk,
            worker: parts.worker,
            archive: parts.archive,
            board: parts.board,
            asking: Asking::default(),
            clocks: ClockOffset::default(),
            mode: Mode::default(),
            schedule: parts.schedule,
            rest: None,
            look_at: now,
            attend_at: now,
            connected: BTreeSet::new(),
            lead: 0,
            plays: true,
            begun: None,
            again: Vec::new(),
            published: Recent::default(),
            waits: None,
            given: parts.given,
            votes: parts.votes,
            settling: parts.settling,
            own_signatures: OwnSignatures::new(parts.peer, now),
            is_copy: false,
            duplicate_shown: None,
        }
    }

    /// Takes what the archive has over that the core does not know: an older journal, or none.
    pub(super) async fn adopt_archived(&mut self, now: Millis) {
        let bounds = self
            .archive
            .bounds()
            .inspect_err(|error| tracing::warn!(%error, "the archive cannot be read"));
        let Ok(Some((first, last))) = bounds else {
            return;
        };
        for round in first.max(self.core.history().floor())..=last {
            if self.core.history().contains(round) {
                continue;
            }
            let Some(record) = self.record(round) else {
                continue;
            };
            match RoundRecord::from_bytes(&record) {
                Ok(record) => {
                    let adopt = Input::Adopt(Box::new(record));
                    // What they decide was shown, kept and learned from before.
                    drop(self.handle(adopt, now).await);
                }
                Err(error) => tracing::warn!(round, %error, "a round of the archive is damaged"),
            }
        }
    }

    /// When the core wants to be called.
    pub(super) fn next_tick(&self) -> Millis {
        self.core.next_tick()
    }

    /// Sends the questions that wait.
    pub(super) fn ask_peers(&mut self, tasks: &mut JoinSet<Answered>) {
        self.asking.send(&self.network, tasks);
    }

    /// True once the owner's wish to end is fulfilled: no round is under way.
    pub(super) fn is_drained(&self) -> bool {
        self.mode == Mode::Draining && !self.is_in_round()
    }

    /// Whether another process that was there before signs with this key.
    pub(super) fn is_copy(&self) -> bool {
        self.is_copy
    }

    fn is_in_round(&self) -> bool {
        // What follows the settle window needs nobody's model.
        let settles = self.core.phase() == Phase::In(Window::Settle);
        self.core.round().is_some() && self.core.is_member() && !settles
    }

    /// True if the model may begin something.
    fn works(&self) -> bool {
        self.mode.works() && self.rest.is_none()
    }

    /// Looks at the machine now and then, for the schedule.
    fn look(&mut self, now: Millis) {
        if now >= self.look_at {
            self.look_at = now + LOOK_EVERY;
            self.rest = self.schedule.rest(&Machine::look(local_minute()));
        }
    }

    /// Says goodbye.
    pub(super) async fn end(self) {
        self.network.shutdown().await;
    }

    fn show(&mut self, event: NodeEvent, now: Millis) {
        self.report.note(&event, now);
        self.board.show(Happening { at_ms: now, event });
    }
}

// Inputs and outputs of the core.
impl Node {
    /// Gives the core an input, and does what it wants.
    pub(super) async fn input(&mut self, input: Input, now: Millis) {
        self.mode = self.mode.at(now);
        let outputs = self.handle(input, now).await;
        self.carry_out(outputs, now).await;
    }

    /// What is due now and then, whatever comes in meanwhile: the schedule, the clocks, and since
    /// when the node does what it does.
    pub(super) fn attend(&mut self, now: Millis) {
        if now < self.attend_at {
            return;
        }
        self.attend_at = now + ATTEND_EVERY;
        self.mode = self.mode.at(now);
        self.look(now);
        if let Some(worker) = &self.worker {
            match self.works() {
                true => worker.work(),
                false => worker.rest(self.begun),
            }
        }
        let peers = self.neighbours();
        self.asking.compare_clocks(&peers, now);
        let condition = self.condition(now);
        self.report.observe(condition.state, now);
    }

    fn neighbours(&self) -> Vec<PeerId> {
        self.connected.iter().copied().collect()
    }

    /// The core's outputs; what led to them, and the rounds that they decide, are given to the disk
    /// before anything is done about them.
    async fn handle(&mut self, input: Input, now: Millis) -> Vec<Output> {
        let heard = match &input {
            Input::Envelope(_, bytes) => Some(bytes.clone()),
            _ => None,
        };
        let Recorded {
            outputs,
            segment,
            records,
        } = self.core.handle_recorded(input, now);
        for output in &outputs {
            if let Output::Decided(decided) = output {
                self.disk.keep(decided.clone()).await;
            }
        }
        self.disk.note(segment, records).await;
        if let Some(Foreign { round, is_newcomer }) = heard.and_then(|bytes| self.foreign(&bytes)) {
            self.met_duplicate(Some(round), is_newcomer, now);
        }
        outputs
    }

    /// A message of another process with this node's key.
    fn foreign(&self, bytes: &[u8]) -> Option<Foreign> {
        let message = Envelope::parse(bytes).ok()?;
        self.own_signatures.judge(&message, self.core.clock())
    }

    /// Another process signs with this node's key. It is told once in the time of a round, however
    /// much is heard of it.
    fn met_duplicate(&mut self, round: Option<Round>, is_newcomer: bool, now: Millis) {
        self.is_copy |= is_newcomer;
        let length = self.core.clock().length();
        if self
            .duplicate_shown
            .is_none_or(|shown| now >= shown.saturating_add(length))
        {
            self.duplicate_shown = Some(now);
            self.show(NodeEvent::DuplicateIdentity { round }, now);
        }
    }

    pub(super) async fn carry_out(&mut self, outputs: Vec<Output>, now: Millis) {
        for output in outputs {
            self.output(output, now).await;
        }
        self.tell_again();
    }

    /// Tells neighbours what gossip does not carry a second time.
    fn tell_again(&mut self) {
        let again = std::mem::take(&mut self.again);
        if !again.is_empty() {
            let peers = self.neighbours();
            self.asking.again(&again, &peers);
        }
    }

    /// Publishes a message; one that was published before is told to neighbours directly, as gossip
    /// delivers it once.
    async fn broadcast(&mut self, bytes: Arc<[u8]>) {
        if self.published.note(&bytes) {
            if let Err(error) = self.network.publish(bytes).await {
                tracing::warn!(%error, "not published");
            }
        } else {
            self.again.push(bytes);
        }
    }

    async fn output(&mut self, output: Output, now: Millis) {
        match output {
            Output::Sign { place, digest } => {
                self.own_signatures.note(&place, digest);
                self.disk.sign(place, digest).await;
            }
            Output::ForgetBefore(round) => {
                self.own_signatures.forget_before(round);
                self.disk.forget_before(round).await;
            }
            Output::Broadcast(bytes) => self.broadcast(bytes).await,
            Output::Need(task) => {
                if let Some(worker) = self.worker.as_ref().filter(|_| self.plays) {
                    worker.stage(task);
                }
            }
            Output::Ask(want) => {
                let peers = self.neighbours();
                self.asking.want(&want, &peers);
            }
            // Answers are taken out where the question came in.
            Output::Send(..) => {}
            Output::Decided(decided) => self.decided(&decided, now),
            // It comes again once the rounds before it are here.
            Output::NotAdopted(_, AdoptError::Unknown(_)) => {}
            Output::NotAdopted(round, error) => {
                let reason = error.to_string();
                self.show(NodeEvent::NotAdopted { round, reason }, now);
            }
            Output::Rejected { .. } => {}
            Output::Evidence(evidence) => {
                // As with blame: if the network is too busy to hear it, the peer gets away with it.
                if evidence.peer != self.peer {
                    self.network.report(evidence.peer, Behaviour::Equivocation);
                }
                let peer = evidence.peer.text();
                self.disk.evidence(evidence).await;
                self.show(NodeEvent::Evidence { peer }, now);
            }
            Output::Missed(round, stage) if self.worker.is_some() && self.plays => {
                let stage = stage.name().to_owned();
                self.show(NodeEvent::Missed { round, stage }, now);
            }
            Output::Missed(..) => {}
            Output::Withheld(place, why) => {
                let (round, reason) = (place.round, why.to_string());
                self.show(NodeEvent::Withheld { round, reason }, now);
            }
            Output::NotRegistered(error) => {
                let text = error.to_string();
                self.show(NodeEvent::Trouble { text }, now);
            }
            Output::Entered(phase) => self.entered(phase, now),
            Output::Waits(waiting) => self.waits = Some(waiting),
        }
    }

    fn entered(&mut self, phase: Phase, now: Millis) {
        let (Phase::In(window), Some(round)) = (phase, self.core.round()) else {
            return;
        };
        self.waits = None;
        if window == Window::ShareSeal {
            self.plays = self.works();
            if self.plays {
                self.begun = Some(round);
            }
            if let Some(votes) = &mut self.votes {
                votes.begin_round(self.core.members());
            }
        }
        let event = match window {
            Window::ShareSeal => NodeEvent::Began {
                round,
                is_member: self.core.is_member(),
            },
            window => NodeEvent::Window {
                round,
                what: doing(window).into(),
            },
        };
        self.show(event, now);
    }

    fn decided(&mut self, decided: &Arc<DecidedRound>, now: Millis) {
        if let Some(worker) = &self.worker {
            worker.learn(decided.clone());
        }
        if let Some(settling) = &self.settling {
            settling.decided(decided);
        }
        let event = NodeEvent::Decided(self.last_round(decided, now));
        self.show(event, now);
    }

    fn last_round(&self, decided: &DecidedRound, now: Millis) -> LastRound {
        let (round, scores) = (decided.round(), &decided.result.scores);
        let settles = self.core.clock().start(Position {
            round,
            window: Window::Settle,
        });
        let own = scores.iter().find(|score| score.peer == self.peer);
        let points = own.map(|own| own.rows.total());
        let better = |points| {
            let totals = scores.iter().map(|score| score.rows.total());
            totals.filter(|total| *total > points).count()
        };
        LastRound {
            round,
            after_ms: now.saturating_sub(settles),
            points,
            place: points.map(|points| 1 + better(points)),
            members: scores.len(),
            digest: swarm_identity::digest::hex(&decided.result.digest),
        }
    }
}

// What the network brings.
impl Node {
    pub(super) async fn heard(&mut self, event: Event, now: Millis) {
        match event {
            Event::Gossip { from, id, bytes } => self.gossip(from, id, bytes, now).await,
            Event::Request { from, bytes, reply } => {
                let query = Query::from_bytes(&bytes);
                if let (Ok(Query::Table(root)), Some(settling)) = (&query, &mut self.settling) {
                    settling.asked((*root).into(), reply);
                    return;
                }
                let answer = self.serve(from, query, now).await;
                // An answer that is dropped sends the peer to somebody else.
                if let Ok(bytes) = answer.to_bytes() {
                    reply.send(bytes);
                }
            }
            Event::Connected { peer, address, .. } => {
                if !self.connected.insert(peer) {
                    return;
                }
                let said: Vec<_> = self.core.said().cloned().collect();
                self.asking.again(&said, &[peer]);
                let (peer, address) = (peer.text(), address.to_string());
                self.show(NodeEvent::PeerCame { peer, address }, now);
            }
            Event::Disconnected { peer } => {
                self.connected.remove(&peer);
                self.clocks.forget(&peer);
                let peer = peer.text();
                self.show(NodeEvent::PeerLeft { peer }, now);
            }
            Event::Listening(address) => {
                let address = address.to_string();
                self.show(NodeEvent::Listening { address }, now);
            }
            Event::Reachability(reachability) => {
                let (reachability, is_reachable) = words(&reachability);
                let event = NodeEvent::Reachability {
                    reachability,
                    is_reachable,
                };
                self.show(event, now);
            }
            Event::Banned { peer, reason, .. } => {
                let (peer, reason) = (peer.text(), format!("{reason:?}"));
                self.show(NodeEvent::Banned { peer, reason }, now);
            }
            Event::DuplicateIdentity { is_newcomer } => {
                self.met_duplicate(None, is_newcomer, now);
            }
            Event::Given { source, peers } => {
                let source = source.name().to_owned();
                self.show(NodeEvent::SourceGave { source, peers }, now);
            }
            Event::Unavailable { what, reason } => {
                self.show(NodeEvent::Unavailable { what, reason }, now);
            }
            other => tracing::debug!(?other, "not known"),
        }
    }

    /// A message is handed on if it counts here, or waits to.
    async fn gossip(&mut self, from: PeerId, id: GossipId, bytes: Arc<[u8]>, now: Millis) {
        if Attestation::is_meant(&bytes) {
            let heard = self.hear_vote(&bytes);
            self.published.note_id(id);
            self.network
                .judge(id, from, heard.err().unwrap_or(Verdict::Accept));
            return;
        }
        // What waited for this moment is judged apart from the message.
        self.input(Input::Tick, now).await;
        let outputs = self.handle(Input::Envelope(Link(from), bytes), now).await;
        let rejection = outputs.iter().find_map(|output| match output {
            Output::Rejected { reason, .. } => Some(*reason),
            _ => None,
        });
        let verdict = rejection.map_or(Verdict::Accept, judge);
        self.published.note_id(id);
        self.network.judge(id, from, verdict);
        self.carry_out(outputs, now).await;
    }

    /// The answer to a peer's question.
    async fn serve(
        &mut self,
        from: PeerId,
        query: Result<Query, CodecError>,
        now: Millis,
    ) -> Answer {
        let want = match query {
            Ok(Query::Time) => return Answer::Time(now),
            Ok(Query::Want(want)) => want,
            Ok(Query::Again(messages)) => {
                self.hear_again(from, messages, now).await;
                return Answer::Nothing;
            }
            // There is no settling node here, which would have one.
            Ok(Query::Table(_)) => return Answer::Nothing,
            Err(_) => {
                self.blame(from);
                return Answer::Nothing;
            }
        };
        if self.core.history().contains(want.round) {
            let record = self.record(want.round);
            return record.map_or(Answer::Nothing, |record| {
                self.archive.offer(want.round, &record)
            });
        }
        let outputs = self.handle(Input::Asked(Link(from), want), now).await;
        let messages = outputs.iter().filter_map(|output| match output {
            Output::Send(_, bytes) => Some(&bytes[..]),
            _ => None,
        });
        let answer = Answer::messages(messages);
        self.carry_out(outputs, now).await;
        answer
    }

    /// The record of a decided round, if it is kept.
    fn record(&self, round: Round) -> Option<Vec<u8>> {
        let record = self.archive.get(round);
        record
            .inspect_err(|error| tracing::warn!(%error, "the archive cannot be read"))
            .ok()?
    }

    /// Messages that a neighbour says again; those that are new here are handed on.
    async fn hear_again(&mut self, from: PeerId, messages: Vec<WireEnvelope>, now: Millis) {
        for WireEnvelope(bytes) in messages {
            let bytes: Arc<[u8]> = bytes.into();
            let counts = match Attestation::is_meant(&bytes) {
                true => self.hear_vote(&bytes).is_ok(),
                false => {
                    let before = self.core.counters().accepted;
                    let input = Input::Envelope(Link(from), bytes.clone());
                    self.input(input, now).await;
                    self.core.counters().accepted > before
                }
            };
            if counts && self.published.note(&bytes) {
                // Gossip knows itself what its neighbours have had.
                if let Err(error) = self.network.publish(bytes).await {
                    tracing::debug!(%error, "not handed on");
                }
            }
        }
    }

    /// A vote on an outcome, as gossip or a neighbour brings it.
    fn hear_vote(&mut self, bytes: &[u8]) -> Result<(), Verdict> {
        let votes = self.votes.as_mut().ok_or(Verdict::Ignore)?;
        let attestation = votes.judge(bytes)?;
        if let Some(settling) = &self.settling {
            settling.vote(attestation);
        }
        Ok(())
    }

    pub(super) async fn answered(&mut self, answered: Answered, now: Millis) {
        let Answered { peer, what } = answered;
        match what {
            Given::Nothing => {}
            Given::Time(exchange) => {
                // One that teaches nothing changes nothing.
                let _ = self.clocks.note(peer, exchange);
                self.adjust_lead(now).await;
            }
            Given::Round(Answer::Messages(envelopes)) => {
                for envelope in envelopes {
                    let input = Input::Envelope(Link(peer), envelope.0.into());
                    self.input(input, now).await;
                }
            }
            Given::Round(Answer::Round(record)) => self.adopt(peer, &record, now).await,
            Given::Table(table) => {
                if let Some(settling) = &self.settling {
                    settling.table(table);
                }
            }
            Given::Round(other) => tracing::debug!(?other, "not asked for"),
            Given::Nonsense(nonsense) => {
                tracing::debug!(%nonsense, "no answer");
                self.blame(peer);
            }
        }
    }

    async fn adopt(&mut self, from: PeerId, record: &[u8], now: Millis) {
        match RoundRecord::from_bytes(record) {
            Ok(record) => self.input(Input::Adopt(Box::new(record)), now).await,
            Err(_) => self.blame(from),
        }
    }

    /// Tells the network that a peer sent what nobody sends by mistake.
    fn blame(&self, peer: PeerId) {
        // If the network is too busy to hear it, the peer gets away with it this time.
        self.network.report(peer, Behaviour::Malformed);
    }

    async fn adjust_lead(&mut self, now: Millis) {
        let lead = self.clocks.estimate().map_or(0, |it| it.lead_ms());
        if lead != self.lead {
            self.lead = lead;
            self.input(Input::Lead(lead), now).await;
        }
    }
}

/// Reachability for people and programs.
fn words(reachability: &Reachability) -> (String, Option<bool>) {
    match reachability {
        Reachability::Unknown => ("not known to be reachable yet".into(), None),
        Reachability::Public { address } => (format!("reachable at {address}"), Some(true)),
        Reachability::Private { relays } => match relays.len() {
            0 => (
                "not reachable by others: it must call everybody itself".into(),
                Some(false),
            ),
            1 => ("reachable through one relay only".into(), Some(false)),
            count => (
                format!("reachable through {count} relays only"),
                Some(false),
            ),
        },
    }
}

/// What the network does with a message that is rejected. Only what no honest peer hands on is held
/// against the one who did: times, members and places may look different from elsewhere.
fn judge(reason: Rejection) -> Verdict {
    match reason {
        Rejection::Size | Rejection::Swarm | Rejection::Signature | Rejection::Malformed => {
            Verdict::Reject
        }
        Rejection::Version
        | Rejection::Kind
        | Rejection::Late
        | Rejection::Early
        | Rejection::Waiting
        | Rejection::NotMember
        | Rejection::Duplicate
        | Rejection::NotAssigned
        | Rejection::Rate
        | Rejection::Equivocation
        | Rejection::Unsealed => Verdict::Ignore,
    }
}

// What the other threads and the owner bring.
impl Node {
    pub(super) async fn worked(&mut self, done: Done, now: Millis) {
        match done {
            Done::Work(round, work) => self.input(Input::Work(round, work), now).await,
            Done::Learned(learned) => {
                let Some(report) = &learned.report else {
                    return;
                };
                let event = NodeEvent::Learned {
                    round: learned.round,
                    steps: learned.steps,
                    reward: report.reward,
                    groups: report.groups.iter().sum(),
                    completions: report.generated,
                    is_rolled_back: learned.is_rolled_back(),
                };
                self.show(event, now);
            }
            Done::Skipped(round) => {
                let text = format!(
                    "round {round} is not learned from: the model is too slow for the swarm's \
                     rounds, or rested too long"
                );
                self.show(NodeEvent::Trouble { text }, now);
            }
            Done::Failed {
                round,
                stage,
                reason,
            } => {
                let what = stage.map_or("learning", |stage| stage.name());
                let text = format!("round {round}, {what}: {reason}");
                self.show(NodeEvent::Trouble { text }, now);
            }
        }
    }

    /// What the settling node says.
    pub(super) async fn settled(&mut self, event: SettlingEvent, now: Millis) {
        let Some(settling) = &mut self.settling else {
            return;
        };
        let archive = &self.archive;
        match settling.heard(event, |table| archive.offer_table(table)) {
            None => {}
            Some(Wanted::Publish(bytes)) => {
                self.broadcast(bytes.into()).await;
                self.tell_again();
            }
            Some(Wanted::Table(root)) => {
                let peers = self.neighbours();
                self.asking.table(root.0, &peers);
            }
            Some(Wanted::Paid) => {
                let Rewards { paid, earned, .. } = settling.rewards();
                let (paid, earned) = (paid.clone(), earned.clone());
                self.show(NodeEvent::Paid { paid, earned }, now);
            }
            Some(Wanted::Trouble(text)) => self.show(NodeEvent::Trouble { text }, now),
        }
    }

    /// Answers the owner; one who does not wait for the answer gets none.
    pub(super) fn owner(&mut self, request: Request, now: Millis) {
        match request {
            Request::Status(reply) => {
                let _ = reply.send(Box::new(self.status(now)));
            }
            Request::Record(round, reply) => {
                let _ = reply.send(self.record(round));
            }
            Request::Control(wish, reply) => {
                self.mode = self.mode.after(wish, now);
                self.show(NodeEvent::Mode { mode: self.mode }, now);
                let _ = reply.send(self.mode);
            }
        }
    }
}

// What the owner sees.
impl Node {
    fn condition(&self, now: Millis) -> Condition {
        Situation {
            rest: self.rest.as_deref(),
            waits: self.waits,
            clock: self.core.clock(),
            now,
            mode: self.mode,
            round: self.core.round(),
            is_member: self.core.is_member(),
            peers: self.connected.len(),
            given: self.given,
            failed_calls: self.network.stats().dials_failed,
            floor: self.core.history().floor(),
            undecided: self.core.undecided().count(),
            missing: self.missing(now),
        }
        .condition()
    }

    /// Rounds before the present one that are neither decided nor open here.
    fn missing(&self, now: Millis) -> usize {
        let present = self.core.clock().at(now).map_or(0, |at| at.round);
        let open: BTreeSet<_> = self.core.undecided().collect();
        let missing = self.core.history().missing(0..present);
        missing.filter(|round| !open.contains(round)).count()
    }

    fn status(&self, now: Millis) -> Status {
        let waiting = self.worker.as_ref().map(Worker::waiting);
        let facts = Facts {
            now,
            peer: &self.peer,
            config: &self.config,
            core: &self.core,
            condition: self.condition(now),
            waiting,
            peers: self.network.peers(),
            sources: self.network.sources(),
            clock: self.clocks.estimate(),
            rewards: self.settling.as_ref().map(|it| it.rewards().clone()),
        };
        self.report.status(facts)
    }
}
