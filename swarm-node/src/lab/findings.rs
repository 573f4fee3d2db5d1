//! What came of a scenario, beside what was expected.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;
use swarm_identity::digest::hex;

use super::scenario::{Expected, Reachable, Scenario};
use crate::cluster::Cluster;
use crate::emulated::network::Traffic;
use crate::node::status::{Status, points, span};

/// What is seen of the nodes while a scenario is played.
pub(super) struct Observed {
    /// The last status of each node.
    last: Vec<Option<Status>>,
    /// Whether it is of the process that runs.
    is_fresh: Vec<bool>,
    /// By node and round, how long after its windows it was decided.
    decisions: BTreeMap<(usize, u64), u64>,
}

/// A node at the end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeFinding {
    /// The node.
    pub node: usize,
    /// Whether it ran at the end.
    pub is_up: bool,
    /// The first round that is not decided there.
    pub floor: u64,
    /// Points that it earned, in millionths, in the rounds that all have.
    pub points: i64,
    /// Stages that its last process sat out.
    pub missed: u64,
    /// Rounds that its model learned from.
    pub learned: u64,
    /// What it says of how others reach it.
    pub reachability: String,
    /// Nodes that it is connected with directly.
    pub direct: Vec<usize>,
    /// Nodes that it is connected with by a relay only.
    pub relayed: Vec<usize>,
}

/// A round at the end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoundFinding {
    /// The round.
    pub round: u64,
    /// Nodes, of those that ran at the end, that have it.
    pub nodes: usize,
    /// The different digests that they have: one, if they agree.
    pub digests: Vec<String>,
    /// Time from its windows until half of the nodes had it decided, in milliseconds; none where no
    /// node was seen to decide it.
    pub decision_ms: Option<u64>,
}

/// What came of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Findings {
    /// The scenario.
    pub name: String,
    /// Its nodes.
    pub nodes: Vec<NodeFinding>,
    /// Its rounds.
    pub rounds: Vec<RoundFinding>,
    /// What became of the packets of an emulated network.
    pub traffic: Option<Traffic>,
    /// What differs from what was expected; nothing if all is well.
    pub failures: Vec<String>,
}

impl Observed {
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            last: vec![None; nodes],
            is_fresh: vec![false; nodes],
            decisions: BTreeMap::new(),
        }
    }

    /// Looks at all nodes that are up.
    pub(super) fn look(&mut self, cluster: &Cluster) {
        for node in 0..self.last.len() {
            // One that starts or ends does not answer; the next look sees it.
            let Ok(status) = cluster.status(node) else {
                continue;
            };
            if let Some(last) = &status.last {
                let decided = self.decisions.entry((node, last.round));
                decided.or_insert(last.after_ms);
            }
            self.last[node] = Some(status);
            self.is_fresh[node] = true;
        }
    }

    /// The first round that is not decided at every node that is up.
    pub(super) fn floor(&self, cluster: &Cluster) -> u64 {
        let up = (0..self.last.len()).filter(|node| cluster.is_up(*node));
        let floors = up.map(|node| match &self.last[node] {
            Some(status) if self.is_fresh[node] => status.floor,
            _ => 0,
        });
        floors.min().unwrap_or(0)
    }

    /// The node's process is another one from here on, or none.
    pub(super) fn changed(&mut self, node: usize) {
        self.is_fresh[node] = false;
    }

    /// What came of it.
    pub(super) fn findings(&self, scenario: &Scenario, cluster: &Cluster) -> Findings {
        let up: Vec<usize> = (0..scenario.nodes)
            .filter(|node| cluster.is_up(*node))
            .collect();
        let mut digests: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
        let mut holders: BTreeMap<u64, usize> = BTreeMap::new();
        let mut earned = vec![0; scenario.nodes];
        let mut failures = Vec::new();
        let peers = cluster.peers();
        for (at, node) in up.iter().enumerate() {
            let verified = cluster.verify(*node, scenario.rounds, |decided| {
                let round = decided.round();
                let digest = hex(&decided.result.digest);
                digests.entry(round).or_default().insert(digest);
                *holders.entry(round).or_default() += 1;
                // Scores are the same at all nodes, or the digests differ.
                for score in decided.result.scores.iter().filter(|_| at == 0) {
                    let owner = peers.iter().position(|peer| *peer == score.peer);
                    if let Some(owner) = owner {
                        earned[owner] += score.rows.total();
                    }
                }
            });
            if let Err(error) = verified {
                failures.push(format!("node {node}: {error}"));
            }
        }
        let rounds: Vec<RoundFinding> = (0..scenario.rounds)
            .map(|round| RoundFinding {
                round,
                nodes: holders.get(&round).copied().unwrap_or(0),
                digests: digests.remove(&round).into_iter().flatten().collect(),
                decision_ms: self.decision_ms(round),
            })
            .collect();
        let nodes: Vec<NodeFinding> = (0..scenario.nodes)
            .map(|node| self.node(node, earned[node], cluster))
            .collect();
        judge(scenario, &up, &nodes, &rounds, &mut failures);
        Findings {
            name: scenario.name.clone(),
            nodes,
            rounds,
            traffic: cluster.traffic(),
            failures,
        }
    }

    /// The median over nodes: some were away, and took it over later.
    fn decision_ms(&self, round: u64) -> Option<u64> {
        let decided = self.decisions.iter().filter(|((_, of), _)| *of == round);
        let mut times: Vec<u64> = decided.map(|(_, ms)| *ms).collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    }

    fn node(&self, node: usize, points: i64, cluster: &Cluster) -> NodeFinding {
        let last = self.last[node].as_ref();
        NodeFinding {
            node,
            is_up: cluster.is_up(node),
            floor: last.map_or(0, |status| status.floor),
            points,
            missed: last.map_or(0, |status| status.missed),
            learned: last.map_or(0, |status| {
                status
                    .learning
                    .as_ref()
                    .map_or(0, |learning| learning.steps)
            }),
            reachability: last.map_or_else(String::new, |status| status.reachability.clone()),
            direct: self.connected(node, false, cluster),
            relayed: self.connected(node, true, cluster),
        }
    }

    /// The nodes that a node was connected with when it was asked last, in one of the two ways.
    fn connected(&self, node: usize, is_relayed: bool, cluster: &Cluster) -> Vec<usize> {
        let peers = cluster.peers();
        let lines = self.last[node].iter().flat_map(|status| &status.peers);
        let mut nodes: Vec<usize> = lines
            .filter(|line| line.is_relayed == is_relayed)
            .filter_map(|line| peers.iter().position(|peer| peer.text() == line.peer))
            .collect();
        nodes.sort_unstable();
        nodes
    }
}

