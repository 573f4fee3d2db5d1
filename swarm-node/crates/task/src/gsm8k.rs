//! GSM8K from a local JSONL file: `{"question": "…", "answer": "… #### 42"}` per line.
//!
//! A dataset is addressed by the SHA-256 of its file and by row. Rows keep their line's place, so a
//! rejected row leaves a hole and every other address stays what it was. Bad rows are reported one
//! by one and never stop the others. A row that repeats an earlier one, question and number, is
//! dropped and counted: one question is asked once. Rows with one question and different numbers
//! are all refused, since nobody can tell which of them is right. Limits: [`MAX_FILE_BYTES`],
//! [`MAX_LINE_BYTES`].

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use swarm_files::text_file::{self, NotText};
use thiserror::Error;

use super::answer::{Answer, strict_number};
use super::family::FamilyId;
use super::question::Question;
use super::split::Split;
use super::task::{Task, TaskError};

/// Largest file that is read, in bytes; the published training set has 4.2 MB.
pub const MAX_FILE_BYTES: u64 = 64 << 20;
/// Longest line that is parsed, in bytes, its end not counted.
pub const MAX_LINE_BYTES: usize = 64 << 10;

/// The mark before a solution's final answer.
const MARK: &str = "####";

/// A loaded file.
#[derive(Clone, Debug)]
pub struct Dataset {
    digest: [u8; 32],
    rows: Vec<Option<Row>>,
}

/// A dataset with what could not be used of its file.
#[derive(Debug)]
pub struct Loaded {
    /// The usable rows.
    pub dataset: Dataset,
    /// The others, in file order.
    pub rejected: Vec<RowError>,
    /// Number of rows that repeat an earlier one and are dropped.
    pub repeated: usize,
}

#[derive(Clone, Debug)]
struct Row {
    prompt: String,
    gold: Answer,
    split: Split,
}

#[derive(Deserialize)]
struct Record {
    question: String,
    answer: String,
}

/// Why a file gave no dataset.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file could not be opened or read.
    #[error(
        "cannot read dataset {path}: {source}; check the path and its permissions",
        path = path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is over the limit.
    #[error(
        "dataset {path} has more than {MAX_FILE_BYTES} bytes; take a part of it",
        path = path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is in another encoding.
    #[error("cannot read dataset {path}: {source}", path = path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Which.
        source: NotText,
    },
    /// No line could be used.
    #[error(
        "dataset {path} has no usable row{first}; each line must be {{\"question\": \"…\", \
         \"answer\": \"… #### 42\"}}",
        path = path.display(),
        first = first_problem(first.as_ref())
    )]
    Empty {
        /// The file.
        path: PathBuf,
        /// The first rejected row, if there was any line.
        first: Option<RowError>,
    },
}

/// One rejected line; the rows around it are kept.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {problem}; correct or remove the line (this row is skipped)")]
pub struct RowError {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: RowProblem,
}

fn first_problem(first: Option<&RowError>) -> String {
    match first {
        Some(error) => format!(" (first problem: {error})"),
        None => String::new(),
    }
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RowProblem {
    /// Over [`MAX_LINE_BYTES`].
    #[error("{bytes} bytes are more than the limit of {MAX_LINE_BYTES}")]
    TooLong {
        /// The line's length.
        bytes: usize,
    },
    /// Not a JSON object with two strings `question` and `answer`.
    #[error("column {column}: {message}")]
    Json {
        /// Column of the problem, from 1.
        column: usize,
        /// The parser's words.
        message: String,
    },
    /// An earlier line has the same question with another number.
    #[error(
        "it asks the question of line {first} again and answers {number} instead of {other}; \
         neither is used"
    )]
    Contradiction {
        /// The earlier line.
        first: usize,
        /// This line's number.
        number: String,
        /// The earlier line's.
        other: String,
    },
    /// The question is blank.
    #[error("the question is empty")]
    NoQuestion,
    /// The solution has no `####`.
    #[error("the answer has no \"#### \" before its final number")]
    NoMark,
    /// What follows `####` is not a number.
    #[error("\"{text}\" after \"####\" is not a number")]
    NotANumber {
        /// The text, cut to 40 characters.
        text: String,
    },
}

impl Dataset {
    /// Reads the file at `path`.
    pub fn load(path: &Path) -> Result<Loaded, LoadError> {
        let bytes =
            text_file::read_bytes(path, MAX_FILE_BYTES).map_err(|source| match source.kind() {
                io::ErrorKind::FileTooLarge => LoadError::TooLarge {
                    path: path.to_owned(),
                },
                _ => LoadError::Io {
                    path: path.to_owned(),
                    source,
                },
            })?;
        text_file::without_mark(&bytes).map_err(|source| LoadError::NotText {
            path: path.to_owned(),
            source,
        })?;
        let loaded = Self::parse(&bytes);
        if loaded.dataset.is_empty() {
            return Err(LoadError::Empty {
                path: path.to_owned(),
                first: loaded.rejected.into_iter().next(),
            });
        }
        Ok(loaded)
    }

