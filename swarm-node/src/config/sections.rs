//! The settings of this program's own commands. A crate below declares its own.

use std::num::NonZero;
use std::path::PathBuf;

use swarm_learn::programs::MEGABYTE;
use swarm_settings::{Kind, section};
use swarm_task::FamilyId;

/// Most peers of a demo.
pub const MAX_PEERS: usize = 64;

const FAMILIES: Kind = Kind::Words(families);
const SEED: Kind = Kind::Integer(0, i64::MAX);
const DIFFICULTY: Kind = Kind::Integer(0, 15);
const QUESTIONS: Kind = Kind::Integer(1, 4096);
const SAMPLES: Kind = Kind::Integer(1, 64);

fn families() -> Vec<&'static str> {
    FamilyId::ALL.iter().map(|family| family.name()).collect()
}

section! {
    /// How programs are executed.
    pub struct EngineConfig: "engine" {
        /// Worker threads; 0 takes one per processor core.
        threads: usize = "0", Kind::Integer(0, 1024);
        /// Instruction set; auto takes the fastest of this machine, all give the same bits.
        isa: String = "auto", Kind::Choice(&["auto", "scalar", "avx2", "avx512", "neon"]);
        /// Megabytes that one model's training may hold; 0 takes what it needs. In less memory
        /// values are computed again: more time, the same bits.
        memory: u64 = "0", Kind::Integer(0, 1 << 24);
    }
}

impl EngineConfig {
    /// Bytes that one model's training may hold, if there is a limit.
    pub fn memory_bytes(&self) -> Option<u64> {
        (self.memory > 0).then(|| self.memory * MEGABYTE)
    }

    /// Worker threads, at least one.
    pub fn workers(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, NonZero::get),
            threads => threads,
        }
    }
}

section! {
    /// The command `demo`.
    pub struct DemoConfig: "demo" {
        /// Seed of keys, questions and sampling; the same seed gives the same digests.
        seed: u64 = "1", SEED;
        /// Peers of the swarm.
        peers: usize = "4", Kind::Integer(2, MAX_PEERS as i64);
        /// Rounds; each is one training step per peer.
        rounds: u64 = "60", Kind::Integer(0, 10_000);
        /// Task families; peer n answers questions of the n-th, in turn.
        families: Vec<FamilyId> = "max,count,sort,reverse", FAMILIES;
        /// Difficulty level of all families.
        difficulty: u8 = "0", DIFFICULTY;
        /// Checkpoint that all peers start from; empty takes the shipped one.
        base: String = "", Kind::Text;
        /// Practice questions per peer and round.
        questions: u16 = "4", Kind::Integer(0, 256);
        /// Common questions per round; they pass all three stages.
        common: u16 = "1", Kind::Integer(0, 256);
        /// Own groups per training step.
        own: usize = "4", Kind::Integer(0, 1024);
        /// Groups of other peers per training step.
        external: usize = "12", Kind::Integer(0, 1024);
        /// Most groups of one other peer in a training step, in percent; one is always allowed.
        peer_percent: usize = "34", Kind::Integer(1, 100);
        /// Peers that learn alone, of each kind; 0 for none.
        controls: usize = "4", Kind::Integer(0, MAX_PEERS as i64);
        /// Times as many questions as a peer of the swarm that the lone generalist answers.
        generalist: u16 = "4", Kind::Integer(1, 16);
        /// Held-out questions per family.
        heldout: usize = "128", QUESTIONS;
        /// Samples per held-out question for sampled pass@1.
        samples: u32 = "4", SAMPLES;
        /// Held-out questions on which the joint decision is measured.
        council: u16 = "128", Kind::Integer(0, 1024);
        /// Rounds between held-out measurements; 0 measures at the end only.
        measure_every: u64 = "10", Kind::Integer(0, 10_000);
        /// Folder of what `settle` needs after a demo on a chain that lasts; empty for none.
        run: String = "runs/demo", Kind::Text;
        /// Rounds that are settled together on the chain.
        epoch: u64 = "20", Kind::Integer(1, 10_000);
        /// Shows what becomes of a worker that gets one bit of a training job wrong.
        cheat: bool = "true", Kind::Boolean;
    }
}

section! {
    /// The command `train`.
    pub struct TrainConfig: "train" {
        /// Checkpoint, Hugging Face folder or run folder to start from; empty takes the shipped
        /// one.
        model: String = "", Kind::Text;
        /// Folder of the run's checkpoints.
        out: PathBuf = "runs/train", Kind::Text;
        /// Seed of questions and sampling.
        seed: u64 = "1", SEED;
        /// Training steps of the whole run.
        steps: u64 = "30", Kind::Integer(0, 10_000_000);
        /// Task families to learn.
        families: Vec<FamilyId> = "max,count,sort,reverse", FAMILIES;
        /// Difficulty level of all families.
        difficulty: u8 = "0", DIFFICULTY;
        /// Questions per step.
        questions: u16 = "32", Kind::Integer(1, 1024);
        /// Most groups per training step; uninformative ones are dropped first.
        groups: usize = "32", Kind::Integer(1, 1024);
        /// Steps between checkpoints.
        checkpoint_every: u64 = "5", Kind::Integer(1, 1_000_000);
        /// Checkpoints to keep.
        keep: usize = "3", Kind::Integer(2, 1000);
        /// Steps between held-out measurements; 0 for none.
        measure_every: u64 = "10", Kind::Integer(0, 1_000_000);
        /// Held-out questions per family.
        heldout: usize = "64", QUESTIONS;
        /// JSONL file of GSM8K, needed for family gsm8k.
        gsm8k: String = "", Kind::Text;
    }
}

section! {
    /// The command `eval`.
    pub struct EvalConfig: "eval" {
        /// Checkpoint, Hugging Face folder or run folder; empty takes the shipped one.
        model: String = "", Kind::Text;
        /// Seed of the held-out questions and of sampling.
        seed: u64 = "1", SEED;
        /// Task families to measure.
        families: Vec<FamilyId> = "max,count,sort,reverse", FAMILIES;
        /// Difficulty level of all families.
        difficulty: u8 = "0", DIFFICULTY;
        /// Held-out questions per family.
        questions: usize = "128", QUESTIONS;
        /// Samples per question for sampled pass@1; 0 measures greedy only.
        samples: u32 = "4", Kind::Integer(0, 64);
        /// Longest completion, in tokens, end mark included.
        max_new: usize = "20", Kind::Integer(1, 4096);
        /// JSONL file of GSM8K, needed for family gsm8k.
        gsm8k: String = "", Kind::Text;
    }
}
