//! The dev chain from outside: beside anvil, and with processes that share it and are killed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use alloy::consensus::{
    EthereumTxEnvelope, SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxLegacy,
};
use alloy::eips::Encodable2718;
use alloy::network::{TransactionBuilder, TxSignerSync};
use alloy::primitives::{Address, B256, Bytes, Signature, TxKind, U256, utils::parse_ether};
use alloy::providers::{DynProvider, Provider, RootProvider};
use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::ErrorPayload;
use alloy::rpc::types::{Filter, TransactionReceipt, TransactionRequest};
use alloy::sol_types::SolCall;
use alloy::transports::http::Http;
use serde_json::{Value, json};
use swarm_devchain::rules::BASE_FEE;
use swarm_devchain::{CHAIN_ID, DevChain, Opened, Options, dev_accounts};

#[path = "../src/probe.rs"]
mod probe;
use probe::Probe;

const START: u64 = 1_800_000_000;

fn http(url: &str) -> DynProvider {
    // Fails if another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = Http::with_client(reqwest::Client::new(), url.parse().unwrap());
    RootProvider::new(RpcClient::new(http, true)).erased()
}

/// Signs with a dev account.
fn signed<T>(account: usize, mut tx: T) -> Vec<u8>
where
    T: SignableTransaction<Signature>,
    EthereumTxEnvelope<TxEip4844>: From<alloy::consensus::Signed<T>>,
{
    let signature = dev_accounts()[account]
        .signer
        .sign_transaction_sync(&mut tx)
        .unwrap();
    EthereumTxEnvelope::from(tx.into_signed(signature)).encoded_2718()
}

fn transaction(
    nonce: u64,
    to: Option<Address>,
    input: impl Into<Bytes>,
    gas_limit: u64,
) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit,
        max_fee_per_gas: 100 * u128::from(BASE_FEE),
        max_priority_fee_per_gas: 1,
        to: to.map_or(TxKind::Create, TxKind::Call),
        input: input.into(),
        ..Default::default()
    }
}

/// Account 0 of a chain, which counts its own transactions.
struct Player {
    provider: DynProvider,
    nonce: u64,
}

impl Player {
    async fn send(
        &mut self,
        to: Option<Address>,
        input: impl Into<Bytes>,
        gas: u64,
    ) -> TransactionReceipt {
        let raw = signed(0, transaction(self.nonce, to, input, gas));
        self.raw(&raw).await
    }

    async fn raw(&mut self, raw: &[u8]) -> TransactionReceipt {
        self.nonce += 1;
        self.provider
            .send_raw_transaction(raw)
            .await
            .unwrap()
            .get_receipt()
            .await
            .unwrap()
    }

    async fn refusal(&self, raw: &[u8]) -> ErrorPayload {
        self.provider
            .send_raw_transaction(raw)
            .await
            .unwrap_err()
            .as_error_resp()
            .unwrap()
            .clone()
    }

    async fn ask(&self, method: &'static str, params: Value) -> Result<Value, ErrorPayload> {
        let answer = self.provider.raw_request(method.into(), params).await;
        answer.map_err(|error| error.as_error_resp().unwrap().clone())
    }
}

fn call(to: Address, call: impl SolCall) -> TransactionRequest {
    TransactionRequest::default()
        .with_from(dev_accounts()[0].address)
        .with_to(to)
        .with_input(call.abi_encode())
}

fn facts(receipt: &TransactionReceipt) -> String {
    let logs: Vec<_> = receipt
        .logs()
        .iter()
        .map(|log| (&log.inner, log.log_index, log.block_number))
        .collect();
    let (place, created) = (
        (receipt.block_number, receipt.transaction_index),
        receipt.contract_address,
    );
    format!(
        "{} {} {place:?} {created:?} {:?} {logs:?}",
        receipt.status(),
        receipt.gas_used,
        receipt.transaction_type()
    )
}

/// The first words of a refusal, before the numbers.
fn words(error: &ErrorPayload, count: usize) -> String {
    error
        .message
        .to_lowercase()
        .split([' ', ':'])
        .take(count)
        .collect::<Vec<_>>()
        .join(" ")
}

