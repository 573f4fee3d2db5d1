//! Where a core knows the members of a round from.

use std::collections::BTreeMap;

use swarm_identity::key::PeerId;

use super::interface::{CoreSetup, Waiting};
use crate::agreement::History;
use crate::clock::Round;
use crate::config::{Membership, NamedMember, SwarmConfigError};
use crate::membership::{MAX_STAKES, Member, Members, RegisterError, Roster};

/// The source of members that the swarm has chosen.
pub(super) enum MemberSource {
    /// Registrations from outside.
    Registered(Roster),
    /// The roster of the configuration.
    Fixed(Roster),
    /// Stakes by epoch.
    Stake(BTreeMap<u64, Roster>),
    /// What is decided.
    Open,
}

impl MemberSource {
    /// The source of a swarm.
    pub fn new(setup: &CoreSetup) -> Result<Self, SwarmConfigError> {
        Ok(match &setup.config.membership {
            Membership::Registered => Self::Registered(setup.roster.clone()),
            Membership::Stake => Self::Stake(BTreeMap::new()),
            Membership::Open { .. } => Self::Open,
            Membership::Roster(named) => {
                let mut roster = Roster::default();
                for NamedMember { peer, topics } in named {
                    let member = Member {
                        topics: *topics,
                        ..Member::new(*peer)
                    };
                    let registered = roster.register(member, 0);
                    // Nothing else can be wrong with a list that was validated.
                    registered.map_err(|_| SwarmConfigError::Twice(*peer))?;
                }
                Self::Fixed(roster)
            }
        })
    }

    /// Registers a peer from a round on.
    pub fn register(&mut self, member: Member, from: Round) -> Result<(), RegisterError> {
        match self {
            Self::Registered(roster) => roster.register(member, from),
            _ => Err(RegisterError::Closed),
        }
    }

    /// Takes the stakes of an epoch, and forgets those of epochs before the current one.
    pub fn stakes(
        &mut self,
        epoch: u64,
        members: Vec<Member>,
        current: u64,
    ) -> Result<(), RegisterError> {
        let Self::Stake(epochs) = self else {
            return Err(RegisterError::Closed);
        };
        *epochs = epochs.split_off(&current);
        if epochs.contains_key(&epoch) {
            return Err(RegisterError::Snapshot(epoch));
        }
        if epochs.len() >= MAX_STAKES {
            return Err(RegisterError::Epochs);
        }
        let mut roster = Roster::default();
        for member in members {
            roster.register(member, 0)?;
        }
        epochs.insert(epoch, roster);
        Ok(())
    }

    /// The members of a round.
    pub fn of(&self, round: Round, history: &History) -> Result<Members, Waiting> {
        match self {
            Self::Registered(roster) | Self::Fixed(roster) => Ok(roster.snapshot(round)),
            Self::Stake(epochs) => {
                let epoch = history.epoch(round);
                let roster = epochs.get(&epoch).ok_or(Waiting::Stakes(epoch))?;
                Ok(roster.snapshot(0))
            }
            Self::Open => history.open_members(round).map_err(|until| {
                let from = history.floor();
                Waiting::Rounds { from, until }
            }),
        }
    }

    /// False if the peer is known to be no member of a round.
    pub fn may_contain(&self, peer: &PeerId, round: Round, history: &History) -> bool {
        match self {
            Self::Registered(roster) | Self::Fixed(roster) => roster.contains(peer, round),
            Self::Stake(epochs) => epochs
                .get(&history.epoch(round))
                .is_none_or(|roster| roster.contains(peer, 0)),
            Self::Open => history.may_be_open_member(peer, round),
        }
    }

    /// What [`MemberSource::of`] lacks.
    pub fn waits_for(&self, round: Round, history: &History) -> Option<Waiting> {
        let epoch = history.epoch(round);
        match self {
            Self::Registered(_) | Self::Fixed(_) => None,
            Self::Stake(epochs) => (!epochs.contains_key(&epoch)).then_some(Waiting::Stakes(epoch)),
            Self::Open => history.waits_for(round).map(|until| {
                let from = history.floor();
                Waiting::Rounds { from, until }
            }),
        }
    }

    /// What it holds, in entries.
    pub fn entries(&self) -> usize {
        match self {
            Self::Registered(roster) | Self::Fixed(roster) => roster.entries().count(),
            Self::Stake(epochs) => epochs.values().map(|it| 1 + it.entries().count()).sum(),
            Self::Open => 0,
        }
    }

    /// The registrations, for the journal.
    pub fn registered(&self) -> Vec<(Round, Member)> {
        match self {
            Self::Registered(roster) => roster.entries().collect(),
            _ => Vec::new(),
        }
    }

    /// The stakes, for the journal.
    pub fn staked(&self) -> BTreeMap<u64, Vec<Member>> {
        let Self::Stake(epochs) = self else {
            return BTreeMap::new();
        };
        let list = |roster: &Roster| roster.entries().map(|(_, member)| member).collect();
        epochs
            .iter()
            .map(|(epoch, roster)| (*epoch, list(roster)))
            .collect()
    }
}
