//! From an empty folder to a node that has joined a swarm on this machine: one command, and how
//! long it takes.
//!
//! A founder runs. `swarm-node up --swarm FILE --peer ADDRESS` is started in a folder that is not
//! there, and makes its key and its store, tests the engine's known answers, loads the model and
//! calls the founder. It has joined when its status shows a peer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use serde_json::{Value, json};
use swarm_node::api::Client;
use swarm_node::cluster::Cluster;
use swarm_node::job;
use swarm_node::lab::{self, Scenario};
use swarm_node::node::status::Status;

use crate::experiment::Experiment;
use crate::machine;
use crate::program::beside;
use crate::samples::{Samples, rounded, shown};
use crate::table::Table;

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "join",
    about: "from an empty folder to a node that has joined a swarm: the time of one command",
    run,
};

/// Between two looks at the new node.
const LOOK: Duration = Duration::from_millis(20);
/// Longest wait for a node.
const PATIENCE: Duration = Duration::from_secs(120);

/// Starts new nodes.
#[derive(Debug, Parser)]
#[command(name = "join")]
struct Options {
    /// New nodes, one after another.
    #[arg(long, default_value_t = 5)]
    nodes: usize,
    /// The node's program; the one beside this program if it is not given.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    ensure!(options.nodes > 0, "--nodes must be at least 1");
    let program = options.program.clone().map_or_else(beside, Ok)?;
    let folder = tempfile::tempdir().context("a folder for the nodes")?;
    let load = machine::load();
    let scenario = "name = \"join\"\nnodes = 1\nrounds = 1\nwindow_ms = 60000\n";
    let scenario: Scenario = toml::from_str(scenario)?;
    let model = const_hex::encode(job::base()?.digest());
    let mut founder = lab::cluster(&scenario, program.clone(), folder.path(), model)?;
    founder.start(0)?;
    let at = listening(&founder)?;
    let swarm = founder.home(0).swarm();
    let (mut answers, mut joined) = (Samples::default(), Samples::default());
    for number in 0..options.nodes {
        let home = folder.path().join(format!("new-{number}"));
        let [api, peer] = timed(&program, &home, &swarm, &at)?;
        answers.push(api);
        joined.push(peer);
    }
    founder.end();
    let mut table = Table::new(["seconds to", "shortest", "median", "longest"]);
    for (what, samples) in [("its status", &answers), ("its first peer", &joined)] {
        let times = [samples.best(), samples.median(), samples.longest()];
        let mut row = vec![what.to_owned()];
        row.extend(times.map(|seconds| shown(seconds, 2)));
        table.row(row);
    }
    print!("{table}");
    println!(
        "load before: {}",
        load.map_or("–".into(), |load| shown(load, 1))
    );
    Ok(json!({
        "experiment": "join", "nodes": options.nodes, "load": load,
        "answers_s": rounded(answers.median()),
        "joined_s": {
            "best": rounded(joined.best()), "median": rounded(joined.median()),
            "longest": rounded(joined.longest()),
        },
    }))
}

/// Where the founder listens, once it does.
fn listening(founder: &Cluster) -> Result<String> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Ok(status) = founder.status(0)
            && let Some(at) = status.listening.first()
        {
            return Ok(at.clone());
        }
        sleep(LOOK);
    }
    let log = fs::read_to_string(founder.log(0)).unwrap_or_default();
    bail!("the founder does not start: {log}")
}

/// A process that ends with the value.
struct StartedNode(Child);

impl Drop for StartedNode {
    fn drop(&mut self) {
        // One that has ended is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Seconds until a new node tells its status, and until it has a peer.
fn timed(program: &Path, home: &Path, swarm: &Path, at: &str) -> Result<[f64; 2]> {
    ensure!(!home.exists(), "{} is there already", home.display());
    let begun = Instant::now();
    let mut command = Command::new(program);
    command
        .args(["up", "--home"])
        .arg(home)
        .arg("--swarm")
        .arg(swarm)
        .args(["--peer", at, "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"])
        .args(["--set", "net.mdns=false", "--set", "net.upnp=false"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _running = StartedNode(command.spawn().context("the new node")?);
    let mut answered = None;
    while begun.elapsed() < PATIENCE {
        let client = Client::open(&home.join("api.json"));
        let status = client.and_then(|client| client.get::<Status>("/api/status"));
        if let Ok(status) = status {
            let now = begun.elapsed().as_secs_f64();
            let first = *answered.get_or_insert(now);
            if !status.peers.is_empty() {
                return Ok([first, now]);
            }
        }
        sleep(LOOK);
    }
    bail!("the new node in {} finds no peer", home.display())
}
