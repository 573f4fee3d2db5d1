//! Evidence as a file: JSON of one form.
//!
//! ```text
//! {"format":1,"digest":SHA-256 of the text of `evidence`,"step":…,"evidence":{…}}
//! ```
//! Digests, bytes and words are hexadecimal text. A file is read only if it is, byte for byte, what
//! would be written: so a changed byte is found as such, before anything is recomputed. Whoever
//! makes a file anew can write another digest; what the evidence then shows is bound by its own
//! paths up to the root of the step. The number of the step is what the file says, bound by
//! nothing.

use std::io;
use std::path::{Path, PathBuf};

use reproducible_ops::program::{DType, TensorType, ValueId};
use serde::{Deserialize, Serialize};
use swarm_files::text_file;
use swarm_files::whole::{Access, Reserved};
use swarm_identity::digest::Hasher;
use verde::evidence::{
    Evidence, OperandProof, Piece, PlanProof, ProgramProof, ResultProof, RunProof,
};
use verde::parts::PartProof;
use verde::step::StepHeader;
use verde::tensor::Opening;

use super::hex_text::{Bytes, Hash, Words, digests, hashes};

/// The version of the form.
const FORMAT: u32 = 1;
/// Largest file that is read, in bytes.
pub const MAX_BYTES: u64 = 1 << 26;

/// Why a file is no evidence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceFileError {
    /// The system, or the size of the file.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The text.
    #[error("evidence: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version.
    #[error("evidence of format {0}; this program reads format {FORMAT}")]
    Format(u32),
    /// The text was changed.
    #[error("evidence: its text has another digest than it says; it was changed or cut off")]
    Digest,
    /// The text is not in the form in which it is written.
    #[error("evidence: not in the form in which it is written; spaces, order or numbers differ")]
    Form,
    /// Too much for a file.
    #[error("evidence of {0} bytes; a file has at most {MAX_BYTES}")]
    TooLarge(usize),
}

