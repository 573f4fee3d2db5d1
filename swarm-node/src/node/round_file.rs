//! A file of decided rounds, which anybody who has the swarm's file can check without a network.
//!
//! ```text
//! "swarm-node rounds 1\n" │ swarm id, 32 bytes │ length, 4 bytes │ record │ length │ record │ …
//! ```
//! The rounds begin with round 0: who may decide a round follows from those before it. Lengths are
//! little-endian; a record is a [`RoundRecord`]'s bytes.

use std::io::{self, Read, Write};
use std::sync::Arc;

use swarm_identity::NodeKey;
use swarm_identity::digest::hex;
use swarm_identity::key::KeyError;
use swarm_learn::judge::TaskJudge;
use swarm_round::agreement::{AdoptError, MAX_RECORD, RoundRecord};
use swarm_round::clock::Round;
use swarm_round::codec::CodecError;
use swarm_round::membership::Roster;
use swarm_round::state::{Core, CoreSetup, Input, Output};
use swarm_round::{DecidedRound, SwarmConfigError, SwarmId};
use swarm_task::Library;
use thiserror::Error;

use super::swarm_file::{SwarmFile, SwarmFileError};

const MAGIC: &[u8] = b"swarm-node rounds 1\n";

/// Why a file of rounds proves nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RoundFileError {
    /// The file cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is another kind of file.
    #[error("this is no file of rounds; `swarm-node export` writes one")]
    Magic,
    /// It is of another swarm.
    #[error("the rounds are of the swarm {found}, and the swarm's file is of {wanted}")]
    Swarm {
        /// The swarm of the rounds.
        found: String,
        /// The swarm of the file.
        wanted: String,
    },
    /// A record is longer than any.
    #[error("a round of {0} bytes; none has more than {MAX_RECORD}")]
    Length(u32),
    /// It ends within a round.
    #[error("the file ends within a round; copy it again, or export it again")]
    Ends,
    /// There is nothing in it.
    #[error("there is no round in the file; export it again")]
    Empty,
    /// A record is damaged.
    #[error("{} is damaged: {source}", next(.before))]
    Record {
        /// The last round that was read.
        before: Option<Round>,
        /// What is wrong.
        source: CodecError,
    },
    /// A round is not what the members decided.
    #[error("round {round}: {source}")]
    Round {
        /// The round.
        round: Round,
        /// What is wrong.
        source: AdoptError,
    },
    /// A round stands where another one should.
    #[error("round {found} stands where round {wanted} should")]
    Order {
        /// The round that is there.
        found: Round,
        /// The round that is missing.
        wanted: Round,
    },
    /// The swarm.
    #[error(transparent)]
    SwarmFile(#[from] SwarmFileError),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The swarm's limits.
    #[error("the swarm's file: {0}")]
    Config(#[from] SwarmConfigError),
}

/// The round that follows, for messages.
fn next(before: &Option<Round>) -> String {
    format!("round {}", before.map_or(0, |round| round + 1))
}

/// Writes the records of rounds 0, 1, ….
///
/// # Errors
/// The system refuses.
pub fn write(
    mut to: impl Write,
    swarm: &SwarmId,
    records: impl IntoIterator<Item = Vec<u8>>,
) -> io::Result<()> {
    to.write_all(MAGIC)?;
    to.write_all(swarm)?;
    for record in records {
        let length = u32::try_from(record.len()).map_err(io::Error::other)?;
        to.write_all(&length.to_le_bytes())?;
        to.write_all(&record)?;
    }
    to.flush()
}

/// Checks every round of a file: certificates, contents, and scores, which are computed anew. The
/// rounds are given to `each` in their order.
///
/// # Errors
/// The first thing that is wrong; the rounds before it are proved.
pub fn verify(
    mut from: impl Read,
    swarm: &SwarmFile,
    mut each: impl FnMut(&DecidedRound),
) -> Result<(), RoundFileError> {
    let mut head = [0; MAGIC.len() + 32];
    match from.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(RoundFileError::Magic);
        }
        read => read?,
    }
    let (magic, found) = head.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(RoundFileError::Magic);
    }
    let mut core = checker(swarm)?;
    if found != core.swarm() {
        let mut id = [0; 32];
        id.copy_from_slice(found);
        return Err(RoundFileError::Swarm {
            found: hex(&id),
            wanted: hex(core.swarm()),
        });
    }
    let mut last = None;
    while let Some(record) = next_record(&mut from)? {
        let decided = check(&mut core, &record, last)?;
        last = Some(decided.round());
        each(&decided);
    }
    last.map(drop).ok_or(RoundFileError::Empty)
}

/// A core that only checks.
fn checker(swarm: &SwarmFile) -> Result<Core, RoundFileError> {
    // Whoever only checks is nobody in the swarm.
    let key = NodeKey::from_secret(&[1; 32])?;
    let setup = CoreSetup {
        config: Arc::new(swarm.config()?),
        peer: key.peer(),
        salts: key.salt_key(),
        judge: Arc::new(TaskJudge::new(Library::new(), swarm.tasks.by_topic())),
        memo: Arc::default(),
        roster: Roster::default(),
        hello: None,
    };
    Ok(Core::new(setup, 0)?)
}

fn next_record(from: &mut impl Read) -> Result<Option<Vec<u8>>, RoundFileError> {
    let mut length = [0; 4];
    if from.read(&mut length[..1])? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut length[1..])
        .map_err(|_| RoundFileError::Ends)?;
    let length = u32::from_le_bytes(length);
    if length as usize > MAX_RECORD {
        return Err(RoundFileError::Length(length));
    }
    let mut record = Vec::new();
    from.take(length.into()).read_to_end(&mut record)?;
    match record.len() == length as usize {
        true => Ok(Some(record)),
        false => Err(RoundFileError::Ends),
    }
}

fn check(
    core: &mut Core,
    record: &[u8],
    last: Option<Round>,
) -> Result<Arc<DecidedRound>, RoundFileError> {
    let record = RoundRecord::from_bytes(record).map_err(|source| RoundFileError::Record {
        before: last,
        source,
    })?;
    let (found, wanted) = (record.round(), last.map_or(0, |last| last + 1));
    if found != wanted {
        return Err(RoundFileError::Order { found, wanted });
    }
    let outputs = core.handle(Input::Adopt(Box::new(record)), 0);
    let mut refused = None;
    for output in outputs {
        match output {
            Output::Decided(decided) => return Ok(decided),
            Output::NotAdopted(_, error) => refused = Some(error),
            _ => {}
        }
    }
    Err(RoundFileError::Round {
        round: found,
        source: refused.unwrap_or(AdoptError::Unknown(found)),
    })
}
