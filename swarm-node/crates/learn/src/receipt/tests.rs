use reproducible_ops::engine::cpu::{CpuEngine, InstructionSet};
use reproducible_ops::engine::reference::ReferenceEngine;
use reproducible_ops::tensor::Tensor;
use swarm_model::init;
use swarm_task::charset;
use swarm_task::prompt::{NANO_LIMITS, Style, characters};

use super::*;
use crate::job_run::JobIdentity;

const QUIZ: Quiz = Quiz {
    family: FamilyId::Max,
    difficulty: 0,
    questions: 5,
};

/// What a tiny model reads and writes by.
struct Parts {
    config: ModelConfig,
    tokenizer: Tokenizer,
    composer: Composer<'static>,
}

fn parts() -> Parts {
    let nano = ModelConfig::preset("nano").unwrap();
    Parts {
        config: ModelConfig {
            hidden_size: 16,
            num_layers: 1,
            num_heads: 2,
            num_kv_heads: 2,
            head_dim: 8,
            intermediate_size: 32,
            ..nano
        },
        tokenizer: Tokenizer::characters(charset::CHARACTERS),
        composer: Composer::new(Style::Terse, NANO_LIMITS, &characters),
    }
}

fn model_on<'a>(parts: &'a Parts, engine: Arc<dyn Engine>, seed: u64) -> ReceiptModel<'a> {
    let weights = init::initialise(&parts.config, seed).unwrap();
    let parts = ModelParts {
        config: &parts.config,
        tokenizer: &parts.tokenizer,
        composer: &parts.composer,
    };
    ReceiptModel::new(engine, parts, weights).unwrap()
}

fn model(parts: &Parts) -> ReceiptModel<'_> {
    model_on(parts, Arc::new(CpuEngine::new(1)), 5)
}

/// Untrained logits are small, so that much noise would hide them; without any no seed would
/// matter.
fn sampling(model: &ReceiptModel<'_>) -> Sampling {
    model.sampling(7, 0.3, 24)
}

fn answered(model: &mut ReceiptModel<'_>) -> Receipt {
    let sampling = sampling(model);
    model.answer("sort 38152=", sampling).unwrap()
}

fn evaluated(model: &mut ReceiptModel<'_>) -> Receipt {
    let sampling = sampling(model);
    model.evaluate(QUIZ, sampling).unwrap()
}

/// Tensors of a state beside the parameters, and the root of the state.
fn others(model: &ReceiptModel<'_>) -> (Weights, String) {
    let step = Tensor::i32([1], vec![3]).unwrap();
    let others: Weights = ["draw", "step"]
        .map(|name| (name.to_owned(), step.clone()))
        .into_iter()
        .collect();
    let all = model.parameters.iter().cloned().chain(roots(&others));
    (others, hex(&StateTree::new(all).unwrap().root()))
}

fn tie(model: &mut ReceiptModel<'_>) {
    let (others, root) = others(model);
    model.tie(&others, &root).unwrap();
}

fn found(model: &mut ReceiptModel<'_>, receipt: &Receipt) -> Option<Finding> {
    model.verify(receipt).unwrap().finding
}

fn answer_of(receipt: &mut Receipt) -> (&mut Passage, &mut Passage) {
    match &mut receipt.content {
        Content::Answer { prompt, answer } => (prompt, answer),
        Content::Evaluation { .. } => panic!("an evaluation"),
    }
}

fn evaluation_of(receipt: &mut Receipt) -> (&mut Quiz, &mut usize, &mut Vec<Vec<u32>>) {
    match &mut receipt.content {
        Content::Evaluation {
            quiz,
            right,
            answers,
        } => (quiz, right, answers),
        Content::Answer { .. } => panic!("an answer"),
    }
}

#[test]
fn what_was_made_is_right_and_survives_its_file() {
    let parts = parts();
    let mut model = model(&parts);
    tie(&mut model);
    for receipt in [answered(&mut model), evaluated(&mut model)] {
        let read = Receipt::from_text(&receipt.to_text().unwrap()).unwrap();
        assert_eq!(read, receipt);
        let verified = model.verify(&read).unwrap();
        assert_eq!(verified.finding, None);
        assert_eq!(verified.verdict(), verde::audit::Verdict::Right);
        assert_eq!(
            verified.compared.len(),
            3 + usize::from(matches!(read.content, Content::Answer { .. }))
        );
    }
}

