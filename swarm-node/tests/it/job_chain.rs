//! Jobs for a reward, by processes on a chain: paid where they are right, refuted where one bit is
//! not.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::anvil::{self, Anvil};
use crate::jobs::{answers, generation};
use crate::node::{Ended, command, node, node_with};

/// Secrets of anvil's first accounts; everybody knows them.
const SECRETS: [&str; 3] = [
    anvil::SECRET,
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
];
const PAYER: usize = 0;
const WORKER: usize = 1;
const VERIFIER: usize = 2;
const PATIENCE: Duration = Duration::from_secs(240);

/// A folder with a small job, and the contracts of jobs on a chain.
struct Scene {
    folder: tempfile::TempDir,
    job: String,
}

impl Scene {
    /// Deploys the contracts and launches a small job of training.
    fn new(url: &str) -> Self {
        let spec = include_str!("../../../configs/nano/job.toml")
            .replace("steps = 60", "steps = 6")
            .replace("stride = 10", "stride = 2")
            .replace("rows = 16", "rows = 4")
            .replace("warmup = 10", "warmup = 2")
            .replace("decay = 20", "decay = 2");
        Self::with(url, &spec)
    }

    /// Deploys the contracts and launches the job of this file.
    fn with(url: &str, spec: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("job.toml"), spec).unwrap();
        let mut scene = Self {
            folder,
            job: String::new(),
        };
        let windows = [
            ["--work-window", "30"],
            ["--seal-window", "2"],
            ["--reveal-window", "60"],
            ["--challenge-window", "30"],
            ["--clock", "60"],
        ];
        let contracts = scene.path("jobs.toml");
        let mut deploy = vec!["job", "deploy", contracts.to_str().unwrap(), "--chain", url];
        windows.iter().for_each(|window| deploy.extend(window));
        deploy.extend(["--set", "chain.poll_ms=200"]);
        scene.of(PAYER, &deploy).expect(0, &["deploying from"]);
        let launch = [
            "job", "launch", "SPEC", "--reward", "10", "--mint", "--json",
        ];
        let launched = scene.of(PAYER, &launch);
        launched.expect(0, &[]);
        scene.job = launched.json()["job"].as_str().unwrap().to_owned();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Arguments with the files of the scene in their places.
    fn arguments(&self, arguments: &[&str]) -> Vec<String> {
        let place = |name: &str| self.path(name).to_str().unwrap().to_owned();
        let mut placed: Vec<String> = arguments
            .iter()
            .map(|argument| match *argument {
                "SPEC" => place("job.toml"),
                "JOB" => self.job.clone(),
                other => other.strip_prefix("@").map_or(other.to_owned(), place),
            })
            .collect();
        if !arguments.contains(&"deploy") {
            placed.extend(["--contracts".into(), place("jobs.toml")]);
        }
        placed
    }

    /// Runs a command from an account.
    fn of(&self, account: usize, arguments: &[&str]) -> Ended {
        let arguments = self.arguments(arguments);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        node_with(
            &arguments,
            &[("SWARM_NODE_WALLET_SECRET", SECRETS[account])],
        )
    }

    /// Runs a command without a wallet.
    fn look(&self, arguments: &[&str]) -> Ended {
        let arguments = self.arguments(arguments);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        node(&arguments)
    }

    /// Starts the process of a party.
    fn start(&self, account: usize, arguments: &[&str]) -> Child {
        let arguments = self.arguments(arguments);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = command(
            &arguments,
            &[("SWARM_NODE_WALLET_SECRET", SECRETS[account])],
        );
        let started = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        started.expect("the binary starts")
    }

    fn state(&self) -> Value {
        let seen = self.look(&["job", "watch", "JOB", "--once", "--json"]);
        seen.expect(0, &[]);
        seen.json()
    }

    /// The job is refuted, as `job watch` tells it.
    fn refuted(&self, how: &str) {
        let seen = self.look(&["job", "watch", "JOB", "--once"]);
        seen.expect(0, &[]);
        assert!(seen.out.contains("refuted by"), "{}", seen.out);
        assert!(seen.out.contains(how), "{}", seen.out);
    }

    fn games(&self) -> Vec<Value> {
        let seen = self.look(&["dispute", "list", "--json"]);
        seen.expect(0, &[]);
        seen.json()["games"].as_array().unwrap().clone()
    }

    fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < PATIENCE, "{what} takes too long");
            thread::sleep(Duration::from_millis(300));
        }
    }
}

fn ended(child: Child) -> Ended {
    child.wait_with_output().expect("the process ends").into()
}

const WORK: [&str; 8] = [
    "job", "work", "SPEC", "--job", "JOB", "--out", "@worker", "--mint",
];
const VERIFY: [&str; 8] = [
    "job",
    "verify",
    "SPEC",
    "--job",
    "JOB",
    "--out",
    "@verifier",
    "--mint",
];