/// Evidence, with the number of its step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepEvidence {
    /// The step, as whoever made the evidence says.
    pub step: u64,
    /// The evidence.
    pub evidence: Evidence,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    digest: Hash,
    step: u64,
    evidence: EvidenceBody,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EvidenceBody {
    root: Hash,
    plan: Hash,
    state: Hash,
    given: Hash,
    next: Hash,
    plan_parts: PlanBody,
    run: RunBody,
    program_parts: ProgramBody,
    value: u32,
    operands: Vec<OperandBody>,
    result: ResultBody,
    piece: PieceBody,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartBody {
    bytes: Bytes,
    siblings: Vec<Hash>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanBody {
    header: PartBody,
    program: PartBody,
    run: PartBody,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProgramBody {
    header: PartBody,
    node: PartBody,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunBody {
    number: usize,
    values: Hash,
    siblings: Vec<Hash>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OperandBody {
    element: Element,
    shape: Vec<usize>,
    tiles: Hash,
    siblings: Vec<Hash>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Element {
    F32,
    I32,
    Bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResultBody {
    root: Hash,
    siblings: Vec<Hash>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TileBody {
    tile: Words,
    siblings: Vec<Hash>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum PieceBody {
    Element {
        element: usize,
        result: TileBody,
        tiles: Vec<TileBody>,
    },
    Node {
        operands: Vec<Words>,
    },
}

impl StepEvidence {
    /// The text of the file.
    ///
    /// # Errors
    /// It would be too large.
    pub fn to_text(&self) -> Result<String, EvidenceFileError> {
        let (step, evidence) = (self.step, EvidenceBody::from(&self.evidence));
        let file = File {
            format: FORMAT,
            digest: evidence.digest(step)?,
            step,
            evidence,
        };
        file.to_text()
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`EvidenceFileError`].
    pub fn from_text(text: &str) -> Result<Self, EvidenceFileError> {
        let file: File = serde_json::from_str(text)?;
        if file.format != FORMAT {
            return Err(EvidenceFileError::Format(file.format));
        }
        if file.digest != file.evidence.digest(file.step)? {
            return Err(EvidenceFileError::Digest);
        }
        match file.to_text()? == text {
            true => Ok(Self {
                step: file.step,
                evidence: file.evidence.into(),
            }),
            false => Err(EvidenceFileError::Form),
        }
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// It would be too large, or the system refuses.
    pub fn write(&self, path: &Path) -> Result<(), EvidenceFileError> {
        let text = self.to_text()?;
        let written = Reserved::new(path, Access::Umask, text.len())
            .and_then(|place| place.replace(text.as_bytes()));
        written.map_err(|source| EvidenceFileError::Io {
            path: path.into(),
            source,
        })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`EvidenceFileError`].
    pub fn read(path: &Path) -> Result<Self, EvidenceFileError> {
        let text = text_file::read(path, MAX_BYTES).map_err(|source| EvidenceFileError::Io {
            path: path.into(),
            source,
        })?;
        Self::from_text(&text)
    }
}

impl EvidenceBody {
    fn digest(&self, step: u64) -> Result<Hash, EvidenceFileError> {
        let text = serde_json::to_string(self)?;
        let digest = Hasher::new("evidence").u64(step).bytes(text.as_bytes());
        Ok(Hash(digest.finish()))
    }
}

impl File {
    fn to_text(&self) -> Result<String, EvidenceFileError> {
        let mut text = serde_json::to_string(self)?;
        text.push('\n');
        match text.len() as u64 <= MAX_BYTES {
            true => Ok(text),
            false => Err(EvidenceFileError::TooLarge(text.len())),
        }
    }
}

impl From<&PartProof> for PartBody {
    fn from(proof: &PartProof) -> Self {
        Self {
            bytes: Bytes(proof.bytes.clone()),
            siblings: hashes(&proof.siblings),
        }
    }
}

impl From<PartBody> for PartProof {
    fn from(body: PartBody) -> Self {
        Self {
            bytes: body.bytes.0,
            siblings: digests(body.siblings),
        }
    }
}

impl From<&Opening> for TileBody {
    fn from(opening: &Opening) -> Self {
        Self {
            tile: Words(opening.tile.clone()),
            siblings: hashes(&opening.siblings),
        }
    }
}

impl From<TileBody> for Opening {
    fn from(body: TileBody) -> Self {
        Self {
            tile: body.tile.0,
            siblings: digests(body.siblings),
        }
    }
}

impl From<&OperandProof> for OperandBody {
    fn from(proof: &OperandProof) -> Self {
        Self {
            element: match proof.ty.dtype {
                DType::F32 => Element::F32,
                DType::I32 => Element::I32,
                DType::Bool => Element::Bool,
            },
            shape: proof.ty.shape.dims().to_vec(),
            tiles: Hash(proof.tiles),
            siblings: hashes(&proof.siblings),
        }
    }
}

impl From<OperandBody> for OperandProof {
    fn from(body: OperandBody) -> Self {
        let dtype = match body.element {
            Element::F32 => DType::F32,
            Element::I32 => DType::I32,
            Element::Bool => DType::Bool,
        };
        Self {
            ty: TensorType::new(dtype, body.shape),
            tiles: body.tiles.0,
            siblings: digests(body.siblings),
        }
    }
}

impl From<&Piece> for PieceBody {
    fn from(piece: &Piece) -> Self {
        match piece {
            Piece::Element {
                element,
                result,
                tiles,
            } => Self::Element {
                element: *element,
                result: result.into(),
                tiles: tiles.iter().map(TileBody::from).collect(),
            },
            Piece::Node { operands } => Self::Node {
                operands: operands.iter().cloned().map(Words).collect(),
            },
        }
    }
}

impl From<PieceBody> for Piece {
    fn from(body: PieceBody) -> Self {
        match body {
            PieceBody::Element {
                element,
                result,
                tiles,
            } => Self::Element {
                element,
                result: result.into(),
                tiles: tiles.into_iter().map(Opening::from).collect(),
            },
            PieceBody::Node { operands } => Self::Node {
                operands: operands.into_iter().map(|words| words.0).collect(),
            },
        }
    }
}

impl From<&Evidence> for EvidenceBody {
    fn from(evidence: &Evidence) -> Self {
        let StepHeader {
            plan,
            state,
            given,
            next,
        } = evidence.step;
        Self {
            root: Hash(evidence.root),
            plan: Hash(plan),
            state: Hash(state),
            given: Hash(given),
            next: Hash(next),
            plan_parts: PlanBody {
                header: (&evidence.plan.header).into(),
                program: (&evidence.plan.program).into(),
                run: (&evidence.plan.run).into(),
            },
            run: RunBody {
                number: evidence.run.number,
                values: Hash(evidence.run.values),
                siblings: hashes(&evidence.run.siblings),
            },
            program_parts: ProgramBody {
                header: (&evidence.program.header).into(),
                node: (&evidence.program.node).into(),
            },
            value: evidence.value.0,
            operands: evidence.operands.iter().map(OperandBody::from).collect(),
            result: ResultBody {
                root: Hash(evidence.result.root),
                siblings: hashes(&evidence.result.siblings),
            },
            piece: (&evidence.piece).into(),
        }
    }
}

impl From<EvidenceBody> for Evidence {
    fn from(body: EvidenceBody) -> Self {
        Self {
            root: body.root.0,
            step: StepHeader {
                plan: body.plan.0,
                state: body.state.0,
                given: body.given.0,
                next: body.next.0,
            },
            plan: PlanProof {
                header: body.plan_parts.header.into(),
                program: body.plan_parts.program.into(),
                run: body.plan_parts.run.into(),
            },
            run: RunProof {
                number: body.run.number,
                values: body.run.values.0,
                siblings: digests(body.run.siblings),
            },
            program: ProgramProof {
                header: body.program_parts.header.into(),
                node: body.program_parts.node.into(),
            },
            value: ValueId(body.value),
            operands: body.operands.into_iter().map(OperandProof::from).collect(),
            result: ResultProof {
                root: body.result.root.0,
                siblings: digests(body.result.siblings),
            },
            piece: body.piece.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use verde::audit::Verdict;
    use verde::evidence::ClaimedNode;
    use verde::step::{Schedule, StepTree};
    use verde::testing::{Kept, job};

    use super::*;

    /// Evidence for an element and for the whole of a product.
    fn samples() -> [StepEvidence; 2] {
        let kept = Kept::honest(1);
        let schedule = Schedule::new(job().plan(), job().programs()).unwrap();
        let step = StepTree::from_roots(&schedule, &kept.roots(1)).unwrap();
        let value = ValueId(3);
        let node = ClaimedNode {
            job: job(),
            step: &step,
            run: 2,
            value,
        };
        let values = &kept.traces[1].runs[2];
        let inputs = &job().node(2, value).unwrap().inputs;
        let operands: Vec<_> = inputs.iter().map(|id| &values[id.index()]).collect();
        let element = node.element(&operands, &values[3], 7).unwrap().0;
        let whole = node.whole(&operands).unwrap().0;
        [element, whole].map(|evidence| StepEvidence { step: 1, evidence })
    }

    #[test]
    fn evidence_survives_its_file() {
        for sample in samples() {
            let read = StepEvidence::from_text(&sample.to_text().unwrap()).unwrap();
            assert_eq!(read, sample);
            let found = read.evidence.recheck().unwrap();
            assert_eq!(found.verdict(), Verdict::Right);
        }
    }

    #[test]
    fn no_changed_cut_or_longer_text_is_evidence() {
        let text = samples()[0].to_text().unwrap();
        for at in (0..text.len()).step_by(7).chain(0..200) {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(StepEvidence::from_text(&changed).is_err(), "byte {at}");
            assert!(StepEvidence::from_text(&text[..at]).is_err(), "cut at {at}");
        }
        for other in [
            format!(" {text}"),
            format!("{text}\n"),
            text.replace(",", ", "),
        ] {
            let error = StepEvidence::from_text(&other).unwrap_err();
            assert!(matches!(error, EvidenceFileError::Form), "{error}");
        }
        let error = StepEvidence::from_text(&text.replace("\"step\":1", "\"step\":2"));
        assert!(matches!(error, Err(EvidenceFileError::Digest)));
        let error = StepEvidence::from_text(&text.replace("\"format\":1", "\"format\":2"));
        assert!(matches!(error, Err(EvidenceFileError::Format(2))));
    }
}
