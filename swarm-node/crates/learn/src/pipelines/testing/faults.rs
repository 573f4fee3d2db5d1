//! Toy pipelines in which things go wrong: peers and pipelines that are lost, that are late, messages
//! that are lost. Whatever happens, the records compute what the peers computed.

use std::collections::BTreeMap;
use std::time::Duration;

use reproducible_ops::random::Stream;
use skippipe::content::Digest;
use skippipe::meeting::{Interval, Reason, Replica, Taken};
use skippipe::path::{Peer, Stage};
use skippipe::replay::Replay as OfPipeline;
use skippipe::testing::network::settings as pipeline_settings;
use skippipe::testing::toy::ToyStage;

use super::network::Pipelines;
use crate::averaging::replay::Replayed;
use crate::pipelines::replay::{Replay, ReplayError};
use crate::pipelines::settings::{Seat, Settings, Sizes};

const JOB: Digest = Digest([7; 32]);
const EVERY: u64 = 2;
/// Bytes of two changes and two anchors.
const TOY: Sizes = Sizes {
    contribution: 16,
    outer: 8,
};

pub fn toys(
    pipelines: u32,
    replicas: &[usize],
    rounds: u64,
    begins: &[u64],
) -> Pipelines<ToyStage> {
    let peers = replicas.iter().sum::<usize>() as u32;
    let settings = Settings {
        job: JOB,
        paired: true,
        pipelines,
        peers,
        sizes: vec![TOY; replicas.len()],
        patience: Duration::from_secs(2),
        again: Duration::from_millis(400),
    };
    let interval = Interval::new(EVERY);
    let steps = interval.steps(rounds);
    let pipeline = pipeline_settings(replicas.len() as u16, peers, 4, steps);
    let begins = (0..pipelines as usize).map(|at| begins.get(at).copied().unwrap_or(0));
    let begins = begins.map(Duration::from_millis).collect();
    Pipelines::new(
        settings,
        &pipeline,
        interval,
        replicas,
        begins,
        |pipeline| {
            Box::new(move |stage| {
                let made = ToyStage::of(pipeline.0, stage.unwrap_or(Stage::FIRST));
                let state = stage.map(|_| made.state());
                (made, state)
            })
        },
    )
}

pub fn replay(lived: &Pipelines<ToyStage>, stages: u16) -> Replay<ToyStage> {
    let pipelines = (0..lived.networks.len() as u32).map(|pipeline| {
        let stages = (0..stages).map(|one| ToyStage::of(pipeline, Stage(one)));
        let stages: Vec<ToyStage> = stages.collect();
        let states = stages.iter().map(ToyStage::state).collect();
        OfPipeline::new(stages, states, 2)
    });
    Replay::new(JOB, true, Interval::new(EVERY), pipelines.collect())
}

/// Computes everything again, and compares what every peer stated.
#[track_caller]
pub fn check(lived: &Pipelines<ToyStage>, stages: u16) -> Replayed {
    let mut stated = BTreeMap::new();
    for (pipeline, steps) in (0..).map(Replica).zip(lived.steps()) {
        for stepped in steps {
            stated.insert((pipeline, stepped.record.step), stepped.statements);
        }
    }
    let replayed = replay(lived, stages).run(&lived.records(), &mut |pipeline, record, stepped| {
        for (hop, said) in &stated[&(pipeline, record.step)] {
            let computed = stepped.states[hop.stage.index()];
            assert_eq!(
                computed, said.state,
                "{hop:?} of {pipeline}, step {}",
                record.step
            );
        }
    });
    assert_eq!(lived.refused, 0, "nothing contradicts itself");
    assert!(lived.most_load < 12, "{}", lived.most_load);
    replayed.expect("the records can be replayed")
}

pub fn seat(pipeline: u32, peer: u32) -> Seat {
    Seat {
        pipeline: Replica(pipeline),
        peer: Peer(peer),
    }
}

