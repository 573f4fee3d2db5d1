//! What holders stated about a step, held against what it comes to: who is wrong.
//!
//! ```text
//! leaves first   received ≠ what the child states that it sent     one of the two is wrong
//!                received right, partial not                       the holder
//! root           the whole right, its squares not                  the root
//! all            sums right, the norm not                          the holder, or who led
//!                sum and norm right, the state not                 the holder
//! ```
//! A holder that hands on what it was given is not at fault for it: the first that is wrong is
//! named, and who only followed is not.
//!
//! Limits: messages have no signatures of their own, so where two holders state different things
//! about what went from one to the other, both are named.

use std::collections::BTreeMap;

use crate::content::Digest;
use crate::path::{Hop, Stage};
use crate::replay::Replayed;
use crate::transcript::{Stated, StepRecord, Sums};

/// What is wrong about statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A holder summed wrong.
    #[error("{0} states another sum of gradients than its visits and what it received come to")]
    Sum(Hop),
    /// Two holders contradict each other.
    #[error("{from} and {to} state different sums of gradients to have gone from one to the other")]
    Between {
        /// Who sent it.
        from: Hop,
        /// Who received it.
        to: Hop,
    },
    /// Squares of another sum.
    #[error("{0} states other squares than its sum of gradients has")]
    Squares(Hop),
    /// Another norm.
    #[error(
        "{0} moved by another norm than all squares come to: it, or whoever led the step, is wrong"
    )]
    Norm(Hop),
    /// Another state.
    #[error("{0} states another state than its stage has")]
    State(Hop),
}

/// What all holders stated.
pub type Statements = BTreeMap<Hop, Stated>;

/// Whose sums at a stage are wrong. `expected` has those of its holders as they must be; who stated
/// nothing is not looked at.
pub fn sums(
    record: &StepRecord,
    stage: Stage,
    expected: &BTreeMap<Hop, Sums>,
    stated: &Statements,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    let tree = record.reduce_tree(stage);
    for &peer in tree.peers().iter().rev() {
        let hop = Hop { stage, peer };
        let Some((right, found)) = both(hop, expected, stated) else {
            continue;
        };
        if found.received.len() != right.received.len() {
            faults.push(Fault::Sum(hop));
            continue;
        }
        let received = found.received.iter().zip(&right.received);
        for (child, (found, right)) in tree.children(peer).into_iter().zip(received) {
            let from = Hop { stage, peer: child };
            let sent = stated.get(&from).and_then(|stated| stated.sums.partial);
            if found != right && sent != Some(*found) {
                faults.push(Fault::Between { from, to: hop });
            }
        }
        if found.received == right.received && found.partial != right.partial {
            faults.push(Fault::Sum(hop));
        }
    }
    let root = tree.root().map(|peer| Hop { stage, peer });
    let sent = root.and_then(|root| stated.get(&root)?.sums.partial);
    for &peer in record.roster.of(stage) {
        let hop = Hop { stage, peer };
        let Some((right, found)) = both(hop, expected, stated) else {
            continue;
        };
        let is_root = root == Some(hop);
        if found.whole == right.whole {
            if is_root && found.squares != right.squares {
                faults.push(Fault::Squares(hop));
            }
        } else if found.whole != sent || sent.is_none() {
            faults.push(match root.filter(|_| !is_root) {
                Some(from) => Fault::Between { from, to: hop },
                None => Fault::Sum(hop),
            });
        }
    }
    faults
}

/// Whose norm or state at a stage is wrong, where its sum is right.
pub fn states(
    record: &StepRecord,
    stage: Stage,
    (expected, state): (&BTreeMap<Hop, Sums>, Digest),
    stated: &Statements,
) -> Vec<Fault> {
    let holders = record.roster.of(stage).iter();
    let hops = holders.map(|&peer| Hop { stage, peer });
    let fault = |hop: Hop| {
        let (right, found) = both(hop, expected, stated)?;
        let differs = stated.get(&hop)?.state != state;
        match (found.norm == right.norm, found.whole == right.whole) {
            (false, _) => Some(Fault::Norm(hop)),
            (true, true) if differs => Some(Fault::State(hop)),
            _ => None,
        }
    };
    hops.filter_map(fault).collect()
}

/// Who is wrong about a step that was computed again. Where sums are, norms and states follow from
/// them, and are not looked at.
pub fn of_step(record: &StepRecord, replayed: &Replayed, stated: &Statements) -> Vec<Fault> {
    let stages = || (0..).map(Stage).zip(&replayed.states);
    let expected = &replayed.sums;
    let of_sums = stages().flat_map(|(stage, _)| sums(record, stage, expected, stated));
    let faults: Vec<Fault> = of_sums.collect();
    if !faults.is_empty() {
        return faults;
    }
    stages()
        .flat_map(|(stage, state)| states(record, stage, (expected, *state), stated))
        .collect()
}

fn both<'a>(
    hop: Hop,
    expected: &'a BTreeMap<Hop, Sums>,
    stated: &'a Statements,
) -> Option<(&'a Sums, &'a Sums)> {
    Some((expected.get(&hop)?, &stated.get(&hop)?.sums))
}
