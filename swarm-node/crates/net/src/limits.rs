//! The one policy file: every limit, quota, score and ban of the network.
//!
//! Callers say what a peer did ([`Behaviour`]); what that costs, and when it is too much, stands
//! here. Sizes that both ends of a protocol must agree on are constants, what an operator may tune
//! is a field of [`Limits`].
//!
//! ```text
//! points        0 ───────────── −40 ─────────── −100
//! the peer's    full service    no gossip to     banned: 10 min, 20 min, … 24 h
//!                               or from it
//! ```
//! Points come back towards 0 by half every [`SCORE_HALF_LIFE`].

use std::time::Duration;

/// Longest record that is gossiped, in bytes.
pub const MAX_RECORD_BYTES: usize = 64 * 1024;
/// What a gossip frame may have beside its record, in bytes.
pub const GOSSIP_OVERHEAD_BYTES: usize = 4 * 1024;
/// Longest request, in bytes.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;
/// Longest answer to a request, in bytes; larger things are blobs.
pub const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// Time in which a record must be judged; neighbours do not get it later, in seconds.
pub const JUDGE_WITHIN_SECONDS: usize = 10;
/// How long the identifier of a record is known, so that it is not delivered twice.
pub const RECORD_MEMORY: Duration = Duration::from_secs(300);

/// Addresses that are kept of one peer.
pub const MAX_ADDRESSES_PER_PEER: usize = 8;
/// Peers that the file of known addresses holds.
pub const MAX_CACHED_PEERS: usize = 256;
/// Peers and addresses that the node tries to reach.
pub const MAX_DIAL_TARGETS: usize = 512;
/// The longest text of another node's program that is kept, in bytes.
pub const MAX_AGENT_BYTES: usize = 64;

/// Longest text of addresses on a chain, in bytes: what `SwarmMembers` takes.
pub const MAX_ANNOUNCEMENT_BYTES: usize = 1024;
/// Addresses that are taken of one offer.
pub const MAX_OFFERED: usize = 64;
/// Names that are looked up.
pub const MAX_NAMES: usize = 64;
/// Names that records may lead to one after another.
pub const MAX_NAME_DEPTH: usize = 4;
/// Lookups for one name, of those that its records lead to included.
pub const MAX_LOOKUPS: usize = 32;
/// Records of one name that are read.
pub const MAX_TEXTS: usize = 64;
/// Addresses that one name gives.
pub const MAX_NAME_ADDRESSES: usize = 32;
/// Time for looking up a name with all that its records lead to.
pub const LOOKUP_TIME: Duration = Duration::from_secs(30);
/// Time after which a name that gave addresses is looked up again while the node wants peers.
pub const NAME_PERIOD: Duration = Duration::from_secs(300);

/// First pause after a dial that failed; it doubles with each further one.
pub const DIAL_PAUSE_FIRST: Duration = Duration::from_secs(1);
/// Longest pause between two dials of one target.
pub const DIAL_PAUSE_LONGEST: Duration = Duration::from_secs(300);
/// Dials under way at once, of those that the node starts by itself.
pub const DIALS_AT_ONCE: usize = 8;
/// Failed dials after which a target that was never reached, not even by an earlier run, is given
/// up.
pub const DIAL_TRIES: u32 = 12;

/// Time for a search for further peers; those that it has found are known before.
pub const SEARCH_TIME: Duration = Duration::from_secs(15);
/// Time after which a peer is asked again what it speaks and where it is. It would push what
/// changes, a relay's place for example, but by a stream that is gone before the receiver has
/// agreed to its protocol (V1Lazy), so that pushes over QUIC do not arrive.
pub const IDENTIFY_INTERVAL: Duration = Duration::from_secs(10);
/// Time between two pings of a connection.
pub const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Time in which a ping must come back.
pub const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Pings in a row that may fail before a connection is closed.
pub const PING_FAILURES: u32 = 3;

/// Relays that a node holds reservations with while nobody can reach it directly.
pub const RELAYS_WANTED: usize = 2;
/// Tests by which others reach a node that must fail before it counts as private at once. Each
/// address is tested once.
pub const UNREACHABLE_AFTER: usize = 2;
/// Time without a success after which a single test that failed is enough: a node that calls others
/// by one transport has no second address to be tested.
pub const UNREACHABLE_WAIT: Duration = Duration::from_secs(15);
/// Addresses at which peers say they see this node that are tested in one period.
pub const MAX_CANDIDATES: usize = 32;
/// The period of that limit.
pub const CANDIDATE_PERIOD: Duration = Duration::from_secs(1800);
/// What one circuit of a relay carries, in bytes: control messages of hours, no blobs.
pub const CIRCUIT_BYTES: u64 = 32 << 20;
/// How long one circuit of a relay lasts.
pub const CIRCUIT_TIME: Duration = Duration::from_secs(3600);

