//! The swarm's configuration: the facts on which all members must agree, their canonical bytes and
//! the swarm's name.
//!
//! Two nodes whose configurations differ in one byte have different [`SwarmId`]s and are not peers,
//! so nothing in here is ever negotiated. Lengths are milliseconds, sizes bytes.
//! [`SwarmConfig::validate`] enforces the limits that the wire format needs; every other module may
//! assume a validated configuration.

use serde::{Deserialize, Serialize};
use swarm_identity::digest::Hasher;
use swarm_identity::key::{KeyError, PeerId, PublicKey};
use thiserror::Error;

/// Longest text field of the configuration, in bytes; such fields name things, they do not carry
/// them.
pub const MAX_NAME: usize = 256;
/// Most questions of one round: slots are 16-bit and a seal message must fit an envelope.
pub const MAX_SLOTS: u16 = 1024;
/// Most completions of one group.
pub const MAX_GROUP: u8 = 16;
/// Longest text of one answer, endorsement or reason, in bytes.
pub const MAX_TEXT: u16 = 4096;
/// Most tokens of one completion, that is log-probabilities that its writer may tell.
pub const MAX_TOKENS: u16 = 4096;
/// Most bytes of an encoded log-probability.
pub const LOG_PROB_BYTES: usize = 3;
/// Most bytes of a completion beside its text and log-probabilities: two lengths and the end.
pub const FRAME_BYTES: usize = 12;
/// Most bytes of one group of completions: leaves room for header, salt and lengths in a 64 KiB
/// envelope.
pub const MAX_GROUP_BYTES: usize = 60_000;
/// Most topics: a member's topics are the bits of a `u64`.
pub const MAX_TOPICS: u16 = 64;

/// Most rounds of an epoch; bounds what is remembered of past rounds.
pub const MAX_EPOCH: u32 = 10_000;
/// Most voters of a round: every member that a roster holds.
pub const MAX_SEATS: u16 = 4096;

/// The name of a swarm: SHA-256 of its canonical configuration.
pub type SwarmId = [u8; 32];

/// Everything the members of a swarm agree on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwarmConfig {
    /// A name for people; part of the identity like everything else.
    pub name: String,
    /// Canonical description (or digest) of the task families and their difficulties.
    pub tasks: String,
    /// Canonical description (or digest) of the model that members train.
    pub model: String,
    /// Version of the arithmetic, for example `ro1`.
    pub numerics: String,
    /// Settlement contract as `chain:address`, empty without a chain.
    pub settlement: String,
    /// Start of round 0, in milliseconds since the Unix epoch (or of virtual time).
    pub genesis_ms: u64,
    /// Lengths of the windows of a round.
    pub windows: Windows,
    /// Sizes of the game.
    pub game: Game,
    /// How members agree on what counts.
    #[serde(default)]
    pub agreement: Agreement,
    /// Who is a member.
    #[serde(default)]
    pub membership: Membership,
}

/// Who is a member of the swarm. In a TOML file:
///
/// ```toml
/// membership = "stake"
/// membership = { roster = ["16Uiu2HA…", { peer = "16Uiu2HB…", topics = 3 }] }
/// membership = { open = { founders = ["16Uiu2HA…"] } }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Membership {
    /// Whoever is registered from outside ([`Input::Register`](crate::Input::Register)).
    #[default]
    Registered,
    /// These, from round 0 on.
    Roster(Vec<NamedMember>),
    /// Whoever has stake: the contract's snapshot for each epoch
    /// ([`Input::Stakes`](crate::Input::Stakes)).
    Stake,
    /// These at first, and whoever says [hello](crate::membership::hello). Identities are free:
    /// for friends and tests.
    Open {
        /// The first members.
        founders: Vec<NamedMember>,
    },
}

