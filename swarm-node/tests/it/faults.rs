//! A server between a node and its chain that fails as servers do: errors, slow answers, answers
//! that never come.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::http;

/// What a request meets, in turn: every ninth request an error, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is passed on and answered.
    Served,
    /// The server is overloaded.
    Error,
    /// It is passed on and answered late.
    Slow,
    /// It is passed on, and the answer is lost: the sender cannot know that its transaction was
    /// taken.
    Lost,
}

fn fate(request: u64) -> Fate {
    match request {
        request if request % 9 == 4 => Fate::Error,
        request if request % 17 == 9 => Fate::Slow,
        request if request % 13 == 11 => Fate::Lost,
        _ => Fate::Served,
    }
}

/// How slow an answer is.
const SLOW: Duration = Duration::from_millis(700);

/// A faulty server. Its thread ends with the process.
pub struct Faults {
    port: u16,
    requests: Arc<AtomicU64>,
}

impl Faults {
    /// A faulty way to the server on a port of this machine.
    pub fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let own = listener.local_addr().expect("an address").port();
        let requests = Arc::new(AtomicU64::new(0));
        let counter = requests.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let request = counter.fetch_add(1, Ordering::Relaxed);
                thread::spawn(move || serve(stream, port, fate(request)));
            }
        });
        Self {
            port: own,
            requests,
        }
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

fn serve(mut stream: TcpStream, port: u16, fate: Fate) {
    let Some(request) = http::body_of(&mut stream) else {
        return;
    };
    if fate == Fate::Error {
        return http::answer(&mut stream, "503 Service Unavailable", "");
    }
    let answer = http::post(port, &request);
    match (fate, answer) {
        (Fate::Lost, _) => {}
        (_, None) => http::answer(&mut stream, "502 Bad Gateway", ""),
        (fate, Some(answer)) => {
            if fate == Fate::Slow {
                thread::sleep(SLOW);
            }
            http::answer(&mut stream, "200 OK", &answer);
        }
    }
}
