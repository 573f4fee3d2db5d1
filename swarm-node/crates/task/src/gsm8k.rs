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
use super::family::{FamilyId, Question};
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
        path = path.display(), first = first.as_ref().map(|error| format!(" (first problem: {error})")).unwrap_or_default()
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
        let digest = Sha256::digest(bytes).into();
        let (mut rows, mut rejected, mut repeated) = (Vec::new(), Vec::new(), 0);
        // Where each question stands first, and the number it has there.
        let mut firsts: HashMap<String, (usize, Answer)> = HashMap::new();
        let lines = text_file::without_mark(bytes)
            .unwrap_or(bytes)
            .split(|byte| *byte == b'\n');
        for (at, line) in lines.map(<[u8]>::trim_ascii).enumerate() {
            rows.push(None);
            if line.is_empty() {
                continue;
            }
            let row = match parse_row(line) {
                Ok(row) => row,
                Err(problem) => {
                    rejected.push(RowError {
                        line: at + 1,
                        problem,
                    });
                    continue;
                }
            };
            match firsts.entry(row.prompt.clone()) {
                Entry::Vacant(place) => {
                    place.insert((at, row.gold.clone()));
                    rows[at] = Some(row);
                }
                Entry::Occupied(first) if first.get().1 == row.gold => repeated += 1,
                Entry::Occupied(first) => {
                    let (earlier, other) = first.get();
                    let (number, other) = (row.gold.to_string(), other.to_string());
                    let problem = RowProblem::Contradiction {
                        first: earlier + 1,
                        number,
                        other,
                    };
                    rejected.push(RowError {
                        line: at + 1,
                        problem,
                    });
                    rows[*earlier] = None;
                }
            }
        }
        Loaded {
            dataset: Self { digest, rows },
            rejected,
            repeated,
        }
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
    let text = error.to_string();
    let message = text
        .split(" at line ")
        .next()
        .unwrap_or_default()
        .to_owned();
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
mod tests {
    use std::io::Write;

    use super::*;

    const GOOD: &str = r#####"{"question": "How many?", "answer": "6*7\n#### 1,042"}"#####;

    fn problem(line: &str) -> RowProblem {
        let other = GOOD.replace("How many?", "How many more?");
        let loaded = Dataset::parse(format!("{GOOD}\n{line}\n{other}\n").as_bytes());
        assert_eq!(loaded.dataset.len(), 2, "rows around a bad one are kept");
        assert_eq!(loaded.rejected.len(), 1);
        assert_eq!(loaded.rejected[0].line, 2);
        loaded.rejected[0].problem.clone()
    }

