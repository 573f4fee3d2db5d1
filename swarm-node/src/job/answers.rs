//! What a job of generation has answered, as text: a file with a JSON object in each line.
//!
//! ```text
//! {"prompt":"sort 38152=","sample":0,"answer":"12358","ended":true,"tokens":[…]}
//! ```
//! Answers stand in the order of the prompts, and of the samples of each. One that is not there yet
//! has no line.

use std::io;
use std::path::Path;

use reproducible_ops::tensor::Tensor;
use serde::Serialize;
use swarm_files::whole::{Access, Reserved};
use swarm_model::Tokenizer;

use super::assembled::{Generation, Job, Work};
use super::spec::{JobError, at};

/// The file of the answers in a job's folder.
pub const ANSWERS: &str = "answers.jsonl";

/// A line of the file.
#[derive(Serialize)]
struct Line<'a> {
    prompt: &'a str,
    sample: u32,
    answer: String,
    /// Whether it ended by itself.
    ended: bool,
    tokens: &'a [u32],
}

impl Generation {
    /// The answers in a state, in the form of the file, and how many there are.
    ///
    /// # Errors
    /// A token has no text.
    pub fn texts(
        &self,
        tokenizer: &Tokenizer,
        state: &[Tensor],
    ) -> Result<(String, usize), JobError> {
        let answers = self.plan.answers(state);
        let (mut text, mut count) = (String::new(), 0);
        let asked = self
            .prompts
            .iter()
            .flat_map(|prompt| (0..self.samples).map(move |sample| (prompt, sample)));
        for ((prompt, sample), tokens) in asked.zip(&answers) {
            let Some(last) = tokens.last() else {
                continue;
            };
            let answer = tokenizer.decode(tokens);
            let line = Line {
                prompt,
                sample,
                answer: answer.map_err(|source| at(format!("answer {count}"), source))?,
                ended: tokenizer.ends().contains(last),
                tokens,
            };
            text += &serde_json::to_string(&line).map_err(|error| {
                let source = io::Error::other(error);
                let path = ANSWERS.into();
                JobError::Write { path, source }
            })?;
            text.push('\n');
            count += 1;
        }
        Ok((text, count))
    }
}

impl Job {
    /// Writes the answers in a state into a folder, where the job generates: how many there are.
    ///
    /// # Errors
    /// The system refuses, or a token has no text.
    pub fn write_answers(
        &self,
        state: &[Tensor],
        folder: &Path,
    ) -> Result<Option<usize>, JobError> {
        let Work::Generation(generation) = &self.work else {
            return Ok(None);
        };
        let (text, count) = generation.texts(&self.model.tokenizer, state)?;
        let path = folder.join(ANSWERS);
        let written = Reserved::new(&path, Access::Umask, text.len())
            .and_then(|place| place.replace(text.as_bytes()));
        written.map_err(|source| JobError::Write { path, source })?;
        Ok(Some(count))
    }
}
