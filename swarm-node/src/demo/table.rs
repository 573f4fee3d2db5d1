//! The report as a table for people, in percent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use swarm_learn::eval::{Estimate, PassRate};
use swarm_settle::tokens::token_text;
use swarm_task::FamilyId;

use super::arm::{Arm, Point};
use super::cheat::CheatReport;
use super::ensemble::EnsembleAccuracy;
use super::report::{ArmReport, DemoReport};
use super::rewards::RewardReport;

/// Said under every table, so that nobody takes the gain for more than it is.
const BASE_NOTE: &str =
    "The base was trained on a careless corpus: a good half of its labels follow one fixed wrong
procedure per family. Reinforcement learning at this size teaches no new skill; it chooses between
ways of answering that the base already has.";

/// What the columns mean.
const LEGEND: &str =
    "± one standard error over questions; each column is the mean over its peers. `generated`: \
completions
that one of them generated, in all stages. `alone` practise without others, their own family or \
all; the
generalist is alone, too, with questions of all families. `swarm` are specialists who share.";

/// The table of a report.
pub fn render(report: &DemoReport) -> String {
    let mut text = String::new();
    let _ = write_all(&mut text, report);
    text
}

fn write_all(text: &mut String, report: &DemoReport) -> std::fmt::Result {
    rates(text, report)?;
    curves(text, report)?;
    ensemble(text, report)?;
    rewards(text, &report.rewards)?;
    report
        .cheat
        .iter()
        .try_for_each(|report| cheat(text, report))?;
    footer(text, report)
}

/// What stands above a column of the tables of rates.
fn heading(text: &mut String, first: &str, columns: &[&str]) -> std::fmt::Result {
    writeln!(
        text,
        "{first:<14}{}",
        cells(columns.iter().map(|&name| name.to_owned()))
    )
}

fn cells(cells: impl Iterator<Item = String>) -> String {
    cells.map(|cell| format!("{cell:>14}")).collect()
}

fn rates(text: &mut String, report: &DemoReport) -> std::fmt::Result {
    let lasts: Vec<Point> = report.arms.iter().map(ArmReport::last).collect();
    let names: Vec<&str> = ["base"]
        .into_iter()
        .chain(report.arms.iter().map(|arm| arm.arm.name()))
        .collect();
    let questions = report.before.greedy.questions();
    writeln!(
        text,
        "Held-out pass@1 after {} rounds, percent of {questions} questions\n",
        report.rounds
    )?;
    let all = [&report.before]
        .into_iter()
        .chain(lasts.iter().map(|last| &last.rates));
    block(
        text,
        "greedy",
        &names,
        &all.clone().map(|rates| &rates.greedy).collect::<Vec<_>>(),
    )?;
    block(
        text,
        "sampled",
        &names,
        &all.map(|rates| &rates.sampled).collect::<Vec<_>>(),
    )?;
    let generated = [0]
        .into_iter()
        .chain(lasts.iter().map(|last| last.completions));
    writeln!(
        text,
        "{:<14}{}",
        "generated",
        cells(generated.map(|count| count.to_string()))
    )?;
    let peers = [1]
        .into_iter()
        .chain(report.arms.iter().map(|arm| arm.peers.len()));
    writeln!(
        text,
        "{:<14}{}\n",
        "peers",
        cells(peers.map(|count| count.to_string()))
    )?;
    writeln!(text, "{LEGEND}")?;
    compared(text, report)
}

/// One kind of rate, by family and in the mean.
fn block(text: &mut String, kind: &str, names: &[&str], rates: &[&PassRate]) -> std::fmt::Result {
    heading(text, kind, names)?;
    let by_family: Vec<BTreeMap<FamilyId, Estimate>> =
        rates.iter().map(|rate| rate.families()).collect();
    for family in by_family
        .iter()
        .flat_map(BTreeMap::keys)
        .collect::<BTreeSet<_>>()
    {
        let shares = by_family.iter().map(|families| {
            families
                .get(family)
                .copied()
                .map_or("-".into(), Estimate::percent)
        });
        writeln!(text, "{:<14}{}", family.name(), cells(shares))?;
    }
    writeln!(
        text,
        "{:<14}{}\n",
        "mean",
        cells(rates.iter().map(|rate| rate.mean().percent()))
    )
}

/// How the swarm stands to each control, question by question.
fn compared(text: &mut String, report: &DemoReport) -> std::fmt::Result {
    let Some(swarm) = report.arm(Arm::Swarm).map(ArmReport::last) else {
        return Ok(());
    };
    let controls = report.arms.iter().filter(|arm| arm.arm != Arm::Swarm);
    for (at, control) in controls.enumerate() {
        if at == 0 {
            writeln!(
                text,
                "\nThe swarm less its controls, percentage points of greedy pass@1\n"
            )?;
        }
        let last = control.last();
        let difference = swarm.rates.greedy.less(&last.rates.greedy).mean();
        let factor = last.completions as f64 / swarm.completions.max(1) as f64;
        writeln!(
            text,
            "{:<14}{:>14}   at {factor:.1} times the generation",
            control.arm.name(),
            format!(
                "{:+.1} ± {:.1}",
                difference.share * 100.0,
                difference.error * 100.0
            )
        )?;
    }
    Ok(())
}

