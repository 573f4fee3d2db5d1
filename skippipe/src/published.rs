//! The published schedule of 20 nodes in 12 cities (`schedule.json` of the SkipPipe authors'
//! repository, MIT), for tests and measurements: its topology, and the four plans whose times were
//! published with it.
//!
//! Read with serde. The file is not part of this repository. London–NL is a bandwidth that was
//! entered 1024 times too low; plans go around it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::path::{Peer, Stage};
use crate::plan::Request;
use crate::sim::Schedule;
use crate::topology::{Costs, Links, Micros, Node, Topology, TopologyError};

/// What is used of the file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Published {
    delays: Vec<Vec<f64>>,
    partitions: Vec<Vec<u32>>,
    ca_paths: Paths,
    non_ca_paths: Paths,
    random_paths: Paths,
}

/// By path: from node to next node.
type Paths = BTreeMap<u32, BTreeMap<u32, u32>>;

/// Bytes of a hop.
pub const BYTES: u64 = 32 << 20;

/// Thirty microbatches for five data nodes, over so many of six stages.
pub fn request(visits: u16, seed: u64) -> Request {
    Request {
        stages: 6,
        visits,
        max_jump: 4,
        microbatches: 6,
        bytes: BYTES,
        seed,
        evaluations: None,
    }
}

/// Part of every delay that does not depend on bytes: copies to and from the accelerator, and
/// locks.
const OVERHEAD: Micros = Micros(350_000);

/// Why a file is not the published schedule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishedError {
    /// A delay that is no time, or shorter than what copies take.
    #[error("a delay of {0} s; published are 0.35 s and more")]
    Delay(f64),
    /// Not the three nodes of six stages that the plans need.
    #[error("{0} stages of three nodes or more; published are 6")]
    Stages(usize),
    /// A path that is longer than four nodes, or none.
    #[error("path {0} does not visit 1 to 4 nodes")]
    Path(u32),
    /// The rest.
    #[error(transparent)]
    Topology(#[from] TopologyError),
}

impl Published {
    /// The nodes of every stage. Those of stage 0 have the data.
    pub fn partitions(&self) -> &[Vec<u32>] {
        &self.partitions
    }

    /// Nodes, stages and delays as published, for hops of [`BYTES`].
    ///
    /// # Errors
    /// The file is another one.
    pub fn topology(&self, slots: u16) -> Result<Topology, PublishedError> {
        let delay = self.delays_of(|delay| Ok(Micros(delay)))?;
        let links = Links::Measured {
            bytes: BYTES,
            delay,
        };
        self.with_links(slots, links)
    }

    /// The same with links that give these delays for hops of [`BYTES`], and others for others: all
    /// of a delay but the overhead grows with the bytes. Latencies (up to 0.13 s) are not told
    /// apart in the file and count as transmission.
    ///
    /// # Errors
    /// The file is another one.
    pub fn modelled(&self, slots: u16) -> Result<Topology, PublishedError> {
        let rate = |delay: u64| {
            let transmission = delay.checked_sub(OVERHEAD.0).filter(|time| *time > 0);
            let time = transmission.ok_or(PublishedError::Delay(delay as f64 / 1e6))?;
            Ok(BYTES * 1_000_000 / time)
        };
        let nodes = self.delays.len();
        let links = Links::Modelled {
            latency: vec![vec![Micros::ZERO; nodes]; nodes],
            bytes_per_second: self.delays_of(rate)?,
            overhead: OVERHEAD,
        };
        self.with_links(slots, links)
    }

    /// A value for every pair of nodes, and the default for a node itself.
    fn delays_of<T: Default>(
        &self,
        value: impl Fn(u64) -> Result<T, PublishedError>,
    ) -> Result<Vec<Vec<T>>, PublishedError> {
        let of = |from: usize, to: usize, seconds: f64| match from == to {
            true => Ok(T::default()),
            false => value(
                Micros::from_seconds(seconds)
                    .ok_or(PublishedError::Delay(seconds))?
                    .0,
            ),
        };
        let row = |(from, row): (usize, &Vec<f64>)| {
            let cells = row.iter().enumerate();
            cells.map(|(to, seconds)| of(from, to, *seconds)).collect()
        };
        self.delays.iter().enumerate().map(row).collect()
    }

