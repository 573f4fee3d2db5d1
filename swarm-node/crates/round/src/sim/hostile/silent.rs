//! Says nothing.

use std::sync::Arc;

use super::super::super::question::Question;
use super::super::super::work::{Task, Work};
use super::{Attacker, Strategy};

/// A registered member that never speaks.
pub struct Silent;

impl Strategy for Silent {
    fn work(&mut self, _: Work, _: &Task, _: &dyn Fn(&Question) -> String) -> Option<Work> {
        None
    }

    fn send(&mut self, _: Arc<[u8]>, _: &mut Attacker) -> Vec<Arc<[u8]>> {
        Vec::new()
    }
}
