//! GSM8K from a local JSONL file: `{"question": "…", "answer": "… #### 42"}` per line.
//!
//! A dataset is addressed by the SHA-256 of its file and by row. Rows keep their line's place, so a rejected row leaves
//! a hole and every other address stays what it was. Bad rows are reported one by one and never stop the others.
//! Limits: [`MAX_FILE_BYTES`], [`MAX_LINE_BYTES`].

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::answer::{Answer, Kind};
use super::family::{FamilyId, Question};
use super::number::Number;
use super::split::Split;
use super::{Task, TaskError};

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
    #[error("cannot read dataset {path}: {source}; check the path and its permissions", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is over the limit.
    #[error("dataset {path} has more than {MAX_FILE_BYTES} bytes; split it into smaller files", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// No line could be used.
    #[error("dataset {path} has no usable row{first}; each line must be {{\"question\": \"…\", \"answer\": \"… #### 42\"}}", path = path.display(), first = first.as_ref().map(|error| format!(" (first problem: {error})")).unwrap_or_default())]
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
        let bytes = read_bounded(path)?;
        let loaded = Self::parse(&bytes);
        if loaded.dataset.is_empty() {
            return Err(LoadError::Empty { path: path.to_owned(), first: loaded.rejected.into_iter().next() });
        }
        Ok(loaded)
    }

    /// Reads the bytes of a file; blank lines are neither rows nor errors.
    pub fn parse(bytes: &[u8]) -> Loaded {
        let (mut rows, mut rejected) = (Vec::new(), Vec::new());
        for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            rows.push(match line.trim_ascii() {
                [] => None,
                line => parse_row(line).map_err(|problem| rejected.push(RowError { line: at + 1, problem })).ok(),
            });
        }
        Loaded { dataset: Self { digest: Sha256::digest(bytes).into(), rows }, rejected }
    }

    /// SHA-256 of the file.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The seed by which tasks name this dataset: the digest's first eight bytes, big-endian.
    pub fn seed(&self) -> u64 {
        self.digest.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte))
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
            return Err(TaskError::NoDataset { family: task.family, seed });
        }
        let found = usize::try_from(row).ok().and_then(|row| self.rows.get(row)).and_then(Option::as_ref);
        let found = found.ok_or_else(|| TaskError::NoRow { row, seed, rows: self.len() })?;
        if found.split != task.split {
            return Err(TaskError::WrongSplit { row, seed, split: task.split });
        }
        Ok(Question { prompt: found.prompt.clone(), gold: found.gold.clone(), careless: None })
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, LoadError> {
    let failed = |source| LoadError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES { Err(LoadError::TooLarge { path: path.to_owned() }) } else { Ok(bytes) }
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
    Ok(Row { split: Split::of(&prompt), prompt, gold: final_number(&record.answer)? })
}

fn json_problem(error: &serde_json::Error) -> RowProblem {
    // The parser counts each row as its own document, so its "at line 1" would contradict the file's line number.
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or_default().to_owned();
    RowProblem::Json { column: error.column(), message }
}

