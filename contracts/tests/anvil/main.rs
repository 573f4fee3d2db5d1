//! The writer and the cursor against anvil: real pools, reorganisations, crashes of both sides, and
//! a bad line.
//!
//! Each intent mints one unit of a test token to the same holder, so that what happened twice or
//! never shows in a balance. Without anvil (`npm ci` in `contracts/` brings it) the tests say so
//! and pass.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod chain;
mod line;

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256, U256};
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall;
use contracts::bindings::TestToken;
use contracts::client::{Call, Client, RpcUrl};
use contracts::cursor::Cursor;
use contracts::writer::{Intent, IntentId, MemoryStore, Ticket, Writer, WriterConfig};

use chain::{Anvil, CHAIN_ID};

const HOLDER: Address = Address::repeat_byte(9);
/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(90);

fn signer() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(7)).unwrap()
}

fn config(confirmations: u64) -> WriterConfig {
    WriterConfig {
        confirmations,
        poll_ms: 100,
        resend_ms: 1_000,
        bump_ms: 4_000,
        ..WriterConfig::default()
    }
}

fn start(client: &Client, store: &Arc<MemoryStore>, confirmations: u64) -> Writer {
    Writer::start(
        client.clone(),
        signer(),
        store.clone(),
        config(confirmations),
    )
    .unwrap()
}

async fn token(writer: &Writer) -> (Address, u64) {
    let create = Intent::create(IntentId::new("token").unwrap(), TestToken::BYTECODE.clone());
    let inclusion = within(writer.submit(create).await.unwrap().finalised())
        .await
        .unwrap();
    (inclusion.contract.unwrap(), inclusion.block)
}

fn mint(token: Address, n: u64) -> Intent {
    let call = TestToken::mintCall {
        to: HOLDER,
        amount: U256::ONE,
    };
    Intent::call(
        IntentId::new(format!("mint/{n}")).unwrap(),
        token,
        call.abi_encode(),
    )
}

async fn submit(writer: &Writer, token: Address, numbers: std::ops::Range<u64>) -> Vec<Ticket> {
    let mut tickets = vec![];
    for n in numbers {
        tickets.push(within(writer.submit(mint(token, n))).await.unwrap());
    }
    tickets
}

async fn finalised(tickets: Vec<Ticket>) {
    for ticket in tickets {
        within(ticket.finalised()).await.unwrap();
    }
}

async fn minted(client: &Client, token: Address) -> u64 {
    let data = TestToken::balanceOfCall { account: HOLDER }
        .abi_encode()
        .into();
    let call = Call {
        from: HOLDER,
        to: Some(token),
        data,
        value: U256::ZERO,
    };
    let units = client.call(&call).await.unwrap();
    U256::from_be_slice(&units).to()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it takes too long")
}

/// Reads all events of the token, as a consumer that obeys rollbacks.
async fn events(client: &Client, token: Address, first: u64) -> usize {
    let mut cursor = Cursor::new(token, first);
    let mut count = 0;
    loop {
        let batch = cursor.poll(client).await.unwrap();
        assert_eq!(batch.malformed, 0);
        count += batch.logs.len();
        if batch.behind == 0 {
            return count;
        }
    }
}

#[tokio::test]
async fn each_intent_happens_once_where_transactions_are_mined_at_once() {
    let Some(anvil) = Anvil::start(&[]).await else {
        return;
    };
    let (client, store) = (anvil.client().await, Arc::new(MemoryStore::default()));
    anvil.fund(signer().address()).await;
    let writer = start(&client, &store, 0);
    let (token, block) = token(&writer).await;
    finalised(submit(&writer, token, 0..40).await).await;
    // The same names again change nothing.
    finalised(submit(&writer, token, 0..40).await).await;
    assert_eq!(minted(&client, token).await, 40);
    assert_eq!(client.nonce(signer().address()).await.unwrap(), 41);
    assert_eq!(events(&client, token, block).await, 40);
    let bad = Intent::call(
        IntentId::new("bad").unwrap(),
        token,
        TestToken::transferCall {
            to: HOLDER,
            value: U256::ONE,
        }
        .abi_encode(),
    );
    let refused = within(writer.submit(bad).await.unwrap().included())
        .await
        .unwrap_err();
    assert!(
        refused.is_refused_with::<TestToken::ERC20InsufficientBalance>(),
        "{refused}"
    );
    assert_eq!(client.nonce(signer().address()).await.unwrap(), 41);
}

