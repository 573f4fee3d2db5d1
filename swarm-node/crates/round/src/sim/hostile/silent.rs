//! Says nothing.

use std::sync::Arc;

use super::{Attacker, Outgoing, Strategy};
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
