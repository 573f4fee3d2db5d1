//! The passes of a step: forward through the stages, the loss at the source, and back.

use super::visits::{Away, Loss, Progress, Visit};
use super::{Member, Purpose};
use crate::content::Content;
use crate::event::Why;
use crate::message::{Backward, Body, Forward, Launch, Version};
use crate::path::{Hop, Microbatch, Peer, Stage};
use crate::transcript::Visit as Traced;
use crate::work::{Outcome, Task, Work};

impl Member {
    /// A microbatch of this source.
    pub(super) fn launch(&mut self, launch: Launch) {
        let version = Version(vec![launch.launches]);
        let visit = self.visits.passing.get(&launch.microbatch);
        let done = visit.is_some_and(|visit| !visit.is_open());
        let queued = self.visits.launches.iter().any(|other| *other == launch);
        if visit.is_some_and(|visit| visit.version >= version) || queued {
            // Said once more; what it came to may have been lost.
            if done {
                self.send_back(launch.microbatch);
            }
            return;
        }
        let known = launch.microbatch.0 < self.settings.microbatches;
        let mine = launch.path.source() == self.me && self.stage() == Some(Stage::FIRST);
        let waiting = self.visits.launches.len() < self.settings.microbatches as usize;
        if known && mine && waiting {
            self.visits.launches.push_back(launch);
            self.admit();
        }
    }

    /// Sends microbatches on their way while slots are free, and calls those who wait.
    fn admit(&mut self) {
        while self.visits.open() < self.settings.slots {
            if let Some(launch) = self.visits.launches.pop_front() {
                self.begin_visit(launch);
            } else if let Some((from, forward)) = self.visits.arrived.pop_front() {
                self.take_in(from, forward);
            } else {
                break;
            }
        }
        if self.visits.arrived.len() < self.settings.slots
            && let Some((microbatch, peer)) = self.visits.waiting.pop_first()
        {
            self.send(peer, Body::Free(microbatch));
        }
    }

    fn begin_visit(&mut self, launch: Launch) {
        let Launch {
            microbatch,
            launches,
            path,
        } = launch;
        let step = self.when.step;
        let work = Work::Embed { step, microbatch };
        let task = self.work(work, Purpose::Forward(microbatch));
        let ahead = path.hops()[1..].to_vec();
        let visit = Visit {
            version: Version(vec![launches]),
            from: None,
            behind: Vec::new(),
            given: ahead.clone(),
            ahead,
            input: None,
            tries: 0,
            progress: Progress::Forwarding(task),
        };
        self.replace(microbatch, visit);
    }

    /// Puts a visit in the place of an earlier one, whose gradients are not needed.
    fn replace(&mut self, microbatch: Microbatch, visit: Visit) {
        let earlier = self.visits.passing.insert(microbatch, visit);
        if let Some(kept) = earlier.and_then(|earlier| earlier.kept()) {
            self.work_silently(Work::Forget(vec![kept]));
        }
    }

    pub(super) fn forward(&mut self, from: Peer, forward: Forward) {
        if !self.is_sound(from, &forward) {
            return self.fault(from, "sent a microbatch along hops that cannot be");
        }
        let Some(&first) = forward.ahead.first() else {
            return self.came_back(from, forward);
        };
        if first.peer != self.me || Some(first.stage) != self.stage() {
            return self.fault(from, "sent a microbatch to a stage that is not here");
        }
        let microbatch = forward.microbatch;
        let Some(visit) = self.visits.passing.get_mut(&microbatch) else {
            return self.first_forward(from, forward);
        };
        if forward.version < visit.version {
            return;
        }
        let input = visit.input.as_ref().map(Content::digest);
        if input != Some(forward.content.digest()) {
            if forward.version == visit.version {
                return self.fault(from, "sent two activations as one");
            }
            return self.take_in(from, forward);
        }
        // The same once more, from elsewhere or along another way.
        let given = forward.ahead[1..].to_vec();
        let other_way = given != visit.given;
        visit.version = forward.version;
        visit.from = Some(from);
        visit.behind = forward.behind;
        visit.given.clone_from(&given);
        match &visit.progress {
            // Whoever is beyond must know that this try holds, not an earlier one.
            Progress::Away(_) => {
                let ahead = if other_way {
                    given
                } else {
                    visit.ahead.clone()
                };
                self.send_along(microbatch, ahead);
            }
            Progress::Forwarding(_) if other_way => visit.ahead = given,
            Progress::Done { .. } => self.send_back(microbatch),
            _ => {}
        }
    }

