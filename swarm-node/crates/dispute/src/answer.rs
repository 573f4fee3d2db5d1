//! What a side says next: its moves until the other side has to move, as the contract takes them.

use contracts::B256;
use contracts::game::{EncodeError, Encoder, Move, Refutation, SignedStep};
use thiserror::Error;
use verde::game::{Refusal, Rules, Side};
use verde::player::{Game, PlayError, challenge, challenge_in_public, refute, respond};
use verde::record::Record;

use crate::docket::Followed;

/// Why nothing is said.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The moves cannot be replayed: the game is about another job or claim than the one known
    /// here.
    #[error("move {number} cannot be followed with the job known here: {cause}")]
    Follow {
        /// Which move, from 0.
        number: usize,
        /// Why not.
        cause: Refusal,
    },
    /// The contract says that the game stands elsewhere.
    #[error("the game stands at {found}, and the contract says {expected}")]
    Elsewhere {
        /// Where the replay stands.
        found: B256,
        /// Where the contract says.
        expected: B256,
    },
    /// The player.
    #[error(transparent)]
    Play(#[from] PlayError),
    /// A move cannot be written for the contract.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// What a side says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Where the game stands, as the contract is shown it.
    pub position: Vec<u8>,
    /// What it is shown besides, where a move needs it.
    pub context: Vec<u8>,
    /// The moves.
    pub moves: Vec<Move>,
    /// Whether they end the game.
    pub ends: bool,
}

/// A game replayed, with its position on the chain.
///
/// # Errors
/// It is not a game of these rules.
pub fn replay<'a>(
    rules: Rules<'a>,
    followed: &Followed,
) -> Result<(Game<'a>, Encoder<'a>), AnswerError> {
    let (mut game, mut encoder) = (Game::new(rules), Encoder::new(rules)?);
    for (number, (side, made)) in followed.moves.iter().enumerate() {
        let played = game.play(*side, made);
        played.map_err(|cause| AnswerError::Follow { number, cause })?;
        encoder.follow(game.place())?;
    }
    let (found, expected) = (encoder.hash(), followed.position);
    match found == expected {
        true => Ok((game, encoder)),
        false => Err(AnswerError::Elsewhere { found, expected }),
    }
}

/// The moves with which a challenger opens a game: down to the first checkpoint that it holds
/// wrong, where the worker published what it claims; none otherwise.
pub fn first_moves(
    rules: Rules<'_>,
    record: &mut dyn Record,
    public: Option<&mut dyn Record>,
) -> Result<Vec<Move>, AnswerError> {
    let Some(public) = public else {
        return Ok(Vec::new());
    };
    let (mut game, mut encoder) = (Game::new(rules), Encoder::new(rules)?);
    let mut moves = Vec::new();
    for made in challenge_in_public(&game, record, public)? {
        moves.push(encoder.encode(game.place(), &made)?);
        let played = game.play(Side::Challenger, &made);
        played.map_err(PlayError::from)?;
        encoder.follow(game.place())?;
    }
    Ok(moves)
}

/// What refutes a claim without a game, by what its worker signed of a step; `public` is what the
/// worker published.
///
/// # Errors
/// [`AnswerError`]: a game is needed, or nothing is wrong.
pub fn refutation(
    rules: Rules<'_>,
    signed: &SignedStep,
    record: &mut dyn Record,
    public: &mut dyn Record,
    salt: B256,
) -> Result<Refutation, AnswerError> {
    let game = refute(rules, &signed.claim, record, public)?;
    let (mut encoder, mut at) = (Encoder::new(rules)?, rules.start());
    let mut moves = Vec::new();
    for (made, next) in game.moves() {
        moves.push(encoder.encode(&at, made)?);
        encoder.follow(next)?;
        at = next.clone();
    }
    Ok(Refutation::new(*signed, &moves, salt))
}

/// What a side says next; none where it is not its turn. `public` is what the worker published,
/// which lets a challenger go on where it would wait for the worker's openings.
///
/// # Errors
/// [`AnswerError`]; a challenger that cannot tell, or finds nothing wrong, says so.
pub fn answer(
    rules: Rules<'_>,
    followed: &Followed,
    side: Side,
    record: &mut dyn Record,
    public: Option<&mut dyn Record>,
) -> Result<Option<Answer>, AnswerError> {
    let (mut game, mut encoder) = replay(rules, followed)?;
    let before = encoder.clone();
    let mut moves = Vec::new();
    let planned = match (side, public) {
        (Side::Challenger, Some(public)) => challenge_in_public(&game, record, public)?,
        _ => Vec::new(),
    };
    for made in &planned {
        moves.push(encoder.encode(game.place(), made)?);
        game.play(side, made).map_err(PlayError::from)?;
        encoder.follow(game.place())?;
    }
    while game.place().turn() == Some(side) {
        let made = match side {
            Side::Worker => respond(&game, record)?,
            Side::Challenger => challenge(&game, record)?,
        };
        moves.push(encoder.encode(game.place(), &made)?);
        game.play(side, &made).map_err(PlayError::from)?;
        encoder.follow(game.place())?;
    }
    let ends = game.place().turn().is_none();
    Ok((!moves.is_empty()).then_some(Answer {
        position: before.position(),
        context: before.context_for(&moves),
        moves,
        ends,
    }))
}
