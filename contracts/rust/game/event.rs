//! What `DisputeGame` says.

use alloy::primitives::{Address, B256, Log, U256};
use alloy::sol_types::SolEvent;
use verde::game::Side;

use super::bytes::unpack;
use super::types::Move;
use crate::bindings::DisputeGame;

/// An event of `DisputeGame`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GameEvent {
    /// A game began.
    Opened {
        /// Its number.
        game: U256,
        /// The job whose result is disputed.
        job: U256,
        /// Who doubts.
        challenger: Address,
        /// Who claims.
        worker: Address,
        /// Whose turn it is, since when, and the time of both: `Clocks.sol`.
        clocks: U256,
        /// Hash of where it stands.
        position: B256,
        /// The challenger's first moves, without their proofs.
        moves: Vec<Move>,
    },
    /// A side moved.
    Moved {
        /// The game.
        game: U256,
        /// Who.
        side: Side,
        /// The clocks of the turn that begins.
        clocks: U256,
        /// Hash of where it stands.
        position: B256,
        /// The moves, without their proofs.
        moves: Vec<Move>,
    },
    /// A game is over.
    Ended {
        /// The game.
        game: U256,
        /// Whether the worker lost.
        worker_lost: bool,
        /// Whether a clock ran out.
        by_clock: bool,
    },
    /// A game ended undecided, because another one refuted the job.
    Voided {
        /// The game.
        game: U256,
    },
}

impl GameEvent {
    /// Reads a log of the contract; `None` for other events, and for malformed ones.
    pub fn read(log: &Log) -> Option<Self> {
        match *log.topics().first()? {
            DisputeGame::Opened::SIGNATURE_HASH => {
                let event = DisputeGame::Opened::decode_log(log).ok()?.data;
                Some(Self::Opened {
                    game: event.game,
                    job: event.job,
                    challenger: event.challenger,
                    worker: event.worker,
                    clocks: event.clocks,
                    position: event.position,
                    moves: unpack(&event.moves)?,
                })
            }
            DisputeGame::Moved::SIGNATURE_HASH => {
                let event = DisputeGame::Moved::decode_log(log).ok()?.data;
                Some(Self::Moved {
                    game: event.game,
                    side: match event.side {
                        0 => Side::Worker,
                        _ => Side::Challenger,
                    },
                    clocks: event.clocks,
                    position: event.position,
                    moves: unpack(&event.moves)?,
                })
            }
            DisputeGame::Ended::SIGNATURE_HASH => {
                let event = DisputeGame::Ended::decode_log(log).ok()?.data;
                Some(Self::Ended {
                    game: event.game,
                    worker_lost: event.workerLost,
                    by_clock: event.byClock,
                })
            }
            DisputeGame::Voided::SIGNATURE_HASH => {
                let event = DisputeGame::Voided::decode_log(log).ok()?.data;
                Some(Self::Voided { game: event.game })
            }
            _ => None,
        }
    }

    /// The game that it is about.
    pub fn game(&self) -> U256 {
        match self {
            Self::Opened { game, .. }
            | Self::Moved { game, .. }
            | Self::Ended { game, .. }
            | Self::Voided { game } => *game,
        }
    }
}
