//! The swarm of a demo as processes of this program on this machine, over the real network.
//!
//! ```text
//! one timed round ─▶ windows ─┐
//! contracts on a chain ───────┼─▶ cluster: folders, keys, swarm file ─▶ processes `swarm-node up`
//!                             │              │ status, rounds                   │ checkpoints
//!                             └─▶ watch ◀────┴──────────────────────────────────┘
//!                                   └─▶ rounds that all decided, models of the curve
//! ```
//! A process is told of the first one's address alone. It has the whole of a node: store, journal,
//! sign-once table, settlement. When the last round is under way every node is paused: it finishes
//! that round, learns from it, and goes on voting and settling until all is paid.

mod watch;
mod windows;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reproducible_ops::weights::Weights;
use swarm_identity::Secret;
use swarm_identity::digest::Digest32;
use swarm_identity::key::KeyError;
use swarm_learn::sapo::Mix;
use swarm_round::Windows;
use swarm_round::sim::{simulated_secret, transcript_digest};

use self::watch::{PeerWatch, Watch};
use super::arm::Point;
use super::context::DemoContext;
use super::error::DemoError;
use super::play::{Together, TrainedPeer};
use super::rewards::{LiveRewards, RewardReport};
use crate::cluster::{Cluster, Seat};
use crate::config::{Config, path};
use crate::job::engine;
use crate::node::home::Home;
use crate::node::time::wall_clock;

/// Seconds that processes have to start before round 0, beside one for each peer.
const START_SECONDS: u64 = 4;

/// Folder of the models that are measured.
const CURVE: &str = "curve";

/// The folder of a peer, counted from 0: where `settle` looks for what it must not forget.
fn peer_home(folder: &Path, peer: usize) -> Home {
    Home::at(folder.join(format!("peer-{}", peer + 1)))
}

/// Seconds from the end of preparations to round 0.
pub(super) fn lead_seconds(peers: usize) -> u64 {
    START_SECONDS + peers as u64
}

