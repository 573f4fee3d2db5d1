//! Replicas that are killed and restarted; whatever happens, the transcripts compute what they
//! computed, and nobody signs twice.

use std::time::Duration;

use reproducible_ops::random::Stream;
use reproducible_ops::weights::Weights;
use skippipe::content::Digest;

use super::network::{Network, Saving, settings};
use super::toy::{ToyInner, toy};
use crate::averaging::contribution::Formats;
use crate::averaging::outer::Outer;
use crate::averaging::replay::{Replay, ReplayError, Replayed};
use crate::averaging::transcript::{Replica, Taken, Transcript};
use crate::averaging::worker::ReplicaWorker;

type Toy = ReplicaWorker<ToyInner>;

const HOUR: Duration = Duration::from_secs(3600);
const REPLICAS: u32 = 5;

fn fresh(outer: Outer, replica: Replica) -> Toy {
    toy(replica, outer, Formats::default())
}

fn network(outer: Outer, rounds: u64, seed: u64) -> Network<Toy> {
    let engines: Vec<Toy> = (0..REPLICAS)
        .map(|one| fresh(outer, Replica(one)))
        .collect();
    let sizes = [engines[0].contribution_bytes(), engines[0].outer_bytes()];
    let settings = settings(outer.is_paired(), REPLICAS, rounds, sizes);
    let mut network = Network::new(settings, engines, seed);
    network.saving = Some(Saving {
        save: |toy| toy.checkpoint().unwrap().to_bytes(),
        load: Box::new(move |replica, state| {
            let mut toy = fresh(outer, replica);
            if let Some(bytes) = state {
                toy.restore(&Weights::from_bytes(bytes).unwrap()).unwrap();
            }
            toy
        }),
    });
    network
}

fn replay(outer: Outer, transcripts: &[Transcript]) -> Result<Replayed, ReplayError> {
    let engines = (0..REPLICAS).map(|one| fresh(outer, Replica(one)));
    let mut replay = Replay::new(Digest([7; 32]), outer.is_paired(), engines.collect());
    replay.run(transcripts)
}

/// Rounds of a replica with others, from a round on.
fn averaged_since(transcript: &Transcript, round: u64) -> usize {
    let rounds = transcript.rounds.iter();
    let rounds = rounds.filter(|one| one.record.round >= round);
    rounds
        .filter(|one| !matches!(one.record.taken, Taken::Alone(_)))
        .count()
}

#[test]
fn a_replica_that_was_killed_comes_back_at_the_others_round() {
    for outer in [Outer::NOLOCO, Outer::DILOCO] {
        for victim in (0..REPLICAS).map(Replica) {
            let mut network = network(outer, 40, 3);
            network.kill_at(victim, Duration::from_millis(2200));
            network.restart_at(victim, Duration::from_millis(9000));
            network.run(HOUR);
            assert!(network.is_finished(), "{victim}");
            assert_eq!(network.refused, 0, "{victim}");
            replay(outer, network.transcripts()).unwrap();
            let own = &network.transcripts()[victim.index()];
            let gap = own
                .rounds
                .windows(2)
                .find(|pair| pair[1].record.round > pair[0].record.round + 1);
            let gap = gap.unwrap_or_else(|| panic!("{victim} was not away: {own:?}"));
            let back = gap[1].record.round;
            assert!(
                averaged_since(own, back) >= 5,
                "{victim} is back in round {back}, and averaged {} times since",
                averaged_since(own, back)
            );
            assert_eq!(own.rounds.last().unwrap().record.round, 39);
        }
    }
}

/// Kills at any moment, and restarts after any time, several at once.
#[test]
fn whoever_is_killed_and_restarted_whenever_signs_nothing_twice() {
    for outer in [Outer::NOLOCO, Outer::DILOCO] {
        let (mut back, mut gaps) = (0, 0);
        for seed in 0..60 {
            let mut random = Stream::from_seed("restarts", seed);
            let mut network = network(outer, 24, seed);
            network.loss = 10 * (seed % 4);
            let victims = random.distinct(1 + (seed % 4) as usize, REPLICAS as usize);
            for victim in victims {
                let at = Duration::from_millis(400 + random.below(7000));
                network.kill_at(Replica(victim as u32), at);
                let after = Duration::from_millis(50 + random.below(4000));
                network.restart_at(Replica(victim as u32), at + after);
            }
            network.run(HOUR);
            assert!(network.is_finished(), "seed {seed}");
            assert_eq!(network.refused, 0, "seed {seed}: signed twice");
            assert!(network.most_load < 40, "seed {seed}");
            let replayed = replay(outer, network.transcripts());
            let replayed = replayed.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            gaps += 24 * REPLICAS as usize - replayed.rounds;
            let last = network.transcripts().iter();
            back += last.filter(|one| averaged_since(one, 20) > 0).count();
        }
        assert!(gaps > 100, "nobody was away");
        assert!(back > 270, "{back} of 300 averaged in the last rounds");
    }
}

/// Where everybody is gone at once, all go on together.
#[test]
fn all_may_be_killed_and_restarted() {
    for outer in [Outer::NOLOCO, Outer::DILOCO] {
        let mut network = network(outer, 20, 8);
        for replica in (0..REPLICAS).map(Replica) {
            let jitter = Duration::from_millis(150 * u64::from(replica.0));
            network.kill_at(replica, Duration::from_millis(3000) + jitter / 8);
            network.restart_at(replica, Duration::from_millis(6000) + jitter);
        }
        network.run(HOUR);
        assert!(network.is_finished() && network.refused == 0);
        let replayed = replay(outer, network.transcripts()).unwrap();
        assert!(replayed.averaged >= 60, "{replayed:?}");
    }
}

#[test]
fn a_transcript_that_leaves_out_a_round_that_counted_is_told() {
    for outer in [Outer::NOLOCO, Outer::DILOCO] {
        let mut network = network(outer, 6, 2);
        network.run(HOUR);
        let mut transcripts = network.transcripts().to_vec();
        let counted = transcripts[1].rounds[2].record.round;
        assert!(averaged_since(&transcripts[1], 0) == 6 || outer.is_paired());
        transcripts[1].rounds.remove(2);
        let found = replay(outer, &transcripts);
        let told = matches!(
            found,
            Err(ReplayError::Unsound { replica: Replica(1), round, .. }) if round == counted
        );
        assert!(told || outer.is_paired(), "{found:?}");
        assert!(found.is_err());
        // What ends early cannot be told to be wrong.
        let mut short = network.transcripts().to_vec();
        short[1].rounds.truncate(2);
        assert!(matches!(
            replay(outer, &short),
            Err(ReplayError::Missing {
                replica: Replica(1),
                ..
            })
        ));
    }
}
