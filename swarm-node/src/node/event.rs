//! What happens at a node, one value per event: for its log, for `up`, and for the event stream of
//! the local API.

use std::fmt;

use serde::{Deserialize, Serialize};
use swarm_round::clock::{Millis, Round};

use super::control::Mode;
use super::status::{LastRound, points, span};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Happening {
    /// When, in milliseconds since 1970.
    pub at_ms: Millis,
    /// What.
    #[serde(flatten)]
    pub event: NodeEvent,
}

/// How much an event matters to a person who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Of interest to whoever looks for a mistake.
    Detail,
    /// The usual course of things.
    Usual,
    /// Somebody should look.
    Warning,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum NodeEvent {
    /// The node listens on an address.
    Listening {
        /// The address.
        address: String,
    },
    /// It turned out whether others can reach the node.
    Reachability {
        /// In words.
        reachability: String,
        /// Whether they can; none if it is not known.
        is_reachable: Option<bool>,
    },
    /// A peer is connected.
    PeerCame {
        /// Its id.
        peer: String,
        /// Where it is.
        address: String,
    },
    /// A peer is not connected any more.
    PeerLeft {
        /// Its id.
        peer: String,
    },
    /// A peer was banned.
    Banned {
        /// Its id.
        peer: String,
        /// Why.
        reason: String,
    },
    /// A source gave peers to call that it had not given before.
    SourceGave {
        /// Its name.
        source: String,
        /// How many.
        peers: usize,
    },
    /// The owner announces on the chain where this node is to be found.
    Announced {
        /// Its addresses.
        addresses: String,
    },
    /// Something that was asked for does not work here; the node goes on without it.
    Unavailable {
        /// What.
        what: String,
        /// Why.
        reason: String,
    },
    /// A round begins, and the node takes part.
    Began {
        /// The round.
        round: Round,
        /// Whether the node is a member of it.
        is_member: bool,
    },
    /// A window of the round is open.
    Window {
        /// The round.
        round: Round,
        /// What members do in it.
        what: String,
    },
    /// A round is decided here.
    Decided(LastRound),
    /// A round that others sent proves nothing.
    NotAdopted {
        /// The round.
        round: Round,
        /// Why.
        reason: String,
    },
    /// The model learned from a round.
    Learned {
        /// The round.
        round: Round,
        /// Rounds learned from, in all.
        steps: u64,
        /// Mean reward of its own answers.
        reward: Option<f32>,
        /// Groups of completions that it was trained on.
        groups: usize,
        /// Completions that it generated for the round.
        completions: usize,
        /// Whether training was rolled back.
        is_rolled_back: bool,
    },
    /// The node sat out a stage.
    Missed {
        /// The round.
        round: Round,
        /// The stage.
        stage: String,
    },
    /// The node kept a message of its own back.
    Withheld {
        /// The round.
        round: Round,
        /// Why.
        reason: String,
    },
    /// The owner was paid.
    Paid {
        /// Tokens that it was ever paid, as exact decimal text.
        paid: String,
        /// Tokens that it ever earned.
        earned: String,
    },
    /// A peer contradicted itself; the proof is kept.
    Evidence {
        /// Its id.
        peer: String,
    },
    /// Another process signs with this node's key.
    DuplicateIdentity {
        /// The round of its message; none if it said so itself, through a neighbour.
        round: Option<Round>,
    },
    /// The owner's wish is known.
    Mode {
        /// What the owner wants.
        mode: Mode,
    },
    /// Something failed that needs somebody.
    Trouble {
        /// What, and what to do.
        text: String,
    },
}

impl NodeEvent {
    /// How much it matters.
    pub fn weight(&self) -> Weight {
        match self {
            Self::Window { .. } | Self::PeerLeft { .. } | Self::Listening { .. } => Weight::Detail,
            Self::Missed { .. }
            | Self::Withheld { .. }
            | Self::NotAdopted { .. }
            | Self::Evidence { .. }
            | Self::DuplicateIdentity { .. }
            | Self::Banned { .. }
            | Self::Trouble { .. } => Weight::Warning,
            Self::Learned { is_rolled_back, .. } if *is_rolled_back => Weight::Warning,
            _ => Weight::Usual,
        }
    }
}

