//! The decoders, each with a few valid inputs to start from.

use std::sync::Arc;

use contracts::Address;
use contracts::client::RpcUrl;
use contracts::earnings::EarningsTable;
use contracts::outcome::{Outcome, VOTE_BYTES, pack, unpack};
use contracts::typed::Domain;
use futures::FutureExt;
use reproducible_ops::program::{Builder, DType, Program, Role, TensorType};
use reproducible_ops::tensor::Tensor;
use reproducible_ops::weights::Weights;
use serde_json::json;
use swarm_devchain::{DevChain, Options};
use swarm_files::text_file;
use swarm_identity::{NodeKey, PeerId, Place};
use swarm_learn::receipt::{
    Content, ModelName, Passage, Quiz, Receipt as ModelReceipt, Sampling, StateName, TensorName,
};
use swarm_model::config::hugging_face;
use swarm_net::announcement::{self, Scope};
use swarm_net::bulk::frame::{Ask, Hello as BlobHello, Items};
use swarm_net::bulk::outline::{Outline, PIECE_BYTES};
use swarm_net::channel::frame::Hello as ChannelHello;
use swarm_net::request::read_frame;
use swarm_net::runs::Question as RunQuestion;
use swarm_net::{BlobId, Multiaddr};
use swarm_node::node::query::{Answer, Query};
use swarm_round::agreement::{
    Certificate, History, MessagePlace, Minutes, Proposal, Receipt, RoundRecord, Vote, Want, Wanted,
};
use swarm_round::codec::{self, Text};
use swarm_round::envelope::{Envelope, MIN_ENVELOPE};
use swarm_round::journal::{Entry, JOURNAL_VERSION, Message, Record, SignatureRecord, Snapshot};
use swarm_round::payload::{CompletionGroup, Critique, Decision, Kind as PayloadKind, Seals};
use swarm_round::sim::toy;
use swarm_round::{
    Agreement, DecidedRound, Hello, LogProb, Member, Membership, NamedMember, Roster, RoundPlan,
    RoundResult, SharedCompletion, Transcript, Work,
};
use swarm_settle::wallet::Keystore;
use swarm_task::gsm8k::Dataset;
use swarm_task::{FamilyId, Kind};

use crate::mirror;

/// A decoder under test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What it is called on the command line.
    pub name: &'static str,
    /// Whose bytes these are.
    pub from: &'static str,
    /// Most memory that one input of at most [`crate::mutate::MAX_INPUT`] bytes may take, in bytes.
    pub memory: usize,
    /// Valid inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Decodes an input and panics if a promise is broken.
    pub run: fn(&[u8]),
}

const MIB: usize = 1 << 20;
/// Of messages with lists in lists: for each that is being read, room of up to a mebibyte is made
/// by the length that it is told to have.
const NESTED: usize = 4 * MIB;

