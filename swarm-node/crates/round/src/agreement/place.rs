//! The places of a round: every message that may count, in one order that all members share.
//!
//! ```text
//! share seals of members 0, 1, … │ share reveals of slot 0, 1, … │ critique seals │ … │ decide reveals
//! ```
//! A member seals a whole stage with one message and reveals question by question. The position of
//! a place is its bit in a [`Receipt`](super::Receipt).

use serde::{Deserialize, Serialize};

use crate::envelope::Envelope;
use crate::membership::MemberIndex;
use crate::payload::{Kind, STAGE_SLOT, Stage};
use crate::transcript::RoundPlan;

/// Where a message of a round belongs: whose it is, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessagePlace {
    /// What it is; where messages are counted, one of [`Kind::CONTENT`].
    pub kind: Kind,
    /// The question, or [`STAGE_SLOT`] for seals.
    pub slot: u16,
    /// Whose it is.
    pub member: MemberIndex,
}

impl MessagePlace {
    /// Where a member's message belongs.
    pub fn of(envelope: &Envelope<'_>, member: MemberIndex) -> Self {
        Self {
            kind: envelope.header.kind,
            slot: envelope.header.slot,
            member,
        }
    }
}

/// All places of a round and their positions.
#[derive(Clone, Debug)]
pub struct Places {
    members: usize,
    /// First position of each slot's reveals, by stage; the last entry is the stage's end.
    reveals: [Vec<usize>; 3],
}

impl Places {
    /// The places of a planned round.
    pub fn new(plan: &RoundPlan) -> Self {
        let members = plan.members.len();
        let mut next = 0;
        let reveals = Stage::ALL.map(|stage| {
            next += members;
            let mut starts = vec![next];
            for slot in 0..plan.questions.len() as u16 {
                next += plan.assignment.members(stage, slot).len();
                starts.push(next);
            }
            starts
        });
        Self { members, reveals }
    }

    /// Number of places.
    #[expect(clippy::expect_used, reason = "a stage ends somewhere")]
    pub fn len(&self) -> usize {
        let [.., last] = &self.reveals;
        *last.last().expect("invariant: a stage's list has its end")
    }

    /// True if nobody has a place.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The position of a place; `None` if the plan has no such place.
    pub fn position(&self, plan: &RoundPlan, place: MessagePlace) -> Option<usize> {
        let member = usize::from(place.member);
        if let Some(stage) = place.kind.seals() {
            let fits = place.slot == STAGE_SLOT && member < self.members;
            return fits.then(|| self.first_seal(stage) + member);
        }
        let stage = place.kind.reveals()?;
        let among = plan.assignment.members(stage, place.slot);
        let index = among.binary_search(&place.member).ok()?;
        let starts = &self.reveals[stage as usize];
        Some(starts.get(usize::from(place.slot))? + index)
    }

    /// All places in order.
    pub fn all<'a>(&'a self, plan: &'a RoundPlan) -> impl Iterator<Item = MessagePlace> + 'a {
        Stage::ALL.into_iter().flat_map(move |stage| {
            let seals = plan.members.indices().map(move |member| MessagePlace {
                kind: stage.seal(),
                slot: STAGE_SLOT,
                member,
            });
            seals.chain(reveals(plan, stage))
        })
    }

    fn first_seal(&self, stage: Stage) -> usize {
        self.reveals[stage as usize][0] - self.members
    }
}

fn reveals(plan: &RoundPlan, stage: Stage) -> impl Iterator<Item = MessagePlace> + '_ {
    (0..plan.questions.len() as u16).flat_map(move |slot| {
        let members = plan.assignment.members(stage, slot).iter();
        members.map(move |member| MessagePlace {
            kind: stage.reveal(),
            slot,
            member: *member,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agreement::testing::plan;

    #[test]
    fn positions_follow_the_order_without_gap() {
        let plan = plan(5);
        let places = Places::new(&plan);
        let positions: Vec<_> = places
            .all(&plan)
            .map(|place| places.position(&plan, place).unwrap())
            .collect();
        assert_eq!(positions, (0..places.len()).collect::<Vec<_>>());
        // Five practice reveals, two common questions for all five in three stages, fifteen seals.
        assert_eq!(places.len(), 5 + 3 * 2 * 5 + 15);
    }

    #[test]
    fn places_that_nobody_was_given_have_no_position() {
        let plan = plan(5);
        let places = Places::new(&plan);
        let place = |kind, slot, member| MessagePlace { kind, slot, member };
        for wrong in [
            place(Kind::ShareSeal, 0, 0),
            place(Kind::ShareSeal, STAGE_SLOT, 5),
            place(Kind::CritiqueReveal, 0, 0),
            place(Kind::DecideReveal, 999, 0),
            place(Kind::Receipt, STAGE_SLOT, 0),
        ] {
            assert_eq!(places.position(&plan, wrong), None, "{wrong:?}");
        }
    }
}
