//! Kills a signing process again and again, and holds every signature it gave out against the table
//! it left.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use swarm_identity::digest::{Digest32, Hasher, hex};
use swarm_identity::key::NodeKey;
use swarm_identity::testing::place;
use swarm_identity::{Place, SignError, SignOnceError, Signer};

use crate::SignOnceTable;
use crate::Store;

const KILLS: u64 = 12;
const FILE: &str = "SWARM_NODE_TEST_STORE";
const RUN: &str = "SWARM_NODE_TEST_RUN";

fn signer(path: &Path) -> Signer<SignOnceTable> {
    Signer::new(
        NodeKey::from_secret(&[1; 32]).unwrap(),
        Store::open(path).unwrap().sign_once(),
    )
}

/// A place, and the digest that a run wants to sign there; every run wants another one.
fn wish(run: u64, slot: u16) -> (Place, Digest32) {
    (
        place(1, 1, u64::from(slot) / 8, slot),
        Hasher::new("crash").u64(run).u64(slot.into()).finish(),
    )
}

/// The process that is killed: signs what is still free, and tells each signature to the outside
/// world.
#[test]
#[ignore = "runs as a process of the test below"]
fn child() {
    // Without the parent there is nothing to do.
    let Ok(path) = std::env::var(FILE).map(PathBuf::from) else {
        return;
    };
    let run = std::env::var(RUN).unwrap().parse().unwrap();
    let (signer, mut out) = (signer(&path), std::io::stdout());
    for slot in 0..u16::MAX {
        let (place, digest) = wish(run, slot);
        match signer.sign(&place, &digest) {
            Ok(signature) => {
                writeln!(out, "signed {slot} {}", const_hex::encode(signature)).unwrap()
            }
            Err(SignError::Once(SignOnceError::Conflict { .. })) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

/// Starts a child, kills it after `lines` signatures, and returns all that left it.
fn killed_after(lines: usize, path: &Path, run: u64) -> Vec<(u16, String)> {
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("{module}::child"),
            "--ignored",
            "--nocapture",
        ])
        .env(FILE, path)
        .env(RUN, run.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .filter_map(parse);
    let mut signed: Vec<_> = told.by_ref().take(lines).collect();
    // SIGKILL: no destructor runs, nothing is flushed.
    child.kill().unwrap();
    signed.extend(told);
    child.wait().unwrap();
    signed
}

/// A line that was cut short by the kill did not leave the process whole.
fn parse(line: String) -> Option<(u16, String)> {
    let (slot, signature) = line.split_once("signed ")?.1.split_once(' ')?;
    (signature.len() == 128).then_some((slot.parse().ok()?, signature.to_owned()))
}

#[test]
fn a_killed_process_leaves_no_signature_that_the_table_does_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.redb");
    let mut signed: BTreeMap<u16, (u64, String)> = BTreeMap::new();
    for run in 0..KILLS {
        let new = killed_after(1 + (run as usize * 7) % 23, &path, run);
        assert!(!new.is_empty());
        for (slot, signature) in new {
            let before = signed.insert(slot, (run, signature));
            assert_eq!(before, None, "slot {slot} was signed twice");
        }
        let signer = signer(&path);
        signed
            .iter()
            .for_each(|(slot, (run, signature))| check(&signer, *slot, *run, signature));
    }
    assert!(signed.len() as u64 >= KILLS);
}

/// Another digest is refused; then, so that the check itself commits nothing, the run's own has the
/// same signature.
fn check(signer: &Signer<SignOnceTable>, slot: u16, run: u64, signature: &str) {
    let ((place, digest), (_, other)) = (wish(run, slot), wish(run + 1, slot));
    let refused = signer.sign(&place, &other).unwrap_err().to_string();
    assert!(
        refused.contains(&hex(&digest)) && refused.contains(&hex(&other)),
        "{refused}"
    );
    assert_eq!(
        const_hex::encode(signer.sign(&place, &digest).unwrap()),
        signature
    );
}
