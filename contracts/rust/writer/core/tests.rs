//! The core against a twin of a chain that loses, delays, reorganises and forgets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use proptest::prelude::*;

use super::*;
use crate::client::{Block, Call};
use crate::writer::intent::{Fees, Inclusion, Record};
use crate::writer::signer::{SignError, UnsignedTransaction};
use crate::writer::store::{IntentStore, MemoryStore};

const CONFIRMATIONS: u64 = 3;
const ACCOUNT: Address = Address::repeat_byte(7);
const INTENTS: u64 = 12;

/// Splitmix: the twin's dice.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn happens(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }
}

/// A transaction of the twin: its bytes are its fields.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Tx {
    nonce: u64,
    fees: Fees,
    data: Bytes,
}

impl Tx {
    fn raw(&self) -> Bytes {
        serde_json::to_vec(self).unwrap().into()
    }

    fn hash(&self) -> B256 {
        keccak256(self.raw())
    }
}

struct ToySigner;

impl TransactionSigner for ToySigner {
    fn account(&self) -> Address {
        ACCOUNT
    }

    fn sign(&self, draft: &UnsignedTransaction) -> Result<(B256, Bytes), SignError> {
        let tx = Tx {
            nonce: draft.nonce,
            fees: draft.fees,
            data: draft.data.clone(),
        };
        Ok((tx.hash(), tx.raw()))
    }
}

struct ToyBlock {
    hash: B256,
    txs: Vec<Tx>,
}

/// A chain with one account: blocks, and a pool that takes nonces ahead.
struct Twin {
    blocks: Vec<ToyBlock>,
    pool: BTreeMap<u64, Tx>,
    base_fee: u128,
    balance: u128,
    /// The deepest that blocks were ever mined upon, so that no second branch is deeper than
    /// `CONFIRMATIONS`.
    salt: u64,
}

impl Twin {
    fn new() -> Self {
        let mut twin = Self {
            blocks: vec![],
            pool: BTreeMap::new(),
            base_fee: 10,
            balance: u128::MAX >> 8,
            salt: 0,
        };
        twin.append(vec![]);
        twin
    }

    fn append(&mut self, txs: Vec<Tx>) {
        self.salt += 1;
        self.blocks.push(ToyBlock {
            hash: keccak256(self.salt.to_be_bytes()),
            txs,
        });
    }

    fn mined(&self) -> impl Iterator<Item = &Tx> {
        self.blocks.iter().flat_map(|block| &block.txs)
    }

    fn nonce(&self) -> u64 {
        self.mined().count() as u64
    }

    fn view(&self) -> View {
        let (number, hash) = (
            self.blocks.len() as u64 - 1,
            self.blocks.last().unwrap().hash,
        );
        let head = Block {
            number,
            hash,
            timestamp: 0,
            base_fee: self.base_fee,
        };
        View {
            head,
            tip: 2,
            nonce: self.nonce(),
            balance: U256::from(self.balance),
        }
    }

    /// A block with some of what the pool has, in the order of nonces.
    fn mine(&mut self, dice: &mut Dice) {
        let mut txs = vec![];
        while let Some(tx) = self.pool.remove(&(self.nonce() + txs.len() as u64)) {
            if tx.fees.max < self.base_fee || dice.happens(20) {
                self.pool.insert(tx.nonce, tx);
                break;
            }
            txs.push(tx);
        }
        self.append(txs);
        let nonce = self.nonce();
        self.pool.retain(|at, _| *at >= nonce);
    }

    /// Takes blocks away; what they held may return to the pool. New blocks make the new branch
    /// longer.
    fn reorganise(&mut self, depth: u64, dice: &mut Dice) {
        let depth = depth.min(self.blocks.len() as u64 - 1);
        for _ in 0..depth {
            for tx in self.blocks.pop().unwrap().txs {
                if dice.happens(50) {
                    self.pool.insert(tx.nonce, tx);
                }
            }
        }
        (0..=depth).for_each(|_| self.mine(dice));
    }

    /// The chain starts again from an older state, and its pool is empty.
    fn roll_back(&mut self, depth: u64) {
        let keep = (self.blocks.len() as u64).saturating_sub(depth).max(1);
        self.blocks.truncate(keep as usize);
        self.pool.clear();
    }

