//! Evidence: everything that shows what a node, or one element of it, is worth, to whoever has
//! nothing else.
//!
//! ```text
//! step root ◀─ header, runs ◀─ run root ◀─ values ◀─ result  ◀─ tile        element: tiles of operands
//!     │                            │           └──── operands ◀─ tiles      node: whole operands
//!   plan ◀─ header, run, program ──┘ program ◀─ header, descriptor of the node
//! ```
//! [`Evidence::recheck`] climbs every path, decodes the node, recomputes and compares. What does
//! not fit is an [`EvidenceError`] and decides nothing. All that is not on a path follows from what
//! is: the sizes of trees from the headers of plan and program.
//!
//! What it is about is named by the root of the step and the digest of the plan: whoever rechecks
//! it has to know that these are the worker's. A root says nothing of the step's number.

use reproducible_ops::engine::reference::evaluate_operator;
use reproducible_ops::program::{
    self, DecodeError, Digest, Node, Operator, TensorType, TypeError, ValueId,
};
use reproducible_ops::tensor::{Tensor, TensorError};
use thiserror::Error;

use crate::audit::Verdict;
use crate::element::{ElementError, Judge, Operation, Prover};
use crate::job::Job;
use crate::parts::{PartProof, Parts};
use crate::plan::{self, Part};
pub use crate::run::OperandProof;
use crate::run::{self, RunHeader};
use crate::step::{StepHeader, StepTree};
use crate::tensor::{self, Opening, OpeningError, TensorTree, Tiling};
use crate::tree::{self, PathError, Tree};

/// Most elements of the operands and the result of a node whose evidence holds them whole.
pub const MAX_NODE_ELEMENTS: usize = 1 << 22;
/// Most multiplications of such a node.
pub const MAX_NODE_WORK: usize = 1 << 30;

/// Why evidence is none, or cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// A path.
    #[error("{what}: {source}")]
    Path {
        /// Of what.
        what: &'static str,
        /// The reason.
        source: PathError,
    },
    /// A path leads elsewhere.
    #[error("{0}: what is shown leads to another root")]
    Root(&'static str),
    /// Bytes are not what they should be.
    #[error("{0} is malformed")]
    Malformed(&'static str),
    /// A descriptor of the program.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// There is no such thing.
    #[error("there is no such {0}")]
    NotThere(&'static str),
    /// The element cannot be recomputed.
    #[error(transparent)]
    Element(#[from] ElementError),
    /// The tile of the result.
    #[error("the result's tile: {0}")]
    Opening(#[from] OpeningError),
    /// An operand.
    #[error("an operand: {0}")]
    Operand(#[from] TensorError),
    /// The operator refuses its operands.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// The node is too large to be shown whole.
    #[error(
        "a node of {elements} elements and {work} multiplications; at most {MAX_NODE_ELEMENTS} and \
         {MAX_NODE_WORK} are rechecked whole, so show one element instead"
    )]
    TooLarge {
        /// Elements of operands and result.
        elements: usize,
        /// Multiplications.
        work: usize,
    },
}

/// The parts of the plan that name the run's program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanProof {
    /// The first part: how many there are of each kind.
    pub header: PartProof,
    /// The digest of the run's program.
    pub program: PartProof,
    /// The run.
    pub run: PartProof,
}

/// The parts of the program that say what the node does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramProof {
    /// The first descriptor: how many there are of each kind.
    pub header: PartProof,
    /// The node's descriptor.
    pub node: PartProof,
}

/// The run among those of its step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunProof {
    /// Its number in the plan.
    pub number: usize,
    /// Top of the tree over its values.
    pub values: Digest,
    /// Hashes beside its path.
    pub siblings: Vec<Digest>,
}

/// The result as claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultProof {
    /// Root of its tensor.
    pub root: Digest,
    /// Hashes beside its path among the values of the run.
    pub siblings: Vec<Digest>,
}

/// What is recomputed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// One element, from tiles.
    Element {
        /// Its place in row-major order.
        element: usize,
        /// Its tile in the result, which holds the claimed bits.
        result: Opening,
        /// The tiles of operands, in the order of reading.
        tiles: Vec<Opening>,
    },
    /// The whole node, from whole operands: the words of each.
    Node {
        /// In the node's order.
        operands: Vec<Vec<u32>>,
    },
}

