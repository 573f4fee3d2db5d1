//! `swarm-node dispute`: games about what jobs have come to.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use contracts::game::calls;
use contracts::jobs::JobView;
use contracts::{Address, U256};
use serde::Serialize;
use swarm_dispute::answer::{Answer as Said, AnswerError, answer};
use swarm_dispute::docket::{End, Followed};
use swarm_dispute::games::Games;
use swarm_learn::job_record::{record, whole_history};
use swarm_settle::tokens::token_text;
use verde::game::{Rules, Side};
use verde::history::{Claim, Length};
use verde::player::{Game, PlayError};

use super::account::Account;
use super::failure::Failure;
use super::job::{JobId, Market, MarketOptions, runtime};
use super::options::Options;
use super::output::{Answer, print_rows, when};
use super::subject::{StageOptions, Subject};
use crate::config::Config;
use crate::job::{Claimable, certified, disputed};

/// Shows, plays and replays disputes about jobs.
///
/// `job work` and `job verify` play on their own; this is for looking, and for a hand when they
/// cannot.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DisputeCommand {
    #[command(subcommand)]
    action: DisputeAction,
}

const EXAMPLES: &str = "Examples:\n  swarm-node dispute list --contracts jobs.toml\n  swarm-node \
dispute replay 1 --contracts jobs.toml --spec configs/nano/job.toml\n  swarm-node dispute respond 1 \
--contracts jobs.toml --spec configs/nano/job.toml --run runs/worker --dry-run";

#[derive(Debug, Subcommand)]
enum DisputeAction {
    /// Lists the games of a contract.
    List {
        #[command(flatten)]
        market: MarketOptions,
        /// Games about this job alone.
        #[arg(long, value_name = "JOB")]
        job: Option<JobId>,
    },
    /// Shows a game: who plays, whose turn it is, how long for, and what is at stake.
    Show {
        /// The game's number.
        #[arg(value_name = "GAME")]
        game: U256,
        #[command(flatten)]
        market: MarketOptions,
    },
    /// Says what the wallet's account has to say in a game, once.
    Respond {
        /// The game's number.
        #[arg(value_name = "GAME")]
        game: U256,
        #[command(flatten)]
        market: MarketOptions,
        /// The job, a TOML file, or the folder of a pipeline's peer.
        #[arg(long, value_name = "SPEC")]
        spec: PathBuf,
        #[command(flatten)]
        stage: StageOptions,
        /// Folder in which the account has carried the job out.
        #[arg(long, value_name = "RUN")]
        run: PathBuf,
        /// Shows the moves and the gas that they would take, and sends nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Ends a game in which the side to move has no time left, as anybody may.
    End {
        /// The game's number.
        #[arg(value_name = "GAME")]
        game: U256,
        #[command(flatten)]
        market: MarketOptions,
    },
    /// Replays a game from what the chain has of it, by the rules, move by move.
    Replay {
        /// The game's number.
        #[arg(value_name = "GAME")]
        game: U256,
        #[command(flatten)]
        market: MarketOptions,
        /// The job, a TOML file, or the folder of a pipeline's peer.
        #[arg(long, value_name = "SPEC")]
        spec: PathBuf,
        #[command(flatten)]
        stage: StageOptions,
    },
}

impl DisputeCommand {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let environment = &environment;
        match &self.action {
            DisputeAction::List { market, job } => runtime()?.block_on(async {
                let (market, _) = market.look(options, environment).await?;
                list(&market, *job, options.json).await
            }),
            DisputeAction::Show { game, market } => runtime()?.block_on(async {
                let (market, link) = market.look(options, environment).await?;
                let now = link.now().await.map_err(Failure::work)?;
                show(&market, *game, now, options.json).await
            }),
            DisputeAction::End { game, market } => runtime()?.block_on(async {
                let (market, account) = market.open(options, environment, None).await?;
                end(&market, &account, *game, options.json).await
            }),
            DisputeAction::Replay {
                game,
                market,
                spec,
                stage,
            } => {
                let subject = subject((spec, stage), options, environment)?;
                runtime()?.block_on(async {
                    let (market, _) = market.look(options, environment).await?;
                    replay(&market, *game, subject.claimable(), options.json).await
                })
            }
            DisputeAction::Respond {
                game,
                market,
                spec,
                stage,
                run,
                dry_run,
            } => {
                let subject = subject((spec, stage), options, environment)?;
                runtime()?.block_on(async {
                    let (market, account) = market.open(options, environment, None).await?;
                    let said = Respond {
                        game: *game,
                        job: subject.claimable(),
                        folder: run,
                        dry_run: *dry_run,
                    };
                    said.run(&market, &account, options.json).await
                })
            }
        }
    }
}

