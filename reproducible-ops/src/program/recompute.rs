//! Computing forward values again in the backward pass, so that they need not be kept.
//!
//! ```text
//! forward    [ segment 0 ]─x1─▶[ segment 1 ]─x2─▶[ segment 2 ]─▶ loss
//!                 │  ╳              │  ╳               │
//! backward        │  └ again ◀─x0   │  └ again ◀─x1    ▼
//!             ◀───────────────◀────────────────◀───────────────
//! ```
//! The forward nodes are cut into segments. What a later segment or the caller reads is kept (the
//! narrow places, `x1` and `x2` above), and all of the last segment, which the backward pass reads
//! first. Whatever else the backward pass reads is computed again from what is kept, just before
//! the first node that reads any of its segment: the same operators on the same operands, so the
//! same bits. An engine then holds the values of one segment at a time.
//!
//! Limits: inputs are always kept, and so is a value that several segments read (masks).

use super::{DecodeError, Node, Output, Program, ValueId};

impl Program {
    /// The same program with the first `forward` nodes cut into `segments`, whose inner values the
    /// other nodes compute again instead of reading them. Cuts are where the fewest bytes cross,
    /// near equal shares of the bytes that the forward nodes make. One segment changes nothing.
    ///
    /// # Errors
    /// The program would have more values than [`limits`](super::limits) allow.
    ///
    /// # Panics
    /// There are fewer nodes than `forward`.
    pub fn recompute_forward(&self, forward: usize, segments: usize) -> Result<Self, DecodeError> {
        assert!(forward <= self.nodes.len(), "forward nodes are nodes");
        let cuts = self.cuts(forward, segments);
        let segment_of: Vec<usize> = (0..forward)
            .map(|node| cuts.partition_point(|&cut| cut <= node))
            .collect();
        let mut again = Again {
            is_kept: self.kept(&segment_of, cuts.len()),
            copies: vec![None; forward],
            moved: self.input_ids().collect(),
            nodes: Vec::with_capacity(self.nodes.len()),
            program: self,
            segment_of,
        };
        for (index, node) in self.nodes.iter().enumerate() {
            if index >= forward {
                again.copy_what_is_read(index);
            }
            again.push(node);
        }
        let outputs = self.outputs.iter().map(|output| Output {
            name: output.name.clone(),
            value: again.moved[output.value.index()],
        });
        let recomputed = Self {
            inputs: self.inputs.clone(),
            outputs: outputs.collect(),
            nodes: again.nodes,
        };
        recomputed.validate()?;
        Ok(recomputed)
    }

    /// Numbers of the nodes at which segments but the first begin, ascending.
    fn cuts(&self, forward: usize, segments: usize) -> Vec<usize> {
        let bytes = |node: &Node| 4 * node.ty.shape.elements() as u64;
        let made: Vec<u64> = self.nodes[..forward]
            .iter()
            .scan(0, |sum, node| {
                *sum += bytes(node);
                Some(*sum)
            })
            .collect();
        let total = made.last().copied().unwrap_or(0);
        let crossing = self.crossing(forward);
        let segments = segments.max(1) as u64;
        let mut cuts: Vec<usize> = Vec::new();
        for number in 1..segments {
            // A cut may lie half a share to either side of its own.
            let share = |halves: u64| {
                let target = u128::from(total) * u128::from(halves) / u128::from(2 * segments);
                made.partition_point(|&sum| u128::from(sum) < target)
            };
            let after = cuts.last().map_or(1, |last| last + 1);
            let first = share(2 * number - 1).max(after);
            let end = share(2 * number + 1).min(forward);
            cuts.extend((first..end).min_by_key(|&cut| crossing[cut]));
        }
        cuts
    }

    /// By node: the bytes that forward nodes before it make and it or a later one reads.
    fn crossing(&self, forward: usize) -> Vec<u64> {
        let mut last_read = vec![None; forward];
        for (reader, node) in self.nodes[..forward].iter().enumerate() {
            for read in node.inputs.iter().filter_map(|&id| self.node_index(id)) {
                last_read[read] = Some(reader);
            }
        }
        let mut change = vec![0i128; forward + 1];
        for (index, last) in last_read.iter().enumerate() {
            if let Some(last) = last {
                let bytes = 4 * self.nodes[index].ty.shape.elements() as i128;
                change[index + 1] += bytes;
                change[last + 1] -= bytes;
            }
        }
        let sums = change.iter().scan(0, |sum, change| {
            *sum += change;
            Some(*sum as u64)
        });
        sums.take(forward).collect()
    }

