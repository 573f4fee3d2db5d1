//! `swarm-node chain join`.

use std::path::PathBuf;

use clap::Args;
use contracts::deploy::Deployment;
use contracts::swarm::calls;
use contracts::typed::{self, Domain};
use contracts::writer::Submitted;
use contracts::{Address, Bytes, U256};
use swarm_identity::{KeyFile, NodeKey, Secret};
use swarm_settle::chain::Binding;
use swarm_settle::tokens::{TOKEN, token_text};

use super::payer::Payer;
use crate::cli::account::Step;
use crate::cli::failure::Failure;
use crate::cli::output::{self, print_rows};
use crate::config::Config;

/// Stakes tokens of the wallet and binds this node's key to it, so that it votes and is paid.
///
/// The key file is made if there is none. Joining again adds to the stake; a node that is bound
/// already stays bound.
#[derive(Debug, Args)]
pub(super) struct Join {
    /// The deployment file of the swarm.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// URL of the chain's RPC server; default: the deployment's.
    #[arg(long, value_name = "URL")]
    pub(super) chain: Option<String>,
    /// Whole tokens to stake.
    #[arg(long, default_value_t = 100)]
    stake: u64,
    /// File of the node's key.
    #[arg(long, value_name = "FILE", default_value = "node.key")]
    node_key: PathBuf,
    /// Creates the tokens first; works with test tokens only.
    #[arg(long)]
    mint: bool,
}

/// The node, and the account that joins with it.
struct Joining {
    payer: Payer,
    node: Address,
    stake: U256,
}

impl Join {
    pub(super) async fn run(
        &self,
        config: &Config,
        deployment: &Deployment,
        environment: &[(String, String)],
        json: bool,
    ) -> Result<(), Failure> {
        let payer = Payer::open(config, deployment, environment).await?;
        let file = KeyFile::open(&self.node_key, Secret::random).map_err(Failure::work)?;
        if file.is_new() {
            output::note(&file.backup_hint());
        }
        let now = payer.account.link.now().await.map_err(Failure::work)?;
        let joining = Joining {
            payer,
            node: typed::address(&file.key().peer().0).ok_or_else(unusable)?,
            stake: U256::from(self.stake) * U256::from(TOKEN),
        };
        let steps = joining.steps(self.mint, file.key(), now).await?;
        let payer = &joining.payer;
        let submitted = payer
            .account
            .send("join", steps, config.chain.wait_s, remedy)
            .await?;
        let staked = payer.swarm.deposit_of(payer.account.owner).await;
        let staked = staked.map_err(Failure::work)?;
        let rows = [
            ("owner", payer.account.owner.to_string()),
            (
                "stake",
                format!("{} tokens", token_text(staked.saturating_to())),
            ),
            ("node", joining.node.to_string()),
            ("peer id", typed::peer_id_text(&file.key().peer().0)),
        ];
        print_rows(&rows, json, format!("the node has joined: {submitted}"))
    }
}

fn unusable() -> Failure {
    Failure::Work(anyhow::anyhow!(
        "the node's key cannot sign; move its file away and join again with a new one"
    ))
}

/// How to go on when some transactions were sent.
fn remedy(submitted: &Submitted) -> String {
    let staked = submitted.sent().any(|(what, _)| what == "deposit");
    let stake = if staked { " with --stake 0" } else { "" };
    format!("when that is in a block, the same command{stake} goes on from there")
}

impl Joining {
    /// What is to be sent, in this order.
    async fn steps(&self, mint: bool, key: &NodeKey, now: u64) -> Result<Vec<Step>, Failure> {
        let payer = &self.payer;
        let members = payer.swarm.addresses().members;
        let remedy = "stake less with --stake";
        let tokens = payer.have_tokens(mint, self.stake, "stake", remedy);
        let mut steps = tokens.await?;
        if !self.stake.is_zero() {
            let with_permit =
                |leave: &_| calls::deposit_with_permit(payer.account.owner, self.stake, leave);
            let approved = calls::deposit(payer.account.owner, self.stake);
            let paying = payer.hand_over("deposit", members, self.stake, with_permit, approved);
            steps.extend(paying.await?);
        }
        let bound = payer.swarm.owner_of(self.node).await;
        let bound = bound.map_err(Failure::work)?;
        if bound.is_zero() {
            steps.push(("bind", members, self.binding(key, now).await?));
        } else if bound != payer.account.owner {
            return Err(Failure::Work(anyhow::anyhow!(
                "node {} is bound to {bound}; that account must unbind it, or take another \
                 --node-key",
                self.node
            )));
        }
        Ok(steps)
    }

    async fn binding(&self, node_key: &NodeKey, now: u64) -> Result<Bytes, Failure> {
        let payer = &self.payer;
        let nonce = payer.swarm.binding_nonce(payer.account.owner).await;
        let domain = Domain {
            chain_id: payer.swarm.client().chain_id(),
            contract: payer.swarm.addresses().members,
        };
        let binding = Binding {
            domain,
            owner: payer.account.owner,
            owner_key: &payer.account.key,
            node_key,
            nonce: nonce.map_err(Failure::work)?,
            now,
        };
        binding.call().ok_or_else(unusable)
    }
}
