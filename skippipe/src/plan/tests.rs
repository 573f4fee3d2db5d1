//! Plans of the published schedule.

use super::*;
use crate::path::{Peer, Stage};
use crate::published::{BYTES, Published, request};
use crate::topology::{Micros, Topology};

/// The published schedule with its data nodes, and everybody else's stage to be planned.
fn with_data_nodes(published: &Published, slots: u16) -> Topology {
    let topology = published.topology(slots).unwrap();
    let stages = topology.nodes().iter().map(|node| node.stage);
    let stages: Vec<_> = stages
        .map(|stage| stage.filter(|stage| *stage == Stage::FIRST))
        .collect();
    topology.with_stages(&stages).unwrap()
}

#[test]
fn own_plans_of_the_published_schedule_are_shorter_than_the_published_one() {
    let Some(published) = Published::load() else {
        return;
    };
    for (slots, limit) in [(3, 33_350_000), (6, 19_200_000)] {
        for seed in 0..3 {
            let topology = with_data_nodes(&published, slots);
            let request = Request {
                seed,
                ..request(4, 0)
            };
            let plan = Plan::make(&topology, &request).unwrap();
            plan.check(&topology, &request).unwrap();
            assert!(
                plan.time <= Micros(limit),
                "{slots} slots, seed {seed}: {}",
                plan.time
            );
            assert!(plan.bounds.time() <= plan.time);
            assert_eq!(plan.report(&topology, BYTES).unwrap().time, plan.time);
        }
    }
}

#[test]
fn activations_of_eight_bits_shorten_the_step() {
    let Some(published) = Published::load() else {
        return;
    };
    let stages = with_data_nodes(&published, 6);
    let stages: Vec<_> = stages.nodes().iter().map(|node| node.stage).collect();
    let topology = published.modelled(6).unwrap().with_stages(&stages).unwrap();
    let request = Request {
        bytes: BYTES / 4,
        ..request(4, 0)
    };
    let plan = Plan::make(&topology, &request).unwrap();
    plan.check(&topology, &request).unwrap();
    assert!(plan.time <= Micros(14_900_000), "{}", plan.time);
    let (exact, modelled) = (
        published.topology(6).unwrap(),
        topology.network(BYTES).unwrap(),
    );
    let exact = exact.network(BYTES).unwrap();
    let off = |pair: usize| {
        exact
            .delay(pair / 20, pair % 20)
            .0
            .abs_diff(modelled.delay(pair / 20, pair % 20).0)
    };
    // Bandwidths are whole bytes a second.
    assert!(
        (0..400).all(|pair| off(pair) < 1_000),
        "{:?}",
        (0..400).map(off).max()
    );
}

#[test]
fn the_published_placement_bounds_its_plans_from_below() {
    let Some(published) = Published::load() else {
        return;
    };
    let topology = published.topology(3).unwrap();
    let plan = Plan::make(&topology, &request(4, 0)).unwrap();
    plan.check(&topology, &request(4, 0)).unwrap();
    // Australia's best way in ascending stages, alone, takes 16.06 s: the last of three starts 1.06
    // s after the first, and a second wave follows.
    assert_eq!(plan.bounds.slowest, Peer(11));
    assert_eq!(plan.bounds.time(), Micros(33_311_376));
    assert!(plan.time < Micros(35_500_000), "{}", plan.time);
}

#[test]
fn after_any_node_left_the_published_schedule_has_a_plan() {
    let Some(published) = Published::load() else {
        return;
    };
    let topology = published.topology(3).unwrap();
    let request = request(4, 0);
    let plan = Plan::make(&topology, &request).unwrap();
    for gone in (0..20).map(Peer) {
        let (left, places) = topology.without(&[gone]).unwrap();
        let again = plan.replan(&places, &left, &request, 50).unwrap();
        again.plan.check(&left, &request).unwrap();
        assert_eq!(again.reason, Reason::Broken);
        assert!(again.plan.bounds.time() <= again.plan.time);
        assert!(
            again.plan.time < Micros(55_000_000),
            "{gone}: {}",
            again.plan.time
        );
    }
}
