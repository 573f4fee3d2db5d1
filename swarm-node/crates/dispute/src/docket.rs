//! The games of a contract, as its events tell them.
//!
//! ```text
//! events ─▶ Docket: who plays about what, and every move ─▶ a game of verde, replayed
//! ```
//! Invariants: what a docket holds is a function of the events that stand; after a reorganisation
//! the later ones are forgotten and the rest is read again. Moves were checked by the contract, so
//! one that cannot be replayed means that the job known here is not the one that is played about:
//! the game is then kept with the reason, and nobody plays in it.
//!
//! Limits: games that are over keep no moves.

use std::collections::BTreeMap;

use contracts::game::{Game, GameEvent, decode};
use contracts::{Address, B256, U256};
use verde::game::{Move, Side};

/// How a game ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A side lost.
    Lost {
        /// Who.
        side: Side,
        /// Whether by its clock, and not by a contradiction.
        by_clock: bool,
    },
    /// Undecided: another game refuted the job.
    Void,
}

/// A game, as far as it was played.
#[derive(Clone, Debug, PartialEq)]
pub struct Followed {
    /// The job whose result is disputed.
    pub job: U256,
    /// Who claims.
    pub worker: Address,
    /// Who doubts.
    pub challenger: Address,
    /// Every move that led on.
    pub moves: Vec<(Side, Move)>,
    /// Whose turn it is, since when, and the time of both, as the contract has it.
    pub clocks: U256,
    /// Hash of where it stands.
    pub position: B256,
    /// How it ended.
    pub end: Option<End>,
    /// Why it cannot be followed.
    pub unreadable: Option<String>,
}

impl Followed {
    /// The side that an account plays; none for who does not play in this game.
    pub fn side(&self, account: Address) -> Option<Side> {
        match account {
            account if account == self.worker => Some(Side::Worker),
            account if account == self.challenger => Some(Side::Challenger),
            _ => None,
        }
    }

    /// The game as the contract is shown it.
    pub fn game(&self) -> Game {
        Game {
            job: self.job,
            worker: self.worker,
            challenger: self.challenger,
            clocks: self.clocks,
        }
    }

    fn add(&mut self, side: Side, moves: &[contracts::game::Move]) {
        for made in moves {
            match decode(made) {
                Ok(made) => self.moves.push((side, made)),
                Err(error) => {
                    self.unreadable = Some(error.to_string());
                    return;
                }
            }
        }
    }
}

/// All games of a contract.
#[derive(Clone, Debug, Default)]
pub struct Docket {
    /// Events with their blocks.
    events: Vec<(u64, GameEvent)>,
    games: BTreeMap<U256, Followed>,
}

impl Docket {
    /// A docket without games.
    pub fn new() -> Self {
        Self::default()
    }

    /// The games, by number.
    pub fn games(&self) -> &BTreeMap<U256, Followed> {
        &self.games
    }

    /// A game with all of its moves, even if it is over; none for one that there is not.
    pub fn told(&self, game: U256) -> Option<Followed> {
        let mut games = BTreeMap::new();
        let of_it = self.events.iter().filter(|(_, event)| event.game() == game);
        of_it.for_each(|(_, event)| tell(&mut games, event));
        games.remove(&game)
    }

    /// Takes an event of a block, in the order of the chain.
    pub fn take(&mut self, block: u64, event: GameEvent) {
        apply(&mut self.games, &event);
        self.events.push((block, event));
    }

    /// Forgets the events of blocks above this one.
    pub fn roll_back(&mut self, to: u64) {
        self.events.retain(|(block, _)| *block <= to);
        self.games.clear();
        for (_, event) in &self.events {
            apply(&mut self.games, event);
        }
    }
}

/// Takes an event; of a game that is over the moves are forgotten.
fn apply(games: &mut BTreeMap<U256, Followed>, event: &GameEvent) {
    tell(games, event);
    if let Some(followed) = games.get_mut(&event.game())
        && followed.end.is_some()
    {
        followed.moves = Vec::new();
    }
}

fn tell(games: &mut BTreeMap<U256, Followed>, event: &GameEvent) {
    if let GameEvent::Opened {
        game,
        job,
        challenger,
        worker,
        clocks,
        position,
        moves,
    } = event
    {
        let mut followed = Followed {
            job: *job,
            worker: *worker,
            challenger: *challenger,
            moves: Vec::new(),
            clocks: *clocks,
            position: *position,
            end: None,
            unreadable: None,
        };
        followed.add(Side::Challenger, moves);
        games.insert(*game, followed);
        return;
    }
    // Events of a game whose beginning is not known: the contract was read from a later block.
    let Some(followed) = games.get_mut(&event.game()) else {
        return;
    };
    match event {
        GameEvent::Moved {
            side,
            clocks,
            position,
            moves,
            ..
        } => {
            followed.add(*side, moves);
            (followed.clocks, followed.position) = (*clocks, *position);
        }
        GameEvent::Ended {
            worker_lost,
            by_clock,
            ..
        } => {
            let side = match worker_lost {
                true => Side::Worker,
                false => Side::Challenger,
            };
            let by_clock = *by_clock;
            followed.end = Some(End::Lost { side, by_clock });
        }
        GameEvent::Voided { .. } => followed.end = Some(End::Void),
        GameEvent::Opened { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use contracts::game::Move as Made;

    use super::*;

    fn opened(game: u8) -> GameEvent {
        GameEvent::Opened {
            game: U256::from(game),
            job: U256::from(7),
            challenger: Address::repeat_byte(2),
            worker: Address::repeat_byte(1),
            clocks: U256::ZERO,
            position: B256::ZERO,
            moves: Vec::new(),
        }
    }

    fn moved(game: u8, kind: u8) -> GameEvent {
        GameEvent::Moved {
            game: U256::from(game),
            side: Side::Challenger,
            clocks: U256::from(kind),
            position: B256::repeat_byte(kind),
            moves: vec![Made {
                kind,
                data: Default::default(),
            }],
        }
    }

    #[test]
    fn a_reorganisation_takes_back_what_it_takes_back() {
        let mut docket = Docket::new();
        docket.take(3, opened(1));
        docket.take(5, moved(1, 10));
        let before = docket.games().clone();
        docket.take(6, opened(2));
        let game = U256::from(1);
        docket.take(
            7,
            GameEvent::Ended {
                game,
                worker_lost: true,
                by_clock: true,
            },
        );
        let lost = End::Lost {
            side: Side::Worker,
            by_clock: true,
        };
        assert_eq!(docket.games()[&game].end, Some(lost));
        assert!(docket.games()[&game].moves.is_empty());
        let told = docket.told(game).unwrap();
        assert_eq!(
            (told.moves.len(), told.end, docket.told(U256::from(9))),
            (1, Some(lost), None)
        );
        docket.roll_back(5);
        assert_eq!(docket.games(), &before);
        assert_eq!(before[&game].moves, [(Side::Challenger, Move::ContestNext)]);
        docket.roll_back(0);
        assert!(docket.games().is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_kept_with_the_reason() {
        let mut docket = Docket::new();
        docket.take(1, moved(9, 10));
        assert!(docket.games().is_empty());
        docket.take(1, opened(1));
        docket.take(2, moved(1, 99));
        let followed = &docket.games()[&U256::from(1)];
        assert!(followed.unreadable.as_ref().unwrap().contains("99"));
        assert_eq!(followed.side(Address::repeat_byte(1)), Some(Side::Worker));
        assert_eq!(followed.side(Address::repeat_byte(9)), None);
    }
}
