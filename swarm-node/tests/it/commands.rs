//! Commands do what they say, on tiny inputs.

use std::path::Path;

use reproducible_ops::engine::cpu::InstructionSet;
use swarm_node::job::{Model, Silent};

use crate::node::{Ended, node, node_with, untrained};

#[test]
fn config_show_tells_where_every_value_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    std::fs::write(&file, "[demo]\nrounds = 3\npeers = 5\nseed = 1\n").unwrap();
    let arguments = [
        "config",
        "show",
        "--origin",
        "--config",
        file.to_str().unwrap(),
        "--set",
        "demo.seed=9",
    ];
    let ended = node_with(&arguments, &[("SWARM_NODE_DEMO_PEERS", "6")]);
    ended.expect(0, &[]);
    let line = |name: &str| {
        let found = ended.out.lines().find(|line| line.starts_with(name));
        found
            .unwrap_or_else(|| panic!("no {name} in {}", ended.out))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert!(
        line("rounds").ends_with("mine.toml:2") && line("rounds").starts_with("rounds = 3 #"),
        "{}",
        line("rounds")
    );
    assert_eq!(
        line("peers"),
        "peers = 6 # environment SWARM_NODE_DEMO_PEERS"
    );
    assert_eq!(line("seed"), "seed = 9 # flag --set");
    assert_eq!(line("group"), "group = 8 # default");
}

#[test]
fn what_config_show_prints_is_a_settings_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.toml");
    std::fs::write(
        &file,
        node(&["config", "show", "--set", "demo.seed=77"]).out,
    )
    .unwrap();
    let shown = node(&[
        "config",
        "show",
        "--config",
        file.to_str().unwrap(),
        "--json",
    ])
    .json();
    assert_eq!(shown["demo.seed"]["value"], 77);
    let origins = shown
        .as_object()
        .unwrap()
        .values()
        .map(|entry| entry["origin"].as_str().unwrap());
    assert!(
        origins
            .into_iter()
            .all(|origin| origin.contains("all.toml:")),
        "{shown}"
    );
}

