//! Every number that this project publishes, measured again by name: `cargo run --release -p
//! experiments -- NAME`.
//!
//! An experiment prints a table for people while it runs; the last line of the output is its result
//! as JSON. To add one, write its file with an `EXPERIMENT` and name it in [`EXPERIMENTS`].

mod abuse;
mod agreement;
mod audit_cost;
mod bottleneck;
mod bulk;
mod commit_cost;
mod curves;
mod decode;
mod dispute_cost;
mod experiment;
mod footprint;
mod gemm;
mod gossip;
mod hostile;
mod join;
mod machine;
mod nano;
mod program;
mod python;
mod recorded;
mod rollout_gap;
mod samples;
mod sapo;
mod shared_data;
mod sharing;
mod skippipe_churn;
mod skippipe_levers;
mod skippipe_live;
mod skippipe_schedule;
mod skippipe_train;
mod skippipe_vector;
mod stage_workers;
mod staged_text;
mod step;
mod svg;
mod table;
mod text;
mod winner;

use std::process::ExitCode;

use experiment::Experiment;

/// Every experiment, in the order in which they are listed.
const EXPERIMENTS: &[Experiment] = &[
    gemm::EXPERIMENT,
    step::EXPERIMENT,
    decode::EXPERIMENT,
    footprint::EXPERIMENT,
    rollout_gap::EXPERIMENT,
    sharing::EXPERIMENT,
    sapo::EXPERIMENT,
    winner::EXPERIMENT,
    agreement::EXPERIMENT,
    hostile::EXPERIMENT,
    abuse::EXPERIMENT,
    bulk::EXPERIMENT,
    join::EXPERIMENT,
    commit_cost::EXPERIMENT,
    audit_cost::EXPERIMENT,
    dispute_cost::EXPERIMENT,
    skippipe_vector::EXPERIMENT,
    skippipe_levers::EXPERIMENT,
    skippipe_churn::EXPERIMENT,
    skippipe_train::EXPERIMENT,
    bottleneck::EXPERIMENT,
    skippipe_live::EXPERIMENT,
    gossip::EXPERIMENT,
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = arguments.first().map_or("", String::as_str);
    let Some(experiment) = EXPERIMENTS.iter().find(|known| known.name == name) else {
        eprintln!("{}", unknown(name));
        return ExitCode::from(2);
    };
    match (experiment.run)(&arguments) {
        Ok(result) => {
            println!("{result}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

/// A wrong argument ends with the usage and code 2, a failed measurement with its reasons and code
/// 1.
fn fail(error: &anyhow::Error) -> ExitCode {
    if let Some(usage) = error.downcast_ref::<clap::Error>() {
        let _ = usage.print();
        return ExitCode::from(usage.exit_code().try_into().unwrap_or(2));
    }
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

fn unknown(name: &str) -> String {
    let problem = if name.is_empty() {
        "no experiment named".to_owned()
    } else {
        format!("unknown experiment `{name}`")
    };
    let lengths = EXPERIMENTS.iter().map(|known| known.name.len());
    let width = lengths.max().unwrap_or(0);
    let lines: Vec<_> = EXPERIMENTS
        .iter()
        .map(|known| format!("  {:width$}  {}", known.name, known.about))
        .collect();
    format!("error: {problem}; choose one of\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_every_name() {
        let answer = unknown("gem");
        assert!(answer.contains("`gem`"));
        assert!(EXPERIMENTS.iter().all(|known| answer.contains(known.about)));
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = EXPERIMENTS.iter().map(|known| known.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), EXPERIMENTS.len());
    }
}
