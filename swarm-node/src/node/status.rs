//! What a node is doing, why it waits, since when, and what comes next: for people and programs.
//!
//! [`Situation`] holds the facts, and [`Condition`] follows from them, so that what `status` says
//! can be tested without a network.
//!
//! ```text
//! starting ─▶ waiting ─▶ working ◀─▶ paused
//!                │  ▲       │          │
//!                ▼  └───────┤          │
//!             following     └──────────┴─▶ draining
//! ```

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use swarm_round::clock::{Clock, Millis, Round, Window};
use swarm_round::state::Waiting;
use swarm_settle::settlement::phase::Phase;

use super::control::Mode;

/// What the node does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits: see the reason.
    Waiting,
    /// It takes decided rounds over that it has missed.
    Following,
    /// It takes part in a round.
    Working,
    /// Its owner lets its model rest.
    Paused,
    /// It ends after the round.
    Draining,
}

impl State {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Following => "following",
            Self::Working => "working",
            Self::Paused => "paused",
            Self::Draining => "draining",
        }
    }
}

/// What comes next, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// Milliseconds since 1970.
    pub at_ms: Millis,
    /// What.
    pub what: String,
}

/// A state with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// What the node does.
    pub state: State,
    /// Why.
    pub reason: String,
    /// What comes next; none if that depends on others.
    pub next: Option<Next>,
}

/// The facts that a condition follows from.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Why the owner's schedule lets the model rest; none if it works.
    pub rest: Option<&'a str>,
    /// What the core waits for before it begins a round.
    pub waits: Option<Waiting>,
    /// The swarm's clock.
    pub clock: &'a Clock,
    /// The present time.
    pub now: Millis,
    /// What the owner wants.
    pub mode: Mode,
    /// The round in which the node takes part.
    pub round: Option<Round>,
    /// True if the node is a member of the present round.
    pub is_member: bool,
    /// Peers that are connected.
    pub peers: usize,
    /// Addresses that were given to the node.
    pub given: usize,
    /// Calls to addresses that failed so far.
    pub failed_calls: u64,
    /// The first round that is not decided here.
    pub floor: Round,
    /// Rounds that this node took part in and that are not decided.
    pub undecided: usize,
    /// Rounds before the present one that are neither decided nor open here.
    pub missing: usize,
}

/// Undecided rounds behind the present one that are usual: agreement runs beside the next rounds.
const USUAL_LAG: usize = 2;

impl Situation<'_> {
    /// What the node does, and why.
    pub fn condition(&self) -> Condition {
        let (state, reason) = match self.mode {
            Mode::Draining => (State::Draining, self.draining()),
            Mode::Paused(until) => (State::Paused, self.paused(until)),
            Mode::Working => match self.rest {
                Some(reason) => (State::Paused, reason.to_owned()),
                None => self.working(),
            },
        };
        Condition {
            state,
            reason,
            next: self.next(state),
        }
    }

    fn draining(&self) -> String {
        match self.round {
            Some(round) => format!("round {round} is finished, then the node ends"),
            None => "the node ends".into(),
        }
    }

    fn paused(&self, until: Option<Millis>) -> String {
        match until {
            Some(until) => format!("its owner paused it for {} more", span(until - self.now)),
            None => "its owner paused it; `swarm-node resume` goes on".into(),
        }
    }

    fn working(&self) -> (State, String) {
        let Some(at) = self.clock.at(self.now) else {
            return (State::Waiting, "the swarm has not begun".into());
        };
        if self.peers == 0 {
            return (State::Waiting, self.alone());
        }
        if self.missing > USUAL_LAG {
            let reason = format!(
                "decided rounds are taken over: {} of {} are missing",
                self.missing, at.round
            );
            return (State::Following, reason);
        }
        if self.undecided > USUAL_LAG {
            let reason = format!(
                "rounds since {} are not decided: more than two thirds of those who vote must be \
                 heard; who stays away loses its vote two epochs later",
                self.floor
            );
            return (State::Waiting, reason);
        }
        if let Some(waits) = self.waits {
            return (State::Waiting, waits.to_string());
        }
        match self.round {
            Some(round) if self.is_member => {
                let doing = doing(at.window);
                (State::Working, format!("round {round}: {doing}"))
            }
            Some(round) => {
                let reason = format!("round {round} is followed: this node is not a member of it");
                (State::Waiting, reason)
            }
            None => {
                let reason = format!("round {} is under way since before it was here", at.round);
                (State::Waiting, reason)
            }
        }
    }

    fn alone(&self) -> String {
        match (self.given, self.failed_calls) {
            (0, 0) => "no peer is connected, and no address is given: --peer ADDRESS, or a name \
                       that is looked up: --peer /dnsaddr/NAME"
                .into(),
            (_, 0) => "no peer is connected; the first calls are under way".into(),
            (_, failed) => format!(
                "no peer is connected; {failed} calls failed, and all known addresses are called \
                 again and again"
            ),
        }
    }

    fn next(&self, state: State) -> Option<Next> {
        let at_ms = self.clock.next_boundary(self.now);
        let next = |what: String| Some(Next { at_ms, what });
        match (self.clock.at(self.now), state) {
            (_, State::Paused | State::Draining) => None,
            (None, _) => next("round 0 begins".into()),
            (Some(at), _) => {
                let then = at.next();
                let what = match then.window {
                    Window::ShareSeal => format!("round {} begins", then.round),
                    window => doing(window).into(),
                };
                next(what)
            }
        }
    }
}

