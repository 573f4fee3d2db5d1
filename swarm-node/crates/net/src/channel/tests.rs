//! Channels between running nodes.

use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use swarm_identity::PeerId;
use tokio::time::{sleep, timeout};

use super::channels::{ChannelEvents, Channels, SendError, StartError};
use super::event::ChannelEvent;
use super::frame::{Answer, HELLO_BYTES, Hello, JobId, PULSE, RUN_BYTES};
use crate::attacker::{self, Attacker};
use crate::limits::{Behaviour, CHANNEL_PAUSE_LONGEST, ChannelLimits, MAX_CHANNEL_MEMBERS};
use crate::testing::{Node, PATIENCE, SWARM, attacker, config, secret};

const JOB: JobId = [5; 32];

/// A node in a job.
struct Side {
    node: Node,
    channels: Channels,
    events: ChannelEvents,
}

impl Side {
    fn join(node: Node, job: JobId, members: &[PeerId], limits: ChannelLimits) -> Self {
        let (channels, events) = start(&node, job, members, limits).unwrap();
        Self {
            node,
            channels,
            events,
        }
    }

    fn me(&self) -> PeerId {
        self.node.me()
    }

    fn send(&self, to: &Self, frame: &[u8]) {
        self.channels.send(to.me(), frame.into()).unwrap();
    }

    async fn next(&mut self) -> ChannelEvent {
        next(&mut self.events).await
    }

    /// The next event, which is a frame.
    async fn frame(&mut self) -> (PeerId, Vec<u8>) {
        match self.next().await {
            ChannelEvent::Frame { from, bytes, .. } => (from, bytes),
            other => panic!("no frame: {other:?}"),
        }
    }
}

fn start(
    node: &Node,
    job: JobId,
    members: &[PeerId],
    limits: ChannelLimits,
) -> Result<(Channels, ChannelEvents), StartError> {
    Channels::start(node.handle.clone(), job, members.to_vec(), limits)
}

async fn next(events: &mut ChannelEvents) -> ChannelEvent {
    let event = timeout(PATIENCE, events.next()).await;
    event.expect("nothing came").expect("the job ended")
}

/// Two nodes that are connected.
async fn nodes(transport: &str) -> [Node; 2] {
    let first = Node::by(1, transport, &[]).await;
    let second = Node::by(2, transport, &first.addresses).await;
    second.has_peers(1).await;
    first.has_peers(1).await;
    [first, second]
}

/// The same as members of a job.
async fn pair(transport: &str, limits: ChannelLimits) -> [Side; 2] {
    let nodes = nodes(transport).await;
    let members = [nodes[0].me(), nodes[1].me()];
    nodes.map(|node| Side::join(node, JOB, &members, limits.clone()))
}

fn content(seed: usize, bytes: usize) -> Vec<u8> {
    (0..bytes)
        .map(|i| (i * 31 + i / 251 + seed) as u8)
        .collect()
}

#[tokio::test]
async fn frames_keep_their_order_both_ways_by_either_transport() {
    for transport in ["quic-v1", "tcp"] {
        let [mut first, mut second] = pair(transport, ChannelLimits::default()).await;
        for number in 0..200 {
            first.send(&second, &content(number, number * 100));
            second.send(&first, &number.to_le_bytes());
        }
        for number in 0..200 {
            let there = (first.me(), content(number, number * 100));
            assert_eq!(second.frame().await, there, "{transport}, frame {number}");
            let back = (second.me(), number.to_le_bytes().to_vec());
            assert_eq!(first.frame().await, back, "{transport}, frame {number}");
        }
    }
}

#[tokio::test]
async fn the_longest_frames_pass_by_either_transport() {
    for transport in ["quic-v1", "tcp"] {
        let limits = ChannelLimits::default();
        let longest = limits.frame_bytes as usize;
        assert_eq!(longest, 64 << 20);
        let [first, mut second] = pair(transport, limits).await;
        let frame: Arc<[u8]> = content(7, longest).into();
        let too_long = first
            .channels
            .send(second.me(), vec![0; longest + 1].into());
        let expected = SendError::TooLong {
            bytes: longest + 1,
            limit: 64 << 20,
        };
        assert_eq!(too_long, Err(expected));
        for _ in 0..2 {
            first.channels.send(second.me(), frame.clone()).unwrap();
        }
        for _ in 0..2 {
            let (from, bytes) = second.frame().await;
            assert!(from == first.me() && bytes[..] == frame[..]);
        }
    }
}

