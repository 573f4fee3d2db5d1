//! An account's part in one job on a chain, from the first look to the withdrawal.
//!
//! ```text
//! what the chain says ─▶ Sight ─▶ Role::next ─▶ Act ─┬─▶ a transaction
//! what was computed ─────▲                           ├─▶ moves in games (Player)
//!                                                    └─▶ for the caller: compute, wait, over
//! ```
//! A party keeps nothing that the chain or the computation do not tell, so one that was killed goes
//! on where the job stands. Each transaction has a name of its own, under which the writer sends it
//! once.

use contracts::client::RpcError;
use contracts::game::{Refutation, announce, calls};
use contracts::jobs::{self, Commit, Escrow, JobView};
use contracts::swarm::calls as tokens;
use contracts::writer::{Intent, IntentError, IntentId, State, SubmitError, Ticket, Writer};
use contracts::{Address, B256, Bytes, U256};
use thiserror::Error;
use verde::game::Side;
use verde::history::History;

use crate::answer::{first_moves, refutation};
use crate::docket::{End, Followed};
use crate::player::{Known, KnownJob, Player, PlayerError, Report};
use crate::role::{Act, Role, RoleError, Sight};

/// Why a party cannot go on now.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PartyError {
    /// There is no such job.
    #[error("the contract knows no job {0}")]
    NoJob(U256),
    /// The account has no part in it.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// The account holds too little.
    #[error("{account} holds {held} units of token {token}, and the bond is {needed}")]
    Funds {
        /// Who.
        account: Address,
        /// The token.
        token: Address,
        /// Units that it holds.
        held: U256,
        /// Units of the bond.
        needed: u128,
    },
    /// The chain.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// A transaction's name.
    #[error(transparent)]
    Intent(#[from] IntentError),
    /// The writer.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// Games.
    #[error(transparent)]
    Player(#[from] PlayerError),
}

impl PartyError {
    /// Whether it may be gone when it is tried again.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Rpc(error) | Self::Player(PlayerError::Rpc(error)) => error.is_transient(),
            _ => false,
        }
    }
}

/// What a party did.
#[derive(Debug)]
pub struct Progress {
    /// The job when it looked.
    pub job: JobView,
    /// What it found to do.
    pub act: Act,
    /// What it sent for that, besides moves.
    pub sent: Option<(&'static str, Ticket)>,
    /// What it did in games.
    pub games: Report,
}

/// An account's part in one job.
pub struct Party {
    role: Role,
    job: U256,
    escrow: Escrow,
    writer: Writer,
    player: Player,
    salt: B256,
    reveal_window: u64,
    /// Why a game was needed.
    why_game: Option<String>,
}

impl Party {
    /// The part of the writer's account. `salt` is that of its seal: the same whenever the party is
    /// made again, and known to nobody else. `reveal_window` is the contract's.
    pub fn new(
        role: Role,
        job: U256,
        escrow: Escrow,
        writer: Writer,
        salt: B256,
        reveal_window: u64,
    ) -> Self {
        let contracts = escrow.contracts();
        let client = escrow.client().clone();
        let player = Player::new(contracts.game, contracts.block, client, writer.clone());
        Self {
            role,
            job,
            escrow,
            writer,
            player,
            salt,
            reveal_window,
            why_game: None,
        }
    }

    /// Why the claim was not refuted by what its worker published; none where it published nothing,
    /// or before it was tried.
    pub fn why_game(&self) -> Option<&str> {
        self.why_game.as_deref()
    }

    /// The games as they were read last.
    pub fn player(&self) -> &Player {
        &self.player
    }

    /// Looks at the job at a second of the chain's time and does what is next. `found` is what the
    /// account computed; none before it has.
    ///
    /// # Errors
    /// [`PartyError`]; a transient one is tried again later.
    pub async fn advance(
        &mut self,
        now: u64,
        found: Option<&History>,
        known: &mut dyn Known,
    ) -> Result<Progress, PartyError> {
        let sight = self.look(now, found).await?;
        let act = self.role.next(&sight)?;
        let mut progress = Progress {
            job: sight.job,
            act,
            sent: None,
            games: Report::default(),
        };
        match (act, found) {
            (Act::Play, _) => progress.games = self.player.play(known).await?,
            (Act::Compute | Act::Wait(..) | Act::Over, _) => {}
            _ => progress.sent = self.send(act, &sight, found, known).await?,
        }
        // What is owed after the withdrawal of this job is of others, and theirs to take.
        if act == Act::Withdraw
            && let Some((_, ticket)) = &progress.sent
            && ticket.state().is_done()
        {
            (progress.act, progress.sent) = (Act::Over, None);
        }
        Ok(progress)
    }

