//! Whole disputes on a dev chain: jobs, money, and two accounts that play by what they computed.

use contracts::U256;
use contracts::game::calls;
use contracts::jobs;
use verde::game::Side;
use verde::record::Record;
use verde::testing::{Fault, Kept, job};

use crate::docket::End;
use crate::testing::*;

/// What an account knows of the job of these tests.
fn knows<'a>(claim: &verde::history::Claim, record: &'a mut Kept) -> Knows<'a> {
    Knows {
        job: job(),
        claim: *claim,
        record,
        public: None,
        signed: Vec::new(),
    }
}

fn fault(run: usize, value: usize) -> Fault {
    Fault::Value {
        step: 3,
        run,
        value,
        element: 0,
        bit: 20,
    }
}

/// A dispute about a false claim, with public data or without, up to the contradiction.
async fn refuted(stride: u32, is_public: bool) -> (World, usize) {
    let mut world = World::new().await;
    let (mut liar, mut honest) = (Kept::play(stride, Some(fault(1, 6))), Kept::honest(stride));
    let claim = *liar.history.claim();
    let mut public = liar.clone();
    let id = world.claimed(job(), &liar.history, 1).await;
    let mut challenger = Knows {
        public: is_public.then_some(&mut public as &mut dyn Record),
        ..knows(&claim, &mut honest)
    };
    let opened = world.open_with(CHALLENGER, id, &mut challenger).await;
    let worker = knows(&claim, &mut liar);
    let played = world
        .play(&mut [(CHALLENGER, challenger), (WORKER, worker)])
        .await;
    let gas = [vec![opened.unwrap().gas_used], played].concat();
    let shown = End::Lost {
        side: Side::Worker,
        by_clock: false,
    };
    assert_eq!(world.ends().await, [Some(shown)]);
    println!(
        "{} transactions, {} gas: {gas:?}",
        gas.len(),
        gas.iter().sum::<u64>()
    );
    (world, gas.len())
}

#[tokio::test]
async fn a_liar_is_refuted_move_by_move_and_pays() {
    let (world, _) = refuted(2, false).await;
    // Half of the worker's bond and its own to the challenger, a fifth and the reward to the payer.
    let won = WORKER_BOND / 2 + CHALLENGER_BOND;
    let back = WORKER_BOND / 5 + REWARD;
    assert_eq!(world.owed().await, [back, 0, won, 0, WORKER_BOND * 3 / 10]);
}

#[tokio::test]
async fn with_public_data_a_liar_is_refuted_in_three_transactions() {
    // And two of the worker, who asserts what is between two checkpoints, and what is in a step.
    assert_eq!(refuted(8, true).await.1, 5);
}

/// What a worker signed of the step that it lied about refutes it in an announcement and one call,
/// which nobody can copy, and the challenger stakes nothing.
#[tokio::test]
async fn what_a_liar_signed_refutes_it_without_a_game() {
    for stride in [1, 8] {
        let mut world = World::new().await;
        let (mut liar, mut honest) = (Kept::play(stride, Some(fault(1, 6))), Kept::honest(stride));
        let claim = *liar.history.claim();
        let id = world.claimed(job(), &liar.history, 1).await;
        let signed = vec![world.signed(id, &claim, &mut liar, 3)];
        assert_eq!(
            signed[0].signer(&world.domain()),
            Some(world.accounts[WORKER].writer.account())
        );
        let mut known = Knows {
            public: Some(&mut liar as &mut dyn Record),
            signed,
            ..knows(&claim, &mut honest)
        };
        let refuted = world.refute(CHALLENGER, id, &mut known).await.unwrap();
        let gas = refuted.unwrap();
        println!("{gas:?} gas, {} in all", gas.iter().sum::<u64>());
        let back = WORKER_BOND / 5 + REWARD;
        let burned = WORKER_BOND * 3 / 10;
        assert_eq!(world.owed().await, [back, 0, WORKER_BOND / 2, 0, burned]);
        // Nothing is refuted twice.
        let again = world.refute(GRIEFER, id, &mut known).await.unwrap();
        assert!(again.is_err());
    }
}

/// A griefer opens a game about a true claim; it can show nothing, its clock runs out, and its bond
/// is the worker's. A job waits for its games and no longer.
#[tokio::test]
async fn an_honest_worker_is_paid_whoever_doubts() {
    let mut world = World::new().await;
    let mut honest = Kept::honest(2);
    let claim = *honest.history.claim();
    let id = world.claimed(job(), &honest.history, 1).await;
    world.open(GRIEFER, id, &claim).await.unwrap();
    assert!(
        world.open(GRIEFER, id, &claim).await.is_err(),
        "one game at a time"
    );
    let mut worker = [(WORKER, knows(&claim, &mut honest))];
    world.play(&mut worker).await;
    world.pass(11 * HOUR);
    world.play(&mut worker).await;
    assert_eq!(world.ends().await, [None]);
    world.pass(HOUR + 1);
    world.play(&mut worker).await;
    let silent = End::Lost {
        side: Side::Challenger,
        by_clock: true,
    };
    assert_eq!(world.ends().await, [Some(silent)]);
    let escrow = world.contracts.escrow;
    assert!(
        world.accounts[PAYER]
            .send(escrow, jobs::finalize(id))
            .await
            .is_err()
    );
    world.pass(20 * HOUR);
    world.accounts[PAYER]
        .send(escrow, jobs::finalize(id))
        .await
        .unwrap();
    let paid = REWARD + WORKER_BOND + CHALLENGER_BOND;
    assert_eq!(world.owed().await, [0, paid, 0, 0, 0]);
}

/// Two challengers, one of whom is away: the other's game refutes the job, and the first gets its
/// bond back. A worker that says nothing loses by its clock.
#[tokio::test]
async fn a_silent_worker_loses_by_its_clock_and_other_games_are_void() {
    let mut world = World::new().await;
    let (liar, mut honest) = (Kept::play(2, Some(fault(0, 4))), Kept::honest(2));
    let claim = *liar.history.claim();
    let id = world.claimed(job(), &liar.history, 1).await;
    world.open(GRIEFER, id, &claim).await.unwrap();
    world.open(CHALLENGER, id, &claim).await.unwrap();
    world.pass(12 * HOUR + 1);
    let mut challenger = [(CHALLENGER, knows(&claim, &mut honest))];
    world.play(&mut challenger).await;
    let lost = End::Lost {
        side: Side::Worker,
        by_clock: true,
    };
    assert_eq!(world.ends().await, [None, Some(lost)]);
    let game = world.contracts.game;
    let mut player = world.player(PAYER);
    player.read().await.unwrap();
    let first = player.docket().games()[&U256::from(1)].clone();
    let void = calls::void(U256::from(1), &first.game(), first.position);
    world.accounts[PAYER].send(game, void).await.unwrap();
    assert_eq!(world.ends().await, [Some(End::Void), Some(lost)]);
    let won = WORKER_BOND / 2 + CHALLENGER_BOND;
    let back = WORKER_BOND / 5 + REWARD;
    let burned = WORKER_BOND * 3 / 10;
    assert_eq!(world.owed().await, [back, 0, won, CHALLENGER_BOND, burned]);
}
