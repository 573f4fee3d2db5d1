//! Finds the answer in a text: which part of it states the answer, whatever kind of answer that is.
//!
//! The one reader of all task families. In plain notation ([`super::plain`]) these rules hold:
//! * A text that goes on with another question, or past a special token, has its answer before
//!   that.
//! * The last *readable* mark wins: `#### 42`, `Answer: 42`, `The final answer is 42`,
//!   `\boxed{42}`, `A: 42`. What a mark announces stands behind it on its line, or on the next line
//!   that says something.
//! * A mark takes the answer before it back if what it announces names a number that cannot be
//!   read, or hedges: `#### 43 or 44`, `the answer is not 42`. Then only a later readable mark
//!   gives an answer, not the last line.
//! * So do marks of one line that say different things: who names two answers gives none.
//! * A sign, a factor or a bound before a box belongs to it, so `2\boxed{42}` is no 42.
//! * Behind a marked answer, a further sentence may stand if it names no number and takes nothing
//!   back.
//! * Without a readable mark, the last line is the answer, and all of it must be.
//! * Around an answer, emphasis, quotes, brackets and final punctuation do not count.
//!
//! Invariants: pure; one pass over the text with bounded look-ahead, so the time is linear in its
//! length.

use super::plain::{BOX, END, STOP};
use super::words;

/// How far behind the word "answer" its colon or verb may stand, in bytes.
const MARK_WINDOW: usize = 48;
/// Fewest `#` that mark an answer; fewer make a heading.
const HASHES: usize = 4;
/// Words that may stand between a verb and what it announces.
const LEADS: [&str; 5] = ["therefore ", "thus ", "hence ", "then ", "equal to "];
/// Characters that make something else of an answer that is set off behind them.
const OPERATORS: &str = "+-/^~<×÷√±≈≠≤≥";

/// What the candidates of a line say together.
#[derive(Debug)]
enum Said<T> {
    Answer(T),
    /// They take back what was said before, and say nothing readable instead.
    Contested,
    Nothing,
}

/// A part of the text that may state the answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    /// What is stated, without decoration.
    pub(super) text: &'a str,
    /// What follows on the line behind an answer that is set off by markup.
    rest: &'a str,
    marked: bool,
}

impl<'a> Candidate<'a> {
    fn marked(text: &'a str) -> Self {
        let (text, rest) = text.split_once(END).unwrap_or((text, ""));
        Self {
            text: peel(text),
            rest,
            marked: true,
        }
    }

    fn line(text: &'a str) -> Self {
        Self {
            text: peel(text),
            rest: "",
            marked: false,
        }
    }

    /// What `value` reads in it.
    fn read<T>(&self, value: impl Fn(&str) -> Option<T>) -> Option<T> {
        if self.text.is_empty() || !words::leave_number(self.rest.trim_matches(is_decoration)) {
            return None;
        }
        value(self.text).or_else(|| {
            let (sentence, more) = self
                .text
                .split_once(". ")
                .or_else(|| self.text.split_once("! "))?;
            (self.marked && words::add_nothing(more)).then(|| value(peel(sentence)))?
        })
    }

    /// True for a calculation that leads to the next mark: `6 × 7 = `.
    fn is_working<T>(&self, value: impl Fn(&str) -> Option<T>) -> bool {
        let Some(working) = self.text.strip_suffix('=') else {
            return false;
        };
        let states_number = working.contains(char::is_numeric) && value(peel(working)).is_some();
        self.rest.is_empty() && !states_number && !words::hedge(working)
    }
}

/// The answer in `text`, which is in plain notation; `value` reads a candidate.
pub(super) fn read<T: PartialEq>(text: &str, value: impl Fn(&str) -> Option<T>) -> Option<T> {
    find(text, |candidates| {
        let mut agreed = None;
        for candidate in candidates {
            match (candidate.read(&value), &agreed) {
                (Some(read), Some(other)) if read != *other => return Said::Contested,
                (Some(read), _) => agreed = Some(read),
                (None, _) if candidate.is_working(&value) => {}
                // "43k \boxed{42}" names two answers, although only the second can be read.
                (None, _) if words::contest(candidate.text) || words::contest(candidate.rest) => {
                    return Said::Contested;
                }
                (None, _) => {}
            }
        }
        agreed.map_or(Said::Nothing, Said::Answer)
    })
}

