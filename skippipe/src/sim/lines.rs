//! Messages that share the lines of their senders and receivers.
//!
//! A *flow* is what one node has to send to another: one message after the other, as over one
//! connection. Flows share fairly, as congestion control has them do: with u flows of its sender
//! under way and d of its receiver, a flow moves at `min(pair, up / u, down / d)` bytes a second.
//! Where some flow cannot use its share, for it is held up elsewhere, that share is lost here, and
//! would not be in life; the model then errs on the slow side.
//!
//! Amounts are whole numbers (bytes · 10⁶, so that a rate times microseconds is one), and times are
//! rounded up: every machine computes the same.

use std::collections::VecDeque;

use crate::topology::Lines;

/// Bytes of a message, times a million.
const SCALE: u64 = 1_000_000;

/// Flows that are under way, and what waits behind them.
#[derive(Clone, Debug, Default)]
pub(super) struct Flows {
    nodes: usize,
    /// By sender and receiver, row after row.
    flows: Vec<Flow>,
    /// Flows under way, by sender and by receiver.
    up: Vec<Vec<u32>>,
    down: Vec<Vec<u32>>,
    /// Flows whose share may have changed.
    touched: Vec<u32>,
}

#[derive(Clone, Debug, Default)]
struct Flow {
    /// Messages, the first of which is under way.
    messages: VecDeque<u32>,
    /// What is left of it, in bytes times a million, at `since`.
    left: u64,
    since: u64,
    /// Bytes a second; 0 while nothing is under way.
    rate: u64,
    /// When the message will be over; a moment that was foretold earlier is none.
    end: u64,
}

impl Flows {
    /// Nothing is under way.
    pub(super) fn reset(&mut self, nodes: usize) {
        self.nodes = nodes;
        self.flows.resize_with(nodes * nodes, Default::default);
        for flow in &mut self.flows {
            flow.messages.clear();
            flow.rate = 0;
            flow.end = 0;
        }
        for lines in [&mut self.up, &mut self.down] {
            lines.resize_with(nodes, Default::default);
            lines.iter_mut().for_each(Vec::clear);
        }
    }

    /// A message to be sent; `foretell` hears when flows will be over from here on.
    pub(super) fn send(
        &mut self,
        (from, to): (usize, usize),
        message: u32,
        now: u64,
        lines: &Lines,
        foretell: impl FnMut(u64, u32),
    ) {
        let place = from * self.nodes + to;
        let flow = &mut self.flows[place];
        flow.messages.push_back(message);
        if flow.messages.len() == 1 {
            flow.left = lines.bytes * SCALE;
            flow.since = now;
            self.up[from].push(place as u32);
            self.down[to].push(place as u32);
            self.share(from, to, now, lines, foretell);
        }
    }

    /// The message of a flow that is over by now; none where this was foretold before its share
    /// changed.
    pub(super) fn over(
        &mut self,
        place: u32,
        now: u64,
        lines: &Lines,
        mut foretell: impl FnMut(u64, u32),
    ) -> Option<u32> {
        let flow = &mut self.flows[place as usize];
        if flow.rate == 0 || flow.end != now {
            return None;
        }
        let message = flow.messages.pop_front();
        if flow.messages.is_empty() {
            flow.rate = 0;
            let (from, to) = (place as usize / self.nodes, place as usize % self.nodes);
            self.up[from].retain(|other| *other != place);
            self.down[to].retain(|other| *other != place);
            self.share(from, to, now, lines, foretell);
        } else {
            flow.left = lines.bytes * SCALE;
            flow.since = now;
            flow.end = now + flow.left.div_ceil(flow.rate);
            foretell(flow.end, place);
        }
        message
    }

    /// Latency of a flow's way.
    pub(super) fn latency(place: u32, lines: &Lines) -> u64 {
        lines.latency[place as usize]
    }

    /// Shares anew what a sender's and a receiver's lines carry.
    fn share(
        &mut self,
        from: usize,
        to: usize,
        now: u64,
        lines: &Lines,
        mut foretell: impl FnMut(u64, u32),
    ) {
        self.touched.clear();
        self.touched.extend(&self.up[from]);
        let others = self.down[to].iter();
        self.touched
            .extend(others.filter(|place| **place as usize / self.nodes != from));
        for place in &self.touched {
            let (from, to) = (*place as usize / self.nodes, *place as usize % self.nodes);
            let up = lines.up[from] / self.up[from].len() as u64;
            let down = lines.down[to] / self.down[to].len() as u64;
            let rate = lines.pair[*place as usize].min(up).min(down).max(1);
            let flow = &mut self.flows[*place as usize];
            if flow.rate == rate {
                continue;
            }
            let moved = (now - flow.since).saturating_mul(flow.rate);
            flow.left = flow.left.saturating_sub(moved);
            flow.since = now;
            flow.rate = rate;
            flow.end = now + flow.left.div_ceil(rate);
            foretell(flow.end, *place);
        }
    }
}
