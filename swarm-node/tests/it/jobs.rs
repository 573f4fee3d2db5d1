//! Jobs: their states have the same roots, however often the process is stopped or killed.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::node::{Ended, command, node, start};

/// The shipped job with small batches, few examples, and these values.
pub fn edited(folder: &Path, edits: &[(&str, &str)]) -> PathBuf {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/nano/job.toml");
    let text = std::fs::read_to_string(shipped).unwrap();
    let few = [
        ("rows", "2"),
        ("batches", "1"),
        ("decay", "0"),
        ("warmup", "2"),
    ];
    let edit = |line: &str| {
        let name = line.split_once(" = ").map_or("", |(name, _)| name);
        let found = edits.iter().chain(&few).find(|(edited, _)| *edited == name);
        found.map_or(line.to_owned(), |(name, value)| format!("{name} = {value}"))
    };
    let path = folder.join("job.toml");
    std::fs::write(&path, text.lines().map(edit).collect::<Vec<_>>().join("\n")).unwrap();
    path
}

pub fn run(spec: &Path, out: &Path, extra: &[&str]) -> Ended {
    let mut arguments = vec!["job", "run", spec.to_str().unwrap(), "--json", "--out"];
    arguments.push(out.to_str().unwrap());
    arguments.extend(extra);
    node(&arguments)
}

fn history(out: &Path) -> String {
    std::fs::read_to_string(out.join("history.json")).unwrap()
}

fn wait_for(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "{}",
            path.display()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_killed_job_goes_on_to_the_same_roots_on_any_threads_and_path() {
    let folder = tempfile::tempdir().unwrap();
    let spec = edited(folder.path(), &[("steps", "9"), ("stride", "3")]);
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let ended = run(&spec, &whole, &["--threads", "1"]);
    ended.expect(0, &[]);
    let done = ended.json();
    let roots: serde_json::Value = serde_json::from_str(&history(&whole)).unwrap();
    assert_eq!(roots["roots"].as_array().unwrap().len(), 4);
    assert_eq!(roots["roots"][3], done["root"]);
    assert_eq!(roots["identity"]["job"], done["job"]);

    let arguments = [
        "job",
        "run",
        spec.to_str().unwrap(),
        "--out",
        killed.to_str().unwrap(),
    ];
    for steps in [3, 6] {
        let mut child = start(&arguments, &[]);
        wait_for(&killed.join(format!("step-{steps:08}")));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let resumed = run(&spec, &killed, &["--isa", "scalar", "--threads", "3"]);
    resumed.expect(0, &[]);
    assert_eq!(history(&killed), history(&whole));
    // A job that is done says the same again, and its checkpoints are models.
    assert_eq!(run(&spec, &killed, &[]).json()["root"], done["root"]);
    let model = whole.join("step-00000009");
    let measured = node(&[
        "eval",
        "--model",
        model.to_str().unwrap(),
        "--questions",
        "1",
        "--samples",
        "0",
    ]);
    measured.expect(0, &[]);
}

#[test]
#[cfg(unix)]
fn a_job_that_is_stopped_between_checkpoints_loses_no_step() {
    use crate::signals::Running;

    let folder = tempfile::tempdir().unwrap();
    let spec = edited(folder.path(), &[("steps", "40"), ("stride", "40")]);
    let (parts, whole) = (folder.path().join("parts"), folder.path().join("whole"));
    let mut running = Running::start(
        command(&["job", "run"], &[])
            .arg(&spec)
            .arg("--out")
            .arg(&parts),
    );
    running.wait_for("job 2/40");
    running.send("INT");
    let ended = running.end();
    ended.expect(
        130,
        &[
            "stopped by SIGINT",
            "of 40 is saved in",
            "goes on from there",
        ],
    );
    assert!(ended.out.is_empty(), "{}", ended.out);
    run(&spec, &parts, &[]).expect(0, &[]);
    run(&spec, &whole, &[]).expect(0, &[]);
    assert_eq!(history(&parts), history(&whole));
}

#[test]
fn a_folder_of_another_job_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let spec = edited(folder.path(), &[("steps", "2"), ("stride", "1")]);
    let first = run(&spec, &out, &["--keep", "2"]);
    first.expect(0, &[]);
    let before = history(&out);
    for other in [("seed", "2"), ("learning_rate", "1e-3"), ("steps", "3")] {
        let spec = edited(folder.path(), &[other, ("steps", "2"), ("stride", "1")]);
        let job = first.json()["job"].as_str().unwrap().to_owned();
        run(&spec, &out, &[]).expect(1, &["history.json", &job, "another folder"]);
        assert_eq!(history(&out), before);
    }
}

#[test]
fn a_plan_tells_what_names_the_job_and_what_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let spec = edited(folder.path(), &[("steps", "2"), ("stride", "1")]);
    let planned = node(&["job", "plan", spec.to_str().unwrap(), "--json"]);
    planned.expect(0, &[]);
    let plan = planned.json();
    let done = run(&spec, &folder.path().join("run"), &[]);
    assert_eq!(plan["job"], done.json()["job"]);
    assert_eq!(plan["parameters"], 455_520);
    assert_eq!(plan["positions_per_step"], 2 * 64 * 2);
    // Parameters and two moments, two powers and two counters.
    assert_eq!(plan["state_bytes"], 4 * (3 * 455_520 + 4));
    for key in ["step_seconds", "hash_seconds", "hash_share", "seconds"] {
        assert!(plan[key].as_f64().unwrap() > 0.0, "{key} in {plan}");
    }
    let text = node(&["job", "plan", spec.to_str().unwrap()]);
    assert!(
        text.out.contains(plan["plan"].as_str().unwrap()),
        "{}",
        text.out
    );
}

