//! A round in progress at one node: what it does in each window.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use swarm_identity::Place;
use swarm_identity::digest::Digest32;
use swarm_identity::key::{PeerId, SaltKey};

use super::interface::Output;
use crate::allowance::Allowance;
use crate::clock::{Position, Round, Window};
use crate::codec;
use crate::config::Game;
use crate::envelope::{Header, UnsignedEnvelope};
use crate::membership::hello::{Hello, Hellos};
use crate::membership::{Member, MemberIndex};
use crate::message_log::MessageLog;
use crate::outbox::Outbox;
use crate::payload::{Kind, STAGE_SLOT, Seals, Stage};
use crate::rejection::Withheld;
use crate::seal::{SealContext, salted};
use crate::transcript::RoundPlan;
use crate::work::{self, StageTask, Work};

/// A round in progress.
pub(super) struct ActiveRound {
    /// The window that the node is in.
    window: Window,
    /// False while the node catches up with windows that it slept through.
    in_time: bool,
    pub log: MessageLog,
    /// Hellos of peers that are no members.
    pub hellos: Hellos,
    /// Bad signatures by link.
    pub allowance: Allowance,
    /// Own messages that wait for signatures.
    pub outbox: Outbox,
    peer: PeerId,
    /// The node's index; `None` if it only watches.
    me: Option<MemberIndex>,
    /// The node's own contents between seal and reveal.
    drafts: BTreeMap<(Stage, u16), Draft>,
}

/// A content that was sealed.
struct Draft {
    /// Salt and body.
    payload: Vec<u8>,
    seal: Digest32,
}

impl ActiveRound {
    pub fn new(plan: Arc<RoundPlan>, peer: PeerId) -> Self {
        let me = plan.members.find(&peer);
        Self {
            window: Window::ShareSeal,
            in_time: true,
            hellos: Hellos::new(plan.beacon),
            log: MessageLog::new(plan),
            allowance: Allowance::default(),
            outbox: Outbox::default(),
            peer,
            me,
            drafts: BTreeMap::new(),
        }
    }

    pub fn round(&self) -> Round {
        self.log.plan().round
    }

    pub fn members(&self) -> &[Member] {
        self.log.plan().members.list()
    }

    /// What it holds, in entries.
    pub fn entries(&self) -> usize {
        let Self {
            window: _,
            in_time: _,
            log,
            hellos,
            allowance,
            outbox,
            peer: _,
            me: _,
            drafts,
        } = self;
        log.entries() + hellos.entries() + allowance.entries() + outbox.len() + drafts.len()
    }

    /// The node's index; `None` if it only watches.
    pub fn me(&self) -> Option<MemberIndex> {
        self.me
    }

    /// True if the node is where its clock is.
    pub fn is_in_time(&self) -> bool {
        self.in_time
    }

    pub fn position(&self) -> Position {
        Position {
            round: self.round(),
            window: self.window,
        }
    }

    /// Begins a window with its duties. `now` is where the clock stands: further on if the node
    /// slept.
    pub fn enter(&mut self, window: Window, now: Position, out: &mut Vec<Output>) {
        self.window = window;
        self.in_time = now == self.position();
        match window {
            Window::ShareSeal => self.need(Stage::Share, out),
            Window::CritiqueSeal => self.need(Stage::Critique, out),
            Window::DecideSeal => self.need(Stage::Decide, out),
            Window::ShareReveal => self.reveal(Stage::Share, out),
            Window::CritiqueReveal => self.reveal(Stage::Critique, out),
            Window::DecideReveal => self.reveal(Stage::Decide, out),
            // What counts is for the members to agree on.
            Window::Settle => {}
        }
    }

    /// Asks for the signature of this node's hello.
    pub fn say_hello(&mut self, hello: Hello, out: &mut Vec<Output>) {
        self.publish(Kind::Hello, STAGE_SLOT, &encoded(&hello), out);
    }

    /// Ends the present window.
    pub fn leave(&mut self, out: &mut Vec<Output>) {
        for place in self.outbox.close() {
            out.push(Output::Withheld(place, Withheld::Late));
        }
        for stage in Stage::ALL {
            if stage.seal().window() == self.window && self.is_unsealed(stage) {
                out.push(Output::Missed(self.round(), stage));
            }
        }
    }

    /// True if the node had something to seal in a stage, and no seal of it counts.
    fn is_unsealed(&self, stage: Stage) -> bool {
        let Some(me) = self.me else { return false };
        let slots = self.log.plan().assignment.slots(stage, me);
        !slots.is_empty()
            && !slots
                .iter()
                .any(|slot| self.log.seal(stage, *slot, me).is_some())
    }