/// What a chain answers to a fixed course of events.
async fn story(provider: DynProvider) -> Vec<(&'static str, String)> {
    let mut player = Player { provider, nonce: 0 };
    let mut story = vec![];
    let deployed = player.send(None, Probe::BYTECODE.clone(), 1_000_000).await;
    let probe = deployed.contract_address.unwrap();
    story.push(("deploy", facts(&deployed)));
    story.extend(transactions(&mut player, probe).await);
    story.extend(refusals(&mut player, probe).await);
    story.extend(times(&mut player, probe).await);
    story.extend(shapes(&player, deployed.transaction_hash).await);
    let logs = player
        .provider
        .get_logs(&Filter::new().from_block(0).address(probe))
        .await
        .unwrap();
    story.push((
        "events",
        format!(
            "{:?}",
            logs.iter()
                .map(|log| (&log.inner, log.block_number))
                .collect::<Vec<_>>()
        ),
    ));
    story
}

async fn transactions(player: &mut Player, probe: Address) -> Vec<(&'static str, String)> {
    let mut story = vec![];
    let set = Probe::setCall {
        next: U256::from(7),
    }
    .abi_encode();
    story.push((
        "clear",
        facts(
            &player
                .send(Some(probe), Probe::clearCall {}.abi_encode(), 100_000)
                .await,
        ),
    ));
    story.push((
        "revert",
        facts(&player.send(Some(probe), vec![0; 4], 100_000).await),
    ));
    story.push((
        "out of gas",
        facts(
            &player
                .send(Some(probe), Probe::spinCall {}.abi_encode(), 100_000)
                .await,
        ),
    ));
    story.push((
        "too little for the last step",
        facts(&player.send(Some(probe), set.clone(), 30_000).await),
    ));
    let (gas_price, to, input) = (
        100 * u128::from(BASE_FEE),
        TxKind::Call(probe),
        Bytes::from(set),
    );
    let (nonce, gas_limit, value) = (player.nonce, 100_000, U256::from(3));
    let legacy = TxLegacy {
        chain_id: Some(CHAIN_ID),
        nonce,
        gas_price,
        gas_limit,
        to,
        value,
        input: input.clone(),
    };
    player
        .ask("evm_setNextBlockTimestamp", json!([START + 1_000]))
        .await
        .unwrap();
    story.push(("legacy", facts(&player.raw(&signed(0, legacy)).await)));
    let (nonce, chain_id, access_list) = (nonce + 1, CHAIN_ID, Default::default());
    let listed = TxEip2930 {
        chain_id,
        nonce,
        gas_price,
        gas_limit,
        to,
        value,
        input,
        access_list,
    };
    player
        .ask("evm_setNextBlockTimestamp", json!([START + 2_000]))
        .await
        .unwrap();
    story.push(("access list", facts(&player.raw(&signed(0, listed)).await)));
    story.push((
        "refund",
        facts(
            &player
                .send(Some(probe), Probe::clearCall {}.abi_encode(), 100_000)
                .await,
        ),
    ));
    story.push((
        "balance",
        player
            .provider
            .get_balance(probe)
            .await
            .unwrap()
            .to_string(),
    ));
    story
}

async fn refusals(player: &mut Player, probe: Address) -> Vec<(&'static str, String)> {
    let mut story = vec![];
    let rich = TxEip1559 {
        value: parse_ether("10000").unwrap(),
        ..transaction(0, Some(probe), vec![], 21_000)
    };
    let cheap = TxEip1559 {
        max_fee_per_gas: 1,
        ..transaction(0, Some(probe), vec![], 100_000)
    };
    for (what, raw, count) in [
        (
            "nonce too low",
            signed(0, transaction(0, Some(probe), vec![], 50_000)),
            3,
        ),
        ("cannot pay", signed(1, rich), 2),
        (
            "intrinsic gas",
            signed(1, transaction(0, Some(probe), vec![], 20_000)),
            4,
        ),
        ("fee cap", signed(1, cheap), 3),
    ] {
        let error = player.refusal(&raw).await;
        // Codes differ: -32000 of go-ethereum here, -32003 of EIP-1474 there.
        story.push((what, words(&error, count)));
    }
    for (what, request) in [
        (
            "custom error",
            call(
                probe,
                Probe::refuseCall {
                    code: U256::from(9),
                },
            ),
        ),
        ("reason", call(probe, Probe::failCall { why: "no".into() })),
    ] {
        for answer in [
            player.provider.call(request.clone()).await.map(|_| ()),
            player.provider.estimate_gas(request).await.map(|_| ()),
        ] {
            let error = answer.unwrap_err().as_error_resp().unwrap().clone();
            story.push((
                what,
                format!("{} {} {:?}", error.code, words(&error, 2), error.data),
            ));
        }
    }
    let unknown = player.ask("eth_noSuchMethod", json!([])).await.unwrap_err();
    story.push(("unknown method", unknown.code.to_string()));
    let malformed = player
        .ask("eth_getBalance", json!(["0x12", "latest"]))
        .await
        .unwrap_err();
    story.push(("malformed", malformed.code.to_string()));
    let missing = player
        .ask("eth_getTransactionReceipt", json!([B256::ZERO]))
        .await
        .unwrap();
    story.push(("missing", missing.to_string()));
    story
}

