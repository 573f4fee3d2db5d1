//! How peers find together over the network: a [`Meeting`] that is served or asked.
//!
//! The first peer serves ([`Gathering::host`], [`Gathering::wait_for_all`]); the others ask until
//! they have the charter ([`Gathering::ask`]). What takes long is said to whoever started this.

use std::time::{Duration, Instant};

use skippipe::content::Digest;
use skippipe::wire;
use swarm_identity::PeerId;
use swarm_net::{Event as NetEvent, Events, Handle, Multiaddr, Source};

use super::charter::{Charter, CharterError, MAX_ADDRESSES};
use super::{Answer, Ask, Meeting};
use crate::job::{JobSpec, Stop};

/// Commands by which jobs across peers are joined.
const COMMANDS: [&str; 2] = ["average", "pipeline"];
/// How long an address may be silent before that is told.
const SILENCE: Duration = Duration::from_secs(3);
/// Longest that a peer is waited for when it is asked.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// Requests without an answer after which a peer that was named by another is not asked any more.
const UNANSWERED: u32 = 8;
/// Longest that the first peer waits for the others' engines.
const READY_TIME: Duration = Duration::from_secs(60);

/// What the owner of a process is told whose key another one uses that ran before.
pub const DUPLICATE: &str = "another process runs with the key of this folder, and ran before this one, \
which ends; if none of yours does, the key is stolen: take part from another folder";

