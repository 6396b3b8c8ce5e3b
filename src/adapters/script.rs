//! A server for tests that plays a script over real sockets: what the fakes are too well-behaved to say.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A server that plays a script, one line for each request: a status, headers and a body; what it heard is kept.
pub struct Script {
    pub url: String,
    heard: Arc<Mutex<Vec<String>>>,
    played: Arc<AtomicUsize>,
    /// Connections on which nothing is said.
    _held: Arc<Mutex<Vec<TcpStream>>>,
}

/// One answer of a script.
pub enum Line {
    Say(u16, &'static str, String),
    /// Announces a longer body than it sends.
    Cut(String),
    /// Closes without a word.
    Drop,
    /// Says nothing, and does not close.
    Hold,
    /// These very bytes, then it closes.
    Bytes(Vec<u8>),
    /// These very bytes, and it does not close.
    Open(Vec<u8>),
    /// The same, and closes when the next request has come on this connection.
    Trap(Vec<u8>),
}

impl Script {
    /// Plays the lines, then closes; `ROOT` in a body is the server's own address.
    pub fn play(lines: Vec<Line>) -> Script {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let held = Arc::new(Mutex::new(Vec::new()));
        let played = Arc::new(AtomicUsize::new(0));
        let (log, silent, root) = (Arc::clone(&heard), Arc::clone(&held), url.clone());
        let count = Arc::clone(&played);
        std::thread::spawn(move || {
            for line in lines {
                let (mut stream, _) = listener.accept().unwrap();
                log.lock().unwrap().push(hear(&mut stream));
                let mut say = |status: u16, headers: &str, body: &str, length: usize| {
                    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n");
                    stream.write_all(format!("{head}{headers}\r\n{body}").as_bytes()).unwrap();
                };
                match line {
                    Line::Say(status, headers, body) => {
                        let body = body.replace("ROOT", &root);
                        say(status, headers, &body, body.len());
                    }
                    Line::Cut(body) => say(200, "", &body, body.len() + 10),
                    Line::Drop => {}
                    Line::Hold => silent.lock().unwrap().push(stream),
                    // Who has read enough may be gone.
                    Line::Bytes(bytes) => {
                        drop(stream.write_all(&bytes));
                        drop(stream);
                    }
                    Line::Open(bytes) => {
                        drop(stream.write_all(&bytes));
                        silent.lock().unwrap().push(stream);
                    }
                    Line::Trap(bytes) => {
                        stream.write_all(&bytes).unwrap();
                        log.lock().unwrap().push(hear(&mut stream));
                    }
                }
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Script { url, heard, played, _held: held }
    }

    /// Waits until so many lines are played, and their connections closed.
    pub fn wait_for(&self, lines: usize) {
        while self.played.load(Ordering::SeqCst) < lines {
            std::thread::yield_now();
        }
    }

    /// Returns the requests so far: request line, authorization, preferences where there are any, and body.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn hear(stream: &mut TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let (mut first, mut token, mut prefer, mut length) = (String::new(), String::new(), String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        } else if lower.starts_with("authorization:") {
            let login = line["authorization:".len()..].trim();
            token = login.strip_prefix("Bearer ").unwrap_or(login).to_owned();
        } else if lower.starts_with("prefer:") {
            prefer = format!("{} ", line["prefer:".len()..].trim());
        } else if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    format!("{} [{token}] {prefer}{}", first.trim(), String::from_utf8(body).unwrap()).trim().to_owned()
}

/// Answers with a status and a body, and no headers of its own.
pub fn say(status: u16, body: &str) -> Line {
    Line::Say(status, "", body.to_owned())
}
