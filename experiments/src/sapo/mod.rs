//! SAPO's table at small scale: peers that learn from own and external groups in different
//! proportions.
//!
//! A peer answers as many questions a round as the mix has own groups, so a mix with fewer of them
//! generates less. All arms have the same base and number of rounds, and all but the last have the
//! same number of groups per update. Shown side by side: pass@1 on held-out questions, completions
//! generated per peer, and the mean reward of the training batch, by which the paper compares. 16/0
//! without the zero-advantage filter is the paper's baseline; 16/0 with it is the control that the
//! paper omits, and 4/0 the peer that generates as little as those of 4/12 and has nobody to learn
//! from.

mod options;
mod play;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use options::Options;
use play::{Outcome, SwarmTrial};
use reproducible_ops::weights::Weights;
use serde_json::{Value, json};
use swarm_learn::sapo::Mix;

use crate::experiment::Experiment;
use crate::samples::{mean_and_spread, rounded};
use crate::table::Table;

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "sapo",
    about: "peers learning from own and external groups: held-out scores, and completions \
            generated",
    run,
};

/// Quarters of own and of external groups, and whether groups without differences in reward are
/// dropped.
const ARMS: [(u16, u16, bool); 6] = [
    (4, 0, false),
    (4, 0, true),
    (3, 1, true),
    (2, 2, true),
    (1, 3, true),
    (1, 0, true),
];

/// A way to choose groups.
#[derive(Clone, Copy)]
struct Arm {
    mix: Mix,
}

impl Arm {
    fn new((own, external, filter): (u16, u16, bool), groups: u16) -> Self {
        let [own, external] = [own, external].map(|quarters| usize::from(groups * quarters / 4));
        Self {
            mix: Mix {
                own,
                external,
                filter,
                ..Mix::default()
            },
        }
    }

    /// `16/0`, with the baseline marked.
    fn name(&self) -> String {
        let Mix {
            own,
            external,
            filter,
            ..
        } = self.mix;
        let baseline = if filter { "" } else { " unfiltered" };
        format!("{own}/{external}{baseline}")
    }
}

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    ensure!(
        options.groups > 0 && options.groups.is_multiple_of(4),
        "--groups must be a multiple of 4"
    );
    let base = Weights::load(&options.base)
        .context("the base comes from `swarm-node pretrain`; name it with --base")?;
    let start = Instant::now();
    let trial = SwarmTrial::new(&options, base)?;
    let before = trial.before()?;
    let arms = ARMS.map(|arm| Arm::new(arm, options.groups));
    let mut outcomes: Vec<Vec<Outcome>> = Vec::new();
    for arm in arms {
        outcomes.push(
            (1..=options.seeds)
                .map(|seed| play_one(&trial, arm, seed, start))
                .collect::<Result<_>>()?,
        );
    }
    print!("{}", table(&before, &arms, &outcomes));
    let rows: Vec<Value> = arms
        .iter()
        .zip(&outcomes)
        .map(|(arm, outcomes)| json_of(arm, outcomes))
        .collect();
    Ok(json!({
        "experiment": "sapo",
        "peers": options.peers,
        "rounds": options.rounds,
        "seeds": options.seeds,
        "groups": options.groups,
        "learning_rate": options.learning_rate,
        "specialists": options.specialists,
        "before": { "greedy": rounded(before.greedy), "sampled": rounded(before.sampled) },
        "rows": rows,
        "seconds": rounded(start.elapsed().as_secs_f64()),
    }))
}

fn play_one(trial: &SwarmTrial, arm: Arm, seed: u64, start: Instant) -> Result<Outcome> {
    let outcome = trial
        .play(arm.mix, seed)
        .with_context(|| format!("{} with seed {seed}", arm.name()))?;
    let elapsed = start.elapsed().as_secs_f64();
    eprintln!(
        "{elapsed:6.0} s  {:14}  seed {seed}  held-out {:.3}",
        arm.name(),
        outcome.greedy
    );
    Ok(outcome)
}

/// One number of every seed.
fn values(outcomes: &[Outcome], pick: impl Fn(&Outcome) -> f64) -> Vec<f64> {
    outcomes.iter().map(pick).collect()
}

