//! A swarm of a few owners on a dev chain whose time stands still until it is set.

use std::cell::Cell;
use std::sync::Arc;

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use contracts::client::{Call, Client};
use contracts::deploy::{Parameters, deploy};
use contracts::earnings::EarningsTable;
use contracts::outcome::{Outcome, Vote};
use contracts::swarm::{Swarm, calls};
use contracts::typed::{self, Domain};
use contracts::writer::{
    Inclusion, Intent, IntentId, MemoryStore, Submitted, TicketError, Writer, WriterConfig,
};
use swarm_devchain::{DevChain, Options, dev_accounts};

pub const START: u64 = 1_800_000_000;
pub const DAY: u64 = 86_400;
/// Units of the token that each owner stakes.
pub const STAKE: u128 = 1_000;
/// Units that each owner has beside its stake: enough for a bond.
pub const PURSE: u128 = 100_000;
/// Where burned money is booked.
pub const FIRE: Address = Address::new([
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xde, 0xad,
]);

/// An owner with one node.
pub struct Member {
    writer: Writer,
    owner: PrivateKeySigner,
    node: PrivateKeySigner,
}

impl Member {
    pub fn address(&self) -> Address {
        self.owner.address()
    }

    pub fn node(&self) -> Address {
        self.node.address()
    }
}

/// A chain with the contracts of a swarm.
pub struct World {
    pub chain: DevChain,
    pub client: Client,
    pub swarm: Swarm,
    pub parameters: Parameters,
    pub members: Vec<Member>,
    sent: Cell<u64>,
}

fn parameters() -> Parameters {
    Parameters {
        genesis: START + 100,
        round_length: 60,
        rounds_per_epoch: 10,
        exit_delay: 7 * DAY,
        units_per_point: 10,
        epoch_cap: 100_000,
        minimum_stake: STAKE,
        submitter_fee: 40,
        proposal_bond: 8_000,
        objection_bond: 4_000,
        proposal_window: DAY,
        objection_window: 3_600,
        court_window: 7_200,
        seed_delay: 2,
        slash_fraction: 1_000,
        slashers: vec![],
    }
}

fn writer(client: &Client, signer: &PrivateKeySigner) -> Writer {
    let config = WriterConfig {
        confirmations: 0,
        poll_ms: 5,
        ..WriterConfig::default()
    };
    let store = Arc::new(MemoryStore::default());
    Writer::start(client.clone(), signer.clone(), store, config).unwrap()
}

impl World {
    /// The contracts, without members.
    pub async fn deployed() -> Self {
        let chain = DevChain::in_memory(Options::standing(START));
        let client = Client::over(chain.client(), "the dev chain", chain.chain_id())
            .await
            .unwrap();
        let deployer = writer(&client, &dev_accounts()[0].signer);
        let parameters = parameters();
        let mut submitted = Submitted::default();
        let contracts = deploy(&client, &deployer, &parameters, None, START, &mut submitted)
            .await
            .unwrap();
        Self {
            swarm: Swarm::new(client.clone(), (&contracts).into()),
            chain,
            client,
            parameters,
            members: Vec::new(),
            sent: Cell::new(0),
        }
    }

    /// With so many members of equal stake, and a full pool; epoch 0 is over.
    pub async fn with_members(count: usize) -> Self {
        let mut world = Self::deployed().await;
        for number in 0..count {
            let owner = dev_accounts()[number + 1].signer.clone();
            world.members.push(Member {
                writer: writer(&world.client, &owner),
                node: PrivateKeySigner::from_bytes(&B256::repeat_byte(number as u8 + 1)).unwrap(),
                owner,
            });
            world.join(number).await;
        }
        let pool = U256::from(10 * world.parameters.epoch_cap);
        let token = world.swarm.addresses().token;
        let rewards = world.swarm.addresses().rewards;
        let funder = world.members[0].address();
        world.must(0, token, calls::mint(funder, pool)).await;
        world.must(0, rewards, calls::fund(pool)).await;
        world.set_time(world.end_of(0));
        world
    }

    async fn join(&self, number: usize) {
        let addresses = *self.swarm.addresses();
        let owner = self.members[number].address();
        let money = U256::from(STAKE + PURSE);
        for (to, data) in [
            (addresses.token, calls::mint(owner, money)),
            (
                addresses.token,
                calls::approve(addresses.members, U256::MAX),
            ),
            (
                addresses.token,
                calls::approve(addresses.rewards, U256::MAX),
            ),
            (addresses.members, calls::deposit(owner, U256::from(STAKE))),
            (addresses.members, self.binding(number)),
        ] {
            self.must(number, to, data).await;
        }
    }

