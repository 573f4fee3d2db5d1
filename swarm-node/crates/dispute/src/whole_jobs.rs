//! Whole jobs on a dev chain by parties that are started anew before every look, as after a crash.

use contracts::U256;
use contracts::jobs::{Escrow, JobState};
use verde::history::Claim;
use verde::record::Record;
use verde::testing::{Fault, Kept, job};

use crate::party::{PartyError, Progress};
use crate::role::{Act, Role, RoleError};
use crate::testing::*;

/// An account, its role, and what it computes when it comes to that.
struct Cast {
    /// What the worker published and signed, to a verifier.
    published: Option<(Kept, u64)>,
    account: usize,
    role: Role,
    computes: Kept,
    has_computed: bool,
    acts: Vec<Act>,
}

fn cast(account: usize, role: Role, computes: Kept) -> Cast {
    Cast {
        published: None,
        account,
        role,
        computes,
        has_computed: false,
        acts: Vec::new(),
    }
}

fn lie() -> Kept {
    Kept::play(
        2,
        Some(Fault::Value {
            step: 3,
            run: 1,
            value: 6,
            element: 0,
            bit: 20,
        }),
    )
}

/// What is claimed on the chain about the job of these tests.
async fn claim(world: &World, id: U256) -> Claim {
    let escrow = Escrow::new(world.client.clone(), world.contracts);
    let view = escrow.job(id).await.unwrap().unwrap();
    Claim {
        plan: view.plan.0,
        length: verde::history::Length::new(view.steps, view.stride).unwrap(),
        top: view.commitment.0,
    }
}

async fn advance(world: &World, id: U256, cast: &mut Cast) -> Result<Progress, PartyError> {
    let mut party = world.party(cast.role, cast.account, id);
    let (claim, history) = (claim(world, id).await, cast.computes.history.clone());
    let published = cast.published.as_mut();
    let signed = published.map(|(record, step)| world.signed(id, &claim, record, *step));
    let public = cast.published.as_mut();
    let mut known = Knows {
        job: job(),
        claim,
        record: &mut cast.computes,
        public: public.map(|(record, _)| record as &mut dyn Record),
        signed: signed.into_iter().collect(),
    };
    let found = cast.has_computed.then_some(&history);
    party.advance(world.chain.now(), found, &mut known).await
}

/// Lets parties act in turn, and time pass when all wait, until all are over.
async fn play(world: &World, id: U256, casts: &mut [Cast]) -> JobState {
    for _ in 0..200 {
        let (mut waits, mut over, mut done) = (Vec::new(), 0, 0);
        for cast in casts.iter_mut() {
            let progress = advance(world, id, cast).await.unwrap();
            cast.acts.push(progress.act);
            match progress.act {
                Act::Compute => (cast.has_computed, done) = (true, done + 1),
                Act::Wait(_, until) => waits.extend(until),
                Act::Over => over += 1,
                _ => {}
            }
            let tickets = progress.games.sent.into_values();
            for ticket in tickets.chain(progress.sent.map(|(_, ticket)| ticket)) {
                done += 1;
                // What somebody else did first is refused.
                let _ = ticket.included().await;
            }
        }
        if over == casts.len() {
            let escrow = Escrow::new(world.client.clone(), world.contracts);
            return escrow.job(id).await.unwrap().unwrap().state;
        }
        if done == 0 {
            let now = world.chain.now();
            let next = waits.into_iter().min().unwrap_or(now + HOUR);
            world.pass(next.saturating_sub(now).min(HOUR) + 1);
        }
    }
    panic!("the parties do not come to an end");
}

/// What each account has, what it may still withdraw included.
async fn balances(world: &World) -> Vec<u128> {
    let escrow = Escrow::new(world.client.clone(), world.contracts);
    let mut held = Vec::new();
    for account in &world.accounts {
        let address = account.writer.account();
        let tokens: u128 = escrow.tokens_of(address).await.unwrap().to();
        held.push(tokens + escrow.owed_to(address).await.unwrap());
    }
    held
}

#[tokio::test]
async fn what_is_right_is_sealed_by_both_and_paid() {
    let mut world = World::new().await;
    let id = world.launched(job(), &Kept::honest(2).history, 1).await;
    let mut casts = [
        cast(WORKER, Role::Worker, Kept::honest(2)),
        cast(CHALLENGER, Role::Verifier, Kept::honest(2)),
    ];
    assert_eq!(play(&world, id, &mut casts).await, JobState::Finalized);
    let [_, verifier] = &casts;
    assert!(verifier.acts.contains(&Act::Seal) && verifier.acts.contains(&Act::Reveal));
    assert!(!verifier.acts.contains(&Act::Challenge));
    let held = balances(&world).await;
    assert_eq!(
        held,
        [PURSE - REWARD, PURSE + REWARD, PURSE, PURSE],
        "the reward has moved, and every bond is back"
    );
}

