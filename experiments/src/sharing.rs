//! What sharing is for: the demo's swarm and its controls over several seeds, without a chain.
//!
//! Every seed has its own keys, questions and sampling noise; base and held-out questions are the
//! same. The spread is that over seeds. The controls are those of [`swarm_node::demo`].

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde_json::{Value, json};
use swarm_learn::eval::PassRate;
use swarm_node::demo::{Arm, ArmReport, DemoReport};

use crate::experiment::Experiment;
use crate::nano;
use crate::samples::{mean_and_spread, rounded};
use crate::table::Table;

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "sharing",
    about: "specialists who share against peers who learn alone, by completions generated, over \
            seeds",
    run,
};

/// Plays the demo for several seeds.
#[derive(Debug, Parser)]
#[command(name = "sharing")]
struct Options {
    /// Number of seeds, from 1.
    #[arg(long, default_value_t = 5)]
    seeds: u64,
    /// Settings of the demo, as KEY=VALUE.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    ensure!(options.seeds > 0, "--seeds must be at least 1");
    let start = Instant::now();
    let mut reports = Vec::new();
    for seed in 1..=options.seeds {
        let report = nano::play(&settings(&options.set, seed)?)?;
        eprintln!("{:6.0} s  seed {seed}", start.elapsed().as_secs_f64());
        reports.push(report);
    }
    let arms: Vec<Arm> = reports[0].arms.iter().map(|arm| arm.arm).collect();
    print!(
        "{}\n{}\n{}",
        outcomes(&reports, &arms),
        differences(&reports, &arms),
        curves(&reports, &arms)
    );
    Ok(json!({
        "experiment": "sharing", "seeds": options.seeds, "unit": "share of held-out questions",
        "demos": reports.iter().map(DemoReport::summary).collect::<Vec<_>>(),
        "seconds": rounded(start.elapsed().as_secs_f64()),
    }))
}

/// The settings as given, and the seed.
fn settings(given: &[String], seed: u64) -> Result<Vec<(String, String)>> {
    let pair = |setting: &String| {
        let (key, value) = setting
            .split_once('=')
            .with_context(|| format!("--set {setting}: write KEY=VALUE"))?;
        Ok((key.to_owned(), value.to_owned()))
    };
    given
        .iter()
        .chain([&format!("demo.seed={seed}")])
        .map(pair)
        .collect()
}

/// In percent, `93.4 ± 1.1`.
fn percent(values: &[f64]) -> String {
    let (mean, spread) = mean_and_spread(values);
    format!("{:.1} ± {:.1}", mean * 100.0, spread * 100.0)
}

/// One number of an arm in every seed.
fn values(reports: &[DemoReport], arm: Arm, pick: impl Fn(&ArmReport) -> f64) -> Vec<f64> {
    reports
        .iter()
        .filter_map(|report| report.arm(arm))
        .map(pick)
        .collect()
}

fn greedy(report: &ArmReport) -> f64 {
    report.last().rates.greedy.mean().share.into()
}

fn sampled(report: &ArmReport) -> f64 {
    report.last().rates.sampled.mean().share.into()
}

fn outcomes(reports: &[DemoReport], arms: &[Arm]) -> Table {
    let mut table = Table::new([
        "percent",
        "completions",
        "greedy",
        "sampled",
        "greedy by seed",
    ]);
    let base = |pick: fn(&DemoReport) -> &PassRate| {
        reports
            .iter()
            .map(|report| pick(report).mean().share.into())
            .collect::<Vec<f64>>()
    };
    let [base_greedy, base_sampled] = [
        base(|report| &report.before.greedy),
        base(|report| &report.before.sampled),
    ];
    table.row(vec![
        "base".into(),
        "0".into(),
        percent(&base_greedy),
        percent(&base_sampled),
        String::new(),
    ]);
    for arm in arms {
        let all = values(reports, *arm, greedy);
        let by_seed: Vec<String> = all
            .iter()
            .map(|share| format!("{:.1}", share * 100.0))
            .collect();
        let generated = mean_and_spread(&values(reports, *arm, |report| {
            report.last().completions as f64
        }))
        .0;
        let sampled = percent(&values(reports, *arm, sampled));
        table.row(vec![
            arm.name().into(),
            format!("{generated:.0}"),
            percent(&all),
            sampled,
            by_seed.join(" "),
        ]);
    }
    table
}

