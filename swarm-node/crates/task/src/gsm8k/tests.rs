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
        let row = serde_json::json!({
            "question": "How many things are there in box 2?",
            "answer": answer,
        });
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
        told[0]
            .starts_with("line 3: it asks the question of line 2 again and answers 8 instead of 7"),
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
            agree += usize::from(gold.matches(text) == row[model]["is_correct"].as_bool().unwrap());
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
