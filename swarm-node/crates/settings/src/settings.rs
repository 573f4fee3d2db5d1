//! The layers of settings, laid over one another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::error::SettingsError;
use super::file;
use super::key::{Key, Schema};
use super::nearest::nearest;
use super::origin::Origin;
use super::value::Value;

/// What the names of environment variables begin with.
pub const PREFIX: &str = "SWARM_NODE_";
/// The variable that names the settings file.
pub const CONFIG_VARIABLE: &str = "SWARM_NODE_CONFIG";

/// Where settings come from, besides their defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The settings file named by a flag; without one, [`CONFIG_VARIABLE`] names it.
    pub file: Option<PathBuf>,
    /// Environment variables; those without [`PREFIX`] are ignored.
    pub environment: Vec<(String, String)>,
    /// Key, value and flag as written; later ones win.
    pub flags: Vec<(String, String, String)>,
}

/// Every setting with its value and origin.
#[derive(Clone, Debug)]
pub struct Settings {
    schema: Schema,
    values: BTreeMap<&'static str, (Value, Origin)>,
}

/// The environment variable of a key: `demo.rounds` is `SWARM_NODE_DEMO_ROUNDS`.
pub fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

impl Settings {
    /// Lays the layers over one another: default < file < environment < flag.
    ///
    /// # Errors
    /// The first unknown key or value that is not allowed, with its place.
    pub fn load(schema: Schema, sources: &Sources) -> Result<Self, SettingsError> {
        let mut settings = Self {
            schema,
            values: BTreeMap::new(),
        };
        for key in schema.keys() {
            settings.lay_text(key, key.default, Origin::Default)?;
        }
        if let Some(path) = sources.config_file() {
            settings.lay_file(&path)?;
        }
        settings.lay_environment(&sources.environment)?;
        for (key, text, flag) in &sources.flags {
            let origin = Origin::Flag(flag.clone());
            let key = settings.known(key, &origin)?;
            settings.lay_text(key, text, origin)?;
        }
        Ok(settings)
    }

    fn lay_file(&mut self, path: &Path) -> Result<(), SettingsError> {
        for entry in file::entries(path)? {
            let key = self.known(&entry.key, &entry.origin)?;
            let Some(value) = key.kind.take(&entry.value) else {
                return Err(refused(key, entry.value.to_string(), entry.origin));
            };
            self.values.insert(key.name, (value, entry.origin));
        }
        Ok(())
    }

    fn lay_environment(&mut self, environment: &[(String, String)]) -> Result<(), SettingsError> {
        let reserved = self.schema.reserved;
        for (name, text) in environment {
            let is_setting = name != CONFIG_VARIABLE && !reserved.contains(&name.as_str());
            if !name.starts_with(PREFIX) || !is_setting {
                continue;
            }
            let origin = Origin::Environment(name.clone());
            let mut keys = self.schema.keys();
            let Some(key) = keys.find(|key| variable(key.name) == *name) else {
                return Err(self.unknown_variable(name, origin));
            };
            self.lay_text(key, text, origin)?;
        }
        Ok(())
    }

    fn lay_text(
        &mut self,
        key: &'static Key,
        text: &str,
        origin: Origin,
    ) -> Result<(), SettingsError> {
        let Some(value) = key.kind.read(text) else {
            return Err(refused(key, format!("`{text}`"), origin));
        };
        self.values.insert(key.name, (value, origin));
        Ok(())
    }

    fn known(&self, name: &str, origin: &Origin) -> Result<&'static Key, SettingsError> {
        let unknown = || SettingsError::UnknownKey {
            origin: origin.clone(),
            key: name.to_owned(),
            nearest: nearest(name, self.schema.keys().map(|key| key.name)).map(str::to_owned),
        };
        self.schema.find(name).ok_or_else(unknown)
    }

    fn unknown_variable(&self, name: &str, origin: Origin) -> SettingsError {
        let names: Vec<String> = self.schema.keys().map(|key| variable(key.name)).collect();
        SettingsError::UnknownKey {
            origin,
            key: name.to_owned(),
            nearest: nearest(name, names.iter().map(String::as_str)).map(str::to_owned),
        }
    }

    /// Every key in the schema's order, with value and origin.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Key, &Value, &Origin)> {
        self.schema.keys().map(|key| {
            let (value, origin) = &self.values[key.name];
            (key, value, origin)
        })
    }

    /// The settings as the types that commands use: one field for each section.
    ///
    /// # Errors
    /// Only if the schema and the types disagree, which a test excludes.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, SettingsError> {
        let mut root = toml::Table::new();
        for (key, value, _) in self.iter() {
            let (section, name) = key.parts();
            let section = root
                .entry(section)
                .or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let toml::Value::Table(table) = section {
                table.insert(name.into(), value.to_toml());
            }
        }
        root.try_into()
            .map_err(|error: toml::de::Error| SettingsError::Schema(error.to_string()))
    }
}

