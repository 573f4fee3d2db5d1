//! A step of one stage of a pipeline, audited alone and claimed on a chain: who stated what is wrong
//! loses its bond, and who stated what is right keeps it.

use std::process::{Child, Stdio};
use std::thread;

use serde_json::Value;
use swarm_devchain::dev_accounts;

use crate::devchain::DevChain;
use crate::node::{Ended, command, node, node_with};
use crate::peers::Scene;
use crate::pipelines::scene;

const PAYER: usize = 0;
const WORKER: usize = 1;
const VERIFIER: usize = 2;
/// The step in which a bit is wrong at the holder of stage 1.
const WRONG: &str = "1";

/// A pipeline of three peers: `a` and `c` hold stage 0, `b` stage 1.
fn trained() -> Scene {
    let scene = scene(3, 3);
    let keep = ["--keep-steps", "3"];
    let a = scene.start_with("a", &keep);
    let address = scene.address("a");
    let b = scene.join_with(&address, "b", &[&keep[..], &["--fault", WRONG]].concat());
    scene.wait_for("a", "peers: 2 of 3");
    let c = scene.join_with(&address, "c", &keep);
    for peer in [a, b, c] {
        peer.expect_success();
    }
    scene
}

fn audit(scene: &Scene, of: &str, options: &[&str]) -> Ended {
    let folder = scene.text(of);
    node(&[&["pipeline", "audit", &folder, "--json"], options].concat())
}

/// What audits of single stages say.
fn audits(scene: &Scene) {
    let (b, c) = (scene.text("b"), scene.text("c"));
    for step in ["0", "2"] {
        let right = audit(scene, "b", &["--step", step]);
        right.expect(0, &[]);
        assert_eq!(right.json()["verdict"], "right", "step {step}");
    }
    let wrong = audit(scene, "b", &["--step", WRONG]);
    wrong.expect(6, &["peer 1 (stage 1) states other squares"]);
    let told = wrong.json();
    assert_eq!(
        (&told["stage"], &told["wrong"]),
        (&1.into(), &serde_json::json!([1]))
    );
    let reasons = told["reasons"].to_string();
    // The state after it was kept as the one before the next step.
    assert!(
        reasons.contains("another state") && reasons.contains("element 0 is"),
        "{reasons}"
    );
    // From a folder that has no part in the stage, with what its holder kept.
    let other = audit(scene, "c", &["--step", WRONG, "--stage", "1", "--from", &b]);
    other.expect(6, &["peer 1 (stage 1)"]);
    // The other stage did what it says, by the norm that it was told.
    let mut alone = audit(scene, "a", &["--step", WRONG]);
    alone.expect(7, &["is in none of the folders", "--from"]);
    alone = audit(scene, "a", &["--step", WRONG, "--from", &c]);
    alone.expect(0, &[]);
    assert_eq!(
        alone.json()["holders"],
        serde_json::json!(["peer 0", "peer 2"])
    );
    audit(scene, "a", &["--step", "9"]).expect(2, &["the transcript ends with step 2"]);
    audit(scene, "a", &["--stage", "2"]).expect(2, &["the pipeline has 2"]);
    let replayed = node(&["pipeline", "replay", &scene.text("a")]);
    replayed.expect(6, &["step 1: peer 1 (stage 1) states other squares"]);
    // What was changed is not taken for what it is named.
    let kept = scene.path("b").join("kept/step-00000000");
    let named = std::fs::read_dir(&kept)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for path in named.filter(|path| path.extension().is_some_and(|end| end == "bin")) {
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[0] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    audit(scene, "b", &["--step", "0"]).expect(7, &["is in none of the folders"]);
    for entry in std::fs::read_dir(&kept).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "bin") {
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[0] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
    }
}

fn secret(account: usize) -> String {
    dev_accounts()[account].secret.to_string()
}

/// The contracts of jobs on a chain.
struct Market<'s>(&'s Scene);

