//! The microbatches that are at a member, and how far each is.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::content::{Content, Digest};
use crate::message::{Forward, Launch, Passed, Version};
use crate::path::{Hop, Microbatch, Peer};
use crate::transcript::Visit as Traced;
use crate::work::Task;

/// A microbatch at this member.
#[derive(Debug)]
pub struct Visit {
    /// Version of the message that it came by.
    pub version: Version,
    /// Whence it came; none at its source.
    pub from: Option<Peer>,
    /// Hops before this one.
    pub behind: Vec<Passed>,
    /// Hops to come, as the sender gave them.
    pub given: Vec<Hop>,
    /// Hops to come, as they are taken.
    pub ahead: Vec<Hop>,
    /// What came; none at the source.
    pub input: Option<Content>,
    /// How often what was made of it was sent on along some way.
    pub tries: u32,
    /// How far.
    pub progress: Progress,
}

/// How far a visit is.
#[derive(Debug)]
pub enum Progress {
    /// The engine computes it.
    Forwarding(Task),
    /// Sent on; its gradient is awaited.
    Away(Away),
    /// The engine computes the way back.
    Backwarding {
        /// The task.
        task: Task,
        /// What was sent on, in case that the gradient is nothing to work with.
        away: Away,
        /// Digest of the gradient.
        gradient: Digest,
        /// Hops beyond this one.
        beyond: Vec<Traced>,
    },
    /// The gradient went back.
    Done {
        /// This hop's.
        visit: Traced,
        /// Hops beyond this one.
        beyond: Vec<Traced>,
        /// What went back; nothing at the source.
        gradient: Option<Content>,
        /// The task under which the engine keeps the gradients of parameters.
        kept: Task,
    },
}

/// An output on its way.
#[derive(Clone, Debug)]
pub struct Away {
    /// It.
    pub output: Content,
    /// Version of the message.
    pub version: Version,
    /// When to look for another way.
    pub until: Duration,
    /// The receiver has no slot; it says when.
    pub busy: bool,
    /// How often it said so.
    pub refusals: u32,
}

/// A microbatch that came back to its source.
#[derive(Debug)]
pub struct Loss {
    /// Version of the message that it came by.
    pub version: Version,
    /// Whence.
    pub from: Peer,
    /// The hops that it came through.
    pub behind: Vec<Passed>,
    /// Digest of what came.
    pub input: Digest,
    /// The task, under which the engine keeps gradients of the head.
    pub task: Task,
    /// Bits of the loss, and the gradient.
    pub result: Option<(u32, Content)>,
}

/// All of them, and what waits for a slot.
#[derive(Debug, Default)]
pub struct Visits {
    /// By microbatch.
    pub passing: BTreeMap<Microbatch, Visit>,
    /// At their source.
    pub losses: BTreeMap<Microbatch, Loss>,
    /// Not sent on their way yet.
    pub launches: VecDeque<Launch>,
    /// What came while no slot was free, and from whom, as it came.
    pub arrived: VecDeque<(Peer, Forward)>,
    /// Who heard that there is no place.
    pub waiting: BTreeMap<Microbatch, Peer>,
}

impl Visit {
    /// Whether it takes up a slot.
    pub fn is_open(&self) -> bool {
        !matches!(self.progress, Progress::Done { .. })
    }

    /// What was sent on, while its gradient is awaited.
    pub fn away(&self) -> Option<&Away> {
        match &self.progress {
            Progress::Away(away) => Some(away),
            _ => None,
        }
    }

    /// Whom it is sent to: the next hop, or its source for the loss, which is `me` at the source.
    pub fn target(&self, me: Peer) -> Peer {
        let source = || self.behind.first().map_or(me, |passed| passed.hop.peer);
        self.ahead.first().map_or_else(source, |hop| hop.peer)
    }

    /// The task under which the engine keeps gradients.
    pub fn kept(&self) -> Option<Task> {
        match self.progress {
            Progress::Done { kept, .. } => Some(kept),
            _ => None,
        }
    }
}

impl Visits {
    /// Microbatches that take up slots.
    pub fn open(&self) -> usize {
        self.passing
            .values()
            .filter(|visit| visit.is_open())
            .count()
    }

    /// Everything that is kept, counted.
    pub fn count(&self) -> usize {
        let passing = self.passing.len() + self.losses.len();
        passing + self.launches.len() + self.arrived.len() + self.waiting.len()
    }

    /// Forgets all; gives the tasks under which the engine keeps gradients.
    pub fn clear(&mut self) -> Vec<Task> {
        let passing = std::mem::take(&mut self.passing);
        let losses = std::mem::take(&mut self.losses);
        self.launches.clear();
        self.arrived.clear();
        self.waiting.clear();
        let mut kept: Vec<Task> = passing.values().filter_map(Visit::kept).collect();
        let known = losses.values().filter(|loss| loss.result.is_some());
        kept.extend(known.map(|loss| loss.task));
        kept
    }
}
