//! `swarm-node status` and `peers`: what the node does, and with whom.

use std::fmt::Write as _;

use clap::Args;

use super::home::HomeFlag;
use crate::api::Client;
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::Answer;
use crate::cli::watch::show;
use crate::node::status::Status;

/// Shows what the node does: why it waits, since when, and what comes next.
#[derive(Debug, Args)]
pub(in crate::cli) struct StatusCommand {
    #[command(flatten)]
    home: HomeFlag,
    /// Shows it again every second, until Ctrl-C.
    #[arg(long)]
    watch: bool,
}

impl StatusCommand {
    pub(in crate::cli) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let client = self.home.client(options, environment)?;
        show(self.watch, options.json, || {
            Ok((answer(&status(&client)?)?, false))
        })
    }
}

pub(super) fn status(client: &Client) -> Result<Status, Failure> {
    client.get("/api/status").map_err(Failure::work)
}

fn answer(status: &Status) -> Result<Answer, Failure> {
    Ok(Answer {
        text: status.render(),
        json: serde_json::to_string(status).map_err(Failure::work)?,
        kept: String::new(),
    })
}

/// Lists the peers that are connected.
#[derive(Debug, Args)]
pub(in crate::cli) struct Peers {
    #[command(flatten)]
    home: HomeFlag,
}

impl Peers {
    pub(in crate::cli) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let status = status(&self.home.client(options, environment)?)?;
        let json = serde_json::to_string(&status.peers).map_err(Failure::work)?;
        let (text, kept) = (table(&status), String::new());
        Answer { text, json, kept }.print(options.json)
    }
}

fn table(status: &Status) -> String {
    if status.peers.is_empty() {
        return format!("no peer is connected: {}", status.condition.reason);
    }
    let mut text = format!(
        "{:<53} {:<6} {:>7} {:>6}  address\n",
        "peer", "way", "ms", "score"
    );
    for peer in &status.peers {
        let trip = match peer.round_trip_ms {
            Some(ms) => ms.to_string(),
            None => "?".into(),
        };
        let way = if peer.is_relayed { "relay" } else { "direct" };
        let _ = writeln!(
            text,
            "{:<53} {way:<6} {trip:>7} {:>6.1}  {}",
            peer.peer, peer.score, peer.address
        );
    }
    text
}