    /// Reads the bytes of a file; blank lines are neither rows nor errors.
    pub fn parse(bytes: &[u8]) -> Loaded {
        let mut loaded = Loaded {
            dataset: Self {
                digest: Sha256::digest(bytes).into(),
                rows: Vec::new(),
            },
            rejected: Vec::new(),
            repeated: 0,
        };
        let mut firsts = HashMap::new();
        // Bytes of another encoding are rows like any other, and each is refused by name.
        let lines = text_file::without_mark(bytes)
            .unwrap_or(bytes)
            .split(|byte| *byte == b'\n');
        for (at, line) in lines.map(<[u8]>::trim_ascii).enumerate() {
            loaded.dataset.rows.push(None);
            if line.is_empty() {
                continue;
            }
            if let Err(problem) = loaded.add(at, line, &mut firsts) {
                loaded.rejected.push(RowError {
                    line: at + 1,
                    problem,
                });
            }
        }
        loaded
    }

    /// SHA-256 of the file.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The seed by which tasks name this dataset: the digest's first eight bytes, big-endian.
    pub fn seed(&self) -> u64 {
        self.digest
            .iter()
            .take(8)
            .fold(0, |seed, byte| seed << 8 | u64::from(*byte))
    }

    /// Number of usable rows.
    pub fn len(&self) -> usize {
        self.rows.iter().flatten().count()
    }

    /// True if no row can be used.
    pub fn is_empty(&self) -> bool {
        self.rows.iter().all(Option::is_none)
    }

    /// Every task of `split`, in row order.
    pub fn tasks(&self, split: Split) -> Vec<Task> {
        let rows = self.rows.iter().enumerate();
        let inside = rows.filter(|(_, row)| row.as_ref().is_some_and(|row| row.split == split));
        inside
            .map(|(index, _)| Task {
                family: FamilyId::Gsm8k,
                seed: self.seed(),
                index: index as u64,
                difficulty: 0,
                split,
            })
            .collect()
    }

    /// The question of `task`, if the task is this dataset's and its split is the row's.
    pub fn question(&self, task: &Task) -> Result<Question, TaskError> {
        let (seed, row) = (task.seed, task.index);
        if seed != self.seed() {
            return Err(TaskError::OtherDataset {
                family: task.family,
                seed,
                loaded: self.seed(),
            });
        }
        let found = usize::try_from(row)
            .ok()
            .and_then(|row| self.rows.get(row))
            .and_then(Option::as_ref);
        let found = found.ok_or_else(|| TaskError::NoRow {
            row,
            seed,
            rows: self.len(),
        })?;
        if found.split != task.split {
            return Err(TaskError::WrongSplit {
                row,
                seed,
                split: task.split,
            });
        }
        let Row { prompt, gold, .. } = found;
        Ok(Question {
            prompt: prompt.clone(),
            canonical: prompt.clone(),
            gold: gold.clone(),
            careless: None,
        })
    }
}

/// Where each question stands first, and the number it has there.
type Firsts = HashMap<String, (usize, Answer)>;

impl Loaded {
    /// Reads the line of row `at`, which is the last row so far.
    fn add(&mut self, at: usize, line: &[u8], firsts: &mut Firsts) -> Result<(), RowProblem> {
        let row = parse_row(line)?;
        match firsts.entry(row.prompt.clone()) {
            Entry::Vacant(place) => {
                place.insert((at, row.gold.clone()));
                self.dataset.rows[at] = Some(row);
            }
            Entry::Occupied(first) if first.get().1 == row.gold => self.repeated += 1,
            Entry::Occupied(first) => {
                let (earlier, other) = first.get();
                self.dataset.rows[*earlier] = None;
                return Err(RowProblem::Contradiction {
                    first: earlier + 1,
                    number: row.gold.to_string(),
                    other: other.to_string(),
                });
            }
        }
        Ok(())
    }
}

fn parse_row(line: &[u8]) -> Result<Row, RowProblem> {
    if line.len() > MAX_LINE_BYTES {
        return Err(RowProblem::TooLong { bytes: line.len() });
    }
    let record: Record = serde_json::from_slice(line).map_err(|error| json_problem(&error))?;
    let prompt = record.question.trim().to_owned();
    if prompt.is_empty() {
        return Err(RowProblem::NoQuestion);
    }
    Ok(Row {
        split: Split::of(&prompt),
        prompt,
        gold: final_number(&record.answer)?,
    })
}

fn json_problem(error: &serde_json::Error) -> RowProblem {
    // The parser counts each row as its own document, so its "at line 1" would contradict the
    // file's line number.
    let mut message = error.to_string();
    if let Some(place) = message.find(" at line ") {
        message.truncate(place);
    }
    RowProblem::Json {
        column: error.column(),
        message,
    }
}

/// The number on the line of the last mark: what a writer of the file meant, so nothing is guessed.
fn final_number(solution: &str) -> Result<Answer, RowProblem> {
    let text = solution
        .rsplit_once(MARK)
        .ok_or(RowProblem::NoMark)?
        .1
        .trim();
    let line = text.lines().next().unwrap_or_default().trim();
    let number = strict_number(line);
    number
        .map(Answer::number)
        .ok_or_else(|| RowProblem::NotANumber {
            text: line.chars().take(40).collect(),
        })
}

#[cfg(test)]
mod tests;