/// One bit of a gradient is wrong: the verifier finds it, wins the game and is paid, while both are
/// killed in the middle of it.
fn a_false_claim(scene: &Scene) {
    let lie = [&WORK[..], &["--fault", "3", "--json"]].concat();
    let verify = [&VERIFY[..], &["--json"]].concat();
    let (mut worker, mut verifier) = (scene.start(WORKER, &lie), scene.start(VERIFIER, &verify));
    let moves = |scene: &Scene, least: u64| {
        let games = scene.games();
        games
            .first()
            .is_some_and(|game| game["moves"].as_u64() >= Some(least))
    };
    scene.until("a game", |scene| moves(scene, 2));
    for (party, account, arguments) in [
        (&mut worker, WORKER, &lie),
        (&mut verifier, VERIFIER, &verify),
    ] {
        party.kill().unwrap();
        party.wait().unwrap();
        thread::sleep(Duration::from_millis(500));
        *party = scene.start(account, arguments);
    }
    let (worker, verifier) = (ended(worker), ended(verifier));
    worker.expect(0, &["refuted: over"]);
    verifier.expect(0, &["refuted: over"]);
    scene.refuted("in a game that the worker lost");
    assert_eq!(scene.state()["state"], "refuted");
    let told = verifier.json();
    assert_eq!(
        (&told["agrees"], &told["state"]),
        (&"no".into(), &"refuted".into())
    );
    // Its bond of 5, and half of the worker's 20.
    assert_eq!(
        (&told["tokens held"], &worker.json()["tokens held"]),
        (&"15".into(), &"0".into())
    );
    let games = scene.games();
    assert_eq!(
        (games.len(), &games[0]["state"]),
        (1, &"challenger won by a contradiction".into())
    );
    let replayed = scene.look(&["dispute", "replay", "1", "--spec", "SPEC", "--json"]);
    replayed.expect(0, &[]);
    let told = replayed.json();
    assert!(
        told["place"].as_str().unwrap().starts_with("tile"),
        "{told}"
    );
    assert!(
        told["place"].as_str().unwrap().ends_with("of step 3"),
        "{told}"
    );
    let fetched = scene.look(&[
        "job", "fetch", "JOB", "--from", "@worker", "--out", "@model",
    ]);
    fetched.expect(1, &["refuted", "nothing that could be fetched"]);
    // What is wrong on purpose is not claimed by accident.
    let again = scene.of(WORKER, &WORK);
    again.expect(2, &["was computed with --fault 3", "--out"]);
    // The payer has its reward back, and a fifth of the bond.
    let collected = scene.of(PAYER, &["job", "collect", "--json"]);
    assert_eq!(collected.json()["collected"], "14 tokens");
}

#[test]
fn a_bit_that_is_wrong_is_found_and_costs_the_worker_its_bond_on_anvil() {
    if !anvil::is_installed() {
        return;
    }
    let chain = Anvil::start(&["--block-time", "1"]);
    let scene = Scene::new(&chain.url());
    a_false_claim(&scene);
}

/// A worker that has signed the step that it got wrong is refuted without a game.
#[test]
fn what_a_worker_signed_of_a_wrong_step_refutes_its_claim_on_anvil() {
    if !anvil::is_installed() {
        return;
    }
    let chain = Anvil::start(&["--block-time", "1"]);
    let scene = Scene::new(&chain.url());
    let worker = scene.start(WORKER, &[&WORK[..], &["--fault", "3"]].concat());
    scene.until("a claim", |scene| scene.state()["state"] == "committed");
    // The fault is in the sum of the last microbatch.
    let folder = scene.path("worker");
    let trace = ["job", "trace", folder.to_str().unwrap(), "--step", "3"];
    let sign = ["job", "sign", "@worker", "--job", "JOB", "--step", "3"];
    scene
        .of(WORKER, &sign)
        .expect(1, &["job trace RUN --step 3"]);
    node(&[&trace[..], &["--values", "5"]].concat()).expect(0, &[]);
    scene
        .of(VERIFIER, &sign)
        .expect(2, &["only the worker answers for its claim"]);
    // Nothing is signed that the worker does not compute.
    let roots = folder.join("trace-00000003.roots");
    let right = std::fs::read(&roots).unwrap();
    let mut wrong = right.clone();
    wrong[right.len() / 2] ^= 1;
    std::fs::write(&roots, wrong).unwrap();
    scene.of(WORKER, &sign).expect(1, &["nothing is signed"]);
    std::fs::write(&roots, right).unwrap();
    let signed = scene.of(WORKER, &sign);
    signed.expect(0, &[]);
    assert!(
        signed.out.contains("trace-00000003.signed"),
        "{}",
        signed.out
    );
    let verify = [&VERIFY[..], &["--published", "@worker", "--json"]].concat();
    let verifier = scene.of(VERIFIER, &verify);
    let said = ["announce: in block", "refute: in block", "refuted: over"];
    verifier.expect(0, &said);
    ended(worker).expect(0, &["refuted: over"]);
    assert!(scene.games().is_empty());
    scene.refuted("by what the worker had signed of a step");
    // Its bond of 5 was never asked for, and half of the worker's 20 is its own.
    assert_eq!(verifier.json()["tokens held"], "15");
}