/// A change of this digest means that receipts of earlier versions cannot be verified: it needs
/// another format.
#[test]
fn the_form_is_fixed() {
    let parts = parts();
    let mut model = model(&parts);
    tie(&mut model);
    let digests = [answered(&mut model), evaluated(&mut model)]
        .map(|receipt| hex(&receipt.digest().unwrap()));
    let fixed = [
        "31c757975c34aa94c8e3d5e07c010deb8a34da44f39a4ab58f61036c58598a9b",
        "e8134fd672da3a2179d1728a49ed9788321f0a780f181f577dd1f04d84b732ef",
    ];
    assert_eq!(digests, fixed);
}

#[test]
fn engines_agree_on_receipts() {
    let parts = parts();
    let mut first = model(&parts);
    let (answer, evaluation) = (answered(&mut first), evaluated(&mut first));
    let mut engines: Vec<Arc<dyn Engine>> = vec![Arc::new(ReferenceEngine)];
    for isa in InstructionSet::available() {
        engines.push(Arc::new(CpuEngine::with_instruction_set(isa, 3).unwrap()));
    }
    for engine in engines {
        let mut model = model_on(&parts, engine, 5);
        assert_eq!(answered(&mut model), answer);
        assert_eq!(evaluated(&mut model), evaluation);
        assert_eq!(found(&mut model, &answer), None);
        assert_eq!(found(&mut model, &evaluation), None);
    }
}

#[test]
fn the_first_token_that_differs_is_named() {
    let parts = parts();
    let mut model = model(&parts);
    let mut receipt = answered(&mut model);
    let right = answer_of(&mut receipt).1.tokens.clone();
    assert!(right.len() > 8, "{right:?}");
    for position in 0..right.len() {
        let mut changed = receipt.clone();
        let tokens = &mut answer_of(&mut changed).1.tokens;
        tokens[position] = 2 + (tokens[position] + 1) % 60;
        let expected = Finding::Token {
            position,
            claimed: tokens[position],
            drawn: right[position],
        };
        assert_eq!(found(&mut model, &changed), Some(expected));
    }
}

#[test]
fn every_change_of_an_answer_is_wrong() {
    type Change = fn(&mut Receipt);
    let changes: [(&str, Change); 17] = [
        ("parameters with the root", |receipt| {
            receipt.model.root[3] ^= 1
        }),
        ("configuration with the digest", |receipt| {
            receipt.model.config[3] ^= 1
        }),
        ("state with the root", |receipt| {
            state_of(receipt).root[0] ^= 1
        }),
        ("state with the root", |receipt| {
            state_of(receipt).others[1].root[0] ^= 1
        }),
        ("state with the root", |receipt| {
            state_of(receipt).others[1].name.push('s')
        }),
        ("state with the root", |receipt| {
            drop(state_of(receipt).others.pop())
        }),
        ("none: two tensors", |receipt| {
            state_of(receipt).others[1].name = "draw".into()
        }),
        ("answer is", |receipt| receipt.sampling.seed += 1),
        ("answer is", |receipt| receipt.sampling.temperature = 3.0),
        ("answer ends at", |receipt| receipt.sampling.ends.push(5)),
        ("stops after 24 tokens", |receipt| {
            receipt.sampling.max_new += 1
        }),
        ("token 0", |receipt| {
            answer_of(receipt).0.text.insert(0, 'a')
        }),
        ("token 11", |receipt| answer_of(receipt).0.tokens.push(2)),
        ("cannot read", |receipt| answer_of(receipt).0.text.push('é')),
        ("stops after 23", |receipt| {
            answer_of(receipt).1.tokens.truncate(23)
        }),
        ("those below 64 only", |receipt| {
            answer_of(receipt).1.tokens[9] = 64
        }),
        ("are the text", |receipt| {
            answer_of(receipt).1.text.push('a')
        }),
    ];
    fn state_of(receipt: &mut Receipt) -> &mut StateName {
        receipt.state.as_mut().unwrap()
    }
    let parts = parts();
    let mut model = model(&parts);
    tie(&mut model);
    let receipt = answered(&mut model);
    assert_eq!(
        answer_of(&mut receipt.clone()).1.tokens.len(),
        24,
        "it ended by itself"
    );
    for (expected, change) in changes {
        let mut changed = receipt.clone();
        change(&mut changed);
        // Whoever makes a file anew writes its digest, too.
        let read = Receipt::from_text(&changed.to_text().unwrap()).unwrap();
        let finding = found(&mut model, &read).map(|finding| finding.to_string());
        let finding = finding.unwrap_or_default();
        assert!(finding.contains(expected), "no {expected:?} in {finding:?}");
    }
}

