//! The dev chain as an alloy provider sees it.

use alloy::consensus::{EthereumTxEnvelope, SignableTransaction, TxEip1559, TxEip4844, TxLegacy};
use alloy::eips::{BlockId, BlockNumberOrTag, Encodable2718};
use alloy::network::{EthereumWallet, TransactionBuilder, TxSignerSync};
use alloy::primitives::{Address, B256, Bytes, TxKind, U256, address, utils::parse_ether};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::types::{Filter, TransactionRequest};
use alloy::sol_types::{SolError, SolEvent};

use super::probe::Probe;
use super::rules::{BASE_FEE, BLOCK_GAS_LIMIT, PRIORITY_FEE};
use super::{CHAIN_ID, DevChain, Options, dev_accounts};

pub(super) const START: u64 = 1_800_000_000;

fn chain() -> DevChain {
    DevChain::in_memory(Options::standing(START))
}

/// Signs with the first dev account, and fills nonces, fees and gas.
fn wallet(chain: &DevChain) -> DynProvider {
    let signer = dev_accounts()[0].signer.clone();
    let builder = ProviderBuilder::new()
        .with_simple_nonce_management()
        .wallet(EthereumWallet::from(signer));
    builder.connect_client(chain.client()).erased()
}

/// Raw bytes of a transfer by a dev account.
pub(super) fn transfer(from: usize, change: impl FnOnce(&mut TxEip1559)) -> Vec<u8> {
    let mut tx = TxEip1559 {
        chain_id: CHAIN_ID,
        gas_limit: 21_000,
        max_fee_per_gas: 2 * u128::from(BASE_FEE),
        max_priority_fee_per_gas: 0,
        to: TxKind::Call(Address::ZERO),
        value: U256::ONE,
        ..Default::default()
    };
    change(&mut tx);
    let signature = dev_accounts()[from]
        .signer
        .sign_transaction_sync(&mut tx)
        .unwrap();
    EthereumTxEnvelope::<TxEip4844>::from(tx.into_signed(signature)).encoded_2718()
}

pub(super) async fn send(provider: &DynProvider, raw: &[u8]) -> B256 {
    *provider.send_raw_transaction(raw).await.unwrap().tx_hash()
}

async fn refusal(chain: &DevChain, raw: &[u8]) -> String {
    let error = chain
        .provider()
        .send_raw_transaction(raw)
        .await
        .unwrap_err();
    error.as_error_resp().unwrap().message.to_string()
}

#[tokio::test]
async fn a_contract_is_deployed_called_and_read() {
    let chain = chain();
    let probe = Probe::deploy(wallet(&chain)).await.unwrap();
    let receipt = probe
        .set(U256::from(7))
        .send()
        .await
        .unwrap()
        .get_receipt()
        .await
        .unwrap();
    assert!(receipt.status());
    assert_eq!(
        (receipt.block_number, receipt.from),
        (Some(2), dev_accounts()[0].address)
    );
    assert_eq!(probe.value().call().await.unwrap(), U256::from(7));
    let event = receipt.decoded_log::<Probe::Set>().unwrap();
    assert_eq!(
        (event.by, event.value, event.time),
        (receipt.from, U256::from(7), U256::from(START))
    );
}

#[tokio::test]
async fn events_are_found_by_address_topic_and_range() {
    let chain = chain();
    let (one, other) = (
        Probe::deploy(wallet(&chain)).await.unwrap(),
        Probe::deploy(wallet(&chain)).await.unwrap(),
    );
    for (probe, value) in [(&one, 1), (&other, 2), (&one, 3)] {
        probe
            .set(U256::from(value))
            .send()
            .await
            .unwrap()
            .get_receipt()
            .await
            .unwrap();
    }
    let count = async |filter: Filter| chain.provider().get_logs(&filter).await.unwrap().len();
    let all = Filter::new()
        .from_block(0)
        .event_signature(Probe::Set::SIGNATURE_HASH);
    assert_eq!(count(all.clone()).await, 3);
    assert_eq!(count(all.clone().address(*one.address())).await, 2);
    assert_eq!(
        count(all.clone().topic2(B256::from(U256::from(2)))).await,
        1
    );
    assert_eq!(count(all.clone().to_block(4)).await, 2);
    assert_eq!(
        count(all.clone().from_block(5).to_block(BlockNumberOrTag::Latest)).await,
        1
    );
    assert_eq!(count(all.event_signature(B256::ZERO)).await, 0);
    let logs = chain
        .provider()
        .get_logs(&Filter::new().at_block_hash(hash(&chain, 5).await))
        .await
        .unwrap();
    assert_eq!(
        (logs.len(), logs[0].log_index, logs[0].block_number),
        (1, Some(0), Some(5))
    );
}

