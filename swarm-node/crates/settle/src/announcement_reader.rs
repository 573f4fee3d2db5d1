//! How far announcements were read, and what they gave: kept, so that a restart reads what is new.
//!
//! ```text
//!        ┌────── a reorganisation: read again from here ───────┐
//! kept ──┴── at least DEPTH blocks ── next to be kept ─ ─ ─ ─ now ─▶ head
//!  └─▶ on disk
//! ```
//! A table does not know which words newer ones replaced, so it cannot be rolled back: what a
//! reorganisation reaches is read again from what was kept before it. That is so old that hardly any
//! reorganisation reaches it; one that does starts from the contract's first block. A pure state
//! machine: the chain's answers are arguments.

use contracts::Address;
use contracts::cursor::{Batch, Cursor};
use contracts::swarm::Event;
use serde::{Deserialize, Serialize};

use crate::announcements::Announcements;

/// Blocks above what is kept, at least.
pub const DEPTH: u64 = 64;
/// Blocks after which what is kept is written again while a long chain is read.
const WRITE_EVERY: u64 = 1 << 16;

/// What announcements up to a block gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reading {
    cursor: Cursor,
    table: Announcements,
}

/// Reads announcements.
#[derive(Clone, Debug)]
pub struct AnnouncementReader {
    first: Reading,
    now: Reading,
    /// The next reading to be kept, once the chain is long enough.
    next: Option<Reading>,
    kept: Reading,
    /// The next block of the reading that was written last.
    written: u64,
}

impl AnnouncementReader {
    /// Reads those of a contract which was created in the block `first`, from the reading on that an
    /// earlier run kept.
    pub fn new(contract: Address, first: u64, kept: Option<Reading>) -> Self {
        let first = Reading {
            cursor: Cursor::new(contract, first),
            table: Announcements::default(),
        };
        let kept = kept.unwrap_or_else(|| first.clone());
        Self {
            now: kept.clone(),
            next: None,
            written: kept.cursor.next_block(),
            kept,
            first,
        }
    }

    /// Where to read on.
    pub fn cursor(&mut self) -> &mut Cursor {
        &mut self.now.cursor
    }

    /// What was announced.
    pub fn table(&self) -> &Announcements {
        &self.now.table
    }

    /// Takes in what the cursor gave; true if all of the chain is read.
    pub fn take(&mut self, batch: &Batch) -> bool {
        if let Some(to) = batch.rolled_back_to {
            self.go_back(to);
            return false;
        }
        for log in &batch.logs {
            if let (Some(block), Some(event)) = (log.block_number, Event::read(&log.inner)) {
                self.now.table.take(event, block);
            }
        }
        let is_old = |reading: &Reading| {
            reading.cursor.next_block().saturating_add(DEPTH) <= batch.head.saturating_add(1)
        };
        if is_old(&self.now) {
            (self.kept, self.next) = (self.now.clone(), None);
        } else if let Some(next) = self.next.take_if(|next| is_old(next)) {
            self.kept = next;
        }
        if self.next.is_none() {
            self.next = Some(self.now.clone());
        }
        batch.behind == 0
    }

    /// Goes back to what was kept, if the blocks up to `to` still stand and it is of those.
    fn go_back(&mut self, to: u64) {
        if to.saturating_add(1) < self.kept.cursor.next_block() {
            self.kept = self.first.clone();
        }
        (self.now, self.next) = (self.kept.clone(), None);
    }

    /// The reading that is worth to be written; `is_at_head` says that all of the chain is read.
    pub fn to_write(&mut self, is_at_head: bool) -> Option<&Reading> {
        let next = self.kept.cursor.next_block();
        let is_due = match is_at_head {
            true => next != self.written,
            false => next >= self.written.saturating_add(WRITE_EVERY),
        };
        is_due.then(|| {
            self.written = next;
            &self.kept
        })
    }
}

#[cfg(test)]
mod tests {
    use contracts::Bytes;
    use contracts::typed;
    use serde_json::{Value, json};
    use sha3::{Digest as _, Keccak256};
    use swarm_identity::NodeKey;

    use super::*;

    const FIRST: u64 = 100;
    const CONTRACT: Address = Address::repeat_byte(7);

    /// A cursor that has read all blocks below this one.
    fn cursor(next: u64) -> Cursor {
        let kept = json!({
            "contract": CONTRACT, "first": FIRST, "next": next, "span": 1, "window": []
        });
        serde_json::from_value(kept).unwrap()
    }

    fn key(byte: u8) -> [u8; 33] {
        NodeKey::from_secret(&[byte; 32]).unwrap().peer().0
    }

