use std::collections::HashSet;

use super::*;
use crate::charset;
use crate::{Question, Split, Task};

pub(super) fn generated() -> impl Iterator<Item = (FamilyId, u8)> {
    let families = FamilyId::ALL
        .iter()
        .filter(|family| family.generator().is_some());
    families.flat_map(|family| (0..family.levels()).map(|level| (*family, level)))
}

pub(super) fn question(family: FamilyId, level: u8, index: u64) -> Question {
    Task::train(family, 11, index, level).question().unwrap()
}

#[test]
fn names_are_distinct_and_survive_parsing() {
    let names: HashSet<&str> = FamilyId::ALL.iter().map(|family| family.name()).collect();
    assert_eq!(names.len(), FamilyId::ALL.len());
    for family in FamilyId::ALL {
        assert_eq!(family.name().parse(), Ok(*family));
        assert_eq!(
            serde_json::to_string(family).unwrap(),
            format!("\"{family}\"")
        );
    }
    let error = "maximum".parse::<FamilyId>().unwrap_err().to_string();
    assert!(
        error.contains("\"maximum\"") && error.contains("max, count, sort"),
        "{error}"
    );
}

#[test]
fn questions_are_a_function_of_the_task() {
    for (family, level) in generated() {
        for index in 0..20 {
            assert_eq!(
                question(family, level, index),
                question(family, level, index)
            );
        }
        let distinct: HashSet<String> = (0..50)
            .map(|index| question(family, level, index).prompt)
            .collect();
        assert!(
            distinct.len() > 40,
            "{family} {level}: {} of 50",
            distinct.len()
        );
    }
}

#[test]
fn the_right_answer_scores_one_and_a_careless_one_zero() {
    for (family, level) in generated() {
        let mut told_apart = 0;
        for question in (0..300).map(|index| question(family, level, index)) {
            let careless = question.careless.clone().unwrap();
            assert_eq!(question.score(question.gold.text()), 1.0, "{question:?}");
            assert_eq!(
                question.score(&format!("So.\nAnswer: {}.", question.gold)),
                1.0,
                "{question:?}"
            );
            assert!(question.is_well_formed(careless.text()), "{question:?}");
            let equal = careless == question.gold;
            assert_eq!(
                question.score(careless.text()),
                f32::from(u8::from(equal)),
                "{question:?}"
            );
            told_apart += usize::from(!equal);
        }
        assert!(
            told_apart >= 75,
            "{family} {level}: careless differs in {told_apart} of 300"
        );
    }
}

#[test]
fn generated_texts_are_in_the_nano_vocabulary() {
    for (family, level) in generated() {
        for question in (0..50).map(|index| question(family, level, index)) {
            for text in [&question.prompt, question.gold.text()] {
                assert!(charset::encode(text).is_ok(), "{text}");
            }
        }
    }
}

#[test]
fn nano_families_are_short_and_too_many_to_memorise() {
    for family in FamilyId::NANO {
        let mut prompts = HashSet::new();
        for question in (0..25_000).map(|index| question(family, 0, index)) {
            assert!(
                question.prompt.chars().count() <= NANO_PROMPT_CHARS,
                "{question:?}"
            );
            assert!(
                question.gold.text().chars().count() <= NANO_ANSWER_CHARS,
                "{question:?}"
            );
            prompts.insert(question.prompt);
        }
        assert!(
            prompts.len() > 20_000,
            "{family}: {} distinct",
            prompts.len()
        );
    }
}

#[test]
fn one_question_in_eight_is_held_out() {
    for family in FamilyId::NANO {
        let generator = family.generator().unwrap();
        let mut random = crate::random::stream("share", [1, 0, 0, 0], 0);
        let questions = (0..16_000).map(|_| generator.generate(0, &mut random));
        let held_out = questions
            .filter(|question| question.split() == Split::HeldOut)
            .count();
        assert!(
            (1_800..2_200).contains(&held_out),
            "{family}: {held_out} of 16000"
        );
    }
}

#[test]
fn tasks_stay_in_their_split() {
    for (family, level) in generated() {
        for index in 0..100 {
            assert_eq!(question(family, level, index).split(), Split::Train);
            let held_out = Task::held_out(family, 11, index, level).question().unwrap();
            assert_eq!(held_out.split(), Split::HeldOut);
        }
    }
}

#[test]
fn a_difficulty_beyond_the_last_is_refused() {
    let error = Task::train(FamilyId::Max, 0, 0, 4)
        .question()
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no difficulty 4") && error.contains("0 to 3"),
        "{error}"
    );
}

/// Peers of one swarm must agree on every question, so these texts are part of the protocol.
#[test]
fn questions_are_pinned() {
    let pinned: Vec<String> = FamilyId::ALL
        .iter()
        .filter_map(|family| Task::train(*family, 1, 0, 0).question().ok())
        .map(|question| format!("{} {}", question.prompt, question.gold))
        .collect();
    assert_eq!(pinned, PINNED);
}

const PINNED: [&str; 15] = [
    "max 46 82 11= 82",
    "count 5 6953836= 1",
    "sort 27977= 27779",
    "reverse 45258= 85254",
    "min 39 60 57= 39",
    "digits 98007= 24",
    "next 694 789 884 979 1074= 1169",
    "2-4*9= -34",
    "1.4-9= -7.6",
    "base 10>2 3950= 111101101110",
    "simplify 444/120= 37/10",
    "gcd 264 60= 12",
    "weekday 2059-10-23= thu",
    "(!f|t|t)&!(f^(!t|f))= t",
    "rows 10111 00111 10001= 4 3 2",
];
