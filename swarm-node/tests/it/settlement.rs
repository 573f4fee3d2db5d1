//! Rewards on chains: paid exactly, whatever the chain does, and clear words where they cannot be.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use contracts::deploy::Deployment;
use serde_json::{Value, json};

use crate::anvil::{self, Anvil};
use crate::faults::Faults;
use crate::node::{Ended, node, node_with, start, untrained};

/// Units of the token that a point is worth.
const UNITS_PER_POINT: u128 = 1_000_000_000_000;

/// The smallest demo whose peers earn something: even an untrained model writes readable answers
/// now and then.
pub fn demo(folder: &Path, extra: &[&str], environment: &[(&str, &str)]) -> Ended {
    let base = untrained(folder);
    let mut arguments = vec![
        "demo",
        "--simulate",
        "--json",
        "--base",
        base.to_str().unwrap(),
        "--peers",
        "2",
        "--rounds",
        "5",
    ];
    let settings = [
        "demo.epoch=2",
        "demo.questions=1",
        "demo.common=1",
        "demo.heldout=1",
        "demo.samples=1",
        "demo.council=0",
        "demo.cheat=false",
        "demo.families=count,max",
        "learn.group=2",
        "learn.stage_samples=1",
        "learn.max_new=4",
        "chain.poll_ms=100",
    ];
    settings
        .iter()
        .for_each(|setting| arguments.extend(["--set", setting]));
    let run = format!("demo.run={}", runs(folder).display());
    arguments.extend(["--set", &run]);
    arguments.extend(extra);
    node_with(&arguments, environment)
}

pub fn runs(folder: &Path) -> PathBuf {
    folder.join("runs")
}

fn on(url: &str, folder: &Path, extra: &[&str]) -> Ended {
    let mut arguments = vec!["--chain", url];
    arguments.extend(extra);
    demo(
        folder,
        &arguments,
        &[("SWARM_NODE_WALLET_SECRET", anvil::SECRET)],
    )
}

