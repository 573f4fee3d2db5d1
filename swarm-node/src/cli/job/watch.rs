//! `swarm-node job watch`.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use clap::Args;
use contracts::Address;
use contracts::cursor::Cursor;
use contracts::jobs::{JobEvent, JobState, JobView};
use serde_json::json;
use swarm_settle::tokens::token_text;

use super::market::{JobId, Market, MarketOptions, runtime, who};
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::{self, Answer, when};
use crate::cli::signals::stop_on_signals;

/// Shows a job on its chain, and follows it until it is over.
///
/// Needs no wallet and no file of the job. With --once it shows how the job stands and ends.
#[derive(Debug, Args)]
pub(super) struct Watch {
    /// What the job is known by on the chain.
    #[arg(value_name = "JOB")]
    job: JobId,
    #[command(flatten)]
    market: MarketOptions,
    /// Shows the job as it stands, and does not wait.
    #[arg(long)]
    once: bool,
}

impl Watch {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: &[(String, String)],
    ) -> Result<(), Failure> {
        let stop = stop_on_signals()?;
        runtime()?.block_on(async {
            let (market, link) = self.market.look(options, environment).await?;
            let mut view = market.job(self.job).await?;
            let (mut said, mut is_away, mut is_late) = (None, false, false);
            while !self.once && !view.state.is_over() {
                let seen = (view.state, view.games);
                if said != Some(seen) {
                    output::note(&line(&view));
                    said = Some(seen);
                }
                tokio::select! {
                    () = tokio::time::sleep(link.poll) => {}
                    () = stop.requested() => {
                        let state = "the job goes on; the same command follows it again";
                        return Err(Failure::stopped(&stop, state));
                    }
                }
                match tokio::try_join!(market.escrow.job(self.job.0), link.now()) {
                    Ok((found, now)) => {
                        if std::mem::take(&mut is_away) {
                            output::note("the chain answers again");
                        }
                        // After a reorganisation it may be launched anew.
                        view = found.unwrap_or(view);
                        if now > view.deadline && !is_late && is_due(&view) {
                            is_late = true;
                            output::note(&format!("its time is over: {}", self.remedy(&view)));
                        }
                    }
                    Err(error) if error.is_transient() => {
                        if !std::mem::replace(&mut is_away, true) {
                            output::note(&format!("the chain is away, and is waited for: {error}"));
                        }
                    }
                    Err(error) => return Err(Failure::work(error)),
                }
            }
            let refuted = match view.state {
                JobState::Refuted => Refutation::of(&market, self.job).await?,
                _ => None,
            };
            self.tell(&view, refuted, options.json)
        })
    }

    /// Who ends a job whose deadline is over.
    fn remedy(&self, view: &JobView) -> String {
        match view.state {
            JobState::Committed => {
                "its worker makes the claim final, and anybody can, with `swarm-node job end`"
                    .into()
            }
            _ => format!(
                "nobody did what was to be done; anybody ends it with `swarm-node job end {}`",
                self.job
            ),
        }
    }

    fn tell(&self, view: &JobView, refuted: Option<Refutation>, json: bool) -> Result<(), Failure> {
        let tokens = |units| format!("{} tokens", token_text(units));
        let mut rows = vec![
            ("job", self.job.to_string()),
            ("state", view.state.to_string()),
            ("deadline", when(view.deadline)),
            ("open games", view.games.to_string()),
            ("payer", view.payer.to_string()),
            ("worker", who(view.worker)),
            ("plan", view.plan.to_string()),
            ("steps", view.steps.to_string()),
            ("stride", view.stride.to_string()),
            ("initial", view.initial.to_string()),
            ("last", view.last.to_string()),
            ("reward", tokens(view.reward)),
            ("worker bond", tokens(view.worker_bond)),
            ("challenger bond", tokens(view.challenger_bond)),
        ];
        rows.extend(refuted.map(|found| ("refuted by", found.to_string())));
        let mut text = String::new();
        for (name, value) in &rows {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name:<15} {value}");
        }
        let json_text = json!({
            "job": self.job.to_string(),
            "state": view.state.to_string(),
            "deadline": view.deadline,
            "games": view.games,
            "payer": view.payer,
            "worker": view.worker,
            "plan": view.plan,
            "steps": view.steps,
            "stride": view.stride,
            "initial": view.initial,
            "last": view.last,
            "reward_units": view.reward.to_string(),
            "worker_bond_units": view.worker_bond.to_string(),
            "challenger_bond_units": view.challenger_bond.to_string(),
            "refuted_by": refuted.map(|found| found.challenger),
            "in_a_game": refuted.map(|found| found.in_a_game),
        });
        Answer {
            text,
            json: json_text.to_string(),
            kept: String::new(),
        }
        .print(json)
    }
}

/// Who refuted a claim, and how.
#[derive(Clone, Copy, Debug)]
struct Refutation {
    challenger: Address,
    /// Otherwise by what the worker had signed of a step.
    in_a_game: bool,
}

impl Refutation {
    /// As the events of the contract tell it; none where a reorganisation took it back.
    async fn of(market: &Market, job: JobId) -> Result<Option<Self>, Failure> {
        let contracts = &market.deployment.contracts;
        let mut cursor = Cursor::new(contracts.escrow, contracts.block);
        let (mut games, mut refuted) = (BTreeSet::new(), None);
        loop {
            let batch = cursor.poll(market.escrow.client()).await;
            let batch = batch.map_err(Failure::work)?;
            for log in &batch.logs {
                match JobEvent::read(&log.inner) {
                    Some(JobEvent::GameLost { job: of }) if of == job.0 => {
                        games.insert(log.transaction_hash);
                    }
                    Some(JobEvent::Refuted {
                        job: of,
                        challenger,
                    }) if of == job.0 => {
                        refuted = Some((challenger, log.transaction_hash));
                    }
                    _ => {}
                }
            }
            if batch.behind == 0 {
                return Ok(refuted.map(|(challenger, transaction)| Self {
                    challenger,
                    in_a_game: games.contains(&transaction),
                }));
            }
        }
    }
}

impl fmt::Display for Refutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.in_a_game {
            true => "in a game that the worker lost",
            false => "by what the worker had signed of a step",
        };
        write!(f, "{}, {how}", self.challenger)
    }
}

/// Whether somebody can end the job when its deadline is over.
fn is_due(view: &JobView) -> bool {
    let plays = view.state == JobState::Committed && view.games > 0;
    !view.state.is_over() && !plays
}

/// How a job stands, in a line.
fn line(view: &JobView) -> String {
    let until = when(view.deadline);
    match view.state {
        JobState::Open => format!("open: a worker may accept it until {until}"),
        JobState::Assigned => {
            format!("assigned to {}: to be sealed until {until}", view.worker)
        }
        JobState::Sealed => {
            format!("sealed: verifiers seal, then the worker commits until {until}")
        }
        JobState::Committed => format!(
            "committed: it ends with {}; {} open games, more can begin until {until}",
            view.last, view.games
        ),
        over => over.to_string(),
    }
}