    /// Whether a forward message could be: hops ascend, the sender is the last of those behind.
    fn is_sound(&self, from: Peer, forward: &Forward) -> bool {
        let behind = forward.behind.iter().map(|passed| passed.hop);
        let hops: Vec<Hop> = behind.chain(forward.ahead.iter().copied()).collect();
        let last = forward.behind.last();
        forward.microbatch.0 < self.settings.microbatches
            && hops.len() <= usize::from(self.settings.stages)
            && hops.first().is_some_and(|hop| hop.stage == Stage::FIRST)
            && hops.windows(2).all(|pair| pair[0].stage < pair[1].stage)
            && last.is_some_and(|passed| passed.hop.peer == from)
            && forward.version.0.len() == forward.behind.len() + 1
    }

    /// What comes while no slot is free waits here, as in [`crate::sim`]: an activation is small
    /// beside what its stage keeps of it, and sending it again would cost its way once more. As
    /// many wait as there are slots; more are sent back.
    fn first_forward(&mut self, from: Peer, forward: Forward) {
        let (microbatch, slots) = (forward.microbatch, self.settings.slots);
        if self.visits.open() < slots {
            return self.take_in(from, forward);
        }
        let mut arrived = self.visits.arrived.iter();
        if let Some(place) = arrived.position(|(_, other)| other.microbatch == microbatch) {
            if self.visits.arrived[place].1.version <= forward.version {
                self.visits.arrived[place] = (from, forward);
            }
        } else if self.visits.arrived.len() < slots {
            self.visits.waiting.remove(&microbatch);
            self.visits.arrived.push_back((from, forward));
        } else {
            self.visits.waiting.insert(microbatch, from);
            self.send(from, Body::Busy(microbatch));
        }
    }

    fn take_in(&mut self, from: Peer, forward: Forward) {
        let microbatch = forward.microbatch;
        self.visits.waiting.remove(&microbatch);
        let input = forward.content;
        let work = Work::Forward {
            step: self.when.step,
            microbatch,
            input: input.clone(),
        };
        let task = self.work(work, Purpose::Forward(microbatch));
        let ahead = forward.ahead[1..].to_vec();
        let visit = Visit {
            version: forward.version,
            from: Some(from),
            behind: forward.behind,
            given: ahead.clone(),
            ahead,
            input: Some(input),
            tries: 0,
            progress: Progress::Forwarding(task),
        };
        self.replace(microbatch, visit);
    }

    pub(super) fn forwarded(&mut self, microbatch: Microbatch, task: Task, outcome: Outcome) {
        let Some(visit) = self.visits.passing.get_mut(&microbatch) else {
            return;
        };
        if !matches!(visit.progress, Progress::Forwarding(asked) if asked == task) {
            return;
        }
        let Outcome::Content(output) = outcome else {
            return self.refuse_input(microbatch);
        };
        let version = visit.version.then(visit.tries);
        visit.tries += 1;
        visit.progress = Progress::Away(Away {
            output,
            version,
            until: self.now,
            busy: false,
            refusals: 0,
        });
        let ahead = std::mem::take(&mut visit.ahead);
        let ahead = self.passable(ahead, microbatch);
        if let Some(visit) = self.visits.passing.get_mut(&microbatch) {
            visit.ahead = ahead;
        }
        self.send_on(microbatch);
    }

    /// What came is nothing to work with: its source is told.
    fn refuse_input(&mut self, microbatch: Microbatch) {
        let Some(visit) = self.visits.passing.remove(&microbatch) else {
            return;
        };
        match (visit.from, visit.behind.first()) {
            (Some(sender), Some(source)) => {
                self.fault(sender, "sent an activation that the stage refuses");
                let version = visit.version.clone();
                let body = Body::Refused {
                    microbatch,
                    version,
                    sender,
                };
                self.send(source.hop.peer, body);
            }
            _ => self.send(self.when.term.leader, Body::Failed(microbatch)),
        }
        self.admit();
    }

