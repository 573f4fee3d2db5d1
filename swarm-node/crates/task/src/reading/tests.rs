use std::time::{Duration, Instant};

use super::super::answer::{Answer, Kind, MAX_TEXT_BYTES};
use super::*;

fn number(text: &str) -> Option<String> {
    Kind::Number.canonical(text)
}

/// Spellings of one answer that must count.
const COUNT: [(&str, &str); 112] = [
    ("42", "42"),
    ("**42**.", "42"),
    ("Answer: `42`.", "42"),
    ("**Answer:** 42", "42"),
    ("Answer: $42.", "42"),
    ("Answer: \\boxed{42}", "42"),
    ("The final answer is \\(42\\).", "42"),
    ("Answer: 42%", "42"),
    ("Answer: \\$1,080", "1080"),
    ("Answer: 1 080", "1080"),
    ("Answer: −5", "-5"),
    ("Answer: –5", "-5"),
    ("Answer: \\frac{3}{4}", "0.75"),
    ("Answer: 1 1/2", "1.5"),
    ("Answer: 42,", "42"),
    ("Answer: 42\n\nQuestion: another one?\nAnswer: 7", "42"),
    ("Answer: = 42", "42"),
    ("Answer - 42", "42"),
    ("Answer: 4.2e1", "42"),
    ("Answer：42", "42"),
    ("Answer: €42", "42"),
    ("Answer: 42.00 USD", "42"),
    ("Answer: 42...", "42"),
    ("Answer: [42]", "42"),
    ("Answer: 42<|im_end|>", "42"),
    // Marks.
    ("####42", "42"),
    ("A: 42", "42"),
    ("**A:** 42", "42"),
    ("Ans: 42", "42"),
    ("ANSWER = 42", "42"),
    ("Answer -> 42", "42"),
    ("Answer 42", "42"),
    ("Answer -5", "-5"),
    ("Answer:\n42", "42"),
    ("### Answer\n\n**42**", "42"),
    ("**Answer:**\n```\n42\n```", "42"),
    ("Answer in dollars: 42", "42"),
    ("So the answer to the question is: 42", "42"),
    (
        "Final Answer: The final answer is 42. I hope it is correct.",
        "42",
    ),
    ("The answer equals 42.", "42"),
    ("{\"answer\": 42}", "42"),
    ("(Answer: 42)", "42"),
    ("Answer: 7\nNo, I forgot one.\nAnswer: 42", "42"),
    ("Answer: 42\nThe answer is found by multiplying.", "42"),
    ("Answer: 42. The answer is 42.", "42"),
    ("The answer is below.\n42", "42"),
    ("#### 42\nHowever, 43 was close.", "42"),
    // Set off by markup.
    ("so\n\\boxed{42}\nas wanted", "42"),
    ("The answer is 6 \\times 7 = \\boxed{42}.", "42"),
    ("Therefore it costs $\\boxed{42}$ dollars.", "42"),
    ("\\[\n\\boxed{\\text{42 apples}}\n\\]", "42"),
    ("$\\boxed{\\dfrac{3}{4}}$", "0.75"),
    ("\\boxed{\n42\n}", "42"),
    ("-\\boxed{5}", "-5"),
    ("<answer>42</answer>", "42"),
    ("<answer>\n42\n</answer>", "42"),
    ("<b>42</b>", "42"),
    ("__42__", "42"),
    ("_42_", "42"),
    ("***42***", "42"),
    ("\"42\"", "42"),
    ("“42”", "42"),
    ("'42'", "42"),
    ("((42))", "42"),
    ("{42}", "42"),
    ("$42$", "42"),
    ("$$42$$", "42"),
    ("\\[42\\]", "42"),
    ("`$42`", "42"),
    // Tokens.
    ("42</s>", "42"),
    ("42<|eot_id|><|start_header_id|>user\n7", "42"),
    ("<|im_start|>42<|im_end|>\nAnswer: 7", "42"),
    ("42 [/INST] 7", "42"),
    ("42\n\n**Question 2:** and?\nA: 7", "42"),
    ("42\nQ: and?\nA: 7", "42"),
    ("Question: how many?\nAnswer: 42", "42"),
    // Numbers.
    ("-$5", "-5"),
    ("$-5", "-5"),
    ("$ 5", "5"),
    ("5 $", "5"),
    ("£5.50", "5.5"),
    ("US$5", "5"),
    ("+5", "5"),
    ("- 5", "-5"),
    ("1{,}080", "1080"),
    ("1\\,080", "1080"),
    ("1\u{2009}080\u{2009}000", "1080000"),
    ("1_080", "1080"),
    ("４２", "42"),
    ("4.2 \\times 10^{1}", "42"),
    ("¾", "0.75"),
    ("1\\frac{1}{2}", "1.5"),
    ("1 and 1/2 hours", "1.5"),
    ("3/4", "0.75"),
    ("42 apples", "42"),
    ("42 km/h", "42"),
    ("42 \\text{ cm}^2", "42"),
    ("90^\\circ", "90"),
    ("x = 42", "42"),
    ("The answer is therefore 42", "42"),
    ("The answer is thus 42.", "42"),
    ("The answer is equal to 42", "42"),
    ("Grand total: $42", "42"),
    ("> \\boxed{42}", "42"),
    ("**\\boxed{42}**", "42"),
    ("So 6 × 7 = $\\boxed{42}$", "42"),
    ("\\boxed{42} \\boxed{42}", "42"),
    ("Step 2: \\boxed{42}", "42"),
    ("Answer: 42 or 43\nAnswer: 42", "42"),
    ("The answer is not hard to find.\n#### 42", "42"),
    ("Answer: 42\nThe answer is the number of apples.", "42"),
    ("\\boxed{42} cm²", "42"),
];

