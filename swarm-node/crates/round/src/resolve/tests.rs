//! Resolving small games by hand, and all outcomes of one game.

use std::collections::BTreeMap;

use swarm_identity::key::NodeKey;

use super::*;
use crate::codec::Text;
use crate::completion::SharedCompletion;
use crate::config::{Game, Weighting};
use crate::membership::{Member, Roster};
use crate::payload::{CompletionGroup, Critique, Decision};
use crate::question::RoundQuestion;
use crate::reward::{CORRECTNESS, CRITIQUE, DECISION, FORESEEN, FORMAT, Points};
use crate::sim::toy;
use crate::transcript::RoundPlan;
use crate::vote_record::EVEN;

/// The truth is a given text; "?" cannot be read.
struct Oracle {
    truth: &'static str,
    verifies: bool,
}

impl Judge for Oracle {
    fn score(&self, _: &RoundQuestion, answer: &str) -> f32 {
        f32::from(u8::from(answer == self.truth))
    }

    fn normal(&self, _: &RoundQuestion, answer: &str) -> Option<String> {
        (answer != "?").then(|| answer.to_string())
    }

    fn verifies(&self, _: &RoundQuestion) -> bool {
        self.verifies
    }
}

fn text(text: &str) -> Text {
    Text::cut(text.into(), 32)
}

/// What one member says about the only question: answer, endorsement, decision, foreseen.
type Says = (
    &'static str,
    Option<&'static str>,
    &'static str,
    &'static str,
);

fn plan(members: u8, stakes: impl Fn(u8) -> u64, weighting: Weighting) -> Arc<RoundPlan> {
    let count = u16::from(members);
    let mut config = toy::config(count);
    config.game = Game {
        practice: 0,
        common: 1,
        group: 1,
        weighting,
        ..config.game
    };
    let mut roster = Roster::default();
    for i in 0..members {
        let mut member = Member::new(NodeKey::from_secret(&[i + 1; 32]).unwrap().peer());
        member.stake = stakes(i);
        roster.register(member, 0).unwrap();
    }
    Arc::new(RoundPlan::new(
        &config,
        config.swarm_id(),
        0,
        roster.snapshot(0),
    ))
}

fn transcript(plan: &Arc<RoundPlan>, says: &[Says]) -> Arc<Transcript> {
    let mut transcript = Transcript::new(plan.clone());
    for (member, (answer, endorsed, decided, foreseen)) in (0..).zip(says) {
        let place = (0, member);
        transcript.shares.insert(
            place,
            CompletionGroup {
                completions: vec![SharedCompletion::untold((*answer).to_owned())],
            },
        );
        transcript.critiques.insert(
            place,
            Critique {
                endorsed: endorsed.map(text),
                reason: text(""),
            },
        );
        transcript.decisions.insert(
            place,
            Decision {
                answer: text(decided),
                foreseen: text(foreseen),
            },
        );
    }
    Arc::new(transcript)
}

fn scores(says: &[Says]) -> Vec<Rows> {
    let plan = plan(says.len() as u8, |_| 1, Weighting::Plurality);
    let result = resolve(
        transcript(&plan, says),
        &Oracle {
            truth: "a",
            verifies: true,
        },
    );
    result.scores.into_iter().map(|score| score.rows).collect()
}

#[test]
fn rows_of_a_game_by_hand() {
    let rows = scores(&[
        ("a", Some("a"), "a", "b"),
        ("b", Some("b"), "b", "b"),
        ("?", Some("c"), "b", "a"),
    ]);
    let expected = |correctness, format, critique, decision, foreseen| Rows {
        correctness,
        format,
        critique,
        decision,
        foreseen,
        equivocation: 0,
    };
    assert_eq!(
        rows[0],
        expected(CORRECTNESS, FORMAT, CRITIQUE, DECISION, FORESEEN)
    );
    assert_eq!(rows[1], expected(0, FORMAT, 0, 0, FORESEEN));
    assert_eq!(rows[2], expected(0, 0, 0, 0, 0));
}