/// What stages did that were alone, and why.
pub fn alone(lived: &Pipelines<ToyStage>, pipeline: usize, stage: Stage) -> Vec<(u64, Reason)> {
    let records = &lived.records()[pipeline];
    let met = records
        .iter()
        .filter_map(|record| Some((record.step, record.met.get(&stage)?)));
    let alone = met.filter_map(|(step, met)| match met.taken {
        Taken::Alone(reason) => Some((step, reason)),
        _ => None,
    });
    alone.collect()
}

#[test]
fn calm_pipelines_meet_in_pairs() {
    let mut lived = toys(4, &[2, 2, 1], 5, &[0, 300, 100, 600]);
    lived.run(Duration::from_secs(300), &[0, 1, 2, 3]);
    let replayed = check(&lived, 3);
    assert_eq!((replayed.rounds, replayed.averaged), (60, 60));
    assert!(lived.faults.is_empty());
}

#[test]
fn the_odd_one_out_is_single() {
    let mut lived = toys(3, &[1, 1], 6, &[]);
    lived.run(Duration::from_secs(300), &[0, 1, 2]);
    let replayed = check(&lived, 2);
    assert_eq!(replayed.alone, BTreeMap::from([(Reason::Single, 12)]));
    assert_eq!(replayed.averaged, 24);
}

#[test]
fn whoever_is_killed_the_records_compute_what_the_peers_computed() {
    let (mut averaged, mut alone, mut one_sided, mut joined) = (0, 0, 0, 0);
    for seed in 0..24 {
        let mut lived = toys(2, &[2, 3], 5, &[0, seed * 40]);
        lived.loss = seed % 4 * 20;
        for network in &mut lived.networks {
            network.loss = seed % 3 * 8;
        }
        let mut random = Stream::from_seed("kills across pipelines", seed);
        let mut at = Duration::from_millis(300);
        for _ in 0..5 {
            at += Duration::from_millis(300 + random.below(1500));
            // Stage 0 keeps one that is never killed.
            let peer = [0, 2, 3, 4][random.index(4)];
            let seat = seat(random.below(2) as u32, peer);
            lived.kill_at(seat, at);
            lived.revive_at(seat, at + Duration::from_millis(2200));
            at += Duration::from_millis(2300);
        }
        lived.run(Duration::from_secs(900), &[0, 1]);
        let replayed = check(&lived, 2);
        let records = lived.records();
        assert!(records.iter().all(|one| one.len() == 15), "seed {seed}");
        averaged += replayed.averaged;
        alone += replayed.alone.values().sum::<usize>();
        one_sided += replayed.one_sided.len();
        joined += records
            .iter()
            .flatten()
            .map(|one| one.joined.len())
            .sum::<usize>();
    }
    assert!(
        averaged > 200 && joined > 20,
        "{averaged} averaged, {joined} came back"
    );
    assert!(
        one_sided <= alone && alone < averaged,
        "{one_sided} {alone} {averaged}"
    );
}

/// The only holder of a stage contributes, is lost, and its stage is taken up anew in an older state before the
/// meeting begins anew: the partner has averaged with what it contributed first.
#[test]
fn a_stage_that_is_restored_at_a_meeting_may_have_contributed_twice() {
    let mut twice = 0;
    for after in 0..30 {
        // One of the three of stage 0 takes up the other stage, from a copy.
        let mut lived = toys(2, &[3, 1], 5, &[]);
        lived.kill_at(seat(0, 3), Duration::from_millis(4400 + 20 * after));
        lived.run(Duration::from_secs(300), &[0, 1]);
        check(&lived, 2);
        let records = lived.records();
        assert!(records.iter().all(|one| one.len() == 15));
        let meetings = records[0].iter().zip(&records[1]);
        let restored = meetings.filter(|(own, partner)| {
            let own = own.met.get(&Stage(1)).map(|met| met.contribution);
            let taken = partner.met.get(&Stage(1)).map(|met| &met.taken);
            let Some(Taken::Averaged { parts, .. }) = taken else {
                return false;
            };
            let named = parts.iter().find(|part| part.replica == Replica(0));
            own.is_some() && named.map(|part| part.contribution) != own
        });
        twice += restored.count();
    }
    assert!(twice > 0, "it never happened");
}

