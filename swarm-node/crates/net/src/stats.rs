//! What the network counted since it was started.

/// Counters; they only rise, but for the ones that say *now*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Peers connected now.
    pub peers: u64,
    /// Of them, those that only a relay leads to, now.
    pub relayed_peers: u64,
    /// Connections that were opened, in both directions.
    pub connections: u64,
    /// Incoming connections that were refused or failed before they were established.
    pub incoming_failed: u64,
    /// Dials that failed.
    pub dials_failed: u64,
    /// Connections that were closed because their pings no longer came back.
    pub connections_dead: u64,
    /// Records that neighbours sent and that were new.
    pub records_received: u64,
    /// Bytes of them.
    pub record_bytes_received: u64,
    /// Records that this node published.
    pub records_published: u64,
    /// Records that this node could not publish: the outbox was full.
    pub records_unsent: u64,
    /// Records that wait for a neighbour, now.
    pub outbox: u64,
    /// Received records that were dropped because their sender is over its quota.
    pub records_over_quota: u64,
    /// Received records and requests that were dropped because the daemon did not take its events
    /// in time.
    pub events_dropped: u64,
    /// Records that were judged good and forwarded.
    pub records_accepted: u64,
    /// Records that were judged neither good nor bad.
    pub records_ignored: u64,
    /// Records that were judged provably wrong.
    pub records_rejected: u64,
    /// Verdicts that came too late, or about records that were not pending.
    pub verdicts_late: u64,
    /// Requests of others that were handed to the daemon.
    pub requests_received: u64,
    /// Requests of others that were refused: over a quota, or too many waiting.
    pub requests_refused: u64,
    /// Requests of others that broke off, were too long, or came too slowly.
    pub requests_bad: u64,
    /// Requests of this node that were answered.
    pub requests_answered: u64,
    /// Requests of this node that were not.
    pub requests_failed: u64,
    /// Relayed connections that became direct ones by hole punching.
    pub holes_punched: u64,
    /// Hole punching that failed.
    pub holes_failed: u64,
    /// Peers that were banned.
    pub bans: u64,
    /// Peers banned now.
    pub banned: u64,
    /// Bytes of blobs that were sent.
    pub blob_bytes_sent: u64,
    /// Bytes of blobs that were received and right.
    pub blob_bytes_received: u64,
    /// Bytes of frames that were sent on channels.
    pub channel_bytes_sent: u64,
    /// Bytes of frames that came on channels.
    pub channel_bytes_received: u64,
    /// Pieces of blobs that did not match their hash.
    pub pieces_wrong: u64,
}