/// Every decoder, by name.
pub const TARGETS: &[Target] = &[
    Target {
        name: "program",
        from: "a worker's claim",
        memory: 64 * MIB,
        seeds: programs,
        run: program,
    },
    Target {
        name: "envelope",
        from: "a peer",
        memory: MIB,
        seeds: || vec![vec![0; MIN_ENVELOPE], vec![0xff; MIN_ENVELOPE + 32]],
        run: envelope,
    },
    Target {
        name: "pipeline-message",
        from: "a member of a pipeline",
        memory: NESTED,
        seeds: pipeline_messages,
        run: pipeline_message,
    },
    Target {
        name: "pipeline-tensor",
        from: "a member of a pipeline",
        memory: MIB,
        seeds: pipeline_tensors,
        run: pipeline_tensor,
    },
    Target {
        name: "pipeline-probe",
        from: "a member of a pipeline",
        memory: MIB,
        seeds: pipeline_words,
        run: pipeline_word,
    },
    Target {
        name: "averaging-message",
        from: "a replica of an averaging job",
        memory: NESTED,
        seeds: averaging_messages,
        run: averaging_message,
    },
    Target {
        name: "averaging-word",
        from: "a replica of an averaging job",
        memory: NESTED,
        seeds: averaging_words,
        run: averaging_word,
    },
    Target {
        name: "pipeline-frame",
        from: "a peer of a pipeline, or of another one that it meets",
        memory: NESTED,
        seeds: pipeline_frames,
        run: pipeline_frame,
    },
    Target {
        name: "averaging-contribution",
        from: "a replica of an averaging job",
        memory: MIB,
        seeds: averaging_contributions,
        run: averaging_contribution,
    },
    Target {
        name: "certificate",
        from: "a peer",
        memory: MIB,
        seeds: certificates,
        run: certificate,
    },
    Target {
        name: "round-record",
        from: "a peer",
        memory: 8 * MIB,
        seeds: records,
        run: record,
    },
    Target {
        name: "journal",
        from: "this node's disk",
        memory: 8 * MIB,
        seeds: journal_records,
        run: journal,
    },
    Target {
        name: "payload",
        from: "a peer",
        memory: 4 * MIB,
        seeds: payloads,
        run: payload,
    },
    Target {
        name: "two-decoders",
        from: "a peer or this node's disk",
        memory: 64 * MIB,
        seeds: encodings,
        run: mirror::compare,
    },
    Target {
        name: "earnings",
        from: "a peer",
        memory: 4 * MIB,
        seeds: tables,
        run: earnings,
    },
    Target {
        name: "votes",
        from: "a peer",
        memory: MIB,
        seeds: || vec![vec![1; VOTE_BYTES], vec![0xff; 3 * VOTE_BYTES]],
        run: votes,
    },
    Target {
        name: "query",
        from: "a peer",
        memory: 4 * MIB,
        seeds: queries,
        run: query,
    },
    Target {
        name: "blob-frame",
        from: "a peer",
        memory: MIB,
        seeds: blob_frames,
        run: blob_frame,
    },
    Target {
        name: "blob-outline",
        from: "a peer",
        memory: 4 * MIB,
        seeds: blob_outlines,
        run: blob_outline,
    },
    Target {
        name: "channel-hello",
        from: "a member of a job",
        memory: MIB,
        seeds: || {
            let (job, run) = ([7; 32], 9);
            vec![ChannelHello { job, run }.to_bytes().to_vec()]
        },
        run: channel_hello,
    },
    Target {
        name: "run-question",
        from: "a peer",
        memory: MIB,
        seeds: || {
            let told = [&[1][..], &[5; 24], &[0x30; 71]].concat();
            vec![RunQuestion::Beside(5).to_bytes(), told]
        },
        run: run_question,
    },
    Target {
        name: "request",
        from: "a peer",
        memory: MIB,
        seeds: || vec![vec![0, 0, 0, 3, 1, 2, 3], vec![0xff; 9]],
        run: request,
    },
    Target {
        name: "known-addresses",
        from: "a file",
        memory: 4 * MIB,
        seeds: || {
            texts(
                &["swarm-node peers 1\n/ip4/203.0.113.5/udp/4001/quic-v1/p2p/\
            16Uiu2HAmUqTLmgX1zzYhV5YjS3Mo8kVhS1jXHQrQ6Z8mHqMzXc2r\n"],
            )
        },
        run: |bytes| drop(std::str::from_utf8(bytes).map(swarm_net::cache::parse)),
    },
    Target {
        name: "announcement",
        from: "whoever owns a node, on a chain",
        memory: MIB,
        seeds: || {
            texts(&[
                "/ip4/203.0.113.5/udp/4001/quic-v1 /ip4/203.0.113.5/tcp/4001",
                "/ip6/2001:db8::1/tcp/4001 rubbish /dns4/swarm.example/tcp/1",
            ])
        },
        run: announcement,
    },
    Target {
        name: "dns-record",
        from: "a DNS server",
        memory: MIB,
        seeds: || {
            texts(&[
                "dnsaddr=/ip4/203.0.113.5/tcp/4001/p2p/16Uiu2HAm7X61zps2NtT61noUsHj1rbkbr6Mzt8RvAcg63HySsNK5",
                "dnsaddr=/dnsaddr/more.example",
                "v=spf1 -all",
            ])
        },
        run: |bytes| {
            let text = std::str::from_utf8(bytes);
            drop(text.map(|text| swarm_net::resolve::told(text, &Multiaddr::empty())));
        },
    },
    Target {
        name: "answer",
        from: "a peer's model",
        memory: 4 * MIB,
        seeds: || {
            texts(&[
                "The answer is -1,234.50.",
                "#### 3/4",
                "a: 1 2 3",
                "true",
                "Monday",
            ])
        },
        run: answer,
    },
    Target {
        name: "receipt",
        from: "whoever answered",
        memory: 4 * MIB,
        seeds: receipts,
        run: receipt,
    },
    Target {
        name: "weights",
        from: "a downloaded model",
        memory: 4 * MIB,
        seeds: weights_files,
        run: weights,
    },
    Target {
        name: "model-config",
        from: "a downloaded model",
        memory: 4 * MIB,
        seeds: model_configs,
        run: |bytes| drop(std::str::from_utf8(bytes).map(hugging_face::parse)),
    },
    Target {
        name: "dataset",
        from: "a downloaded file",
        memory: 16 * MIB,
        seeds: || texts(&["{\"question\": \"How many?\", \"answer\": \"2 + 2 = 4\\n#### 4\"}\n"]),
        run: |bytes| drop(Dataset::parse(bytes)),
    },
    Target {
        name: "text",
        from: "a person",
        memory: MIB,
        seeds: || vec![b"\xef\xbb\xbfkey = 1\r\n".to_vec(), b"\xff\xfea\0".to_vec()],
        run: |bytes| _ = text_file::decode(bytes),
    },
    Target {
        name: "keystore",
        from: "a wallet of another program",
        memory: 4 * MIB,
        seeds: keystores,
        run: keystore,
    },
    Target {
        name: "url",
        from: "a person",
        memory: MIB,
        seeds: || {
            texts(&[
                "http://127.0.0.1:8545",
                "https://user:key@host.example/v3/0123?k=v#f",
            ])
        },
        run: |bytes| drop(std::str::from_utf8(bytes).map(RpcUrl::parse)),
    },
    Target {
        name: "rpc",
        from: "a client of the dev chain",
        memory: 64 * MIB,
        seeds: requests,
        run: |bytes| drop(DevChain::in_memory(Options::standing(0)).handle(bytes)),
    },
];

