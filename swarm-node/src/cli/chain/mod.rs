//! `swarm-node chain`: puts contracts on a chain, joins and looks at them, runs a dev chain.

mod deploy;
mod dev;
mod fund;
mod join;
mod payer;
mod status;

use clap::{Args, Subcommand};
use contracts::deploy::Deployment;
pub(super) use deploy::deployment_place;

use super::connection::settings;
use super::failure::Failure;
use super::options::Options;

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
                let config = settings(options, &deploy.chain, None, &environment)?;
                runtime.block_on(deploy.run(&config, &environment, options.json))
            }
            ChainAction::Status(status) => {
                let deployment = status
                    .file
                    .as_deref()
                    .map(Deployment::read)
                    .transpose()
                    .map_err(Failure::work)?;
                let known = deployment.as_ref().map(|deployment| &deployment.chain);
                let config = settings(options, &status.chain, known, &environment)?;
                runtime.block_on(status.run(
                    &config,
                    deployment.as_ref(),
                    &environment,
                    options.json,
                ))
            }
            ChainAction::Join(join) => {
                let deployment = Deployment::read(&join.file).map_err(Failure::work)?;
                let known = Some(&deployment.chain);
                let config = settings(options, &join.chain, known, &environment)?;
                runtime.block_on(join.run(&config, &deployment, &environment, options.json))
            }
            ChainAction::Fund(fund) => {
                let deployment = Deployment::read(&fund.file).map_err(Failure::work)?;
                let known = Some(&deployment.chain);
                let config = settings(options, &fund.chain, known, &environment)?;
                runtime.block_on(fund.run(&config, &deployment, &environment, options.json))
            }
            ChainAction::Dev(dev) => dev.run(options.json),
        }
    }
}