/// A member that the configuration names: its id alone, or a table with its topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "NamedForm", into = "NamedForm")]
pub struct NamedMember {
    /// Who.
    pub peer: PeerId,
    /// Topics on which it answers practice questions: bit t for topic t.
    pub topics: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum NamedForm {
    All(PeerId),
    Some { peer: PeerId, topics: u64 },
}

impl From<PeerId> for NamedMember {
    fn from(peer: PeerId) -> Self {
        let topics = u64::MAX;
        Self { peer, topics }
    }
}

impl From<NamedForm> for NamedMember {
    fn from(form: NamedForm) -> Self {
        match form {
            NamedForm::All(peer) => peer.into(),
            NamedForm::Some { peer, topics } => Self { peer, topics },
        }
    }
}

impl From<NamedMember> for NamedForm {
    fn from(NamedMember { peer, topics }: NamedMember) -> Self {
        match topics {
            u64::MAX => Self::All(peer),
            topics => Self::Some { peer, topics },
        }
    }
}

impl Membership {
    /// The members that it names.
    pub fn named(&self) -> &[NamedMember] {
        match self {
            Self::Registered | Self::Stake => &[],
            Self::Roster(named) | Self::Open { founders: named } => named,
        }
    }

    fn validate(&self) -> Result<(), SwarmConfigError> {
        if matches!(self, Self::Registered | Self::Stake) {
            return Ok(());
        }
        let named = self.named();
        in_range("membership", named.len() as u64, 1, MAX_SEATS.into())?;
        let mut sorted: Vec<&PeerId> = named.iter().map(|member| &member.peer).collect();
        sorted.sort_unstable();
        for (index, peer) in sorted.iter().enumerate() {
            PublicKey::try_from(**peer).map_err(SwarmConfigError::Key)?;
            if sorted.get(index + 1) == Some(peer) {
                return Err(SwarmConfigError::Twice(**peer));
            }
        }
        Ok(())
    }

    /// A number for the kind of membership, then the number of members named, and key and topics of
    /// each, ascending.
    fn write(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Registered => 0,
            Self::Roster(_) => 1,
            Self::Stake => 2,
            Self::Open { .. } => 3,
        });
        let mut named = self.named().to_vec();
        named.sort_unstable_by_key(|member| member.peer);
        out.extend((named.len() as u32).to_le_bytes());
        for member in named {
            out.extend(member.peer.0);
            out.extend(member.topics.to_le_bytes());
        }
    }
}

/// How members agree on what counts in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Agreement {
    /// Rounds of an epoch: who was present in one votes in the epoch after the next.
    pub rounds_per_epoch: u32,
    /// Most voters of a round; if more are present, this many seats are drawn by stake. Fewer seats
    /// cost less and bear less: a third of 64 seats is hostile in one round of 190,000 where one
    /// member in eight is, of 200 where one in five is, of 4 where three in ten are.
    pub seats: u16,
}

impl Default for Agreement {
    /// Epochs of twenty rounds, in which everybody votes.
    fn default() -> Self {
        Self {
            rounds_per_epoch: 20,
            seats: MAX_SEATS,
        }
    }
}

/// Lengths of the seven windows of a round, in milliseconds, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Windows {
    /// Members answer and send the seals of their answers.
    pub share_seal_ms: u32,
    /// Answers are revealed.
    pub share_reveal_ms: u32,
    /// Members read answers and seal critiques.
    pub critique_seal_ms: u32,
    /// Critiques are revealed.
    pub critique_reveal_ms: u32,
    /// Members read critiques and seal decisions.
    pub decide_seal_ms: u32,
    /// Decisions are revealed.
    pub decide_reveal_ms: u32,
    /// Members agree on what counts, resolve it and learn.
    pub settle_ms: u32,
}

impl Windows {
    /// Seven windows of the same length.
    pub fn uniform(ms: u32) -> Self {
        Self {
            share_seal_ms: ms,
            share_reveal_ms: ms,
            critique_seal_ms: ms,
            critique_reveal_ms: ms,
            decide_seal_ms: ms,
            decide_reveal_ms: ms,
            settle_ms: ms,
        }
    }

    /// The length of a round, in milliseconds.
    pub fn round_ms(&self) -> u64 {
        self.lengths().into_iter().map(u64::from).sum()
    }

    /// The lengths in their order within a round.
    pub fn lengths(&self) -> [u32; 7] {
        [
            self.share_seal_ms,
            self.share_reveal_ms,
            self.critique_seal_ms,
            self.critique_reveal_ms,
            self.decide_seal_ms,
            self.decide_reveal_ms,
            self.settle_ms,
        ]
    }
}

/// How decisions are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    /// One member, one vote.
    Plurality,
    /// Votes weigh as much as the member's stake.
    Stake,
}

