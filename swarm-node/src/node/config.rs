//! The settings of a running node.

use swarm_settings::{Kind, section};

section! {
    /// A running node.
    pub struct NodeConfig: "node" {
        /// Folder of what the node keeps; empty takes ~/.swarm-node.
        home: String = "", Kind::Text;
        /// A worker takes part with its model; an observer follows, votes and keeps what is
        /// decided.
        role: String = "worker", Kind::Choice(&["worker", "observer"]);
        /// Checkpoint that the swarm's model starts from; empty takes the shipped one.
        base: String = "", Kind::Text;
        /// Families on which the node answers practice questions in an open swarm, separated by
        /// commas; empty for all.
        families: String = "", Kind::Text;
        /// Hours of the local day in which the model works, like 22:00-06:30, several separated by
        /// commas; empty for all.
        hours: String = "", Kind::Text;
        /// Whether the model works while the machine runs on battery.
        on_battery: bool = "true", Kind::Boolean;
        /// Load of the machine, the node's own included, above which the model rests; 0 for any.
        max_load: f64 = "0", Kind::Number(0.0, 10_000.0);
        /// Own groups per training step.
        own: usize = "4", Kind::Integer(0, 1024);
        /// Groups of other peers per training step.
        external: usize = "12", Kind::Integer(0, 1024);
        /// Most groups of one other peer in a training step, in percent; one is always allowed.
        peer_percent: usize = "34", Kind::Integer(1, 100);
        /// Checkpoints to keep.
        keep: usize = "3", Kind::Integer(2, 1000);
        /// Decided rounds to keep, for peers who missed them and for a chain that is away.
        keep_rounds: u64 = "20000", Kind::Integer(100, 10_000_000);
        /// Tokens below which a reward waits to be claimed, as the claim would cost more gas than
        /// it is worth.
        claim_from: f64 = "0", Kind::Number(0.0, 1e12);
        /// Proposes outcomes and objects to false ones, with a bond of the owner's tokens; without
        /// it the node votes, brings what is agreed on to the chain, and claims.
        bonds: bool = "false", Kind::Boolean;
        /// Address of the local API, on loopback; port 0 takes a free one.
        api: String = "127.0.0.1:0", Kind::Text;
        /// How the log is written to standard error: for people, or as JSON, one object a line.
        log: String = "text", Kind::Choice(&["text", "json"]);
        /// What the log tells: warnings, the usual course of things, or every detail.
        log_level: String = "info", Kind::Choice(&["warn", "info", "debug", "trace"]);
        /// Files of the log that are kept in the node's folder, one a day; 0 keeps none.
        log_files: usize = "7", Kind::Integer(0, 10_000);
    }
}

section! {
    /// The node's network.
    pub struct NetConfig: "net" {
        /// Addresses to listen on, separated by commas; empty takes a free port for QUIC and TCP on
        /// every address of this machine.
        listen: String = "", Kind::Text;
        /// Addresses under which others reach this node, separated by commas, if it cannot find
        /// them out.
        external: String = "", Kind::Text;
        /// Addresses of peers to join by, separated by commas, beside the swarm file's; also names
        /// that are looked up, like /dnsaddr/NAME or /dns/NAME/udp/4001/quic-v1.
        peers: String = "", Kind::Text;
        /// DNS server for these names, an address with or without a port; empty takes the system's.
        resolver: String = "", Kind::Text;
        /// Looks for peers among the announcements on the chain on which the swarm settles; this
        /// needs no wallet.
        chain: bool = "true", Kind::Boolean;
        /// Announces on that chain where others reach this node, when that has changed and at most
        /// once in so many hours; each time costs the owner about 31,000 gas. 0 announces nothing.
        announce_hours: f64 = "0", Kind::Number(0.0, 8_760.0);
        /// Finds peers in the local network by multicast DNS.
        mdns: bool = "true", Kind::Boolean;
        /// Asks the router for an open port by UPnP.
        upnp: bool = "true", Kind::Boolean;
        /// Part of this machine's memory, in percent, above which the node takes no new
        /// connections.
        memory_percent: f64 = "90", Kind::Number(1.0, 100.0);
        /// Relays messages for nodes that others cannot reach.
        relay: bool = "false", Kind::Boolean;
    }
}
