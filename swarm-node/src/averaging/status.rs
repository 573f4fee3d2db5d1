//! Where an averaging job stands, as a peer's folder tells it: rounds, losses, and who met whom.
//!
//! A function of charter and transcript. What it says is what is recorded; whether the records are
//! true is what a replay finds.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use skippipe::content::Digest;
use swarm_learn::averaging::pairing::Group;
use swarm_learn::averaging::settings::Settings;
use swarm_learn::averaging::transcript::{Reason, Replica, Roster, RoundRecord, Taken};

use super::ledger::{Entry, Ledger};

/// Rounds that the text for people shows, the newest.
const SHOWN: usize = 12;

/// Where an averaging job stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The job.
    pub job: String,
    /// Whether this peer's process runs.
    pub is_running: bool,
    /// This peer's replica; none where its key is not in the charter.
    pub me: Option<u32>,
    /// Rounds up to the last that this peer has signed, or that it knows of, where it has no
    /// replica.
    pub done: u64,
    /// Rounds of the job.
    pub rounds: u64,
    /// Each replica, as this peer knows it.
    pub replicas: Vec<ReplicaStatus>,
    /// Rounds in which a replica did not move with its group, or was away, in order.
    pub changes: Vec<Change>,
}

/// A replica.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplicaStatus {
    /// Which.
    pub replica: u32,
    /// Rounds up to the last that it signed.
    pub done: u64,
    /// Rounds that it moved with others.
    pub averaged: usize,
    /// Rounds that it moved alone.
    pub alone: usize,
    /// Rounds before its last one in which it was away.
    pub missed: u64,
    /// Mean loss of the inner steps of its last round, in nats a token, by its own word.
    pub loss: Option<f32>,
}

/// Something that did not go as planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// In which round, from 0.
    pub round: u64,
    /// To whom.
    pub replica: u32,
    /// What.
    pub what: String,
}

/// What a replica did in a round, in words; `true` where it is as planned.
pub fn told(record: &RoundRecord, settings: &Settings, roster: Option<&Roster>) -> (String, bool) {
    let Settings { job, paired, .. } = settings;
    let group = roster.map(|roster| Group::of(job, record.round, roster, *paired, record.replica));
    let names = |replicas: &mut dyn Iterator<Item = Replica>| {
        let names: Vec<String> = replicas.map(|one| one.to_string()).collect();
        names.join(", ")
    };
    let (them, is_one) = match &group {
        Some(group) if *paired => (names(&mut group.others(record.replica)), true),
        Some(group) if group.leader() == Some(record.replica) => ("the others".into(), false),
        Some(group) => (names(&mut group.leader().into_iter()), true),
        None => ("whom it was to meet".into(), true),
    };
    match &record.taken {
        Taken::Averaged { parts, .. } => {
            let own = record.replica;
            let others = parts.iter().map(|part| part.replica);
            let with = names(&mut others.filter(|other| *other != own));
            let is_in = parts.iter().any(|part| part.replica == own);
            match is_in {
                true => (format!("averaged with {with}"), true),
                false => (format!("took the mean of {with}"), false),
            }
        }
        Taken::Adopted { from, .. } => (format!("took the anchor of {from}"), false),
        Taken::Alone(reason) => {
            let (was, did) = if is_one {
                ("was", "had")
            } else {
                ("were", "had")
            };
            let why = match reason {
                Reason::Single => return ("alone: the odd one out".into(), true),
                Reason::NotListed => "it is not in the roster yet".into(),
                Reason::Lost => format!("{them} could not be reached"),
                Reason::Late => format!("{them} {was} late"),
                Reason::Stale => format!("{them} {was} still in an earlier round"),
                Reason::InDoubt => format!("it did not hear whether {them} averaged"),
                Reason::WrongSize => format!("{them} sent too much or too little"),
                Reason::WrongHash => format!("{them} sent something else than it signed"),
                Reason::WrongParts => format!("{them} sent a mean of others"),
                Reason::Refused => format!("{them} sent what is no contribution"),
                Reason::Declined => format!("{them} {did} moved already"),
                Reason::OtherRoster => format!("{them} {was} going by another roster"),
                Reason::Unsigned => "it has signed another contribution before".to_owned(),
            };
            (format!("alone: {why}"), false)
        }
    }
}

