//! Where a pipeline stands, from a peer's folder.

use std::path::Path;

use swarm_identity::key::NodeKey;
use swarm_identity::key_file;

use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::Answer;
use crate::cli::watch::show;
use crate::pipeline::charter::{Charter, name};
use crate::pipeline::status::Status;
use crate::pipeline::transcript;

/// Prints it once, or every second until all steps are done.
pub(super) fn status(folder: &Path, watch: bool, options: &Options) -> Result<(), Failure> {
    show(watch, options.json, || {
        let status = read(folder)?;
        let answer = Answer {
            text: status.text(),
            json: serde_json::to_string(&status).map_err(Failure::work)?,
            kept: String::new(),
        };
        Ok((answer, status.done >= status.steps))
    })
}

fn read(folder: &Path) -> Result<Status, Failure> {
    let charter = Charter::load(folder).map_err(Failure::work)?;
    let charter = charter.ok_or_else(|| {
        Failure::Usage(anyhow::anyhow!(
            "{} has no charter; a peer's folder has one once all peers have come",
            folder.display()
        ))
    })?;
    let entries = match transcript::read(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        entries => entries.map_err(Failure::work)?,
    };
    let path = folder.join("node.key");
    let secret = key_file::peek(&path).map_err(Failure::work)?;
    let peer = name(&NodeKey::from(&secret).peer());
    let place = charter
        .members
        .iter()
        .position(|member| member.peer == peer);
    let me = place.map(|place| place as u32);
    let is_running = key_file::is_in_use(&path).map_err(Failure::work)?;
    Ok(Status::of(&charter, &entries, me, is_running))
}
