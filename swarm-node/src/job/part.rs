//! An account's part in a job on a chain, carried through: what it computes, and what it sends.
//!
//! ```text
//!            ┌──────────── Party (what is next, by what the chain says) ◀── the chain
//!            ▼
//!  Compute ─▶ JobRun in the folder ─▶ history, record ─▶ claims, moves
//!  Wait ───▶ until the next look                Over ─▶ the job as it ended
//! ```
//! Nothing is kept but the folder of the run and the writer's transactions: whoever was killed goes
//! on where the job stands.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use contracts::jobs::{Escrow, JobState, JobView};
use contracts::typed::Domain;
use contracts::writer::{Ticket, TicketError, Writer};
use contracts::{Address, B256, U256};
use reproducible_ops::engine::Engine;
use swarm_dispute::party::{Party, PartyError, Progress as Progressed};
use swarm_dispute::player::{Known, KnownJob};
use swarm_dispute::role::{Act, Role};
use swarm_identity::digest::{Hasher, hex};
use swarm_identity::{NodeKey, SaltKey};
use swarm_learn::checkpoint::CheckpointError;
use swarm_learn::job_record::{FolderStates, record, whole_history};
use swarm_learn::job_run::{JobRun, JobRunError};
use swarm_learn::run_folder::RunFolder;
use swarm_settle::chain::{Link, trouble};
use verde::fault::Fault;
use verde::game::Rules;
use verde::history::{Claim, History, HistoryError, Length};
use verde::job::{Job as Disputed, JobError as DisputedError};
use verde::record::{Record, Replay};

use super::carry_out::{Divergence, carry_out};
use super::published::Published;
use super::{Claimable, JobError, Progress, Stop};

/// Between two looks at why a transaction is not in a block.
const TROUBLE: Duration = Duration::from_secs(1);
/// Texts that are remembered, so that they are told once.
const REMEMBERED: usize = 256;

