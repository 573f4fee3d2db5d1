//! What a worker published of a job: its folder as it is, and what it signed of single steps.
//!
//! ```text
//! history.json, trace-….roots, trace-…-run-N.values ─▶ PublishedRecord: numbers, right or wrong
//! trace-….signed                                    ─▶ SignedStep: what its worker answers for
//! ```
//! Invariant: a signed step is taken only where the job's worker signed it, for the contract of the
//! job. Files are a stranger's, and bounded.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use contracts::game::SignedStep;
use contracts::typed::Domain;
use contracts::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};
use swarm_files::text_file;
use swarm_files::whole::{Access, Reserved};
use swarm_learn::job_run::JobIdentity;
use swarm_learn::published::{PublishedError, PublishedRecord};
use verde::game::StepClaim;
use verde::job::Job;

/// The version of the form.
const FORMAT: u32 = 1;
/// Largest file of a signed step, in bytes.
const MAX_BYTES: u64 = 4096;
/// Most signed steps of a folder that are looked at.
const MAX_SIGNED: usize = 256;
const SIGNED: &str = ".signed";

/// A signed step that cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}", path = path.display())]
pub struct SignedFileError {
    path: PathBuf,
    reason: String,
}

/// What a worker signed of a step, as a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedFile {
    format: u32,
    /// The step, from 0.
    step: u64,
    chain: u64,
    /// The game contract.
    contract: Address,
    job: B256,
    before: B256,
    after: B256,
    states: B256,
    runs: B256,
    signature: Bytes,
}

impl SignedFile {
    /// What was signed of a step, for the game contract of the domain.
    pub fn new(domain: &Domain, step: u64, signed: &SignedStep) -> Self {
        let claim = &signed.claim;
        let [before, after, states, runs] =
            [claim.before, claim.after, claim.states, claim.runs].map(B256::from);
        Self {
            format: FORMAT,
            step,
            chain: domain.chain_id,
            contract: domain.contract,
            job: signed.job.into(),
            before,
            after,
            states,
            runs,
            signature: signed.signature.into(),
        }
    }

    /// Writes it into the folder of the job, whole or not at all.
    ///
    /// # Errors
    /// The system refuses.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, SignedFileError> {
        let path = folder.join(format!("trace-{:08}{SIGNED}", self.step));
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::from);
        let written =
            text.and_then(|text| Reserved::new(&path, Access::Umask, text.len())?.replace(&text));
        match written {
            Ok(()) => Ok(path),
            Err(error) => Err(SignedFileError {
                reason: error.to_string(),
                path,
            }),
        }
    }

    /// Reads one.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Self, SignedFileError> {
        let failed = |reason: String| SignedFileError {
            path: path.to_owned(),
            reason,
        };
        let text = text_file::regular(path).and_then(|path| text_file::read(path, MAX_BYTES));
        let text = text.map_err(|error| failed(error.to_string()))?;
        let file: Self = serde_json::from_str(&text)
            .map_err(|error| failed(format!("no signed step: {error}")))?;
        match file.format {
            FORMAT => Ok(file),
            other => Err(failed(format!(
                "its form is {other}, and {FORMAT} is read here"
            ))),
        }
    }

    /// The signed step, if this worker signed it, of this job, for the contract of the domain.
    fn signed(&self, domain: &Domain, job: U256, worker: Address) -> Result<SignedStep, String> {
        let signed = SignedStep {
            job: self.job.into(),
            claim: StepClaim {
                before: self.before.0,
                after: self.after.0,
                states: self.states.0,
                runs: self.runs.0,
            },
            signature: self.signature[..]
                .try_into()
                .map_err(|_| "the signature has not 65 bytes".to_owned())?,
        };
        let found = Domain {
            chain_id: self.chain,
            contract: self.contract,
        };
        if (found, signed.job) != (*domain, job) {
            return Err(format!(
                "it is about job {:#x} of contract {} on chain {}",
                self.job, self.contract, self.chain
            ));
        }
        match signed.signer(domain) {
            Some(signer) if signer == worker => Ok(signed),
            Some(signer) => Err(format!("{signer} signed it, and the worker is {worker}")),
            None => Err("the signature is none".into()),
        }
    }
}

