//! The same bytes read by two libraries: our decoders against `wincode`, which knows nothing of
//! serde.
//!
//! Every type that [`swarm_round::codec`] reads has a mirror here: the same fields in the same
//! order with the same bounds, read by wincode's own derives in its encoding that is bincode's
//! standard one. Whatever the bytes, both read them or both refuse them, and what both read is
//! written as the same bytes, so it is the same value.
//!
//! Limits of the comparison: bincode counts what it has read by the size of the values and not of
//! their bytes, so it refuses some inputs near the limit of a body; inputs over [`LONGEST`] bytes
//! are not compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use serde::Serialize;
use swarm_node::node::query;
use swarm_round::agreement;
use swarm_round::codec::{self, CodecError};
use swarm_round::config::{MAX_GROUP, MAX_SLOTS, MAX_TEXT, MAX_TOKENS};
use swarm_round::membership::hello::MAX_HELLOS;
use swarm_round::{journal, payload};
use wincode::config::{Config, Configuration};
use wincode::len::UseIntLen;
use wincode::{SchemaRead, SchemaWrite, containers};

/// The longest input that is compared, in bytes.
pub const LONGEST: usize = 8_000;
/// The longest record of a journal that is compared: its texts have no bound of their own, and
/// wincode needs one, which no shorter input reaches.
const LONGEST_RECORD: usize = MAX_TEXT as usize;
/// What wincode may reserve for a list of a journal that has no bound of its own, in bytes.
const RESERVED: usize = 4 << 20;

/// Most envelopes of an answer, items of a wish and struck places.
const MAX_ITEMS: usize = agreement::MAX_WANTED;

/// A list whose items take at most so many bytes in memory; wincode refuses a longer one before it
/// reserves anything. Bounds that no input of [`LONGEST`] bytes reaches are left out.
type List<T, const BYTES: usize> = containers::Vec<T, UseIntLen<u64, BYTES>>;

type Digest = [u8; 32];
type Peer = [u8; 33];
type Name = [u8; 12];
type Named = (u16, Name);
type Seal = (u16, Digest);
type Share = ((u16, u16), CompletionGroup);
type Reviewed = ((u16, u16), Critique);
type Final = ((u16, u16), Decision);
type Answered = (u16, Vec<Completion>);
type Written<T> = (u16, T);

