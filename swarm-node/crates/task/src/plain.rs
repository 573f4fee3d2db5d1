//! Plain text from what models write: typography, LaTeX, HTML and special tokens are brought to one
//! notation.
//!
//! | written | plain |
//! |---|---|
//! | `−5`, `–5`, `５` | `-5`, `-5`, `5` |
//! | `\frac{3}{4}`, `¾` | `3/4` |
//! | `1{,}080`, `1\,080` | `1,080`, `1 080` |
//! | `\text{ kg}`, `\(42\)`, `<b>42</b>` | the same without the markup |
//! | `\boxed{42}`, `<answer>42</answer>` | [`BOX`] `42` [`END`] |
//! | `<\|im_end\|>`, `</s>` | a line that holds [`STOP`] |
//!
//! Invariants: one pass from left to right that looks ahead [`LOOKAHEAD`] bytes at most, so the
//! time is linear in the text however it is nested; the three marks come from here alone, since the
//! text's own are replaced.

/// Before an answer that is set off by markup.
pub(super) const BOX: char = '\u{1}';
/// Behind such an answer.
pub(super) const END: char = '\u{2}';
/// In a line of its own where a special token ends what the model says.
pub(super) const STOP: char = '\u{3}';

/// How far ahead the end of a token, a tag or the parts of a fraction are looked for, in bytes.
const LOOKAHEAD: usize = 64;

/// Special tokens that are not of the form `<|name|>`.
const TOKENS: [&str; 9] = [
    "</s>",
    "<s>",
    "<eos>",
    "<bos>",
    "<pad>",
    "<end_of_turn>",
    "<start_of_turn>",
    "[INST]",
    "[/INST]",
];
/// HTML elements whose tags are dropped.
const ELEMENTS: [&str; 14] = [
    "b", "i", "u", "p", "em", "br", "strong", "span", "div", "code", "pre", "center", "li", "mark",
];
/// LaTeX commands that only set their argument in some way.
const WRAPPERS: [&str; 17] = [
    "text",
    "textbf",
    "textit",
    "textrm",
    "texttt",
    "textsf",
    "textnormal",
    "mathrm",
    "mathbf",
    "mathit",
    "mathsf",
    "mathtt",
    "mbox",
    "operatorname",
    "emph",
    "boldsymbol",
    "underline",
];
/// LaTeX commands that say nothing.
const SPACING: [&str; 12] = [
    "displaystyle",
    "left",
    "right",
    "quad",
    "qquad",
    "big",
    "Big",
    "bigl",
    "bigr",
    "hspace",
    "space",
    "thinspace",
];
/// Characters for fractions, with what they stand for.
const FRACTIONS: [(char, &str); 11] = [
    ('½', "1/2"),
    ('⅓', "1/3"),
    ('⅔', "2/3"),
    ('¼', "1/4"),
    ('¾', "3/4"),
    ('⅕', "1/5"),
    ('⅖', "2/5"),
    ('⅗', "3/5"),
    ('⅘', "4/5"),
    ('⅛', "1/8"),
    ('⅞', "7/8"),
];

/// `text` in plain notation.
pub(super) fn plain(text: &str) -> String {
    markup(&typography(text))
}

/// One character for all that look alike: ASCII where there is one.
fn typography(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            BOX | END | STOP => plain.push(char::REPLACEMENT_CHARACTER),
            '\r' if characters.peek() == Some(&'\n') => {}
            '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => plain.push('\n'),
            // Full-width forms stand in the order of ASCII.
            '\u{ff01}'..='\u{ff5e}' => plain.extend(char::from_u32(u32::from(character) - 0xfee0)),
            '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' => plain.push('-'),
            '\u{2018}'..='\u{201b}' | '\u{2032}' => plain.push('\''),
            '\u{201c}'..='\u{201f}' | '\u{2033}' | '«' | '»' => plain.push('"'),
            '\u{2044}' | '\u{2215}' => plain.push('/'),
            '…' | '。' => plain.push('.'),
            '、' => plain.push(','),
            // Zero width, direction marks, soft hyphens and byte order marks cannot be seen.
            '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => {}
            _ if character.is_whitespace() => plain.push(' '),
            _ => match FRACTIONS.iter().find(|(known, _)| *known == character) {
                Some((_, fraction)) => plain.extend([" ", fraction]),
                None => plain.push(character),
            },
        }
    }
    plain
}

