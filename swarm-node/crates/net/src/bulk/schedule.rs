//! Who fetches which piece, as a pure table, and how many pieces are asked for ahead.
//!
//! ```text
//! missing ─take─▶ asked of a source ─done─▶ there
//!    ▲                  │
//!    └───── dropped ────┘ the source failed or lied
//! ```
//! At the end, when nothing is missing that is not asked of somebody, an idle source is asked for
//! what others were asked for first, so the slowest source does not decide when a blob is there.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

/// Names a source within one fetch.
pub(crate) type Source = usize;

/// All pieces of a blob.
#[derive(Debug)]
pub(crate) struct Schedule {
    missing: VecDeque<Range<u32>>,
    asked: Vec<(Source, Range<u32>)>,
    there: Vec<bool>,
    left: u32,
}

impl Schedule {
    /// A table of which pieces are there.
    pub(crate) fn new(there: Vec<bool>) -> Self {
        let left = there.iter().filter(|there| !**there).count() as u32;
        let mut missing = VecDeque::new();
        for (piece, _) in there.iter().enumerate().filter(|(_, there)| !**there) {
            push(&mut missing, piece as u32);
        }
        Self {
            missing,
            asked: Vec::new(),
            there,
            left,
        }
    }

    /// The next pieces for a source, at most so many; `None` if there is nothing for it to do.
    pub(crate) fn take(&mut self, source: Source, count: u32) -> Option<Range<u32>> {
        let range = match self.missing.pop_front() {
            Some(range) => {
                let end = range.end.min(range.start.saturating_add(count));
                if end < range.end {
                    self.missing.push_front(end..range.end);
                }
                range.start..end
            }
            None => self.second(source, count)?,
        };
        self.asked.push((source, range.clone()));
        Some(range)
    }

    /// Pieces that others were asked for and that this source was not.
    fn second(&self, source: Source, count: u32) -> Option<Range<u32>> {
        let is_mine = |piece: u32| {
            let mut mine = self.asked.iter().filter(|(by, _)| *by == source);
            mine.any(|(_, range)| range.contains(&piece))
        };
        let open = |piece: &u32| !self.there[*piece as usize] && !is_mine(*piece);
        let (_, range) = self
            .asked
            .iter()
            .find(|(_, range)| range.clone().any(|piece| open(&piece)))?;
        let first = range.clone().find(open)?;
        let run = (first..range.end).take_while(open).take(count as usize);
        Some(first..first + run.count() as u32)
    }

    /// A piece is there; false if it was already.
    pub(crate) fn done(&mut self, piece: u32) -> bool {
        let there = &mut self.there[piece as usize];
        let new = !std::mem::replace(there, true);
        self.left -= u32::from(new);
        if new {
            let there = &self.there;
            self.asked
                .retain(|(_, range)| range.clone().any(|piece| !there[piece as usize]));
        }
        new
    }

    /// A source is gone: what it was asked for is missing again.
    pub(crate) fn dropped(&mut self, source: Source) {
        let (gone, kept) = std::mem::take(&mut self.asked)
            .into_iter()
            .partition(|(by, _)| *by == source);
        self.asked = kept;
        for (_, range) in gone {
            for piece in range {
                let others = self.asked.iter().any(|(_, range)| range.contains(&piece));
                if !self.there[piece as usize] && !others {
                    push(&mut self.missing, piece);
                }
            }
        }
    }

    /// Pieces that are not there.
    pub(crate) fn left(&self) -> u32 {
        self.left
    }
}

fn push(ranges: &mut VecDeque<Range<u32>>, piece: u32) {
    match ranges.back_mut() {
        Some(last) if last.end == piece => last.end += 1,
        _ => ranges.push_back(piece..piece + 1),
    }
}

/// How many pieces are asked for ahead of one source. It grows while answers come promptly and
/// shrinks when they queue up, so that other messages on the way are not held up behind them.
#[derive(Debug)]
pub(crate) struct Window {
    pieces: f64,
    base: Option<Duration>,
}

/// Fewest and most pieces that are asked for ahead: 256 KiB and 4 MiB.
const WINDOW: (f64, f64) = (4.0, 64.0);
/// Queueing that is not counted as such.
const SLACK: Duration = Duration::from_millis(100);

impl Window {
    pub(crate) fn new() -> Self {
        Self {
            pieces: WINDOW.0,
            base: None,
        }
    }

    /// A piece came, so long after it was asked for.
    pub(crate) fn arrived(&mut self, after: Duration) {
        let base = self.base.map_or(after, |base| base.min(after));
        self.base = Some(base);
        let pieces = match after > base * 2 + SLACK {
            true => self.pieces * 0.95,
            false => self.pieces + 1.0 / self.pieces.sqrt(),
        };
        self.pieces = pieces.clamp(WINDOW.0, WINDOW.1);
    }

    pub(crate) fn pieces(&self) -> u32 {
        self.pieces as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_source_drops_others_take() {
        let mut schedule = Schedule::new(vec![false, true, false, false, false]);
        assert_eq!(schedule.take(0, 4), Some(0..1));
        assert_eq!(schedule.take(0, 2), Some(2..4));
        assert_eq!(schedule.take(1, 9), Some(4..5));
        schedule.done(2);
        schedule.dropped(0);
        assert_eq!(
            (schedule.take(1, 9), schedule.take(1, 9)),
            (Some(0..1), Some(3..4))
        );
        assert_eq!((schedule.take(1, 9), schedule.left()), (None, 3));
    }

    #[test]
    fn at_the_end_an_idle_source_helps_a_slow_one() {
        let mut schedule = Schedule::new(vec![false; 4]);
        assert_eq!(schedule.take(0, 4), Some(0..4));
        assert!(schedule.done(0));
        assert_eq!(schedule.take(1, 2), Some(1..3));
        assert_eq!(schedule.take(1, 2), Some(3..4));
        assert_eq!(schedule.take(1, 2), None);
        assert!(schedule.done(1) && !schedule.done(1));
    }

    #[test]
    fn the_window_follows_the_delay() {
        let mut window = Window::new();
        (0..2000).for_each(|_| window.arrived(Duration::from_millis(5)));
        assert_eq!(window.pieces(), WINDOW.1 as u32);
        (0..200).for_each(|_| window.arrived(Duration::from_millis(500)));
        assert_eq!(window.pieces(), WINDOW.0 as u32);
    }

    proptest! {
        /// Whatever the sources do, every piece is fetched as long as one of them works.
        #[test]
        fn one_good_source_is_enough(
            there in prop::collection::vec(any::<bool>(), 1..60),
            steps in prop::collection::vec((0..4_usize, 1..9_u32, any::<bool>()), 0..60),
        ) {
            let mut schedule = Schedule::new(there);
            for (source, count, fails) in steps {
                let Some(range) = schedule.take(source, count) else { continue };
                prop_assert!(range.clone().count() <= count as usize);
                match fails {
                    true => schedule.dropped(source),
                    false => range.for_each(|piece| _ = schedule.done(piece)),
                }
            }
            while let Some(range) = schedule.take(9, 3) {
                range.for_each(|piece| _ = schedule.done(piece));
            }
            prop_assert_eq!(schedule.left(), 0);
        }
    }
}
