//! Audits: each piece of a job is right, a change is found where it was made, and evidence is
//! enough.

use std::fs;
use std::path::{Path, PathBuf};

use crate::jobs::{edited, run};
use crate::node::{Ended, node};

const STEP: &str = "3";
/// Of the two gradient runs the one of the second microbatch.
const RUN: &str = "4";

/// A job of six steps with a checkpoint after every second, and a trace of the step between two.
fn traced(folder: &Path) -> PathBuf {
    let spec = edited(folder, &[("steps", "6"), ("stride", "2")]);
    let out = folder.join("run");
    run(&spec, &out, &[]).expect(0, &[]);
    let out_text = out.to_str().unwrap();
    node(&["job", "trace", out_text, "--step", STEP]).expect(0, &[]);
    out
}

fn audit(run: &Path, extra: &[&str]) -> Ended {
    let mut arguments = vec!["audit", run.to_str().unwrap()];
    arguments.extend(extra);
    node(&arguments)
}

/// The code of an audit, whose first line is its verdict.
fn expect(ended: &Ended, code: i32, word: &str) {
    ended.expect(code, &[]);
    assert_eq!(ended.out.lines().next(), Some(word), "{}", ended.out);
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at.min(bytes.len() - 1);
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn every_piece_of_an_honest_job_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let out = traced(folder.path());
    let whole = audit(&out, &["--seed", "5"]);
    expect(&whole, 0, "right");
    assert!(whole.out.contains("by --seed 5"), "{}", whole.out);
    let operator = ["--step", STEP, "--run", RUN, "--operator"];
    for piece in [
        vec!["--step", "0"],
        vec!["--step", "5"],
        vec!["--step", STEP],
        vec!["--step", STEP, "--run", "4"],
        vec!["--step", STEP, "--sequence", "3"],
        [&operator[..], &["loss"]].concat(),
        [&operator[..], &["0"]].concat(),
        [&operator[..], &["300"]].concat(),
        [&operator[..], &["300", "--element", "0"]].concat(),
    ] {
        expect(&audit(&out, &piece), 0, "right");
    }
    let told = audit(&out, &["--step", STEP, "--sequence", "0", "--json"]).json();
    assert_eq!(told["verdict"], "right");
    assert!(told["hashed_bytes"].as_u64().unwrap() > 0, "{told}");
    // No word of the worker about step 2: only the history can be held against it.
    expect(
        &audit(&out, &["--step", "2", "--run", "1"]),
        7,
        "cannot-tell",
    );
    expect(&audit(&out, &["--step", "2"]), 0, "right");
    audit(&out, &["--step", "6"]).expect(2, &["step 6", "6"]);
    audit(&out, &["--step", "2", "--sequence", "4"]).expect(2, &["sequence 4"]);
    audit(
        &out,
        &["--step", STEP, "--run", RUN, "--operator", "nothing"],
    )
    .expect(2, &["nothing"]);
}

#[test]
fn a_changed_checkpoint_history_or_trace_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let out = traced(folder.path());
    let checkpoint = out.join("step-00000004/model.safetensors");
    flip(&checkpoint, 100_000);
    let found = audit(&out, &[]);
    expect(&found, 6, "wrong");
    assert!(
        found.out.contains("the checkpoint after 4"),
        "{}",
        found.out
    );
    // A step after it can still be told, from the checkpoint before.
    expect(&audit(&out, &["--step", "4"]), 0, "right");
    flip(&checkpoint, 100_000);

    // A value of the trace, and nothing else of it.
    let trace = out.join("trace-00000003.roots");
    let bytes = fs::read(&trace).unwrap();
    let line = bytes.iter().position(|&byte| byte == b'\n').unwrap();
    let told: serde_json::Value = serde_json::from_slice(&bytes[..line]).unwrap();
    let count = |value: &serde_json::Value| value.as_u64().unwrap() as usize;
    let before_run: usize = (0..4).map(|run| count(&told["runs"][run])).sum();
    let roots = count(&told["before"]) + count(&told["after"]) + before_run + 300;
    flip(&trace, line + 1 + 32 * roots);
    let operator = ["--step", STEP, "--run", RUN, "--operator", "300"];
    expect(&audit(&out, &operator), 6, "wrong");
    let found = audit(&out, &["--step", STEP, "--run", RUN]);
    expect(&found, 6, "wrong");
    assert!(found.out.contains("value 300"), "{}", found.out);
    // What the sequences come to is not changed by it.
    for sequence in ["1", "2"] {
        expect(
            &audit(&out, &["--step", STEP, "--sequence", sequence]),
            0,
            "right",
        );
    }
    // Nobody has the tensor that has this root: its elements cannot be told.
    let element = [&operator[..], &["--element", "0"]].concat();
    expect(&audit(&out, &element), 7, "cannot-tell");
    fs::write(&trace, &bytes[..bytes.len() / 2]).unwrap();
    audit(&out, &operator).expect(1, &["trace-00000003.roots"]);

    let history = out.join("history.json");
    let roots = fs::read_to_string(&history).unwrap();
    let told: serde_json::Value = serde_json::from_str(&roots).unwrap();
    let [second, third] = [1, 2].map(|at| told["roots"][at].as_str().unwrap());
    fs::write(&history, roots.replace(third, second)).unwrap();
    expect(&audit(&out, &["--step", "2"]), 6, "wrong");
    expect(&audit(&out, &["--step", "1"]), 0, "right");
    fs::remove_file(&history).unwrap();
    expect(&audit(&out, &["--step", "1"]), 7, "cannot-tell");
}

#[test]
fn evidence_is_rechecked_with_no_other_file_and_refused_when_it_was_changed() {
    let folder = tempfile::tempdir().unwrap();
    let out = traced(folder.path());
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("evidence.json");
    let path = file.to_str().unwrap();
    let operator = [
        "--step",
        STEP,
        "--run",
        RUN,
        "--operator",
        "300",
        "--evidence",
        path,
    ];
    let recheck = || node(&["audit", "--recheck", path]);
    expect(&audit(&out, &operator), 0, "right");
    expect(&recheck(), 0, "right");
    // The worker publishes the run's values: no step is computed any more.
    let out_text = out.to_str().unwrap();
    node(&["job", "trace", out_text, "--step", STEP, "--values", RUN]).expect(0, &[]);
    let element = [&operator[..], &["--element", "0"]].concat();
    expect(&audit(&out, &element), 0, "right");
    fs::remove_dir_all(&out).unwrap();
    expect(&recheck(), 0, "right");
    let text = fs::read_to_string(&file).unwrap();
    for at in (0..text.len()).step_by(text.len() / 7) {
        flip(&file, at);
        let ended = recheck();
        ended.expect(1, &["error: "]);
        assert!(ended.out.is_empty(), "{}", ended.out);
        flip(&file, at);
    }
    fs::write(&file, "{}").unwrap();
    recheck().expect(1, &["evidence: missing field"]);
}