/// Why a part is not carried through.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartError {
    /// The job of the chain is another one.
    #[error(
        "job {job:#066x} is another one: on the chain {on_chain}; in the file {in_file}; ask its \
         payer for its file"
    )]
    OtherJob {
        /// What the job is known by.
        job: U256,
        /// Its terms on the chain.
        on_chain: String,
        /// Those of the file.
        in_file: String,
    },
    /// The chain, or the account's part.
    #[error(transparent)]
    Party(#[from] PartyError),
    /// The computation.
    #[error(transparent)]
    Run(#[from] JobRunError),
    /// The folder.
    #[error(transparent)]
    Folder(#[from] CheckpointError),
    /// The plan is no job.
    #[error(transparent)]
    Job(#[from] DisputedError),
    /// The answers.
    #[error(transparent)]
    Answers(#[from] JobError),
    /// The length is none.
    #[error(transparent)]
    Length(#[from] HistoryError),
    /// The stride is more than contracts count.
    #[error("a stride of {0} steps is more than contracts count; choose a shorter one")]
    Stride(u64),
    /// Somebody asked for the end.
    #[error("stopped")]
    Stopped,
}

/// What whoever watches a part is told.
#[derive(Debug)]
pub enum PartEvent<'a> {
    /// How the job stands, and what goes on; until a second of the chain's time where there is one.
    Stands(JobState, &'a str, Option<u64>),
    /// A transaction is in a block.
    Mined {
        /// What it is for.
        what: &'a str,
        /// The block.
        block: u64,
        /// Gas that it used.
        gas: u64,
    },
    /// A transaction did not happen; it is decided anew whether it is wanted.
    Refused {
        /// What it was for.
        what: &'a str,
        /// Why.
        error: &'a TicketError,
    },
    /// It is the account's turn in a game, and it has nothing to say.
    Silent(U256, &'a str),
    /// The chain does not answer.
    Away(&'a PartyError),
    /// The chain answers again.
    Back,
    /// Why a transaction is not in a block yet.
    Waits {
        /// What it is for.
        what: &'a str,
        /// Why.
        why: &'a str,
    },
    /// A damaged checkpoint was passed over.
    Damaged(&'a str),
}

/// The plan and the programs of a job, each part of which can be shown.
///
/// # Errors
/// The plan is no job.
pub fn disputed(job: Claimable<'_>) -> Result<Disputed, PartError> {
    Ok(Disputed::new(
        job.plan.plan.clone(),
        job.plan.programs.clone(),
    )?)
}

/// Steps and stride of a job, as contracts count them.
///
/// # Errors
/// They are more than contracts count.
pub fn length(job: Claimable<'_>) -> Result<Length, PartError> {
    let stride = job.identity.stride;
    let short = u32::try_from(stride).map_err(|_| PartError::Stride(stride))?;
    Ok(Length::new(job.identity.steps, short)?)
}

/// The salt of an account's seal about a job: the same whenever it is asked, and nobody else's to
/// know.
pub fn seal_salt(key: &NodeKey, job: U256) -> B256 {
    let salts: SaltKey = key.salt_key();
    let job: [u8; 32] = job.to_be_bytes();
    let context = Hasher::new("seal of a job").bytes(&job).finish();
    salts.salt(&context).into()
}

/// An account and the chain that a part is carried through on.
pub struct PartPlace<'a> {
    /// The contracts.
    pub escrow: &'a Escrow,
    /// The account's transactions.
    pub writer: &'a Writer,
    /// The chain.
    pub link: &'a Link,
    /// [`seal_salt`].
    pub salt: B256,
    /// Seconds that the contracts give a worker to commit.
    pub reveal_window: u64,
}

/// What the account knows of the job, for games about it.
#[derive(Default)]
struct Knows<'a> {
    job: Option<(U256, &'a Disputed)>,
    /// What is claimed on the chain.
    claim: Option<Claim>,
    record: Option<Replay<'a, FolderStates<'a>>>,
    /// What the worker published.
    published: Option<Published<'a>>,
}

impl Known for Knows<'_> {
    fn of(&mut self, job: U256) -> Option<KnownJob<'_>> {
        let (_, known) = self.job.filter(|(known, _)| *known == job)?;
        let (public, signed) = match &mut self.published {
            Some(published) => (Some(&mut published.record), &published.signed[..]),
            None => (None, &[][..]),
        };
        Some(KnownJob {
            rules: Rules {
                job: known,
                claim: self.claim.as_ref()?,
            },
            record: self.record.as_mut()?,
            public: public.map(|record| record as &mut dyn Record),
            signed,
        })
    }
}

/// An account's part in a job.
pub struct Part<'a> {
    /// What the job is known by on the chain.
    pub id: U256,
    /// What the account is in it.
    pub role: Role,
    /// The job.
    pub job: Claimable<'a>,
    /// Its plan and programs: [`disputed`].
    pub disputed: &'a Disputed,
    /// What computes it.
    pub engine: &'a dyn Engine,
    /// A bit that this machine gets wrong.
    pub fault: Option<Fault>,
    /// Where the run is.
    pub folder: &'a Path,
    /// A copy of the worker's folder, if there is one.
    pub published: Option<&'a Path>,
    /// Shows the computation.
    pub progress: &'a dyn Progress,
    /// A request to end.
    pub stop: &'a Stop,
    /// Is told what happens.
    pub tell: &'a dyn Fn(PartEvent<'_>),
}

/// A part in the middle of it.
pub struct PartUnderWay<'a> {
    part: Part<'a>,
    link: &'a Link,
    writer: &'a Writer,
    /// The game contract.
    game: Address,
    party: Party,
    history: Option<History>,
    knows: Knows<'a>,
    told: BTreeSet<String>,
    /// The chain did not answer at the last look.
    is_away: bool,
}

impl<'a> Part<'a> {
    /// Looks whether the job of the chain is this one, and what of it is computed already.
    ///
    /// # Errors
    /// It is another job, the folder is of another one, or the chain does not answer.
    pub async fn begin(self, place: &PartPlace<'a>) -> Result<PartUnderWay<'a>, PartError> {
        let view = place.escrow.job(self.id).await.map_err(PartyError::from)?;
        let view = view.ok_or(PartyError::NoJob(self.id))?;
        self.require_same(&view)?;
        let (escrow, writer) = (place.escrow.clone(), place.writer.clone());
        let (salt, window) = (place.salt, place.reveal_window);
        let game = place.escrow.contracts().game;
        let mut under_way = PartUnderWay {
            game,
            party: Party::new(self.role, self.id, escrow, writer, salt, window),
            part: self,
            link: place.link,
            history: None,
            knows: Knows::default(),
            told: BTreeSet::new(),
            is_away: false,
            writer: place.writer,
        };
        under_way.remember()?;
        under_way.note_claim(&view);
        Ok(under_way)
    }

    /// Computes the job in the folder, or goes on with it, up to its end or a request to stop: what
    /// it came to, once it is whole. [`PartUnderWay`] does it in its time; before, a claim can be
    /// looked at while nothing is at stake.
    ///
    /// # Errors
    /// The folder is of another job, or the engine failed.
    pub fn compute(&self) -> Result<Option<History>, PartError> {
        let files = self.job.files.cloned().unwrap_or_default();
        let folder = RunFolder::open(self.folder, usize::MAX, files)?;
        let (engine, identity) = (self.engine, self.job.identity.clone());
        let (mut run, damaged) = JobRun::new(engine, self.job.plan, identity, folder)?;
        for text in &damaged {
            (self.tell)(PartEvent::Damaged(text));
        }
        if let Some(fault) = self.fault {
            run.break_with(fault);
        }
        carry_out(&mut run, Divergence::IsTheResult, self.progress, self.stop)?;
        if let Some(job) = self.job.answers {
            job.write_answers(&run.state()?, self.folder)?;
        }
        drop(run);
        Ok(whole_history(self.folder, self.job.identity)?)
    }

    fn require_same(&self, view: &JobView) -> Result<(), PartError> {
        let identity = self.job.identity;
        let length = length(self.job)?;
        let terms = |plan: &str, initial: &str, steps, stride| {
            format!(
                "plan {plan}, initial state {initial}, {steps} steps with a checkpoint every \
                 {stride}"
            )
        };
        let on_chain = terms(
            &hex(&view.plan.0),
            &hex(&view.initial.0),
            view.steps,
            view.stride,
        );
        let in_file = terms(
            &identity.plan,
            &identity.initial,
            length.steps(),
            length.stride(),
        );
        match on_chain == in_file {
            true => Ok(()),
            false => Err(PartError::OtherJob {
                job: self.id,
                on_chain,
                in_file,
            }),
        }
    }
}

impl PartUnderWay<'_> {
    /// Does what there is to do until nothing is left: the job as it ended.
    ///
    /// # Errors
    /// [`PartError`]; after a request to stop [`PartError::Stopped`].
    pub async fn play(&mut self) -> Result<JobView, PartError> {
        loop {
            if let Some(view) = self.advance().await? {
                return Ok(view);
            }
            self.rest().await?;
        }
    }

    /// One look, and what follows from it: the job, once there is nothing left to do.
    ///
    /// # Errors
    /// As [`PartUnderWay::play`].
    pub async fn advance(&mut self) -> Result<Option<JobView>, PartError> {
        let found = self.history.as_ref();
        let looked = match self.link.now().await {
            Ok(now) => self.party.advance(now, found, &mut self.knows).await,
            Err(error) => Err(error.into()),
        };
        match looked {
            Ok(progress) => {
                if std::mem::take(&mut self.is_away) {
                    (self.part.tell)(PartEvent::Back);
                }
                self.follow(&progress);
                let (view, is_over) = (progress.job, progress.act == Act::Over);
                self.carry_on(progress).await?;
                Ok(is_over.then_some(view))
            }
            Err(error) if error.is_transient() => {
                if !std::mem::replace(&mut self.is_away, true) {
                    (self.part.tell)(PartEvent::Away(&error));
                }
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What the account computed; none before it has.
    pub fn history(&self) -> Option<&History> {
        self.history.as_ref()
    }

    /// Reads what was computed, if it is whole.
    fn remember(&mut self) -> Result<(), PartError> {
        let part = &self.part;
        let Some(history) = whole_history(part.folder, part.job.identity)? else {
            return Ok(());
        };
        let engine = part.engine;
        let (job, folder, fault) = (part.disputed, part.folder, part.fault);
        let record = record(engine, job, part.job.plan, folder, history.clone(), fault)?;
        self.knows.record = Some(record);
        self.knows.job = Some((part.id, job));
        self.history = Some(history);
        Ok(())
    }

    /// Notes what is claimed on the chain, once it is.
    fn note_claim(&mut self, view: &JobView) {
        if view.state == JobState::Committed
            && let Some(history) = &self.history
        {
            self.knows.claim = Some(Claim {
                top: view.commitment.0,
                ..*history.claim()
            });
            self.look_at_published(view);
        }
    }

    /// Reads what the worker published, as soon as it is there and its claim differs.
    fn look_at_published(&mut self, view: &JobView) {
        let differs = self.knows.claim.map(|claim| claim.top)
            != self.history.as_ref().map(|history| history.claim().top);
        let Some(folder) = self.part.published.filter(|_| differs) else {
            return;
        };
        if self.knows.published.is_some() {
            return;
        }
        let domain = Domain {
            chain_id: self.link.client.chain_id(),
            contract: self.game,
        };
        let (job, identity) = (self.part.disputed, self.part.job.identity);
        let of = (&domain, self.part.id, view.worker);
        match Published::read(folder, job, identity, of) {
            Ok(published) => {
                for error in &published.passed_over {
                    (self.part.tell)(PartEvent::Damaged(&error.to_string()));
                }
                self.knows.published = Some(published);
            }
            Err(error) => {
                let text =
                    format!("what the worker published is not used, and a game begins: {error}");
                if self.is_new(text.clone()) {
                    (self.part.tell)(PartEvent::Damaged(&text));
                }
            }
        }
    }

    /// Notes what the chain says, and tells it where it is new.
    fn follow(&mut self, progress: &Progressed) {
        let view = &progress.job;
        self.note_claim(view);
        let (what, until) = match progress.act {
            Act::Wait(what, until) => (format!("waiting for {}", what.text()), until),
            Act::Compute => ("computing".into(), None),
            Act::Play if view.games == 1 => ("a game is under way".into(), None),
            Act::Play => (format!("{} games are under way", view.games), None),
            Act::Over => ("over".into(), None),
            _ => return,
        };
        if self.is_new(format!("{} {what} {until:?}", view.state)) {
            (self.part.tell)(PartEvent::Stands(view.state, &what, until));
        }
        let why = self.party.why_game().map(|why| {
            format!("what the worker published does not refute its claim, so a game does: {why}")
        });
        if let Some(text) = why.filter(|text| self.is_new(text.clone())) {
            (self.part.tell)(PartEvent::Damaged(&text));
        }
        for (game, why) in &progress.games.silent {
            if self.is_new(format!("{game} {why}")) {
                (self.part.tell)(PartEvent::Silent(*game, why));
            }
        }
    }

    /// Whether something was not told lately.
    fn is_new(&mut self, text: String) -> bool {
        if self.told.len() >= REMEMBERED {
            self.told.clear();
        }
        self.told.insert(text)
    }

    async fn carry_on(&mut self, progress: Progressed) -> Result<(), PartError> {
        if progress.act == Act::Compute {
            return self.compute();
        }
        if let Some((name, ticket)) = progress.sent {
            self.see_through(name, &ticket).await;
        }
        for (game, ticket) in progress.games.sent {
            let what = format!("move in game {game}");
            self.see_through(&what, &ticket).await;
        }
        Ok(())
    }

    /// Waits until a transaction is in a block. One that is refused is decided on anew: somebody
    /// may have been faster.
    async fn see_through(&self, what: &str, ticket: &Ticket) {
        let mut said = String::new();
        let included = loop {
            tokio::select! {
                included = ticket.included() => break included,
                () = self.part.stop.requested() => return,
                () = tokio::time::sleep(TROUBLE) => {}
            }
            if let Some(why) = trouble(self.writer).filter(|why| *why != said) {
                (self.part.tell)(PartEvent::Waits { what, why: &why });
                said = why;
            }
        };
        match &included {
            Ok(included) => {
                let (block, gas) = (included.block, included.gas_used);
                (self.part.tell)(PartEvent::Mined { what, block, gas });
            }
            Err(error) => (self.part.tell)(PartEvent::Refused { what, error }),
        }
    }

    fn compute(&mut self) -> Result<(), PartError> {
        self.part.compute()?;
        self.remember()
    }

    /// Waits for the next look. An embedded chain, whose time is its own, goes on by a second.
    async fn rest(&self) -> Result<(), PartError> {
        self.link.pass(1);
        let poll: Duration = self.link.poll;
        tokio::select! {
            () = tokio::time::sleep(poll) => Ok(()),
            () = self.part.stop.requested() => Err(PartError::Stopped),
        }
    }
}
