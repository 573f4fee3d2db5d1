//! Moves with what a contract needs to judge them.

use alloy::primitives::{B256, Bytes, keccak256};
use alloy::sol_types::SolValue;
use verde::game::{
    Branch, Move as Made, OperandProof as Operand, Place, Rules, SourceProof as Shown,
};
use verde::game::{RunContext, ValueContext};
use verde::parts::PartProof;
use verde::plan::{Part as Of, Source};

use super::bytes::{EncodeError, Encoded, MOST, hashes, words};
use super::position::{self, Standing};
use super::types::{Move, Opening, Part, ProgramOfRun, ProveInput, ProveNext, SourceProof};

/// Kinds of the moves that are judged by the position alone: `Reveal`, `Pick` and `ContestNext`.
const BARE: [u8; 3] = [0, 9, 10];

/// A game's position as the contract has it, and moves from there.
#[derive(Clone, Debug)]
pub struct Encoder<'a> {
    rules: Rules<'a>,
    stands: Standing,
}

impl<'a> Encoder<'a> {
    /// A game that begins.
    ///
    /// # Errors
    /// None for the rules of a job.
    pub fn new(rules: Rules<'a>) -> Encoded<Self> {
        let mut stands = Standing::default();
        stands.context.claim = position::claim(&rules);
        stands.write(&rules, &rules.start())?;
        Ok(Self { rules, stands })
    }

    /// The claim, as the contract has it.
    pub fn claim(&self) -> &super::types::Claim {
        &self.stands.context.claim
    }

    /// What the contract is shown.
    pub fn position(&self) -> Vec<u8> {
        self.stands.position.write()
    }

    /// What the contract is shown besides, where one of the moves needs it; nothing for others.
    pub fn context_for(&self, moves: &[Move]) -> Vec<u8> {
        match moves.iter().any(|made| !BARE.contains(&made.kind)) {
            true => self.context(),
            false => Vec::new(),
        }
    }

    /// What the position binds: all that was said of the levels above.
    pub fn context(&self) -> Vec<u8> {
        self.stands.context.abi_encode()
    }

    /// Hash of the position.
    pub fn hash(&self) -> B256 {
        keccak256(self.position())
    }

    /// Goes on to the place to which a move led.
    ///
    /// # Errors
    /// The place is not one of this job.
    pub fn follow(&mut self, place: &Place) -> Encoded<()> {
        self.stands.write(&self.rules, place)
    }

    /// A move made at a place, as the contract takes it: `Moves.sol` has the layout.
    ///
    /// # Errors
    /// The move is none of this place and job.
    pub fn encode(&self, place: &Place, made: &Made) -> Encoded<Move> {
        let (kind, data) = match made {
            Made::Reveal(nodes) => (0, nodes.concat()),
            Made::Interval {
                before,
                after,
                states,
            } => {
                let counts = [count(&before.1)?, count(&states.1)?];
                let heads = [before.0, *after, states.0].concat();
                let paths = [&before.1, &states.1, &states.2].map(|path| path.concat());
                (1, [heads, counts.to_vec(), paths.concat()].concat())
            }
            Made::Step {
                before,
                after,
                runs,
            } => (
                2,
                [[before.0, *after, *runs].concat(), before.1.concat()].concat(),
            ),
            Made::Run { values } => (3, proved(values, &self.program_of_run(leaf(place)?)?)),
            Made::Value { tiles } => (4, proved(tiles, &self.descriptor_of(place)?)),
            Made::Tile(elements) => (5, words(elements, u32::to_le_bytes).into()),
            Made::State { tensors } => (6, tensors.to_vec()),
            Made::Slot { root } => (7, proved(root, &self.plan_part(Of::State(leaf(place)?))?)),
            Made::Numbers(numbers) => (8, words(numbers, u32::to_be_bytes).into()),
            Made::Pick { at, node, siblings } => {
                // A tree of 2³³ leaves has 33 levels.
                let place = [
                    vec![at.height as u8],
                    (at.index as u64).to_be_bytes().to_vec(),
                ];
                (
                    9,
                    [place.concat(), node.to_vec(), siblings.concat()].concat(),
                )
            }
            Made::ContestNext => (10, Vec::new()),
            Made::ProveNext(proof) => (11, body(&self.prove_next(place, proof)?)),
            Made::ProveInput(proof) => (12, body(&self.prove_input(place, proof)?)),
            Made::Ask { offset, operands } => {
                (13, [number(*offset)?, self::operands(operands)?].concat())
            }
            Made::PickNumber(offset) => (14, number(*offset)?),
            Made::Prove {
                offset,
                witness,
                operands,
                tiles,
            } => {
                let places = [number(*offset)?, number(*witness)?].concat();
                let openings: Vec<Opening> = tiles.iter().map(opening).collect();
                (
                    15,
                    [places, self::operands(operands)?, body(&openings)].concat(),
                )
            }
        };
        if data.len() > MOST {
            return Err(EncodeError("move that fits into a call"));
        }
        let data = Bytes::from(data);
        Ok(Move { kind, data })
    }

    /// The descriptor of the value in doubt.
    fn descriptor_of(&self, place: &Place) -> Encoded<Part> {
        let Place::Picked {
            branch: Branch::Values(run),
            at,
            ..
        } = place
        else {
            return Err(EncodeError("value"));
        };
        self.descriptor(run.run, 1 + at.index)
    }