fn subject(
    (spec, stage): (&Path, &StageOptions),
    options: &Options,
    environment: &[(String, String)],
) -> Result<Subject, Failure> {
    let config = options.settings(&[], environment.to_vec())?;
    let config = config.config::<Config>()?;
    let engine = certified(&config.engine, config.engine.workers())?;
    stage.subject(spec, &engine)
}

async fn games(market: &Market) -> Result<Games, Failure> {
    let contracts = &market.deployment.contracts;
    let client = market.escrow.client().clone();
    let mut games = Games::new(contracts.game, contracts.block, client);
    games.read().await.map_err(Failure::work)?;
    Ok(games)
}

fn told(games: &Games, game: U256) -> Result<Followed, Failure> {
    games.docket().told(game).ok_or_else(|| {
        Failure::Usage(anyhow::anyhow!(
            "there is no game {game}; `swarm-node dispute list` shows which there are"
        ))
    })
}

/// How a game stands, in a word or two.
fn state(end: Option<End>) -> String {
    match end {
        None => "under way".into(),
        Some(End::Void) => "void".into(),
        Some(End::Lost { side, by_clock }) => {
            let how = if by_clock {
                "the clock"
            } else {
                "a contradiction"
            };
            format!("{} won by {how}", side.other())
        }
    }
}

/// A line of `dispute list`.
#[derive(Serialize)]
struct Line {
    game: String,
    job: String,
    worker: Address,
    challenger: Address,
    state: String,
    turn: Option<String>,
    seconds_left: Option<u64>,
    moves: usize,
}

impl Line {
    async fn new(market: &Market, game: U256, followed: &Followed) -> Result<Self, Failure> {
        let (mut turn, mut seconds_left) = (None, None);
        if followed.end.is_none() {
            let stands = followed.game();
            turn = Some(stands.turn());
            let left = market.escrow.time_left(game, &stands, followed.position);
            seconds_left = left.await.map_err(Failure::work)?;
        }
        Ok(Self {
            game: game.to_string(),
            job: JobId(followed.job).to_string(),
            worker: followed.worker,
            challenger: followed.challenger,
            state: state(followed.end),
            turn: turn.map(|side| side.to_string()),
            seconds_left,
            moves: followed.moves.len(),
        })
    }

    fn text(&self) -> String {
        let mut text = format!(
            "game {}: {}, {} moves, job {}",
            self.game, self.state, self.moves, self.job
        );
        // Writing to a string does not fail.
        let _ = match (&self.turn, self.seconds_left) {
            (Some(turn), Some(0)) => write!(
                text,
                "; the clock of the {turn} has run out: anybody ends it with `swarm-node dispute \
                 end {}`",
                self.game
            ),
            (Some(turn), Some(left)) => write!(text, "; the {turn} has {left} s left"),
            _ => Ok(()),
        };
        text
    }
}

async fn end(market: &Market, account: &Account, game: U256, json: bool) -> Result<(), Failure> {
    let followed = told(&games(market).await?, game)?;
    let line = Line::new(market, game, &followed).await?;
    match (line.seconds_left, &line.turn) {
        (Some(0), _) => {}
        (Some(left), Some(turn)) => {
            return Err(Failure::Usage(anyhow::anyhow!(
                "the {turn} of game {game} has {left} s left; it can be ended when they are over"
            )));
        }
        _ => {
            let state = &line.state;
            return Err(Failure::Usage(anyhow::anyhow!(
                "game {game} is over: {state}"
            )));
        }
    }
    let step = (
        "timeout",
        market.deployment.contracts.game,
        calls::timeout(game, &followed.game(), followed.position),
    );
    let remedy = |_: &_| "`swarm-node dispute show` tells how the game stands".to_owned();
    let patience = market.config.chain.wait_s;
    let sent = account.send("dispute", vec![step], patience, remedy);
    let sent = sent.await?;
    let followed = told(&games(market).await?, game)?;
    let rows = [("game", game.to_string()), ("state", state(followed.end))];
    print_rows(&rows, json, format!("the game is over: {sent}"))
}

