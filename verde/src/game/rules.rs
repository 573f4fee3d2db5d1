//! Which moves a place takes, and where they lead.

use reproducible_ops::program::{Digest, Node, TensorType, ValueId};
use thiserror::Error;

use super::moves::{Move, SourceProof};
use super::place::{Branch, NumberContext, Place, RunContext, StepContext, ValueContext};
use super::{Side, levels_below, numbers};
use crate::element::{self, ElementError, Operation};
use crate::history::{self, Claim};
use crate::job::Job;
use crate::plan::Source;
use crate::run::{self, OperandProof, RunHeader};
use crate::state;
use crate::tensor::{self, Opening, Tiling};
use crate::tree::{self, PathError, Position};

/// Why a move is refused. It then has no effect.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The place takes other moves, or moves of the other side.
    #[error("{side:?} cannot make this move here")]
    NotHere {
        /// Who made it.
        side: Side,
    },
    /// What is shown is not what stands there.
    #[error("{0} shown is not what was committed to")]
    Mismatch(&'static str),
    /// A node that was not shown, or nothing that can be doubted.
    #[error("{0} cannot be picked here")]
    Pick(&'static str),
    /// A path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The proof proves nothing wrong.
    #[error("{0} is what it should be")]
    Right(&'static str),
    /// An element cannot be recomputed from what is shown.
    #[error(transparent)]
    Element(#[from] ElementError),
}

type Next = Result<Place, Refusal>;

/// The game about one claim.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// What everybody knows.
    pub job: &'a Job,
    /// What the worker claims.
    pub claim: &'a Claim,
}

/// A node in doubt, with its tree.
struct Doubt<'p> {
    branch: &'p Branch,
    at: Position,
    node: &'p Digest,
}

fn require(holds: bool, what: &'static str) -> Result<(), Refusal> {
    match holds {
        true => Ok(()),
        false => Err(Refusal::Mismatch(what)),
    }
}

fn won() -> Next {
    Ok(Place::Won(Side::Challenger))
}

impl Rules<'_> {
    /// Where every game begins: the whole history is in doubt.
    pub fn start(&self) -> Place {
        self.picked_top(Branch::History, self.claim.top)
    }

    fn picked_top(&self, branch: Branch, node: Digest) -> Place {
        let height = tree::height_of(self.leaves(&branch));
        let at = Position { height, index: 0 };
        Place::Picked { branch, at, node }
    }

    /// Begins with a tree: its top is in doubt.
    ///
    /// Where there is nothing below, nobody can be asked for it, so the challenger moves: it has
    /// lost, unless the worker claims a top that a tree without leaves does not have. Of a single
    /// run the challenger also moves first, for it has a choice, which the worker would otherwise
    /// pass over: the run, or the state after it.
    fn root_of(&self, branch: Branch, node: Digest) -> Next {
        let leaves = self.leaves(&branch);
        require(leaves > 0 || node == tree::EMPTY, "what the nodes make")?;
        let choose = leaves == 0 || (leaves == 1 && matches!(branch, Branch::Runs(_)));
        if !choose {
            return Ok(self.picked_top(branch, node));
        }
        let first = Position {
            height: 0,
            index: 0,
        };
        Ok(Place::Shown {
            branch,
            at: first,
            node,
            first,
            nodes: vec![node],
        })
    }

    /// Leaves of a tree. They follow from the job, the length of the claim, and what a run's and a
    /// tensor's root bind.
    pub fn leaves(&self, branch: &Branch) -> usize {
        let leaves = match branch {
            Branch::History => self.claim.length.checkpoints(),
            Branch::Interval { checkpoint, .. } => self.claim.length.steps_before(*checkpoint) + 1,
            Branch::Runs(_) => self.job.plan().runs.len() as u64,
            Branch::State(_) => self.job.plan().state.len() as u64,
            Branch::Values(run) => run.header.values as u64,
            // A run may claim values that its program does not have: they have no tiles.
            Branch::Tiles(value) => self
                .job
                .type_of(value.run.run, value.value)
                .map_or(0, |ty| Tiling::of(&ty.shape).tiles() as u64),
        };
        // A job's limits are far below what a usize holds.
        leaves as usize
    }

    /// The place to which a move leads.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn apply(&self, place: &Place, side: Side, made: &Move) -> Next {
        if !may(place, side, made) {
            return Err(Refusal::NotHere { side });
        }
        match place {
            Place::Picked { branch, at, node } => {
                let doubt = Doubt {
                    branch,
                    at: *at,
                    node,
                };
                match made {
                    Move::Pick { .. } => self.pick(&doubt, made),
                    _ => self.open(&doubt, made),
                }
            }
            Place::Shown {
                branch, at, node, ..
            } => match (made, branch) {
                (Move::ContestNext, Branch::Runs(step)) => Ok(Place::NextState(step.clone())),
                _ => {
                    let at = *at;
                    self.pick(&Doubt { branch, at, node }, made)
                }
            },
            Place::NextState(step) => self.open_state(step, made),
            Place::Slot { step, slot, root } => self.prove_next(step, *slot, root, made),
            Place::Input(value) => self.prove_input(value, made),
            Place::Tile { value, tile, words } => self.doubt_element(value, *tile, words, made),
            Place::Number(number) => self.show_numbers(number, made),
            Place::Numbers { above, numbers } => self.doubt_number(above, numbers, made),
            Place::Won(_) => Err(Refusal::NotHere { side }),
        }
    }

    // ---- down a tree

    fn pick(&self, doubt: &Doubt<'_>, made: &Move) -> Next {
        let Move::Pick { at, node, siblings } = made else {
            return Err(Refusal::Pick("another tree"));
        };
        let branch = doubt.branch;
        let levels = doubt.at.height.checked_sub(at.height);
        let levels = levels.ok_or(Refusal::Pick("a node above the one in doubt"))?;
        if at.index >> levels != doubt.at.index {
            return Err(Refusal::Pick("a node that is not below the one in doubt"));
        }
        let width = tree::width_at(self.leaves(branch), at.height);
        let found = tree::climb_levels(*node, at.index, width, levels, siblings)?;
        require(found == *doubt.node, "the node")?;
        // The first state of a history is the job's, and that of an interval stands above.
        let is_first_state = matches!(branch, Branch::History | Branch::Interval { .. });
        if is_first_state && (at.height, at.index) == (0, 0) {
            return Err(Refusal::Pick("the state that everything begins with"));
        }
        Ok(Place::Picked {
            branch: branch.clone(),
            at: *at,
            node: *node,
        })
    }

    fn open(&self, doubt: &Doubt<'_>, made: &Move) -> Next {
        if doubt.at.height > 0 {
            return self.reveal(doubt, made);
        }
        let number = doubt.at.index;
        match (doubt.branch, made) {
            (
                Branch::History,
                Move::Interval {
                    before,
                    after,
                    states,
                },
            ) => self.open_interval(doubt, before, after, states),
            (
                Branch::History,
                Move::Step {
                    before,
                    after,
                    runs,
                },
            ) if self.claim.length.steps_before(number as u64) == 1 => {
                let step = self.claim.length.step_of(number as u64) - 1;
                self.open_step(step, doubt, (&self.claim.top, before), after, runs)
            }
            (
                Branch::Interval { checkpoint, top },
                Move::Step {
                    before,
                    after,
                    runs,
                },
            ) if number > 0 => {
                let first = self.claim.length.step_of(checkpoint - 1);
                let step = first + number as u64 - 1;
                self.open_step(step, doubt, (top, before), after, runs)
            }
            (Branch::Runs(step), Move::Run { values }) => self.open_run(step, doubt, values),
            (Branch::State(step), Move::Slot { root }) => self.open_slot(step, doubt, root),
            (Branch::Values(run), Move::Value { tiles }) => self.open_value(run, doubt, tiles),
            (Branch::Tiles(value), Move::Tile(words)) => self.open_tile(value, doubt, words),
            _ => Err(Refusal::NotHere { side: Side::Worker }),
        }
    }

    fn reveal(&self, doubt: &Doubt<'_>, made: &Move) -> Next {
        let Move::Reveal(nodes) = made else {
            return Err(Refusal::NotHere { side: Side::Worker });
        };
        let levels = levels_below(doubt.at.height);
        let height = doubt.at.height - levels;
        let first = doubt.at.index << levels;
        let width = tree::width_at(self.leaves(doubt.branch), height);
        let expected = (width - first).min(1 << levels);
        require(nodes.len() == expected, "the number of nodes")?;
        require(
            tree::join(nodes, levels) == Some(*doubt.node),
            "what the nodes make",
        )?;
        Ok(Place::Shown {
            branch: doubt.branch.clone(),
            at: doubt.at,
            node: *doubt.node,
            first: Position {
                height,
                index: first,
            },
            nodes: nodes.clone(),
        })
    }

    // ---- states and steps

    fn open_interval(
        &self,
        doubt: &Doubt<'_>,
        before: &(Digest, Vec<Digest>),
        after: &Digest,
        states: &(Digest, Vec<Digest>, Vec<Digest>),
    ) -> Next {
        let checkpoint = doubt.at.index as u64;
        let steps = self.claim.length.steps_before(checkpoint);
        if steps < 2 {
            return Err(Refusal::NotHere { side: Side::Worker });
        }
        self.check_states(doubt, (&self.claim.top, before), after)?;
        let (top, first, last) = states;
        let count = steps as usize + 1;
        let begins = tree::climb(history::leaf(&before.0), 0, count, first)?;
        require(begins == *top, "the first state of the interval")?;
        let ends = tree::climb(history::leaf(after), count - 1, count, last)?;
        require(ends == *top, "the last state of the interval")?;
        let top = *top;
        self.root_of(Branch::Interval { checkpoint, top }, top)
    }

    /// The state in doubt must be `after`, and the one before it in its tree `before`.
    fn check_states(
        &self,
        doubt: &Doubt<'_>,
        (top, before): (&Digest, &(Digest, Vec<Digest>)),
        after: &Digest,
    ) -> Result<(), Refusal> {
        require(history::leaf(after) == *doubt.node, "the state after")?;
        let number = doubt.at.index.checked_sub(1);
        let number = number.ok_or(Refusal::Pick("the first state"))?;
        let (root, siblings) = before;
        let count = self.leaves(doubt.branch);
        let found = tree::climb(history::leaf(root), number, count, siblings)?;
        require(found == *top, "the state before")
    }

    fn open_step(
        &self,
        number: u64,
        doubt: &Doubt<'_>,
        before: (&Digest, &(Digest, Vec<Digest>)),
        after: &Digest,
        runs: &Digest,
    ) -> Next {
        self.check_states(doubt, before, after)?;
        let step = StepContext {
            number,
            before: before.1.0,
            after: *after,
            runs: *runs,
        };
        self.root_of(Branch::Runs(step), *runs)
    }

    fn open_state(&self, step: &StepContext, made: &Move) -> Next {
        let Move::State { tensors } = made else {
            return Err(Refusal::NotHere { side: Side::Worker });
        };
        let root = state::bind(self.job.plan().state.len(), tensors);
        require(root == step.after, "the state")?;
        self.root_of(Branch::State(step.clone()), *tensors)
    }

    fn open_slot(&self, step: &StepContext, doubt: &Doubt<'_>, root: &Digest) -> Next {
        let slot = doubt.at.index;
        let leaf = self.job.state_leaf(slot, root);
        require(leaf.as_ref() == Some(doubt.node), "the tensor")?;
        Ok(Place::Slot {
            step: step.clone(),
            slot,
            root: *root,
        })
    }

    // ---- runs and values

    fn open_run(&self, step: &StepContext, doubt: &Doubt<'_>, values: &Digest) -> Next {
        let run = doubt.at.index;
        let (_, program) = self.job.run(run).ok_or(Refusal::Mismatch("the run"))?;
        let header = RunHeader::of(program);
        let leaf = run::step_leaf(&header.bind(values));
        require(leaf == *doubt.node, "the run")?;
        let context = RunContext {
            step: step.clone(),
            run,
            header,
            values: *values,
        };
        self.root_of(Branch::Values(context), *values)
    }

    fn open_value(&self, run: &RunContext, doubt: &Doubt<'_>, tiles: &Digest) -> Next {
        // The values of a program are at most 2³².
        let value = ValueId(doubt.at.index as u32);
        let ty = self.job.type_of(run.run, value);
        let root = tensor::bind(ty.ok_or(Refusal::Mismatch("the value"))?, tiles);
        require(run::leaf(&root) == *doubt.node, "the value")?;
        let is_node = self.job.node(run.run, value).is_some();
        let context = ValueContext {
            run: run.clone(),
            value,
            root,
        };
        match is_node {
            true => self.root_of(Branch::Tiles(context), *tiles),
            false => Ok(Place::Input(context)),
        }
    }

    fn open_tile(&self, value: &ValueContext, doubt: &Doubt<'_>, words: &[u32]) -> Next {
        let tile = doubt.at.index;
        let length = Tiling::of(&self.type_of(value)?.shape).length(tile);
        require(words.len() == length, "the length of the tile")?;
        require(tensor::leaf(words) == *doubt.node, "the tile")?;
        Ok(Place::Tile {
            value: value.clone(),
            tile,
            words: words.to_vec(),
        })
    }

    fn type_of(&self, value: &ValueContext) -> Result<&TensorType, Refusal> {
        let ty = self.job.type_of(value.run.run, value.value);
        ty.ok_or(Refusal::Mismatch("the value"))
    }

    fn node(&self, value: &ValueContext) -> Result<&Node, Refusal> {
        let node = self.job.node(value.run.run, value.value);
        node.ok_or(Refusal::Mismatch("the node"))
    }

    // ---- what the plan binds

    fn prove_next(&self, step: &StepContext, slot: usize, root: &Digest, made: &Move) -> Next {
        let Move::ProveNext(proof) = made else {
            return Err(Refusal::Pick("a tensor of the state"));
        };
        let source = self.job.plan().next.get(slot).copied();
        let bound = self.source(step, source.ok_or(Refusal::Mismatch("the tensor"))?, proof)?;
        match bound == *root {
            true => Err(Refusal::Right("the tensor of the next state")),
            false => won(),
        }
    }

    fn prove_input(&self, value: &ValueContext, made: &Move) -> Next {
        let Move::ProveInput(proof) = made else {
            return Err(Refusal::Pick("an input"));
        };
        let run = self.job.run(value.run.run);
        let source = run.and_then(|(run, _)| run.inputs.get(value.value.index()).copied());
        let source = source.ok_or(Refusal::Mismatch("the input"))?;
        match self.source(&value.run.step, source, proof)? == value.root {
            true => Err(Refusal::Right("the input of the run")),
            false => won(),
        }
    }

    /// The root of the tensor that a source is, as proved.
    fn source(
        &self,
        step: &StepContext,
        source: Source,
        proof: &SourceProof,
    ) -> Result<Digest, Refusal> {
        let plan = self.job.plan();
        match (source, proof) {
            (Source::State(slot), SourceProof::State(root, siblings)) => {
                let leaf = self.job.state_leaf(slot as usize, root);
                let leaf = leaf.ok_or(Refusal::Mismatch("the tensor"))?;
                let top = tree::climb(leaf, slot as usize, plan.state.len(), siblings)?;
                require(
                    state::bind(plan.state.len(), &top) == step.before,
                    "the state before",
                )?;
                Ok(*root)
            }
            (Source::Constant(place), SourceProof::Constant) => {
                let constant = plan.constants.get(place as usize);
                Ok(constant.ok_or(Refusal::Mismatch("the constant"))?.root)
            }
            (
                Source::Output { run, output },
                SourceProof::Output {
                    header,
                    values,
                    run: path,
                    value,
                },
            ) => {
                let leaf = run::step_leaf(&header.bind(values));
                let runs = tree::climb(leaf, run as usize, plan.runs.len(), path)?;
                require(runs == step.runs, "the earlier run")?;
                let (_, program) = self
                    .job
                    .run(run as usize)
                    .ok_or(Refusal::Mismatch("the run"))?;
                require(
                    *header == RunHeader::of(program),
                    "the earlier run's program",
                )?;
                let output = program.outputs().get(output as usize);
                let id = output.ok_or(Refusal::Mismatch("the output"))?.value;
                let (root, siblings) = value;
                let top = tree::climb(run::leaf(root), id.index(), header.values, siblings)?;
                require(top == *values, "the output")?;
                Ok(*root)
            }
            _ => Err(Refusal::Mismatch("the source")),
        }
    }

    // ---- elements

    fn doubt_element(&self, value: &ValueContext, tile: usize, words: &[u32], made: &Move) -> Next {
        let (Move::Ask { offset, operands }
        | Move::Prove {
            offset, operands, ..
        }) = made
        else {
            return Err(Refusal::Pick("a tile"));
        };
        let claimed = *words.get(*offset).ok_or(Refusal::Pick("an element"))?;
        let element = Tiling::of(&self.type_of(value)?.shape).first(tile) + offset;
        self.operands(value, operands)?;
        let blocks = self.blocks(value)?;
        match made {
            Move::Ask { .. } if blocks > 1 => Ok(Place::Number(NumberContext {
                value: value.clone(),
                element,
                level: numbers::levels(blocks),
                index: 0,
                claimed,
            })),
            Move::Prove {
                witness,
                operands,
                tiles,
                ..
            } if blocks <= 1 => {
                let shown = (operands.as_slice(), tiles.as_slice());
                let place = element::Place {
                    element,
                    part: *witness,
                };
                self.prove(value, place, claimed, shown)
            }
            _ => Err(Refusal::Pick("an element")),
        }
    }

    /// What the node of a value does.
    ///
    /// # Errors
    /// The value is no node's result.
    pub fn operation(&self, value: &ValueContext) -> Result<(Operation<'_>, &Node), Refusal> {
        let node = self.node(value)?;
        let operands = node
            .inputs
            .iter()
            .map(|id| self.job.type_of(value.run.run, *id));
        let operands: Option<Vec<&TensorType>> = operands.collect();
        let operands = operands.ok_or(Refusal::Mismatch("the node"))?;
        Ok((Operation::new(node, &operands)?, node))
    }

    /// Leaf blocks of the reduction behind an element of a value.
    ///
    /// # Errors
    /// The value is no node's result.
    pub fn blocks(&self, value: &ValueContext) -> Result<usize, Refusal> {
        Ok(self.operation(value)?.0.blocks())
    }

    fn show_numbers(&self, above: &NumberContext, made: &Move) -> Next {
        let Move::Numbers(numbers) = made else {
            return Err(Refusal::NotHere { side: Side::Worker });
        };
        let count = numbers::count(self.blocks(&above.value)?, above.level - 1);
        let first = above.index * numbers::FAN;
        let expected = count.saturating_sub(first).min(numbers::FAN);
        require(numbers.len() == expected, "the number of numbers")?;
        let joined = self.operation(&above.value)?.0.join(numbers)?;
        require(joined == above.claimed, "what the numbers make")?;
        Ok(Place::Numbers {
            above: above.clone(),
            numbers: numbers.clone(),
        })
    }

    fn doubt_number(&self, above: &NumberContext, numbers: &[u32], made: &Move) -> Next {
        let (Move::PickNumber(offset) | Move::Prove { offset, .. }) = made else {
            return Err(Refusal::Pick("a number"));
        };
        let claimed = *numbers.get(*offset).ok_or(Refusal::Pick("a number"))?;
        let (level, index) = (above.level - 1, above.index * numbers::FAN + offset);
        match made {
            Move::PickNumber(_) if level > 0 => Ok(Place::Number(NumberContext {
                level,
                index,
                claimed,
                ..above.clone()
            })),
            Move::Prove {
                witness: 0,
                operands,
                tiles,
                ..
            } if level == 0 => {
                let shown = (operands.as_slice(), tiles.as_slice());
                let place = element::Place {
                    element: above.element,
                    part: index,
                };
                self.prove(&above.value, place, claimed, shown)
            }
            _ => Err(Refusal::Pick("a number")),
        }
    }

    /// The roots of the operands of a value's node, proved to be values of its run.
    fn operands(
        &self,
        value: &ValueContext,
        operands: &[OperandProof],
    ) -> Result<Vec<Digest>, Refusal> {
        let (node, run) = (self.node(value)?, &value.run);
        let expected = node.inputs.len();
        require(operands.len() == expected, "the number of operands")?;
        let mut roots = Vec::with_capacity(expected);
        for (id, proof) in node.inputs.iter().zip(operands) {
            // The type is opened with the tensor, so that a contract need not know the operand's
            // node: it takes whatever type the root binds. The difference is no way out for
            // anybody. An honest worker's roots bind the program's types. A worker that committed
            // to a value of another type cannot open that value, which comes before all that is
            // made of it.
            let ty = self.job.type_of(run.run, *id);
            require(ty == Some(&proof.ty), "an operand's type")?;
            let root = proof.root();
            let leaf = run::leaf(&root);
            let top = tree::climb(leaf, id.index(), run.header.values, &proof.siblings)?;
            require(top == run.values, "an operand")?;
            roots.push(root);
        }
        Ok(roots)
    }

    fn prove(
        &self,
        value: &ValueContext,
        place: element::Place,
        claimed: u32,
        (operands, tiles): (&[OperandProof], &[Opening]),
    ) -> Next {
        let roots = self.operands(value, operands)?;
        let (operation, _) = self.operation(value)?;
        match operation.judge(place, claimed, &roots, tiles)? {
            true => won(),
            false => Err(Refusal::Right("the element")),
        }
    }
}