    async fn look(&mut self, now: u64, found: Option<&History>) -> Result<Sight, PartyError> {
        let account = self.writer.account();
        let job = self.escrow.job(self.job).await?;
        let job = job.ok_or(PartyError::NoJob(self.job))?;
        let (mut has_sealed, mut has_game, mut has_lost) = (false, false, false);
        if self.role == Role::Verifier {
            self.player.read().await?;
            has_sealed = !self.escrow.seal_of(self.job, account).await?.is_zero();
            has_game = self.escrow.game_bond_of(self.job, account).await? > 0;
            has_lost = self.games(account).any(|(_, game)| is_lost(game.end));
        }
        Ok(Sight {
            job,
            account,
            now,
            reveal_window: self.reveal_window,
            found: found.map(|history| history.claim().top),
            has_sealed,
            has_game,
            has_lost,
            is_owed: self.escrow.owed_to(account).await? > 0,
        })
    }

    /// Games about this job that an account began.
    fn games(&self, account: Address) -> impl Iterator<Item = (U256, &Followed)> {
        let games = self.player.docket().games().iter();
        games
            .filter(move |(_, game)| game.job == self.job && game.challenger == account)
            .map(|(number, game)| (*number, game))
    }

    async fn send(
        &mut self,
        act: Act,
        sight: &Sight,
        found: Option<&History>,
        known: &mut dyn Known,
    ) -> Result<Option<(&'static str, Ticket)>, PartyError> {
        if act == Act::Challenge
            && let Some(sent) = self.refute(sight, known).await?
        {
            return Ok(Some(sent));
        }
        let bond = match act {
            Act::Accept => sight.job.worker_bond,
            Act::Challenge => sight.job.challenger_bond,
            _ => 0,
        };
        if let Some(approval) = self.allow(bond).await? {
            return Ok(Some(("approve", approval)));
        }
        let Some((name, to, data)) = self.call(act, sight, found, known) else {
            return Ok(None);
        };
        Ok(Some((name, self.submit(name, to, data).await?)))
    }

    /// The transaction of an act, with its name.
    fn call(
        &self,
        act: Act,
        sight: &Sight,
        found: Option<&History>,
        known: &mut dyn Known,
    ) -> Option<(&'static str, Address, Bytes)> {
        let contracts = self.escrow.contracts();
        let (job, account) = (self.job, sight.account);
        let seal = || Some(jobs::seal(&found?.claim().top, account, self.salt));
        let (name, data) = match (act, self.role) {
            (Act::Accept, _) => ("accept", jobs::accept(job)),
            (Act::Seal, Role::Worker) => ("seal", jobs::commit_seal(job, seal()?)),
            (Act::Seal, Role::Verifier) => ("seal", jobs::verifier_seal(job, seal()?)),
            (Act::Commit, _) => {
                let commit = Commit::of(found?, self.salt);
                ("commit", jobs::commit(job, &commit))
            }
            (Act::Reveal, _) => {
                let top = found?.claim().top;
                ("reveal", jobs::reveal(job, top, self.salt))
            }
            (Act::Challenge, _) => {
                let top = sight.job.commitment.0;
                // Who cannot go ahead of the worker opens the game without a move.
                let first = known
                    .of(job)
                    .filter(|known| known.rules.claim.top == top)
                    .and_then(|known| first_moves(known.rules, known.record, known.public).ok());
                let data = calls::open(job, top, &first.unwrap_or_default());
                return Some(("challenge", contracts.game, data));
            }
            (Act::Void, _) => {
                let mut open = self.games(account).filter(|(_, game)| game.end.is_none());
                let (number, game) = open.next()?;
                let data = calls::void(number, &game.game(), game.position);
                return Some(("void", contracts.game, data));
            }
            (Act::Finalize, _) => ("finalize", jobs::finalize(job)),
            (Act::Expire, _) => ("expire", jobs::expire(job)),
            (Act::Withdraw, _) => ("withdraw", jobs::withdraw()),
            (Act::Compute | Act::Play | Act::Wait(..) | Act::Over, _) => return None,
        };
        Some((name, contracts.escrow, data))
    }

