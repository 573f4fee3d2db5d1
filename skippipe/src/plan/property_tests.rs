//! Random topologies: plans keep what plans must keep, before and after peers left.

use proptest::prelude::*;

use super::*;
use crate::path::{Peer, Stage};
use crate::sim::{Schedule, SimError, Simulator};
use crate::topology::{Costs, Links, Micros, Node, Topology};

/// Nodes on a line, a millisecond apart, without stages.
pub(super) fn line(nodes: usize, slots: u16) -> Topology {
    let node = Node::new(Micros(1000), slots, None);
    let delay = |from: usize, to: usize| Micros(1000 * from.abs_diff(to) as u64);
    let row = |from| (0..nodes).map(|to| delay(from, to)).collect();
    let delay = (0..nodes).map(row).collect();
    let links = Links::Measured { bytes: 0, delay };
    Topology::new(vec![node; nodes], links, Costs::default()).unwrap()
}

pub(super) fn request(stages: u16, visits: u16) -> Request {
    Request {
        stages,
        visits,
        max_jump: 4,
        microbatches: 3,
        bytes: 0,
        seed: 7,
        evaluations: Some(200),
    }
}

/// A topology of 2 to 100 nodes, some of which have stages, and a request that fits it.
fn cases() -> impl Strategy<Value = (Topology, Request)> {
    (2..=100_usize, 1..=8_u16, 0..8_u16, 1..=5_u32, any::<u64>())
        .prop_flat_map(|(nodes, stages, skipped, microbatches, seed)| {
            let stages = stages.min(nodes as u16);
            let visits = stages.saturating_sub(skipped).max(1);
            let request = Request {
                stages,
                visits,
                max_jump: stages::longest_jump(stages, visits).max(2),
                microbatches,
                bytes: 1000,
                seed,
                evaluations: Some(60),
            };
            let node = (0..2000_u64, 1..=4_u16, any::<bool>());
            let nodes_of = prop::collection::vec(node, nodes);
            let delays = prop::collection::vec(prop::collection::vec(0..50_000_u64, nodes), nodes);
            (nodes_of, delays, 0..100_u64, Just(request))
        })
        .prop_map(|(nodes, delays, pause, request)| {
            let nodes = nodes
                .iter()
                .enumerate()
                .map(|(index, (forward, slots, given))| Node {
                    forward: Micros(*forward),
                    slots: *slots,
                    backward: None,
                    loss: None,
                    // The first of every stage stay free, so that none can be without anybody.
                    stage: Some(Stage(index as u16 % request.stages))
                        .filter(|_| *given && index >= usize::from(request.stages)),
                });
            let delay = delays
                .iter()
                .map(|row| row.iter().copied().map(Micros).collect());
            let links = Links::Measured {
                bytes: 1000,
                delay: delay.collect(),
            };
            let costs = Costs {
                pause: Micros(pause),
                pause_after_new: Micros(pause / 2),
                ..Costs::default()
            };
            (
                Topology::new(nodes.collect(), links, costs).unwrap(),
                request,
            )
        })
}

/// What must hold of every plan.
fn holds(plan: &Plan, topology: &Topology, request: &Request) {
    assert_eq!(plan.check(topology, request), Ok(()));
    assert!(
        plan.bounds.time() <= plan.time,
        "{:?} {}",
        plan.bounds,
        plan.time
    );
    let report = plan.report(topology, request.bytes).unwrap();
    assert_eq!(report.time, plan.time, "a replay takes the same time");
    for (used, node) in report.nodes.iter().zip(topology.nodes()) {
        assert!(used.held <= u32::from(node.slots));
        assert!(used.busy <= plan.time);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn plans_keep_their_constraints_and_never_deadlock((topology, request) in cases()) {
        let plan = Plan::make(&topology, &request).unwrap();
        holds(&plan, &topology, &request);
        prop_assert_eq!(&plan, &Plan::make(&topology, &request).unwrap());
    }

    #[test]
    fn a_plan_goes_on_without_peers_that_left(
        (topology, request) in cases(),
        gone in prop::collection::btree_set(0..100_u32, 1..4),
    ) {
        let plan = Plan::make(&topology, &request).unwrap();
        let nodes = topology.nodes().len();
        let gone: Vec<Peer> = gone.into_iter().map(Peer).filter(|gone| gone.index() < nodes).collect();
        let Ok((left, places)) = topology.without(&gone) else {
            return Ok(());
        };
        match plan.replan(&places, &left, &request, 50) {
            Ok(again) => {
                holds(&again.plan, &left, &request);
                for (old, place) in plan.placement.iter().zip(&places) {
                    let Some(place) = place else { continue };
                    let moved = again.plan.placement[place.index()] != *old;
                    // Only a stage that lost everybody takes somebody from another.
                    let now = again.plan.placement[place.index()];
                    let bereft = gone.iter().any(|gone| plan.placement[gone.index()] == now);
                    prop_assert!(!moved || bereft);
                }
            }
            Err(error) => prop_assert!(
                matches!(error, PlanError::Nobody { .. }),
                "{}", error
            ),
        }
        // Nobody left: the plan is kept, or another is better by more than a twentieth.
        let same: Vec<Option<Peer>> = (0..nodes as u32).map(|peer| Some(Peer(peer))).collect();
        let again = plan.replan(&same, &topology, &request, 50).unwrap();
        holds(&again.plan, &topology, &request);
        match again.reason {
            Reason::Kept => prop_assert_eq!(again.plan, plan),
            Reason::Better { before } => {
                prop_assert_eq!(before, plan.time);
                prop_assert!(again.plan.time.0 * 100 < before.0 * 95);
            }
            Reason::Broken => prop_assert!(false, "nobody left"),
        }
    }

    #[test]
    fn any_routes_end_or_are_a_deadlock(
        routes in prop::collection::vec(prop::collection::vec(0..6_u32, 1..5), 1..20),
        slots in 1..4_u16,
    ) {
        let topology = line(6, slots);
        let network = topology.network(0).unwrap();
        let mut schedule = Schedule::new(4);
        for route in &routes {
            prop_assert!(schedule.push(route.iter().copied().map(Peer), Micros::ZERO));
        }
        let mut simulator = Simulator::new();
        let time = simulator.run(&network, &schedule);
        let deadlock = matches!(time, Err(SimError::Deadlock { .. }));
        prop_assert!(time.is_ok() || deadlock, "{:?}", time);
        prop_assert_eq!(time, simulator.run(&network, &schedule));
        let ascends = routes.iter().all(|route| route.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(!ascends || !deadlock, "ascending routes wait in no circle");
    }
}
