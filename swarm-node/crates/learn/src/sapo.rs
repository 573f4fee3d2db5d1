//! Sharing of experience (SAPO): which groups of its own and of its peers a learner trains on.
//!
//! ```text
//! own groups     ─ drop uninformative ─▶ up to `own`, uniformly ───────────────────────┐
//! others' groups ─ drop uninformative ─▶ pass after pass: peers that have one left,    ├─▶ update
//!                                        in random order, give one of their groups ────┘
//! ```
//! A source that falls short is made up for by the other one, so an update has `own + external`
//! groups where there are so many informative ones; a source of which none is asked gives none.
//!
//! A peer is drawn first, then one of its groups. Drawing from all groups alike would hand the
//! update to whoever keeps them informative: honest groups tell completions apart ever less as
//! skill rises, planted ones always do. For the same reason a peer that has given one group gives
//! another only while its groups make up at most `peer_percent` of the update.
//!
//! The draw is a function of key, round and the groups' order, so it can be recomputed.

use std::collections::BTreeMap;

use reproducible_ops::random::Stream;
use serde::{Deserialize, Serialize};
use swarm_round::membership::MemberIndex;

use super::advantage::is_informative;
use super::group::Group;

/// How many groups come from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mix {
    /// Own groups per update.
    pub own: usize,
    /// Groups of other peers per update.
    pub external: usize,
    /// Most groups of one other peer, in percent of the update's groups; one is always allowed.
    pub peer_percent: usize,
    /// Whether groups without differences in reward are dropped before drawing. Off only as an
    /// experimental control.
    pub filter: bool,
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            own: 4,
            external: 12,
            peer_percent: 34,
            filter: true,
        }
    }
}

/// A group that another peer wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct ExternalGroup {
    /// Who wrote it.
    pub writer: MemberIndex,
    /// Its completions, in the learner's own tokens.
    pub group: Group,
}

/// Indices of the drawn groups, ascending, per source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawn {
    /// Into the own groups.
    pub own: Vec<usize>,
    /// Into the external groups.
    pub external: Vec<usize>,
}

impl Mix {
    /// A peer that learns from itself alone, `groups` per update.
    pub fn alone(groups: usize) -> Self {
        Self {
            own: groups,
            external: 0,
            ..Self::default()
        }
    }

    /// Draws groups for the update of `round`. `key` must belong to this purpose alone.
    pub fn draw(
        &self,
        own: &[Group],
        external: &[ExternalGroup],
        key: [u32; 2],
        round: u32,
    ) -> Drawn {
        let asked = self.own + self.external;
        let own = self.eligible(own.iter());
        let own = if self.own == 0 { Vec::new() } else { own };
        let own_first = own.len().min(self.own);
        let wanted = if self.external == 0 {
            0
        } else {
            asked - own_first
        };
        let external = self.draw_external(external, wanted, own_first, Stream::new(key, round, 1));
        let count = own.len().min(asked - external.len());
        let drawn = Stream::new(key, round, 0).distinct(count, own.len());
        Drawn {
            own: in_order(drawn.into_iter().map(|at| own[at]).collect()),
            external: in_order(external),
        }
    }

    fn draw_external(
        &self,
        groups: &[ExternalGroup],
        wanted: usize,
        own: usize,
        mut stream: Stream,
    ) -> Vec<usize> {
        let mut by_writer: BTreeMap<MemberIndex, Vec<usize>> = BTreeMap::new();
        for at in self.eligible(groups.iter().map(|external| &external.group)) {
            by_writer.entry(groups[at].writer).or_default().push(at);
        }
        let mut left: Vec<Vec<usize>> = by_writer.into_values().collect();
        left.iter_mut().for_each(|groups| stream.shuffle(groups));
        let mut drawn = Vec::new();
        for pass in 1.. {
            stream.shuffle(&mut left);
            let room = wanted - drawn.len();
            let given: Vec<usize> = left.iter_mut().filter_map(Vec::pop).take(room).collect();
            // Every peer has given as many as there were passes, or all it had, so this bounds the
            // largest share.
            let is_too_much =
                pass > 1 && 100 * pass > self.peer_percent * (own + drawn.len() + given.len());
            if given.is_empty() || is_too_much {
                break;
            }
            drawn.extend(given);
        }
        drawn
    }

    /// Indices of the groups that may be drawn.
    fn eligible<'a>(&self, groups: impl Iterator<Item = &'a Group>) -> Vec<usize> {
        let eligible = groups
            .enumerate()
            .filter(|(_, group)| !self.filter || is_informative(&group.rewards()));
        eligible.map(|(at, _)| at).collect()
    }
}

/// The order of training is by index, not by luck of the draw.
fn in_order(mut indices: Vec<usize>) -> Vec<usize> {
    indices.sort_unstable();
    indices
}

#[cfg(test)]
mod tests {
    use swarm_round::Stage;

    use super::super::group::Rollout;
    use super::*;

    const MIX: Mix = Mix {
        own: 8,
        external: 8,
        peer_percent: 100,
        filter: true,
    };

    fn group(rewards: &[f32]) -> Group {
        let rollout = |&reward: &f32| Rollout {
            tokens: vec![2, 1],
            reward,
            behaviour_logp: None,
        };
        Group {
            stage: Stage::Share,
            prompt: vec![3],
            rollouts: rewards.iter().map(rollout).collect(),
        }
    }

    /// Every third group is uninformative.
    fn mixed(count: usize) -> Vec<Group> {
        (0..count)
            .map(|at| {
                group(if at % 3 == 0 {
                    &[1.0, 1.0]
                } else {
                    &[0.0, 1.0]
                })
            })
            .collect()
    }