/// Where the swarm's folders lie: below the run's folder on a chain that lasts, else in a temporary
/// one, which is kept if something fails.
enum Place {
    Lasting(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Place {
    fn new(run: Option<&Path>) -> Result<Self, DemoError> {
        if let Some(run) = run {
            return Ok(Self::Lasting(run.to_owned()));
        }
        let folder = tempfile::Builder::new().prefix("swarm-demo-").tempdir();
        folder
            .map(Self::Temporary)
            .map_err(|source| DemoError::File {
                path: std::env::temp_dir(),
                source,
            })
    }

    fn path(&self) -> &Path {
        match self {
            Self::Lasting(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }

    /// Removes the models, which nobody needs any more, from a folder that lasts.
    fn tidy(self, peers: usize) {
        if let Self::Lasting(path) = self {
            let models = (0..peers).map(|peer| peer_home(&path, peer).model());
            for folder in models.chain([path.join(CURVE)]) {
                // What cannot be removed takes room, and does no harm.
                let _ = std::fs::remove_dir_all(folder);
            }
        }
    }

    fn keep(self) {
        if let Self::Temporary(folder) = self {
            let _ = folder.keep();
        }
    }
}

impl DemoContext<'_> {
    /// How long a round is on this machine.
    pub(super) fn live_windows(&self, mix: Mix) -> Result<Windows, DemoError> {
        windows::windows(self, mix)
    }

    /// Plays the swarm's rounds in processes.
    pub(super) fn live(
        &self,
        config: &Config,
        windows: Windows,
        rewards: Result<LiveRewards, String>,
    ) -> Result<Together, DemoError> {
        let run = rewards.as_ref().ok().and_then(LiveRewards::folder);
        let place = Place::new(run)?;
        let played = self.play_live(config, windows, rewards, place.path());
        match &played {
            Err(error) if !matches!(error, DemoError::Stopped { .. }) => place.keep(),
            _ => place.tidy(self.plan.demo.peers),
        }
        played
    }

    fn play_live(
        &self,
        config: &Config,
        windows: Windows,
        rewards: Result<LiveRewards, String>,
        folder: &Path,
    ) -> Result<Together, DemoError> {
        let demo = self.plan.demo;
        let seats = self.seats(config, rewards.as_ref().ok(), folder)?;
        let (genesis_ms, settlement) = match &rewards {
            Ok(rewards) => rewards.swarm(),
            Err(_) => (
                wall_clock() + 1_000 * lead_seconds(demo.peers),
                String::new(),
            ),
        };
        let program = std::env::current_exe().map_err(|source| DemoError::File {
            path: "this program".into(),
            source,
        })?;
        let mut cluster = Cluster::new(program, seats, |peers| {
            self.plan.live(peers, genesis_ms, windows, settlement)
        })?;
        for peer in 0..demo.peers {
            if let Ok(rewards) = &rewards {
                rewards.deliver(&cluster.home(peer).deployment())?;
            }
            cluster.start(peer)?;
        }
        self.progress.begin("swarm", demo.rounds);
        let due = self.due();
        let mut watch = Watch::new(self, &mut cluster, &folder.join(CURVE), &due)?;
        watch.run()?;
        self.progress.end("");
        let peers = watch.into_peers();
        let report = match &rewards {
            Ok(rewards) => rewards.finish(&cluster, self.progress, self.stop),
            Err(reason) => RewardReport::nothing(reason.clone()),
        };
        if let Some(signal) = self.stop.signal() {
            cluster.end();
            return Err(DemoError::Stopped {
                signal,
                rewards: report.into(),
            });
        }
        let (decided, transcript) = agreed(&cluster, demo.rounds)?;
        // What follows needs the cores.
        cluster.end();
        Ok(Together {
            decided,
            transcript,
            learned: self.learned(peers)?,
            rewards: report,
        })
    }

    /// The nodes' folders, keys and settings.
    fn seats(
        &self,
        config: &Config,
        rewards: Option<&LiveRewards>,
        folder: &Path,
    ) -> Result<Vec<Seat>, DemoError> {
        let demo = self.plan.demo;
        let settings = self.settings(config)?;
        (0..demo.peers)
            .map(|peer| {
                let secret = simulated_secret(demo.seed, peer);
                Ok(Seat {
                    home: peer_home(folder, peer),
                    secret: Secret::from_bytes(&secret).map_err(|_| KeyError::Secret)?,
                    settings: settings.clone(),
                    environment: rewards.map_or_else(Vec::new, |rewards| rewards.environment(peer)),
                })
            })
            .collect()
    }

    /// The settings of a node, which are those of the demo.
    fn settings(&self, config: &Config) -> Result<Vec<String>, DemoError> {
        let demo = self.plan.demo;
        let threads = (self.threads / demo.peers).max(1);
        let mut settings = vec![
            format!("engine.threads={threads}"),
            format!("engine.isa={}", config.engine.isa),
            format!("node.own={}", demo.own),
            format!("node.external={}", demo.external),
            format!("node.peer_percent={}", demo.peer_percent),
            format!("node.keep={}", watch::KEEP),
        ];
        if let Some(base) = path(&demo.base) {
            let absolute = std::path::absolute(base).map_err(|source| DemoError::File {
                path: base.into(),
                source,
            })?;
            settings.push(format!("node.base={}", absolute.display()));
        }
        settings.extend(learn(config));
        Ok(settings)
    }

    /// After how many rounds the peers are measured.
    fn due(&self) -> Vec<u64> {
        let demo = self.plan.demo;
        let every = demo.measure_every;
        let due = (1..demo.rounds).filter(|round| every > 0 && round.is_multiple_of(every));
        due.chain([demo.rounds]).collect()
    }

    /// Measures what the peers had learned at each point of the curve.
    fn learned(&self, peers: Vec<PeerWatch>) -> Result<Vec<TrainedPeer>, DemoError> {
        let points: usize = peers.iter().map(|peer| peer.points.len()).sum();
        self.progress.begin("measuring", points as u64);
        let learned = peers.into_iter().enumerate().map(|(peer, watched)| {
            let mut trained = TrainedPeer {
                weights: self.factory.model().weights.clone(),
                rollbacks: watched.rollbacks,
                curve: Vec::new(),
            };
            for (round, point) in watched.points {
                self.check_stop()?;
                trained.weights =
                    Weights::load(&point.model).map_err(|source| DemoError::Weights {
                        peer: peer + 1,
                        source,
                    })?;
                let engine = engine(self.engine, self.threads)?;
                let weights = trained.weights.clone();
                let mut generator = self.factory.generator(engine, weights)?;
                trained.curve.push(Point {
                    round,
                    completions: point.completions,
                    rates: self.measure.rates(&mut generator)?,
                });
                self.progress
                    .step(&format!("peer {}, round {round}", peer + 1));
            }
            Ok(trained)
        });
        let learned = learned.collect::<Result<_, DemoError>>()?;
        self.progress.end("");
        Ok(learned)
    }
}

/// How peers learn, as settings.
#[expect(
    clippy::expect_used,
    reason = "a section of settings is names and values"
)]
fn learn(config: &Config) -> Vec<String> {
    let section = serde_json::to_value(&config.learn).expect("invariant: settings can be written");
    let values = section.as_object().expect("invariant: a section has keys");
    let values = values.iter();
    values
        .map(|(key, value)| format!("learn.{key}={value}"))
        .collect()
}

/// How many rounds all nodes decided alike, every one checked anew, and the digest over them.
fn agreed(cluster: &Cluster, rounds: u64) -> Result<(usize, Digest32), DemoError> {
    let mut digests: BTreeMap<u64, BTreeMap<Digest32, usize>> = BTreeMap::new();
    let peers = cluster.peers().len();
    for peer in 0..peers {
        let verified = cluster.verify(peer, rounds, |decided| {
            let alike = digests.entry(decided.round()).or_default();
            *alike.entry(decided.result.digest).or_default() += 1;
        });
        verified.map_err(|source| DemoError::Rounds {
            peer: peer + 1,
            source,
        })?;
    }
    let alike = digests.values().filter_map(|found| {
        let (digest, holders) = found.first_key_value()?;
        (*holders == peers).then_some(*digest)
    });
    let alike: Vec<Digest32> = alike.collect();
    Ok((alike.len(), transcript_digest(&alike)))
}