/// Everything that shows a node or an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Root of the step.
    pub root: Digest,
    /// What the step's root binds beside its runs.
    pub step: StepHeader,
    /// The plan.
    pub plan: PlanProof,
    /// The run.
    pub run: RunProof,
    /// Its program.
    pub program: ProgramProof,
    /// The node, by its value.
    pub value: ValueId,
    /// Its operands, in their order.
    pub operands: Vec<OperandProof>,
    /// Its result.
    pub result: ResultProof,
    /// What is recomputed.
    pub piece: Piece,
}

/// What a recheck found: what was claimed, and what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Of an element.
    Element {
        /// Its place in row-major order.
        element: usize,
        /// Its bits as claimed.
        claimed: u32,
        /// Its bits as the operands give them.
        right: u32,
    },
    /// Of a whole node.
    Node {
        /// The root of its result as claimed.
        claimed: Digest,
        /// The root of its result as the operands give it.
        right: Digest,
    },
}

impl Finding {
    /// Whether both are the same.
    pub fn verdict(&self) -> Verdict {
        let same = match self {
            Self::Element { claimed, right, .. } => claimed == right,
            Self::Node { claimed, right } => claimed == right,
        };
        match same {
            true => Verdict::Right,
            false => Verdict::Wrong,
        }
    }
}

/// A node of a step as a worker claims it.
#[derive(Clone, Copy, Debug)]
pub struct ClaimedNode<'a> {
    /// Plan and programs.
    pub job: &'a Job,
    /// The roots of the step, as claimed.
    pub step: &'a StepTree,
    /// The run.
    pub run: usize,
    /// The node, by its value.
    pub value: ValueId,
}

impl ClaimedNode<'_> {
    /// Evidence for one element, and what a recheck of it finds. `operands` and `claimed` are the
    /// tensors that were committed to.
    ///
    /// # Errors
    /// There is no such node or element, or the tensors are of other types or roots.
    pub fn element(
        &self,
        operands: &[&Tensor],
        claimed: &Tensor,
        element: usize,
    ) -> Result<(Evidence, Finding), EvidenceError> {
        let node = self.node()?;
        if *claimed.ty() != node.ty {
            return Err(EvidenceError::NotThere("result"));
        }
        let types: Vec<&TensorType> = operands.iter().map(|operand| operand.ty()).collect();
        let operation = Operation::new(node, &types)?;
        let mut prover = Prover::new(operation.operands(), operands)?;
        operation.recompute(element, &mut prover)?;
        let tree = TensorTree::new(claimed);
        let (tile, _) = Tiling::of(claimed.shape()).place(element);
        let result = tree.open(claimed, tile);
        let piece = Piece::Element {
            element,
            result: result.ok_or(EvidenceError::NotThere("element"))?,
            tiles: prover.openings(),
        };
        self.evidence(operands, piece)
    }

    /// Evidence for the whole node, and what a recheck of it finds.
    ///
    /// # Errors
    /// There is no such node, it is too large, or the tensors are of other types or roots.
    pub fn whole(&self, operands: &[&Tensor]) -> Result<(Evidence, Finding), EvidenceError> {
        require_small(self.node()?, operands.iter().map(|operand| operand.ty()))?;
        let words = operands.iter().map(|operand| operand.words().to_vec());
        let piece = Piece::Node {
            operands: words.collect(),
        };
        self.evidence(operands, piece)
    }

    fn node(&self) -> Result<&Node, EvidenceError> {
        let node = self.job.node(self.run, self.value);
        node.ok_or(EvidenceError::NotThere("node"))
    }

    /// The evidence, rechecked, so that nobody is shown what shows nothing.
    fn evidence(
        &self,
        operands: &[&Tensor],
        piece: Piece,
    ) -> Result<(Evidence, Finding), EvidenceError> {
        let (node, run) = (self.node()?, self.run);
        let tree = self.step.runs().get(run);
        let tree = tree.ok_or(EvidenceError::NotThere("run"))?;
        let runs = self
            .step
            .runs()
            .iter()
            .map(|run| run::step_leaf(&run.root()));
        let siblings = |tree: &Tree, index: usize| {
            let path = tree.path(index);
            path.ok_or(EvidenceError::NotThere("value"))
        };
        let operands = node.inputs.iter().zip(operands).map(|(id, operand)| {
            let siblings = siblings(tree.tree(), id.index())?;
            Ok(OperandProof::new(operand, siblings))
        });
        let root = tree.value(self.value);
        let evidence = Evidence {
            root: self.step.root(),
            step: *self.step.header(),
            plan: self.plan_proof()?,
            run: RunProof {
                number: run,
                values: tree.tree().root(),
                siblings: siblings(&Tree::new(runs.collect()), run)?,
            },
            program: self.program_proof()?,
            value: self.value,
            operands: operands.collect::<Result<_, EvidenceError>>()?,
            result: ResultProof {
                root: *root.ok_or(EvidenceError::NotThere("value"))?,
                siblings: siblings(tree.tree(), self.value.index())?,
            },
            piece,
        };
        let finding = evidence.recheck()?;
        Ok((evidence, finding))
    }

    fn plan_proof(&self) -> Result<PlanProof, EvidenceError> {
        let (plan, parts) = (self.job.plan(), self.job.plan_parts());
        let (run, _) = self
            .job
            .run(self.run)
            .ok_or(EvidenceError::NotThere("run"))?;
        let prove = |part: Part| prove(parts, plan.place_of(part));
        Ok(PlanProof {
            header: prove(Part::Header)?,
            program: prove(Part::Program(run.program as usize))?,
            run: prove(Part::Run(self.run))?,
        })
    }

    fn program_proof(&self) -> Result<ProgramProof, EvidenceError> {
        let (run, _) = self
            .job
            .run(self.run)
            .ok_or(EvidenceError::NotThere("run"))?;
        let parts = self.job.program_parts().get(run.program as usize);
        let parts = parts.ok_or(EvidenceError::NotThere("program"))?;
        Ok(ProgramProof {
            header: prove(parts, Some(0))?,
            node: prove(parts, Some(1 + self.value.index()))?,
        })
    }
}