    #[test]
    fn each_bad_row_is_rejected_alone_and_named() {
        assert!(matches!(
            problem("{\"question\": \"x\""),
            RowProblem::Json { column: 16, .. }
        ));
        assert_eq!(
            problem(r#"{"question": "x"}"#),
            RowProblem::Json {
                column: 17,
                message: "missing field `answer`".into()
            }
        );
        assert_eq!(
            problem(r#####"{"question": " ", "answer": "#### 1"}"#####),
            RowProblem::NoQuestion
        );
        assert_eq!(
            problem(r#"{"question": "x", "answer": "42"}"#),
            RowProblem::NoMark
        );
        assert_eq!(
            problem(r#####"{"question": "x", "answer": "#### many"}"#####),
            RowProblem::NotANumber {
                text: "many".into()
            }
        );
        let long = "x".repeat(MAX_LINE_BYTES + 1);
        assert_eq!(
            problem(&long),
            RowProblem::TooLong {
                bytes: MAX_LINE_BYTES + 1
            }
        );
    }

    #[test]
    fn golds_are_read_strictly_from_the_line_of_their_mark() {
        let gold = |answer: &str| {
            let row = serde_json::json!({"question": "How many things are there in box 2?", "answer": answer});
            let loaded = Dataset::parse(row.to_string().as_bytes());
            let row = loaded.dataset.rows.into_iter().flatten().next();
            row.map(|row| row.gold.to_string())
                .ok_or_else(|| loaded.rejected[0].problem.clone())
        };
        assert_eq!(gold("#### 7\nso the answer is 42"), Ok("7".into()));
        assert_eq!(gold("x\n#### $1,080."), Ok("1080".into()));
        assert_eq!(gold("#### -12\r\n"), Ok("-12".into()));
        assert_eq!(gold("#### 7\n#### 8"), Ok("8".into()));
        for text in ["7 or 8", "7 | 8", "seven", "7 apples", "Answer: 7"] {
            assert_eq!(
                gold(&format!("#### {text}")),
                Err(RowProblem::NotANumber { text: text.into() })
            );
        }
    }

    fn row(question: &str, gold: u32) -> String {
        format!("{{\"question\": \"{question}\", \"answer\": \"so\\n#### {gold}\"}}\n")
    }

    #[test]
    fn a_repeated_row_is_one_question() {
        let text =
            row("8 plus one?", 9).repeat(8) + &row(" 8 plus one? ", 9) + &row("12 plus one?", 13);
        let loaded = Dataset::parse(text.as_bytes());
        assert_eq!(
            (loaded.dataset.len(), loaded.repeated, loaded.rejected),
            (2, 8, vec![])
        );
        let tasks = [Split::Train, Split::HeldOut]
            .map(|split| loaded.dataset.tasks(split))
            .concat();
        let mut rows: Vec<u64> = tasks.iter().map(|task| task.index).collect();
        rows.sort_unstable();
        assert_eq!(rows, [0, 9], "rows keep their places");
    }

    #[test]
    fn one_question_with_two_answers_is_refused_with_both_lines() {
        let text =
            row("other?", 1) + &row("how many?", 7) + &row("how many?", 8) + &row("how many?", 7);
        let loaded = Dataset::parse(text.as_bytes());
        assert_eq!(loaded.dataset.len(), 1);
        let told: Vec<String> = loaded.rejected.iter().map(RowError::to_string).collect();
        assert_eq!(told.len(), 1);
        assert!(
            told[0].starts_with(
                "line 3: it asks the question of line 2 again and answers 8 instead of 7"
            ),
            "{told:?}"
        );
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_row() {
        let rows: String = (0..8)
            .map(|n| row(&format!("{n} plus one?"), n + 1))
            .collect();
        let loaded = Dataset::parse(format!("\u{feff}{}", rows.replace('\n', "\r\n")).as_bytes());
        assert_eq!((loaded.dataset.len(), loaded.rejected), (8, vec![]));
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"\xff\xfe{\0}\0").unwrap();
        let refused = Dataset::load(file.path()).unwrap_err().to_string();
        assert!(
            refused.contains("UTF-16") && refused.contains("save it as UTF-8"),
            "{refused}"
        );
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
        assert!(matches!(
            dataset.question(&Task { index: 0, ..task }),
            Err(TaskError::NoRow {
                row: 0,
                rows: 1,
                ..
            })
        ));
        assert!(matches!(
            dataset.question(&Task {
                index: u64::MAX,
                ..task
            }),
            Err(TaskError::NoRow { .. })
        ));
        assert!(matches!(
            dataset.question(&Task { seed: 1, ..task }),
            Err(TaskError::OtherDataset { seed: 1, .. })
        ));
        let other = if task.split == Split::Train {
            Split::HeldOut
        } else {
            Split::Train
        };
        assert!(matches!(
            dataset.question(&Task {
                split: other,
                ..task
            }),
            Err(TaskError::WrongSplit { .. })
        ));
    }

    #[test]
    fn unusable_files_say_why() {
        let missing = Dataset::load(Path::new("no/such/file.jsonl"))
            .unwrap_err()
            .to_string();
        assert!(
            missing.contains("no/such/file.jsonl") && missing.contains("check the path"),
            "{missing}"
        );
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "{{}}").unwrap();
        let empty = Dataset::load(file.path()).unwrap_err().to_string();
        assert!(
            empty.contains("no usable row")
                && empty.contains("line 1: column 2: missing field `question`"),
            "{empty}"
        );
        file.as_file().set_len(MAX_FILE_BYTES + 1).unwrap();
        assert!(matches!(
            Dataset::load(file.path()),
            Err(LoadError::TooLarge { .. })
        ));
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
        assert!(
            (840..1030).contains(&held_out.len()),
            "{} held out",
            held_out.len()
        );
        let first = loaded.dataset.question(&Task {
            index: 0,
            ..loaded.dataset.tasks(Split::Train)[0]
        });
        assert!(first.is_err() || first.unwrap().gold.text() == "72");
    }

    /// Published solutions of four models with flags of theirs: how many answers are read, and how
    /// many flags agree.
    #[test]
    fn published_solutions_are_read_and_judged_as_published() {
        let Some(path) = shared_data("gsm8k/answers-even.jsonl") else {
            eprintln!("skipped: no data (shared/data/gsm8k/answers-even.jsonl)");
            return;
        };
        let (mut solutions, mut read, mut agree) = (0, 0, 0);
        for line in text_file::read(&path, MAX_FILE_BYTES).unwrap().lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let truth = row["ground_truth"].as_str().unwrap();
            let gold = Answer::number(strict_number(truth.rsplit_once("A:").unwrap().1).unwrap());
            for model in [
                "6b_finetuning",
                "6b_verification",
                "175b_finetuning",
                "175b_verification",
            ] {
                let text = row[model]["solution"].as_str().unwrap();
                solutions += 1;
                read += usize::from(gold.kind().canonical(text).is_some());
                agree +=
                    usize::from(gold.matches(text) == row[model]["is_correct"].as_bool().unwrap());
            }
        }
        // Eight solutions were cut off before their answer; one of them ends with a line that is a
        // number.
        assert_eq!((solutions, read, agree), (2640, 2633, 2640));
    }

    /// `shared/data` beside the workspace or beside one of its parents.
    fn shared_data(name: &str) -> Option<PathBuf> {
        let ancestors = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        ancestors
            .map(|folder| folder.join("shared/data").join(name))
            .find(|path| path.exists())
    }
}
