//! `swarm-node init`: makes a node's folder.

use std::fmt::Write as _;
use std::num::NonZero;

use clap::{Args, ValueEnum};
use swarm_files::whole::{Access, Reserved};
use swarm_identity::Secret;
use swarm_identity::key_file::KeyFile;
use swarm_settings::{Origin, Settings};

use super::home::HomeFlag;
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::{self, Answer};
use crate::node::home::Home;

/// Makes a node's folder: its identity, and settings that fit this machine.
///
/// Settings given here (--set, --threads) are kept in the folder. What is there already stays: a
/// key is never replaced, settings only with --force.
#[derive(Debug, Args)]
#[command(after_help = "Example: swarm-node init --preset rig --home /srv/node")]
pub(in crate::cli) struct Init {
    #[command(flatten)]
    home: HomeFlag,
    /// What the machine is for.
    #[arg(long, value_enum, default_value_t = Preset::Laptop)]
    preset: Preset,
    /// Writes the settings anew.
    #[arg(long)]
    force: bool,
}

/// A line of the settings file.
struct Line {
    section: &'static str,
    key: &'static str,
    /// As TOML.
    value: String,
    why: &'static str,
}

/// What a machine is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Preset {
    /// Somebody works at it: half of the cores, no relaying.
    Laptop,
    /// It is there for the swarm: all cores, relays for others.
    Rig,
    /// It checks what others claim: keeps more rounds, and no model of its own.
    Arbiter,
    /// It follows and votes, without a model.
    Observer,
}

impl Preset {
    /// The settings in which it differs from the defaults, each with its reason.
    fn settings(self, cores: usize) -> Vec<Line> {
        let line = |section, key, value: String, why| Line {
            section,
            key,
            value,
            why,
        };
        let observer = || {
            let why = "follows and votes, without a model";
            line("node", "role", "\"observer\"".into(), why)
        };
        let threads = |count: usize, why| line("engine", "threads", count.to_string(), why);
        match self {
            Self::Laptop => vec![threads(cores.div_ceil(2), "half of this machine's cores")],
            Self::Rig => {
                let why = "relays for nodes that others cannot reach";
                vec![
                    threads(0, "all of this machine's cores"),
                    line("net", "relay", "true".into(), why),
                ]
            }
            Self::Arbiter => {
                let why = "what may have to be checked";
                vec![
                    observer(),
                    line("node", "keep_rounds", "1000000".into(), why),
                ]
            }
            Self::Observer => vec![observer()],
        }
    }

    /// The settings file: those of the preset, unless other values were chosen.
    #[expect(
        clippy::expect_used,
        reason = "no preset is hidden from the command line"
    )]
    fn text(self, cores: usize, chosen: Vec<Line>) -> String {
        let preset = self.to_possible_value();
        let preset = preset.expect("invariant: every preset has a name");
        let mut text = format!(
            "# Settings of this node, preset {}. `swarm-node config show` lists all that there \
             are.\n",
            preset.get_name()
        );
        let is_chosen = |line: &Line| {
            let mut all = chosen.iter();
            all.any(|other| (other.section, other.key) == (line.section, line.key))
        };
        let mut lines = self.settings(cores);
        lines.retain(|line| !is_chosen(line));
        lines.extend(chosen);
        lines.sort_by_key(|line| line.section);
        let mut section = "";
        for line in lines {
            if line.section != section {
                let _ = write!(text, "\n[{}]\n", line.section);
                section = line.section;
            }
            let _ = writeln!(text, "{} = {}  # {}", line.key, line.value, line.why);
        }
        text
    }
}

impl Init {
    pub(in crate::cli) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let (home, _) = self.home.settings(options, &[], environment.clone())?;
        let chosen = chosen(&options.settings(&[], environment)?);
        home.create().map_err(Failure::work)?;
        let key = KeyFile::open(&home.key(), Secret::random).map_err(Failure::work)?;
        let wrote = self.write_settings(&home, chosen)?;
        let peer = key.key().peer().text();
        let mut text = format!("node {peer} in {}\n", home.root().display());
        if key.is_new() {
            let _ = writeln!(text, "{}", key.backup_hint());
        }
        let settings = home.config();
        let _ = match wrote {
            true => writeln!(text, "settings in {}", settings.display()),
            false => writeln!(
                text,
                "settings in {} stay; --force replaces them",
                settings.display()
            ),
        };
        let root = home.root().display();
        let _ = write!(text, "next: swarm-node up --home {root} --swarm FILE");
        let json = serde_json::json!({
            "peer": peer,
            "home": home.root(),
            "new_key": key.is_new(),
            "wrote_settings": wrote,
        });
        Answer {
            text,
            json: json.to_string(),
            kept: String::new(),
        }
        .print(options.json)
    }

    /// True if settings were written.
    fn write_settings(&self, home: &Home, chosen: Vec<Line>) -> Result<bool, Failure> {
        let path = home.config();
        if path.exists() && !self.force {
            return Ok(false);
        }
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let text = self.preset.text(cores, chosen);
        Reserved::new(&path, Access::Umask, text.len())
            .and_then(|place| place.replace(text.as_bytes()))
            .map_err(Failure::work)?;
        Ok(true)
    }
}

/// The settings that were given by flags. One that may carry a key is not written into a file.
fn chosen(settings: &Settings) -> Vec<Line> {
    let given = settings
        .iter()
        .filter(|(_, _, origin)| matches!(origin, Origin::Flag(_)));
    let lines = given.filter_map(|(key, value, _)| {
        if key.kind.shown(value) != *value {
            output::warning(&format!(
                "{} may carry a key and is not written into the settings; give it to `up`",
                key.name
            ));
            return None;
        }
        let (section, name) = key.parts();
        Some(Line {
            section,
            key: name,
            value: value.to_toml().to_string(),
            why: "as it was given to init",
        })
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use swarm_settings::Sources;

    use super::*;
    use crate::config::{Config, load};

    #[test]
    fn every_preset_is_a_settings_file() {
        let folder = tempfile::tempdir().unwrap();
        for preset in Preset::value_variants() {
            let path = folder.path().join("config.toml");
            std::fs::write(&path, preset.text(7, Vec::new())).unwrap();
            let expected = if *preset == Preset::Laptop { 4 } else { 0 };
            assert_eq!(read(path).engine.threads, expected, "{preset:?}");
        }
    }

    fn read(path: std::path::PathBuf) -> Config {
        let sources = Sources {
            file: Some(path),
            ..Sources::default()
        };
        load(&sources).unwrap().config().unwrap()
    }

    #[test]
    fn what_was_given_is_kept_before_what_the_preset_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let flag = |key: &str, value: &str| (key.to_owned(), value.to_owned(), "--set".to_owned());
        let settings = load(&Sources {
            flags: vec![
                flag("engine.threads", "1"),
                flag("node.hours", "22:00-06:30"),
                flag("chain.endpoint", "https://rpc.example/v3/0123456789abcdef"),
            ],
            ..Sources::default()
        });
        let text = Preset::Rig.text(7, chosen(&settings.unwrap()));
        assert!(!text.contains("0123456789abcdef"), "{text}");
        std::fs::write(&path, text).unwrap();
        let config = read(path);
        assert_eq!((config.engine.threads, config.net.relay), (1, true));
        assert_eq!(config.node.hours, "22:00-06:30");
    }
}