    /// Refutes the claim by what its worker signed: announces it, and carries it out once that is
    /// in a block. None where a game is needed, or where the contract refused it.
    async fn refute(
        &mut self,
        sight: &Sight,
        known: &mut dyn Known,
    ) -> Result<Option<(&'static str, Ticket)>, PartyError> {
        let refutation = match self.refutation(sight, known) {
            None => return Ok(None),
            Some(Err(why)) => {
                self.why_game = Some(why);
                return Ok(None);
            }
            Some(Ok(refutation)) => refutation,
        };
        let game = self.escrow.contracts().game;
        let hash = refutation.announcement(sight.account);
        // What was published may have changed since: another refutation is announced anew.
        let announced = self.once("announce", hash, game, announce(hash)).await?;
        if is_failed(&announced.state()) {
            return Ok(None);
        }
        if announced.state().inclusion().is_none() {
            return Ok(Some(("announce", announced)));
        }
        let refuted = self.once("refute", hash, game, refutation.call()).await?;
        Ok((!is_failed(&refuted.state())).then_some(("refute", refuted)))
    }

    /// A refutation by the first of the steps that the worker signed and that shows something, or why
    /// there is none; nothing where the worker published nothing.
    fn refutation(
        &self,
        sight: &Sight,
        known: &mut dyn Known,
    ) -> Option<Result<Refutation, String>> {
        let KnownJob {
            rules,
            record,
            public,
            signed,
        } = known.of(self.job)?;
        let public = public?;
        if rules.claim.top != sight.job.commitment.0 {
            return None;
        }
        let mut why = "the worker has signed no step".to_owned();
        for signed in signed {
            match refutation(rules, signed, record, public, self.salt) {
                Ok(refutation) => return Some(Ok(refutation)),
                Err(error) => why = error.to_string(),
            }
        }
        Some(Err(why))
    }

    /// Sends a transaction about a refutation once, and not again if it was refused.
    async fn once(
        &self,
        name: &str,
        hash: B256,
        to: Address,
        data: Bytes,
    ) -> Result<Ticket, PartyError> {
        let id = IntentId::new(format!("{name}/{hash:x}"))?;
        Ok(self.writer.submit(Intent::call(id, to, data)).await?)
    }

    /// Lets the escrow take a bond, unless it may already.
    async fn allow(&self, bond: u128) -> Result<Option<Ticket>, PartyError> {
        let account = self.writer.account();
        let needed = U256::from(bond);
        if bond == 0 || self.escrow.allowance(account).await? >= needed {
            return Ok(None);
        }
        let (token, held) = (
            self.escrow.contracts().token,
            self.escrow.tokens_of(account).await?,
        );
        if held < needed {
            return Err(PartyError::Funds {
                account,
                token,
                held,
                needed: bond,
            });
        }
        let data = tokens::approve(self.escrow.contracts().escrow, needed);
        Ok(Some(self.submit("approve", token, data).await?))
    }

    /// Sends a transaction once; one that was refused, and is wanted again, once more.
    async fn submit(&self, name: &str, to: Address, data: Bytes) -> Result<Ticket, PartyError> {
        let id = IntentId::new(format!("{name}/{:x}", self.job))?;
        Ok(self.writer.retry(Intent::call(id, to, data)).await?)
    }
}

fn is_failed(state: &State) -> bool {
    let is_reverted = state
        .inclusion()
        .is_some_and(|inclusion| !inclusion.success);
    is_reverted || matches!(state, State::Refused(_))
}

fn is_lost(end: Option<End>) -> bool {
    matches!(
        end,
        Some(End::Lost {
            side: Side::Challenger,
            ..
        })
    )
}
