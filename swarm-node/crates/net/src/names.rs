//! Names to look up and when, as a pure table: time and answers are arguments.
//!
//! ```text
//! add ─▶ waiting ─due─▶ asked ─ addresses ─▶ waiting, NAME_PERIOD
//!           ▲             │
//!           └── pause ×2 ─┘ no address
//! ```
//! A name is looked up until it gives addresses, for ever, and again while the node wants peers,
//! for what a name stands for changes. Names are given by the operator and by the swarm's file;
//! those that strangers tell are not looked up.

use std::time::Instant;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use crate::dial::pause;
use crate::limits::{MAX_NAMES, NAME_PERIOD};

/// True for `/dnsaddr/…`, `/dns/…`, `/dns4/…` and `/dns6/…`.
pub(crate) fn is_name(address: &Multiaddr) -> bool {
    matches!(
        address.iter().next(),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_))
    )
}

#[derive(Debug)]
struct Name {
    address: Multiaddr,
    next: Instant,
    is_asked: bool,
    failures: u32,
    /// Why the last lookup gave nothing.
    trouble: Option<String>,
}

/// All names.
#[derive(Debug)]
pub(crate) struct Names {
    names: Vec<Name>,
    seed: u64,
}

impl Names {
    /// `seed` spreads the pauses of different nodes.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            names: Vec::new(),
            seed,
        }
    }

    /// Adds an address that begins with a name; false if there are too many.
    pub(crate) fn add(&mut self, address: Multiaddr, now: Instant) -> bool {
        if self.find(&address).is_some() {
            return true;
        }
        let has_room = self.names.len() < MAX_NAMES;
        if has_room {
            self.names.push(Name {
                address,
                next: now,
                is_asked: false,
                failures: 0,
                trouble: None,
            });
        }
        has_room
    }

    /// The names to look up. `wanted` says whether the node wants peers; a name that has given
    /// nothing yet is looked up all the same.
    pub(crate) fn due(&mut self, now: Instant, wanted: bool) -> Vec<Multiaddr> {
        let due = self.names.iter_mut().filter(|name| {
            !name.is_asked && name.next <= now && (wanted || name.trouble.is_some())
        });
        due.map(|name| {
            name.is_asked = true;
            name.address.clone()
        })
        .collect()
    }

    /// Notes what a lookup gave. True if the reason why it gave nothing is a new one, which
    /// somebody should be told.
    pub(crate) fn answered(
        &mut self,
        address: &Multiaddr,
        trouble: Option<String>,
        now: Instant,
    ) -> bool {
        let seed = self.seed;
        let Some(name) = self.find(address) else {
            return false;
        };
        name.is_asked = false;
        match trouble {
            None => {
                name.failures = 0;
                name.next = now + NAME_PERIOD;
                name.trouble = None;
                false
            }
            Some(trouble) => {
                name.failures = name.failures.saturating_add(1);
                name.next = now + pause(name.failures, seed);
                let is_new = name.trouble.as_ref() != Some(&trouble);
                name.trouble = Some(trouble);
                is_new
            }
        }
    }

    /// Names that gave nothing when they were looked up last.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = &Multiaddr> {
        let silent = self.names.iter().filter(|name| name.trouble.is_some());
        silent.map(|name| &name.address)
    }

    fn find(&mut self, address: &Multiaddr) -> Option<&mut Name> {
        self.names.iter_mut().find(|name| name.address == *address)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limits::DIAL_PAUSE_LONGEST;

    fn named(name: &str) -> Multiaddr {
        format!("/dnsaddr/{name}").parse().unwrap()
    }

    #[test]
    fn names_are_told_from_addresses() {
        for name in [
            "/dnsaddr/a",
            "/dns/a/tcp/1",
            "/dns4/a/tcp/1",
            "/dns6/a/tcp/1",
        ] {
            assert!(is_name(&name.parse().unwrap()), "{name}");
        }
        assert!(!is_name(&"/ip4/1.2.3.4/tcp/1".parse().unwrap()));
    }

    #[test]
    fn a_name_that_gives_nothing_is_asked_for_ever_with_growing_pauses() {
        let (mut names, start) = (Names::new(3), Instant::now());
        assert!(names.add(named("dead"), start));
        let (mut asked, mut told, mut now) = (0, 0, start);
        for second in 0..24 * 3600 {
            for name in names.due(now, second == 0) {
                asked += 1;
                assert_eq!(names.due(now, true), [], "one lookup at a time");
                told += usize::from(names.answered(&name, Some("no answer".into()), now));
            }
            now += Duration::from_secs(1);
        }
        assert!((250..700).contains(&asked), "{asked} lookups in a day");
        assert_eq!(told, 1);
        assert_eq!(names.unanswered().collect::<Vec<_>>(), [&named("dead")]);
        let name = names.due(now + DIAL_PAUSE_LONGEST, false);
        assert!(names.answered(&name[0], Some("another reason".into()), now));
    }

    #[test]
    fn a_name_that_gave_addresses_is_asked_again_while_peers_are_wanted() {
        let (mut names, now) = (Names::new(3), Instant::now());
        names.add(named("good"), now);
        assert_eq!(names.due(now, true), [named("good")]);
        assert!(!names.answered(&named("good"), None, now));
        assert_eq!(names.unanswered().count(), 0);
        let later = now + NAME_PERIOD;
        assert_eq!(names.due(later - Duration::from_secs(1), true), []);
        assert_eq!(names.due(later, false), []);
        assert_eq!(names.due(later, true), [named("good")]);
    }

    #[test]
    fn the_table_is_bounded() {
        let (mut names, now) = (Names::new(3), Instant::now());
        for number in 0..MAX_NAMES {
            assert!(names.add(named(&number.to_string()), now));
        }
        assert!(!names.add(named("one more"), now));
        assert!(names.add(named("0"), now), "a known one");
        assert_eq!(names.due(now, true).len(), MAX_NAMES);
    }
}
