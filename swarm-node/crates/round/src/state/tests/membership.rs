//! Where members come from.

use super::*;
use crate::config::Membership;
use crate::journal::Record;
use crate::membership::RegisterError;

fn core_with(membership: Membership, now: Millis) -> Core {
    let mut setup = setup(0);
    setup.roster = Roster::default();
    Arc::make_mut(&mut setup.config).membership = membership;
    Core::new(setup, now).unwrap()
}

fn waits(outputs: &[Output]) -> Option<Waiting> {
    outputs.iter().find_map(|output| match output {
        Output::Waits(waiting) => Some(*waiting),
        _ => None,
    })
}

fn refused(outputs: &[Output]) -> Option<&RegisterError> {
    outputs.iter().find_map(|output| match output {
        Output::NotRegistered(error) => Some(error),
        _ => None,
    })
}

fn members() -> Vec<Member> {
    (0..PEERS).map(|i| Member::new(key(i).peer())).collect()
}

#[test]
fn a_roster_is_all_members_from_the_first_round_on() {
    let keys = members().iter().map(|member| member.peer.into()).collect();
    let mut core = core_with(Membership::Roster(keys), 0);
    let now = at(&core, Window::ShareSeal);
    core.handle(Input::Tick, now);
    assert_eq!(
        core.active.as_ref().unwrap().log.plan().members.len(),
        usize::from(PEERS)
    );
    let outputs = core.handle(Input::Register(Member::new(key(9).peer())), now);
    assert_eq!(refused(&outputs), Some(&RegisterError::Closed));
}

#[test]
fn without_the_stakes_of_its_epoch_no_round_begins() {
    let mut core = core_with(Membership::Stake, 0);
    let now = at(&core, Window::ShareSeal);
    assert_eq!(
        waits(&core.handle(Input::Tick, now)),
        Some(Waiting::Stakes(0))
    );
    assert_eq!(core.phase(), Phase::Waiting);
    let stakes = |epoch| Input::Stakes(epoch, members());
    assert_eq!(refused(&core.handle(stakes(1), now)), None);
    assert_eq!(core.phase(), Phase::Waiting);
    core.handle(stakes(0), now);
    assert_eq!(core.phase(), Phase::In(Window::ShareSeal));
    let again = core.handle(stakes(0), now);
    assert_eq!(refused(&again), Some(&RegisterError::Snapshot(0)));
    let twice = [members(), members()].concat();
    let outputs = core.handle(Input::Stakes(2, twice), now);
    assert!(matches!(refused(&outputs), Some(RegisterError::Known(_))));
}

#[test]
fn a_newcomer_says_for_which_rounds_it_waits() {
    let founders = vec![key(1).peer().into()];
    let mut core = core_with(Membership::Open { founders }, 0);
    let position = |round| Position {
        round,
        window: Window::ShareSeal,
    };
    // Two epochs of twenty rounds are played by the founders.
    core.handle(Input::Tick, core.clock().start(position(39)));
    assert_eq!(core.phase(), Phase::In(Window::ShareSeal));
    let outputs = core.handle(Input::Tick, core.clock().start(position(40)));
    let waiting = Waiting::Rounds { from: 0, until: 20 };
    assert_eq!(waits(&outputs), Some(waiting));
    assert_eq!(core.phase(), Phase::Waiting);
    assert_eq!(
        waiting.to_string(),
        "waits for the decided rounds 0 to 19 to learn who is a member"
    );
    let asks = outputs
        .iter()
        .filter(|output| matches!(output, Output::Ask(_)));
    assert_eq!(asks.count(), MISSING);
}

#[test]
fn whatever_comes_at_a_boundary_the_journal_can_be_read() {
    let mut core = core();
    let inputs = [
        Input::Envelope(Link(key(1).peer()), vec![0; 70_000].into()),
        Input::Stakes(0, vec![Member::new(key(1).peer()); 5_000]),
        Input::Work(0, Work::Answers(vec![(0, Vec::new()); 3_000])),
    ];
    for (input, window) in inputs.into_iter().zip(Window::ALL) {
        let now = at(&core, window);
        let recorded = core.handle_recorded(input, now);
        assert!(!recorded.records.is_empty(), "{window:?}");
        for record in recorded.records {
            let bytes = record.to_bytes().unwrap();
            assert_eq!(Record::from_bytes(&bytes), Ok(record));
        }
    }
}

fn hello(from: u8, slot: u16) -> Arc<[u8]> {
    let payload = codec::encode(&Hello { topics: 3 }).unwrap();
    message(from, Kind::Hello, slot, &payload)
}

#[test]
fn a_hello_is_for_open_swarms_and_for_those_who_are_no_members() {
    let mut closed = core();
    let now = at(&closed, Window::ShareSeal);
    closed.handle(Input::Tick, now);
    let not_assigned = Some(Rejection::NotAssigned);
    assert_eq!(send(&mut closed, &hello(9, STAGE_SLOT), now), not_assigned);
    let founders = vec![key(0).peer().into(), key(1).peer().into()];
    let mut open = core_with(Membership::Open { founders }, 0);
    open.handle(Input::Tick, now);
    let swarm = *open.swarm();
    let said = |from, slot| {
        let payload = codec::encode(&Hello { topics: 3 }).unwrap();
        let header = Header {
            swarm,
            round: 0,
            kind: Kind::Hello,
            slot,
            peer: key(from).peer(),
            sequence: 0,
        };
        Arc::<[u8]>::from(sign_envelope(&header, &payload, &key(from)).unwrap())
    };
    let [good, slot, member] = [said(9, STAGE_SLOT), said(8, 0), said(1, STAGE_SLOT)];
    let mut forged = said(7, STAGE_SLOT).to_vec();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(send(&mut open, &good, now), None);
    assert_eq!(send(&mut open, &good, now), Some(Rejection::Duplicate));
    assert_eq!(send(&mut open, &slot, now), not_assigned);
    assert_eq!(send(&mut open, &member, now), not_assigned);
    assert_eq!(
        send(&mut open, &forged.into(), now),
        Some(Rejection::Signature)
    );
    let late = at(&open, Window::ShareReveal);
    assert_eq!(
        send(&mut open, &said(6, STAGE_SLOT), late),
        Some(Rejection::Late)
    );
    let held = open.active.as_ref().unwrap().hellos.list();
    assert_eq!(held.into_keys().collect::<Vec<_>>(), [key(9).peer()]);
}
