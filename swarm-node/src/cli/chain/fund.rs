//! `swarm-node chain fund`.

use std::path::PathBuf;

use clap::Args;
use contracts::U256;
use contracts::deploy::Deployment;
use contracts::swarm::calls;
use swarm_settle::tokens::{TOKEN, token_text};

use super::payer::Payer;
use crate::cli::failure::Failure;
use crate::cli::output::print_rows;
use crate::config::Config;

/// Pays tokens of the wallet into the pool that rewards are paid from.
///
/// Anybody may. There is no way back out of the pool but rewards.
#[derive(Debug, Args)]
pub(super) struct Fund {
    /// The deployment file of the swarm.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Whole tokens.
    #[arg(value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(1..))]
    tokens: u64,
    /// URL of the chain's RPC server; default: the deployment's.
    #[arg(long, value_name = "URL")]
    pub(super) chain: Option<String>,
    /// Creates the tokens first; works with test tokens only.
    #[arg(long)]
    mint: bool,
}

impl Fund {
    pub(super) async fn run(
        &self,
        config: &Config,
        deployment: &Deployment,
        environment: &[(String, String)],
        json: bool,
    ) -> Result<(), Failure> {
        let payer = Payer::open(config, deployment, environment).await?;
        let amount = U256::from(self.tokens) * U256::from(TOKEN);
        let tokens = payer.have_tokens(self.mint, amount, "pay", "pay less");
        let mut steps = tokens.await?;
        let rewards = payer.swarm.addresses().rewards;
        let with_permit = |leave: &_| calls::fund_with_permit(amount, leave);
        let paying = payer.hand_over("fund", rewards, amount, with_permit, calls::fund(amount));
        steps.extend(paying.await?);
        let remedy = |_: &_| "`swarm-node chain status` shows the pool".to_owned();
        let submitted = payer
            .account
            .send("fund", steps, config.chain.wait_s, remedy)
            .await?;
        let pool = payer.swarm.pool().await.map_err(Failure::work)?;
        let rows = [
            ("from", payer.account.owner.to_string()),
            ("pool", format!("{} tokens", token_text(pool.free()))),
        ];
        print_rows(&rows, json, format!("the pool is funded: {submitted}"))
    }
}
