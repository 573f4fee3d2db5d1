//! Receipts: what a model answered is right, and a change of it is found where it was made.

use std::fs;
use std::path::{Path, PathBuf};

use reproducible_ops::engine::cpu::InstructionSet;
use swarm_learn::receipt::{Content, Receipt};

use crate::jobs::{edited, run};
use crate::node::{Ended, node, untrained};

const PROMPT: &str = "sort 38152=";

fn make(out: &Path, extra: &[&str]) -> Ended {
    let mut arguments = vec!["receipt", "make", "--out", out.to_str().unwrap()];
    arguments.extend(extra);
    node(&arguments)
}

/// A receipt of an answer of the shipped model.
fn made(folder: &Path, extra: &[&str]) -> PathBuf {
    let out = folder.join("receipt.json");
    let asked = ["--prompt", PROMPT, "--seed", "7", "--max-new", "12"];
    make(&out, &[&asked[..], extra].concat()).expect(0, &[]);
    out
}

fn verify(receipt: &Path, extra: &[&str]) -> Ended {
    let mut arguments = vec!["receipt", "verify", receipt.to_str().unwrap()];
    arguments.extend(extra);
    node(&arguments)
}

/// The code of a verification, whose first line is its verdict, with this in its reason.
fn expect(ended: &Ended, code: i32, word: &str, reason: &str) {
    ended.expect(code, &[reason]);
    assert_eq!(ended.out.lines().next(), Some(word), "{}", ended.out);
}

fn read(path: &Path) -> Receipt {
    Receipt::from_text(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Forges a receipt: a change with the digest that belongs to it.
fn forge(path: &Path, change: impl FnOnce(&mut Receipt)) {
    let mut receipt = read(path);
    change(&mut receipt);
    fs::write(path, receipt.to_text().unwrap()).unwrap();
}

fn answer_of(receipt: &mut Receipt) -> &mut Vec<u32> {
    match &mut receipt.content {
        Content::Answer { answer, .. } => &mut answer.tokens,
        Content::Evaluation { .. } => panic!("an evaluation"),
    }
}

#[test]
fn an_answer_is_right_and_the_same_on_any_threads_and_path() {
    let folder = tempfile::tempdir().unwrap();
    let receipt = made(folder.path(), &["--threads", "1"]);
    let text = fs::read_to_string(&receipt).unwrap();
    expect(&verify(&receipt, &[]), 0, "right", "");
    for isa in InstructionSet::available() {
        let isa = isa.to_string();
        expect(&verify(&receipt, &["--isa", &isa]), 0, "right", "");
        made(folder.path(), &["--threads", "3", "--isa", &isa]);
        assert_eq!(fs::read_to_string(&receipt).unwrap(), text, "{isa}");
    }
    let told = verify(&receipt, &["--json"]).json();
    assert_eq!(told["verdict"], "right");
    assert!(told["hashed_bytes"].as_u64().unwrap() > 1_000_000, "{told}");
    let out = folder.path().join("other.json");
    let other = make(&out, &["--prompt", PROMPT, "--seed", "8", "--json"]).json();
    assert_ne!(other["digest"], told["digest"]);
    assert_eq!(other["file"], out.to_str().unwrap());
}

/// A model with a tokenizer of its own, most of whose tokens are parts of characters.
#[test]
fn a_hugging_face_model_has_receipts_too() {
    let folder = tempfile::tempdir().unwrap();
    let model = "crates/model/tests/transformers/qwen2";
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join(model);
    let model = ["--model", model.to_str().unwrap()];
    let receipt = folder.path().join("receipt.json");
    let asked = ["--prompt", "Größe \"x\"\n", "--max-new", "90"];
    let made = make(&receipt, &[&asked[..], &model, &["--json"]].concat()).json();
    assert!(made["tokens"].as_u64().unwrap() > 64, "{made}");
    expect(&verify(&receipt, &model), 0, "right", "");
    forge(&receipt, |receipt| answer_of(receipt)[64] ^= 1);
    expect(&verify(&receipt, &model), 6, "wrong", "token 64 of");
}

#[test]
fn a_changed_token_is_named_with_the_one_that_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let receipt = made(folder.path(), &[]);
    let right = answer_of(&mut read(&receipt)).clone();
    assert!(right.len() > 3, "{right:?}");
    let (drawn, claimed) = (right[2], right[2] + 1);
    forge(&receipt, |receipt| answer_of(receipt)[2] = claimed);
    let reason = format!("token 2 of the answer is {claimed}, and the model draws {drawn}");
    expect(&verify(&receipt, &[]), 6, "wrong", &reason);
    let told = verify(&receipt, &["--json"]).json();
    assert_eq!(told["position"], 2);
    assert_eq!(told["claimed"], claimed);
    assert_eq!(told["drawn"], drawn);
    forge(&receipt, |receipt| {
        *answer_of(receipt) = right[..2].to_vec()
    });
    expect(&verify(&receipt, &[]), 6, "wrong", "stops after 2 tokens");
}

#[test]
fn a_receipt_of_another_model_is_wrong_where_the_model_was_named() {
    let folder = tempfile::tempdir().unwrap();
    let model = untrained(folder.path());
    let model = ["--model", model.to_str().unwrap()];
    let receipt = made(folder.path(), &[]);
    expect(
        &verify(&receipt, &model),
        6,
        "wrong",
        "parameters with the root",
    );
    let receipt = made(folder.path(), &model);
    expect(&verify(&receipt, &[]), 7, "cannot-tell", "with --model");
    expect(&verify(&receipt, &model), 0, "right", "");
}

#[test]
fn what_is_no_receipt_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let receipt = made(folder.path(), &[]);
    let text = fs::read_to_string(&receipt).unwrap();
    let changed = text.replacen("\"seed\":7", "\"seed\":6", 1);
    let unknown = text.replacen("{\"format\"", "{\"mood\":1,\"format\"", 1);
    for (text, said) in [
        (&changed[..], "it was changed or cut off"),
        (&text[..text.len() / 2], "EOF"),
        (&unknown, "unknown field `mood`"),
        ("{}", "missing field `format`"),
        ("", "EOF"),
        (&" ".repeat((1 << 24) + 1), "more than 16777216 bytes"),
    ] {
        fs::write(&receipt, text).unwrap();
        let ended = verify(&receipt, &[]);
        ended.expect(1, &["receipt.json", said]);
        assert!(ended.out.is_empty(), "{}", ended.out);
    }
    verify(&folder.path().join("none.json"), &[]).expect(1, &["none.json"]);
    let prompt = ["--prompt", PROMPT];
    let refused = |extra: &[&str], said: &str| {
        let ended = make(&receipt, &[&prompt[..], extra].concat());
        ended.expect(2, &[said]);
    };
    refused(&["--max-new", "0"], "max_new is 0");
    refused(&["--max-new", "512"], "512 positions");
    refused(&["--temperature", "-1"], "temperature");
    refused(&["--temperature", "nan"], "temperature is NaN");
    make(&receipt, &["--prompt", "é"]).expect(2, &["'é'"]);
    make(&receipt, &[]).expect(2, &["--prompt"]);
    make(&receipt, &["--family", "gsm8k"]).expect(2, &["gsm8k"]);
}

