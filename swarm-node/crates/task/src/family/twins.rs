//! Twins worked out from prompts alone: a second opinion on what the families say is canonical.

use std::collections::HashSet;

use reproducible_ops::random::Stream;

use super::tests::{generated, question};
use super::*;
use crate::random::stream;
use crate::{Question, Split, Task, held_out_set};

/// The canonical form of the question with this prompt.
pub(crate) fn canonical(prompt: &str) -> String {
    // Numbers go by their value, so shorter ones come first; everything else goes by its text.
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    rewrite(prompt, &mut |parts| {
        parts.sort_by_cached_key(|part| {
            (if is_number(part) { part.len() } else { 0 }, part.clone())
        });
    })
}

/// The prompt of a random twin.
fn twin(prompt: &str, random: &mut Stream) -> String {
    rewrite(prompt, &mut |parts| random.shuffle(parts))
}

/// Puts parts whose order cannot matter in another order.
type Arrange<'a> = dyn FnMut(&mut [String]) + 'a;

/// `prompt` with every list of parts whose order cannot matter handed to `arrange`.
fn rewrite(prompt: &str, arrange: &mut Arrange<'_>) -> String {
    let question = prompt.strip_suffix('=').unwrap();
    let Some((word, rest)) = question.split_once(' ') else {
        let rewritten = if question.contains(['t', 'f']) {
            formula(question, arrange)
        } else {
            sum(question, arrange)
        };
        return rewritten + "=";
    };
    let rest = match word {
        "max" | "min" | "gcd" | "lcm" => arranged(rest, " ", arrange),
        "sort" if rest.contains(' ') => arranged(rest, " ", arrange),
        "sort" | "digits" => arranged(rest, "", arrange),
        "count" => {
            let (target, searched) = rest.split_once(' ').unwrap();
            format!("{target} {}", arranged(searched, "", arrange))
        }
        "rows" => each_row(rest, arrange),
        "columns" => transposed(&each_row(&transposed(rest), arrange)),
        "islands" => {
            let rows: Vec<&str> = rest.split(' ').collect();
            let upside_down =
                |rows: &[&str]| rows.iter().rev().copied().collect::<Vec<_>>().join(" ");
            let backwards = |text: &str| text.chars().rev().collect::<String>();
            // Backwards as a whole is upside down and mirrored.
            let mut images = [
                rest.to_owned(),
                backwards(rest),
                upside_down(&rows),
                backwards(&upside_down(&rows)),
            ];
            arrange(&mut images);
            images[0].clone()
        }
        "reverse" | "next" | "base" | "simplify" | "weekday" | "days" => rest.to_owned(),
        _ => panic!("{prompt}"),
    };
    format!("{word} {rest}=")
}

fn arranged(text: &str, separator: &str, arrange: &mut Arrange<'_>) -> String {
    let mut parts: Vec<String> = text
        .split(separator)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    arrange(&mut parts);
    parts.join(separator)
}

fn each_row(grid: &str, arrange: &mut Arrange<'_>) -> String {
    let rows: Vec<String> = grid
        .split(' ')
        .map(|row| arranged(row, "", arrange))
        .collect();
    rows.join(" ")
}

fn transposed(grid: &str) -> String {
    let rows: Vec<Vec<char>> = grid.split(' ').map(|row| row.chars().collect()).collect();
    let columns: Vec<String> = (0..rows[0].len())
        .map(|at| rows.iter().map(|row| row[at]).collect())
        .collect();
    columns.join(" ")
}

/// Terms with their signs, and the factors of each.
fn sum(text: &str, arrange: &mut Arrange<'_>) -> String {
    let signed = if text.starts_with('-') {
        text.to_owned()
    } else {
        format!("+{text}")
    };
    let starts: Vec<usize> = signed
        .match_indices(['+', '-'])
        .map(|(at, _)| at)
        .chain([signed.len()])
        .collect();
    let mut terms: Vec<String> = starts
        .windows(2)
        .map(|ends| {
            let (sign, factors) = signed[ends[0]..ends[1]].split_at(1);
            let factors = arranged(factors, "*", arrange);
            let shortest = factors.trim_end_matches('0').trim_end_matches('.');
            format!(
                "{sign}{}",
                if factors.contains('.') {
                    shortest
                } else {
                    &factors
                }
            )
        })
        .collect();
    arrange(&mut terms);
    terms.concat().trim_start_matches('+').to_owned()
}

