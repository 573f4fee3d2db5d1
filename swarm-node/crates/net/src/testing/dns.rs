//! A tiny DNS server on loopback, which answers as a test wants.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

/// Longest answer by UDP; longer ones are cut, and asked for by TCP.
const DATAGRAM: usize = 512;

/// A record.
pub(crate) enum Answer {
    A(Ipv4Addr),
    /// A text, in strings of 255 bytes.
    Text(String),
    /// Bytes instead of a message.
    Nonsense,
}

/// What is at a name, by the type of record; `None` for nothing.
type Zone = dyn Fn(&str, u16) -> Option<Vec<Answer>> + Send + Sync;

/// Ends with its test.
pub(crate) struct DnsServer {
    pub(crate) address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl DnsServer {
    pub(crate) async fn start(
        zone: impl Fn(&str, u16) -> Option<Vec<Answer>> + Send + Sync + 'static,
    ) -> Self {
        let zone: Arc<Zone> = Arc::new(zone);
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            // Another process may have the same port of TCP.
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(by_udp(udp, zone.clone()));
        tasks.spawn(by_tcp(tcp, zone));
        Self {
            address,
            _tasks: tasks,
        }
    }
}

async fn by_udp(socket: UdpSocket, zone: Arc<Zone>) {
    let mut question = [0; DATAGRAM];
    loop {
        let (length, from) = socket.recv_from(&mut question).await.unwrap();
        let mut answer = answer(&question[..length], &*zone);
        if answer.len() > DATAGRAM {
            answer = cut(&question[..length]);
        }
        socket.send_to(&answer, from).await.unwrap();
    }
}

async fn by_tcp(listener: TcpListener, zone: Arc<Zone>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        while let Ok(length) = stream.read_u16().await {
            let mut question = vec![0; length.into()];
            stream.read_exact(&mut question).await.unwrap();
            let answer = answer(&question, &*zone);
            stream.write_u16(answer.len() as u16).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    }
}

/// The end of the question, its name and its type.
fn asked(message: &[u8]) -> (usize, String, u16) {
    let (mut at, mut labels) = (12, Vec::new());
    while message[at] != 0 {
        let end = at + 1 + usize::from(message[at]);
        labels.push(String::from_utf8(message[at + 1..end].to_vec()).unwrap());
        at = end;
    }
    let kind = u16::from_be_bytes([message[at + 1], message[at + 2]]);
    (at + 5, labels.join(".").to_lowercase(), kind)
}

/// Header and question of an answer with these flags and so many records.
fn head(question: &[u8], flags: [u8; 2], records: usize) -> Vec<u8> {
    let mut head = question[..2].to_vec();
    head.extend(flags);
    head.extend([0, 1]);
    head.extend((records as u16).to_be_bytes());
    head.extend([0; 4]);
    head.extend(&question[12..asked(question).0]);
    head
}

/// An answer that is too long for a datagram.
fn cut(question: &[u8]) -> Vec<u8> {
    head(question, [0x86, 0x80], 0)
}

fn answer(question: &[u8], zone: &Zone) -> Vec<u8> {
    let (_, name, kind) = asked(question);
    let Some(records) = zone(&name, kind) else {
        return head(question, [0x84, 0x83], 0);
    };
    if records
        .iter()
        .any(|record| matches!(record, Answer::Nonsense))
    {
        return vec![0xff; 40];
    }
    let mut message = head(question, [0x84, 0x80], records.len());
    for record in &records {
        let (kind, data) = match record {
            Answer::A(ip) => (1_u16, ip.octets().to_vec()),
            Answer::Text(text) => {
                let strings = text.as_bytes().chunks(255);
                let strings = strings
                    .flat_map(|part| std::iter::once(part.len() as u8).chain(part.iter().copied()));
                (16, strings.collect())
            }
            Answer::Nonsense => continue,
        };
        // The name is the question's; class IN, 60 s.
        message.extend([0xc0, 12]);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1, 0, 0, 0, 60]);
        message.extend((data.len() as u16).to_be_bytes());
        message.extend(data);
    }
    message
}
