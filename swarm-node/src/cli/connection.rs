//! A connection to a chain that lasts, and what a command says while it waits for the chain.

use std::time::Duration;

use contracts::writer::{Submitted, Writer};
use swarm_settle::chain::{Endpoint, Link, trouble, wall_clock};

use super::failure::Failure;
use super::options::Options;
use super::output;
use crate::config::Config;
use crate::job::Stop;

/// The settings of a command about a chain that a deployment file may name: that chain, by the
/// file's RPC server unless another is given.
pub(super) fn settings(
    options: &Options,
    chain: &Option<String>,
    known: Option<&contracts::deploy::Chain>,
    environment: &[(String, String)],
) -> Result<Config, Failure> {
    let rpc = known.and_then(|known| known.rpc.clone());
    let given = chain.clone().or(rpc);
    let flags = [("--chain", "chain.endpoint", &given)];
    let mut config = options
        .settings(&flags, environment.to_vec())?
        .config::<Config>()?;
    if let Some(known) = known {
        config.chain.id = known.id;
    }
    Ok(config)
}

/// Connects to a chain that outlives this process.
pub(super) async fn connect(config: &Config) -> Result<Link, Failure> {
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
pub(super) async fn watched<T>(
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
                return Err(Failure::stopped(stop, "nothing was sent"));
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
pub(super) fn with_submitted(failure: Failure, submitted: &Submitted, remedy: &str) -> Failure {
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