/// Sizes of the game: how many questions, for how many members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Game {
    /// Topics (task families) that questions are drawn from.
    pub topics: u16,
    /// Practice questions per round; they are shared for learning and take slots `0..practice`.
    pub practice: u16,
    /// Common questions per round; they pass through all three stages and take the slots after
    /// practice.
    pub common: u16,
    /// Completions per answer, the group of GRPO (L).
    pub group: u8,
    /// Members that answer each practice question.
    pub answerers: u16,
    /// Members that answer each common question.
    pub common_answerers: u16,
    /// Members that criticise each common question.
    pub critics: u16,
    /// Members that decide each common question.
    pub deciders: u16,
    /// Longest text of one answer, endorsement or reason, in bytes.
    pub text_bytes: u16,
    /// Most tokens of one completion, its end included.
    pub tokens: u16,
    /// How decisions are counted.
    pub weighting: Weighting,
}

impl Game {
    /// A game in which one member answers each practice question, and all of `members` treat a
    /// single common one in all stages, with groups of completions of up to `max_new` tokens. A
    /// count that is too large stays too large, so that [`SwarmConfig::validate`] refuses it by
    /// name.
    ///
    /// ```
    /// use swarm_round::Game;
    ///
    /// let game = Game { practice: 16, ..Game::of_all(5, 4, 8, 20) };
    /// assert_eq!((game.topics, game.critics, game.slots()), (4, 5, 17));
    /// ```
    pub fn of_all(members: usize, topics: usize, group: u8, max_new: usize) -> Self {
        let everybody = u16::try_from(members).unwrap_or(u16::MAX);
        let (text_bytes, tokens) = Self::text_limits(group, max_new);
        Self {
            topics: u16::try_from(topics).unwrap_or(u16::MAX),
            practice: 0,
            common: 1,
            group,
            answerers: 1,
            common_answerers: everybody,
            critics: everybody,
            deciders: everybody,
            text_bytes,
            tokens,
            weighting: Weighting::Plurality,
        }
    }

    /// Number of questions of a round, that is the number of slots.
    pub fn slots(&self) -> u16 {
        self.practice.saturating_add(self.common)
    }

    /// Longest text in bytes, and most tokens, for groups of completions of up to `max_new` tokens:
    /// as the model writes them where a message can carry that, else with room for both. A token
    /// has seldom more than eight bytes.
    ///
    /// ```
    /// use swarm_round::Game;
    ///
    /// assert_eq!(Game::text_limits(8, 20), (160, 20));
    /// ```
    pub fn text_limits(group: u8, max_new: usize) -> (u16, u16) {
        const BYTES: usize = 8;
        let room = (MAX_GROUP_BYTES / usize::from(group.max(1))).saturating_sub(FRAME_BYTES);
        let tokens = max_new
            .clamp(1, MAX_TOKENS.into())
            .min(room / (LOG_PROB_BYTES + BYTES / 2));
        let bytes = (BYTES * tokens)
            .min(MAX_TEXT.into())
            .min(room - LOG_PROB_BYTES * tokens);
        // Both are below the 16-bit limits that they were compared with.
        (bytes as u16, tokens as u16)
    }

    /// Most bytes of a group of completions of these sizes, encoded.
    pub fn group_bytes(group: u8, text_bytes: u16, tokens: u16) -> usize {
        usize::from(group)
            * (usize::from(text_bytes) + usize::from(tokens) * LOG_PROB_BYTES + FRAME_BYTES)
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SwarmConfigError {
    /// A text field is too long.
    #[error("`{field}` has {len} bytes; shorten it to at most {MAX_NAME}")]
    TextTooLong {
        /// Name of the field.
        field: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// A number lies outside its range.
    #[error("`{field}` is {value}; set it to {min}..={max}")]
    OutOfRange {
        /// Name of the field.
        field: &'static str,
        /// The value seen.
        value: u64,
        /// Smallest allowed value.
        min: u64,
        /// Largest allowed value.
        max: u64,
    },
    /// A member's key is none.
    #[error("`membership`: {0}")]
    Key(KeyError),
    /// A member stands twice.
    #[error("`membership` names peer {0} twice; name it once")]
    Twice(PeerId),
}

fn in_range(field: &'static str, value: u64, min: u64, max: u64) -> Result<(), SwarmConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(SwarmConfigError::OutOfRange {
        field,
        value,
        min,
        max,
    })
}

impl SwarmConfig {
    /// Checks all limits.
    ///
    /// # Errors
    /// Names the first field that is out of its limits, with the value seen.
    pub fn validate(&self) -> Result<(), SwarmConfigError> {
        self.validate_texts()?;
        for length in self.windows.lengths() {
            in_range("windows", length.into(), 1, u32::MAX.into())?;
        }
        self.agreement.validate()?;
        self.membership.validate()?;
        self.game.validate()
    }

