//! The dev chain under connections that never end, at small limits of open files.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::devchain::DevChain;
use crate::http;

/// How long the chain may take to answer in the middle of a flood.
const PATIENCE: Duration = Duration::from_secs(30);
const CHAIN_ID: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;

fn answers(chain: &DevChain) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if http::post(chain.address().port(), CHAIN_ID)
            .is_some_and(|answer| answer.contains("0x7a6a"))
        {
            return true;
        }
    }
    false
}

/// Opens connections, says the same on each, and leaves them open.
fn flooded(chain: &DevChain, count: usize, said: &[u8]) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for _ in 0..count {
        // Once the system's queue is full, it takes seconds until it refuses: those that got in are
        // enough.
        let Ok(mut stream) =
            TcpStream::connect_timeout(&chain.address(), Duration::from_millis(200))
        else {
            break;
        };
        let _ = stream.write_all(said);
        held.push(stream);
    }
    held
}

#[test]
fn a_dev_chain_answers_during_and_after_a_flood_of_unfinished_requests() {
    // With 256 files its own limit of connections holds; with 40 the system refuses before.
    let head = b"POST / HTTP/1.1\r\nX-".as_slice();
    let body = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    for (open_files, said) in [(256, head), (40, head), (40, body)] {
        let folder = tempfile::tempdir().unwrap();
        let chain = DevChain::limited(folder.path(), open_files);
        assert!(answers(&chain), "before");
        let held = flooded(&chain, 300, said);
        assert!(held.len() > 100, "{} connections are no flood", held.len());
        assert!(answers(&chain), "during, {open_files} files");
        drop(held);
        assert!(answers(&chain), "after, {open_files} files");
    }
}