/// The operands of each chain of one connective.
fn formula(text: &str, arrange: &mut Arrange<'_>) -> String {
    for symbol in ['|', '^', '&'] {
        let parts = outside_brackets(text, symbol);
        if parts.len() > 1 {
            let mut operands: Vec<String> = parts
                .into_iter()
                .map(|part| formula(part, arrange))
                .collect();
            arrange(&mut operands);
            return operands.join(&symbol.to_string());
        }
    }
    if let Some(inner) = text.strip_prefix('!') {
        return format!("!{}", formula(inner, arrange));
    }
    let inner = text
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'));
    inner.map_or_else(
        || text.to_owned(),
        |inner| format!("({})", formula(inner, arrange)),
    )
}

fn outside_brackets(text: &str, symbol: char) -> Vec<&str> {
    let mut depth = 0;
    let at_top = |c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0 && c == symbol
    };
    text.split(at_top).collect()
}

#[test]
fn twins_of_prompts_are_rewritten_as_defined() {
    let mut reverse = |parts: &mut [String]| parts.reverse();
    for (prompt, twin) in [
        ("max 38 15 27=", "max 27 15 38="),
        ("sort 38152=", "sort 25183="),
        ("count 7 5727=", "count 7 7275="),
        ("rows 10 00 11=", "rows 01 00 11="),
        ("columns 10 00 11=", "columns 11 00 10="),
        ("7+3*4-5=", "-5+4*3+7="),
        ("1.50-9=", "-9+1.5="),
        ("!(t|f&t)&t=", "t&!(t&f|t)="),
        ("reverse 38152=", "reverse 38152="),
    ] {
        assert_eq!(rewrite(prompt, &mut reverse), twin);
    }
    assert_eq!(canonical("islands 101 001 011="), "islands 011 001 101=");
}

#[test]
fn a_twin_is_in_the_same_split() {
    let mut random = stream("twins", [0; 4], 0);
    let mut rewritten = HashSet::new();
    for (family, level) in generated() {
        for index in 0..60 {
            for task in [
                Task::train(family, 11, index, level),
                Task::held_out(family, 11, index, level),
            ] {
                let question = task.question().unwrap();
                assert_eq!(
                    question.canonical,
                    canonical(&question.prompt),
                    "{question:?}"
                );
                for twin in (0..3).map(|_| twin(&question.prompt, &mut random)) {
                    assert_eq!(canonical(&twin), question.canonical, "{question:?} {twin}");
                    assert_eq!(
                        Split::of(&canonical(&twin)),
                        task.split,
                        "{question:?} {twin}"
                    );
                    if twin != question.prompt {
                        rewritten.insert((family, level));
                    }
                }
            }
        }
    }
    let without = [
        FamilyId::Reverse,
        FamilyId::Sequence,
        FamilyId::Base,
        FamilyId::Fraction,
        FamilyId::Calendar,
    ];
    let with: HashSet<_> = generated()
        .filter(|(family, _)| !without.contains(family))
        .collect();
    assert_eq!(rewritten, with);
}

#[test]
fn no_training_question_is_a_twin_of_a_held_out_one() {
    for (family, level) in generated() {
        let held_out = held_out_set(family, level, 128, 5).unwrap();
        let forms: HashSet<String> = held_out
            .iter()
            .map(|task| canonical(&task.question().unwrap().prompt))
            .collect();
        assert_eq!(forms.len(), 128, "{family} {level}");
        for index in 0..400 {
            let question = question(family, level, index);
            assert!(
                !forms.contains(&canonical(&question.prompt)),
                "{question:?}"
            );
        }
    }
}

/// How many of 64 held-out `sort` questions have a twin among training questions, if `split`
/// decides.
fn held_out_with_twins(split: impl Fn(&Question) -> Split) -> usize {
    let generator = FamilyId::Sort.generator().unwrap();
    let mut random = stream("twins", [1, 0, 0, 0], 0);
    let mut drawn = |wanted, count| -> Vec<String> {
        let questions = std::iter::repeat_with(|| generator.generate(0, &mut random));
        let inside = questions.filter(|question| split(question) == wanted);
        inside
            .map(|question| canonical(&question.prompt))
            .take(count)
            .collect()
    };
    let (held_out, train) = (
        drawn(Split::HeldOut, 64),
        HashSet::<String>::from_iter(drawn(Split::Train, 50_000)),
    );
    held_out.iter().filter(|form| train.contains(*form)).count()
}

#[test]
fn the_prompt_alone_would_let_twins_in() {
    assert_eq!(
        held_out_with_twins(|question| Split::of(&question.prompt)),
        64
    );
    assert_eq!(held_out_with_twins(Question::split), 0);
}

#[test]
fn families_share_no_canonical_form() {
    let mut owners = std::collections::HashMap::new();
    for (family, level) in generated() {
        for index in 0..200 {
            let canonical = question(family, level, index).canonical;
            let owner = *owners.entry(canonical.clone()).or_insert(family);
            assert_eq!(owner, family, "{canonical}");
        }
    }
}