    fn with_links(&self, slots: u16, links: Links) -> Result<Topology, PublishedError> {
        let nodes = (0..self.delays.len()).map(|node| {
            let serves = |nodes: &Vec<u32>| nodes.contains(&(node as u32));
            let stage = self.partitions.iter().position(serves);
            let stage = stage.map(|stage| Stage(stage as u16));
            Node::new(Micros(440_000), slots, stage)
        });
        let costs = Costs {
            pause: Micros(130_000),
            pause_after_new: Micros(90_000),
            ..Costs::default()
        };
        Ok(Topology::new(nodes.collect(), links, costs)?)
    }

    /// Three pipelines of the i-th node of each stage, three waves of three: 79.940 s.
    ///
    /// # Errors
    /// The file is another one.
    pub fn baseline(&self) -> Result<Schedule, PublishedError> {
        let wide = self
            .partitions
            .iter()
            .filter(|stage| stage.len() >= 3)
            .count();
        if wide != 6 || self.partitions.len() != 6 {
            return Err(PublishedError::Stages(wide));
        }
        let mut schedule = Schedule::new(6);
        for wave in 0..3 {
            for pipeline in 0..3 {
                for _ in 0..3 {
                    let route = self.partitions.iter().map(|stage| Peer(stage[pipeline]));
                    let added = schedule.push(route, Micros(wave * 100_000));
                    debug_assert!(added, "six nodes in room for six");
                }
            }
        }
        Ok(schedule)
    }

    /// Random paths of four stages: 48.916 s.
    ///
    /// # Errors
    /// The file is another one.
    pub fn random(&self) -> Result<Schedule, PublishedError> {
        schedule(&self.random_paths, 1)
    }

    /// Paths planned as if nodes could do any number of tasks at once: 35.435 s.
    ///
    /// # Errors
    /// The file is another one.
    pub fn without_collisions(&self) -> Result<Schedule, PublishedError> {
        schedule(&self.non_ca_paths, 1)
    }

    /// One path per data node, for its three slots, which start a second apart: 33.314 s.
    ///
    /// # Errors
    /// The file is another one.
    pub fn skippipe(&self) -> Result<Schedule, PublishedError> {
        schedule(&self.ca_paths, 3)
    }
}

/// Two waves of all paths, the second released 2.5 s after the first.
fn schedule(paths: &Paths, slots: u64) -> Result<Schedule, PublishedError> {
    let mut schedule = Schedule::new(4);
    for wave in 0..2 {
        for (name, path) in paths {
            for slot in 0..slots {
                let release = Micros(wave * 2_500_000 + slot * 1_000_000);
                if !schedule.push(route(path), release) {
                    return Err(PublishedError::Path(*name));
                }
            }
        }
    }
    Ok(schedule)
}

/// The nodes of a path, from the one that is nobody's next; no more than one too many.
fn route(path: &BTreeMap<u32, u32>) -> Vec<Peer> {
    let is_next = |node: &u32| path.values().any(|next| next == node);
    let mut node = path.keys().copied().find(|node| !is_next(node));
    let mut route = Vec::new();
    while let Some(peer) = node.filter(|_| route.len() < 5) {
        route.push(Peer(peer));
        node = path.get(&peer).copied();
    }
    route
}

#[cfg(test)]
impl Published {
    /// None, and a line that says so, where the file is absent.
    pub(crate) fn load() -> Option<Self> {
        let folders = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let mut paths = folders.map(|folder| folder.join("shared/data/skippipe/schedule.json"));
        let Some(path) = paths.find(|path| path.exists()) else {
            eprintln!("skipped: no data (shared/data/skippipe/schedule.json)");
            return None;
        };
        let text = std::fs::read_to_string(path).unwrap();
        Some(serde_json::from_str(&text).unwrap())
    }
}
