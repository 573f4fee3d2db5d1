//! SIGINT and SIGTERM: work is saved and goes on later; a second signal ends at once.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::commands::edited_recipe;
use crate::devchain::{self, DevChain};
use crate::node::{Ended, command, node, node_with, untrained};

/// A process whose messages are read while it runs.
pub struct Running {
    child: Child,
    err: BufReader<std::process::ChildStderr>,
    said: String,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let err = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            err,
            said: String::new(),
        }
    }

    /// Reads messages up to one that holds this.
    pub fn wait_for(&mut self, text: &str) {
        loop {
            let mut line = String::new();
            assert_ne!(
                self.err.read_line(&mut line).unwrap(),
                0,
                "no {text:?} in: {}",
                self.said
            );
            self.said.push_str(&line);
            if line.contains(text) {
                return;
            }
        }
    }

    pub fn send(&self, signal: &str) {
        send(self.child.id(), signal);
    }

    pub fn end(mut self) -> Ended {
        self.err.read_to_string(&mut self.said).unwrap();
        let mut out = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut out)
            .unwrap();
        let status = self.child.wait().unwrap();
        let code = status
            .code()
            .unwrap_or_else(|| panic!("ended by signal {:?}: {}", status.signal(), self.said));
        Ended {
            code,
            out,
            err: self.said,
        }
    }
}

fn send(process: u32, signal: &str) {
    let status = Command::new("kill")
        .args([&format!("-{signal}"), &process.to_string()])
        .status();
    assert!(status.unwrap().success());
}

/// The number in `step N of`.
fn step(ended: &Ended) -> u64 {
    let (_, rest) = ended
        .err
        .rsplit_once(": step ")
        .unwrap_or_else(|| panic!("{}", ended.err));
    rest.split(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{}", ended.err))
}

fn train(base: &Path, out: &Path, steps: &str) -> Command {
    let mut command = command(
        &[
            "train",
            "--json",
            "--steps",
            steps,
            "--set",
            "train.questions=2",
        ],
        &[],
    );
    command.args([
        "--set",
        "train.heldout=2",
        "--set",
        "learn.max_new=4",
        "--set",
        "learn.group=4",
    ]);
    command
        .args(["--set", "train.checkpoint_every=100000", "--model"])
        .arg(base)
        .arg("--out")
        .arg(out);
    command
}

#[test]
fn training_that_is_stopped_goes_on_to_the_same_digest() {
    let folder = tempfile::tempdir().unwrap();
    let base = untrained(folder.path());
    let parts = folder.path().join("parts");
    for (signal, code, resume) in [("INT", 130, false), ("TERM", 143, true)] {
        let mut command = train(&base, &parts, "300");
        if resume {
            command.arg("--resume");
        }
        let mut running = Running::start(&mut command);
        running.wait_for("training 1");
        running.send(signal);
        let ended = running.end();
        ended.expect(
            code,
            &[
                &format!("stopped by SIG{signal}"),
                "of 300 is saved in",
                "--resume",
            ],
        );
        assert!(
            (1..300).contains(&step(&ended)) && ended.out.is_empty(),
            "{} {}",
            ended.err,
            ended.out
        );
        if resume {
            let steps = (step(&ended) + 1).to_string();
            let resumed: Ended = train(&base, &parts, &steps)
                .arg("--resume")
                .output()
                .unwrap()
                .into();
            resumed.expect(0, &[]);
            let whole: Ended = train(&base, &folder.path().join("whole"), &steps)
                .output()
                .unwrap()
                .into();
            for key in ["steps", "digest", "heldout"] {
                assert_eq!(resumed.json()[key], whole.json()[key], "{key}");
            }
        }
    }
}

#[test]
fn pretraining_that_is_stopped_goes_on_to_the_same_digest() {
    let folder = tempfile::tempdir().unwrap();
    let edits = [
        ("steps", "60"),
        ("decay", "0"),
        ("answers", "2"),
        ("checkpoint_every", "1000"),
    ];
    let recipe = edited_recipe(folder.path(), &edits);
    let pretrain = |out: &str| {
        let mut command = command(&["pretrain", "--recipe"], &[]);
        command
            .arg(&recipe)
            .arg("--out")
            .arg(folder.path().join(out));
        command
    };
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut running = Running::start(&mut pretrain("parts"));
        running.wait_for("pretraining 2/");
        running.send(signal);
        let ended = running.end();
        ended.expect(
            code,
            &[
                &format!("stopped by SIG{signal}"),
                "of 60 is saved in",
                "goes on from there",
            ],
        );
        assert!(
            (1..60).contains(&step(&ended)) && ended.out.is_empty(),
            "{} {}",
            ended.err,
            ended.out
        );
    }
    let digest = |out: &str| {
        let ended: Ended = pretrain(out).output().unwrap().into();
        ended.expect(0, &[]);
        ended.out.split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(digest("parts"), digest("whole"));
}

#[test]
fn a_second_signal_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    // Steps that take seconds.
    let edits = [
        ("steps", "60"),
        ("decay", "0"),
        ("answers", "4000"),
        ("checkpoint_every", "1000"),
    ];
    let recipe = edited_recipe(folder.path(), &edits);
    let out = folder.path().join("run");
    let mut running = Running::start(
        command(&["pretrain", "--recipe"], &[])
            .arg(&recipe)
            .arg("--out")
            .arg(&out),
    );
    running.wait_for("pretraining: 60 steps");
    thread::sleep(Duration::from_millis(300));
    running.send("INT");
    thread::sleep(Duration::from_millis(100));
    running.send("TERM");
    let sent = Instant::now();
    let ended = running.end();
    assert_eq!(ended.code, 143, "{}", ended.err);
    assert!(
        sent.elapsed() < Duration::from_secs(2) && !ended.err.contains("is saved"),
        "{}",
        ended.err
    );
}

