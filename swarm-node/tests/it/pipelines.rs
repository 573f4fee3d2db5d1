//! Pipelines of processes on loopback: as the job of one machine where nothing goes wrong, and as
//! their transcript says where peers are killed.

use std::path::{Path, PathBuf};

use reproducible_ops::weights::Weights;
use skippipe::meeting::Taken;
use skippipe::path::Stage;
use swarm_node::pipeline::transcript::{self, TranscriptFile};

use crate::node::node;
use crate::peers::{PeerProcess, Scene};

/// A small pipeline.
pub fn scene(steps: u32, peers: u32) -> Scene {
    let spec = include_str!("../../../configs/nano/pipeline.toml")
        .replace("steps = 20", &format!("steps = {steps}"))
        .replace("stride = 10", "stride = 1")
        .replace("peers = 4", &format!("peers = {peers}"))
        .replace("rows = 8", "rows = 2")
        .replace("microbatches = 8", "microbatches = 4")
        .replace("warmup = 5", "warmup = 1")
        .replace("decay = 5", "decay = 1");
    Scene::new("pipeline", &spec)
}

#[test]
fn a_pipeline_of_processes_is_the_job_of_one_machine() {
    let scene = scene(3, 2);
    let first = scene.start("a");
    let second = scene.join(&scene.address("a"), "b");
    first.expect_success();
    second.expect_success();
    let whole = scene.text("whole.safetensors");
    let replayed = node(&[
        "pipeline",
        "replay",
        &scene.text("a"),
        "--out",
        &whole,
        "--json",
    ]);
    replayed.expect(0, &[]);
    let found = replayed.json();
    assert_eq!(found["verdict"], "right");
    assert_eq!(found["steps"], 3);
    // Both stated every step, and both have the signatures of both.
    assert_eq!(found["signatures"], 6);
    let other = node(&["pipeline", "replay", &scene.text("b"), "--json"]);
    assert_eq!(other.json()["signatures"], 6);
    // All is done: the same command says so, and a folder of another job is refused.
    let same = [
        "pipeline",
        "start",
        &scene.text("job.toml"),
        "--out",
        &scene.text("a"),
    ];
    node(&same).expect(0, &[]);
    let other = std::fs::read_to_string(scene.path("job.toml")).unwrap();
    std::fs::write(
        scene.path("other.toml"),
        other.replace("seed = 1\nsteps", "seed = 2\nsteps"),
    )
    .unwrap();
    let another = [
        "pipeline",
        "start",
        &scene.text("other.toml"),
        "--out",
        &scene.text("a"),
    ];
    node(&another).expect(2, &["is a folder of the job"]);

    let run = scene.text("alone");
    node(&["job", "run", &scene.text("job.toml"), "--out", &run]).expect(0, &[]);
    let alone = Weights::load(newest(Path::new(&run))).unwrap();
    let whole = Weights::load(&whole).unwrap();
    assert!(whole.names().eq(alone.names()));
    for (name, tensor) in alone.iter() {
        assert_eq!(whole.get(name), Some(tensor), "{name}");
    }
}

/// Weights of the last checkpoint of a run.
fn newest(run: &Path) -> PathBuf {
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(run).unwrap() {
        let weights = entry.unwrap().path().join("model.safetensors");
        found.extend(weights.exists().then_some(weights));
    }
    found.sort();
    found.pop().unwrap()
}

#[test]
fn peers_measure_each_other_and_say_what_a_step_should_take() {
    let scene = scene(2, 3);
    let first = scene.start("a");
    let address = scene.address("a");
    let second = scene.join(&address, "b");
    let third = scene.join(&address, "c");
    for peer in [first, second, third] {
        peer.expect_success();
    }
    for name in ["a", "b", "c"] {
        let log = std::fs::read_to_string(scene.path(&format!("{name}.log"))).unwrap();
        // All three know of all links and of everybody's engine.
        for told in [
            "links: 6 of 6 measured",
            "peer 2 (stage 0): forward",
            "predicted ",
        ] {
            assert!(log.contains(told), "{name} does not say `{told}`:\n{log}");
        }
        assert!(
            !log.contains("assumed") && !log.contains("estimated"),
            "{log}"
        );
    }
    // Who leads plans, and says what steps should take.
    scene.wait_for("a", "a step should take");
    let known = scene.path("c").join("measured.json").display().to_string();
    let job = scene.text("job.toml");
    let plan = node(&["pipeline", "plan", &job, "--network", &known, "--json"]);
    plan.expect(0, &[]);
    let expected = &plan.json()["expected"];
    assert!(expected["seconds"].as_f64().unwrap() > 0.0, "{expected}");
    assert!(expected["bottleneck"].is_array(), "{expected}");
    let plan = ["pipeline", "plan", &job, "--network", &job];
    node(&plan).expect(2, &["has no measurements"]);
}