    fn prove_next(&self, place: &Place, proof: &Shown) -> Encoded<ProveNext> {
        let Place::Slot { slot, .. } = place else {
            return Err(EncodeError("tensor"));
        };
        let source = self.rules.job.plan().next.get(*slot).copied();
        Ok(ProveNext {
            next: self.plan_part(Of::Next)?,
            source: self.source(source.ok_or(EncodeError("tensor"))?, proof)?,
        })
    }

    fn prove_input(&self, place: &Place, proof: &Shown) -> Encoded<ProveInput> {
        let Place::Input(ValueContext {
            run: RunContext { run, .. },
            value,
            ..
        }) = place
        else {
            return Err(EncodeError("input"));
        };
        let (bound, _) = self.rules.job.run(*run).ok_or(EncodeError("run"))?;
        let source = bound.inputs.get(value.index()).copied();
        Ok(ProveInput {
            run: self.plan_part(Of::Run(*run))?,
            source: self.source(source.ok_or(EncodeError("input"))?, proof)?,
        })
    }

    fn source(&self, source: Source, proof: &Shown) -> Encoded<SourceProof> {
        match (source, proof) {
            (Source::State(slot), Shown::State(root, siblings)) => Ok(SourceProof {
                root: root.into(),
                siblings: hashes(siblings),
                part: self.plan_part(Of::State(slot as usize))?,
                ..SourceProof::default()
            }),
            (Source::Constant(number), Shown::Constant) => Ok(SourceProof {
                part: self.plan_part(Of::Constant(number as usize))?,
                ..SourceProof::default()
            }),
            (
                Source::Output { run, output },
                Shown::Output {
                    header,
                    values,
                    run: path,
                    value,
                },
            ) => Ok(SourceProof {
                root: value.0.into(),
                siblings: hashes(&value.1),
                part: self.descriptor(run as usize, 1 + header.values + output as usize)?,
                program: self.program_of_run(run as usize)?,
                values: values.into(),
                runPath: hashes(path),
            }),
            _ => Err(EncodeError("source")),
        }
    }

    fn program_of_run(&self, run: usize) -> Encoded<ProgramOfRun> {
        let (bound, _) = self.rules.job.run(run).ok_or(EncodeError("run"))?;
        Ok(ProgramOfRun {
            run: self.plan_part(Of::Run(run))?,
            program: self.plan_part(Of::Program(bound.program as usize))?,
            header: self.descriptor(run, 0)?,
        })
    }

    fn plan_part(&self, of: Of) -> Encoded<Part> {
        let place = self.rules.job.plan().place_of(of);
        let proof = place.and_then(|place| self.rules.job.plan_parts().prove(place));
        proof.map(part).ok_or(EncodeError("part"))
    }

    /// A descriptor of the program of a run: the header, inputs, nodes, outputs.
    fn descriptor(&self, run: usize, index: usize) -> Encoded<Part> {
        let (bound, _) = self.rules.job.run(run).ok_or(EncodeError("run"))?;
        let parts = self.rules.job.program_parts().get(bound.program as usize);
        let proof = parts.and_then(|parts| parts.prove(index));
        proof.map(part).ok_or(EncodeError("descriptor"))
    }
}

/// The leaf in doubt.
fn leaf(place: &Place) -> Encoded<usize> {
    match place {
        Place::Picked { at, .. } if at.height == 0 => Ok(at.index),
        _ => Err(EncodeError("leaf")),
    }
}

fn part(proof: PartProof) -> Part {
    Part {
        content: proof.bytes.into(),
        siblings: hashes(&proof.siblings),
    }
}

/// The ABI encoding of a value without the offset that would lead to it.
fn body(value: &impl SolValue) -> Vec<u8> {
    value.abi_encode().split_off(32)
}

/// A hash and what proves it.
fn proved(hash: &[u8; 32], proof: &impl SolValue) -> Vec<u8> {
    [hash.to_vec(), body(proof)].concat()
}

/// A number of four bytes.
fn number(number: usize) -> Encoded<Vec<u8>> {
    let number = u32::try_from(number).map_err(|_| EncodeError("element"))?;
    Ok(number.to_be_bytes().to_vec())
}

/// How many hashes there are beside a path, in a byte.
fn count(path: &[[u8; 32]]) -> Encoded<u8> {
    u8::try_from(path.len()).map_err(|_| EncodeError("path"))
}

fn operands(proofs: &[Operand]) -> Encoded<Vec<u8>> {
    let mut written = Vec::new();
    for proof in proofs {
        let dims = proof.ty.shape.dims();
        written.push(proof.ty.dtype.tag());
        // A tensor has at most eight axes, and fewer than 2³² elements.
        written.push(dims.len() as u8);
        written.extend(
            dims.iter()
                .flat_map(|length| (*length as u32).to_be_bytes()),
        );
        written.extend(proof.tiles);
        written.push(count(&proof.siblings)?);
        written.extend(proof.siblings.concat());
    }
    Ok(written)
}

fn opening(opening: &verde::tensor::Opening) -> Opening {
    Opening {
        tile: words(&opening.tile, u32::to_le_bytes),
        siblings: hashes(&opening.siblings),
    }
}