#[test]
fn a_receipt_of_a_job_is_tied_to_its_history() {
    let folder = tempfile::tempdir().unwrap();
    let spec = edited(folder.path(), &[("steps", "4"), ("stride", "2")]);
    let job = folder.path().join("job");
    run(&spec, &job, &[]).expect(0, &[]);
    let job_text = job.to_str().unwrap();
    let receipt = made(folder.path(), &["--model", job_text]);
    let whole = ["--model", job_text, "--job", job_text];
    let verified = verify(&receipt, &whole);
    expect(&verified, 0, "right", "");
    assert!(verified.out.contains("after 4 steps"), "{}", verified.out);

    // The parameters are enough: of the other tensors the receipt has the roots.
    let alone = folder.path().join("alone.safetensors");
    fs::copy(job.join("step-00000004/model.safetensors"), &alone).unwrap();
    let alone = ["--model", alone.to_str().unwrap(), "--job", job_text];
    expect(&verify(&receipt, &alone), 0, "right", "");
    let without = folder.path().join("without.json");
    let asked = ["--prompt", PROMPT, "--model", alone[1]];
    make(&without, &asked).expect(0, &[]);
    expect(&verify(&without, &alone[..2]), 0, "right", "");
    expect(
        &verify(&without, &alone),
        7,
        "cannot-tell",
        "names no state",
    );

    let elsewhere = folder.path().to_str().unwrap();
    let nowhere = ["--model", job_text, "--job", elsewhere];
    expect(
        &verify(&receipt, &nowhere),
        7,
        "cannot-tell",
        "history.json",
    );
    let history = job.join("history.json");
    let text = fs::read_to_string(&history).unwrap();
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    let [first, last] = [0, 2].map(|at| told["roots"][at].as_str().unwrap());
    fs::write(&history, text.replace(last, first)).unwrap();
    expect(
        &verify(&receipt, &whole),
        6,
        "wrong",
        "has no state with the root",
    );
    forge(&receipt, |receipt| {
        receipt.state.as_mut().unwrap().others[0].root[0] ^= 1;
    });
    expect(
        &verify(&receipt, &whole),
        6,
        "wrong",
        "a state with the root",
    );
}

#[test]
fn an_evaluation_is_right_and_a_changed_score_or_answer_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let receipt = folder.path().join("evaluation.json");
    let asked = ["--family", "max", "--questions", "20", "--max-new", "8"];
    let made = make(&receipt, &[&asked[..], &["--json"]].concat()).json();
    assert_eq!(made["questions"], 20);
    expect(&verify(&receipt, &["--threads", "3"]), 0, "right", "");
    let right = made["right"].as_u64().unwrap();
    forge(&receipt, |receipt| match &mut receipt.content {
        Content::Evaluation { right, .. } => *right = if *right == 20 { 0 } else { 20 },
        Content::Answer { .. } => panic!("an answer"),
    });
    let reason = format!("{right} questions are answered rightly");
    expect(&verify(&receipt, &[]), 6, "wrong", &reason);
    forge(&receipt, |receipt| match &mut receipt.content {
        Content::Evaluation { answers, .. } => answers[13][0] ^= 1,
        Content::Answer { .. } => panic!("an answer"),
    });
    expect(&verify(&receipt, &[]), 6, "wrong", "question 13: token 0");
    assert_eq!(verify(&receipt, &["--json"]).json()["question"], 13);
}