    fn validate_texts(&self) -> Result<(), SwarmConfigError> {
        for (field, text) in self.texts() {
            if text.len() > MAX_NAME {
                return Err(SwarmConfigError::TextTooLong {
                    field,
                    len: text.len(),
                });
            }
        }
        Ok(())
    }

    fn texts(&self) -> [(&'static str, &str); 5] {
        [
            ("name", &self.name),
            ("tasks", &self.tasks),
            ("model", &self.model),
            ("numerics", &self.numerics),
            ("settlement", &self.settlement),
        ]
    }

    /// The one byte string that stands for this configuration: a format version, then every field
    /// in declaration order, texts as a little-endian `u32` length and their bytes, numbers
    /// little-endian. `membership` is left out, in formats 2 and 3, where it says nothing
    /// particular, and so is `agreement` in format 2; thus swarms from before have kept their
    /// names.
    pub fn canonical(&self) -> Vec<u8> {
        let format = match (&self.agreement, &self.membership) {
            (agreement, Membership::Registered) if *agreement == Agreement::default() => 2,
            (_, Membership::Registered) => 3,
            _ => 4,
        };
        let mut out = vec![format];
        for (_, text) in self.texts() {
            out.extend((text.len() as u32).to_le_bytes());
            out.extend(text.as_bytes());
        }
        out.extend(self.genesis_ms.to_le_bytes());
        out.extend(
            self.windows
                .lengths()
                .into_iter()
                .flat_map(u32::to_le_bytes),
        );
        self.game.write(&mut out);
        if format >= 3 {
            out.extend(self.agreement.rounds_per_epoch.to_le_bytes());
            out.extend(self.agreement.seats.to_le_bytes());
        }
        if format >= 4 {
            self.membership.write(&mut out);
        }
        out
    }

    /// SHA-256 of the canonical bytes, domain separated.
    pub fn swarm_id(&self) -> SwarmId {
        Hasher::new("swarm-config")
            .bytes(&self.canonical())
            .finish()
    }
}

impl Agreement {
    fn validate(&self) -> Result<(), SwarmConfigError> {
        let rounds = self.rounds_per_epoch.into();
        in_range("agreement.rounds_per_epoch", rounds, 1, MAX_EPOCH.into())?;
        in_range("agreement.seats", self.seats.into(), 1, MAX_SEATS.into())
    }
}

impl Game {
    fn validate(&self) -> Result<(), SwarmConfigError> {
        in_range("game.topics", self.topics.into(), 1, MAX_TOPICS.into())?;
        let slots = u64::from(self.practice) + u64::from(self.common);
        in_range("game.practice + game.common", slots, 1, MAX_SLOTS.into())?;
        in_range("game.group", self.group.into(), 1, MAX_GROUP.into())?;
        in_range(
            "game.text_bytes",
            self.text_bytes.into(),
            1,
            MAX_TEXT.into(),
        )?;
        in_range("game.tokens", self.tokens.into(), 1, MAX_TOKENS.into())?;
        let group_bytes = Self::group_bytes(self.group, self.text_bytes, self.tokens) as u64;
        let field = "game.group * (game.text_bytes + 3 * game.tokens + 12)";
        in_range(field, group_bytes, 1, MAX_GROUP_BYTES as u64)
    }

