//! Nodes as processes on loopback, through the real network: scenarios, and one node's commands.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::devchain::{self, DevChain};
use crate::node::{Ended, command, node, node_with};

/// A member that is killed and started again: every round is decided at every node with one digest,
/// and everybody's points are in it.
#[test]
fn processes_agree_while_one_is_killed_and_started_again() {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/lab/restart.toml");
    let ended = node(&["lab", scenario, "--json"]);
    ended.expect(0, &["round 0 is decided everywhere"]);
    let found = ended.json();
    assert_eq!(found["failures"], Value::Array(Vec::new()));
    for round in found["rounds"].as_array().unwrap() {
        assert_eq!(round["digests"].as_array().unwrap().len(), 1, "{round}");
        assert_eq!(round["nodes"], 4, "{round}");
    }
    for one in found["nodes"].as_array().unwrap() {
        assert!(one["points"].as_i64().unwrap() > 0, "{one}");
        assert!(one["learned"].as_u64().unwrap() > 0, "{one}");
    }
}

/// Two members behind routers that nobody gets through from outside: they find each other by the
/// relay, and a hole is punched between them.
#[test]
fn members_behind_cone_nats_meet_through_a_relay_and_are_connected_directly() {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/lab/cone-nat.toml");
    let ended = node(&["lab", scenario, "--json"]);
    let found = ended.json();
    if let Some(reason) = found["skipped"].as_str() {
        return eprintln!("skipped: {reason}");
    }
    ended.expect(0, &["round 0 is decided everywhere"]);
    assert_eq!(found["failures"], Value::Array(Vec::new()));
    for (one, other) in [(1, 2), (2, 1)] {
        let direct = found["nodes"][one]["direct"].as_array().unwrap();
        assert!(direct.contains(&other.into()), "{found}");
    }
    assert!(found["traffic"]["refused"].as_u64().unwrap() > 0, "{found}");
}
/// Where a node listens.
const LISTEN: &str = "/ip4/127.0.0.1/udp/0/quic-v1,/ip4/127.0.0.1/tcp/0";

