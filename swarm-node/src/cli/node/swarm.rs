//! `swarm-node swarm`: makes and shows the file of a swarm.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use contracts::deploy::Deployment;
use swarm_files::whole::{Access, Reserved};
use swarm_identity::PeerIdError;
use swarm_identity::digest::hex;
use swarm_round::{Agreement, Game, Windows};
use swarm_task::FamilyId;

use super::home::HomeFlag;
use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::Answer;
use crate::config::{Config, path};
use crate::job::Model;
use crate::node::settling::settlement_name;
use crate::node::status::span;
use crate::node::swarm_file::{MemberLine, MembershipFile, SwarmFile, Tasks};
use crate::node::time::wall_clock;

/// Makes and shows swarms.
#[derive(Debug, Args)]
pub(in crate::cli) struct SwarmCommand {
    #[command(subcommand)]
    action: SwarmAction,
}

#[derive(Debug, Subcommand)]
enum SwarmAction {
    New(Box<New>),
    /// Shows what a swarm's file says, and the swarm's id.
    Show {
        /// The file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Writes the file of a new swarm; who has it and the address of a member can join.
#[derive(Debug, Args)]
#[command(after_help = NEW_EXAMPLES)]
struct New {
    #[command(flatten)]
    home: HomeFlag,
    /// File to write; one that exists is never written over.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A name for people.
    #[arg(long, default_value = "swarm")]
    name: String,
    /// A member's id, as `swarm-node init` says it; `ID=max+sort` practises these families only.
    /// May be repeated.
    #[arg(long = "member", value_name = "ID", required = true)]
    members: Vec<String>,
    /// Whoever says hello becomes a member, two epochs later: for friends and tests.
    #[arg(long)]
    open: bool,
    /// Task families, separated by commas.
    #[arg(
        long,
        value_name = "LIST",
        default_value = "max,count,sort,reverse",
        value_delimiter = ','
    )]
    families: Vec<String>,
    /// Difficulty level of all families.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=15))]
    difficulty: u8,
    /// File of the contracts on which the swarm settles, as `chain deploy` wrote it: round 0 begins
    /// when they say, and a round is as long.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["starts_in", "window"])]
    deployment: Option<PathBuf>,
    /// Seconds until round 0.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    starts_in: u32,
    /// Milliseconds of each window; the slowest member must write its answers within one.
    #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(100..=86_400_000))]
    window: u32,
    /// Practice questions of a round.
    #[arg(long, value_name = "N", default_value_t = 16)]
    practice: u16,
    /// Common questions of a round; they pass all three stages.
    #[arg(long, value_name = "N", default_value_t = 1)]
    common: u16,
    /// Rounds of an epoch: who was present in one votes in the epoch after the next.
    #[arg(long, value_name = "N", default_value_t = 4)]
    epoch: u32,
    /// Address of a member to join by; may be repeated.
    #[arg(long = "bootstrap", value_name = "ADDRESS")]
    bootstrap: Vec<String>,
}

const NEW_EXAMPLES: &str = "Example:\n  swarm-node swarm new friends.toml --member 16Uiu2HA... \
--member 16Uiu2HB...=max+sort";

impl SwarmCommand {
    pub(in crate::cli) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        match &self.action {
            SwarmAction::New(new) => new.run(options, environment),
            SwarmAction::Show { file } => {
                let swarm = SwarmFile::load(file).map_err(|error| Failure::Usage(error.into()))?;
                show(&swarm, String::new(), options.json)
            }
        }
    }
}

impl New {
    fn run(&self, options: &Options, environment: Vec<(String, String)>) -> Result<(), Failure> {
        let (_, config) = self.home.settings(options, &[], environment)?;
        let swarm = self.swarm(&config)?;
        swarm
            .check()
            .map_err(|error| Failure::Usage(error.into()))?;
        let text = swarm.to_text().map_err(Failure::work)?;
        let place = Reserved::new(&self.file, Access::Umask, text.len());
        let written = place.and_then(|place| place.create(text.as_bytes()));
        written.map_err(|error| {
            let file = self.file.display();
            Failure::Work(anyhow::anyhow!("{file} cannot be written: {error}"))
        })?;
        show(
            &swarm,
            format!("written to {}\n", self.file.display()),
            options.json,
        )
    }