fn prove(parts: &Parts, place: Option<usize>) -> Result<PartProof, EvidenceError> {
    let proof = place.and_then(|place| parts.prove(place));
    proof.ok_or(EvidenceError::NotThere("part"))
}

fn path(what: &'static str) -> impl Fn(PathError) -> EvidenceError {
    move |source| EvidenceError::Path { what, source }
}

fn require(holds: bool, what: &'static str) -> Result<(), EvidenceError> {
    match holds {
        true => Ok(()),
        false => Err(EvidenceError::Root(what)),
    }
}

/// Refuses what would take long, or much memory, to recompute.
fn require_small<'t>(
    node: &Node,
    operands: impl Iterator<Item = &'t TensorType>,
) -> Result<(), EvidenceError> {
    let result = node.ty.shape.elements();
    let (mut elements, mut row) = (result, 0);
    for ty in operands {
        elements = elements.saturating_add(ty.shape.elements());
        row = ty.shape.last();
    }
    let work = match node.operator {
        Operator::MatmulNt => result.saturating_mul(row),
        _ => elements,
    };
    match elements <= MAX_NODE_ELEMENTS && work <= MAX_NODE_WORK {
        true => Ok(()),
        false => Err(EvidenceError::TooLarge { elements, work }),
    }
}

impl Evidence {
    /// Rechecks the piece, and that it is part of the step.
    ///
    /// # Errors
    /// Something does not fit: nothing is decided.
    pub fn recheck(&self) -> Result<Finding, EvidenceError> {
        let (runs, program) = self.check_plan()?;
        let (node, values) = self.check_program(&program)?;
        self.check_run(runs, &RunHeader { program, values })?;
        let roots = self.check_values(&node, values)?;
        let types: Vec<&TensorType> = self.operands.iter().map(|operand| &operand.ty).collect();
        let operation = Operation::new(&node, &types)?;
        match &self.piece {
            Piece::Element {
                element,
                result,
                tiles,
            } => {
                let claimed =
                    tensor::verify_element(&self.result.root, &node.ty, *element, result)?;
                let mut judge = Judge::new(&types, &roots, tiles)?;
                let right = operation.recompute(*element, &mut judge)?;
                judge.finish()?;
                Ok(Finding::Element {
                    element: *element,
                    claimed,
                    right,
                })
            }
            Piece::Node { operands } => self.recheck_node(&node, &roots, operands),
        }
    }

