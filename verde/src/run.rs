//! The commitment to one run of a program: a tree over all of its values.
//!
//! ```text
//! value ids: inputs first, then the result of every node, in order
//! leaf = H(0x00 ‖ root of the value's tensor)                           ─▶ tree ─▶ top
//! root = H(0x04 ‖ digest of the program ‖ number of values, 4 bytes little-endian ‖ top)
//! ```
//! Inputs are leaves like results, so a run that began with other tensors than it says is found as
//! one that computed wrongly is. Whoever knows the program and holds the operands of one node can
//! recompute that node alone ([`check_node`]), and point at the first element that is wrong.
//!
//! A root is computed where a run is in doubt, not in every run: it needs all values, which an
//! engine does not keep.

use reproducible_ops::engine::reference::evaluate_operator;
use reproducible_ops::program::{Digest, Program, TensorType, ValueId, tagged_hash};
use reproducible_ops::tensor::Tensor;
use thiserror::Error;

use crate::tensor::{self, TensorTree};
use crate::tree::{self, PathError, Tree};

const RUN: u8 = 4;

/// Why there is no commitment to a run, or a value is not proved to be of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RunError {
    /// There are more or fewer values than the program has.
    #[error("{given} values of a program that has {expected}")]
    Values {
        /// Values given.
        given: usize,
        /// Values of the program.
        expected: usize,
    },
    /// The path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The value is of another run, or has another id or root.
    #[error("program, value and siblings lead to another root")]
    Root,
}

/// What a run's root binds beside its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunHeader {
    /// Digest of the program.
    pub program: Digest,
    /// Values that the program has.
    pub values: usize,
}

impl RunHeader {
    /// What the runs of a program have in common.
    pub fn of(program: &Program) -> Self {
        Self {
            program: program.digest(),
            values: program.value_count(),
        }
    }

    /// The root of a run whose values have a tree with this top.
    pub fn bind(&self, top: &Digest) -> Digest {
        // A program's limits keep the number far below what 4 bytes hold.
        let values = (self.values as u32).to_le_bytes();
        tagged_hash(RUN, &[&self.program, &values, top])
    }
}

/// What proves that a tensor is a value of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueProof {
    /// The value.
    pub id: ValueId,
    /// Hashes beside its path.
    pub siblings: Vec<Digest>,
}

/// What shows an operand of a node: its type and the top over its tiles, which make its root, and
/// hashes beside its path among the values of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperandProof {
    /// Type and shape.
    pub ty: TensorType,
    /// Top of the tree over its tiles.
    pub tiles: Digest,
    /// Hashes beside its path.
    pub siblings: Vec<Digest>,
}

impl OperandProof {
    /// What shows this tensor, with the hashes beside its path.
    pub fn new(tensor: &Tensor, siblings: Vec<Digest>) -> Self {
        Self {
            ty: tensor.ty().clone(),
            tiles: TensorTree::new(tensor).tree().root(),
            siblings,
        }
    }

    /// The root of the tensor.
    pub fn root(&self) -> Digest {
        tensor::bind(&self.ty, &self.tiles)
    }
}

/// The tree of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunTree {
    header: RunHeader,
    values: Vec<Digest>,
    tree: Tree,
}

impl RunTree {
    /// The tree over the values of a run, by id.
    ///
    /// ```
    /// use reproducible_ops::engine::reference;
    /// use reproducible_ops::program::{Builder, Role, TensorType, ValueId};
    /// use reproducible_ops::tensor::Tensor;
    /// use verde::run::{RunHeader, RunTree, verify};
    /// use verde::tensor;
    ///
    /// let mut builder = Builder::new();
    /// let x = builder.input("x", TensorType::f32([2]), Role::Data);
    /// let y = builder.exp(x)?;
    /// builder.output("y", y);
    /// let program = builder.finish();
    ///
    /// let values = reference::trace(&program, &[Tensor::f32([2], vec![0.0, 1.0])?])?;
    /// let run = RunTree::new(&program, &values)?;
    /// let proof = run.prove(ValueId(1)).ok_or("there are two values")?;
    /// let header = RunHeader::of(&program);
    /// verify(&run.root(), &header, &tensor::root(&values[1]), &proof)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// There are not as many values as the program has.
    pub fn new(program: &Program, values: &[Tensor]) -> Result<Self, RunError> {
        Self::from_roots(program, values.iter().map(tensor::root).collect())
    }

