//! The demo's swarm of nano models, played by settings and without a chain.

use anyhow::Result;
use swarm_node::config::{self, Config, path};
use swarm_node::demo::{self, DemoReport, Funder, Mode};
use swarm_node::job::{Model, Silent, Stop};
use swarm_settings::Sources;

/// Plays a demo with these settings, by key and value; later ones win.
///
/// # Errors
/// A setting is unknown or out of its range, or the demo fails.
pub fn play(settings: &[(String, String)]) -> Result<DemoReport> {
    let without = [("chain.endpoint", "none"), ("demo.cheat", "false")];
    let without = without.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let flag = |(key, value): &(String, String)| {
        (
            key.clone(),
            value.clone(),
            format!("the measurement's {key}"),
        )
    };
    let flags = settings.iter().chain(&without).map(flag).collect();
    let config = config::load(&Sources {
        flags,
        ..Sources::default()
    })?
    .config::<Config>()?;
    let base = Model::load(path(&config.demo.base), &Silent)?;
    let funder = Funder::Nobody("nothing is paid for a measurement".into());
    Ok(demo::run(
        &config,
        base,
        &funder,
        Mode::Simulated,
        &Silent,
        &Stop::default(),
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_setting_is_named() {
        let unknown = [("demo.roundz".to_owned(), "1".to_owned())];
        assert!(format!("{:#}", play(&unknown).unwrap_err()).contains("demo.roundz"));
    }
}
