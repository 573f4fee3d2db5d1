//! The name of one run of a node's process, which peers learn beside the name of its program.
//!
//! A process that is killed says goodbye to nobody: its peers keep its connections until pings
//! fail, half a minute later, and meanwhile send into them what the next run should hear. So each
//! run has a name, and whoever sees another one ends all connections with the peer and begins anew.
//!
//! ```text
//! swarm-node/0.1.0 run/1f3870be274f6c49
//! ```

use std::time::{SystemTime, UNIX_EPOCH};

const MARK: &str = " run/";

/// The program's name with one of this run. Only two runs of one node must differ in it, and they
/// begin at different times.
pub(crate) fn named(agent: &str) -> String {
    format!("{agent}{MARK}{:016x}", number())
}

/// A number of a run that begins now, as for its name.
pub(crate) fn number() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// The program's name, and the run's if it is there.
pub(crate) fn split(agent: &str) -> (&str, Option<&str>) {
    match agent.rsplit_once(MARK) {
        Some((program, run)) => (program, Some(run)),
        None => (agent, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_told_from_the_program() {
        let name = named("swarm-node/0.1.0");
        let (program, run) = split(&name);
        assert_eq!((program, run.unwrap().len()), ("swarm-node/0.1.0", 16));
        assert_eq!(split("js-libp2p/2.0"), ("js-libp2p/2.0", None));
    }
}
