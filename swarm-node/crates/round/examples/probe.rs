use std::sync::Arc;
use swarm_round::sim::toy::{self, ToyDriver, ToyJudge};
use swarm_round::sim::{Role, Simulation, Network};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let n: u16 = a[1].parse().unwrap();
    let rounds: u64 = a[2].parse().unwrap();
    let hostile: usize = a[3].parse().unwrap();
    let case = a.get(4).map(String::as_str).unwrap_or("calm");
    let mut spec = toy::spec(n, rounds, 1).with_last(hostile, &Role::EVERY_TRICK);
    spec.network.mesh = 6;
    match case {
        "laggard" => spec.peers[0].skew_ms = -650,
        "five" => for i in 0..5 { spec.peers[i].skew_ms = -650; },
        "lossy" => { spec.network.loss = 0.05; }
        "world" => { spec.network = Network::world(); spec.network.mesh = 6; spec.network.loss = 0.01; }
        "all" => { spec.network.loss = 0.01; for i in 0..n as usize { spec.peers[i].skew_ms = (i as i64 * 37 % 601) - 300; } for i in 0..5 { spec.peers[i].skew_ms = -650; } }
        _ => {}
    }
    let honest: Vec<usize> = spec.honest().collect();
    let t = std::time::Instant::now();
    let r = Simulation::new(spec, Arc::new(ToyJudge)).unwrap().run(&mut ToyDriver::new(65, 1));
    let all = r.rounds.values().filter(|x| x.is_agreed() && x.delays.len() == honest.len()).count();
    let ballots: Vec<u16> = r.rounds.values().filter_map(|x| x.decided.as_ref()).map(|d| d.certificate.ballot).collect();
    println!("{case} n={n} hostile={hostile} rounds={rounds} decided={} same={} whole={all} median={:?}ms max={:?} ballots={:?} time={:?}",
        r.rounds.values().filter(|x| x.decided.is_some()).count(), r.agreed(), r.median_delay(), r.rounds.values().flat_map(|x| x.delays.values()).max(), ballots.iter().take(30).collect::<Vec<_>>(), t.elapsed());
    println!("  traffic {:?}; per member-round bytes {} sigs {:.1}; deliveries {}", r.agreement, r.agreement.bytes / (n as u64 * rounds), r.agreement.signatures as f64 / (n as f64 * rounds as f64), r.deliveries);
    println!("  rejected {:?}", r.all_counters());
}
