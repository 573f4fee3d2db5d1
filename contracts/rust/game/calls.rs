//! Call data for `DisputeGame`. `g` is a game as it stands, and `position` the hash of where.

use alloy::primitives::{B256, Bytes, U256};
use alloy::sol_types::SolCall;

use super::types::{Game, Move};
use crate::bindings::DisputeGame;

/// `DisputeGame.open`, against a claim with this top.
pub fn open(job: U256, top: [u8; 32], moves: Vec<Move>) -> Bytes {
    let (top, moves) = (top.into(), self::moves(moves));
    DisputeGame::openCall { job, top, moves }
        .abi_encode()
        .into()
}

/// `DisputeGame.play`; `position` and `context` are where the game stands, as
/// [`super::Encoder::position`] and [`super::Encoder::context_for`] have it.
pub fn play(game: U256, g: &Game, position: Vec<u8>, context: Vec<u8>, moves: Vec<Move>) -> Bytes {
    let call = DisputeGame::playCall {
        game,
        g: written(g),
        position: position.into(),
        context: context.into(),
        moves: self::moves(moves),
    };
    call.abi_encode().into()
}

/// `DisputeGame.timeout`: the side to move has run out of time.
pub fn timeout(game: U256, g: &Game, position: B256) -> Bytes {
    let g = written(g);
    DisputeGame::timeoutCall { game, g, position }
        .abi_encode()
        .into()
}

/// `DisputeGame.voidGame`: another game refuted the job.
pub fn void(game: U256, g: &Game, position: B256) -> Bytes {
    let g = written(g);
    DisputeGame::voidGameCall { game, g, position }
        .abi_encode()
        .into()
}

/// `DisputeGame.timeLeft`: seconds that the side to move has left; zero ends the game.
pub fn time_left(game: U256, g: &Game, position: B256) -> Bytes {
    let g = written(g);
    DisputeGame::timeLeftCall { game, g, position }
        .abi_encode()
        .into()
}

/// A game as the contract takes it.
pub(crate) fn written(game: &Game) -> DisputeGame::Game {
    DisputeGame::Game {
        job: game.job,
        worker: game.worker,
        challenger: game.challenger,
        clocks: game.clocks,
    }
}

fn moves(moves: Vec<Move>) -> Vec<DisputeGame::Move> {
    let written = |made: Move| DisputeGame::Move {
        kind: made.kind,
        data: made.data,
    };
    moves.into_iter().map(written).collect()
}
