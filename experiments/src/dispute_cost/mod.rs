//! What a dispute about real training costs on a chain: gas, transactions, bytes and seconds, from
//! the claim of a whole job down to one element; and whether the challenger wins wherever the fault
//! is. With `--generation` the jobs answer prompts instead of training.
//!
//! A worker lies about one step ([`liar::Lie`]): shows one bit of one value otherwise than it is,
//! or computes with other constants or another state than the plan and its claim say. In histories
//! longer than one step the other states are digests of nothing: they are only passed by. A step of
//! a stage of a pipeline ([`stage`]) is disputed alike, as a job of that step. The contracts are
//! those that are deployed, on the embedded chain; the players are the program's.

mod liar;
mod stage;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use contracts::jobs::JobState;
use reproducible_ops::engine::cpu::CpuEngine;
use reproducible_ops::program::ValueId;
use reproducible_ops::random::Stream;
use reproducible_ops::tensor::Tensor;
use serde_json::{Value, json};
use swarm_dispute::docket::End;
use swarm_dispute::testing::{CHALLENGER, Knows, WORKER, World};
use swarm_node::job::{GenerationSpec, Job, JobSpec, ModelSpec, Silent, Work};
use verde::execute::Executor;
use verde::game::Side;
use verde::history::{Claim, Length};
use verde::record::{Record, Replay};
use verde::testing::{Bit, OneBit, Placed};

use self::liar::{Ends, Liar, Lie, Workshop};
use crate::experiment::Experiment;
use crate::table::Table;

/// See the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "dispute-cost",
    about: "gas, transactions and time of disputes about real training, and who wins them",
    run,
};

const SPEC: &str = include_str!("../../../configs/nano/job.toml");
const GENERATION: &str = include_str!("../../../configs/nano/generation.toml");