#[tokio::test]
async fn a_slow_reader_slows_its_writer_and_loses_nothing() {
    const FRAME: usize = 1 << 20;
    let frames = ChannelLimits {
        queue_frames: 4,
        waiting_frames: 2,
        ..ChannelLimits::default()
    };
    let bytes = ChannelLimits {
        queue_bytes: 4 * FRAME,
        waiting_bytes: 2 * FRAME as u32,
        ..ChannelLimits::default()
    };
    for (transport, limits) in [("quic-v1", bytes), ("tcp", frames)] {
        let [first, mut second] = pair(transport, limits).await;
        // Nobody takes frames, so all places fill: the queue, the windows of the transport, the
        // frame that was read last and those that wait.
        let mut sent = 0;
        let mut refused = 0;
        while refused < 20 {
            match first
                .channels
                .send(second.me(), content(sent, FRAME).into())
            {
                Ok(()) => (sent, refused) = (sent + 1, 0),
                Err(error) => {
                    assert_eq!(error, SendError::Full(second.me()));
                    refused += 1;
                    sleep(Duration::from_millis(50)).await;
                }
            }
            assert!(sent < 64, "{transport}: nothing holds the writer up");
        }
        for number in 0..sent {
            assert_eq!(second.frame().await.1, content(number, FRAME));
        }
        first.send(&second, b"after");
        assert_eq!(second.frame().await.1, b"after");
    }
}

fn hello(job: JobId, run: u64) -> [u8; HELLO_BYTES] {
    Hello { job, run }.to_bytes()
}

/// An attacker, and its stream with an answer to its hello.
async fn greeted(victim: &Side, byte: u8, hello: &[u8]) -> (Attacker, libp2p::Stream, Vec<u8>) {
    let protocol = attacker::channels(&SWARM);
    let attacker = attacker(byte, &protocol, &victim.node.addresses[0]).await;
    let mut stream = attacker.open(victim.me()).await.unwrap();
    stream.write_all(hello).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = vec![0];
    let read = timeout(PATIENCE, stream.read(&mut answer)).await;
    answer.truncate(read.expect("no answer").unwrap_or(0));
    if answer == [Answer::Accepted as u8] {
        stream.read_exact(&mut [0; RUN_BYTES]).await.unwrap();
    }
    (attacker, stream, answer)
}

/// Reads signs of life until a stream ends.
async fn is_closed(stream: &mut libp2p::Stream) {
    let mut byte = [PULSE];
    let end = async { while let Ok(1) = stream.read(&mut byte).await {} };
    timeout(PATIENCE, end).await.expect("it is open");
    assert_eq!(byte, [PULSE]);
}

/// Waits until a peer was blamed for one thing, which its score tells.
async fn blamed(victim: &Side, peer: PeerId, behaviour: Behaviour) {
    let mut snapshot = victim.node.handle.snapshot.clone();
    let near = |score: f64| (score - behaviour.points()).abs() < 0.2;
    let blamed = snapshot.wait_for(|snapshot| {
        let mut peers = snapshot.peers.iter();
        peers.any(|info| info.peer == peer && near(info.score))
    });
    timeout(PATIENCE, blamed)
        .await
        .expect("not blamed")
        .unwrap();
}

/// The other member of a victim's job, who says and takes what it likes.
async fn member_of(victim: &Side) -> Attacker {
    attacker(2, &attacker::channels(&SWARM), &victim.node.addresses[0]).await
}

fn ids(bytes: &[u8]) -> Vec<PeerId> {
    let peer = |byte: &u8| swarm_identity::NodeKey::from(&secret(*byte)).peer();
    bytes.iter().map(peer).collect()
}

/// A victim in a job with the peer that 2 is the secret of.
async fn victim(limits: ChannelLimits) -> Side {
    let node = Node::start(1, config(&[])).await;
    Side::join(node, JOB, &ids(&[1, 2]), limits)
}

