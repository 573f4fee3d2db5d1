//! Averaging jobs of processes on loopback: replicas that meet, one that is killed and comes back,
//! and what one machine computes of their transcripts.

use std::path::Path;

use reproducible_ops::weights::Weights;
use swarm_node::averaging::ledger::Entry;
use swarm_node::averaging::transcript::{self, Kept, TranscriptFile};
use swarm_node::record_file;

use crate::node::{Ended, node};
use crate::peers::Scene;

/// A small job: replicas of nano, so many rounds of two steps. Where nobody is killed, nobody need
/// be left alone on a busy machine either.
fn scene(method: &str, replicas: u32, rounds: u32, patience: u32) -> Scene {
    let spec = spec(method, replicas, rounds);
    let seconds = format!("patience_seconds = {patience}");
    let spec = spec.replace("patience_seconds = 30", &seconds);
    Scene::new("average", &spec)
}

fn spec(method: &str, replicas: u32, rounds: u32) -> String {
    let spec = include_str!("../../../configs/nano/averaging.toml")
        .replace("steps = 60", &format!("steps = {}", 2 * rounds))
        .replace("stride = 10", "stride = 1")
        .replace("inner_steps = 10", "inner_steps = 2")
        .replace("replicas = 4", &format!("replicas = {replicas}"))
        .replace("rows = 8", "rows = 4")
        .replace("warmup = 10", "warmup = 1")
        .replace("decay = 20", "decay = 1");
    match method {
        "noloco" => spec,
        other => spec
            .replace("noloco\"", &format!("{other}\""))
            .replace("momentum = 0.5\npull = 0.7\n", ""),
    }
}

fn replay(scene: &Scene, name: &str, more: &[&str]) -> Ended {
    let folder = scene.text(name);
    node(&[&["average", "replay", &folder, "--json"], more].concat())
}

/// The model of a peer's folder, as `eval` reads it, and as a replay of the folder computes it.
fn assert_replayed(scene: &Scene, name: &str) -> serde_json::Value {
    let weights = scene.text(&format!("{name}.safetensors"));
    let replayed = replay(scene, name, &["--out", &weights]);
    replayed.expect(0, &[]);
    let found = replayed.json();
    assert_eq!(found["verdict"], "right", "{name}: {found}");
    let computed = Weights::load(&weights).unwrap();
    let own = Weights::load(scene.path(name).join("model/model.safetensors")).unwrap();
    assert!(computed.names().eq(own.names()));
    for (name, tensor) in own.iter() {
        assert_eq!(computed.get(name), Some(tensor), "{name}");
    }
    found
}

#[test]
fn replicas_of_processes_meet_and_one_machine_computes_them_again() {
    let scene = scene("diloco", 3, 3, 60);
    let first = scene.start("a");
    let address = scene.address("a");
    let second = scene.join(&address, "b");
    let third = scene.join(&address, "c");
    for peer in [first, second, third] {
        peer.expect_success();
    }
    let mut states = Vec::new();
    for name in ["a", "b", "c"] {
        let found = assert_replayed(&scene, name);
        assert_eq!(
            (&found["rounds"], &found["averaged"]),
            (&9.into(), &9.into())
        );
        // A record, and three contributions in it, of each round of each replica.
        assert_eq!(found["signatures"], 36);
        states.push(found["states"].clone());
    }
    // All have the records of all.
    assert!(states.iter().all(|one| one == &states[0]), "{states:?}");
    // Where all meet, all have one model.
    let model = |name: &str| std::fs::read(scene.path(name).join("model/model.safetensors"));
    assert_eq!(model("a").unwrap(), model("b").unwrap());
    assert_eq!(model("a").unwrap(), model("c").unwrap());
    let model = scene.text("a/model");
    let eval = [
        "eval",
        "--model",
        &model,
        "--families",
        "max",
        "--questions",
        "4",
    ];
    node(&eval).expect(0, &[]);
    // All is done: the same command says so, and the file of another job is refused.
    let job = scene.text("job.toml");
    let folder = scene.text("a");
    let again = node(&["average", "start", &job, "--out", &folder, "--json"]);
    again.expect(0, &[]);
    assert_eq!(again.json()["averaged"], 3);
    let other = spec("diloco", 3, 4);
    std::fs::write(scene.path("other.toml"), other).unwrap();
    let other = scene.text("other.toml");
    let refused = node(&["average", "start", &other, "--out", &folder]);
    refused.expect(2, &["is a folder of the job"]);
    for command in ["status", "replay"] {
        let other = node(&["pipeline", command, &folder]);
        other.expect(2, &["has [averaging]", "swarm-node average"]);
    }
}