    /// As many informative groups of each writer as the list says.
    fn written(counts: &[usize]) -> Vec<ExternalGroup> {
        let of = |(writer, &count)| {
            (0..count).map(move |_| ExternalGroup {
                writer: writer as MemberIndex,
                group: group(&[0.0, 1.0]),
            })
        };
        counts.iter().enumerate().flat_map(of).collect()
    }

    fn external(groups: Vec<Group>) -> Vec<ExternalGroup> {
        groups
            .into_iter()
            .enumerate()
            .map(|(at, group)| ExternalGroup {
                writer: at as MemberIndex % 4,
                group,
            })
            .collect()
    }

    /// Groups drawn per writer.
    fn shares(mix: Mix, own: usize, counts: &[usize], round: u32) -> Vec<usize> {
        let (own, external) = (vec![group(&[0.0, 1.0]); own], written(counts));
        let mut shares = vec![0; counts.len()];
        for at in mix.draw(&own, &external, [3, 4], round).external {
            shares[usize::from(external[at].writer)] += 1;
        }
        shares
    }

    #[test]
    fn uninformative_groups_are_never_drawn_unless_the_filter_is_off() {
        let (own, external) = (mixed(30), external(mixed(30)));
        let drawn = MIX.draw(&own, &external, [1, 2], 0);
        assert_eq!((drawn.own.len(), drawn.external.len()), (8, 8));
        assert!(
            drawn
                .own
                .iter()
                .chain(&drawn.external)
                .all(|at| at % 3 != 0)
        );
        assert_ne!(drawn.own, drawn.external);
        let unfiltered = Mix {
            own: 30,
            external: 0,
            filter: false,
            ..MIX
        };
        assert_eq!(
            unfiltered.draw(&own, &external, [1, 2], 0).own,
            (0..30).collect::<Vec<_>>()
        );
    }

    #[test]
    fn every_eligible_own_group_is_drawn_equally_often() {
        let own = mixed(12);
        let mut counts = [0; 12];
        for round in 0..4_000 {
            Mix::alone(2)
                .draw(&own, &[], [7, 7], round)
                .own
                .into_iter()
                .for_each(|at| counts[at] += 1);
        }
        let eligible = counts.iter().enumerate().filter(|(at, _)| at % 3 != 0);
        assert!(
            eligible
                .into_iter()
                .all(|(_, count)| (900..1_100).contains(count)),
            "{counts:?}"
        );
        assert_eq!([counts[0], counts[3], counts[6], counts[9]], [0; 4]);
    }

    #[test]
    fn a_source_that_falls_short_is_made_up_for_by_the_other() {
        let informative = |count| vec![group(&[0.0, 1.0]); count];
        let sizes = |own: usize, external: usize| {
            let drawn = MIX.draw(&informative(own), &written(&[external]), [1, 2], 0);
            (drawn.own.len(), drawn.external.len())
        };
        assert_eq!(sizes(20, 20), (8, 8));
        assert_eq!(sizes(3, 20), (3, 13));
        assert_eq!(sizes(20, 3), (13, 3));
        assert_eq!(sizes(3, 4), (3, 4));
        assert_eq!(
            Mix::alone(5)
                .draw(&informative(3), &written(&[9]), [1, 2], 0)
                .external,
            [0; 0]
        );
        let others = Mix {
            own: 0,
            external: 5,
            ..MIX
        };
        assert_eq!(
            others.draw(&informative(9), &written(&[3]), [1, 2], 0).own,
            [0; 0]
        );
    }

    #[test]
    fn a_peer_with_many_groups_is_drawn_no_more_often_than_the_others() {
        let mix = Mix {
            own: 0,
            external: 4,
            ..MIX
        };
        let mut counts = [0; 8];
        for round in 0..4_000 {
            let shares = shares(mix, 0, &[40, 4, 4, 4, 4, 4, 4, 4], round);
            counts
                .iter_mut()
                .zip(shares)
                .for_each(|(count, share)| *count += share);
        }
        assert!(
            counts.iter().all(|count| (1_850..2_150).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn groups_of_one_peer_never_make_up_more_than_their_share() {
        let mix = Mix {
            own: 4,
            external: 12,
            peer_percent: 34,
            filter: true,
        };
        assert_eq!(shares(mix, 4, &[5, 5, 5], 0), [4, 4, 4]);
        // Honest peers have hardly an informative group left; the one that always has some gains
        // nothing by it.
        for round in 0..50 {
            assert_eq!(shares(mix, 1, &[1, 1, 16], round), [1, 1, 1]);
            assert_eq!(shares(mix, 4, &[0, 0, 16], round), [0, 0, 2]);
            for counts in [[9, 0, 2], [3, 16, 1], [16, 16, 16], [0, 5, 5], [1, 0, 7]] {
                let shares = shares(mix, 3, &counts, round);
                let all: usize = shares.iter().sum::<usize>() + 3;
                assert!(
                    all <= 16
                        && shares
                            .iter()
                            .all(|&share| share <= 1 || 100 * share <= 34 * all),
                    "{shares:?}"
                );
            }
        }
        assert_eq!(
            shares(
                Mix {
                    peer_percent: 100,
                    ..mix
                },
                1,
                &[1, 1, 16],
                0
            ),
            [1, 1, 13]
        );
    }

    #[test]
    fn the_draw_depends_on_key_and_round_only() {
        let (own, external) = (mixed(30), external(mixed(30)));
        let draw = |key, round| MIX.draw(&own, &external, key, round);
        assert_eq!(draw([1, 2], 3), draw([1, 2], 3));
        assert!(draw([1, 2], 3) != draw([1, 2], 4) && draw([1, 2], 3) != draw([2, 2], 3));
        assert_eq!(Mix::alone(8).draw(&mixed(4), &[], [1, 2], 0).own, [1, 2]);
    }
}
