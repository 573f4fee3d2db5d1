//! What a node remembers of its events for its owner, and the status made of it.

use swarm_identity::PeerId;
use swarm_identity::digest::hex;
use swarm_net::{PeerInfo, Route, SourceInfo};
use swarm_round::SwarmConfig;
use swarm_round::clock::Millis;
use swarm_round::clock_offset::Estimate;
use swarm_round::rejection::Rejection;
use swarm_round::state::Core;

use super::event::NodeEvent;
use super::status::{
    ClockLine, Condition, LastRound, Learning, PeerLine, Rewards, SourceLine, State, Status,
};

/// Most addresses on which a node listens that are shown.
const MAX_LISTENING: usize = 32;

/// What a node remembers of its events.
#[derive(Clone, Debug)]
pub(super) struct Report {
    started: Millis,
    /// The state, and since when.
    state: Option<(State, Millis)>,
    listening: Vec<String>,
    reachability: (String, Option<bool>),
    decided: u64,
    points: i64,
    last: Option<LastRound>,
    learning: Learning,
    missed: u64,
    trouble: Option<(Millis, String)>,
    duplicate: Option<(Millis, String)>,
}

/// The facts that are looked up when somebody asks.
pub(super) struct Facts<'a> {
    pub(super) now: Millis,
    pub(super) peer: &'a PeerId,
    pub(super) config: &'a SwarmConfig,
    pub(super) core: &'a Core,
    pub(super) condition: Condition,
    /// Rounds that wait for the model; none without a model.
    pub(super) waiting: Option<usize>,
    pub(super) peers: Vec<PeerInfo>,
    pub(super) sources: Vec<SourceInfo>,
    pub(super) clock: Option<Estimate>,
    pub(super) rewards: Option<Rewards>,
}

impl Report {
    /// A node that starts with a model which learned from so many rounds.
    pub(super) fn new(started: Millis, lessons: u64) -> Self {
        Self {
            started,
            state: None,
            listening: Vec::new(),
            reachability: ("not known to be reachable yet".into(), None),
            decided: 0,
            points: 0,
            last: None,
            learning: Learning {
                steps: lessons,
                ..Learning::default()
            },
            missed: 0,
            trouble: None,
            duplicate: None,
        }
    }

    /// Remembers what of an event is shown later.
    pub(super) fn note(&mut self, event: &NodeEvent, now: Millis) {
        match event {
            NodeEvent::Listening { address } if self.listening.len() < MAX_LISTENING => {
                self.listening.push(address.clone());
            }
            NodeEvent::Reachability {
                reachability,
                is_reachable,
            } => self.reachability = (reachability.clone(), *is_reachable),
            NodeEvent::Decided(last) => {
                self.decided += 1;
                self.points += last.points.unwrap_or(0);
                if self
                    .last
                    .as_ref()
                    .is_none_or(|known| known.round < last.round)
                {
                    self.last = Some(last.clone());
                }
            }
            NodeEvent::Learned {
                steps,
                reward,
                completions,
                is_rolled_back,
                ..
            } => {
                self.learning.steps = *steps;
                self.learning.reward = reward.or(self.learning.reward);
                self.learning.rollbacks += u64::from(*is_rolled_back);
                self.learning.completions += *completions as u64;
            }
            NodeEvent::Missed { .. } => self.missed += 1,
            NodeEvent::Trouble { .. } => self.trouble = Some((now, event.to_string())),
            NodeEvent::DuplicateIdentity { .. } => self.duplicate = Some((now, event.to_string())),
            _ => {}
        }
    }

    /// Notes the present state.
    pub(super) fn observe(&mut self, state: State, now: Millis) {
        if self.state.is_none_or(|(known, _)| known != state) {
            self.state = Some((state, now));
        }
    }

    /// The status of this moment.
    pub(super) fn status(&self, facts: Facts<'_>) -> Status {
        let Facts {
            now,
            config,
            core,
            condition,
            ..
        } = facts;
        let since = self.state.filter(|(state, _)| *state == condition.state);
        let windows = &config.windows;
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            peer: facts.peer.text(),
            swarm: config.name.clone(),
            swarm_id: hex(core.swarm()),
            condition,
            since_ms: since.map_or(now, |(_, since)| since),
            started_ms: self.started,
            now_ms: now,
            round: core.round(),
            floor: core.history().floor(),
            undecided: core.undecided().count(),
            decided: self.decided,
            points: self.points,
            last: self.last.clone(),
            learning: facts.waiting.map(|waiting| Learning {
                waiting,
                ..self.learning.clone()
            }),
            rewards: facts.rewards,
            listening: self.listening.clone(),
            reachability: self.reachability.0.clone(),
            is_reachable: self.reachability.1,
            peers: facts.peers.iter().map(PeerLine::from).collect(),
            sources: facts.sources.iter().map(SourceLine::from).collect(),
            clock: facts.clock.map(|estimate| ClockLine {
                offset_ms: estimate.offset_ms,
                delay_ms: estimate.delay_ms,
                peers: estimate.peers,
                is_off: estimate.is_off(windows),
            }),
            missed: self.missed,
            accepted: core.counters().accepted,
            rejected: rejected(core),
            trouble: self.trouble.clone(),
            duplicate: self.duplicate.clone(),
        }
    }
}

/// The reasons for which messages were rejected, with how many.
fn rejected(core: &Core) -> Vec<(String, u64)> {
    let counts = Rejection::ALL.map(|reason| (reason, core.counters().rejected(reason)));
    let seen = counts.into_iter().filter(|(_, count)| *count > 0);
    seen.map(|(reason, count)| (format!("{reason:?}").to_lowercase(), count))
        .collect()
}

impl From<&SourceInfo> for SourceLine {
    fn from(info: &SourceInfo) -> Self {
        Self {
            source: info.source.name().to_owned(),
            known: info.known,
            reached: info.reached,
        }
    }
}

impl From<&PeerInfo> for PeerLine {
    fn from(peer: &PeerInfo) -> Self {
        Self {
            peer: peer.peer.text(),
            address: peer.address.to_string(),
            is_relayed: peer.route == Route::Relayed,
            round_trip_ms: peer.rtt.map(|trip| trip.as_millis() as u64),
            agent: peer.agent.clone(),
            score: peer.score,
        }
    }
}
