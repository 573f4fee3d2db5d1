//! A decided round: its certificate, its minutes and everything that counts.

use std::sync::Arc;

use thiserror::Error;

use super::certificate::{Certificate, CertificateError};
use super::minutes::Minutes;
use crate::clock::Round;
use crate::question::Judge;
use crate::resolve::{RoundResult, resolve};
use crate::transcript::Transcript;

/// A round that can be proved to anybody who knows its members.
#[derive(Clone, Debug)]
pub struct DecidedRound {
    /// The proof.
    pub certificate: Certificate,
    /// What was agreed on.
    pub minutes: Arc<Minutes>,
    /// What follows.
    pub result: Arc<RoundResult>,
}

/// Why a round is not adopted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// The certificate proves nothing.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The minutes are not those of the certificate.
    #[error("the minutes are not those that the certificate of round {0} names")]
    Minutes(Round),
    /// The contents are not those of the minutes.
    #[error("the contents of round {0} are not those that its minutes name")]
    Transcript(Round),
    /// Who votes follows from rounds that are not known yet.
    #[error("round {0} cannot be checked before the rounds of two epochs earlier are known")]
    Unknown(Round),
}

impl DecidedRound {
    /// The round whose contents were decided, with its scores.
    pub fn new(
        certificate: Certificate,
        minutes: Arc<Minutes>,
        transcript: Arc<Transcript>,
        judge: &dyn Judge,
    ) -> Self {
        Self {
            certificate,
            minutes,
            result: Arc::new(resolve(transcript, judge)),
        }
    }

    /// The round.
    pub fn round(&self) -> Round {
        self.certificate.round
    }

    /// What counts.
    pub fn transcript(&self) -> &Arc<Transcript> {
        &self.result.transcript
    }
}
