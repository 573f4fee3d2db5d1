use proptest::prelude::*;

use super::*;

fn texts(answers: &[&str]) -> Vec<String> {
    answers.iter().map(|answer| (*answer).to_owned()).collect()
}

fn ballot(text: &str, members: usize, votes: usize) -> Ballot {
    Ballot {
        text: text.to_owned(),
        members,
        votes,
    }
}

#[test]
fn terse_prompts_read_as_documented() {
    let nano = Composer::nano();
    assert_eq!(nano.share("max 38 15 27=").unwrap().text, "max 38 15 27=");
    assert_eq!(
        nano.critique("max 38 15 27=", &texts(&["38", "15"]))
            .unwrap()
            .text,
        "max 38 15 27=38;15?"
    );
    let ballots = [ballot("38", 3, 1), ballot("15", 1, 0), ballot("27", 12, 0)];
    assert_eq!(
        nano.decide("max 38 15 27=", &ballots).unwrap().text,
        "max 38 15 27=38:31;15:10;27:90!"
    );
}

#[test]
fn plain_prompts_state_the_task() {
    let plain = Composer::new(
        Style::Plain,
        Limits {
            total: 400,
            answer: 40,
        },
        &characters,
    );
    let critique = plain
        .critique("How many?", &texts(&["7", "8"]))
        .unwrap()
        .text;
    assert!(
        critique.starts_with("Question: How many?\n")
            && critique.contains("- 7\n- 8\n")
            && critique.contains("Answer: none")
    );
    let decide = plain
        .decide("How many?", &[ballot("7", 2, 1)])
        .unwrap()
        .text;
    assert!(
        decide.contains("- 7 (given by 2, endorsed by 1)\n") && decide.contains("yours | theirs")
    );
}

#[test]
fn the_longest_answers_are_cut_in_the_middle() {
    let composer = Composer::new(
        Style::Terse,
        Limits {
            total: 30,
            answer: 12,
        },
        &characters,
    );
    let prompt = composer
        .critique("sort 1=", &texts(&["abcdefghijklmnop", "12", "qrstuvwxyz"]))
        .unwrap();
    assert_eq!(prompt.shown, ["abcd~mnop", "12", "qrst~wxyz"]);
    assert_eq!(prompt.text, "sort 1=abcd~mnop;12;qrst~wxyz?");
    assert_eq!(characters(&prompt.text), 30);
}

#[test]
fn answers_that_do_not_fit_are_left_out_from_the_end() {
    let composer = Composer::new(
        Style::Terse,
        Limits {
            total: 16,
            answer: 8,
        },
        &characters,
    );
    let prompt = composer
        .critique("sort 1=", &texts(&["aaaa", "bbbb", "cccc"]))
        .unwrap();
    assert_eq!(prompt.text, "sort 1=aaaa;b~b?".replace("aaaa", "a~a"));
    assert_eq!(prompt.shown.len(), 2);
}

#[test]
fn a_question_that_leaves_no_room_is_refused() {
    let question = "q".repeat(63);
    assert_eq!(
        Composer::nano().critique(&question, &texts(&["12345"])),
        Err(PromptError::QuestionTooLong {
            size: 64,
            limit: 64
        })
    );
    assert!(Composer::nano().share(&"q".repeat(64)).is_ok());
    assert!(Composer::nano().share(&"q".repeat(65)).is_err());
}

#[test]
fn members_cannot_forge_the_layout() {
    let prompt = Composer::nano()
        .critique("max 1 2=", &texts(&["1?2;9", "A\u{7f}é", "3\n4"]))
        .unwrap();
    assert_eq!(prompt.text, "max 1 2=1_2_9;a__;4?");
}

#[test]
fn equal_answers_are_grouped_by_value() {
    let groups = group(
        Kind::Number,
        &["7", "9", "7.0", "answer: 9", "x Y", "+7", "X  y"],
    );
    let listed: Vec<(&str, &[usize])> = groups
        .iter()
        .map(|group| (group.text.as_str(), group.members.as_slice()))
        .collect();
    assert_eq!(
        listed,
        [("7", &[0, 2, 5][..]), ("9", &[1, 3]), ("x y", &[4, 6])]
    );
}