/// What a closing brace ends.
#[derive(Clone, Copy)]
enum Group {
    /// An ordinary pair of braces.
    Braces,
    /// The argument of a command that is dropped.
    Argument,
    /// An answer that is set off.
    Box,
}

/// Text whose markup has been read up to some place.
struct Reader {
    plain: String,
    open: Vec<Group>,
}

/// `text` without markup.
fn markup(text: &str) -> String {
    let mut reader = Reader {
        plain: String::with_capacity(text.len()),
        open: Vec::new(),
    };
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '{', '}', '<', '[']) {
        let (before, here) = rest.split_at(at);
        reader.plain.push_str(before);
        let used = match here.as_bytes()[0] {
            b'\\' => reader.command(here),
            b'{' => reader.opening(here),
            b'}' => reader.closing(),
            _ => reader.tag(here),
        };
        rest = &here[used..];
    }
    reader.plain.push_str(rest);
    reader.plain
}

impl Reader {
    /// Reads a LaTeX command; returns its length in bytes.
    fn command(&mut self, here: &str) -> usize {
        let body = &here[1..];
        let letters = body
            .bytes()
            .take(LOOKAHEAD)
            .take_while(u8::is_ascii_alphabetic)
            .count();
        let (name, after) = body.split_at(letters);
        let used = 1 + letters;
        match name {
            "" => return self.escaped(body),
            "frac" | "dfrac" | "tfrac" | "cfrac" => {
                if let Some((top, bottom, length)) = fraction(after) {
                    self.plain.extend([" ", top, "/", bottom, " "]);
                    return used + length;
                }
                self.plain.push('\\');
                return 1;
            }
            // A sign before a box belongs to the answer, which is then no box but the rest of the
            // line.
            "boxed" | "fbox" if !self.plain.ends_with('-') => {
                self.plain.push(BOX);
                return used + self.argument(after, Group::Box);
            }
            "boxed" | "fbox" => return used + self.argument(after, Group::Argument),
            "times" | "cdot" => self.plain.push('×'),
            "div" => self.plain.push('÷'),
            "pm" => self.plain.push('±'),
            "approx" => self.plain.push('≈'),
            "circ" | "degree" => {
                if self.plain.ends_with('^') {
                    self.plain.pop();
                }
                self.plain.push('°');
            }
            _ if WRAPPERS.contains(&name) => {
                self.plain.push(' ');
                return used + self.argument(after, Group::Argument);
            }
            _ if SPACING.contains(&name) => self.plain.push(' '),
            _ => {
                self.plain.push('\\');
                return 1;
            }
        }
        used
    }

    /// Reads a backslash and the character behind it, which is no letter; returns their length in
    /// bytes.
    fn escaped(&mut self, body: &str) -> usize {
        match body.as_bytes().first() {
            Some(b'(' | b')' | b'[' | b']' | b',' | b';' | b':' | b'>' | b' ' | b'\\') => {
                self.plain.push(' ')
            }
            Some(b'!') => {}
            Some(escaped @ (b'$' | b'%' | b'#' | b'&' | b'_' | b'{' | b'}')) => {
                self.plain.push(char::from(*escaped))
            }
            _ => {
                self.plain.push('\\');
                return 1;
            }
        }
        2
    }

    /// Opens the group of a command if one follows; returns the length of its brace with the blanks
    /// before it.
    fn argument(&mut self, after: &str, group: Group) -> usize {
        let blanks = after
            .bytes()
            .take(LOOKAHEAD)
            .take_while(|byte| *byte == b' ')
            .count();
        if after.as_bytes().get(blanks) != Some(&b'{') {
            return 0;
        }
        self.open.push(group);
        blanks + 1
    }

    fn opening(&mut self, here: &str) -> usize {
        if here.starts_with("{,}") {
            self.plain.push(',');
            return 3;
        }
        if self.plain.ends_with('^') {
            self.open.push(Group::Argument);
        } else {
            self.open.push(Group::Braces);
            self.plain.push('{');
        }
        1
    }