async fn times(player: &mut Player, probe: Address) -> Vec<(&'static str, String)> {
    let mut story = vec![];
    let set = |next: u64| {
        Probe::setCall {
            next: U256::from(next),
        }
        .abi_encode()
    };
    player
        .ask("evm_setNextBlockTimestamp", json!([START + 5_000]))
        .await
        .unwrap();
    story.push((
        "set time",
        facts(&player.send(Some(probe), set(1), 100_000).await),
    ));
    player
        .ask("evm_mine", json!([START + 6_000]))
        .await
        .unwrap();
    player.ask("anvil_mine", json!(["0x3"])).await.unwrap();
    player
        .ask("evm_setNextBlockTimestamp", json!([START + 9_000]))
        .await
        .unwrap();
    story.push((
        "set time again",
        facts(&player.send(Some(probe), set(2), 100_000).await),
    ));
    let past = player
        .ask("evm_setNextBlockTimestamp", json!([START]))
        .await;
    story.push(("time never falls", past.is_err().to_string()));
    story
}

/// Fields that anvil adds to what the Ethereum API asks for.
const ADDED: [&str; 3] = ["totalDifficulty", "blobGasPrice", "blockTimestamp"];

/// Names of the fields of a block, a transaction and a receipt.
async fn shapes(player: &Player, transaction: B256) -> Vec<(&'static str, String)> {
    let mut story = vec![];
    for (what, method, params) in [
        ("block", "eth_getBlockByNumber", json!(["0x1", false])),
        (
            "transaction",
            "eth_getTransactionByHash",
            json!([transaction]),
        ),
        ("receipt", "eth_getTransactionReceipt", json!([transaction])),
    ] {
        let answer = player.ask(method, params).await.unwrap();
        let mut names: Vec<&str> = answer
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        names.retain(|name| !ADDED.contains(name));
        names.sort();
        story.push((what, names.join(" ")));
    }
    story
}

