//! The wallet's account on a chain that lasts, and the transactions that a command sends from it.

use std::sync::Arc;

use contracts::writer::{Intent, IntentId, Submitted, Writer};
use contracts::{Address, Bytes};
use swarm_identity::NodeKey;
use swarm_settle::chain::{Link, StoredIntents, account_writer, signer};
use swarm_store::{Chain, Store};

use super::connection::{connect, watched, with_submitted};
use super::failure::Failure;
use super::signals::stop_on_signals;
use super::wallet::{NO_WALLET, unlock};
use crate::config::Config;

/// A transaction: its name, the contract, and the call.
pub(super) type Step = (&'static str, Address, Bytes);

/// The wallet's account on a chain.
pub(super) struct Account {
    pub(super) link: Link,
    pub(super) owner: Address,
    /// The wallet's key, as it signs what contracts read.
    pub(super) key: NodeKey,
    pub(super) writer: Writer,
}

impl Account {
    /// Opens the wallet and connects to the chain of the settings. With a store, transactions that
    /// are under way survive the process.
    pub(super) async fn open(
        config: &Config,
        environment: &[(String, String)],
        store: Option<&Store>,
    ) -> Result<Self, Failure> {
        let wallet = unlock(&config.wallet, environment).map_err(Failure::work)?;
        let wallet = wallet.ok_or_else(|| Failure::Usage(anyhow::anyhow!(NO_WALLET)))?;
        let link = connect(config).await?;
        let secret = wallet.secret.to_bytes();
        let signer = signer(&secret).map_err(Failure::work)?;
        let owner = signer.address();
        let writer = match store {
            None => account_writer(&link, signer),
            Some(store) => {
                let first = link.client.block(0).await.map_err(Failure::work)?;
                let first = first.ok_or_else(|| {
                    Failure::Work(anyhow::anyhow!(
                        "{} does not show the chain's first block, by which transactions are \
                         filed; use another server",
                        link.client.endpoint()
                    ))
                })?;
                let chain = Chain {
                    id: link.client.chain_id(),
                    genesis: first.hash.into(),
                };
                let intents = StoredIntents::new(store, chain, owner.into());
                let intents = Arc::new(intents);
                Writer::start(link.client.clone(), signer, intents, link.writer())
            }
        };
        Ok(Self {
            owner,
            key: NodeKey::from_secret(&secret).map_err(Failure::work)?,
            writer: writer.map_err(Failure::work)?,
            link,
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