    /// Back at the source, for the loss.
    fn came_back(&mut self, from: Peer, forward: Forward) {
        let microbatch = forward.microbatch;
        let source = forward.behind.first().map(|passed| passed.hop.peer);
        if source != Some(self.me) || !self.visits.passing.contains_key(&microbatch) {
            return self.fault(from, "sent a microbatch back to whom it is not from");
        }
        let input = forward.content.digest();
        // Along a way that this source has given up, or once more when it is done.
        let visit = self.visits.passing.get(&microbatch);
        let current = visit.and_then(|visit| visit.away());
        let same = |loss: &Loss| loss.input == input;
        let known = self.visits.losses.get(&microbatch).is_some_and(same);
        if !known && !current.is_some_and(|away| forward.version.follows(&away.version)) {
            return;
        }
        if let Some(loss) = self.visits.losses.get_mut(&microbatch) {
            if forward.version < loss.version {
                return;
            }
            if known {
                loss.version = forward.version;
                loss.from = from;
                loss.behind = forward.behind;
                return self.send_loss(microbatch);
            }
        }
        let step = self.when.step;
        let work = Work::Loss {
            step,
            microbatch,
            input: forward.content,
        };
        let task = self.work(work, Purpose::Loss(microbatch));
        let loss = Loss {
            version: forward.version,
            from,
            behind: forward.behind,
            input,
            task,
            result: None,
        };
        let earlier = self.visits.losses.insert(microbatch, loss);
        if let Some(Loss {
            task,
            result: Some(_),
            ..
        }) = earlier
        {
            self.work_silently(Work::Forget(vec![task]));
        }
    }

    pub(super) fn lost_how_much(&mut self, microbatch: Microbatch, task: Task, outcome: Outcome) {
        let loss = self.visits.losses.get_mut(&microbatch);
        let Some(loss) = loss.filter(|loss| loss.task == task) else {
            // Of an input that was replaced meanwhile.
            return self.work_silently(Work::Forget(vec![task]));
        };
        if let Outcome::Loss(bits, gradient) = outcome {
            loss.result = Some((bits, gradient));
            return self.send_loss(microbatch);
        }
        let (sender, version) = (loss.from, loss.version.clone());
        self.visits.losses.remove(&microbatch);
        if sender == self.me {
            return self.send(self.when.term.leader, Body::Failed(microbatch));
        }
        self.fault(sender, "sent an activation that the head refuses");
        self.refused(sender, microbatch, &version, sender);
    }

    fn send_loss(&mut self, microbatch: Microbatch) {
        let loss = self.visits.losses.get(&microbatch);
        let Some((loss, (_, gradient))) = loss.and_then(|loss| Some((loss, loss.result.as_ref()?)))
        else {
            return;
        };
        let backward = Backward {
            microbatch,
            version: loss.version.clone(),
            beyond: Vec::new(),
            content: gradient.clone(),
        };
        self.send(loss.from, Body::Backward(backward));
    }

    pub(super) fn backward(&mut self, from: Peer, backward: Backward) {
        let Backward {
            microbatch,
            version,
            beyond,
            content,
        } = backward;
        let (me, mine) = (self.me, self.stage());
        let Some(visit) = self.visits.passing.get(&microbatch) else {
            return;
        };
        let Some(away) = visit.away() else { return };
        // Of a way that was given up.
        if visit.target(me) != from || away.version != version {
            return;
        }
        let stages = beyond.iter().map(|visit| Some(visit.hop.stage));
        let ascending = std::iter::once(mine)
            .chain(stages)
            .is_sorted_by(|a, b| a < b);
        let next = visit.ahead.first().copied();
        let follows = next == beyond.first().map(|visit| visit.hop);
        // The source knows the way that its microbatch came back by.
        let told = beyond.iter().map(|visit| (visit.hop, visit.output));
        let as_it_came = self.visits.losses.get(&microbatch).is_none_or(|loss| {
            let came = loss.behind.iter().skip(1);
            came.map(|passed| (passed.hop, passed.output)).eq(told)
        });
        let short = beyond.len() < usize::from(self.settings.stages);
        if !ascending || !follows || !short || !as_it_came {
            self.fault(from, "sent a gradient along hops that cannot be");
            return self.reroute(microbatch, Why::Refused);
        }
        let gradient = content.digest();
        let away = away.clone();
        let loss = self.visits.losses.get(&microbatch).map(|loss| loss.task);
        let work = match (visit.input.clone(), loss) {
            (Some(input), _) => Work::Backward {
                step: self.when.step,
                microbatch,
                input,
                gradient: content,
            },
            (None, Some(loss)) => Work::EmbedBackward {
                step: self.when.step,
                microbatch,
                gradient: content,
                loss,
            },
            // A gradient of no loss.
            (None, None) => return,
        };
        let task = self.work(work, Purpose::Backward(microbatch));
        if let Some(visit) = self.visits.passing.get_mut(&microbatch) {
            visit.progress = Progress::Backwarding {
                task,
                away,
                gradient,
                beyond,
            };
        }
    }

