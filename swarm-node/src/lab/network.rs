//! The network of a scenario.
//!
//! ```text
//! 198.51.100.n + 1      node n with a public address
//! 203.0.113.k + 1       the outer side of router k; behind it its nodes are 192.168.1.2, .3, …
//! ```
//! All routers have the same inner addresses, as at home. Nothing leaves the machine.

use std::net::Ipv4Addr;

use super::scenario::Scenario;
use crate::emulated::nat::Nat;
use crate::emulated::network::{HostSettings, Network};
use crate::hosts::{Hosts, HostsError};

/// The hosts of a scenario's nodes.
///
/// # Errors
/// See [`HostsError`].
pub(super) fn hosts(scenario: &Scenario) -> Result<Hosts, HostsError> {
    if !scenario.is_emulated() {
        return Hosts::loopback(scenario.nodes);
    }
    let (hosts, network) = network(scenario);
    Hosts::emulated(hosts, network)
}

/// The hosts of a scenario's nodes, and the network between them.
fn network(scenario: &Scenario) -> (Vec<HostSettings>, Network) {
    let host = |node| {
        let nat = scenario
            .nat
            .iter()
            .position(|nat| nat.nodes.contains(&node));
        let address = match nat.and_then(|nat| place(&scenario.nat[nat].nodes, node)) {
            Some(place) => Ipv4Addr::new(192, 168, 1, place + 2),
            None => Ipv4Addr::new(198, 51, 100, node as u8 + 1),
        };
        HostSettings {
            address,
            nat,
            link: scenario.link(node),
        }
    };
    let hosts: Vec<HostSettings> = (0..scenario.nodes).map(host).collect();
    let outer = |router: usize| Ipv4Addr::new(203, 0, 113, router as u8 + 1);
    let nats = scenario.nat.iter().enumerate();
    let nats = nats.map(|(router, nat)| Nat::new(nat.kind, outer(router)));
    let network = Network::new(&hosts, nats.collect(), scenario.link_seed());
    (hosts, network)
}

fn place(nodes: &[usize], node: usize) -> Option<u8> {
    nodes
        .iter()
        .position(|known| *known == node)
        .map(|place| place as u8)
}