/// What members do in a window.
pub fn doing(window: Window) -> &'static str {
    match window {
        Window::ShareSeal => "answers are written",
        Window::ShareReveal => "answers are shared",
        Window::CritiqueSeal => "answers are criticised",
        Window::CritiqueReveal => "critiques are shared",
        Window::DecideSeal => "decisions are made",
        Window::DecideReveal => "decisions are shared",
        Window::Settle => "it is agreed on what counts, and learned from it",
    }
}

/// A length of time for people.
///
/// ```
/// use swarm_node::node::status::span;
///
/// assert_eq!([span(900), span(61_000), span(7_500_000)], ["0.9 s", "1 min 1 s", "2 h 5 min"]);
/// ```
pub fn span(ms: Millis) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..10 => format!("{}.{} s", seconds, ms % 1000 / 100),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..172_800 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// Points for people, from millionths.
///
/// ```
/// use swarm_node::node::status::points;
///
/// assert_eq!([points(1_234_567), points(-50_000), points(0)], ["1.235", "-0.050", "0.000"]);
/// ```
pub fn points(millionths: i64) -> String {
    format!("{:.3}", millionths as f64 / 1e6)
}

/// A peer that is connected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerLine {
    /// Its id.
    pub peer: String,
    /// Where it is.
    pub address: String,
    /// True if its messages come through a relay.
    pub is_relayed: bool,
    /// Milliseconds that a ping takes there and back.
    pub round_trip_ms: Option<u64>,
    /// What it says that it runs.
    pub agent: String,
    /// How well it behaved: 0 is neutral, what is far below is banned.
    pub score: f64,
}

/// A source of peers that is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLine {
    /// Its name: `flag`, `file`, `cache`, `dns`, `chain`, `mdns`, or `peers` for what others told.
    pub source: String,
    /// Peers that it gave and that are called or connected.
    pub known: usize,
    /// Those of them that were reached since the start.
    pub reached: usize,
}

/// The last round that was decided here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastRound {
    /// The round.
    pub round: Round,
    /// How long after its windows it was decided, in milliseconds.
    pub after_ms: Millis,
    /// Points that this node earned in it, in millionths; none if it was no member.
    pub points: Option<i64>,
    /// Its place among the members, from 1.
    pub place: Option<usize>,
    /// Its members.
    pub members: usize,
    /// The digest of what counts: equal at all members.
    pub digest: String,
}

/// What the node's model has learned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Learning {
    /// Rounds learned from.
    pub steps: u64,
    /// Rounds that wait to be learned from.
    pub waiting: usize,
    /// Mean reward of its own answers in the last one.
    pub reward: Option<f32>,
    /// Times that training was rolled back since the start.
    pub rollbacks: u64,
    /// Completions that it generated for the rounds learned from since the start.
    pub completions: u64,
}

/// An epoch whose outcome is not settled for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochLine {
    /// The epoch.
    pub epoch: u64,
    /// Where it stands.
    pub phase: Phase,
    /// Decided rounds of it that this node has.
    pub rounds: u64,
    /// Points of this node in them, in millionths.
    pub points: u64,
}

