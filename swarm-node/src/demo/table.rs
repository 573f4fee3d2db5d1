//! The report as a table for people, in percent.

use std::fmt::Write;

use super::council::Council;
use super::money::{MoneyReport, token_text};
use super::report::{DemoReport, PeerReport};
use crate::learn::eval::PassRate;
use crate::task::FamilyId;

/// Said under every table, so that nobody takes the gain for more than it is.
const BASE_NOTE: &str = "The base was trained on a careless corpus: a good half of its labels follow one fixed wrong \
procedure per family.\nReinforcement learning at this size teaches no new skill; it chooses between ways of answering \
that the base already has.";

/// The table of a report.
pub fn render(report: &DemoReport) -> String {
    let mut text = String::new();
    let _ = write_all(&mut text, report);
    text
}

fn write_all(text: &mut String, report: &DemoReport) -> std::fmt::Result {
    rates(text, report)?;
    council(text, report)?;
    money(text, &report.money)?;
    footer(text, report)
}

fn rates(text: &mut String, report: &DemoReport) -> std::fmt::Result {
    writeln!(text, "Held-out pass@1 in percent, greedy (sampled); * marks the family that a peer practised\n")?;
    writeln!(text, "{:<18}{:>16}{:>16}{:>16}", "peer and family", "before", "alone", "swarm")?;
    for (number, peer) in report.peers.iter().enumerate() {
        for family in report.before.greedy.families.keys() {
            let mark = if *family == peer.family { "*" } else { "" };
            let cells = cells(report, peer, |rate| of(rate, *family));
            writeln!(text, "{:<18}{}", format!("{} {family}{mark}", number + 1), cells)?;
        }
        writeln!(text, "{:<18}{}", format!("{} mean", number + 1), cells(report, peer, |rate| rate.mean))?;
    }
    let summary = report.summary();
    let pair = |greedy, sampled| format!("{:>16}", format!("{} ({})", percent(greedy), percent(sampled)));
    let before = pair(summary.heldout_before, summary.sampled_before);
    let alone = pair(summary.heldout_alone, summary.sampled_alone);
    let swarm = pair(summary.heldout_after, summary.sampled_after);
    writeln!(text, "{:<18}{before}{alone}{swarm}", "all peers")
}

fn cells(report: &DemoReport, peer: &PeerReport, pick: impl Fn(&PassRate) -> f32) -> String {
    let stages = [&report.before, &peer.alone, &peer.swarm];
    let cell = |greedy, sampled| format!("{:>16}", format!("{} ({})", percent(greedy), percent(sampled)));
    stages.iter().map(|rates| cell(pick(&rates.greedy), pick(&rates.sampled))).collect()
}

fn of(rate: &PassRate, family: FamilyId) -> f32 {
    rate.families.get(&family).copied().unwrap_or(0.0)
}

fn percent(share: f32) -> String {
    format!("{:.1}", share * 100.0)
}

fn council(text: &mut String, report: &DemoReport) -> std::fmt::Result {
    let [before, after] = &report.council;
    if before.questions == 0 {
        return Ok(());
    }
    writeln!(text, "\nJoint answers to {} held-out questions, percent right\n", before.questions)?;
    writeln!(text, "{:<18}{:>16}{:>16}", "rule", "round 0", format!("round {}", report.rounds))?;
    RULES.iter().zip(shares(before)).zip(shares(after)).try_for_each(|((rule, before), after)| {
        writeln!(text, "{rule:<18}{:>16}{:>16}", percent(before), percent(after))
    })
}

const RULES: [&str; 5] = ["plurality", "critics' vote", "pooled", "decided", "weighed (winner)"];

/// In the order of [`RULES`].
fn shares(council: &Council) -> [f32; 5] {
    [council.plurality, council.critics, council.pooled, council.decided, council.weighed]
}

/// The table of the money alone.
pub fn render_money(report: &MoneyReport) -> String {
    let mut text = String::new();
    let _ = money(&mut text, report);
    text
}

fn money(text: &mut String, money: &MoneyReport) -> std::fmt::Result {
    if !money.accounts.is_empty() {
        writeln!(text, "\nRewards in test tokens; a million points are one token\n")?;
        writeln!(text, "{:<8}{:>14}{:>16}{:>16}{:>16}", "peer", "points", "earned", "claimed", "pending")?;
        for (number, account) in money.accounts.iter().enumerate() {
            let amounts = [account.earned(), account.claimed, account.pending()].map(token_text);
            let [earned, claimed, pending] = amounts;
            writeln!(text, "{:<8}{:>14}{earned:>16}{claimed:>16}{pending:>16}", number + 1, account.points)?;
        }
    }
    if let Some(place) = &money.place {
        let [accepted, all] = money.epochs;
        writeln!(
            text,
            "\n{accepted} of {all} epochs accepted by {} on chain {} ({})",
            place.coordinator, place.id, place.endpoint
        )?;
    }
    let gap = if money.place.is_none() { "\n" } else { "" };
    if let Some(trouble) = &money.trouble {
        writeln!(text, "{gap}Rewards are not settled: {trouble}")?;
    }
    match money.later() {
        Some(later) if !money.is_settled() => writeln!(text, "Later: {later}"),
        _ => Ok(()),
    }
}

fn footer(text: &mut String, report: &DemoReport) -> std::fmt::Result {
    let rollbacks: usize = report.peers.iter().map(|peer| peer.rollbacks[1]).sum();
    writeln!(
        text,
        "\n{} of {} rounds settled, {rollbacks} roll-backs, {:.0} s",
        report.rounds_settled, report.rounds, report.seconds
    )?;
    writeln!(text, "transcript {}", report.transcript_digest)?;
    writeln!(text, "{BASE_NOTE}")
}
