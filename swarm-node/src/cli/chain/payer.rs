//! The wallet's account on a swarm's chain, and the transactions that a command sends from it.

use contracts::deploy::Deployment;
use contracts::swarm::Swarm;
use contracts::swarm::calls::{self, Permit};
use contracts::writer::{Intent, IntentId, Submitted, Writer};
use contracts::{Address, Bytes, U256};
use swarm_identity::NodeKey;
use swarm_settle::chain::{Link, account_writer, permit, signer};
use swarm_settle::tokens::token_text;

use super::connection::{connect, watched, with_submitted};
use crate::cli::failure::Failure;
use crate::cli::signals::stop_on_signals;
use crate::cli::wallet::{NO_WALLET, unlock};
use crate::config::Config;

/// A transaction: its name, the contract, and the call.
pub(super) type Step = (&'static str, Address, Bytes);

/// The wallet's account on a swarm's chain.
pub(super) struct Payer {
    pub(super) link: Link,
    pub(super) swarm: Swarm,
    pub(super) owner: Address,
    /// The wallet's key, as it signs what contracts read.
    pub(super) key: NodeKey,
    writer: Writer,
}

impl Payer {
    /// Opens the wallet and connects to the deployment's chain.
    pub(super) async fn open(
        config: &Config,
        deployment: &Deployment,
        environment: &[(String, String)],
    ) -> Result<Self, Failure> {
        let wallet = unlock(&config.wallet, environment).map_err(Failure::work)?;
        let wallet = wallet.ok_or_else(|| Failure::Usage(anyhow::anyhow!(NO_WALLET)))?;
        let link = connect(config).await?;
        deployment
            .check(&link.client)
            .await
            .map_err(Failure::work)?;
        let secret = wallet.secret.to_bytes();
        let signer = signer(&secret).map_err(Failure::work)?;
        Ok(Self {
            swarm: Swarm::new(link.client.clone(), (&deployment.contracts).into()),
            owner: signer.address(),
            key: NodeKey::from_secret(&secret).map_err(Failure::work)?,
            writer: account_writer(&link, signer).map_err(Failure::work)?,
            link,
        })
    }

    /// Sees to it that the account holds so many units: by the transaction that creates test tokens,
    /// or it fails unless they are there. `purpose` says what they are for, and `remedy` what else can
    /// be done.
    pub(super) async fn have_tokens(
        &self,
        mint: bool,
        amount: U256,
        purpose: &str,
        remedy: &str,
    ) -> Result<Vec<Step>, Failure> {
        if mint {
            let token = self.swarm.addresses().token;
            return Ok(vec![("mint", token, calls::mint(self.owner, amount))]);
        }
        let held = self.swarm.tokens_of(self.owner).await;
        let held = held.map_err(Failure::work)?;
        if held >= amount {
            return Ok(Vec::new());
        }
        let [held, wanted] = [held, amount].map(|units| token_text(units.saturating_to()));
        Err(Failure::Work(anyhow::anyhow!(
            "{} holds {held} tokens and is to {purpose} {wanted}; send it more of token {}, {remedy}, \
             or create test tokens with --mint",
            self.owner,
            self.swarm.addresses().token
        )))
    }

    /// Lets a contract take tokens: with a permit in one transaction, or after an approval where
    /// the token knows no permits.
    pub(super) async fn hand_over(
        &self,
        name: &'static str,
        to: Address,
        amount: U256,
        with_permit: impl FnOnce(&Permit) -> Bytes,
        approved: Bytes,
    ) -> Result<Vec<Step>, Failure> {
        let leave = permit(&self.swarm, &self.key, self.owner, to, amount).await;
        Ok(match leave.map_err(Failure::work)? {
            Some(leave) => vec![(name, to, with_permit(&leave))],
            None => {
                let token = self.swarm.addresses().token;
                vec![
                    ("approve", token, calls::approve(to, amount)),
                    (name, to, approved),
                ]
            }
        })
    }

    /// Sends transactions one after the other, each when the one before it is final. `remedy` says
    /// how to go on when some were sent.
    pub(super) async fn send(
        &self,
        command: &str,
        steps: Vec<Step>,
        patience_s: u64,
        remedy: impl Fn(&Submitted) -> String,
    ) -> Result<Submitted, Failure> {
        let stop = stop_on_signals()?;
        let mut submitted = Submitted::default();
        for (name, to, data) in steps {
            let id = format!("{command}/{name}/{to}");
            let sending = self.send_one(id, name, to, data, &mut submitted);
            let sent = watched(&self.writer, sending, patience_s, &stop).await;
            if let Err(failure) = sent.and_then(|sent| sent) {
                return Err(with_submitted(failure, &submitted, &remedy(&submitted)));
            }
        }
        Ok(submitted)
    }

    async fn send_one(
        &self,
        id: String,
        name: &str,
        to: Address,
        data: Bytes,
        submitted: &mut Submitted,
    ) -> Result<(), Failure> {
        let id = IntentId::new(id).map_err(Failure::work)?;
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