/// How the node's rewards stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewards {
    /// The chain and the contract, as the swarm's file names them.
    pub contract: String,
    /// The account that is paid.
    pub owner: String,
    /// Whether the chain has answered.
    pub is_connected: bool,
    /// Tokens that the account ever earned by the newest final outcome, as exact decimal text.
    pub earned: String,
    /// Tokens that it was paid.
    pub paid: String,
    /// Epochs that are not over for good.
    pub epochs: Vec<EpochLine>,
}

/// How the node's clock stands to its peers'.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockLine {
    /// Milliseconds that the peers are ahead.
    pub offset_ms: i64,
    /// Milliseconds that a message takes.
    pub delay_ms: u64,
    /// Peers that were measured.
    pub peers: usize,
    /// True if the owner should set the clock.
    pub is_off: bool,
}

/// Everything that `swarm-node status` shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// The node's id.
    pub peer: String,
    /// The swarm's name.
    pub swarm: String,
    /// The swarm's id.
    pub swarm_id: String,
    /// What the node does, why, and what comes next.
    #[serde(flatten)]
    pub condition: Condition,
    /// Since when it is in this state, in milliseconds since 1970.
    pub since_ms: Millis,
    /// Since when it runs.
    pub started_ms: Millis,
    /// The time of this report.
    pub now_ms: Millis,
    /// The round in which it takes part.
    pub round: Option<Round>,
    /// The first round that is not decided here.
    pub floor: Round,
    /// Rounds whose windows are over and that are not decided here.
    pub undecided: usize,
    /// Rounds that were decided here since the start.
    pub decided: u64,
    /// Points that this node earned in them, in millionths.
    pub points: i64,
    /// The last one.
    pub last: Option<LastRound>,
    /// What its model has learned; none for an observer.
    pub learning: Option<Learning>,
    /// How its rewards stand; none where nothing is settled.
    pub rewards: Option<Rewards>,
    /// Addresses on which it listens.
    pub listening: Vec<String>,
    /// Whether others can reach it.
    pub reachability: String,
    /// The same for programs; none while it is not known.
    pub is_reachable: Option<bool>,
    /// Peers that are connected.
    pub peers: Vec<PeerLine>,
    /// Where it has peers from; every source that is in use.
    pub sources: Vec<SourceLine>,
    /// How its clock stands.
    pub clock: Option<ClockLine>,
    /// Stages that it sat out because its own work came too late, since the start.
    pub missed: u64,
    /// Messages of others that counted.
    pub accepted: u64,
    /// Messages of others that were rejected, by reason.
    pub rejected: Vec<(String, u64)>,
    /// The last thing that went wrong, with its time.
    pub trouble: Option<(Millis, String)>,
    /// That another process signs with this node's key, with the time when that was last seen.
    pub duplicate: Option<(Millis, String)>,
}

impl Status {
    /// Under a dozen lines for people.
    pub fn render(&self) -> String {
        let mut out = String::new();
        let mut line = |name: &str, text: String| {
            let _ = writeln!(out, "{name:<10} {text}");
        };
        let since = span(self.now_ms.saturating_sub(self.since_ms));
        line(
            "state",
            format!("{}, for {since}", self.condition.state.name()),
        );
        line("why", self.condition.reason.clone());
        if let Some(next) = &self.condition.next {
            let wait = span(next.at_ms.saturating_sub(self.now_ms));
            line("next", format!("{} in {wait}", next.what));
        }
        line("swarm", format!("{} {}", self.swarm, &self.swarm_id[..12]));
        line("node", self.peer.clone());
        line("peers", self.peers_text());
        line("sources", self.sources_text());
        line("rounds", self.rounds_text());
        if let Some(learning) = &self.learning {
            line("model", learning.text());
        }
        if let Some(rewards) = &self.rewards {
            line("rewards", rewards.text());
        }
        if let Some(clock) = self.clock.as_ref().filter(|clock| clock.is_off) {
            line(
                "clock",
                format!("{} ms off: set it by NTP", clock.offset_ms),
            );
        }
        let warnings = [("identity", &self.duplicate), ("trouble", &self.trouble)];
        for (name, warning) in warnings {
            if let Some((at, text)) = warning {
                let ago = span(self.now_ms.saturating_sub(*at));
                line(name, format!("{text} ({ago} ago)"));
            }
        }
        out
    }

