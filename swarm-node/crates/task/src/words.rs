//! Words beside an answer: which of them leave it what it is, and which add another number or take
//! it back.
//!
//! A reader that pays for `42 or 43` pays for guessing, so whatever stands beside an answer must be
//! free of numbers, in digits or in words, and of [`HEDGES`].

/// Words that offer an alternative, take back, or give a bound instead of a value.
const HEDGES: [&str; 45] = [
    "or",
    "nor",
    "either",
    "neither",
    "maybe",
    "perhaps",
    "possibly",
    "probably",
    "alternatively",
    "otherwise",
    "instead",
    "unless",
    "not",
    "no",
    "never",
    "isn",
    "wasn",
    "cannot",
    "wrong",
    "incorrect",
    "false",
    "wait",
    "actually",
    "guess",
    "unsure",
    "approximately",
    "approx",
    "roughly",
    "about",
    "around",
    "almost",
    "nearly",
    "least",
    "most",
    "versus",
    "vs",
    "between",
    "plus",
    "minus",
    "times",
    "except",
    "unknown",
    "ish",
    "circa",
    "tops",
];
/// Words that are numbers, or change one.
const NUMBERS: [&str; 70] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
    "hundred",
    "hundreds",
    "thousand",
    "thousands",
    "million",
    "millions",
    "billion",
    "billions",
    "trillion",
    "trillions",
    "dozen",
    "dozens",
    "half",
    "halves",
    "third",
    "thirds",
    "quarter",
    "quarters",
    "fourths",
    "fifths",
    "double",
    "twice",
    "squared",
    "cubed",
    "divided",
    "k",
    "mn",
    "bn",
    "x",
    "lakh",
    "lakhs",
    "crore",
    "crores",
    "mil",
    "tenth",
    "tenths",
    "thousandths",
    "doubled",
    "tripled",
    "factorial",
    "pi",
    "π",
];
/// Words that change the number they follow; elsewhere, as in "grand total", they do not.
const AMOUNTS: [&str; 5] = ["grand", "minimum", "maximum", "over", "under"];
/// Words that make a bound of the number they precede.
const BOUNDS: [&str; 5] = ["than", "over", "under", "above", "below"];
/// Characters that calculate, compare or separate alternatives.
const OPERATORS: &str = "|=<>+*^~?&#@\\±≈≠≤≥→×÷√∞";

/// True if `text` beside an answer neither names a number nor takes the answer back.
pub(super) fn add_nothing(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut word_start = None;
    for (at, c) in text.char_indices() {
        let inside = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphabetic);
        let power = at.checked_sub(2).is_some_and(inside)
            && bytes[at - 1] == b'^'
            && matches!(c, '2' | '3');
        let allowed = match c {
            '^' => {
                at.checked_sub(1).is_some_and(inside)
                    && matches!(bytes.get(at + 1), Some(b'2' | b'3'))
            }
            '-' | '/' => at.checked_sub(1).is_some_and(inside) && inside(at + 1),
            '²' | '³' => at.checked_sub(1).is_some_and(inside),
            _ => power || !(c.is_numeric() || OPERATORS.contains(c)),
        };
        if !allowed {
            return false;
        }
        match (c.is_alphabetic(), word_start) {
            (true, None) => word_start = Some(at),
            (false, Some(start)) => {
                if is_harmful(&text[start..at]) {
                    return false;
                }
                word_start = None;
            }
            _ => {}
        }
    }
    !word_start.is_some_and(|start| is_harmful(&text[start..]))
}

/// True if `text`, which follows a number, leaves it what it is.
pub(super) fn leave_number(text: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_alphabetic());
    add_nothing(text) && !words.any(|word| is_one_of(word, &AMOUNTS))
}

/// The last word of `text` if it makes something else of a number behind it: `about`, `times`,
/// `less than`, `up to`.
pub(super) fn bound(text: &str) -> Option<&str> {
    let word = last_word(text);
    let is_bound = is_one_of(word, &HEDGES)
        || is_one_of(word, &BOUNDS)
        || (word.eq_ignore_ascii_case("to")
            && last_word(text[..text.len() - word.len()].trim_end()).eq_ignore_ascii_case("up"));
    is_bound.then_some(word)
}

/// The letters that `text` begins with.
fn first_word(text: &str) -> &str {
    &text[..text.len() - text.trim_start_matches(char::is_alphabetic).len()]
}

/// The letters that `text` ends with.
fn last_word(text: &str) -> &str {
    &text[text.trim_end_matches(char::is_alphabetic).len()..]
}

/// True if `text` names a number, be it unreadable, or takes something back.
pub(super) fn contest(text: &str) -> bool {
    text.contains(char::is_numeric) || hedge(text) || is_one_of(first_word(text), &NUMBERS)
}

/// True if `text` offers an alternative or takes something back.
pub(super) fn hedge(text: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_alphabetic());
    text.contains('|') || words.any(|word| is_one_of(word, &HEDGES))
}

fn is_harmful(word: &str) -> bool {
    is_one_of(word, &HEDGES) || is_one_of(word, &NUMBERS)
}

fn is_one_of(word: &str, known: &[&str]) -> bool {
    known.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// Number of words in `text`.
pub(super) fn count(text: &str) -> usize {
    text.split(|c: char| !c.is_alphabetic())
        .filter(|word| !word.is_empty())
        .count()
}

/// Where `word`, in lower-case ASCII letters, stands in `text` as a word of its own, in either
/// case.
pub(super) fn find(text: &str, word: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let letter = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(u8::is_ascii_alphabetic)
    };
    (0..(bytes.len() + 1).saturating_sub(word.len())).find(|at| {
        let end = at + word.len();
        bytes[*at..end].eq_ignore_ascii_case(word.as_bytes())
            && !letter(at.checked_sub(1))
            && !letter(Some(end))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_remarks_add_nothing() {
        for text in [
            "",
            " apples",
            " sq. ft",
            " km/h",
            " cm^2",
            " m²",
            " dollars per week",
            ". I hope it is correct.",
            " 🎉",
        ] {
            assert!(add_nothing(text), "{text}");
        }
        for text in [
            " or more",
            " | x",
            " apples, 3 pears",
            " thousand",
            " and a half",
            " is wrong",
            " isn't it",
            "?",
            " - x",
            "/x",
            " x",
            " + y",
            " 10^2",
            " at most",
            " ٣",
            " NOT",
        ] {
            assert!(!add_nothing(text), "{text}");
        }
    }

    #[test]
    fn words_are_found_whole() {
        assert_eq!(find("this is it", "is"), Some(5));
        assert_eq!(find("This", "is"), None);
        assert_eq!(find("IS", "is"), Some(0));
        assert_eq!(find("i", "is"), None);
        assert_eq!(count(" sq. ft "), 2);
    }
}
