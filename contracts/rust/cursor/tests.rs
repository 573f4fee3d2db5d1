//! The cursor against a toy chain that speaks JSON-RPC, reorganises, and refuses long ranges.

use std::future::ready;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use alloy::primitives::{B256, Log as Inner, keccak256};
use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket};
use alloy::transports::{TransportError, TransportFut};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const CONTRACT: Address = Address::repeat_byte(7);

/// Blocks by hash and whether each has an event.
#[derive(Clone, Default)]
struct Toy(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    blocks: Vec<(B256, bool)>,
    made: u64,
    /// Longest range that is answered.
    most: u64,
    /// Questions that fail from now on.
    failing: u64,
    /// Entries of each answer that are no events.
    junk: Vec<Value>,
    /// As a chain from before EIP-1559.
    without_base_fee: bool,
}

impl State {
    fn mine(&mut self, event: bool) {
        self.made += 1;
        self.blocks
            .push((keccak256(self.made.to_be_bytes()), event));
    }

    fn answer(&mut self, method: &str, params: &Value) -> Result<Value, (i64, &'static str)> {
        if self.failing > 0 {
            self.failing -= 1;
            return Err((429, "too many requests"));
        }
        match method {
            "eth_chainId" => Ok(json!("0x1")),
            "eth_getBlockByNumber" => Ok(self.block(&params[0])),
            "eth_getLogs" => self.logs(
                number(&params[0]["fromBlock"]),
                number(&params[0]["toBlock"]),
            ),
            _ => Err((-32601, "no such method")),
        }
    }

    fn block(&self, which: &Value) -> Value {
        let at = if which == "latest" {
            self.blocks.len() - 1
        } else {
            number(which) as usize
        };
        let Some((hash, _)) = self.blocks.get(at) else {
            return Value::Null;
        };
        let mut block = alloy::rpc::types::Block::<B256>::default();
        (block.header.hash, block.header.inner.number) = (*hash, at as u64);
        block.header.inner.base_fee_per_gas = (!self.without_base_fee).then_some(1);
        serde_json::to_value(block).unwrap()
    }

    fn logs(&self, from: u64, to: u64) -> Result<Value, (i64, &'static str)> {
        if to - from >= self.most {
            return Err((-32602, "block range too large"));
        }
        let events = (from..=to).filter(|at| {
            self.blocks
                .get(*at as usize)
                .is_some_and(|(_, event)| *event)
        });
        let logs = events.map(|at| serde_json::to_value(self.log(at)).unwrap());
        Ok(logs.chain(self.junk.clone()).collect())
    }

    fn log(&self, at: u64) -> Log {
        let (hash, _) = self.blocks[at as usize];
        let inner = Inner::new_unchecked(CONTRACT, vec![hash], Default::default());
        Log {
            inner,
            block_hash: Some(hash),
            block_number: Some(at),
            log_index: Some(0),
            ..Log::default()
        }
    }

    /// What a reader of the whole chain from the block `first` knows.
    fn truth(&self, first: u64) -> Vec<(u64, B256)> {
        let blocks = self
            .blocks
            .iter()
            .enumerate()
            .map(|(at, (hash, event))| (at as u64, *hash, *event));
        blocks
            .filter(|(at, _, event)| *event && *at >= first)
            .map(|(at, hash, _)| (at, hash))
            .collect()
    }
}

fn number(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

impl Toy {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }
}

impl tower::Service<RequestPacket> for Toy {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        let request = serde_json::to_value(request).unwrap();
        let outcome = self
            .with(|state| state.answer(request["method"].as_str().unwrap(), &request["params"]));
        let mut answer = json!({ "jsonrpc": "2.0", "id": request["id"] });
        match outcome {
            Ok(result) => answer["result"] = result,
            Err((code, message)) => answer["error"] = json!({ "code": code, "message": message }),
        }
        Box::pin(ready(Ok(serde_json::from_value(answer).unwrap())))
    }
}

/// Asks again at once: the toy has no load that a wait would relieve.
async fn client(toy: &Toy) -> Client {
    Client::over(RpcClient::new(toy.clone(), true), "the toy", 1)
        .await
        .unwrap()
        .with_waits([Duration::ZERO; 3])
}

fn toy(blocks: u64) -> Toy {
    let toy = Toy::default();
    toy.with(|state| {
        state.most = MAX_SPAN;
        (0..=blocks).for_each(|_| state.mine(true));
    });
    toy
}

/// What a consumer knows that obeys `rolled_back_to`.
#[derive(Default)]
struct Reader(Vec<(u64, B256)>);

