//! Plans the step of a topology and says what its time goes into: `cargo run --release -p skippipe
//! --example plan -- [NODES] [SLOTS]`.
//!
//! The nodes stand in cities on a ring of five regions, in which links are fast within a region and
//! slow around the ring.

use skippipe::plan::{Plan, Request};
use skippipe::topology::{Costs, Links, Micros, Node, Topology};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let nodes = arguments.next().map_or(Ok(20), |text| text.parse())?;
    let slots = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let topology = ring(nodes, slots)?;
    let request = Request {
        stages: 6,
        visits: 4,
        max_jump: 4,
        microbatches: 6,
        bytes: 32 << 20,
        seed: 1,
        evaluations: None,
    };
    let start = std::time::Instant::now();
    let plan = Plan::make(&topology, &request)?;
    println!("planned in {:.2} s", start.elapsed().as_secs_f64());
    println!(
        "a step takes {}, and no less than {}",
        plan.time,
        plan.bounds.time()
    );
    for path in plan.paths.iter().take(5) {
        let hops: Vec<String> = path.hops().iter().map(|hop| hop.peer.to_string()).collect();
        println!("  {}", hops.join(" > "));
    }
    if let Some(link) = plan.report(&topology, request.bytes)?.bottleneck {
        println!(
            "most of it on the link from {} to {}: {}",
            link.from, link.to, link.deciding
        );
    }
    Ok(())
}

fn ring(nodes: usize, slots: u16) -> Result<Topology, Box<dyn std::error::Error>> {
    let node = Node::new(Micros(440_000), slots, None);
    let regions_between = |from: usize, to: usize| {
        let around = (from % 5).abs_diff(to % 5);
        around.min(5 - around) as u64
    };
    let matrix = |value: &dyn Fn(u64) -> u64| -> Vec<Vec<u64>> {
        let row = |from| {
            (0..nodes)
                .map(|to| value(regions_between(from, to)))
                .collect()
        };
        (0..nodes).map(row).collect()
    };
    let latency = matrix(&|regions| 1_000 + 40_000 * regions);
    let links = Links::Modelled {
        latency: latency
            .into_iter()
            .map(|row| row.into_iter().map(Micros).collect())
            .collect(),
        bytes_per_second: matrix(&|regions| 250_000_000 / (1 + 8 * regions)),
        overhead: Micros(350_000),
    };
    Ok(Topology::new(vec![node; nodes], links, Costs::default())?)
}
