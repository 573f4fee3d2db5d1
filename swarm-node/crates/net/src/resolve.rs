//! From a name to the addresses that it stands for, within limits.
//!
//! ```text
//! /dnsaddr/NAME[/p2p/ID] ── TXT of _dnsaddr.NAME: dnsaddr=ADDRESS … ──▶ ADDRESS …
//! /dns[4|6]/NAME/REST ───── A, AAAA of NAME ─────────────────────────▶ /ip4/…/REST, /ip6/…/REST
//! ```
//! (libp2p's specification `addressing`, section *dnsaddr links*.) An ADDRESS may begin with a name
//! again; depth, lookups and addresses are bounded ([`crate::limits`]), so that records which lead
//! in a circle end. Whoever answers for a name may lie: an address counts only if it can be called
//! (`address::is_plain`), if it names its peer, and if that is the one asked for; the peer then
//! proves its identity in the handshake. Names are looked up here and not by the transport, so that
//! each peer behind a name is called by itself, and nothing but what the operator wrote is ever
//! resolved.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ProtocolConfig, ResolverConfig,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use thiserror::Error;
use tokio::time::timeout;

use crate::limits::{LOOKUP_TIME, MAX_LOOKUPS, MAX_NAME_ADDRESSES, MAX_NAME_DEPTH, MAX_TEXTS};
use crate::{address, names, peer_id};

/// What the text of a record begins with.
const KEY: &str = "dnsaddr=";
/// What a name's records are kept under.
const PREFIX: &str = "_dnsaddr.";
/// Time in which a server must answer one question.
const ANSWER_TIME: Duration = Duration::from_secs(4);

/// Why a name gives no address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum LookupError {
    /// The system names no server.
    #[error("there is no DNS server ({0}); name one with --set net.resolver=ADDRESS:PORT")]
    NoResolver(String),
    /// Nobody answered, or it has no record.
    #[error("{0}")]
    Server(String),
    /// It has records, and none of them is an address that can be called.
    #[error("none of its records is the address of a peer that can be called")]
    Nothing,
    /// The answer takes too long.
    #[error("no answer within {} s", LOOKUP_TIME.as_secs())]
    Late,
}

/// Which addresses of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
    Both,
}

