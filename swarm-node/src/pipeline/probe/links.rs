//! The prober on the network: channels of their own, the clock, and the peer's folder.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skippipe::content::Digest;
use skippipe::measured::{Measurements, Observed, Part, Report, StageTimes};
use skippipe::path::{Peer, Stage};
use skippipe::topology::Micros;
use swarm_identity::PeerId;
use swarm_net::{
    Behaviour, ChannelEvent, ChannelEvents, ChannelLimits, Channels, Handle, StartError,
};

use super::file::{self, FileError};
use super::prober::{Input, Output, Prober};
use super::word::{MAX_FRAME, Word};

/// A peer's measurements while it runs.
pub struct Links {
    prober: Prober,
    peers: Vec<PeerId>,
    channels: Channels,
    frames: ChannelEvents,
    handle: Handle,
    folder: PathBuf,
    begun: Instant,
    /// How often what is known has changed.
    revision: u64,
    me: Peer,
    /// What was seen since the first step.
    observed: Observed,
    /// This peer's report before it; none before that is refined.
    measured: Option<Report>,
}

/// What measurements begin with.
pub struct Start {
    /// The job, whose name the channels' name follows from.
    pub job: Digest,
    /// All peers, this one among them.
    pub peers: Vec<PeerId>,
    /// This one's place.
    pub me: Peer,
    /// What was known when it ended; none for a peer that has not measured.
    pub known: Option<Measurements>,
    /// Its engine's times; none where it holds no stage.
    pub times: Option<StageTimes>,
    /// Random and secret.
    pub seed: u64,
    /// Where what is known is kept.
    pub folder: PathBuf,
}

/// A peer said what is absurd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whose word it is.
    pub peer: Peer,
    /// What.
    pub what: String,
}

impl Links {
    /// Starts the channels, and the first pair of a peer that has not measured before.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(handle: Handle, start: Start) -> Result<Self, StartError> {
        let Start {
            job,
            peers,
            me,
            known,
            times,
            seed,
            folder,
        } = start;
        let limits = ChannelLimits {
            frame_bytes: MAX_FRAME,
            queue_bytes: 8 << 20,
            waiting_frames: 256,
            waiting_bytes: 8 << 20,
            ..ChannelLimits::default()
        };
        let name = Digest::of(&[&job.0[..], b"links"].concat());
        let (channels, frames) = Channels::start(handle.clone(), name.0, peers.clone(), limits)?;
        let count = peers.len() as u32;
        let mut links = Self {
            prober: match known {
                Some(known) => Prober::again(me, count, known, Duration::ZERO),
                None => Prober::new(me, count, seed, times, Duration::ZERO),
            },
            peers,
            channels,
            frames,
            handle,
            folder,
            begun: Instant::now(),
            revision: 0,
            me,
            observed: Observed::new(),
            measured: None,
        };
        let outputs = links.prober.start(Duration::ZERO);
        links.carry_out(outputs);
        Ok(links)
    }

    /// The next thing that happens on the channels; none once the network has ended. Nothing is
    /// lost if the future is dropped.
    pub async fn next(&mut self) -> Option<ChannelEvent> {
        self.frames.next().await
    }

    /// Something happened on the channels.
    pub fn heard(&mut self, event: ChannelEvent) -> Vec<Fault> {
        let number = |peer: &PeerId| {
            let place = self.peers.iter().position(|other| other == peer);
            place.map(|place| Peer(place as u32))
        };
        let input = match event {
            ChannelEvent::Up(peer) => number(&peer).map(Input::Found),
            ChannelEvent::Down(peer) => number(&peer).map(Input::Lost),
            ChannelEvent::Frame { from, bytes, .. } => {
                let word = number(&from).zip(Word::from_bytes(&bytes));
                if word.is_none() {
                    self.handle.report(from, Behaviour::Malformed);
                }
                word.map(|(from, word)| Input::Word { from, word })
            }
        };
        input.map_or_else(Vec::new, |input| self.handle_input(input))
    }

    /// There is one peer more.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn add(&mut self, peer: PeerId) -> Result<(), StartError> {
        self.channels.add(peer)?;
        self.peers.push(peer);
        self.prober.set_peers(self.peers.len() as u32);
        Ok(())
    }

    /// There are so many peers, and those beyond are none any more.
    pub fn keep_first(&mut self, peers: usize) {
        self.peers.truncate(peers);
        self.prober.set_peers(self.peers.len() as u32);
    }

    /// Time passed.
    pub fn tick(&mut self) -> Vec<Fault> {
        self.handle_input(Input::Tick)
    }

    /// Whether all pairs are over, and everybody's report is here or was waited for.
    pub fn is_over(&self) -> bool {
        self.prober.is_over()
    }

    /// What is known.
    pub fn known(&self) -> &Measurements {
        self.prober.known()
    }

    /// A message of a step arrived.
    pub fn arrived(&mut self, from: Peer, bytes: usize, took: Duration) {
        self.observed.arrived(from, bytes as u64, micros(took));
    }

    /// A piece of a step's work was done.
    pub fn worked(&mut self, part: Part, took: Duration) {
        self.observed.worked(part, micros(took));
    }

    /// What was seen of work is of another stage than that which this peer holds.
    pub fn forget_work(&mut self) {
        self.observed.forget_work();
    }

    /// Tells everybody what steps have shown, where that is clearly another than was known.
    pub fn refine(&mut self, stage: Option<Stage>) -> Vec<Fault> {
        let report = self.prober.known().report(self.me);
        let report = report.cloned().unwrap_or_default();
        let measured = self.measured.get_or_insert_with(|| report.clone());
        let peers = self.peers.len() as u32;
        match self.observed.refine(peers, &report, measured, stage) {
            Some(refined) => {
                let outputs = self.prober.say(refined);
                self.carry_out(outputs)
            }
            None => Vec::new(),
        }
    }

    /// How often that has changed.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Rounds that are over, and all.
    pub fn progress(&self) -> (u32, u32) {
        self.prober.progress()
    }

    /// Keeps what is known in the peer's folder.
    ///
    /// # Errors
    /// The system refuses.
    pub fn save(&self) -> Result<(), FileError> {
        file::save(&self.folder, self.known())
    }

    fn handle_input(&mut self, input: Input) -> Vec<Fault> {
        let outputs = self.prober.handle(input, self.begun.elapsed());
        self.carry_out(outputs)
    }

    fn carry_out(&mut self, outputs: Vec<Output>) -> Vec<Fault> {
        let mut faults = Vec::new();
        for output in outputs {
            match output {
                Output::Say { to, word } => {
                    if let Some(peer) = self.peers.get(to.index()) {
                        let frame: Arc<[u8]> = word.to_bytes().into();
                        // Whoever is down or behind is not measured.
                        let _ = self.channels.send(*peer, frame);
                    }
                }
                Output::Known(_) => self.revision += 1,
                Output::Fault { peer, what } => faults.push(Fault { peer, what }),
            }
        }
        faults
    }
}

fn micros(time: Duration) -> Micros {
    Micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}
