//! Moves with what a contract needs to judge them.

use alloy::primitives::{B256, Bytes, U256, keccak256};
use alloy::sol_types::SolValue;
use verde::game::{
    Branch, Move as Made, OperandProof as Operand, Place, Rules, SourceProof as Shown,
};
use verde::game::{RunContext, ValueContext};
use verde::parts::PartProof;
use verde::plan::{Part as Of, Source};

use super::bytes::{EncodeError, Encoded, hashes, words};
use super::position::{self, Standing};
use super::types::{
    Ask, Header, Interval, Move, Numbers, Opening, OperandProof, Part, Pick, ProgramOfRun, Prove,
    ProveInput, ProveNext, Reveal, Run, Slot, SourceProof, Step, Tile, Value,
};

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
        self.stands.position.abi_encode()
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

    /// A move made at a place, as the contract takes it.
    ///
    /// # Errors
    /// The move is none of this place and job.
    pub fn encode(&self, place: &Place, made: &Made) -> Encoded<Move> {
        let (kind, data) = match made {
            Made::Reveal(nodes) => (
                0,
                Reveal {
                    nodes: hashes(nodes),
                }
                .abi_encode(),
            ),
            Made::Interval {
                before,
                after,
                states,
            } => {
                let interval = Interval {
                    before: before.0.into(),
                    beforePath: hashes(&before.1),
                    next: after.into(),
                    states: states.0.into(),
                    firstPath: hashes(&states.1),
                    lastPath: hashes(&states.2),
                };
                (1, interval.abi_encode())
            }
            Made::Step {
                before,
                after,
                runs,
            } => {
                let step = Step {
                    before: before.0.into(),
                    beforePath: hashes(&before.1),
                    next: after.into(),
                    runs: runs.into(),
                };
                (2, step.abi_encode())
            }
            Made::Run { values } => (3, self.run(place, values)?.abi_encode()),
            Made::Value { tiles } => (4, self.value(place, tiles)?.abi_encode()),
            Made::Tile(elements) => {
                let elements = words(elements, u32::to_le_bytes);
                (5, Tile { elements }.abi_encode())
            }
            Made::State { tensors } => (6, B256::from(tensors).abi_encode()),
            Made::Slot { root } => {
                let slot = self.plan_part(Of::State(leaf(place)?))?;
                (
                    7,
                    Slot {
                        root: root.into(),
                        slot,
                    }
                    .abi_encode(),
                )
            }
            Made::Numbers(numbers) => {
                let numbers = words(numbers, u32::to_be_bytes);
                (8, Numbers { numbers }.abi_encode())
            }
            Made::Pick { at, node, siblings } => {
                let pick = Pick {
                    height: U256::from(at.height),
                    index: U256::from(at.index),
                    node: node.into(),
                    siblings: hashes(siblings),
                };
                (9, pick.abi_encode())
            }
            Made::ContestNext => (10, Vec::new()),
            Made::ProveNext(proof) => (11, self.prove_next(place, proof)?.abi_encode()),
            Made::ProveInput(proof) => (12, self.prove_input(place, proof)?.abi_encode()),
            Made::Ask { offset, operands } => {
                let ask = Ask {
                    offset: U256::from(*offset),
                    operands: operands.iter().map(operand).collect(),
                };
                (13, ask.abi_encode())
            }
            Made::PickNumber(offset) => (14, U256::from(*offset).abi_encode()),
            Made::Prove {
                offset,
                witness,
                operands,
                tiles,
            } => {
                let prove = Prove {
                    offset: U256::from(*offset),
                    witness: U256::from(*witness),
                    operands: operands.iter().map(operand).collect(),
                    openings: tiles.iter().map(opening).collect(),
                };
                (15, prove.abi_encode())
            }
        };
        let data = Bytes::from(data);
        Ok(Move { kind, data })
    }

    fn run(&self, place: &Place, values: &[u8; 32]) -> Encoded<Run> {
        Ok(Run {
            values: values.into(),
            program: self.program_of_run(leaf(place)?)?,
        })
    }

    fn value(&self, place: &Place, tiles: &[u8; 32]) -> Encoded<Value> {
        let Place::Picked {
            branch: Branch::Values(run),
            at,
            ..
        } = place
        else {
            return Err(EncodeError("value"));
        };
        Ok(Value {
            tiles: tiles.into(),
            descriptor: self.descriptor(run.run, 1 + at.index)?,
        })
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

fn operand(proof: &Operand) -> OperandProof {
    let shape = proof.ty.shape.dims().iter();
    OperandProof {
        header: Header {
            dtype: proof.ty.dtype.tag(),
            // A tensor has fewer than 2³² elements.
            shape: shape.map(|length| *length as u32).collect(),
        },
        tiles: proof.tiles.into(),
        siblings: hashes(&proof.siblings),
    }
}

fn opening(opening: &verde::tensor::Opening) -> Opening {
    Opening {
        tile: words(&opening.tile, u32::to_le_bytes),
        siblings: hashes(&opening.siblings),
    }
}
