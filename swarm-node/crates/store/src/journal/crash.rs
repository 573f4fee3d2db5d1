//! Kills a process that writes a journal and signs, and looks at what it left.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use swarm_identity::SignOnce;
use swarm_identity::testing::place;

use crate::Store;

const KILLS: u64 = 12;
const FILE: &str = "SWARM_NODE_TEST_JOURNAL";
const SWARM: [u8; 32] = [1; 32];
/// Records between two signatures, and in a segment.
const RECORDS: u64 = 5;

/// The process that is killed: goes on with the journal, signs after every few records, and tells
/// the outside world how many records there were then.
#[test]
#[ignore = "runs as a process of the test below"]
fn child() {
    // Without the parent there is nothing to do.
    let Ok(path) = std::env::var(FILE).map(PathBuf::from) else {
        return;
    };
    let store = Store::open(&path).unwrap();
    let (journal, table, mut out) = (store.journal(SWARM), store.sign_once(), std::io::stdout());
    let begin = journal.all().unwrap().len() as u64;
    for number in begin.. {
        let segment = number / RECORDS;
        let record = number.to_le_bytes().to_vec();
        journal.append(segment, &[record]).unwrap();
        store.archive(SWARM).put(number, &[1]).unwrap();
        if number % RECORDS == 2 {
            table.commit(&place(1, 1, number, 0), &[7; 32]).unwrap();
            writeln!(out, "signed after {number} records").unwrap();
        }
    }
}

/// Starts a child, kills it after `lines` signatures, and returns how many records there were at
/// the last one.
fn killed_after(lines: usize, path: &Path) -> u64 {
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("{module}::child"),
            "--ignored",
            "--nocapture",
        ])
        .env(FILE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| {
            let (number, _) = line.split_once("signed after ")?.1.split_once(" records")?;
            number.parse().ok()
        });
    let signed: Vec<u64> = told.by_ref().take(lines).collect();
    // SIGKILL: no destructor runs, nothing is flushed.
    child.kill().unwrap();
    let last = told.last().or(signed.last().copied());
    child.wait().unwrap();
    last.unwrap()
}

#[test]
fn a_killed_process_leaves_every_record_before_its_last_signature() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.redb");
    let mut before = 0;
    for run in 0..KILLS {
        let last = killed_after(1 + (run as usize * 7) % 23, &path);
        let store = Store::open(&path).unwrap();
        let records = store.journal(SWARM).all().unwrap();
        // A beginning of what was written, and long enough.
        let numbers = (0..records.len() as u64).map(|number| number.to_le_bytes().to_vec());
        assert!(numbers.eq(records.iter().cloned()), "run {run}");
        assert!(records.len() as u64 > last, "{} of {last}", records.len());
        let (_, archived) = store.archive(SWARM).bounds().unwrap().unwrap();
        assert!(archived >= last, "{archived} of {last}");
        assert!(last >= before);
        before = last;
    }
}
