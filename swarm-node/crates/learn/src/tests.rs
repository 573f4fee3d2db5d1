//! The learner as a whole: pretraining, evaluation and rounds on a tiny decoder.

use std::ops::ControlFlow;
use std::sync::Arc;

use reproducible_ops::engine::Engine;
use reproducible_ops::engine::cpu::CpuEngine;
use reproducible_ops::weights::Buffers;
use swarm_identity::PeerId;
use swarm_model::generate::{Generation, Prompt, Request};
use swarm_model::{ModelConfig, Tokenizer, init};
use swarm_round::sim::{Simulation, toy};
use swarm_task::corpus::{BatchShape, CorpusRecipe};
use swarm_task::prompt::Composer;
use swarm_task::{FamilyId, Library, charset};

use super::assemble::{Objective, OptimizerConfig};
use super::batch::Sequence;
use super::driver::Swarm;
use super::eval::EvalSet;
use super::grpo::GrpoConfig;
use super::guard::Verdict;
use super::judge::TaskJudge;
use super::peer::{Peer, PeerConfig, PeerError, PeerParts, PeerState};
use super::policy::{Policy, PolicyError};
use super::pretrain::{PretrainConfig, PretrainError, Pretrainer, Saves};
use super::run_folder::RunFolder;
use super::sapo::Mix;
use super::setup;
use super::trainer::Trainer;

fn model() -> ModelConfig {
    let nano = ModelConfig::preset("nano").unwrap();
    ModelConfig {
        hidden_size: 16,
        num_layers: 1,
        num_heads: 2,
        num_kv_heads: 2,
        head_dim: 8,
        intermediate_size: 32,
        ..nano
    }
}

fn tokenizer() -> Arc<Tokenizer> {
    Arc::new(Tokenizer::characters(charset::CHARACTERS))
}

fn trainer(threads: usize, objective: Objective) -> Trainer {
    let programs =
        setup::training_programs(&model(), 4, 128, objective, &OptimizerConfig::default()).unwrap();
    let params = init::initialise(&model(), 5).unwrap();
    setup::trainer(&CpuEngine::new(threads), &model(), programs, &params).unwrap()
}

fn pretraining(steps: u64) -> PretrainConfig {
    let batch = BatchShape {
        answers: 16,
        critiques: 2,
        decisions: 2,
    };
    let checkpoint_every = 2;
    PretrainConfig {
        batch,
        warmup: 2,
        checkpoint_every,
        ..PretrainConfig::nano(CorpusRecipe::nano(3, 0.5), steps)
    }
}

#[test]
fn a_memory_decides_how_much_is_computed_again() {
    let model = ModelConfig::preset("nano").unwrap();
    let optimizer = OptimizerConfig::default();
    let programs = setup::training_programs(&model, 4, 128, Objective::Supervised, &optimizer);
    let programs = programs.unwrap();
    let choices: Vec<(usize, u64)> = programs
        .choices()
        .map(|choice| {
            let programs = choice.unwrap();
            (programs.segments, programs.planned_bytes().unwrap())
        })
        .collect();
    let (all, least) = (
        choices[0],
        *choices.iter().min_by_key(|choice| choice.1).unwrap(),
    );
    assert_eq!(all, (1, programs.planned_bytes().unwrap()));
    assert!(least.0 > 1 && least.1 < all.1, "{choices:?}");
    let segments = |bytes| programs.within(bytes).map(|programs| programs.segments);
    assert_eq!(segments(all.1).unwrap(), 1);
    assert_eq!(segments(least.1).unwrap(), least.0);
    let refused = segments(least.1 - 1).unwrap_err().to_string();
    assert!(refused.contains("4 rows of 128 tokens"), "{refused}");
}

