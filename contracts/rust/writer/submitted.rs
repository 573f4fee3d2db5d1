//! The transactions of a procedure of several steps, so that one that ends early can tell what it
//! has sent.

use std::fmt;

use super::handle::Ticket;
use super::intent::State;

/// What was submitted so far, in order. Whoever runs a procedure keeps it, so that it outlives a
/// procedure that fails.
#[derive(Clone, Debug, Default)]
pub struct Submitted(Vec<(String, Ticket)>);

impl Submitted {
    /// Adds a transaction under the name of what it does.
    pub fn add(&mut self, what: impl Into<String>, ticket: &Ticket) {
        self.0.push((what.into(), ticket.clone()));
    }

    /// Those that the chain may know of: they are broadcast, or in a block.
    pub fn sent(&self) -> impl Iterator<Item = (&str, State)> {
        let states = self
            .0
            .iter()
            .map(|(what, ticket)| (what.as_str(), ticket.state()));
        states.filter(|(_, state)| state.sent().is_some())
    }
}

impl fmt::Display for Submitted {
    /// For each that the chain may know of, in one line: what it does, the contract that it made,
    /// the transaction, and whether it is in a block. Empty if there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        for (what, state) in self.sent() {
            write!(f, "{gap}{what} ")?;
            gap = ", ";
            match state {
                State::Included(_, inclusion) | State::Final(_, inclusion) => {
                    if let Some(contract) = inclusion.contract {
                        write!(f, "{contract} ")?;
                    }
                    let end = if inclusion.success { "" } else { ", reverted" };
                    write!(
                        f,
                        "(transaction {}, block {}{end})",
                        inclusion.tx, inclusion.block
                    )?;
                }
                State::Sent(sent) => {
                    let hashes: Vec<String> = sent
                        .attempts
                        .iter()
                        .map(|attempt| attempt.hash.to_string())
                        .collect();
                    write!(
                        f,
                        "(transaction {}, not in a block yet)",
                        hashes.join(" or ")
                    )?;
                }
                State::Queued | State::Refused(_) => {
                    unreachable!("invariant: `sent` leaves out what the chain does not know")
                }
            }
        }
        Ok(())
    }
}