macro_rules! mirrors {
    ($($(#[$meta:meta])* $kind:ident $name:ident $body:tt)*) => {
        $(
            #[derive(Debug, SchemaRead, SchemaWrite)]
            $(#[$meta])*
            $kind $name $body
        )*
    };
}

mirrors! {
    struct Completion {
        text: String,
        end: Option<u32>,
        #[wincode(with = "List<u16, { 2 * MAX_TOKENS as usize }>")]
        logp: Vec<u16>,
    }
    struct CompletionGroup {
        #[wincode(with = "List<Completion, { MAX_GROUP as usize * size_of::<Completion>() }>")]
        completions: Vec<Completion>,
    }
    struct Critique {
        endorsed: Option<String>,
        reason: String,
    }
    struct Decision {
        answer: String,
        foreseen: String,
    }
    struct Seals {
        #[wincode(with = "List<Seal, { MAX_SLOTS as usize * size_of::<Seal>() }>")]
        seals: Vec<Seal>,
    }
    struct Receipt {
        #[wincode(with = "List<u8, LONGEST>")]
        bits: Vec<u8>,
    }
    struct Hello {
        topics: u64,
    }
    struct Vote {
        value: Option<Digest>,
    }
    struct Proposal {
        polka: Option<u16>,
        minutes: Minutes,
    }
    struct Minutes {
        round: u64,
        #[wincode(with = "List<Named, { LONGEST * size_of::<Named>() }>")]
        receipts: Vec<Named>,
        #[wincode(with = "List<MessagePlace, { MAX_ITEMS * size_of::<MessagePlace>() }>")]
        struck: Vec<MessagePlace>,
        transcript: Digest,
    }
    struct MessagePlace {
        kind: Kind,
        slot: u16,
        member: u16,
    }
    enum Kind {
        ShareSeal,
        ShareReveal,
        CritiqueSeal,
        CritiqueReveal,
        DecideSeal,
        DecideReveal,
        Receipt,
        Proposal,
        Prevote,
        Precommit,
        Hello,
    }
    struct RoundRecord {
        #[wincode(with = "List<u8, LONGEST>")]
        certificate: Vec<u8>,
        minutes: Minutes,
        #[wincode(with = "List<Share, { LONGEST * size_of::<Share>() }>")]
        shares: Vec<Share>,
        #[wincode(with = "List<Reviewed, { LONGEST * size_of::<Reviewed>() }>")]
        critiques: Vec<Reviewed>,
        #[wincode(with = "List<Final, { LONGEST * size_of::<Final>() }>")]
        decisions: Vec<Final>,
        #[wincode(with = "List<(u16, u32), { LONGEST * size_of::<(u16, u32)>() }>")]
        equivocations: Vec<(u16, u32)>,
        #[wincode(with = "List<(Peer, u64), { 2 * MAX_HELLOS * size_of::<(Peer, u64)>() }>")]
        hellos: Vec<(Peer, u64)>,
    }
    enum Query {
        Time,
        Want { round: u64, what: Wanted },
        Again(#[wincode(with = "List<Envelope, { MAX_ITEMS * size_of::<Envelope>() }>")] Vec<Envelope>),
        Table(Digest),
    }
    enum Wanted {
        Decision,
        Receipts(#[wincode(with = "List<Named, { MAX_ITEMS * size_of::<Named>() }>")] Vec<Named>),
        Messages(
            #[wincode(with = "List<MessagePlace, { MAX_ITEMS * size_of::<MessagePlace>() }>")]
            Vec<MessagePlace>,
        ),
        Prevotes(u16, Digest),
    }
    enum Answer {
        Time(u64),
        Round(#[wincode(with = "List<u8, LONGEST>")] Vec<u8>),
        Blob { hash: Digest, bytes: u64 },
        Messages(#[wincode(with = "List<Envelope, { MAX_ITEMS * size_of::<Envelope>() }>")] Vec<Envelope>),
        Nothing,
        Table(#[wincode(with = "List<u8, LONGEST>")] Vec<u8>),
    }
    struct Envelope {
        #[wincode(with = "List<u8, LONGEST>")]
        bytes: Vec<u8>,
    }
    struct Record {
        at: u64,
        what: Entry,
    }
    #[expect(clippy::large_enum_variant, reason = "one of them lives at a time")]
    enum Entry {
        Begin(Snapshot),
        Tick,
        Lead(u64),
        Envelope(Peer, Envelope),
        Work(u64, Work),
        Register(Member),
        Signed(SignedPlace, [u8; 64]),
        Refused(SignedPlace),
        Decided(u64),
        Stakes(u64, #[wincode(with = "List<Member, { LONGEST * size_of::<Member>() }>")] Vec<Member>),
    }
    enum Work {
        Answers(#[wincode(with = "List<Answered, { MAX_SLOTS as usize * size_of::<Answered>() }>")] Vec<Answered>),
        Critiques(
            #[wincode(with = "List<Written<Critique>, { MAX_SLOTS as usize * size_of::<Written<Critique>>() }>")]
            Vec<Written<Critique>>,
        ),
        Decisions(
            #[wincode(with = "List<Written<Decision>, { MAX_SLOTS as usize * size_of::<Written<Decision>>() }>")]
            Vec<Written<Decision>>,
        ),
    }
    struct Member {
        peer: Peer,
        stake: u64,
        topics: u64,
    }
    struct SignedPlace {
        kind: u8,
        round: u64,
        slot: u16,
    }
    struct Snapshot {
        version: u16,
        swarm: Digest,
        peer: Peer,
        next_round: u64,
        first: u64,
        seen: Option<(u64, u64)>,
        missed: BTreeSet<u64>,
        open: BTreeSet<u64>,
        lead: u64,
        #[wincode(with = "List<(u64, Member), { LONGEST * size_of::<(u64, Member)>() }>")]
        registered: Vec<(u64, Member)>,
        stakes: BTreeMap<u64, Vec<Member>>,
        history: History,
    }
    struct History {
        rounds_per_epoch: u32,
        seats: u16,
        floor: u64,
        above: BTreeSet<u64>,
        present: BTreeMap<u64, BTreeSet<Peer>>,
        open: Option<OpenMembers>,
        hellos: BTreeMap<u64, BTreeMap<Peer, u64>>,
    }
    struct OpenMembers {
        tables: BTreeMap<u64, BTreeMap<Peer, Standing>>,
        latest: u64,
    }
    struct Standing {
        topics: u64,
        quiet_from: u64,
    }
}

/// Reads bytes as everything that the codec reads, by both libraries.
///
/// # Panics
/// If one reads what the other refuses, or they read different values.
pub fn compare(bytes: &[u8]) {
    if bytes.len() > LONGEST {
        return;
    }
    bodies(bytes);
    let texts = Configuration::default()
        .with_varint_encoding()
        .with_preallocation_size_limit::<{ MAX_TEXT as usize }>();
    same::<_, RoundRecord, _>(bytes, agreement::RoundRecord::from_bytes, texts);
    same::<_, Query, _>(bytes, query::Query::from_bytes, texts);
    same::<_, Answer, _>(bytes, query::Answer::from_bytes, texts);
    if bytes.len() <= LONGEST_RECORD {
        let whole = Configuration::default()
            .with_varint_encoding()
            .with_preallocation_size_limit::<RESERVED>();
        same::<_, Record, _>(bytes, journal::Record::from_bytes, whole);
    }
}

fn bodies(bytes: &[u8]) {
    let texts = Configuration::default()
        .with_varint_encoding()
        .with_preallocation_size_limit::<{ MAX_TEXT as usize }>();
    same::<payload::CompletionGroup, CompletionGroup, _>(bytes, codec::decode, texts);
    same::<payload::Critique, Critique, _>(bytes, codec::decode, texts);
    same::<payload::Decision, Decision, _>(bytes, codec::decode, texts);
    same::<payload::Seals, Seals, _>(bytes, codec::decode, texts);
    same::<agreement::Receipt, Receipt, _>(bytes, codec::decode, texts);
    same::<agreement::Proposal, Proposal, _>(bytes, codec::decode, texts);
    same::<agreement::Vote, Vote, _>(bytes, codec::decode, texts);
    same::<swarm_round::Hello, Hello, _>(bytes, codec::decode, texts);
}

/// Reads bytes as one type by both libraries.
fn same<Ours, Theirs, C>(bytes: &[u8], ours: impl Fn(&[u8]) -> Result<Ours, CodecError>, config: C)
where
    Ours: Serialize + Debug,
    Theirs: for<'de> SchemaRead<'de, C, Dst = Theirs> + SchemaWrite<C, Src = Theirs> + Debug,
    C: Config + Copy,
{
    let theirs = wincode::config::deserialize_exact::<Theirs, C>(bytes, config);
    match (ours(bytes), theirs) {
        (Ok(ours), Ok(theirs)) => assert_eq!(
            codec::canonical(&ours).ok(),
            wincode::config::serialize(&theirs, config).ok(),
            "bincode reads {ours:?}, wincode {theirs:?}"
        ),
        (Err(_), Err(_)) => {}
        (ours, theirs) => panic!("bincode: {ours:?}\nwincode: {theirs:?}"),
    }
}