#[test]
fn every_change_of_an_evaluation_is_wrong() {
    type Change = fn(&mut Receipt);
    let changes: [(&str, Change); 8] = [
        ("questions are answered rightly", |receipt| {
            *evaluation_of(receipt).1 ^= 1
        }),
        ("question 3: token 2 of", |receipt| {
            evaluation_of(receipt).2[3][2] ^= 1
        }),
        ("question 4: the answer stops", |receipt| {
            evaluation_of(receipt).2[4].truncate(23)
        }),
        ("question 0: token", |receipt| {
            evaluation_of(receipt).2.swap(0, 1)
        }),
        ("question 0: token", |receipt| {
            evaluation_of(receipt).0.family = FamilyId::Sort
        }),
        ("question 0: token", |receipt| receipt.sampling.seed ^= 1),
        ("cannot be asked", |receipt| {
            evaluation_of(receipt).0.family = FamilyId::Gsm8k
        }),
        ("question 0: a prompt", |receipt| {
            receipt.sampling.max_new = 511
        }),
    ];
    let parts = parts();
    let mut model = model(&parts);
    let receipt = evaluated(&mut model);
    for (expected, change) in changes {
        let mut changed = receipt.clone();
        change(&mut changed);
        let read = Receipt::from_text(&changed.to_text().unwrap()).unwrap();
        let finding = found(&mut model, &read).map(|finding| finding.to_string());
        let finding = finding.unwrap_or_default();
        assert!(finding.contains(expected), "no {expected:?} in {finding:?}");
    }
}

#[test]
fn another_model_is_told_apart_by_parameters_or_configuration() {
    let parts = parts();
    let receipt = answered(&mut model(&parts));
    let mut other = model_on(&parts, Arc::new(CpuEngine::new(1)), 6);
    assert!(matches!(
        found(&mut other, &receipt),
        Some(Finding::Parameters { .. })
    ));
    let turned = Parts {
        config: ModelConfig {
            rope_theta: 20_000.0,
            ..parts.config.clone()
        },
        ..parts
    };
    assert!(matches!(
        found(&mut model(&turned), &receipt),
        Some(Finding::Config { .. })
    ));
}

/// What the model would go on with, had its end not been one.
#[test]
fn an_answer_that_goes_on_behind_its_end_is_wrong() {
    let parts = parts();
    let mut model = model(&parts);
    let sampling = model.sampling(7, 8.0, 200);
    let mut receipt = model.answer("max 3 1=", sampling).unwrap();
    let key = receipt.sampling.key();
    let (prompt, answer) = answer_of(&mut receipt);
    let position = answer.tokens.len() - 1;
    assert!(position < 199, "it never ended");
    let weights = init::initialise(&parts.config, 5).unwrap();
    let engine = Arc::new(CpuEngine::new(1));
    let mut endless = Generator::new(engine, parts.config.clone(), &[]).unwrap();
    endless.set_weights(weights).unwrap();
    let written = endless.generate(&Request {
        prompts: &[prompt.asked()],
        samples: 1,
        max_new: 200,
        key,
        temperature: 8.0,
    });
    answer.tokens = written.unwrap()[0][0].tokens.clone();
    let behind = 199 - position;
    let expected = Finding::GoesOn { position, behind };
    assert_eq!(found(&mut model, &receipt), Some(expected));
}

#[test]
fn a_state_is_found_in_its_history_and_a_changed_one_is_not_tied_to() {
    let parts = parts();
    let mut model = model(&parts);
    let (others, root) = others(&model);
    let identity = JobIdentity {
        job: String::new(),
        plan: String::new(),
        initial: String::new(),
        steps: 40,
        stride: 20,
    };
    let history = History {
        identity,
        roots: vec!["00".into(), "01".into(), root.clone()],
    };
    assert_eq!(answered(&mut model).steps_in(&history), None, "no state");
    model.tie(&others, &root).unwrap();
    assert_eq!(answered(&mut model).steps_in(&history), Some(40));
    let error = model.tie(&others, "01").unwrap_err();
    assert!(matches!(error, ReceiptError::OtherState { .. }), "{error}");
}