    fn write(&self, out: &mut Vec<u8>) {
        let sizes = [
            self.topics,
            self.practice,
            self.common,
            self.group.into(),
            self.answerers,
            self.common_answerers,
            self.critics,
            self.deciders,
            self.text_bytes,
            self.tokens,
        ];
        out.extend(sizes.into_iter().flat_map(u16::to_le_bytes));
        out.push(match self.weighting {
            Weighting::Plurality => 0,
            Weighting::Stake => 1,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::toy;

    #[test]
    fn every_field_changes_the_id() {
        let base = toy::config(4);
        let edits: [fn(&mut SwarmConfig); 9] = [
            |c| c.name.push('x'),
            |c| c.settlement.push('x'),
            |c| c.genesis_ms += 1,
            |c| c.windows.settle_ms += 1,
            |c| c.game.group += 1,
            |c| c.game.deciders += 1,
            |c| c.game.text_bytes += 1,
            |c| c.game.tokens += 1,
            |c| c.game.weighting = Weighting::Stake,
        ];
        for edit in edits {
            let mut changed = base.clone();
            edit(&mut changed);
            assert_ne!(changed.swarm_id(), base.swarm_id());
        }
    }

    #[test]
    fn membership_is_part_of_the_name_where_it_says_something() {
        let base = toy::config(4);
        let named = |membership| SwarmConfig {
            membership,
            ..base.clone()
        };
        let [a, b] = [1, 2].map(|secret| crate::sim::simulated_key(secret, 0).unwrap().peer());
        let all = [
            Membership::Registered,
            Membership::Stake,
            Membership::Roster(vec![a.into()]),
            Membership::Roster(vec![a.into(), b.into()]),
            Membership::Open {
                founders: vec![a.into()],
            },
        ];
        let ids: std::collections::BTreeSet<_> = all
            .into_iter()
            .map(|membership| named(membership).swarm_id())
            .collect();
        assert_eq!(ids.len(), 5);
        let half = NamedMember { peer: b, topics: 1 };
        let topics = named(Membership::Roster(vec![a.into(), half])).swarm_id();
        assert!(!ids.contains(&topics));
        let turned = named(Membership::Roster(vec![b.into(), a.into()])).swarm_id();
        assert_eq!(
            named(Membership::Roster(vec![a.into(), b.into()])).swarm_id(),
            turned
        );
        assert_eq!(
            (base.canonical()[0], named(Membership::Stake).canonical()[0]),
            (2, 4)
        );
        for (wrong, words) in [
            (
                Membership::Roster(vec![]),
                "`membership` is 0; set it to 1..=4096",
            ),
            (
                Membership::Roster(vec![a.into(), b.into(), a.into()]),
                "twice",
            ),
            (
                Membership::Open {
                    founders: vec![PeerId([9; 33]).into()],
                },
                "not a compressed point",
            ),
        ] {
            let error = named(wrong).validate().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn text_cannot_move_between_fields() {
        let mut a = toy::config(4);
        let mut b = a.clone();
        (a.name, a.tasks) = ("ab".into(), "c".into());
        (b.name, b.tasks) = ("a".into(), "bc".into());
        assert_ne!(a.swarm_id(), b.swarm_id());
    }

    #[test]
    fn groups_of_the_largest_texts_fit_a_message() {
        for group in 1..=MAX_GROUP {
            for max_new in [0, 1, 20, 300, 1_000, 100_000] {
                let mut config = toy::config(4);
                let (text_bytes, tokens) = Game::text_limits(group, max_new);
                (
                    config.game.group,
                    config.game.text_bytes,
                    config.game.tokens,
                ) = (group, text_bytes, tokens);
                assert!(
                    config.validate().is_ok(),
                    "{group} of {max_new}: {:?}",
                    config.validate()
                );
                assert!(
                    text_bytes >= 4 * tokens || text_bytes == MAX_TEXT,
                    "{group} of {max_new}: {text_bytes}"
                );
            }
        }
    }

    #[test]
    fn limits_are_named() {
        let mut config = toy::config(4);
        config.game.group = 0;
        let error = config.validate().unwrap_err();
        assert_eq!(error.to_string(), "`game.group` is 0; set it to 1..=16");
        config.game.group = 16;
        config.game.text_bytes = 4096;
        assert!(config.validate().is_err());
        (config.game.text_bytes, config.game.tokens) = (64, 1300);
        assert!(
            config
                .validate()
                .unwrap_err()
                .to_string()
                .contains("game.tokens")
        );
        config.game.tokens = 0;
        assert!(config.validate().is_err());
        config.game.tokens = 64;
        config.model = "m".repeat(300);
        assert!(matches!(
            config.validate(),
            Err(SwarmConfigError::TextTooLong {
                field: "model",
                len: 300
            })
        ));
    }
}