/// Texts that state another answer, two of them, or none.
const MISS: [(&str, &str); 113] = [
    ("Answer: 42 | 42", "42"),
    ("42 | 43", "42"),
    ("42 | 43", "43"),
    ("42 or 43", "42"),
    ("42 or 43", "43"),
    ("42/43", "42"),
    ("4 2", "42"),
    ("42-43", "42"),
    ("42–43", "43"),
    ("42, 43", "42"),
    ("42, 43", "43"),
    ("42; 43", "42"),
    ("42 43", "43"),
    ("[42, 43]", "42"),
    ("42 to 43", "42"),
    ("42 or more", "42"),
    ("42 or so", "42"),
    ("42?", "42"),
    ("maybe 42", "42"),
    ("about 42", "42"),
    ("not 42", "42"),
    ("Answer: not 42", "42"),
    ("at least 42", "42"),
    ("42 at most", "42"),
    ("~42", "42"),
    ("≈ 42", "42"),
    ("42 ± 1", "42"),
    (">= 42 or < 42", "42"),
    ("42 is wrong", "42"),
    ("42 thousand", "42"),
    ("42k", "42"),
    ("42 dozen", "42"),
    ("42 and a half", "42"),
    ("42 1/2", "42"),
    ("42x", "42"),
    ("42 x", "42"),
    ("0.42", "42"),
    ("-42", "42"),
    ("(42", "-42"),
    ("1,08", "108"),
    ("1.080", "1080"),
    ("4.2e2", "42"),
    ("42 = 43", "42"),
    ("42 = 43", "43"),
    ("42 feet 3 inches", "42"),
    ("12:42", "42"),
    ("\\boxed{42} or \\boxed{43}", "42"),
    ("\\boxed{42} or \\boxed{43}", "43"),
    ("\\boxed{42} or 43", "42"),
    ("\\boxed{42 \\text{ or } 43}", "42"),
    ("Answer: 42. Answer: 43.", "43"),
    ("Answer: 42 or answer: 43", "43"),
    ("Answer: 42 or \\boxed{43}", "43"),
    ("Answer: 42. Or 43.", "42"),
    ("Answer: 42. Wait, that is wrong.", "42"),
    ("Answer: 42\nAnswer: 43", "42"),
    ("Answer: 7\nQuestion: next?\nAnswer: 42", "42"),
    ("7</s>Answer: 42", "42"),
    ("3. Multiply both of them", "3"),
    ("So she has 42 apples.", "42"),
    ("Answer: 43? Answer: 42", "42"),
    ("#### 43 apples, 2 pears #### 42", "42"),
    ("Answer: 43m Answer: 42", "42"),
    ("\\boxed{43k} \\boxed{42}", "42"),
    ("Answer: 43 = \\boxed{42}", "42"),
    ("Answer: 42\nNo, the answer is not 42.", "42"),
    ("#### 42\n#### 43 or 44", "42"),
    ("Answer: 42\nAnswer: forty-three", "42"),
    ("Answer: 42 or 43\n42", "42"),
    ("Answer: 42 or 43\nQuestion: next?\nAnswer: 42", "42"),
    ("Answer: 42\nThe answer is wrong.", "42"),
    ("42²", "42"),
    ("42 ²", "42"),
    ("\\boxed{42}²", "42"),
    ("2\\boxed{42}", "42"),
    ("2 × \\boxed{42}", "42"),
    ("2 * \\boxed{42}", "42"),
    ("The answer is 2 × \\boxed{42}", "42"),
    ("-$\\boxed{42}$", "42"),
    ("- \\boxed{42}", "42"),
    ("The answer is -$\\boxed{42}$", "42"),
    ("42 π", "42"),
    ("42 pi", "42"),
    ("\\boxed{42}π", "42"),
    ("\\boxed{42}\\pi", "42"),
    ("42 lakh", "42"),
    ("42 grand", "42"),
    ("42 mil", "42"),
    ("42 tenths", "42"),
    ("42 thousandths", "42"),
    ("42 doubled", "42"),
    ("42 factorial", "42"),
    ("42-ish", "42"),
    ("42ish", "42"),
    ("circa 42", "42"),
    ("42 circa", "42"),
    ("42 tops", "42"),
    ("42 minimum", "42"),
    ("42 maximum", "42"),
    ("42 and over", "42"),
    ("42 and under", "42"),
    ("up to 42", "42"),
    ("less than 42", "42"),
    ("under 42", "42"),
    ("over 42", "42"),
    ("more than 42", "42"),
    ("at most 42", "42"),
    ("up to \\boxed{42}", "42"),
    ("less than \\boxed{42}", "42"),
    ("about \\boxed{42}", "42"),
    ("not \\boxed{42}", "42"),
    ("The answer is over \\boxed{42}", "42"),
    ("The answer is less than \\boxed{42}", "42"),
];