/// Why peers do not find together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatherError {
    /// Somebody asked for the end.
    #[error("stopped while peers were finding together")]
    Stopped,
    /// The network ended.
    #[error("the network has ended")]
    Network,
    /// The job has its peers, and this one is none of them.
    #[error("the job has all the peers that it takes; start another one for this peer")]
    Full,
    /// The job has all its steps.
    #[error("the job there is done; start another one for this peer")]
    Over,
    /// Another process has this peer's key.
    #[error("{DUPLICATE}")]
    Duplicate,
    /// The job is of another kind.
    #[error("the job there is of another kind; it is joined by `swarm-node {0} join`")]
    Other(&'static str),
    /// The job is of a kind that this program does not know.
    #[error("the job there is of a kind that this program does not know; it may be a newer one's")]
    Unknown,
    /// The charter.
    #[error(transparent)]
    Charter(#[from] CharterError),
}

/// The network in which the peers of all jobs meet; their messages go by job.
pub fn swarm() -> [u8; 32] {
    Digest::of(b"swarm-node jobs across peers").0
}

fn texts(addresses: &[Multiaddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(Multiaddr::to_string).collect();
    texts.join(", ")
}

/// Where peers find together.
pub struct Gathering<'g> {
    handle: Handle,
    listening: Vec<String>,
    /// The command by which others join, without its arguments.
    command: &'static str,
    /// What they are told to join with, beside the address.
    join_options: &'static str,
    stop: &'g Stop,
    say: &'g dyn Fn(&str),
}

impl<'g> Gathering<'g> {
    /// A peer that has not met anybody. Others are told to join by a command with these options;
    /// `say` is told what its owner should know.
    pub fn new(
        handle: Handle,
        [command, join_options]: [&'static str; 2],
        stop: &'g Stop,
        say: &'g dyn Fn(&str),
    ) -> Self {
        Self {
            handle,
            listening: Vec::new(),
            command,
            join_options,
            stop,
            say,
        }
    }

    /// Waits for all peers.
    ///
    /// # Errors
    /// The network ended, or somebody asked for the end.
    pub async fn host(
        &mut self,
        events: &mut Events,
        spec: &JobSpec,
        job: String,
    ) -> Result<Charter, GatherError> {
        let me = self.handle.me();
        let want = spec.peers().unwrap_or(1);
        let mut meeting = Meeting::new(self.command, spec.clone(), job, me, Vec::new());
        let mut said = 0;
        loop {
            if meeting.have() != said {
                said = meeting.have();
                (self.say)(&format!("peers: {said} of {want}"));
            }
            if let Some(charter) = meeting.charter() {
                return Ok(charter);
            }
            self.serve(events, &mut meeting).await?;
        }
    }

    /// Waits until all have their engines ready, for a minute at most.
    ///
    /// # Errors
    /// The network ended, somebody asked for the end, or the charter names no peers.
    pub async fn wait_for_all(
        &mut self,
        events: &mut Events,
        charter: &Charter,
    ) -> Result<(), GatherError> {
        let peers = charter.peers()?;
        let job = charter.job.clone();
        let spec = charter.spec.clone();
        let own = self.listening.clone();
        let mut meeting = Meeting::new(self.command, spec, job, self.handle.me(), own);
        for (peer, member) in peers.iter().zip(&charter.members).skip(1) {
            let addresses = member.addresses.clone();
            meeting.asked(
                *peer,
                Ask {
                    addresses,
                    ready: false,
                    command: self.command.to_owned(),
                },
            );
        }
        let begun = Instant::now();
        while !meeting.is_ready() && begun.elapsed() < READY_TIME {
            self.serve(events, &mut meeting).await?;
        }
        Ok(())
    }

    /// One event of the network, or a moment.
    async fn serve(
        &mut self,
        events: &mut Events,
        meeting: &mut Meeting,
    ) -> Result<(), GatherError> {
        let event = tokio::time::timeout(Duration::from_millis(200), events.next()).await;
        if self.stop.is_requested() {
            return Err(GatherError::Stopped);
        }
        match event {
            Ok(Some(NetEvent::Request { from, bytes, reply })) => {
                if let Ok(ask) = wire::from_bytes::<Ask>(&bytes) {
                    // Who does not wait any more asks again.
                    let _ = reply.send(wire::to_bytes(&meeting.asked(from, ask)));
                }
            }
            Ok(Some(NetEvent::Listening(address))) => {
                self.listen(&address);
                let own = self.listening.clone();
                let me = self.handle.me();
                meeting.asked(
                    me,
                    Ask {
                        addresses: own,
                        ready: true,
                        command: self.command.to_owned(),
                    },
                );
                let (command, options) = (self.command, self.join_options);
                (self.say)(&format!(
                    "others join by: swarm-node {command} join {address} --out DIR{options}"
                ));
            }
            Ok(Some(NetEvent::DuplicateIdentity { is_newcomer: true })) => {
                return Err(GatherError::Duplicate);
            }
            Ok(None) => return Err(GatherError::Network),
            _ => {}
        }
        Ok(())
    }

    fn listen(&mut self, address: &Multiaddr) {
        let text = address.to_string();
        if !self.listening.contains(&text) {
            self.listening.push(text);
        }
    }

    /// Asks for the charter until somebody has it: the first peer if it is known, else whoever is
    /// connected, and then whoever answered.
    ///
    /// # Errors
    /// See [`GatherError`].
    pub async fn ask(
        &mut self,
        events: &mut Events,
        mut first: Option<PeerId>,
        ready: bool,
    ) -> Result<Charter, GatherError> {
        let mut said = String::new();
        let (given, mut unanswered) = (first, 0);
        let begun = Instant::now();
        // Others will call this peer: they must be told where.
        while self.listening.is_empty() && begun.elapsed() < ANSWER_TIME {
            let wait = tokio::time::sleep(Duration::from_millis(50));
            self.meanwhile(events, wait).await?;
        }
        loop {
            let silent = self.handle.unanswered();
            if said.is_empty() && begun.elapsed() > SILENCE && !silent.is_empty() {
                said = format!("{} does not answer yet; trying again", texts(&silent));
                (self.say)(&said);
            }
            let connected = self.handle.peers().into_iter().map(|info| info.peer);
            let peers = first.map_or_else(|| connected.collect(), |peer| vec![peer]);
            for peer in peers {
                let answer = self.asked(events, peer, ready).await?;
                let text = match answer {
                    Some(Answer::Charter(text)) => {
                        return Ok(Charter::parse(&text)?);
                    }
                    Some(Answer::Full) => {
                        return Err(GatherError::Full);
                    }
                    Some(Answer::Other(command)) => {
                        // What a peer says is not shown.
                        let known = COMMANDS.into_iter().find(|known| *known == command);
                        return Err(known.map_or(GatherError::Unknown, GatherError::Other));
                    }
                    Some(Answer::Wait { have, want }) => {
                        format!("peers: {have} of {want}")
                    }
                    Some(Answer::Over) => return Err(GatherError::Over),
                    Some(Answer::Elsewhere { peer, addresses }) => {
                        let Ok(peer) = peer.try_into().map(PeerId) else {
                            continue;
                        };
                        let addresses = addresses.iter().take(MAX_ADDRESSES);
                        let addresses = addresses.filter_map(|text| text.parse().ok());
                        self.handle.offer(Source::Peers, addresses.collect()).await;
                        first = Some(peer);
                        break;
                    }
                    Some(Answer::Admitting) => {
                        "the job runs already; waiting for a seat in it".to_owned()
                    }
                    None => {
                        unanswered += 1;
                        if unanswered > UNANSWERED {
                            (first, unanswered) = (given, 0);
                        }
                        continue;
                    }
                };
                unanswered = 0;
                first = Some(peer);
                if text != said {
                    (self.say)(&text);
                    said = text;
                }
            }
            let wait = tokio::time::sleep(Duration::from_millis(300));
            self.meanwhile(events, wait).await?;
        }
    }

    /// A peer's answer; none where it gives none in time.
    async fn asked(
        &mut self,
        events: &mut Events,
        peer: PeerId,
        ready: bool,
    ) -> Result<Option<Answer>, GatherError> {
        let ask = Ask {
            addresses: self.listening.clone(),
            ready,
            command: self.command.to_owned(),
        };
        let handle = self.handle.clone();
        let request = async move { handle.request(peer, wire::to_bytes(&ask)).await };
        let request = tokio::time::timeout(ANSWER_TIME, request);
        let answer = self.meanwhile(events, request).await?;
        let bytes = answer.ok().and_then(Result::ok);
        Ok(bytes.and_then(|bytes| wire::from_bytes(&bytes).ok()))
    }

    /// Waits for something while the network's events are taken. Others' requests are refused: they
    /// ask the first peer.
    async fn meanwhile<F: Future>(
        &mut self,
        events: &mut Events,
        awaited: F,
    ) -> Result<F::Output, GatherError> {
        tokio::pin!(awaited);
        loop {
            tokio::select! {
                output = &mut awaited => return Ok(output),
                () = self.stop.requested() => return Err(GatherError::Stopped),
                event = events.next() => match event {
                    Some(NetEvent::Listening(address)) => self.listen(&address),
                    Some(NetEvent::DuplicateIdentity { is_newcomer: true }) => {
                        return Err(GatherError::Duplicate);
                    }
                    Some(_) => {}
                    None => return Err(GatherError::Network),
                },
            }
        }
    }
}