type Column = (&'static str, fn(&Outcome) -> f64);

/// What is shown of an arm, held-out first.
const COLUMNS: [Column; 4] = [
    ("held-out greedy", |outcome| outcome.greedy),
    ("held-out sampled", |outcome| outcome.sampled),
    ("last batches", |outcome| outcome.last_reward),
    ("all batches", |outcome| outcome.mean_reward),
];

fn table(before: &Outcome, arms: &[Arm], outcomes: &[Vec<Outcome>]) -> Table {
    let [a, b, c, d] = COLUMNS.map(|(name, _)| name);
    let mut table = Table::new([
        "own/external",
        a,
        b,
        c,
        d,
        "groups per update",
        "completions per peer",
    ]);
    let base = [
        format!("{:.3}", before.greedy),
        format!("{:.3}", before.sampled),
    ];
    table.row(
        ["base".to_owned()]
            .into_iter()
            .chain(base)
            .chain(["–", "–", "–", "0"].map(str::to_owned))
            .collect(),
    );
    for (arm, outcomes) in arms.iter().zip(outcomes) {
        let cells = COLUMNS.iter().map(|(_, pick)| {
            let (mean, spread) = mean_and_spread(&values(outcomes, pick));
            format!("{mean:.3} ± {spread:.3}")
        });
        let groups = mean_and_spread(&values(outcomes, |outcome| outcome.groups)).0;
        let generated = mean_and_spread(&values(outcomes, |outcome| outcome.generated)).0;
        let counts = [format!("{groups:.1}"), format!("{generated:.0}")];
        table.row(
            [arm.name()]
                .into_iter()
                .chain(cells)
                .chain(counts)
                .collect(),
        );
    }
    table
}

fn json_of(arm: &Arm, outcomes: &[Outcome]) -> Value {
    let summary = |pick: fn(&Outcome) -> f64| {
        let all = values(outcomes, pick);
        let (mean, spread) = mean_and_spread(&all);
        let seeds: Vec<_> = all.into_iter().map(rounded).collect();
        json!({ "mean": rounded(mean), "spread": rounded(spread), "seeds": seeds })
    };
    json!({
        "own": arm.mix.own,
        "external": arm.mix.external,
        "filter": arm.mix.filter,
        "heldout_greedy": summary(|outcome| outcome.greedy),
        "heldout_sampled": summary(|outcome| outcome.sampled),
        "last_batches": summary(|outcome| outcome.last_reward),
        "all_batches": summary(|outcome| outcome.mean_reward),
        "groups": summary(|outcome| outcome.groups),
        "completions": summary(|outcome| outcome.generated),
    })
}

#[cfg(test)]
mod tests {
    use swarm_model::ModelConfig;
    use swarm_model::init::initialise;

    use super::*;

    #[test]
    fn arms_divide_the_groups() {
        let names = ARMS.map(|arm| Arm::new(arm, 16).name());
        assert_eq!(
            names,
            ["16/0 unfiltered", "16/0", "12/4", "8/8", "4/12", "4/0"]
        );
    }

    #[test]
    fn a_missing_base_says_where_it_comes_from() {
        let error = run(&["sapo", "--base", "nowhere"].map(str::to_owned)).unwrap_err();
        assert!(format!("{error:#}").contains("pretrain"));
    }

    #[test]
    fn a_round_is_played_and_does_not_depend_on_threads() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("base.safetensors");
        initialise(&ModelConfig::preset("nano").unwrap(), 1)
            .unwrap()
            .save(&base)
            .unwrap();
        let play = |threads: &str| {
            let sizes = [
                "--peers",
                "2",
                "--seeds",
                "1",
                "--rounds",
                "1",
                "--held-out",
                "2",
                "--threads",
                threads,
            ];
            let arguments = ["sapo", "--base", base.to_str().unwrap()]
                .into_iter()
                .chain(sizes);
            run(&arguments.map(str::to_owned).collect::<Vec<_>>()).unwrap()
        };
        let (one, two) = (play("1"), play("2"));
        assert_eq!(
            (&one["rows"], &one["before"]),
            (&two["rows"], &two["before"])
        );
        assert_eq!(one["rows"].as_array().unwrap().len(), ARMS.len());
    }
}
