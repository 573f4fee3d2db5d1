//! `swarm-node chain status`.

use std::path::PathBuf;

use clap::Args;
use contracts::deploy::Deployment;
use contracts::swarm::Swarm;
use swarm_settle::chain::Link;

use super::connection::connect;
use crate::cli::failure::Failure;
use crate::cli::output::print_rows;
use crate::cli::wallet::unlock;
use crate::config::Config;
use crate::demo::token_text;

/// Shows a chain, the wallet's account on it, and a deployment.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// A deployment file.
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// URL of the chain's RPC server; default: the deployment's.
    #[arg(long, value_name = "URL")]
    pub(super) chain: Option<String>,
}

impl Status {
    pub(super) async fn run(
        &self,
        config: &Config,
        deployment: Option<&Deployment>,
        environment: &[(String, String)],
        json: bool,
    ) -> Result<(), Failure> {
        let link = connect(config).await?;
        let head = link.client.head().await.map_err(Failure::work)?;
        let mut rows = vec![
            ("chain", link.client.chain_id().to_string()),
            ("endpoint", link.client.endpoint().to_owned()),
            ("block", head.number.to_string()),
            ("time", head.timestamp.to_string()),
        ];
        if let Some(wallet) = unlock(&config.wallet, environment).map_err(Failure::work)? {
            let balance = link
                .client
                .balance(wallet.address.0.into())
                .await
                .map_err(Failure::work)?;
            rows.push(("wallet", wallet.address.to_string()));
            rows.push((
                "balance",
                format!("{} ether", token_text(balance.saturating_to())),
            ));
        }
        if let Some(deployment) = deployment {
            deployment
                .check(&link.client)
                .await
                .map_err(Failure::work)?;
            rows.extend(contracts(deployment, &link).await?);
        }
        print_rows(&rows, json, String::new())
    }
}

async fn contracts(
    deployment: &Deployment,
    link: &Link,
) -> Result<Vec<(&'static str, String)>, Failure> {
    let swarm = Swarm::new(link.client.clone(), (&deployment.contracts).into());
    let pool = swarm.pool().await.map_err(Failure::work)?;
    let parameters = &deployment.parameters;
    let now = link.now().await.map_err(Failure::work)?;
    // The file may have been edited by hand.
    parameters.check(now).map_err(Failure::work)?;
    let round = now
        .checked_sub(parameters.genesis)
        .map(|passed| passed / parameters.round_length);
    let round = round.map_or_else(
        || format!("begins in {} s", parameters.genesis - now),
        |round| round.to_string(),
    );
    Ok(vec![
        ("token", deployment.contracts.token.to_string()),
        ("stake", deployment.contracts.stake.to_string()),
        ("coordinator", deployment.contracts.coordinator.to_string()),
        ("round", round),
        (
            "pool",
            format!("{} tokens", token_text(pool.saturating_to())),
        ),
    ])
}
