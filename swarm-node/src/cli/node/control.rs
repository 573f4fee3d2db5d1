//! `swarm-node pause`, `resume` and `drain`: what the owner tells a running node.

use clap::Args;
use swarm_round::clock::Millis;

use super::home::HomeFlag;
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::Answer;
use crate::node::control::{Control, Mode};
use crate::node::status::span;

/// Lets the node's model rest after the present round.
///
/// The node stays connected, hands messages on and votes. Without a duration it rests until
/// `resume`.
#[derive(Debug, Args)]
#[command(after_help = "Example: swarm-node pause 2h")]
pub(in crate::cli) struct Pause {
    /// For how long: 90s, 30min, 8h, 2d.
    #[arg(value_name = "DURATION", value_parser = duration)]
    length: Option<Millis>,
    #[command(flatten)]
    home: HomeFlag,
}

/// Lets the node work again.
#[derive(Debug, Args)]
pub(in crate::cli) struct Resume {
    #[command(flatten)]
    home: HomeFlag,
}

/// Finishes the present round, then ends the node.
#[derive(Debug, Args)]
pub(in crate::cli) struct Drain {
    #[command(flatten)]
    home: HomeFlag,
}

impl Pause {
    pub(in crate::cli) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        tell(
            &self.home,
            options,
            environment,
            Control::Pause(self.length),
        )
    }
}

impl Resume {
    pub(in crate::cli) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        tell(&self.home, options, environment, Control::Resume)
    }
}

impl Drain {
    pub(in crate::cli) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        tell(&self.home, options, environment, Control::Drain)
    }
}

fn tell(
    home: &HomeFlag,
    options: &Options,
    environment: Vec<(String, String)>,
    wish: Control,
) -> Result<(), Failure> {
    let client = home.client(options, environment)?;
    let mode: Mode = client.post("/api/control", &wish).map_err(Failure::work)?;
    let text = match (mode, wish) {
        (Mode::Paused(_), Control::Pause(Some(length))) => {
            format!("the node rests for {} after this round", span(length))
        }
        (Mode::Paused(_), _) => "the node rests after this round, until `resume`".into(),
        (Mode::Working, _) => "the node works".into(),
        (Mode::Draining, _) => "the node ends after this round".into(),
    };
    let json = serde_json::to_string(&mode).map_err(Failure::work)?;
    let kept = String::new();
    Answer { text, json, kept }.print(options.json)
}

/// Longest pause.
const LONGEST: Millis = 366 * 86_400_000;

/// Reads a length of time.
fn duration(text: &str) -> Result<Millis, String> {
    let wrong = || format!("`{text}` is no length of time; write it like 90s, 30min, 8h or 2d");
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit: Millis = match &text[digits.len()..] {
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let count: Millis = digits.parse().map_err(|_| wrong())?;
    let length = count.checked_mul(unit).ok_or_else(wrong)?;
    match length <= LONGEST {
        true => Ok(length),
        false => Err(format!(
            "`{text}` is longer than a year; without a length it rests until `resume`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_units() {
        assert_eq!(duration("90s"), Ok(90_000));
        assert_eq!(duration("30min"), Ok(1_800_000));
        assert_eq!(duration("2d"), Ok(172_800_000));
        for wrong in ["", "5", "5m", "h", "-5s", "99999999999999999d", "5 s"] {
            assert!(duration(wrong).unwrap_err().contains("30min"), "{wrong}");
        }
        assert!(duration("400d").unwrap_err().contains("a year"));
    }
}