async fn list(market: &Market, job: Option<JobId>, json: bool) -> Result<(), Failure> {
    if let Some(job) = job {
        market.job(job).await?;
    }
    let games = games(market).await?;
    let mut lines = Vec::new();
    for number in games.docket().games().keys() {
        let followed = told(&games, *number)?;
        if job.is_none_or(|job| job.0 == followed.job) {
            lines.push(Line::new(market, *number, &followed).await?);
        }
    }
    let text = match lines.is_empty() {
        true => "no games".to_owned(),
        false => lines.iter().map(Line::text).collect::<Vec<_>>().join("\n"),
    };
    let json_text = serde_json::json!({ "games": lines }).to_string();
    Answer {
        text,
        json: json_text,
        kept: String::new(),
    }
    .print(json)
}

async fn show(market: &Market, game: U256, now: u64, json: bool) -> Result<(), Failure> {
    let followed = told(&games(market).await?, game)?;
    let line = Line::new(market, game, &followed).await?;
    let (job, challenger) = (followed.job, followed.challenger);
    let view = market.job(JobId(job)).await?;
    let bond = market.escrow.game_bond_of(job, challenger).await;
    let bond = bond.map_err(Failure::work)?;
    let none = || "nobody's".to_owned();
    let deadline = line
        .seconds_left
        .map_or_else(|| "none".into(), |left| when(now + left));
    let rows = [
        ("game", line.game.clone()),
        ("state", line.state.clone()),
        ("job", line.job.clone()),
        ("job state", view.state.to_string()),
        ("worker", line.worker.to_string()),
        ("challenger", line.challenger.to_string()),
        ("moves", line.moves.to_string()),
        ("turn", line.turn.clone().unwrap_or_else(none)),
        ("deadline", deadline),
        ("bond", format!("{} tokens", token_text(bond))),
        (
            "worker bond",
            format!("{} tokens", token_text(view.worker_bond)),
        ),
        (
            "unreadable",
            followed.unreadable.unwrap_or_else(|| "no".into()),
        ),
    ];
    print_rows(&rows, json, String::new())
}

/// What the worker of a job claims on the chain.
fn claim(view: &JobView) -> Result<Claim, Failure> {
    let length = Length::new(view.steps, view.stride).map_err(Failure::work)?;
    Ok(Claim {
        plan: view.plan.0,
        length,
        top: view.commitment.0,
    })
}

/// What `dispute replay --json` tells.
#[derive(Serialize)]
struct ReplayedGame {
    game: String,
    state: String,
    moves: Vec<Made>,
    /// Where it stands, or stood.
    place: String,
}

/// A move with where it led.
#[derive(Serialize)]
struct Made {
    side: String,
    says: String,
    place: String,
}

async fn replay(
    market: &Market,
    game: U256,
    job: Claimable<'_>,
    json: bool,
) -> Result<(), Failure> {
    let followed = told(&games(market).await?, game)?;
    let view = market.job(JobId(followed.job)).await?;
    let (job, claim) = (disputed(job).map_err(Failure::work)?, claim(&view)?);
    require_plan(&view, &job.digest())?;
    let rules = Rules {
        job: &job,
        claim: &claim,
    };
    let mut played = Game::new(rules);
    let mut moves = Vec::new();
    for (number, (side, made)) in followed.moves.iter().enumerate() {
        played.play(*side, made).map_err(|refusal| {
            Failure::Work(anyhow::anyhow!(
                "move {number} of game {game} breaks the rules: {refusal}; the chain's server shows \
                 something else than the contract took"
            ))
        })?;
        moves.push(Made {
            side: side.to_string(),
            says: made.to_string(),
            place: played.place().to_string(),
        });
    }
    let state = state(followed.end);
    let mut text = format!("game {game} about job {}\n", JobId(followed.job));
    for (number, made) in moves.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{number:>3}  {:<10}  {}\n     {:<10}  {}",
            made.side, made.says, "", made.place
        );
    }
    let _ = write!(text, "game {game}: {state}");
    if let Some(End::Lost {
        by_clock: false, ..
    }) = followed.end
    {
        text.push_str("; the move that showed it is in its transaction alone");
    }
    let place = played.place().to_string();
    let replayed = ReplayedGame {
        game: game.to_string(),
        state,
        moves,
        place,
    };
    let json_text = serde_json::to_string(&replayed).map_err(Failure::work)?;
    Answer {
        text,
        json: json_text,
        kept: String::new(),
    }
    .print(json)
}