#[test]
fn killed_peers_are_gone_around_and_come_back() {
    let scene = scene(14, 4);
    let first = scene.start("a");
    let address = scene.address("a");
    // One after the other, so that a and c hold the embedding, b and d the layers.
    let b = scene.join(&address, "b");
    scene.wait_for("a", "peers: 2 of 4");
    let c = scene.join(&address, "c");
    scene.wait_for("a", "peers: 3 of 4");
    let d = scene.join(&address, "d");
    scene.wait_for("b", "step 2/14");
    // SIGKILL to one that holds layers; then to the leader.
    drop(d);
    scene.wait_for("b", "step 4/14");
    let d = scene.join(&address, "d");
    scene.wait_for("b", "step 6/14");
    drop(first);
    scene.wait_for("b", "step 8/14");
    let first = scene.start("a");
    let running = node(&["pipeline", "status", &scene.text("b")]);
    running.expect(0, &[]);
    assert!(running.out.contains("of 14, running"), "{}", running.out);
    for peer in [first, b, c, d] {
        peer.expect_success();
    }
    let status = node(&["pipeline", "status", &scene.text("b"), "--json"]).json();
    assert_eq!(
        (&status["done"], &status["is_running"]),
        (&14.into(), &false.into())
    );
    // Whoever was killed is said to have gone, and to have come back.
    let changes = status["changes"].to_string();
    for what in ["does not hold stage", "took up stage", "copied"] {
        assert!(changes.contains(what), "{what}: {changes}");
    }
    let watched = node(&["pipeline", "status", &scene.text("b"), "--watch"]);
    watched.expect(0, &[]);
    assert!(watched.out.contains("finished"), "{}", watched.out);
    for name in ["b", "c"] {
        let replayed = node(&["pipeline", "replay", &scene.text(name), "--json"]);
        replayed.expect(0, &[]);
        assert_eq!(replayed.json()["steps"], 14, "{name}");
        assert_eq!(replayed.json()["verdict"], "right", "{name}");
    }

    // One bit of what a peer is said to have made.
    let mut entries = transcript::read(&scene.path("b")).unwrap();
    entries[7].record.passages[0].visits[1].output.0[0] ^= 1;
    std::fs::remove_file(scene.path("b").join(transcript::TRANSCRIPT)).unwrap();
    let mut file = TranscriptFile::open(&scene.path("b")).unwrap();
    for entry in &entries {
        file.append(entry).unwrap();
    }
    let changed = node(&["pipeline", "replay", &scene.text("b")]);
    changed.expect(6, &["step 7", "the activation of"]);
}

/// Two pipelines of two peers each, which meet after every two steps.
fn meeting(steps: u32, patience: u32) -> Scene {
    let spec = include_str!("../../../configs/nano/pipelines.toml")
        .replace("steps = 60", &format!("steps = {steps}"))
        .replace("stride = 10", "stride = 1")
        .replace("inner_steps = 10", "inner_steps = 2")
        .replace(
            "patience_seconds = 30",
            &format!("patience_seconds = {patience}"),
        )
        .replace("rows = 4", "rows = 2")
        .replace("microbatches = 4", "microbatches = 2")
        .replace("warmup = 10", "warmup = 1")
        .replace("decay = 20", "decay = 1");
    Scene::new("pipeline", &spec)
}

/// Four peers, of which a and b are the first pipeline, c and d the second.
fn two_pipelines(scene: &Scene) -> [PeerProcess; 4] {
    let a = scene.start("a");
    let address = scene.address("a");
    let b = scene.join(&address, "b");
    scene.wait_for("a", "peers: 2 of 4");
    let c = scene.join(&address, "c");
    scene.wait_for("a", "peers: 3 of 4");
    let d = scene.join(&address, "d");
    [a, b, c, d]
}