/// The target of a name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[expect(
    clippy::expect_used,
    reason = "constants: a seed that is wrong should stop the run"
)]
fn programs() -> Vec<Vec<u8>> {
    let mut builder = Builder::new();
    let [a, b] = ["a", "b"].map(|name| {
        let ty = TensorType::new(DType::F32, [3, 4]);
        builder.input(name, ty, Role::Data)
    });
    let product = builder.matmul_nt(a, b).expect("invariant: shapes fit");
    let softmax = builder.softmax(product).expect("invariant: shapes fit");
    builder.output("softmax", softmax);
    vec![builder.finish().encode()]
}

/// What decodes is canonical.
fn program(bytes: &[u8]) {
    if let Ok(program) = Program::decode(bytes) {
        assert_eq!(program.encode(), bytes, "a second encoding of one program");
    }
}

fn receipts() -> Vec<Vec<u8>> {
    let passage = |text: &str, tokens: &[u32]| Passage {
        text: text.into(),
        tokens: tokens.to_vec(),
    };
    let root = [7; 32];
    let receipt = |content| ModelReceipt {
        model: ModelName { root, config: root },
        state: Some(StateName {
            root,
            others: vec![TensorName {
                name: "step".into(),
                root,
            }],
        }),
        sampling: Sampling {
            seed: 7,
            temperature: 0.5,
            max_new: 4,
            ends: vec![1],
        },
        content,
    };
    let answer = receipt(Content::Answer {
        prompt: passage("a=", &[2, 3]),
        answer: passage("a", &[2, 1]),
    });
    let evaluation = receipt(Content::Evaluation {
        quiz: Quiz {
            family: FamilyId::Max,
            difficulty: 0,
            questions: 2,
        },
        right: 1,
        answers: vec![vec![2, 1], vec![1]],
    });
    let texts = [answer, evaluation].map(|receipt| receipt.to_text().unwrap_or_default());
    texts.map(String::into_bytes).to_vec()
}

/// A receipt that is read is written the same.
fn receipt(input: &[u8]) {
    let read = std::str::from_utf8(input).map(|text| (text, ModelReceipt::from_text(text)));
    if let Ok((text, Ok(receipt))) = read {
        assert_eq!(receipt.to_text().ok().as_deref(), Some(text));
    }
}

fn tables() -> Vec<Vec<u8>> {
    let owners = (0..9).map(|owner| (Address::repeat_byte(owner), u128::from(owner)));
    let table = EarningsTable::default().after(owners, 7);
    vec![Vec::new(), table.unwrap_or_default().to_bytes()]
}

/// An activation on its way, a record, and a question.
fn pipeline_messages() -> Vec<Vec<u8>> {
    use skippipe::content::{Content, Digest};
    use skippipe::message::{Body, Forward, Message, Passed, Term, Version, When};
    use skippipe::path::{Hop, Microbatch, Peer, Stage};
    use skippipe::transcript::{Passage, Roster, StepRecord, Visit};
    let hop = |stage, peer| Hop {
        stage: Stage(stage),
        peer: Peer(peer),
    };
    let digest = Digest::of(b"content");
    let forward = Forward {
        microbatch: Microbatch(3),
        version: Version(vec![0, 2]),
        behind: vec![Passed {
            hop: hop(0, 1),
            output: digest,
        }],
        ahead: vec![hop(1, 2)],
        content: Content::new(vec![7; 300]),
    };
    let visit = |hop| Visit {
        hop,
        output: digest,
        gradient: digest,
    };
    let record = StepRecord {
        step: 5,
        joined: Vec::new(),
        roster: Roster(vec![vec![Peer(1)], vec![Peer(2), Peer(3)]]),
        passages: vec![Passage {
            microbatch: Microbatch(3),
            loss: 1,
            visits: vec![visit(hop(0, 1)), visit(hop(1, 2))],
        }],
        excluded: [(Microbatch(3), Stage(1))].into(),
        met: Default::default(),
    };
    let when = When {
        step: 5,
        term: Term {
            number: 1,
            leader: Peer(1),
        },
    };
    let amendment = 0;
    let bodies = [
        Body::Forward(forward),
        Body::Close { amendment, record },
        Body::Ask,
    ];
    let messages = bodies.map(|body| Message { when, body });
    messages.iter().map(Message::to_bytes).collect()
}

/// A message that is read is written the same.
fn pipeline_message(input: &[u8]) {
    if let Ok(message) = skippipe::message::Message::from_bytes(input) {
        let again = skippipe::message::Message::from_bytes(&message.to_bytes());
        assert_eq!(again, Ok(message));
    }
}