#[test]
fn the_partner_of_a_pipeline_that_is_gone_moves_alone() {
    let mut lived = toys(2, &[1, 1], 5, &[]);
    for peer in [0, 1] {
        lived.kill_at(seat(1, peer), Duration::from_millis(1900));
    }
    lived.run(Duration::from_secs(300), &[0]);
    let replayed = check(&lived, 2);
    assert_eq!(lived.records()[0].len(), 15);
    assert!(lived.records()[1].len() < 15);
    let reasons = alone(&lived, 0, Stage(1)).into_iter();
    let reasons: Vec<Reason> = reasons.map(|(_, why)| why).collect();
    assert!(reasons.len() >= 3, "{reasons:?}");
    assert!(
        reasons[1..].iter().all(|why| *why == Reason::Lost),
        "{reasons:?}"
    );
    assert!(replayed.averaged > 0, "{replayed:?}");
}

#[test]
fn a_pipeline_that_is_late_and_its_partner_move_alone_until_it_has_caught_up() {
    // Later by more than one waits. Who is ahead waits at every meeting, and who is behind at none.
    let mut lived = toys(2, &[1, 1], 8, &[0, 5000]);
    lived.run(Duration::from_secs(300), &[0, 1]);
    let replayed = check(&lived, 2);
    assert_eq!(lived.records()[1].len(), 24);
    for stage in [Stage(0), Stage(1)] {
        let [ahead, behind] = [0, 1].map(|pipeline| alone(&lived, pipeline, stage));
        assert_eq!(ahead[0], (EVERY, Reason::Late));
        assert_eq!(behind[0], (EVERY, Reason::Declined));
        assert!(ahead.len() < 5 && behind.len() < 5, "{ahead:?} {behind:?}");
    }
    assert!(replayed.averaged >= 16, "{replayed:?}");
    assert!(replayed.one_sided.is_empty(), "{replayed:?}");
}

#[test]
fn a_pipeline_that_is_a_little_late_is_waited_for() {
    let mut lived = toys(2, &[1, 1], 4, &[0, 1500]);
    lived.run(Duration::from_secs(300), &[0, 1]);
    assert_eq!(check(&lived, 2).averaged, 16);
}

/// What a record names is compared with what the pipelines compute.
#[test]
fn a_contribution_that_was_not_made_is_named() {
    let mut lived = toys(2, &[1, 1], 2, &[]);
    lived.run(Duration::from_secs(300), &[0, 1]);
    let records = lived.records();
    let run = |records: &[Vec<_>]| replay(&lived, 2).run(records, &mut |_, _, _| {});
    assert!(run(&records).is_ok());

    let mut changed = records.clone();
    let met = changed[0][EVERY as usize].met.get_mut(&Stage(1)).unwrap();
    let Taken::Averaged { parts, .. } = &mut met.taken else {
        panic!("{met:?}")
    };
    let other = parts
        .iter_mut()
        .find(|part| part.replica == Replica(1))
        .unwrap();
    other.contribution.0[0] ^= 1;
    let error = run(&changed).unwrap_err();
    assert!(
        matches!(
            error,
            ReplayError::Contribution {
                pipeline: Replica(1),
                told_by: Replica(0),
                stage: Stage(1),
                ..
            }
        ),
        "{error}"
    );

    let mut short = records.clone();
    short[1].truncate(1);
    let missing = run(&short).unwrap_err();
    let (round, pipeline) = (0, Replica(1));
    assert_eq!(missing, ReplayError::Missing { round, pipeline });

    let mut single = records;
    let met = single[0][EVERY as usize].met.get_mut(&Stage(0)).unwrap();
    met.taken = Taken::Alone(Reason::Single);
    assert!(matches!(run(&single), Err(ReplayError::Unsound { .. })));
}