/// A process that is killed when this is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A fresh anvil and its address, `None` if it is not installed.
fn anvil() -> Option<(Killed, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");
    if !path.exists() {
        println!("skipped: anvil is not installed; run `npm ci` in contracts/");
        return None;
    }
    let options = format!(
        "--port 0 --hardfork cancun --chain-id {CHAIN_ID} --timestamp {START} --gas-limit 60000000"
    );
    let mut child = Command::new(path)
        .args(options.split(' '))
        .arg("--block-base-fee-per-gas")
        .arg(BASE_FEE.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let address = lines
        .filter_map(|line| line.strip_prefix("Listening on ").map(str::to_string))
        .next()
        .unwrap();
    Some((Killed(child), format!("http://{address}")))
}

/// The dev accounts have on anvil what they have here.
async fn fund(anvil: &DynProvider) {
    for account in dev_accounts() {
        let params = (account.address, parse_ether("10000").unwrap());
        anvil
            .raw_request::<_, Value>("anvil_setBalance".into(), params)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn anvil_tells_the_same_story() {
    let Some((_anvil, url)) = anvil() else { return };
    let (ours, theirs) = (
        DevChain::in_memory(Options::standing(START)).provider(),
        http(&url),
    );
    fund(&theirs).await;
    let (ours, theirs) = (story(ours).await, story(theirs).await);
    assert_eq!(ours.len(), theirs.len());
    let different: Vec<_> = ours
        .iter()
        .zip(&theirs)
        .filter(|(ours, theirs)| ours != theirs)
        .collect();
    assert!(different.is_empty(), "ours and anvil's: {different:#?}");
}

#[tokio::test]
async fn anvil_estimates_about_the_same_gas() {
    let Some((_anvil, url)) = anvil() else { return };
    let (ours, theirs) = (
        DevChain::in_memory(Options::standing(START)).provider(),
        http(&url),
    );
    fund(&theirs).await;
    let mut probe = Address::ZERO;
    for provider in [&ours, &theirs] {
        let mut player = Player {
            provider: provider.clone(),
            nonce: 0,
        };
        probe = player
            .send(None, Probe::BYTECODE.clone(), 1_000_000)
            .await
            .contract_address
            .unwrap();
    }
    for depth in [0, 1, 5, 20] {
        let request = call(
            probe,
            Probe::nestedCall {
                depth: U256::from(depth),
            },
        );
        let ours = ours.estimate_gas(request.clone()).await.unwrap();
        let theirs = theirs.estimate_gas(request).await.unwrap();
        assert!(
            ours.abs_diff(theirs) <= theirs / 32,
            "at depth {depth}: {ours}, anvil {theirs}"
        );
    }
}

/// Not a test: a process that owns a chain and sends transactions until it is killed. It prints
/// each hash as soon as it was answered.
#[tokio::test]
#[ignore = "started by the tests of killed processes"]
async fn owner() {
    let folder = PathBuf::from(std::env::var_os("DEVCHAIN_FOLDER").unwrap());
    let Opened::Owner(chain) = DevChain::open(&folder, Options::standing(START)).unwrap() else {
        panic!("owned")
    };
    for nonce in chain
        .provider()
        .get_transaction_count(dev_accounts()[0].address)
        .await
        .unwrap()..
    {
        let raw = signed(0, transaction(nonce, Some(Address::ZERO), vec![], 21_000));
        let sent = chain.provider().send_raw_transaction(&raw).await.unwrap();
        println!("\nsent {}", sent.tx_hash());
        std::io::stdout().flush().unwrap();
    }
}

/// Starts an owner.
fn start_owner(folder: &Path) -> (Killed, impl Iterator<Item = B256>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "owner",
            "--ignored",
            "--nocapture",
            "--test-threads",
            "1",
        ])
        .env("DEVCHAIN_FOLDER", folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let hashes =
        lines.filter_map(|line| line.strip_prefix("sent ").map(|hash| hash.parse().unwrap()));
    (Killed(child), hashes)
}

#[tokio::test]
async fn a_killed_owner_loses_nothing_that_it_answered() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut answered = vec![];
    for _ in 0..3 {
        let (owner, hashes) = start_owner(folder.path());
        answered.extend(hashes.take(20));
        drop(owner);
    }
    let Opened::Owner(chain) = DevChain::open(folder.path(), Options::standing(START)).unwrap()
    else {
        panic!("owned")
    };
    assert_eq!(answered.len(), 60);
    for hash in answered {
        assert!(
            chain
                .provider()
                .get_transaction_receipt(hash)
                .await
                .unwrap()
                .is_some(),
            "{hash} is lost"
        );
    }
}

#[tokio::test]
async fn another_process_shares_the_chain_until_its_owner_is_killed() {
    let folder = tempfile::TempDir::new().unwrap();
    let (owner, mut hashes) = start_owner(folder.path());
    let first = hashes.next().unwrap();
    let Opened::Shared { url } = DevChain::open(folder.path(), Options::standing(START)).unwrap()
    else {
        panic!("owned")
    };
    assert!(
        http(&url)
            .get_transaction_receipt(first)
            .await
            .unwrap()
            .is_some()
    );
    let ours = signed(1, transaction(0, Some(Address::ZERO), vec![], 21_000));
    let sent = *http(&url)
        .send_raw_transaction(&ours)
        .await
        .unwrap()
        .tx_hash();
    drop(owner);
    let Opened::Owner(chain) = DevChain::open(folder.path(), Options::standing(START)).unwrap()
    else {
        panic!("owned")
    };
    assert!(
        chain
            .provider()
            .get_transaction_receipt(sent)
            .await
            .unwrap()
            .unwrap()
            .status()
    );
}