async fn hash(chain: &DevChain, number: u64) -> B256 {
    chain
        .provider()
        .get_block(BlockId::number(number))
        .await
        .unwrap()
        .unwrap()
        .header
        .hash
}

#[tokio::test]
async fn reverts_carry_their_data() {
    let chain = chain();
    let probe = Probe::deploy(wallet(&chain)).await.unwrap();
    let error = probe.refuse(U256::from(9)).call().await.unwrap_err();
    assert_eq!(
        error.as_decoded_error::<Probe::Refused>().unwrap().code,
        U256::from(9)
    );
    let request = probe.fail("no".into()).into_transaction_request();
    for error in [
        chain.provider().call(request.clone()).await.unwrap_err(),
        chain
            .provider()
            .estimate_gas(request.clone())
            .await
            .unwrap_err(),
    ] {
        let payload = error.as_error_resp().unwrap();
        assert_eq!(
            (payload.code, payload.message.as_ref()),
            (3, "execution reverted: no")
        );
        let data: Bytes = serde_json::from_str(payload.data.as_ref().unwrap().get()).unwrap();
        assert_eq!(
            alloy::sol_types::Revert::abi_decode(&data).unwrap().reason,
            "no"
        );
    }
}

#[tokio::test]
async fn a_reverted_transaction_is_mined_and_paid_for() {
    let chain = chain();
    let probe = Probe::deploy(wallet(&chain)).await.unwrap();
    let pending = probe.refuse(U256::ONE).gas(100_000).send().await.unwrap();
    let receipt = pending.get_receipt().await.unwrap();
    assert!(!receipt.status() && receipt.gas_used > 21_000 && receipt.logs().is_empty());
    let raw: serde_json::Value = chain
        .provider()
        .raw_request(
            "eth_getTransactionReceipt".into(),
            [receipt.transaction_hash],
        )
        .await
        .unwrap();
    assert_eq!(
        raw["revertReason"],
        format!(
            "{}",
            Bytes::from(Probe::Refused { code: U256::ONE }.abi_encode())
        )
    );
}

#[tokio::test]
async fn estimates_are_enough_and_tight() {
    let chain = chain();
    let probe = Probe::deploy(wallet(&chain)).await.unwrap();
    for depth in [0, 1, 20] {
        let call = probe.nested(U256::from(depth));
        let estimate = call.estimate_gas().await.unwrap();
        let request = call
            .into_transaction_request()
            .from(dev_accounts()[0].address);
        let with = async |gas: u64| {
            chain
                .provider()
                .call(request.clone().gas_limit(gas))
                .await
                .is_ok()
        };
        assert!(with(estimate).await, "{depth}");
        assert!(
            !with(estimate - estimate / 60 - 1).await,
            "{depth}: {estimate} is too much"
        );
    }
    let plain = TransactionRequest::default()
        .from(dev_accounts()[0].address)
        .to(Address::ZERO)
        .value(U256::ONE);
    assert_eq!(chain.provider().estimate_gas(plain).await.unwrap(), 21_000);
}

#[tokio::test]
async fn what_never_ends_runs_out_of_gas() {
    let chain = chain();
    let probe = Probe::deploy(wallet(&chain)).await.unwrap();
    let message = |error: alloy::contract::Error| error.to_string();
    assert!(message(probe.spin().call().await.unwrap_err()).contains("out of gas"));
    assert!(
        message(probe.spin().estimate_gas().await.map(|_| ()).unwrap_err())
            .contains("gas required exceeds allowance")
    );
}