#[tokio::test]
async fn each_intent_happens_once_through_reorganisations() {
    let Some(anvil) = Anvil::start(&["--block-time", "1"]).await else {
        return;
    };
    let (client, store) = (anvil.client().await, Arc::new(MemoryStore::default()));
    anvil.fund(signer().address()).await;
    let writer = start(&client, &store, 4);
    let (token, first) = token(&writer).await;
    let mut cursor = Cursor::new(token, first);
    let (mut seen, mut rolled_back) = (vec![], 0);
    let mut tickets = vec![];
    for n in 0..4 {
        tickets.extend(submit(&writer, token, 6 * n..6 * n + 6).await);
        within(tickets.last().unwrap().included()).await.unwrap();
        rolled_back += usize::from(take(&mut cursor, &client, &mut seen).await);
        anvil
            .request("anvil_reorg", serde_json::json!([3, []]))
            .await;
        rolled_back += usize::from(take(&mut cursor, &client, &mut seen).await);
    }
    finalised(tickets).await;
    take(&mut cursor, &client, &mut seen).await;
    assert_eq!(minted(&client, token).await, 24);
    assert_eq!(seen.len(), 24);
    assert!(rolled_back > 0, "no reorganisation was seen");
}

/// One poll of a consumer that obeys rollbacks; true if there was one.
async fn take(cursor: &mut Cursor, client: &Client, seen: &mut Vec<u64>) -> bool {
    let batch = cursor.poll(client).await.unwrap();
    if let Some(block) = batch.rolled_back_to {
        seen.retain(|at| *at <= block);
    }
    seen.extend(batch.logs.iter().filter_map(|log| log.block_number));
    batch.rolled_back_to.is_some()
}

#[tokio::test]
async fn each_intent_happens_once_through_crashes_of_both_sides() {
    let arguments = ["--block-time", "1"];
    let Some(mut anvil) = Anvil::start(&arguments).await else {
        return;
    };
    let (client, store) = (anvil.client().await, Arc::new(MemoryStore::default()));
    anvil.fund(signer().address()).await;
    let mut writer = start(&client, &store, 2);
    let (token, _) = token(&writer).await;
    for n in 0..3 {
        let before = anvil.state().await;
        let tickets = submit(&writer, token, 8 * n..8 * n + 8).await;
        within(tickets[n as usize].included()).await.unwrap();
        // The chain comes back as it was before the second batch, and after the others.
        let kept = if n == 1 { before } else { anvil.state().await };
        anvil.kill();
        // The writer meets the dead chain, and is then stopped, too.
        tokio::time::sleep(Duration::from_millis(300)).await;
        writer.stop().await;
        anvil.resume(&arguments, kept).await;
        writer = start(&client, &store, 2);
    }
    finalised(submit(&writer, token, 0..24).await).await;
    assert_eq!(minted(&client, token).await, 24);
}

#[tokio::test]
async fn each_intent_happens_once_over_a_bad_line() {
    let Some(anvil) = Anvil::start(&["--block-time", "1"]).await else {
        return;
    };
    let (good, store) = (anvil.client().await, Arc::new(MemoryStore::default()));
    anvil.fund(signer().address()).await;
    let bad = within(line::client(anvil.url(), 9)).await;
    let writer = start(&bad, &store, 2);
    let (token, _) = token(&writer).await;
    let tickets = submit(&writer, token, 0..24).await;
    writer.stop().await;
    drop(tickets);
    let writer = start(&bad, &store, 2);
    finalised(submit(&writer, token, 0..24).await).await;
    assert_eq!(minted(&good, token).await, 24);
}

fn url(text: &str) -> RpcUrl {
    RpcUrl::parse(text).unwrap()
}

#[tokio::test]
async fn a_dead_endpoint_and_a_wrong_chain_are_told_apart() {
    let dead = Client::connect(&url("http://127.0.0.1:9/secret"), CHAIN_ID)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        dead.contains("http://127.0.0.1:9/… does not answer") && !dead.contains("secret"),
        "{dead}"
    );
    let Some(anvil) = Anvil::start(&[]).await else {
        return;
    };
    let wrong = Client::connect(&url(anvil.url()), 5)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        wrong.contains("serves chain 31337, but chain 5 is expected"),
        "{wrong}"
    );
}
