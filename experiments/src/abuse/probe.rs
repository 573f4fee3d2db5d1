//! What is seen of the victim while it is attacked: memory, answers to an honest peer, rounds,
//! bans.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use swarm_identity::{PeerId, Secret};
use swarm_net::{Config, Handle, NoBlobs};
use swarm_node::api::Client;
use swarm_node::node::query::Query;
use swarm_node::node::status::Status;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::cores::{Use, waited_ms};
use super::victim::{BANNED, Victim};

/// Time between two questions, and two looks at the memory.
const EVERY: Duration = Duration::from_millis(200);
/// Looks after which the victim's rounds and its log are looked at.
const SELDOM: u64 = 3;
/// Time after which a question counts as unanswered.
const DEADLINE: Duration = Duration::from_secs(5);

/// Everything that was seen; times in seconds since the watch began.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// Memory in MiB.
    pub rss: Vec<(f64, f64)>,
    /// Seconds of a core that the victim has used.
    pub cpu: Vec<(f64, f64)>,
    /// How busy all cores were until then.
    pub cores: Vec<(f64, Use)>,
    /// Answers; none where there was none.
    pub answers: Vec<(f64, Option<Answer>)>,
    /// Decided rounds, each with the seconds from its windows to its decision, and whether that was
    /// in time: within two settle windows, as one member of five is away, and a ballot more is
    /// needed where it proposes first.
    pub rounds: Vec<(f64, u64, f64, bool)>,
    /// When peers were seen banned.
    pub bans: Vec<f64>,
}

/// An answer to the honest peer.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// Milliseconds until it came, less those that the peer waited for a core of this machine,
    /// which in the world is not the victim's. They may have passed while the answer was under
    /// way, so this is the least that it took.
    pub ms: f64,
    /// Milliseconds that the peer waited for a core.
    pub waited_ms: f64,
}

/// What was seen in a span of time.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    /// Most memory, in MiB.
    pub rss_mib: f64,
    /// Share of one core that it used, in percent.
    pub cpu_percent: f64,
    /// Share of all cores that anybody used, in percent.
    pub busy_percent: f64,
    /// Median time of an answer, in milliseconds.
    pub p50_ms: f64,
    /// Time within which nineteen of twenty came.
    pub p95_ms: f64,
    /// The same of the asking peer's waits for a core, in milliseconds.
    pub waited_p95_ms: f64,
    /// Questions without an answer.
    pub unanswered: usize,
    /// Rounds that were decided.
    pub rounds: usize,
    /// Those decided in time.
    pub on_time: usize,
}

/// A watch that runs in threads of its own.
pub struct Watch {
    begun: Instant,
    samples: Arc<Mutex<Samples>>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Watch {
    /// Begins to watch, once the victim answers.
    ///
    /// # Errors
    /// The victim does not run.
    pub fn start(victim: &Victim) -> Result<Self> {
        let begun = Instant::now();
        let status = loop {
            match victim.status() {
                Ok(status) if status.listening.len() >= 2 => break status,
                _ if begun.elapsed() < Duration::from_secs(90) => thread::sleep(EVERY),
                other => break other.context("the victim does not answer")?,
            }
        };
        let (samples, over) = (Arc::new(Mutex::default()), Arc::new(AtomicBool::new(false)));
        let looks = Looks {
            process: victim.api()?.process,
            api: victim.api_file(),
            log: victim.log(),
            settle_ms: victim.config()?.windows.settle_ms.into(),
        };
        let asks = asking(victim, &status)?;
        let begun = Instant::now();
        let (looked, asked) = (
            (samples.clone(), over.clone()),
            (samples.clone(), over.clone()),
        );
        let threads = vec![
            thread::spawn(move || looks.look(begun, &looked.0, &looked.1)),
            thread::spawn(move || asks.ask(begun, &asked.0, &asked.1)),
        ];
        Ok(Self {
            begun,
            samples,
            over,
            threads,
        })
    }

    /// Seconds since it began.
    pub fn now(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// What was seen between two moments.
    pub fn phase(&self, (from, to): (f64, f64)) -> Phase {
        let samples = locked(&self.samples);
        let within = |at: f64| (from..to).contains(&at);
        let rss = samples.rss.iter().filter(|it| within(it.0));
        let asked: Vec<_> = samples.answers.iter().filter(|it| within(it.0)).collect();
        let answers: Vec<Answer> = asked.iter().filter_map(|it| it.1).collect();
        let at = |value: fn(&Answer) -> f64, part: f64| {
            let mut values: Vec<f64> = answers.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            let index = (values.len() as f64 * part) as usize;
            let index = index.min(values.len().saturating_sub(1));
            values.get(index).copied().unwrap_or(f64::NAN)
        };
        let rounds: Vec<_> = samples.rounds.iter().filter(|it| within(it.0)).collect();
        let mut used = samples.cpu.iter().filter(|it| within(it.0));
        let (first, last) = (used.next(), used.next_back());
        let cpu = first.zip(last).filter(|(first, last)| last.0 > first.0);
        let cpu = cpu.map(|(first, last)| (last.1 - first.1) / (last.0 - first.0));
        let mut busy = samples.cores.iter().filter(|it| within(it.0));
        let busy = busy.next().zip(busy.next_back());
        let busy = busy.map(|(first, last)| last.1.percent_since(first.1));
        Phase {
            cpu_percent: 100.0 * cpu.unwrap_or(f64::NAN),
            busy_percent: busy.unwrap_or(f64::NAN),
            rss_mib: rss.map(|it| it.1).fold(0.0, f64::max),
            p50_ms: at(|it| it.ms, 0.5),
            p95_ms: at(|it| it.ms, 0.95),
            waited_p95_ms: at(|it| it.waited_ms, 0.95),
            unanswered: asked.len() - answers.len(),
            rounds: rounds.len(),
            on_time: rounds.iter().filter(|it| it.3).count(),
        }
    }

    /// When the first peer was seen banned after a moment.
    pub fn first_ban(&self, after: f64) -> Option<f64> {
        let samples = locked(&self.samples);
        samples.bans.iter().copied().find(|at| *at >= after)
    }

    /// Ends it.
    pub fn end(mut self) -> Samples {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic has been printed by the thread.
            let _ = thread.join();
        }
        locked(&self.samples).clone()
    }
}

fn locked(samples: &Mutex<Samples>) -> std::sync::MutexGuard<'_, Samples> {
    samples.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks from outside: at the process, its API and its log.
struct Looks {
    process: u32,
    api: PathBuf,
    log: PathBuf,
    settle_ms: u64,
}

impl Looks {
    fn look(&self, begun: Instant, samples: &Mutex<Samples>, over: &AtomicBool) {
        let (mut looks, mut banned) = (0, 0);
        while !over.load(Ordering::Relaxed) {
            let rss = rss_mib(self.process);
            let at = begun.elapsed().as_secs_f64();
            if let Some(rss) = rss {
                locked(samples).rss.push((at, rss));
            }
            if let Some(used) = cpu_seconds(self.process) {
                locked(samples).cpu.push((at, used));
            }
            if let Some(cores) = Use::now() {
                locked(samples).cores.push((at, cores));
            }
            looks += 1;
            if looks % SELDOM == 0 {
                self.rounds(at, samples);
                // A log that cannot be read, as amid a character, is read at the next look.
                if let Ok(log) = fs::read_to_string(&self.log) {
                    let bans = log.matches(BANNED).count();
                    for _ in banned..bans {
                        locked(samples).bans.push(at);
                    }
                    banned = bans;
                }
            }
            thread::sleep(EVERY);
        }
    }

