//! `swarm-node job list`.

use std::collections::BTreeSet;

use clap::Args;
use contracts::cursor::Cursor;
use contracts::jobs::{JobEvent, JobState, JobView};
use contracts::{Address, U256};
use serde_json::json;
use swarm_settle::tokens::token_text;

use super::market::{JobId, Market, MarketOptions, runtime};
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::{Answer, when};

/// Lists the jobs of a contract, the oldest first.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    market: MarketOptions,
    /// Jobs alone that wait for a worker.
    #[arg(long)]
    open: bool,
    /// Jobs of this payer alone.
    #[arg(long, value_name = "ADDRESS")]
    payer: Option<Address>,
}

impl List {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: &[(String, String)],
    ) -> Result<(), Failure> {
        runtime()?.block_on(async {
            let (market, _) = self.market.look(options, environment).await?;
            let mut jobs = Vec::new();
            for id in launched(&market, self.payer).await? {
                // A reorganisation may have taken it back since.
                let Some(view) = market.escrow.job(id).await.map_err(Failure::work)? else {
                    continue;
                };
                if !self.open || view.state == JobState::Open {
                    jobs.push((JobId(id), view));
                }
            }
            tell(&jobs, options.json)
        })
    }
}

/// The jobs that were launched, in the order of the chain.
async fn launched(market: &Market, of: Option<Address>) -> Result<Vec<U256>, Failure> {
    let contracts = &market.deployment.contracts;
    let mut cursor = Cursor::new(contracts.escrow, contracts.block);
    let (mut jobs, mut known) = (Vec::new(), BTreeSet::new());
    loop {
        let batch = cursor.poll(market.escrow.client()).await;
        let batch = batch.map_err(Failure::work)?;
        for log in &batch.logs {
            if let Some(JobEvent::Launched { job, payer, .. }) = JobEvent::read(&log.inner)
                && of.is_none_or(|of| of == payer)
                && known.insert(job)
            {
                jobs.push(job);
            }
        }
        if batch.behind == 0 {
            return Ok(jobs);
        }
    }
}

fn tell(jobs: &[(JobId, JobView)], json: bool) -> Result<(), Failure> {
    let lines = jobs.iter().map(|(job, view)| {
        let until = match view.state.is_over() {
            true => String::new(),
            false => format!(" until {}", when(view.deadline)),
        };
        format!(
            "{job}: {}{until}, {} steps for {} tokens",
            view.state,
            view.steps,
            token_text(view.reward)
        )
    });
    let text = match jobs.is_empty() {
        true => "no jobs".to_owned(),
        false => lines.collect::<Vec<_>>().join("\n"),
    };
    let objects = jobs.iter().map(|(job, view)| {
        json!({
            "job": job.to_string(),
            "state": view.state.to_string(),
            "deadline": view.deadline,
            "payer": view.payer,
            "steps": view.steps,
            "reward_units": view.reward.to_string(),
        })
    });
    let json_text = json!({ "jobs": objects.collect::<Vec<_>>() }).to_string();
    Answer {
        text,
        json: json_text,
        kept: String::new(),
    }
    .print(json)
}
