//! PyTorch as a contender: a Python process that measures once for every line it is sent.
//!
//! ```text
//! start ─▶ {"version": …} ─▶ measure ⟲ one line out, {"seconds": …} back
//!                             └─▶ drop: input closed, process waited for
//! ```
//! Between measurements the process sleeps, so that it and we can take turns on the same cores.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;

/// A running script of `experiments/pytorch`.
pub struct PyTorch {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// What PyTorch calls its version.
    pub version: String,
}

impl PyTorch {
    /// Starts `script` with its options; `None`, with the reason on standard error, where Python or
    /// PyTorch is missing.
    pub fn start(python: &str, script: &str, options: &Value) -> Option<Self> {
        match Self::try_start(python, script, options) {
            Ok(started) => Some(started),
            Err(error) => {
                eprintln!(
                    "PyTorch is left out: {error:#}; name a Python that has it with --python"
                );
                None
            }
        }
    }

    fn try_start(python: &str, script: &str, options: &Value) -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("pytorch")
            .join(script);
        let mut child = Command::new(python)
            .arg(path)
            .arg(options.to_string())
            .env("OMP_NUM_THREADS", options["threads"].to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("`{python}` does not start"))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("its output is not piped")?);
        let mut started = Self {
            child,
            input,
            output,
            version: String::new(),
        };
        let hello = started
            .read()
            .with_context(|| format!("`{python} {script}` ended before it was ready"))?;
        let version = hello["version"].as_str();
        started.version = version.context("it does not say its version")?.to_owned();
        Ok(started)
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("reading `{}`", line.trim_end()))
    }

    /// Seconds of one measurement.
    pub fn measure(&mut self) -> Result<f64> {
        let input = self
            .input
            .as_mut()
            .context("the input of the Python process is closed")?;
        writeln!(input, "measure")
            .and_then(|()| input.flush())
            .context("the Python process ended")?;
        self.read()?["seconds"]
            .as_f64()
            .context("the Python process gave no time")
    }
}

impl Drop for PyTorch {
    fn drop(&mut self) {
        drop(self.input.take());
        // It ends with its input; whether that succeeds changes no measurement.
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_python_is_no_failure() {
        assert!(
            PyTorch::start(
                "no-such-python",
                "step.py",
                &serde_json::json!({ "threads": 1 })
            )
            .is_none()
        );
    }
}
