//! The shell against a server that lies, and the size of what it keeps.

use contracts::B256;
use contracts::swarm::Addresses;
use contracts::writer::MemoryStore;
use swarm_identity::NodeKey;
use swarm_store::{Chain, SignOnceTable, Store};

use super::*;
use crate::chain::{ChainConfig, signer};
use crate::settlement::records::{RoundRecord, SumRecord};

const CONTRACT: Address = Address::repeat_byte(7);
const OWNER: Address = Address::repeat_byte(8);
const SCHEDULE: Schedule = Schedule {
    genesis: 1_000,
    round_seconds: 60,
    rounds_per_epoch: 10,
    proposal_window: 7_200,
    objection_window: 7_200,
    court_window: 7_200,
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
        members: CONTRACT,
        rewards: CONTRACT,
        slasher: CONTRACT,
    };
    let parts = NodeParts {
        signer: Signer::new(member_key(1), store.sign_once()),
        schedule: SCHEDULE,
        policy: Policy {
            claim_from: 1,
            bonds: false,
        },
        swarm: Swarm::new(client, addresses),
        first_block: 0,
        writer: writer.unwrap(),
        link,
        store: Some(SettleStore::new(store, id, CONTRACT.into())),
    };
    let (outbox, heard) = mpsc::channel(1_024);
    let (node, _, _) = Node::new(parts, outbox).unwrap();
    (node, heard)
}

fn temporary() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("node.redb")).unwrap();
    (folder, store)
}

fn outcome(points: u128) -> Outcome {
    Outcome {
        points,
        ..Outcome::default()
    }
}

#[tokio::test]
async fn a_server_that_changes_its_first_block_gets_no_second_signature() {
    let (_folder, store) = temporary();
    let (mut before, _heard) = node(&store, 1_000).await;
    let first = before.parts.link.client.block(0).await.unwrap().unwrap();
    assert!(matches!(
        before.sign(outcome(5), OWNER).await,
        Some(Input::Signed(_))
    ));
    drop(before);
    let (mut after, mut heard) = node(&store, 2_000).await;
    let other = after.parts.link.client.block(0).await.unwrap().unwrap();
    assert_ne!(other.hash, first.hash, "another first block");
    assert!(after.sign(outcome(6), OWNER).await.is_none());
    let Some(NodeEvent::Warning(text)) = heard.recv().await else {
        panic!("no warning")
    };
    assert!(
        text.contains("epochs 0-0 are not signed") && text.contains("is committed"),
        "{text}"
    );
    assert!(
        matches!(after.sign(outcome(5), OWNER).await, Some(Input::Signed(_))),
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
    let kept = before.parts.store.as_ref().unwrap().restore();
    let written = kept.position.unwrap();
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
        (after.clock.latest(), after.cursor.next_block()),
        (written.latest, 1)
    );
    assert!(after.now().chain < written.latest);
}

/// What is kept comes back as it was; what is forgotten does not.
#[tokio::test]
async fn rounds_votes_and_tables_survive_a_restart() {
    let (_folder, store) = temporary();
    let (mut node, _heard) = node(&store, 1_000).await;
    let table = EarningsTable::default().after([(OWNER, 3)], 10).unwrap();
    let round = |round| RoundRecord::of_points(round, [9; 32], [(member_key(1).peer(), 5)]);
    for epoch in 0..3 {
        for number in SCHEDULE.rounds(epoch) {
            node.output(Output::SaveRound(round(number))).await;
        }
        let outcome = Outcome {
            since: epoch,
            epoch,
            ..outcome(5)
        };
        let vote = node.sign(outcome, OWNER).await;
        let Some(Input::Signed(vote)) = vote else {
            panic!("not signed")
        };
        node.output(Output::SaveVotes(vec![vote, vote])).await;
        node.output(Output::SaveTable(epoch, Arc::new(table.clone())))
            .await;
    }
    node.output(Output::ForgetBefore(2)).await;
    let kept = node.parts.store.as_ref().unwrap().restore();
    assert_eq!(kept.damaged, Vec::<String>::new());
    let rounds: Vec<RoundRecord> = SCHEDULE.rounds(2).map(round).collect();
    assert_eq!(kept.rounds, rounds);
    assert_eq!(kept.votes.len(), 1);
    let epochs: Vec<_> = kept.tables.iter().map(|(epoch, _)| *epoch).collect();
    assert_eq!(
        epochs,
        [1, 2],
        "the one before stays: the next builds on it"
    );
    assert!(kept.tables.iter().all(|(_, kept)| **kept == table));
    let old = node.sign(outcome(6), OWNER).await;
    assert!(old.is_none(), "epoch 0 is over");
}

