//! What hostile peers can do to a running node: its memory, the time that a peer waits for an
//! answer, the rounds that it decides, and what becomes of the attackers, before, during and after
//! each attack.
//!
//! ```text
//! member 0: the victim ◀── records, requests, streams, connections ── attackers of this process
//! members 1 to 3       ◀── gossip ──▶ the victim        (processes of `swarm-node up`)
//! member 4             its key is the equivocator's
//! a probe              asks the victim what time it is, five times a second
//! ```
//! All of it shares this machine, over loopback, where the limits by address do not hold: every
//! attacker is stronger than one from outside would be. Cores are shared, too. What the asking peer
//! waited for one is told apart and is no part of an answer's time; what the victim waited for one
//! is. So look at how busy all cores were, and compare a phase with the one before it. Priorities
//! (`--program` may name a script that starts the node with `nice`) are no help against programs
//! that were started elsewhere: by default Linux shares cores by session first (`autogroup`).

mod attack;
mod attackers;
mod cores;
mod plot;
mod probe;
mod victim;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use self::attack::Attack;
use self::probe::{Phase, Watch};
use self::victim::Victim;
use crate::experiment::Experiment;
use crate::program::beside;
use crate::samples::rounded;
use crate::svg;
use crate::table::Table;

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "abuse",
    about: "memory and latency of a node before, during and after attacks by hostile peers",
    run,
};

/// Attacks a running node.
#[derive(Debug, Parser)]
#[command(name = "abuse")]
struct Options {
    /// Attacks; all of them if none is named.
    #[arg(long, value_delimiter = ',')]
    attacks: Vec<Attack>,
    /// Seconds of each attack.
    #[arg(long, default_value_t = 16)]
    seconds: u64,
    /// Seconds before and after each.
    #[arg(long, default_value_t = 10)]
    rest: u64,
    /// Milliseconds of a window; a round has eight.
    #[arg(long, default_value_t = 1000)]
    window: u32,
    /// The node's program; the one beside this program if it is not given.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Where the nodes' folders and logs are kept; nowhere if it is not given.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Where the picture is written.
    #[arg(long, value_name = "FILE", default_value = "target/abuse.svg")]
    plot: PathBuf,
}

/// What was seen of one attack.
struct Finding {
    attack: Attack,
    /// Seconds since the experiment's start at which it began and ended.
    span: (f64, f64),
    phases: [Phase; 3],
    /// What the victim said of the attackers.
    said: Said,
    note: String,
}

/// What the victim's log says between two moments.
#[derive(Clone, Debug, Default)]
struct Said {
    /// Peers that were banned.
    bans: usize,
    /// Seconds from the attack's beginning to the first ban.
    first_ban: Option<f64>,
    /// Proofs of contradictions.
    evidence: usize,
}

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    let folder = tempfile::Builder::new()
        .prefix("swarm-abuse-")
        .tempdir()
        .context("a folder for the nodes")?;
    let path = options.keep.clone().unwrap_or_else(|| folder.path().into());
    let program = options.program.clone().map_or_else(beside, Ok)?;
    let mut victim = Victim::start(program, &path, options.window)?;
    let watch = Watch::start(&victim)?;
    let runtime = Runtime::new()?;
    let mut findings = Vec::new();
    let chosen = match options.attacks.is_empty() {
        true => Attack::ALL.to_vec(),
        false => options.attacks.clone(),
    };
    // Models warm up, and the first rounds are decided.
    victim.wait_for_rounds(4)?;
    for attack in chosen {
        let finding = wage(attack, &options, &mut victim, &watch, &runtime)?;
        eprintln!("{}", progress(&finding));
        findings.push(finding);
    }
    let samples = watch.end();
    let spans: Vec<_> = findings
        .iter()
        .map(|it| (it.attack.name(), it.span))
        .collect();
    svg::save(&options.plot, &plot::render(&samples, &spans))?;
    print!("{}", table(&findings));
    println!("picture: {}", options.plot.display());
    Ok(json!({
        "experiment": "abuse",
        "window_ms": options.window,
        "seconds": options.seconds,
        "attacks": findings.iter().map(json_of).collect::<Vec<_>>(),
    }))
}