    /// The number of runs, and the digest of the run's program.
    fn check_plan(&self) -> Result<(usize, Digest), EvidenceError> {
        let PlanProof {
            header,
            program,
            run,
        } = &self.plan;
        let counts = plan::Counts::from_part(&header.bytes);
        let counts = counts.ok_or(EvidenceError::Malformed("the plan's first part"))?;
        let number = run.bytes.first_chunk::<4>();
        let number = number.ok_or(EvidenceError::Malformed("the plan's run"))?;
        let number = u32::from_le_bytes(*number) as usize;
        let check = |proof: &PartProof, part: Part, what: &'static str| {
            let place = counts.place_of(part).ok_or(EvidenceError::NotThere(what))?;
            let top = proof.top(place, counts.parts()).map_err(path(what))?;
            require(plan::bind(&top) == self.step.plan, what)
        };
        check(header, Part::Header, "the plan's first part")?;
        check(program, Part::Program(number), "the plan's program")?;
        check(run, Part::Run(self.run.number), "the plan's run")?;
        let digest = program.bytes.as_slice().try_into();
        let digest = digest.map_err(|_| EvidenceError::Malformed("the plan's program"))?;
        Ok((counts.runs, digest))
    }

    /// The node, and the number of values of its program.
    fn check_program(&self, digest: &Digest) -> Result<(Node, usize), EvidenceError> {
        let ProgramProof { header, node } = &self.program;
        let counts = program::Counts::from_descriptor(&header.bytes)?;
        let value = self.value.index();
        if !(counts.inputs..counts.values()).contains(&value) {
            return Err(EvidenceError::NotThere("node"));
        }
        let pairs = [
            (header, 0, "the program's first descriptor"),
            (node, 1 + value, "the node's descriptor"),
        ];
        for (proof, place, what) in pairs {
            let top = proof.top(place, counts.descriptors()).map_err(path(what))?;
            require(top == *digest, what)?;
        }
        Ok((Node::from_descriptor(&node.bytes)?, counts.values()))
    }

    fn check_run(&self, runs: usize, header: &RunHeader) -> Result<(), EvidenceError> {
        let RunProof {
            number,
            values,
            siblings,
        } = &self.run;
        let leaf = run::step_leaf(&header.bind(values));
        let top = tree::climb(leaf, *number, runs, siblings).map_err(path("the run"))?;
        require(self.step.bind(runs, &top) == self.root, "the run")
    }

    /// The roots of the operands.
    fn check_values(&self, node: &Node, values: usize) -> Result<Vec<Digest>, EvidenceError> {
        let (given, expected) = (self.operands.len(), node.inputs.len());
        if given != expected {
            return Err(ElementError::Count { given, expected }.into());
        }
        let check = |root: &Digest, id: ValueId, siblings: &[Digest], what| {
            let top = tree::climb(run::leaf(root), id.index(), values, siblings);
            require(top.map_err(path(what))? == self.run.values, what)
        };
        let ResultProof { root, siblings } = &self.result;
        check(root, self.value, siblings, "the result")?;
        let mut roots = Vec::with_capacity(expected);
        for (id, operand) in node.inputs.iter().zip(&self.operands) {
            let root = operand.root();
            check(&root, *id, &operand.siblings, "an operand")?;
            roots.push(root);
        }
        Ok(roots)
    }

    fn recheck_node(
        &self,
        node: &Node,
        roots: &[Digest],
        words: &[Vec<u32>],
    ) -> Result<Finding, EvidenceError> {
        let types = self.operands.iter().map(|operand| &operand.ty);
        require_small(node, types.clone())?;
        let (given, expected) = (words.len(), roots.len());
        if given != expected {
            return Err(ElementError::Count { given, expected }.into());
        }
        let tensors = types
            .zip(words)
            .map(|(ty, words)| Tensor::from_words(ty.clone(), words.clone()));
        let tensors = tensors.collect::<Result<Vec<_>, _>>()?;
        for (tensor, root) in tensors.iter().zip(roots) {
            require(tensor::root(tensor) == *root, "an operand")?;
        }
        let operands: Vec<&Tensor> = tensors.iter().collect();
        let right = tensor::root(&evaluate_operator(&node.operator, &operands)?);
        let claimed = self.result.root;
        Ok(Finding::Node { claimed, right })
    }
}

#[cfg(test)]
mod tests;