fn require_plan(view: &JobView, plan: &[u8; 32]) -> Result<(), Failure> {
    match view.plan.0 == *plan {
        true => Ok(()),
        false => Err(Failure::Usage(anyhow::anyhow!(
            "the game is about the plan {}, and the file is of {}; give the job's own with --spec",
            view.plan,
            contracts::B256::from(*plan)
        ))),
    }
}

/// `dispute respond`.
struct Respond<'a> {
    game: U256,
    job: Claimable<'a>,
    folder: &'a Path,
    dry_run: bool,
}

impl Respond<'_> {
    async fn run(self, market: &Market, account: &Account, json: bool) -> Result<(), Failure> {
        let game = self.game;
        let followed = told(&games(market).await?, game)?;
        let side = followed.side(account.owner).ok_or_else(|| {
            Failure::Usage(anyhow::anyhow!(
                "{} does not play in game {game}; its worker is {}, its challenger {}",
                account.owner,
                followed.worker,
                followed.challenger
            ))
        })?;
        if followed.end.is_some() {
            let state = state(followed.end);
            return Err(Failure::Usage(anyhow::anyhow!(
                "game {game} is over: {state}"
            )));
        }
        let view = market.job(JobId(followed.job)).await?;
        let said = self.answer(&market.config, &view, &followed, side)?;
        let Some(said) = said else {
            let rows = [
                ("game", game.to_string()),
                ("side", side.to_string()),
                (
                    "moves",
                    "none: it is the other side's turn; `dispute end` ends the game when its clock \
                     has run out"
                        .into(),
                ),
            ];
            return print_rows(&rows, json, String::new());
        };
        let (count, contract) = (said.moves.len(), market.deployment.contracts.game);
        let stands = followed.game();
        let data = calls::play(game, &stands, said.position, said.context, &said.moves);
        let gas = market
            .escrow
            .estimate(account.owner, contract, data.clone());
        let gas = gas.await.map_err(Failure::work)?;
        let mut sent = "nothing was sent".to_owned();
        if !self.dry_run {
            let remedy = |_: &_| "`swarm-node dispute show` tells how the game stands".to_owned();
            let step = ("move", contract, data.clone());
            let patience = market.config.chain.wait_s;
            let done = account.send("dispute", vec![step], patience, remedy);
            sent = done.await?.to_string();
        }
        let rows = [
            ("game", game.to_string()),
            ("side", side.to_string()),
            ("moves", count.to_string()),
            ("bytes", data.len().to_string()),
            ("gas", gas.to_string()),
            ("ends", if said.ends { "yes" } else { "no" }.to_owned()),
            ("sent", sent.clone()),
        ];
        print_rows(&rows, json, sent)
    }

    fn answer(
        &self,
        config: &Config,
        view: &JobView,
        followed: &Followed,
        side: Side,
    ) -> Result<Option<Said>, Failure> {
        let engine = certified(&config.engine, config.engine.workers())?;
        let (job, claim) = (disputed(self.job).map_err(Failure::work)?, claim(view)?);
        require_plan(view, &job.digest())?;
        let history = whole_history(self.folder, self.job.identity).map_err(Failure::work)?;
        let history = history.ok_or_else(|| {
            Failure::Usage(anyhow::anyhow!(
                "the job is not carried out in {}; `swarm-node job run` does that",
                self.folder.display()
            ))
        })?;
        let known = record(
            engine.as_ref(),
            &job,
            self.job.plan,
            self.folder,
            history,
            None,
        );
        let mut known = known.map_err(Failure::work)?;
        let rules = Rules {
            job: &job,
            claim: &claim,
        };
        answer(rules, followed, side, &mut known, None).map_err(|error| match error {
            AnswerError::Play(error @ (PlayError::Record(_) | PlayError::Agreed)) => {
                Failure::CannotTell(error.to_string())
            }
            error => Failure::work(error),
        })
    }
}
