//! A refutation without a game: the moves of both sides at once, where the worker has signed what
//! only it can say.

use super::challenger::next_in_public;
use super::{Game, PlayError, respond};
use crate::game::{Rules, Side, StepClaim};
use crate::history::{self, Claim};
use crate::record::Record;

/// What a record claims of a step.
///
/// # Errors
/// The record has no answer.
pub fn step_claim(
    claim: &Claim,
    record: &mut dyn Record,
    step: u64,
) -> Result<StepClaim, PlayError> {
    let length = claim.length;
    if step >= length.steps() {
        return Err(PlayError::Lacks("step"));
    }
    let checkpoint = step / u64::from(length.stride()) + 1;
    let first = length.step_of(checkpoint - 1);
    let is_alone = length.steps_before(checkpoint) == 1;
    let states = match is_alone {
        true => {
            let states = record.history().states().iter();
            states.skip(checkpoint as usize - 1).copied().collect()
        }
        false => record.interval(checkpoint)?,
    };
    let offset = (step - first) as usize;
    let state = |at: usize| states.get(at).copied().ok_or(PlayError::Lacks("state"));
    Ok(StepClaim {
        before: state(offset)?,
        after: state(offset + 1)?,
        states: match is_alone {
            true => [0; 32],
            false => history::tree_of(&states).root(),
        },
        runs: record.step(step)?.tree.root(),
    })
}

/// The whole game that refutes a claim of a job by what its worker signed of the step in which the
/// challenger's record first differs. `public` is what the worker published.
///
/// # Errors
/// Nothing is wrong, `public` lacks something, or the game needs what was not signed: the
/// challenger opens a game instead.
pub fn refute<'a>(
    rules: Rules<'a>,
    signed: &StepClaim,
    record: &mut dyn Record,
    public: &mut dyn Record,
) -> Result<Game<'a>, PlayError> {
    let mut game = Game::new(rules);
    while game.place().turn().is_some() {
        let (side, made) = match next_in_public(&game, record, public)? {
            Some(made) => (Side::Challenger, made),
            None => (Side::Worker, respond(&game, public)?),
        };
        if side == Side::Worker && !signed.says(&made) {
            return Err(PlayError::NotSigned);
        }
        game.play(side, &made)?;
    }
    Ok(game)
}
