//! Taking part in a job across peers, as far as it is the same for all kinds of job: a folder with
//! a key and a table of what was signed, the network, and finding together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use swarm_files::whole::require_writable;
use swarm_identity::key::NodeKey;
use swarm_identity::key_file::{self, KeyFile};
use swarm_identity::{Secret, Signer};
use swarm_net::{Config as NetConfig, Events, Handle, Multiaddr, NoBlobs, Source};
use swarm_store::{SignOnceTable, Store};

use super::failure::Failure;
use super::output;
use super::signals::stop_on_signals;
use crate::job::{JobSpec, Stop};
use crate::meeting::charter::{Charter, MAX_ADDRESSES};
use crate::meeting::gathering::{GatherError, Gathering, swarm};

/// Where a peer's folder is, and where it listens.
#[derive(Debug, Args)]
pub(super) struct PartOptions {
    /// Folder of this peer: key, charter, transcript, what it holds at the end.
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// Where to listen [default: every interface, QUIC and TCP, ports that the system chooses].
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// Listens on this machine alone.
    #[arg(long)]
    loopback: bool,
}

/// How a peer comes to a job.
pub(super) enum Role {
    /// It starts this one.
    First(Box<JobSpec>),
    /// It asks whoever listens there.
    Newcomer(Multiaddr),
}

/// What a kind of job makes of a specification.
pub(super) trait Kind {
    /// The command, as others are told to join by it.
    const COMMAND: &'static str;
    /// What is made.
    type Assembled;

    /// Makes it.
    fn assemble(&self, spec: &JobSpec) -> Result<Self::Assembled, Failure>;
    /// What names the job.
    fn job(assembled: &Self::Assembled) -> &str;
}

/// A peer's folder, which nobody else uses meanwhile.
pub(super) struct Folder<'p> {
    options: &'p PartOptions,
    key: KeyFile,
    /// Signs once for each place.
    pub(super) signer: Signer<SignOnceTable>,
    /// A request to end.
    pub(super) stop: Stop,
    /// What the folder says; none where this peer has not taken part.
    known: Option<Charter>,
}

/// A peer that knows who takes part in what.
pub(super) struct Member<A> {
    pub(super) charter: Charter,
    pub(super) assembled: A,
    /// Whether it has taken part before.
    pub(super) again: bool,
    /// Whether it was admitted while the job ran.
    pub(super) is_late: bool,
    /// Its place in the charter; none where the charter does not name it.
    pub(super) place: Option<usize>,
    pub(super) handle: Handle,
    pub(super) events: Events,
}

impl PartOptions {
    /// Opens the folder, or makes it.
    pub(super) fn open(&self) -> Result<Folder<'_>, Failure> {
        let made = std::fs::create_dir_all(&self.out).and_then(|()| require_writable(&self.out));
        made.map_err(|error| {
            let out = self.out.display();
            Failure::Work(anyhow::anyhow!(
                "{out} cannot be this peer's folder: {error}"
            ))
        })?;
        let stop = stop_on_signals()?;
        let key = KeyFile::open(&self.out.join("node.key"), Secret::random);
        let key = key.map_err(Failure::work)?;
        let store = Store::open(&self.out.join("signed.redb")).map_err(Failure::work)?;
        Ok(Folder {
            options: self,
            signer: Signer::new(key.key().clone(), store.sign_once()),
            key,
            stop,
            known: Charter::load(&self.out).map_err(Failure::work)?,
        })
    }
}

/// The charter of a peer's folder.
pub(super) fn charter_of(folder: &Path) -> Result<Charter, Failure> {
    let charter = Charter::load(folder).map_err(Failure::work)?;
    charter.ok_or_else(|| {
        Failure::Usage(anyhow::anyhow!(
            "{} has no charter; a peer's folder has one once all peers have come",
            folder.display()
        ))
    })
}

/// The place of a folder's peer in its charter, if it has one.
pub(super) fn place_of(folder: &Path, charter: &Charter) -> Result<Option<u32>, Failure> {
    let secret = key_file::peek(&folder.join("node.key")).map_err(Failure::work)?;
    let peer = NodeKey::from(&secret).peer();
    let peers = charter.all_peers().map_err(Failure::work)?;
    let place = peers.iter().position(|one| *one == peer);
    Ok(place.map(|place| place as u32))
}

/// Whether a process uses a peer's folder.
pub(super) fn is_running(folder: &Path) -> Result<bool, Failure> {
    key_file::is_in_use(&folder.join("node.key")).map_err(Failure::work)
}

/// An address as a user writes it.
pub(super) fn parse_address(text: &str) -> Result<Multiaddr, Failure> {
    text.parse().map_err(|error| {
        Failure::Usage(anyhow::anyhow!(
            "`{text}` is no address: {error}; write it like /ip4/192.0.2.7/udp/4001/quic-v1"
        ))
    })
}

