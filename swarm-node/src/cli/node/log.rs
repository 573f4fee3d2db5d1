//! The log of a running node, on standard error and in its folder, and `swarm-node logs`.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use clap::Args;
use tracing::Subscriber;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::home::HomeFlag;
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::Answer;
use crate::cli::signals::stop_on_signals;
use crate::node::config::NodeConfig;
use crate::node::home::Home;
use crate::node::time::wall_clock;

/// What the names of log files end with.
const SUFFIX: &str = "log";
/// Between two looks at the newest file.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The time of day in UTC, to the second; a log that is kept is kept with its date elsewhere.
struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, out: &mut Writer<'_>) -> std::fmt::Result {
        let seconds = wall_clock() / 1000 % 86_400;
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        write!(out, "{hours:02}:{minutes:02}:{:02}", seconds % 60)
    }
}

/// Begins the log as the settings say: on standard error, and in files of the node's folder.
pub(super) fn begin(config: &NodeConfig, home: &Home) -> Result<(), Failure> {
    let level: LevelFilter = config.log_level.parse().map_err(Failure::work)?;
    // Of the libraries below, what their authors call warnings is the usual course of a network.
    let ours = Targets::new()
        .with_default(LevelFilter::ERROR)
        .with_target("swarm_node", level)
        .with_target("swarm_net", level);
    let is_json = config.log == "json";
    let files = files(config, home)?.map(|files| layer(is_json, SystemTime, files));
    tracing_subscriber::registry()
        .with(ours)
        .with(layer(is_json, TimeOfDay, io::stderr))
        .with(files)
        .try_init()
        .map_err(Failure::work)
}

/// One line per event.
fn layer<S, T, W>(is_json: bool, time: T, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    T: FormatTime + Send + Sync + 'static,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer).with_ansi(false);
    match is_json {
        true => layer.json().flatten_event(true).boxed(),
        false => layer.with_timer(time).with_target(false).boxed(),
    }
}

/// A file a day, the oldest removed; none if the settings keep none.
fn files(config: &NodeConfig, home: &Home) -> Result<Option<RollingFileAppender>, Failure> {
    if config.log_files == 0 {
        return Ok(None);
    }
    // The library complains on standard error where there is no folder yet.
    fs::create_dir_all(home.logs()).map_err(Failure::work)?;
    let files = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_suffix(SUFFIX)
        .max_log_files(config.log_files)
        .build(home.logs());
    files.map(Some).map_err(Failure::work)
}

/// Shows what the node has said, also one that does not run.
#[derive(Debug, Args)]
pub(in crate::cli) struct Logs {
    #[command(flatten)]
    home: HomeFlag,
    /// Shows so many lines, the last ones.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    lines: usize,
    /// Goes on with what comes, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
}

impl Logs {
    pub(in crate::cli) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let (home, _) = self.home.settings(options, &[], environment)?;
        let files = names(&home)?;
        let Some(last) = files.last() else {
            return Err(Failure::Work(anyhow::anyhow!(
                "there is no log in {}; `swarm-node up` writes one, unless node.log_files is 0",
                home.logs().display()
            )));
        };
        let mut lines = VecDeque::new();
        for file in files.iter().rev() {
            let text = read_from(file, 0)?;
            text.lines()
                .rev()
                .take(self.lines - lines.len())
                .for_each(|line| lines.push_front(line.to_owned()));
            if lines.len() == self.lines {
                break;
            }
        }
        print(lines, options.json)?;
        match self.follow {
            true => follow(&home, last.clone(), options.json),
            false => Ok(()),
        }
    }
}

/// The files of the log, the oldest first.
fn names(home: &Home) -> Result<Vec<PathBuf>, Failure> {
    let entries = match fs::read_dir(home.logs()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Failure::work)?,
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let is_log = |path: &PathBuf| path.extension().is_some_and(|it| it == SUFFIX);
    let mut files: Vec<PathBuf> = paths.filter(is_log).collect();
    files.sort();
    Ok(files)
}

/// The text of a file from a byte on; what is no text is shown as such.
fn read_from(file: &Path, at: u64) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|mut file| {
        file.seek(SeekFrom::Start(at))?;
        file.read_to_end(&mut bytes)
    });
    read.map_err(Failure::work)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Shows lines as they are written, in one file after the other.
fn follow(home: &Home, mut file: PathBuf, json: bool) -> Result<(), Failure> {
    let stop = stop_on_signals()?;
    let mut at = fs::metadata(&file).map_err(Failure::work)?.len();
    while !stop.is_requested() {
        thread::sleep(LOOK_EVERY);
        let text = read_from(&file, at)?;
        // A line that is being written is shown when it is whole.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        at += whole as u64;
        print(text[..whole].lines().map(str::to_owned), json)?;
        let next = names(home)?.into_iter().find(|next| *next > file);
        if let Some(next) = next.filter(|_| text.is_empty()) {
            (file, at) = (next, 0);
        }
    }
    Ok(())
}

fn print(lines: impl IntoIterator<Item = String>, json: bool) -> Result<(), Failure> {
    let lines: Vec<String> = lines.into_iter().collect();
    if lines.is_empty() {
        return Ok(());
    }
    let answer = Answer {
        text: lines.join("\n"),
        json: serde_json::to_string(&lines).map_err(Failure::work)?,
        kept: String::new(),
    };
    answer.print(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_in_the_order_of_their_days_and_are_read_from_anywhere() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().into());
        assert!(names(&home).unwrap().is_empty());
        fs::create_dir(home.logs()).unwrap();
        for name in ["2026-11-30.log", "2026-11-29.log", "notes.txt"] {
            fs::write(home.logs().join(name), format!("of {name}\n")).unwrap();
        }
        let files = names(&home).unwrap();
        let names: Vec<_> = files.iter().filter_map(|path| path.file_name()).collect();
        assert_eq!(names, ["2026-11-29.log", "2026-11-30.log"]);
        assert_eq!(read_from(&files[1], 3).unwrap(), "2026-11-30.log\n");
    }
}
