use std::collections::HashSet;

use super::*;
use crate::family::twins;
use crate::prompt::{NANO_LIMITS, NONE, characters, read_decision};
use crate::{NANO_ANSWER_CHARS, Split, held_out_set};

const SHAPE: BatchShape = BatchShape {
    answers: 64,
    critiques: 64,
    decisions: 64,
};

fn corpus(wrong_rate: f32) -> Corpus {
    Corpus::new(CorpusRecipe::nano(7, wrong_rate)).unwrap()
}

/// The question of an example with its right and careless answers, worked out from the prompt
/// alone.
fn solve(prompt: &str) -> (String, String) {
    let (question, _) = prompt.split_once('=').unwrap();
    let (word, rest) = question.split_once(' ').unwrap();
    let backwards = |text: &str| text.chars().rev().collect::<String>();
    match word {
        "max" => {
            let mut numbers: Vec<&str> = rest.split(' ').collect();
            numbers.sort_unstable();
            (numbers[numbers.len() - 1].to_owned(), numbers[0].to_owned())
        }
        "count" => {
            let (target, text) = rest.split_once(' ').unwrap();
            let count = text.matches(target).count();
            (count.to_string(), (count + 1).to_string())
        }
        "sort" => {
            let mut digits: Vec<char> = rest.chars().collect();
            digits.sort_unstable();
            let ascending: String = digits.iter().collect();
            (ascending.clone(), backwards(&ascending))
        }
        "reverse" => (backwards(rest), rest.to_owned()),
        _ => panic!("{prompt}"),
    }
}

#[test]
fn examples_are_a_function_of_the_recipe() {
    assert_eq!(corpus(0.5).batch(3, SHAPE), corpus(0.5).batch(3, SHAPE));
    assert_ne!(corpus(0.5).batch(3, SHAPE), corpus(0.5).batch(4, SHAPE));
    let other = Corpus::new(CorpusRecipe::nano(8, 0.5)).unwrap();
    assert_ne!(corpus(0.5).batch(3, SHAPE), other.batch(3, SHAPE));
}

/// The canonical form of an example's question.
fn canonical(example: &Example) -> String {
    twins::canonical(&example.prompt[..=example.prompt.find('=').unwrap()])
}

#[test]
fn no_question_has_a_held_out_twin() {
    let corpus = corpus(0.55);
    let forms: HashSet<String> = [Lesson::Answer, Lesson::Critique, Lesson::Decide]
        .into_iter()
        .flat_map(|lesson| (0..8_000).map(move |index| (lesson, index)))
        .map(|(lesson, index)| canonical(&corpus.example(lesson, index).unwrap()))
        .collect();
    for family in FamilyId::NANO {
        let held_out = held_out_set(family, 0, 128, 0).unwrap();
        let questions = held_out.iter().map(|task| task.question().unwrap());
        let trained_on = questions
            .filter(|question| forms.contains(&question.canonical))
            .count();
        assert_eq!(trained_on, 0, "{family}");
    }
}

#[test]
fn texts_fit_the_nano_model_and_no_question_is_held_out() {
    let examples: Vec<Example> = (0..40)
        .flat_map(|step| corpus(0.55).batch(step, SHAPE).unwrap())
        .collect();
    for example in &examples {
        let limit = if example.lesson == Lesson::Decide {
            2 * NANO_ANSWER_CHARS + 1
        } else {
            NANO_ANSWER_CHARS
        };
        assert!(
            characters(&example.prompt) <= NANO_LIMITS.total,
            "{example:?}"
        );
        assert!(characters(&example.completion) <= limit, "{example:?}");
        assert_eq!(Split::of(&canonical(example)), Split::Train, "{example:?}");
    }
    let prompts: HashSet<&str> = examples
        .iter()
        .map(|example| example.prompt.as_str())
        .collect();
    assert!(
        prompts.len() * 100 > examples.len() * 98,
        "{} distinct of {}",
        prompts.len(),
        examples.len()
    );
}