    fn binding(&self, number: usize) -> Bytes {
        let member = &self.members[number];
        let expiry = U256::from(START + DAY);
        let digest =
            self.members_domain()
                .binding(member.address(), member.node(), U256::ZERO, expiry);
        let sign = |key: &PrivateKeySigner| key.sign_hash_sync(&digest).unwrap().as_bytes();
        let public = member
            .node
            .credential()
            .verifying_key()
            .to_encoded_point(true)
            .as_bytes()
            .try_into()
            .unwrap();
        calls::bind(
            member.address(),
            &typed::uncompressed(&public).unwrap(),
            expiry,
            &sign(&member.owner),
            &sign(&member.node),
        )
    }

    pub fn members_domain(&self) -> Domain {
        self.domain(self.swarm.addresses().members)
    }

    pub fn rewards_domain(&self) -> Domain {
        self.domain(self.swarm.addresses().rewards)
    }

    fn domain(&self, contract: Address) -> Domain {
        Domain {
            chain_id: self.client.chain_id(),
            contract,
        }
    }

    pub fn end_of(&self, epoch: u64) -> u64 {
        self.parameters.genesis + (epoch + 1) * self.parameters.epoch_length()
    }

    pub fn set_time(&self, time: u64) {
        self.chain.set_time(time).unwrap();
    }

    /// Time passes.
    pub fn pass(&self, seconds: u64) {
        self.set_time(self.chain.now() + seconds);
    }

    /// Sends a call from a member's account.
    pub async fn send(
        &self,
        member: usize,
        to: Address,
        data: Bytes,
    ) -> Result<Inclusion, TicketError> {
        self.sent.set(self.sent.get() + 1);
        let id = IntentId::new(format!("{}", self.sent.get())).unwrap();
        let intent = Intent::call(id, to, data);
        let ticket = self.members[member].writer.submit(intent).await.unwrap();
        ticket.included().await
    }

    pub async fn must(&self, member: usize, to: Address, data: Bytes) -> Inclusion {
        self.send(member, to, data).await.unwrap()
    }

    /// Sends a call of the rewards.
    pub async fn reward(&self, member: usize, data: Bytes) -> Result<Inclusion, TicketError> {
        self.send(member, self.swarm.addresses().rewards, data)
            .await
    }

    /// Gas of a call of the rewards, tried and not sent.
    pub async fn gas(&self, member: usize, data: Bytes) -> u64 {
        let call = Call {
            from: self.members[member].address(),
            to: Some(self.swarm.addresses().rewards),
            data,
            value: U256::ZERO,
        };
        self.client.estimate(&call).await.unwrap()
    }

    /// A member's vote.
    pub fn vote(&self, member: usize, outcome: &Outcome) -> Vote {
        let Member { node, .. } = &self.members[member];
        let owner = self.members[member].address();
        let digest = self.rewards_domain().outcome(owner, outcome);
        let signature = node.sign_hash_sync(&digest).unwrap().as_bytes();
        Vote::new(owner, &signature).unwrap()
    }

    pub fn votes(&self, outcome: &Outcome) -> Vec<Vote> {
        (0..self.members.len())
            .map(|member| self.vote(member, outcome))
            .collect()
    }

    /// The outcome of the epochs from `since` to `epoch` in which member n earned n + 1 points, and
    /// the table before and after it.
    pub async fn earned(
        &self,
        before: &EarningsTable,
        since: u64,
        epoch: u64,
    ) -> (Outcome, EarningsTable) {
        let points = self
            .members
            .iter()
            .zip(1..)
            .map(|(member, points)| (member.address(), points));
        let points: Vec<(Address, u128)> = points.collect();
        let sum = points.iter().map(|(_, points)| points).sum();
        let terms = self.swarm.terms(epoch, sum).await.unwrap();
        assert_eq!(terms.since, since);
        let table = before.after(points, terms.worth).unwrap();
        let outcome = Outcome {
            since,
            epoch,
            root: table.root(),
            points: sum,
            certificates: B256::repeat_byte(7),
        };
        (outcome, table)
    }

    pub fn claim(&self, table: &EarningsTable, member: usize) -> calls::Claim {
        let owner = self.members[member].address();
        calls::Claim {
            owner,
            earned: table.earned(owner),
            proof: table.proof(owner).unwrap(),
        }
    }

    /// Every member is paid all that the table says, once.
    pub async fn claim_all(&self, table: &EarningsTable) {
        let claims: Vec<calls::Claim> = (0..self.members.len())
            .map(|member| self.claim(table, member))
            .collect();
        for _ in 0..2 {
            self.reward(0, calls::claim(claims.clone())).await.unwrap();
            for member in &self.members {
                let taken = self.swarm.taken_by(member.address()).await.unwrap();
                assert_eq!(taken, table.earned(member.address()));
            }
        }
    }

    pub async fn owed(&self, account: Address) -> u128 {
        self.swarm.owed_to(account).await.unwrap()
    }

    pub async fn tokens(&self, account: Address) -> u128 {
        self.swarm.tokens_of(account).await.unwrap().to()
    }
}