#[test]
fn endorsements_are_matched_by_text() {
    let answers = texts(&["1080", "12", "garbage text"]);
    let prompt = Composer::nano().critique("max 1 2=", &answers).unwrap();
    assert_eq!(prompt.shown, ["1080", "12", "garb~ext"]);
    for (completion, expected) in [
        ("1,080", Endorsement::Listed(0)),
        ("Answer: 12.", Endorsement::Listed(1)),
        ("garb~ext", Endorsement::Listed(2)),
        ("Garbage Text", Endorsement::Listed(2)),
        ("None.", Endorsement::NoneRight),
        ("13", Endorsement::Unreadable),
        ("", Endorsement::Unreadable),
    ] {
        assert_eq!(
            read_endorsement(Kind::Number, completion, &answers, &prompt),
            expected,
            "{completion}"
        );
    }
}

#[test]
fn an_answer_that_was_left_out_cannot_be_endorsed() {
    let answers = texts(&["1", "2"]);
    let prompt = Prompt {
        text: String::new(),
        shown: texts(&["1"]),
    };
    assert_eq!(
        read_endorsement(Kind::Number, "2", &answers, &prompt),
        Endorsement::Unreadable
    );
}

#[test]
fn decisions_are_read_leniently() {
    let decision = |answer: &str, majority: Option<&str>| Decision {
        answer: answer.into(),
        majority: majority.map(Into::into),
    };
    assert_eq!(read_decision("7|8"), decision("7", Some("8")));
    assert_eq!(read_decision(" Answer: 7 | 8.\n"), decision("7", Some("8")));
    assert_eq!(read_decision("7"), decision("7", None));
    assert_eq!(read_decision("7|"), decision("7", None));
    assert_eq!(read_decision("|"), decision("", None));
    assert_eq!(
        read_decision(&write_decision("1 2", "2 1")),
        decision("1 2", Some("2 1"))
    );
}

proptest! {
    #[test]
    fn prompts_stay_within_budget_and_keep_the_question(
        question in "[a-z0-9 ]{1,20}=",
        answers in prop::collection::vec(any::<String>(), 0..12),
        total in 30_usize..200,
        answer in 0_usize..40,
    ) {
        for style in [Style::Terse, Style::Plain] {
            let total = if style == Style::Plain { total + 250 } else { total };
            let composer = Composer::new(style, Limits { total, answer }, &characters);
            let ballots: Vec<Ballot> = answers.iter().map(|text| ballot(text, 3, 1)).collect();
            let longest = answer.max(MIN_SHOWN);
            for prompt in [
                composer.critique(&question, &answers).unwrap(),
                composer.decide(&question, &ballots).unwrap(),
            ] {
                prop_assert!(characters(&prompt.text) <= total);
                prop_assert!(prompt.text.contains(&question));
                prop_assert!(prompt.shown.iter().all(|shown| characters(shown) <= longest));
                prop_assert!(!answers.is_empty() || prompt.shown.is_empty());
                if style == Style::Terse {
                    prop_assert!(charset::encode(&prompt.text).is_ok(), "{}", prompt.text);
                }
            }
        }
    }

    #[test]
    fn reading_never_panics(
        completion in any::<String>(),
        answers in prop::collection::vec(any::<String>(), 0..4),
    ) {
        let prompt = Composer::nano().critique("max 1 2=", &answers).unwrap();
        let read = read_endorsement(Kind::List, &completion, &answers, &prompt);
        if let Endorsement::Listed(place) = read {
            prop_assert!(place < prompt.shown.len());
        }
        let _ = read_decision(&completion);
        let groups = group(Kind::Number, &answers);
        let members: usize = groups.iter().map(|group| group.members.len()).sum();
        prop_assert_eq!(members, answers.len());
    }

    #[test]
    fn token_measures_are_respected(answers in prop::collection::vec("[a-z ]{0,80}", 1..8)) {
        let words = |text: &str| text.split_whitespace().count();
        let composer = Composer::new(Style::Plain, Limits { total: 45, answer: 60 }, &words);
        let prompt = composer.critique("How many are there", &answers).unwrap();
        prop_assert!(words(&prompt.text) <= 45);
    }
}
