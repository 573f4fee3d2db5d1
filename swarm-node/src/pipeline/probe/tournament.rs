//! Who meets whom in which round: the circle method, by which everybody meets everybody once.

/// How many rounds so many peers need.
pub(super) fn rounds(peers: u32) -> u32 {
    match peers {
        0 | 1 => 0,
        peers => peers.next_multiple_of(2) - 1,
    }
}

/// Whom a peer meets in a round; nobody where their number is odd and it is its turn to rest.
pub(super) fn partner(me: u32, round: u32, peers: u32) -> Option<u32> {
    // One stays where it is, the others meet those with whom their numbers add up to the round's.
    let fixed = peers.next_multiple_of(2) - 1;
    let opposite = (round + fixed - me % fixed) % fixed;
    let other = match me {
        me if me == fixed => half(round, fixed),
        me if me == opposite => fixed,
        _ => opposite,
    };
    (other < peers).then_some(other)
}

/// The number whose double is another one, of an odd number of them.
fn half(number: u32, odd: u32) -> u32 {
    match number.is_multiple_of(2) {
        true => number / 2,
        false => (number + odd) / 2,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn everybody_meets_everybody_once_and_one_at_a_time() {
        for peers in 0..40 {
            let mut met = BTreeSet::new();
            for round in 0..rounds(peers) {
                for me in 0..peers {
                    let Some(other) = partner(me, round, peers) else {
                        assert_eq!(peers % 2, 1, "nobody rests among {peers}");
                        continue;
                    };
                    assert_eq!(partner(other, round, peers), Some(me));
                    assert!(other != me && met.insert((me, other)), "{me} {other}");
                }
            }
            let pairs = peers as usize * peers.saturating_sub(1) as usize;
            assert_eq!(met.len(), pairs, "{peers} peers");
        }
    }
}