/// The swarm less each control, within each seed.
fn differences(reports: &[DemoReport], arms: &[Arm]) -> Table {
    let mut table = Table::new(["swarm less", "greedy", "sampled", "greedy by seed"]);
    let differences = |arm, pick: fn(&ArmReport) -> f64| -> Vec<f64> {
        let pairs = values(reports, Arm::Swarm, pick)
            .into_iter()
            .zip(values(reports, arm, pick));
        pairs.map(|(swarm, control)| swarm - control).collect()
    };
    for arm in arms.iter().filter(|arm| **arm != Arm::Swarm) {
        let all = differences(*arm, greedy);
        let by_seed: Vec<String> = all
            .iter()
            .map(|share| format!("{:+.1}", share * 100.0))
            .collect();
        let sampled = percent(&differences(*arm, sampled));
        table.row(vec![
            arm.name().into(),
            percent(&all),
            sampled,
            by_seed.join(" "),
        ]);
    }
    table
}

/// Greedy pass@1 by round, each with the completions that one peer had generated.
fn curves(reports: &[DemoReport], arms: &[Arm]) -> Table {
    let mut table = Table::new(["arm", "round", "completions", "greedy", "sampled"]);
    for arm in arms {
        let curves: Vec<_> = reports
            .iter()
            .filter_map(|report| report.arm(*arm))
            .map(ArmReport::curve)
            .collect();
        let points = curves.iter().map(Vec::len).min().unwrap_or(0);
        for at in 0..points {
            let points: Vec<_> = curves.iter().map(|curve| &curve[at]).collect();
            let greedy: Vec<f64> = points
                .iter()
                .map(|point| point.rates.greedy.mean().share.into())
                .collect();
            let sampled: Vec<f64> = points
                .iter()
                .map(|point| point.rates.sampled.mean().share.into())
                .collect();
            let completions: Vec<f64> = points
                .iter()
                .map(|point| point.completions as f64)
                .collect();
            let completions = format!("{:.0}", mean_and_spread(&completions).0);
            let round = points[0].round.to_string();
            table.row(vec![
                arm.name().into(),
                round,
                completions,
                percent(&greedy),
                percent(&sampled),
            ]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_without_a_value_is_refused_and_an_unknown_one_named() {
        assert!(
            settings(&["demo.rounds".to_owned()], 1)
                .unwrap_err()
                .to_string()
                .contains("KEY=VALUE")
        );
        let unknown = ["sharing", "--set", "demo.roundz=1"].map(str::to_owned);
        assert!(format!("{:#}", run(&unknown).unwrap_err()).contains("demo.roundz"));
        let pairs = [("demo.rounds", "7"), ("demo.seed", "3")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(settings(&["demo.rounds=7".to_owned()], 3).unwrap(), pairs);
    }

    #[test]
    fn seeds_are_played_and_compared() {
        let small = [
            "rounds=1",
            "heldout=2",
            "samples=1",
            "council=0",
            "controls=1",
            "questions=1",
            "families=max,count",
        ];
        let settings = small
            .iter()
            .flat_map(|setting| ["--set".to_owned(), format!("demo.{setting}")]);
        let arguments = ["sharing", "--seeds", "2"]
            .map(str::to_owned)
            .into_iter()
            .chain(settings);
        let result = run(&arguments.collect::<Vec<_>>()).unwrap();
        let demos = result["demos"].as_array().unwrap();
        assert_eq!(demos.len(), 2);
        assert_ne!(demos[0]["transcript_digest"], demos[1]["transcript_digest"]);
        assert_eq!(demos[0]["arms"].as_array().unwrap().len(), 4);
    }
}