/// What stands at the place of the answer in `text`, which is in plain notation; readable or not.
pub(super) fn stated(text: &str) -> &str {
    find(text, |candidates| {
        let last = candidates
            .iter()
            .rev()
            .map(|candidate| candidate.text)
            .find(|text| !text.is_empty());
        last.map_or(Said::Nothing, Said::Answer)
    })
    .unwrap_or_default()
}

/// The answer of the first part that has one. Parts end where another question or a special token
/// stands.
fn find<'a, T>(text: &'a str, resolve: impl Fn(&[Candidate<'a>]) -> Said<T>) -> Option<T> {
    let mut part = Part::default();
    for line in text.lines() {
        if line.contains(STOP) || is_question(line) {
            match part.answer(&resolve) {
                Said::Answer(answer) => return Some(answer),
                Said::Contested => return None,
                Said::Nothing => part = Part::default(),
            }
        } else {
            part.add(line, &resolve);
        }
    }
    match part.answer(&resolve) {
        Said::Answer(answer) => Some(answer),
        Said::Contested | Said::Nothing => None,
    }
}

/// What the lines of a part say so far.
struct Part<'a, T> {
    /// What the last mark says that says anything.
    marked: Said<T>,
    /// The last line behind the last mark that says something.
    last: Option<&'a str>,
    /// The candidates of a line whose last mark has nothing behind it yet.
    pending: Option<Vec<Candidate<'a>>>,
}

impl<T> Default for Part<'_, T> {
    fn default() -> Self {
        Self {
            marked: Said::Nothing,
            last: None,
            pending: None,
        }
    }
}

