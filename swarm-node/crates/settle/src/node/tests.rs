//! The shell against a server that lies, and the size of what it keeps.

use std::sync::Arc;

use contracts::swarm::Addresses;
use contracts::writer::MemoryStore;
use swarm_identity::NodeKey;
use swarm_store::{Chain, SignOnceTable, Store};

use super::*;
use crate::chain::ChainConfig;
use crate::chain::signer;
use crate::points::EpochPoints;
use crate::records::EpochRecord;
use crate::table::Table;
use crate::testing::{key, result, result_of};

const CONTRACT: Address = Address::repeat_byte(7);
const SCHEDULE: EpochSchedule = EpochSchedule {
    genesis: 1_000,
    round_seconds: 60,
    rounds_per_epoch: 10,
    exit_delay: 7_200,
    claim_window: 7_200,
};

/// A node with this store, whose server's chain begins with a block of this time.
async fn node(
    store: &Store,
    first_block_time: u64,
) -> (Node<SignOnceTable>, mpsc::Receiver<NodeEvent>) {
    let chain = ChainConfig {
        endpoint: "embedded".into(),
        ..ChainConfig::default()
    };
    let link = Link::connect(&chain, first_block_time)
        .await
        .unwrap()
        .unwrap();
    let client = link.client.clone();
    let writer = Writer::start(
        client.clone(),
        signer(&[9; 32]).unwrap(),
        Arc::new(MemoryStore::default()),
        link.writer(),
    );
    let first_block = client.block(0).await.unwrap().unwrap();
    let id = Chain {
        id: client.chain_id(),
        genesis: first_block.hash.0,
    };
    let addresses = Addresses {
        token: CONTRACT,
        stake: CONTRACT,
        coordinator: CONTRACT,
    };
    let parts = NodeParts {
        signer: Signer::new(key(0).clone(), store.sign_once()),
        members: vec![key(0).peer()],
        schedule: SCHEDULE,
        swarm: Swarm::new(client, addresses),
        cursor: Cursor::new(CONTRACT, 0),
        writer: writer.unwrap(),
        link,
        store: Some(SettleStore {
            epochs: store.epochs(id, CONTRACT.into()),
            position: store.cursors(id, CONTRACT.into()),
        }),
    };
    let (outbox, heard) = mpsc::channel(1_024);
    let (node, _, _) = Node::new(parts, outbox);
    (node, heard)
}

fn temporary() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("node.redb")).unwrap();
    (folder, store)
}

fn statement(points: swarm_round::reward::Points) -> Statement {
    let mut epoch = EpochPoints::default();
    epoch.add(&result(0, &[points, 1]));
    Table::new(0, key(0).peer(), &epoch)
        .unwrap()
        .unwrap()
        .statement()
        .clone()
}

#[tokio::test]
async fn a_server_that_changes_its_first_block_gets_no_second_signature() {
    let (_folder, store) = temporary();
    let (mut before, _) = node(&store, 1_000).await;
    let first = before
        .parts
        .link
        .client
        .block(0)
        .await
        .unwrap()
        .unwrap()
        .hash;
    assert!(matches!(
        before.sign(&statement(5)).await,
        Some(Input::Signed(0, _))
    ));
    drop(before);
    let (mut after, mut heard) = node(&store, 2_000).await;
    assert_ne!(
        after
            .parts
            .link
            .client
            .block(0)
            .await
            .unwrap()
            .unwrap()
            .hash,
        first,
        "another first block"
    );
    assert!(after.sign(&statement(6)).await.is_none());
    let Some(NodeEvent::Warning(text)) = heard.recv().await else {
        panic!("no warning")
    };
    assert!(
        text.contains("epoch 0 is not signed") && text.contains("is committed"),
        "{text}"
    );
    assert!(
        matches!(after.sign(&statement(5)).await, Some(Input::Signed(0, _))),
        "the same again is no harm"
    );
}