impl Folder<'_> {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.options.out
    }

    fn network(&self, role: &Role) -> Result<NetConfig, Failure> {
        let mut net = match self.options.loopback {
            true => NetConfig::loopback(swarm()),
            false => NetConfig::new(swarm()),
        };
        if !self.options.listen.is_empty() {
            let listen = self.options.listen.iter().map(|text| parse_address(text));
            net.listen = listen.collect::<Result<_, _>>()?;
        }
        if let Role::Newcomer(address) = role {
            net.bootstrap.push(address.clone());
        }
        if let Some(charter) = &self.known {
            // The others know where this peer was.
            let me = self.signer.peer();
            let peers = charter.all_peers().map_err(Failure::work)?;
            let place = peers.iter().position(|peer| *peer == me);
            let own = place.map_or(&[][..], |place| charter.addresses(place));
            let own = own.iter().filter_map(|text| text.parse().ok());
            let before: Vec<Multiaddr> = own.collect();
            if self.options.listen.is_empty() && !before.is_empty() {
                net.listen = before;
            }
        }
        Ok(net)
    }

    fn gathering(&self, command: &'static str, handle: &Handle) -> Gathering<'_> {
        let join_options = if self.options.loopback {
            " --loopback"
        } else {
            ""
        };
        let words = [command, join_options];
        Gathering::new(handle.clone(), words, &self.stop, &output::note)
    }

    /// The job of this folder, where the peer has taken part before.
    ///
    /// # Errors
    /// The file that it is started with is another job's, or this machine makes another of the
    /// folder's.
    pub(super) fn known<K: Kind>(
        &self,
        kind: &K,
        role: &Role,
    ) -> Result<Option<(Charter, K::Assembled)>, Failure> {
        let Some(charter) = &self.known else {
            return Ok(None);
        };
        let assembled = kind.assemble(&charter.spec)?;
        if let Role::First(spec) = role {
            let given = kind.assemble(spec)?;
            let given = K::job(&given);
            if given != charter.job {
                let (out, known) = (self.path().display(), &charter.job);
                return Err(Failure::Usage(anyhow::anyhow!(
                    "{out} is a folder of the job {known}, and the file is the job {given}; name another folder \
                     with --out"
                )));
            }
        }
        self.require_same::<K>(charter, &assembled)?;
        Ok(Some((charter.clone(), assembled)))
    }

    fn require_same<K: Kind>(
        &self,
        charter: &Charter,
        assembled: &K::Assembled,
    ) -> Result<(), Failure> {
        let own = K::job(assembled);
        match charter.job == own {
            true => Ok(()),
            false => Err(Failure::Work(anyhow::anyhow!(
                "this machine makes the job {own} of the charter's file, the others {}: its data or model files \
                 differ",
                charter.job
            ))),
        }
    }

    /// Finds the others, or what the folder knows of them.
    pub(super) async fn find<K: Kind>(
        &self,
        kind: &K,
        role: Role,
        known: Option<(Charter, K::Assembled)>,
    ) -> Result<Member<K::Assembled>, Failure> {
        let net = self.network(&role)?;
        let started = swarm_net::start(net, self.key.secret(), Arc::new(NoBlobs)).await;
        let (handle, mut events) = started.map_err(Failure::work)?;
        let mut gathering = self.gathering(K::COMMAND, &handle);
        let again = known.is_some();
        let (charter, assembled) = match (known, role) {
            (Some(known), _) => {
                output::note("this peer has taken part before; looking for the others");
                known
            }
            (None, Role::First(spec)) => {
                let assembled = kind.assemble(&spec)?;
                let job = K::job(&assembled).to_owned();
                let charter = gathering.host(&mut events, &spec, job).await;
                (charter.map_err(|error| self.ungathered(error))?, assembled)
            }
            (None, Role::Newcomer(_)) => {
                let charter = gathering.ask(&mut events, None, false).await;
                let charter = charter.map_err(|error| self.ungathered(error))?;
                let assembled = kind.assemble(&charter.spec)?;
                (charter, assembled)
            }
        };
        self.require_same::<K>(&charter, &assembled)?;
        let me = self.signer.peer();
        let peers = charter.all_peers().map_err(Failure::work)?;
        for (number, peer) in peers.iter().enumerate() {
            let addresses = charter.addresses(number).iter().take(MAX_ADDRESSES);
            for text in addresses.filter(|_| *peer != me) {
                if let Ok(address) = text.parse() {
                    handle.offer(Source::Peers, vec![address]).await;
                }
            }
        }
        let place = peers.iter().position(|peer| *peer == me);
        Ok(Member {
            is_late: place.is_some_and(|place| place >= charter.members.len()),
            place,
            charter,
            assembled,
            again,
            handle,
            events,
        })
    }

    /// Keeps the charter and, the first time, waits until the engines of all are ready.
    pub(super) async fn be_ready<K: Kind>(
        &self,
        member: &mut Member<K::Assembled>,
    ) -> Result<(), Failure> {
        let Member {
            charter,
            again,
            is_late,
            place,
            handle,
            events,
            ..
        } = member;
        charter.save(self.path()).map_err(Failure::work)?;
        if *again || *is_late {
            return Ok(());
        }
        let mut gathering = self.gathering(K::COMMAND, handle);
        let gathered = match place {
            Some(0) => gathering.wait_for_all(events, charter).await,
            _ => {
                let peers = charter.peers().map_err(Failure::work)?;
                let first = peers.first().copied();
                gathering.ask(events, first, true).await.map(drop)
            }
        };
        gathered.map_err(|error| self.ungathered(error))
    }

    fn ungathered(&self, error: GatherError) -> Failure {
        match error {
            GatherError::Stopped => Failure::stopped(&self.stop, "nothing was computed yet"),
            error @ GatherError::Other(_) => Failure::Usage(error.into()),
            error => Failure::work(error),
        }
    }
}
