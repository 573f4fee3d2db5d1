//! Output that cannot be written, and what `--json` promises.
#![cfg(target_os = "linux")]

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::commands::edited_recipe;
use crate::devchain::{self, DevChain};
use crate::node::{Ended, command, node, node_with, untrained};

/// A device that takes nothing.
fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

fn ended(command: &mut Command) -> Ended {
    command.output().unwrap().into()
}

/// A pipe whose reader has gone, as with `| head` when it has seen enough.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// One command of each kind, as often as it is wanted: each call has a folder of its own.
struct Commands {
    folder: tempfile::TempDir,
    chain: DevChain,
    deployment: PathBuf,
    model: PathBuf,
    recipe: PathBuf,
    runs: u32,
}

/// What a command is, and what it says of its result: as text, and if standard output does not take
/// it.
type Case = (&'static str, Command, &'static str);

impl Commands {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let chain = DevChain::start(&folder.path().join(odd("chain")));
        let deployment = folder.path().join("swarm.toml");
        let model = untrained(folder.path());
        let edits = [
            ("steps", "1"),
            ("decay", "0"),
            ("answers", "2"),
            ("checkpoint_every", "1"),
        ];
        let recipe = edited_recipe(folder.path(), &edits);
        let commands = Self {
            folder,
            chain,
            deployment,
            model,
            recipe,
            runs: 0,
        };
        let deployed = ended(&mut commands.deploy(&commands.deployment));
        deployed.expect(0, &[]);
        commands
    }

    fn deploy(&self, file: &Path) -> Command {
        let secret = devchain::secret();
        let environment = [("SWARM_NODE_WALLET_SECRET", secret.as_str())];
        let mut command = command(
            &["chain", "deploy", "--chain", &self.chain.url()],
            &environment,
        );
        command.args(["--set", "chain.poll_ms=10"]).arg(file);
        command
    }

    fn tiny(&self, name: &str) -> Command {
        let mut command = command(
            &[name, "--set", "learn.max_new=4", "--set", "learn.group=2"],
            &[],
        );
        command
            .arg(if name == "demo" { "--base" } else { "--model" })
            .arg(&self.model);
        command
    }

    /// A demo of one round.
    fn demo(&self) -> Command {
        let mut demo = self.tiny("demo");
        demo.args([
            "--simulate",
            "--peers",
            "2",
            "--rounds",
            "1",
            "--set",
            "demo.families=count,max",
            "--set",
            "demo.questions=1",
        ]);
        demo.args([
            "--set",
            "demo.common=1",
            "--set",
            "demo.controls=0",
            "--set",
            "demo.heldout=1",
            "--set",
            "demo.samples=1",
        ]);
        demo.args(["--set", "demo.council=0", "--set", "learn.stage_samples=1"]);
        demo.args(["--set", "demo.cheat=false"]);
        demo
    }

    /// Every command that prints a result.
    fn all(&mut self) -> Vec<Case> {
        self.runs += 1;
        let at = self.folder.path().join(format!("run-{}", self.runs));
        std::fs::create_dir(&at).unwrap();
        let secret = devchain::secret();
        let both = [
            ("SWARM_NODE_WALLET_SECRET", secret.as_str()),
            ("SWARM_NODE_WALLET_PASSWORD", "p"),
        ];
        let with = |arguments: &[&str]| command(arguments, &both);
        let wallet = |action: &str, name: &str| {
            let mut command = with(&["wallet", action]);
            command.arg(at.join(name));
            command
        };
        let mut train = self.tiny("train");
        train
            .args([
                "--steps",
                "2",
                "--set",
                "train.questions=1",
                "--set",
                "train.heldout=1",
                "--out",
            ])
            .arg(at.join("t"));
        let mut pretrain = with(&["pretrain", "--out"]);
        pretrain
            .arg(at.join("pretrained"))
            .arg("--recipe")
            .arg(&self.recipe);
        let mut eval = self.tiny("eval");
        eval.args(["--questions", "1", "--samples", "1", "--show", "1"]);
        let ask = ["receipt", "make", "--prompt", "max 3 1=", "--out"];
        let mut receipt = with(&ask);
        receipt.arg(at.join("receipt.json"));
        let demo = self.demo();
        let mut join = with(&[
            "chain",
            "join",
            "--mint",
            "--stake",
            "1",
            "--set",
            "chain.poll_ms=10",
            "--node-key",
        ]);
        join.arg(at.join("node.key")).arg(&self.deployment);
        // The account is bound to one node; a second key of the same account may be bound, too.
        let mut status = with(&["chain", "status"]);
        status.arg(&self.deployment);
        vec![
            ("help", with(&["--help"]), ""),
            ("config show", with(&["config", "show"]), "[engine]"),
            ("wallet new", wallet("new", "new.json"), "the wallet is in "),
            (
                "wallet import",
                wallet("import", "import.json"),
                "the wallet is in ",
            ),
            ("wallet show", with(&["wallet", "show"]), "0x"),
            ("train", train, "its checkpoints are in "),
            ("pretrain", pretrain, "the model is "),
            ("eval", eval, "mean"),
            ("receipt make", receipt, "the receipt is in "),
            ("demo", demo, "transcript "),
            (
                "chain deploy",
                self.deploy(&at.join("deployment.toml")),
                "rewards      0x",
            ),
            ("chain join", join, "the node has joined: "),
            ("chain status", status, "pool"),
        ]
    }
}

