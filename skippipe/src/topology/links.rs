//! How long a message takes from one node to another.

use serde::{Deserialize, Serialize};

use super::{Lines, Micros, TopologyError};

/// The links between all nodes. Row `i`, column `j` is the way from node `i` to node `j`; the two
/// ways of a pair may differ. What is on the diagonal (a node's way to itself) counts as no time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Links {
    /// Delays as they were measured with messages of one size.
    Measured {
        /// Size of the messages, in bytes.
        bytes: u64,
        /// From handing a message over to its arrival, everything included.
        delay: Vec<Vec<Micros>>,
    },
    /// Delays that follow from the size of a message:
    /// `latency + bytes / bytes_per_second + overhead`.
    Modelled {
        /// One way.
        latency: Vec<Vec<Micros>>,
        /// Bandwidth.
        bytes_per_second: Vec<Vec<u64>>,
        /// What every message costs, whatever its way: copies to and from the accelerator.
        overhead: Micros,
    },
    /// As peers measure each other, one pair at a time. A message takes `latency + bytes /
    /// bytes_per_second` where no other is under way; those that are share the line of their
    /// sender, and that of their receiver. A node's line is taken to be as fast as its fastest
    /// pair, which is all that pairs can tell: a node with a faster line than all others has a
    /// faster one than this.
    Shared {
        /// One way.
        latency: Vec<Vec<Micros>>,
        /// Bandwidth of each pair alone.
        bytes_per_second: Vec<Vec<u64>>,
    },
}

impl Links {
    /// Delay of a message of `bytes`, node by node, row after row. An upper microsecond counts
    /// whole.
    ///
    /// # Errors
    /// Delays were measured with messages of another size.
    pub(super) fn delays(&self, bytes: u64) -> Result<Vec<u64>, TopologyError> {
        match self {
            Self::Measured {
                bytes: measured, ..
            } if *measured != bytes => Err(TopologyError::OtherSize {
                measured: *measured,
                bytes,
            }),
            Self::Measured { delay, .. } => Ok(matrix(delay.len(), |from, to| delay[from][to].0)),
            Self::Modelled {
                latency,
                bytes_per_second,
                overhead,
            } => Ok(matrix(latency.len(), |from, to| {
                latency[from][to].0 + overhead.0 + transmission(bytes, bytes_per_second[from][to])
            })),
            Self::Shared {
                latency,
                bytes_per_second,
            } => Ok(matrix(latency.len(), |from, to| {
                latency[from][to].0 + transmission(bytes, bytes_per_second[from][to])
            })),
        }
    }

    /// What messages of `bytes` share; none where they do not disturb each other.
    pub(super) fn lines(&self, bytes: u64) -> Option<Lines> {
        let Self::Shared {
            latency,
            bytes_per_second: rates,
        } = self
        else {
            return None;
        };
        let nodes = latency.len();
        let pair = matrix(nodes, |from, to| rates[from][to]);
        let fastest = |rate: &dyn Fn(usize) -> u64| (0..nodes).map(rate).max().unwrap_or(0);
        let up = |from: usize| fastest(&|to| pair[from * nodes + to]);
        let down = |to: usize| fastest(&|from| pair[from * nodes + to]);
        Some(Lines {
            bytes,
            latency: matrix(nodes, |from, to| latency[from][to].0),
            up: (0..nodes).map(up).collect(),
            down: (0..nodes).map(down).collect(),
            pair,
        })
    }

    /// Refuses a matrix that is not one row and column per node, and numbers out of bounds.
    pub(super) fn check(&self, nodes: usize) -> Result<(), TopologyError> {
        match self {
            Self::Measured { bytes, delay } => {
                check_bytes(*bytes)?;
                check_times("delay", delay, nodes)
            }
            Self::Modelled {
                latency,
                bytes_per_second,
                overhead,
            } => {
                super::check_time("overhead", *overhead)?;
                check_times("latency", latency, nodes)?;
                check_shape("bytes_per_second", bytes_per_second, nodes)?;
                check_bandwidths(bytes_per_second)
            }
            Self::Shared {
                latency,
                bytes_per_second,
            } => {
                check_times("latency", latency, nodes)?;
                check_shape("bytes_per_second", bytes_per_second, nodes)?;
                check_bandwidths(bytes_per_second)
            }
        }
    }

    /// The links among some of the nodes, in the order given.
    pub(super) fn among(&self, kept: &[usize]) -> Self {
        match self {
            Self::Measured { bytes, delay } => Self::Measured {
                bytes: *bytes,
                delay: select(delay, kept),
            },
            Self::Modelled {
                latency,
                bytes_per_second,
                overhead,
            } => Self::Modelled {
                latency: select(latency, kept),
                bytes_per_second: select(bytes_per_second, kept),
                overhead: *overhead,
            },
            Self::Shared {
                latency,
                bytes_per_second,
            } => Self::Shared {
                latency: select(latency, kept),
                bytes_per_second: select(bytes_per_second, kept),
            },
        }
    }
}

/// The largest message, in bytes: a tebibyte.
pub const MAX_BYTES: u64 = 1 << 40;

pub(super) fn check_bytes(bytes: u64) -> Result<(), TopologyError> {
    match bytes <= MAX_BYTES {
        true => Ok(()),
        false => Err(TopologyError::Bytes(bytes)),
    }
}

/// Microseconds to put so many bytes on a line, rounded up.
fn transmission(bytes: u64, bytes_per_second: u64) -> u64 {
    let micros = (u128::from(bytes) * 1_000_000).div_ceil(u128::from(bytes_per_second));
    // Messages have at most 2⁴⁰ bytes and a link moves at least one a second: below 2⁶⁰.
    micros as u64
}

fn matrix(nodes: usize, delay: impl Fn(usize, usize) -> u64) -> Vec<u64> {
    let mut all = Vec::with_capacity(nodes * nodes);
    for from in 0..nodes {
        for to in 0..nodes {
            all.push(if from == to { 0 } else { delay(from, to) });
        }
    }
    all
}

fn select<T: Copy>(rows: &[Vec<T>], kept: &[usize]) -> Vec<Vec<T>> {
    let row = |from: &usize| kept.iter().map(|to| rows[*from][*to]).collect();
    kept.iter().map(row).collect()
}

fn check_times(
    name: &'static str,
    rows: &[Vec<Micros>],
    nodes: usize,
) -> Result<(), TopologyError> {
    check_shape(name, rows, nodes)?;
    for time in rows.iter().flatten() {
        super::check_time(name, *time)?;
    }
    Ok(())
}

fn check_shape<T>(name: &'static str, rows: &[Vec<T>], nodes: usize) -> Result<(), TopologyError> {
    if rows.len() != nodes {
        let rows = rows.len();
        return Err(TopologyError::Rows { name, rows, nodes });
    }
    match rows.iter().position(|row| row.len() != nodes) {
        Some(row) => Err(TopologyError::Row {
            name,
            row,
            seen: rows[row].len(),
            nodes,
        }),
        None => Ok(()),
    }
}

fn check_bandwidths(rows: &[Vec<u64>]) -> Result<(), TopologyError> {
    for (from, row) in rows.iter().enumerate() {
        let silent = |(to, rate): (usize, &u64)| to != from && *rate == 0;
        if let Some(to) = row.iter().enumerate().position(silent) {
            return Err(TopologyError::Silent { from, to });
        }
    }
    Ok(())
}
