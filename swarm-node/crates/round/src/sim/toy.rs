//! A task and models simple enough for tests: questions whose right answer is a number.
//!
//! The right answer is a number below 1000 that is taken from the question's seed, so every node
//! computes it. A toy peer has a *skill*, the probability with which a completion of it is right;
//! otherwise the completion is one of the next three numbers. All randomness is Philox of a seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use reproducible_ops::random::block;

use super::driver::{Driver, Job};
use super::network::Network;
use super::seed::seed_key;
use super::spec::{PeerSpec, Role, Spec, simulated_key};
use crate::agreement::DecidedRound;
use crate::completion::SharedCompletion;
use crate::config::{Agreement, Game, Membership, SwarmConfig, Weighting, Windows};
use crate::question::{Judge, RoundQuestion};
use crate::work::{Answers, Asked, CritiqueText, Critiques, DecisionText, Decisions};

/// The configuration of a swarm of `peers` members. Each round has one practice question per
/// member, which one member answers, and two common questions, which all members answer, critique
/// and decide.
pub fn config(peers: u16) -> SwarmConfig {
    let game = Game {
        topics: 4,
        practice: peers,
        common: 2,
        group: 4,
        answerers: 1,
        common_answerers: peers,
        critics: peers,
        deciders: peers,
        text_bytes: 32,
        tokens: 32,
        weighting: Weighting::Plurality,
    };
    SwarmConfig {
        name: "toy".into(),
        tasks: "numbers".into(),
        model: String::new(),
        numerics: "ro1".into(),
        settlement: String::new(),
        genesis_ms: 10_000,
        windows: Windows::uniform(1_000),
        game,
        agreement: Agreement::default(),
        membership: Membership::default(),
    }
}

/// A calm simulation of honest toy peers.
pub fn spec(peers: u16, rounds: u64, seed: u64) -> Spec {
    Spec {
        swarm: Arc::new(config(peers)),
        peers: vec![PeerSpec::new(Role::Honest); peers.into()],
        rounds,
        seed,
        network: Network::default(),
        crashes: Vec::new(),
        compute_ms: 300,
    }
}

/// The same in an open swarm with short epochs, which the first peers found.
///
/// # Panics
/// With negligible probability a seed gives no key.
#[expect(clippy::expect_used, reason = "another seed can be taken")]
pub fn open_spec(peers: u16, founders: usize, rounds: u64, seed: u64) -> Spec {
    let mut config = config(peers);
    let key = |peer| simulated_key(seed, peer).expect("invariant: a seed gives keys");
    config.membership = Membership::Open {
        founders: (0..founders).map(|peer| key(peer).peer().into()).collect(),
    };
    config.agreement.rounds_per_epoch = 3;
    Spec {
        swarm: Arc::new(config),
        ..spec(peers, rounds, seed)
    }
}

/// Knows the numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct ToyJudge;

/// The right answer.
pub fn truth(question: &RoundQuestion) -> u64 {
    question.seed() % 1000
}

impl Judge for ToyJudge {
    fn score(&self, question: &RoundQuestion, answer: &str) -> f32 {
        if parse(answer) == Some(truth(question)) {
            1.0
        } else {
            0.0
        }
    }

    fn normal(&self, _question: &RoundQuestion, answer: &str) -> Option<String> {
        parse(answer).map(|number| number.to_string())
    }
}

fn parse(answer: &str) -> Option<u64> {
    answer.trim().parse().ok()
}

/// Thinks for toy peers.
#[derive(Clone, Debug)]
pub struct ToyDriver {
    key: [u32; 2],
    /// Lowest skill in percent; peers have this much and up to 30 more.
    skill: u32,
    /// Results seen, by peer.
    pub learned: BTreeMap<usize, u64>,
}

impl ToyDriver {
    /// Toy peers with at least this skill, in percent.
    pub fn new(skill: u32, seed: u64) -> Self {
        Self {
            key: seed_key("round-toy", seed),
            skill,
            learned: BTreeMap::new(),
        }
    }

    /// What a peer believes when it thinks about a question for the `sample`-th time.
    fn belief(&self, peer: usize, question: &RoundQuestion, sample: u32) -> u64 {
        let seed = question.seed();
        let [luck, error, ..] = block(
            [peer as u32, seed as u32, (seed >> 32) as u32, sample],
            self.key,
        );
        let skill = self.skill + peer as u32 % 4 * 10;
        let slip = if luck % 100 < skill {
            0
        } else {
            1 + u64::from(error % 3)
        };
        truth(question) + slip
    }

    fn group(&self, job: &Job, asked: &Asked) -> Vec<SharedCompletion> {
        (0..job.task.group.into())
            .map(|sample| {
                let belief = self.belief(job.peer, &asked.question, sample);
                SharedCompletion::untold(belief.to_string())
            })
            .collect()
    }

    fn critique(&self, peer: usize, asked: &Asked) -> (u16, CritiqueText) {
        let belief = self.belief(peer, &asked.question, 1_000);
        let seen = asked
            .answers
            .iter()
            .any(|(_, text)| parse(text.as_str()) == Some(belief));
        (
            asked.slot,
            CritiqueText {
                endorsed: seen.then(|| belief.to_string()),
                reason: "counted".into(),
            },
        )
    }
}

/// The most frequent readable number among answers and endorsements; the lowest of equals.
fn pooled(asked: &Asked) -> String {
    let mut votes: BTreeMap<u64, i64> = BTreeMap::new();
    let endorsed = asked
        .critiques
        .iter()
        .filter_map(|(_, critique)| critique.endorsed.as_ref());
    let texts = asked.answers.iter().map(|(_, text)| text).chain(endorsed);
    for number in texts.filter_map(|text| parse(text.as_str())) {
        *votes.entry(number).or_insert(0) -= 1;
    }
    let first = votes
        .into_iter()
        .min_by_key(|(number, votes)| (*votes, *number));
    first.map_or(String::new(), |(number, _)| number.to_string())
}

fn decide(asked: &Asked) -> (u16, DecisionText) {
    let answer = pooled(asked);
    (
        asked.slot,
        DecisionText {
            foreseen: answer.clone(),
            answer,
        },
    )
}

impl Driver for ToyDriver {
    fn answers(&mut self, jobs: &[Job]) -> Vec<Answers> {
        jobs.iter()
            .map(|job| {
                job.task
                    .asked
                    .iter()
                    .map(|asked| (asked.slot, self.group(job, asked)))
                    .collect()
            })
            .collect()
    }

    fn critiques(&mut self, jobs: &[Job]) -> Vec<Critiques> {
        jobs.iter()
            .map(|job| {
                job.task
                    .asked
                    .iter()
                    .map(|asked| self.critique(job.peer, asked))
                    .collect()
            })
            .collect()
    }

    fn decisions(&mut self, jobs: &[Job]) -> Vec<Decisions> {
        jobs.iter()
            .map(|job| job.task.asked.iter().map(decide).collect())
            .collect()
    }

    fn learn(&mut self, rounds: &[(usize, Arc<DecidedRound>)]) {
        for (peer, _) in rounds {
            *self.learned.entry(*peer).or_insert(0) += 1;
        }
    }

    fn wrong(&self, question: &RoundQuestion) -> String {
        (truth(question) + 1).to_string()
    }
}