impl Sources {
    fn config_file(&self) -> Option<PathBuf> {
        let variable = || {
            self.environment
                .iter()
                .find(|(name, _)| name == CONFIG_VARIABLE)
        };
        self.file
            .clone()
            .or_else(|| variable().map(|(_, path)| PathBuf::from(path)))
    }
}

fn refused(key: &'static Key, value: String, origin: Origin) -> SettingsError {
    SettingsError::Value {
        origin,
        key: key.name,
        value,
        allowed: key.kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, section};

    section! {
        /// A demo.
        struct DemoConfig: "demo" {
            /// Rounds.
            rounds: u64 = "60", Kind::Integer(0, 10_000);
            /// Peers.
            peers: usize = "4", Kind::Integer(2, 64);
            /// Seed.
            seed: u64 = "1", Kind::Integer(0, i64::MAX);
        }
    }

    section! {
        /// Learning.
        struct LearnConfig: "learn" {
            /// Completions per question,
            /// compared with each other.
            group: u8 = "8", Kind::Integer(2, 16);
        }
    }

    #[derive(serde::Deserialize)]
    struct Config {
        demo: DemoConfig,
        learn: LearnConfig,
    }

    const SCHEMA: Schema = Schema {
        sections: &[DemoConfig::KEYS, LearnConfig::KEYS],
        reserved: &["SWARM_NODE_SECRET"],
    };

    fn load(sources: Sources) -> Result<Settings, SettingsError> {
        Settings::load(SCHEMA, &sources)
    }

    #[test]
    fn a_field_is_all_there_is_to_write() {
        let config: Config = load(Sources::default()).unwrap().config().unwrap();
        assert_eq!(config.demo, DemoConfig::default());
        assert_eq!(config.learn.group, 8);
        let key = SCHEMA.find("learn.group").unwrap();
        assert_eq!(
            key.help(),
            "Completions per question, compared with each other"
        );
    }

    #[test]
    fn a_secret_is_no_setting() {
        let environment = vec![pair("SWARM_NODE_SECRET", "0x1")];
        let settings = load(Sources {
            environment,
            ..Sources::default()
        });
        assert_eq!(settings.unwrap().iter().count(), 4);
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.into(), value.into())
    }

    fn flag(key: &str, value: &str) -> Vec<(String, String, String)> {
        vec![(key.into(), value.into(), "--set".into())]
    }

    fn shown(settings: &Settings, key: &str) -> (String, String) {
        let (_, value, origin) = settings
            .iter()
            .find(|(known, ..)| known.name == key)
            .unwrap();
        (value.to_string(), origin.to_string())
    }

    #[test]
    fn later_layers_win_and_say_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(&path, "[demo]\nrounds = 3\npeers = 3\nseed = 9\n").unwrap();
        let environment = vec![
            pair("SWARM_NODE_DEMO_PEERS", "5"),
            pair("SWARM_NODE_DEMO_SEED", "5"),
            pair("HOME", "/"),
        ];
        let sources = Sources {
            file: Some(path.clone()),
            environment,
            flags: flag("demo.seed", "7"),
        };
        let settings = load(sources).unwrap();
        assert_eq!(
            shown(&settings, "demo.rounds"),
            ("3".into(), format!("{}:2", path.display()))
        );
        assert_eq!(
            shown(&settings, "demo.peers"),
            ("5".into(), "environment SWARM_NODE_DEMO_PEERS".into())
        );
        assert_eq!(
            shown(&settings, "demo.seed"),
            ("7".into(), "flag --set".into())
        );
        assert_eq!(shown(&settings, "learn.group").1, "default");
        assert_eq!(settings.config::<Config>().unwrap().demo.seed, 7);
    }

    #[test]
    fn an_unknown_key_names_the_nearest_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(&path, "[demo]\nruonds = 3\n").unwrap();
        let error = load(Sources {
            file: Some(path),
            ..Sources::default()
        })
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("c.toml:2: unknown key `demo.ruonds`; did you mean `demo.rounds`?"),
            "{error}"
        );
        let environment = vec![pair("SWARM_NODE_DEMO_PEER", "5")];
        let error = load(Sources {
            environment,
            ..Sources::default()
        })
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("did you mean `SWARM_NODE_DEMO_PEERS`?"),
            "{error}"
        );
    }

    #[test]
    fn a_value_out_of_range_shows_itself_and_the_range() {
        let error = load(Sources {
            flags: flag("learn.group", "40"),
            ..Sources::default()
        })
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "flag --set: `learn.group` is `40`; it must be a whole number from 2 to 16"
        );
    }

    #[test]
    fn the_variable_may_name_the_file() {
        let environment = vec![pair(CONFIG_VARIABLE, "/does/not/exist.toml")];
        let error = load(Sources {
            environment,
            ..Sources::default()
        })
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("/does/not/exist.toml") && error.contains("SWARM_NODE_CONFIG"),
            "{error}"
        );
    }
}
