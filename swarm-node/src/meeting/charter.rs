//! What all peers of a job must know of each other, as they tell it and keep it.

use std::path::Path;

use reproducible_ops::tensor::Tensor;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use skippipe::admission::Admission;
use skippipe::content::Digest;
use swarm_files::text_file;
use swarm_files::whole::{Access, Reserved};
use swarm_identity::PeerId;
use swarm_learn::data_set::DataSet;
use verde::tensor;

use crate::job::JobSpec;

/// The charter in a peer's folder.
pub const CHARTER: &str = "charter.json";
/// Largest charter that is read, in bytes; it must be an answer to a request.
const MAX_BYTES: u64 = 256 << 10;
/// Addresses that a peer is called at.
pub const MAX_ADDRESSES: usize = 8;

/// Who takes part in what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charter {
    /// The job; a file that it names is looked for in each peer's working folder.
    pub spec: JobSpec,
    /// Digest of the job's data and initial states, which every peer computes itself.
    pub job: String,
    /// Peers in their order, which says what each does: which stage of a pipeline it holds, or
    /// which replica it trains.
    pub members: Vec<Address>,
    /// Peers that were admitted while the job ran, in the order of their numbers, which follow
    /// those of `members`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "admissions")]
    pub admitted: Vec<Admission>,
}

/// A peer, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Its key, in hexadecimal.
    pub peer: String,
    /// Where it listens.
    pub addresses: Vec<String>,
}

/// Why a charter cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CharterError {
    /// The file.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is no charter.
    #[error("the charter cannot be read: {0}")]
    Malformed(String),
}

impl Charter {
    /// Reads what [`Charter::save`] wrote; none where there is none.
    ///
    /// # Errors
    /// The file cannot be read, or is no charter.
    pub fn load(folder: &Path) -> Result<Option<Self>, CharterError> {
        let path = folder.join(CHARTER);
        match text_file::read(&path, MAX_BYTES) {
            Ok(text) => Self::parse(&text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(CharterError::File { path, source }),
        }
    }

    /// Reads a charter that a peer sent, with a specification whose numbers are within their
    /// limits.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, CharterError> {
        let malformed = |error: &dyn std::fmt::Display| CharterError::Malformed(error.to_string());
        let charter: Self = serde_json::from_str(text).map_err(|error| malformed(&error))?;
        let (found, expected) = (charter.members.len(), charter.spec.peers());
        if expected.is_none_or(|expected| expected as usize != found) {
            let expected = expected.unwrap_or(0);
            return Err(malformed(&format!(
                "it names {found} peers, and its job has {expected}"
            )));
        }
        charter.spec.check().map_err(|error| malformed(&error))?;
        let most = charter.spec.most_peers().unwrap_or(0) as usize;
        let all = found + charter.admitted.len();
        if all > most {
            return Err(malformed(&format!(
                "it names {all} peers, and its job has {most} at most"
            )));
        }
        charter.peers()?;
        Ok(charter)
    }

    /// As text, which [`Charter::parse`] reads.
    ///
    /// # Errors
    /// Numbers of the job that JSON cannot hold.
    pub fn to_text(&self) -> Result<String, CharterError> {
        serde_json::to_string_pretty(self)
            .map_err(|error| CharterError::Malformed(error.to_string()))
    }

    /// Writes it into a folder.
    ///
    /// # Errors
    /// The system refuses.
    pub fn save(&self, folder: &Path) -> Result<(), CharterError> {
        let (path, text) = (folder.join(CHARTER), self.to_text()?);
        let place = Reserved::new(&path, Access::Umask, text.len());
        let written = place.and_then(|place| place.replace(text.as_bytes()));
        written.map_err(|source| CharterError::File { path, source })
    }

    /// Where a peer listens, by its number.
    pub fn addresses(&self, number: usize) -> &[String] {
        let of_start = self.members.get(number).map(|member| &member.addresses);
        let later = number.checked_sub(self.members.len());
        let later = later.and_then(|place| self.admitted.get(place));
        let found = of_start.or(later.map(|one| &one.newcomer.addresses));
        found.map_or(&[], Vec::as_slice)
    }

