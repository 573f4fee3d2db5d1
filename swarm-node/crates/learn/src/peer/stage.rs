//! What a peer reads and writes in the stages of a round.

use swarm_model::generate::Generation;
use swarm_round::{Asked, DecisionText};
use swarm_task::Question;
use swarm_task::prompt::{self, Ballot, Endorsement};

/// Critique stage: the answers handed to the prompt and the prompt itself, to read endorsements by.
pub(super) type Listed = Option<(Vec<String>, prompt::Prompt)>;

/// Completions that a peer wrote for one question in one stage.
pub(super) struct Draft {
    pub(super) prompt: Vec<u32>,
    pub(super) written: Vec<Generation>,
    pub(super) listed: Listed,
}

/// Equal answers of the members whose answers a question shows.
pub(super) fn grouped(question: &Question, asked: &Asked) -> Vec<prompt::AnswerGroup> {
    let texts: Vec<&str> = asked
        .answers
        .iter()
        .map(|(_, text)| text.as_str())
        .collect();
    prompt::group(question.gold.kind(), &texts)
}

/// Distinct answers with the members who gave them and the critics who endorsed them.
pub(super) fn ballots(question: &Question, asked: &Asked) -> Vec<Ballot> {
    let kind = question.gold.kind();
    // A critic may endorse nothing.
    let endorsed: Vec<String> = asked
        .critiques
        .iter()
        .filter_map(|(_, critique)| critique.endorsed.as_ref())
        .map(|text| prompt::key(kind, text.as_str()))
        .collect();
    grouped(question, asked)
        .into_iter()
        .map(|group| Ballot {
            votes: endorsed.iter().filter(|key| **key == group.text).count(),
            members: group.members.len(),
            text: group.text,
        })
        .collect()
}

/// The text that a critic's completion endorses: the listed answer it names, nothing for "none",
/// else what it wrote, which is nobody's answer.
pub(super) fn endorsed(question: &Question, draft: &Draft, completion: &str) -> Option<String> {
    let Some((answers, prompt)) = &draft.listed else {
        return Some(completion.to_owned());
    };
    match prompt::read_endorsement(question.gold.kind(), completion, answers, prompt) {
        Endorsement::Listed(at) => Some(answers[at].clone()),
        Endorsement::NoneRight => None,
        Endorsement::Unreadable => Some(completion.to_owned()),
    }
}

/// What a completion decides; who names no majority foresees its own answer.
pub(super) fn decision(completion: &str) -> DecisionText {
    let read = prompt::read_decision(completion);
    DecisionText {
        foreseen: read.majority.unwrap_or_else(|| read.answer.clone()),
        answer: read.answer,
    }
}