#[test]
fn none_is_right_exactly_when_nobody_is() {
    let rows = scores(&[("b", None, "b", "b"), ("c", Some("a"), "b", "b")]);
    assert_eq!((rows[0].critique, rows[1].critique), (CRITIQUE, 0));
    let rows = scores(&[("b", None, "b", "b"), ("a", Some("a"), "b", "b")]);
    assert_eq!((rows[0].critique, rows[1].critique), (0, CRITIQUE));
}

#[test]
fn the_five_choices_are_counted_apart() {
    let plan = plan(5, |_| 1, Weighting::Plurality);
    let says = [
        ("a", Some("b"), "c", "c"),
        ("a", Some("b"), "c", "c"),
        ("a", Some("b"), "a", "c"),
        ("b", Some("b"), "c", "c"),
        ("c", Some("absent"), "?", "c"),
    ];
    let tally = resolve(
        transcript(&plan, &says),
        &Oracle {
            truth: "b",
            verifies: true,
        },
    )
    .tallies
    .remove(0);
    let choice =
        |choice: Option<&tally::Choice>| choice.map(|c| (c.answer.to_string(), c.votes, c.points));
    assert_eq!(
        choice(tally.choices.plurality.as_ref()),
        Some(("a".into(), 3, 0))
    );
    assert_eq!(
        choice(tally.choices.critics.as_ref()),
        Some(("b".into(), 4, 1000))
    );
    assert_eq!(
        choice(tally.choices.pooled.as_ref()),
        Some(("b".into(), 5, 1000))
    );
    assert_eq!(
        choice(tally.choices.decided.as_ref()),
        Some(("c".into(), 3, 0))
    );
    assert_eq!(
        choice(tally.winner()),
        Some(("a".into(), 3 * u128::from(EVEN), 0))
    );
}

#[test]
fn stake_weighs_votes_where_the_game_says_so() {
    let says = [
        ("a", None, "a", "a"),
        ("b", None, "b", "b"),
        ("b", None, "b", "b"),
    ];
    let winner = |weighting| {
        let plan = plan(3, |_| 1, weighting);
        // The members' order is by key: give the stake to whoever votes "a".
        let heavy = plan.members[0].peer;
        let plan = self::plan(
            3,
            |i| {
                if NodeKey::from_secret(&[i + 1; 32]).unwrap().peer() == heavy {
                    5
                } else {
                    1
                }
            },
            weighting,
        );
        let result = resolve(
            transcript(&plan, &says),
            &Oracle {
                truth: "a",
                verifies: true,
            },
        );
        result.tallies[0].winner().unwrap().answer.to_string()
    };
    assert_eq!(
        (winner(Weighting::Plurality), winner(Weighting::Stake)),
        ("b".into(), "a".into())
    );
}

#[test]
fn without_a_verifier_the_others_are_the_measure() {
    let plan = plan(4, |_| 1, Weighting::Stake);
    let says = [
        ("x", Some("x"), "x", "x"),
        ("x", Some("x"), "x", "x"),
        ("x", Some("y"), "x", "x"),
        ("y", Some("y"), "y", "y"),
    ];
    let result = resolve(
        transcript(&plan, &says),
        &Oracle {
            truth: "y",
            verifies: false,
        },
    );
    let rows: Vec<_> = result.scores.iter().map(|score| score.rows).collect();
    assert!(rows[0].correctness > CORRECTNESS / 2 && rows[3].correctness == 0);
    assert_eq!((rows[0].decision, rows[3].decision), (DECISION, 0));
    assert_eq!((rows[0].critique, rows[2].critique), (CRITIQUE, 0));
}