/// The answers of a worker that is right are fetched with the state that is final on the chain; one
/// whose machine wrote a token that was not drawn is refuted.
#[test]
fn what_a_job_answers_is_fetched_and_a_token_that_is_wrong_refuted_on_anvil() {
    if !anvil::is_installed() {
        return;
    }
    let chain = Anvil::start(&["--block-time", "1"]);
    let scene = Scene::with(&chain.url(), &generation());
    let worker = scene.start(WORKER, &WORK);
    let verifier = scene.start(VERIFIER, &VERIFY);
    ended(verifier).expect(0, &["finalized: over"]);
    ended(worker).expect(0, &["finalized: over"]);
    let fetch = [
        "job", "fetch", "JOB", "--from", "@worker", "--out", "@fetched", "--json",
    ];
    let fetched = scene.look(&fetch);
    fetched.expect(0, &[]);
    assert_eq!(fetched.json()["answers"], "6");
    let of = |name: &str| answers(&scene.path(name).join("answers.jsonl"));
    assert_eq!(of("fetched"), of("verifier"));

    let scene = Scene::with(&chain.url(), &generation());
    let lie = [&WORK[..], &["--fault", "1"]].concat();
    let (worker, verifier) = (scene.start(WORKER, &lie), scene.start(VERIFIER, &VERIFY));
    ended(verifier).expect(0, &["refuted: over"]);
    ended(worker).expect(0, &["refuted: over"]);
    let games = scene.games();
    assert_eq!(games[0]["state"], "challenger won by a contradiction");
}

#[test]
fn a_right_job_is_paid_and_its_model_fetched() {
    if !anvil::is_installed() {
        return;
    }
    let chain = Anvil::start(&["--block-time", "1"]);
    let scene = Scene::new(&chain.url());
    let early = scene.look(&[
        "job", "fetch", "JOB", "--from", "@worker", "--out", "@model",
    ]);
    early.expect(1, &["is open"]);
    let early = scene.of(PAYER, &["job", "end", "JOB"]);
    early.expect(2, &["is open until", "after that"]);
    let open = scene.look(&["job", "list", "--open", "--json"]).json();
    assert_eq!(open["jobs"][0]["job"], scene.job.as_str());
    let other = scene.of(WORKER, &["job", "cancel", "JOB"]);
    other.expect(1, &["only its payer"]);
    let worker = scene.start(WORKER, &[&WORK[..], &["--json"]].concat());
    let verifier = scene.start(VERIFIER, &[&VERIFY[..], &["--json"]].concat());
    let (worker, verifier) = (ended(worker), ended(verifier));
    worker.expect(0, &["finalized: over"]);
    verifier.expect(
        0,
        &["seal: in block", "reveal: in block", "finalized: over"],
    );
    assert_eq!(verifier.json()["agrees"], "yes");
    // The reward of 10, and the bond of 20.
    assert_eq!(worker.json()["tokens held"], "30");
    assert_eq!(scene.games(), Vec::<Value>::new());
    let open = scene.look(&["job", "list", "--open"]);
    assert_eq!(open.out, "no jobs\n");
    let fetch = [
        "job", "fetch", "JOB", "--from", "@worker", "--out", "@model", "--json",
    ];
    let fetched = scene.look(&fetch);
    fetched.expect(0, &[]);
    assert_eq!(fetched.json()["root"], scene.state()["last"]);
    scene.look(&fetch).expect(2, &["exists"]);
    assert_is_model(&scene.path("model"));
    // Another folder's state is not what the chain says.
    let step = |name: &str| scene.path("worker").join(name);
    std::fs::rename(step("step-00000004"), step("step-00000006.other")).unwrap();
    std::fs::remove_dir_all(step("step-00000006")).unwrap();
    std::fs::rename(step("step-00000006.other"), step("step-00000006")).unwrap();
    let wrong = scene.look(&[
        "job", "fetch", "JOB", "--from", "@worker", "--out", "@wrong",
    ]);
    wrong.expect(1, &["step-00000006"]);
    assert!(!scene.path("wrong").exists());
}

fn assert_is_model(folder: &Path) {
    let model = folder.to_str().unwrap();
    let eval = [
        "eval",
        "--model",
        model,
        "--families",
        "max",
        "--questions",
        "1",
        "--json",
    ];
    node(&eval).expect(0, &[]);
}
