#![allow(missing_docs)]
use std::sync::Arc;
use std::time::Instant;
use reproducible_ops::engine::{Engine, cpu::{CpuEngine, Path}};
use swarm_node::learn::assemble::{Objective, OptimizerConfig};
use swarm_node::learn::eval::EvalSet;
use swarm_node::learn::pretrain::{PretrainConfig, Pretrainer};
use swarm_node::learn::policy::Policy;
use swarm_node::learn::trainer::{Programs, Trainer};
use swarm_node::model::{Generator, ModelConfig, Tokenizer, init, programs, rope};
use swarm_node::task::corpus::CorpusRecipe;
use swarm_node::task::{FamilyId, charset};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let get = |name: &str, default: &str| {
        args.iter().position(|a| a == name).map(|i| args[i + 1].clone()).unwrap_or(default.into())
    };
    let steps: u64 = get("--steps", "100").parse().unwrap();
    let rows: usize = get("--rows", "16").parse().unwrap();
    let length: usize = get("--length", "64").parse().unwrap();
    let threads: usize = get("--threads", "1").parse().unwrap();
    let wrong: f32 = get("--wrong", "0.55").parse().unwrap();
    let lr: f32 = get("--lr", "3e-3").parse().unwrap();
    let every: u64 = get("--every", "200").parse().unwrap();
    let out = get("--out", "");
    let engine: Arc<dyn Engine> = Arc::new(CpuEngine::with_path(Path::detect(), threads));
    let config = ModelConfig::preset("nano").unwrap();
    let tokenizer = Tokenizer::characters(charset::CHARACTERS);
    let mut weights = init::initialise(&config, 1).unwrap();
    let tables = rope::Tables::new(&config).unwrap();
    weights.insert("rope.cos", tables.cos);
    weights.insert("rope.sin", tables.sin);
    let t = Instant::now();
    let forward = programs::forward(&config, rows, length).unwrap();
    println!("forward {} nodes in {:?}", forward.nodes().len(), t.elapsed());
    let p = Programs::new(&forward, Objective::Supervised, &OptimizerConfig::default()).unwrap();
    println!("accumulation {} nodes, {:?}", p.accumulation.nodes().len(), t.elapsed());
    let trainer = Trainer::new(engine.as_ref(), Arc::new(p), &weights).unwrap();
    println!("loaded {:?}", t.elapsed());
    let mut pc = PretrainConfig::nano(CorpusRecipe::nano(1, wrong), steps);
    pc.learning_rate = lr;
    let (mut pre, _) = Pretrainer::new(pc, &tokenizer, trainer, None).unwrap();
    let families: Vec<(FamilyId, u8)> = FamilyId::NANO.iter().map(|&f| (f, 0)).collect();
    let set = EvalSet::held_out(&families, 100, 5, &tokenizer, 20).unwrap();
    let mut generator = Generator::new(engine.clone(), config.clone(), tokenizer.ends()).unwrap();
    let start = Instant::now();
    for step in 0..steps {
        let r = pre.step().unwrap();
        if step % 50 == 0 || step + 1 == steps {
            println!("step {step} loss {:.4} norm {:.3} tokens {} micro {} util {:.2} {:?}", r.loss, r.grad_norm, r.tokens, r.microbatches, r.utilisation, start.elapsed());
        }
        if (step + 1) % every == 0 || step + 1 == steps {
            let t = Instant::now();
            Policy::load(&mut generator, &pre.params().unwrap()).unwrap();
            let g = set.greedy(&mut generator, &tokenizer).unwrap();
            let s = set.sampled(&mut generator, &tokenizer, 4, [1, 2]).unwrap();
            println!("  eval greedy {:.3} sampled {:.3} {:?} {:?} in {:?}", g.mean, s.mean, g.families, s.families, t.elapsed());
            if !out.is_empty() {
                pre.params().unwrap().save(format!("{out}-{}.safetensors", step + 1)).unwrap();
            }
        }
    }
}
