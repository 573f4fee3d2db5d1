//! The thread that carries packets between devices and the network.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use tun_rs::SyncDevice;

use super::namespace::MTU;
use super::network::{Network, Traffic};

/// Longest time between two looks at whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Packets that are taken from one device before the next one's turn.
const AT_ONCE: usize = 64;

/// A network that runs. Dropped, it ends, and the devices with it.
#[derive(Debug)]
pub struct Pump {
    network: Arc<Mutex<Network>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pump {
    /// Runs a network between devices, one for each of its hosts in their order.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(network: Network, devices: Vec<SyncDevice>) -> io::Result<Self> {
        let network = Arc::new(Mutex::new(network));
        let is_over = Arc::new(AtomicBool::new(false));
        let (carried, ends) = (network.clone(), is_over.clone());
        let thread = thread::Builder::new()
            .name("network".into())
            .spawn(move || pump(&carried, &devices, &ends))?;
        Ok(Self {
            network,
            is_over,
            thread: Some(thread),
        })
    }

    /// See [`Network::part`].
    pub fn part(&self, partition: usize, hosts: BTreeSet<usize>) {
        lock(&self.network).part(partition, hosts);
    }

    /// See [`Network::heal`].
    pub fn heal(&self, partition: usize) {
        lock(&self.network).heal(partition);
    }

    /// See [`Network::traffic`].
    pub fn traffic(&self) -> Traffic {
        lock(&self.network).traffic()
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been shown; the network is gone in any case.
            let _ = thread.join();
        }
    }
}

/// A panic leaves counters that may be one packet off, and nothing else.
fn lock(network: &Mutex<Network>) -> MutexGuard<'_, Network> {
    network.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pump(network: &Mutex<Network>, devices: &[SyncDevice], is_over: &AtomicBool) {
    let begin = Instant::now();
    let mut buffer = [0; MTU as usize];
    let mut is_more = false;
    while !is_over.load(Ordering::Relaxed) {
        let next = lock(network).next();
        let wait = next.map_or(LOOK_EVERY, |at| at.saturating_sub(begin.elapsed()));
        let wait = if is_more {
            Duration::ZERO
        } else {
            wait.min(LOOK_EVERY)
        };
        let mut ready: Vec<PollFd<'_>> = devices
            .iter()
            .map(|device| PollFd::new(device.as_fd(), PollFlags::POLLIN))
            .collect();
        // A signal ends the wait early, and nothing is lost by that.
        let _ = ppoll(&mut ready, Some(TimeSpec::from_duration(wait)), None);
        is_more = false;
        let mut network = lock(network);
        for (host, device) in devices.iter().enumerate() {
            if ready[host].any() != Some(true) {
                continue;
            }
            let sent = std::iter::from_fn(|| {
                device
                    .recv(&mut buffer)
                    .ok()
                    .map(|size| buffer[..size].to_vec())
            });
            let mut count = 0;
            for bytes in sent.take(AT_ONCE) {
                network.handle(bytes, host, begin.elapsed());
                count += 1;
            }
            is_more |= count == AT_ONCE;
        }
        let due = network.due(begin.elapsed());
        drop(network);
        for (host, bytes) in due {
            // A host whose device takes nothing loses the packet, as on any network.
            let _ = devices[host].send(&bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};

    use super::super::link::LinkSettings;
    use super::super::namespace::Namespace;
    use super::super::network::HostSettings;
    use super::*;

    /// Two hosts with a running network between them, or why there are none.
    fn pair(link: LinkSettings) -> Result<(Vec<Namespace>, Pump), String> {
        let hosts = [1, 2].map(|last| HostSettings {
            address: Ipv4Addr::new(198, 51, 100, last),
            nat: None,
            link,
        });
        let made: Result<Vec<_>, _> = hosts
            .map(|host| Namespace::new(host.address))
            .into_iter()
            .collect();
        let (namespaces, devices) = made.map_err(|error| error.to_string())?.into_iter().unzip();
        let network = Network::new(&hosts, Vec::new(), 1);
        let pump = Pump::start(network, devices).map_err(|error| error.to_string())?;
        Ok((namespaces, pump))
    }

    #[test]
    fn a_stream_between_two_namespaces_arrives_whole_over_a_lossy_link() {
        let link = LinkSettings {
            delay: Duration::from_millis(1),
            rate: Some(200_000_000),
            loss: 0.001,
            queue: 1 << 20,
        };
        let (namespaces, pump) = match pair(link) {
            Ok(pair) => pair,
            Err(reason) => return eprintln!("skipped: {reason}"),
        };
        let at = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 2), 7);
        // A socket stays in the namespace that it was made in, whoever uses it.
        let listener = namespaces[1].run(move || TcpListener::bind(at).unwrap());
        let mut sender = namespaces[0].run(move || TcpStream::connect(at).unwrap());
        let (mut receiver, from) = listener.accept().unwrap();
        assert_eq!(from.ip(), Ipv4Addr::new(198, 51, 100, 1));
        let sent: Vec<u8> = (0..16 << 20).map(|at: u32| (at % 251) as u8).collect();
        let begin = Instant::now();
        let copy = sent.clone();
        let sending = thread::spawn(move || sender.write_all(&copy).unwrap());
        let mut received = Vec::new();
        receiver.read_to_end(&mut received).unwrap();
        sending.join().unwrap();
        assert!(received == sent, "{} bytes", received.len());
        let rate = sent.len() as f64 * 8e-6 / begin.elapsed().as_secs_f64();
        let traffic = pump.traffic();
        eprintln!("{rate:.0} Mbit/s, {traffic:?}");
        assert!(traffic.lost > 0 && traffic.arrived > 10_000, "{traffic:?}");
    }
}
