//! The file of a swarm: whoever has it, and the address of one member, can join.
//!
//! ```text
//! swarm.toml ─┬─▶ SwarmConfig, whose digest is the swarm's name: genesis, windows, game, members,
//!             │   tasks, model
//!             └─▶ bootstrap: addresses, which are no part of the name
//! ```
//! Tasks and model are spelled out here, and named in the configuration by their canonical text and
//! by the digest of the base weights.

use std::path::{Path, PathBuf};

use contracts::typed::Domain;
use serde::{Deserialize, Serialize};
use swarm_files::text_file;
use swarm_files::whole::{Access, Reserved};
use swarm_identity::PeerId;
use swarm_round::{
    Agreement, Game, Membership, NamedMember, SwarmConfig, SwarmConfigError, Windows,
};
use swarm_task::FamilyId;
use thiserror::Error;

/// Largest file that is read, in bytes: a roster of all members that a swarm can have.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// The arithmetic of this version.
const NUMERICS: &str = "ro1";
/// Highest difficulty level.
const MAX_DIFFICULTY: u8 = 15;
/// What stands above a written file.
const HEADER: &str = "# A swarm. Join it with this file and the address of a member:\n\
                      #   swarm-node up --swarm FILE --peer ADDRESS\n\
                      # Whatever is changed here, bootstrap aside, makes it another swarm.\n\n";

/// Why a swarm's file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SwarmFileError {
    /// The file cannot be read.
    #[error(
        "cannot read the swarm's file {path}: {source}; give it with --swarm FILE, or make one: \
         swarm-node swarm new",
        path = path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is no swarm's file.
    #[error("{path}: {message}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// A number or a text is out of its limits.
    #[error("the swarm's file: {0}")]
    Limits(#[from] SwarmConfigError),
    /// A value that nobody can use: a family twice, a name that is empty or cannot be shown, a
    /// model that is no digest, a difficulty above 15, an address that is none.
    #[error(
        "the swarm's file: `{0}` cannot be `{1}`; compare with what `swarm-node swarm new` writes"
    )]
    Value(&'static str, String),
    /// There is nothing to work on.
    #[error("the swarm's file: tasks.families is empty; name one family at least")]
    NoFamily,
    /// The settlement is none.
    #[error(
        "the swarm's file: settlement is `{0}`; write the chain's id and the address of \
         SwarmRewards like 31337:0x5FbDB2315678afecb367f032d93F642f64180aa3, or nothing"
    )]
    Settlement(String),
    /// A member works on a family that the swarm does not have.
    #[error("the swarm's file: {peer} works on {family}, which is not in tasks.families")]
    Family {
        /// Who.
        peer: String,
        /// The family.
        family: FamilyId,
    },
    /// The questions have other topics than there are families.
    #[error("the swarm's file: game.topics is {topics}, but there are {families} task families")]
    Topics {
        /// Topics of the game.
        topics: u16,
        /// Families.
        families: usize,
    },
}

/// What members work on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tasks {
    /// Families, by topic.
    pub families: Vec<FamilyId>,
    /// Difficulty level of all families.
    pub difficulty: u8,
}

/// Who is a member: see [`Membership`]; a member that is named works on all families, or on some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum MembershipFile {
    /// Those who are listed, and nobody else.
    Roster {
        /// The members.
        members: Vec<MemberLine>,
    },
    /// Those who are listed at first, and whoever says hello: for friends and tests.
    Open {
        /// The first members.
        founders: Vec<MemberLine>,
    },
}

/// A member in a swarm's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberLine {
    /// Its id, as `swarm-node init` says it.
    pub peer: PeerId,
    /// Families on which it answers practice questions; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub families: Vec<FamilyId>,
}

impl MembershipFile {
    /// The members that are listed.
    pub fn listed(&self) -> &[MemberLine] {
        match self {
            Self::Roster { members } => members,
            Self::Open { founders } => founders,
        }
    }
}

/// A swarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwarmFile {
    /// A name for people.
    pub name: String,
    /// Start of round 0, in milliseconds since 1970.
    pub genesis_ms: u64,
    /// SHA-256 of the weights that every member starts from, in hexadecimal.
    pub model: String,
    /// The settlement contract as `chain:address`; empty without a chain.
    #[serde(default)]
    pub settlement: String,
    /// Addresses of members, to join by.
    #[serde(default)]
    pub bootstrap: Vec<String>,
    /// What members work on.
    pub tasks: Tasks,
    /// Lengths of a round's windows.
    pub windows: Windows,
    /// Sizes of the game.
    pub game: Game,
    /// How members agree on what counts.
    #[serde(default)]
    pub agreement: Agreement,
    /// Who is a member.
    pub membership: MembershipFile,
}

impl SwarmFile {
    /// Reads a file.
    ///
    /// # Errors
    /// See [`SwarmFileError`].
    pub fn load(path: &Path) -> Result<Self, SwarmFileError> {
        let text =
            text_file::read(path, MAX_FILE_BYTES).map_err(|source| SwarmFileError::Read {
                path: path.to_owned(),
                source,
            })?;
        let file: Self = toml::from_str(&text).map_err(|error| SwarmFileError::Malformed {
            path: path.to_owned(),
            message: error.to_string().trim().to_owned(),
        })?;
        file.check()?;
        Ok(file)
    }