#[test]
fn pipelines_that_meet_are_replayed_from_a_folder_of_each() {
    let scene = meeting(4, 60);
    let plan = node(&["pipeline", "plan", &scene.text("job.toml"), "--json"]);
    plan.expect(0, &[]);
    let meetings = &plan.json()["meetings"];
    assert_eq!(
        (&meetings["pipelines"], &meetings["rounds"]),
        (&2.into(), &2.into())
    );
    for peer in two_pipelines(&scene) {
        peer.expect_success();
    }
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| scene.text(name));
    for pair in [[&a, &d], [&c, &b]] {
        let replayed = node(&["pipeline", "replay", pair[0], pair[1], "--json"]);
        replayed.expect(0, &[]);
        let found = replayed.json();
        assert_eq!(found["verdict"], "right");
        // Two steps and a meeting, twice, of each; both holders signed what they came to.
        assert_eq!(
            (&found["steps"], &found["signatures"]),
            (&12.into(), &24.into())
        );
        assert_eq!(
            (&found["averaged"], &found["alone"]),
            (&8.into(), &0.into())
        );
    }
    node(&["pipeline", "replay", &a, &b]).expect(7, &["of pipeline 1 there is no folder"]);
    let status = node(&["pipeline", "status", &c]);
    status.expect(0, &[]);
    for told in ["pipeline     1", "step 6 of 6, finished"] {
        assert!(status.out.contains(told), "{}", status.out);
    }
    // Pipelines that meet are no replicas of whole models.
    let average = ["average", "plan", &scene.text("job.toml")];
    node(&average).expect(2, &["swarm-node pipeline"]);

    // One bit of what the other pipeline is said to have contributed.
    let mut entries = transcript::read(&scene.path("c")).unwrap();
    let met = entries[2].record.met.get_mut(&Stage(1)).unwrap();
    let Taken::Averaged { parts, .. } = &mut met.taken else {
        panic!("{met:?}")
    };
    parts[0].contribution.0[0] ^= 1;
    std::fs::remove_file(scene.path("c").join(transcript::TRANSCRIPT)).unwrap();
    let mut file = TranscriptFile::open(&scene.path("c")).unwrap();
    for entry in &entries {
        file.append(entry).unwrap();
    }
    let changed = node(&["pipeline", "replay", &a, &c]);
    changed.expect(6, &["stage 1 of pipeline 0 contributed"]);
}

#[test]
fn a_pipeline_whose_partner_is_killed_moves_alone() {
    let scene = meeting(8, 60);
    let [a, b, c, d] = two_pipelines(&scene);
    scene.wait_for("a", "step 3/12: pipelines met");
    drop([c, d]);
    a.expect_success();
    b.expect_success();
    let status = node(&["pipeline", "status", &scene.text("b"), "--json"]);
    status.expect(0, &[]);
    let changes = status.json()["changes"].to_string();
    assert!(changes.contains("moved alone"), "{changes}");
    let replayed = node(&[
        "pipeline",
        "replay",
        &scene.text("b"),
        &scene.text("c"),
        "--json",
    ]);
    replayed.expect(0, &[]);
    let found = replayed.json();
    assert_eq!(found["verdict"], "right");
    assert!(found["alone"].as_u64() >= Some(4), "{found}");
    assert!(found["averaged"].as_u64() >= Some(2), "{found}");
}

#[test]
fn who_comes_while_it_runs_is_admitted_and_holds_a_stage() {
    let scene = scene(60, 4);
    let first = scene.start("a");
    let address = scene.address("a");
    let mut peers = vec![first];
    for (name, have) in [("b", 2), ("c", 3)] {
        peers.push(scene.join(&address, name));
        scene.wait_for("a", &format!("peers: {have} of 4"));
    }
    peers.push(scene.join(&address, "d"));
    scene.wait_for("b", "step 2/60");
    // By the address of one that does not lead: it says who does.
    let of_b = std::fs::read_to_string(scene.path("b").join("charter.json")).unwrap();
    let charter: serde_json::Value = serde_json::from_str(&of_b).unwrap();
    let others = charter["members"][1]["addresses"].as_array().unwrap();
    let quic = others.iter().filter_map(|one| one.as_str());
    let quic = quic.into_iter().find(|one| one.ends_with("/quic-v1"));
    peers.push(scene.join(quic.unwrap(), "e"));
    scene.wait_for("a", "peer 4 is a member from here on");
    scene.wait_for("a", "peer 4 holds stage");
    for peer in peers {
        peer.expect_success();
    }
    for name in ["a", "b", "e"] {
        let status = node(&["pipeline", "status", &scene.text(name), "--json"]).json();
        assert_eq!(status["done"], 60, "{name}");
        let changes = status["changes"].to_string();
        assert!(
            changes.contains("peer 4 was admitted by peer 0"),
            "{name}: {changes}"
        );
        let held = status["stages"].to_string();
        assert!(held.contains('4'), "{name}: {held}");
    }
    let entries = transcript::read(&scene.path("a")).unwrap();
    let visited = entries.iter().filter(|entry| {
        let passages = entry.record.passages.iter();
        let mut visits = passages.flat_map(|passage| &passage.visits);
        visits.any(|visit| visit.hop.peer.0 == 4)
    });
    assert!(visited.count() > 0, "it takes part");

    let whole = scene.text("whole.safetensors");
    let replay = [
        "pipeline",
        "replay",
        &scene.text("a"),
        "--out",
        &whole,
        "--json",
    ];
    let replayed = node(&replay);
    replayed.expect(0, &[]);
    assert_eq!(replayed.json()["verdict"], "right");
    // What the newcomer holds in the end has the bits of the replay.
    let whole = Weights::load(&whole).unwrap();
    let entries = std::fs::read_dir(scene.path("e")).unwrap();
    let stage = entries
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|one| one == "safetensors"));
    let stage = Weights::load(stage.unwrap()).unwrap();
    assert!(stage.names().count() > 0);
    for (name, tensor) in stage.iter() {
        assert_eq!(whole.get(name), Some(tensor), "{name}");
    }
    // Another signature of the admission is none of the leader's.
    let mut entries = transcript::read(&scene.path("a")).unwrap();
    let joined = entries
        .iter_mut()
        .flat_map(|entry| &mut entry.record.joined);
    let mut admissions = joined.filter_map(|joined| joined.admission.as_mut());
    admissions.next().unwrap().signature[0] ^= 1;
    std::fs::remove_file(scene.path("a").join(transcript::TRANSCRIPT)).unwrap();
    let mut file = TranscriptFile::open(&scene.path("a")).unwrap();
    for entry in &entries {
        file.append(entry).unwrap();
    }
    let changed = node(&["pipeline", "replay", &scene.text("a")]);
    changed.expect(6, &["is not signed by who led"]);
    // The newcomer's folder begins where it took part, and says so.
    let late = node(&["pipeline", "replay", &scene.text("e")]);
    late.expect(
        7,
        &["has no step 1 to", "replay the folder of one that did"],
    );
}