#[test]
fn standard_error_that_takes_nothing_changes_nothing() {
    for (name, mut command, _) in Commands::new().all() {
        let ended = ended(command.stderr(full()).stdout(Stdio::piped()));
        assert_eq!(ended.code, 0, "{name}");
        let said: &[&str] = match name {
            "help" => &["Usage: swarm-node"],
            "config show" => &["[engine]", "threads = "],
            "wallet new" | "wallet import" | "wallet show" => &["0x"],
            "train" => &["2 steps, model "],
            "pretrain" => &["model.safetensors"],
            "eval" => &["max, ", "Held-out pass@1", "mean"],
            "receipt make" => &["answer     \"", "receipt    "],
            "demo" => &[
                "Held-out pass@1 after",
                "careless corpus",
                "1 of 1 epochs final at 0x",
            ],
            "chain deploy" => &["token        0x", "wrote "],
            "chain join" => &["peer id      16Uiu2HA"],
            _ => &["pool         0 tokens"],
        };
        said.iter().for_each(|text| {
            assert!(
                ended.out.contains(text),
                "{name}, no {text:?} in: {}",
                ended.out
            )
        });
    }
}

#[test]
fn a_result_that_nobody_takes_is_told_with_its_place() {
    for (name, mut command, kept) in Commands::new().all() {
        let ended = ended(command.stdout(full()).stderr(Stdio::piped()));
        assert_eq!(ended.code, 1, "{name}: {}", ended.err);
        ended.expect(
            1,
            &["standard output cannot be written", "No space left", kept],
        );
    }
}