impl Market<'_> {
    fn deploy(&self, url: &str) {
        let contracts = self.0.text("jobs.toml");
        let windows = [
            ["--work-window", "40"],
            ["--seal-window", "2"],
            ["--reveal-window", "90"],
            ["--challenge-window", "40"],
            ["--clock", "60"],
        ];
        let mut deploy = vec!["job", "deploy", &contracts, "--chain", url];
        windows.iter().for_each(|window| deploy.extend(window));
        let secret = secret(PAYER);
        let account = [("SWARM_NODE_WALLET_SECRET", secret.as_str())];
        node_with(&deploy, &account).expect(0, &["deploying from"]);
    }

    fn words(&self, words: &[&str]) -> Vec<String> {
        let word = |word: &&str| match word.strip_prefix('@') {
            Some(name) => self.0.text(name),
            None => (*word).to_owned(),
        };
        let contracts = ["--contracts".to_owned(), self.0.text("jobs.toml")];
        words.iter().map(word).chain(contracts).collect()
    }

    fn of(&self, account: usize, words: &[&str]) -> Ended {
        self.start(account, words)
            .wait_with_output()
            .unwrap()
            .into()
    }

    fn start(&self, account: usize, words: &[&str]) -> Child {
        let words = self.words(words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let secret = secret(account);
        let account = [("SWARM_NODE_WALLET_SECRET", secret.as_str())];
        let mut command = command(&words, &account);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// The job of a step of stage 1, launched by the one who doubts it.
    fn launch(&self, step: &str) -> String {
        let launch = [
            "job", "launch", "@c", "--step", step, "--stage", "1", "--from", "@b", "--reward",
            "10", "--mint", "--json",
        ];
        let launched = self.of(PAYER, &launch);
        launched.expect(0, &[]);
        launched.json()["job"].as_str().unwrap().to_owned()
    }

    fn work<'w>(step: &'w str, job: &'w str, out: &'w str) -> Vec<&'w str> {
        vec![
            "job", "work", "@b", "--step", step, "--job", job, "--out", out, "--mint", "--json",
        ]
    }

    fn verify<'w>(step: &'w str, job: &'w str, out: &'w str) -> Vec<&'w str> {
        vec![
            "job", "verify", "@c", "--step", step, "--stage", "1", "--from", "@b", "--job", job,
            "--out", out, "--mint", "--json",
        ]
    }

    /// A holder that claims what it signed, and a verifier: what both are told at the end.
    fn play(&self, step: &str, job: &str, fault: &[&str]) -> [Ended; 2] {
        let (worker_out, verifier_out) = (format!("@worker-{step}"), format!("@verifier-{step}"));
        let work = [&Self::work(step, job, &worker_out)[..], fault].concat();
        let worker = self.start(WORKER, &work);
        let verifier = self.start(VERIFIER, &Self::verify(step, job, &verifier_out));
        let ended = |child: Child| thread::spawn(|| child.wait_with_output().unwrap());
        [ended(worker), ended(verifier)].map(|thread| thread.join().unwrap().into())
    }
}

#[test]
fn a_holder_of_a_stage_that_stated_what_is_wrong_loses_its_bond() {
    let scene = trained();
    audits(&scene);
    let chain_folder = tempfile::tempdir().unwrap();
    let chain = DevChain::start(chain_folder.path());
    let market = Market(&scene);
    market.deploy(&chain.url());

    let job = market.launch(WRONG);
    // A machine that computes what is right does not claim what it signed: it would lose.
    let careful = market.of(WORKER, &Market::work(WRONG, &job, "@careful"));
    careful.expect(
        6,
        &[
            "peer 1 (stage 1) signed that step 1 came to",
            "nothing is claimed",
        ],
    );
    let [worker, verifier] = market.play(WRONG, &job, &["--fault", WRONG]);
    worker.expect(0, &["refuted: over"]);
    verifier.expect(0, &["refuted: over"]);
    assert_eq!(verifier.json()["agrees"], "no");
    // Its bond of 5, and half of the worker's 20.
    let held = |ended: &Ended| ended.json()["tokens held"].clone();
    assert_eq!((held(&verifier), held(&worker)), ("15".into(), "0".into()));
    let replay = [
        "dispute", "replay", "1", "--spec", "@c", "--step", WRONG, "--stage", "1", "--from", "@b",
        "--json",
    ];
    let replayed = market.of(PAYER, &replay);
    replayed.expect(0, &[]);
    let told: Value = replayed.json();
    let place = told["place"].as_str().unwrap();
    assert!(
        place.starts_with("tile") && place.ends_with("of step 0"),
        "{told}"
    );

    let job = market.launch("0");
    let other = market.of(VERIFIER, &Market::verify(WRONG, &job, "@other"));
    other.expect(2, &["is another one"]);
    let [worker, verifier] = market.play("0", &job, &[]);
    worker.expect(0, &["finalized: over"]);
    verifier.expect(0, &["finalized: over"]);
    assert_eq!(verifier.json()["agrees"], "yes");
    // The reward of 10, and the bond of 20.
    assert_eq!(held(&worker), "30");
}
