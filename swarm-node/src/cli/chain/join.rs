//! `swarm-node chain join`.

use std::path::PathBuf;

use clap::Args;
use contracts::deploy::Deployment;
use contracts::swarm::{Swarm, calls};
use contracts::typed::{self, Domain};
use contracts::writer::{Intent, IntentId, Submitted, Writer};
use contracts::{Address, Bytes, U256};
use swarm_identity::KeyFile;
use swarm_identity::NodeKey;
use swarm_identity::Secret;
use swarm_settle::chain::{Binding, account_writer, permit, signer};
use swarm_settle::tokens::{TOKEN, token_text};
use swarm_settle::wallet::Wallet;

use super::connection::{connect, watched, with_submitted};
use crate::cli::failure::Failure;
use crate::cli::output::{self, print_rows};
use crate::cli::signals::stop_on_signals;
use crate::cli::wallet::{NO_WALLET, unlock};
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

/// The swarm, the node, and the account that joins with it.
struct Joining {
    swarm: Swarm,
    writer: Writer,
    owner: Address,
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
        let wallet = unlock(&config.wallet, environment).map_err(Failure::work)?;
        let wallet = wallet.ok_or_else(|| Failure::Usage(anyhow::anyhow!(NO_WALLET)))?;
        let link = connect(config).await?;
        deployment
            .check(&link.client)
            .await
            .map_err(Failure::work)?;
        let file = KeyFile::open(&self.node_key, Secret::random).map_err(Failure::work)?;
        if file.is_new() {
            output::note(&file.backup_hint());
        }
        let signer = signer(&wallet.secret.to_bytes()).map_err(Failure::work)?;
        let joining = Joining {
            swarm: Swarm::new(link.client.clone(), (&deployment.contracts).into()),
            owner: signer.address(),
            writer: account_writer(&link, signer).map_err(Failure::work)?,
            node: typed::address(&file.key().peer().0).ok_or_else(unusable)?,
            stake: U256::from(self.stake) * U256::from(TOKEN),
        };
        let now = link.now().await.map_err(Failure::work)?;
        let steps = joining.steps(self.mint, &wallet, file.key(), now).await?;
        let stop = stop_on_signals()?;
        let mut submitted = Submitted::default();
        for (name, to, data) in steps {
            let sending = joining.send(name, to, data, &mut submitted);
            let sent = watched(&joining.writer, sending, config.chain.wait_s, &stop).await;
            if let Err(failure) = sent.and_then(|sent| sent) {
                let staked = submitted.sent().any(|(what, _)| what == "deposit");
                let stake = if staked { " with --stake 0" } else { "" };
                let remedy =
                    format!("when that is in a block, the same command{stake} goes on from there");
                return Err(with_submitted(failure, &submitted, &remedy));
            }
        }
        let staked = joining
            .swarm
            .deposit_of(joining.owner)
            .await
            .map_err(Failure::work)?;
        let rows = [
            ("owner", joining.owner.to_string()),
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

/// The wallet's key, as it signs what contracts read.
fn owner_key(wallet: &Wallet) -> Result<NodeKey, Failure> {
    NodeKey::from_secret(&wallet.secret.to_bytes()).map_err(Failure::work)
}

fn unusable() -> Failure {
    Failure::Work(anyhow::anyhow!(
        "the node's key cannot sign; move its file away and join again with a new one"
    ))
}

impl Joining {
    /// What is to be sent, in this order.
    async fn steps(
        &self,
        mint: bool,
        wallet: &Wallet,
        key: &NodeKey,
        now: u64,
    ) -> Result<Vec<(&'static str, Address, Bytes)>, Failure> {
        let contracts = self.swarm.addresses();
        let mut steps = Vec::new();
        if mint {
            steps.push(("mint", contracts.token, calls::mint(self.owner, self.stake)));
        } else {
            self.require_tokens().await?;
        }
        if !self.stake.is_zero() {
            steps.extend(self.deposit(wallet).await?);
        }
        let bound = self
            .swarm
            .owner_of(self.node)
            .await
            .map_err(Failure::work)?;
        if bound.is_zero() {
            steps.push((
                "bind",
                contracts.members,
                self.binding(wallet, key, now).await?,
            ));
        } else if bound != self.owner {
            return Err(Failure::Work(anyhow::anyhow!(
                "node {} is bound to {bound}; that account must unbind it, or take another \
                 --node-key",
                self.node
            )));
        }
        Ok(steps)
    }

    /// The deposit with a permit, or after an approval where the token knows no permits.
    async fn deposit(
        &self,
        wallet: &Wallet,
    ) -> Result<Vec<(&'static str, Address, Bytes)>, Failure> {
        let contracts = self.swarm.addresses();
        let key = owner_key(wallet)?;
        let leave = permit(&self.swarm, &key, self.owner, contracts.members, self.stake);
        Ok(match leave.await.map_err(Failure::work)? {
            Some(leave) => {
                let data = calls::deposit_with_permit(self.owner, self.stake, &leave);
                vec![("deposit", contracts.members, data)]
            }
            None => vec![
                (
                    "approve",
                    contracts.token,
                    calls::approve(contracts.members, self.stake),
                ),
                (
                    "deposit",
                    contracts.members,
                    calls::deposit(self.owner, self.stake),
                ),
            ],
        })
    }

    async fn require_tokens(&self) -> Result<(), Failure> {
        let held = self
            .swarm
            .tokens_of(self.owner)
            .await
            .map_err(Failure::work)?;
        if held >= self.stake {
            return Ok(());
        }
        let [held, stake] = [held, self.stake].map(|units| token_text(units.saturating_to()));
        Err(Failure::Work(anyhow::anyhow!(
            "{} holds {held} tokens and is to stake {stake}; send it more of token {}, stake less \
             with --stake, or create \
             test tokens with --mint",
            self.owner,
            self.swarm.addresses().token
        )))
    }

    async fn binding(
        &self,
        wallet: &Wallet,
        node_key: &NodeKey,
        now: u64,
    ) -> Result<Bytes, Failure> {
        let nonce = self
            .swarm
            .binding_nonce(self.owner)
            .await
            .map_err(Failure::work)?;
        let owner_key = owner_key(wallet)?;
        let domain = Domain {
            chain_id: self.swarm.client().chain_id(),
            contract: self.swarm.addresses().members,
        };
        let binding = Binding {
            domain,
            owner: self.owner,
            owner_key: &owner_key,
            node_key,
            nonce,
            now,
        };
        binding.call().ok_or_else(unusable)
    }

    async fn send(
        &self,
        name: &str,
        to: Address,
        data: Bytes,
        submitted: &mut Submitted,
    ) -> Result<(), Failure> {
        let id = IntentId::new(format!("join/{name}/{to}")).map_err(Failure::work)?;
        let ticket = self
            .writer
            .submit(Intent::call(id, to, data))
            .await
            .map_err(Failure::work)?;
        submitted.add(name, &ticket);
        ticket.finalised().await.map_err(Failure::work)?;
        Ok(())
    }
}
