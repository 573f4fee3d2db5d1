//! What is refused, and by which words.

use super::*;

fn node(stage: Option<u16>) -> Node {
    Node::new(Micros(1000), 2, stage.map(Stage))
}

fn links(nodes: usize) -> Links {
    Links::Modelled {
        latency: vec![vec![Micros(10); nodes]; nodes],
        bytes_per_second: vec![vec![1_000_000; nodes]; nodes],
        overhead: Micros(5),
    }
}

fn error(nodes: Vec<Node>, links: Links, costs: Costs) -> String {
    Topology::new(nodes, links, costs).unwrap_err().to_string()
}

#[test]
fn a_delay_is_latency_transmission_and_overhead() {
    let topology = Topology::new(vec![node(None); 3], links(3), Costs::default()).unwrap();
    let network = topology.network(100).unwrap();
    assert_eq!(network.delay(0, 2), Micros(115));
    assert_eq!(network.delay(1, 1), Micros(0));
    assert_eq!(topology.network(101).unwrap().delay(0, 1), Micros(116));
    let work = network.work(0);
    assert_eq!((work.forward, work.backward, work.loss), (1000, 1500, 250));
}

#[test]
fn errors_name_the_value() {
    let costs = Costs::default();
    assert_eq!(
        error(vec![], links(0), costs),
        "0 nodes; a topology has 1 to 4096"
    );
    let mut slow = node(None);
    slow.forward = Micros(MAX_TIME.0 + 1);
    assert!(error(vec![slow], links(1), costs).starts_with("a forward pass of 3600.000 s"));
    let stage = error(vec![node(Some(256))], links(1), costs);
    assert!(stage.starts_with("node 0 serves stage 256"), "{stage}");
    let shape = error(vec![node(None); 2], links(3), costs);
    assert_eq!(shape, "latency of links has 3 rows; there are 2 nodes");
    let mut silent = links(2);
    if let Links::Modelled {
        bytes_per_second, ..
    } = &mut silent
    {
        bytes_per_second[1][0] = 0;
    }
    let silent = error(vec![node(None); 2], silent, costs);
    assert!(
        silent.starts_with("the link from node 1 to node 0 moves 0"),
        "{silent}"
    );
    let factor = Costs {
        loss_permille: MAX_PERMILLE + 1,
        ..costs
    };
    assert!(error(vec![node(None)], links(1), factor).starts_with("the loss is 100001"));
}

#[test]
fn measured_delays_hold_for_their_size_alone() {
    let measured = Links::Measured {
        bytes: 8,
        delay: vec![vec![Micros(7); 2]; 2],
    };
    let topology = Topology::new(vec![node(None); 2], measured, Costs::default()).unwrap();
    assert_eq!(topology.network(8).unwrap().delay(0, 1), Micros(7));
    assert_eq!(
        topology.network(9).unwrap_err(),
        TopologyError::OtherSize {
            measured: 8,
            bytes: 9
        }
    );
}

#[test]
fn a_slow_line_is_refused_where_a_message_takes_more_than_an_hour() {
    let topology = Topology::new(vec![node(None); 2], links(2), Costs::default()).unwrap();
    assert!(matches!(
        topology.network(1 << 40),
        Err(TopologyError::Time { .. })
    ));
    assert!(matches!(
        topology.network(u64::MAX),
        Err(TopologyError::Bytes(_))
    ));
}

#[test]
fn who_is_left_keeps_order_and_links() {
    let delay = (0..4).map(|from| (0..4).map(|to| Micros(from * 10 + to)).collect());
    let measured = Links::Measured {
        bytes: 0,
        delay: delay.collect(),
    };
    let nodes = (0..4).map(|stage| node(Some(stage))).collect();
    let topology = Topology::new(nodes, measured, Costs::default()).unwrap();
    let (left, places) = topology.without(&[Peer(1)]).unwrap();
    assert_eq!(places, [Some(Peer(0)), None, Some(Peer(1)), Some(Peer(2))]);
    assert_eq!(left.network(0).unwrap().delay(1, 2), Micros(23));
    assert_eq!(left.nodes()[2].stage, Some(Stage(3)));
    assert!(topology.without(&[Peer(4)]).is_err());
}

#[test]
fn a_topology_comes_back_from_its_text() {
    let topology = Topology::new(vec![node(Some(0)); 2], links(2), Costs::default()).unwrap();
    let text = serde_json::to_string(&topology).unwrap();
    assert_eq!(serde_json::from_str::<Topology>(&text).unwrap(), topology);
}