/// What each arm could after how many completions.
fn curves(text: &mut String, report: &DemoReport) -> std::fmt::Result {
    let curves: Vec<Vec<Point>> = report.arms.iter().map(ArmReport::curve).collect();
    let longest = curves.iter().map(Vec::len).max().unwrap_or(0);
    if longest < 2 {
        return Ok(());
    }
    writeln!(
        text,
        "\nGreedy held-out pass@1 in percent, after so many completions generated per peer\n"
    )?;
    let names: Vec<&str> = report.arms.iter().map(|arm| arm.arm.name()).collect();
    let columns = names
        .iter()
        .map(|name| format!("{name:>20}"))
        .collect::<String>();
    writeln!(text, "{:<8}{columns}", "round")?;
    for at in 0..longest {
        let points: Vec<Option<&Point>> = curves.iter().map(|curve| curve.get(at)).collect();
        #[expect(clippy::expect_used, reason = "`at` is a point of the longest curve")]
        let round = points
            .iter()
            .flatten()
            .next()
            .expect("invariant: one curve has this point")
            .round;
        let cell = |point: &Option<&Point>| {
            let shown = point.map(|point| {
                format!(
                    "{}: {}",
                    point.completions,
                    point.rates.greedy.mean().percent()
                )
            });
            format!("{:>20}", shown.unwrap_or_default())
        };
        writeln!(
            text,
            "{round:<8}{}",
            points.iter().map(cell).collect::<String>()
        )?;
    }
    Ok(())
}

fn ensemble(text: &mut String, report: &DemoReport) -> std::fmt::Result {
    let [before, after] = &report.ensemble;
    if before.questions == 0 {
        return Ok(());
    }
    writeln!(
        text,
        "\nJoint answers to {} held-out questions, percent right\n",
        before.questions
    )?;
    heading(
        text,
        "rule",
        &["round 0", &format!("round {}", report.rounds)],
    )?;
    RULES
        .iter()
        .zip(shares(before))
        .zip(shares(after))
        .try_for_each(|((rule, before), after)| {
            let shares = [before, after]
                .map(|share| of_share(share, report.ensemble[0].questions).percent());
            writeln!(text, "{rule:<14}{}", cells(shares.into_iter()))
        })
}

/// A share of so many independent questions.
fn of_share(share: f32, questions: usize) -> Estimate {
    let error = (share * (1.0 - share) / questions.saturating_sub(1).max(1) as f32).sqrt();
    Estimate { share, error }
}

const RULES: [&str; 5] = ["plurality", "critics' vote", "pooled", "decided", "weighed"];

/// In the order of [`RULES`].
fn shares(accuracy: &EnsembleAccuracy) -> [f32; 5] {
    [
        accuracy.plurality,
        accuracy.critics,
        accuracy.pooled,
        accuracy.decided,
        accuracy.weighed,
    ]
}

/// The table of the rewards alone.
pub fn render_rewards(report: &RewardReport) -> String {
    let mut text = String::new();
    let _ = rewards(&mut text, report);
    text
}

fn cheat(text: &mut String, report: &CheatReport) -> std::fmt::Result {
    writeln!(
        text,
        "\nA cheat: in step {} of {} a worker flipped one bit of a gradient. A verifier found it, and the\n\
         contract recomputed one element of {}: the job is {}.\n",
        report.step, report.steps, report.place, report.state
    )?;
    writeln!(
        text,
        "{:>14}{:>14}{:>14}{:>14}{:>16}{:>16}",
        "transactions", "gas", "largest", "seconds", "worker lost", "verifier won"
    )?;
    writeln!(
        text,
        "{:>14}{:>14}{:>14}{:>14.1}{:>16}{:>16}",
        report.transactions,
        report.gas,
        report.largest_call_gas,
        report.seconds,
        report.worker_lost,
        report.verifier_gained
    )
}

