//! The connections of the server: how many there may be at a time, and for how long one may be
//! idle.
//!
//! ```text
//!           ┌─ accept ── refused (no file left) ──▶ pause, and count as full
//! one task ─┼─ a connection ended ──▶ its place is free
//!           └─ tick ──▶ closes what has been quiet for too long; for less long while connections wait for a place
//! ```
//! A connection has been quiet since it opened, a request's head was complete, or an answer was
//! ready, whichever was last. So one rule ends idle connections, heads and bodies that do not come
//! to an end, and answers that nobody reads. Quiet time is counted in ticks of this task: while the
//! thread executes somebody's request, nobody is charged for it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Connections at a time; others wait in the system's queue. Half of 256 open files, the lowest
/// usual limit of a process, so that the chain's own files and its host's always find room.
pub const MAX_CONNECTIONS: usize = 128;

/// How patient the server is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at a time.
    connections: usize,
    /// The unit of quiet time.
    tick: Duration,
    /// Ticks that a connection may be quiet.
    quiet: u32,
    /// Ticks that it may be quiet while others wait for a place.
    crowded: u32,
    /// Wait after the system gave no connection: it has run out of files, and tells so at once when
    /// asked again.
    pause: Duration,
}

impl Default for Limits {
    /// A minute, or half a second to a second while others wait: a program on this machine sends
    /// its request at once.
    fn default() -> Self {
        Self {
            connections: MAX_CONNECTIONS,
            tick: Duration::from_millis(500),
            quiet: 120,
            crowded: 2,
            pause: Duration::from_millis(100),
        }
    }
}

/// A connection as the table knows it.
struct Open {
    /// Ticks since it opened or last did something.
    quiet: Arc<AtomicU32>,
    close: tokio::task::AbortHandle,
}

/// Serves for ever: whatever clients do and the system refuses, it goes on.
pub(super) async fn serve(listener: TcpListener, routes: Router, limits: Limits) {
    let mut tasks = JoinSet::new();
    let mut open: HashMap<Id, Open> = HashMap::new();
    let mut refused = false;
    let mut ticks = interval(limits.tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let full = tasks.len() >= limits.connections;
        tokio::select! {
            Some(ended) = tasks.join_next_with_id() => {
                // A panic is the end of its connection only; its client sees it closed.
                let id = match ended {
                    Ok((id, ())) => id,
                    Err(error) => error.id(),
                };
                open.remove(&id);
            }
            _ = ticks.tick() => {
                let limit = if full || refused { limits.crowded } else { limits.quiet };
                for connection in open.values() {
                    if connection.quiet.fetch_add(1, Ordering::Relaxed) >= limit {
                        connection.close.abort();
                    }
                }
            }
            accepted = listener.accept(), if !full => {
                refused = accepted.is_err();
                match accepted {
                    Ok((stream, _)) => {
                        let quiet = Arc::new(AtomicU32::new(0));
                        let close = tasks.spawn(connection(stream, routes.clone(), quiet.clone()));
                        open.insert(close.id(), Open { quiet, close });
                    }
                    Err(error) if is_of_client(&error) => refused = false,
                    Err(_) => sleep(limits.pause).await,
                }
            }
        }
    }
}