/// The folder of one node, whose process is killed when the test ends.
pub struct Node {
    folder: tempfile::TempDir,
    process: Option<Child>,
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Node {
    /// A folder with nothing in it.
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            process: None,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command about this node.
    fn run(&self, arguments: &[&str]) -> Ended {
        let home = self.path("home");
        let mut all = arguments.to_vec();
        all.extend(["--home", home.to_str().unwrap()]);
        node(&all)
    }

    fn init(&self) -> String {
        let ended = self.run(&["init", "--json"]);
        ended.expect(0, &[]);
        ended.json()["peer"].as_str().unwrap().to_owned()
    }

    /// Writes the file of a swarm whose only member is this node.
    pub fn found_swarm(&self, starts_in: &str) -> PathBuf {
        let (peer, file) = (self.init(), self.path("swarm.toml"));
        let file_text = file.to_str().unwrap();
        let new = [
            "swarm",
            "new",
            file_text,
            "--member",
            &peer,
            "--starts-in",
            starts_in,
            "--window",
            "500",
        ];
        self.run(&new).expect(0, &[]);
        file
    }

    /// Starts the process.
    pub fn up(&mut self, arguments: &[&str]) {
        self.up_at(LISTEN, arguments, &[]);
    }

    /// Starts the process at this address and with this environment.
    fn up_at(&mut self, listen: &str, arguments: &[&str], environment: &[(&str, &str)]) {
        let home = self.path("home");
        let mut all = vec!["up", "--home", home.to_str().unwrap()];
        all.extend(["--listen", listen]);
        all.extend(["--set", "net.mdns=false", "--set", "net.upnp=false"]);
        all.extend(arguments);
        let log = std::fs::File::create(self.path("log")).unwrap();
        let mut command: Command = command(&all, environment);
        self.process = Some(command.stderr(log).spawn().unwrap());
    }

    /// Waits until the node's status is like this.
    pub fn wait_for(&mut self, what: &str, is_there: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let ended = self.run(&["status", "--json"]);
            if ended.code == 0 {
                let status = ended.json();
                if is_there(&status) {
                    return status;
                }
            }
            let log = std::fs::read_to_string(self.path("log")).unwrap();
            assert!(
                begun.elapsed() < Duration::from_secs(120),
                "no {what}: {log}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn exit_code(&mut self) -> i32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.as_mut().unwrap().try_wait().unwrap() {
                self.process = None;
                return status.code().expect("an exit code");
            }
            let log = std::fs::read_to_string(self.path("log")).unwrap();
            assert!(begun.elapsed() < Duration::from_secs(120), "no end: {log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn a_node_says_what_it_waits_for_and_obeys() {
    let mut one = Node::new();
    let file = one.found_swarm("3600");
    one.run(&["status"])
        .expect(1, &["no node runs from", "swarm-node up"]);
    one.up(&["--swarm", file.to_str().unwrap()]);
    let status = one.wait_for("status", |_| true);
    assert_eq!(status["state"], "waiting", "{status}");
    assert!(
        status["reason"].as_str().unwrap().contains("has not begun"),
        "{status}"
    );
    assert!(
        status["next"]["what"].as_str().unwrap().contains("round 0"),
        "{status}"
    );
    let text = one.run(&["status"]);
    assert!(text.out.contains("state      waiting"), "{}", text.out);
    // A second process is refused, and the first goes on.
    let home = one.path("home");
    node(&["up", "--home", home.to_str().unwrap()]).expect(1, &["in use by another process"]);
    assert_eq!(one.run(&["pause", "1h", "--json"]).code, 0);
    one.wait_for("pause", |status| status["state"] == "paused");
    assert_eq!(one.run(&["resume"]).code, 0);
    one.wait_for("waiting", |status| status["state"] == "waiting");
    one.run(&["drain"]).expect(0, &[]);
    assert_eq!(one.exit_code(), 0);
    one.run(&["status"]).expect(1, &["no node runs from"]);
}

/// What a source of peers has given at a node: known and reached.
fn given(status: &Value, source: &str) -> Option<(u64, u64)> {
    let sources = status["sources"].as_array().unwrap();
    let found = sources.iter().find(|it| it["source"] == source)?;
    Some((found["known"].as_u64()?, found["reached"].as_u64()?))
}

/// One node says on the chain where it is. Another has the swarm's file, the deployment and the
/// chain's server, and neither an address, a wallet nor multicast DNS: it finds the first one. When
/// the chain is gone it goes on, and says so.
#[test]
fn a_node_with_nothing_but_a_deployment_finds_peers_by_the_chain() {
    let (mut here, mut new) = (Node::new(), Node::new());
    let folder = tempfile::tempdir().unwrap();
    let chain = DevChain::start(&folder.path().join("chain"));
    let deployment = folder.path().join("contracts.toml");
    let swarm = folder.path().join("swarm.toml");
    let (deployment, swarm) = (deployment.to_str().unwrap(), swarm.to_str().unwrap());
    let (url, secret) = (chain.url(), devchain::secret());
    let wallet = [("SWARM_NODE_WALLET_SECRET", secret.as_str())];
    let deploy = ["chain", "deploy", deployment, "--chain", &url];
    let fast = ["--set", "chain.poll_ms=50"];
    node_with(&[&deploy[..], &fast].concat(), &wallet).expect(0, &[]);
    let members = [here.init(), new.init()];
    let key = here.path("home").join("node.key");
    let join = [
        "chain",
        "join",
        deployment,
        "--mint",
        "--node-key",
        key.to_str().unwrap(),
    ];
    node_with(&[&join[..], &fast].concat(), &wallet).expect(0, &[]);
    let found = ["swarm", "new", swarm, "--deployment", deployment];
    let found = [
        &found[..],
        &["--member", &members[0], "--member", &members[1]],
    ]
    .concat();
    node(&found).expect(0, &[]);

    let port = {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap().port()
    };
    let at = format!("/ip4/127.0.0.1/udp/{port}/quic-v1");
    let external = format!("net.external={at}");
    let joined = ["--swarm", swarm, "--deployment", deployment];
    let announces = ["--set", "net.announce_hours=1", "--set", &external];
    here.up_at(&at, &[&joined[..], &announces].concat(), &wallet);
    new.up(&joined);
    let status = new.wait_for("peer by the chain", |status| {
        given(status, "chain") == Some((1, 1)) && !status["peers"].as_array().unwrap().is_empty()
    });
    assert_eq!(status["peers"][0]["peer"], members[0], "{status}");
    assert_eq!(given(&status, "flag"), None, "{status}");
    let log = std::fs::read_to_string(new.path("log")).unwrap();
    assert!(log.contains("peers to call, by chain: 1"), "{log}");
    let shown = new.run(&["status"]);
    assert!(shown.out.contains("chain 1 (1 reached)"), "{}", shown.out);
    let checked = new.run(&["doctor", "--json"]).json();
    let finding = checked
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["id"] == "sources");
    assert_eq!(finding.unwrap()["outcome"], "good", "{checked}");

    drop(chain);
    new.run(&["drain"]).expect(0, &[]);
    assert_eq!(new.exit_code(), 0);
    new.up(&[]);
    new.wait_for("peer by the cache", |status| {
        given(status, "cache") == Some((1, 1))
    });
    let begun = Instant::now();
    let said = "looking for peers on the chain does not work here, the node goes on without";
    while !std::fs::read_to_string(new.path("log"))
        .unwrap()
        .contains(said)
    {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "it does not say so"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_member_alone_decides_learns_exports_and_comes_back() {
    let mut one = Node::new();
    let file = one.found_swarm("1");
    one.up(&["--swarm", file.to_str().unwrap()]);
    let learned = |status: &Value, rounds: u64| {
        status["learning"]["steps"].as_u64().unwrap_or(0) >= rounds
            && status["floor"].as_u64().unwrap() >= rounds
    };
    let before = one.wait_for("learning", |status| learned(status, 2));
    let mut killed = one.process.take().unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();
    one.up(&[]);
    let steps = before["learning"]["steps"].as_u64().unwrap();
    let after = one.wait_for("status", |_| true);
    assert!(
        after["learning"]["steps"].as_u64() >= Some(steps),
        "{after}"
    );
    one.wait_for("more learning", |status| learned(status, steps + 1));
    let rounds = one.path("rounds");
    let export = ["export", rounds.to_str().unwrap(), "--json"];
    one.run(&export).expect(0, &[]);
    verify(&one, &rounds, &file);
    let logs = one.run(&["logs", "--lines", "1000"]);
    logs.expect(0, &[]);
    assert!(logs.out.contains("is decided after"), "{}", logs.out);
    // Its folder without its key is that of no other node.
    one.run(&["drain"]).expect(0, &[]);
    assert_eq!(one.exit_code(), 0);
    let backup = one.path("backup.key");
    let backup = backup.to_str().unwrap();
    let known = one.run(&["key", "backup", backup, "--json"]);
    known.expect(0, &[]);
    std::fs::remove_file(one.path("home").join("node.key")).unwrap();
    one.run(&["up"])
        .expect(2, &["node.key is gone", "from its backup"]);
    let restored = one.run(&["key", "restore", backup, "--json"]);
    restored.expect(0, &[]);
    assert_eq!(restored.json()["peer"], known.json()["peer"]);
    one.run(&["key", "restore", backup])
        .expect(1, &["never written over"]);
}

/// The export proves itself, and no byte of it can be changed unnoticed.
fn verify(one: &Node, rounds: &Path, swarm: &Path) {
    let arguments = [
        "verify",
        rounds.to_str().unwrap(),
        "--swarm",
        swarm.to_str().unwrap(),
    ];
    let ended = one.run(&arguments);
    ended.expect(0, &[]);
    assert!(
        ended.out.contains("are what the members decided"),
        "{}",
        ended.out
    );
    let whole = std::fs::read(rounds).unwrap();
    for place in (0..whole.len()).step_by(whole.len() / 12) {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        std::fs::write(rounds, &changed).unwrap();
        let ended = one.run(&arguments);
        assert_eq!(
            ended.code,
            1,
            "byte {place} of {}: {}",
            whole.len(),
            ended.out
        );
    }
}

/// Two nodes on one local network that are told nothing of each other. The network is a namespace
/// of this test alone, so that no other node answers.
#[cfg(target_os = "linux")]
#[test]
fn a_node_finds_a_peer_by_multicast_dns_alone() {
    use swarm_node::emulated::namespace::Namespace;

    const HERE: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 1);
    // While somebody holds the device it is up.
    let (namespace, _device) = match Namespace::new(HERE) {
        Ok(made) => made,
        Err(error) if error.is_unsupported() => return eprintln!("skipped: {error}"),
        Err(error) => panic!("{error}"),
    };
    if let Err(reason) = namespace.run(|| hears_itself(HERE)) {
        return eprintln!("skipped: multicast does not come back to its sender here: {reason}");
    }
    namespace.run(|| {
        let (mut here, mut new) = (Node::new(), Node::new());
        let swarm = here.found_swarm("3600");
        let found = here.init();
        let local = ["--swarm", swarm.to_str().unwrap(), "--set", "net.mdns=true"];
        let listen = "/ip4/0.0.0.0/udp/0/quic-v1,/ip4/0.0.0.0/tcp/0";
        here.up_at(listen, &local, &[]);
        new.up_at(listen, &local, &[]);
        let status = new.wait_for("peer by multicast DNS", |status| {
            given(status, "mdns") == Some((1, 1)) && !status["peers"].as_array().unwrap().is_empty()
        });
        assert_eq!(status["peers"][0]["peer"], found.as_str(), "{status}");
        for source in ["flag", "file", "cache", "dns", "chain"] {
            let given = given(&status, source).map(|given| given.0);
            assert!(matches!(given, None | Some(0)), "{source}: {status}");
        }
    });
}

/// Whether a multicast message comes back from an interface, as processes of one host need it.
#[cfg(target_os = "linux")]
fn hears_itself(interface: Ipv4Addr) -> std::io::Result<()> {
    const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
    let ear = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    ear.join_multicast_v4(&GROUP, &interface)?;
    ear.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mouth = UdpSocket::bind((interface, 0))?;
    mouth.send_to(b"hello", (GROUP, ear.local_addr()?.port()))?;
    ear.recv(&mut [0; 8]).map(|_| ())
}

/// A member, and later a second process with a copy of its folder: the second one hears the first,
/// ends, and says why.
#[test]
fn a_second_process_with_the_same_key_is_noticed() {
    let mut members = [Node::new(), Node::new(), Node::new()];
    let (peers, swarm) = (members.each_ref().map(Node::init), members[0].path("swarm"));
    let swarm = swarm.to_str().unwrap();
    let mut found = vec![
        "swarm",
        "new",
        swarm,
        "--starts-in",
        "10",
        "--window",
        "500",
    ];
    found.extend(peers.iter().flat_map(|peer| ["--member", peer]));
    node(&found).expect(0, &[]);
    let mut copy = Node::new();
    std::fs::create_dir(copy.path("home")).unwrap();
    for file in std::fs::read_dir(members[0].path("home")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path("home").join(file.file_name())).unwrap();
    }

    let port = {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap().port()
    };
    let at = format!("/ip4/127.0.0.1/udp/{port}/quic-v1");
    let joins = ["--swarm", swarm, "--peer", &at];
    let there = format!("{at},/ip4/127.0.0.1/tcp/0");
    members[1].up_at(&there, &["--swarm", swarm], &[]);
    let own = "/ip4/127.0.0.1/udp/0/quic-v1,/ip4/127.0.0.1/tcp/0";
    members[0].up_at(own, &joins, &[]);
    members[2].up_at(own, &joins, &[]);
    // By then it is no newcomer.
    members[0].wait_for("a few rounds", |status| status["floor"].as_u64() >= Some(4));
    copy.up_at(own, &joins, &[]);
    let code = copy.exit_code();
    let log = std::fs::read_to_string(copy.path("log")).unwrap();
    assert_eq!(code, 1, "{log}");
    assert!(
        log.contains("another process, started before this one, signs with this node's key"),
        "{log}"
    );
    // The first process goes on, and tells its owner.
    let status = members[0].wait_for("word of the copy", |status| !status["duplicate"].is_null());
    let floor = status["floor"].as_u64();
    members[0].wait_for("further rounds", |status| {
        status["floor"].as_u64() > floor.map(|it| it + 2)
    });
}
