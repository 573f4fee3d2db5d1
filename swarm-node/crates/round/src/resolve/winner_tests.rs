//! The rule that names the winner, over rounds of several questions.

use std::collections::HashMap;

use proptest::prelude::*;
use swarm_identity::key::NodeKey;

use super::*;
use crate::codec::Text;
use crate::completion::SharedCompletion;
use crate::config::{Game, Weighting};
use crate::membership::{Member, Roster};
use crate::payload::{CompletionGroup, Critique, Decision};
use crate::question::{QuestionId, RoundQuestion};
use crate::reward::Points;
use crate::sim::toy;
use crate::tally::Choice;
use crate::transcript::RoundPlan;
use crate::vote_record;

/// Right answers of the questions that have a verifier. "?" cannot be read.
struct Key(HashMap<QuestionId, String>);

impl Key {
    /// `None` for a question without a verifier.
    fn new(plan: &RoundPlan, truths: &[Option<&str>]) -> Self {
        let pairs = plan.questions.iter().zip(truths);
        Self(
            pairs
                .filter_map(|(question, truth)| Some((question.id, (*truth)?.to_string())))
                .collect(),
        )
    }
}

impl Judge for Key {
    fn score(&self, question: &RoundQuestion, answer: &str) -> f32 {
        f32::from(u8::from(
            self.0
                .get(&question.id)
                .is_some_and(|truth| truth == answer),
        ))
    }

    fn normal(&self, _: &RoundQuestion, answer: &str) -> Option<String> {
        (answer != "?").then(|| answer.to_string())
    }

    fn verifies(&self, question: &RoundQuestion) -> bool {
        self.0.contains_key(&question.id)
    }
}

/// What a member says about a question: completions, endorsement, decision.
#[derive(Clone, Debug)]
struct Says {
    completions: Vec<&'static str>,
    endorsed: Option<&'static str>,
    decided: &'static str,
}

/// One answer in all stages.
fn always(answer: &'static str) -> Says {
    Says {
        completions: vec![answer],
        endorsed: Some(answer),
        decided: answer,
    }
}

fn text(text: &str) -> Text {
    Text::cut(text.into(), 32)
}

fn plan(members: u8, questions: u16, group: u8, stake: impl Fn(u8) -> u64) -> Arc<RoundPlan> {
    let mut config = toy::config(members.into());
    let weighting = Weighting::Stake;
    config.game = Game {
        practice: 0,
        common: questions,
        group,
        weighting,
        ..config.game
    };
    let mut peers: Vec<_> = (1..=members)
        .map(|i| NodeKey::from_secret(&[i; 32]).unwrap().peer())
        .collect();
    peers.sort_unstable();
    let mut roster = Roster::default();
    for (i, peer) in (0..).zip(peers) {
        roster
            .register(
                Member {
                    stake: stake(i),
                    ..Member::new(peer)
                },
                0,
            )
            .unwrap();
    }
    Arc::new(RoundPlan::new(
        &config,
        config.swarm_id(),
        0,
        roster.snapshot(0),
    ))
}

/// A round in which member m says `says[question][m]`; whoever is not listed is silent.
fn round(plan: &Arc<RoundPlan>, says: &[Vec<Says>]) -> Arc<Transcript> {
    let mut transcript = Transcript::new(plan.clone());
    for (slot, question) in (0..).zip(says) {
        for (member, said) in (0..).zip(question) {
            let completions = said
                .completions
                .iter()
                .map(|completion| SharedCompletion::untold((*completion).into()))
                .collect();
            transcript
                .shares
                .insert((slot, member), CompletionGroup { completions });
            let critique = Critique {
                endorsed: said.endorsed.map(text),
                reason: text(""),
            };
            transcript.critiques.insert((slot, member), critique);
            let decision = Decision {
                answer: text(said.decided),
                foreseen: text("?"),
            };
            transcript.decisions.insert((slot, member), decision);
        }
    }
    Arc::new(transcript)
}

