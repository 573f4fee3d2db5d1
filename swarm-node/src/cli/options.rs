//! Flags that all commands share, and the settings that come of them.

use std::path::PathBuf;

use clap::Args;

use crate::config::{ConfigError, Settings, Sources};

/// Flags of every command.
#[derive(Clone, Debug, Args)]
pub(super) struct Options {
    /// Settings file in TOML; without it SWARM_NODE_CONFIG names one.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Sets one setting, for example `--set demo.rounds=10`; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", global = true)]
    set: Vec<String>,
    /// Worker threads; 0 takes one per processor core. Results do not depend on it.
    #[arg(long, value_name = "N", global = true)]
    threads: Option<String>,
    /// Instruction set: auto, scalar, avx2, avx512 or neon. Results do not depend on it.
    #[arg(long, value_name = "PATH", global = true)]
    path: Option<String>,
    /// Prints the result as one line of JSON instead of text.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// A flag of a command: its name, the setting it stands for, and its text if it was given.
pub(super) type Flag<'a> = (&'a str, &'a str, &'a Option<String>);

impl Options {
    /// The settings under these flags of a command.
    pub(super) fn settings(
        &self,
        flags: &[Flag<'_>],
        environment: Vec<(String, String)>,
    ) -> Result<Settings, ConfigError> {
        let mut laid = self.assignments()?;
        let shared: [Flag<'_>; 2] = [
            ("--threads", "engine.threads", &self.threads),
            ("--path", "engine.path", &self.path),
        ];
        for (flag, key, text) in shared.iter().chain(flags) {
            laid.extend(
                text.iter()
                    .map(|text| (key.to_string(), text.clone(), flag.to_string())),
            );
        }
        Settings::load(&Sources {
            file: self.config.clone(),
            environment,
            flags: laid,
        })
    }

    fn assignments(&self) -> Result<Vec<(String, String, String)>, ConfigError> {
        let split = |text: &String| {
            let (key, value) = text
                .split_once('=')
                .ok_or_else(|| ConfigError::Assignment(text.clone()))?;
            Ok((
                key.trim().to_owned(),
                value.trim().to_owned(),
                "--set".to_owned(),
            ))
        };
        self.set.iter().map(split).collect()
    }
}
