//! What the `skippipe-…` experiments share: the published schedule and what is asked of plans for
//! it.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use skippipe::path::Stage;
use skippipe::plan::{Plan, Request};
use skippipe::published::Published;
use skippipe::topology::Topology;

use crate::shared_data;

/// Reads the schedule, from the file named or from shared/data beside or above the workspace.
pub fn load(named: Option<PathBuf>) -> Result<Published> {
    let path = shared_data::find(named, "skippipe/schedule.json")?;
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// Which stages stay as they were published.
#[derive(Clone, Copy, Debug)]
pub enum Given {
    /// All.
    All,
    /// Stage 0, whose nodes have the data.
    Data,
    /// None.
    None,
}

impl Given {
    /// What a table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "as published",
            Self::Data => "data nodes stay",
            Self::None => "all planned",
        }
    }

    /// The topology with only these stages.
    pub fn of(self, topology: Topology) -> Result<Topology> {
        let kept = |stage: &Stage| match self {
            Self::All => true,
            Self::Data => *stage == Stage::FIRST,
            Self::None => false,
        };
        let stages: Vec<_> = topology
            .nodes()
            .iter()
            .map(|node| node.stage.filter(kept))
            .collect();
        Ok(topology.with_stages(&stages)?)
    }
}

/// A plan, and the seconds that it took.
pub fn timed(topology: &Topology, request: &Request) -> Result<(Plan, f64)> {
    let start = Instant::now();
    let plan = Plan::make(topology, request)?;
    let seconds = start.elapsed().as_secs_f64();
    plan.check(topology, request)?;
    Ok((plan, seconds))
}