impl<'a, T> Part<'a, T> {
    fn add(&mut self, line: &'a str, resolve: &impl Fn(&[Candidate<'a>]) -> Said<T>) {
        let candidates = marked(line);
        if candidates.is_empty() {
            let line = line.trim();
            if peel(line).is_empty() {
                return;
            }
            self.last = Some(line);
            if let Some(mut pending) = self.pending.take() {
                pending.push(Candidate::marked(line));
                self.hear(resolve(&pending));
            }
            return;
        }
        self.settle(resolve);
        self.last = None;
        if candidates
            .last()
            .is_some_and(|last| last.text.is_empty() && last.rest.is_empty())
        {
            self.pending = Some(candidates);
        } else {
            self.hear(resolve(&candidates));
        }
    }

    fn hear(&mut self, said: Said<T>) {
        if !matches!(said, Said::Nothing) {
            self.marked = said;
        }
    }

    /// Resolves a line whose last mark stays without anything behind it.
    fn settle(&mut self, resolve: &impl Fn(&[Candidate<'a>]) -> Said<T>) {
        if let Some(pending) = self.pending.take() {
            self.hear(resolve(&pending));
        }
    }

    fn answer(mut self, resolve: &impl Fn(&[Candidate<'a>]) -> Said<T>) -> Said<T> {
        self.settle(resolve);
        match (self.marked, self.last) {
            (Said::Nothing, Some(last)) => match resolve(&[Candidate::line(last)]) {
                // A line without a mark announces nothing, so it takes nothing back either.
                Said::Contested => Said::Nothing,
                said => said,
            },
            (marked, _) => marked,
        }
    }
}

/// The candidates behind the marks of a line, each up to the next mark.
fn marked(line: &str) -> Vec<Candidate<'_>> {
    let (mut candidates, mut at) = (Vec::new(), 0);
    let mut open = None;
    while let Some((start, end)) = next_mark(line, at) {
        candidates.extend(open.map(|from| Candidate::marked(&line[from..start])));
        // What changes the answer in a box is left before it, where nothing reads both.
        let changed = if line[start..].starts_with(BOX) {
            change(&line[at..start], open.is_none())
        } else {
            None
        };
        (open, at) = (Some(changed.map_or(end, |offset| at + offset)), end);
    }
    candidates.extend(open.map(|from| Candidate::marked(&line[from..])));
    candidates
}

/// Where in `before`, which a box follows, a sign, an operator, a bound or (in the text before all
/// marks, where no candidate holds it) a factor stands at its end.
fn change(before: &str, unmarked: bool) -> Option<usize> {
    let bare = before.trim_end_matches(|c: char| is_decoration(c) && c != END);
    let (offset, last) = bare.char_indices().next_back()?;
    if OPERATORS.contains(last) || (unmarked && last.is_numeric()) {
        return Some(offset);
    }
    words::bound(bare).map(|word| bare.len() - word.len())
}

/// Where the next mark at or behind byte `from` begins and ends.
fn next_mark(line: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = line.as_bytes();
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\x01' => return Some((at, at + BOX.len_utf8())),
            b'#' => {
                let run = bytes[at..].iter().take_while(|byte| **byte == b'#').count();
                if run >= HASHES {
                    return Some((at, at + run));
                }
                at += run;
                continue;
            }
            b'a' | b'A' => {
                if let Some(end) = word_mark(line, at) {
                    return Some((at, end));
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The end of the mark that begins with the word at byte `at`: `Answer:`, `answer is`, and `A:`
/// where the line begins.
fn word_mark(line: &str, at: usize) -> Option<usize> {
    let (before, here) = line.split_at(at);
    if before.ends_with(|c: char| c.is_alphanumeric() || c == '\\') {
        return None;
    }
    let letters = here
        .bytes()
        .take_while(u8::is_ascii_alphabetic)
        .take(8)
        .count();
    let (word, after) = here.split_at(letters);
    match word.to_ascii_lowercase().as_str() {
        "answer" => Some(line.len() - behind_answer(after, is_opening(before))?.len()),
        "a" | "ans" if is_opening(before) => {
            let after = after.trim_start_matches(|c: char| is_decoration(c) || c == '.');
            after.strip_prefix(':').map(|rest| line.len() - rest.len())
        }
        _ => None,
    }
}

/// What stands behind the colon, dash or verb that belongs to the word "answer"; `opening` if the
/// word opens its line.
fn behind_answer(after: &str, opening: bool) -> Option<&str> {
    let bare = after.trim_start_matches(is_decoration);
    if let Some(rest) = bare.strip_prefix([':', '=', '>']) {
        return Some(rest);
    }
    let dashes = bare.trim_start_matches('-');
    if dashes.len() < bare.len() && dashes.starts_with([' ', '>']) {
        return Some(dashes);
    }
    let window = &after[..after.floor_char_boundary(MARK_WINDOW)];
    let window = window
        .split(|c: char| c.is_numeric() || matches!(c, '.' | '!' | '?' | ';' | BOX))
        .next()?;
    let colon = window.find([':', '=']).map(|at| at + 1);
    let verb = ["is", "equals"]
        .iter()
        .filter_map(|verb| words::find(window, verb).map(|at| at + verb.len()))
        .min();
    match colon.into_iter().chain(verb).min() {
        Some(end) => {
            let said = after[end..].trim_start();
            let lead = LEADS.iter().find(|lead| {
                said.get(..lead.len())
                    .is_some_and(|begin| begin.eq_ignore_ascii_case(lead))
            });
            Some(&said[lead.map_or(0, |lead| lead.len())..])
        }
        None if bare.is_empty() || (opening && bare.len() < after.len()) => Some(bare),
        None => None,
    }
}

/// True if a line that begins with `before` only begins to say something there.
fn is_opening(before: &str) -> bool {
    // A longer beginning says more, and looking at all of it for each mark would take too long.
    if before.len() > MARK_WINDOW {
        return false;
    }
    let bare = before.trim_matches(|c: char| is_decoration(c) || matches!(c, '#' | '>' | '-'));
    ["", "final", "the", "the final", "my"]
        .iter()
        .any(|known| bare.eq_ignore_ascii_case(known))
}

/// True if a line puts another question: `Question: …`, `**Question 2:** …`, `Q: …`.
fn is_question(line: &str) -> bool {
    let line = line.trim_start_matches(|c: char| is_decoration(c) || matches!(c, '#' | '>'));
    let letters = line
        .bytes()
        .take_while(u8::is_ascii_alphabetic)
        .take(9)
        .count();
    let (word, after) = line.split_at(letters);
    let after = after.trim_start_matches(|c: char| is_decoration(c) || c.is_ascii_digit());
    after.starts_with(':')
        && ["question", "q"]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known))
}

/// Characters around an answer that set it off and say nothing.
fn is_decoration(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '*' | '_'
                | '`'
                | '"'
                | '\''
                | '$'
                | '('
                | ')'
                | '['
                | ']'
                | '{'
                | '}'
                | BOX
                | END
                | STOP
        )
}

/// `text` without decoration around it, signs that lead to it, and punctuation that ends it.
pub(super) fn peel(text: &str) -> &str {
    let mut peeled = text;
    loop {
        let before = peeled.len();
        peeled = peeled
            .trim_matches(is_decoration)
            .trim_end_matches(['.', ',', ';', ':', '!']);
        peeled = peeled
            .strip_prefix("->")
            .unwrap_or(peeled)
            .trim_start_matches([':', '=', '>']);
        if peeled.len() == before {
            return peeled;
        }
    }
}

#[cfg(test)]
mod tests;
