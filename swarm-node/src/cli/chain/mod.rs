//! `swarm-node chain`: puts contracts on a chain, joins and looks at them, runs a dev chain.

mod deploy;
mod dev;
mod join;
mod status;

use std::time::Duration;

use clap::{Args, Subcommand};
use contracts::deploy::Deployment;
use contracts::writer::{Submitted, Writer};
use swarm_settle::chain::{Endpoint, Link, trouble, wall_clock};

use super::failure::Failure;
use super::options::Options;
use super::output::{self, Answer};
use crate::config::Config;
use crate::job::Stop;

/// Deploys a swarm's contracts, joins and shows them, and runs a dev chain.
#[derive(Debug, Args)]
pub(super) struct ChainCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Deploy(deploy::Deploy),
    Join(join::Join),
    Status(status::Status),
    Dev(dev::Dev),
}

impl ChainCommand {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::work)?;
        match &self.action {
            Action::Deploy(deploy) => {
                let config = config(options, &deploy.chain, &environment)?;
                runtime.block_on(deploy.run(&config, &environment, options.json))
            }
            Action::Status(status) => {
                let deployment = status
                    .file
                    .as_deref()
                    .map(Deployment::read)
                    .transpose()
                    .map_err(Failure::work)?;
                let config =
                    of_deployment(options, &status.chain, deployment.as_ref(), &environment)?;
                runtime.block_on(status.run(
                    &config,
                    deployment.as_ref(),
                    &environment,
                    options.json,
                ))
            }
            Action::Join(join) => {
                let deployment = Deployment::read(&join.file).map_err(Failure::work)?;
                let config = of_deployment(options, &join.chain, Some(&deployment), &environment)?;
                runtime.block_on(join.run(&config, &deployment, &environment, options.json))
            }
            Action::Dev(dev) => dev.run(options.json),
        }
    }
}

fn config(
    options: &Options,
    chain: &Option<String>,
    environment: &[(String, String)],
) -> Result<Config, Failure> {
    Ok(options
        .settings(
            &[("--chain", "chain.endpoint", chain)],
            environment.to_vec(),
        )?
        .config::<Config>()?)
}

/// The settings for a deployment: its chain, by its own RPC unless another is given.
fn of_deployment(
    options: &Options,
    chain: &Option<String>,
    deployment: Option<&Deployment>,
    environment: &[(String, String)],
) -> Result<Config, Failure> {
    let known = deployment.and_then(|deployment| deployment.chain.rpc.clone());
    let mut config = config(options, &chain.clone().or(known), environment)?;
    if let Some(deployment) = deployment {
        config.chain.id = deployment.chain.id;
    }
    Ok(config)
}

/// Connects to a chain that outlives this process.
async fn connect(config: &Config) -> Result<Link, Failure> {
    match Endpoint::of(&config.chain)? {
        Endpoint::Url(_) => {
            let link = Link::connect(&config.chain, wall_clock())
                .await
                .map_err(Failure::work)?;
            link.ok_or_else(no_chain)
        }
        Endpoint::Embedded | Endpoint::None => Err(no_chain()),
    }
}

fn no_chain() -> Failure {
    Failure::Usage(anyhow::anyhow!(
        "this needs a chain that lasts: give --chain URL, for example of `swarm-node chain dev` (a \
         deployment file has no \
         URL where it may carry a key)"
    ))
}

/// Waits for something that a writer does, and says what it waits for, until there is a request to
/// stop.
async fn watched<T>(
    writer: &Writer,
    work: impl Future<Output = T>,
    patience_s: u64,
    stop: &Stop,
) -> Result<T, Failure> {
    let end = tokio::time::sleep(Duration::from_secs(patience_s));
    tokio::pin!(work, end);
    let mut said = String::new();
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            () = stop.requested() => {
                #[expect(clippy::expect_used, reason = "the request is its signal's number")]
                let signal = stop.signal().expect("invariant: a request to stop has a signal");
                return Err(Failure::Stopped { signal, state: "nothing was sent".into() });
            }
            () = &mut end => {
                let why = match said.is_empty() {
                    true => "the chain includes nothing".to_owned(),
                    false => said,
                };
                return Err(Failure::Work(anyhow::anyhow!(
                    "gave up after {patience_s} s: {why}; wait longer with --set \
                     chain.wait_s=SECONDS"
                )));
            }
            () = tokio::time::sleep(Duration::from_millis(200)) => {
                if let Some(trouble) = trouble(writer).filter(|trouble| *trouble != said) {
                    output::note(&format!("waiting: {trouble}"));
                    said = trouble;
                }
            }
        }
    }
}

/// Adds to a failure what is on the chain already and how to go on, if anything was sent.
fn with_submitted(failure: Failure, submitted: &Submitted, remedy: &str) -> Failure {
    if submitted.sent().next().is_none() {
        return failure;
    }
    match failure {
        Failure::Stopped { signal, .. } => Failure::Stopped {
            signal,
            state: format!("sent until then: {submitted}; {remedy}"),
        },
        failed => Failure::Work(anyhow::anyhow!(
            "{}; sent until then: {submitted}; {remedy}",
            failed.reason()
        )),
    }
}

/// Prints names with values; `kept` says where they are besides.
fn print_rows(rows: &[(&'static str, String)], json: bool, kept: String) -> Result<(), Failure> {
    let object: serde_json::Map<_, _> = rows
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone().into()))
        .collect();
    let text = rows
        .iter()
        .map(|(name, value)| format!("{name:<12} {value}\n"))
        .collect();
    Answer {
        text,
        json: serde_json::Value::Object(object).to_string(),
        kept,
    }
    .print(json)
}