#[tokio::test]
async fn transactions_are_refused_in_the_usual_words() {
    let chain = chain();
    let first = transfer(0, |_| {});
    send(&chain.provider(), &first).await;
    assert_eq!(refusal(&chain, &first).await, "already known");
    for (raw, words) in [
        (
            transfer(0, |tx| tx.value = U256::from(2)),
            "nonce too low: next nonce 1, tx nonce 0",
        ),
        (
            transfer(0, |tx| tx.nonce = 3),
            "nonce too high: next nonce 1, tx nonce 3",
        ),
        (
            transfer(1, |tx| tx.value = parse_ether("10000").unwrap()),
            "insufficient funds for gas * price + value",
        ),
        (
            transfer(1, |tx| tx.chain_id = 1),
            "invalid chain id for signer: have 1 want 31338",
        ),
        (
            transfer(1, |tx| tx.gas_limit = 20_999),
            "intrinsic gas too low: have 20999, want 21000",
        ),
        (
            transfer(1, |tx| tx.gas_limit = BLOCK_GAS_LIMIT + 1),
            "exceeds block gas limit",
        ),
        (
            transfer(1, |tx| tx.max_fee_per_gas = 1),
            "max fee per gas less than block base fee",
        ),
        (
            transfer(1, |tx| tx.max_priority_fee_per_gas = 1 << 60),
            "max priority fee per gas higher than max fee per gas",
        ),
        (vec![2, 0xc0], "rlp: "),
        (vec![], "rlp: "),
        ([transfer(1, |_| {}), vec![0]].concat(), "rlp: "),
        (vec![0; 200_000], "oversized data"),
    ] {
        let said = refusal(&chain, &raw).await;
        assert!(said.starts_with(words), "{said} instead of {words}");
    }
    assert_eq!(chain.provider().get_block_number().await.unwrap(), 1);
}

#[tokio::test]
async fn legacy_transactions_need_a_chain_id() {
    let chain = chain();
    let sign = |chain_id| {
        let mut tx = TxLegacy {
            chain_id,
            gas_limit: 21_000,
            gas_price: 2 * u128::from(BASE_FEE),
            ..Default::default()
        };
        tx.to = TxKind::Call(Address::ZERO);
        let signature = dev_accounts()[0]
            .signer
            .sign_transaction_sync(&mut tx)
            .unwrap();
        EthereumTxEnvelope::<TxEip4844>::from(tx.into_signed(signature)).encoded_2718()
    };
    assert!(
        refusal(&chain, &sign(None))
            .await
            .starts_with("only replay-protected")
    );
    send(&chain.provider(), &sign(Some(CHAIN_ID))).await;
}

#[tokio::test]
async fn ether_is_conserved_but_for_the_burned_base_fee() {
    let chain = chain();
    let to = address!("00000000000000000000000000000000000000ff");
    let raw = transfer(2, |tx| {
        (tx.to, tx.value) = (TxKind::Call(to), U256::from(5));
        tx.max_priority_fee_per_gas = 3;
    });
    send(&chain.provider(), &raw).await;
    let balance = async |who| chain.provider().get_balance(who).await.unwrap();
    let price = U256::from(BASE_FEE + 3);
    let spent = super::accounts::genesis_balance() - balance(dev_accounts()[2].address).await;
    assert_eq!(spent, U256::from(21_000) * price + U256::from(5));
    assert_eq!(
        (balance(to).await, balance(Address::ZERO).await),
        (U256::from(5), U256::from(21_000 * 3))
    );
}

#[tokio::test]
async fn calls_see_the_time_that_the_next_block_will_have() {
    let chain = chain();
    let probe = Probe::deploy(wallet(&chain)).await.unwrap();
    chain.set_time(START + 500).unwrap();
    let facts = probe.facts().call().await.unwrap();
    assert_eq!(
        (facts.time, facts.number),
        (U256::from(START + 500), U256::from(2))
    );
    assert_eq!(
        (facts.chain, facts.parent),
        (U256::from(CHAIN_ID), hash(&chain, 1).await)
    );
    let receipt = probe
        .set(U256::ONE)
        .send()
        .await
        .unwrap()
        .get_receipt()
        .await
        .unwrap();
    assert_eq!(
        receipt.decoded_log::<Probe::Set>().unwrap().time,
        U256::from(START + 500)
    );
    assert!(chain.set_time(START + 499).is_err());
}

