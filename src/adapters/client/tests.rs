//! The client against scripts of answers: what is sent again, what is given up, and what is told of it.

use super::*;
use crate::adapters::client::login::UNANSWERED_ATTEMPTS;
use crate::adapters::clock::tests::FakeClock;
use crate::adapters::script::{Line, Script, say};
use crate::config::{Adapter, Auth, Bypass, ClientCredentials, Features, Limits, Proof, SecretSource};
use crate::endpoint::{ClockOffset, Line as _};
use std::collections::HashSet;
use std::net::TcpListener;
use std::thread::{self, ThreadId};

/// Tokens `t1`, `t2` … as many as are asked for.
fn tokens(count: usize) -> Script {
    let grant = |number| say(200, &format!(r#"{{"access_token":"t{number}","expires_in":3599}}"#));
    Script::play((1..=count).map(grant).collect())
}

pub fn client(url: &str, token_url: &str) -> (Client, Arc<FakeClock>) {
    let patience = Patience { attempts: 3, ..Patience::default() };
    client_with(url, token_url, patience)
}

/// A client that waits no longer for an answer than a test can.
pub fn impatient(url: &str, token_url: &str) -> Client {
    client_with(
        url,
        token_url,
        Patience { attempts: 3, answer_ms_max: 2_000, token_ms_max: 2_000, ..Patience::default() },
    )
    .0
}

fn client_with(url: &str, token_url: &str, patience: Patience) -> (Client, Arc<FakeClock>) {
    let clock = Arc::new(FakeClock::default());
    let shared: Arc<dyn Clock> = Arc::<FakeClock>::clone(&clock);
    (client_by(url, token_url, patience, shared), clock)
}

fn client_by(url: &str, token_url: &str, patience: Patience, clock: Arc<dyn Clock>) -> Client {
    let connection = Connection {
        adapter: Adapter::Dataverse,
        url: url.to_owned(),
        company: None,
        auth: Auth::OAuth2(ClientCredentials {
            token_url: token_url.to_owned(),
            client_id: "app".into(),
            proof: Proof::Secret(SecretSource::given("secret".into())),
            scope: "s".into(),
        }),
        limits: Limits { concurrency: 2, requests: 1000, per_seconds: 300, batch: 10, page: 10 },
        features: Features { bulk: true, change_tracking: true, bypass: Bypass::default() },
        act_as: None,
        keys: std::collections::BTreeMap::new(),
        options: std::collections::BTreeMap::new(),
        ca_file: None,
        authorities: Vec::new(),
    };
    Client::new(Side::Crm, &connection, patience, clock)
}

/// Plays a script for one read and one write each; tells the results, the requests and the seconds waited.
fn both(lines: impl Fn() -> Vec<Line>) -> [(String, usize, u64); 2] {
    [false, true].map(|is_write| {
        let (server, login) = (Script::play(lines()), tokens(3));
        let (client, clock) = client(&server.url, &login.url);
        let whole = |answer: &Answer| match answer.body.ends_with(b"}") {
            true => Ok(()),
            false => Err(Amiss::Broken("not whole".to_owned())),
        };
        let url = format!("{}/x", server.url);
        let result = match is_write {
            false => match client.get(&url, &[], whole) {
                Ok((answer, _)) => answer.status.to_string(),
                Err(error) => error.to_string(),
            },
            true => match client.post(&url, &[], b"{}") {
                Ok(answer) => answer.status.to_string(),
                Err(PostError::NotSent(message)) => format!("not sent: {message}"),
                Err(PostError::Unknown(message)) => format!("unknown: {message}"),
                Err(PostError::Overtaxed(message)) => format!("overtaxed: {message}"),
            },
        };
        assert_eq!(client.traffic().sent as usize, server.heard().len());
        assert_eq!(client.traffic().waited_seconds, clock.now().as_secs_f64());
        (result, server.heard().len(), clock.now().as_secs())
    })
}

/// Six batches, each with the whole patience of a side that wants rest, are a quarter of an hour.
#[test]
fn the_patience_with_a_side_is_one_for_all_writes() {
    let busy = || Line::Say(429, "", String::new());
    let patience = || (0..8).map(|_| busy());
    let lines = patience().chain([busy(), say(200, "{}")]).chain(patience()).collect();
    let (server, login) = (Script::play(lines), tokens(1));
    let (client, _) = client(&server.url, &login.url);
    let url = format!("{}/x", server.url);
    let mut heard = Vec::new();
    for expected in [false, false, true, false] {
        let before = client.traffic().sent;
        assert_eq!(client.post(&url, &[], b"{}").is_ok(), expected);
        heard.push(client.traffic().sent - before);
    }
    // Once it has taken something, there is patience again.
    assert_eq!(heard, [8, 1, 1, 8]);
}

#[test]
fn a_page_for_people_is_named_as_such() {
    let page = || Line::Say(200, "Content-Type: text/html; charset=utf-8\r\n", "<html>".to_owned());
    let (server, login) = (Script::play(vec![page(), page(), page()]), tokens(1));
    let (client, _) = client(&server.url, &login.url);
    let told =
        client.get(&server.url, &[], |_| Err::<(), _>(Amiss::Broken("no JSON".to_owned()))).unwrap_err().to_string();
    let expected =
        "CRM gave an answer that cannot be trusted: GET : 127.0.0.1 answered with a page of HTML instead of data";
    assert!(told.starts_with(expected), "{told}");
}

#[test]
fn reads_are_repeated_and_writes_only_where_nothing_was_done() {
    let wait = |seconds: &'static str| Line::Say(429, seconds, String::new());
    type Case = (&'static str, Box<dyn Fn() -> Vec<Line>>);
    let cases: Vec<Case> = vec![
        ("final refusal", Box::new(|| vec![say(400, "{}")])),
        ("throttled", Box::new(move || vec![wait("Retry-After: 17\r\n"), say(200, "{}")])),
        ("throttled, no header", Box::new(move || vec![wait(""), wait(""), say(200, "{}")])),
        // Its window may be five minutes, and it does not say so.
        ("throttled for good", Box::new(move || (0..8).map(|_| wait("")).collect())),
        ("throttled for an hour", Box::new(move || vec![wait("Retry-After: 3600\r\n")])),
        ("unavailable", Box::new(|| vec![say(503, "<html>"), say(200, "{}")])),
        (
            "unavailable for an hour",
            Box::new(|| vec![Line::Say(503, "Retry-After: 3600\r\n", String::new()), say(200, "{}")]),
        ),
        ("too slow", Box::new(|| vec![say(504, ""), say(200, "{}")])),
        ("database too slow", Box::new(|| vec![say(500, r#"{"error":{"code":"0x80044151"}}"#), say(200, "{}")])),
        ("broken", Box::new(|| vec![say(500, "<html>"), say(504, ""), say(200, "{}")])),
        ("dropped", Box::new(|| vec![Line::Drop, say(200, "{}")])),
        ("cut", Box::new(|| vec![Line::Cut("{".into()), say(200, "{}")])),
        ("short json", Box::new(|| vec![say(200, "{"), say(200, "{}")])),
        ("never json", Box::new(|| vec![say(200, "x"), say(200, "x"), say(200, "x")])),
        ("login twice refused", Box::new(|| vec![say(401, ""), say(401, "")])),
        ("redirected", Box::new(|| vec![Line::Say(302, "Location: http://127.0.0.1:1/\r\n", "{}".into())])),
    ];
    let mut lines = Vec::new();
    for (name, case) in cases {
        let [read, write] = both(case);
        lines.push(format!("{name}\n  read: {read:?}\n  write: {write:?}"));
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    final refusal
      read: ("400", 1, 0)
      write: ("400", 1, 0)
    throttled
      read: ("200", 2, 17)
      write: ("200", 2, 17)
    throttled, no header
      read: ("200", 3, 6)
      write: ("200", 3, 6)
    throttled for good
      read: ("CRM cannot be reached: it answered HTTP 429", 8, 182)
      write: ("not sent: it answered HTTP 429", 8, 182)
    throttled for an hour
      read: ("CRM cannot be reached: it takes no request for 3600 seconds, and a run waits for 600 at most", 1, 0)
      write: ("not sent: CRM cannot be reached: it takes no request for 3600 seconds, and a run waits for 600 at most", 1, 0)
    unavailable
      read: ("200", 2, 2)
      write: ("unknown: it answered HTTP 503", 1, 0)
    unavailable for an hour
      read: ("CRM cannot be reached: it takes no request for 3600 seconds, and a run waits for 600 at most", 1, 0)
      write: ("unknown: it answered HTTP 503", 1, 0)
    too slow
      read: ("200", 2, 2)
      write: ("overtaxed: it answered HTTP 504", 1, 0)
    database too slow
      read: ("200", 2, 2)
      write: ("overtaxed: it answered HTTP 500: (0x80044151)", 1, 0)
    broken
      read: ("200", 3, 6)
      write: ("unknown: it answered HTTP 500", 1, 0)
    dropped
      read: ("200", 2, 2)
      write: ("unknown: the connection was cut", 1, 0)
    cut
      read: ("200", 2, 2)
      write: ("unknown: the connection was cut", 1, 0)
    short json
      read: ("200", 2, 2)
      write: ("200", 1, 0)
    never json
      read: ("CRM gave an answer that cannot be trusted: GET /x: not whole; it begins with `x`", 3, 6)
      write: ("200", 1, 0)
    login twice refused
      read: ("CRM refused the login: a fresh token is not accepted; check `scope` and the rights of the application", 2, 0)
      write: ("not sent: CRM refused the login: a fresh token is not accepted; check `scope` and the rights of the application", 2, 0)
    redirected
      read: ("302", 1, 0)
      write: ("302", 1, 0)
    "#);
}

/// A service that restarts is away for some seconds, for writes as for reads.
#[test]
fn there_is_as_much_patience_with_a_write_as_with_a_read() {
    let (client, clock) = client("http://127.0.0.1:1", "http://127.0.0.1:1");
    let rested = [1, 2, 3].map(|times| client.rest(times));
    assert_eq!((rested, clock.now()), ([true, true, false], Duration::from_secs(6)));
    assert_eq!(client.traffic().waited_seconds, 6.0);
}

/// What stands at a wrong address is told within seconds; what comes in the middle of a run may pass, and so may a page that was
/// cut off.
#[test]
fn what_was_never_data_is_given_up_soon() {
    let page = || Line::Say(200, "Content-Type: text/html\r\n", "<html>".to_owned());
    type Make<'a> = &'a dyn Fn() -> Line;
    let (empty, marked, cut) = (|| say(200, ""), || say(200, "\u{feff}{}"), || say(200, r#"{"value":["#));
    for (what, line, requests, seconds) in [
        ("a page", &page as Make<'_>, 3, 6),
        ("nothing", &empty, 3, 6),
        ("a mark", &marked, 3, 6),
        ("cut off", &cut, 7, 122),
    ] {
        for data_before in [false, true] {
            let before = data_before.then(|| say(200, "{}"));
            let lines = before.into_iter().chain((0..7).map(|_| line())).collect();
            let (server, login) = (Script::play(lines), tokens(1));
            let (client, clock) = client_with(&server.url, &login.url, Patience::default());
            let whole = |answer: &Answer| match answer.body == b"{}" {
                true => Ok(()),
                false => Err(Amiss::Broken("no value".to_owned())),
            };
            let read = || client.get(&format!("{}/x", server.url), &[], whole);
            assert!(!data_before || read().is_ok());
            assert_eq!(read().unwrap_err().kind(), "untrusted", "{what}");
            let (requests, seconds) = if data_before { (8, 122) } else { (requests, seconds) };
            assert_eq!((server.heard().len(), clock.now().as_secs()), (requests, seconds), "{what}, {data_before}");
        }
    }
}

/// Which request of which table it was, what stood there, and what the service said; what it says for good it is not asked
/// for again.
#[test]
fn an_answer_without_data_says_what_it_is() {
    let error = |code: &str| format!(r#"{{"error":{{"code":"{code}","message":"An unexpected error occurred."}}}}"#);
    let unexpected = "the answer is an error, with HTTP 200: An unexpected error occurred";
    let (lasting, passing) = (error("0x80040216"), error("0x80044150"));
    for (body, told, requests) in [
        (lasting.as_str(), format!("{unexpected} (0x80040216)"), 1),
        (&passing, format!("{unexpected} (0x80044150)"), 3),
        ("", "no value; it is empty".to_owned(), 3),
        ("\u{feff}{\"value\":[]}", "no value; it begins with a byte order mark".to_owned(), 3),
        ("<html>", "no value; it begins with `<html>`".to_owned(), 3),
        (r#"{"error":{"code":"x","message":"y"},"value":[]}"#, "no value".to_owned(), 3),
        ("[]", "no value".to_owned(), 3),
    ] {
        let (server, login) = (Script::play((0..3).map(|_| say(200, body)).collect()), tokens(1));
        let (client, _) = client(&server.url, &login.url);
        let url = format!("{}/api/accounts?$select=name", server.url);
        let error =
            client.get(&url, &[], |_| Err::<(), _>(Amiss::Broken("no value".to_owned()))).unwrap_err().to_string();
        assert_eq!(error, format!("CRM gave an answer that cannot be trusted: GET /api/accounts: {told}"));
        assert_eq!(server.heard().len(), requests, "{body}");
    }
}

/// As where a gateway gave up: a read is repeated, of a write nobody knows, and the next one is smaller.
#[test]
fn an_answer_that_never_comes_is_waited_for_no_longer_than_a_gateway_would() {
    let (server, login) = (Script::play(vec![Line::Hold, say(200, "{}"), Line::Hold]), tokens(1));
    let client = impatient(&server.url, &login.url);
    let url = format!("{}/x", server.url);
    assert_eq!(client.get(&url, &[], |_| Ok(())).unwrap().0.status, 200);
    let overtaxed = PostError::Overtaxed("it did not answer in time".to_owned());
    assert_eq!(client.post(&url, &[], b"{}"), Err(overtaxed));
    assert_eq!(client.traffic().sent, 3);
}

#[test]
fn a_token_is_renewed_once_when_it_is_refused() {
    let server = Script::play(vec![say(200, "{}"), say(401, ""), say(200, "{}"), say(200, "{}")]);
    let login = tokens(2);
    let (client, _) = client(&server.url, &login.url);
    for _ in 0..3 {
        assert_eq!(client.post(&format!("{}/x", server.url), &[], b"{}").unwrap().status, 200);
    }
    let line = |token| format!("POST /x HTTP/1.1 [{token}] {{}}");
    assert_eq!(server.heard(), ["t1", "t1", "t2", "t2"].map(line));
    assert_eq!(login.heard().len(), 2);
    assert_eq!(client.traffic().retried, 1);
}

/// As one that answers 503, whatever the status (RFC 6749 §5.2 has no status for it).
#[test]
fn a_token_endpoint_that_cannot_answer_for_now_is_asked_again() {
    let away = r#"{"error":"temporarily_unavailable","error_codes":[90033]}"#;
    let granted = || say(200, r#"{"access_token":"t","expires_in":3599}"#);
    for (status, headers, waited) in [(200, "", 2), (400, "", 2), (503, "", 2), (400, "Retry-After: 17\r\n", 17)] {
        let login = Script::play(vec![Line::Say(status, headers, away.to_owned()), granted()]);
        let server = Script::play(vec![say(200, "{}")]);
        let (client, clock) = client(&server.url, &login.url);
        client.get(&format!("{}/x", server.url), &[], |_| Ok(())).unwrap();
        assert_eq!((login.heard().len(), clock.now().as_secs()), (2, waited), "{status} {headers}");
    }
    let login = Script::play((0..3).map(|_| say(200, away)).collect());
    let (client, _) = client("http://127.0.0.1:1", &login.url);
    let error = client.get("http://127.0.0.1:1/x", &[], |_| Ok(())).unwrap_err();
    let expected = "CRM cannot be reached: its token endpoint at 127.0.0.1 does not answer: temporarily_unavailable \
                    (AADSTS90033)";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn the_dates_of_answers_tell_of_the_clock() {
    let date = "Date: Thu, 01 Jan 1970 00:01:40 GMT\r\n";
    let elsewhere = "Date: Thu, 01 Jan 1970 09:00:00 GMT\r\n";
    let server = Script::play(vec![
        say(200, "{}"),
        Line::Say(503, elsewhere, "{}".into()),
        Line::Say(200, date, "{}".into()),
        Line::Say(200, elsewhere, "{}".into()),
    ]);
    let login = tokens(1);
    let (client, clock) = client(&server.url, &login.url);
    let ask = || client.get(&format!("{}/x", server.url), &[], |_| Ok(())).unwrap();
    ask();
    assert_eq!(client.clock_offset(), None, "an answer without a date tells nothing");
    ask();
    assert_eq!(clock.now(), Duration::from_secs(2), "the answer of an overloaded gateway was passed over");
    assert_eq!(client.clock_offset(), Some(ClockOffset { ms_min: 98_000, ms_max: 98_999, steady: true }));
    assert_eq!(client.clock(), DateTime::from_timestamp_millis(100_999), "at the latest");
    ask();
    assert_eq!(client.clock_offset().map(|offset| offset.steady), Some(false), "it was nine, or it was not");
    assert_eq!(client.clock(), DateTime::from_timestamp_millis(100_999), "at the earliest");
}

#[test]
fn a_side_that_never_answered_is_given_up_soon() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let login = tokens(1);
    let (client, clock) = client(&nowhere, &login.url);
    let error = client.get(&format!("{nowhere}/x"), &[], |_| Ok(())).unwrap_err();
    assert_eq!(error.to_string(), "CRM cannot be reached: the connection was refused; check `url`");
    assert_eq!((client.traffic().sent, clock.now()), (0, Duration::from_secs(2)));
}

/// Every request of a night would find out the same: that is for the first one.
#[test]
fn a_side_that_cannot_be_spoken_to_is_asked_for_nothing_more() {
    let stranger = r#"{"error":{"code":"0x80072560","message":"no user"}}"#;
    let away = Line::Drop;
    for (what, lines, tokens_given, expected, sent) in [
        ("refused", vec![say(200, "{}"), say(401, ""), say(401, "")], 2, "CRM refused the login: a fresh token", 3),
        ("no user", vec![say(200, "{}"), say(403, stranger)], 1, "CRM refused the login: no user (0x80072560)", 2),
        ("no token", vec![say(200, "{}"), say(401, "")], 1, "CRM cannot be reached: its token endpoint", 2),
        ("away", vec![say(200, "{}"), away], 1, "CRM cannot be reached: the connection was refused; check `url`", 2),
    ] {
        let (server, login) = (Script::play(lines), tokens(tokens_given));
        let (client, clock) = client(&server.url, &login.url);
        let url = format!("{}/x", server.url);
        client.get(&url, &[], |_| Ok(())).unwrap();
        assert_eq!(client.lost(), None, "{what}");
        let error = client.get(&url, &[], |_| Ok(())).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{what}: {error}");
        let (traffic, now) = (client.traffic(), clock.now());
        assert_eq!((traffic.sent, client.lost()), (sent, Some(error.clone())), "{what}");
        assert_eq!(client.post(&url, &[], b"{}"), Err(PostError::NotSent(error.to_string())), "{what}");
        assert_eq!(client.get(&url, &[], |_| Ok(())), Err(error), "{what}");
        assert_eq!((client.traffic(), clock.now()), (traffic, now), "{what}");
    }
}

/// A clock that holds whoever asks whether the program is to end, until so many threads have asked for the time.
struct Assembly {
    expected: usize,
    arrived: Mutex<HashSet<ThreadId>>,
}

impl Clock for Assembly {
    fn now(&self) -> Duration {
        self.arrived.lock().unwrap().insert(thread::current().id());
        Duration::ZERO
    }

    fn sleep(&self, _wait: Duration) {}

    fn is_over(&self) -> bool {
        while self.arrived.lock().unwrap().len() < self.expected {
            thread::yield_now();
        }
        false
    }

    fn jitter(&self) -> f64 {
        1.0
    }
}

/// All of them stand in line for a token while the first one asks for it: what it found out is so for the others.
#[test]
fn a_token_that_is_not_to_be_had_is_asked_for_once_by_all_threads() {
    const THREADS: usize = 8;
    let refusal = || say(401, r#"{"error":"invalid_client"}"#);
    for (what, line, expected, requests) in [
        (
            "it hangs",
            &(|| Line::Hold) as &dyn Fn() -> Line,
            "does not answer: no whole answer came within 0.2 seconds (attempt 2); check `token_url`",
            2,
        ),
        ("it refuses", &refusal, "invalid_client; check `client_secret`, which may have expired", 1),
    ] {
        let (server, login) = (Script::play(Vec::new()), Script::play((0..2 * THREADS).map(|_| line()).collect()));
        let clock = Assembly { expected: THREADS, arrived: Mutex::default() };
        let patience = Patience { attempts: 2, token_ms_max: 200, ..Patience::default() };
        let client = client_by(&server.url, &login.url, patience, Arc::new(clock));
        let url = format!("{}/x", server.url);
        let told: Vec<EndpointError> = thread::scope(|threads| {
            let all = [(); THREADS].map(|()| threads.spawn(|| client.get(&url, &[], |_| Ok(())).unwrap_err()));
            all.map(|one| one.join().unwrap()).into()
        });
        assert!(told[0].to_string().ends_with(expected), "{what}: {}", told[0]);
        assert!(told.iter().all(|error| Some(error) == client.lost().as_ref()), "{what}: {told:?}");
        login.wait_for(requests);
        assert_eq!((login.heard().len(), client.traffic().sent), (requests, 0), "{what}");
    }
}

/// A token is small, and a page takes minutes: the patience with one is none with the other.
#[test]
fn a_token_that_never_comes_is_given_up_within_minutes() {
    let patience = Patience::default();
    let waits: Duration = (1..UNANSWERED_ATTEMPTS).map(|failed| patience.wait(failed, None, 1.0)).sum();
    let all = waits + Duration::from_millis(patience.token_ms_max) * UNANSWERED_ATTEMPTS;
    assert!(all <= Duration::from_secs(180), "{all:?}");
    let login = Script::play((0..UNANSWERED_ATTEMPTS).map(|_| Line::Hold).collect());
    let (client, clock) = client_with("http://127.0.0.1:1", &login.url, Patience { token_ms_max: 100, ..patience });
    let error = client.get("http://127.0.0.1:1/x", &[], |_| Ok(())).unwrap_err();
    let expected = "CRM cannot be reached: its token endpoint at 127.0.0.1 does not answer: no whole answer came within 0.1 \
                    seconds (attempt 4); check `token_url`";
    assert_eq!((error.to_string().as_str(), error.keys().join(".").as_str()), (expected, "auth.token_url"));
    assert_eq!((login.heard().len(), clock.now()), (UNANSWERED_ATTEMPTS as usize, waits));
}

/// A clock on which a second passes with each look, and that ends the program when a long wait is told.
#[derive(Default)]
struct Hasty {
    looks: AtomicU64,
    told: Mutex<Vec<(String, Duration)>>,
}

impl Clock for Hasty {
    fn now(&self) -> Duration {
        Duration::from_secs(self.looks.fetch_add(1, Ordering::Relaxed))
    }

    fn sleep(&self, _wait: Duration) {}

    fn is_over(&self) -> bool {
        !self.told.lock().unwrap().is_empty()
    }

    fn awaits(&self, host: &str, left: Duration) {
        self.told.lock().unwrap().push((host.to_owned(), left));
    }

    fn jitter(&self) -> f64 {
        1.0
    }
}

#[test]
fn an_answer_that_takes_long_is_told_while_it_is_waited_for() {
    for (what, lines, login, left) in
        [("a token", vec![], Script::play(vec![Line::Hold]), 20), ("a page", vec![Line::Hold], tokens(1), 650)]
    {
        let (server, clock) = (Script::play(lines), Arc::new(Hasty::default()));
        let shared: Arc<dyn Clock> = Arc::<Hasty>::clone(&clock);
        let client = client_by(&server.url, &login.url, Patience::default(), shared);
        let error = client.get(&format!("{}/x", server.url), &[], |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), "interrupted", "{what}");
        assert_eq!(*clock.told.lock().unwrap(), [("127.0.0.1".to_owned(), Duration::from_secs(left))], "{what}");
    }
}

/// What is given up for that is neither the side's fault nor lost: the next run asks again.
#[test]
fn what_the_end_of_the_program_gives_up_is_interrupted() {
    let told = "the run was told to end before CRM had answered; the next run goes on from here";
    for (what, lines, tokens_given, at_request) in [
        ("an answer that does not come", vec![Line::Hold], 1, 1),
        ("a side that is busy", vec![say(503, "")], 1, 0),
        ("a connection that is cut", vec![Line::Drop], 1, 0),
        ("a login", vec![say(200, "{}")], 0, 0),
    ] {
        let (server, login) = (Script::play(lines), tokens(tokens_given));
        let (client, clock) = client(&server.url, &login.url);
        let url = format!("{}/x", server.url);
        assert!(tokens_given == 0 || client.token(None).is_ok(), "it is logged in before");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while server.heard().len() < at_request {
                    std::thread::yield_now();
                }
                clock.over.store(true, Ordering::Relaxed);
            });
            while at_request == 0 && !clock.is_over() {
                std::thread::yield_now();
            }
            let error = client.get(&url, &[], |_| Ok(())).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.kind()), (told, "interrupted"), "{what}");
        });
        assert_eq!(client.lost(), None, "{what}");
    }
}

/// Nobody was there for a while, and then somebody was.
#[test]
fn an_answer_of_any_kind_shows_that_somebody_is_there() {
    let lines = vec![say(503, ""), Line::Drop, say(503, "")];
    let (server, login) = (Script::play(lines), tokens(1));
    let (client, _) = client(&server.url, &login.url);
    assert!(client.get(&format!("{}/x", server.url), &[], |_| Ok(())).is_err());
    assert_eq!(client.lost(), None);
}

#[test]
fn a_link_goes_over_the_wire_byte_for_byte() {
    let paths = [
        "/a('b')?$select=x,y&$skiptoken=%3Ccookie%20pagenumber=%222%22%3e%253c/;:@!*'()[]{}|^`~\\",
        "/org//double/./dots/../?x=1?y=2&&",
        "/ø?ø=ø",
    ];
    let server = Script::play(paths.iter().map(|_| say(200, "{}")).collect());
    let login = tokens(1);
    let (client, _) = client(&server.url, &login.url);
    for path in paths {
        client.get(&format!("{}{path}", server.url), &[], |_| Ok(())).unwrap();
    }
    assert_eq!(server.heard(), paths.map(|path| format!("GET {path} HTTP/1.1 [t1]")));
}
