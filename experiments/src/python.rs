//! Contenders that are Python programs: a process that measures once for every line it is sent.
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
use reproducible_ops::engine::cpu::InstructionSet;
use serde_json::Value;

/// A running script of `experiments/python`.
pub struct Contender {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// What it said when it was ready: its `version`, and what else a script has to tell.
    pub hello: Value,
}

impl Contender {
    /// Starts `script` with its options, on at most the instructions of `isa`; `None`, with the
    /// reason on standard error, where Python or what the script needs is missing.
    pub fn start(python: &str, script: &str, options: &Value, isa: InstructionSet) -> Option<Self> {
        match Self::try_start(python, script, options, isa) {
            Ok(started) => Some(started),
            Err(error) => {
                eprintln!(
                    "{script} is left out: {error:#}; name a Python that has what it imports with \
                     --python"
                );
                None
            }
        }
    }

    fn try_start(python: &str, script: &str, options: &Value, isa: InstructionSet) -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("python")
            .join(script);
        let mut command = Command::new(python);
        command
            .arg(path)
            .arg(options.to_string())
            .env("OMP_NUM_THREADS", options["threads"].to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if isa == InstructionSet::Avx2 {
            // PyTorch's own kernels, oneDNN and MKL are each told in their own way.
            command
                .env("ATEN_CPU_CAPABILITY", "avx2")
                .env("ONEDNN_MAX_CPU_ISA", "AVX2")
                .env("MKL_ENABLE_INSTRUCTIONS", "AVX2");
        }
        let mut child = command
            .spawn()
            .with_context(|| format!("`{python}` does not start"))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("its output is not piped")?);
        let mut started = Self {
            child,
            input,
            output,
            hello: Value::Null,
        };
        started.hello = started
            .read()
            .with_context(|| format!("`{python} {script}` ended before it was ready"))?;
        Ok(started)
    }

    /// What the contender calls its version.
    pub fn version(&self) -> Option<String> {
        self.hello["version"].as_str().map(str::to_owned)
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

impl Drop for Contender {
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
        let options = serde_json::json!({ "threads": 1 });
        let isa = InstructionSet::default();
        assert!(Contender::start("no-such-python", "step.py", &options, isa).is_none());
    }
}
