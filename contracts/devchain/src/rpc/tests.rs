//! The dispatcher on requests that no well-behaved client sends.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::error::{LIMIT, METHOD, PARAMS, PARSE, REQUEST};
use super::*;
use crate::chain::Chain;
use crate::{Options, dev_accounts};

const WALL: u64 = 1_800_000_000;

fn ledger() -> Ledger {
    Ledger::in_memory(Chain::new(Options::standing(WALL).identity()))
}

fn ask(ledger: &mut Ledger, request: &[u8]) -> Value {
    handle(ledger, WALL, request).map_or(Value::Null, |answer| from_slice(&answer).unwrap())
}

fn code(request: &Value) -> i64 {
    ask(&mut ledger(), request.to_string().as_bytes())["error"]["code"]
        .as_i64()
        .unwrap_or_default()
}

#[test]
fn what_is_not_understood_is_refused_by_its_code() {
    assert_eq!(ask(&mut ledger(), b"{")["error"]["code"], PARSE);
    assert_eq!(ask(&mut ledger(), &[b'['; 100_000])["error"]["code"], PARSE);
    assert_eq!(code(&json!(7)), REQUEST);
    assert_eq!(code(&json!([])), REQUEST);
    assert_eq!(code(&json!({ "id": 1 })), REQUEST);
    assert_eq!(code(&json!({ "id": 1, "method": "eth_mining" })), METHOD);
    assert_eq!(
        code(&json!({ "id": 1, "method": "eth_call", "params": {} })),
        PARAMS
    );
    assert_eq!(
        code(&json!({ "id": 1, "method": "eth_getBalance", "params": ["0x12"] })),
        PARAMS
    );
    assert_eq!(
        code(&json!({ "id": 1, "method": "eth_getBalance" })),
        PARAMS
    );
    assert_eq!(
        code(&json!({ "id": 1, "method": "eth_call", "params": [{}, "latest", { "0x": {} }] })),
        PARAMS
    );
    assert_eq!(code(&json!(vec![0; MAX_BATCH + 1])), LIMIT);
    assert_eq!(
        ask(&mut ledger(), &vec![b' '; MAX_REQUEST_BYTES + 1])["error"]["code"],
        LIMIT
    );
}

#[test]
fn a_malformed_value_is_named() {
    let request = json!({ "id": 1, "method": "eth_getBalance", "params": ["0x12", "latest"] });
    let answer = ask(&mut ledger(), request.to_string().as_bytes());
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("invalid argument 0 (address)") && message.ends_with("got \"0x12\""),
        "{message}"
    );
}

#[test]
fn a_batch_is_answered_one_by_one() {
    let (chain, number) = (
        json!({ "id": "a", "method": "eth_chainId" }),
        json!({ "id": 2, "method": "eth_blockNumber" }),
    );
    let batch = json!([chain, 5, { "method": "evm_mine" }, number]);
    let answers = ask(&mut ledger(), batch.to_string().as_bytes());
    assert_eq!(answers.as_array().unwrap().len(), 3);
    assert_eq!(
        (&answers[0]["result"], &answers[0]["id"]),
        (&json!("0x7a6a"), &json!("a"))
    );
    assert_eq!(answers[1]["error"]["code"], REQUEST);
    assert_eq!(
        answers[2]["result"], "0x1",
        "the notification between was done, too"
    );
}

#[test]
fn nobody_answers_a_notification() {
    assert_eq!(
        handle(&mut ledger(), WALL, br#"{"method":"eth_chainId"}"#),
        None
    );
    assert_eq!(
        handle(&mut ledger(), WALL, br#"[{"method":"eth_chainId"}]"#),
        None
    );
}

const METHODS: [&str; 27] = [
    "web3_clientVersion",
    "net_version",
    "eth_chainId",
    "eth_syncing",
    "eth_blockNumber",
    "eth_gasPrice",
    "eth_maxPriorityFeePerGas",
    "eth_feeHistory",
    "eth_getBlockByNumber",
    "eth_getBlockByHash",
    "eth_getBlockReceipts",
    "eth_getTransactionByHash",
    "eth_getTransactionReceipt",
    "eth_getTransactionCount",
    "eth_getBalance",
    "eth_getCode",
    "eth_getStorageAt",
    "eth_getLogs",
    "eth_call",
    "eth_estimateGas",
    "eth_sendRawTransaction",
    "evm_mine",
    "anvil_mine",
    "evm_increaseTime",
    "evm_setNextBlockTimestamp",
    "devchain_setTime",
    "devchain_now",
];

/// Values that come near to what methods expect, and others.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<u64>().prop_map(|number| json!(format!("{number:#x}"))),
        (0_u64..4).prop_map(|number| json!(format!("{number:#x}"))),
        prop::sample::select(vec![
            "latest",
            "pending",
            "safe",
            "finalized",
            "earliest",
            "0x",
            "",
            "0xzz"
        ])
        .prop_map(Value::from),
        (0_usize..10).prop_map(|index| json!(dev_accounts()[index].address)),
        any::<[u8; 32]>().prop_map(|hash| json!(alloy::primitives::B256::from(hash))),
        prop::collection::vec(any::<u8>(), 0..90)
            .prop_map(|bytes| json!(alloy::primitives::Bytes::from(bytes))),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        let keys = prop::sample::select(vec![
            "from",
            "to",
            "gas",
            "gasPrice",
            "maxFeePerGas",
            "maxPriorityFeePerGas",
            "value",
            "data",
            "input",
            "nonce",
            "chainId",
            "accessList",
            "type",
            "address",
            "topics",
            "fromBlock",
            "toBlock",
            "blockHash",
            "blockNumber",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((keys.prop_map(String::from), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn request() -> impl Strategy<Value = Value> {
    let method = prop_oneof![9 => prop::sample::select(METHODS.to_vec()).prop_map(Value::from), 1 => value()];
    let params =
        prop_oneof![9 => prop::collection::vec(value(), 0..4).prop_map(Value::from), 1 => value()];
    let id = prop_oneof![
        any::<i64>().prop_map(Value::from),
        ".{0,9}".prop_map(Value::from),
        Just(Value::Null)
    ];
    (id, method, params)
        .prop_map(|(id, method, params)| json!({ "id": id, "method": method, "params": params }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_request_is_answered_and_nothing_panics(requests in prop::collection::vec(request(), 1..30)) {
        let mut ledger = ledger();
        for request in requests {
            let answer = ask(&mut ledger, request.to_string().as_bytes());
            prop_assert_eq!(&answer["id"], &request["id"]);
            prop_assert!(answer["error"].is_object() != answer.get("result").is_some());
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        handle(&mut ledger(), WALL, &bytes);
    }

    #[test]
    fn any_raw_transaction_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0_u8..5) {
        let raw = alloy::primitives::Bytes::from([&[kind][..], &bytes].concat());
        let request = json!({ "id": 1, "method": "eth_sendRawTransaction", "params": [raw] });
        prop_assert!(ask(&mut ledger(), request.to_string().as_bytes())["error"].is_object());
    }
}