/// The shipped job of generation with few questions.
pub fn generation() -> String {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/nano");
    let text = std::fs::read_to_string(shipped.join("generation.toml")).unwrap();
    let model = shipped.join("base.safetensors");
    text.replace("base.safetensors", model.to_str().unwrap())
        .replace("questions = 32", "questions = 6")
        .replace("rows = 8", "rows = 2")
        .replace("stride = 2", "stride = 1")
}

/// The answers of a file, as JSON.
pub fn answers(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_job_of_generation_answers_as_a_receipt_of_the_same_seed_does() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (spec, out) = (folder.path().join("job.toml"), folder.path().join("run"));
    std::fs::write(&spec, generation()).unwrap();
    let planned = node(&["job", "plan", spec.to_str().unwrap(), "--json"]);
    planned.expect(0, &[]);
    let plan = planned.json();
    assert_eq!((&plan["answers"], &plan["steps"]), (&6.into(), &3.into()));
    let done = run(&spec, &out, &[]);
    done.expect(0, &[]);
    assert_eq!(done.json()["job"], plan["job"]);
    let found = answers(Path::new(done.json()["answers"].as_str().unwrap()));
    assert_eq!(found.len(), 6);
    let receipt = at("receipt.json");
    let asked = [
        "receipt",
        "make",
        "--family",
        "sort",
        "--questions",
        "6",
        "--max-new",
        "16",
        "--out",
        &receipt,
    ];
    node(&asked).expect(0, &[]);
    let receipt = std::fs::read_to_string(&receipt).unwrap();
    let receipt: serde_json::Value = serde_json::from_str(&receipt).unwrap();
    let expected = &receipt["receipt"]["content"]["evaluation"]["answers"];
    let tokens: Vec<_> = found.iter().map(|line| line["tokens"].clone()).collect();
    assert_eq!(*expected, serde_json::Value::from(tokens));
    assert!(found.iter().any(|line| line["ended"] == true), "{found:?}");
    for line in &found {
        let prompt = line["prompt"].as_str().unwrap();
        assert!(prompt.starts_with("sort"), "{line}");
    }
    // It is audited like any other job, and has no sequences that it would train on.
    let folder = out.to_str().unwrap();
    let audited = node(&["audit", folder, "--step", "1"]);
    audited.expect(0, &[]);
    assert!(audited.out.starts_with("right"), "{}", audited.out);
    let sequence = ["audit", folder, "--step", "1", "--sequence", "0"];
    node(&sequence).expect(2, &["the job generates", "--sequence"]);
    let other = at("other.toml");
    std::fs::write(&other, generation().replace("seed = 1", "seed = 2")).unwrap();
    run(Path::new(&other), &out, &[]).expect(1, &["another folder"]);
}

#[test]
fn what_is_no_job_is_named_before_anything_is_begun() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    run(Path::new("/no/such.toml"), &out, &[]).expect(2, &["/no/such.toml"]);
    let spec = edited(folder.path(), &[("steps", "5"), ("stride", "2")]);
    run(&spec, &out, &[]).expect(2, &["stride", "must divide"]);
    let spec = edited(folder.path(), &[("preset", "\"nanno\"")]);
    run(&spec, &out, &[]).expect(2, &["`nanno`"]);
    assert!(!out.exists());
}
