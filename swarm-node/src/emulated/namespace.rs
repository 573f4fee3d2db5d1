//! A network namespace with one TUN device, and a thread that lives in it.
//!
//! A namespace belongs to the threads and processes in it. So each one here is a thread's: what
//! must happen in the namespace, starting a process or talking to one over its loopback, is handed
//! to that thread. It is gone with the thread and the processes that it started.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid};
use thiserror::Error;
use tun_rs::{DeviceBuilder, SyncDevice};

/// The device's name, in every namespace.
const DEVICE: &str = "tun0";
/// Longest packet, in bytes.
pub const MTU: u16 = 1500;
/// Packets that wait until the network takes them.
const QUEUE: &str = "5000";

/// Why there is no namespace.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NamespaceError {
    /// The system does not let this user make namespaces.
    #[error("this user may not make {what}: {source}; root may, or any user where it is allowed")]
    Forbidden {
        /// What.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// A TUN device cannot be made.
    #[error("no TUN device can be made with /dev/net/tun: {0}")]
    Device(io::Error),
    /// The program `ip` is not there.
    #[error("the program `ip` does not start: {0}; install iproute2")]
    NoTool(io::Error),
    /// The program `ip` fails.
    #[error("`ip {arguments}` fails: {reason}")]
    Tool {
        /// Its arguments.
        arguments: String,
        /// What it says.
        reason: String,
    },
    /// No thread can be started.
    #[error("no thread can be started: {0}")]
    Thread(io::Error),
}

impl NamespaceError {
    /// True if this system, or this user's rights on it, rule namespaces out.
    pub fn is_unsupported(&self) -> bool {
        match self {
            Self::Forbidden { .. } | Self::Device(_) | Self::NoTool(_) => true,
            Self::Tool { .. } | Self::Thread(_) => false,
        }
    }
}

/// Gives a process that is not root's a user namespace of its own, in which it may make network
/// namespaces. The process must have no other threads yet.
///
/// # Errors
/// The system does not allow it.
pub fn become_able() -> Result<(), NamespaceError> {
    let (user, group) = (Uid::effective(), Gid::effective());
    if user.is_root() {
        return Ok(());
    }
    let forbidden = |source| NamespaceError::Forbidden {
        what: "user namespaces",
        source,
    };
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| forbidden(errno.into()))?;
    // The group can be mapped only by who has given up setting others.
    fs::write("/proc/self/setgroups", "deny").map_err(forbidden)?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1")).map_err(forbidden)?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1")).map_err(forbidden)
}

type Job = Box<dyn FnOnce() + Send>;

/// A namespace. Dropped, it ends with the last process in it.
#[derive(Debug)]
pub struct Namespace {
    jobs: mpsc::Sender<Job>,
}

impl Namespace {
    /// A namespace whose device has an address and takes everything that is not for this host.
    ///
    /// # Errors
    /// See [`NamespaceError`].
    pub fn new(address: Ipv4Addr) -> Result<(Self, SyncDevice), NamespaceError> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let (made, device) = mpsc::channel();
        let live = move || {
            // Whoever waits for the device is there until it comes.
            let _ = made.send(furnished(address));
            waiting.into_iter().for_each(|job| job());
        };
        thread::Builder::new()
            .name(format!("namespace {address}"))
            .spawn(live)
            .map_err(NamespaceError::Thread)?;
        Ok((Self { jobs }, received(&device)?))
    }

    /// Does something in the namespace and waits for what comes of it.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        let job = move || _ = done.send(job());
        // A thread that has ended has panicked, which shows when nothing comes of the job.
        let _ = self.jobs.send(Box::new(job));
        received(&result)
    }
}

#[expect(
    clippy::expect_used,
    reason = "a thread that waits for jobs ends by a panic only"
)]
fn received<T>(result: &mpsc::Receiver<T>) -> T {
    result
        .recv()
        .expect("invariant: a namespace's thread lives as long as the namespace")
}

/// Moves this thread into a new namespace, and puts the device there.
fn furnished(address: Ipv4Addr) -> Result<SyncDevice, NamespaceError> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| NamespaceError::Forbidden {
        what: "network namespaces",
        source: errno.into(),
    })?;
    let device = DeviceBuilder::new()
        .name(DEVICE)
        .mtu(MTU)
        .build_sync()
        .map_err(NamespaceError::Device)?;
    device
        .set_nonblocking(true)
        .map_err(NamespaceError::Device)?;
    let address = format!("{address}/32");
    ip(&["link", "set", "lo", "up"])?;
    ip(&["address", "add", &address, "dev", DEVICE])?;
    // By an ioctl only the machine's own root may set the queue.
    ip(&["link", "set", DEVICE, "txqueuelen", QUEUE, "up"])?;
    ip(&["route", "add", "default", "dev", DEVICE])?;
    Ok(device)
}

/// Runs `ip` in this thread's namespace.
fn ip(arguments: &[&str]) -> Result<(), NamespaceError> {
    let run = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(NamespaceError::NoTool)?;
    match run.status.success() {
        true => Ok(()),
        false => Err(NamespaceError::Tool {
            arguments: arguments.join(" "),
            reason: String::from_utf8_lossy(&run.stderr).trim().into(),
        }),
    }
}
