//! What a referee is asked, and who answers: the contract, or `verde`.

use alloy::primitives::U256;
use alloy::sol_types::SolInterface;
use contracts::bindings::Referee::{self, RefereeErrors};
use reproducible_ops::program::{Builder, DType, Digest, Program, Role, TensorType};
use reproducible_ops::tensor::Tensor;
use revm::primitives::Bytes;
use verde::element::{Operation, Place};
use verde::tensor::{self, Opening};

use crate::cases::Case;
use crate::evm::Contract;

/// One operand, as a contract is told of it.
#[derive(Clone, Debug)]
pub struct Operand {
    pub root: Digest,
    pub dtype: u8,
    pub shape: Vec<u32>,
}

/// One call of `contradicts`.
#[derive(Clone, Debug)]
pub struct Question {
    pub node: Vec<u8>,
    pub operands: Vec<Operand>,
    pub element: u64,
    pub claimed: u32,
    pub part: u64,
    /// Bytes of each tile, and its siblings.
    pub openings: Vec<(Vec<u8>, Vec<Digest>)>,
}

/// A case whose operands are hashed and whose node is encoded once.
pub struct Site<'c> {
    pub case: &'c Case,
    pub operation: Operation<'c>,
    pub program: Program,
    pub node: Vec<u8>,
    pub operands: Vec<Operand>,
}

impl<'c> Site<'c> {
    pub fn new(case: &'c Case) -> Self {
        let types: Vec<&TensorType> = case.operands.iter().map(Tensor::ty).collect();
        let program = program(case);
        let operand = |tensor: &Tensor| Operand {
            root: tensor::root(tensor),
            dtype: tensor.ty().dtype.tag(),
            shape: dims(tensor.ty()),
        };
        Self {
            operation: Operation::new(&case.node, &types).unwrap(),
            node: program.descriptors()[1 + case.operands.len()].clone(),
            operands: case.operands.iter().map(operand).collect(),
            program,
            case,
        }
    }

    /// The question with the openings that the prover makes, and what the prover says.
    pub fn ask(&self, place: Place, claimed: u32) -> (Question, bool) {
        let operands: Vec<&Tensor> = self.case.operands.iter().collect();
        let (contradicted, openings) = self.operation.prove(place, claimed, &operands).unwrap();
        let question = Question {
            node: self.node.clone(),
            operands: self.operands.clone(),
            element: place.element as u64,
            claimed,
            part: place.part as u64,
            openings: openings.into_iter().map(encode).collect(),
        };
        (question, contradicted)
    }
}

/// The operator alone in a program.
fn program(case: &Case) -> Program {
    let mut builder = Builder::new();
    let inputs = case.operands.iter().enumerate().map(|(operand, tensor)| {
        let name = format!("operand {operand}");
        builder.input(name, tensor.ty().clone(), Role::Data)
    });
    let inputs: Vec<_> = inputs.collect();
    let value = builder.push(case.node.operator.clone(), &inputs).unwrap();
    builder.output("result", value);
    builder.finish()
}

fn dims(ty: &TensorType) -> Vec<u32> {
    let dims = ty.shape.dims().iter();
    dims.map(|&length| u32::try_from(length).unwrap()).collect()
}

fn encode(opening: Opening) -> (Vec<u8>, Vec<Digest>) {
    let tile = opening.tile.iter().flat_map(|word| word.to_le_bytes());
    (tile.collect(), opening.siblings)
}

impl Question {
    /// What the contract says; an error where it reverts.
    pub fn on_chain(&self, contract: &mut Contract) -> Result<bool, RefereeErrors> {
        let call = Referee::contradictsCall {
            node: self.node.clone().into(),
            operands: self.operands.iter().map(Operand::encode).collect(),
            element: U256::from(self.element),
            claimed: self.claimed,
            part: U256::from(self.part),
            openings: self.openings.iter().map(encoded).collect(),
        };
        contract.call(&call).map_err(|data| refusal(&data))
    }

    /// What `verde` says of the same node; none where it decides nothing.
    pub fn in_rust(&self, operation: &Operation<'_>) -> Option<bool> {
        let place = Place {
            element: usize::try_from(self.element).unwrap(),
            part: usize::try_from(self.part).unwrap(),
        };
        let roots: Vec<Digest> = self.operands.iter().map(|operand| operand.root).collect();
        let openings: Option<Vec<Opening>> = self.openings.iter().map(decode).collect();
        let judged = operation.judge(place, self.claimed, &roots, &openings?);
        judged.ok()
    }
}

impl Operand {
    /// Its type; none where there is no such type.
    pub fn ty(&self) -> Option<TensorType> {
        let dtype = [DType::F32, DType::I32, DType::Bool];
        let dtype = *dtype.get(usize::from(self.dtype))?;
        let shape: Vec<usize> = self.shape.iter().map(|&length| length as usize).collect();
        Some(TensorType::new(dtype, shape))
    }

    fn encode(&self) -> Referee::Operand {
        Referee::Operand {
            root: self.root.into(),
            header: self.header(),
        }
    }

    pub fn header(&self) -> Referee::Header {
        Referee::Header {
            dtype: self.dtype,
            shape: self.shape.clone(),
        }
    }
}

fn encoded((tile, siblings): &(Vec<u8>, Vec<Digest>)) -> Referee::Opening {
    Referee::Opening {
        tile: tile.clone().into(),
        siblings: siblings.iter().map(|&hash| hash.into()).collect(),
    }
}

fn decode((tile, siblings): &(Vec<u8>, Vec<Digest>)) -> Option<Opening> {
    let (words, rest) = tile.as_chunks::<4>();
    rest.is_empty().then(|| Opening {
        tile: words.iter().map(|word| u32::from_le_bytes(*word)).collect(),
        siblings: siblings.clone(),
    })
}

/// The named error; a panic or a bare revert of the contract fails the test.
pub fn refusal(data: &Bytes) -> RefereeErrors {
    RefereeErrors::abi_decode(data).unwrap()
}
