//! Raw streams of one protocol, as a part of the swarm.
//!
//! ```text
//! open(peer) ─▶ direct connection? ─yes─▶ new stream on it ─▶ whoever asked
//!                    └─no─▶ call the peer ─▶ …
//! incoming   ─▶ queue has room? ─yes─▶ the server        no ─▶ closed, counted
//! ```
//! Streams are opened on direct connections only: a relay's circuit is for control messages. The
//! queue of incoming streams is bounded, and what does not fit is closed at once.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::task::{Context, Poll, Waker};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, NotifyHandler, StreamUpgradeError, SubstreamProtocol, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::address;

/// Streams that wait for a connection, in all.
const MAX_WAITING: usize = 256;

/// Why there is no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum OpenError {
    /// No direct connection, and none can be made.
    #[error("no direct connection with the peer")]
    Unreachable,
    /// The peer does not speak the protocol.
    #[error("the peer does not speak the protocol")]
    Unsupported,
    /// It broke off, or too many streams are being opened.
    #[error("the peer broke off")]
    Broken,
}

/// Where a stream goes.
pub(crate) type Opened = oneshot::Sender<Result<Stream, OpenError>>;
/// A stream that a peer opened.
pub(crate) type Incoming = (PeerId, Stream);

/// Streams of one protocol.
#[derive(Debug)]
pub(crate) struct Behaviour {
    protocol: StreamProtocol,
    incoming: mpsc::Sender<Incoming>,
    direct: HashMap<PeerId, Vec<ConnectionId>>,
    waiting: HashMap<PeerId, Vec<Opened>>,
    actions: VecDeque<ToSwarm<Infallible, Opened>>,
    waker: Option<Waker>,
}

impl Behaviour {
    pub(crate) fn new(protocol: StreamProtocol, incoming: mpsc::Sender<Incoming>) -> Self {
        Self {
            protocol,
            incoming,
            direct: HashMap::new(),
            waiting: HashMap::new(),
            actions: VecDeque::new(),
            waker: None,
        }
    }

    /// Opens a stream with a peer, over a direct connection.
    pub(crate) fn open(&mut self, peer: PeerId, opened: Opened) {
        let direct = self.direct.get(&peer).and_then(|links| links.last());
        match direct {
            Some(connection) => self.ask(peer, *connection, opened),
            None => self.call(peer, opened),
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn ask(&mut self, peer_id: PeerId, connection: ConnectionId, event: Opened) {
        self.actions.push_back(ToSwarm::NotifyHandler {
            peer_id,
            handler: NotifyHandler::One(connection),
            event,
        });
    }

    fn call(&mut self, peer: PeerId, opened: Opened) {
        if self.waiting.values().map(Vec::len).sum::<usize>() >= MAX_WAITING {
            return drop(opened.send(Err(OpenError::Broken)));
        }
        let waiting = self.waiting.entry(peer).or_default();
        waiting.push(opened);
        if waiting.len() == 1 {
            // A relayed connection does not count, so the condition is not that there is none.
            let options = DialOpts::peer_id(peer).condition(PeerCondition::NotDialing);
            self.actions.push_back(ToSwarm::Dial {
                opts: options.build(),
            });
        }
    }

    fn handler(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        remote: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        if !address::is_relayed(remote) {
            self.direct.entry(peer).or_default().push(connection);
        }
        Ok(Handler {
            peer,
            protocol: self.protocol.clone(),
            incoming: self.incoming.clone(),
            opening: VecDeque::new(),
            waker: None,
        })
    }

    /// Serves whoever waited for a connection.
    fn connected(&mut self, peer: PeerId, connection: ConnectionId) {
        let is_direct = self
            .direct
            .get(&peer)
            .is_some_and(|links| links.contains(&connection));
        if !is_direct {
            return;
        }
        for opened in self.waiting.remove(&peer).unwrap_or_default() {
            self.ask(peer, connection, opened);
        }
    }

    fn closed(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(links) = self.direct.get_mut(&peer) {
            links.retain(|link| *link != connection);
            if links.is_empty() {
                self.direct.remove(&peer);
            }
        }
    }

    fn unreachable(&mut self, peer: PeerId) {
        for opened in self.waiting.remove(&peer).unwrap_or_default() {
            // Whoever asked may have given up.
            let _ = opened.send(Err(OpenError::Unreachable));
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.handler(peer, connection, &address::remote(local, remote))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.handler(peer, connection, remote)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(opened) => {
                self.connected(opened.peer_id, opened.connection_id);
            }
            FromSwarm::ConnectionClosed(closed) => {
                self.closed(closed.peer_id, closed.connection_id);
            }
            FromSwarm::DialFailure(failed) => {
                if let Some(peer) = failed.peer_id {
                    self.closed(peer, failed.connection_id);
                    self.unreachable(peer);
                }
            }
            FromSwarm::ListenFailure(failed) => {
                if let Some(peer) = failed.peer_id {
                    self.closed(peer, failed.connection_id);
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        match self.actions.pop_front() {
            Some(action) => Poll::Ready(action),
            None => {
                self.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Streams of one connection.
#[derive(Debug)]
pub(crate) struct Handler {
    peer: PeerId,
    protocol: StreamProtocol,
    incoming: mpsc::Sender<Incoming>,
    opening: VecDeque<Opened>,
    waker: Option<Waker>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Opened;
    type ToBehaviour = Infallible;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Opened;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(self.protocol.clone()), ())
    }

    fn on_behaviour_event(&mut self, opened: Opened) {
        self.opening.push_back(opened);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Opened, Infallible>> {
        match self.opening.pop_front() {
            Some(opened) => {
                let upgrade = ReadyUpgrade::new(self.protocol.clone());
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                    protocol: SubstreamProtocol::new(upgrade, opened),
                })
            }
            None => {
                self.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, (), Opened>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: stream,
                ..
            }) => {
                // A full queue closes the stream; the peer sees that no answer comes.
                let _ = self.incoming.try_send((self.peer, stream));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info: opened,
            }) => drop(opened.send(Ok(stream))),
            ConnectionEvent::DialUpgradeError(failed) => {
                let error = match failed.error {
                    StreamUpgradeError::NegotiationFailed => OpenError::Unsupported,
                    _ => OpenError::Broken,
                };
                drop(failed.info.send(Err(error)));
            }
            _ => {}
        }
    }
}
