//! Who plays: the account that pays for the stage, the peers' owners, and their node keys.

use contracts::{Address, PrivateKeySigner};
use swarm_devchain::dev_accounts;
use swarm_identity::NodeKey;
use swarm_identity::Secret;
use swarm_identity::digest::{Digest32, Hasher};
use swarm_identity::key::KeyError;
use swarm_settle::chain::signer;

/// The keys of a demo.
#[derive(Clone, Debug)]
pub struct Cast {
    /// Deploys, and pays for everything.
    pub funder: PrivateKeySigner,
    /// Accounts of the peers' owners.
    pub owners: Vec<Owner>,
    /// Node keys of the peers.
    pub nodes: Vec<NodeKey>,
    /// Seed of the demo.
    pub seed: u64,
}

/// The owner of a peer.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Signs its transactions.
    pub signer: PrivateKeySigner,
    /// The same key, as it signs a binding.
    pub key: NodeKey,
}

impl Owner {
    /// The owner's account.
    pub fn address(&self) -> Address {
        self.signer.address()
    }
}

/// Who pays for a demo on a chain.
#[derive(Clone, Debug)]
pub enum Funder {
    /// An account of the embedded chain, which costs nothing.
    Dev,
    /// The account with this secret.
    Secret(Secret),
    /// Nobody, for this reason.
    Nobody(String),
}

impl Funder {
    /// The secret of the account.
    ///
    /// # Errors
    /// The reason why there is none.
    pub fn secret(&self) -> Result<Digest32, String> {
        match self {
            Self::Dev => {
                let account = dev_accounts()
                    .into_iter()
                    .next()
                    .map(|account| account.secret.0);
                account.ok_or_else(|| "the embedded chain has no account".to_owned())
            }
            Self::Secret(secret) => Ok(*secret.to_bytes()),
            Self::Nobody(reason) => Err(reason.clone()),
        }
    }
}

impl Cast {
    /// The cast of a demo. Owners derive from the funder's secret, so that what is left in their
    /// accounts stays within reach of whoever has it.
    ///
    /// # Errors
    /// [`KeyError`] if a derived secret is no key, which has negligible probability.
    pub fn new(funder: &Digest32, seed: u64, nodes: Vec<NodeKey>) -> Result<Self, KeyError> {
        let owner = |number| {
            let secret = Hasher::new("demo-owner")
                .bytes(funder)
                .u64(seed)
                .u64(number)
                .finish();
            Ok(Owner {
                signer: signer(&secret)?,
                key: NodeKey::from_secret(&secret)?,
            })
        };
        let owners = (0..nodes.len() as u64)
            .map(owner)
            .collect::<Result<_, KeyError>>()?;
        Ok(Self {
            funder: signer(funder)?,
            owners,
            nodes,
            seed,
        })
    }
}