    /// What this node has asked for or said in the present window, and nobody may have got.
    pub fn outstanding(&self, out: &mut Vec<Output>) {
        if !self.in_time {
            return;
        }
        out.extend(self.outbox.waiting().map(|message| Output::Sign {
            place: message.header().place(),
            digest: message.digest(),
        }));
        let Some(me) = self.me else { return };
        let sealing = Stage::ALL
            .into_iter()
            .find(|stage| stage.seal().window() == self.window);
        if let Some(stage) = sealing {
            let place = self.place(stage.seal(), STAGE_SLOT);
            if !self.outbox.contains(&place) {
                self.need(stage, out);
            }
        }
        let held = self.log.held().iter();
        let own = held.filter(|place| place.member == me && place.kind.window() == self.window);
        let messages = own.flat_map(|place| self.log.messages(*place));
        out.extend(messages.cloned().map(Output::Broadcast));
    }

    fn need(&self, stage: Stage, out: &mut Vec<Output>) {
        let Some(me) = self.me else { return };
        let task = StageTask::new(self.log.transcript(), stage, me);
        if !task.asked.is_empty() {
            out.push(Output::Need(task));
        }
    }

    /// Seals finished work, or says that it comes too late.
    pub fn seal(&mut self, work: Work, salts: &SaltKey, out: &mut Vec<Output>) {
        let stage = work.stage();
        let open = self.window == stage.seal().window();
        let asked = self.outbox.contains(&self.place(stage.seal(), STAGE_SLOT));
        let Some(me) = self.me.filter(|_| open && !asked) else {
            out.push(Output::Missed(self.round(), stage));
            return;
        };
        let plan = self.log.plan().clone();
        let mut seals = Vec::new();
        for (slot, body) in bodies(work, &plan.game) {
            if !plan.assignment.contains(stage, slot, me) {
                continue;
            }
            let context = SealContext {
                swarm: plan.swarm,
                round: plan.round,
                stage,
                slot,
                peer: self.peer,
            };
            let payload = salted(&salts.salt(&context.digest()), &body);
            let seal = context.seal(&payload);
            seals.push((slot, seal));
            self.drafts.insert((stage, slot), Draft { payload, seal });
        }
        self.publish(stage.seal(), STAGE_SLOT, &encoded(&Seals { seals }), out);
    }

    /// Reveals the contents whose seals count. Where the seal was withheld, its content is, too.
    fn reveal(&mut self, stage: Stage, out: &mut Vec<Output>) {
        let Some(me) = self.me else { return };
        let range = (stage, 0)..=(stage, u16::MAX);
        let sealed: Vec<_> = self
            .drafts
            .range(range)
            .filter(|((_, slot), draft)| self.log.seal(stage, *slot, me) == Some(&draft.seal))
            .map(|((_, slot), draft)| (*slot, draft.payload.clone()))
            .collect();
        for (slot, payload) in sealed {
            self.publish(stage.reveal(), slot, &payload, out);
        }
    }

    /// Asks for the signature of an own message.
    #[expect(clippy::expect_used, reason = "bodies are smaller than envelopes")]
    fn publish(&mut self, kind: Kind, slot: u16, payload: &[u8], out: &mut Vec<Output>) {
        let place = self.place(kind, slot);
        if !self.in_time {
            out.push(Output::Withheld(place, Withheld::Late));
            return;
        }
        let header = Header {
            swarm: place.swarm,
            round: place.round,
            kind,
            slot,
            peer: self.peer,
            sequence: self.outbox.len() as u64,
        };
        let message = UnsignedEnvelope::new(header, payload)
            .expect("invariant: a salt and a body fit an envelope");
        let digest = message.digest();
        self.outbox.ask(message);
        out.push(Output::Sign { place, digest });
    }

    fn place(&self, kind: Kind, slot: u16) -> Place {
        let plan = self.log.plan();
        Place {
            swarm: plan.swarm,
            kind: kind as u8,
            round: plan.round,
            slot,
        }
    }
}

/// Encoded bodies by slot, cut to the limits of the game. A question without completions has none.
fn bodies(work: Work, game: &Game) -> BTreeMap<u16, Vec<u8>> {
    let max = game.text_bytes;
    match work {
        Work::Answers(list) => list
            .into_iter()
            .filter_map(|(slot, texts)| Some((slot, encoded(&work::group(texts, game)?))))
            .collect(),
        Work::Critiques(list) => list
            .into_iter()
            .map(|(slot, text)| (slot, encoded(&work::critique(text, max))))
            .collect(),
        Work::Decisions(list) => list
            .into_iter()
            .map(|(slot, text)| (slot, encoded(&work::decision(text, max))))
            .collect(),
    }
}

/// The bytes of a body that this node made.
#[expect(
    clippy::expect_used,
    reason = "a validated configuration bounds every body"
)]
fn encoded<T: Serialize>(body: &T) -> Vec<u8> {
    codec::encode(body).expect("invariant: the limits of a validated configuration fit a body")
}
