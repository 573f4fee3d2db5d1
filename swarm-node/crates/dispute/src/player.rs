//! One account's games: sends what its side says, ends games by the clock.
//!
//! Invariants: an intent's name is the game and where it stands, so each answer is sent once,
//! whatever happens in between; one that was refused is sent again as long as the game stands
//! there. A game in which the account has nothing to say is left alone.

use std::collections::BTreeMap;

use contracts::client::{Call, Client, RpcError};
use contracts::game::{SignedStep, calls};
use contracts::writer::{Intent, IntentError, IntentId, SubmitError, Ticket, Writer};
use contracts::{Address, Bytes, U256};
use thiserror::Error;
use verde::game::{Rules, Side};
use verde::record::Record;

use crate::answer::{Answer, AnswerError, answer, replay};
use crate::docket::{Docket, Followed};
use crate::games::Games;

/// Why a player cannot go on now.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlayerError {
    /// The chain.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// An intent's name.
    #[error(transparent)]
    Intent(#[from] IntentError),
    /// The writer.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

/// What an account knows of the jobs that it plays about.
pub trait Known {
    /// The rules of games about a job, with the account's record of it and what its worker
    /// published; none for a job that it does not know.
    fn of(&mut self, job: U256) -> Option<KnownJob<'_>>;
}

/// What an account knows of a job.
pub struct KnownJob<'a> {
    /// The rules of games about its claim.
    pub rules: Rules<'a>,
    /// The account's own record.
    pub record: &'a mut dyn Record,
    /// What the worker published.
    pub public: Option<&'a mut dyn Record>,
    /// What the worker signed of single steps.
    pub signed: &'a [SignedStep],
}

/// What a player did in a round.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was sent, by game.
    pub sent: BTreeMap<U256, Ticket>,
    /// Games in which the account has nothing to say though it is its turn, with the reason.
    pub silent: BTreeMap<U256, String>,
    /// Games of this account that go on.
    pub open: usize,
}

/// The games of one account.
pub struct Player {
    contract: Address,
    client: Client,
    writer: Writer,
    games: Games,
}

impl Player {
    /// The games of the writer's account, of a contract that was created in the block `first`.
    pub fn new(contract: Address, first: u64, client: Client, writer: Writer) -> Self {
        Self {
            games: Games::new(contract, first, client.clone()),
            contract,
            client,
            writer,
        }
    }

    /// The games as they were read last.
    pub fn docket(&self) -> &Docket {
        self.games.docket()
    }

    /// Reads what is new on the chain.
    ///
    /// # Errors
    /// The chain does not answer; read again later.
    pub async fn read(&mut self) -> Result<(), PlayerError> {
        Ok(self.games.read().await?)
    }

    /// Says what there is to say in every game of the account.
    ///
    /// # Errors
    /// The chain or the writer does not answer; go on later.
    pub async fn play(&mut self, known: &mut dyn Known) -> Result<Report, PlayerError> {
        self.read().await?;
        let account = self.writer.account();
        let mut report = Report::default();
        for (&number, followed) in self.games.docket().games() {
            let (Some(side), None) = (followed.side(account), followed.end) else {
                continue;
            };
            report.open += 1;
            match self.play_in(number, followed, side, known).await? {
                Said::Sent(ticket) => {
                    report.sent.insert(number, ticket);
                }
                Said::Silent(why) => {
                    report.silent.insert(number, why);
                }
                Said::Waits => {}
            }
        }
        Ok(report)
    }

    async fn play_in(
        &self,
        number: U256,
        followed: &Followed,
        side: Side,
        known: &mut dyn Known,
    ) -> Result<Said, PlayerError> {
        if let Some(why) = &followed.unreadable {
            return Ok(Said::Silent(why.clone()));
        }
        let Some(job) = known.of(followed.job) else {
            return Ok(Said::Silent(format!(
                "job {} is not known here",
                followed.job
            )));
        };
        match say(job, followed, side) {
            Ok(Saying::Moves(_)) if self.is_out_of_time(number, followed).await? => {
                let text = "the clock of this side has run out: the game is lost";
                Ok(Said::Silent(text.into()))
            }
            Ok(Saying::Moves(answer)) => {
                let (
                    game,
                    Answer {
                        position,
                        context,
                        moves,
                        ..
                    },
                ) = (followed.game(), answer);
                let data = calls::play(number, &game, position, context, &moves);
                self.submit("play", number, followed, data).await
            }
            Ok(Saying::NotInTurn) => self.end_by_clock(number, followed).await,
            Err(error) => Ok(Said::Silent(error.to_string())),
        }
    }

    /// Ends a game whose other side has run out of time.
    async fn end_by_clock(&self, game: U256, followed: &Followed) -> Result<Said, PlayerError> {
        match self.is_out_of_time(game, followed).await? {
            false => Ok(Said::Waits),
            true => {
                let data = calls::timeout(game, &followed.game(), followed.position);
                self.submit("timeout", game, followed, data).await
            }
        }
    }

    /// Whether the side to move has no time left in the next block. A game that stands elsewhere by
    /// then is read again first.
    async fn is_out_of_time(&self, game: U256, followed: &Followed) -> Result<bool, RpcError> {
        let data = calls::time_left(game, &followed.game(), followed.position);
        match self
            .client
            .call_pending(&Call::to(self.contract, data))
            .await
        {
            Ok(left) => Ok(left.iter().all(|byte| *byte == 0)),
            Err(RpcError::Reverted { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends what is said after so many moves, once.
    async fn submit(
        &self,
        what: &str,
        game: U256,
        followed: &Followed,
        data: Bytes,
    ) -> Result<Said, PlayerError> {
        // After a reorganisation as many moves may be others.
        let (moves, stands) = (followed.moves.len(), followed.position);
        let id = format!("{what}/{game}/{moves}/{stands:x}");
        let intent = Intent::call(IntentId::new(id)?, self.contract, data);
        Ok(Said::Sent(self.writer.retry(intent).await?))
    }
}

enum Said {
    Sent(Ticket),
    Silent(String),
    Waits,
}

enum Saying {
    Moves(Answer),
    NotInTurn,
}

fn say(job: KnownJob<'_>, followed: &Followed, side: Side) -> Result<Saying, AnswerError> {
    let KnownJob {
        rules,
        record,
        public,
        ..
    } = job;
    match answer(rules, followed, side, record, public) {
        Ok(said) => Ok(said.map_or(Saying::NotInTurn, Saying::Moves)),
        // Who cannot go ahead of the other side waits for it, and for its clock.
        Err(_) if is_others_turn(rules, followed, side) => Ok(Saying::NotInTurn),
        Err(error) => Err(error),
    }
}

fn is_others_turn(rules: Rules<'_>, followed: &Followed, side: Side) -> bool {
    let turn = replay(rules, followed).ok();
    turn.and_then(|(game, _)| game.place().turn()) == Some(side.other())
}