fn final_number(solution: &str) -> Result<Answer, RowProblem> {
    let text = solution.rsplit_once(MARK).ok_or(RowProblem::NoMark)?.1.trim();
    let number = Kind::Number.canonical(text).and_then(|canonical| Number::parse(&canonical));
    number.map(Answer::number).ok_or_else(|| RowProblem::NotANumber { text: text.chars().take(40).collect() })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const GOOD: &str = r#####"{"question": "How many?", "answer": "6*7\n#### 1,042"}"#####;

    fn problem(line: &str) -> RowProblem {
        let loaded = Dataset::parse(format!("{GOOD}\n{line}\n{GOOD}\n").as_bytes());
        assert_eq!(loaded.dataset.len(), 2, "rows around a bad one are kept");
        assert_eq!(loaded.rejected.len(), 1);
        assert_eq!(loaded.rejected[0].line, 2);
        loaded.rejected[0].problem.clone()
    }

    #[test]
    fn each_bad_row_is_rejected_alone_and_named() {
        assert!(matches!(problem("{\"question\": \"x\""), RowProblem::Json { column: 16, .. }));
        assert_eq!(
            problem(r#"{"question": "x"}"#),
            RowProblem::Json { column: 17, message: "missing field `answer`".into() }
        );
        assert_eq!(problem(r#####"{"question": " ", "answer": "#### 1"}"#####), RowProblem::NoQuestion);
        assert_eq!(problem(r#"{"question": "x", "answer": "42"}"#), RowProblem::NoMark);
        assert_eq!(
            problem(r#####"{"question": "x", "answer": "#### many"}"#####),
            RowProblem::NotANumber { text: "many".into() }
        );
        let long = "x".repeat(MAX_LINE_BYTES + 1);
        assert_eq!(problem(&long), RowProblem::TooLong { bytes: MAX_LINE_BYTES + 1 });
    }

    #[test]
    fn bytes_that_are_no_text_are_one_bad_row() {
        let loaded = Dataset::parse(&[GOOD.as_bytes(), b"\n\xff\xfe\n\n"].concat());
        assert_eq!((loaded.dataset.len(), loaded.rejected.len()), (1, 1));
    }

    #[test]
    fn rows_are_addressed_by_content_hash_and_line() {
        let dataset = Dataset::parse(format!("broken\n{GOOD}\n").as_bytes()).dataset;
        let task = Task {
            family: FamilyId::Gsm8k,
            seed: dataset.seed(),
            index: 1,
            difficulty: 0,
            split: Split::of("How many?"),
        };
        assert_eq!(dataset.question(&task).unwrap().gold.text(), "1042");
        assert_eq!(dataset.tasks(task.split), [task]);
        assert!(matches!(dataset.question(&Task { index: 0, ..task }), Err(TaskError::NoRow { row: 0, rows: 1, .. })));
        assert!(matches!(dataset.question(&Task { index: u64::MAX, ..task }), Err(TaskError::NoRow { .. })));
        assert!(matches!(dataset.question(&Task { seed: 1, ..task }), Err(TaskError::NoDataset { seed: 1, .. })));
        let other = if task.split == Split::Train { Split::HeldOut } else { Split::Train };
        assert!(matches!(dataset.question(&Task { split: other, ..task }), Err(TaskError::WrongSplit { .. })));
    }

    #[test]
    fn unusable_files_say_why() {
        let missing = Dataset::load(Path::new("no/such/file.jsonl")).unwrap_err().to_string();
        assert!(missing.contains("no/such/file.jsonl") && missing.contains("check the path"), "{missing}");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "{{}}").unwrap();
        let empty = Dataset::load(file.path()).unwrap_err().to_string();
        assert!(
            empty.contains("no usable row") && empty.contains("line 1: column 2: missing field `question`"),
            "{empty}"
        );
        file.as_file().set_len(MAX_FILE_BYTES + 1).unwrap();
        assert!(matches!(Dataset::load(file.path()), Err(LoadError::TooLarge { .. })));
    }

    #[test]
    fn published_training_set_loads_whole() {
        let Some(path) = shared_data("gsm8k/train.jsonl") else {
            eprintln!("skipped: no data (shared/data/gsm8k/train.jsonl)");
            return;
        };
        let loaded = Dataset::load(&path).unwrap();
        assert_eq!(loaded.rejected, []);
        assert_eq!(loaded.dataset.len(), 7473);
        let held_out = loaded.dataset.tasks(Split::HeldOut);
        assert!((840..1030).contains(&held_out.len()), "{} held out", held_out.len());
        let first = loaded.dataset.question(&Task { index: 0, ..loaded.dataset.tasks(Split::Train)[0] });
        assert!(first.is_err() || first.unwrap().gold.text() == "72");
    }

    /// `shared/data` beside the workspace or beside one of its parents.
    fn shared_data(name: &str) -> Option<PathBuf> {
        let ancestors = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        ancestors.map(|folder| folder.join("shared/data").join(name)).find(|path| path.exists())
    }
}