/// Plays disputes.
#[derive(Debug, Parser)]
#[command(name = "dispute-cost")]
struct Options {
    /// Models whose training is disputed.
    #[arg(long, value_delimiter = ',', default_value = "nano,small10m")]
    models: Vec<String>,
    /// Steps of the job.
    #[arg(long, value_delimiter = ',', default_value = "100,1000,10000")]
    steps: Vec<u64>,
    /// Steps between checkpoints.
    #[arg(long, default_value_t = 10)]
    stride: u32,
    /// Rows of a microbatch.
    #[arg(long, default_value_t = 4)]
    rows: usize,
    /// Tokens of a row.
    #[arg(long, default_value_t = 64)]
    length: usize,
    /// Further disputes about the first model, at random places of random steps.
    #[arg(long, default_value_t = 0)]
    random: usize,
    /// Seed of the places.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Disputes a step of each stage of a nano pipeline, too.
    #[arg(long)]
    stages: bool,
    /// Disputes generation instead of training: rows of a step answer so many prompts.
    #[arg(long)]
    generation: bool,
    /// Threads of the engine.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// How the challenger comes by the worker's data.
#[derive(Clone, Copy, PartialEq)]
enum Path {
    /// Not at all: the worker shows it move by move.
    Slow,
    /// The worker published it, and signed what it claims of the step.
    Fast,
}

/// How a dispute without a game ends.
const REFUTED: End = End::Lost {
    side: Side::Worker,
    by_clock: false,
};

/// A played dispute.
struct Row {
    model: String,
    parameters: usize,
    steps: u64,
    path: Path,
    lie: Lie,
    place: String,
    gas: Vec<u64>,
    seconds: f64,
    end: Option<End>,
}

fn run(arguments: &[String]) -> Result<Value> {
    let options = Options::try_parse_from(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut rows = Vec::new();
    for model in &options.models {
        let disputed = Disputed::new(model, &options)?;
        for (steps, path) in options
            .steps
            .iter()
            .flat_map(|it| [(*it, Path::Slow), (*it, Path::Fast)])
        {
            let length = Length::new(steps, options.stride)?;
            // The dearest leaf: a block of a product, in the largest tensor of the step.
            let at = Bit {
                step: steps / 2,
                ..dearest(&disputed.verde)?
            };
            rows.push(runtime.block_on(disputed.play(length, Lie::Bit, at, path))?);
            print!("{}", table(&rows[rows.len() - 1..]));
        }
    }
    if options.stages {
        let of_stages = runtime.block_on(stage::disputes(&options))?;
        print!("{}", table(&of_stages));
        rows.extend(of_stages);
    }
    let random = random(&options, &runtime)?;
    let wins = random.iter().filter(|row| row.is_won()).count();
    ensure!(
        wins == random.len(),
        "{} of {} challengers won",
        wins,
        random.len()
    );
    ensure!(rows.iter().all(Row::is_won), "a challenger did not win");
    Ok(json!({
        "experiment": "dispute-cost",
        "rows": rows.iter().map(Row::json).collect::<Vec<_>>(),
        "random": {"disputes": random.len(), "won": wins, "lies": lies(&random),
                   "most_gas": random.iter().map(Row::total).max(),
                   "largest_call_gas": random.iter().filter_map(Row::largest).max()},
    }))
}

/// How many disputes there were about each lie, and how many of them the challenger won.
fn lies(rows: &[Row]) -> BTreeMap<String, [usize; 2]> {
    let mut lies = BTreeMap::new();
    for row in rows {
        let [all, won]: &mut [usize; 2] = lies.entry(row.lie.to_string()).or_default();
        *all += 1;
        *won += usize::from(row.is_won());
    }
    lies
}

fn random(options: &Options, runtime: &tokio::runtime::Runtime) -> Result<Vec<Row>> {
    let model = options.models.first().context("no model")?;
    let mut stream = Stream::from_seed("dispute-cost", options.seed);
    let disputed = Disputed::new(model, options)?;
    let mut rows = Vec::new();
    for number in 0..options.random {
        let length = Length::new(1 + stream.below(2_000), 1 + stream.below(50) as u32)?;
        let step = stream.below(length.steps());
        let at = Bit {
            step,
            ..disputed.draw(&mut stream)?
        };
        let path = if number % 2 == 0 {
            Path::Slow
        } else {
            Path::Fast
        };
        let lie = Lie::draw(&disputed.lies(&mut stream)?, &mut stream);
        let row = runtime.block_on(disputed.play(length, lie, at, path))?;
        eprintln!(
            "{number}: {}, {} of {} steps, {}: {} gas",
            row.lie,
            row.place,
            row.steps,
            row.who(),
            row.total()
        );
        rows.push(row);
    }
    Ok(rows)
}

/// The job that is disputed, with a model whose weights are random.
fn assemble(model: &str, options: &Options) -> Result<Job> {
    let preset = ModelSpec::Preset(model.into());
    if options.generation {
        let mut spec: GenerationSpec = toml::from_str(GENERATION)?;
        (spec.model, spec.stride, spec.generation.rows) = (preset, 1, options.rows);
        return Ok(Job::of_generation(&spec, &Silent)?);
    }
    let mut spec: JobSpec = toml::from_str(SPEC)?;
    spec.model = preset;
    (spec.batch.rows, spec.batch.length) = (options.rows, options.length);
    Ok(Job::of_training(&spec, &Silent)?)
}

/// One real step of a job.
struct Disputed {
    model: String,
    job: Job,
    verde: verde::job::Job,
    engine: CpuEngine,
    /// The state before the disputed step, and the one before that.
    states: [Vec<Tensor>; 2],
}

impl Disputed {
    fn new(model: &str, options: &Options) -> Result<Self> {
        let job = assemble(model, options)?;
        let planned = job.plan();
        let verde = verde::job::Job::new(planned.plan.clone(), planned.programs.clone())?;
        let engine = CpuEngine::new(options.threads);
        let earlier = planned.state.clone();
        let schedule = planned.schedule()?;
        let mut executor = Executor::new(&engine, schedule, &planned.constants, &earlier)?;
        executor.step(&[])?;
        let states = [executor.state()?, earlier];
        drop(executor);
        Ok(Self {
            model: model.into(),
            engine,
            job,
            verde,
            states,
        })
    }

    fn workshop(&self, lie: Lie) -> Result<Workshop> {
        let [state, earlier] = &self.states;
        Workshop::new(lie, self.job.plan(), earlier, state)
    }

    /// What a worker may lie about, with a token to be drawn wrong where the job generates.
    fn lies(&self, stream: &mut Stream) -> Result<Vec<Lie>> {
        let Work::Generation(generation) = &self.job.work else {
            return Ok(Lie::TRAINING.to_vec());
        };
        let [state, _] = &self.states;
        let planned = self.job.plan();
        let schedule = planned.schedule()?;
        let mut executor = Executor::new(&self.engine, schedule, &planned.constants, state)?;
        executor.step(&[])?;
        let answers = generation.plan.answers(&executor.state()?);
        // The state is that after one step, so the disputed one answers the second rows.
        let rows = generation.plan.sizes().rows;
        let row = stream.below(rows as u64) as usize;
        let token = stream.below(answers[rows + row].len() as u64) as usize;
        let fault = generation.plan.token_fault(1, row, token);
        Ok(Lie::generation(fault.context("no such token")?).to_vec())
    }

    fn draw(&self, stream: &mut Stream) -> Result<Bit> {
        loop {
            let run = stream.below(self.verde.plan().runs.len() as u64) as usize;
            let (_, program) = self.verde.run(run).context("no run")?;
            let value = stream.below(program.value_count() as u64) as usize;
            let ty = program.type_of(ValueId(value as u32)).context("no value")?;
            let elements = ty.shape.elements();
            if elements > 0 {
                let element = stream.below(elements as u64) as usize;
                // Of a bool one bit is enough to lie.
                let bit = if ty.dtype == reproducible_ops::program::DType::Bool {
                    1
                } else {
                    32
                };
                let bit = stream.below(bit) as u32;
                return Ok(Bit {
                    step: 0,
                    run,
                    value,
                    element,
                    bit,
                });
            }
        }
    }

    async fn play(&self, length: Length, lie: Lie, at: Bit, path: Path) -> Result<Row> {
        let shops = [self.workshop(Lie::Bit)?, self.workshop(lie)?];
        let [right, wrong] = &shops;
        let honest = || -> Result<Placed<Replay<'_, Ends>>> {
            Ok(Placed::new(right.record(&self.engine)?, length, at.step)?)
        };
        let begun = Instant::now();
        let (gas, end) = match lie {
            Lie::Bit => {
                let liar = || Ok(OneBit::new(&self.verde, honest()?, at));
                dispute(&self.verde, liar, honest()?, (path, at.step)).await?
            }
            _ => {
                let lying = || wrong.record(&self.engine);
                let liar = || Liar::new(lie, honest()?, lying()?, at.step);
                dispute(&self.verde, liar, honest()?, (path, at.step)).await?
            }
        };
        let (_, program) = self.verde.run(at.run).context("no run")?;
        let node = program.node_of(ValueId(at.value as u32));
        let operator = node.map_or("input", |node| node.operator.name());
        Ok(Row {
            model: self.model.clone(),
            parameters: self.parameters(),
            steps: length.steps(),
            path,
            lie,
            place: match lie {
                Lie::Bit => format!(
                    "step {}, run {}, value {} ({operator})",
                    at.step, at.run, at.value
                ),
                _ => format!("step {}", at.step),
            },
            gas,
            seconds: begun.elapsed().as_secs_f64(),
            end,
        })
    }

    fn parameters(&self) -> usize {
        let weights = self.job.model.weights.iter();
        weights.map(|(_, tensor)| tensor.words().len()).sum()
    }
}

/// The first element of the product with the longest reduction.
fn dearest(job: &verde::job::Job) -> Result<Bit> {
    let mut best: Option<(usize, usize, usize)> = None;
    for run in 0..job.plan().runs.len() {
        let (_, program) = job.run(run).context("no run")?;
        for id in (0..program.value_count() as u32).map(ValueId) {
            let Some(node) = program.node_of(id) else {
                continue;
            };
            if node.operator == reproducible_ops::program::Operator::MatmulNt {
                let ty = program.type_of(node.inputs[0]);
                let reduced = ty.context("an operand without a type")?.shape.last();
                if reduced <= 256 && best.is_none_or(|(most, ..)| reduced > most) {
                    best = Some((reduced, run, id.index()));
                }
            }
        }
    }
    let (_, run, value) = best.context("the step has no product")?;
    Ok(Bit {
        step: 0,
        run,
        value,
        element: 0,
        bit: 22,
    })
}

/// Plays a dispute between a liar and who recomputed its step: the gas of each transaction, and how
/// it ended.
async fn dispute<R: Record>(
    job: &verde::job::Job,
    liar: impl Fn() -> Result<R>,
    mut mine: impl Record,
    (path, step): (Path, u64),
) -> Result<(Vec<u64>, Option<End>)> {
    let (mut worker, mut public) = (liar()?, liar()?);
    let mut world = World::new().await;
    let history = worker.history().clone();
    let claim = *history.claim();
    let id = world.claimed(job, &history, 1).await;
    if path == Path::Fast {
        let signed = world.signed(id, &claim, &mut public, step);
        let mut challenger = Knows {
            signed: vec![signed],
            ..knows(job, claim, &mut mine, Some(&mut public))
        };
        // Where a long reduction is wrong, only a game comes to its numbers.
        if let Ok(refuted) = world.refute(CHALLENGER, id, &mut challenger).await {
            ensure!(
                world.state(id).await == JobState::Refuted,
                "the job was not refuted"
            );
            return Ok((refuted?.to_vec(), Some(REFUTED)));
        }
    }
    let public = (path == Path::Fast).then_some(&mut public as &mut dyn Record);
    let mut challenger = knows(job, claim, &mut mine, public);
    let opened = world.open_with(CHALLENGER, id, &mut challenger).await?;
    let defender = knows(job, claim, &mut worker, None);
    let played = world
        .play(&mut [(CHALLENGER, challenger), (WORKER, defender)])
        .await;
    let mut end = world.ends().await.into_iter().next().flatten();
    if end.is_none() {
        for (account, record) in [
            (WORKER, &mut worker as &mut dyn Record),
            (CHALLENGER, &mut mine as &mut dyn Record),
        ] {
            let mut player = world.player(account);
            let report = player.play(&mut knows(job, claim, record, None)).await?;
            for (game, why) in &report.silent {
                eprintln!("account {account} is silent in game {game}: {why}");
            }
            for (_, ticket) in report.sent {
                eprintln!("account {account}: {:?}", ticket.included().await);
            }
        }
        // A worker that cannot say what its numbers are made of is silent.
        world.pass(13 * 3_600);
        world
            .play(&mut [(CHALLENGER, knows(job, claim, &mut mine, None))])
            .await;
        end = world.ends().await.into_iter().next().flatten();
    }
    if end.is_none() {
        let mut player = world.player(CHALLENGER);
        let report = player.play(&mut knows(job, claim, &mut mine, None)).await?;
        eprintln!("the challenger has nothing to say: {:?}", report.silent);
    }
    Ok(([vec![opened.gas_used], played].concat(), end))
}

/// What a side of a dispute knows.
fn knows<'a>(
    job: &'a verde::job::Job,
    claim: Claim,
    record: &'a mut dyn Record,
    public: Option<&'a mut dyn Record>,
) -> Knows<'a> {
    Knows {
        job,
        claim,
        record,
        public,
        signed: Vec::new(),
    }
}

