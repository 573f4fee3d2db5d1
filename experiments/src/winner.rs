//! How good the joint answer is by each rule of [`swarm_round::tally`]: on recorded answers
//! of four language models to GSM8K in rounds of several sizes, and, where seeds of demos are
//! named, in the councils of trained nano swarms.
//!
//! Every recorded round goes through the real `resolve`. A question counts as right if the answer
//! that the rule chooses is; ties fall by hash, so each seed (which also draws who is asked
//! together with what) shows a mean over ties.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use serde_json::{Value, json};
use swarm_node::demo::EnsembleAccuracy;
use swarm_round::{Choice, Choices};

use crate::experiment::Experiment;
use crate::nano;
use crate::recorded::Recorded;
use crate::samples::{mean_and_spread, rounded};
use crate::shared_data;
use crate::table::Table;

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "winner",
    about: "right joint answers by rule, on recorded GSM8K answers and in councils",
    run,
};

/// Measures the rules that choose a joint answer.
#[derive(Debug, Parser)]
#[command(name = "winner")]
struct Options {
    /// Recorded answers (JSON Lines); by default shared/data/gsm8k/answers-even.jsonl beside or
    /// above the workspace.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Questions of a round.
    #[arg(long, value_delimiter = ',', default_value = "1,4,8,16,32,64,128,660")]
    sizes: Vec<usize>,
    /// Seeds of the order of questions, from 1.
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// Seeds of demos whose councils are measured, a minute each; none by default.
    #[arg(long, value_delimiter = ',', value_name = "SEEDS")]
    demos: Vec<u64>,
}

/// Shares of right answers in percent, by rule in the order of [`Choices::list`].
type Shares = [f64; 5];

/// What was measured on one kind of round.
struct Row {
    name: String,
    mean: Shares,
    /// Standard deviation over seeds; 0 where there is only one.
    spread: Shares,
}

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    let start = Instant::now();
    let recorded = Recorded::load(&shared_data::find(
        options.data,
        "gsm8k/answers-even.jsonl",
    )?)?;
    let sizes = options
        .sizes
        .iter()
        .map(|size| recorded_rounds(&recorded, *size, options.seeds));
    let sizes = sizes.collect::<Result<Vec<_>>>()?;
    println!(
        "Right alone: {}\nAny of them: {:.1} %\n",
        models(&recorded).join(", "),
        recorded.best() * 100.0
    );
    print!("{}", table("percent right", &sizes));
    let councils = options
        .demos
        .iter()
        .map(|seed| councils(*seed))
        .collect::<Result<Vec<_>>>()?;
    let councils: Vec<Row> = councils.into_iter().flatten().collect();
    if !councils.is_empty() {
        print!("\n{}", table("percent right", &councils));
    }
    Ok(json!({
        "experiment": "winner", "unit": "percent right", "seeds": options.seeds,
        "seconds": rounded(start.elapsed().as_secs_f64()),
        "models": models(&recorded), "any": rounded(recorded.best() * 100.0),
        "recorded": sizes.iter().map(json_of).collect::<Vec<_>>(),
        "councils": councils.iter().map(json_of).collect::<Vec<_>>(),
    }))
}

fn models(recorded: &Recorded) -> Vec<String> {
    let pairs = recorded.models().iter().zip(recorded.accuracies());
    pairs
        .map(|(model, share)| format!("{model} {:.1} %", share * 100.0))
        .collect()
}

fn recorded_rounds(recorded: &Recorded, size: usize, seeds: u64) -> Result<Row> {
    let mut by_rule: [Vec<f64>; 5] = Default::default();
    for seed in 1..=seeds {
        let boards = recorded.play(size, seed)?;
        for (rule, shares) in by_rule.iter_mut().enumerate() {
            let right = boards
                .iter()
                .filter(|board| is_right(&board.choices, rule))
                .count();
            shares.push(right as f64 / boards.len().max(1) as f64 * 100.0);
        }
    }
    let measured = by_rule.map(|shares| mean_and_spread(&shares));
    let name = format!("GSM8K, rounds of {size}");
    Ok(Row {
        name,
        mean: measured.map(|(mean, _)| mean),
        spread: measured.map(|(_, spread)| spread),
    })
}

fn is_right(choices: &Choices, rule: usize) -> bool {
    choices
        .list()
        .get(rule)
        .is_some_and(|(_, choice)| choice.is_some_and(Choice::is_right))
}

/// The councils of a demo: its base's, and its trained peers'.
fn councils(seed: u64) -> Result<Vec<Row>> {
    // The controls answer nothing together.
    let settings = [
        ("demo.seed", &*seed.to_string()),
        ("demo.controls", "0"),
        ("demo.measure_every", "0"),
    ];
    let [before, after] =
        nano::play(&settings.map(|(key, value)| (key.to_owned(), value.to_owned())))?.ensemble;
    let row = |when: &str, accuracy: EnsembleAccuracy| Row {
        name: format!("demo {seed}, {when}"),
        mean: shares(accuracy),
        spread: [0.0; 5],
    };
    Ok(vec![row("before", before), row("after", after)])
}

fn shares(accuracy: EnsembleAccuracy) -> Shares {
    let EnsembleAccuracy {
        plurality,
        critics,
        pooled,
        decided,
        weighed,
        ..
    } = accuracy;
    [plurality, critics, pooled, decided, weighed].map(|share| f64::from(share) * 100.0)
}

fn json_of(row: &Row) -> Value {
    let by_rule = |shares: &Shares| -> serde_json::Map<String, Value> {
        let names = Choices::default().list().map(|(name, _)| name.to_owned());
        names
            .into_iter()
            .zip(shares.iter().map(|share| json!(rounded(*share))))
            .collect()
    };
    json!({ "rounds": row.name, "mean": by_rule(&row.mean), "spread": by_rule(&row.spread) })
}

fn table(title: &str, rows: &[Row]) -> Table {
    let [a, b, c, d, e] = Choices::default().list().map(|(name, _)| name);
    let mut table = Table::new([title, a, b, c, d, e]);
    for row in rows {
        let cells = row
            .mean
            .iter()
            .zip(&row.spread)
            .map(|(mean, spread)| format!("{mean:.1} ± {spread:.1}"));
        table.row(std::iter::once(row.name.clone()).chain(cells).collect());
    }
    table
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn every_size_gives_a_row() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for n in 0..8 {
            let (right, wrong) = (
                format!("{{\"solution\": \"A: {n}\"}}"),
                "{\"solution\": \"A: 99\"}",
            );
            writeln!(
                file,
                "{{\"question\": \"?\", \"ground_truth\": \"A: {n}\", \"a\": {right}, \"b\": \
                 {wrong}, \"c\": {wrong}}}"
            )
            .unwrap();
        }
        let path = file.path().display().to_string();
        let arguments =
            ["winner", "--data", &path, "--sizes", "1,8", "--seeds", "2"].map(str::to_owned);
        let result = run(&arguments).unwrap();
        let rows = result["recorded"].as_array().unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (&rows[0]["mean"]["weighed"], &rows[1]["mean"]["weighed"]),
            (&json!(0.0), &json!(100.0))
        );
        assert_eq!(rows[1]["mean"]["plurality"], 0.0);
    }
}
