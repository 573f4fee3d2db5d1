//! What a node asks of its model in a round, and what it gets back.

use serde::{Deserialize, Serialize};

use crate::clock::Round;
use crate::codec::{Text, bounded_list};
use crate::completion::SharedCompletion;
use crate::config::{Game, MAX_SLOTS};
use crate::membership::MemberIndex;
use crate::payload::{CompletionGroup, Critique, Decision, Stage};
use crate::question::{RoundQuestion, sampling_seed};
use crate::transcript::{RoundPlan, Transcript, TranscriptKey};

/// Work of one stage for one member.
#[derive(Clone, Debug)]
pub struct StageTask {
    /// The round.
    pub round: Round,
    /// What is to be done with each question.
    pub stage: Stage,
    /// The member that works.
    pub member: MemberIndex,
    /// Completions wanted per question when answering (L); a critique or decision is one text.
    pub group: u8,
    /// Longest text of a completion that may be published, in bytes; longer ones are cut.
    pub text_bytes: u16,
    /// Most tokens of a completion that may be published.
    pub tokens: u16,
    /// The questions, ascending by slot.
    pub asked: Vec<Asked>,
}

/// One question with what the stage shows about it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its slot.
    pub slot: u16,
    /// The question.
    pub question: RoundQuestion,
    /// Seed from which to sample, derived from the beacon.
    pub seed: u64,
    /// First answers of all members that revealed one; empty when answering.
    pub answers: Vec<(MemberIndex, Text)>,
    /// Revealed critiques; empty before the decision.
    pub critiques: Vec<(MemberIndex, Critique)>,
}

impl StageTask {
    /// The member's task in a stage, from what was revealed before it.
    pub fn new(transcript: &Transcript, stage: Stage, member: MemberIndex) -> Self {
        let plan = &transcript.plan;
        let slots = plan.assignment.slots(stage, member);
        let asked = slots
            .into_iter()
            .map(|slot| Asked::new(transcript, stage, member, slot))
            .collect();
        let Game {
            group,
            text_bytes,
            tokens,
            ..
        } = plan.game;
        Self {
            round: plan.round,
            stage,
            member,
            group,
            text_bytes,
            tokens,
            asked,
        }
    }
}

impl Asked {
    fn new(transcript: &Transcript, stage: Stage, member: MemberIndex, slot: u16) -> Self {
        let plan: &RoundPlan = &transcript.plan;
        let seed = sampling_seed(&plan.beacon, stage, slot, &plan.members[member].peer);
        let answers = if stage == Stage::Share {
            Vec::new()
        } else {
            answers(transcript, slot)
        };
        let critiques = if stage == Stage::Decide {
            critiques(transcript, slot)
        } else {
            Vec::new()
        };
        Self {
            slot,
            question: plan.questions[usize::from(slot)],
            seed,
            answers,
            critiques,
        }
    }
}

fn range(slot: u16) -> std::ops::RangeInclusive<TranscriptKey> {
    (slot, 0)..=(slot, MemberIndex::MAX)
}

fn answers(transcript: &Transcript, slot: u16) -> Vec<(MemberIndex, Text)> {
    let first = |group: &CompletionGroup| Some(group.completions.first()?.text.clone());
    transcript
        .shares
        .range(range(slot))
        .filter_map(|((_, member), group)| Some((*member, first(group)?)))
        .collect()
}

fn critiques(transcript: &Transcript, slot: u16) -> Vec<(MemberIndex, Critique)> {
    transcript
        .critiques
        .range(range(slot))
        .map(|((_, member), critique)| (*member, critique.clone()))
        .collect()
}

/// Answers to a task of the share stage: completions per slot, the first one being the answer.
pub type Answers = Vec<(u16, Vec<SharedCompletion>)>;
/// Critiques per slot.
pub type Critiques = Vec<(u16, CritiqueText)>;
/// Decisions per slot.
pub type Decisions = Vec<(u16, DecisionText)>;

/// A critique as the model wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CritiqueText {
    /// The text of the answer held to be right, `None` for "none of them".
    pub endorsed: Option<String>,
    /// Why.
    pub reason: String,
}

/// A decision as the model wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionText {
    /// The final answer.
    pub answer: String,
    /// The answer expected to win.
    pub foreseen: String,
}

/// Finished work of one stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// Of the share stage.
    Answers(#[serde(deserialize_with = "bounded_list::<_, _, { MAX_SLOTS as usize }>")] Answers),
    /// Of the critique stage.
    Critiques(
        #[serde(deserialize_with = "bounded_list::<_, _, { MAX_SLOTS as usize }>")] Critiques,
    ),
    /// Of the decide stage.
    Decisions(
        #[serde(deserialize_with = "bounded_list::<_, _, { MAX_SLOTS as usize }>")] Decisions,
    ),
}

impl Work {
    /// The stage it belongs to.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Answers(_) => Stage::Share,
            Self::Critiques(_) => Stage::Critique,
            Self::Decisions(_) => Stage::Decide,
        }
    }

    /// What of it can be published: cut to the limits of the game, and to the most questions that
    /// there can be.
    pub(super) fn fit(self, game: &Game) -> Self {
        let (slots, max) = (usize::from(MAX_SLOTS), game.text_bytes);
        let cut = |text| Text::cut(text, max).as_str().to_owned();
        match self {
            Self::Answers(list) => Self::Answers(
                list.into_iter()
                    .take(slots)
                    .filter_map(|(slot, texts)| Some((slot, group(texts, game)?.completions)))
                    .collect(),
            ),
            Self::Critiques(list) => Self::Critiques(
                list.into_iter()
                    .take(slots)
                    .map(|(slot, text)| {
                        let CritiqueText { endorsed, reason } = text;
                        let (endorsed, reason) = (endorsed.map(cut), cut(reason));
                        (slot, CritiqueText { endorsed, reason })
                    })
                    .collect(),
            ),
            Self::Decisions(list) => Self::Decisions(
                list.into_iter()
                    .take(slots)
                    .map(|(slot, text)| {
                        let (answer, foreseen) = (cut(text.answer), cut(text.foreseen));
                        (slot, DecisionText { answer, foreseen })
                    })
                    .collect(),
            ),
        }
    }
}

/// Cuts completions to the group's size and the game's limits; `None` if there is none.
pub(super) fn group(completions: Vec<SharedCompletion>, game: &Game) -> Option<CompletionGroup> {
    let kept = completions.into_iter().take(game.group.into());
    let completions: Vec<_> = kept
        .map(|completion| completion.fit(game.text_bytes, game.tokens))
        .collect();
    (!completions.is_empty()).then_some(CompletionGroup { completions })
}

/// Cuts a critique to the game's text length.
pub(super) fn critique(text: CritiqueText, max: u16) -> Critique {
    Critique {
        endorsed: text.endorsed.map(|text| Text::cut(text, max)),
        reason: Text::cut(text.reason, max),
    }
}

/// Cuts a decision to the game's text length.
pub(super) fn decision(text: DecisionText, max: u16) -> Decision {
    Decision {
        answer: Text::cut(text.answer, max),
        foreseen: Text::cut(text.foreseen, max),
    }
}