#[tokio::test]
async fn what_is_false_is_refuted_and_who_was_second_gets_its_bond_back() {
    let mut world = World::new().await;
    let id = world.launched(job(), &Kept::honest(2).history, 1).await;
    let mut casts = [
        cast(WORKER, Role::Worker, lie()),
        cast(CHALLENGER, Role::Verifier, Kept::honest(2)),
        cast(GRIEFER, Role::Verifier, Kept::honest(2)),
    ];
    assert_eq!(play(&world, id, &mut casts).await, JobState::Refuted);
    assert!(casts[2].acts.contains(&Act::Void) || casts[1].acts.contains(&Act::Void));
    let held = balances(&world).await;
    let (half, share) = (WORKER_BOND / 2, WORKER_BOND / 5);
    assert_eq!(held[PAYER], PURSE + share);
    assert_eq!(held[WORKER], PURSE - WORKER_BOND);
    let (first, second) = (held[CHALLENGER], held[GRIEFER]);
    assert_eq!(
        (first.max(second), first.min(second)),
        (PURSE + half, PURSE)
    );
}

/// A verifier that has what the worker signed of the step stakes nothing and needs no game; one
/// that has it of another step opens one.
#[tokio::test]
async fn what_a_worker_signed_spares_the_verifier_the_game() {
    for (step, games) in [(3, 0), (1, 1)] {
        let mut world = World::new().await;
        let id = world.launched(job(), &Kept::honest(2).history, 1).await;
        let verifier = Cast {
            published: Some((lie(), step)),
            ..cast(CHALLENGER, Role::Verifier, Kept::honest(2))
        };
        let mut casts = [cast(WORKER, Role::Worker, lie()), verifier];
        assert_eq!(play(&world, id, &mut casts).await, JobState::Refuted);
        assert_eq!(world.ends().await.len(), games);
        let held = balances(&world).await;
        assert_eq!(held[CHALLENGER], PURSE + WORKER_BOND / 2);
        assert_eq!(held[WORKER], PURSE - WORKER_BOND);
    }
}

#[tokio::test]
async fn who_doubts_without_a_reason_loses_once_and_the_worker_is_paid() {
    let mut world = World::new().await;
    let id = world.launched(job(), &Kept::honest(2).history, 1).await;
    // A verifier whose machine computes something else.
    let mut casts = [
        cast(WORKER, Role::Worker, Kept::honest(2)),
        cast(CHALLENGER, Role::Verifier, lie()),
    ];
    assert_eq!(play(&world, id, &mut casts).await, JobState::Finalized);
    let challenges = casts[1].acts.iter().filter(|act| **act == Act::Challenge);
    assert_eq!(challenges.count(), 1);
    let held = balances(&world).await;
    assert_eq!(held[WORKER], PURSE + REWARD + CHALLENGER_BOND);
    assert_eq!(held[CHALLENGER], PURSE - CHALLENGER_BOND);
}

#[tokio::test]
async fn nobody_takes_the_part_of_another() {
    let mut world = World::new().await;
    let id = world.claimed(job(), &Kept::honest(2).history, 1).await;
    let mut stranger = cast(GRIEFER, Role::Worker, Kept::honest(2));
    let error = advance(&world, id, &mut stranger).await.unwrap_err();
    assert!(matches!(error, PartyError::Role(RoleError::OtherWorker(_))));
    let mut worker = cast(WORKER, Role::Verifier, Kept::honest(2));
    let error = advance(&world, id, &mut worker).await.unwrap_err();
    assert!(matches!(error, PartyError::Role(RoleError::OwnJob(_))));
    let missing = U256::from(5);
    let mut party = world.party(Role::Worker, WORKER, missing);
    let mut record = Kept::honest(2);
    let claim = *record.history.claim();
    let mut known = Knows {
        job: job(),
        claim,
        record: &mut record,
        public: None,
        signed: Vec::new(),
    };
    let error = party.advance(0, None, &mut known).await.unwrap_err();
    assert!(matches!(error, PartyError::NoJob(id) if id == missing));
}

#[tokio::test]
async fn what_other_jobs_are_owed_for_holds_up_none_that_is_over() {
    let mut world = World::new().await;
    let history = Kept::honest(2).history;
    let id = world.launched(job(), &history, 1).await;
    let mut casts = [cast(WORKER, Role::Worker, Kept::honest(2))];
    assert_eq!(play(&world, id, &mut casts).await, JobState::Finalized);
    let other = world.claimed(job(), &history, 2).await;
    world.pass(21 * HOUR);
    let escrow = world.contracts.escrow;
    let finalize = contracts::jobs::finalize(other);
    world.accounts[PAYER].send(escrow, finalize).await.unwrap();
    assert_eq!(world.owed().await[WORKER], REWARD + WORKER_BOND);
    let [worker] = &mut casts;
    let progress = advance(&world, id, worker).await.unwrap();
    assert_eq!(progress.act, Act::Over);
}
