//! The wallet's account among the contracts of a swarm.

use contracts::deploy::Deployment;
use contracts::swarm::Swarm;
use contracts::swarm::calls::{self, Permit};
use contracts::{Address, Bytes, U256};
use swarm_settle::chain::permit;
use swarm_settle::tokens::token_text;

use crate::cli::account::{Account, Step};
use crate::cli::failure::Failure;
use crate::config::Config;

/// The wallet's account, and the swarm's contracts.
pub(super) struct Payer {
    pub(super) account: Account,
    pub(super) swarm: Swarm,
}

impl Payer {
    /// Opens the wallet and connects to the deployment's chain.
    pub(super) async fn open(
        config: &Config,
        deployment: &Deployment,
        environment: &[(String, String)],
    ) -> Result<Self, Failure> {
        let account = Account::open(config, environment, None).await?;
        let client = &account.link.client;
        deployment.check(client).await.map_err(Failure::work)?;
        Ok(Self {
            swarm: Swarm::new(client.clone(), (&deployment.contracts).into()),
            account,
        })
    }

    /// Sees to it that the account holds so many units: by the transaction that creates test
    /// tokens, or it fails unless they are there. `purpose` says what they are for, and `remedy`
    /// what else can be done.
    pub(super) async fn have_tokens(
        &self,
        mint: bool,
        amount: U256,
        purpose: &str,
        remedy: &str,
    ) -> Result<Vec<Step>, Failure> {
        if mint {
            let token = self.swarm.addresses().token;
            return Ok(vec![(
                "mint",
                token,
                calls::mint(self.account.owner, amount),
            )]);
        }
        let held = self.swarm.tokens_of(self.account.owner).await;
        let held = held.map_err(Failure::work)?;
        if held >= amount {
            return Ok(Vec::new());
        }
        let [held, wanted] = [held, amount].map(|units| token_text(units.saturating_to()));
        Err(Failure::Work(anyhow::anyhow!(
            "{} holds {held} tokens and is to {purpose} {wanted}; send it more of token {}, {remedy}, \
             or create test tokens with --mint",
            self.account.owner,
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
        let leave = permit(
            &self.swarm,
            &self.account.key,
            self.account.owner,
            to,
            amount,
        )
        .await;
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
}
