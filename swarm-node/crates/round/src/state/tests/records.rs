//! Decided rounds as bytes.

use swarm_identity::digest::Digest32;

use super::*;
use crate::agreement::{CertificateError, MAX_RECORD};

/// The bytes of a decided round.
fn record() -> Vec<u8> {
    let decided = played_alone().decided;
    RoundRecord::from(decided[0].as_ref()).to_bytes().unwrap()
}

/// What a core makes of a record.
fn adopted(record: RoundRecord) -> Result<Digest32, AdoptError> {
    let mut core = core_alone();
    let now = core.clock().start(Position {
        round: 3,
        window: Window::ShareSeal,
    });
    let outputs = core.handle(Input::Adopt(Box::new(record)), now);
    let found = outputs.into_iter().find_map(|output| match output {
        Output::Decided(round) => Some(Ok(round.result.digest)),
        Output::NotAdopted(0, error) => Some(Err(error)),
        _ => None,
    });
    found.expect("a record is adopted or not")
}

#[test]
fn a_record_is_adopted_with_the_same_scores() {
    let decided = played_alone().decided;
    let bytes = record();
    let record = RoundRecord::from_bytes(&bytes).unwrap();
    assert_eq!(record.to_bytes().unwrap(), bytes);
    assert_eq!(record.round(), 0);
    assert_eq!(adopted(record), Ok(decided[0].result.digest));
}

#[test]
fn nothing_of_a_record_can_be_changed() {
    let bytes = record();
    let mut errors = BTreeSet::new();
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        let Ok(record) = RoundRecord::from_bytes(&changed) else {
            continue;
        };
        // Of another round it is said that its voters are not known, or that it is none.
        if record.round() == 0 {
            let error = adopted(record).expect_err("a changed record proves nothing");
            errors.insert(match error {
                AdoptError::Certificate(_) => "certificate",
                AdoptError::Minutes(_) => "minutes",
                AdoptError::Transcript(_) => "transcript",
                AdoptError::Unknown(_) => panic!("the voters of round 0 are known"),
            });
        }
    }
    assert_eq!(
        errors.into_iter().collect::<Vec<_>>(),
        ["certificate", "minutes", "transcript"]
    );
}

#[test]
fn a_certificate_of_nobody_is_refused() {
    let decided = played_alone().decided;
    let mut round = (*decided[0]).clone();
    round.certificate.signatures.clear();
    let error = AdoptError::Certificate(CertificateError::Weight(0, 1));
    assert_eq!(adopted(RoundRecord::from(&round)), Err(error));
}

#[test]
fn a_record_is_bounded() {
    let bytes = vec![0; MAX_RECORD + 1];
    let error = RoundRecord::from_bytes(&bytes).unwrap_err();
    assert_eq!(
        error,
        codec::CodecError::TooLarge(MAX_RECORD + 1, MAX_RECORD)
    );
}