    fn peers_text(&self) -> String {
        let relayed = self.peers.iter().filter(|peer| peer.is_relayed).count();
        let through = match relayed {
            0 => String::new(),
            relayed => format!(", {relayed} of them through a relay"),
        };
        let (count, reachability) = (self.peers.len(), &self.reachability);
        format!("{count} connected{through}; this node is {reachability}")
    }

    /// What each source of peers has given.
    pub fn sources_text(&self) -> String {
        let each = self.sources.iter().map(|it| match it.known {
            0 => format!("{} none", it.source),
            known => format!("{} {known} ({} reached)", it.source, it.reached),
        });
        each.collect::<Vec<_>>().join(", ")
    }

    fn rounds_text(&self) -> String {
        let mut text = format!("{} decided, {} points", self.decided, points(self.points));
        if let Some(last) = &self.last {
            let _ = write!(text, "; round {} after {}", last.round, span(last.after_ms));
            if let (Some(points), Some(place)) = (last.points, last.place) {
                let (points, members) = (self::points(points), last.members);
                let _ = write!(text, ": {points} points, {place} of {members}");
            }
        }
        text
    }
}

impl Rewards {
    fn text(&self) -> String {
        if !self.is_connected {
            return "the chain has not answered yet".into();
        }
        let mut text = format!("{} tokens earned, {} paid", self.earned, self.paid);
        if let Some(last) = self.epochs.last() {
            let _ = write!(text, "; epoch {} is {}", last.epoch, last.phase.name());
        }
        let waits = |at: &&EpochLine| at.phase == Phase::Unfunded;
        if let Some(first) = self.epochs.iter().find(waits) {
            let _ = write!(
                text,
                "; the pool is too small since epoch {}: `swarm-node chain fund` pays into it",
                first.epoch
            );
        }
        text
    }
}

impl Learning {
    fn text(&self) -> String {
        let mut text = format!("learned from {} rounds", self.steps);
        if let Some(reward) = self.reward {
            let _ = write!(text, ", reward {reward:.3}");
        }
        if self.waiting > 0 {
            let _ = write!(text, ", {} rounds wait", self.waiting);
        }
        if self.rollbacks > 0 {
            let _ = write!(text, ", rolled back {} times", self.rollbacks);
        }
        text
    }
}

