//! Peers that send what they must not, across pipelines and to the replicas of their own stage.

use std::time::Duration;

use reproducible_ops::random::Stream;
use skippipe::content::Content;
use skippipe::meeting::Reason;
use skippipe::message::{Body as Inside, Message as Within};
use skippipe::path::{Peer, Stage};
use skippipe::testing::toy::encode;

use super::faults::{alone, check, seat, toys};
use super::network::Lie;
use crate::pipelines::message::{Body, Message};

/// A contribution that is changed on its way out, after it was signed.
fn content(message: Message, change: impl FnOnce(&mut Vec<u8>)) -> Message {
    let Message {
        round,
        stage,
        mut body,
    } = message;
    if let Body::Offer(offer) = &mut body {
        let mut bytes = offer.content.bytes().to_vec();
        change(&mut bytes);
        offer.content = Content::new(bytes);
    }
    Message { round, stage, body }
}

fn short(_: &mut Stream, message: Message) -> Option<Message> {
    Some(content(message, |bytes| bytes.truncate(8)))
}

fn other(_: &mut Stream, message: Message) -> Option<Message> {
    Some(content(message, |bytes| bytes[0] ^= 1))
}

fn another_round(_: &mut Stream, mut message: Message) -> Option<Message> {
    message.round = message.round.wrapping_sub(1);
    Some(message)
}

/// Names somebody else for ever, and asks again and again.
fn elsewhere(random: &mut Stream, mut message: Message) -> Option<Message> {
    message.body = match random.below(3) {
        0 => Body::Want,
        _ => Body::Elsewhere(Peer(random.below(9) as u32)),
    };
    Some(message)
}

fn silent(_: &mut Stream, _: Message) -> Option<Message> {
    None
}

#[test]
fn what_is_no_contribution_is_not_averaged() {
    let lies: [(Lie, &[Reason]); 5] = [
        (short, &[Reason::WrongSize]),
        (other, &[Reason::WrongHash]),
        (
            another_round,
            &[Reason::Late, Reason::Stale, Reason::Declined],
        ),
        (elsewhere, &[Reason::Late]),
        (silent, &[Reason::Late]),
    ];
    for (lie, expected) in lies {
        let mut lived = toys(2, &[1, 1], 3, &[]);
        lived.lies.insert(seat(1, 1), lie);
        lived.run(Duration::from_secs(300), &[0, 1]);
        lived.refused = 0;
        let replayed = check(&lived, 2);
        assert_eq!(lived.records()[0].len(), 9);
        // Stage 0 averages at first; stage 1 of the honest pipeline never does.
        assert!(replayed.averaged >= 2, "{replayed:?}");
        let reasons = alone(&lived, 0, Stage(1));
        assert_eq!(reasons.len(), 3, "{reasons:?}");
        assert!(
            reasons.iter().all(|(_, reason)| expected.contains(reason)),
            "{reasons:?} {replayed:?}"
        );
    }
}

/// A number that is not finite, which its sender signed: the engine refuses it.
#[test]
fn a_contribution_with_nan_is_refused_by_the_engine() {
    use crate::averaging::message::Offer;
    use crate::pipelines::exchange::{Exchange, Input, Output};
    use skippipe::content::Digest;
    use skippipe::meeting::{Present, Taken};
    use skippipe::work::Outcome;

    let settings = toys(2, &[1], 1, &[]).settings;
    let mut exchange = Exchange::new(settings, seat(0, 0));
    let now = Duration::from_millis(5);
    let own = encode(&[0.0; 4]);
    let present = Present {
        round: 0,
        stage: Stage(0),
        contribution: own,
        outer: Digest([1; 32]),
        speaker: Peer(0),
    };
    let outputs = exchange.handle(Input::Present(present), now);
    let statement = outputs.iter().find_map(|output| match output {
        Output::Sign(statement) => Some(statement.digest()),
        _ => None,
    });
    let signed = Input::Signed {
        statement: statement.unwrap(),
        signature: vec![1],
    };
    exchange.handle(signed, now);
    let content = encode(&[f32::NAN; 4]);
    let offer = Offer {
        outer: Digest([2; 32]),
        contribution: content.digest(),
        signature: vec![2],
        content,
    };
    let message = Message {
        round: 0,
        stage: Stage(0),
        body: Body::Offer(offer),
    };
    let from = seat(1, 0);
    let outputs = exchange.handle(Input::Message { from, message }, now);
    let Some(Output::Work { task, .. }) = outputs.first() else {
        panic!("{outputs:?}")
    };
    let outcome = Outcome::Refused("a number is not finite".into());
    let outputs = exchange.handle(
        Input::Done {
            task: *task,
            outcome,
        },
        now,
    );
    let concluded = outputs.iter().find_map(|output| match output {
        Output::Concluded(concluded) => Some(&concluded.met.taken),
        _ => None,
    });
    assert_eq!(concluded, Some(&Taken::Alone(Reason::Refused)));
}

/// Who speaks for a stage brings its replicas something else than the record names.
fn brings_another(_: &mut Stream, mut message: Within) -> Option<Within> {
    if let Inside::Sum { content, .. } = &mut message.body
        && content.bytes().len() == 16
    {
        *content = encode(&[9.0; 4]);
    }
    Some(message)
}

/// Who speaks says of its stage what it did not contribute.
fn tells_another(_: &mut Stream, mut message: Within) -> Option<Within> {
    if let Inside::Met(met) = &mut message.body {
        met.contribution.0[0] ^= 1;
    }
    Some(message)
}

#[test]
fn who_lies_to_the_replicas_of_its_stage_speaks_no_more() {
    for lie in [brings_another, tells_another] {
        let mut lived = toys(2, &[2, 2], 3, &[]);
        lived.networks[0].corrupt(Peer(2), lie);
        lived.run(Duration::from_secs(300), &[0, 1]);
        let replayed = check(&lived, 2);
        assert!(lived.records().iter().all(|one| one.len() == 9));
        assert!(replayed.averaged >= 8, "{replayed:?}");
        let first = &lived.records()[0][2];
        assert_eq!(first.speaker(Stage(1)), Some(Peer(3)), "{first:?}");
    }
}