/// Jobs that a node has channels for at once. Each may leave a stream of a connection unread, which
/// must not stop what else the connection carries, so the windows of the transport follow from it.
pub const MAX_CHANNEL_JOBS: usize = 4;
/// Members of one job.
pub const MAX_CHANNEL_MEMBERS: usize = 256;
/// Time in which the first frame of a channel must come.
pub const CHANNEL_HELLO_TIME: Duration = Duration::from_secs(5);
/// Time for opening a channel: a call, its handshakes, the first frame and its answer.
pub const CHANNEL_OPEN_TIME: Duration = Duration::from_secs(15);
/// Pause after a channel could not be opened for the first time; it doubles with each further one.
pub const CHANNEL_PAUSE_FIRST: Duration = Duration::from_millis(100);
/// Longest pause between two attempts to open a channel.
pub const CHANNEL_PAUSE_LONGEST: Duration = Duration::from_secs(5);
/// Between two signs of life of who receives on a channel.
pub const CHANNEL_PULSE: Duration = Duration::from_secs(1);
/// Incoming channels of one peer that have not said yet which job they are for.
pub const CHANNEL_HELLOS_PER_PEER: usize = 4;
/// The same of all peers that are members of no job here. Members have places of their own.
pub const CHANNEL_HELLOS_OF_STRANGERS: usize = 32;

/// Peers whose score is remembered; those nearest to 0 are forgotten first.
pub const MAX_SCORED_PEERS: usize = 4096;
/// Time after which half of a score is forgotten.
pub const SCORE_HALF_LIFE: Duration = Duration::from_secs(600);
/// Below this score there is no gossip with a peer.
pub const GRAYLIST_SCORE: f64 = -40.0;
/// Below this score a peer is banned.
pub const BAN_SCORE: f64 = -100.0;
/// The highest score; good service in the past excuses little.
pub const MAX_SCORE: f64 = 20.0;
/// First ban; it doubles each time.
pub const BAN_FIRST: Duration = Duration::from_secs(600);
/// Longest ban.
pub const BAN_LONGEST: Duration = Duration::from_secs(24 * 3600);

/// What a peer did, as seen by whoever reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Behaviour {
    /// It sent a record that was new and right.
    UsefulRecord,
    /// It answered a request.
    UsefulAnswer,
    /// It sent pieces of a blob that are right.
    UsefulPiece,
    /// It sent a record that is provably wrong: bad signature, impossible content.
    InvalidRecord,
    /// It signed two messages for one place.
    Equivocation,
    /// Its bytes are not what the protocol allows.
    Malformed,
    /// It announced or sent more bytes than the protocol allows.
    Oversize,
    /// It sent more messages than its quota.
    Flood,
    /// It began something and did not go on in time.
    Stalled,
    /// It sent a piece of a blob that does not lead to the blob's hash.
    WrongPiece,
    /// It refused or failed what it had offered.
    Unhelpful,
    /// It opened a channel of a job that it is no member of.
    NoMember,
}

impl Behaviour {
    /// What a behaviour adds to a score.
    pub fn points(self) -> f64 {
        match self {
            Self::UsefulRecord => 0.05,
            Self::UsefulAnswer => 0.1,
            Self::UsefulPiece => 0.02,
            Self::InvalidRecord | Self::Malformed => -20.0,
            Self::Equivocation | Self::WrongPiece => -50.0,
            Self::Oversize => -25.0,
            Self::Flood => -2.0,
            Self::Stalled | Self::NoMember => -4.0,
            Self::Unhelpful => -0.5,
        }
    }

    /// The behaviour in a few words, for logs and `peers`.
    pub fn describe(self) -> &'static str {
        match self {
            Self::UsefulRecord => "useful records",
            Self::UsefulAnswer => "useful answers",
            Self::UsefulPiece => "useful pieces",
            Self::InvalidRecord => "invalid records",
            Self::Equivocation => "two messages for one place",
            Self::Malformed => "malformed bytes",
            Self::Oversize => "oversized messages",
            Self::Flood => "more messages than its quota",
            Self::Stalled => "stalled streams",
            Self::WrongPiece => "pieces that do not match their hash",
            Self::Unhelpful => "refused requests",
            Self::NoMember => "channels of jobs of others",
        }
    }
}

/// A rate, and what may come at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Units per second.
    pub per_second: f64,
    /// Units at once.
    pub burst: f64,
}

