//! `swarm-node chain`: puts contracts on a chain, joins and looks at them, runs a dev chain.

mod connection;
mod deploy;
mod dev;
mod fund;
mod join;
mod payer;
mod status;

use clap::{Args, Subcommand};
use contracts::deploy::Deployment;

use super::failure::Failure;
use super::options::Options;
use crate::config::Config;

/// Deploys a swarm's contracts, joins, funds and shows them, and runs a dev chain.
#[derive(Debug, Args)]
pub(super) struct ChainCommand {
    #[command(subcommand)]
    action: ChainAction,
}

#[derive(Debug, Subcommand)]
enum ChainAction {
    Deploy(deploy::Deploy),
    Join(join::Join),
    Fund(fund::Fund),
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
            ChainAction::Deploy(deploy) => {
                let config = config(options, &deploy.chain, &environment)?;
                runtime.block_on(deploy.run(&config, &environment, options.json))
            }
            ChainAction::Status(status) => {
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
            ChainAction::Join(join) => {
                let deployment = Deployment::read(&join.file).map_err(Failure::work)?;
                let config = of_deployment(options, &join.chain, Some(&deployment), &environment)?;
                runtime.block_on(join.run(&config, &deployment, &environment, options.json))
            }
            ChainAction::Fund(fund) => {
                let deployment = Deployment::read(&fund.file).map_err(Failure::work)?;
                let config = of_deployment(options, &fund.chain, Some(&deployment), &environment)?;
                runtime.block_on(fund.run(&config, &deployment, &environment, options.json))
            }
            ChainAction::Dev(dev) => dev.run(options.json),
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