/// Nearly twice what one record of the store holds.
#[tokio::test]
async fn a_table_of_two_hundred_thousand_owners_survives_a_restart() {
    const OWNERS: u32 = 200_000;
    let (_folder, store) = temporary();
    let (mut before, _heard) = node(&store, 1_000).await;
    let owners = (1..=OWNERS).map(|number| Address::left_padding_from(&number.to_be_bytes()));
    let points = owners.map(|owner| (owner, 5));
    let table = Arc::new(EarningsTable::default().after(points, 10).unwrap());
    before.output(Output::SaveTable(7, table.clone())).await;
    drop(before);
    let (mut after, _heard) = node(&store, 1_000).await;
    let kept = after.parts.store.as_ref().unwrap().restore();
    assert_eq!(kept.damaged, Vec::<String>::new());
    after.restore().await;
    assert_eq!(after.settler.table(table.root()), Some(&table));
}

/// The sum of epochs takes the place of their rounds.
#[tokio::test]
async fn a_sum_of_epochs_survives_a_restart_in_the_place_of_their_rounds() {
    let (_folder, store) = temporary();
    let (mut node, _heard) = node(&store, 1_000).await;
    for number in SCHEDULE.rounds(0).chain(SCHEDULE.rounds(1)) {
        let record = RoundRecord::of_points(number, [9; 32], [(member_key(1).peer(), 5)]);
        node.output(Output::SaveRound(record)).await;
    }
    let sum = SumRecord {
        since: 0,
        through: 0,
        certificates: [4; 32],
        owners: [(OWNER, 50)].into(),
    };
    node.output(Output::SaveSum(sum.clone())).await;
    let kept = node.parts.store.as_ref().unwrap().restore();
    let rounds: Vec<u64> = kept.rounds.iter().map(RoundRecord::round).collect();
    let second: Vec<u64> = SCHEDULE.rounds(1).collect();
    assert_eq!((kept.sum, rounds), (Some(sum), second));
}

/// Sizes of a store at the largest swarm that is measured, 800 members, over 40 epochs.
#[tokio::test]
async fn a_store_stays_small() {
    const MEMBERS: u16 = 800;
    const EPOCHS: u64 = 40;
    /// Epochs that come after these, each in the place of one that is forgotten.
    const MORE: u64 = 8;
    /// Bytes of a vote, with what the file adds.
    const VOTE_BYTES: u64 = 512;
    /// Bytes of a member in a round or a table, with what the file adds.
    const ENTRY_BYTES: u64 = 96;
    /// Bytes of a file without records.
    const EMPTY_BYTES: u64 = 4 << 20;

    let (_folder, store) = temporary();
    let (mut node, _heard) = node(&store, 1_000).await;
    let size = || std::fs::metadata(store.path()).unwrap().len();
    let peers: Vec<_> = (1..=MEMBERS).map(|n| member_key(n).peer()).collect();
    let owner = |number: u16| Address::left_padding_from(&number.to_be_bytes());
    let points = (1..=MEMBERS).map(|number| (owner(number), 5));
    let table = Arc::new(EarningsTable::default().after(points, 1).unwrap());
    let mut largest = 0;
    for epoch in 0..EPOCHS + MORE {
        for round in SCHEDULE.rounds(epoch) {
            let points = peers.iter().map(|peer| (*peer, 5));
            let record = RoundRecord::of_points(round, [1; 32], points);
            node.output(Output::SaveRound(record)).await;
        }
        let outcome = Outcome {
            since: epoch,
            epoch,
            root: B256::repeat_byte(1),
            ..outcome(5)
        };
        let votes = (1..=MEMBERS).map(|number| Attestation {
            outcome,
            vote: Vote {
                owner: owner(number),
                signature: [1; 64],
            },
        });
        node.output(Output::SaveVotes(votes.collect())).await;
        node.output(Output::SaveTable(epoch, table.clone())).await;
        largest = largest.max(size());
        // When all have been kept, an epoch goes for each that comes.
        if let Some(over) = epoch.checked_sub(EPOCHS - 1) {
            node.output(Output::ForgetBefore(over)).await;
        }
    }
    let kept = EPOCHS + 1;
    let entries = SCHEDULE.rounds_per_epoch + 1;
    let bound = EMPTY_BYTES + kept * u64::from(MEMBERS) * (VOTE_BYTES + entries * ENTRY_BYTES);
    println!("{MEMBERS} members, {kept} epochs kept: {largest} bytes of at most {bound}");
    assert!(largest <= bound);
}

fn member_key(member: u16) -> NodeKey {
    let mut secret = [1; 32];
    secret[..2].copy_from_slice(&member.to_be_bytes());
    NodeKey::from_secret(&secret).unwrap()
}
