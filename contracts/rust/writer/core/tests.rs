//! The core against a twin of a chain that loses, delays, reorganises and forgets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use proptest::prelude::*;

use super::*;
use crate::client::{Block, Call};
use crate::writer::intent::{Fees, Inclusion, Record};
use crate::writer::seal::{Draft, SealError};
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

struct ToySeal;

impl Seal for ToySeal {
    fn account(&self) -> Address {
        ACCOUNT
    }

    fn seal(&self, draft: &Draft) -> Result<(B256, Bytes), SealError> {
        let tx = Tx { nonce: draft.nonce, fees: draft.fees, data: draft.data.clone() };
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
    /// The deepest that blocks were ever mined upon, so that no second branch is deeper than `CONFIRMATIONS`.
    salt: u64,
}

impl Twin {
    fn new() -> Self {
        let mut twin = Self { blocks: vec![], pool: BTreeMap::new(), base_fee: 10, balance: u128::MAX >> 8, salt: 0 };
        twin.append(vec![]);
        twin
    }

    fn append(&mut self, txs: Vec<Tx>) {
        self.salt += 1;
        self.blocks.push(ToyBlock { hash: keccak256(self.salt.to_be_bytes()), txs });
    }

    fn mined(&self) -> impl Iterator<Item = &Tx> {
        self.blocks.iter().flat_map(|block| &block.txs)
    }

    fn nonce(&self) -> u64 {
        self.mined().count() as u64
    }

    fn view(&self) -> View {
        let (number, hash) = (self.blocks.len() as u64 - 1, self.blocks.last().unwrap().hash);
        let head = Block { number, hash, timestamp: 0, base_fee: self.base_fee };
        View { head, tip: 2, nonce: self.nonce(), balance: U256::from(self.balance) }
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

    /// Takes blocks away; what they held may return to the pool. New blocks make the new branch longer.
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

    fn take(&mut self, tx: Tx) -> Verdict {
        if tx.nonce < self.nonce() {
            return Verdict::NonceUsed;
        }
        if tx.fees.max < self.base_fee {
            return Verdict::Underpriced;
        }
        match self.pool.get(&tx.nonce) {
            Some(old) if *old == tx => Verdict::Known,
            Some(old) if tx.fees.max * 8 < old.fees.max * 9 || tx.fees.tip * 8 < old.fees.tip * 9 => Verdict::Underpriced,
            _ => {
                self.pool.insert(tx.nonce, tx);
                Verdict::Known
            }
        }
    }

    fn find(&self, hashes: &[B256]) -> Option<Inclusion> {
        let blocks = self.blocks.iter().enumerate();
        let mut txs = blocks.flat_map(|(at, block)| block.txs.iter().map(move |tx| (at as u64, block.hash, tx.hash())));
        let (block, block_hash, tx) = txs.find(|(_, _, hash)| hashes.contains(hash))?;
        Some(Inclusion { tx, block, block_hash, success: true, contract: None, gas_used: 21_000 })
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
    core: Core<ToySeal>,
    now: u64,
    submitted: u64,
    strangers: BTreeSet<Bytes>,
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
    Intent::call(id(n), Address::repeat_byte(1), format!("job/{n}").into_bytes())
}

impl Run {
    fn new(seed: u64, world: World) -> Self {
        let (twin, store) = (Twin::new(), Arc::new(MemoryStore::default()));
        let (core, strangers) = (Core::new(config(), ToySeal, vec![]), BTreeSet::new());
        Self { dice: Dice(seed), world, twin, store, core, now: 0, submitted: 0, strangers }
    }

    /// What happens besides the writer.
    fn happen(&mut self) {
        let World { reorganisations, rollbacks, strangers, restarts, .. } = self.world;
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
        let data: Bytes = format!("stranger/{}", self.strangers.len()).into_bytes().into();
        let tx = Tx { nonce: self.twin.nonce(), fees: Fees { max: 1 << 70, tip: 1 << 60 }, data: data.clone() };
        self.twin.pool.insert(tx.nonce, tx);
        self.strangers.insert(data);
    }

    fn restart(&mut self) {
        self.core = Core::new(config(), ToySeal, self.store.load().unwrap());
        // A caller whose intent was not written yet submits again.
        (0..self.submitted).for_each(|n| self.core.submit(intent(n), false).unwrap());
    }

    fn step(&mut self) {
        self.happen();
        let Some(action) = self.core.next(self.now) else { return };
        if self.dice.happens(self.world.restarts) {
            return self.restart();
        }
        let event = if self.dice.happens(self.world.failures) { self.half(action) } else { self.perform(action) };
        if self.dice.happens(self.world.restarts) {
            return self.restart();
        }
        self.core.handle(self.now, event);
        self.check();
    }

    /// A failure may come before or after the effect.
    fn half(&mut self, action: Action) -> Event {
        if self.dice.happens(50) {
            self.perform(action);
        }
        Event::Failed("the line is dead".into())
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

    fn accept(&mut self, id: &IntentId, raw: &Bytes) -> Verdict {
        let written = self.store.load().unwrap().into_iter().find(|record| record.intent.id == *id).unwrap();
        let known = |attempt: &crate::writer::Attempt| attempt.raw == *raw;
        assert!(written.state.sent().unwrap().attempts.iter().any(known), "{id} is broadcast before it is written");
        if self.dice.happens(self.world.losses) {
            return Verdict::Known;
        }
        self.twin.take(serde_json::from_slice(raw).unwrap())
    }

    /// No two records share a nonce, and no more than allowed are under way.
    fn check(&self) {
        let sent = self.core.entries.values().filter_map(Entry::pending_nonce);
        let mut nonces: Vec<u64> = sent.collect();
        nonces.sort_unstable();
        assert!(nonces.windows(2).all(|pair| pair[0] != pair[1]), "two records with one nonce: {nonces:?}");
    }

    fn finish(&mut self) {
        self.world = World { failures: 0, losses: 0, restarts: 0, reorganisations: 0, rollbacks: 0, strangers: 0 };
        for step in 0..20_000 {
            let done = self.submitted == INTENTS && self.core.live() == 0 && self.core.unsaved.is_empty();
            // A rollback is seen at the next look only.
            if done && step > 200 {
                return;
            }
            self.step();
        }
        panic!("not done: {:?} {:?}", self.core.status(), self.core.entries.values().map(|entry| &entry.record).collect::<Vec<_>>());
    }

    /// Every intent is in the chain once, and the records say where.
    fn verify(&self) {
        for n in 0..INTENTS {
            assert_eq!(self.twin.times(intent(n).data.as_ref()), 1, "job {n}");
            let State::Final(sent, inclusion) = self.core.state(&id(n)).unwrap() else { panic!("job {n}") };
            assert_eq!(self.twin.find(&[inclusion.tx]).as_ref(), Some(inclusion));
            assert_eq!(sent.attempts.len(), 1);
        }
        let nonces: Vec<u64> = self.twin.mined().map(|tx| tx.nonce).collect();
        assert_eq!(nonces, (0..nonces.len() as u64).collect::<Vec<_>>());
        let stored: BTreeMap<u64, Record> = self.store.load().unwrap().into_iter().map(|record| (record.sequence, record)).collect();
        let held: BTreeMap<u64, Record> = self.core.entries.iter().map(|(at, entry)| (*at, entry.record.clone())).collect();
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
    /// A rollback is deeper than any confirmation. With a stranger it can undo a final transaction unseen: the
    /// stranger's may take its nonce. So a world has one or the other.
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