#[tokio::test]
async fn strangers_are_refused_and_blamed_and_early_members_are_not() {
    let mut victim = victim(ChannelLimits::default()).await;
    let (stranger, mut stream, answer) = greeted(&victim, 3, &hello(JOB, 1)).await;
    assert_eq!(answer, [Answer::NoMember as u8]);
    let _ = stream.write_all(&[1, 0, 0, 0, 7]).await;
    blamed(&victim, stranger.me(), Behaviour::NoMember).await;
    let (_early, _, answer) = greeted(&victim, 4, &hello([6; 32], 1)).await;
    assert_eq!(answer, [Answer::UnknownJob as u8]);
    let (rude, _, answer) = greeted(&victim, 5, &[9; HELLO_BYTES]).await;
    assert_eq!(answer, []);
    blamed(&victim, rude.me(), Behaviour::Malformed).await;
    let scores = victim.node.handle.peers();
    let early = scores.iter().filter(|info| info.score == 0.0).count();
    assert_eq!(early, 1, "{scores:?}");
    assert_eq!(victim.events.try_next(), None);
}

#[tokio::test]
async fn a_member_that_is_added_is_one_like_the_others() {
    let [first, second] = nodes("quic-v1").await;
    let (one, two) = (first.me(), second.me());
    let mut first = Side::join(first, JOB, &[one], ChannelLimits::default());
    let mut second = Side::join(second, JOB, &[one, two], ChannelLimits::default());
    let refused = first.channels.send(two, b"early"[..].into());
    assert_eq!(refused, Err(SendError::NoMember(two)));
    for _ in 0..2 {
        first.channels.add(two).unwrap();
    }
    first.channels.add(one).unwrap();
    first.send(&second, b"hello");
    assert_eq!(second.frame().await, (one, b"hello".to_vec()));
    second.send(&first, b"back");
    assert_eq!(first.frame().await, (two, b"back".to_vec()));
    let many = (0..MAX_CHANNEL_MEMBERS - 2).map(|number| {
        let mut peer = [9; 33];
        peer[..8].copy_from_slice(&number.to_le_bytes());
        PeerId(peer)
    });
    for peer in many {
        first.channels.add(peer).unwrap();
    }
    let full = first.channels.add(PeerId([7; 33]));
    assert_eq!(full, Err(StartError::Members(MAX_CHANNEL_MEMBERS + 1)));
}

