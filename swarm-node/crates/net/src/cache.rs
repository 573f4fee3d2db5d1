//! The file of known addresses: a node that was once in the swarm finds it again without help.
//!
//! ```text
//! swarm-node peers 1
//! /ip4/203.0.113.5/udp/4001/quic-v1/p2p/16Uiu2…
//! ```
//! One address a line, the peer that was seen last first, at most [`MAX_CACHED_PEERS`] peers. A
//! line that is none is skipped: the file is advice, and a damaged one must not keep a node from
//! starting.

use std::io;
use std::path::Path;

use libp2p::Multiaddr;
use swarm_files::text_file;
use swarm_files::whole::{Access, Reserved, folder_of};

use crate::address;
use crate::limits::MAX_CACHED_PEERS;

/// The first line.
const HEADER: &str = "swarm-node peers 1";
/// The longest file that is read, in bytes.
const MAX_BYTES: u64 = 256 * 1024;
/// Most addresses that are read or written: two of each peer.
const MAX_LINES: usize = 2 * MAX_CACHED_PEERS;

/// The addresses in a file; none if there is no file.
///
/// # Errors
/// It cannot be read, is too long or no text.
pub(crate) fn load(path: &Path) -> io::Result<Vec<Multiaddr>> {
    match text_file::read(path, MAX_BYTES) {
        Ok(text) => Ok(parse(&text)),
        Err(absent) if absent.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Writes the file whole.
///
/// # Errors
/// Whatever the system says; the old file is untouched then.
pub(crate) fn save(path: &Path, addresses: &[Multiaddr]) -> io::Result<()> {
    std::fs::create_dir_all(folder_of(path))?;
    let text = to_text(addresses);
    Reserved::new(path, Access::Umask, text.len())?.replace(text.as_bytes())
}

/// The addresses in a file's text.
pub fn parse(text: &str) -> Vec<Multiaddr> {
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return Vec::new();
    }
    lines
        .filter_map(|line| line.trim().parse().ok())
        .filter(|address| address::peer(address).is_some())
        .take(MAX_LINES)
        .collect()
}

fn to_text(addresses: &[Multiaddr]) -> String {
    let lines = addresses.iter().take(MAX_LINES);
    lines.fold(format!("{HEADER}\n"), |text, address| {
        format!("{text}{address}\n")
    })
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;

    use super::*;

    fn known(port: u16) -> Multiaddr {
        let address = format!("/ip4/8.8.8.8/tcp/{port}").parse().unwrap();
        address::with_peer(address, PeerId::random())
    }

    #[test]
    fn addresses_survive_a_restart_and_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/peers");
        assert_eq!(load(&path).unwrap(), []);
        let addresses = vec![known(1), known(2)];
        save(&path, &addresses).unwrap();
        assert_eq!(load(&path).unwrap(), addresses);
        let damaged = to_text(&addresses) + "rubbish\n/ip4/1.2.3.4/tcp/5\n";
        std::fs::write(&path, damaged).unwrap();
        assert_eq!(load(&path).unwrap(), addresses);
        std::fs::write(&path, "another file\n").unwrap();
        assert_eq!(load(&path).unwrap(), []);
    }

    #[test]
    fn the_file_is_bounded() {
        let many: Vec<Multiaddr> = (0..2000).map(known).collect();
        assert_eq!(parse(&to_text(&many)), many[..MAX_LINES]);
        assert!((to_text(&many).len() as u64) < MAX_BYTES);
    }
}
