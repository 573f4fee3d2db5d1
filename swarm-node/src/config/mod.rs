//! The settings of all commands, put together from the sections of the crates.
//!
//! Adding a setting is adding a field to a section, with its default, limits and help.

mod sections;

use std::path::Path;

pub use sections::{DemoConfig, EngineConfig, EvalConfig, MAX_PEERS, TrainConfig};
use serde::Deserialize;

use crate::node::config::{NetConfig, NodeConfig};
use swarm_learn::LearnConfig;
use swarm_settings::{Schema, Settings, SettingsError, Sources};
use swarm_settle::chain::ChainConfig;
use swarm_settle::wallet::WalletConfig;
use swarm_settle::wallet::source::{PASSWORD_VARIABLE, SECRET_VARIABLE};

/// Every setting there is.
pub const SCHEMA: Schema = Schema {
    sections: &[
        EngineConfig::KEYS,
        LearnConfig::KEYS,
        DemoConfig::KEYS,
        TrainConfig::KEYS,
        EvalConfig::KEYS,
        NodeConfig::KEYS,
        NetConfig::KEYS,
        ChainConfig::KEYS,
        WalletConfig::KEYS,
    ],
    reserved: &[SECRET_VARIABLE, PASSWORD_VARIABLE],
};

/// All settings, section by section.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How programs are executed.
    pub engine: EngineConfig,
    /// How peers learn, in `demo` and `train`.
    pub learn: LearnConfig,
    /// The command `demo`.
    pub demo: DemoConfig,
    /// The command `train`.
    pub train: TrainConfig,
    /// The command `eval`.
    pub eval: EvalConfig,
    /// A running node.
    pub node: NodeConfig,
    /// The node's network.
    pub net: NetConfig,
    /// The chain on which rewards are settled.
    pub chain: ChainConfig,
    /// The account that pays for transactions.
    pub wallet: WalletConfig,
}

/// The settings of these sources.
///
/// # Errors
/// The first unknown key or value that is not allowed, with its place.
pub fn load(sources: &Sources) -> Result<Settings, SettingsError> {
    Settings::load(SCHEMA, sources)
}

/// A path setting; empty means none.
pub fn path(setting: &str) -> Option<&Path> {
    (!setting.is_empty()).then_some(Path::new(setting))
}

#[cfg(test)]
mod tests {
    use swarm_settings::variable;

    use super::*;

    #[test]
    fn defaults_are_allowed_and_fit_the_types() {
        let settings = load(&Sources::default()).unwrap();
        assert_eq!(settings.config::<Config>().unwrap(), Config::default());
        assert!(SCHEMA.keys().all(|key| !key.help().is_empty()));
    }

    #[test]
    fn variables_are_unique() {
        let mut variables: Vec<String> = SCHEMA.keys().map(|key| variable(key.name)).collect();
        variables.sort_unstable();
        variables.dedup();
        assert_eq!(variables.len(), SCHEMA.keys().count());
    }

    #[test]
    fn secrets_are_no_settings() {
        let environment = vec![(SECRET_VARIABLE.to_owned(), "0x1".to_owned())];
        let settings = load(&Sources {
            environment,
            ..Sources::default()
        });
        assert!(
            settings
                .unwrap()
                .iter()
                .all(|(_, value, _)| value.to_string() != "\"0x1\"")
        );
    }
}
