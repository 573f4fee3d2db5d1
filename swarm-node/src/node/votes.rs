//! Votes on what epochs came to, as they pass through this node: whose are handed on.
//!
//! ```text
//! gossip ─▶ Votes::judge ─┬─ no attestation ───────────────────▶ Reject
//!                         ├─ of nobody in the swarm, too many ─▶ Ignore
//!                         └─ of a member ──────────────────────▶ Accept ─▶ settling
//! ```
//! A vote says who signed it only once its signature is recovered, so a vote for another contract,
//! or a forged one, is a vote of somebody unknown. Every node of a swarm that settles hands votes
//! on, whether it has a wallet or not.

use std::collections::{BTreeMap, BTreeSet};

use contracts::typed::{self, Domain};
use contracts::{Address, B256};
use swarm_identity::PeerId;
use swarm_net::Verdict;
use swarm_round::membership::Member;
use swarm_settle::settlement::attestation::Attestation;

/// Different votes of one member that are handed on in a round: it has one for each span of epochs
/// that is not final.
const MAX_OF_MEMBER: usize = 32;

/// Which votes are handed on.
#[derive(Clone, Debug)]
pub struct Votes {
    domain: Domain,
    /// The members whose addresses these are.
    members: Vec<PeerId>,
    /// Addresses of the members' keys.
    nodes: BTreeSet<Address>,
    /// What each member signed of what came in this round: it repeats itself every ten seconds.
    heard: BTreeMap<Address, BTreeSet<B256>>,
}

impl Votes {
    /// The votes on the outcomes of a contract.
    pub fn new(domain: Domain) -> Self {
        Self {
            domain,
            members: Vec::new(),
            nodes: BTreeSet::new(),
            heard: BTreeMap::new(),
        }
    }

    /// A round begins, with these members.
    pub fn begin_round(&mut self, members: &[Member]) {
        self.heard.clear();
        let is_same = members.iter().map(|member| &member.peer).eq(&self.members);
        if !is_same {
            self.members = members.iter().map(|member| member.peer).collect();
            let addresses = self.members.iter().map(|peer| typed::address(&peer.0));
            self.nodes = addresses.flatten().collect();
        }
    }

    /// The vote in a message, if it is one that counts here.
    ///
    /// # Errors
    /// What the network does with the message otherwise.
    pub fn judge(&mut self, bytes: &[u8]) -> Result<Attestation, Verdict> {
        let attestation = Attestation::from_bytes(bytes).ok_or(Verdict::Reject)?;
        let signer = attestation.vote.signer(&self.domain, &attestation.outcome);
        let signer = signer.filter(|signer| self.nodes.contains(signer));
        let signer = signer.ok_or(Verdict::Ignore)?;
        let Attestation { outcome, vote } = &attestation;
        let signed = self.domain.outcome(vote.owner, outcome);
        let heard = self.heard.entry(signer).or_default();
        match heard.contains(&signed) || heard.len() < MAX_OF_MEMBER {
            true => {
                heard.insert(signed);
                Ok(attestation)
            }
            false => Err(Verdict::Ignore),
        }
    }
}

#[cfg(test)]
mod tests {
    use contracts::outcome::{Outcome, Vote};
    use swarm_identity::NodeKey;

    use super::*;

    const DOMAIN: Domain = Domain {
        chain_id: 31_337,
        contract: Address::repeat_byte(7),
    };

    fn vote(key: &NodeKey, domain: &Domain, points: u128) -> Vec<u8> {
        let owner = Address::repeat_byte(9);
        let outcome = Outcome {
            points,
            ..Outcome::default()
        };
        let signature = key.sign_recoverable(&domain.outcome(owner, &outcome).0);
        let vote = Vote::new(owner, &signature.unwrap()).unwrap();
        Attestation { outcome, vote }.to_bytes()
    }

    fn votes(keys: &[&NodeKey]) -> Votes {
        let members: Vec<Member> = keys.iter().map(|key| Member::new(key.peer())).collect();
        let mut votes = Votes::new(DOMAIN);
        votes.begin_round(&members);
        votes
    }

    #[test]
    fn members_votes_are_handed_on_and_no_others() {
        let [member, other] = [1, 2].map(|tag| NodeKey::from_secret(&[tag; 32]).unwrap());
        let mut votes = votes(&[&member]);
        let good = vote(&member, &DOMAIN, 5);
        assert_eq!(votes.judge(&good).map(|it| it.outcome.points), Ok(5));
        assert_eq!(votes.judge(&vote(&other, &DOMAIN, 5)), Err(Verdict::Ignore));
        let elsewhere = Domain {
            chain_id: 1,
            ..DOMAIN
        };
        assert_eq!(
            votes.judge(&vote(&member, &elsewhere, 5)),
            Err(Verdict::Ignore)
        );
        assert_eq!(votes.judge(&good[..100]), Err(Verdict::Reject));
        let mut forged = good;
        forged[40] ^= 1;
        assert_eq!(votes.judge(&forged), Err(Verdict::Ignore));
    }

    #[test]
    fn a_member_that_signs_without_end_is_heard_so_often_in_a_round() {
        let member = NodeKey::from_secret(&[1; 32]).unwrap();
        let mut votes = votes(&[&member]);
        let heard = (0..100).filter(|points| votes.judge(&vote(&member, &DOMAIN, *points)).is_ok());
        assert_eq!(heard.count(), MAX_OF_MEMBER);
        let again = (0..100).map(|_| votes.judge(&vote(&member, &DOMAIN, 3)));
        assert!(again.into_iter().all(|verdict| verdict.is_ok()));
        votes.begin_round(&[Member::new(member.peer())]);
        assert!(votes.judge(&vote(&member, &DOMAIN, 200)).is_ok());
    }
}
