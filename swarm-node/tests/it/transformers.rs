//! A checkpoint is a folder that `transformers` loads as it is.
//!
//! These tests run Python with `transformers` and `torch`; TRANSFORMERS_PYTHON names the
//! interpreter, `python3` is the default. Where it has no such library they say so and are skipped.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use reproducible_ops::engine::cpu::CpuEngine;
use serde_json::{Value, json};
use swarm_model::Generator;
use swarm_model::generate::{Prompt, Request};
use swarm_node::job::{Model, Silent};

use crate::node::node;

/// Loads a folder, answers each prompt greedily, and tells what it loaded.
const SCRIPT: &str = r#"
import hashlib, json, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, prompts, new = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
tokenizer = AutoTokenizer.from_pretrained(folder)
answers = []
for prompt in prompts:
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    written = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=new)
    answers.append({"ids": ids[0].tolist(), "new": written[0][ids.shape[1]:].tolist()})
weights = {name: hashlib.sha256(tensor.detach().numpy().tobytes()).hexdigest() for name, tensor in model.state_dict().items()}
print(json.dumps({"dtype": str(model.dtype), "eos": model.generation_config.eos_token_id, "answers": answers,
    "missing": sorted(info["missing_keys"]), "unexpected": sorted(info["unexpected_keys"]), "weights": weights}))
"#;

fn python() -> Option<String> {
    let python = std::env::var("TRANSFORMERS_PYTHON").unwrap_or_else(|_| "python3".into());
    let probe = Command::new(&python)
        .args(["-c", "import torch, transformers"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if probe.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    eprintln!("skipped: {python} has no transformers; name another with TRANSFORMERS_PYTHON");
    None
}

/// What transformers makes of a folder.
fn load(python: &str, folder: &Path, prompts: &[&str], new: usize) -> Value {
    let output = Command::new(python)
        .args([
            "-c",
            SCRIPT,
            folder.to_str().unwrap(),
            &json!(prompts).to_string(),
            &new.to_string(),
        ])
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

/// Prompts as ids, and what our generator adds to each, greedily.
fn ours(folder: &Path, prompts: &[&str], new: usize) -> Value {
    let model = Model::load(Some(folder), &Silent).unwrap();
    let tokens = prompts
        .iter()
        .map(|prompt| model.tokenizer.encode_prompt(prompt).unwrap());
    let prompts: Vec<Prompt> = (0..)
        .zip(tokens)
        .map(|(index, tokens)| Prompt { tokens, index })
        .collect();
    let engine = Arc::new(CpuEngine::new(1));
    let mut generator = Generator::new(engine, model.config, model.tokenizer.ends()).unwrap();
    generator.set_weights(model.weights).unwrap();
    let request = Request {
        prompts: &prompts,
        samples: 1,
        max_new: new,
        key: [0; 2],
        temperature: 0.0,
    };
    let written = generator.generate(&request).unwrap();
    prompts
        .iter()
        .zip(written)
        .map(|(prompt, one)| json!({ "ids": prompt.tokens, "new": one[0].tokens }))
        .collect()
}

fn train(folder: &Path, extra: &[&str]) -> std::path::PathBuf {
    let out = folder.join("run");
    let mut arguments = vec![
        "train",
        "--json",
        "--steps",
        "2",
        "--out",
        out.to_str().unwrap(),
    ];
    for setting in [
        "train.questions=4",
        "train.heldout=2",
        "learn.group=4",
        "learn.max_new=8",
        "train.difficulty=0",
    ] {
        arguments.extend(["--set", setting]);
    }
    arguments.extend(extra);
    let ended = node(&arguments);
    ended.expect(0, &[]);
    ended.json()["checkpoint"].as_str().unwrap().into()
}

#[test]
fn a_trained_character_model_answers_in_transformers_as_it_does_here() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = train(folder.path(), &[]);
    let prompts = ["max 17 4 96=", "sort 5 2 9 1=", "count 3: 3 1 3 3="];
    let found = load(&python, &checkpoint, &prompts, 8);
    assert_eq!(found["answers"], ours(&checkpoint, &prompts, 8));
    assert!(
        found["answers"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["new"].as_array().unwrap().last() == Some(&json!(1)))
    );
    assert_eq!(
        (&found["missing"], &found["unexpected"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(
        (found["dtype"].as_str(), found["eos"].as_u64()),
        (Some("torch.float32"), Some(1))
    );
}

#[test]
fn a_trained_hugging_face_model_is_one_again() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    for name in ["llama", "qwen2"] {
        let root = folder.path().join(name);
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("crates/model/tests/transformers")
            .join(name);
        let checkpoint = train(
            &root,
            &["--model", source.to_str().unwrap(), "--families", "max"],
        );
        // No digits: `transformers` splits them by the family's own rule, whatever this small
        // tokenizer.json says.
        let prompts = ["the largest of them", "a b"];
        let found = load(&python, &checkpoint, &prompts, 6);
        assert_eq!(found["answers"], ours(&checkpoint, &prompts, 6), "{name}");
        assert_eq!(
            (&found["missing"], &found["unexpected"]),
            (&json!([]), &json!([]))
        );
        assert_eq!(found["dtype"], "torch.float32");
        let trained = Model::load(Some(&checkpoint), &Silent).unwrap();
        for (tensor, value) in trained.weights.iter() {
            let bytes: Vec<u8> = value
                .words()
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .collect();
            let digest = <sha2::Sha256 as sha2::Digest>::digest(&bytes);
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(found["weights"][tensor], digest, "{name}: {tensor}");
        }
    }
}