    /// The log by which a node says where it is.
    fn said(byte: u8, addresses: &str, block: u64) -> Value {
        let word = |bytes: &[u8]| [&vec![0; 32 - bytes.len()][..], bytes].concat();
        let text = |bytes: &[u8]| {
            let mut padded = [&word(&(bytes.len() as u64).to_be_bytes())[..], bytes].concat();
            padded.resize(padded.len().next_multiple_of(32), 0);
            padded
        };
        let node = typed::address(&key(byte)).unwrap();
        let name = Keccak256::digest("Announced(address,address,bytes,bytes)");
        let topics = [name.to_vec(), word(&[1; 20]), word(node.as_slice())];
        let data = [
            word(&[0x40]),
            word(&[0xa0]),
            text(&key(byte)),
            text(addresses.as_bytes()),
        ];
        json!({
            "address": CONTRACT,
            "topics": topics.map(Bytes::from),
            "data": Bytes::from(data.concat()),
            "blockNumber": format!("{block:#x}"),
            "blockHash": "0x".to_owned() + &"0".repeat(64),
            "transactionHash": "0x".to_owned() + &"0".repeat(64),
            "transactionIndex": "0x0",
            "logIndex": "0x0",
            "removed": false,
        })
    }

    /// Reads all blocks up to one, which is the head; true if what is kept is to be written.
    fn read(reader: &mut AnnouncementReader, head: u64, logs: &[Value]) -> bool {
        *reader.cursor() = cursor(head + 1);
        let is_at_head = reader.take(&Batch {
            logs: serde_json::from_value(logs.into()).unwrap(),
            head,
            ..Batch::default()
        });
        assert!(is_at_head);
        reader.to_write(is_at_head).is_some()
    }

    fn word(reader: &AnnouncementReader, byte: u8) -> Option<String> {
        let said = reader.table().of(&typed::address(&key(byte)).unwrap())?;
        String::from_utf8(said.addresses.to_vec()).ok()
    }

    fn reorganised(reader: &mut AnnouncementReader, to: u64) {
        let batch = Batch {
            rolled_back_to: Some(to),
            ..Batch::default()
        };
        assert!(!reader.take(&batch), "there is more to read");
    }

    #[test]
    fn a_restart_reads_what_is_newer_than_what_was_kept() {
        let mut reader = AnnouncementReader::new(CONTRACT, FIRST, None);
        assert!(!read(&mut reader, 200, &[said(1, "old", 150)]), "too new");
        assert!(!read(&mut reader, 200 + DEPTH - 1, &[said(2, "here", 210)]));
        assert!(read(
            &mut reader,
            200 + DEPTH,
            &[said(1, "new", 205 + DEPTH)]
        ));
        let kept = serde_json::to_string(&reader.kept).unwrap();
        let kept = Some(serde_json::from_str(&kept).unwrap());
        let mut again = AnnouncementReader::new(CONTRACT, FIRST, kept);
        assert_eq!(again.cursor().next_block(), 201);
        assert_eq!(word(&again, 1).as_deref(), Some("old"));
        assert_eq!(word(&again, 2), None, "it is read again");
        assert!(!read(&mut again, 200 + DEPTH, &[said(2, "here", 210)]));
        assert_eq!(word(&again, 2).as_deref(), Some("here"));
    }

    #[test]
    fn a_reorganisation_brings_back_what_newer_words_had_replaced() {
        let mut reader = AnnouncementReader::new(CONTRACT, FIRST, None);
        read(&mut reader, 200, &[said(1, "old", 150)]);
        read(&mut reader, 300, &[said(1, "new", 290)]);
        reorganised(&mut reader, 289);
        assert_eq!(reader.cursor().next_block(), 201);
        assert_eq!(word(&reader, 1).as_deref(), Some("old"));
        // One that reaches what was kept starts from the first block.
        reorganised(&mut reader, 180);
        assert_eq!(reader.cursor().next_block(), FIRST);
        assert!(reader.table().is_empty());
        read(&mut reader, 310, &[said(1, "other", 170)]);
        assert_eq!(word(&reader, 1).as_deref(), Some("other"));
    }

    #[test]
    fn a_long_chain_is_written_now_and_then_while_it_is_read() {
        let mut reader = AnnouncementReader::new(CONTRACT, 0, None);
        let head = 10 * WRITE_EVERY;
        let mut written = 0;
        for next in (0..=head).step_by(4096) {
            *reader.cursor() = cursor(next);
            let is_at_head = reader.take(&Batch {
                head,
                behind: head + 1 - next,
                ..Batch::default()
            });
            assert!(!is_at_head);
            written += usize::from(reader.to_write(is_at_head).is_some());
        }
        assert_eq!(written, 9);
    }
}
