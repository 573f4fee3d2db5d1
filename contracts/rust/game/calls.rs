//! Call data for `DisputeGame`.

use alloy::primitives::{Bytes, U256};
use alloy::sol_types::SolCall;

use super::types::Move;
use crate::bindings::DisputeGame;

/// `DisputeGame.open`, against a claim with this top.
pub fn open(job: U256, top: [u8; 32], moves: Vec<Move>) -> Bytes {
    let (top, moves) = (top.into(), self::moves(moves));
    DisputeGame::openCall { job, top, moves }
        .abi_encode()
        .into()
}

/// `DisputeGame.play`; `position` is where the game stands, as [`super::Encoder::position`] has it.
pub fn play(game: U256, position: Vec<u8>, moves: Vec<Move>) -> Bytes {
    let call = DisputeGame::playCall {
        game,
        position: position.into(),
        moves: self::moves(moves),
    };
    call.abi_encode().into()
}

/// `DisputeGame.timeout`: the side to move has run out of time.
pub fn timeout(game: U256) -> Bytes {
    DisputeGame::timeoutCall { game }.abi_encode().into()
}

/// `DisputeGame.voidGame`: another game refuted the job.
pub fn void(game: U256) -> Bytes {
    DisputeGame::voidGameCall { game }.abi_encode().into()
}

/// `DisputeGame.timeLeft`: seconds that the side to move has left; zero ends the game.
pub fn time_left(game: U256) -> Bytes {
    DisputeGame::timeLeftCall { game }.abi_encode().into()
}

fn moves(moves: Vec<Move>) -> Vec<DisputeGame::Move> {
    let written = |made: Move| DisputeGame::Move {
        kind: made.kind,
        data: made.data,
    };
    moves.into_iter().map(written).collect()
}