fn winners(
    plan: &Arc<RoundPlan>,
    says: &[Vec<Says>],
    truths: &[Option<&str>],
) -> Vec<Option<Choice>> {
    let result = resolve(round(plan, says), &Key::new(plan, truths));
    result
        .tallies
        .iter()
        .map(|tally| tally.winner().cloned())
        .collect()
}

fn answer(winner: &Option<Choice>) -> Option<&str> {
    winner.as_ref().map(|choice| &*choice.answer)
}

#[test]
fn one_member_that_is_right_outvotes_two_that_are_always_wrong() {
    let plan = plan(3, 8, 1, |_| 1);
    let says = vec![vec![always("a"), always("b"), always("b")]; 8];
    let all = winners(&plan, &says, &[Some("a"); 8]);
    assert!(all.iter().all(|winner| answer(winner) == Some("a")));
    // The last question has no verifier; what the others show counts there, too.
    let mut truths = [Some("a"); 8];
    truths[7] = None;
    assert_eq!(answer(&winners(&plan, &says, &truths)[7]), Some("a"));
    assert_eq!(answer(&winners(&plan, &says, &[None; 8])[7]), Some("b"));
}

#[test]
fn completions_come_first_and_the_other_stages_choose_where_they_are_close() {
    let plan = plan(3, 1, 2, |_| 1);
    let with = |completions: &[&'static str], endorsed, decided| {
        let mine = Says {
            completions: completions.to_vec(),
            endorsed,
            decided,
        };
        let all = vec![vec![
            mine,
            Says {
                decided: "?",
                ..always("b")
            },
            Says {
                endorsed: None,
                decided: "?",
                ..always("c")
            },
        ]];
        let winner = winners(&plan, &all, &[Some("z")]).remove(0).unwrap();
        (
            winner.answer.to_string(),
            winner.votes / u128::from(vote_record::EVEN),
        )
    };
    // Members 1 and 2 sent one of two completions: half a vote for each of "b" and "c".
    assert_eq!(with(&["a", "a"], Some("b"), "b"), ("a".into(), 2));
    assert_eq!(with(&["a", "?"], Some("a"), "a"), ("a".into(), 1));
    assert_eq!(with(&["a", "?"], Some("b"), "c"), ("b".into(), 1));
    assert_eq!(with(&["a", "c"], Some("a"), "a"), ("c".into(), 2));
}

#[test]
fn critics_and_deciders_that_are_mostly_wrong_choose_nothing() {
    let plan = plan(12, 9, 1, |_| 1);
    // Members 0 and 1 are each right in every other completion, so that their last ones are close.
    // Member 1 is right in the other stages; the eleven others, who would outweigh it, are wrong
    // there.
    let question = |n: usize| {
        let turns = if n.is_multiple_of(2) {
            ["b", "a"]
        } else {
            ["a", "b"]
        };
        let wrong = |completion| Says {
            completions: vec![completion],
            ..always("b")
        };
        let mut says = vec![wrong("?"); 12];
        says[0] = wrong(turns[0]);
        says[1] = Says {
            completions: vec![turns[1]],
            ..always("a")
        };
        says
    };
    let says: Vec<_> = (0..9).map(question).collect();
    assert_eq!(
        answer(&winners(&plan, &says, &[Some("a"); 9])[8]),
        Some("a")
    );
    assert_eq!(answer(&winners(&plan, &says, &[None; 9])[8]), Some("b"));
}

#[test]
fn silence_where_votes_are_due_counts_as_wrong() {
    let plan = plan(3, 6, 1, |_| 1);
    let silent = Says {
        completions: vec!["?"],
        endorsed: None,
        decided: "?",
    };
    let mut says = vec![vec![always("a"), silent.clone(), silent.clone()]; 6];
    // Member 0 is wrong half of the time; who only speaks once has no better record than that.
    for question in &mut says[..3] {
        question[0] = always("x");
    }
    says[5] = vec![always("a"), always("b"), silent];
    assert_eq!(
        answer(&winners(&plan, &says, &[Some("a"); 6])[5]),
        Some("a")
    );
}

