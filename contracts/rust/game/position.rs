//! Where a game stands, as the contract writes it.

use alloy::primitives::{B256, Bytes, U256, keccak256};
use alloy::sol_types::SolValue;
use reproducible_ops::program::Digest;
use verde::game::{Branch, NumberContext as Number, Place, Rules, RunContext as Run, ValueContext};
use verde::job::Job;
use verde::tensor::Tiling;
use verde::tree::Position as At;

use super::bytes::{EncodeError, words};
use super::types::{
    Claim, Context, Counts, Cursor, NumberContext, PlanCounts, Position, RunContext, StepContext,
};

/// What a claim is to the contract.
pub(super) fn claim(rules: &Rules<'_>) -> Claim {
    let (plan, length) = (rules.job.plan(), rules.claim.length);
    // A plan's limits are far below 2³².
    let counts = PlanCounts {
        programs: plan.programs.len() as u32,
        constants: plan.constants.len() as u32,
        state: plan.state.len() as u32,
        given: plan.given.len() as u32,
        runs: plan.runs.len() as u32,
    };
    Claim {
        plan: rules.claim.plan.into(),
        counts,
        steps: length.steps(),
        stride: length.stride(),
        top: rules.claim.top.into(),
    }
}

/// What the program of a run has.
fn counts(job: &Job, run: usize) -> Result<Counts, EncodeError> {
    let (_, program) = job.run(run).ok_or(EncodeError("run"))?;
    Ok(Counts {
        inputs: U256::from(program.inputs().len()),
        nodes: U256::from(program.nodes().len()),
        outputs: U256::from(program.outputs().len()),
    })
}

/// Where a game stands, as the contract has it: what it is shown with every move, and the rest,
/// which the former binds.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    pub(super) position: Position,
    pub(super) context: Context,
}

impl Standing {
    /// Writes a place over the one before it. What the place does not speak of stays, as on the
    /// chain.
    pub(super) fn write(&mut self, rules: &Rules<'_>, place: &Place) -> Result<(), EncodeError> {
        let Self { position, context } = self;
        match place {
            Place::Picked { branch, at, node } => {
                position.stage = 0;
                position.cursor = cursor(rules, branch, *at, node);
                write_branch(context, rules, branch)?;
            }
            Place::Shown {
                branch, at, node, ..
            } => {
                position.stage = 1;
                position.cursor = cursor(rules, branch, *at, node);
                // A tree that needs no `Reveal` begins with what is shown.
                write_branch(context, rules, branch)?;
            }
            Place::NextState(_) => position.stage = 2,
            Place::Slot { slot, root, .. } => {
                position.stage = 3;
                (context.value.id, context.value.tensor) = (*slot as u32, B256::from(*root));
            }
            Place::Input(value) => {
                position.stage = 4;
                (context.value.id, context.value.tensor) = (value.value.0, B256::from(value.root));
            }
            Place::Tile { words, .. } => {
                position.stage = 5;
                context.words = self::words(words, u32::to_le_bytes);
            }
            Place::Number(number) => {
                position.stage = 6;
                write_number(context, rules, number)?;
            }
            Place::Numbers { numbers, .. } => {
                position.stage = 7;
                context.words = words(numbers, u32::to_be_bytes);
            }
            Place::Won(_) => {}
        }
        position.context = keccak256(context.abi_encode());
        Ok(())
    }
}

fn cursor(rules: &Rules<'_>, branch: &Branch, at: At, node: &Digest) -> Cursor {
    let number = match branch {
        Branch::History => 0,
        Branch::Interval { .. } => 1,
        Branch::Runs(_) => 2,
        Branch::State(_) => 3,
        Branch::Values(_) => 4,
        Branch::Tiles(_) => 5,
    };
    Cursor {
        branch: number,
        leaves: rules.leaves(branch) as u64,
        // A tree of 2³² leaves has 32 levels.
        height: at.height as u8,
        index: at.index as u64,
        node: B256::from(*node),
    }
}

fn write_branch(
    context: &mut Context,
    rules: &Rules<'_>,
    branch: &Branch,
) -> Result<(), EncodeError> {
    match branch {
        Branch::History => {}
        Branch::Interval { checkpoint, top } => {
            context.checkpoint = *checkpoint;
            context.states = B256::from(*top);
        }
        Branch::Runs(step) | Branch::State(step) => {
            context.step = StepContext {
                number: step.number,
                before: step.before.into(),
                next: step.after.into(),
                runs: step.runs.into(),
            };
        }
        Branch::Values(run) => write_run(context, rules, run)?,
        Branch::Tiles(value) => write_value(context, rules, value)?,
    }
    Ok(())
}

fn write_run(context: &mut Context, rules: &Rules<'_>, run: &Run) -> Result<(), EncodeError> {
    context.run = RunContext {
        number: run.run as u32,
        program: run.header.program.into(),
        counts: counts(rules.job, run.run)?,
        values: run.values.into(),
    };
    Ok(())
}

fn write_value(
    context: &mut Context,
    rules: &Rules<'_>,
    value: &ValueContext,
) -> Result<(), EncodeError> {
    let (run, id) = (value.run.run, value.value);
    let node = rules.job.node(run, id).ok_or(EncodeError("node"))?;
    let (place, _) = rules.job.run(run).ok_or(EncodeError("run"))?;
    let parts = rules.job.program_parts().get(place.program as usize);
    // The header comes first, then inputs and nodes as their values are numbered.
    let part = parts.and_then(|parts| parts.prove(1 + id.index()));
    context.value.id = id.0;
    context.value.tensor = value.root.into();
    context.value.width = Tiling::of(&node.ty.shape).width() as u32;
    context.value.node = Bytes::from(part.ok_or(EncodeError("node"))?.bytes);
    context.value.operands = node.inputs.iter().map(|id| id.0).collect();
    Ok(())
}

fn write_number(
    context: &mut Context,
    rules: &Rules<'_>,
    number: &Number,
) -> Result<(), EncodeError> {
    let blocks = rules
        .blocks(&number.value)
        .map_err(|_| EncodeError("reduction"))?;
    context.number = NumberContext {
        element: number.element as u64,
        blocks: blocks as u64,
        level: number.level as u8,
        index: number.index as u64,
        claimed: number.claimed,
    };
    Ok(())
}