/// A tensor in each format, with the number of the format in front.
fn pipeline_words() -> Vec<Vec<u8>> {
    use skippipe::measured::{ASSUMED, ASSUMED_TIMES, PairMeasure, Report};
    use skippipe::path::Peer;
    use swarm_node::pipeline::probe::Word;
    let pair = |peer| PairMeasure {
        peer: Peer(peer),
        to: Some(ASSUMED),
        from: None,
    };
    let report = Report {
        pairs: (0..5).map(pair).collect(),
        times: Some(ASSUMED_TIMES),
    };
    let words = [Word::Here, Word::Ping(3), Word::Report(report)];
    // A piece: train 2, the last one, four bytes of filler, a nonce.
    let piece = vec![1, 2, 1, 0, 0, 0, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    words.iter().map(Word::to_bytes).chain([piece]).collect()
}

fn pipeline_word(input: &[u8]) {
    use swarm_node::pipeline::probe::Word;
    if let Some(word) = Word::from_bytes(input) {
        assert_eq!(Word::from_bytes(&word.to_bytes()), Some(word));
    }
}

fn pipeline_tensors() -> Vec<Vec<u8>> {
    let numbers = (0..12).map(|number| number as f32 - 6.5).collect();
    let Ok(tensor) = Tensor::f32([3, 4], numbers) else {
        return Vec::new();
    };
    let encoded = TENSOR_FORMATS
        .iter()
        .zip(0..)
        .filter_map(|(format, number)| {
            let bytes = skippipe::encoding::encode(*format, &tensor).ok()?;
            Some([&[number], bytes.as_slice()].concat())
        });
    encoded.collect()
}

const TENSOR_FORMATS: [skippipe::encoding::Format; 3] = [
    skippipe::encoding::Format::F32,
    skippipe::encoding::Format::Bf16,
    skippipe::encoding::Format::Int8,
];

/// What decodes is finite, and goes on its way again.
fn pipeline_tensor(input: &[u8]) {
    let Some((number, bytes)) = input.split_first() else {
        return;
    };
    let format = TENSOR_FORMATS[usize::from(*number) % TENSOR_FORMATS.len()];
    if let Ok(tensor) = skippipe::encoding::decode(format, &[3, 4].into(), bytes) {
        assert_eq!(tensor.first_beyond(f32::MAX), None);
        assert!(skippipe::encoding::encode(format, &tensor).is_ok());
    }
}

/// A contribution on its way, a mean, a roster, and a question.
fn averaging_messages() -> Vec<Vec<u8>> {
    use skippipe::content::{Content, Digest};
    use swarm_learn::averaging::message::{Body, Mean, Message, Offer};
    use swarm_learn::averaging::transcript::{Listed, Part, Replica, Roster};
    let content = Content::new(vec![7; 300]);
    let outer = Digest::of(b"anchor and momentum");
    let offer = Offer {
        outer,
        contribution: content.digest(),
        signature: vec![1; 64],
        content: content.clone(),
    };
    let part = |replica| Part {
        replica: Replica(replica),
        outer,
        contribution: content.digest(),
        signature: vec![2; 64],
    };
    let mean = Mean {
        outer,
        parts: vec![part(0), part(3)],
        content: content.clone(),
    };
    let listed = Listed {
        roster: Roster::initial(4),
        by: Replica(1),
        signature: vec![3; 64],
    };
    let bodies = [
        Body::Offer(offer),
        Body::Mean(mean),
        Body::Roster(Box::new(listed)),
        Body::Want,
    ];
    let roster = Roster::initial(4).id();
    let messages = bodies.map(|body| Message {
        round: 5,
        roster,
        body,
    });
    messages.iter().map(Message::to_bytes).collect()
}

/// A message that is read is written the same, and names what its signatures are of.
fn averaging_message(input: &[u8]) {
    use swarm_learn::averaging::message::Message;
    use swarm_learn::averaging::transcript::Replica;
    if let Ok(message) = Message::from_bytes(input) {
        let job = skippipe::content::Digest::of(b"job");
        assert!(message.signed(job, Replica(0)).len() <= input.len());
        assert_eq!(Message::from_bytes(&message.to_bytes()), Ok(message));
    }
}

/// A member's message, counts, a roster and a round that averaged.
fn averaging_words() -> Vec<Vec<u8>> {
    use skippipe::content::Digest;
    use swarm_learn::averaging::message::Message;
    use swarm_learn::averaging::transcript::{
        Completed, Listed, Part, Replica, Roster, RoundRecord, Taken,
    };
    use swarm_node::averaging::ledger::Entry;
    use swarm_node::averaging::word::{Counts, Word};
    let digest = Digest::of(b"contribution");
    let part = |replica| Part {
        replica: Replica(replica),
        outer: digest,
        contribution: digest,
        signature: vec![2; 64],
    };
    let record = RoundRecord {
        job: digest,
        replica: Replica(1),
        round: 4,
        roster: Roster::initial(4).digest(),
        contribution: digest,
        taken: Taken::Averaged {
            parts: vec![part(0), part(1)],
            mean: None,
        },
    };
    let completed = Completed {
        record,
        state: digest,
        signature: vec![3; 64],
    };
    let round = Entry::Round {
        completed: Box::new(completed),
        loss: 1.5_f32.to_bits(),
    };
    let roster = Entry::Roster(Listed {
        roster: Roster::initial(4),
        by: Replica(0),
        signature: vec![1; 64],
    });
    let entries = Word::Entries {
        of: Replica(1),
        from: 3,
        entries: vec![roster, round],
    };
    let counts = Word::Counts(Counts {
        entries: vec![5, 2, 0, 7],
        is_over: true,
    });
    let messages = averaging_messages().into_iter();
    let messages = messages.filter_map(|bytes| Message::from_bytes(&bytes).ok());
    let words = messages.map(Word::Member).chain([entries, counts]);
    words.map(|word| word.to_bytes()).collect()
}

/// A word that is read is written the same.
fn averaging_word(input: &[u8]) {
    use swarm_node::averaging::word::Word;
    if let Ok(word) = Word::from_bytes(input) {
        assert_eq!(Word::from_bytes(&word.to_bytes()), Ok(word));
    }
}

/// A member's messages, and what stages of different pipelines say to each other.
fn pipeline_frames() -> Vec<Vec<u8>> {
    use skippipe::content::{Content, Digest};
    use skippipe::path::{Peer, Stage};
    use swarm_learn::averaging::message::{Mean, Offer};
    use swarm_learn::averaging::transcript::{Part, Replica};
    use swarm_learn::pipelines::message::{Body, Message};
    use swarm_node::pipeline::word::Word;
    let digest = Digest::of(b"contribution");
    let content = Content::new(vec![5; 200]);
    let part = |replica| Part {
        replica: Replica(replica),
        outer: digest,
        contribution: digest,
        signature: vec![2; 64],
    };
    let offer = Offer {
        outer: digest,
        contribution: content.digest(),
        signature: vec![1; 64],
        content: content.clone(),
    };
    let mean = Mean {
        outer: digest,
        parts: vec![part(0), part(1)],
        content,
    };
    let bodies = [
        Body::Want,
        Body::Offer(offer),
        Body::Mean(mean),
        Body::Elsewhere(Peer(3)),
    ];
    let (round, stage) = (4, Stage(1));
    let across = bodies.map(|body| Word::Across(Message { round, stage, body }));
    let within = pipeline_messages().into_iter();
    let within = within.filter_map(|bytes| skippipe::message::Message::from_bytes(&bytes).ok());
    let words = within.map(Word::Member).chain(across);
    words.map(|word| word.to_bytes()).collect()
}

/// A frame that is read is written the same.
fn pipeline_frame(input: &[u8]) {
    use swarm_node::pipeline::word::Word;
    if let Ok(word) = Word::from_bytes(input) {
        assert_eq!(Word::from_bytes(&word.to_bytes()), Ok(word));
    }
}

/// Two tensors, in each format.
fn averaging_layout(number: u8) -> swarm_learn::averaging::contribution::Layout {
    use swarm_learn::averaging::contribution::{Formats, Layout};
    let format = |number: u8| TENSOR_FORMATS[usize::from(number) % TENSOR_FORMATS.len()];
    let formats = Formats {
        change: format(number),
        anchor: format(number / 3),
    };
    let tensors = [("anchor.w", [2, 70].into()), ("change.w", [2, 70].into())];
    let tensors = tensors.map(|(name, shape)| (name.to_owned(), shape));
    Layout::new(tensors.to_vec(), formats)
}

fn averaging_contributions() -> Vec<Vec<u8>> {
    let written = (0..9).filter_map(|number| {
        let tensor = || Tensor::f32([2, 70], (0..140).map(|at| at as f32 - 69.5).collect()).ok();
        let named = [
            ("anchor.w".to_owned(), tensor()?),
            ("change.w".to_owned(), tensor()?),
        ];
        let weights: Weights = named.into_iter().collect();
        let content = averaging_layout(number).write(&weights).ok()?;
        Some([&[number], content.bytes()].concat())
    });
    written.collect()
}

/// What is read is finite.
fn averaging_contribution(input: &[u8]) {
    let Some((number, bytes)) = input.split_first() else {
        return;
    };
    let content = skippipe::content::Content::new(bytes.to_vec());
    if let Ok(read) = averaging_layout(*number).read(&content) {
        assert!(
            read.iter()
                .all(|(_, tensor)| tensor.first_beyond(f32::MAX).is_none())
        );
    }
}

fn example_certificate() -> Certificate {
    Certificate {
        round: 3,
        ballot: 1,
        minutes: [7; 32],
        signatures: vec![(0, [1; 64]), (2, [2; 64])],
    }
}

fn certificates() -> Vec<Vec<u8>> {
    vec![example_certificate().to_bytes()]
}

/// A certificate that is read is written the same.
fn certificate(input: &[u8]) {
    if let Ok(certificate) = Certificate::parse(input) {
        assert_eq!(certificate.to_bytes(), input);
    }
}

/// A critique and a decision.
fn spoken() -> (Critique, Decision) {
    let text = |text: &str| Text::cut(text.into(), u16::MAX);
    let critique = Critique {
        endorsed: Some(text("42")),
        reason: text("it adds up"),
    };
    let decision = Decision {
        answer: text("42"),
        foreseen: text("41"),
    };
    (critique, decision)
}

/// A round of three members in which one critic and one decider spoke.
fn records() -> Vec<Vec<u8>> {
    let config = toy::config(3);
    let plan = RoundPlan::new(&config, config.swarm_id(), 3, Roster::default().snapshot(3));
    let mut transcript = Transcript::new(Arc::new(plan));
    let (critique, decision) = spoken();
    let completions = vec![SharedCompletion::untold("42".into())];
    transcript
        .shares
        .insert((0, 1), CompletionGroup { completions });
    transcript.critiques.insert((3, 1), critique);
    transcript.decisions.insert((3, 2), decision);
    transcript.hellos.insert(PeerId([2; 33]), 1);
    let minutes = Minutes {
        round: 3,
        receipts: vec![(0, [1; 12]), (2, [2; 12])],
        struck: Vec::new(),
        transcript: transcript.digest(),
    };
    let result = RoundResult {
        transcript: Arc::new(transcript),
        tallies: Vec::new(),
        scores: Vec::new(),
        digest: [0; 32],
    };
    let decided = DecidedRound {
        certificate: example_certificate(),
        minutes: Arc::new(minutes),
        result: Arc::new(result),
    };
    RoundRecord::from(&decided).to_bytes().into_iter().collect()
}

/// A record that is read can be written, and reads the same again.
fn record(input: &[u8]) {
    if let Ok(record) = RoundRecord::from_bytes(input) {
        let again = record
            .to_bytes()
            .map(|bytes| RoundRecord::from_bytes(&bytes));
        assert_eq!(again, Ok(Ok(record)));
    }
}

/// Records of every small kind, and one of finished work.
fn journal_records() -> Vec<Vec<u8>> {
    let peer = PeerId([2; 33]);
    let answers = vec![(1, vec![SharedCompletion::untold("42".into())])];
    let place = Place {
        swarm: [1; 32],
        kind: 7,
        round: 300,
        slot: 2,
    };
    let entries = [
        Entry::Tick,
        Entry::Lead(40),
        Entry::Envelope(peer, Message(vec![7; MIN_ENVELOPE].into())),
        Entry::Work(3, Work::Answers(answers)),
        Entry::Register(Member::new(peer)),
        Entry::Decided(3),
        Entry::Stakes(1, vec![Member::new(peer)]),
        Entry::Begin(Box::new(snapshot(peer))),
        Entry::Signed((&place).into(), SignatureRecord([8; 64])),
        Entry::Refused((&place).into()),
    ];
    let records = entries.map(|what| Record { at: 5, what }.to_bytes());
    records.into_iter().flatten().collect()
}

/// What a segment of the journal of an open swarm begins with.
fn snapshot(peer: PeerId) -> Snapshot {
    let founder = NamedMember { peer, topics: 3 };
    let membership = Membership::Open {
        founders: vec![founder],
    };
    Snapshot {
        version: JOURNAL_VERSION,
        swarm: [1; 32],
        peer,
        next_round: 7,
        first: 2,
        seen: Some((6, 5)),
        missed: [3].into(),
        open: [3, 6].into(),
        lead: 40,
        registered: vec![(3, Member::new(peer))],
        stakes: [(4, vec![Member::new(peer)])].into(),
        history: History::new(Agreement::default(), &membership),
    }
}

/// A record that is read can be written and read again.
fn journal(input: &[u8]) {
    if let Ok(record) = Record::from_bytes(input) {
        let again = record.to_bytes().map(|bytes| Record::from_bytes(&bytes));
        assert_eq!(again, Ok(Ok(record)));
    }
}

/// Something of everything that is encoded.
fn encodings() -> Vec<Vec<u8>> {
    let mut completion = SharedCompletion::untold("42".into());
    completion.end = Some(70_000);
    completion.logp = [-0.5, -9.0, -200.0].map(LogProb::of).to_vec();
    let completions = vec![completion, SharedCompletion::untold("é".into())];
    let minutes = Minutes {
        round: 300,
        receipts: vec![(0, [1; 12]), (251, [2; 12])],
        struck: vec![MessagePlace {
            kind: PayloadKind::DecideReveal,
            slot: u16::MAX,
            member: 7,
        }],
        transcript: [3; 32],
    };
    let (critique, decision) = spoken();
    let proposal = Proposal {
        polka: Some(1),
        minutes,
    };
    let seals = Seals {
        seals: vec![(1, [4; 32]), (300, [5; 32])],
    };
    let value = Some([6; 32]);
    let receipt = Receipt::new(40, [3, 17].into_iter());
    let bodies = [
        codec::encode(&CompletionGroup { completions }),
        codec::encode(&critique),
        codec::encode(&decision),
        codec::encode(&proposal),
        codec::encode(&seals),
        codec::encode(&Vote { value }),
        codec::encode(&receipt),
        codec::encode(&Hello { topics: u64::MAX }),
    ];
    let bodies = bodies.into_iter().flatten();
    let stored = records().into_iter().chain(journal_records());
    bodies.chain(stored).chain(queries()).collect()
}

/// A table that is read is written the same.
fn earnings(input: &[u8]) {
    if let Ok(table) = EarningsTable::from_bytes(input) {
        assert_eq!(table.to_bytes(), input);
        for entry in table.entries().iter().take(4) {
            assert!(table.proof(entry.owner).is_some());
        }
    }
}

/// Votes that are in order come out as they went in, and none makes the check of it fail.
fn votes(input: &[u8]) {
    let votes = unpack(input);
    let domain = Domain {
        chain_id: 1,
        contract: Address::ZERO,
    };
    for vote in votes.iter().take(4) {
        let _ = vote.signer(&domain, &Outcome::default());
    }
    if votes.is_sorted_by(|a, b| a.owner < b.owner) {
        let whole = input.len() / VOTE_BYTES * VOTE_BYTES;
        assert_eq!(pack(votes), input[..whole]);
    }
}

/// The pieces of the blob that a fuzzed ask is about.
const PIECES: u32 = 1000;

fn blob_frames() -> Vec<Vec<u8>> {
    let ask = Ask {
        items: Items::Pieces,
        first: 3,
        count: 16,
    };
    let hello = BlobHello(BlobId::of(b"content"));
    vec![ask.to_bytes().to_vec(), hello.to_bytes().to_vec()]
}

/// A frame that is read is written the same, and names nothing that is not there.
fn blob_frame(input: &[u8]) {
    if let Some(bytes) = input.first_chunk()
        && let Ok(hello) = BlobHello::from_bytes(bytes)
    {
        assert_eq!(hello.to_bytes(), *bytes);
    }
    if let Some(bytes) = input.first_chunk()
        && let Ok(ask) = Ask::from_bytes(bytes, PIECES)
    {
        assert_eq!(ask.to_bytes(), *bytes);
        assert!(ask.count > 0 && ask.first + ask.count <= PIECES);
    }
}

/// A hello that is read is written the same.
fn channel_hello(input: &[u8]) {
    if let Some(bytes) = input.first_chunk()
        && let Ok(hello) = ChannelHello::from_bytes(bytes)
    {
        assert_eq!(hello.to_bytes(), *bytes);
    }
}

/// A question that is read is written the same.
fn run_question(input: &[u8]) {
    if let Some(question) = RunQuestion::from_bytes(input) {
        assert_eq!(question.to_bytes(), input);
    }
}

/// A hash, a length and a list of hashes.
fn blob_outlines() -> Vec<Vec<u8>> {
    let content = vec![7; 3 * PIECE_BYTES as usize];
    let id = BlobId::of(&content);
    let outline = Outline::of(id, &content).ok().flatten();
    let hashes = outline.map(|outline| outline.to_bytes(0, outline.len()));
    let head = BlobHello(id).to_bytes();
    hashes
        .map(|hashes| [&head[..], &hashes].concat())
        .into_iter()
        .collect()
}

/// A list that leads to its name is written the same.
fn blob_outline(input: &[u8]) {
    let Some((head, hashes)) = input.split_first_chunk() else {
        return;
    };
    let Ok(BlobHello(id)) = BlobHello::from_bytes(head) else {
        return;
    };
    if let Some(outline) = Outline::from_bytes(id, hashes) {
        assert_eq!(outline.to_bytes(0, outline.len()), hashes);
        assert!(!outline.verify(outline.len(), &[]));
    }
}

/// A request is what was announced, and within the limit.
fn request(input: &[u8]) {
    let limit = 64;
    let mut stream = futures::io::Cursor::new(input);
    let read = read_frame(&mut stream, limit).now_or_never();
    if let Some(Ok(bytes)) = read {
        assert!(bytes.len() <= limit);
        assert_eq!(input[4..4 + bytes.len()], bytes);
    }
}

fn envelope(bytes: &[u8]) {
    if let Ok(envelope) = Envelope::parse(bytes) {
        assert!(envelope.payload.len() < bytes.len());
        let _ = envelope.digest();
    }
}

fn payloads() -> Vec<Vec<u8>> {
    vec![
        vec![0; 8],
        vec![1; 40],
        vec![2, 1, 65, 1, 66, 0, 1, 3, 67, 68, 69],
    ]
}

/// What decodes can be encoded, and decodes to the same again.
fn payload(bytes: &[u8]) {
    fn check<T>(bytes: &[u8])
    where
        T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
    {
        if let Ok(body) = codec::decode::<T>(bytes) {
            let again = codec::encode(&body).map(|bytes| codec::decode::<T>(&bytes));
            assert_eq!(again, Ok(Ok(body)));
        }
    }
    check::<CompletionGroup>(bytes);
    check::<Critique>(bytes);
    check::<Decision>(bytes);
    check::<Seals>(bytes);
    check::<Receipt>(bytes);
    check::<Hello>(bytes);
    check::<Proposal>(bytes);
    check::<Vote>(bytes);
}

fn answer(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for kind in Kind::ALL {
        let Some(canonical) = kind.canonical(&text) else {
            continue;
        };
        assert_eq!(
            kind.canonical(&canonical).as_deref(),
            Some(canonical.as_str()),
            "reading what was read changes it"
        );
    }
}

fn weights_files() -> Vec<Vec<u8>> {
    let mut weights = Weights::default();
    for name in ["a", "layer.0.weight"] {
        let ty = TensorType::new(DType::F32, [2, 3]);
        weights.insert(name, Tensor::zeros(ty));
    }
    vec![weights.to_bytes()]
}

fn weights(bytes: &[u8]) {
    if let Ok(weights) = Weights::from_bytes(bytes) {
        let again = Weights::from_bytes(&weights.to_bytes());
        assert!(again.is_ok(), "what was read cannot be written and read");
    }
}

fn model_configs() -> Vec<Vec<u8>> {
    let config = json!({
        "model_type": "llama", "vocab_size": 99, "hidden_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 128, "max_position_embeddings": 64,
        "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 32},
    });
    vec![config.to_string().into_bytes()]
}

fn keystores() -> Vec<Vec<u8>> {
    let keystore = json!({
        "version": 3, "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
        "crypto": {
            "cipher": "aes-128-ctr", "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
            "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
            "kdf": "scrypt", "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
            "kdfparams": {"dklen": 32, "n": 8192, "r": 1, "p": 8,
                "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
        },
    });
    vec![keystore.to_string().into_bytes()]
}

fn keystore(bytes: &[u8]) {
    if let Ok(keystore) = Keystore::parse(bytes) {
        let again = keystore
            .to_text()
            .map(|text| Keystore::parse(text.as_bytes()));
        assert!(matches!(again, Ok(Ok(_))), "it is not read again");
    }
}

fn requests() -> Vec<Vec<u8>> {
    [
        json!({"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "eth_getLogs",
            "params": [{"fromBlock": "0x0", "toBlock": "latest", "topics": [null]}]}),
        json!({"jsonrpc": "2.0", "id": 3, "method": "eth_call",
            "params": [{"to": "0x0000000000000000000000000000000000000004", "data": "0x01"}, "latest"]}),
        json!({"jsonrpc": "2.0", "id": 4, "method": "eth_sendRawTransaction", "params": ["0x02f86b01"]}),
        json!([{"jsonrpc": "2.0", "id": 5, "method": "evm_mine", "params": []}]),
    ]
    .iter()
    .map(|request| request.to_string().into_bytes())
    .collect()
}

fn queries() -> Vec<Vec<u8>> {
    let want = |what| Query::Want(Want { round: 7, what });
    let envelope: Arc<[u8]> = vec![3; MIN_ENVELOPE].into();
    let queries = [
        Query::Time,
        want(Wanted::Decision),
        want(Wanted::Receipts(vec![(1, [2; 12])])),
        want(Wanted::Prevotes(1, [4; 32])),
    ];
    let again = Query::again(&[envelope.clone(), envelope.clone()]);
    let answers = [
        Answer::Time(9),
        Answer::record(&[5; 200]),
        Answer::messages([&envelope[..]]),
        Answer::Nothing,
    ];
    let queries = queries.iter().chain(&again).map(Query::to_bytes);
    let all = queries.chain(answers.iter().map(Answer::to_bytes));
    all.map(|bytes| bytes.unwrap_or_else(|error| panic!("{error}")))
        .collect()
}

fn query(bytes: &[u8]) {
    if let Ok(query) = Query::from_bytes(bytes) {
        let again = query.to_bytes().map(|bytes| Query::from_bytes(&bytes));
        assert_eq!(again, Ok(Ok(query)));
    }
    if let Ok(answer) = Answer::from_bytes(bytes) {
        let again = answer.to_bytes().map(|bytes| Answer::from_bytes(&bytes));
        assert_eq!(again, Ok(Ok(answer)));
    }
}

fn announcement(bytes: &[u8]) {
    let node = NodeKey::from_secret(&[7; 32])
        .unwrap_or_else(|error| panic!("{error}"))
        .peer();
    let read = announcement::parse(bytes, node, Scope::Everywhere);
    let text = announcement::to_text(&read, Scope::Everywhere);
    let again = announcement::parse(text.as_bytes(), node, Scope::Everywhere);
    assert!(again.iter().all(|address| read.contains(address)));
}