/// Rosters by digest: the first, and all that somebody goes by.
pub fn rosters(ledger: &Ledger, settings: &Settings) -> BTreeMap<Digest, Roster> {
    let first = Roster::initial(settings.replicas);
    let mut rosters = BTreeMap::from([(first.digest(), first)]);
    for replica in (0..settings.replicas).map(Replica) {
        for entry in ledger.of(replica) {
            if let Entry::Roster(listed) = entry {
                rosters.insert(listed.roster.digest(), listed.roster.clone());
            }
        }
    }
    rosters
}

impl Status {
    /// The status of the peer that holds replica `me`.
    pub fn of(settings: &Settings, ledger: &Ledger, me: Option<u32>, is_running: bool) -> Self {
        let rosters = rosters(ledger, settings);
        let (mut replicas, mut changes) = (Vec::new(), Vec::new());
        for replica in (0..settings.replicas).map(Replica) {
            let mut status = ReplicaStatus {
                replica: replica.0,
                done: 0,
                averaged: 0,
                alone: 0,
                missed: 0,
                loss: None,
            };
            for entry in ledger.of(replica) {
                let Entry::Round { completed, loss } = entry else {
                    continue;
                };
                let record = &completed.record;
                let mut change = |round, what| {
                    changes.push(Change {
                        round,
                        replica: replica.0,
                        what,
                    });
                };
                let missed = record.round - status.done;
                if missed > 0 {
                    let last = status.done + missed;
                    let rounds = match missed {
                        1 => format!("round {last}"),
                        _ => format!("rounds {} to {last}", status.done + 1),
                    };
                    change(record.round, format!("came back; it was away in {rounds}"));
                }
                let (what, is_planned) = told(record, settings, rosters.get(&record.roster));
                if !is_planned {
                    change(record.round, what);
                }
                match record.taken {
                    Taken::Alone(_) => status.alone += 1,
                    Taken::Averaged { .. } | Taken::Adopted { .. } => status.averaged += 1,
                }
                status.missed += missed;
                status.done = record.round + 1;
                status.loss = Some(f32::from_bits(*loss)).filter(|loss| loss.is_finite());
            }
            replicas.push(status);
        }
        changes.sort_by_key(|change| (change.round, change.replica));
        let own = me.and_then(|me| replicas.get(me as usize));
        let furthest = replicas.iter().map(|one| one.done).max().unwrap_or(0);
        Self {
            job: settings.job.to_string(),
            is_running,
            me,
            done: own.map_or(furthest, |own| own.done),
            rounds: settings.rounds,
            replicas,
            changes,
        }
    }

