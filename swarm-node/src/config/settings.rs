//! The layers of settings, laid over one another.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::schema::{self, Key};
use super::{Config, ConfigError, Origin, Value, file, nearest};
use crate::wallet::source;

/// What the names of environment variables begin with.
pub const PREFIX: &str = "SWARM_NODE_";
/// The variable that names the settings file.
pub const CONFIG_VARIABLE: &str = "SWARM_NODE_CONFIG";

/// Variables that carry secrets. They are no settings, so that no command ever shows them.
pub const SECRET_VARIABLES: [&str; 2] = [source::SECRET_VARIABLE, source::PASSWORD_VARIABLE];

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
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut settings = Self::defaults()?;
        if let Some(path) = sources.config_file() {
            settings.lay_file(&path)?;
        }
        settings.lay_environment(&sources.environment)?;
        for (key, text, flag) in &sources.flags {
            let origin = Origin::Flag(flag.clone());
            settings.lay_text(known(key, origin.clone())?, text, origin)?;
        }
        Ok(settings)
    }

    fn defaults() -> Result<Self, ConfigError> {
        let mut settings = Self {
            values: BTreeMap::new(),
        };
        schema::KEYS
            .iter()
            .try_for_each(|key| settings.lay_text(key, key.default, Origin::Default))?;
        Ok(settings)
    }

    fn lay_file(&mut self, path: &std::path::Path) -> Result<(), ConfigError> {
        for entry in file::entries(path)? {
            let key = known(&entry.key, entry.origin.clone())?;
            let value = key.kind.take(&entry.value);
            let value =
                value.ok_or_else(|| refused(key, entry.value.to_string(), entry.origin.clone()))?;
            self.values.insert(key.name, (value, entry.origin));
        }
        Ok(())
    }

    fn lay_environment(&mut self, environment: &[(String, String)]) -> Result<(), ConfigError> {
        let is_setting = |name: &str| name != CONFIG_VARIABLE && !SECRET_VARIABLES.contains(&name);
        let ours = environment
            .iter()
            .filter(|(name, _)| name.starts_with(PREFIX) && is_setting(name));
        for (name, text) in ours {
            let origin = Origin::Environment(name.clone());
            let key = schema::KEYS.iter().find(|key| variable(key.name) == *name);
            let key = key.ok_or_else(|| unknown_variable(name, origin.clone()))?;
            self.lay_text(key, text, origin)?;
        }
        Ok(())
    }

    fn lay_text(
        &mut self,
        key: &'static Key,
        text: &str,
        origin: Origin,
    ) -> Result<(), ConfigError> {
        let value = key
            .kind
            .read(text)
            .ok_or_else(|| refused(key, format!("`{text}`"), origin.clone()))?;
        self.values.insert(key.name, (value, origin));
        Ok(())
    }

    /// Every key in the schema's order, with value and origin.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Key, &Value, &Origin)> {
        schema::KEYS.iter().filter_map(|key| {
            let (value, origin) = self.values.get(key.name)?;
            Some((key, value, origin))
        })
    }

    /// The settings as the types that commands use.
    ///
    /// # Errors
    /// Only if the schema and the types disagree, which a test excludes.
    pub fn config(&self) -> Result<Config, ConfigError> {
        let mut root = toml::Table::new();
        for (key, value, _) in self.iter() {
            let (section, name) = key.name.split_once('.').unwrap_or(("", key.name));
            let section = root
                .entry(section)
                .or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let toml::Value::Table(table) = section {
                table.insert(name.into(), value.to_toml());
            }
        }
        root.try_into()
            .map_err(|error: toml::de::Error| ConfigError::Schema(error.to_string()))
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

fn known(name: &str, origin: Origin) -> Result<&'static Key, ConfigError> {
    let unknown = || ConfigError::UnknownKey {
        origin,
        key: name.to_owned(),
        nearest: nearest(name, schema::KEYS.iter().map(|key| key.name)).map(str::to_owned),
    };
    schema::find(name).ok_or_else(unknown)
}

fn unknown_variable(name: &str, origin: Origin) -> ConfigError {
    let names: Vec<String> = schema::KEYS.iter().map(|key| variable(key.name)).collect();
    let nearest = nearest(name, names.iter().map(String::as_str)).map(str::to_owned);
    ConfigError::UnknownKey {
        origin,
        key: name.to_owned(),
        nearest,
    }
}

fn refused(key: &'static Key, value: String, origin: Origin) -> ConfigError {
    ConfigError::Value {
        origin,
        key: key.name,
        value,
        allowed: key.kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let settings = Settings::load(&sources).unwrap();
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
        assert_eq!(settings.config().unwrap().demo.seed, 7);
    }

    #[test]
    fn an_unknown_key_names_the_nearest_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(&path, "[demo]\nruonds = 3\n").unwrap();
        let error = Settings::load(&Sources {
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
        let error = Settings::load(&Sources {
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
        let error = Settings::load(&Sources {
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
        let error = Settings::load(&Sources {
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