#[test]
fn every_spelling_of_an_answer_counts() {
    for (text, gold) in COUNT {
        assert_eq!(number(text).as_deref(), Some(gold), "{text}");
    }
}

#[test]
fn near_misses_and_hedges_do_not_count() {
    for (text, gold) in MISS {
        assert_ne!(number(text).as_deref(), Some(gold), "{text}");
    }
}

#[test]
fn all_kinds_are_read_alike() {
    for (gold, text) in [
        (Answer::list([3, 1, 2]), "**Answer:** `[3, 1, 2]`."),
        (Answer::list([3, 1, 2]), "\\boxed{3, 1, 2}"),
        (Answer::symbols("85254"), "Answer: \\(85254\\)<|im_end|>"),
        (
            Answer::symbols("85254"),
            "85254\n\nQuestion: reverse 1\nAnswer: 1",
        ),
        (Answer::numeral(255, 16), "The answer is `0xFF`."),
        (Answer::truth(true), "<answer>True</answer>"),
        (
            Answer::truth(false),
            "The answer is no. I hope it is correct.",
        ),
        (Answer::weekday(3), "**Thursday**."),
        (Answer::fraction(37, 10), "$\\boxed{\\frac{37}{10}}$"),
    ] {
        assert!(gold.matches(text), "{text}");
    }
    for (gold, text) in [
        (Answer::list([3, 1, 2]), "3 1 2 or 1 2 3"),
        (Answer::list([3, 1, 2]), "Answer: 3 1 2. Answer: 1 2 3."),
        (Answer::symbols("85254"), "85254 | 45258"),
        (Answer::truth(true), "true or false"),
        (Answer::truth(true), "Answer: true. Or false."),
        (Answer::weekday(3), "thu fri"),
        (Answer::fraction(37, 10), "74/20"),
    ] {
        assert!(!gold.matches(text), "{text}");
    }
}

#[test]
fn what_is_stated_is_told_even_if_no_kind_reads_it() {
    for (text, expected) in [
        ("Answer: **7 | 8**.", "7 | 8"),
        ("it is\n (green)! \n", "green"),
        ("Answer: red\nQuestion: and?", "red"),
        ("Answer: red. Answer: green", "green"),
        ("", ""),
    ] {
        assert_eq!(
            stated(&super::super::plain::plain(text)),
            expected,
            "{text}"
        );
    }
}

/// Hostile texts at full length take no longer than ordinary ones do.
#[test]
fn hostile_texts_are_read_in_linear_time() {
    let parts = [
        "(",
        "\\boxed{",
        "{",
        "\\frac{",
        "\\text{\\boxed{",
        "<|",
        "<",
        "[",
        "####",
        "####\n",
        "answer",
        "answer ",
        "answer is ",
        "A:",
        "Answer: (\n",
        "Question:\n",
        "</s>",
        "\u{1}",
        "1 ",
        "1,000",
        "1/",
        "9",
        "-",
        "*",
        "or ",
        "½",
        "\\frac{1}{",
        "a. ",
        "x=",
        "answer:1 ",
        "- \\boxed{",
        "\\boxed{1} up to ",
        "=",
        "\\",
        "} ",
        "^{",
    ];
    for part in parts {
        for end in ["", "#### 42"] {
            let text = part.repeat((1 << 20) / part.len()) + end;
            let begin = Instant::now();
            for kind in [
                Kind::Number,
                Kind::Fraction,
                Kind::List,
                Kind::Symbols,
                Kind::Truth,
                Kind::Weekday,
            ] {
                let _ = kind.canonical(&text);
            }
            let _ = super::super::answer::payload(&text);
            assert!(
                begin.elapsed() < Duration::from_secs(2),
                "{part}: {:?}",
                begin.elapsed()
            );
        }
    }
    let begin = Instant::now();
    assert_eq!(
        number(&("(".repeat(1 << 17) + &"answer ".repeat(1 << 14))),
        None
    );
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(
        number(&("(".repeat(1 << 20) + "42" + &")".repeat(1 << 10))).as_deref(),
        Some("42")
    );
    let nested = "\\boxed{".repeat(20_000) + "42" + &"}".repeat(20_000);
    assert_eq!(number(&nested).as_deref(), Some("42"));
}

#[test]
fn an_answer_counts_however_long_the_text_goes_on() {
    let text = format!("#### 42\n{}", "and so on. ".repeat(MAX_TEXT_BYTES / 16));
    assert_eq!(number(&text).as_deref(), Some("42"));
}
