//! What members say to each other: the bodies inside envelopes.
//!
//! | kind | slot | body |
//! |---|---|---|
//! | share, critique, decide *seal* | [`STAGE_SLOT`] | [`Seals`]: one seal per assigned question |
//! | share, critique, decide *reveal* | the question's | 32 bytes of salt, then [`CompletionGroup`], [`Critique`] or [`Decision`] |
//! | receipt | [`STAGE_SLOT`] | [`Receipt`](crate::agreement::Receipt) |
//! | proposal, prevote, precommit | the ballot | [`Proposal`](crate::agreement::Proposal), [`Vote`](crate::agreement::Vote) |
//!
//! Seals go out in one message per stage, reveals in one message per question, so that a reveal of
//! long answers fits. The last four kinds are the members' agreement on what counts.

use serde::{Deserialize, Serialize};
use swarm_identity::digest::Digest32;

use crate::clock::Window;
use crate::codec::{Text, bounded_list};
use crate::completion::SharedCompletion;
use crate::config::{MAX_GROUP, MAX_SLOTS};

/// The slot of messages that concern a whole stage instead of one question.
pub const STAGE_SLOT: u16 = u16::MAX;

/// One of the three stages of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Answer the assigned questions.
    Share,
    /// Name the best revealed answer, or none.
    Critique,
    /// Give the final answer and the expected majority.
    Decide,
}

impl Stage {
    /// The stages in order.
    pub const ALL: [Self; 3] = [Self::Share, Self::Critique, Self::Decide];

    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::Critique => "critique",
            Self::Decide => "decide",
        }
    }

    /// Kind of the message that seals this stage.
    pub fn seal(self) -> Kind {
        match self {
            Self::Share => Kind::ShareSeal,
            Self::Critique => Kind::CritiqueSeal,
            Self::Decide => Kind::DecideSeal,
        }
    }

    /// Kind of the messages that reveal this stage.
    pub fn reveal(self) -> Kind {
        match self {
            Self::Share => Kind::ShareReveal,
            Self::Critique => Kind::CritiqueReveal,
            Self::Decide => Kind::DecideReveal,
        }
    }
}

/// What a message is; its number on the wire is the discriminant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Kind {
    /// Seals of answers.
    ShareSeal = 1,
    /// An answer.
    ShareReveal = 2,
    /// Seals of critiques.
    CritiqueSeal = 3,
    /// A critique.
    CritiqueReveal = 4,
    /// Seals of decisions.
    DecideSeal = 5,
    /// A decision.
    DecideReveal = 6,
    /// Which messages a member had in time.
    Receipt = 7,
    /// What counts, as the proposer of a ballot proposes it.
    Proposal = 8,
    /// A member's first vote in a ballot.
    Prevote = 9,
    /// A member's second vote in a ballot.
    Precommit = 10,
    /// A peer that wants to be a member of an open swarm.
    Hello = 11,
}

impl Kind {
    /// All kinds in the order of their windows.
    pub const ALL: [Self; 11] = [
        Self::ShareSeal,
        Self::ShareReveal,
        Self::CritiqueSeal,
        Self::CritiqueReveal,
        Self::DecideSeal,
        Self::DecideReveal,
        Self::Receipt,
        Self::Proposal,
        Self::Prevote,
        Self::Precommit,
        Self::Hello,
    ];
    /// The kinds that have places in a receipt, in the order of their windows.
    pub const CONTENT: [Self; 6] = [
        Self::ShareSeal,
        Self::ShareReveal,
        Self::CritiqueSeal,
        Self::CritiqueReveal,
        Self::DecideSeal,
        Self::DecideReveal,
    ];

    /// The kind with this number on the wire.
    pub fn from_wire(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// True for the kinds by which members agree on what counts. They are accepted until their
    /// round is decided.
    pub fn is_agreement(self) -> bool {
        self.window() == Window::Settle
    }

    /// The window in which the kind is accepted; for agreement the first one.
    pub fn window(self) -> Window {
        match self {
            Self::ShareSeal | Self::Hello => Window::ShareSeal,
            Self::ShareReveal => Window::ShareReveal,
            Self::CritiqueSeal => Window::CritiqueSeal,
            Self::CritiqueReveal => Window::CritiqueReveal,
            Self::DecideSeal => Window::DecideSeal,
            Self::DecideReveal => Window::DecideReveal,
            Self::Receipt | Self::Proposal | Self::Prevote | Self::Precommit => Window::Settle,
        }
    }

    /// The stage that the kind seals.
    pub fn seals(self) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| stage.seal() == self)
    }

    /// The stage that the kind reveals.
    pub fn reveals(self) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| stage.reveal() == self)
    }
}

/// Seals of one stage, in ascending order of slots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seals {
    /// `(slot, seal)` pairs.
    #[serde(deserialize_with = "bounded_list::<_, _, { MAX_SLOTS as usize }>")]
    pub seals: Vec<(u16, Digest32)>,
}

/// A group of completions for one question; the first one is the member's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletionGroup {
    /// The completions, in order of their sampling seeds.
    #[serde(deserialize_with = "bounded_list::<_, _, { MAX_GROUP as usize }>")]
    pub completions: Vec<SharedCompletion>,
}

/// What a critic says about the answers to one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Critique {
    /// The text of the answer held to be right, or `None` if none of the revealed answers is.
    pub endorsed: Option<Text>,
    /// Why.
    pub reason: Text,
}

/// A member's final word on one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The final answer.
    pub answer: Text,
    /// The answer that the member expects most members to give.
    pub foreseen: Text,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode;

    #[test]
    fn kinds_and_their_numbers_agree() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_wire(kind as u8), Some(kind));
        }
        assert_eq!((Kind::from_wire(0), Kind::from_wire(12)), (None, None));
        for stage in Stage::ALL {
            assert_eq!(stage.seal().seals(), Some(stage));
            assert_eq!(stage.reveal().reveals(), Some(stage));
            assert_eq!(stage.seal().window().next(), Some(stage.reveal().window()));
        }
    }

    #[test]
    fn golden_bodies() {
        let text = |text: &str| Text::cut(text.into(), 32);
        let bytes = |body: Result<Vec<u8>, crate::codec::CodecError>| body.unwrap();
        let group = CompletionGroup {
            completions: ["ab", ""]
                .map(|text| SharedCompletion::untold(text.into()))
                .to_vec(),
        };
        assert_eq!(bytes(encode(&group)), b"\x02\x02ab\x00\x00\x00\x00\x00");
        let critique = Critique {
            endorsed: Some(text("x")),
            reason: text("r"),
        };
        assert_eq!(bytes(encode(&critique)), b"\x01\x01x\x01r");
        let none = Critique {
            endorsed: None,
            reason: text(""),
        };
        assert_eq!(bytes(encode(&none)), b"\x00\x00");
        let decision = Decision {
            answer: text("4"),
            foreseen: text("5"),
        };
        assert_eq!(bytes(encode(&decision)), b"\x014\x015");
        let seals = Seals {
            seals: vec![(300, [7; 32])],
        };
        assert_eq!(
            bytes(encode(&seals)),
            [&[1, 251, 44, 1][..], &[7; 32]].concat()
        );
    }
}