    pub(super) fn backwarded(&mut self, microbatch: Microbatch, task: Task, outcome: Outcome) {
        let hop = self.hop();
        let found = self.visits.passing.get_mut(&microbatch);
        let Some(visit) = found.filter(|visit| {
            matches!(&visit.progress, Progress::Backwarding { task: asked, .. } if *asked == task)
        }) else {
            return self.work_silently(Work::Forget(vec![task]));
        };
        let progress = std::mem::replace(&mut visit.progress, Progress::Forwarding(task));
        let Progress::Backwarding {
            away,
            gradient,
            beyond,
            ..
        } = progress
        else {
            return;
        };
        let sent = match outcome {
            Outcome::Content(content) => Some(content),
            Outcome::Nothing => None,
            _ => {
                visit.progress = Progress::Away(away);
                let peer = visit.target(self.me);
                self.fault(peer, "sent a gradient that the stage refuses");
                return self.reroute(microbatch, Why::Refused);
            }
        };
        visit.progress = Progress::Done {
            visit: Traced {
                hop,
                output: away.output.digest(),
                gradient,
            },
            beyond,
            gradient: sent,
            kept: task,
        };
        self.send_back(microbatch);
        self.admit();
    }

    /// Answers for a visit that is done: to the hop before, or to the leader.
    fn send_back(&mut self, microbatch: Microbatch) {
        let Some(visit) = self.visits.passing.get(&microbatch) else {
            return;
        };
        let Progress::Done {
            visit: own,
            beyond,
            gradient,
            ..
        } = &visit.progress
        else {
            return;
        };
        let visits: Vec<Traced> = std::iter::once(*own)
            .chain(beyond.iter().copied())
            .collect();
        match (visit.from, gradient) {
            (Some(from), Some(content)) => {
                let backward = Backward {
                    microbatch,
                    version: visit.version.clone(),
                    beyond: visits,
                    content: content.clone(),
                };
                self.send(from, Body::Backward(backward));
            }
            _ => {
                let loss = self.visits.losses.get(&microbatch);
                let bits = loss.and_then(|loss| loss.result.as_ref().map(|(bits, _)| *bits));
                let body = match bits {
                    Some(loss) => Body::Finished {
                        microbatch,
                        loss,
                        visits,
                    },
                    None => Body::Failed(microbatch),
                };
                self.send(self.when.term.leader, body);
            }
        }
    }

    pub(super) fn busy(&mut self, from: Peer, microbatch: Microbatch) {
        let until = self.now + self.settings.hop_time;
        let me = self.me;
        let visit = self.visits.passing.get_mut(&microbatch);
        let Some(visit) = visit.filter(|visit| visit.target(me) == from) else {
            return;
        };
        if let Progress::Away(away) = &mut visit.progress {
            away.busy = true;
            away.refusals += 1;
            away.until = until;
        }
    }

