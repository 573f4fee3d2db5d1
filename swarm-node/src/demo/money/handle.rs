//! The money of a demo, seen from the demo's thread.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self as std_mpsc, RecvTimeoutError};
use std::thread::JoinHandle;

use swarm_round::RoundResult;
use swarm_settle::chain::ChainConfig;
use tokio::sync::mpsc;

use super::account::MoneyReport;
use super::cast::Cast;
use super::economy::Economy;
use super::ground::Origin;
use super::office::Office;
use super::run_file::Run;
use crate::job::{STOP_POLL, Stop, Watch};

/// What the demo's thread tells.
#[derive(Debug)]
pub(super) enum Command {
    RoundOver(usize, u64, Option<Arc<RoundResult>>),
    /// There are no more rounds; the report is awaited when all is settled, or the time is over.
    Finish(std_mpsc::Sender<MoneyReport>),
    /// The report is awaited as soon as nothing is lost.
    Stop,
}

/// What the chain's thread tells while it works.
#[derive(Debug)]
pub(super) enum News {
    Warning(String),
    /// One more reward is paid: so many of those due.
    Paid(usize, usize),
}

/// The money of a demo, seen from the demo's thread.
pub struct Money {
    commands: mpsc::UnboundedSender<Command>,
    news: std_mpsc::Receiver<News>,
    thread: Option<JoinHandle<()>>,
    /// Rewards of all peers and epochs.
    rewards: u64,
    said: BTreeSet<String>,
}

impl Money {
    /// Begins to settle a swarm's rounds on the chain of the settings; what is needed to settle
    /// later is kept below `runs`, if the chain lasts.
    ///
    /// The channel to the thread has no bound of its own: it holds at most one message for each
    /// peer and round of the demo, whose results the demo keeps anyway.
    pub fn begin(
        chain: ChainConfig,
        economy: Economy,
        cast: Cast,
        runs: Option<PathBuf>,
    ) -> std::io::Result<Self> {
        Self::start(chain, economy, cast, Origin::Fresh { runs })
    }

    /// Goes on with what a demo has left in `folder`.
    pub fn resume(
        chain: ChainConfig,
        cast: Cast,
        run: Run,
        folder: PathBuf,
    ) -> std::io::Result<Self> {
        Self::start(chain, run.economy(), cast, Origin::Resumed { run, folder })
    }

    fn start(
        chain: ChainConfig,
        economy: Economy,
        cast: Cast,
        origin: Origin,
    ) -> std::io::Result<Self> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let (tell, news) = std_mpsc::channel();
        let rewards = economy.peers.saturating_mul(economy.epochs());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let office = Office {
            chain,
            economy,
            cast,
            origin,
            inbox,
            tell,
            backlog: VecDeque::new(),
            finish: None,
            stopping: false,
            preparing: false,
        };
        let thread = std::thread::Builder::new()
            .name("settlement".into())
            .spawn(move || runtime.block_on(office.run()))?;
        Ok(Self {
            commands,
            news,
            thread: Some(thread),
            rewards,
            said: BTreeSet::new(),
        })
    }

    /// Tells that a round is over for a peer, and shows what the chain has to say.
    pub fn round_over(
        &mut self,
        peer: usize,
        round: u64,
        result: Option<Arc<RoundResult>>,
        watch: &dyn Watch,
    ) {
        let _ = self.commands.send(Command::RoundOver(peer, round, result));
        while let Ok(news) = self.news.try_recv() {
            self.show(news, watch);
        }
    }

    /// Waits until everything is settled, or for as long as the settings say. Without `wait`, and
    /// after a request to stop, only what is needed to settle later is waited for: contracts that
    /// are on their way, and records on disk.
    pub fn finish(mut self, watch: &dyn Watch, stop: &Stop, wait: bool) -> MoneyReport {
        let (reply, answer) = std_mpsc::channel();
        let _ = self.commands.send(Command::Finish(reply));
        watch.begin("settling", self.rewards);
        let mut told = false;
        loop {
            if !told && (!wait || stop.is_requested()) {
                let _ = self.commands.send(Command::Stop);
                told = true;
            }
            match self.news.recv_timeout(STOP_POLL) {
                Ok(news) => self.show(news, watch),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        watch.end("");
        let report = answer.recv().unwrap_or_else(|_| MoneyReport {
            trouble: Some("the thread that settles ended early; please report this".into()),
            ..MoneyReport::default()
        });
        if let Some(thread) = self.thread.take() {
            // It has told everything; how it ended changes nothing.
            let _ = thread.join();
        }
        report
    }

    fn show(&mut self, news: News, watch: &dyn Watch) {
        match news {
            News::Warning(text) => {
                if self.said.insert(text.clone()) {
                    watch.warn(&text);
                }
            }
            News::Paid(paid, due) => watch.step(&format!("{paid} of {due} rewards paid")),
        }
    }
}
