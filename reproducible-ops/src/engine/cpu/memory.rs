//! The memory of sessions: words that never change while somebody else holds them.
//!
//! ```text
//! session A: slots ──▶ Words ◀── slots :session B        shared: whoever writes puts new words in its own slot
//!                  └─▶ Words                             held by one slot alone: written in place
//! ```
//!
//! A matrix that came at two bytes a number is kept in that way, in the panels that products read;
//! there is no other copy of it. Products and row look-ups use the panels; whatever else reads words
//! has them widened, once, for as long as they are held.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use bytemuck::Zeroable;

use super::gemm::PackedB;
use super::step::BufferId;
use crate::engine::{EngineError, Storage};

/// A cache line of words.
#[derive(Clone, Copy, Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
struct Line([u32; 16]);

/// Words that start on a cache line.
#[derive(Clone, Default)]
pub(super) struct Words {
    kept: Kept,
    count: usize,
    version: u64,
}

/// How words are kept.
#[derive(Clone)]
enum Kept {
    Lines(Vec<Line>),
    Panels(Box<Panels>),
}

/// A matrix at two bytes a number.
#[derive(Clone)]
struct Panels {
    panels: PackedB,
    widened: OnceLock<Vec<Line>>,
}

impl Default for Kept {
    fn default() -> Self {
        Self::Lines(Vec::new())
    }
}

impl Panels {
    fn widened(&self) -> &Vec<Line> {
        self.widened.get_or_init(|| {
            let (n, k) = (self.panels.n(), self.panels.k());
            let mut lines = zeros(n * k);
            let words: &mut [u32] = bytemuck::cast_slice_mut(&mut lines);
            self.panels.rows(&mut words[..n * k]);
            lines
        })
    }
}

/// At least `count` words of zero.
fn zeros(count: usize) -> Vec<Line> {
    vec![Line::zeroed(); count.div_ceil(16)]
}

/// Number of the next version; no two writes of a process share one.
static NEXT_VERSION: AtomicU64 = AtomicU64::new(1);

impl Words {
    /// `count` zeros.
    pub fn zeros(count: usize) -> Self {
        Self::new(Kept::Lines(zeros(count)), count)
    }

    /// The words of a matrix in panels.
    pub fn of_panels(panels: PackedB) -> Self {
        let count = panels.n() * panels.k();
        let widened = OnceLock::new();
        Self::new(Kept::Panels(Box::new(Panels { panels, widened })), count)
    }

    fn new(kept: Kept, count: usize) -> Self {
        Self {
            kept,
            count,
            version: NEXT_VERSION.fetch_add(1, Relaxed),
        }
    }

    /// The words.
    pub fn words(&self) -> &[u32] {
        let lines = match &self.kept {
            Kept::Lines(lines) => lines,
            Kept::Panels(panels) => panels.widened(),
        };
        &bytemuck::cast_slice(lines)[..self.count]
    }

    /// The words, to be overwritten: they are another version from here on.
    pub fn words_mut(&mut self) -> &mut [u32] {
        self.version = NEXT_VERSION.fetch_add(1, Relaxed);
        if let Kept::Panels(panels) = &self.kept {
            self.kept = Kept::Lines(panels.widened().clone());
        }
        match &mut self.kept {
            Kept::Lines(lines) => &mut bytemuck::cast_slice_mut(lines)[..self.count],
            Kept::Panels(_) => unreachable!("invariant: they became lines above"),
        }
    }

    /// The words as floats.
    pub fn floats(&self) -> &[f32] {
        bytemuck::cast_slice(self.words())
    }

    /// The matrix in panels, if it is kept so.
    pub fn panels(&self) -> Option<&PackedB> {
        match &self.kept {
            Kept::Lines(_) => None,
            Kept::Panels(panels) => Some(&panels.panels),
        }
    }

    /// Equal versions mean equal words: what was made of them is still right.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Bytes of memory.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        let size = |lines: &Vec<Line>| lines.len() * size_of::<Line>();
        match &self.kept {
            Kept::Lines(lines) => size(lines),
            Kept::Panels(panels) => panels.panels.bytes() + panels.widened.get().map_or(0, size),
        }
    }
}

impl Storage for Words {
    fn read(&self) -> Result<Vec<u32>, EngineError> {
        let Some(panels) = self.panels() else {
            return Ok(self.words().to_vec());
        };
        let mut words = vec![0; self.count];
        panels.rows(&mut words);
        Ok(words)
    }
}

/// The buffers of a session by number. A slot is empty only while a step writes its words.
#[derive(Default)]
pub(super) struct Memory {
    slots: Vec<Option<Arc<Words>>>,
}

#[expect(
    clippy::expect_used,
    reason = "a step that reads what it writes would read words of another step"
)]
impl Memory {
    /// Zeros of the given sizes.
    pub fn new(sizes: impl IntoIterator<Item = usize>) -> Self {
        let slots = sizes
            .into_iter()
            .map(|count| Some(Arc::new(Words::zeros(count))));
        Self {
            slots: slots.collect(),
        }
    }

    /// The words of a slot.
    pub fn get(&self, id: BufferId) -> &Arc<Words> {
        self.slots[id.0]
            .as_ref()
            .expect("invariant: a step does not read the buffer that it writes")
    }

    /// Takes words out, so that others can be read while they are written.
    pub fn take(&mut self, id: BufferId) -> Arc<Words> {
        self.slots[id.0]
            .take()
            .expect("invariant: a step writes a buffer once")
    }

    /// Puts words into a slot.
    pub fn put(&mut self, id: BufferId, words: Arc<Words>) {
        self.slots[id.0] = Some(words);
    }

    /// Exchanges the words of two slots.
    pub fn swap(&mut self, one: BufferId, other: BufferId) {
        self.slots.swap(one.0, other.0);
    }

    /// Words of a slot that is about to be overwritten as a whole: those it has if nobody else
    /// holds them and they are `count`, else new ones.
    pub fn overwrite(&mut self, id: BufferId, count: usize) -> &mut Words {
        let slot = self.slots[id.0].get_or_insert_default();
        let fits = |own: &mut Words| own.count == count && own.panels().is_none();
        if !Arc::get_mut(slot).is_some_and(fits) {
            *slot = Arc::new(Words::zeros(count));
        }
        Arc::make_mut(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_others_hold_are_not_overwritten() {
        let mut memory = Memory::new([3]);
        let id = BufferId(0);
        memory
            .overwrite(id, 3)
            .words_mut()
            .copy_from_slice(&[1, 2, 3]);
        let held = Arc::clone(memory.get(id));
        memory
            .overwrite(id, 3)
            .words_mut()
            .copy_from_slice(&[4, 5, 6]);
        assert_eq!(held.words(), [1, 2, 3]);
        assert_eq!(memory.get(id).words(), [4, 5, 6]);
        assert_ne!(held.version(), memory.get(id).version());
    }

    #[test]
    fn words_of_one_holder_stay_where_they_are() {
        let mut memory = Memory::new([3]);
        let id = BufferId(0);
        let (place, version) = (memory.get(id).words().as_ptr(), memory.get(id).version());
        memory.overwrite(id, 3).words_mut()[0] = 7;
        assert_eq!(memory.get(id).words().as_ptr(), place);
        assert_ne!(memory.get(id).version(), version);
    }
}
