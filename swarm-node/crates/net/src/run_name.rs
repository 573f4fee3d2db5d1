//! The number of one run of a node's process, which peers learn beside the name of its program.
//!
//! A process that is killed says goodbye to nobody: its peers keep its connections until pings
//! fail, half a minute later, and meanwhile send into them what the next run should hear. So each
//! run has a number, and whoever sees another one ends all connections with the peer and begins
//! anew ([`crate::runs`]).
//!
//! ```text
//! swarm-node/0.1.0 run/1f3870be274f6c49
//! ```

use std::time::{SystemTime, UNIX_EPOCH};

use swarm_identity::Secret;
use swarm_identity::digest::{Hasher, low_u64};

const MARK: &str = " run/";

/// The program's name with a run's number.
pub(crate) fn named(agent: &str, run: u64) -> String {
    format!("{agent}{MARK}{run:016x}")
}

/// A number of a run of a node that begins now, which nobody else can know before.
pub(crate) fn begin(secret: &Secret) -> u64 {
    let run = Hasher::new("run").bytes(&*secret.to_bytes());
    low_u64(&run.u64(number()).finish())
}

/// A number that only two runs of one node must differ in, and they begin at different times.
pub(crate) fn number() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// The program's name, and the run's number if it is there.
pub(crate) fn split(agent: &str) -> (&str, Option<u64>) {
    let named = agent.rsplit_once(MARK).and_then(|(program, run)| {
        let run = u64::from_str_radix(run, 16).ok()?;
        Some((program, Some(run)))
    });
    named.unwrap_or((agent, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::secret;

    #[test]
    fn a_run_is_told_from_the_program() {
        let run = begin(&secret(1));
        assert_ne!(run, begin(&secret(1)));
        let name = named("swarm-node/0.1.0", run);
        assert_eq!(split(&name), ("swarm-node/0.1.0", Some(run)));
        for other in ["js-libp2p/2.0", "a run/x"] {
            assert_eq!(split(other), (other, None));
        }
    }
}