/// A model that has learned to write one digit: right now and then, so that groups tell completions
/// apart.
fn primed(folder: &Path) -> std::path::PathBuf {
    let out = folder.join("primed");
    let edits = [
        ("steps", "60"),
        ("decay", "0"),
        ("warmup", "10"),
        ("checkpoint_every", "60"),
        ("answers", "32"),
    ];
    let recipe = edited_recipe(folder, &edits);
    let arguments = [
        "pretrain",
        "--recipe",
        recipe.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    node(&arguments).expect(0, &[]);
    out.join("model.safetensors")
}

/// The smallest demo in which all stages happen.
fn demo(base: &Path, extra: &[&str]) -> Ended {
    let base = base.to_str().unwrap();
    let mut arguments = vec![
        "demo",
        "--simulate",
        "--json",
        "--base",
        base,
        "--peers",
        "2",
        "--rounds",
        "1",
    ];
    let settings = [
        "demo.questions=4",
        "demo.common=1",
        "demo.controls=1",
        "demo.generalist=2",
        "demo.heldout=3",
        "demo.samples=1",
        "demo.council=2",
        "demo.cheat=false",
        "demo.families=count,max",
        "learn.group=8",
        "learn.stage_samples=2",
        "learn.max_new=8",
    ];
    for setting in settings {
        arguments.extend(["--set", setting]);
    }
    arguments.extend(extra);
    let ended = node(&arguments);
    ended.expect(0, &[]);
    ended
}

/// The fastest instruction set but one: another path than the default wherever there is one.
fn other_path() -> String {
    let paths = InstructionSet::available();
    paths
        .iter()
        .rev()
        .nth(1)
        .or(paths.first())
        .unwrap()
        .to_string()
}

#[test]
fn a_demo_has_the_same_digests_on_any_threads_and_path() {
    let folder = tempfile::tempdir().unwrap();
    let base = primed(folder.path());
    let one = demo(&base, &["--threads", "1"]);
    let summary = one.json();
    let start = Model::load(Some(&base), &Silent).unwrap().weights.digest();
    let start: String = start.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(
        summary["model_digests"]
            .as_array()
            .unwrap()
            .iter()
            .all(|digest| *digest != start.as_str()),
        "nobody learned"
    );
    assert_eq!(
        (summary["peers"].as_u64(), summary["rounds"].as_u64()),
        (Some(2), Some(1))
    );
    assert_eq!(summary["model_digests"].as_array().unwrap().len(), 2);
    for key in [
        "heldout_before",
        "heldout_after",
        "sampled_before",
        "sampled_after",
        "seconds",
    ] {
        assert!(summary[key].is_number(), "{key} in {summary}");
    }
    // Two stages of two samples for each common question, beside eight answers to every question.
    let arms: Vec<_> = summary["arms"].as_array().unwrap().iter().collect();
    let generated = arms.iter().map(|arm| {
        (
            arm["arm"].as_str().unwrap(),
            arm["completions"].as_u64().unwrap(),
        )
    });
    let one = 5 * 8 + 2 * 2;
    let expected = [
        ("alone_own_family", one),
        ("alone_all_families", one),
        ("swarm", one),
        ("lone_generalist", 2 * one),
    ];
    assert_eq!(generated.collect::<Vec<_>>(), expected);
    for arm in arms {
        assert!(
            arm["heldout_error"].is_number() && arm["curve"].as_array().unwrap().len() == 1,
            "{arm}"
        );
    }
    let settled = |summary: &serde_json::Value| {
        let mut summary = summary.clone();
        summary["seconds"] = 0.into();
        summary
    };
    let path = other_path();
    for extra in [["--threads", "3"], ["--isa", &path]] {
        assert_eq!(
            settled(&demo(&base, &extra).json()),
            settled(&summary),
            "{extra:?}"
        );
    }
    assert_ne!(
        settled(&demo(&base, &["--seed", "2"]).json())["transcript_digest"],
        summary["transcript_digest"]
    );
}

/// The shipped recipe with few critiques and decisions, and these values.
pub fn edited_recipe(folder: &Path, edits: &[(&str, &str)]) -> std::path::PathBuf {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/nano/recipe.toml");
    let text = std::fs::read_to_string(shipped).unwrap();
    let few = [("critiques", "1"), ("decisions", "1")];
    let edit = |line: &str| {
        let name = line.split_once(" = ").map_or("", |(name, _)| name);
        let found = edits.iter().chain(&few).find(|(edited, _)| *edited == name);
        found.map_or(line.to_owned(), |(name, value)| format!("{name} = {value}"))
    };
    let path = folder.join("edited.toml");
    std::fs::write(&path, text.lines().map(edit).collect::<Vec<_>>().join("\n")).unwrap();
    path
}

#[test]
fn pretraining_repeats_and_resumes_to_the_same_digest() {
    let folder = tempfile::tempdir().unwrap();
    let edits = [
        ("steps", "4"),
        ("decay", "2"),
        ("checkpoint_every", "2"),
        ("answers", "4"),
    ];
    let recipe = edited_recipe(folder.path(), &edits);
    let out = folder.path().join("run");
    let pretrain = || {
        let arguments = [
            "pretrain",
            "--json",
            "--recipe",
            recipe.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
        ];
        let ended = node(&arguments);
        ended.expect(0, &[]);
        ended.json()
    };
    let first = pretrain();
    assert_eq!(
        (
            first["steps"].as_u64(),
            first["sha256"].as_str().map(str::len)
        ),
        (Some(4), Some(64))
    );
    std::fs::remove_dir_all(out.join("step-00000004")).unwrap();
    assert_eq!(pretrain(), first);
    let measured = node(&[
        "eval",
        "--model",
        out.to_str().unwrap(),
        "--questions",
        "2",
        "--samples",
        "1",
        "--json",
    ]);
    measured.expect(0, &[]);
    assert_eq!(measured.json()["questions"], 2);
}

#[test]
fn training_alone_resumes_to_the_same_digest() {
    let folder = tempfile::tempdir().unwrap();
    let base = untrained(folder.path());
    let train = |out: &str, steps: &str, extra: &[&str]| {
        let out = folder.path().join(out);
        let mut arguments = vec![
            "train",
            "--json",
            "--model",
            base.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
        ];
        arguments.extend([
            "--steps",
            steps,
            "--set",
            "train.questions=2",
            "--set",
            "train.heldout=2",
        ]);
        arguments.extend([
            "--set",
            "learn.max_new=4",
            "--set",
            "learn.group=4",
            "--set",
            "train.checkpoint_every=1",
        ]);
        arguments.extend(extra);
        node(&arguments)
    };
    let whole = train("whole", "2", &[]);
    whole.expect(0, &[]);
    train("parts", "1", &[]).expect(0, &[]);
    train("parts", "2", &[]).expect(2, &["--resume"]);
    let resumed = train("parts", "2", &["--resume"]);
    resumed.expect(0, &[]);
    for key in ["steps", "digest", "heldout"] {
        assert_eq!(resumed.json()[key], whole.json()[key], "{key}");
    }
}