    /// The tree over values whose tensors have these roots, by id.
    ///
    /// # Errors
    /// There are not as many as the program has.
    pub fn from_roots(program: &Program, values: Vec<Digest>) -> Result<Self, RunError> {
        let header = RunHeader::of(program);
        let (given, expected) = (values.len(), header.values);
        if given != expected {
            return Err(RunError::Values { given, expected });
        }
        Ok(Self {
            header,
            tree: Tree::new(values.iter().map(leaf).collect()),
            values,
        })
    }

    /// What names the run.
    pub fn root(&self) -> Digest {
        self.header.bind(&self.tree.root())
    }

    /// The tree over the values.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The roots of all values, by id.
    pub fn values(&self) -> &[Digest] {
        &self.values
    }

    /// The root of a value's tensor; none where the program has no such value.
    pub fn value(&self, id: ValueId) -> Option<&Digest> {
        self.values.get(id.index())
    }

    /// What proves a value; none where the program has no such value.
    pub fn prove(&self, id: ValueId) -> Option<ValueProof> {
        let siblings = self.tree.path(id.index())?;
        Some(ValueProof { id, siblings })
    }

    /// The first value in which another run of the same program differs: an input, or the first
    /// node that went wrong. None where all are equal.
    pub fn first_difference(&self, other: &Self) -> Option<ValueId> {
        let pairs = self.values.iter().zip(&other.values);
        let mut ids = (0..).map(ValueId).zip(pairs);
        ids.find(|(_, (mine, theirs))| mine != theirs)
            .map(|(id, _)| id)
    }
}

/// The leaf of a value, by the root of its tensor, in the tree of its run.
pub fn leaf(value: &Digest) -> Digest {
    tree::leaf(&[value])
}

/// The leaf of a run, by its root, in the tree of its step.
pub fn step_leaf(run: &Digest) -> Digest {
    tree::leaf(&[run])
}

/// Checks that the tensor with this root is a value of the run with this root.
///
/// # Errors
/// [`RunError`].
pub fn verify(
    root: &Digest,
    header: &RunHeader,
    tensor: &Digest,
    proof: &ValueProof,
) -> Result<(), RunError> {
    let ValueProof { id, siblings } = proof;
    let top = tree::climb(leaf(tensor), id.index(), header.values, siblings)?;
    match header.bind(&top) == *root {
        true => Ok(()),
        false => Err(RunError::Root),
    }
}

/// What recomputing one node shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeVerdict {
    /// The claimed result is what the node's operator makes of its operands.
    Right,
    /// It is not.
    Wrong {
        /// The first element that differs, in row-major order.
        element: usize,
        /// Its bits as claimed.
        claimed: u32,
        /// Its bits as they should be.
        right: u32,
    },
    /// It cannot be told: what was given are not the operands of the node, or not its result.
    CannotTell(String),
}