/// A position that is on disk is one that its facts belong to, and time that was seen is not
/// unseen.
#[tokio::test]
async fn a_restart_goes_on_at_the_position_that_was_written() {
    let (_folder, store) = temporary();
    let (mut before, _heard) = node(&store, 1_000).await;
    before.parts.link.advance_to(5_000);
    before.look().await;
    let written = before
        .parts
        .store
        .as_ref()
        .unwrap()
        .position
        .get()
        .unwrap()
        .unwrap();
    assert_eq!(
        (written.latest, written.cursor.next_block()),
        (before.clock.latest(), 1)
    );
    assert!(written.latest >= 5_000);
    drop(before);
    // The same chain, which shows an earlier time.
    let (mut after, _heard) = node(&store, 1_000).await;
    after.restore().await;
    after.look().await;
    assert_eq!(
        (after.clock.latest(), after.parts.cursor.next_block()),
        (written.latest, 1)
    );
    assert!(after.now().chain < written.latest);
}

/// Sizes of a store at the largest swarm that is measured, 800 members, over 100 epochs.
#[tokio::test]
async fn a_store_stays_small() {
    const MEMBERS: u16 = 800;
    const EPOCHS: u64 = 100;
    /// Epochs that come after these, each in the place of one that is forgotten.
    const MORE: u64 = 20;
    /// Bytes of a vote: key, signature, and what the file adds.
    const VOTE_BYTES: u64 = 512;
    /// Bytes of a member in an epoch's table, with what the file adds.
    const ENTRY_BYTES: u64 = 128;
    /// Bytes of a file without records.
    const EMPTY_BYTES: u64 = 4 << 20;

    let (_folder, store) = temporary();
    let (mut node, _heard) = node(&store, 1_000).await;
    let size = || std::fs::metadata(store.path()).unwrap().len();
    let keys: Vec<NodeKey> = (1..=MEMBERS).map(member_key).collect();
    let result = result_of(0, &keys, &vec![5; keys.len()]);
    let mut points = EpochPoints::default();
    points.add(&result);
    let votes: Vec<_> = keys.iter().map(|key| (key.peer(), [1; 65])).collect();
    let mut largest = 0;
    for epoch in 0..EPOCHS + MORE {
        let digest = [epoch as u8; 32];
        node.parts
            .signer
            .sign_recoverable(&node.place(epoch), &digest)
            .unwrap();
        node.output(Output::Save(EpochRecord::new(epoch, &points)))
            .await;
        // As they come from the network: some alone, most together.
        let (alone, together) = votes.split_at(if epoch == 0 { votes.len() } else { 4 });
        for vote in alone {
            node.output(Output::SaveVotes(epoch, vec![*vote])).await;
        }
        node.output(Output::SaveVotes(epoch, together.to_vec()))
            .await;
        assert_eq!(
            node.parts
                .store
                .as_ref()
                .unwrap()
                .epochs
                .votes(epoch)
                .unwrap()
                .len(),
            votes.len()
        );
        largest = largest.max(size());
        // When all have been kept, an epoch goes for each that comes.
        if let Some(over) = epoch.checked_sub(EPOCHS - 1) {
            node.output(Output::ForgetBefore(over)).await;
        }
    }
    let kept = EPOCHS + 1;
    let bound = EMPTY_BYTES + kept * votes.len() as u64 * (VOTE_BYTES + ENTRY_BYTES);
    println!(
        "{MEMBERS} members, {kept} epochs kept of {}: {largest} bytes of at most {bound}",
        EPOCHS + MORE
    );
    assert!(largest <= bound);
    let store = node.parts.store.as_ref().unwrap();
    assert_eq!(store.epochs.all().unwrap().records.len() as u64, EPOCHS);
    let old = node
        .parts
        .signer
        .sign_recoverable(&node.place(0), &[0; 32])
        .unwrap_err()
        .to_string();
    assert!(old.contains("rounds below 20 are over"), "{old}");
}

fn member_key(member: u16) -> NodeKey {
    let mut secret = [1; 32];
    secret[..2].copy_from_slice(&member.to_be_bytes());
    NodeKey::from_secret(&secret).unwrap()
}