    fn take(&mut self, tx: Tx) -> BroadcastOutcome {
        if tx.nonce < self.nonce() {
            return BroadcastOutcome::NonceUsed;
        }
        if tx.fees.max < self.base_fee {
            return BroadcastOutcome::Underpriced;
        }
        match self.pool.get(&tx.nonce) {
            Some(old) if *old == tx => BroadcastOutcome::Known,
            Some(old)
                if tx.fees.max * 8 < old.fees.max * 9 || tx.fees.tip * 8 < old.fees.tip * 9 =>
            {
                BroadcastOutcome::Underpriced
            }
            _ => {
                self.pool.insert(tx.nonce, tx);
                BroadcastOutcome::Known
            }
        }
    }

    fn find(&self, hashes: &[B256]) -> Option<Inclusion> {
        let blocks = self.blocks.iter().enumerate();
        let mut txs = blocks.flat_map(|(at, block)| {
            block
                .txs
                .iter()
                .map(move |tx| (at as u64, block.hash, tx.hash()))
        });
        let (block, block_hash, tx) = txs.find(|(_, _, hash)| hashes.contains(hash))?;
        Some(Inclusion {
            tx,
            block,
            block_hash,
            success: true,
            contract: None,
            gas_used: 21_000,
        })
    }

    fn times(&self, data: &[u8]) -> usize {
        self.mined().filter(|tx| *tx.data == *data).count()
    }
}

/// How rough the world is.
#[derive(Clone, Copy, Debug)]
struct World {
    failures: u64,
    losses: u64,
    restarts: u64,
    reorganisations: u64,
    rollbacks: u64,
    strangers: u64,
}

struct Run {
    dice: Dice,
    world: World,
    twin: Twin,
    store: Arc<MemoryStore>,
    core: Core<ToySigner>,
    now: u64,
    submitted: u64,
    strangers: BTreeSet<Bytes>,
    rolled_back: bool,
}

fn config() -> WriterConfig {
    WriterConfig {
        confirmations: CONFIRMATIONS,
        poll_ms: 10,
        idle_ms: 50,
        resend_ms: 40,
        bump_ms: 60,
        fee_cap: 1 << 60,
        in_flight: 4,
        ..WriterConfig::default()
    }
}

fn id(n: u64) -> IntentId {
    IntentId::new(format!("job/{n}")).unwrap()
}

fn intent(n: u64) -> Intent {
    Intent::call(
        id(n),
        Address::repeat_byte(1),
        format!("job/{n}").into_bytes(),
    )
}

impl Run {
    fn new(seed: u64, world: World) -> Self {
        let (twin, store) = (Twin::new(), Arc::new(MemoryStore::default()));
        let (core, strangers) = (Core::new(config(), ToySigner, vec![]), BTreeSet::new());
        let rolled_back = world.rollbacks > 0;
        Self {
            dice: Dice(seed),
            world,
            twin,
            store,
            core,
            now: 0,
            submitted: 0,
            strangers,
            rolled_back,
        }
    }

    /// What happens besides the writer.
    fn happen(&mut self) {
        let World {
            reorganisations,
            rollbacks,
            strangers,
            restarts,
            ..
        } = self.world;
        self.now += self.dice.roll(20);
        if self.dice.happens(15) {
            self.twin.mine(&mut self.dice);
        }
        if self.dice.happens(5) {
            self.twin.base_fee = 1 + u128::from(self.dice.roll(60));
        }
        if self.dice.happens(reorganisations) {
            let depth = 1 + self.dice.roll(CONFIRMATIONS - 1);
            self.twin.reorganise(depth, &mut self.dice);
        }
        if self.dice.happens(rollbacks) {
            let depth = 1 + self.dice.roll(8);
            self.twin.roll_back(depth);
        }
        if self.dice.happens(strangers) {
            self.stranger();
        }
        if self.dice.happens(restarts) {
            self.restart();
        }
        if self.submitted < INTENTS && self.dice.happens(20) {
            self.core.submit(intent(self.submitted), false).unwrap();
            self.submitted += 1;
        }
    }

    /// Somebody else with the key sends, and pays well.
    fn stranger(&mut self) {
        let data: Bytes = format!("stranger/{}", self.strangers.len())
            .into_bytes()
            .into();
        let tx = Tx {
            nonce: self.twin.nonce(),
            fees: Fees {
                max: 1 << 70,
                tip: 1 << 60,
            },
            data: data.clone(),
        };
        self.twin.pool.insert(tx.nonce, tx);
        self.strangers.insert(data);
    }