#[test]
fn the_digest_covers_words_and_contradictions() {
    let plan = plan(3, |_| 1, Weighting::Plurality);
    let says = [("a", None, "a", "a"); 3];
    let digest = |transcript| {
        resolve(
            transcript,
            &Oracle {
                truth: "a",
                verifies: true,
            },
        )
        .digest
    };
    let base = transcript(&plan, &says);
    let mut reason = Transcript::clone(&base);
    reason.critiques.get_mut(&(0, 1)).unwrap().reason = text("other");
    let mut contradicted = Transcript::clone(&base);
    contradicted.equivocations.insert(1, 1);
    let digests = [
        digest(base.clone()),
        digest(Arc::new(reason)),
        digest(Arc::new(contradicted)),
    ];
    assert_eq!(digest(base), digests[0]);
    assert!(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2]);
}

// A game small enough to enumerate: the truth is "a" or "b" with equal chance, three members each
// see it rightly with chance 3/4. Members 1 and 2 are truthful; member 0 may say anything.

const ANSWERS: [&str; 2] = ["a", "b"];

fn majority(votes: [usize; 3]) -> usize {
    usize::from(votes.iter().sum::<usize>() >= 2)
}

/// Chance of signals under a truth, in 64ths.
fn chance(truth: usize, signals: [usize; 3]) -> i64 {
    signals
        .iter()
        .map(|signal| if *signal == truth { 3 } else { 1 })
        .product()
}

/// What member 0 does after the reveals: endorsement (2 = none), decision, foreseen.
type Continuation = (usize, usize, usize);

fn payoff(plan: &Arc<RoundPlan>, truth: usize, shares: [usize; 3], then: Continuation) -> Points {
    let others = ANSWERS[majority(shares)];
    let mut says = shares.map(|share| (ANSWERS[share], Some(others), others, others));
    says[0] = (
        ANSWERS[shares[0]],
        ANSWERS.get(then.0).copied(),
        ANSWERS[then.1],
        ANSWERS[then.2],
    );
    let result = resolve(
        transcript(plan, &says),
        &Oracle {
            truth: ANSWERS[truth],
            verifies: true,
        },
    );
    result.scores[0].rows.total()
}

/// Expected payoff (times 128) in an information set: own signal, own share, the others' shares.
fn expected(
    plan: &Arc<RoundPlan>,
    signals: [usize; 3],
    share: usize,
    then: Continuation,
) -> Points {
    let shares = [share, signals[1], signals[2]];
    (0..2)
        .map(|truth| chance(truth, signals) * payoff(plan, truth, shares, then))
        .sum()
}

fn continuations() -> impl Iterator<Item = Continuation> {
    (0..12).map(|i| (i / 4, i / 2 % 2, i % 2))
}

#[test]
fn telling_the_truth_is_the_best_reply() {
    let plan = plan(3, |_| 1, Weighting::Plurality);
    let signals = (0..8).map(|i| [i & 1, i >> 1 & 1, i >> 2 & 1]);
    // By own signal and own share: the value of the best continuation, summed over what the others
    // may say.
    let mut best: BTreeMap<(usize, usize), Points> = BTreeMap::new();
    let mut honest: BTreeMap<usize, Points> = BTreeMap::new();
    for signals in signals {
        let belief = majority(signals);
        let truthful = expected(&plan, signals, signals[0], (belief, belief, belief));
        *honest.entry(signals[0]).or_default() += truthful;
        for share in 0..2 {
            let value = |then| expected(&plan, signals, share, then);
            let top = continuations().map(value).max().unwrap();
            *best.entry((signals[0], share)).or_default() += top;
            if share == signals[0] {
                assert_eq!(
                    truthful, top,
                    "a lie after a true answer pays at {signals:?}"
                );
            }
        }
    }
    for signal in 0..2 {
        assert_eq!(honest[&signal], best[&(signal, signal)]);
        assert!(
            honest[&signal] > best[&(signal, 1 - signal)],
            "a false answer pays"
        );
    }
}
