//! Mutates valid inputs of every decoder for a bounded time.
//!
//! Ends with 0 if nothing was found; else the input is kept, and how to run it again is shown.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use fuzz::attack::{Broken, Withstood, attack};
use fuzz::targets::{self, TARGETS, Target};
use peak_alloc::PeakAlloc;
use sha2::{Digest, Sha256};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Mutates valid inputs of every decoder for a bounded time, and looks for panics and for memory
/// out of proportion.
#[derive(Debug, Parser)]
struct Command {
    /// Targets; none for all of them.
    targets: Vec<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Seed of the mutations.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs this one input instead.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Where an input that breaks something is kept.
    #[arg(long, value_name = "DIR", default_value = "fuzz/found")]
    keep: PathBuf,
}

fn main() -> Result<()> {
    let command = Command::parse();
    let targets = chosen(&command.targets)?;
    if let Some(path) = &command.input {
        let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        targets.iter().for_each(|target| (target.run)(&bytes));
        println!("nothing is wrong with {}", path.display());
        return Ok(());
    }
    // A panic is reported once, with its input, and not by the hook, too.
    std::panic::set_hook(Box::new(|_| ()));
    let mut broken = 0;
    for target in targets {
        broken += usize::from(!holds(target, &command)?);
    }
    match broken {
        0 => Ok(()),
        _ => bail!(
            "{broken} targets broke; see the inputs in {}",
            command.keep.display()
        ),
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Target>> {
    if names.is_empty() {
        return Ok(TARGETS.iter().collect());
    }
    let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    names
        .iter()
        .map(|name| {
            targets::find(name)
                .with_context(|| format!("no target `{name}`; there are {}", known.join(", ")))
        })
        .collect()
}

/// Whether a target held for its time.
fn holds(target: &Target, command: &Command) -> Result<bool> {
    let end = Instant::now() + Duration::from_secs(command.seconds);
    let name = target.name;
    match attack(target, command.seed, &MEMORY, |_| Instant::now() < end) {
        Ok(Withstood { inputs, peak }) => {
            let (kib, from) = (peak.div_ceil(1024), target.from);
            println!("{name:<14} {inputs:>9} inputs held, at most {kib} KiB each; from {from}");
            Ok(true)
        }
        Err(Broken { input, what }) => {
            let path = keep(&command.keep, target, &input)?;
            println!("{name:<14} {what}");
            println!(
                "  again: cargo run -p fuzz -- {name} --input {}",
                path.display()
            );
            Ok(false)
        }
    }
}

fn keep(folder: &Path, target: &Target, input: &[u8]) -> Result<PathBuf> {
    let hash = Sha256::digest(input);
    let path = folder.join(format!(
        "{}-{:02x}{:02x}{:02x}",
        target.name, hash[0], hash[1], hash[2]
    ));
    std::fs::create_dir_all(folder)?;
    std::fs::write(&path, input).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}