#[tokio::test]
async fn an_oversize_frame_is_cut_unread_and_blamed() {
    let limits = ChannelLimits {
        frame_bytes: 1000,
        ..ChannelLimits::default()
    };
    let mut victim = victim(limits).await;
    let (member, mut stream, answer) = greeted(&victim, 2, &hello(JOB, 1)).await;
    assert_eq!(answer, [Answer::Accepted as u8]);
    let longest = [&1000_u32.to_le_bytes()[..], &[7; 1000]].concat();
    stream.write_all(&longest).await.unwrap();
    stream.write_all(&1001_u32.to_le_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(victim.frame().await, (member.me(), vec![7; 1000]));
    // It is closed although nothing of the frame came.
    is_closed(&mut stream).await;
    blamed(&victim, member.me(), Behaviour::Oversize).await;
}

#[tokio::test]
async fn a_new_stream_of_a_member_ends_the_one_before() {
    let mut victim = victim(ChannelLimits::default()).await;
    let (member, mut before, answer) = greeted(&victim, 2, &hello(JOB, 1)).await;
    assert_eq!(answer, [Answer::Accepted as u8]);
    let mut after = member.open(victim.me()).await.unwrap();
    after.write_all(&hello(JOB, 1)).await.unwrap();
    after.write_all(&[1, 0, 0, 0, 7]).await.unwrap();
    after.flush().await.unwrap();
    is_closed(&mut before).await;
    assert_eq!(victim.frame().await, (member.me(), vec![7]));
}

#[tokio::test]
async fn a_frame_that_does_not_go_on_is_given_up_and_blamed() {
    let limits = ChannelLimits {
        stall: Duration::from_millis(500),
        ..ChannelLimits::default()
    };
    let victim = victim(limits).await;
    let (member, mut stream, _) = greeted(&victim, 2, &hello(JOB, 1)).await;
    // A pause between frames is none.
    sleep(Duration::from_millis(1500)).await;
    assert!(
        victim
            .node
            .handle
            .peers()
            .iter()
            .all(|info| info.score == 0.0)
    );
    stream.write_all(&[8, 0, 0, 0, 1]).await.unwrap();
    stream.flush().await.unwrap();
    is_closed(&mut stream).await;
    blamed(&victim, member.me(), Behaviour::Stalled).await;
}

#[tokio::test]
async fn a_member_that_goes_is_down_and_one_that_comes_back_is_up() {
    for transport in ["quic-v1", "tcp"] {
        let limits = ChannelLimits {
            patience: Duration::from_secs(1),
            ..ChannelLimits::default()
        };
        let [mut first, mut second] = pair(transport, limits.clone()).await;
        let members = [first.me(), second.me()];
        // Frames go one way only, the other way must learn it, too.
        second.send(&first, b"before");
        assert_eq!(first.frame().await.1, b"before");
        let addresses = second.node.addresses.clone();
        let Side {
            node,
            channels,
            events,
        } = second;
        node.handle.shutdown().await;
        drop((channels, events));
        assert_eq!(first.next().await, ChannelEvent::Down(members[1]));
        let refused = first.channels.send(members[1], b"lost"[..].into());
        assert_eq!(refused, Err(SendError::Down(members[1])));
        // The node alone is not enough, the job must be there.
        let mut config = config(&first.node.addresses);
        config.listen = addresses;
        let node = Node::start(2, config).await;
        node.has_peers(1).await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(first.events.try_next(), None);
        second = Side::join(node, JOB, &members, limits);
        let begun = std::time::Instant::now();
        assert_eq!(first.next().await, ChannelEvent::Up(members[1]));
        assert!(begun.elapsed() < 4 * CHANNEL_PAUSE_LONGEST);
        first.send(&second, b"after");
        assert_eq!(second.frame().await, (members[0], b"after".to_vec()));
        second.send(&first, b"back");
        assert_eq!(first.frame().await, (members[1], b"back".to_vec()));
    }
}

#[tokio::test]
async fn a_member_that_takes_nothing_is_down_until_it_takes_something() {
    let limits = ChannelLimits {
        waiting_frames: 1,
        stall: Duration::from_secs(1),
        ..ChannelLimits::default()
    };
    let [mut first, mut second] = pair("tcp", limits).await;
    for number in 0..16 {
        first.send(&second, &content(number, 4 << 20));
    }
    assert_eq!(first.next().await, ChannelEvent::Down(second.me()));
    let mut taken = 0;
    loop {
        tokio::select! {
            (_, bytes) = second.frame() => {
                assert_eq!(bytes, content(taken, 4 << 20), "frame {taken}");
                taken += 1;
            }
            event = first.next() => {
                assert_eq!(event, ChannelEvent::Up(second.me()));
                break;
            }
        }
    }
    // Its stream held: what was on its way comes, what was queued was dropped.
    first.send(&second, b"after");
    loop {
        let (_, bytes) = second.frame().await;
        if bytes == b"after" {
            break;
        }
        assert_eq!(bytes, content(taken, 4 << 20), "frame {taken}");
        taken += 1;
    }
    assert!(taken < 16, "nothing was dropped");
}

/// The next stream that a member opens for the job.
async fn accepted(member: &mut Attacker) -> libp2p::Stream {
    accepted_as(member, 1).await
}

async fn accepted_as(member: &mut Attacker, run: u64) -> libp2p::Stream {
    let mut stream = member.incoming().await.unwrap();
    let mut hello = [0; HELLO_BYTES];
    stream.read_exact(&mut hello).await.unwrap();
    assert_eq!(Hello::from_bytes(&hello).unwrap().job, JOB);
    let answer = [&[Answer::Accepted as u8][..], &run.to_le_bytes()].concat();
    stream.write_all(&answer).await.unwrap();
    stream.flush().await.unwrap();
    stream
}

#[tokio::test]
async fn after_a_break_the_next_stream_begins_with_the_frame_that_was_cut() {
    // More than windows hold, so that it cannot be on its way as a whole.
    const FRAME: usize = 16 << 20;
    let mut victim = victim(ChannelLimits::default()).await;
    let mut member = member_of(&victim).await;
    let to = member.me();
    let send = |frame: Vec<u8>| victim.channels.send(to, frame.into());
    let frame = content(0, FRAME);
    send(frame.clone()).unwrap();
    send(b"last".to_vec()).unwrap();
    for _ in 0..2 {
        let mut stream = accepted(&mut member).await;
        let mut first = vec![0; FRAME / 2];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(first[..4], (FRAME as u32).to_le_bytes());
        assert!(first[4..] == frame[..FRAME / 2 - 4]);
    }
    let mut stream = accepted(&mut member).await;
    let mut all = vec![0; 4 + FRAME + 8];
    stream.read_exact(&mut all).await.unwrap();
    assert!(all[4..4 + FRAME] == frame);
    assert_eq!(all[4 + FRAME..], *b"\x04\0\0\0last");
    drop(stream);
    // It is opened again although nothing is to be sent.
    accepted(&mut member).await;
    assert_eq!(victim.events.try_next(), None, "it was never down");
}

#[tokio::test]
async fn a_stream_that_always_breaks_is_opened_ever_less_and_its_member_is_down() {
    let mut victim = victim(ChannelLimits {
        patience: Duration::from_millis(500),
        ..ChannelLimits::default()
    })
    .await;
    let mut member = member_of(&victim).await;
    let to = member.me();
    victim.channels.send(to, b"frame"[..].into()).unwrap();
    let breaking = async {
        let mut streams = 0;
        while let Some(stream) = member.incoming().await {
            drop(stream);
            streams += 1;
            assert!(streams < 20, "it is opened all the time");
        }
    };
    tokio::select! {
        event = victim.next() => assert_eq!(event, ChannelEvent::Down(to)),
        () = breaking => panic!("it gave up"),
    }
}

/// Its connection stays, and what is written to it is not refused: as with a process that was
/// killed.
#[tokio::test]
async fn a_member_without_a_sign_of_life_is_down() {
    let mut victim = victim(ChannelLimits {
        patience: Duration::from_millis(500),
        silence: Duration::from_millis(500),
        ..ChannelLimits::default()
    })
    .await;
    let mut member = member_of(&victim).await;
    let to = member.me();
    victim.channels.send(to, b"frame"[..].into()).unwrap();
    let _silent = accepted(&mut member).await;
    // Its connection would tell, but half a minute later.
    let told = timeout(Duration::from_secs(15), victim.next()).await;
    assert_eq!(told, Ok(ChannelEvent::Down(to)));
}

/// As it comes back before it is missed, only its run tells that it remembers nothing.
#[tokio::test]
async fn a_member_that_began_anew_was_down() {
    let mut victim = victim(ChannelLimits::default()).await;
    let mut member = member_of(&victim).await;
    let to = member.me();
    victim.channels.send(to, b"frame"[..].into()).unwrap();
    let before = accepted(&mut member).await;
    for (run, is_new) in [(1, false), (2, true), (2, false), (3, true)] {
        let mut stream = member.open(victim.me()).await.unwrap();
        stream.write_all(&hello(JOB, run)).await.unwrap();
        stream.write_all(&[1, 0, 0, 0, run as u8]).await.unwrap();
        stream.flush().await.unwrap();
        if is_new {
            assert_eq!(victim.next().await, ChannelEvent::Down(to));
            assert_eq!(victim.next().await, ChannelEvent::Up(to));
            accepted_as(&mut member, run).await;
        }
        assert_eq!(victim.frame().await, (to, vec![run as u8]));
    }
    drop(before);
}

/// What was queued for it before its new run is met is for whoever takes it.
#[tokio::test]
async fn a_member_that_began_anew_gets_what_waits_for_it() {
    let mut victim = victim(ChannelLimits::default()).await;
    let (mut member, stream, answer) = greeted(&victim, 2, &hello(JOB, 1)).await;
    assert_eq!(answer, [Answer::Accepted as u8]);
    let to = member.me();
    victim.channels.send(to, b"state"[..].into()).unwrap();
    drop(stream);
    let mut stream = accepted_as(&mut member, 2).await;
    let mut frame = [0; 9];
    let read = timeout(PATIENCE, stream.read_exact(&mut frame)).await;
    read.expect("it was dropped").unwrap();
    assert_eq!(frame, *b"\x05\0\0\0state");
    assert_eq!(victim.next().await, ChannelEvent::Down(to));
    assert_eq!(victim.next().await, ChannelEvent::Up(to));
}

#[tokio::test]
async fn who_receives_gives_signs_of_life_although_nobody_takes_the_frames() {
    let limits = ChannelLimits {
        waiting_frames: 1,
        ..ChannelLimits::default()
    };
    let victim = victim(limits).await;
    let (_member, mut stream, answer) = greeted(&victim, 2, &hello(JOB, 1)).await;
    assert_eq!(answer, [Answer::Accepted as u8]);
    for _ in 0..3 {
        stream.write_all(&[1, 0, 0, 0, 7]).await.unwrap();
    }
    stream.flush().await.unwrap();
    let mut pulses = [9; 2];
    let read = timeout(PATIENCE, stream.read_exact(&mut pulses)).await;
    read.expect("no sign of life").unwrap();
    assert_eq!(pulses, [PULSE; 2]);
}

#[tokio::test]
async fn two_jobs_at_once_do_not_mix() {
    let [first, second] = nodes("quic-v1").await;
    let members = [first.me(), second.me()];
    let limits = ChannelLimits {
        waiting_frames: 1,
        queue_frames: 2,
        ..ChannelLimits::default()
    };
    let start = |node, job| start(node, [job; 32], &members, limits.clone()).unwrap();
    let senders = [1, 2].map(|job| start(&first, job).0);
    let [mut slow, mut fast] = [1, 2].map(|job| start(&second, job));
    let again = Channels::start(second.handle.clone(), [1; 32], vec![], limits.clone());
    assert_eq!(again.err(), Some(StartError::Running));
    // Nobody takes what comes for the first job.
    let full = async {
        while senders[0].send(members[1], vec![1; 4 << 20].into()).is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, full).await.unwrap();
    for _ in 0..20 {
        senders[1]
            .send(members[1], vec![2; 1 << 20].into())
            .unwrap();
        let ChannelEvent::Frame { bytes, .. } = next(&mut fast.1).await else {
            panic!("no frame");
        };
        assert!(bytes == vec![2; 1 << 20]);
    }
    let ChannelEvent::Frame { bytes, .. } = next(&mut slow.1).await else {
        panic!("no frame");
    };
    assert!(bytes == vec![1; 4 << 20]);
    // A job that ended can begin anew.
    drop(slow);
    start(&second, 1);
}

#[tokio::test]
async fn events_end_with_the_job_or_the_network() {
    let [first, second] = pair("tcp", ChannelLimits::default()).await;
    let [mut ended, mut cut] = [first.events, second.events];
    drop(first.channels);
    let end = timeout(PATIENCE, ended.next()).await;
    assert_eq!(end.expect("it goes on"), None);
    let channels = second.channels;
    second.node.handle.shutdown().await;
    let end = timeout(PATIENCE, cut.next()).await;
    assert_eq!(end.expect("it goes on"), None);
    let me = first.node.me();
    assert_eq!(channels.send(me, [][..].into()), Ok(()), "never blocks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: cargo test -p swarm-net --lib channel::tests::measure -- --ignored --nocapture"]
async fn measure_frames_over_loopback() {
    for transport in ["quic-v1", "tcp"] {
        for (bytes, count) in [(32 << 20, 24), (1 << 20, 400), (4 << 10, 20_000)] {
            let [first, mut second] = pair(transport, ChannelLimits::default()).await;
            let (to, frame) = (second.me(), Arc::from(vec![7; bytes]));
            let channels = Arc::new(first.channels);
            let sender = channels.clone();
            let begun = std::time::Instant::now();
            tokio::spawn(async move {
                for _ in 0..count {
                    while sender.send(to, Arc::clone(&frame)).is_err() {
                        sleep(Duration::from_millis(1)).await;
                    }
                }
            });
            for _ in 0..count {
                second.frame().await;
            }
            let rate = (bytes * count) as f64 / 1e6 / begun.elapsed().as_secs_f64();
            println!("{transport}, frames of {bytes} bytes: {rate:.0} MB/s");
            drop(channels);
        }
    }
}
