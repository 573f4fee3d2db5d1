//! What one link may cost a node per round.
//!
//! A valid message costs one signature check per place and its first contradiction another, and the
//! plan bounds the places, so only *bad signatures* are charged. They are charged to the link that
//! delivered them, never to the peer that they name: a forger must not use up somebody else's
//! allowance. A muted link still delivers its own peer's messages (up to a much higher limit),
//! because whether a member's messages count should not depend on what else it sent and in which
//! order that arrived.

use std::collections::HashMap;

use swarm_identity::key::PeerId;

use crate::rejection::Rejection;

/// A neighbour that delivers messages, by the identity that its connection proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Link(pub PeerId);

/// Bad signatures in others' names that a link may deliver per round before it is muted for the
/// rest of it.
pub const FAULTS_PER_LINK: u32 = 32;
/// Bad signatures in its own name that a link may deliver per round.
pub const OWN_FAULTS_PER_LINK: u32 = 1024;
/// Links that are accounted for at a time; messages of further ones are refused for the round.
pub const MAX_LINKS: usize = 4096;
/// Messages of the next window held per link until it opens (neighbours' clocks run ahead by a
/// little).
pub const EARLY_PER_LINK: u32 = 256;
/// Bytes held for the next window over all links.
pub const EARLY_BYTES: usize = 16 << 20;

#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    own: u32,
    others: u32,
}

/// Bad signatures that links delivered in the current round.
#[derive(Clone, Debug, Default)]
pub struct Allowance {
    links: HashMap<Link, Faults>,
}

impl Allowance {
    /// Links that are accounted for.
    pub(crate) fn entries(&self) -> usize {
        self.links.len()
    }

    /// Checks the signature of a message that a link delivers in an author's name.
    ///
    /// # Errors
    /// [`Rejection::Rate`] if the link's allowance is used up, [`Rejection::Signature`] if the
    /// signature is bad: then the link is charged.
    pub fn verified(
        &mut self,
        link: Link,
        author: PeerId,
        is_signed: impl FnOnce() -> bool,
    ) -> Result<(), Rejection> {
        self.check(link, author)?;
        if is_signed() {
            return Ok(());
        }
        self.charge(link, author);
        Err(Rejection::Signature)
    }

    /// Checks that a link may still deliver messages of an author.
    ///
    /// # Errors
    /// [`Rejection::Rate`] if its allowance is used up.
    fn check(&self, link: Link, author: PeerId) -> Result<(), Rejection> {
        let open = match self.links.get(&link) {
            None => self.links.len() < MAX_LINKS,
            Some(faults) if link.0 == author => faults.own < OWN_FAULTS_PER_LINK,
            Some(faults) => faults.others < FAULTS_PER_LINK,
        };
        if open { Ok(()) } else { Err(Rejection::Rate) }
    }

    /// Charges a bad signature to the link.
    fn charge(&mut self, link: Link, author: PeerId) {
        let faults = self.links.entry(link).or_default();
        let count = if link.0 == author {
            &mut faults.own
        } else {
            &mut faults.others
        };
        *count = count.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(i: u16) -> Link {
        let mut id = [2; 33];
        id[..2].copy_from_slice(&i.to_le_bytes());
        Link(PeerId(id))
    }

    #[test]
    fn a_forging_link_is_muted_except_for_its_own_messages() {
        let (forger, victim) = (link(1), link(2));
        let mut allowance = Allowance::default();
        for _ in 0..FAULTS_PER_LINK {
            assert_eq!(allowance.check(forger, victim.0), Ok(()));
            allowance.charge(forger, victim.0);
        }
        assert_eq!(allowance.check(forger, victim.0), Err(Rejection::Rate));
        assert_eq!(allowance.check(forger, forger.0), Ok(()));
        assert_eq!(allowance.check(victim, victim.0), Ok(()));
    }

    #[test]
    fn bad_signatures_in_the_own_name_are_bounded_too() {
        let mut allowance = Allowance::default();
        (0..OWN_FAULTS_PER_LINK).for_each(|_| allowance.charge(link(1), link(1).0));
        assert_eq!(allowance.check(link(1), link(1).0), Err(Rejection::Rate));
    }

    #[test]
    fn the_number_of_links_is_bounded() {
        let mut allowance = Allowance::default();
        (0..MAX_LINKS as u16).for_each(|i| allowance.charge(link(i), link(0).0));
        assert_eq!(
            allowance.check(link(MAX_LINKS as u16), link(0).0),
            Err(Rejection::Rate)
        );
        assert_eq!(allowance.check(link(7), link(0).0), Ok(()));
    }
}