    fn swarm(&self, config: &Config) -> Result<SwarmFile, Failure> {
        let deployment = self.deployment.as_deref().map(Deployment::read).transpose();
        let deployment = deployment.map_err(|error| Failure::Usage(error.into()))?;
        let (genesis_ms, windows, settlement) = match &deployment {
            None => (
                wall_clock() + 1_000 * u64::from(self.starts_in),
                Windows {
                    settle_ms: self.window.saturating_mul(2),
                    ..Windows::uniform(self.window)
                },
                String::new(),
            ),
            Some(deployment) => (
                deployment.parameters.genesis.saturating_mul(1_000),
                windows_of(deployment.parameters.round_length)?,
                settlement_name(deployment),
            ),
        };
        let base = Model::load(path(&config.node.base), &Console::new()).map_err(Failure::work)?;
        let families = self.families.iter().map(|name| family(name));
        let families: Vec<FamilyId> = families.collect::<Result<_, _>>()?;
        let members = self.members.iter().map(|text| member(text));
        let members: Vec<MemberLine> = members.collect::<Result<_, _>>()?;
        Ok(SwarmFile {
            name: self.name.clone(),
            genesis_ms,
            model: hex(&base.weights.digest()),
            settlement,
            bootstrap: self.bootstrap.clone(),
            windows,
            game: Game {
                practice: self.practice,
                common: self.common,
                ..Game::of_all(
                    members.len(),
                    families.len(),
                    config.learn.group,
                    config.learn.max_new,
                )
            },
            agreement: Agreement {
                rounds_per_epoch: self.epoch,
                ..Agreement::default()
            },
            tasks: Tasks {
                families,
                difficulty: self.difficulty,
            },
            membership: match self.open {
                false => MembershipFile::Roster { members },
                true => MembershipFile::Open { founders: members },
            },
        })
    }
}

/// Windows of a round of so many seconds: seven of one length, and what remains for the last, in
/// which is agreed and learned.
fn windows_of(seconds: u64) -> Result<Windows, Failure> {
    let round = u32::try_from(seconds.saturating_mul(1_000)).map_err(|_| {
        Failure::Usage(anyhow::anyhow!(
            "the deployment's rounds have {seconds} s; a round has at most {} s",
            u32::MAX / 1_000
        ))
    })?;
    let window = round / 8;
    Ok(Windows {
        settle_ms: round - 6 * window,
        ..Windows::uniform(window)
    })
}

/// A member as it is written in a flag: its id, and its families.
fn member(text: &str) -> Result<MemberLine, Failure> {
    let (peer, families) = text.split_once('=').unwrap_or((text, ""));
    let families = families.split('+').filter(|name| !name.is_empty());
    Ok(MemberLine {
        peer: peer
            .parse()
            .map_err(|error: PeerIdError| Failure::Usage(error.into()))?,
        families: families.map(family).collect::<Result<_, _>>()?,
    })
}

fn family(name: &str) -> Result<FamilyId, Failure> {
    let known = FamilyId::ALL.iter().find(|family| family.name() == name);
    known.copied().ok_or_else(|| {
        let names: Vec<&str> = FamilyId::ALL.iter().map(|family| family.name()).collect();
        Failure::Usage(anyhow::anyhow!(
            "there is no task family `{name}`; there are {}",
            names.join(", ")
        ))
    })
}

fn show(swarm: &SwarmFile, before: String, json: bool) -> Result<(), Failure> {
    let config = swarm
        .config()
        .map_err(|error| Failure::Usage(error.into()))?;
    let id = hex(&config.swarm_id());
    let now = wall_clock();
    let begins = match swarm.genesis_ms.checked_sub(now) {
        Some(wait) => format!("in {}", span(wait)),
        None => format!("{} ago", span(now - swarm.genesis_ms)),
    };
    let members = match &swarm.membership {
        MembershipFile::Roster { members } => format!("{} members", members.len()),
        MembershipFile::Open { founders } => {
            format!("open, with {} founders", founders.len())
        }
    };
    let text = format!(
        "{before}swarm {}\nid {id}\nround 0 {begins}, rounds of {}\n{}, tasks {}",
        swarm.name,
        span(swarm.windows.round_ms()),
        members,
        swarm.tasks.canonical()
    );
    let json_text = serde_json::json!({"id": id, "swarm": swarm}).to_string();
    Answer {
        text,
        json: json_text,
        kept: String::new(),
    }
    .print(json)
}