/// Whether a side may make such a move at all: its own in its turn, and the challenger openings in
/// the worker's.
fn may(place: &Place, side: Side, made: &Move) -> bool {
    let is_opening = match made {
        Move::Reveal(_)
        | Move::Run { .. }
        | Move::Value { .. }
        | Move::Tile(_)
        | Move::State { .. }
        | Move::Slot { .. } => true,
        Move::Interval { .. } | Move::Step { .. } | Move::Numbers(_) => false,
        Move::Pick { .. }
        | Move::ContestNext
        | Move::ProveNext(_)
        | Move::ProveInput(_)
        | Move::Ask { .. }
        | Move::PickNumber(_)
        | Move::Prove { .. } => {
            let picks_below = matches!(
                (place, made),
                (Place::Picked { at, .. }, Move::Pick { at: below, .. }) if below.height < at.height
            );
            // Each pick leads down, but that of the one node of a tree that begins with what is
            // shown.
            let picks_again = matches!(
                (place, made),
                (Place::Shown { at, .. }, Move::Pick { at: below, .. })
                    if at.height > 0 && below.height >= at.height
            );
            let is_turn = place.turn() == Some(Side::Challenger) && !picks_again;
            return side == Side::Challenger && (picks_below || is_turn);
        }
    };
    place.turn() == Some(Side::Worker) && (side == Side::Worker || is_opening)
}