/// What an operator may tune.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Connections that others opened.
    pub incoming: u32,
    /// Connections that this node opened. They have places of their own, so that strangers who fill
    /// all incoming ones cannot cut the node off.
    pub outgoing: u32,
    /// Handshakes under way, in each direction.
    pub pending: u32,
    /// Connections with one peer: 4 by two transports in both directions, and as many to the process
    /// that takes the place of one that was killed, or that is a copy of it.
    pub per_peer: u32,
    /// Incoming connections from one IPv4 address or one IPv6 /64, established and under way.
    pub per_address: u32,
    /// New incoming connections from one address.
    pub new_per_address: Rate,
    /// Whether the two limits above hold for loopback, too, where all nodes of a test live.
    pub limit_loopback: bool,
    /// Streams that a peer may hold open on one connection.
    pub streams_per_connection: usize,
    /// New connections are refused while the process has more than this share of the machine's
    /// memory; between 0 and 1.
    pub memory_share: f64,
    /// Peers that the node tries to have by calling those that it knows. Whoever called it does not
    /// count, so that a crowd of strangers cannot keep it from calling others.
    pub wanted_peers: usize,
    /// Time after which a connection that nothing uses is closed.
    pub idle: Duration,
    /// Gossiped records of one neighbour.
    pub records_per_peer: Rate,
    /// Gossiped bytes of one neighbour.
    pub record_bytes_per_peer: Rate,
    /// Requests of one peer.
    pub requests_per_peer: Rate,
    /// Requests of one peer on one connection that wait for their answers.
    pub waiting_per_peer: usize,
    /// Requests of all peers that wait for their answers.
    pub waiting: usize,
    /// Time for a request, from its first byte to the last one of its answer.
    pub request_time: Duration,
    /// Records that wait until a neighbour can take them.
    pub outbox: usize,
    /// Events that wait until the daemon takes them; further records and requests are dropped.
    pub events: usize,
    /// Nodes that a relay holds a place for.
    pub relay_places: usize,
    /// Circuits that a relay carries at once.
    pub circuits: usize,
    /// Blobs that are uploaded at once, to all peers.
    pub uploads: usize,
    /// Blobs that one peer may fetch at once.
    pub uploads_per_peer: usize,
    /// Bytes of blobs that are sent, per second, to all peers.
    pub upload: Rate,
    /// Time in which a stream of a blob must make progress.
    pub stream_time: Duration,
    /// Longest blob that is fetched or served, in bytes.
    pub blob_bytes: u64,
}

const MIB: f64 = (1 << 20) as f64;

impl Default for Limits {
    fn default() -> Self {
        Self {
            incoming: 128,
            outgoing: 64,
            pending: 64,
            per_peer: 8,
            per_address: 16,
            new_per_address: Rate {
                per_second: 4.0,
                burst: 32.0,
            },
            limit_loopback: false,
            streams_per_connection: 256,
            memory_share: 0.9,
            wanted_peers: 24,
            idle: Duration::from_secs(600),
            records_per_peer: Rate {
                per_second: 100.0,
                burst: 2000.0,
            },
            record_bytes_per_peer: Rate {
                per_second: 2.0 * MIB,
                burst: 32.0 * MIB,
            },
            requests_per_peer: Rate {
                per_second: 10.0,
                burst: 100.0,
            },
            waiting_per_peer: 16,
            waiting: 256,
            request_time: Duration::from_secs(10),
            outbox: 256,
            events: 512,
            relay_places: 128,
            circuits: 32,
            uploads: 16,
            uploads_per_peer: 2,
            upload: Rate {
                per_second: 1024.0 * MIB,
                burst: 64.0 * MIB,
            },
            stream_time: Duration::from_secs(20),
            blob_bytes: 64 << 30,
        }
    }
}

/// What one job's channels may take. Memory stays below
/// `members × (queue_bytes + frame_bytes) + waiting_bytes + frame_bytes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelLimits {
    /// Longest frame, in bytes. Members that do not agree on it blame each other.
    pub frame_bytes: u32,
    /// Frames that wait for one member.
    pub queue_frames: usize,
    /// Bytes of them. A queue that is empty takes any frame.
    pub queue_bytes: usize,
    /// Frames that came and were not taken yet, from all members. While there are as many, nothing
    /// is read, and the senders wait.
    pub waiting_frames: usize,
    /// Bytes of them. If none waits, any frame is read.
    pub waiting_bytes: u32,
    /// Time without a stream after which a member is down.
    pub patience: Duration,
    /// Time without a sign of life after which a stream is given up.
    pub silence: Duration,
    /// Time in which a frame must go on: 64 KiB of it must come, or a byte of it must be taken.
    pub stall: Duration,
}

impl Default for ChannelLimits {
    fn default() -> Self {
        Self {
            frame_bytes: 64 << 20,
            queue_frames: 256,
            queue_bytes: 256 << 20,
            waiting_frames: 64,
            waiting_bytes: 256 << 20,
            patience: Duration::from_secs(3),
            silence: 4 * CHANNEL_PULSE,
            stall: Duration::from_secs(20),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_cost_more_than_service_earns_and_provable_ones_soon_ban() {
        let good = [
            Behaviour::UsefulRecord,
            Behaviour::UsefulAnswer,
            Behaviour::UsefulPiece,
        ];
        assert!(good.iter().all(|behaviour| behaviour.points() > 0.0));
        let provable = [
            Behaviour::InvalidRecord,
            Behaviour::Equivocation,
            Behaviour::Malformed,
            Behaviour::Oversize,
            Behaviour::WrongPiece,
        ];
        for fault in provable {
            assert!(MAX_SCORE + 6.0 * fault.points() <= BAN_SCORE, "{fault:?}");
        }
        // What a slow or busy peer does by chance takes many times.
        for chance in [
            Behaviour::Stalled,
            Behaviour::Flood,
            Behaviour::Unhelpful,
            Behaviour::NoMember,
        ] {
            assert!(10.0 * chance.points() > BAN_SCORE, "{chance:?}");
        }
    }
}