#[cfg(test)]
impl Status {
    /// A working node, for tests.
    pub(crate) fn sample() -> Self {
        let digest = "ab".repeat(32);
        Self {
            version: "0.1.0".into(),
            peer: "16Uiu2HA".into(),
            swarm: "friends".into(),
            swarm_id: digest.clone(),
            condition: Condition {
                state: State::Working,
                reason: "round 3: answers are shared".into(),
                next: Some(Next {
                    at_ms: 61_500,
                    what: "answers are criticised".into(),
                }),
            },
            since_ms: 20_000,
            started_ms: 0,
            now_ms: 61_000,
            round: Some(3),
            floor: 3,
            undecided: 0,
            decided: 3,
            points: 2_500_000,
            last: Some(LastRound {
                round: 2,
                after_ms: 400,
                points: Some(1_225_000),
                place: Some(2),
                members: 5,
                digest,
            }),
            learning: Some(Learning {
                steps: 3,
                waiting: 1,
                reward: Some(0.5),
                rollbacks: 0,
                completions: 96,
            }),
            rewards: Some(Rewards {
                contract: "31337:0x0707070707070707070707070707070707070707".into(),
                owner: "0x0909090909090909090909090909090909090909".into(),
                is_connected: true,
                earned: "12.25".into(),
                paid: "10".into(),
                epochs: vec![EpochLine {
                    epoch: 1,
                    phase: Phase::Voting,
                    rounds: 4,
                    points: 2_250_000,
                }],
            }),
            listening: Vec::new(),
            reachability: "not known to be reachable yet".into(),
            is_reachable: None,
            peers: Vec::new(),
            sources: [("flag", 1, 1), ("dns", 3, 2), ("mdns", 0, 0)]
                .map(|(source, known, reached)| SourceLine {
                    source: source.into(),
                    known,
                    reached,
                })
                .into(),
            clock: None,
            missed: 0,
            accepted: 40,
            rejected: vec![("late".into(), 2)],
            trouble: None,
            duplicate: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use swarm_round::sim::toy;

    use super::*;

    fn clock() -> Clock {
        let mut config = toy::config(4);
        config.genesis_ms = 10_000;
        config.windows = swarm_round::Windows::uniform(1_000);
        Clock::new(&config)
    }

    fn situation(clock: &Clock) -> Situation<'_> {
        Situation {
            rest: None,
            waits: None,
            clock,
            now: 17_500,
            mode: Mode::Working,
            round: Some(1),
            is_member: true,
            peers: 3,
            given: 5,
            failed_calls: 2,
            undecided: 1,
            missing: 0,
            floor: 1,
        }
    }

    #[test]
    fn every_wait_has_its_reason_and_what_comes_next() {
        let clock = clock();
        let usual = situation(&clock);
        let cases = [
            (
                usual,
                "working",
                "round 1: answers are written",
                "answers are shared",
            ),
            (
                Situation {
                    now: 4_000,
                    round: None,
                    ..usual
                },
                "waiting",
                "not begun",
                "round 0",
            ),
            (
                Situation { peers: 0, ..usual },
                "waiting",
                "2 calls failed",
                "shared",
            ),
            (
                Situation {
                    peers: 0,
                    given: 0,
                    failed_calls: 0,
                    ..usual
                },
                "waiting",
                "--peer ADDRESS",
                "shared",
            ),
            (
                Situation {
                    now: 10_000 + 7_000 * 9,
                    floor: 3,
                    missing: 6,
                    ..usual
                },
                "following",
                "6 of 9",
                "shared",
            ),
            (
                Situation {
                    now: 10_000 + 7_000 * 9,
                    floor: 3,
                    undecided: 6,
                    ..usual
                },
                "waiting",
                "since 3 are not decided",
                "shared",
            ),
            (
                Situation {
                    is_member: false,
                    ..usual
                },
                "waiting",
                "not a member",
                "shared",
            ),
            (
                Situation {
                    round: None,
                    ..usual
                },
                "waiting",
                "under way",
                "shared",
            ),
        ];
        for (situation, state, reason, next) in cases {
            let condition = situation.condition();
            assert_eq!(condition.state.name(), state, "{condition:?}");
            assert!(condition.reason.contains(reason), "{condition:?}");
            let told = condition.next.unwrap();
            assert!(told.what.contains(next), "{told:?}");
            assert!(told.at_ms > situation.now);
        }
    }

    #[test]
    fn the_owners_wish_comes_first() {
        let clock = clock();
        let paused = Situation {
            mode: Mode::Paused(Some(77_500)),
            peers: 0,
            ..situation(&clock)
        };
        let condition = paused.condition();
        assert_eq!(condition.state, State::Paused);
        assert!(condition.reason.contains("1 min 0 s"), "{condition:?}");
        let resting = Situation {
            mode: Mode::Working,
            rest: Some("it is noon"),
            ..paused
        };
        assert_eq!(resting.condition().reason, "it is noon");
        let draining = Situation {
            mode: Mode::Draining,
            ..paused
        };
        assert!(draining.condition().reason.contains("round 1 is finished"));
    }

    #[test]
    fn a_status_is_a_few_lines_and_comes_back_from_json() {
        let status = Status::sample();
        let text = status.render();
        for expected in [
            "state      working, for 41 s",
            "next       answers are criticised in 0.5 s",
            "sources    flag 1 (1 reached), dns 3 (2 reached), mdns none",
            "rounds     3 decided, 2.500 points; round 2 after 0.4 s: 1.225 points, 2 of 5",
            "model      learned from 3 rounds, reward 0.500, 1 rounds wait",
        ] {
            assert!(text.contains(expected), "{text}");
        }
        assert!(text.lines().count() < 12);
        let json = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status);
    }

    #[test]
    fn the_last_window_is_followed_by_a_round() {
        let clock = clock();
        let last = Situation {
            now: 23_999,
            ..situation(&clock)
        };
        assert_eq!(last.condition().next.unwrap().what, "round 2 begins");
    }
}
