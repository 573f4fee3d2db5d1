//! A client by other hands: js-libp2p reads a node's records over both transports and checks their
//! signatures. It is skipped where Node.js or the client's packages are not installed.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::network::Node;

/// Records that the client reads and checks.
const RECORDS: usize = 5;

/// The client's folder, if it can run here.
fn client() -> Option<&'static Path> {
    let folder = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../experiments/js-client"
    ));
    let node = Command::new("node").arg("--version").output();
    let is_there = node.is_ok_and(|node| node.status.success());
    (is_there && folder.join("node_modules").is_dir()).then_some(folder)
}

/// What the client says of a node at this address, a line each.
fn read(folder: &Path, address: &str) -> Vec<Value> {
    let mut command = Command::new("node");
    command.current_dir(folder).arg("client.js");
    let ended = command
        .args([address, &RECORDS.to_string(), "100"])
        .output();
    let ended = ended.expect("node starts");
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{address}: {errors}");
    let lines = String::from_utf8(ended.stdout).expect("the output is text");
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    lines.collect()
}

#[test]
fn a_client_by_other_hands_reads_and_checks_records() {
    let Some(folder) = client() else {
        eprintln!("skipped: needs Node.js, and `npm ci` in experiments/js-client");
        return;
    };
    let mut one = Node::new();
    let file = one.found_swarm("1");
    one.up(&["--swarm", file.to_str().expect("a path")]);
    let status = one.wait_for("addresses", |status| {
        status["listening"]
            .as_array()
            .is_some_and(|all| all.len() == 2)
    });
    for address in status["listening"].as_array().expect("a list") {
        let said = read(folder, address.as_str().expect("a text"));
        let (node, records) = said.split_first().expect("lines");
        assert_eq!(node["node"], status["peer"], "{node}");
        assert!(records.len() >= RECORDS, "{records:?}");
        for record in records {
            assert_eq!(record["signed"], true, "{record}");
            assert!(
                record["round"].is_u64() && record["kind"].is_string(),
                "{record}"
            );
        }
    }
}