    fn closing(&mut self) -> usize {
        match self.open.pop() {
            Some(Group::Box) => self.plain.push(END),
            Some(Group::Argument) => {}
            Some(Group::Braces) | None => self.plain.push('}'),
        }
        1
    }

    /// Reads a special token or a tag; returns its length in bytes.
    fn tag(&mut self, here: &str) -> usize {
        if let Some(length) = token(here) {
            self.plain.extend(['\n', STOP, '\n']);
            return length;
        }
        if let Some((plain, length)) = element(here) {
            self.plain.push(plain);
            return length;
        }
        self.plain.push_str(&here[..1]);
        1
    }
}

/// The length of the special token that `here` begins with.
fn token(here: &str) -> Option<usize> {
    if let Some(known) = TOKENS.iter().find(|known| here.starts_with(**known)) {
        return Some(known.len());
    }
    let name = bounded(here.strip_prefix("<|")?).split_once("|>")?.0;
    let valid = !name.is_empty() && !name.contains(['|', '<', '>', ' ', '\n']);
    valid.then_some(name.len() + 4)
}

/// What stands for the HTML tag that `here` begins with, and the tag's length.
fn element(here: &str) -> Option<(char, usize)> {
    let (name, _) = bounded(here.strip_prefix('<')?).split_once('>')?;
    let plain = match name {
        "answer" => BOX,
        "/answer" => END,
        _ if ELEMENTS.contains(&name.trim_matches(['/', ' '])) => ' ',
        _ => return None,
    };
    Some((plain, name.len() + 2))
}

/// Numerator, denominator and length of the arguments of a fraction: `{3}{4}`, or two digits.
fn fraction(after: &str) -> Option<(&str, &str, usize)> {
    if let Some(digits) = after
        .get(..2)
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Some((&digits[..1], &digits[1..], 2));
    }
    let within = bounded(after);
    let (top, rest) = within.trim_start().strip_prefix('{')?.split_once('}')?;
    let (bottom, rest) = rest.trim_start().strip_prefix('{')?.split_once('}')?;
    Some((top.trim(), bottom.trim(), within.len() - rest.len()))
}

/// The first [`LOOKAHEAD`] bytes of `text`, cut at a character.
fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(LOOKAHEAD)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notations_are_brought_to_one() {
        for (written, expected) in [
            ("−5 – 3 — 1", "-5 - 3 - 1"),
            ("４２：＃", "42:#"),
            ("1\u{202f}080\u{200b}\u{feff}", "1 080"),
            ("a\r\nb\rc\u{2028}d", "a\nb\nc\nd"),
            ("“7” ‘8’ «9»", "\"7\" '8' \"9\""),
            ("1½", "1 1/2"),
            (r"\frac{3}{4}", " 3/4 "),
            (
                r"1\dfrac 34",
                "1 \\dfrac 34"
                    .trim_start_matches(' ')
                    .replacen("1 ", "1", 1)
                    .as_str(),
            ),
            (r"\tfrac34", " 3/4 "),
            (r"\(42\)", " 42 "),
            (r"1{,}080", "1,080"),
            (r"1\,080", "1 080"),
            (r"42\text{ kg}", "42  kg"),
            (r"42 \mathrm {cm}^{2}", "42  cm^2"),
            (r"\$5 or 5\%", "$5 or 5%"),
            (r"90^\circ, 90^{\circ}", "90°, 90°"),
            (r"4.2 \times 10^{1}", "4.2 × 10^1"),
            (r"\boxed{42}.", "\u{1}42\u{2}."),
            (r"\boxed{\text{42}}", "\u{1} 42\u{2}"),
            (r"-\boxed{42}", "-42"),
            ("<answer>42</answer>", "\u{1}42\u{2}"),
            ("<b>42</b><br/>", " 42  "),
            ("42<|im_end|>x</s>", "42\n\u{3}\nx\n\u{3}\n"),
            ("\u{1}\u{2}\u{3}", "\u{fffd}\u{fffd}\u{fffd}"),
            (
                r"{a} <x> [1] <| |> \unknown{7}",
                r"{a} <x> [1] <| |> \unknown{7}",
            ),
        ] {
            assert_eq!(plain(written), expected, "{written}");
        }
    }
}
