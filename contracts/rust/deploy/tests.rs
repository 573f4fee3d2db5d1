use alloy::primitives::B256;
use alloy::signers::local::PrivateKeySigner;
use std::sync::Arc;

use super::*;
use crate::client::Client;
use crate::swarm::Addresses;
use crate::writer::{MemoryStore, WriterConfig};
use swarm_devchain::{CHAIN_ID, DevChain, Options, dev_accounts};

const NOW: u64 = 1_800_000_000;

fn parameters() -> Parameters {
    Parameters {
        genesis: NOW,
        round_length: 60,
        rounds_per_epoch: 10,
        exit_delay: 7_200,
        units_per_point: 1_000_000_000_000_000_000,
        epoch_cap: 1_000_000_000_000_000_000_000_000,
        minimum_stake: 1,
        submitter_fee: 0,
        proposal_bond: 10_000_000_000_000_000_000_000,
        objection_bond: 10_000_000_000_000_000_000_000,
        proposal_window: 600,
        objection_window: 600,
        court_window: 600,
        seed_delay: 2,
        slash_fraction: 1_000,
        slashers: vec![],
    }
}

fn deployment() -> Deployment {
    let chain = Chain {
        name: "dev".into(),
        id: 1,
        rpc: None,
        confirmations: 0,
        poll_ms: 10,
    };
    let [token, members, rewards, slasher] = [1, 2, 3, 4].map(Address::repeat_byte);
    Deployment {
        version: VERSION,
        chain,
        parameters: parameters(),
        contracts: Contracts {
            token,
            members,
            rewards,
            slasher,
            block: 3,
        },
    }
}

#[test]
fn bounds_are_those_of_the_constructors() {
    assert_eq!(parameters().check(NOW), Ok(()));
    let refused = |change: fn(&mut Parameters)| {
        let mut parameters = parameters();
        change(&mut parameters);
        parameters.check(NOW).unwrap_err().name
    };
    assert_eq!(refused(|p| p.genesis = 0), "genesis");
    assert_eq!(refused(|p| p.genesis = NOW + 366 * 86_400 + 1), "genesis");
    assert_eq!(refused(|p| p.round_length = 0), "round_length");
    assert_eq!(
        refused(|p| p.round_length = 366 * 86_400 + 1),
        "round_length"
    );
    assert_eq!(refused(|p| p.rounds_per_epoch = 0), "rounds_per_epoch");
    assert_eq!(
        refused(|p| p.rounds_per_epoch = 366 * 86_400 / 60 + 1),
        "rounds_per_epoch"
    );
    assert_eq!(refused(|p| p.exit_delay = 2_999), "exit_delay");
    assert_eq!(refused(|p| p.proposal_window = 599), "proposal_window");
    assert_eq!(refused(|p| p.objection_window = 0), "objection_window");
    assert_eq!(refused(|p| p.court_window = 0), "court_window");
    assert_eq!(refused(|p| p.seed_delay = 129), "seed_delay");
    assert_eq!(refused(|p| p.units_per_point = 0), "units_per_point");
    assert_eq!(
        refused(|p| p.epoch_cap = p.units_per_point - 1),
        "epoch_cap"
    );
    assert_eq!(refused(|p| p.minimum_stake = 0), "minimum_stake");
    assert_eq!(refused(|p| p.submitter_fee = p.epoch_cap), "submitter_fee");
    assert_eq!(refused(|p| p.proposal_bond -= 1), "proposal_bond");
    assert_eq!(refused(|p| p.objection_bond -= 1), "objection_bond");
    assert_eq!(refused(|p| p.slash_fraction = 10_001), "slash_fraction");
    assert_eq!(
        refused(|p| p.slashers = vec![Address::repeat_byte(1); 4]),
        "slashers"
    );
}

#[test]
fn files_of_other_versions_are_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deployment.toml");
    let text = deployment().to_text().unwrap();
    let first = text
        .replace("version = 2\n", "")
        .replace("rewards =", "coordinator =");
    for (version, text) in [(1, first), (3, text.replace("version = 2", "version = 3"))] {
        std::fs::write(&path, text).unwrap();
        let error = Deployment::read(&path).unwrap_err().to_string();
        assert!(
            error.contains(&format!("is of version {version} "))
                && error.contains("swarm-node chain deploy"),
            "{error}"
        );
    }
}

#[test]
fn a_bond_pays_for_a_dispute() {
    assert_eq!(Parameters::bond(1_000, 0), 10);
    assert_eq!(Parameters::bond(1_001, 0), 11);
    assert_eq!(Parameters::bond(1_000, 3), 3 * 5_250_000);
    assert_eq!(Parameters::bond(u128::MAX, u128::MAX), u128::MAX);
}

#[test]
fn an_address_that_may_carry_a_key_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deployment.toml");
    for (rpc, kept) in [
        ("http://127.0.0.1:8545", true),
        ("https://rpc.example/", true),
        ("https://rpc.example/v3/0123456789abcdef", false),
        ("https://rpc.example?key=0123456789abcdef", false),
        ("https://0123456789abcdef@rpc.example", false),
    ] {
        let mut deployment = deployment();
        deployment.chain.rpc = Some(rpc.into());
        std::fs::write(&path, deployment.to_text().unwrap()).unwrap();
        assert_eq!(
            Deployment::read(&path).unwrap().chain.rpc.is_some(),
            kept,
            "{rpc}"
        );
        assert!(
            !serde_json::to_string(&deployment)
                .unwrap()
                .contains("0123456789abcdef")
        );
    }
}

