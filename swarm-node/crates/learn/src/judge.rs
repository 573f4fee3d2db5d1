//! Joins rounds and tasks: a round's opaque question becomes a question of a task family, and
//! answers are judged by it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use swarm_round::{Judge, RoundQuestion};
use swarm_task::{FamilyId, Library, Question, Split, TaskError};

/// Questions remembered before the memory starts afresh: several rounds of a large swarm (a few
/// hundred bytes each).
const REMEMBERED: usize = 8192;

/// Regenerates questions from the seeds of a round. Topic t is the t-th family; all questions are
/// of one split.
#[derive(Debug)]
pub struct TaskJudge {
    library: Library,
    families: Vec<(FamilyId, u8)>,
    split: Split,
    known: RwLock<HashMap<RoundQuestion, Arc<Question>>>,
}

impl TaskJudge {
    /// A judge for these families with their difficulties, by topic. It asks questions that may be
    /// trained on.
    ///
    /// # Panics
    /// There is no family, and so no topic.
    pub fn new(library: Library, families: Vec<(FamilyId, u8)>) -> Self {
        assert!(!families.is_empty(), "a judge needs a task family");
        Self {
            library,
            families,
            split: Split::Train,
            known: RwLock::default(),
        }
    }

    /// The same for rounds that measure: it asks held-out questions only, so nobody may learn from
    /// such a round.
    ///
    /// # Panics
    /// There is no family.
    pub fn held_out(library: Library, families: Vec<(FamilyId, u8)>) -> Self {
        Self {
            split: Split::HeldOut,
            ..Self::new(library, families)
        }
    }

    /// Families and difficulties by topic.
    pub fn families(&self) -> &[(FamilyId, u8)] {
        &self.families
    }

    /// The question of a task family that a round's question stands for. Topics beyond the families
    /// count modulo their number.
    ///
    /// # Errors
    /// The family cannot give a question; see [`TaskError`].
    pub fn question(&self, question: &RoundQuestion) -> Result<Arc<Question>, TaskError> {
        let known = self
            .known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(question)
            .cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let drawn = Arc::new(self.draw(question)?);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(*question, drawn.clone());
        Ok(drawn)
    }

    fn draw(&self, question: &RoundQuestion) -> Result<Question, TaskError> {
        let topic = usize::from(question.topic) % self.families.len();
        let (family, difficulty) = self.families[topic];
        let task = self
            .library
            .task(family, difficulty, self.split, question.seed(), 0)?;
        self.library.question(&task)
    }
}

impl Judge for TaskJudge {
    // A question that its family cannot give, as a row of a dataset that a member lacks, was put to
    // nobody: no answer to it is right.
    fn score(&self, question: &RoundQuestion, answer: &str) -> f32 {
        self.question(question)
            .map_or(0.0, |question| question.score(answer))
    }

    fn normal(&self, question: &RoundQuestion, answer: &str) -> Option<String> {
        self.question(question).ok()?.gold.kind().canonical(answer)
    }
}