#[test]
fn both_outputs_may_take_nothing() {
    for (name, mut command, _) in Commands::new().all() {
        let status = command.stdout(full()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(1), "{name}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_nothing() {
    let mut commands = Commands::new();
    for (name, mut command, _) in commands.all() {
        let status = command.stdout(closed()).stderr(closed()).status().unwrap();
        assert_eq!(status.code(), Some(0), "{name}");
    }
    let made = commands.folder.path().join("run-1");
    assert!(
        made.join("pretrained/model.safetensors").is_file()
            && made.join("deployment.toml").is_file()
    );
    assert!(
        std::fs::read_dir(made.join("t")).unwrap().count() > 0,
        "checkpoints"
    );
}

#[test]
fn json_is_the_only_line_of_standard_output() {
    for (name, mut command, _) in Commands::new().all() {
        if name == "help" {
            continue;
        }
        let ended = ended(command.arg("--json"));
        ended.expect(0, &[]);
        assert_eq!(ended.out.lines().count(), 1, "{name}: {}", ended.out);
        assert!(ended.json().is_object(), "{name}: {}", ended.out);
    }
}

#[test]
fn eval_shows_questions_with_answers_as_written_and_as_read() {
    let folder = tempfile::tempdir().unwrap();
    let model = untrained(folder.path());
    let eval = |extra: &[&str]| {
        let arguments = [
            "eval",
            "--questions",
            "3",
            "--samples",
            "0",
            "--families",
            "max,count",
            "--model",
        ];
        let ended = node(&[&arguments[..], &[model.to_str().unwrap()], extra].concat());
        ended.expect(0, &[]);
        ended
    };
    let shown = eval(&["--show", "2", "--json"]).json();
    let entries = shown["shown"].as_array().unwrap();
    let families: Vec<&str> = entries
        .iter()
        .map(|entry| entry["family"].as_str().unwrap())
        .collect();
    assert_eq!(families, ["max", "max", "count", "count"]);
    for entry in entries {
        let [question, answer, gold] =
            ["question", "answer", "gold"].map(|key| entry[key].as_str().unwrap());
        assert!(
            !question.is_empty() && !gold.is_empty() && entry["right"].is_boolean(),
            "{entry}"
        );
        assert_eq!(entry["right"], entry["read"] == gold, "{answer:?}: {entry}");
    }
    let text = eval(&["--show", "1"]).out;
    for part in [
        "max, ",
        "count, ",
        "  question  \"",
        "  answer    \"",
        "  read      ",
        "  gold      \"",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert_eq!(eval(&["--json"]).json()["shown"], Value::Null);
    assert_eq!(eval(&["--json"]).json()["greedy"], shown["greedy"]);
}

/// Bytes that are no UTF-8.
fn odd(text: &str) -> OsString {
    OsString::from_vec([text.as_bytes(), b"\xff\xfe"].concat())
}

#[test]
fn a_variable_of_ours_that_is_not_text_is_refused_without_its_value() {
    for name in [
        "SWARM_NODE_WALLET_SECRET",
        "SWARM_NODE_WALLET_PASSWORD",
        "SWARM_NODE_CONFIG",
        "SWARM_NODE_TRAIN_OUT",
    ] {
        let ended = ended(command(&["config", "show"], &[]).env(name, odd("secret-value")));
        ended.expect(2, &[name, "not UTF-8", "unset it"]);
        assert!(!ended.err.contains("secret-value"), "{}", ended.err);
    }
    let mut others = command(&["config", "show"], &[]);
    ended(others.env(odd("SWARM_NODE_"), "x").env("OTHER", odd("x"))).expect(0, &[]);
}

#[test]
fn paths_that_are_not_text_work_or_are_refused_before_the_work() {
    let mut commands = Commands::new();
    let at = commands.folder.path().join("paths");
    std::fs::create_dir(&at).unwrap();
    let pretrain = |json: &[&str]| {
        let mut command = command(&["pretrain", "--recipe"], &[]);
        ended(
            command
                .arg(&commands.recipe)
                .arg("--out")
                .arg(at.join(odd("run")))
                .args(json),
        )
    };
    pretrain(&["--json"]).expect(2, &["not UTF-8", "--json"]);
    assert_eq!(
        std::fs::read_dir(&at).unwrap().count(),
        0,
        "nothing is begun"
    );
    pretrain(&[]).expect(0, &[]);
    assert!(at.join(odd("run")).join("model.safetensors").is_file());
    ended(&mut commands.deploy(&at.join(odd("swarm.toml")))).expect(0, &[]);
    ended(command(&["chain", "status", "--json"], &[]).arg(at.join(odd("swarm.toml"))))
        .expect(0, &[]);
    let password = [("SWARM_NODE_WALLET_PASSWORD", "p")];
    for action in ["new", "show"] {
        ended(command(&["wallet", action, "--json"], &password).arg(at.join(odd("wallet.json"))))
            .expect(0, &[]);
    }
    let secret = devchain::secret();
    let mut join = command(
        &[
            "chain",
            "join",
            "--mint",
            "--stake",
            "1",
            "--json",
            "--set",
            "chain.poll_ms=10",
        ],
        &[],
    );
    join.env("SWARM_NODE_WALLET_SECRET", &secret)
        .arg("--node-key")
        .arg(at.join(odd("node.key")));
    ended(join.arg(at.join(odd("swarm.toml")))).expect(0, &[]);
    let settings = at.join(odd("settings.toml"));
    std::fs::write(&settings, "[demo]\nrounds = 3\n").unwrap();
    let shown = ended(command(&["config", "show", "--json", "--config"], &[]).arg(&settings));
    shown.expect(0, &[]);
    assert_eq!(shown.json()["demo.rounds"]["value"], 3);
    ended(command(&["settle"], &[("SWARM_NODE_WALLET_SECRET", &secret)]).arg(at.join(odd("none"))))
        .expect(1, &["is no run"]);
    for (name, flag) in [
        ("train", "--out"),
        ("train", "--model"),
        ("train", "--gsm8k"),
        ("eval", "--model"),
    ] {
        ended(command(&[name, flag], &[]).arg(at.join(odd("x")))).expect(2, &["invalid UTF-8"]);
    }
    commands.runs += 1;
}

#[test]
fn nothing_is_deployed_unless_its_file_can_be_written() {
    let commands = Commands::new();
    let before = commands.chain.account();
    let missing = commands.folder.path().join("none/swarm.toml");
    ended(&mut commands.deploy(&missing)).expect(
        2,
        &["none/swarm.toml cannot be written", "nothing was deployed"],
    );
    ended(&mut commands.deploy(&commands.model.join("x.toml"))).expect(2, &["cannot be written"]);
    ended(&mut commands.deploy(&commands.deployment)).expect(2, &["swarm.toml exists"]);
    let link = commands.folder.path().join("link.toml");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    ended(&mut commands.deploy(&link)).expect(2, &["link.toml exists"]);
    assert_eq!(commands.chain.account(), before);
}

#[test]
fn a_demo_pays_for_nothing_that_it_cannot_keep() {
    let commands = Commands::new();
    let before = commands.chain.account();
    let runs = commands.model.join("runs");
    let mut demo = commands.demo();
    demo.args([
        "--chain",
        &commands.chain.url(),
        "--set",
        &format!("demo.run={}", runs.display()),
    ]);
    let ended = ended(demo.env("SWARM_NODE_WALLET_SECRET", devchain::secret()));
    ended.expect(
        1,
        &["untrained.safetensors/runs cannot be written", "demo.run"],
    );
    assert!(
        ended.out.contains("Held-out pass@1 after"),
        "it learns all the same: {}",
        ended.out
    );
    assert_eq!(commands.chain.account(), before);
}

#[test]
fn a_deployment_that_is_given_up_says_what_is_on_the_chain() {
    let commands = Commands::new();
    let file = commands.folder.path().join("late.toml");
    let mut deploy = commands.deploy(&file);
    let ended = ended(deploy.args([
        "--set",
        "chain.confirmations=1000",
        "--set",
        "chain.wait_s=2",
    ]));
    ended.expect(
        1,
        &[
            "gave up after 2 s",
            "token 0x",
            "members 0x",
            "rewards 0x",
            "slasher 0x",
            "(transaction 0x",
            "--token",
        ],
    );
    assert!(!file.exists());
    assert_eq!(
        names(commands.folder.path(), ".partial-"),
        0,
        "no temporary file stays"
    );
}

fn names(folder: &Path, prefix: &str) -> usize {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    entries
        .filter(|name| name.to_string_lossy().starts_with(prefix))
        .count()
}

#[test]
fn a_wallet_that_cannot_be_written_names_the_right_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let password = [("SWARM_NODE_WALLET_PASSWORD", "p")];
    let ended = node_with(
        &["wallet", "new", file.join("wallet.json").to_str().unwrap()],
        &password,
    );
    ended.expect(
        1,
        &[
            "file/wallet.json cannot be written",
            "name a file in a folder",
        ],
    );
    let ended = node_with(&["wallet", "new", "/proc/none/wallet.json"], &password);
    ended.expect(
        1,
        &[
            "/proc/none/wallet.json cannot be written",
            "name a file in a folder",
        ],
    );
    assert!(!ended.err.contains("wallet new"), "{}", ended.err);
}