    /// Whether nothing more will come.
    pub fn is_over(&self) -> bool {
        self.done >= self.rounds && !self.is_running
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!("job          {}\n", self.job);
        let state = match (self.done >= self.rounds, self.is_running) {
            (true, false) => "finished",
            (true, true) => "finished; staying for the others",
            (false, true) => "running",
            (false, false) => "not running; the command that started this peer goes on from here",
        };
        let _ = writeln!(
            text,
            "state        round {} of {}, {state}",
            self.done, self.rounds
        );
        for one in &self.replicas {
            let name = match Some(one.replica) == self.me {
                true => format!("{} (this)", one.replica),
                false => one.replica.to_string(),
            };
            let loss = match one.loss {
                Some(loss) => format!(", loss {loss:.4}"),
                None => String::new(),
            };
            let missed = match one.missed {
                0 => String::new(),
                missed => format!(", away in {missed}"),
            };
            let _ = writeln!(
                text,
                "replica {name:<9} round {}{loss}; with others in {}, alone in {}{missed}",
                one.done, one.averaged, one.alone
            );
        }
        let hidden = self.changes.len().saturating_sub(SHOWN);
        if hidden > 0 {
            let _ = writeln!(
                text,
                "changes      {hidden} earlier ones (--json has all), then"
            );
        }
        for change in &self.changes[hidden..] {
            let _ = writeln!(
                text,
                "round {:<6} {} {}",
                change.round + 1,
                Replica(change.replica),
                change.what
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use swarm_learn::averaging::transcript::{Completed, Part};

    use super::*;

    fn settings(paired: bool) -> Settings {
        Settings {
            job: Digest([7; 32]),
            paired,
            replicas: 3,
            rounds: 8,
            contribution_bytes: 8,
            outer_bytes: 8,
            patience: Duration::from_secs(1),
            again: Duration::from_secs(1),
        }
    }

    fn record(replica: u32, round: u64, taken: Taken) -> RoundRecord {
        RoundRecord {
            job: Digest([7; 32]),
            replica: Replica(replica),
            round,
            roster: Roster::initial(3).digest(),
            contribution: Digest([1; 32]),
            taken,
        }
    }

    fn averaged(with: &[u32]) -> Taken {
        let part = |replica: &u32| Part {
            replica: Replica(*replica),
            outer: Digest([0; 32]),
            contribution: Digest([0; 32]),
            signature: Vec::new(),
        };
        Taken::Averaged {
            parts: with.iter().map(part).collect(),
            mean: None,
        }
    }

    fn entry(record: RoundRecord, loss: f32) -> Entry {
        let completed = Completed {
            record,
            state: Digest([2; 32]),
            signature: Vec::new(),
        };
        Entry::Round {
            completed: Box::new(completed),
            loss: loss.to_bits(),
        }
    }

    #[test]
    fn rounds_losses_and_whatever_went_otherwise_are_told() {
        let settings = settings(true);
        let mut ledger = Ledger::new(&settings);
        let taken = [
            (0, averaged(&[0, 1])),
            (1, Taken::Alone(Reason::Late)),
            (5, averaged(&[0, 1])),
        ];
        for (round, taken) in taken {
            let loss = 2.5 - round as f32 / 4.0;
            let entry = entry(record(0, round, taken), loss);
            ledger.keep(Replica(0), entry).unwrap();
        }
        let nan = entry(record(2, 0, Taken::Alone(Reason::Single)), f32::NAN);
        ledger.keep(Replica(2), nan).unwrap();
        let status = Status::of(&settings, &ledger, Some(0), true);
        assert_eq!(
            (status.done, status.rounds, status.is_over()),
            (6, 8, false)
        );
        let own = &status.replicas[0];
        assert_eq!((own.averaged, own.alone, own.missed), (2, 1, 3));
        assert_eq!((own.loss, status.replicas[2].loss), (Some(1.25), None));
        let changes: Vec<(u64, &str)> = status
            .changes
            .iter()
            .map(|change| (change.round, &*change.what))
            .collect();
        let group = Group::of(&settings.job, 1, &Roster::initial(3), true, Replica(0));
        let partner = group.others(Replica(0)).next();
        let late = partner.map(|partner| format!("alone: {partner} was late"));
        assert_eq!(
            changes,
            [
                (1, late.as_deref().unwrap_or("alone:  was late")),
                (5, "came back; it was away in rounds 3 to 5")
            ]
        );
        let text = status.text();
        assert!(text.contains("round 6 of 8, running"), "{text}");
        assert!(
            text.contains(
                "0 (this)  round 6, loss 1.2500; with others in 2, alone in 1, away in 3"
            ),
            "{text}"
        );
        let stranger = Status::of(&settings, &ledger, None, false);
        assert_eq!(stranger.done, 6);
        assert!(stranger.text().contains("not running"));
    }

    #[test]
    fn every_reason_is_a_sentence() {
        let reasons = [
            Reason::NotListed,
            Reason::Lost,
            Reason::Late,
            Reason::Stale,
            Reason::InDoubt,
            Reason::WrongSize,
            Reason::WrongHash,
            Reason::WrongParts,
            Reason::Refused,
            Reason::Declined,
            Reason::OtherRoster,
            Reason::Unsigned,
        ];
        let roster = Roster::initial(3);
        for paired in [true, false] {
            for reason in reasons {
                let record = record(1, 3, Taken::Alone(reason));
                let (what, is_planned) = told(&record, &settings(paired), Some(&roster));
                assert!(what.starts_with("alone: ") && !is_planned, "{what}");
            }
        }
        let taken = averaged(&[0, 2]);
        let (what, is_planned) = told(&record(1, 3, taken), &settings(false), Some(&roster));
        assert_eq!(
            (what.as_str(), is_planned),
            ("took the mean of replica 0, replica 2", false)
        );
    }
}
