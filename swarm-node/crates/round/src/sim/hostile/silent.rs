//! Says nothing.

use std::sync::Arc;

use super::{Attacker, Outgoing, Strategy};
use crate::envelope::Envelope;
use crate::payload::Kind;
use crate::question::RoundQuestion;
use crate::work::{StageTask, Work};

/// A registered member that never speaks.
pub struct Silent;

impl Strategy for Silent {
    fn work(
        &mut self,
        _: Work,
        _: &StageTask,
        _: &dyn Fn(&RoundQuestion) -> String,
    ) -> Option<Work> {
        None
    }

    fn send(&mut self, _: Arc<[u8]>, _: &mut Attacker) -> Vec<Outgoing> {
        Vec::new()
    }
}

/// A peer that says hello, and nothing else.
pub struct OnlyHello;

impl Strategy for OnlyHello {
    fn work(
        &mut self,
        _: Work,
        _: &StageTask,
        _: &dyn Fn(&RoundQuestion) -> String,
    ) -> Option<Work> {
        None
    }

    fn send(&mut self, message: Arc<[u8]>, _: &mut Attacker) -> Vec<Outgoing> {
        let is_hello = Envelope::parse(&message).is_ok_and(|e| e.header.kind == Kind::Hello);
        if is_hello {
            return vec![message.into()];
        }
        Vec::new()
    }
}
