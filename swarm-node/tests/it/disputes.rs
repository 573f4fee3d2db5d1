//! Outcomes that are disputed, at nodes on a dev chain and on anvil: who is right is paid, who is
//! wrong pays.

use contracts::B256;
use contracts::outcome::Outcome;
use contracts::swarm::calls;
use serde_json::json;
use swarm_settle::chain::ChainConfig;

use crate::anvil::{self, Anvil};
use crate::swarm::{BONDS, TestSwarm};

async fn embedded(folder: &tempfile::TempDir) -> TestSwarm {
    let config = ChainConfig {
        endpoint: "embedded".into(),
        ..ChainConfig::default()
    };
    let funder = swarm_devchain::dev_accounts()[0].secret.0;
    TestSwarm::deployed(&config, &funder, folder.path()).await
}

/// A swarm on an anvil chain with a block every second.
async fn on_anvil(chain: &Anvil, folder: &tempfile::TempDir) -> TestSwarm {
    let config = ChainConfig {
        endpoint: chain.url().as_str().into(),
        poll_ms: 100,
        confirmations: 4,
        ..ChainConfig::default()
    };
    let mut funder = [0; 32];
    let digits = anvil::SECRET.trim_start_matches("0x");
    for (byte, at) in funder.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    }
    TestSwarm::deployed(&config, &funder, folder.path()).await
}

async fn is_disputed(world: &TestSwarm) -> bool {
    let pending = world.swarm.pending().await;
    pending.is_ok_and(|pending| pending.is_some_and(|pending| pending.dispute.is_some()))
}

async fn is_final(world: &TestSwarm) -> bool {
    world.swarm.next_epoch().await == Ok(1)
}

/// Blocks that a reorganisation takes back.
const DEPTH: u64 = 3;

/// The last blocks leave the chain, if it is anvil's.
fn reorganise(chain: Option<&Anvil>) {
    if let Some(chain) = chain {
        chain.ask("anvil_reorg", json!([DEPTH, []]));
    }
}

/// Waits until no reorganisation here takes back what is on the chain now. An objection that came
/// back after the votes that make the other outcome final would find nothing to object to, and
/// nobody would be paid for it.
async fn bury(world: &mut TestSwarm) {
    let head = world.head().await;
    let is_deep = async |world: &TestSwarm| world.head().await > head + DEPTH;
    world.until("the objection is deep", is_deep).await;
}

/// A false outcome of epoch 0.
fn wrong(world: &TestSwarm) -> Outcome {
    Outcome {
        since: 0,
        epoch: 0,
        root: B256::repeat_byte(9),
        points: world.points(),
        certificates: B256::repeat_byte(9),
    }
}

/// Somebody proposes what is false while the nodes' votes have not met: a node objects, and the
/// court finds for it.
async fn an_objector_who_is_right(mut world: TestSwarm, chain: Option<&Anvil>) {
    let end = world.parameters.genesis + world.parameters.epoch_length();
    world.until_time(end).await;
    world.stranger_sends(calls::propose(&wrong(&world))).await;
    world.decide().await;
    world.until("a node objects", is_disputed).await;
    reorganise(chain);
    world.restart(0).await;
    world.until("a node objects again", is_disputed).await;
    bury(&mut world).await;
    world.until("the objection stands", is_disputed).await;
    world.open = true;
    world.until("what is right is final", is_final).await;
    reorganise(chain);
    world.assert_settled(BONDS[0]).await;
}

/// A node proposes what is right, and somebody objects all the same.
async fn an_objector_who_is_wrong(mut world: TestSwarm, chain: Option<&Anvil>) {
    let end = world.parameters.genesis + world.parameters.epoch_length();
    world.until_time(end).await;
    world.decide().await;
    let proposed = async |world: &TestSwarm| matches!(world.swarm.pending().await, Ok(Some(_)));
    world.until("a node proposes", proposed).await;
    let pending = world.swarm.pending().await.unwrap().unwrap();
    world.stranger_sends(calls::object(pending.hash)).await;
    world.restart(1).await;
    reorganise(chain);
    world.until("somebody objects", is_disputed).await;
    bury(&mut world).await;
    world.until("the objection stands", is_disputed).await;
    world.open = true;
    world.until("what is right is final", is_final).await;
    reorganise(chain);
    world.assert_settled(BONDS[1]).await;
}

/// Somebody proposes what is false about rounds that nobody shows: members object without an
/// outcome of their own, and the court refuses. Once the rounds are there their epoch is paid.
async fn a_proposal_that_nobody_can_check(mut world: TestSwarm) {
    let end = world.parameters.genesis + world.parameters.epoch_length();
    world.until_time(end).await;
    world.open = true;
    world.stranger_sends(calls::propose(&wrong(&world))).await;
    world.until("a node objects", is_disputed).await;
    let is_gone = async |world: &TestSwarm| matches!(world.swarm.pending().await, Ok(None));
    world.until("the court refuses", is_gone).await;
    assert!(!is_final(&world).await);
    world.decide().await;
    world.until("what is right is final", is_final).await;
    world.assert_settled(BONDS[0]).await;
}

#[tokio::test]
async fn an_objector_who_is_right_is_paid_on_the_embedded_chain() {
    let folder = tempfile::tempdir().unwrap();
    let world = embedded(&folder).await;
    an_objector_who_is_right(world, None).await;
}

#[tokio::test]
async fn an_objector_who_is_wrong_pays_on_the_embedded_chain() {
    let folder = tempfile::tempdir().unwrap();
    let world = embedded(&folder).await;
    an_objector_who_is_wrong(world, None).await;
}

#[tokio::test]
async fn a_proposal_that_nobody_can_check_is_refused_on_the_embedded_chain() {
    let folder = tempfile::tempdir().unwrap();
    let world = embedded(&folder).await;
    a_proposal_that_nobody_can_check(world).await;
}

/// Plays on an anvil chain of its own, where anvil is installed.
async fn play_on_anvil(play: impl AsyncFnOnce(TestSwarm, Option<&Anvil>)) {
    if !anvil::is_installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let chain = Anvil::start(&["--block-time", "1"]);
    let world = on_anvil(&chain, &folder).await;
    play(world, Some(&chain)).await;
}

#[tokio::test]
async fn an_objector_who_is_right_is_paid_on_anvil() {
    play_on_anvil(an_objector_who_is_right).await;
}

#[tokio::test]
async fn an_objector_who_is_wrong_pays_on_anvil() {
    play_on_anvil(an_objector_who_is_wrong).await;
}