    fn restart(&mut self) {
        self.core = Core::new(config(), ToySigner, self.store.load().unwrap());
        // A caller whose intent was not written yet submits again.
        (0..self.submitted).for_each(|n| self.core.submit(intent(n), false).unwrap());
    }

    fn step(&mut self) {
        self.happen();
        let Some(action) = self.core.next(self.now) else {
            return;
        };
        if self.dice.happens(self.world.restarts) {
            return self.restart();
        }
        let event = if self.dice.happens(self.world.failures) {
            self.half(action)
        } else {
            self.perform(action)
        };
        if self.dice.happens(self.world.restarts) {
            return self.restart();
        }
        self.core.handle(self.now, event);
        self.check();
    }

    /// A failure may come before or after the effect.
    fn half(&mut self, action: Action) -> Event {
        let stores = matches!(action, Action::Write(_) | Action::Remove(_));
        if self.dice.happens(50) {
            self.perform(action);
        }
        if stores {
            Event::NotStored("disk full".into())
        } else {
            Event::Failed("the line is dead".into())
        }
    }

    fn perform(&mut self, action: Action) -> Event {
        match action {
            Action::Write(record) => self.store.put(&record).map(|()| Event::Stored).unwrap(),
            Action::Remove(id) => self.store.remove(&id).map(|()| Event::Stored).unwrap(),
            Action::Look => Event::Looked(self.twin.view()),
            Action::Locate(id, hashes) => Event::Located(id, self.twin.find(&hashes)),
            Action::Preflight(id, Call { .. }) => Event::Estimated(id, Ok(21_000)),
            Action::Broadcast(id, raw) => Event::Broadcast(id.clone(), self.accept(&id, &raw)),
        }
    }

    fn accept(&mut self, id: &IntentId, raw: &Bytes) -> BroadcastOutcome {
        let written = self
            .store
            .load()
            .unwrap()
            .into_iter()
            .find(|record| record.intent.id == *id)
            .unwrap();
        let known = |attempt: &crate::writer::Attempt| attempt.raw == *raw;
        assert!(
            written.state.sent().unwrap().attempts.iter().any(known),
            "{id} is broadcast before it is written"
        );
        if self.dice.happens(self.world.losses) {
            return BroadcastOutcome::Known;
        }
        self.twin.take(serde_json::from_slice(raw).unwrap())
    }

    /// No two records share a nonce, and no more than allowed are under way.
    fn check(&self) {
        let sent = self.core.entries.values().filter_map(Entry::pending_nonce);
        let mut nonces: Vec<u64> = sent.collect();
        nonces.sort_unstable();
        assert!(
            nonces.windows(2).all(|pair| pair[0] != pair[1]),
            "two records with one nonce: {nonces:?}"
        );
    }

    fn finish(&mut self) {
        self.world = World {
            failures: 0,
            losses: 0,
            restarts: 0,
            reorganisations: 0,
            rollbacks: 0,
            strangers: 0,
        };
        for step in 0..20_000 {
            let done =
                self.submitted == INTENTS && self.core.live() == 0 && self.core.unsaved.is_empty();
            // A rollback is seen at the next look only.
            if done && step > 200 {
                return;
            }
            self.step();
        }
        panic!(
            "not done: {:?} {:?}",
            self.core.status(),
            self.core
                .entries
                .values()
                .map(|entry| &entry.record)
                .collect::<Vec<_>>()
        );
    }

    /// Every intent is in the chain once, and the records say where.
    fn verify(&self) {
        for n in 0..INTENTS {
            assert_eq!(self.twin.times(intent(n).data.as_ref()), 1, "job {n}");
            let State::Final(sent, inclusion) = self.core.state(&id(n)).unwrap() else {
                panic!("job {n}")
            };
            let found = self.twin.find(&[inclusion.tx]).unwrap();
            // What was final before a rollback may come again in another block.
            assert!(found == *inclusion || self.rolled_back, "job {n}");
            assert_eq!(sent.attempts.len(), 1);
        }
        let nonces: Vec<u64> = self.twin.mined().map(|tx| tx.nonce).collect();
        assert_eq!(nonces, (0..nonces.len() as u64).collect::<Vec<_>>());
        let stored: BTreeMap<u64, Record> = self
            .store
            .load()
            .unwrap()
            .into_iter()
            .map(|record| (record.sequence, record))
            .collect();
        let held: BTreeMap<u64, Record> = self
            .core
            .entries
            .iter()
            .map(|(at, entry)| (*at, entry.record.clone()))
            .collect();
        assert_eq!(stored, held);
    }
}

