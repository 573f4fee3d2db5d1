//! Peers that stop at once, and start again.

use super::{EventKind, Simulation, adopt};
use crate::clock::Millis;
use crate::sim::hostile::Outgoing;
use crate::sim::spec::{Memory, Spec, Stop};
use crate::state::{Core, Input, Output, Replayed};

/// True if a peer writes a journal: it will need it.
pub(super) fn writes(spec: &Spec, peer: usize) -> bool {
    let mut crashes = spec.crashes.iter();
    crashes.any(|crash| crash.peer == peer && crash.memory == Memory::Journal)
}

impl Simulation {
    /// Lets a peer act on what its core wants, step by step, until it is stopped.
    pub(super) fn act(
        &mut self,
        index: usize,
        outputs: Vec<Output>,
        now: Millis,
        sends: &mut Vec<Outgoing>,
    ) {
        for output in outputs {
            if !self.step(index, now) {
                return;
            }
            self.output(index, output, now, sends);
        }
    }

    /// Tells a core what became of a signature.
    pub(super) fn tell(
        &mut self,
        index: usize,
        answer: Input,
        now: Millis,
        sends: &mut Vec<Outgoing>,
    ) {
        if !self.step(index, now) {
            return;
        }
        let outputs = self.handle(index, answer, now);
        self.act(index, outputs, now, sends);
    }

    /// What a core wants after an input; nothing while it is down. As [`journal`](crate::journal)
    /// demands, the rounds that it decides are archived and its records appended, in this order,
    /// before anything is done.
    pub(super) fn handle(&mut self, index: usize, input: Input, now: Millis) -> Vec<Output> {
        let peer = &mut self.peers[index];
        let local = peer.clock.local(now);
        let Some(core) = &mut peer.core else {
            return Vec::new();
        };
        let (outputs, written) = match peer.journal.is_some() {
            true => {
                let recorded = core.handle_recorded(input, local);
                (recorded.outputs, Some((recorded.segment, recorded.records)))
            }
            false => (core.handle(input, local), None),
        };
        self.archive_decided(index, &outputs, now);
        if let (Some(journal), Some((segment, records))) = (&mut self.peers[index].journal, written)
        {
            journal.append(segment, &records);
        }
        outputs
    }

    fn archive_decided(&mut self, index: usize, outputs: &[Output], now: Millis) {
        for output in outputs {
            if let Output::Decided(decided) = output {
                self.decided(index, decided, now);
            }
        }
    }

    /// False if the peer stops before its next step, or has stopped.
    fn step(&mut self, index: usize, now: Millis) -> bool {
        let peer = &mut self.peers[index];
        if peer.core.is_none() {
            return false;
        }
        peer.steps += 1;
        let stop = Stop::Before(peer.steps);
        let mut crashes = self.spec.crashes.iter();
        let crash = crashes.find(|crash| (crash.peer, crash.stop) == (index, stop));
        let Some(crash) = crash.copied() else {
            return true;
        };
        self.crash(index);
        let back = now.saturating_add(crash.down_ms);
        self.returning += usize::from(crash.memory == Memory::Journal);
        self.schedule(back, index, EventKind::Restart(crash.memory));
        false
    }

    /// Stops a peer. Of what it wrote since its last signature, some is lost.
    pub(super) fn crash(&mut self, index: usize) {
        self.bank_counters(index);
        let peer = &mut self.peers[index];
        peer.core = None;
        peer.inbox.clear();
        peer.tick = None;
        let kept_thirds = (peer.steps % 4) as usize;
        if let Some(journal) = &mut peer.journal {
            journal.crash(kept_thirds);
        }
    }

    pub(super) fn restart(&mut self, index: usize, memory: Memory, now: Millis) {
        match memory {
            Memory::Nothing => self.begin_anew(index, now),
            Memory::Journal => {
                self.returning -= 1;
                self.replay(index, now);
            }
        }
        // What it archived is still there.
        for decided in self.archive.of(index) {
            self.input(index, adopt(&decided), now);
        }
        self.schedule_tick(index);
    }

    #[expect(
        clippy::expect_used,
        reason = "the same configuration was taken at the beginning"
    )]
    fn begin_anew(&mut self, index: usize, now: Millis) {
        let peer = &mut self.peers[index];
        if let Some(journal) = &mut peer.journal {
            journal.clear();
        }
        let core = Core::new(peer.setup.clone(), peer.clock.local(now));
        let core = core.expect("invariant: the configuration is valid");
        peer.core = Some(match peer.has_signed {
            true => core,
            false => core.never_signed(),
        });
    }

    fn replay(&mut self, index: usize, now: Millis) {
        let archive = &self.archive;
        let archived = |round| archive.get(index, round).map(|round| (&**round).into());
        let peer = &mut self.peers[index];
        let records = peer.journal.iter().flat_map(|journal| journal.records());
        let replayed = Core::replay(peer.setup.clone(), records, &archived);
        match replayed {
            Ok(Replayed { core, outstanding }) => {
                peer.core = Some(core);
                self.archive_decided(index, &outstanding, now);
                let mut sends = Vec::new();
                self.act(index, outstanding, now, &mut sends);
                self.publish_all(index, sends, now);
                self.input(index, Input::Tick, now);
            }
            Err(error) => {
                self.report.not_replayed.push((index, error));
                self.begin_anew(index, now);
            }
        }
    }
}