/// What differs from what was expected.
fn judge(
    scenario: &Scenario,
    up: &[usize],
    nodes: &[NodeFinding],
    rounds: &[RoundFinding],
    failures: &mut Vec<String>,
) {
    let expect = &scenario.expect;
    for round in rounds {
        let number = round.round;
        if expect.all_decided && round.nodes < up.len() {
            failures.push(format!(
                "round {number} is decided at {} of {} nodes",
                round.nodes,
                up.len()
            ));
        }
        if round.digests.len() > 1 {
            failures.push(format!(
                "round {number} has {} different digests",
                round.digests.len()
            ));
        }
        let is_late = |ms: &u64| expect.decision_ms > 0 && *ms > expect.decision_ms;
        if let Some(ms) = round.decision_ms.filter(is_late) {
            failures.push(format!("round {number} was decided after {}", span(ms)));
        }
    }
    for node in nodes.iter().filter(|node| node.is_up) {
        if expect.all_score && node.points <= 0 {
            failures.push(format!("node {} earned nothing", node.node));
        }
    }
    judge_connections(expect, nodes, failures);
}

fn judge_connections(expect: &Expected, nodes: &[NodeFinding], failures: &mut Vec<String>) {
    let ways = [
        ("directly", &expect.direct),
        ("by a relay only", &expect.relayed),
    ];
    for (way, pairs) in ways {
        for [one, other] in pairs {
            for (node, peer) in [(one, other), (other, one)] {
                let NodeFinding {
                    direct, relayed, ..
                } = &nodes[*node];
                let is_there = if way == "directly" { direct } else { relayed }.contains(peer);
                if !is_there {
                    failures.push(format!("node {node} is not connected with {peer} {way}"));
                }
            }
        }
    }
    for Reachable { node, says } in &expect.reachability {
        let said = &nodes[*node].reachability;
        if !said.contains(says) {
            failures.push(format!("node {node} says that it is {said}, not {says}"));
        }
    }
}

impl Findings {
    /// True if all is as expected.
    pub fn is_good(&self) -> bool {
        self.failures.is_empty()
    }

    /// A table for people.
    pub fn render(&self) -> String {
        let mut text = format!("{}\n\nnode  floor  points  learned  missed\n", self.name);
        for node in &self.nodes {
            let _ = writeln!(
                text,
                "{:>4}  {:>5}  {:>6}  {:>7}  {:>6}{}",
                node.node,
                node.floor,
                points(node.points),
                node.learned,
                node.missed,
                if node.is_up { "" } else { "  down" }
            );
        }
        text.push_str("\nround  nodes  after     digest\n");
        for round in &self.rounds {
            let digests: Vec<&str> = round.digests.iter().map(|digest| &digest[..12]).collect();
            let _ = writeln!(
                text,
                "{:>5}  {:>5}  {:<8}  {}",
                round.round,
                round.nodes,
                round.decision_ms.map_or("-".to_owned(), span),
                digests.join(" ")
            );
        }
        if let Some(traffic) = &self.traffic {
            self.render_network(traffic, &mut text);
        }
        text.push('\n');
        match self.failures.is_empty() {
            true => text.push_str("all is as expected"),
            false => self
                .failures
                .iter()
                .for_each(|failure| text.push_str(&format!("FAILED: {failure}\n"))),
        }
        text
    }

    fn render_network(&self, traffic: &Traffic, text: &mut String) {
        text.push('\n');
        for node in &self.nodes {
            let _ = writeln!(
                text,
                "node {} is {}; connected directly with {:?}, by a relay with {:?}",
                node.node, node.reachability, node.direct, node.relayed
            );
        }
        let Traffic {
            arrived,
            bytes,
            lost,
            dropped,
            refused,
            parted,
            unfit,
        } = traffic;
        let _ = writeln!(
            text,
            "packets: {arrived} arrived ({bytes} bytes), {lost} lost, {dropped} dropped by full \
             queues, {refused} refused by routers, {parted} parted, {unfit} of no use"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_that_nobody_decided_has_no_time() {
        let mut observed = Observed::new(3);
        let seen = [((0, 4), 3_000), ((1, 4), 1_000), ((2, 4), 2_000)];
        observed.decisions.extend(seen);
        let round = |round| RoundFinding {
            round,
            nodes: 0,
            digests: Vec::new(),
            decision_ms: observed.decision_ms(round),
        };
        let rounds = vec![round(4), round(5)];
        let times: Vec<_> = rounds.iter().map(|round| round.decision_ms).collect();
        assert_eq!(times, [Some(2_000), None]);
        let findings = Findings {
            name: "two rounds".into(),
            nodes: Vec::new(),
            rounds,
            traffic: None,
            failures: Vec::new(),
        };
        let text = findings.render();
        let shown: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert!(shown.contains(&vec!["5", "0", "-"]), "{text}");
    }
}
