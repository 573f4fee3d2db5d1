//! The published schedule of 20 nodes, where its file is at hand.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::path::{Peer, Stage};
use crate::sim::Schedule;
use crate::topology::{Costs, Links, Micros, Node, Topology};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Published {
    delays: Vec<Vec<f64>>,
    pub(crate) partitions: Vec<Vec<u32>>,
    ca_paths: BTreeMap<u32, BTreeMap<u32, u32>>,
    non_ca_paths: BTreeMap<u32, BTreeMap<u32, u32>>,
    random_paths: BTreeMap<u32, BTreeMap<u32, u32>>,
}

/// Bytes of a hop.
pub(crate) const BYTES: u64 = 32 << 20;

impl Published {
    /// None, and a line that says so, where the file is absent.
    pub(crate) fn load() -> Option<Self> {
        let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let mut paths = folders.map(|folder| folder.join("shared/data/skippipe/schedule.json"));
        let Some(path) = paths.find(|path| path.exists()) else {
            eprintln!("skipped: no data (shared/data/skippipe/schedule.json)");
            return None;
        };
        let text = std::fs::read_to_string(path).unwrap();
        Some(serde_json::from_str(&text).unwrap())
    }

    pub(crate) fn topology(&self, slots: u16) -> Topology {
        let nodes = (0..self.delays.len()).map(|node| {
            let serves = |nodes: &Vec<u32>| nodes.contains(&(node as u32));
            let stage = self.partitions.iter().position(serves).unwrap();
            Node {
                forward: Micros(440_000),
                slots,
                stage: Some(Stage(stage as u16)),
            }
        });
        let micros = |delay: &f64| Micros::from_seconds(*delay).unwrap();
        let delay = self
            .delays
            .iter()
            .map(|row| row.iter().map(micros).collect());
        let links = Links::Measured {
            bytes: BYTES,
            delay: delay.collect(),
        };
        let costs = Costs {
            pause: Micros(130_000),
            pause_after_new: Micros(90_000),
            ..Costs::default()
        };
        Topology::new(nodes.collect(), links, costs).unwrap()
    }

    /// Three pipelines of the i-th node of each stage, three waves of three.
    pub(crate) fn baseline(&self) -> Schedule {
        let mut schedule = Schedule::new(6);
        for wave in 0..3 {
            for pipeline in 0..3 {
                let route = self.partitions.iter().map(|stage| Peer(stage[pipeline]));
                for _ in 0..3 {
                    assert!(schedule.push(route.clone(), Micros(wave * 100_000)));
                }
            }
        }
        schedule
    }

    pub(crate) fn random(&self) -> Schedule {
        schedule(&self.random_paths, 1)
    }

    pub(crate) fn without_collisions(&self) -> Schedule {
        schedule(&self.non_ca_paths, 1)
    }

    /// One path per data node, for its three slots, sent off a second apart.
    pub(crate) fn skippipe(&self) -> Schedule {
        schedule(&self.ca_paths, 3)
    }
}

/// Two waves of all paths, the second released 2.5 s after the first.
fn schedule(paths: &BTreeMap<u32, BTreeMap<u32, u32>>, slots: u64) -> Schedule {
    let mut schedule = Schedule::new(4);
    for wave in 0..2 {
        for path in paths.values() {
            for slot in 0..slots {
                let release = Micros(wave * 2_500_000 + slot * 1_000_000);
                assert!(schedule.push(route(path), release));
            }
        }
    }
    schedule
}

fn route(path: &BTreeMap<u32, u32>) -> Vec<Peer> {
    let is_value = |node: &u32| path.values().any(|next| next == node);
    let mut node = path.keys().copied().find(|node| !is_value(node));
    let mut route = Vec::new();
    while let Some(peer) = node {
        route.push(Peer(peer));
        node = path.get(&peer).copied();
    }
    route
}
