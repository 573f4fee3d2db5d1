//! `swarm-node config show`: every setting with its value.

use clap::{Args, Subcommand};
use swarm_settings::Settings;

use super::failure::Failure;
use super::options::Options;
use super::output::Answer;

/// Shows settings.
#[derive(Debug, Args)]
pub(super) struct ConfigCommand {
    #[command(subcommand)]
    command: ConfigAction,
}

#[derive(Debug, Subcommand)]
enum ConfigAction {
    /// Prints every setting with its value, as a settings file.
    Show {
        /// Adds where each value came from: default, file and line, environment variable, or flag.
        #[arg(long)]
        origin: bool,
    },
}

impl ConfigCommand {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let settings = options.settings(&[], environment)?;
        let ConfigAction::Show { origin } = self.command;
        let answer = Answer {
            text: text(&settings, origin),
            json: json(&settings).to_string(),
            kept: String::new(),
        };
        answer.print(options.json)
    }
}

fn text(settings: &Settings, origin: bool) -> String {
    let mut section = "";
    let mut text = String::new();
    for (key, value, place) in settings.iter() {
        let (of, name) = key.parts();
        if of != section {
            let gap = if section.is_empty() { "" } else { "\n" };
            text.push_str(&format!("{gap}[{of}]\n"));
            section = of;
        }
        let comment = if origin {
            place.to_string()
        } else {
            format!("{}; {}", key.help(), key.kind)
        };
        text.push_str(&format!(
            "{:<42} # {comment}\n",
            format!("{name} = {}", key.kind.shown(value))
        ));
    }
    text
}

fn json(settings: &Settings) -> serde_json::Value {
    let mut keys = serde_json::Map::new();
    for (key, value, origin) in settings.iter() {
        let shown = serde_json::json!({
            "value": key.kind.shown(value).to_toml(),
            "origin": origin.to_string(),
            "help": key.help(),
        });
        keys.insert(key.name.to_owned(), shown);
    }
    serde_json::Value::Object(keys)
}
