//! Runs the binary.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use swarm_model::ModelConfig;
use swarm_model::init::initialise;

/// What a run of the binary left behind.
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the output is text");
        Self {
            code: output.status.code().expect("an exit code"),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

impl Ended {
    /// Standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        let out = &self.out;
        serde_json::from_str(out).unwrap_or_else(|error| panic!("{error}: {out:?}\n{}", self.err))
    }

    /// Fails unless the run ended with this code and said all of this on standard error.
    pub fn expect(&self, code: i32, said: &[&str]) {
        assert_eq!(self.code, code, "{}", self.err);
        for text in said {
            assert!(self.err.contains(text), "no {text:?} in: {}", self.err);
        }
        assert!(
            !self.err.contains("panicked") && !self.err.contains("RUST_BACKTRACE"),
            "{}",
            self.err
        );
    }
}

/// The binary with these arguments and environment.
pub fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swarm-node"));
    command.args(arguments).envs(environment.iter().copied());
    command
}

/// Runs the binary with these arguments and environment.
pub fn node_with(arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
    command(arguments, environment)
        .output()
        .expect("the binary starts")
        .into()
}

/// Starts the binary and does not wait.
pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Child {
    let mut command = command(arguments, environment);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts")
}

/// Runs the binary with these arguments.
pub fn node(arguments: &[&str]) -> Ended {
    node_with(arguments, &[])
}

/// An untrained nano checkpoint in a folder.
pub fn untrained(folder: &Path) -> PathBuf {
    let path = folder.join("untrained.safetensors");
    let config = ModelConfig::preset("nano").expect("a preset");
    initialise(&config, 1)
        .expect("initial weights")
        .save(&path)
        .expect("the folder can be written");
    path
}