/// One is killed in the middle and comes back with its folder; another is killed and stays away.
#[test]
fn a_killed_replica_comes_back_and_the_transcripts_compute_all_of_them() {
    let scene = scene("noloco", 4, 30, 3);
    let first = scene.start("a");
    let address = scene.address("a");
    let b = scene.join(&address, "b");
    scene.wait_for("a", "peers: 2 of 4");
    let c = scene.join(&address, "c");
    scene.wait_for("a", "peers: 3 of 4");
    let d = scene.join(&address, "d");
    scene.wait_for("b", "round 4/30");
    // SIGKILL.
    drop(d);
    scene.wait_for("b", "round 8/30");
    let d = scene.join(&address, "d");
    let running = node(&["average", "status", &scene.text("b")]);
    running.expect(0, &[]);
    assert!(running.out.contains("of 30, running"), "{}", running.out);
    for peer in [first, b, c, d] {
        peer.expect_success();
    }
    let status = node(&["average", "status", &scene.text("d"), "--json"]).json();
    assert_eq!((&status["done"], &status["me"]), (&30.into(), &3.into()));
    let own = &status["replicas"][3];
    assert!(own["missed"].as_u64().unwrap() > 0, "{status}");
    // It met others again.
    let rounds = 30 - own["missed"].as_u64().unwrap();
    let averaged = own["averaged"].as_u64().unwrap();
    assert!(averaged > 6 && averaged < rounds, "{status}");
    let changes = status["changes"].to_string();
    for what in ["replica 3", "alone: ", "came back; it was away in round"] {
        assert!(changes.contains(what), "{what}: {changes}");
    }
    let watched = node(&["average", "status", &scene.text("b"), "--watch"]);
    watched.expect(0, &[]);
    assert!(watched.out.contains("finished"), "{}", watched.out);
    let names = ["a", "b", "c", "d"];
    let found = names.map(|name| assert_replayed(&scene, name));
    assert!(found.iter().all(|one| one["states"] == found[0]["states"]));
    assert_eq!(found[0]["rounds"], 90 + rounds);
    let other = scene.text("other.safetensors");
    replay(&scene, "b", &["--out", &other, "--replica", "0"]).expect(0, &[]);
    let model = std::fs::read(scene.path("a").join("model/model.safetensors")).unwrap();
    assert_eq!(std::fs::read(&other).unwrap(), model);
    replay(&scene, "b", &["--out", &other, "--replica", "4"]).expect(2, &["0 to 3"]);

    // One bit of a state that a replica signed; and records that are not there.
    let folder = scene.path("c");
    rewrite(&folder, |kept| {
        let rounds = kept.iter_mut().rev();
        let mut rounds = rounds.filter_map(|one| match one {
            Kept::Told {
                entry: Entry::Round { completed, .. },
                ..
            } => Some(completed),
            _ => None,
        });
        rounds.next().unwrap().state.0[0] ^= 1;
    });
    replay(&scene, "c", &[]).expect(6, &["a signature of replica"]);
    rewrite(&scene.path("b"), |kept| {
        let mut rounds = 0;
        kept.retain(|one| {
            let is_first = matches!(one, Kept::Told { of, .. } if of.0 == 0);
            rounds += usize::from(is_first);
            !is_first || rounds < 10
        });
    });
    replay(&scene, "b", &[]).expect(7, &["replica 0 contributed"]);
}

/// Changes what stands in a folder's transcript.
fn rewrite(folder: &Path, change: impl Fn(&mut Vec<Kept>)) {
    let path = folder.join(transcript::TRANSCRIPT);
    let mut kept: Vec<Kept> = record_file::read(&path).unwrap();
    change(&mut kept);
    std::fs::remove_file(&path).unwrap();
    let mut file = TranscriptFile::open(folder).unwrap();
    for one in &kept {
        file.append(one).unwrap();
    }
}

#[test]
fn what_is_no_averaging_job_is_told() {
    let scene = scene("noloco", 3, 3, 3);
    let job = scene.text("job.toml");
    let good = std::fs::read_to_string(scene.path("job.toml")).unwrap();
    let start = |text: &str| {
        std::fs::write(scene.path("bad.toml"), text).unwrap();
        let (bad, x) = (scene.text("bad.toml"), scene.text("x"));
        node(&["average", "start", &bad, "--out", &x, "--loopback"])
    };
    let pipeline = include_str!("../../../configs/nano/pipeline.toml");
    start(pipeline).expect(2, &["it has [pipeline]", "swarm-node pipeline"]);
    let alone = include_str!("../../../configs/nano/job.toml");
    start(alone).expect(2, &["no [averaging]", "averaging.toml"]);
    start(&good.replace("inner_steps = 2", "inner_steps = 4"))
        .expect(2, &["averaging.inner_steps"]);
    start(&good.replace("noloco", "fedavg")).expect(2, &["bad.toml:", "unknown variant"]);
    start(&good.replace("replicas = 3", "replicas = 1")).expect(2, &["averaging.replicas"]);
    let nowhere = ["average", "join", "nowhere", "--out", "x"];
    node(&nowhere).expect(2, &["is no address", "/ip4/"]);
    let empty = scene.text("empty");
    node(&["average", "replay", &empty]).expect(2, &["has no charter"]);
    node(&["average", "status", &empty]).expect(2, &["has no charter"]);
    let plan = node(&["average", "plan", &job, "--json"]);
    plan.expect(0, &[]);
    let plan = plan.json();
    assert_eq!((&plan["rounds"], &plan["replicas"]), (&3.into(), &3.into()));
    // In each round one of three is alone, and sends nothing.
    let contribution = plan["contribution_bytes"].as_u64().unwrap();
    assert_eq!(plan["round_bytes"], contribution * 2 / 3);
}