    /// By forward node: whether its value stays.
    fn kept(&self, segment_of: &[usize], last: usize) -> Vec<bool> {
        let mut is_kept: Vec<bool> = segment_of.iter().map(|&of| of == last).collect();
        for (reader, &segment) in segment_of.iter().enumerate() {
            let read = self.nodes[reader].inputs.iter();
            for index in read.filter_map(|&id| self.node_index(id)) {
                is_kept[index] |= segment_of[index] != segment;
            }
        }
        for output in &self.outputs {
            if let Some(kept) = self
                .node_index(output.value)
                .and_then(|at| is_kept.get_mut(at))
            {
                *kept = true;
            }
        }
        is_kept
    }

    /// The number of the node that computes a value; none for inputs.
    fn node_index(&self, id: ValueId) -> Option<usize> {
        id.index().checked_sub(self.inputs.len())
    }
}

/// The new program while it grows.
struct Again<'p> {
    program: &'p Program,
    /// By forward node.
    segment_of: Vec<usize>,
    /// By forward node: whether others may read its value as it is.
    is_kept: Vec<bool>,
    /// By forward node: the value that was computed again.
    copies: Vec<Option<ValueId>>,
    /// By value of the program: its id in the new one.
    moved: Vec<ValueId>,
    nodes: Vec<Node>,
}

impl Again<'_> {
    /// A forward node whose value is not kept.
    fn dropped(&self, id: ValueId) -> Option<usize> {
        let index = self.program.node_index(id)?;
        (self.is_kept.get(index) == Some(&false)).then_some(index)
    }

    /// Computes again what node `index` reads of segments that were not computed again yet; of such
    /// a segment all that any later node reads.
    fn copy_what_is_read(&mut self, index: usize) {
        let read = self.program.nodes[index].inputs.clone();
        for id in read {
            if let Some(dropped) = self.dropped(id)
                && self.copies[dropped].is_none()
            {
                self.copy_segment(self.segment_of[dropped]);
            }
        }
    }

    fn copy_segment(&mut self, segment: usize) {
        let program = self.program;
        let forward = self.segment_of.len();
        let mut wanted = vec![false; forward];
        let backward = program.nodes[forward..].iter();
        for id in backward.flat_map(|node| &node.inputs) {
            if let Some(dropped) = self.dropped(*id) {
                wanted[dropped] = true;
            }
        }
        let of_segment: Vec<usize> = (0..forward)
            .filter(|&node| self.segment_of[node] == segment)
            .collect();
        for &node in of_segment.iter().rev().filter(|&&node| !self.is_kept[node]) {
            if wanted[node] {
                for id in &program.nodes[node].inputs {
                    if let Some(dropped) = self.dropped(*id) {
                        wanted[dropped] = true;
                    }
                }
            }
        }
        for node in of_segment {
            if wanted[node] && !self.is_kept[node] {
                let copy = self.append(&program.nodes[node], true);
                self.copies[node] = Some(copy);
            }
        }
    }

    /// Appends a node of the program.
    fn push(&mut self, node: &Node) {
        let is_backward = self.moved.len() >= self.program.inputs.len() + self.segment_of.len();
        let id = self.append(node, is_backward);
        self.moved.push(id);
    }

    /// Appends a node; `with_copies` says that it reads what was computed again.
    fn append(&mut self, node: &Node, with_copies: bool) -> ValueId {
        let inputs = node.inputs.iter().map(|&id| {
            let copy = self.dropped(id).and_then(|dropped| self.copies[dropped]);
            copy.filter(|_| with_copies)
                .unwrap_or(self.moved[id.index()])
        });
        let node = Node {
            inputs: inputs.collect(),
            ..node.clone()
        };
        self.nodes.push(node);
        ValueId((self.program.inputs.len() + self.nodes.len() - 1) as u32)
    }
}