#[tokio::test]
async fn time_is_moved_over_rpc() {
    let provider = chain().provider();
    let ask = async |method: &'static str, value: u64| {
        provider
            .raw_request::<_, serde_json::Value>(method.into(), [value])
            .await
    };
    ask("evm_increaseTime", 100).await.unwrap();
    ask("evm_mine", START + 150).await.unwrap();
    ask("evm_setNextBlockTimestamp", START + 200).await.unwrap();
    ask("anvil_mine", 3).await.unwrap();
    for (number, time) in [(1, 150), (2, 200), (3, 200), (4, 200)] {
        let block = provider
            .get_block(BlockId::number(number))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(block.header.timestamp, START + time, "{number}");
    }
    assert!(ask("evm_setNextBlockTimestamp", START).await.is_err());
    assert!(
        ask("anvil_mine", super::command::MAX_MINED + 1)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn blocks_transactions_and_receipts_agree() {
    let chain = chain();
    let provider = chain.provider();
    let sent = send(&provider, &transfer(0, |_| {})).await;
    let block = provider
        .get_block(BlockId::latest())
        .full()
        .await
        .unwrap()
        .unwrap();
    let transaction = provider
        .get_transaction_by_hash(sent)
        .await
        .unwrap()
        .unwrap();
    let receipt = provider
        .get_transaction_receipt(sent)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        block.transactions.as_transactions().unwrap(),
        std::slice::from_ref(&transaction)
    );
    assert_eq!(
        (receipt.block_hash, transaction.block_hash),
        (Some(block.header.hash), Some(block.header.hash))
    );
    assert_eq!((receipt.gas_used, block.header.gas_used), (21_000, 21_000));
    assert_eq!(block.header.hash, block.header.inner.hash_slow());
    assert_eq!(block.header.parent_hash, hash(&chain, 0).await);
    let receipts = provider
        .get_block_receipts(BlockId::number(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(receipts, [receipt]);
    assert!(
        provider
            .get_transaction_receipt(B256::ZERO)
            .await
            .unwrap()
            .is_none()
    );
    let next = provider
        .get_block(BlockId::pending())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (next.header.number, next.header.parent_hash),
        (2, block.header.hash)
    );
}

#[tokio::test]
async fn fees_are_constant() {
    let provider = chain().provider();
    send(
        &provider,
        &transfer(0, |tx| tx.max_priority_fee_per_gas = 42),
    )
    .await;
    let history = provider
        .get_fee_history(10, BlockNumberOrTag::Latest, &[10.0, 90.0])
        .await
        .unwrap();
    assert_eq!(
        (history.oldest_block, history.base_fee_per_gas),
        (0, vec![BASE_FEE.into(); 3])
    );
    assert_eq!(history.reward.unwrap(), [[0, 0], [42, 42]]);
    assert_eq!(
        provider.get_gas_price().await.unwrap(),
        u128::from(BASE_FEE + PRIORITY_FEE)
    );
}

#[tokio::test]
async fn state_is_known_at_the_latest_block_only() {
    let chain = chain();
    chain.mine(3).unwrap();
    let provider = chain.provider();
    let at = async |id: BlockId| {
        provider
            .get_balance(dev_accounts()[0].address)
            .block_id(id)
            .await
    };
    for id in [
        BlockId::latest(),
        BlockId::pending(),
        BlockId::number(3),
        BlockId::number(4),
        hash(&chain, 3).await.into(),
    ] {
        assert!(at(id).await.is_ok(), "{id}");
    }
    for id in [
        BlockId::number(2),
        BlockId::number(5),
        BlockId::earliest(),
        hash(&chain, 1).await.into(),
    ] {
        let error = at(id).await.unwrap_err();
        assert!(
            error
                .as_error_resp()
                .unwrap()
                .message
                .contains("missing state"),
            "{id}"
        );
    }
}

#[tokio::test]
async fn code_and_storage_are_readable() {
    let chain = chain();
    let probe = Probe::deploy(wallet(&chain)).await.unwrap();
    probe
        .set(U256::from(77))
        .send()
        .await
        .unwrap()
        .get_receipt()
        .await
        .unwrap();
    let provider = chain.provider();
    assert!(provider.get_code_at(*probe.address()).await.unwrap().len() > 500);
    assert_eq!(
        provider.get_code_at(Address::ZERO).await.unwrap(),
        Bytes::new()
    );
    assert_eq!(
        provider
            .get_storage_at(*probe.address(), U256::ZERO)
            .await
            .unwrap(),
        U256::from(77)
    );
    assert_eq!(
        provider
            .get_transaction_count(dev_accounts()[0].address)
            .await
            .unwrap(),
        2
    );
}

#[tokio::test]
async fn block_hashes_reach_back_256_blocks() {
    let chain = chain();
    let probe = Probe::deploy(wallet(&chain)).await.unwrap();
    chain.mine(400).unwrap();
    let facts = probe.facts().call().await.unwrap();
    assert_eq!(facts.parent, hash(&chain, 401).await);
}

#[tokio::test]
async fn an_answer_has_a_limit_of_events() {
    let chain = chain();
    let probe = Probe::deploy(wallet(&chain)).await.unwrap();
    for _ in 0..2 {
        probe
            .many(U256::from(super::logs::MAX_LOGS / 2))
            .gas(BLOCK_GAS_LIMIT)
            .send()
            .await
            .unwrap()
            .get_receipt()
            .await
            .unwrap();
    }
    let all = Filter::new().from_block(0);
    assert_eq!(
        chain.provider().get_logs(&all).await.unwrap().len(),
        super::logs::MAX_LOGS
    );
    probe
        .set(U256::ONE)
        .send()
        .await
        .unwrap()
        .get_receipt()
        .await
        .unwrap();
    let error = chain.provider().get_logs(&all).await.unwrap_err();
    assert_eq!(error.as_error_resp().unwrap().code, -32_005);
    assert_eq!(
        chain
            .provider()
            .get_logs(&all.from_block(4))
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_batch_is_answered_in_process() {
    let client = chain().client();
    let mut batch = client.new_batch();
    let id = batch
        .add_call::<_, alloy::primitives::U64>("eth_chainId", &())
        .unwrap();
    let unknown = batch.add_call::<_, bool>("eth_mining", &()).unwrap();
    batch.send().await.unwrap();
    assert_eq!(id.await.unwrap().to::<u64>(), CHAIN_ID);
    assert_eq!(
        unknown.await.unwrap_err().as_error_resp().unwrap().code,
        -32_601
    );
}

#[tokio::test]
async fn who_polls_ahead_of_the_chain_finds_no_events() {
    let provider = chain().provider();
    assert!(
        provider
            .get_logs(&Filter::new().from_block(1))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        provider
            .get_logs(&Filter::new().from_block(3).to_block(9))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        provider
            .get_logs(&Filter::new().from_block(3).to_block(2))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn an_answer_has_a_limit_of_bytes() {
    // PUSH3 600000, PUSH0, LOG0: one event of 600,000 bytes.
    let code = alloy::primitives::hex!("66620927c05fa0005f5260076019f3");
    let (chain, each) = (chain(), 600_000);
    let provider = wallet(&chain);
    let deployed = provider
        .send_transaction(TransactionRequest::default().with_deploy_code(code))
        .await
        .unwrap();
    let shouter = deployed
        .get_receipt()
        .await
        .unwrap()
        .contract_address
        .unwrap();
    for nonce in 1..=super::logs::MAX_LOG_BYTES as u64 / each {
        let raw = transfer(0, |tx| {
            (tx.nonce, tx.gas_limit, tx.to, tx.value) =
                (nonce, 9_000_000, shouter.into(), U256::ZERO)
        });
        send(&provider, &raw).await;
    }
    let all = Filter::new().from_block(0);
    assert_eq!(
        provider.get_logs(&all).await.unwrap().len() as u64,
        super::logs::MAX_LOG_BYTES as u64 / each
    );
    provider
        .send_transaction(TransactionRequest::default().to(shouter))
        .await
        .unwrap()
        .get_receipt()
        .await
        .unwrap();
    assert_eq!(
        provider
            .get_logs(&all)
            .await
            .unwrap_err()
            .as_error_resp()
            .unwrap()
            .code,
        -32_005
    );
}