/// One attack between two rests.
fn wage(
    attack: Attack,
    options: &Options,
    victim: &mut Victim,
    watch: &Watch,
    runtime: &Runtime,
) -> Result<Finding> {
    let (rest, lasts) = (
        Duration::from_secs(options.rest),
        Duration::from_secs(options.seconds),
    );
    let phase = |seconds: Duration| {
        let from = watch.now();
        std::thread::sleep(seconds);
        (from, watch.now())
    };
    let before = phase(rest);
    victim.check()?;
    let said = victim.log_length()?;
    let target = victim.target()?;
    let from = watch.now();
    let note = runtime.block_on(attack.wage(&target, lasts))?;
    let during = (from, watch.now());
    let after = phase(rest);
    victim.check()?;
    let phases = [before, during, after].map(|span| watch.phase(span));
    let (bans, evidence) = victim.said_since(said)?;
    let first_ban = watch.first_ban(during.0);
    Ok(Finding {
        attack,
        span: during,
        phases,
        said: Said {
            bans,
            first_ban: first_ban.map(|at| at - during.0),
            evidence,
        },
        note,
    })
}

fn progress(finding: &Finding) -> String {
    let [before, during, after] = finding.phases;
    format!(
        "{}: {:.0}, {:.0}, {:.0} MiB; p95 {:.0}, {:.0}, {:.0} ms; {}",
        finding.attack.name(),
        before.rss_mib,
        during.rss_mib,
        after.rss_mib,
        before.p95_ms,
        during.p95_ms,
        after.p95_ms,
        finding.note
    )
}

fn table(findings: &[Finding]) -> Table {
    let mut table = Table::new([
        "attack",
        "MiB before",
        "during",
        "after",
        "core % before",
        "during",
        "after",
        "all cores % before",
        "during",
        "after",
        "p50 ms before",
        "during",
        "after",
        "p95 ms before",
        "during",
        "after",
        "asker's wait p95 ms before",
        "during",
        "after",
        "unanswered",
        "rounds",
        "on time",
        "bans",
        "first after s",
        "evidence",
    ]);
    for finding in findings {
        let phases = finding.phases;
        let each =
            |value: fn(&Phase) -> f64| phases.iter().map(move |it| format!("{:.1}", value(it)));
        let mut cells = vec![finding.attack.name().to_owned()];
        cells.extend(phases.iter().map(|it| format!("{:.0}", it.rss_mib)));
        cells.extend(phases.iter().map(|it| format!("{:.0}", it.cpu_percent)));
        cells.extend(phases.iter().map(|it| format!("{:.0}", it.busy_percent)));
        cells.extend(each(|it| it.p50_ms));
        cells.extend(each(|it| it.p95_ms));
        cells.extend(each(|it| it.waited_p95_ms));
        let sum = |value: fn(&Phase) -> usize| phases.iter().map(value).sum::<usize>().to_string();
        cells.push(sum(|it| it.unanswered));
        cells.push(sum(|it| it.rounds));
        cells.push(sum(|it| it.on_time));
        cells.push(finding.said.bans.to_string());
        let first = finding.said.first_ban;
        cells.push(first.map_or("-".into(), |after| format!("{after:.1}")));
        cells.push(finding.said.evidence.to_string());
        table.row(cells);
    }
    table
}

fn json_of(finding: &Finding) -> Value {
    let phase = |phase: &Phase| {
        json!({
            "rss_mib": rounded(phase.rss_mib), "cpu_percent": rounded(phase.cpu_percent),
            "busy_percent": rounded(phase.busy_percent), "p50_ms": rounded(phase.p50_ms),
            "p95_ms": rounded(phase.p95_ms), "waited_p95_ms": rounded(phase.waited_p95_ms),
            "unanswered": phase.unanswered,
            "rounds": phase.rounds, "on_time": phase.on_time,
        })
    };
    let [before, during, after] = &finding.phases;
    json!({
        "attack": finding.attack.name(),
        "before": phase(before), "during": phase(during), "after": phase(after),
        "bans": finding.said.bans, "first_ban_s": finding.said.first_ban.map(rounded),
        "evidence": finding.said.evidence, "note": finding.note,
    })
}
