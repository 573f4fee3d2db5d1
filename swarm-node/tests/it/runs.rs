//! Training runs on disk: nothing is lost, whatever happens to the process or the folder.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::node::{Ended, node, start};

/// Arguments of a small unstable run from the shipped base; the guard rolls it back more than once.
fn arguments(out: &Path) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "train",
        "--seed",
        "1",
        "--json",
        "--out",
        out.to_str().unwrap(),
    ]
    .map(Into::into)
    .into();
    let settings = [
        "train.steps=12",
        "train.families=max,count",
        "train.questions=4",
        "train.heldout=2",
        "train.measure_every=0",
        "train.checkpoint_every=1",
        "train.keep=2",
        "learn.group=4",
        "learn.guard_window=8",
        "learn.guard_drop=0.02",
        "learn.warmup=0",
        "learn.learning_rate=0.01",
    ];
    arguments.extend(
        settings
            .iter()
            .flat_map(|setting| ["--set".to_owned(), (*setting).to_owned()]),
    );
    arguments
}

fn train(out: &Path, extra: &[&str]) -> Ended {
    let arguments = arguments(out);
    node(
        &arguments
            .iter()
            .map(String::as_str)
            .chain(extra.iter().copied())
            .collect::<Vec<_>>(),
    )
}

fn start_train(out: &Path, extra: &[&str]) -> Child {
    let arguments = arguments(out);
    start(
        &arguments
            .iter()
            .map(String::as_str)
            .chain(extra.iter().copied())
            .collect::<Vec<_>>(),
        &[],
    )
}

fn checkpoints(out: &Path) -> Vec<String> {
    let names = std::fs::read_dir(out)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("step-")).collect();
    names.sort();
    names
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "{what} never came"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_model_a_run_prints_is_its_newest_checkpoint_and_a_killed_run_goes_on_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let ended = train(&whole, &[]);
    ended.expect(0, &[]);
    let summary = ended.json();
    assert_eq!(checkpoints(&whole), ["step-00000011", "step-00000012"]);
    assert_eq!(
        Path::new(summary["checkpoint"].as_str().unwrap()),
        whole.join("step-00000012")
    );
    let manifest = std::fs::read_to_string(whole.join("step-00000012/manifest.json")).unwrap();
    let digest = format!("\"model_sha256\": {}", summary["digest"]);
    assert!(manifest.contains(&digest), "no {digest} in {manifest}");
    // The eleventh steps of the optimizer are fewer than twelve: it was rolled back.
    let updates = serde_json::from_str::<serde_json::Value>(&manifest).unwrap()["state"]["updates"]
        .as_u64()
        .unwrap();
    assert!(
        updates < 12,
        "the guard never rolled back, so this test shows nothing"
    );

    // Killed without warning at three moments, once while it writes.
    for (resume, steps) in [(&[][..], 2), (&["--resume"], 5), (&["--resume"], 9)] {
        let mut child = start_train(&killed, resume);
        let step = format!("step-{steps:08}");
        wait_for(&step, || {
            killed.join(&step).is_dir() || killed.join(format!("partial-{step}")).is_dir()
        });
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let resumed = train(&killed, &["--resume"]);
    resumed.expect(0, &[]);
    let of = |ended: &Ended| {
        (
            ended.json()["digest"].clone(),
            ended.json()["steps"].clone(),
            ended.json()["heldout"].clone(),
        )
    };
    assert_eq!(of(&resumed), of(&ended));
    assert!(std::fs::read_dir(&killed).unwrap().all(|entry| {
        !entry
            .unwrap()
            .file_name()
            .to_str()
            .unwrap()
            .starts_with("partial-")
    }));
    // A complete run that is asked to go on says the same again.
    assert_eq!(train(&killed, &["--resume"]).json(), resumed.json());
}

#[test]
fn a_second_run_in_the_same_folder_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut first = start_train(&out, &["--set", "train.steps=100000"]);
    wait_for("the first checkpoint", || !checkpoints(&out).is_empty());
    let process = format!("process {}", first.id());
    train(&out, &["--resume"]).expect(1, &["in use by another training run", &process, "--out"]);
    first.kill().unwrap();
    first.wait().unwrap();
    train(&out, &["--resume"]).expect(0, &[]);
}

#[test]
fn another_data_set_or_setting_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let rows = |name: &str, first: usize| {
        let row = |n: usize| {
            format!(
                "{{\"question\": \"max {n} {}=\", \"answer\": \"#### {}\"}}\n",
                n + 1,
                n + 1
            )
        };
        let path = folder.path().join(name);
        std::fs::write(&path, (first..first + 64).map(row).collect::<String>()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (one, other) = (rows("one.jsonl", 0), rows("other.jsonl", 1));
    let out = folder.path().join("run");
    let train = |data: &str, extra: &[&str]| {
        let mut flags = vec![
            "--gsm8k",
            data,
            "--families",
            "gsm8k",
            "--set",
            "train.steps=1",
        ];
        flags.extend(extra);
        train(&out, &flags)
    };
    train(&one, &[]).expect(0, &[]);
    train(&other, &["--resume"]).expect(1, &["`gsm8k_sha256` was", "start in an empty folder"]);
    train(&one, &["--resume", "--set", "learn.learning_rate=0.02"])
        .expect(1, &["`learn.learning_rate` was 0.01"]);
    train(&one, &["--resume"]).expect(0, &[]);
}

#[test]
fn a_resume_of_nothing_and_a_run_without_a_folder_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    train(&out, &["--resume", "--set", "train.steps=1"])
        .expect(0, &["no checkpoint", "begins anew"]);
    train(Path::new(""), &[]).expect(2, &["train.out"]);
}

#[test]
fn eval_of_a_run_passes_over_a_damaged_checkpoint_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    train(&out, &["--set", "train.steps=2"]).expect(0, &[]);
    let model = out.join("step-00000002/model.safetensors");
    let bytes = std::fs::read(&model).unwrap();
    std::fs::write(&model, &bytes[..bytes.len() / 2]).unwrap();
    let eval = |path: &Path| {
        node(&[
            "eval",
            "--model",
            path.to_str().unwrap(),
            "--questions",
            "2",
            "--samples",
            "0",
        ])
    };
    eval(&out).expect(0, &["warning:", "step-00000002", "truncated"]);
    eval(&out.join("step-00000002")).expect(1, &["step-00000002", "truncated"]);
    assert_eq!(
        checkpoints(&out),
        ["step-00000001", "step-00000002"],
        "looking changed the folder"
    );
}