impl Row {
    fn total(&self) -> u64 {
        self.gas.iter().sum()
    }

    fn largest(&self) -> Option<u64> {
        self.gas.iter().copied().max()
    }

    fn is_won(&self) -> bool {
        matches!(
            self.end,
            Some(End::Lost {
                side: Side::Worker,
                ..
            })
        )
    }

    fn who(&self) -> &'static str {
        match self.end {
            Some(End::Lost {
                side: Side::Worker,
                by_clock: false,
            }) => "challenger",
            Some(End::Lost {
                side: Side::Worker,
                by_clock: true,
            }) => "challenger, by the clock",
            Some(End::Lost {
                side: Side::Challenger,
                ..
            }) => "worker",
            Some(End::Void) | None => "nobody",
        }
    }

    fn path(&self) -> &'static str {
        match self.path {
            Path::Slow => "slow",
            Path::Fast => "fast",
        }
    }

    fn json(&self) -> Value {
        json!({
            "model": self.model, "parameters": self.parameters, "steps": self.steps,
            "path": self.path(), "transactions": self.gas, "gas": self.total(),
            "largest_call_gas": self.largest(), "leaf_gas": self.gas.last(),
            "seconds": (self.seconds * 100.0).round() / 100.0, "winner": self.who(),
            "lie": self.lie.to_string(), "place": self.place,
        })
    }
}

fn table(rows: &[Row]) -> Table {
    let headings = [
        "model",
        "steps",
        "path",
        "transactions",
        "gas",
        "largest",
        "seconds",
        "winner",
    ];
    let mut table = Table::new(headings);
    for row in rows {
        table.row(vec![
            row.model.clone(),
            row.steps.to_string(),
            row.path().into(),
            row.gas.len().to_string(),
            row.total().to_string(),
            row.largest().unwrap_or_default().to_string(),
            format!("{:.1}", row.seconds),
            row.who().into(),
        ]);
    }
    table
}
