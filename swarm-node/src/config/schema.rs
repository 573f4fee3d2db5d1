//! The table of all settings: name, default, kind, help. Adding a setting is adding a row, and a
//! field in `typed`.

use super::Kind;
use crate::task::FamilyId;

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Section and name, `demo.rounds`.
    pub name: &'static str,
    /// The default, as it would stand in a flag.
    pub default: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// One line for people, with the unit.
    pub help: &'static str,
}

/// The row of a name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

const fn key(name: &'static str, default: &'static str, kind: Kind, help: &'static str) -> Key {
    Key {
        name,
        default,
        kind,
        help,
    }
}

fn families() -> Vec<&'static str> {
    FamilyId::ALL.iter().map(|family| family.name()).collect()
}

/// Most peers of a demo.
pub const MAX_PEERS: usize = 64;

const FAMILIES: Kind = Kind::Words(families);
const NANO: &str = "max,count,sort,reverse";
const SEED: Kind = Kind::Integer(0, i64::MAX);
const UNIT: Kind = Kind::Number(0.0, 1.0);
const DIFFICULTY: Kind = Kind::Integer(0, 15);
const QUESTIONS: Kind = Kind::Integer(1, 4096);
const SAMPLES: Kind = Kind::Integer(1, 64);

/// Every setting, by section.
pub const KEYS: &[Key] = &[
    key(
        "engine.threads",
        "0",
        Kind::Integer(0, 1024),
        "worker threads; 0 takes one per processor core",
    ),
    key(
        "engine.path",
        "auto",
        Kind::Choice(&["auto", "scalar", "avx2", "avx512", "neon"]),
        "instruction set; auto takes the fastest of this machine, all give the same bits",
    ),
    key(
        "learn.group",
        "8",
        Kind::Integer(2, 16),
        "completions per question, compared with each other by GRPO",
    ),
    key(
        "learn.learning_rate",
        "0.0003",
        UNIT,
        "learning rate of reinforcement learning after its warm-up",
    ),
    key(
        "learn.warmup",
        "5",
        Kind::Integer(0, 100_000),
        "steps of linear warm-up",
    ),
    key(
        "learn.beta1",
        "0.9",
        UNIT,
        "AdamW: decay of the mean of gradients",
    ),
    key(
        "learn.beta2",
        "0.99",
        UNIT,
        "AdamW: decay of the mean of squared gradients",
    ),
    key(
        "learn.epsilon",
        "0.00000001",
        UNIT,
        "AdamW: added to the root of the second moment",
    ),
    key(
        "learn.weight_decay",
        "0.0",
        UNIT,
        "AdamW: decoupled decay of matrices",
    ),
    key(
        "learn.max_norm",
        "1.0",
        Kind::Number(1e-6, 1e6),
        "largest norm of the whole gradient; longer ones are clipped",
    ),
    key(
        "learn.max_new",
        "20",
        Kind::Integer(1, 4096),
        "longest completion, in tokens, end mark included",
    ),
    key(
        "learn.stage_samples",
        "8",
        Kind::Integer(1, 64),
        "samples per critique and decision; 1 trains neither",
    ),
    key(
        "learn.foreseen_reward",
        "0.25",
        UNIT,
        "reward for foreseeing the winner, beside 1 for a right decision",
    ),
    key(
        "learn.guard_window",
        "80",
        Kind::Integer(1, 100_000),
        "answered questions in the moving mean of rewards that guards training",
    ),
    key(
        "learn.guard_drop",
        "0.1",
        UNIT,
        "fall below the best moving mean that rolls training back",
    ),
    key(
        "learn.row_length",
        "128",
        Kind::Integer(16, 32_768),
        "tokens of a packed training row",
    ),
    key(
        "learn.rows",
        "8",
        Kind::Integer(1, 1024),
        "rows of a microbatch; changes memory and the order of sums",
    ),
    key(
        "demo.seed",
        "1",
        SEED,
        "seed of keys, questions and sampling; the same seed gives the same digests",
    ),
    key(
        "demo.peers",
        "4",
        Kind::Integer(2, MAX_PEERS as i64),
        "peers of the swarm",
    ),
    key(
        "demo.rounds",
        "60",
        Kind::Integer(0, 10_000),
        "rounds; each is one training step per peer",
    ),
    key(
        "demo.families",
        NANO,
        FAMILIES,
        "task families; peer n answers questions of the n-th, in turn",
    ),
    key(
        "demo.difficulty",
        "0",
        DIFFICULTY,
        "difficulty level of all families",
    ),
    key(
        "demo.base",
        "",
        Kind::Text,
        "checkpoint that all peers start from; empty takes the shipped one",
    ),
    key(
        "demo.questions",
        "4",
        Kind::Integer(0, 256),
        "practice questions per peer and round",
    ),
    key(
        "demo.common",
        "1",
        Kind::Integer(0, 256),
        "common questions per round; they pass all three stages",
    ),
    key(
        "demo.own",
        "4",
        Kind::Integer(0, 1024),
        "own groups per training step",
    ),
    key(
        "demo.external",
        "12",
        Kind::Integer(0, 1024),
        "groups of other peers per training step",
    ),
    key(
        "demo.peer_percent",
        "34",
        Kind::Integer(1, 100),
        "most groups of one other peer in a training step, in percent; one is always allowed",
    ),
    key(
        "demo.controls",
        "4",
        Kind::Integer(0, MAX_PEERS as i64),
        "peers that learn alone, of each kind; 0 for none",
    ),
    key(
        "demo.generalist",
        "4",
        Kind::Integer(1, 16),
        "times as many questions as a peer of the swarm that the lone generalist answers",
    ),
    key(
        "demo.heldout",
        "128",
        QUESTIONS,
        "held-out questions per family",
    ),
    key(
        "demo.samples",
        "4",
        SAMPLES,
        "samples per held-out question for sampled pass@1",
    ),
    key(
        "demo.council",
        "128",
        Kind::Integer(0, 1024),
        "held-out questions on which the joint decision is measured",
    ),
    key(
        "demo.measure_every",
        "10",
        Kind::Integer(0, 10_000),
        "rounds between held-out measurements; 0 measures at the end only",
    ),
    key(
        "demo.run",
        "runs/demo",
        Kind::Text,
        "folder of what `settle` needs after a demo on a chain that lasts; empty for none",
    ),
    key(
        "demo.epoch",
        "20",
        Kind::Integer(1, 10_000),
        "rounds that are settled together on the chain",
    ),
    key(
        "train.model",
        "",
        Kind::Text,
        "checkpoint, Hugging Face folder or run folder to start from; empty takes the shipped one",
    ),
    key(
        "train.out",
        "runs/train",
        Kind::Text,
        "folder of the run's checkpoints",
    ),
    key("train.seed", "1", SEED, "seed of questions and sampling"),
    key(
        "train.steps",
        "30",
        Kind::Integer(0, 10_000_000),
        "training steps of the whole run",
    ),
    key("train.families", NANO, FAMILIES, "task families to learn"),
    key(
        "train.difficulty",
        "0",
        DIFFICULTY,
        "difficulty level of all families",
    ),
    key(
        "train.questions",
        "32",
        Kind::Integer(1, 1024),
        "questions per step",
    ),
    key(
        "train.groups",
        "32",
        Kind::Integer(1, 1024),
        "most groups per training step; uninformative ones are dropped first",
    ),
    key(
        "train.checkpoint_every",
        "5",
        Kind::Integer(1, 1_000_000),
        "steps between checkpoints",
    ),
    key(
        "train.keep",
        "3",
        Kind::Integer(2, 1000),
        "checkpoints to keep",
    ),
    key(
        "train.measure_every",
        "10",
        Kind::Integer(0, 1_000_000),
        "steps between held-out measurements; 0 for none",
    ),
    key(
        "train.heldout",
        "64",
        QUESTIONS,
        "held-out questions per family",
    ),
    key(
        "train.gsm8k",
        "",
        Kind::Text,
        "JSONL file of GSM8K, needed for family gsm8k",
    ),
    key(
        "eval.model",
        "",
        Kind::Text,
        "checkpoint, Hugging Face folder or run folder; empty takes the shipped one",
    ),
    key(
        "eval.seed",
        "1",
        SEED,
        "seed of the held-out questions and of sampling",
    ),
    key("eval.families", NANO, FAMILIES, "task families to measure"),
    key(
        "eval.difficulty",
        "0",
        DIFFICULTY,
        "difficulty level of all families",
    ),
    key(
        "eval.questions",
        "128",
        QUESTIONS,
        "held-out questions per family",
    ),
    key(
        "eval.samples",
        "4",
        Kind::Integer(0, 64),
        "samples per question for sampled pass@1; 0 measures greedy only",
    ),
    key(
        "eval.max_new",
        "20",
        Kind::Integer(1, 4096),
        "longest completion, in tokens, end mark included",
    ),
    key(
        "eval.gsm8k",
        "",
        Kind::Text,
        "JSONL file of GSM8K, needed for family gsm8k",
    ),
    key(
        "chain.endpoint",
        "embedded",
        Kind::Endpoint,
        "where rewards are settled: `embedded` (a dev chain in this process), `none`, or the URL \
         of an RPC server",
    ),
    key(
        "chain.id",
        "0",
        Kind::Integer(0, i64::MAX),
        "chain id that the server must have; 0 takes dev chains only",
    ),
    key(
        "chain.confirmations",
        "-1",
        Kind::Integer(-1, 1000),
        "blocks on top of a transaction that make it final; -1 takes 0 on dev chains and 4 \
         elsewhere",
    ),
    key(
        "chain.poll_ms",
        "500",
        Kind::Integer(10, 600_000),
        "milliseconds between two looks at the chain",
    ),
    key(
        "chain.wait_s",
        "120",
        Kind::Integer(0, 86_400),
        "seconds that a command waits at its end for the chain",
    ),
    key(
        "chain.max_fee_gwei",
        "500",
        Kind::Number(0.0, 1e9),
        "the most that is paid for a unit of gas, in gwei",
    ),
    key(
        "wallet.file",
        "",
        Kind::Text,
        "keystore of the account that pays; empty takes SWARM_NODE_WALLET_SECRET, or no wallet",
    ),
    key(
        "wallet.password_file",
        "",
        Kind::Text,
        "file with the keystore's password; empty takes SWARM_NODE_WALLET_PASSWORD, or asks",
    ),
];

#[cfg(test)]
mod tests {
    use super::super::{Settings, Sources, variable};
    use super::*;

    #[test]
    fn defaults_are_allowed_and_fit_the_types() {
        for key in KEYS {
            assert!(key.kind.read(key.default).is_some(), "{}", key.name);
            assert!(
                !key.help.is_empty() && key.name.contains('.'),
                "{}",
                key.name
            );
        }
        Settings::load(&Sources::default())
            .unwrap()
            .config()
            .unwrap();
    }

    #[test]
    fn names_and_variables_are_unique() {
        let mut variables: Vec<String> = KEYS.iter().map(|key| variable(key.name)).collect();
        variables.sort_unstable();
        variables.dedup();
        assert_eq!(variables.len(), KEYS.len());
    }
}