    pub(super) fn free(&mut self, from: Peer, microbatch: Microbatch) {
        let me = self.me;
        let visit = self.visits.passing.get(&microbatch);
        let waits =
            |visit: &Visit| visit.target(me) == from && visit.away().is_some_and(|away| away.busy);
        if visit.is_some_and(waits) {
            self.send_on(microbatch);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::content::Digest;
    use crate::member::{Input, Output};
    use crate::message::{Message, Passed, Term, When};
    use crate::settings::Settings;
    use crate::transcript::Roster;

    const FIRST: Peer = Peer(0);
    const ME: Peer = Peer(1);

    fn hop(stage: u16, peer: Peer) -> Hop {
        Hop {
            stage: Stage(stage),
            peer,
        }
    }

    fn content(byte: u8) -> Content {
        Content::new(vec![byte])
    }

    /// The second of two stages, with one slot, in a step that has begun.
    struct Scene(Member);

    impl Scene {
        fn new() -> Self {
            let settings = Settings {
                job: Digest::of(b"job"),
                stages: 2,
                peers: 2,
                most_peers: 2,
                microbatches: 8,
                steps: 1,
                slots: 1,
                hop_time: Duration::from_secs(10),
                phase_time: Duration::from_secs(10),
                step_time: Duration::from_secs(60),
                keep_every: 0,
                rebuild: false,
                meetings: None,
            };
            let roster = Roster(vec![vec![FIRST], vec![ME]]);
            let member = Member::new(settings, ME, roster.clone(), Some(Digest::of(b"state")));
            let mut scene = Self(member);
            scene.said(Body::Begin(roster));
            scene
        }

        fn handle(&mut self, input: Input) -> Vec<Output> {
            self.0.handle(input, Duration::ZERO)
        }

        /// What follows from a word of the first peer.
        fn said(&mut self, body: Body) -> Vec<Output> {
            let term = Term {
                number: 1,
                leader: FIRST,
            };
            let when = When { step: 0, term };
            let message = Message { when, body };
            self.handle(Input::Message {
                from: FIRST,
                message,
            })
        }

        fn forward(&mut self, microbatch: u32) -> Vec<Output> {
            self.said(Body::Forward(Forward {
                microbatch: Microbatch(microbatch),
                version: Version(vec![0, 0]),
                behind: vec![Passed {
                    hop: hop(0, FIRST),
                    output: content(microbatch as u8).digest(),
                }],
                ahead: vec![hop(1, ME)],
                content: content(microbatch as u8),
            }))
        }
    }

    /// Microbatches whose forward pass is asked for, by these outputs.
    fn begun(outputs: &[Output]) -> Vec<(Microbatch, Task)> {
        let works = outputs.iter().filter_map(|output| match output {
            Output::Work {
                task,
                work: Work::Forward { microbatch, .. },
            } => Some((*microbatch, *task)),
            _ => None,
        });
        works.collect()
    }

    #[test]
    fn what_comes_while_no_slot_is_free_waits_and_is_not_asked_for_again() {
        let mut scene = Scene::new();
        let first = begun(&scene.forward(5));
        let [(Microbatch(5), task)] = first[..] else {
            panic!("{first:?}")
        };
        assert_eq!(scene.forward(3), [], "it waits");
        assert_eq!(scene.forward(3), [], "once");
        let third = scene.forward(4);
        let [Output::Send { message, .. }] = &third[..] else {
            panic!("{third:?}")
        };
        assert_eq!(
            message.body,
            Body::Busy(Microbatch(4)),
            "as many wait as there are slots"
        );

        let outcome = Outcome::Content(content(50));
        scene.handle(Input::Done { task, outcome });
        let back = scene.said(Body::Backward(Backward {
            microbatch: Microbatch(5),
            version: Version(vec![0, 0, 0]),
            beyond: Vec::new(),
            content: content(51),
        }));
        let [Output::Work { task, .. }] = &back[..] else {
            panic!("{back:?}")
        };
        let outcome = Outcome::Content(content(52));
        let task = *task;
        let done = scene.handle(Input::Done { task, outcome });
        // The slot is the next one's, and its place is offered to the one after.
        let next = begun(&done);
        assert!(matches!(next[..], [(Microbatch(3), _)]), "{done:?}");
        let offered = done.iter().any(|output| match output {
            Output::Send { message, .. } => message.body == Body::Free(Microbatch(4)),
            _ => false,
        });
        assert!(offered, "{done:?}");
    }
}