#[test]
fn the_greatest_stakes_and_records_do_not_overflow() {
    // More in sum no roster takes.
    let stake = u64::MAX / 4;
    let plan = plan(4, 200, 16, |_| stake);
    let mut says = vec![vec![always("a"); 4]; 200];
    says.iter_mut()
        .flatten()
        .for_each(|said| said.completions = vec!["a"; 16]);
    let all = winners(&plan, &says, &[Some("a"); 200]);
    let most = u128::from(stake) * u128::from(vote_record::CERTAIN * 200 / 201) * 16 * 4;
    assert!(
        all.iter()
            .all(|winner| winner.as_ref().unwrap().votes == most)
    );
}

#[test]
fn stake_multiplies_the_weight_of_a_record() {
    let says = vec![vec![always("a"), always("b")]; 3];
    // Two right and two wrong votes elsewhere: 3/4 against 1/4.
    for (stake, winner) in [(2, "a"), (4, "b")] {
        let plan = plan(2, 3, 1, |member| if member == 1 { stake } else { 1 });
        assert_eq!(
            answer(&winners(&plan, &says, &[Some("a"); 3])[0]),
            Some(winner)
        );
    }
}

const ANSWERS: [&str; 4] = ["a", "b", "c", "?"];

fn said() -> impl Strategy<Value = Says> {
    let one = || (0..ANSWERS.len()).prop_map(|i| ANSWERS[i]);
    (
        proptest::collection::vec(one(), 1..3),
        proptest::option::of(one()),
        one(),
    )
        .prop_map(|(completions, endorsed, decided)| Says {
            completions,
            endorsed,
            decided,
        })
}

/// Four questions, five members, one truth per question.
fn game() -> impl Strategy<Value = (Vec<Vec<Says>>, Vec<usize>)> {
    let says = proptest::collection::vec(proptest::collection::vec(said(), 5), 4);
    (says, proptest::collection::vec(0usize..3, 4))
}

fn truths(game: &[usize]) -> Vec<Option<&'static str>> {
    game.iter().map(|truth| Some(ANSWERS[*truth])).collect()
}

proptest! {
    #[test]
    fn a_question_s_own_truth_does_not_choose_its_winner((says, game) in game(), other in 0usize..4) {
        let plan = plan(5, 4, 2, |_| 1);
        let base = winners(&plan, &says, &truths(&game));
        let mut changed = truths(&game);
        changed[0] = [Some("a"), Some("b"), Some("c"), None][other];
        let answers = |all: &[Option<Choice>]| all[0].as_ref().map(|choice| (choice.answer.clone(), choice.votes));
        prop_assert_eq!(answers(&base), answers(&winners(&plan, &says, &changed)));
    }

    #[test]
    fn who_says_what_does_not_matter_only_what_was_said((says, game) in game(), turn in 0usize..5) {
        let plan = plan(5, 4, 2, |_| 1);
        let mut turned = says.clone();
        turned.iter_mut().for_each(|members| members.rotate_left(turn));
        prop_assert_eq!(winners(&plan, &says, &truths(&game)), winners(&plan, &turned, &truths(&game)));
    }

    #[test]
    fn without_a_verifier_all_votes_weigh_the_same((says, _) in game()) {
        let plan = plan(5, 4, 2, |_| 1);
        for (question, winner) in says.iter().zip(winners(&plan, &says, &[None; 4])) {
            let mut votes: HashMap<&str, u128> = HashMap::new();
            for completion in question.iter().flat_map(|said| &said.completions) {
                *votes.entry(completion).or_default() += u128::from(vote_record::EVEN);
            }
            votes.remove("?");
            // Fewer than ten completions cannot be close without being equal.
            if let Some(most) = votes.values().max() {
                prop_assert_eq!(winner.as_ref().map(|choice| choice.votes), Some(*most));
                prop_assert_eq!(votes.get(answer(&winner).unwrap()), Some(most));
            }
        }
    }
}