    fn rounds(&self, at: f64, samples: &Mutex<Samples>) {
        let status = Client::open(&self.api).and_then(|client| client.get::<Status>("/api/status"));
        let Some(last) = status.ok().and_then(|status| status.last) else {
            return;
        };
        let mut samples = locked(samples);
        if samples.rounds.iter().all(|known| known.1 != last.round) {
            let is_on_time = last.after_ms <= 2 * self.settle_ms;
            let after = last.after_ms as f64 / 1e3;
            samples.rounds.push((at, last.round, after, is_on_time));
        }
    }
}

/// Memory of a process, in MiB.
fn rss_mib(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

/// Seconds of a core that a process has used: ticks of a hundredth, as Linux has them everywhere.
fn cpu_seconds(process: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The program's name, in brackets, may hold anything.
    let fields = stat.rsplit_once(')')?.1;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks = ticks.map(|ticks| ticks.parse::<f64>().ok());
    Some(ticks.sum::<Option<f64>>()? / 100.0)
}

/// An honest peer, no member, that asks the victim what time it is.
struct Asks {
    config: Config,
    secret: Secret,
    victim: PeerId,
}

fn asking(victim: &Victim, status: &Status) -> Result<Asks> {
    let quic = status.listening.iter().find(|at| at.contains("quic"));
    let quic = quic.context("the victim does not listen by QUIC")?;
    let target = victim.target()?;
    waited_ms()?;
    Ok(Asks {
        config: Config {
            bootstrap: vec![quic.parse()?],
            ..Config::loopback(target.config.swarm_id())
        },
        secret: Secret::random()?,
        victim: target.peer,
    })
}

impl Asks {
    fn ask(self, begun: Instant, samples: &Mutex<Samples>, over: &AtomicBool) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async move {
            let started = swarm_net::start(self.config, &self.secret, Arc::new(NoBlobs)).await;
            let Ok((handle, mut events)) = started else {
                return;
            };
            tokio::spawn(async move { while events.next().await.is_some() {} });
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // It counts from when the two are connected.
            while !over.load(Ordering::Relaxed) && ask(&handle, self.victim).await.is_none() {
                ticks.tick().await;
            }
            while !over.load(Ordering::Relaxed) {
                ticks.tick().await;
                let at = begun.elapsed().as_secs_f64();
                let answer = ask(&handle, self.victim).await;
                locked(samples).answers.push((at, answer));
            }
            handle.shutdown().await;
        });
    }
}

/// One answer.
async fn ask(handle: &Handle, victim: PeerId) -> Option<Answer> {
    let question = Query::Time.to_bytes().ok()?;
    let begun = Instant::now();
    // The peer's network runs on this thread, too.
    let before = waited_ms().ok()?;
    let answer = timeout(DEADLINE, handle.request(victim, question)).await;
    let waited_ms = waited_ms().ok()? - before;
    let took_ms = begun.elapsed().as_secs_f64() * 1e3;
    matches!(answer, Ok(Ok(_))).then_some(Answer {
        ms: took_ms - waited_ms,
        waited_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_peer_waited_for_a_core_is_not_the_victims() {
        let answers = (0..100).map(|number| {
            let waited_ms = if number < 10 { 90.0 } else { 0.5 };
            (f64::from(number), Some(Answer { ms: 2.0, waited_ms }))
        });
        let watch = Watch {
            begun: Instant::now(),
            samples: Arc::new(Mutex::new(Samples {
                answers: answers.collect(),
                ..Samples::default()
            })),
            over: Arc::default(),
            threads: Vec::new(),
        };
        let phase = watch.phase((0.0, 100.0));
        assert_eq!((phase.p95_ms, phase.waited_p95_ms), (2.0, 90.0));
        assert_eq!(phase.unanswered, 0);
    }
}