/// Tokens of an account, asked of the chain itself.
fn balance(chain: &Anvil, token: &str, account: &str) -> u128 {
    let data = format!("0x70a08231{:0>64}", account.trim_start_matches("0x"));
    let units = chain
        .ask("eth_call", json!([{ "to": token, "data": data }, "latest"]))
        .unwrap();
    u128::from_str_radix(units.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// Every owner has on chain what the transcripts' scores are worth, to the unit.
fn assert_paid(chain: &Anvil, summary: &Value) {
    assert_eq!(summary["settled"], true, "{summary}");
    assert_eq!(summary["claimed"], summary["earned"]);
    let token = summary["chain"]["token"].as_str().unwrap();
    let owners = summary["chain"]["owners"].as_array().unwrap();
    let scores = summary["scores"].as_array().unwrap();
    assert_eq!((owners.len(), scores.len()), (2, 2));
    for (owner, points) in owners.iter().zip(scores) {
        let expected = u128::from(points.as_u64().unwrap()) * UNITS_PER_POINT;
        assert_eq!(
            balance(chain, token, owner.as_str().unwrap()),
            expected,
            "{summary}"
        );
    }
    assert!(
        scores.iter().any(|points| points.as_u64() > Some(0)),
        "nobody earned anything: {summary}"
    );
}

#[test]
fn the_embedded_chain_pays_what_the_scores_say() {
    let folder = tempfile::tempdir().unwrap();
    let ended = demo(folder.path(), &[], &[]);
    ended.expect(0, &[]);
    let summary = ended.json();
    assert_eq!(
        (&summary["settled"], &summary["chain"]["endpoint"]),
        (&json!(true), &json!("embedded"))
    );
    let text = |points: &Value| format!("{:.6}", points.as_f64().unwrap() / 1e6);
    for (points, claimed) in summary["scores"]
        .as_array()
        .unwrap()
        .iter()
        .zip(summary["claimed"].as_array().unwrap())
    {
        assert_eq!(
            text(points),
            format!("{:.6}", claimed.as_str().unwrap().parse::<f64>().unwrap())
        );
    }
    assert_eq!(
        (&summary["epochs"], &summary["epochs_final"]),
        (&json!(3), &json!(3))
    );
}

#[test]
fn without_a_chain_a_swarm_learns_and_says_what_it_forgoes() {
    let folder = tempfile::tempdir().unwrap();
    let ended = demo(folder.path(), &["--chain", "none"], &[]);
    ended.expect(0, &[]);
    assert_eq!(
        (&ended.json()["settled"], &ended.json()["chain"]),
        (&json!(false), &Value::Null)
    );
    assert!(
        ended.json()["trouble"]
            .as_str()
            .unwrap()
            .contains("no chain is set"),
        "{}",
        ended.out
    );
    let settled = demo(folder.path(), &[], &[]).json();
    assert_eq!(
        ended.json()["transcript_digest"],
        settled["transcript_digest"],
        "a chain changes no round"
    );
}

#[test]
fn a_real_chain_pays_what_the_scores_say() {
    if !anvil::is_installed() {
        return;
    }
    let (folder, chain) = (tempfile::tempdir().unwrap(), Anvil::start(&[]));
    let ended = on(&chain.url(), folder.path(), &[]);
    ended.expect(0, &[]);
    assert_paid(&chain, &ended.json());
}

#[test]
fn a_chain_that_comes_late_is_caught_up_with() {
    if !anvil::is_installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = anvil::free_port();
    let late = thread::spawn(move || {
        thread::sleep(Duration::from_secs(6));
        Anvil::start_at(port, &[])
    });
    let ended = on(&format!("http://127.0.0.1:{port}"), folder.path(), &[]);
    let chain = late.join().unwrap();
    ended.expect(0, &["does not answer", "rounds go on"]);
    assert_paid(&chain, &ended.json());
}

/// A demo whose process ends before its last epoch does; then processes that settle are killed
/// again and again.
#[test]
fn what_a_demo_leaves_is_settled_later_and_once() {
    if !anvil::is_installed() {
        return;
    }
    let (folder, chain) = (tempfile::tempdir().unwrap(), Anvil::start(&[]));
    let ended = on(&chain.url(), folder.path(), &["--set", "chain.wait_s=5"]);
    ended.expect(1, &["not all rewards are settled"]);
    let said = ended.err;
    let run = std::fs::read_dir(runs(folder.path()))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let run = run.to_str().unwrap();
    assert!(
        said.contains(&format!("later: swarm-node settle {run}")),
        "{said}"
    );
    let settle = ["settle", run, "--json", "--set", "chain.poll_ms=50"];
    let secret = [("SWARM_NODE_WALLET_SECRET", anvil::SECRET)];
    for milliseconds in [100, 300, 500, 700, 900] {
        let mut process = start(&settle, &secret);
        thread::sleep(Duration::from_millis(milliseconds));
        process.kill().unwrap();
        process.wait().unwrap();
    }
    for _ in 0..2 {
        let ended = node_with(&settle, &secret);
        ended.expect(0, &[]);
        assert_paid(&chain, &ended.json());
    }
    node_with(&settle, &[("SWARM_NODE_WALLET_SECRET", &"22".repeat(32))])
        .expect(1, &["take the wallet that paid"]);
    node_with(&["settle", "nowhere"], &secret).expect(1, &["is no run of a demo"]);
    drop(chain);
    node_with(
        &[&settle[..], &["--set", "chain.wait_s=1"]].concat(),
        &secret,
    )
    .expect(1, &["does not answer"]);
}

/// Blocks every second; a line on which requests fail, are slow, or lose their answer; three blocks
/// leave the chain again and again; and the chain is stopped and started in the middle.
#[test]
fn restarts_errors_and_reorganisations_lose_and_double_nothing() {
    if !anvil::is_installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("chain.json");
    let mut chain = Anvil::start(&["--block-time", "1", "--state", state.to_str().unwrap()]);
    let line = Faults::before(chain.port());
    let url = line.url();
    let (home, set) = (
        folder.path().to_owned(),
        [
            "--set",
            "chain.confirmations=4",
            "--set",
            "chain.wait_s=400",
        ],
    );
    let run = thread::spawn(move || on(&url, &home, &set));
    for turn in 0..60 {
        if run.is_finished() {
            break;
        }
        thread::sleep(Duration::from_secs(4));
        if turn % 8 == 5 {
            chain.stop();
            thread::sleep(Duration::from_secs(2));
            chain.restart();
        } else {
            // Right after its start the chain may be too short for it; then nothing happens.
            chain.ask("anvil_reorg", json!([3, []]));
        }
    }
    let ended = run.join().unwrap();
    ended.expect(0, &[]);
    assert!(
        line.requests() > 100,
        "{} requests met the faulty line",
        line.requests()
    );
    assert_paid(&chain, &ended.json());
}

#[test]
fn what_is_wrong_with_a_chain_or_a_wallet_is_said_with_the_fix_and_the_swarm_learns_all_the_same() {
    if !anvil::is_installed() {
        return;
    }
    let (folder, chain) = (tempfile::tempdir().unwrap(), Anvil::start(&[]));
    let url = chain.url();
    let short = ["--set", "chain.wait_s=2"];
    let learned = |ended: &Ended| {
        assert_eq!(ended.json()["settled"], false);
        assert!(ended.json()["heldout_after"].is_number(), "{}", ended.out);
    };

    let wrong_chain = on(&url, folder.path(), &["--set", "chain.id=1"]);
    wrong_chain.expect(
        1,
        &["serves chain 31337, but chain 1 is expected", "chain.id"],
    );
    learned(&wrong_chain);

    let dead = on(
        &format!("http://127.0.0.1:{}", anvil::free_port()),
        folder.path(),
        &short,
    );
    dead.expect(1, &["does not answer", "check that it runs"]);
    learned(&dead);

    let arguments = ["--chain", &url, short[0], short[1]];
    let poor = demo(
        folder.path(),
        &arguments,
        &[("SWARM_NODE_WALLET_SECRET", &"11".repeat(32))],
    );
    poor.expect(1, &["holds 0 wei and needs", "send it"]);
    learned(&poor);

    let nobody = demo(folder.path(), &arguments, &[]);
    nobody.expect(1, &["there is no wallet", "swarm-node wallet new"]);
    learned(&nobody);

    let wallet = wallet(folder.path(), "right");
    let arguments = [
        "--chain",
        &url,
        "--set",
        &format!("wallet.file={}", wallet.display()),
    ];
    let stranger = demo(
        folder.path(),
        &arguments,
        &[("SWARM_NODE_WALLET_PASSWORD", "wrong")],
    );
    stranger.expect(1, &["password"]);
    assert!(
        !stranger.err.contains("wrong\n"),
        "the password is not repeated"
    );
    learned(&stranger);
}

/// A keystore of anvil's first account with this password.
fn wallet(folder: &Path, password: &str) -> PathBuf {
    let path = folder.join("wallet.json");
    let environment = [
        ("SWARM_NODE_WALLET_SECRET", anvil::SECRET),
        ("SWARM_NODE_WALLET_PASSWORD", password),
    ];
    let ended = node_with(&["wallet", "import", path.to_str().unwrap()], &environment);
    ended.expect(0, &[]);
    assert_eq!(
        ended.out.trim(),
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    );
    path
}

#[test]
fn an_empty_password_is_refused_wherever_it_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.json");
    let file = path.to_str().unwrap();
    let empty = ("SWARM_NODE_WALLET_PASSWORD", "");
    node_with(&["wallet", "new", file], &[empty])
        .expect(1, &["SWARM_NODE_WALLET_PASSWORD is empty"]);
    let secret = ("SWARM_NODE_WALLET_SECRET", anvil::SECRET);
    node_with(&["wallet", "import", file], &[secret, empty])
        .expect(1, &["SWARM_NODE_WALLET_PASSWORD is empty"]);
    let password = tempfile::NamedTempFile::new_in(folder.path()).unwrap();
    let setting = format!("wallet.password_file={}", password.path().display());
    node(&["wallet", "new", file, "--set", &setting]).expect(1, &["in the file", "is empty"]);
    assert!(!path.exists(), "nothing is written");
}

#[cfg(unix)]
#[test]
fn secrets_that_others_can_read_are_refused() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.json");
    let file = path.to_str().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "a long password\n").unwrap();
    let setting = format!("wallet.password_file={}", password.display());
    let open = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap()
    };
    open(&password, 0o644);
    node(&["wallet", "new", file, "--set", &setting]).expect(1, &["(mode 644)", "chmod 600"]);
    assert!(!path.exists(), "nothing is written");
    open(&password, 0o600);
    node(&["wallet", "new", file, "--set", &setting]).expect(0, &["wrote"]);
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    open(&path, 0o640);
    node(&["wallet", "show", file]).expect(1, &["(mode 640)", "chmod 600"]);
}