    /// Checks all limits.
    ///
    /// # Errors
    /// The first that is not kept.
    pub fn check(&self) -> Result<(), SwarmFileError> {
        if self.tasks.families.is_empty() {
            return Err(SwarmFileError::NoFamily);
        }
        for (at, family) in self.tasks.families.iter().enumerate() {
            if self.tasks.families[..at].contains(family) {
                return Err(SwarmFileError::Value("tasks.families", family.to_string()));
            }
        }
        let is_digest =
            self.model.len() == 64 && self.model.bytes().all(|it| it.is_ascii_hexdigit());
        let checks = [
            (
                "name",
                !self.name.is_empty() && !self.name.contains(char::is_control),
                &self.name,
            ),
            ("model", is_digest, &self.model),
        ];
        for (key, is_good, value) in checks {
            if !is_good {
                let shown = value.escape_debug().take(80).collect();
                return Err(SwarmFileError::Value(key, shown));
            }
        }
        if self.tasks.difficulty > MAX_DIFFICULTY {
            let seen = self.tasks.difficulty.to_string();
            return Err(SwarmFileError::Value("tasks.difficulty", seen));
        }
        for address in &self.bootstrap {
            if address.parse::<swarm_net::Multiaddr>().is_err() {
                let shown = address.escape_debug().take(80).collect();
                return Err(SwarmFileError::Value("bootstrap", shown));
            }
        }
        self.domain()?;
        if usize::from(self.game.topics) != self.tasks.families.len() {
            return Err(SwarmFileError::Topics {
                topics: self.game.topics,
                families: self.tasks.families.len(),
            });
        }
        Ok(self.config()?.validate()?)
    }

    /// Where the swarm settles: what outcomes are signed for. None where nothing is settled.
    ///
    /// # Errors
    /// The text names no contract.
    pub fn domain(&self) -> Result<Option<Domain>, SwarmFileError> {
        if self.settlement.is_empty() {
            return Ok(None);
        }
        let read = || {
            let (chain, contract) = self.settlement.split_once(':')?;
            Some(Domain {
                chain_id: chain.parse().ok()?,
                contract: contract.parse().ok()?,
            })
        };
        let shown = || self.settlement.escape_debug().take(80).collect();
        let domain = read().ok_or_else(|| SwarmFileError::Settlement(shown()))?;
        Ok(Some(domain))
    }

    /// What the members agree on.
    ///
    /// # Errors
    /// A member works on a family that the swarm does not have.
    pub fn config(&self) -> Result<SwarmConfig, SwarmFileError> {
        Ok(SwarmConfig {
            name: self.name.clone(),
            tasks: self.tasks.canonical(),
            model: self.model.clone(),
            numerics: NUMERICS.into(),
            settlement: self.settlement.clone(),
            genesis_ms: self.genesis_ms,
            windows: self.windows,
            game: self.game,
            agreement: self.agreement,
            membership: self.membership()?,
        })
    }

    fn membership(&self) -> Result<Membership, SwarmFileError> {
        let named = self.membership.listed().iter().map(|line| self.named(line));
        let named = named.collect::<Result<_, _>>()?;
        Ok(match self.membership {
            MembershipFile::Roster { .. } => Membership::Roster(named),
            MembershipFile::Open { .. } => Membership::Open { founders: named },
        })
    }

    fn named(&self, line: &MemberLine) -> Result<NamedMember, SwarmFileError> {
        let topics = self.topics(&line.families).map_err(|family| {
            let peer = line.peer.text();
            SwarmFileError::Family { peer, family }
        })?;
        let peer = line.peer;
        Ok(NamedMember { peer, topics })
    }

    /// Families as topics; none are all.
    ///
    /// # Errors
    /// The first family that the swarm does not have.
    pub fn topics(&self, families: &[FamilyId]) -> Result<u64, FamilyId> {
        if families.is_empty() {
            return Ok(u64::MAX);
        }
        families.iter().try_fold(0, |topics, family| {
            let known = self.tasks.families.iter().position(|known| known == family);
            known.map(|topic| topics | 1 << topic).ok_or(*family)
        })
    }

    /// Writes the file, in the place of one that is there.
    ///
    /// # Errors
    /// The system refuses.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        let text = self.to_text().map_err(std::io::Error::other)?;
        Reserved::new(path, Access::Umask, text.len())?.replace(text.as_bytes())
    }

    /// The file's text.
    ///
    /// # Errors
    /// Never for a file that was checked.
    pub fn to_text(&self) -> Result<String, toml::ser::Error> {
        Ok(format!("{HEADER}{}", toml::to_string(self)?))
    }
}

impl Tasks {
    /// The one text that stands for these tasks.
    ///
    /// ```
    /// use swarm_node::node::swarm_file::Tasks;
    /// use swarm_task::FamilyId;
    ///
    /// let tasks = Tasks { families: vec![FamilyId::Max, FamilyId::Sort], difficulty: 1 };
    /// assert_eq!(tasks.canonical(), "max+sort at 1");
    /// ```
    pub fn canonical(&self) -> String {
        let names: Vec<&str> = self.families.iter().map(|family| family.name()).collect();
        format!("{} at {}", names.join("+"), self.difficulty)
    }

    /// Families with difficulties, by topic.
    pub fn by_topic(&self) -> Vec<(FamilyId, u8)> {
        let families = self.families.iter();
        families.map(|family| (*family, self.difficulty)).collect()
    }
}
