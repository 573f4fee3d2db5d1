//! Flags that all commands share, and the settings that come of them.

use std::path::PathBuf;

use clap::Args;
use swarm_settings::{CONFIG_VARIABLE, Kind, Settings, SettingsError, Sources};

use crate::config;

/// Flags of every command.
#[derive(Clone, Debug, Args)]
pub(super) struct Options {
    /// Settings file in TOML; without it SWARM_NODE_CONFIG names one.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Sets one setting, for example `--set demo.rounds=10`; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", global = true)]
    set: Vec<String>,
    #[arg(long, value_name = "N", help = help("engine.threads"), global = true)]
    threads: Option<String>,
    #[arg(long, value_name = "NAME", help = help("engine.isa"), global = true)]
    isa: Option<String>,
    /// Prints the result as one line of JSON instead of text.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// A flag of a command: its name, the setting it stands for, and its text if it was given.
pub(super) type Flag<'a> = (&'a str, &'a str, &'a Option<String>);

/// What `--help` says of a flag that stands for a setting: the setting's own words, its limits and
/// its default.
pub(super) fn help(key: &str) -> String {
    #[expect(
        clippy::expect_used,
        reason = "flags are constants, and `--help` has a test"
    )]
    let key = config::SCHEMA
        .find(key)
        .expect("invariant: a flag stands for a setting");
    let default = match key.default {
        "" => String::new(),
        default => format!(" [default: {default}]"),
    };
    match key.kind {
        Kind::Text | Kind::Redacted(_) => format!("{}{default}", key.help()),
        _ => format!("{}; {}{default}", key.help(), key.kind),
    }
}

impl Options {
    /// The same options, with this settings file if it exists and no other is named.
    pub(super) fn or_file(&self, file: PathBuf, environment: &[(String, String)]) -> Self {
        let is_named = environment.iter().any(|(name, _)| name == CONFIG_VARIABLE);
        let config = match &self.config {
            None if !is_named && file.exists() => Some(file),
            named => named.clone(),
        };
        Self {
            config,
            ..self.clone()
        }
    }

    /// The settings under these flags of a command.
    pub(super) fn settings(
        &self,
        flags: &[Flag<'_>],
        environment: Vec<(String, String)>,
    ) -> Result<Settings, SettingsError> {
        let mut laid = self.assignments()?;
        let shared: [Flag<'_>; 2] = [
            ("--threads", "engine.threads", &self.threads),
            ("--isa", "engine.isa", &self.isa),
        ];
        for (flag, key, text) in shared.iter().chain(flags) {
            laid.extend(
                text.iter()
                    .map(|text| (key.to_string(), text.clone(), flag.to_string())),
            );
        }
        config::load(&Sources {
            file: self.config.clone(),
            environment,
            flags: laid,
        })
    }

    fn assignments(&self) -> Result<Vec<(String, String, String)>, SettingsError> {
        let split = |text: &String| {
            let (key, value) = text
                .split_once('=')
                .ok_or_else(|| SettingsError::Assignment(text.clone()))?;
            Ok((
                key.trim().to_owned(),
                value.trim().to_owned(),
                "--set".to_owned(),
            ))
        };
        self.set.iter().map(split).collect()
    }
}