#[test]
fn wallets_are_made_shown_and_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.json");
    let file = path.to_str().unwrap();
    let password = [("SWARM_NODE_WALLET_PASSWORD", "a long password")];
    let made = node_with(&["wallet", "new", file], &password);
    made.expect(0, &["wrote"]);
    let shown = node(&["wallet", "show", file, "--json"]);
    shown.expect(0, &[]);
    assert_eq!(shown.json()["address"], made.out.trim());
    let before = std::fs::read(&path).unwrap();
    node_with(&["wallet", "new", file], &password).expect(1, &["mine.json", "exist"]);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    std::fs::write(&path, &before[..before.len() / 2]).unwrap();
    node(&["wallet", "show", file]).expect(1, &["mine.json", "truncated or corrupted"]);
    node(&["wallet", "show"]).expect(2, &["swarm-node wallet new"]);
}

#[test]
fn a_private_swarm_is_deployed_joined_and_looked_at() {
    if !anvil::is_installed() {
        return;
    }
    let (folder, chain) = (tempfile::tempdir().unwrap(), Anvil::start(&[]));
    let file = folder.path().join("swarm.toml");
    let (file, url) = (file.to_str().unwrap(), chain.url());
    let secret = [("SWARM_NODE_WALLET_SECRET", anvil::SECRET)];
    let terms = [
        "--genesis",
        "1767225600",
        "--round-seconds",
        "60",
        "--rounds-per-epoch",
        "10",
        "--name",
        "anvil",
    ];
    let deploy = [
        "chain",
        "deploy",
        file,
        "--chain",
        &url,
        "--set",
        "chain.poll_ms=50",
    ];
    let deployed = node_with(&[&deploy[..], &terms[..]].concat(), &secret);
    deployed.expect(0, &["deploying from"]);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/chains/anvil.toml");
    let (mine, shipped) = (
        Deployment::read(Path::new(file)).unwrap(),
        Deployment::read(&shipped).unwrap(),
    );
    assert_eq!(
        (mine.contracts, mine.parameters),
        (shipped.contracts, shipped.parameters)
    );
    let status = node_with(&["chain", "status", file, "--json"], &secret);
    status.expect(0, &[]);
    let status = status.json();
    assert!(
        deployed.out.contains(status["rewards"].as_str().unwrap()),
        "{status}"
    );
    assert_eq!(
        (&status["chain"], &status["pool"]),
        (&json!("31337"), &json!("0 tokens"))
    );
    node_with(&["chain", "deploy", file, "--chain", &url], &secret)
        .expect(2, &["swarm.toml exists"]);
    let key = folder.path().join("node.key");
    let fast = [
        "--node-key",
        key.to_str().unwrap(),
        "--set",
        "chain.poll_ms=50",
        "--json",
    ];
    let join = |extra: &[&str], secret: &str| {
        let arguments = [&["chain", "join", file][..], &fast[..], extra].concat();
        node_with(&arguments, &[("SWARM_NODE_WALLET_SECRET", secret)])
    };
    join(&["--stake", "7"], anvil::SECRET)
        .expect(1, &["holds 0 tokens and is to stake 7", "--mint"]);
    for total in ["7 tokens", "14 tokens"] {
        let joined = join(&["--stake", "7", "--mint"], anvil::SECRET);
        joined.expect(0, &[]);
        assert_eq!(joined.json()["stake"], total);
        assert!(
            joined.json()["peer id"]
                .as_str()
                .unwrap()
                .starts_with("16Uiu2HA"),
            "{}",
            joined.out
        );
    }
    let stranger = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
    join(&["--stake", "1", "--mint"], stranger)
        .expect(1, &["is bound to 0xf39Fd6e5", "--node-key"]);
    let other = Anvil::start(&[]);
    node(&["chain", "status", file, "--chain", &other.url()])
        .expect(1, &["no contract at", "chain deploy"]);
    let edited = folder.path().join("edited.toml");
    let text = std::fs::read_to_string(file)
        .unwrap()
        .replace("round_length = 60", "round_length = 0");
    std::fs::write(&edited, text).unwrap();
    node(&["chain", "status", edited.to_str().unwrap()])
        .expect(1, &["round_length = 0 must be 1 to"]);
    let long = [
        "chain",
        "deploy",
        "x.toml",
        "--chain",
        &url,
        "--round-seconds",
        "0",
    ];
    node_with(&long, &secret).expect(2, &["round_length = 0 must be 1 to"]);
    node(&["chain", "status"]).expect(2, &["give --chain URL"]);
}
