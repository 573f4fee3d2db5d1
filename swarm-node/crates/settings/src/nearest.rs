//! The known name that a mistyped one most resembles.

/// Largest share of a name that may differ for a suggestion: beyond a half, a guess misleads.
const MAX_DIFFERENCE: usize = 2;

/// The candidate with the smallest edit distance to `name`, the first among equals; none if even
/// that one differs in more than half of the longer name.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let measured = candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate));
    let (steps, best) = measured.min_by_key(|(steps, _)| *steps)?;
    let longest = name.chars().count().max(best.chars().count());
    (steps * MAX_DIFFERENCE <= longest).then_some(best)
}

/// Levenshtein distance: fewest insertions, deletions and replacements of characters.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, from) in from.chars().enumerate() {
        let mut left = at + 1;
        let mut next = vec![left];
        for (to, pair) in to.iter().zip(row.windows(2)) {
            let [above_left, above] = [pair[0], pair[1]];
            left = (above_left + usize::from(from != *to))
                .min(above + 1)
                .min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_of_known_pairs() {
        let cases = [
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("same", "same", 0),
            ("ab", "ba", 2),
        ];
        for (from, to, expected) in cases {
            assert_eq!(
                (distance(from, to), distance(to, from)),
                (expected, expected),
                "{from} {to}"
            );
        }
    }

    #[test]
    fn a_slip_finds_its_key_and_nonsense_finds_none() {
        let keys = ["demo.rounds", "demo.peers", "learn.group"];
        assert_eq!(nearest("demo.ruonds", keys), Some("demo.rounds"));
        assert_eq!(nearest("demo.peer", keys), Some("demo.peers"));
        assert_eq!(nearest("zzzzzzzzzzz", keys), None);
        assert_eq!(nearest("x", []), None);
    }
}