#[test]
fn no_changed_cut_or_longer_text_is_a_receipt() {
    let parts = parts();
    let mut model = model(&parts);
    tie(&mut model);
    let text = answered(&mut model).to_text().unwrap();
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        if let Ok(changed) = String::from_utf8(bytes) {
            assert!(Receipt::from_text(&changed).is_err(), "byte {at}");
        }
        assert!(Receipt::from_text(&text[..at]).is_err(), "cut at {at}");
    }
    for other in [
        format!(" {text}"),
        format!("{text}\n"),
        text.replace(",", ", "),
    ] {
        let error = Receipt::from_text(&other).unwrap_err();
        assert!(matches!(error, ReceiptFileError::Form), "{error}");
    }
    let error = Receipt::from_text(&text.replace("\"seed\":7", "\"seed\":8")).unwrap_err();
    assert!(matches!(error, ReceiptFileError::Digest), "{error}");
    let error = Receipt::from_text(&text.replace("\"format\":1", "\"format\":2")).unwrap_err();
    assert!(matches!(error, ReceiptFileError::Format(2)), "{error}");
    let unknown = text.replace("\"seed\":7", "\"seed\":7,\"mood\":1");
    let error = Receipt::from_text(&unknown).unwrap_err().to_string();
    assert!(error.contains("unknown field `mood`"), "{error}");
}

#[test]
fn impossible_numbers_are_named() {
    type Change = fn(&mut Receipt);
    let changes: [(&str, Change); 7] = [
        ("temperature is -1", |receipt| {
            receipt.sampling.temperature = -1.0
        }),
        ("temperature is inf", |receipt| {
            receipt.sampling.temperature = f32::INFINITY
        }),
        ("max_new is 0", |receipt| receipt.sampling.max_new = 0),
        ("max_new is 18446744073709551615", |receipt| {
            receipt.sampling.max_new = usize::MAX
        }),
        ("number of ends is 0", |receipt| {
            receipt.sampling.ends.clear()
        }),
        ("prompt's number of tokens is 0", |receipt| {
            answer_of(receipt).0.tokens.clear()
        }),
        ("answer's number of tokens is 25", |receipt| {
            answer_of(receipt).1.tokens.push(2)
        }),
    ];
    let parts = parts();
    let mut model = model(&parts);
    let receipt = answered(&mut model);
    for (expected, change) in changes {
        let mut changed = receipt.clone();
        change(&mut changed);
        let error = changed.to_text().unwrap_err().to_string();
        assert!(error.contains(expected), "no {expected:?} in {error:?}");
        assert!(model.verify(&changed).is_err(), "{expected}");
        let digest = hex(&changed.digest().unwrap());
        let text = serde_json::to_string(&changed).unwrap();
        let text = format!("{{\"format\":1,\"digest\":\"{digest}\",\"receipt\":{text}}}\n");
        let refused = Receipt::from_text(&text).unwrap_err().to_string();
        // JSON has no infinity.
        assert!(refused == error || expected.contains("inf"), "{refused}");
    }
    let mut evaluation = evaluated(&mut model);
    evaluation_of(&mut evaluation).2.pop();
    let error = evaluation.to_text().unwrap_err().to_string();
    assert!(error.contains("number of answers is 4"), "{error}");
    let none = model.answer("", model.sampling(1, 1.0, 4)).unwrap_err();
    assert!(none.to_string().contains("number of tokens is 0"), "{none}");
    let long = model
        .answer("max", model.sampling(1, 1.0, 510))
        .unwrap_err();
    assert!(long.to_string().contains("512 positions"), "{long}");
}

#[test]
fn temperatures_survive_their_text() {
    let parts = parts();
    let mut model = model(&parts);
    let mut receipt = answered(&mut model);
    for step in 0..2000_u32 {
        let bits = step.wrapping_mul(0x9e37_79b9) & 0x7f7f_ffff;
        receipt.sampling.temperature = f32::from_bits(bits);
        let read = Receipt::from_text(&receipt.to_text().unwrap()).unwrap();
        assert_eq!(read.sampling.temperature.to_bits(), bits);
    }
}