    /// All peers, those with them that were admitted later. Their signatures are not looked at
    /// here.
    ///
    /// # Errors
    /// A name is no key, or stands there twice.
    pub fn all_peers(&self) -> Result<Vec<PeerId>, CharterError> {
        let mut peers = self.peers()?;
        for admission in &self.admitted {
            let key = admission.newcomer.key.as_slice().try_into().map(PeerId);
            let peer = key.ok().filter(|key| !peers.contains(key));
            peers.push(peer.ok_or_else(|| {
                let number = admission.peer;
                CharterError::Malformed(format!("{number} has no key of its own"))
            })?);
        }
        Ok(peers)
    }

    /// The peers of the start, in their order.
    ///
    /// # Errors
    /// A name is no key, or stands there twice.
    pub fn peers(&self) -> Result<Vec<PeerId>, CharterError> {
        let mut peers = Vec::new();
        for member in &self.members {
            let bytes = const_hex::decode_to_array::<_, 33>(&member.peer);
            let peer = bytes.map(PeerId).map_err(|error| {
                CharterError::Malformed(format!("`{}` is no peer: {error}", member.peer))
            })?;
            if peers.contains(&peer) {
                return Err(CharterError::Malformed(format!(
                    "{} is named twice",
                    member.peer
                )));
            }
            peers.push(peer);
        }
        Ok(peers)
    }
}

/// Admissions as text: the bytes of each, in hexadecimal.
mod admissions {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};
    use skippipe::admission::Admission;
    use skippipe::wire;

    pub(super) fn serialize<S: Serializer>(list: &[Admission], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(
            list.iter()
                .map(|one| const_hex::encode(wire::to_bytes(one))),
        )
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(
        from: D,
    ) -> Result<Vec<Admission>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        let read = |text: &String| {
            let bytes = const_hex::decode(text).map_err(D::Error::custom)?;
            let admission: Admission = wire::from_bytes(&bytes).map_err(D::Error::custom)?;
            let sound = admission.is_sound().then_some(admission);
            sound.ok_or_else(|| D::Error::custom("an admission is over its limits"))
        };
        texts.iter().map(read).collect()
    }
}

/// Digest of all that a job is computed from: its data, its initial parameters, and in `terms`
/// whatever else its history follows from.
pub fn job_digest<'a>(
    data: &DataSet,
    parameters: impl Iterator<Item = (&'a str, &'a Tensor)>,
    terms: &str,
) -> Digest {
    let mut job = Sha256::new();
    let mut part = |text: &str, root: &[u8]| {
        job.update((text.len() as u64).to_le_bytes());
        job.update(text.as_bytes());
        job.update(root);
    };
    for (name, channel) in data.channels() {
        part(name, &tensor::root(channel));
    }
    for (name, parameter) in parameters {
        part(name, &tensor::root(parameter));
    }
    part(terms, &[]);
    Digest(job.finalize().into())
}

/// A peer as charters name it.
pub fn name(peer: &PeerId) -> String {
    const_hex::encode(peer.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../configs/nano/pipeline.toml");

    /// The charter of the example, as a peer sends it, whose job has other stages.
    fn sent(stages: Option<u16>) -> String {
        let mut spec: JobSpec = toml::from_str(EXAMPLE).unwrap();
        let members = (1..=spec.peers().unwrap())
            .map(|number| Address {
                peer: const_hex::encode([number as u8; 33]),
                addresses: Vec::new(),
            })
            .collect();
        let pipeline = spec.pipeline.as_mut().unwrap();
        pipeline.stages = stages.unwrap_or(pipeline.stages);
        let job = String::new();
        let admitted = Vec::new();
        let charter = Charter {
            spec,
            job,
            members,
            admitted,
        };
        charter.to_text().unwrap()
    }

    #[test]
    fn numbers_of_a_peers_charter_are_within_their_limits() {
        Charter::parse(&sent(None)).unwrap();
        for stages in [0, 65, u16::MAX] {
            let error = Charter::parse(&sent(Some(stages))).unwrap_err().to_string();
            assert!(error.contains("pipeline.stages"), "{error}");
        }
    }
}
