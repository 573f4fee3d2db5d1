//! Whom is believed, what is estimated, what is refused.

use super::*;

fn link(latency: u64, rate: u64) -> LinkMeasure {
    LinkMeasure {
        latency: Micros(latency),
        bytes_per_second: rate,
    }
}

fn pair(peer: u32, to: LinkMeasure, from: LinkMeasure) -> PairMeasure {
    PairMeasure {
        peer: Peer(peer),
        to: Some(to),
        from: Some(from),
    }
}

fn times(stage: u16, forward: u64) -> StageTimes {
    StageTimes {
        stage: Stage(stage),
        forward: Micros(forward),
        ..ASSUMED_TIMES
    }
}

fn report(pairs: &[PairMeasure]) -> Report {
    Report {
        pairs: pairs.to_vec(),
        times: None,
    }
}

#[test]
fn of_two_ends_the_slower_counts_and_of_one_that_one() {
    let mut known = Measurements::new();
    // 0 says that its way to 1 is fast; 1 has seen that it is slow, and lies about its way to 0.
    let first = report(&[
        pair(1, link(10, 9_000_000), link(10, 2_000_000)),
        pair(2, link(30, 5_000), link(40, 6_000)),
    ]);
    let second = report(&[pair(0, link(12, 900_000_000), link(12, 1_000_000))]);
    known.insert(Peer(0), first, 3).unwrap();
    known.insert(Peer(1), second, 3).unwrap();
    let seen = |from, to| known.link(Peer(from), Peer(to));
    assert_eq!(seen(0, 1).value, link(12, 1_000_000));
    assert_eq!(seen(1, 0).value, link(12, 2_000_000));
    assert_eq!(seen(0, 2).value, link(30, 5_000));
    assert_eq!(seen(2, 0).value, link(40, 6_000));
    assert_eq!(seen(2, 0).basis, Basis::Measured);
    // 1 and 2 have not met: 1's ways out are one of 2 MB/s, 2's ways in one of 5 kB/s.
    let met = seen(1, 2);
    assert_eq!((met.value, met.basis), (link(30, 5_000), Basis::Estimated));
}

#[test]
fn a_liar_slows_its_own_ways_and_no_others() {
    let honest = |me: u32| {
        let others = (0..4).filter(|peer| *peer != me);
        let pairs = others.map(|peer| pair(peer, link(1000, 1 << 20), link(1000, 1 << 20)));
        report(&pairs.collect::<Vec<_>>())
    };
    let mut known = Measurements::new();
    for peer in 0..4 {
        known.insert(Peer(peer), honest(peer), 4).unwrap();
    }
    let before = known.clone();
    let lies = [0, 1, 2].map(|peer| pair(peer, link(0, MAX_RATE), link(9_000_000, MIN_RATE)));
    known.insert(Peer(3), report(&lies), 4).unwrap();
    for from in 0..4 {
        for to in (0..4).filter(|to| *to != from) {
            let (was, is) = (
                before.link(Peer(from), Peer(to)).value,
                known.link(Peer(from), Peer(to)).value,
            );
            assert_eq!(is, was.slower(is), "no way is faster than it was");
            assert!(is == was || to == 3, "{from} to {to}");
        }
    }
    // The slowest that it can say still makes a topology for the largest of messages.
    let hops = (0..4).map(|peer| Hop {
        stage: Stage(peer as u16),
        peer: Peer(peer),
    });
    let hops: Vec<Hop> = hops.collect();
    let topology = known.topology(&hops, 2, 1 << 40).unwrap();
    assert!(topology.network(1 << 40).is_ok());
}

#[test]
fn times_are_of_the_stage_that_a_peer_holds() {
    let mut known = Measurements::new();
    let hop = |stage, peer| Hop {
        stage: Stage(stage),
        peer: Peer(peer),
    };
    assert_eq!(known.times(hop(1, 0)).basis, Basis::Assumed);
    for (peer, stage, forward) in [(0, 0, 10), (1, 1, 100), (2, 1, 300), (3, 1, 200)] {
        let report = Report {
            pairs: Vec::new(),
            times: Some(times(stage, forward)),
        };
        known.insert(Peer(peer), report, 5).unwrap();
    }
    let own = known.times(hop(1, 2));
    assert_eq!((own.value.forward.0, own.basis), (300, Basis::Measured));
    // 0 has taken up stage 1, 4 has measured nothing.
    for peer in [0, 4] {
        let like = known.times(hop(1, peer));
        assert_eq!((like.value.forward.0, like.basis), (200, Basis::Estimated));
    }
}

#[test]
fn absurd_numbers_are_refused_by_name() {
    let mut known = Measurements::new();
    let good = pair(1, link(5, 5_000), link(5, 5_000));
    known.insert(Peer(0), report(&[good]), 3).unwrap();
    let refused = |from: u32, report: Report| {
        let mut known = known.clone();
        let error = known.insert(Peer(from), report, 3).unwrap_err();
        assert!(known.report(Peer(0)).is_some(), "what was known stays");
        error.to_string()
    };
    let text = refused(0, report(&[pair(1, link(5, 0), link(5, 5_000))]));
    assert!(
        text.starts_with("peer 0 reports 0 bytes a second with peer 1"),
        "{text}"
    );
    let text = refused(
        0,
        report(&[pair(2, link(11_000_000, 5_000), link(5, 5_000))]),
    );
    assert!(text.contains("a latency of 11.000 s with peer 2"), "{text}");
    for wrong in [
        pair(0, good.to.unwrap(), good.to.unwrap()),
        pair(3, good.to.unwrap(), good.to.unwrap()),
    ] {
        assert!(refused(0, report(&[wrong])).contains("itself, nobody"));
    }
    assert!(refused(2, report(&[good, good])).contains("not after the one before"));
    assert!(refused(7, report(&[])).contains("none of the pipeline's peers"));
    let slow = Report {
        pairs: Vec::new(),
        times: Some(times(0, MAX_TIME.0 + 1)),
    };
    assert!(refused(1, slow).starts_with("peer 1 reports a forward pass of 3600.000 s"));
}