/// Recomputes one node from its operands, in the order of the node's inputs, and compares it with
/// what was claimed. The tensors must have been proved to be the run's before ([`verify`]).
pub fn check_node(
    program: &Program,
    id: ValueId,
    operands: &[&Tensor],
    claimed: &Tensor,
) -> NodeVerdict {
    let cannot = |why: String| NodeVerdict::CannotTell(why);
    let Some(node) = program.node_of(id) else {
        return cannot(format!("value {} is computed by no node", id.0));
    };
    let wanted = node.inputs.iter().map(|input| program.type_of(*input));
    let given = operands.iter().map(|operand| Some(operand.ty()));
    if !wanted.eq(given) {
        return cannot(format!("these are not the operands of value {}", id.0));
    }
    if *claimed.ty() != node.ty {
        return cannot(format!(
            "value {} is {}, not {}",
            id.0,
            node.ty,
            claimed.ty()
        ));
    }
    let right = match evaluate_operator(&node.operator, operands) {
        Ok(right) => right,
        Err(error) => return cannot(error.to_string()),
    };
    let pairs = claimed.words().iter().zip(right.words()).enumerate();
    let mut differing = pairs.filter(|(_, (claimed, right))| claimed != right);
    match differing.next() {
        None => NodeVerdict::Right,
        Some((element, (claimed, right))) => NodeVerdict::Wrong {
            element,
            claimed: *claimed,
            right: *right,
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reproducible_ops::engine::reference;
    use reproducible_ops::program::{Builder, Role, TensorType};

    use super::*;

    /// A layer with a norm: several operators, one of which reduces.
    fn program() -> Program {
        let mut builder = Builder::new();
        let x = builder.input("x", TensorType::f32([3, 5]), Role::Data);
        let weight = builder.input("weight", TensorType::f32([4, 5]), Role::Param);
        let y = builder.matmul_nt(x, weight).unwrap();
        let shares = builder.softmax(y).unwrap();
        builder.output("shares", shares);
        builder.finish()
    }

    fn values(program: &Program, seed: u32) -> Vec<Tensor> {
        let inputs = program.inputs().iter().map(|input| {
            let count = input.ty.shape.elements() as u32;
            let number = |word: u32| ((word ^ seed).wrapping_mul(0x9e37_79b9) >> 20) as f32 / 999.0;
            Tensor::f32(input.ty.shape.clone(), (0..count).map(number).collect()).unwrap()
        });
        reference::trace(program, &inputs.collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_run_binds_its_program_and_the_number_of_its_values() {
        let program = program();
        let all = values(&program, 1);
        let run = RunTree::new(&program, &all).unwrap();
        assert_ne!(run.root(), run.tree().root());
        let fewer = RunTree::new(&program, &all[1..]);
        assert!(matches!(fewer, Err(RunError::Values { .. })));
        let mut builder = Builder::new();
        let x = builder.input("another x", TensorType::f32([3, 5]), Role::Data);
        builder.output("y", x);
        let other = builder.finish();
        let proof = run.prove(ValueId(0)).unwrap();
        assert_eq!(
            verify(
                &run.root(),
                &RunHeader::of(&program),
                &tensor::root(&all[0]),
                &proof
            ),
            Ok(())
        );
        assert!(
            verify(
                &run.root(),
                &RunHeader::of(&other),
                &tensor::root(&all[0]),
                &proof
            )
            .is_err()
        );
    }

    #[test]
    fn a_node_is_recomputed_from_its_operands_alone() {
        let program = program();
        let all = values(&program, 2);
        for id in (0..all.len() as u32).map(ValueId) {
            let Some(node) = program.node_of(id) else {
                let verdict = check_node(&program, id, &[], &all[id.index()]);
                assert!(matches!(verdict, NodeVerdict::CannotTell(_)));
                continue;
            };
            let operands: Vec<&Tensor> = node.inputs.iter().map(|id| &all[id.index()]).collect();
            let claimed = &all[id.index()];
            assert_eq!(
                check_node(&program, id, &operands, claimed),
                NodeVerdict::Right
            );
            let mut wrong = claimed.clone();
            let last = wrong.words().len() - 1;
            wrong.words_mut()[last] ^= 1;
            let right = claimed.words()[last];
            let verdict = NodeVerdict::Wrong {
                element: last,
                claimed: right ^ 1,
                right,
            };
            assert_eq!(check_node(&program, id, &operands, &wrong), verdict);
            let missing = check_node(&program, id, &operands[1..], claimed);
            assert!(matches!(missing, NodeVerdict::CannotTell(_)));
        }
    }

    proptest! {
        /// One bit changed anywhere: the root differs, the first difference is where it was
        /// changed, and only the honest value is proved.
        #[test]
        fn a_changed_bit_is_found_where_it_is(
            seed in any::<u32>(),
            which in any::<prop::sample::Index>(),
            element in any::<prop::sample::Index>(),
            bit in 0_u32..32,
        ) {
            let program = program();
            let honest = values(&program, seed);
            let mut changed = honest.clone();
            let id = which.index(honest.len());
            let element = element.index(honest[id].words().len());
            changed[id].words_mut()[element] ^= 1 << bit;
            let [mine, theirs] =
                [&honest, &changed].map(|values| RunTree::new(&program, values).unwrap());
            prop_assert_ne!(mine.root(), theirs.root());
            prop_assert_eq!(mine.first_difference(&theirs), Some(ValueId(id as u32)));
            prop_assert_eq!(mine.first_difference(&mine), None);
            let (header, proof) = (RunHeader::of(&program), mine.prove(ValueId(id as u32)).unwrap());
            let [right, wrong] = [&honest, &changed].map(|values| tensor::root(&values[id]));
            prop_assert_eq!(verify(&mine.root(), &header, &right, &proof), Ok(()));
            prop_assert_eq!(
                verify(&mine.root(), &header, &wrong, &proof),
                Err(RunError::Root)
            );
        }
    }
}
