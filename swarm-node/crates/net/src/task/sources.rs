//! Where addresses of peers come from.

use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use libp2p::Multiaddr;

use super::Task;
use crate::event::Event;
use crate::resolve::LookupError;
use crate::source::Source;
use crate::{cache, names, resolve};

/// A lookup that is under way, with the name that is looked up.
pub(super) type Lookup = BoxFuture<'static, (Multiaddr, Result<Vec<Multiaddr>, LookupError>)>;

impl Task {
    /// Takes what the operator, the swarm's file and the file of known addresses give.
    pub(super) fn begin_sources(&mut self, flag: Vec<Multiaddr>, file: Vec<Multiaddr>) {
        for (source, addresses) in [(Source::Flag, flag), (Source::File, file)] {
            if !addresses.is_empty() {
                self.add_addresses(source, addresses);
            }
        }
        match self.cache.as_deref().map(cache::load) {
            // The last line is the one seen longest ago, and the last one added is called first.
            Some(Ok(addresses)) => {
                self.add_addresses(Source::Cache, addresses.into_iter().rev().collect());
            }
            Some(Err(error)) => self.emit(Event::Unavailable {
                what: "the file of known addresses".into(),
                reason: error.to_string(),
            }),
            None => {}
        }
    }

    /// Takes addresses of a source, and calls those that are wanted. Names of configured sources
    /// are looked up first; those of others are nothing that this node should ask about.
    pub(super) fn add_addresses(&mut self, source: Source, addresses: Vec<Multiaddr>) {
        let now = Instant::now();
        let mut peers = 0;
        if addresses.is_empty() {
            self.sources.insert(source);
        }
        for address in addresses {
            match names::is_name(&address) {
                true if source.is_configured() => self.add_name(address, now),
                true => {}
                false => {
                    self.sources.insert(source);
                    peers += usize::from(self.dialler.add(address, source, now));
                }
            }
        }
        if peers > 0 && source != Source::Peers {
            self.emit(Event::Given { source, peers });
        }
        self.call(now);
        self.look_up(now);
    }

    fn add_name(&mut self, name: Multiaddr, now: Instant) {
        self.sources.insert(Source::Dns);
        let text = name.to_string();
        if !self.names.add(name, now) {
            self.emit(Event::Unavailable {
                what: format!("the name {text}"),
                reason: "too many names were given before it".into(),
            });
        }
    }

    /// Begins the lookups that are due.
    pub(super) fn look_up(&mut self, now: Instant) {
        let wanted = self.peers.called() < self.limits.wanted_peers;
        for name in self.names.due(now, wanted) {
            let found = resolve::look_up(name.clone(), self.resolver);
            self.lookups.push(found.map(|found| (name, found)).boxed());
        }
    }

    /// A lookup has ended.
    pub(super) fn on_looked_up(
        &mut self,
        name: &Multiaddr,
        found: Result<Vec<Multiaddr>, LookupError>,
    ) {
        let trouble = found.as_ref().err().map(ToString::to_string);
        let is_new = self.names.answered(name, trouble.clone(), Instant::now());
        if let Some(reason) = trouble.filter(|_| is_new) {
            self.emit(Event::Unavailable {
                what: format!("the name {name}"),
                reason,
            });
        }
        if let Ok(addresses) = found {
            self.add_addresses(Source::Dns, addresses);
        }
    }
}
