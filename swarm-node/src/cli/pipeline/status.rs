//! Where a pipeline stands, from a peer's folder.

use std::path::Path;

use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::Answer;
use crate::cli::part::{charter_of, is_running, place_of};
use crate::cli::watch::show;
use crate::pipeline::blueprint::AssembleError;
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
    let charter = charter_of(folder)?;
    let Some(pipeline) = &charter.spec.pipeline else {
        return Err(Failure::Usage(AssembleError::Averaging.into()));
    };
    let entries = transcript::read_so_far(folder).map_err(Failure::work)?;
    let (me, is_running) = (place_of(folder, &charter)?, is_running(folder)?);
    Ok(Status::of((&charter, pipeline), &entries, me, is_running))
}