impl fmt::Display for NodeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { address } => write!(f, "listens on {address}"),
            Self::Reachability { reachability, .. } => write!(f, "this node is {reachability}"),
            Self::PeerCame { peer, address } => write!(f, "peer {peer} is here, at {address}"),
            Self::PeerLeft { peer } => write!(f, "peer {peer} left"),
            Self::Banned { peer, reason } => write!(f, "peer {peer} is banned: {reason}"),
            Self::SourceGave { source, peers } => {
                write!(f, "peers to call, by {source}: {peers}")
            }
            Self::Announced { addresses } => {
                write!(
                    f,
                    "announces on the chain where this node is to be found: {addresses}"
                )
            }
            Self::Unavailable { what, reason } => {
                write!(
                    f,
                    "{what} does not work here, the node goes on without: {reason}"
                )
            }
            Self::Began { round, is_member } => match is_member {
                true => write!(f, "round {round} begins"),
                false => write!(f, "round {round} begins without this node"),
            },
            Self::Window { round, what } => write!(f, "round {round}: {what}"),
            Self::Decided(last) => last.fmt(f),
            Self::NotAdopted { round, reason } => {
                write!(
                    f,
                    "round {round}, as a peer sent it, is not taken over: {reason}"
                )
            }
            Self::Learned {
                round,
                steps,
                reward,
                groups,
                is_rolled_back,
                ..
            } => {
                write!(
                    f,
                    "learned from round {round}, the {steps}. in all: {groups} groups"
                )?;
                if let Some(reward) = reward {
                    write!(f, ", reward {reward:.3}")?;
                }
                match is_rolled_back {
                    true => f.write_str("; the mean reward fell: back to the best state"),
                    false => Ok(()),
                }
            }
            Self::Missed { round, stage } => write!(
                f,
                "sat out the stage {stage} of round {round}: its work was not ready in time"
            ),
            Self::Withheld { round, reason } => {
                write!(f, "kept a message of round {round} back: {reason}")
            }
            Self::Paid { paid, earned } => {
                write!(
                    f,
                    "the chain has paid {paid} tokens of {earned} earned so far"
                )
            }
            Self::Evidence { peer } => {
                write!(
                    f,
                    "peer {peer} signed two messages that contradict each other"
                )
            }
            Self::DuplicateIdentity { round } => {
                f.write_str("another process signs with this node's key")?;
                if let Some(round) = round {
                    write!(f, ", in round {round}")?;
                }
                f.write_str(
                    ": is a copy of it running? End one of them; if there is none, the key is \
                     stolen",
                )
            }
            Self::Mode { mode } => match mode {
                Mode::Working => f.write_str("works"),
                Mode::Paused(_) => f.write_str("is paused after this round"),
                Mode::Draining => f.write_str("ends after this round"),
            },
            Self::Trouble { text } => f.write_str(text),
        }
    }
}

impl fmt::Display for LastRound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (round, after) = (self.round, span(self.after_ms));
        write!(f, "round {round} is decided after {after}: ")?;
        match (self.points, self.place) {
            (Some(points), Some(place)) => {
                let (points, members) = (self::points(points), self.members);
                write!(f, "{points} points, place {place} of {members}")
            }
            _ => write!(f, "{} members", self.members),
        }?;
        write!(
            f,
            ", digest {}",
            self.digest.get(..12).unwrap_or(&self.digest)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_text_and_one_flat_object() {
        let last = LastRound {
            round: 3,
            after_ms: 420,
            points: Some(812_000),
            place: Some(2),
            members: 5,
            digest: "ab".repeat(32),
        };
        let happening = Happening {
            at_ms: 7,
            event: NodeEvent::Decided(last),
        };
        assert_eq!(
            happening.event.to_string(),
            "round 3 is decided after 0.4 s: 0.812 points, place 2 of 5, digest abababababab"
        );
        let json = serde_json::to_value(&happening).unwrap();
        assert_eq!(
            (&json["event"], &json["round"]),
            (&"decided".into(), &3.into())
        );
        assert_eq!(
            serde_json::from_value::<Happening>(json).unwrap(),
            happening
        );
    }
}