/// True if a connection failed before it was accepted: the next one may be fine.
fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// Answers the requests of one connection, one after another.
async fn connection(stream: TcpStream, routes: Router, quiet: Arc<AtomicU32>) {
    let heard = from_fn(move |request: Request, next: Next| {
        let quiet = quiet.clone();
        async move {
            quiet.store(0, Ordering::Relaxed);
            let answer = next.run(request).await;
            quiet.store(0, Ordering::Relaxed);
            answer
        }
    });
    let service = TowerToHyperService::new(routes.layer(heard));
    // How a connection ends, an error or not, is its client's affair.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::body::Bytes;
    use axum::routing::post;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Far above what a test waits for.
    const NEVER: u32 = 1_000_000;
    const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";
    /// More than the system buffers on a loopback connection.
    const LARGE: usize = 32 << 20;

    fn limits() -> Limits {
        Limits {
            connections: 3,
            tick: Duration::from_millis(20),
            quiet: 10,
            crowded: 10,
            ..Limits::default()
        }
    }

    /// A server that answers `hi` with `hi`, and anything else with a large body.
    async fn start(limits: Limits) -> std::net::SocketAddr {
        let answer = |body: Bytes| async move {
            if body == "hi" {
                body
            } else {
                vec![0; LARGE].into()
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(
            listener,
            Router::new().route("/", post(answer)),
            limits,
        ));
        address
    }

    async fn sent(address: std::net::SocketAddr, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }

    /// Reads until the server has closed; an error if it closed without having read everything.
    async fn rest(stream: &mut TcpStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        bytes
    }

    async fn answered(address: std::net::SocketAddr) -> bool {
        let mut stream = sent(address, REQUEST).await;
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.is_ok() && &head == b"HTTP/1.1 200"
    }

    #[tokio::test]
    async fn whatever_stays_unfinished_is_closed() {
        let address = start(limits()).await;
        let unfinished: [&[u8]; 4] = [
            b"",
            b"POST / HTTP/1.1\r\nX-",
            b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhi",
            REQUEST,
        ];
        for bytes in unfinished {
            let begun = Instant::now();
            let mut stream = sent(address, bytes).await;
            let answers = rest(&mut stream)
                .await
                .windows(12)
                .filter(|at| at == b"HTTP/1.1 200")
                .count();
            assert_eq!(answers, usize::from(bytes == REQUEST), "{bytes:?}");
            assert!(
                begun.elapsed() >= Duration::from_millis(150),
                "{bytes:?} was given no time"
            );
        }
    }

    #[tokio::test]
    async fn a_head_that_trickles_in_gains_no_time() {
        let address = start(limits()).await;
        let mut stream = sent(address, b"POST / HTTP/1.1\r\n").await;
        for byte in 0..200 {
            if stream.write_all(b"X").await.is_err() {
                return assert!(byte > 5, "closed after {byte} bytes");
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("still open after two seconds");
    }

    #[tokio::test]
    async fn an_answer_that_nobody_reads_is_given_up() {
        let address = start(Limits {
            connections: 1,
            ..limits()
        })
        .await;
        let many = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n.".repeat(8);
        let mut stream = sent(address, &many).await;
        assert!(answered(address).await, "the only place is free again");
        assert!(
            rest(&mut stream).await.len() < LARGE,
            "what was not read is gone"
        );
    }

    #[tokio::test]
    async fn pipelined_requests_are_all_answered() {
        let address = start(limits()).await;
        let mut stream = sent(address, &REQUEST.repeat(50)).await;
        let answers = rest(&mut stream).await;
        assert_eq!(
            answers
                .windows(12)
                .filter(|at| at == b"HTTP/1.1 200")
                .count(),
            50
        );
    }

    #[tokio::test]
    async fn who_is_quiet_gives_way_only_where_others_wait() {
        let address = start(Limits {
            quiet: NEVER,
            crowded: 5,
            ..limits()
        })
        .await;
        let mut quiet = [sent(address, b"").await, sent(address, b"POST").await];
        sleep(Duration::from_millis(300)).await;
        assert!(
            quiet[0]
                .try_read(&mut [0])
                .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        );
        let _third = sent(address, b"").await;
        assert!(answered(address).await);
        assert_eq!(rest(&mut quiet[1]).await, b"");
    }

    #[tokio::test]
    async fn a_connection_that_works_is_never_closed() {
        let address = start(limits()).await;
        let mut stream = sent(address, b"").await;
        for _ in 0..40 {
            stream.write_all(REQUEST).await.unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200");
            while !answer.ends_with(b"hi") {
                answer.rotate_left(1);
                stream.read_exact(&mut answer[11..]).await.unwrap();
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}