#[test]
fn files_come_back_and_unknown_keys_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deployment.toml");
    std::fs::write(&path, deployment().to_text().unwrap()).unwrap();
    assert_eq!(Deployment::read(&path).unwrap(), deployment());
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("units_per_point = \"1000000000000000000\""),
        "{text}"
    );
    std::fs::write(&path, format!("\u{feff}{}", text.replace('\n', "\r\n"))).unwrap();
    assert_eq!(
        Deployment::read(&path).unwrap(),
        deployment(),
        "as another editor writes it"
    );
    for (bytes, expected) in [
        (&b"\xff\xfea\0"[..], "UTF-16"),
        (b"\xef\xbb\xbfa\xff", "byte 4"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let refused = Deployment::read(&path).unwrap_err().to_string();
        assert!(
            refused.contains(expected) && refused.contains("save it as UTF-8"),
            "{refused}"
        );
    }
    for altered in [
        text.replace("[parameters]", "[parameters]\ncolour = 1"),
        text.replace("genesis", "genisis"),
    ] {
        std::fs::write(&path, altered).unwrap();
        assert!(matches!(
            Deployment::read(&path),
            Err(FileError::Malformed { .. })
        ));
    }
    std::fs::write(&path, vec![b' '; MAX_FILE_BYTES as usize + 1]).unwrap();
    assert!(matches!(Deployment::read(&path), Err(FileError::Size(_))));
    assert!(matches!(
        Deployment::read(folder.path()),
        Err(FileError::Io { .. })
    ));
}

async fn client(chain: &DevChain) -> Client {
    Client::over(chain.client(), "the dev chain", CHAIN_ID)
        .await
        .unwrap()
}

fn writer(client: &Client, store: &Arc<MemoryStore>) -> Writer {
    let signer = PrivateKeySigner::from_bytes(&B256::from(dev_accounts()[0].secret)).unwrap();
    let config = WriterConfig {
        confirmations: 0,
        poll_ms: 5,
        ..WriterConfig::default()
    };
    Writer::start(client.clone(), signer, store.clone(), config).unwrap()
}

#[tokio::test]
async fn a_swarm_is_deployed_once() {
    let chain = DevChain::in_memory(Options::standing(NOW));
    let client = client(&chain).await;
    let store = Arc::new(MemoryStore::default());
    let mut submitted = Submitted::default();
    let first = deploy(
        &client,
        &writer(&client, &store),
        &parameters(),
        None,
        NOW,
        &mut submitted,
    )
    .await
    .unwrap();
    let said = submitted.to_string();
    for (name, made) in [
        ("token", first.token),
        ("members", first.members),
        ("rewards", first.rewards),
        ("slasher", first.slasher),
    ] {
        assert!(
            said.contains(&format!("{name} {made} (transaction 0x")),
            "{said}"
        );
    }
    let again = deploy(
        &client,
        &writer(&client, &store),
        &parameters(),
        None,
        NOW,
        &mut submitted,
    )
    .await
    .unwrap();
    assert_eq!(first, again);
    assert_eq!(client.head().await.unwrap().number, 4);
    Deployment {
        contracts: first,
        ..deployment()
    }
    .check(&client)
    .await
    .unwrap();
    let swarm = crate::swarm::Swarm::new(client.clone(), Addresses::from(&first));
    assert_eq!(swarm.pool().await.unwrap().free(), 0);
    assert_eq!(swarm.slashers().await.unwrap(), [first.slasher]);
    let absent = deployment().check(&client).await.unwrap_err();
    assert!(
        absent.to_string().contains("swarm-node chain deploy"),
        "{absent}"
    );
}

/// The chain agrees with [`Parameters::check`]: what it refuses, the constructors refuse.
#[tokio::test]
async fn constructors_refuse_what_is_refused_here() {
    let chain = DevChain::in_memory(Options::standing(NOW));
    let client = client(&chain).await;
    let writer = writer(&client, &Arc::new(MemoryStore::default()));
    let mut submitted = Submitted::default();
    let good = deploy(&client, &writer, &parameters(), None, NOW, &mut submitted)
        .await
        .unwrap();
    let changes: [fn(&mut Parameters); 14] = [
        |p| p.genesis = NOW + 367 * 86_400,
        |p| p.round_length = 0,
        |p| p.rounds_per_epoch = 366 * 86_400 / 60 + 1,
        |p| p.units_per_point = 0,
        |p| p.epoch_cap = p.units_per_point - 1,
        |p| p.minimum_stake = 0,
        |p| p.submitter_fee = p.epoch_cap,
        |p| p.proposal_bond -= 1,
        |p| p.objection_bond -= 1,
        |p| p.proposal_window = 599,
        |p| p.objection_window = 0,
        |p| p.court_window = 0,
        |p| p.court_window = 366 * 86_400,
        |p| p.seed_delay = 129,
    ];
    for change in changes {
        let mut bad = parameters();
        change(&mut bad);
        let ours = bad.check(NOW).unwrap_err();
        let ticket = create(
            &writer,
            "bad",
            rewards_code(&bad, good.members),
            &mut submitted,
        )
        .await
        .unwrap();
        let theirs = ticket.included().await.unwrap_err();
        assert!(
            theirs.is_refused_with::<SwarmRewards::ParameterOutOfRange>(),
            "{ours} / {theirs}"
        );
    }
}
