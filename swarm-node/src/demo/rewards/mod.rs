//! The rewards of a demo: its peers stake, sign what each epoch was worth, and are paid on a chain.
//!
//! ```text
//! demo's thread         settlement thread
//!      │ RewardSettlement      │ SettlementWorker
//!      ├──── rounds ──────────▶│ connect ─▶ deploy (stake, bind) ─▶ PeerNodes
//!      │◀─── updates ──────────┤              one swarm_settle::Node for each peer,
//!      │◀─── report ───────────┘              votes, rounds and tables from each to all others
//! ```
//! The chain never stops the demo. Rounds that end before it answers wait in the channel; what
//! cannot be settled in time is shown as pending, with the reason. The peers' rounds are the same
//! with any chain and with none.
//!
//! [`RewardSettlement`] is the side of the demo's thread; all else happens on a thread of its own.
//!
//! Peers that are processes settle themselves: for them [`LiveRewards`] puts the contracts on the
//! chain, and at the end reads what came of it.

mod accounting;
mod decided;
mod deploy;
mod live;
mod message;
mod nodes;
mod run_folder;
mod worker;

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self as std_mpsc, RecvTimeoutError};
use std::thread::JoinHandle;

pub(super) use accounting::RewardTerms;
pub use accounting::{PeerBalance, RewardReport, SettledOn, UNITS_PER_POINT};
pub(super) use deploy::DemoKeys;
pub use deploy::Funder;
pub(super) use live::LiveRewards;
use message::{SettlementCommand, SettlementUpdate};
pub use run_folder::{RunError, RunFile};
use run_folder::{SettlementPlan, Start};
use swarm_round::DecidedRound;
use swarm_settle::chain::ChainConfig;
use tokio::sync::mpsc;
use worker::SettlementWorker;

use crate::job::{Progress, STOP_POLL, Stop};

/// The settlement of a demo's rewards, seen from the demo's thread.
pub struct RewardSettlement {
    commands: mpsc::UnboundedSender<SettlementCommand>,
    updates: std_mpsc::Receiver<SettlementUpdate>,
    thread: Option<JoinHandle<()>>,
    /// Rewards of all peers and epochs.
    rewards: u64,
    said: BTreeSet<String>,
}

impl RewardSettlement {
    /// Begins to settle a swarm's rounds on the chain of the settings; what is needed to settle
    /// later is kept below `runs`, if the chain lasts.
    ///
    /// The channel to the thread has no bound of its own: it holds at most one message for each
    /// peer and round of the demo, whose results the demo keeps anyway.
    pub fn begin(
        chain: ChainConfig,
        terms: RewardTerms,
        keys: DemoKeys,
        runs: Option<PathBuf>,
    ) -> std::io::Result<Self> {
        Self::start(SettlementPlan {
            chain,
            terms,
            keys,
            start: Start::New { runs },
        })
    }

    /// Goes on with what a demo has left in `folder`.
    pub fn resume(
        chain: ChainConfig,
        keys: DemoKeys,
        run: RunFile,
        folder: PathBuf,
    ) -> std::io::Result<Self> {
        Self::start(SettlementPlan {
            chain,
            terms: run.terms(),
            keys,
            start: Start::Resumed {
                run: Box::new(run),
                folder,
            },
        })
    }

    fn start(plan: SettlementPlan) -> std::io::Result<Self> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let (tell, updates) = std_mpsc::channel();
        let rewards = (plan.terms.peers as u64).saturating_mul(plan.terms.epochs());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let worker = SettlementWorker {
            plan,
            inbox,
            updates: tell,
            backlog: VecDeque::new(),
            finish: None,
            stopping: false,
            preparing: false,
        };
        let thread = std::thread::Builder::new()
            .name("settlement".into())
            .spawn(move || runtime.block_on(worker.run()))?;
        Ok(Self {
            commands,
            updates,
            thread: Some(thread),
            rewards,
            said: BTreeSet::new(),
        })
    }

    /// Tells that a peer knows a round decided, and shows what the chain has to say.
    pub fn decided(&mut self, peer: usize, round: Arc<DecidedRound>, progress: &dyn Progress) {
        let _ = self.commands.send(SettlementCommand::Decided(peer, round));
        while let Ok(update) = self.updates.try_recv() {
            self.show(update, progress);
        }
    }

    /// Waits until everything is settled, or for as long as the settings say. Without `wait`, and
    /// after a request to stop, only what is needed to settle later is waited for: contracts that
    /// are on their way, and records on disk.
    pub fn finish(mut self, progress: &dyn Progress, stop: &Stop, wait: bool) -> RewardReport {
        let (reply, answer) = std_mpsc::channel();
        let _ = self.commands.send(SettlementCommand::Finish(reply));
        progress.begin("settling", self.rewards);
        let mut told = false;
        loop {
            if !told && (!wait || stop.is_requested()) {
                let _ = self.commands.send(SettlementCommand::Stop);
                told = true;
            }
            match self.updates.recv_timeout(STOP_POLL) {
                Ok(update) => self.show(update, progress),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        progress.end("");
        let report = answer.recv().unwrap_or_else(|_| RewardReport {
            trouble: Some("the thread that settles ended early; please report this".into()),
            ..RewardReport::default()
        });
        if let Some(thread) = self.thread.take() {
            // It has told everything; how it ended changes nothing.
            let _ = thread.join();
        }
        report
    }

    fn show(&mut self, update: SettlementUpdate, progress: &dyn Progress) {
        match update {
            SettlementUpdate::Warning(text) => {
                if self.said.insert(text.clone()) {
                    progress.warn(&text);
                }
            }
            SettlementUpdate::Paid(paid, due) => {
                progress.step(&format!("{paid} of {due} rewards paid"))
            }
        }
    }
}
