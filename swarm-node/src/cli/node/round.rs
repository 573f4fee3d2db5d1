//! `swarm-node export` and `verify`: decided rounds as a file that anybody can check.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use swarm_identity::digest::hex;
use swarm_round::envelope::MAX_ENVELOPE;

use super::home::HomeFlag;
use super::status::status;
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::Answer;
use crate::node::evidence_file::{self, MAGIC};
use crate::node::round_file;
use crate::node::status::points;
use crate::node::swarm_file::SwarmFile;

/// Writes the decided rounds of a running node, from round 0 on, into a file that `verify` checks.
#[derive(Debug, Args)]
pub(in crate::cli) struct Export {
    /// The file to write.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The last round [default: the last that is decided].
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    #[command(flatten)]
    home: HomeFlag,
}

/// Checks a file of decided rounds without a network: who decided them, what counts, and every
/// score, computed anew; or the proof that a peer contradicted itself.
#[derive(Debug, Args)]
pub(in crate::cli) struct Verify {
    /// The file that `export` wrote, or one of the folder evidence of a node.
    #[arg(value_name = "ROUND-FILE")]
    file: PathBuf,
    /// The swarm's file [default: that of the node].
    #[arg(long, value_name = "FILE")]
    swarm: Option<PathBuf>,
    #[command(flatten)]
    home: HomeFlag,
}

impl Export {
    pub(in crate::cli) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let (home, _) = self.home.settings(options, &[], environment.clone())?;
        let client = self.home.client(options, environment)?;
        let swarm = SwarmFile::load(&home.swarm()).map_err(Failure::work)?;
        let decided = status(&client)?.floor;
        let end = self.to.map_or(decided, |last| last.saturating_add(1));
        if end > decided || end == 0 {
            return Err(Failure::Work(anyhow::anyhow!(
                "an export begins with round 0, and {decided} rounds from there on are decided \
                 here; wait for round {decided}, or take fewer with --to N"
            )));
        }
        let records: Result<Vec<Vec<u8>>, _> = (0..end)
            .map(|round| client.get_bytes(&format!("/api/rounds/{round}")))
            .collect();
        let records = records.map_err(Failure::work)?;
        let file = File::create_new(&self.file).map_err(|error| {
            let file = self.file.display();
            Failure::Work(anyhow::anyhow!("{file} cannot be written: {error}"))
        })?;
        let id = swarm.config().map_err(Failure::work)?.swarm_id();
        round_file::write(BufWriter::new(file), &id, records).map_err(Failure::work)?;
        let file = self.file.display();
        Answer {
            text: format!("{end} rounds in {file}; check them: swarm-node verify {file}"),
            json: serde_json::json!({"rounds": end, "file": self.file}).to_string(),
            kept: String::new(),
        }
        .print(options.json)
    }
}

/// What a file begins with, as far as it has so many bytes.
fn head(file: &Path, bytes: usize) -> Result<Vec<u8>, Failure> {
    let mut head = Vec::new();
    let read = File::open(file).and_then(|file| file.take(bytes as u64).read_to_end(&mut head));
    read.map(|_| head).map_err(|error| {
        let file = file.display();
        Failure::Work(anyhow::anyhow!("{file} cannot be read: {error}"))
    })
}

impl Verify {
    pub(in crate::cli) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        match head(&self.file, MAGIC.len())? == MAGIC {
            true => self.evidence(options.json),
            false => self.rounds(options, environment),
        }
    }

    fn evidence(&self, json: bool) -> Result<(), Failure> {
        let bytes = head(&self.file, 4 * MAX_ENVELOPE)?;
        let proved = evidence_file::verify(&bytes).map_err(Failure::work)?;
        let (peer, swarm) = (proved.peer.text(), hex(&proved.swarm));
        let object = serde_json::json!({"peer": peer, "swarm": swarm, "round": proved.round});
        Answer {
            text: format!(
                "peer {peer} signed two messages that contradict each other, in round {} of the swarm \
                 {swarm}",
                proved.round
            ),
            json: object.to_string(),
            kept: String::new(),
        }
        .print(json)
    }

    fn rounds(&self, options: &Options, environment: Vec<(String, String)>) -> Result<(), Failure> {
        let (home, _) = self.home.settings(options, &[], environment)?;
        let path = self.swarm.clone().unwrap_or_else(|| home.swarm());
        let swarm = SwarmFile::load(&path).map_err(|error| Failure::Usage(error.into()))?;
        let file = File::open(&self.file).map_err(|error| {
            let file = self.file.display();
            Failure::Work(anyhow::anyhow!("{file} cannot be read: {error}"))
        })?;
        let (mut rounds, mut text, mut last) = (0_u64, String::new(), String::new());
        let verified = round_file::verify(BufReader::new(file), &swarm, |decided| {
            rounds += 1;
            last = hex(&decided.result.digest);
            let scores = &decided.result.scores;
            let best = scores.iter().map(|score| score.rows.total()).max();
            text += &format!(
                "round {}: {} signatures, {} members, best {}, digest {}\n",
                decided.round(),
                decided.certificate.signatures.len(),
                scores.len(),
                points(best.unwrap_or(0)),
                &last[..12]
            );
        });
        verified.map_err(Failure::work)?;
        Answer {
            text: format!("{text}{rounds} rounds are what the members decided"),
            json: serde_json::json!({"rounds": rounds, "digest": last}).to_string(),
            kept: String::new(),
        }
        .print(options.json)
    }
}
