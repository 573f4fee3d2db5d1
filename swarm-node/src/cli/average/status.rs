//! Where an averaging job stands, from a peer's folder.

use std::path::Path;

use skippipe::content::Digest;

use crate::averaging::blueprint::{AssembleError, settings_of_records};
use crate::averaging::status::Status;
use crate::averaging::transcript;
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::Answer;
use crate::cli::part::{charter_of, is_running, place_of};
use crate::cli::watch::show;

/// Prints it once, or every second until the peer is done.
pub(super) fn status(folder: &Path, watch: bool, options: &Options) -> Result<(), Failure> {
    show(watch, options.json, || {
        let status = read(folder)?;
        let answer = Answer {
            text: status.text(),
            json: serde_json::to_string(&status).map_err(Failure::work)?,
            kept: String::new(),
        };
        Ok((answer, status.is_over()))
    })
}

fn read(folder: &Path) -> Result<Status, Failure> {
    let charter = charter_of(folder)?;
    let averaging = charter.spec.averaging.as_ref();
    let averaging = averaging.ok_or_else(|| Failure::Usage(AssembleError::Pipeline.into()))?;
    let job = const_hex::decode_to_array(&charter.job).map_err(Failure::work)?;
    let settings = settings_of_records(averaging, charter.spec.steps, Digest(job));
    let read = transcript::read(folder, &settings).map_err(Failure::work)?;
    let (me, is_running) = (place_of(folder, &charter)?, is_running(folder)?);
    Ok(Status::of(&settings, &read.ledger, me, is_running))
}
