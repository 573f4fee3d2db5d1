//! The file of bans: who was banned stays so when the node starts again.
//!
//! ```text
//! swarm-node bans 1
//! 16Uiu2HA… 1795966267 2          who, until when in seconds since 1970, how often by now
//! ```
//! One peer a line, at most [`MAX_SCORED_PEERS`]. A line that is none is skipped, and so is one
//! that is over; no ban lasts longer than [`BAN_LONGEST`], whatever the file says, so that a clock
//! that was wrong once locks nobody out for ever.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use swarm_files::text_file;
use swarm_files::whole::{Access, Reserved, folder_of};
use swarm_identity::PeerId;

use crate::limits::{BAN_LONGEST, MAX_SCORED_PEERS};

/// The first line.
const HEADER: &str = "swarm-node bans 1";
/// The longest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A ban that outlives the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptBan {
    /// Who.
    pub peer: PeerId,
    /// When it ends, in seconds since 1970.
    pub until: u64,
    /// How often the peer was banned by now.
    pub bans: u32,
}

impl KeptBan {
    /// What is left of it at a time; `None` if it is over.
    pub fn left(&self, now: SystemTime) -> Option<Duration> {
        let left = self.until.checked_sub(seconds(now))?;
        (left > 0).then(|| Duration::from_secs(left).min(BAN_LONGEST))
    }
}

/// Seconds since 1970; 0 before.
pub(crate) fn seconds(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// The bans in a file; none if there is no file.
///
/// # Errors
/// It cannot be read, is too long or no text.
pub(crate) fn load(path: &Path) -> io::Result<Vec<KeptBan>> {
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
pub(crate) fn save(path: &Path, bans: &[KeptBan]) -> io::Result<()> {
    std::fs::create_dir_all(folder_of(path))?;
    let text = to_text(bans);
    Reserved::new(path, Access::Umask, text.len())?.replace(text.as_bytes())
}

/// The bans in a file's text.
pub fn parse(text: &str) -> Vec<KeptBan> {
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return Vec::new();
    }
    lines.filter_map(line).take(MAX_SCORED_PEERS).collect()
}

fn line(line: &str) -> Option<KeptBan> {
    let mut words = line.split_ascii_whitespace();
    let ban = KeptBan {
        peer: words.next()?.parse().ok()?,
        until: words.next()?.parse().ok()?,
        bans: words.next()?.parse().ok()?,
    };
    words.next().is_none().then_some(ban)
}

fn to_text(bans: &[KeptBan]) -> String {
    let bans = bans.iter().take(MAX_SCORED_PEERS);
    bans.fold(format!("{HEADER}\n"), |text, ban| {
        let KeptBan { peer, until, bans } = ban;
        format!("{text}{} {until} {bans}\n", peer.text())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ban(number: u8, until: u64) -> KeptBan {
        KeptBan {
            peer: PeerId([number; 33]),
            until,
            bans: 3,
        }
    }

    #[test]
    fn bans_survive_a_restart_and_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/bans");
        assert_eq!(load(&path).unwrap(), []);
        let bans = vec![ban(2, 50), ban(3, u64::MAX)];
        save(&path, &bans).unwrap();
        assert_eq!(load(&path).unwrap(), bans);
        let damaged = to_text(&bans) + "rubbish\n16Uiu2 5 1\n";
        std::fs::write(&path, damaged).unwrap();
        assert_eq!(load(&path).unwrap(), bans);
        std::fs::write(&path, "another file\n").unwrap();
        assert_eq!(load(&path).unwrap(), []);
    }

    #[test]
    fn the_file_is_bounded() {
        let many = vec![ban(2, u64::MAX); 2 * MAX_SCORED_PEERS];
        assert_eq!(parse(&to_text(&many)).len(), MAX_SCORED_PEERS);
        assert!((to_text(&many).len() as u64) < MAX_BYTES);
    }

    #[test]
    fn what_is_left_has_an_end() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let left = |until| ban(2, until).left(now);
        assert_eq!([99, 100].map(left), [None, None]);
        assert_eq!(left(130), Some(Duration::from_secs(30)));
        assert_eq!(left(u64::MAX), Some(BAN_LONGEST));
    }
}
