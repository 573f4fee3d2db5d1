//! The swarm of a scenario.

use swarm_identity::PeerId;
use swarm_round::{Agreement, Game, Windows};

use super::scenario::Scenario;
use crate::node::swarm_file::{MemberLine, MembershipFile, SwarmFile, Tasks};
use crate::node::time::wall_clock;

/// Completions of a group: few, so that many processes share few cores.
const GROUP: u8 = 4;
/// Longest completion, in tokens.
const TOKENS: usize = 16;

/// The file of a scenario's swarm; `model` is the digest of the weights that all begin with.
pub(super) fn swarm_file(scenario: &Scenario, peers: &[PeerId], model: String) -> SwarmFile {
    let families = &scenario.families;
    let crowd = peers.len().div_ceil(families.len()) * families.len();
    let member = |(node, peer): (usize, &PeerId)| MemberLine {
        peer: *peer,
        families: vec![families[node % families.len()]],
    };
    SwarmFile {
        name: scenario.name.clone(),
        genesis_ms: wall_clock() + scenario.begin_ms,
        model,
        settlement: String::new(),
        bootstrap: Vec::new(),
        tasks: Tasks {
            families: families.clone(),
            difficulty: 0,
        },
        windows: Windows {
            settle_ms: 2 * scenario.window_ms,
            ..Windows::uniform(scenario.window_ms)
        },
        game: Game {
            practice: scenario.practice.saturating_mul(crowd as u16),
            ..Game::of_all(peers.len(), families.len(), GROUP, TOKENS)
        },
        agreement: Agreement {
            rounds_per_epoch: scenario.epoch,
            ..Agreement::default()
        },
        membership: MembershipFile::Roster {
            members: peers.iter().enumerate().map(member).collect(),
        },
    }
}