impl Reader {
    fn take(&mut self, batch: &Batch) {
        if let Some(block) = batch.rolled_back_to {
            self.0.retain(|(at, _)| *at <= block);
        }
        self.0.extend(
            batch
                .logs
                .iter()
                .map(|log| (log.block_number.unwrap(), log.topics()[0])),
        );
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}

async fn read_all(cursor: &mut Cursor, client: &Client, reader: &mut Reader) {
    for _ in 0..10_000 {
        let Ok(batch) = cursor.poll(client).await else {
            continue;
        };
        reader.take(&batch);
        if batch.behind == 0 {
            return;
        }
    }
    panic!("the cursor does not arrive");
}

#[test]
fn a_refused_range_is_halved_and_grows_again() {
    block_on(async {
        let toy = toy(100);
        let client = client(&toy).await;
        toy.with(|state| state.most = 5);
        let (mut cursor, mut reader) = (Cursor::new(CONTRACT, 3), Reader::default());
        read_all(&mut cursor, &client, &mut reader).await;
        assert_eq!(reader.0, toy.with(|state| state.truth(3)));
        toy.with(|state| state.most = 0);
        toy.with(|state| state.mine(true));
        assert!(matches!(
            cursor.poll(&client).await,
            Err(RpcError::Refused { .. })
        ));
        assert_eq!((cursor.next_block(), cursor.span), (101, 1));
        toy.with(|state| state.most = MAX_SPAN);
        read_all(&mut cursor, &client, &mut reader).await;
        assert_eq!(cursor.span, 2);
    });
}

#[test]
fn a_chain_without_base_fees_is_refused() {
    block_on(async {
        let toy = toy(3);
        let client = client(&toy).await;
        assert_eq!(client.head().await.unwrap().base_fee, 1);
        toy.with(|state| state.without_base_fee = true);
        assert!(matches!(
            client.head().await,
            Err(RpcError::Unsupported { .. })
        ));
    });
}

#[test]
fn a_deep_reorganisation_starts_again_and_says_so() {
    block_on(async {
        let toy = toy(10);
        let client = client(&toy).await;
        let (mut cursor, mut reader) = (Cursor::new(CONTRACT, 3), Reader::default());
        read_all(&mut cursor, &client, &mut reader).await;
        toy.with(|state| {
            state.blocks.truncate(1);
            (0..20).for_each(|_| state.mine(true));
        });
        let batch = cursor.poll(&client).await.unwrap();
        assert_eq!((batch.rolled_back_to, batch.restarted), (Some(2), true));
        reader.take(&batch);
        assert_eq!(reader.0, toy.with(|state| state.truth(3)));
    });
}

#[test]
fn what_is_no_event_is_left_out_alone() {
    block_on(async {
        let toy = toy(2);
        let other = Inner::new_unchecked(Address::ZERO, vec![], Default::default());
        toy.with(|state| {
            let foreign = Log {
                inner: other,
                ..state.log(1)
            };
            let pending = Log {
                block_number: None,
                ..state.log(1)
            };
            let far = Log {
                block_number: Some(99),
                ..state.log(1)
            };
            let logs = [foreign, pending, far].map(|log| serde_json::to_value(log).unwrap());
            state.junk = logs
                .into_iter()
                .chain([json!(7), json!({ "topics": 3 })])
                .collect();
        });
        let batch = Cursor::new(CONTRACT, 0)
            .poll(&client(&toy).await)
            .await
            .unwrap();
        assert_eq!(
            (batch.logs.len(), batch.malformed, batch.head, batch.behind),
            (3, 5, 2, 0)
        );
    });
}

#[derive(Clone, Debug)]
enum Happening {
    Mine(u64, bool),
    /// Blocks are replaced, and some more are on top.
    Reorganise(u64, u64),
    Fail(u64),
    Limit(u64),
    Poll,
    Restart,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        (1u64..9, any::<bool>()).prop_map(|(count, event)| Happening::Mine(count, event)),
        (1u64..20, 1u64..4).prop_map(|(depth, more)| Happening::Reorganise(depth, more)),
        (1u64..4).prop_map(Happening::Fail),
        (1u64..9).prop_map(Happening::Limit),
        Just(Happening::Poll),
        Just(Happening::Poll),
        Just(Happening::Restart),
    ];
    prop::collection::vec(one, 1..40)
}

async fn happen(
    toy: &Toy,
    client: &Client,
    cursor: &mut Cursor,
    reader: &mut Reader,
    happening: Happening,
) {
    match happening {
        Happening::Mine(count, event) => {
            toy.with(|state| (0..count).for_each(|_| state.mine(event)))
        }
        Happening::Reorganise(depth, more) => toy.with(|state| {
            let kept = (state.blocks.len() - 1)
                .saturating_sub(depth as usize)
                .max(1);
            let gone = state.blocks.len() - kept;
            state.blocks.truncate(kept);
            (0..gone as u64 + more).for_each(|_| state.mine(true));
        }),
        Happening::Fail(count) => toy.with(|state| state.failing = count),
        Happening::Limit(most) => toy.with(|state| state.most = most),
        Happening::Poll => {
            if let Ok(batch) = cursor.poll(client).await {
                reader.take(&batch);
            }
        }
        Happening::Restart => {
            *cursor = serde_json::from_str(&serde_json::to_string(cursor).unwrap()).unwrap()
        }
    }
}

proptest! {
    #[test]
    fn a_reader_knows_the_chain_in_the_end(happenings in happenings()) {
        block_on(async {
            let toy = toy(3);
            let client = client(&toy).await;
            let (mut cursor, mut reader) = (Cursor::new(CONTRACT, 2), Reader::default());
            for happening in happenings {
                happen(&toy, &client, &mut cursor, &mut reader, happening).await;
            }
            toy.with(|state| state.failing = 0);
            read_all(&mut cursor, &client, &mut reader).await;
            assert_eq!(reader.0, toy.with(|state| state.truth(2)));
        });
    }
}