/// Whoever answers for names.
pub(crate) trait Records {
    /// The texts at a name.
    async fn texts(&self, name: &str) -> Result<Vec<String>, LookupError>;
    /// The IP addresses of a name.
    async fn addresses(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, LookupError>;
}

/// The addresses that a name stands for, looked up with this server or with the system's.
///
/// # Errors
/// [`LookupError`]; nothing here is fatal.
pub(crate) async fn look_up(
    address: Multiaddr,
    server: Option<SocketAddr>,
) -> Result<Vec<Multiaddr>, LookupError> {
    let found = async {
        // Made anew each time: a laptop has other servers in another network, or none at start.
        let server = NameServer::new(server)?;
        expand(&server, address).await
    };
    timeout(LOOKUP_TIME, found)
        .await
        .map_err(|_| LookupError::Late)?
}

/// An address on the way to one without a name.
struct Step {
    address: Multiaddr,
    depth: usize,
    /// Records led here, which must name the peer.
    is_told: bool,
}

async fn expand(records: &impl Records, name: Multiaddr) -> Result<Vec<Multiaddr>, LookupError> {
    let (mut found, mut first_error) = (Vec::new(), None);
    let (mut steps, mut lookups) = (VecDeque::new(), 0);
    steps.push_back(Step {
        address: name,
        depth: 0,
        is_told: false,
    });
    while let Some(step) = steps.pop_front() {
        if found.len() == MAX_NAME_ADDRESSES {
            break;
        }
        if !names::is_name(&step.address) {
            if can_be_called(&step) && !found.contains(&step.address) {
                found.push(step.address);
            }
            continue;
        }
        if step.depth == MAX_NAME_DEPTH || lookups == MAX_LOOKUPS {
            continue;
        }
        lookups += 1;
        match follow(records, &step).await {
            // Every text may be asked about once, and what is found is bounded, too.
            Ok(next) => steps.extend(next.into_iter().take(MAX_TEXTS)),
            Err(error) => _ = first_error.get_or_insert(error),
        }
    }
    match found.is_empty() {
        true => Err(first_error.unwrap_or(LookupError::Nothing)),
        false => Ok(found),
    }
}

fn can_be_called(
    Step {
        address, is_told, ..
    }: &Step,
) -> bool {
    let names_peer = match address::peer(address) {
        Some(peer) => peer_id::from_libp2p(&peer).is_ok(),
        None => !is_told,
    };
    let reach = address::ip(address).and_then(address::reach);
    names_peer && reach.is_some() && address::is_plain(&address::without_peer(address.clone()))
}

/// What one name leads to.
async fn follow(records: &impl Records, step: &Step) -> Result<Vec<Step>, LookupError> {
    let mut parts = step.address.iter();
    let (name, rest) = (parts.next(), parts.collect::<Multiaddr>());
    let depth = step.depth + 1;
    let (name, family) = match name {
        Some(Protocol::Dnsaddr(name)) => {
            let texts = records.texts(&format!("{PREFIX}{name}")).await?;
            let told = texts.iter().filter_map(|text| told(text, &rest));
            let next = told.map(|address| Step {
                address,
                depth,
                is_told: true,
            });
            return Ok(next.collect());
        }
        Some(Protocol::Dns4(name)) => (name, Family::V4),
        Some(Protocol::Dns6(name)) => (name, Family::V6),
        Some(Protocol::Dns(name)) => (name, Family::Both),
        _ => return Ok(Vec::new()),
    };
    let ips = records.addresses(&name, family).await?;
    let next = ips.into_iter().map(|ip| Step {
        address: std::iter::once(Protocol::from(ip)).chain(&rest).collect(),
        depth,
        is_told: step.is_told,
    });
    Ok(next.collect())
}

/// The address in a record's text, if it ends with what follows the name: the peer, where one is
/// asked for.
pub fn told(text: &str, rest: &Multiaddr) -> Option<Multiaddr> {
    let address: Multiaddr = text.trim().strip_prefix(KEY)?.parse().ok()?;
    address.ends_with(rest).then_some(address)
}

/// A DNS server.
struct NameServer(TokioResolver);

impl NameServer {
    fn new(server: Option<SocketAddr>) -> Result<Self, LookupError> {
        let none = |error: &dyn std::fmt::Display| LookupError::NoResolver(error.to_string());
        let provider = TokioRuntimeProvider::default();
        let mut builder = match server {
            None => TokioResolver::builder(provider).map_err(|error| none(&error))?,
            Some(server) => {
                let by = |protocol| {
                    let mut connection = ConnectionConfig::new(protocol);
                    connection.port = server.port();
                    connection
                };
                let connections = vec![by(ProtocolConfig::Udp), by(ProtocolConfig::Tcp)];
                let server = NameServerConfig::new(server.ip(), true, connections);
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
                TokioResolver::builder_with_config(config, provider)
            }
        };
        let options = builder.options_mut();
        (options.timeout, options.attempts) = (ANSWER_TIME, 2);
        builder.build().map(Self).map_err(|error| none(&error))
    }
}

fn refused(error: impl std::fmt::Display) -> LookupError {
    LookupError::Server(error.to_string())
}

impl Records for NameServer {
    async fn texts(&self, name: &str) -> Result<Vec<String>, LookupError> {
        let found = self.0.txt_lookup(name).await.map_err(refused)?;
        let texts = found
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                // A long text is cut into strings of 255 bytes.
                RData::TXT(text) => String::from_utf8(text.txt_data.concat()).ok(),
                _ => None,
            });
        Ok(texts.take(MAX_TEXTS).collect())
    }

    async fn addresses(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, LookupError> {
        let found = match family {
            Family::Both => {
                let found = self.0.lookup_ip(name).await.map_err(refused)?;
                return Ok(found.iter().take(MAX_NAME_ADDRESSES).collect());
            }
            Family::V4 => self.0.ipv4_lookup(name).await,
            Family::V6 => self.0.ipv6_lookup(name).await,
        };
        let found = found.map_err(refused)?;
        let ips = found
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::A(ip) => Some(IpAddr::V4(ip.0)),
                RData::AAAA(ip) => Some(IpAddr::V6(ip.0)),
                _ => None,
            });
        Ok(ips.take(MAX_NAME_ADDRESSES).collect())
    }
}

#[cfg(test)]
mod tests;
