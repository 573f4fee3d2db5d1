//! Call data for `DisputeGame`. `g` is a game as it stands, and `position` the hash of where.

use alloy::primitives::{B256, Bytes, U256};
use alloy::sol_types::SolCall;

use super::bytes::pack;
use super::types::{Game, Move};
use crate::bindings::DisputeGame;

/// `DisputeGame.open`, against a claim with this top.
pub fn open(job: U256, top: [u8; 32], moves: &[Move]) -> Bytes {
    let (top, moves) = (top.into(), pack(moves));
    DisputeGame::openCall { job, top, moves }
        .abi_encode()
        .into()
}

/// `DisputeGame.play`; `position` and `context` are where the game stands, as
/// [`super::Encoder::position`] and [`super::Encoder::context_for`] have it.
pub fn play(game: U256, g: &Game, position: Vec<u8>, context: Vec<u8>, moves: &[Move]) -> Bytes {
    let call = DisputeGame::playCall {
        game,
        g: written(g),
        position: position.into(),
        context: context.into(),
        moves: pack(moves),
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