/// What a worker published of a job.
pub struct Published<'a> {
    /// Its numbers.
    pub record: PublishedRecord<'a>,
    /// What it signed.
    pub signed: Vec<SignedStep>,
    /// Files that were passed over, and why.
    pub passed_over: Vec<SignedFileError>,
}

impl<'a> Published<'a> {
    /// What is in a folder of a job that `worker` claims on the chain.
    ///
    /// # Errors
    /// The folder is not one of the job, or cannot be read.
    pub fn read(
        folder: &Path,
        job: &'a Job,
        identity: &JobIdentity,
        (domain, id, worker): (&Domain, U256, Address),
    ) -> Result<Self, PublishedError> {
        let record = PublishedRecord::open(folder, job, identity)?;
        let mut published = Self {
            record,
            signed: Vec::new(),
            passed_over: Vec::new(),
        };
        for path in signed_files(folder) {
            let signed = SignedFile::read(&path).and_then(|file| {
                let signed = file.signed(domain, id, worker);
                let signed = signed.map_err(|reason| SignedFileError {
                    path: path.clone(),
                    reason,
                });
                Ok((file.step, signed?))
            });
            match signed {
                Ok((step, signed)) => {
                    if published.signed.is_empty() {
                        published.record = published.record.about(step);
                    }
                    published.signed.push(signed);
                }
                Err(error) => published.passed_over.push(error),
            }
        }
        Ok(published)
    }
}

/// Files of signed steps in a folder, in the order of their names.
fn signed_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    // A pipe would be waited for.
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let paths = files.map(|entry| entry.path());
    let is_signed = |path: &PathBuf| path.to_str().is_some_and(|path| path.ends_with(SIGNED));
    let mut paths: Vec<PathBuf> = paths.filter(is_signed).take(MAX_SIGNED).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use contracts::game::step_claim_digest;
    use swarm_identity::NodeKey;

    use super::*;

    const DOMAIN: Domain = Domain {
        chain_id: 7,
        contract: Address::repeat_byte(9),
    };

    fn file() -> (SignedFile, SignedStep, Address) {
        let claim = StepClaim {
            before: [1; 32],
            after: [2; 32],
            states: [3; 32],
            runs: [4; 32],
        };
        let key = NodeKey::from_secret(&[5; 32]).unwrap();
        let digest = step_claim_digest(&DOMAIN, U256::from(6), &claim);
        let signed = SignedStep {
            job: U256::from(6),
            claim,
            signature: key.sign_recoverable(&digest.0).unwrap(),
        };
        let worker = contracts::typed::address(&key.peer().0).unwrap();
        (SignedFile::new(&DOMAIN, 3, &signed), signed, worker)
    }

    #[test]
    fn a_signed_step_comes_back_and_counts_for_its_worker_job_and_contract_alone() {
        let (file, signed, worker) = file();
        let folder = tempfile::tempdir().unwrap();
        let path = file.write(folder.path()).unwrap();
        let read = SignedFile::read(&path).unwrap();
        assert_eq!(read, file);
        assert_eq!(signed_files(folder.path()), std::slice::from_ref(&path));
        let found =
            |domain: &Domain, job: u64, worker| read.signed(domain, U256::from(job), worker).ok();
        assert_eq!(found(&DOMAIN, 6, worker), Some(signed));
        assert_eq!(found(&DOMAIN, 7, worker), None);
        assert_eq!(found(&DOMAIN, 6, Address::ZERO), None);
        let other = Domain {
            chain_id: 8,
            ..DOMAIN
        };
        assert_eq!(found(&other, 6, worker), None);
        let changed = SignedFile {
            runs: B256::repeat_byte(5),
            ..read.clone()
        };
        assert!(changed.signed(&DOMAIN, U256::from(6), worker).is_err());
        fs::write(&path, "{}").unwrap();
        assert!(SignedFile::read(&path).is_err());
    }
}