#[test]
fn pretraining_has_one_digest_across_threads_and_a_stop() {
    let (tokenizer, config) = (tokenizer(), pretraining(7));
    let run = |threads, saves: Option<Saves>, stop_at: u64| {
        let trainer = trainer(threads, Objective::Supervised);
        let (mut run, skipped) =
            Pretrainer::new(config.clone(), &tokenizer, trainer, saves).unwrap();
        assert!(skipped.is_empty());
        let mut losses = Vec::new();
        run.run(|report| {
            losses.push(report.loss);
            if report.step + 1 == stop_at {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .unwrap();
        (run.params().unwrap().digest(), losses)
    };
    let (unbroken, losses) = run(1, None, 0);
    assert!(losses.len() == 7 && losses[6] < losses[0], "{losses:?}");
    assert_eq!(run(2, None, 0).0, unbroken);
    let folder = tempfile::tempdir().unwrap();
    let open = |optimizer: &str| {
        let folder = RunFolder::open(folder.path(), 2, Arc::default()).unwrap();
        Some(Saves {
            folder,
            identity: serde_json::json!({ "optimizer": optimizer }),
        })
    };
    let (halfway, first) = run(1, open("a"), 3);
    let (resumed, rest) = run(2, open("a"), 0);
    assert_ne!(halfway, resumed);
    assert_eq!(resumed, unbroken);
    assert_eq!([first, rest].concat(), losses);
    let other = Pretrainer::new(
        config,
        &tokenizer,
        trainer(1, Objective::Supervised),
        open("b"),
    );
    assert!(matches!(other, Err(PretrainError::Checkpoint(_))));
}

/// Answers "max" questions: even samples the largest number, odd ones the smallest.
struct Reader(Arc<Tokenizer>);

impl Reader {
    fn text(&self, prompt: &str, sample: u32) -> String {
        let question = prompt.split('=').next().unwrap_or_default();
        let numbers = question
            .split(' ')
            .filter_map(|word| word.parse::<u32>().ok());
        let number = if sample.is_multiple_of(2) {
            numbers.max()
        } else {
            numbers.min()
        };
        let number = number.unwrap_or_default();
        if prompt.ends_with('!') {
            format!("{number}|{number}")
        } else {
            number.to_string()
        }
    }
}

impl Policy for Reader {
    fn write(&mut self, request: &Request<'_>) -> Result<Vec<Vec<Generation>>, PolicyError> {
        let complete = |prompt: &str, sample| {
            let mut tokens = self.0.encode(&self.text(prompt, sample)).unwrap();
            tokens.push(self.0.eos());
            Generation {
                logp: vec![-1.0; tokens.len()],
                tokens,
                ended: true,
            }
        };
        let prompts = request
            .prompts
            .iter()
            .map(|prompt| self.0.decode(&prompt.tokens).unwrap());
        Ok(prompts
            .map(|prompt| {
                (0..request.samples)
                    .map(|sample| complete(&prompt, sample))
                    .collect()
            })
            .collect())
    }

    fn load(&mut self, _: Buffers) -> Result<(), PolicyError> {
        Ok(())
    }
}

fn peer_of(id: PeerId, judge: Arc<TaskJudge>, config: PeerConfig) -> Peer {
    Peer::new(PeerParts {
        id,
        policy: Box::new(Reader(tokenizer())),
        trainer: trainer(1, Objective::OnPolicy(GrpoConfig::default())),
        tokenizer: tokenizer(),
        judge,
        composer: Arc::new(Composer::nano()),
        config,
    })
    .unwrap()
}

fn swarm(peers: u16, rounds: u64, threads: usize, config: PeerConfig) -> (Swarm, Vec<[u8; 32]>) {
    let judge = Arc::new(TaskJudge::new(Library::new(), vec![(FamilyId::Max, 0)]));
    let spec = toy::spec(peers, rounds, 11);
    let peers = (0..usize::from(peers))
        .map(|peer| peer_of(spec.key(peer).unwrap().peer(), judge.clone(), config));
    let mut swarm = Swarm::new(peers.collect(), threads).unwrap();
    Simulation::new(spec, judge).unwrap().run(&mut swarm);
    let digests = swarm.each(|_, peer| peer.trainer().params().unwrap().digest());
    (swarm, digests)
}

#[test]
fn a_round_teaches_every_peer_its_own_and_the_others_groups() {
    let (swarm, digests) = swarm(3, 2, 1, PeerConfig::default());
    assert!(
        swarm.journal.failures.is_empty(),
        "{:?}",
        swarm.journal.failures
    );
    assert_eq!(swarm.journal.reports.len(), 6);
    for report in swarm.journal.reports.values() {
        let [own, external, critiques, decisions] = report.groups;
        assert!(
            (2..=4).contains(&own) && (4..=8).contains(&external),
            "{report:?}"
        );
        assert!(critiques > 0 && decisions > 0, "{report:?}");
        assert_eq!(report.reward, Some(0.5));
        assert_eq!((report.unreadable, report.verdict), (0, Verdict::Continue));
        assert!(
            report
                .step
                .as_ref()
                .is_some_and(|step| step.grad_norm > 0.0 && step.metrics["clip_fraction"] == 0.0)
        );
    }
    assert_ne!(digests[0], digests[1]);
}

#[test]
fn a_peer_resumes_what_it_had_become() {
    let config = PeerConfig::default();
    let (swarm, digests) = swarm(3, 2, 1, config);
    let state = swarm.each(|_, peer| peer.state().unwrap()).remove(0);
    let judge = Arc::new(TaskJudge::new(Library::new(), vec![(FamilyId::Max, 0)]));
    let mut fresh = peer_of(PeerId([2; 33]), judge, config);
    assert_ne!(fresh.trainer().params().unwrap().digest(), digests[0]);
    fresh.restore(state.clone()).unwrap();
    assert_eq!(fresh.trainer().params().unwrap().digest(), digests[0]);
    assert_eq!(fresh.state().unwrap(), state);
    // A guard that would return to nothing.
    let torn = PeerState {
        best: state.best.is_none().then(|| state.state.clone()),
        ..state
    };
    assert!(matches!(fresh.restore(torn), Err(PeerError::NoBest)));
}

#[test]
fn threads_change_no_bit_of_a_swarm() {
    let run = |threads| swarm(3, 2, threads, PeerConfig::default()).1;
    assert_eq!(run(1), run(3));
}

#[test]
fn a_peer_alone_trains_on_its_own_groups_only() {
    let mix = Mix {
        external: 0,
        ..Mix::default()
    };
    let (swarm, _) = swarm(
        3,
        1,
        2,
        PeerConfig {
            mix,
            stage_samples: 1,
            ..PeerConfig::default()
        },
    );
    assert!(
        swarm
            .journal
            .reports
            .values()
            .all(|report| report.groups[1..] == [0, 0, 0] && report.groups[0] >= 2)
    );
}

#[test]
fn evaluation_counts_right_answers_by_family() {
    let tokenizer = tokenizer();
    let families = [(FamilyId::Max, 0), (FamilyId::Sort, 0)];
    let set = EvalSet::held_out(&families, 20, 7, &Composer::nano(), &tokenizer, 20).unwrap();
    let mut reader = Reader(tokenizer.clone());
    let greedy = set.greedy(&mut reader, &tokenizer).unwrap();
    let share = |family| greedy.families()[&family].share;
    assert_eq!(
        (
            share(FamilyId::Max),
            share(FamilyId::Sort),
            greedy.mean().share
        ),
        (1.0, 0.0, 0.5)
    );
    let sampled = set.sampled(&mut reader, &tokenizer, 4, [1, 2]).unwrap();
    assert!(
        (sampled.families()[&FamilyId::Max].share - 0.5).abs() < 1e-6,
        "{sampled:?}"
    );
    assert_eq!(set.answers(&mut reader, &tokenizer).unwrap().len(), 40);
}

#[test]
fn a_real_model_writes_what_it_scores() {
    let tokenizer = tokenizer();
    let engine: Arc<dyn Engine> = Arc::new(CpuEngine::new(1));
    let params = init::initialise(&model(), 5).unwrap();
    let mut generator =
        setup::generator(engine.clone(), &model(), &tokenizer, params.clone()).unwrap();
    let prompts = ["max 38 15 27=", "a"].map(|text| tokenizer.encode(text).unwrap());
    let numbered = (0..).zip(&prompts).map(|(index, tokens)| Prompt {
        tokens: tokens.clone(),
        index,
    });
    let request = Request {
        prompts: &numbered.collect::<Vec<_>>(),
        samples: 3,
        max_new: 9,
        key: [3, 4],
        temperature: 1.0,
    };
    let written = generator.write(&request).unwrap();
    let sequences = prompts
        .iter()
        .zip(&written)
        .map(|(prompt, written)| Sequence {
            prompt,
            completions: written.iter().map(|one| &one.tokens[..]).collect(),
        });
    let sequences: Vec<_> = sequences.collect();
    let scored = setup::scorer(engine.as_ref(), &model(), 4, 64, &params)
        .unwrap()
        .score(&sequences)
        .unwrap();
    for (one, logp) in written.iter().flatten().zip(&scored) {
        assert_eq!(one.logp.len(), logp.len());
        assert!(
            one.logp.iter().zip(logp).all(|(a, b)| (a - b).abs() < 1e-4),
            "{:?} {logp:?}",
            one.logp
        );
    }
}