#[test]
fn a_dev_chain_ends_with_a_signal_and_forgets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let secret = devchain::secret();
    let chain = DevChain::start(folder.path());
    let file = folder.path().join("swarm.toml");
    let arguments = [
        "chain",
        "deploy",
        file.to_str().unwrap(),
        "--chain",
        &chain.url(),
        "--set",
        "chain.poll_ms=10",
    ];
    node_with(&arguments, &[("SWARM_NODE_WALLET_SECRET", &secret)]).expect(0, &[]);
    let before = chain.account();
    send(chain.id(), "INT");
    assert_eq!(chain.wait().code(), Some(0));
    let chain = DevChain::start(folder.path());
    assert_eq!(chain.account(), before);
    node(&[
        "chain",
        "status",
        file.to_str().unwrap(),
        "--chain",
        &chain.url(),
    ])
    .expect(0, &[]);
}

#[test]
fn a_deployment_that_is_stopped_says_what_is_on_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    let chain = DevChain::start(&folder.path().join("chain"));
    let file = folder.path().join("swarm.toml");
    let secret = devchain::secret();
    let never = [
        "--set",
        "chain.poll_ms=10",
        "--set",
        "chain.confirmations=1000",
    ];
    let mut deploy = command(
        &["chain", "deploy", "--chain", &chain.url()],
        &[("SWARM_NODE_WALLET_SECRET", &secret)],
    );
    let mut running = Running::start(deploy.args(never).arg(&file));
    running.wait_for("deploying from");
    chain.wait_for_transactions(4);
    running.send("TERM");
    let ended = running.end();
    ended.expect(
        143,
        &[
            "stopped by SIGTERM",
            "token 0x",
            "slasher 0x",
            "(transaction 0x",
        ],
    );
    assert!(!file.exists() && ended.out.is_empty());
}

/// Joining in two parts stakes once.
#[test]
fn a_join_that_is_stopped_goes_on_without_staking_twice() {
    let folder = tempfile::tempdir().unwrap();
    let chain = DevChain::start(&folder.path().join("chain"));
    let secret = devchain::secret();
    let environment = [("SWARM_NODE_WALLET_SECRET", secret.as_str())];
    let file = folder.path().join("swarm.toml");
    let deploy = [
        "chain",
        "deploy",
        file.to_str().unwrap(),
        "--chain",
        &chain.url(),
        "--set",
        "chain.poll_ms=10",
    ];
    node_with(&deploy, &environment).expect(0, &[]);
    let key = folder.path().join("node.key");
    let join = [
        "chain",
        "join",
        file.to_str().unwrap(),
        "--node-key",
        key.to_str().unwrap(),
        "--json",
        "--mint",
    ];
    // One block on top of each transaction, and nobody who mines it: the first step is never final.
    let slow = [
        "--stake",
        "7",
        "--set",
        "chain.poll_ms=10",
        "--set",
        "chain.confirmations=1",
    ];
    let running = Running::start(&mut command(&[&join[..], &slow].concat(), &environment));
    chain.wait_for_transactions(5);
    running.send("INT");
    let ended = running.end();
    ended.expect(130, &["mint (transaction 0x", "the same command goes on"]);
    let joined = node_with(
        &[&join[..], &["--stake", "7", "--set", "chain.poll_ms=10"]].concat(),
        &environment,
    );
    joined.expect(0, &[]);
    assert_eq!(joined.json()["stake"], "7 tokens");
}

#[test]
fn a_demo_that_is_stopped_leaves_rewards_that_can_be_settled() {
    let folder = tempfile::tempdir().unwrap();
    let base = untrained(folder.path());
    let chain = DevChain::start(&folder.path().join("chain"));
    let secret = devchain::secret();
    let environment = [("SWARM_NODE_WALLET_SECRET", secret.as_str())];
    let mut demo = command(
        &[
            "demo",
            "--simulate",
            "--peers",
            "2",
            "--rounds",
            "60",
            "--chain",
            &chain.url(),
        ],
        &environment,
    );
    let settings = [
        "demo.epoch=2",
        "demo.questions=1",
        "demo.common=1",
        "demo.heldout=1",
        "demo.samples=1",
        "demo.council=0",
        "demo.cheat=false",
        "demo.controls=0",
        "demo.families=count,max",
        "learn.group=2",
        "learn.stage_samples=1",
        "learn.max_new=4",
        "chain.poll_ms=50",
    ];
    for setting in settings {
        demo.args(["--set", setting]);
    }
    let runs = folder.path().join("runs");
    demo.arg("--set")
        .arg(format!("demo.run={}", runs.display()))
        .arg("--base")
        .arg(&base);
    let mut running = Running::start(&mut demo);
    running.wait_for("swarm 4/60");
    running.send("TERM");
    let ended = running.end();
    let run = std::fs::read_dir(&runs)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let run = run.to_str().unwrap();
    ended.expect(
        143,
        &[
            "stopped by SIGTERM",
            &format!("later: swarm-node settle {run}"),
        ],
    );
    assert!(ended.out.is_empty(), "{}", ended.out);
    let settled = node_with(
        &["settle", run, "--json", "--set", "chain.poll_ms=20"],
        &environment,
    );
    settled.expect(0, &[]);
    let summary = settled.json();
    assert_eq!(
        (&summary["settled"], &summary["claimed"]),
        (&true.into(), &summary["earned"]),
        "{summary}"
    );
    assert!(summary["epochs_final"].as_u64() > Some(0), "{summary}");
}