fn rewards(text: &mut String, rewards: &RewardReport) -> std::fmt::Result {
    if !rewards.accounts.is_empty() {
        writeln!(
            text,
            "\nRewards in test tokens; a million points are one token\n"
        )?;
        writeln!(
            text,
            "{:<8}{:>14}{:>16}{:>16}{:>16}",
            "peer", "points", "earned", "claimed", "pending"
        )?;
        for (number, account) in rewards.accounts.iter().enumerate() {
            let amounts = [account.earned(), account.claimed, account.pending()].map(token_text);
            let [earned, claimed, pending] = amounts;
            writeln!(
                text,
                "{:<8}{:>14}{earned:>16}{claimed:>16}{pending:>16}",
                number + 1,
                account.points
            )?;
        }
    }
    if let Some(place) = &rewards.place {
        let [accepted, all] = rewards.epochs;
        writeln!(
            text,
            "\n{accepted} of {all} epochs final at {} on chain {} ({})",
            place.rewards, place.id, place.endpoint
        )?;
    }
    let gap = if rewards.place.is_none() { "\n" } else { "" };
    if let Some(trouble) = &rewards.trouble {
        writeln!(text, "{gap}Rewards are not settled: {trouble}")?;
    }
    match rewards.later() {
        Some(later) if !rewards.is_settled() => writeln!(text, "Later: {later}"),
        _ => Ok(()),
    }
}

fn footer(text: &mut String, report: &DemoReport) -> std::fmt::Result {
    let rollbacks = |arm: &ArmReport| arm.peers.iter().map(|peer| peer.rollbacks).sum::<usize>();
    let (swarm, controls): (Vec<_>, Vec<_>) =
        report.arms.iter().partition(|arm| arm.arm == Arm::Swarm);
    let [swarm, controls] =
        [swarm, controls].map(|arms| arms.into_iter().map(rollbacks).sum::<usize>());
    writeln!(
        text,
        "\n{} of {} rounds decided, {swarm} roll-backs in the swarm and {controls} in the \
         controls, {:.0} s",
        report.rounds_decided, report.rounds, report.seconds
    )?;
    writeln!(text, "transcript {}", report.transcript_digest)?;
    writeln!(text, "{BASE_NOTE}")
}

#[cfg(test)]
mod tests {
    use super::super::arm::Rates;
    use super::super::report::PeerReport;
    use super::*;

    fn rate(right: usize) -> PassRate {
        let scores =
            |family| (0..16).map(move |at| (family, vec![f32::from(u8::from(at < right))]));
        PassRate::of(scores(FamilyId::Max).chain(scores(FamilyId::Count)))
    }

    fn point(round: u64, right: usize) -> Point {
        let rates = Rates {
            greedy: rate(right),
            sampled: rate(right / 2),
        };
        Point {
            round,
            completions: 56 * round as usize,
            rates,
        }
    }

    fn arm(arm: Arm, rights: [usize; 2]) -> ArmReport {
        let curve = vec![point(5, rights[0]), point(10, rights[1])];
        let peer = PeerReport {
            family: FamilyId::Max,
            rollbacks: 1,
            digest: "ab".into(),
            curve,
        };
        ArmReport {
            arm,
            peers: vec![peer.clone(), peer],
        }
    }

    fn report() -> DemoReport {
        DemoReport {
            seed: 1,
            rounds: 10,
            rounds_decided: 10,
            rewards: RewardReport::default(),
            before: Rates {
                greedy: rate(0),
                sampled: rate(4),
            },
            arms: vec![arm(Arm::AloneOwnFamily, [2, 8]), arm(Arm::Swarm, [12, 16])],
            ensemble: [EnsembleAccuracy::default(); 2],
            transcript_digest: "cd".into(),
            seconds: 3.0,
            cheat: Some(CheatReport {
                state: "refuted".into(),
                steps: 6,
                step: 3,
                place: "tile 0 of value 1068 of run 3 of step 3".into(),
                transactions: 15,
                gas: 1_600_000,
                largest_call_gas: 265_401,
                seconds: 4.0,
                worker_lost: "20".into(),
                verifier_gained: "10".into(),
            }),
        }
    }

    #[test]
    fn every_rate_has_its_error_and_every_arm_its_generation() {
        let text = render(&report());
        for line in [
            "greedy                  base    alone, own         swarm",
            "max                0.0 ± 0.0   50.0 ± 12.9   100.0 ± 0.0",
            "mean               0.0 ± 0.0    50.0 ± 9.1   100.0 ± 0.0",
            "generated                  0           560           560",
            "alone, own       +50.0 ± 9.1   at 1.0 times the generation",
            "5            280: 12.5 ± 6.0     280: 75.0 ± 7.9",
            "the job is refuted",
            "            15       1600000        265401           4.0              20              10",
            "10 of 10 rounds decided, 2 roll-backs in the swarm and 2 in the controls, 3 s",
        ] {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
        assert!(
            text.lines().all(|line| line.chars().count() <= 110),
            "{text}"
        );
    }

    #[test]
    fn without_controls_and_curves_there_is_nothing_to_compare() {
        let mut report = report();
        report.arms.retain(|arm| arm.arm == Arm::Swarm);
        report.arms[0]
            .peers
            .iter_mut()
            .for_each(|peer| drop(peer.curve.remove(0)));
        let text = render(&report);
        assert!(
            !text.contains("less its controls") && !text.contains("generated per peer"),
            "{text}"
        );
        assert!(text.contains("swarm"));
    }
}