#[test]
fn what_is_no_pipeline_is_told() {
    let scene = scene(3, 2);
    let spec = std::fs::read_to_string(scene.path("job.toml")).unwrap();
    let start = |text: &str| {
        std::fs::write(scene.path("bad.toml"), text).unwrap();
        node(&[
            "pipeline",
            "start",
            &scene.text("bad.toml"),
            "--out",
            &scene.text("x"),
            "--loopback",
        ])
    };
    let without: String = spec.split("\n[pipeline]\n").next().unwrap().to_owned()
        + &spec[spec.find("[data.corpus]").unwrap()..];
    start(&without).expect(2, &["no [pipeline]"]);
    start(&spec.replace("stages = 2", "stages = 9")).expect(2, &["pipeline.peers"]);
    start(&spec.replace("format = \"f32\"", "format = \"f8\"")).expect(2, &["unknown variant"]);
    let wrong = ["pipeline", "join", "nowhere", "--out", "x"];
    node(&wrong).expect(2, &["is no address", "/ip4/"]);
    let empty = scene.text("empty");
    node(&["pipeline", "replay", &empty]).expect(2, &["has no charter"]);
    node(&["pipeline", "status", &empty]).expect(2, &["has no charter"]);
    let plan = ["pipeline", "plan", &scene.text("job.toml"), "--memory", "1"];
    let plan = node(&plan);
    plan.expect(0, &[]);
    assert!(
        plan.out.contains("does not fit") && plan.out.contains("would fit"),
        "{}",
        plan.out
    );
}

#[test]
fn a_plan_tells_what_a_bottleneck_is_to_each_stage() {
    let scene = scene(3, 2);
    let spec = std::fs::read_to_string(scene.path("job.toml")).unwrap();
    let planned = |more: &str| {
        let text = spec.replace("slots = 3", &format!("slots = 3\n{more}"));
        std::fs::write(scene.path("narrow.toml"), text).unwrap();
        node(&["pipeline", "plan", &scene.text("narrow.toml"), "--json"])
    };
    let number = |value: &serde_json::Value| value.as_u64().unwrap();
    let plain = planned("").json();
    assert!(plain.get("bottleneck").is_none(), "{plain}");
    let narrow = planned("bottleneck = 4").json();
    let found = &narrow["bottleneck"];
    let (sent, width) = (number(&found["sent"]), number(&found["width"]));
    assert_eq!(
        (sent * 4, number(&found["maps"])),
        (width, 2 * sent * width)
    );
    let embedding = number(&found["embedding"]);
    assert!(embedding > 0 && embedding.is_multiple_of(width));
    let added = |plan: &serde_json::Value, of: &str, stage: usize| {
        number(&plan["stages"][stage][of]) - number(&plain["stages"][stage][of])
    };
    for stage in [0, 1] {
        assert_eq!(
            added(&narrow, "parameters", stage),
            number(&found["maps"]) + embedding
        );
    }
    assert!(number(&narrow["hop_bytes"]) < number(&plain["hop_bytes"]) / 3);
    let without = planned("bottleneck = 4\nbottleneck_residual = false").json();
    assert_eq!(number(&without["bottleneck"]["embedding"]), 0);
    assert_eq!(added(&without, "parameters", 1), number(&found["maps"]));
    assert_ne!(without["job"], narrow["job"], "it is another job");
    planned("bottleneck = 5").expect(2, &["pipeline.bottleneck", "must divide"]);
    planned("bottleneck_residual = true").expect(2, &["pipeline.bottleneck_residual"]);
}