fn run(seed: u64, world: World) {
    let mut run = Run::new(seed, world);
    (0..1_500).for_each(|_| run.step());
    run.finish();
    run.verify();
}

prop_compose! {
    /// A rollback is deeper than any confirmation. With a stranger it can undo a final transaction
    /// unseen: the stranger's may take its nonce. So a world has one or the other.
    fn worlds()(
        failures in 0u64..30, losses in 0u64..50, restarts in 0u64..4, reorganisations in 0u64..4,
        rare in 0u64..2, rollback: bool,
    ) -> World {
        let (rollbacks, strangers) = if rollback { (rare, 0) } else { (0, rare) };
        World { failures, losses, restarts, reorganisations, rollbacks, strangers }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_intent_happens_once_in_any_world(seed: u64, world in worlds()) {
        run(seed, world);
    }
}

/// A run in which nothing goes wrong by itself.
fn calm() -> Run {
    let world = World {
        failures: 0,
        losses: 0,
        restarts: 0,
        reorganisations: 0,
        rollbacks: 0,
        strangers: 0,
    };
    Run {
        submitted: INTENTS,
        ..Run::new(0, world)
    }
}

impl Run {
    /// Does all there is to do at this moment, and what follows after the next wait.
    fn pass(&mut self) {
        self.now += 1_000;
        while let Some(action) = self.core.next(self.now) {
            let event = self.perform(action);
            self.core.handle(self.now, event);
        }
    }

    fn submit(&mut self, n: u64) {
        self.core.submit(intent(n), false).unwrap();
    }

    fn mine_all(&mut self) {
        let txs = std::mem::take(&mut self.twin.pool);
        self.twin.append(txs.into_values().collect());
    }

    fn state(&self, n: u64) -> &State {
        self.core.state(&id(n)).unwrap()
    }
}

#[test]
fn a_name_stands_for_one_thing() {
    let mut run = calm();
    run.submit(1);
    run.submit(1);
    let other = Intent {
        value: U256::from(1),
        ..intent(1)
    };
    assert_eq!(
        run.core.submit(other, false),
        Err(SubmitError::Conflict(id(1)))
    );
    assert_eq!(run.core.status().queued, 1);
    (2..=config().live as u64).for_each(|n| run.submit(n));
    assert_eq!(
        run.core.submit(intent(0), false),
        Err(SubmitError::Full {
            limit: config().live
        })
    );
}

#[test]
fn no_more_than_allowed_are_in_flight() {
    let mut run = calm();
    (0..9).for_each(|n| run.submit(n));
    run.pass();
    assert_eq!((run.core.status().sent, run.core.status().queued), (4, 5));
    run.mine_all();
    run.pass();
    assert_eq!(
        (
            run.core.status().sent,
            run.core.status().included,
            run.core.status().queued
        ),
        (4, 4, 1)
    );
}

#[test]
fn an_intent_that_would_revert_takes_no_nonce_and_can_be_tried_again() {
    let mut run = calm();
    run.submit(0);
    loop {
        match run.core.next(run.now).unwrap() {
            Action::Preflight(id, _) => {
                let refusal = EstimateError::Revert("NodeNotBound".to_owned().into());
                break run.core.handle(run.now, Event::Estimated(id, Err(refusal)));
            }
            action => {
                let event = run.perform(action);
                run.core.handle(run.now, event);
            }
        }
    }
    run.submit(1);
    run.pass();
    assert_eq!(
        run.state(0),
        &State::Refused("NodeNotBound".to_owned().into())
    );
    assert_eq!(run.state(1).sent().unwrap().nonce, 0);
    run.submit(0);
    assert!(run.state(0).is_done());
    run.core.submit(intent(0), true).unwrap();
    run.pass();
    assert_eq!(run.state(0).sent().unwrap().nonce, 1);
}

#[test]
fn an_empty_account_waits_and_says_what_it_needs() {
    let mut run = calm();
    run.twin.balance = 5;
    run.submit(0);
    run.pass();
    let need = U256::from(21_000 * 22);
    let reason = crate::writer::WaitReason::Underfunded {
        balance: U256::from(5),
        need,
    };
    assert_eq!(run.core.status().waiting, vec![(id(0), reason)]);
    run.twin.balance = 1 << 60;
    run.pass();
    assert!(run.core.status().waiting.is_empty());
    assert!(run.state(0).sent().is_some());
}

#[test]
fn a_dear_chain_is_waited_for_and_said() {
    let mut run = calm();
    run.twin.base_fee = config().fee_cap;
    run.submit(0);
    run.pass();
    assert!(matches!(
        run.core.status().waiting[..],
        [(_, crate::writer::WaitReason::TooDear { .. })]
    ));
    run.twin.base_fee = 1;
    run.pass();
    assert!(run.state(0).sent().is_some());
}

#[test]
fn a_transaction_that_blocks_pass_by_offers_more() {
    let mut run = calm();
    run.submit(0);
    run.pass();
    run.pass();
    assert_eq!(
        run.state(0).sent().unwrap().attempts.len(),
        1,
        "no block has passed it by"
    );
    run.twin.append(vec![]);
    run.pass();
    let attempts = &run.state(0).sent().unwrap().attempts;
    assert_eq!(attempts.len(), 2);
    assert_eq!(run.twin.pool.get(&0).unwrap().hash(), attempts[1].hash);
}

#[test]
fn a_failing_store_stops_everything_and_is_tried_again() {
    let mut run = calm();
    run.submit(0);
    for tries in 1..5 {
        assert!(matches!(run.core.next(run.now), Some(Action::Write(_))));
        run.core
            .handle(run.now, Event::NotStored("disk full".into()));
        assert!(run.core.next(run.now).is_none());
        let outage = run.core.status().outage.unwrap();
        assert_eq!((outage.since, outage.tries), (0, tries));
        run.now = run.core.wake_at();
    }
    assert_eq!(run.now, BACKOFF_MS * (1 + 2 + 4 + 8));
    run.pass();
    assert!(run.core.status().outage.is_none());
    assert!(run.state(0).sent().is_some());
}

#[test]
fn a_dead_chain_keeps_no_intent_from_the_store() {
    let mut run = calm();
    for tries in 1..10 {
        assert!(matches!(run.core.next(run.now), Some(Action::Look)));
        run.core
            .handle(run.now, Event::Failed("connection refused".into()));
        assert_eq!(run.core.status().outage.unwrap().tries, tries);
        run.submit(tries.into());
        assert!(matches!(run.core.next(run.now), Some(Action::Write(_))));
        run.core.handle(run.now, Event::Stored);
        assert!(run.core.next(run.now).is_none());
        run.now = run.core.wake_at();
    }
    assert_eq!(
        run.core.wake_at() - run.core.status().outage.unwrap().since,
        500 + 1_000 + 2_000 + 4_000 + 8_000 + 16_000 + 32_000 + 2 * 60_000
    );
}

#[test]
fn a_gap_below_what_is_sent_is_closed() {
    let mut run = calm();
    (0..2).for_each(|n| run.submit(n));
    run.pass();
    // The record of the first is lost, as after a rollback of the chain below what is remembered.
    run.core.entries.remove(&0);
    run.twin.pool.clear();
    run.pass();
    assert_eq!(run.twin.pool.keys().copied().collect::<Vec<_>>(), [0, 1]);
    run.mine_all();
    (0..CONFIRMATIONS).for_each(|_| run.twin.append(vec![]));
    run.pass();
    assert!(matches!(run.state(1), State::Final(..)));
    assert_eq!(run.core.live(), 0);
}

#[test]
fn only_so_many_are_remembered() {
    let mut run = calm();
    run.core.config.done = 2;
    (0..4).for_each(|n| run.submit(n));
    run.pass();
    run.mine_all();
    (0..CONFIRMATIONS).for_each(|_| run.twin.append(vec![]));
    run.pass();
    let ids: Vec<_> = run
        .store
        .load()
        .unwrap()
        .into_iter()
        .map(|record| record.intent.id)
        .collect();
    assert_eq!(ids, [id(2), id(3)]);
    assert!(run.core.state(&id(0)).is_none());
}
