//! Six peers play three rounds; the last one is hostile and answers everything wrongly.
//!
//! `cargo run -p swarm-round --example simulated_swarm` prints for each round how many honest peers
//! agree on which digest, and at the end what everybody earned. Everything
//! is computed from the seed, so it prints the same on every machine.

use std::error::Error;
use std::sync::Arc;

use swarm_identity::digest::hex;
use swarm_round::reward::MAXIMUM;
use swarm_round::sim::toy::{self, ToyDriver, ToyJudge};
use swarm_round::sim::{Role, Simulation};

const PEERS: u16 = 6;
const ROUNDS: u64 = 3;
const SEED: u64 = 7;
/// Lowest skill of a peer, in percent.
const SKILL: u32 = 65;

fn main() -> Result<(), Box<dyn Error>> {
    let spec = toy::spec(PEERS, ROUNDS, SEED).with_last(1, &[Role::WrongGold]);
    let roles: Vec<Role> = spec.peers.iter().map(|peer| peer.role).collect();

    let report = Simulation::new(spec, Arc::new(ToyJudge))?.run(&mut ToyDriver::new(SKILL, SEED));

    for (number, round) in &report.rounds {
        for (digest, peers) in &round.digests {
            let digest = &hex(digest)[..16];
            println!("round {number}: {peers} honest peers agree on {digest}");
        }
    }
    println!();
    for (index, role) in roles.iter().enumerate() {
        let earned = report.total(index);
        let most = MAXIMUM * ROUNDS as i64;
        println!(
            "peer {index} {:10} {earned:>8} of {most} points",
            format!("{role:?}")
        );
    }
    Ok(())
}
