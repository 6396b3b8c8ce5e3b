//! A fake on a loopback port: wiremock behind a small TCP front.
//!
//! Wiremock speaks HTTP and asks the service; it can neither close a connection without an answer, nor cut a body, nor
//! say which bytes a request target had on the wire (it re-encodes them). The front does: it takes each request off the
//! client's connection, hands it on with its target in a private header, and treats the response as the fault plan
//! says. One thread serves a connection; dropping the [`Server`] closes all connections and joins all threads.
//!
//! Wiremock keeps a copy of every request that a mock matched, whether recording is on or off, so the mock is mounted
//! anew after some requests or bytes.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wiremock::{Mock, MockGuard, MockServer, Respond, ResponseTemplate};

use crate::fault::{self, Delivery, Faults, Faulty};
use crate::service::{Request, Response};

const TARGET: &str = "x-fake-target";
const FAULT: &str = "x-fake-fault";
/// What wiremock may keep before the mock is mounted anew.
const KEPT_REQUESTS_MAX: u64 = 1024;
const KEPT_BYTES_MAX: u64 = 8 << 20;
/// The longest request head; longer than any URL limit of the services, so that they refuse it themselves.
const HEAD_BYTES_MAX: u64 = 256 << 10;

/// A running fake; it stops when dropped.
pub struct Server {
    address: SocketAddr,
    front: Arc<Front>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves on the given port of 127.0.0.1, or on a free one.
    pub fn start<S: Faulty>(
        service: Arc<Mutex<S>>,
        port: Option<u16>,
        faults: Arc<Mutex<Faults>>,
    ) -> io::Result<Server> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or(0)))?;
        let address = listener.local_addr()?;
        let mount = move || {
            Mock::given(wiremock::matchers::any())
                .respond_with(Answerer { service: service.clone(), faults: faults.clone() })
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let backend = runtime.block_on(async {
            let server = MockServer::builder().disable_request_recording().start().await;
            let mounted = server.register_as_scoped(mount()).await;
            Backend { mounted: Some(mounted), address: *server.address(), mount: Box::new(mount), server }
        });
        let front = Arc::new(Front {
            backend: RwLock::new(backend),
            kept_requests: AtomicU64::new(0),
            kept_bytes: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            clients: Mutex::new(HashMap::new()),
        });
        let acceptor = thread::Builder::new().name("fake-front".into()).spawn({
            let front = front.clone();
            move || front.accept(listener, address)
        })?;
        Ok(Server { address, front, acceptor: Some(acceptor) })
    }

    /// Returns the port of 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the root, as `http://127.0.0.1:4711`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.front.stopping.store(true, Ordering::SeqCst);
        // The acceptor sits in `accept`; a connection makes it look at the flag.
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(acceptor) = self.acceptor.take().filter(|_| woken) {
            // A panic in there has been printed already.
            let _ = acceptor.join();
        }
    }
}

/// Wiremock and the mock on it.
struct Backend {
    /// Named before the server, so that it is dropped first: its drop looks into the server.
    mounted: Option<MockGuard>,
    server: MockServer,
    address: SocketAddr,
    mount: Box<dyn Fn() -> Mock + Send + Sync>,
}

struct Front {
    /// Read-locked for each exchange, write-locked while the mock is changed: no request can meet an empty wiremock.
    backend: RwLock<Backend>,
    kept_requests: AtomicU64,
    kept_bytes: AtomicU64,
    stopping: AtomicBool,
    clients: Mutex<HashMap<u64, TcpStream>>,
}

impl Front {
    fn accept(self: Arc<Self>, listener: TcpListener, address: SocketAddr) {
        let mut threads: Vec<JoinHandle<()>> = Vec::new();
        for serial in 0u64.. {
            let accepted = listener.accept();
            if self.stopping.load(Ordering::SeqCst) {
                break;
            }
            let Ok((client, _)) = accepted else { continue };
            threads.retain(|thread| !thread.is_finished());
            let Ok(copy) = client.try_clone() else { continue };
            lock(&self.clients).insert(serial, copy);
            let front = self.clone();
            let thread = thread::Builder::new().name("fake-connection".into()).spawn(move || {
                // A client that goes away is no error of the fake.
                let _ = front.serve(client, address);
                lock(&front.clients).remove(&serial);
            });
            match thread {
                Ok(thread) => threads.push(thread),
                Err(_) => drop(lock(&self.clients).remove(&serial)),
            }
        }
        // The port closes first: whoever comes now is refused, and does not wait for the others to end.
        drop(listener);
        for client in lock(&self.clients).values() {
            let _ = client.shutdown(Shutdown::Both);
        }
        for thread in threads {
            let _ = thread.join();
        }
    }