/// Shares of right and of careless labels among those of `lesson` where both procedures can be told
/// apart.
fn shares(corpus: &Corpus, lesson: Lesson) -> (f64, f64) {
    let (mut right, mut careless, mut all) = (0.0, 0.0, 0.0);
    for index in 0..8_000 {
        let example = corpus.example(lesson, index).unwrap();
        let (gold, wrong) = solve(&example.prompt);
        let listed = |answer: &str| lesson != Lesson::Critique || lists(&example.prompt, answer);
        if gold == wrong || !listed(&gold) || !listed(&wrong) {
            continue;
        }
        let label = if lesson == Lesson::Decide {
            read_decision(&example.completion).answer
        } else {
            example.completion
        };
        all += 1.0;
        right += f64::from(u8::from(label == gold));
        careless += f64::from(u8::from(label == wrong));
    }
    (right / all, careless / all)
}

fn lists(prompt: &str, answer: &str) -> bool {
    let (_, listed) = prompt.split_once('=').unwrap();
    listed
        .trim_end_matches('?')
        .split(';')
        .any(|shown| shown == answer)
}

#[test]
fn careless_labels_have_one_rate_in_all_lessons() {
    let corpus = corpus(0.55);
    for lesson in [Lesson::Answer, Lesson::Critique, Lesson::Decide] {
        let (right, careless) = shares(&corpus, lesson);
        assert!((careless - 0.55).abs() < 0.03, "{lesson:?}: {careless}");
        assert!(
            (right + careless - 1.0).abs() < 1e-9,
            "{lesson:?}: {right} + {careless}"
        );
    }
}

#[test]
fn clean_recipes_have_only_right_labels() {
    let (right, careless) = shares(&corpus(0.0), Lesson::Answer);
    assert_eq!((right, careless), (1.0, 0.0));
}

#[test]
fn critics_endorse_what_is_listed_or_none() {
    let corpus = corpus(0.5);
    let examples: Vec<Example> = (0..2_000)
        .map(|index| corpus.example(Lesson::Critique, index).unwrap())
        .collect();
    let nones = examples
        .iter()
        .filter(|example| example.completion == NONE)
        .count();
    assert!((100..1_000).contains(&nones), "{nones}");
    assert!(
        examples.iter().all(
            |example| example.completion == NONE || lists(&example.prompt, &example.completion)
        )
    );
}

#[test]
fn the_majority_expected_has_the_most_support() {
    let ballot = |text: &str, members, votes| Ballot {
        text: text.into(),
        members,
        votes,
    };
    assert_eq!(
        expected_majority(&[ballot("a", 2, 0), ballot("b", 1, 3)]),
        "b"
    );
    assert_eq!(
        expected_majority(&[ballot("a", 2, 0), ballot("b", 1, 1)]),
        "a"
    );
}

#[test]
fn unusable_recipes_say_what_to_change() {
    let nano = CorpusRecipe::nano(1, 0.5);
    let refuse = |recipe: CorpusRecipe| Corpus::new(recipe).err().unwrap().to_string();
    let with = |family, difficulty, wrong_rate| CorpusRecipe {
        families: vec![FamilyShare {
            family,
            difficulty,
            wrong_rate,
        }],
        ..nano.clone()
    };
    assert!(
        refuse(CorpusRecipe {
            families: vec![],
            ..nano.clone()
        })
        .contains("names no family")
    );
    assert!(
        refuse(CorpusRecipe {
            members: 1,
            ..nano.clone()
        })
        .contains("use 2 to 8")
    );
    assert!(refuse(with(FamilyId::Max, 0, 1.5)).contains("between 0 and 1"));
    assert!(refuse(with(FamilyId::Max, 0, f32::NAN)).contains("between 0 and 1"));
    assert!(refuse(with(FamilyId::Max, 9, 0.5)).contains("use 0 to 3"));
    assert!(
        refuse(with(FamilyId::Gsm8k, 0, 0.5)).contains("a corpus takes generated families only")
    );
    assert!(refuse(with(FamilyId::Matrix, 3, 0.5)).contains("does not fit"));
}
