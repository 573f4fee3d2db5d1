//! Keys in the URL of a chain's RPC server are written and shown nowhere.

use std::path::Path;

use swarm_devchain::dev_accounts;

use crate::devchain::DevChain;
use crate::node::{Ended, node, node_with};
use crate::settlement::{demo, runs};

const KEY: &str = "3f9c0123456789abcdef";

/// Everything that lies below a folder.
fn written(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        bytes.extend(if path.is_dir() {
            written(&path)
        } else {
            std::fs::read(&path).unwrap()
        });
    }
    bytes
}

fn assert_silent(ended: &Ended) {
    assert!(
        !ended.out.contains(KEY) && !ended.err.contains(KEY),
        "{}\n{}",
        ended.out,
        ended.err
    );
}

#[test]
fn a_url_with_a_key_is_used_and_neither_kept_nor_shown() {
    let [folder, place] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let chain = DevChain::start(place.path());
    let url = format!("http://me:{KEY}@{}/?key={KEY}", chain.address());
    let shown = format!("http://{}/…", chain.address());
    let secret = dev_accounts()[0].secret.to_string();
    let environment = [("SWARM_NODE_WALLET_SECRET", secret.as_str())];
    let run = |arguments: &[&str], code: i32, said: &[&str]| {
        let ended = node_with(
            &[arguments, &["--set", "chain.poll_ms=50"]].concat(),
            &environment,
        );
        ended.expect(code, said);
        assert_silent(&ended);
        ended
    };

    let file = folder.path().join("swarm.toml");
    let file = file.to_str().unwrap();
    run(
        &["chain", "deploy", file, "--chain", &url, "--json"],
        0,
        &["is not in", "give --chain URL"],
    );
    assert!(!std::fs::read_to_string(file).unwrap().contains("rpc"));
    run(&["chain", "status", file], 2, &["give --chain URL"]);
    let status = run(
        &["chain", "status", file, "--chain", &url, "--json"],
        0,
        &[],
    )
    .json();
    assert_eq!(status["endpoint"], shown.as_str());
    let key = folder.path().join("node.key");
    run(
        &[
            "chain",
            "join",
            file,
            "--chain",
            &url,
            "--mint",
            "--node-key",
            key.to_str().unwrap(),
        ],
        0,
        &[],
    );

    let ended = demo(
        folder.path(),
        &["--chain", &url, "--set", "chain.wait_s=1"],
        &environment,
    );
    ended.expect(1, &["not all rewards are settled"]);
    assert_silent(&ended);
    let run_folder = std::fs::read_dir(runs(folder.path()))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let run_folder = run_folder.to_str().unwrap();
    ended.expect(
        1,
        &[&format!(
            "later: swarm-node settle {run_folder} --chain URL"
        )],
    );
    assert_eq!(ended.json()["chain"]["endpoint"], shown.as_str());
    run(
        &["settle", run_folder],
        2,
        &["run.toml", "--chain URL", "SWARM_NODE_CHAIN_ENDPOINT"],
    );
    let settled = run(&["settle", run_folder, "--chain", &url, "--json"], 0, &[]).json();
    assert_eq!(
        (&settled["settled"], &settled["chain"]["endpoint"]),
        (&true.into(), &shown.into())
    );

    let text = String::from_utf8_lossy(&written(folder.path())).into_owned();
    assert!(
        text.contains("rewards") && !text.contains(KEY),
        "a file has the key"
    );
    let text = String::from_utf8_lossy(&written(place.path())).into_owned();
    assert!(!text.contains(KEY));
}

#[test]
fn a_url_without_a_key_is_kept() {
    let [folder, place] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let chain = DevChain::start(place.path());
    let url = format!("http://{}", chain.address());
    let secret = dev_accounts()[0].secret.to_string();
    let environment = [("SWARM_NODE_WALLET_SECRET", secret.as_str())];
    let ended = demo(
        folder.path(),
        &["--chain", &url, "--set", "chain.wait_s=1"],
        &environment,
    );
    ended.expect(1, &["not all rewards are settled"]);
    let run = std::fs::read_dir(runs(folder.path()))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let run = run.to_str().unwrap();
    ended.expect(1, &[&format!("later: swarm-node settle {run}\n")]);
    node_with(&["settle", run, "--set", "chain.poll_ms=50"], &environment).expect(0, &[]);
}

#[test]
fn no_error_shows_a_key() {
    let file = tempfile::tempdir().unwrap();
    let deployment = file.path().join("x.toml");
    let deployment = deployment.to_str().unwrap();
    for url in [
        format!("http://127.0.0.1:9/v3/{KEY}"),
        format!("http://me:{KEY}@127.0.0.1:9"),
        format!("wss://rpc.example/v3/{KEY}"),
        format!("rpc.example/{KEY}"),
        format!("http://{KEY}@"),
        format!("https://a:b:c/{KEY}"),
    ] {
        for arguments in [
            vec!["chain", "status", "--chain", &url],
            vec!["chain", "deploy", deployment, "--chain", &url],
            vec!["settle", "nowhere", "--chain", &url],
            vec![
                "demo",
                "--rounds",
                "0",
                "--chain",
                &url,
                "--set",
                "chain.wait_s=0",
                "--set",
                "demo.heldout=1",
            ],
        ] {
            let ended = node_with(
                &arguments,
                &[("SWARM_NODE_WALLET_SECRET", &"11".repeat(32))],
            );
            assert!(ended.code != 0, "{arguments:?}");
            assert_silent(&ended);
        }
    }
    let url = format!("https://rpc.example/v3/{KEY}");
    for extra in ["--origin", "--json"] {
        let ended = node_with(
            &["config", "show", extra],
            &[("SWARM_NODE_CHAIN_ENDPOINT", &url)],
        );
        ended.expect(0, &[]);
        assert_silent(&ended);
        assert!(ended.out.contains("https://rpc.example/…"), "{}", ended.out);
    }
    node(&["chain", "status", "--chain", "https://rpc.example/…"])
        .expect(2, &["was cut", "--chain"]);
}
