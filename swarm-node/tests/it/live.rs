//! Demos whose peers are processes.

use std::path::Path;
use std::process::Command;

use crate::devchain::{self, DevChain};
use crate::node::{Ended, command, node_with};
use crate::signals::Running;

/// The smallest demo of processes.
fn demo(folder: &Path, extra: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut demo = command(&["demo", "--json"], environment);
    demo.args(extra);
    let settings = [
        "demo.epoch=2",
        "demo.questions=2",
        "demo.common=1",
        "demo.heldout=1",
        "demo.samples=1",
        "demo.council=0",
        "demo.controls=0",
        "demo.measure_every=2",
        "demo.families=count,max",
        "learn.group=4",
        "learn.stage_samples=2",
        "chain.poll_ms=100",
    ];
    for setting in settings {
        demo.args(["--set", setting]);
    }
    demo.arg("--set")
        .arg(format!("demo.run={}", folder.join("runs").display()));
    demo
}

#[test]
fn peers_in_processes_agree_learn_and_are_paid() {
    let folder = tempfile::tempdir().unwrap();
    let extra = ["--peers", "3", "--rounds", "4"];
    let ended = Ended::from(demo(folder.path(), &extra, &[]).output().unwrap());
    ended.expect(0, &["round 1: decided everywhere"]);
    let summary = ended.json();
    assert_eq!(summary["rounds_decided"], 4, "{summary}");
    assert_eq!(summary["settled"], true, "{summary}");
    assert_eq!(summary["claimed"], summary["earned"], "{summary}");
    let scores = summary["scores"].as_array().unwrap();
    assert_eq!(scores.len(), 3);
    assert!(scores.iter().any(|points| points.as_u64() > Some(0)));
    let swarm = &summary["arms"][0];
    let curve = swarm["curve"].as_array().unwrap();
    let rounds: Vec<_> = curve.iter().map(|point| point["round"].as_u64()).collect();
    assert_eq!(rounds, [Some(2), Some(4)], "{summary}");
    let digests = summary["model_digests"].as_array().unwrap();
    assert!(digests.len() == 3 && digests[0] != digests[1], "{summary}");
    let cheat = &summary["cheat"];
    assert_eq!(cheat["state"], "refuted", "{summary}");
    assert!(cheat["largest_call_gas"].as_u64() < Some(2_000_000));
}

/// What a demo of processes leaves when it is stopped is each node's whole folder: the rest is
/// settled from it.
#[test]
fn a_demo_of_processes_that_is_stopped_leaves_rewards_that_can_be_settled() {
    let folder = tempfile::tempdir().unwrap();
    let chain = DevChain::start(&folder.path().join("chain"));
    let secret = devchain::secret();
    let environment = [("SWARM_NODE_WALLET_SECRET", secret.as_str())];
    let url = chain.url();
    let extra = ["--peers", "2", "--rounds", "60", "--chain", &url];
    let mut running = Running::start(&mut demo(folder.path(), &extra, &environment));
    running.wait_for("swarm 4/60");
    running.send("TERM");
    let ended = running.end();
    let runs = std::fs::read_dir(folder.path().join("runs")).unwrap();
    let run = runs.map(|run| run.unwrap().path()).next().unwrap();
    let run = run.to_str().unwrap();
    let later = format!("later: swarm-node settle {run}");
    ended.expect(143, &["stopped by SIGTERM", &later]);
    let settle = ["settle", run, "--json", "--set", "chain.poll_ms=20"];
    let settled = node_with(&settle, &environment);
    settled.expect(0, &[]);
    let summary = settled.json();
    assert_eq!(summary["settled"], true, "{summary}");
    assert_eq!(summary["claimed"], summary["earned"], "{summary}");
    assert!(summary["epochs_final"].as_u64() > Some(0), "{summary}");
}