    /// Serves one connection until either end closes it; the fake's own `address` is where it can be woken.
    fn serve(&self, client: TcpStream, address: SocketAddr) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut reader = BufReader::with_capacity(64 << 10, client.try_clone()?);
        let mut client = client;
        let mut backend: Option<BufReader<TcpStream>> = None;
        while let Some(head) = Head::read(&mut reader)? {
            if head.value("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
                client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let body = head.body(&mut reader)?;
            let closes = head.value("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
            let (reply, body) = self.exchange(&mut backend, &head, &body)?;
            let mut bytes = reply.bytes(&[]);
            let fault = reply.value(FAULT).unwrap_or_default();
            match fault.split_once('=').unwrap_or((fault, "")) {
                ("drop", _) => return client.shutdown(Shutdown::Both),
                ("gone", _) => {
                    self.stopping.store(true, Ordering::SeqCst);
                    // The acceptor sits in `accept`; a connection makes it look at the flag, and it closes all others.
                    let _ = TcpStream::connect(address);
                    return Ok(());
                }
                ("truncate", _) => {
                    bytes.extend_from_slice(&body[..body.len() / 2]);
                    client.write_all(&bytes)?;
                    return client.shutdown(Shutdown::Both);
                }
                ("late", milliseconds) => thread::sleep(Duration::from_millis(milliseconds.parse().unwrap_or(0))),
                _ => {}
            }
            bytes.extend_from_slice(&body);
            client.write_all(&bytes)?;
            if closes {
                return client.shutdown(Shutdown::Both);
            }
        }
        Ok(())
    }

    /// Sends one request to wiremock and reads its response.
    fn exchange(
        &self,
        connection: &mut Option<BufReader<TcpStream>>,
        head: &Head,
        body: &[u8],
    ) -> io::Result<(Head, Vec<u8>)> {
        let kept = self.kept_bytes.fetch_add((body.len() + head.size()) as u64, Ordering::Relaxed);
        let count = self.kept_requests.fetch_add(1, Ordering::Relaxed);
        if kept > KEPT_BYTES_MAX || count >= KEPT_REQUESTS_MAX {
            self.remount()?;
        }
        let backend = self.backend.read().unwrap_or_else(PoisonError::into_inner);
        let reader = match connection {
            Some(reader) => reader,
            None => {
                let stream = TcpStream::connect(backend.address)?;
                stream.set_nodelay(true)?;
                connection.insert(BufReader::with_capacity(64 << 10, stream))
            }
        };
        let mut words = head.first.splitn(3, ' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let length = body.len().to_string();
        let forward = Head { first: format!("{method} / HTTP/1.1"), headers: head.headers.clone() };
        let mut bytes = forward.bytes(&[(TARGET, target), ("content-length", &length)]);
        bytes.extend_from_slice(body);
        reader.get_mut().write_all(&bytes)?;
        let reply = Head::read(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = reply.first.split(' ').nth(1).unwrap_or_default();
        let bodiless = method == "HEAD" || status == "204" || status == "304";
        let body = if bodiless { Vec::new() } else { reply.body(reader)? };
        Ok((reply, body))
    }

    /// Mounts the mock anew, which frees the requests that wiremock keeps with it.
    fn remount(&self) -> io::Result<()> {
        let mut backend = self.backend.write().unwrap_or_else(PoisonError::into_inner);
        // Several connections may have asked for it at once.
        if self.kept_requests.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        // The guard goes before the reset: it looks for its own mock when dropped.
        drop(backend.mounted.take());
        let mounted = runtime.block_on(async {
            backend.server.reset().await;
            backend.server.register_as_scoped((backend.mount)()).await
        });
        backend.mounted = Some(mounted);
        self.kept_requests.store(0, Ordering::Relaxed);
        self.kept_bytes.store(0, Ordering::Relaxed);
        Ok(())
    }
}

/// The first line and the headers of a message; bytes above ASCII stand one for one as characters.
struct Head {
    first: String,
    headers: Vec<(String, String)>,
}

impl Head {
    /// Reads a head; `None` when the connection ends before one.
    fn read(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
        let mut reader = reader.take(HEAD_BYTES_MAX);
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            if reader.read_until(b'\n', &mut line)? == 0 {
                // Either the end of the connection, or a head beyond all bounds.
                return if lines.is_empty() { Ok(None) } else { Err(io::ErrorKind::InvalidData.into()) };
            }
            while matches!(line.last(), Some(b'\r' | b'\n')) {
                line.pop();
            }
            match (line.is_empty(), lines.is_empty()) {
                (true, true) => {}
                (true, false) => break,
                (false, _) => lines.push(line.into_iter().map(char::from).collect::<String>()),
            }
        }
        let first = lines.remove(0);
        let headers = lines
            .iter()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_string()))
            .collect();
        Ok(Some(Head { first, headers }))
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn size(&self) -> usize {
        self.first.len() + self.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>()
    }

    /// Reads the body that this head announces.
    fn body(&self, reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if self.value("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            loop {
                let mut line = String::new();
                reader.read_line(&mut line)?;
                let size = line.split(';').next().unwrap_or_default().trim();
                let size = u64::from_str_radix(size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
                take(reader, size, &mut body)?;
                // After a chunk comes an empty line; after the last one, trailers up to an empty line.
                loop {
                    line.clear();
                    if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
                        break;
                    }
                }
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        let length = self.value("content-length").unwrap_or("0");
        take(reader, length.parse().map_err(|_| io::ErrorKind::InvalidData)?, &mut body)?;
        Ok(body)
    }

    /// Writes the head with more headers, without the private ones and without what concerns one connection only.
    fn bytes(&self, more: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size() + 256);
        let mut line = |text: &str| {
            // Undoes the one-for-one reading.
            out.extend(text.chars().map(|c| c as u8));
            out.extend_from_slice(b"\r\n");
        };
        line(&self.first);
        for (name, value) in &self.headers {
            let hop = matches!(name.as_str(), "transfer-encoding" | "connection" | "expect" | TARGET | FAULT);
            if !hop && !more.iter().any(|(other, _)| other == name) {
                line(&format!("{name}: {value}"));
            }
        }
        for (name, value) in more {
            line(&format!("{name}: {value}"));
        }
        line("");
        out
    }
}

fn take(reader: &mut impl BufRead, size: u64, into: &mut Vec<u8>) -> io::Result<()> {
    if reader.take(size).read_to_end(into)? as u64 == size {
        return Ok(());
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wiremock's side: asks the service under the fault plan.
struct Answerer<S> {
    service: Arc<Mutex<S>>,
    faults: Arc<Mutex<Faults>>,
}

impl<S: Faulty> Respond for Answerer<S> {
    fn respond(&self, request: &wiremock::Request) -> ResponseTemplate {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut target = String::new();
        let mut headers = Vec::with_capacity(request.headers.len());
        for (name, value) in &request.headers {
            match name.as_str() {
                TARGET => target = text(value.as_bytes()),
                name => headers.push((name.to_string(), text(value.as_bytes()))),
            }
        }
        let request = Request { method: request.method.to_string(), target, headers, body: request.body.clone() };
        let (response, delivery) = {
            // Always in this order; nobody else holds both.
            let mut service = lock(&self.service);
            fault::answer(&mut *service, &mut lock(&self.faults), &request)
        };
        template(response, delivery)
    }
}

fn template(response: Response, delivery: Delivery) -> ResponseTemplate {
    let fault = match delivery {
        Delivery::Whole => None,
        Delivery::Late(delay) => Some(format!("late={}", delay.as_millis())),
        Delivery::Dropped => return ResponseTemplate::new(500).insert_header(FAULT, "drop"),
        Delivery::Gone => return ResponseTemplate::new(500).insert_header(FAULT, "gone"),
        Delivery::Truncated => Some("truncate".to_string()),
    };
    let mut template = ResponseTemplate::new(response.status);
    for (name, value) in &response.headers {
        template = template.append_header(name.as_str(), value.as_str());
    }
    if let Some(fault) = fault {
        template = template.insert_header(FAULT, fault.as_str());
    }
    if response.body.is_empty() { template } else { template.set_body_bytes(response.body) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use crate::service::Service;

    /// Answers with what it was asked.
    struct Echo;

    impl Service for Echo {
        fn answer(&mut self, request: &Request) -> Response {
            let body = format!("{} {} {}", request.method, request.target, String::from_utf8_lossy(&request.body));
            Response { status: 200, headers: vec![("X-Size".into(), body.len().to_string())], body: body.into() }
        }
    }

    impl Faulty for Echo {
        fn is_token(&self, _: &Request) -> bool {
            false
        }

        fn throttled(&mut self, _: Option<u64>) -> Response {
            Response { status: 429, ..Response::default() }
        }

        fn expire_tokens(&mut self) {}

        fn touch(&mut self, _: &Request) {}

        fn half(&self, request: &Request) -> Request {
            request.clone()
        }
    }

    fn server(faults: Faults) -> Server {
        Server::start(Arc::new(Mutex::new(Echo)), None, Arc::new(Mutex::new(faults))).unwrap()
    }

    fn connect(server: &Server) -> (TcpStream, BufReader<TcpStream>) {
        let stream = TcpStream::connect(server.address).unwrap();
        (stream.try_clone().unwrap(), BufReader::new(stream))
    }

    fn ask(stream: &mut TcpStream, reader: &mut BufReader<TcpStream>, request: &str) -> Option<(String, String)> {
        stream.write_all(request.as_bytes()).unwrap();
        let head = Head::read(reader).unwrap_or(None)?;
        let body = head.body(reader).map(|body| String::from_utf8(body).unwrap());
        Some((head.first, body.unwrap_or_else(|error| format!("{:?}", error.kind()))))
    }

    #[test]
    fn targets_and_bodies_arrive_as_sent_over_one_connection() {
        let server = server(Faults::none());
        let (mut stream, mut reader) = connect(&server);
        let targets = ["/a/../b?$filter=x%20eq%20'%27'&\"q\"=<1>", "/api/caf%C3%A9?+&x=%2B"];
        for target in targets {
            let request = format!("POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody");
            let (first, body) = ask(&mut stream, &mut reader, &request).unwrap();
            assert_eq!((first.as_str(), body), ("HTTP/1.1 200 OK", format!("POST {target} body")));
        }
        let chunked =
            "PATCH /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!(ask(&mut stream, &mut reader, chunked).unwrap().1, "PATCH /c abcde");
    }

    #[test]
    fn answers_are_dropped_and_cut() {
        let server = server(Faults::once(Fault::TruncatedPage, 2).and(Fault::DroppedAfter, 1));
        let page = "GET /api/customers HTTP/1.1\r\nHost: h\r\n\r\n";
        let (mut stream, mut reader) = connect(&server);
        assert_eq!(ask(&mut stream, &mut reader, page).unwrap().1, "GET /api/customers ");
        assert_eq!(ask(&mut stream, &mut reader, page).unwrap().1, "UnexpectedEof");
        let (mut stream, mut reader) = connect(&server);
        let write = "DELETE /api/customers(1) HTTP/1.1\r\nHost: h\r\n\r\n";
        assert_eq!(ask(&mut stream, &mut reader, write), None);
        let (mut stream, mut reader) = connect(&server);
        assert!(ask(&mut stream, &mut reader, write).is_some());
    }

    #[test]
    fn whoever_is_gone_is_there_for_nobody() {
        let server = server(Faults::once(Fault::Gone, 2));
        let page = "GET /api/customers HTTP/1.1\r\nHost: h\r\n\r\n";
        let ((mut stream, mut reader), (_other, mut idle)) = (connect(&server), connect(&server));
        assert!(ask(&mut stream, &mut reader, page).is_some());
        assert_eq!(ask(&mut stream, &mut reader, page), None);
        assert_eq!(idle.read(&mut [0]).unwrap_or(0), 0, "the others are closed, too");
        let refused = TcpStream::connect(server.address).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_slow_page_comes_whole_and_not_before_its_delay() {
        let mut faults = Faults::once(Fault::SlowPage, 1);
        faults.delay = Duration::from_millis(60);
        let server = server(faults);
        let (mut stream, mut reader) = connect(&server);
        let start = std::time::Instant::now();
        let page = "GET /api/items HTTP/1.1\r\nHost: h\r\n\r\n";
        assert_eq!(ask(&mut stream, &mut reader, page).unwrap().1, "GET /api/items ");
        assert!(start.elapsed() >= Duration::from_millis(60));
    }

    #[test]
    fn wiremock_keeps_a_bounded_number_of_requests() {
        let server = server(Faults::none());
        let request = format!("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n{}", "x".repeat(2000));
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let ((mut stream, mut reader), request) = (connect(&server), request.clone());
                thread::spawn(move || {
                    for _ in 0..900 {
                        let (first, _) = ask(&mut stream, &mut reader, &request).unwrap();
                        assert_eq!(first, "HTTP/1.1 200 OK");
                    }
                })
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        let backend = server.front.backend.read().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let kept = runtime.block_on(backend.mounted.as_ref().unwrap().received_requests()).len() as u64;
        assert!((1..=KEPT_REQUESTS_MAX + 4).contains(&kept), "{kept} of 3600 are kept");
    }

    #[test]
    fn dropping_the_server_closes_its_connections_and_its_port() {
        let server = server(Faults::none());
        let (mut stream, mut reader) = connect(&server);
        assert!(ask(&mut stream, &mut reader, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n").is_some());
        let (address, front) = (server.address, Arc::downgrade(&server.front));
        drop(server);
        assert_eq!(reader.read(&mut [0]).unwrap_or(0), 0);
        assert!(TcpStream::connect(address).is_err());
        assert_eq!(front.strong_count(), 0, "no thread holds the front any more");
    }
}