// Two questions whose votes weigh each other: truths are "a" or "b" with equal chance, three
// members each see each rightly with chance 3/4. Members 1 and 2 are truthful; member 0 may say
// anything about both.

const TRUTHS: [&str; 2] = ["a", "b"];

/// Chance of three signals under a truth, in 64ths.
fn chance(truth: usize, signals: [usize; 3]) -> Points {
    signals
        .iter()
        .map(|signal| if *signal == truth { 3 } else { 1 })
        .product()
}

fn bits(number: usize) -> [usize; 3] {
    [number & 1, number >> 1 & 1, number >> 2 & 1]
}

/// What member 0 does with a question: answer, endorsement (2 = none), decision, foreseen.
type Act = (usize, usize, usize, usize);

fn payoff(
    plan: &Arc<RoundPlan>,
    signals: [[usize; 3]; 2],
    acts: [Act; 2],
    truths: [usize; 2],
) -> Points {
    let mut transcript = Transcript::new(plan.clone());
    for (slot, (signals, act)) in (0..).zip(signals.into_iter().zip(acts)) {
        let shares = [act.0, signals[1], signals[2]];
        let majority = usize::from(shares.iter().sum::<usize>() >= 2);
        for (member, share) in (0..).zip(shares) {
            let (endorsed, decided, foreseen) = if member == 0 {
                (act.1, act.2, act.3)
            } else {
                (majority, majority, majority)
            };
            let critique = Critique {
                endorsed: TRUTHS.get(endorsed).map(|t| text(t)),
                reason: text(""),
            };
            let decision = Decision {
                answer: text(TRUTHS[decided]),
                foreseen: text(TRUTHS[foreseen]),
            };
            transcript.shares.insert(
                (slot, member),
                CompletionGroup {
                    completions: vec![SharedCompletion::untold(TRUTHS[share].into())],
                },
            );
            transcript.critiques.insert((slot, member), critique);
            transcript.decisions.insert((slot, member), decision);
        }
    }
    let key = Key::new(plan, &truths.map(|truth| Some(TRUTHS[truth])));
    resolve(Arc::new(transcript), &key).scores[0].rows.total()
}

#[test]
fn lying_about_one_question_does_not_pay_on_another() {
    let plan = plan(3, 2, 1, |_| 1);
    let acts = |share: usize| (0..12).map(move |i| (share, i / 4, i / 2 % 2, i % 2));
    let value = |signals: [[usize; 3]; 2], acts: [Act; 2]| -> Points {
        let truths = (0..4).map(|i| [i & 1, i >> 1]);
        let one = |t: [usize; 2]| {
            chance(t[0], signals[0]) * chance(t[1], signals[1]) * payoff(&plan, signals, acts, t)
        };
        truths.map(one).sum()
    };
    // By symmetry of the questions' answers it is enough that member 0 sees "a" for both.
    let (mut honest, mut best) = (0, HashMap::<[usize; 2], Points>::new());
    for others in 0..16 {
        let signals = [bits(others % 4 * 2), bits(others / 4 * 2)];
        let belief = signals.map(|signals| usize::from(signals.iter().sum::<usize>() >= 2));
        honest += value(signals, belief.map(|belief| (0, belief, belief, belief)));
        for shares in [[0, 0], [0, 1], [1, 0], [1, 1]] {
            let pairs = acts(shares[0])
                .flat_map(|first| acts(shares[1]).map(move |second| [first, second]));
            *best.entry(shares).or_default() +=
                pairs.map(|acts| value(signals, acts)).max().unwrap();
        }
    }
    assert_eq!(honest, best[&[0, 0]]);
    assert!(
        best.iter()
            .all(|(shares, value)| *shares == [0, 0] || *value < honest),
        "a false answer pays"
    );
}
