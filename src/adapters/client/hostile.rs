//! Answers byte by byte, as no fake sends them: what of HTTP is odd and allowed is understood, what is broken is no answer.
//!
//! Each is the answer to a read and to a write; a whole one would follow. A read goes again until it is whole, of a write
//! nobody knows, and nothing takes memory or time without end.

use std::fmt::Write;

use super::tests::{client, impatient};
use super::*;
use crate::adapters::script::{Line, Script, say};
use crate::endpoint::Line as _;

fn tokens() -> Script {
    Script::play(vec![say(200, r#"{"access_token":"t","expires_in":3599}"#)])
}

/// What a read and a write make of an answer that whole ones follow: how it ended, and after how many requests.
fn told(answer: &dyn Fn() -> Line) -> [String; 2] {
    [false, true].map(|is_write| {
        let (server, login) = (Script::play(vec![answer(), say(200, "{}")]), tokens());
        let client = impatient(&server.url, &login.url);
        let url = format!("{}/x", server.url);
        let broken = || Amiss::Broken("not whole".to_owned());
        let whole = |answer: &Answer| if answer.body == b"{}" { Ok(()) } else { Err(broken()) };
        let status = |answer: Answer| answer.status.to_string();
        let end = match is_write {
            false => client.get(&url, &[], whole).map(|(answer, _)| status(answer)).map_err(|error| error.to_string()),
            true => client.post(&url, &[], b"{}").map(status).map_err(|error| format!("{error:?}")),
        };
        assert_eq!(client.traffic().sent as usize, server.heard().len());
        format!("{} ({})", end.unwrap_or_else(|error| error), server.heard().len())
    })
}

fn bytes(text: &str) -> Line {
    Line::Bytes(text.as_bytes().to_vec())
}

fn open(text: &str) -> Line {
    Line::Open(text.as_bytes().to_vec())
}

/// A gzip of bytes as they are, in one stored block.
fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1];
    let length = u16::try_from(content.len()).unwrap();
    packed.extend(length.to_le_bytes());
    packed.extend((!length).to_le_bytes());
    packed.extend(content);
    let check = content.iter().fold(!0u32, |sum, byte| {
        let step = |sum: u32, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
        (0..8).fold(sum ^ u32::from(*byte), step)
    });
    packed.extend((!check).to_le_bytes());
    packed.extend(u32::from(length).to_le_bytes());
    packed
}

/// A gzip of so many MiB of zeros, in a hundredth of that: it says the same 258 bytes again and again.
fn bomb(mebibytes: usize) -> Vec<u8> {
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let (mut bits, mut count) = (0u8, 0);
    let mut add = |code: &str| {
        for bit in code.bytes() {
            bits |= u8::from(bit == b'1') << count;
            count += 1;
            if count == 8 {
                packed.push(bits);
                (bits, count) = (0, 0);
            }
        }
    };
    // One block of fixed codes; a zero; then length 258 at distance 1, over and over.
    add("110");
    add("00110000");
    (0..(mebibytes << 20) / 258).for_each(|_| add("1100010100000"));
    packed
}

fn zipped(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[test]
fn what_is_odd_is_understood_and_what_is_broken_is_no_answer() {
    let ok = "HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n{}";
    let chunked = "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n";
    let lengths = |lengths: &str| bytes(&format!("HTTP/1.1 200 X\r\n{lengths}\r\n{{}}"));
    let head = |lines: usize| (0..lines).map(|line| format!("X-{line}: {line}\r\n")).collect::<String>();
    let in_chunks = |text: &str| bytes(&format!("{chunked}{text}"));
    type Make<'a> = Box<dyn Fn() -> Line + 'a>;
    let cases: Vec<(&'static str, Make<'_>)> = vec![
        ("go on", Box::new(|| bytes(&format!("HTTP/1.1 100 Continue\r\n\r\n{ok}")))),
        ("working", Box::new(|| bytes(&format!("HTTP/1.1 102 X\r\n\r\nHTTP/1.1 102 X\r\n\r\n{ok}")))),
        ("hints", Box::new(|| bytes(&format!("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n{ok}")))),
        ("only hints", Box::new(|| bytes("HTTP/1.1 103 Early Hints\r\n\r\n"))),
        ("old", Box::new(|| bytes("HTTP/1.0 200 X\r\n\r\n{}"))),
        ("chunks", Box::new(|| in_chunks("\r\n1;a=b\r\n{\r\n1\r\n}\r\n0\r\n\r\n"))),
        ("trailers", Box::new(|| in_chunks("Trailer: X\r\n\r\n2\r\n{}\r\n0\r\nX: y\r\n\r\n"))),
        ("no last chunk", Box::new(|| in_chunks("\r\n2\r\n{}\r\n"))),
        ("no chunk", Box::new(|| in_chunks("\r\nzz\r\n{}\r\n0\r\n\r\n"))),
        ("a chunk beyond", Box::new(|| in_chunks("\r\nffffffffffffffff\r\n{}"))),
        ("too short", Box::new(|| open("HTTP/1.1 200 X\r\nContent-Length: 1\r\n\r\n{}"))),
        ("too long", Box::new(|| lengths("Content-Length: 3\r\n"))),
        ("never done", Box::new(|| open("HTTP/1.1 200 X\r\nContent-Length: 3\r\n\r\n{}"))),
        ("two lengths", Box::new(|| lengths("Content-Length: 2\r\nContent-Length: 1\r\n"))),
        ("no length", Box::new(|| lengths("Content-Length: many\r\n"))),
        ("many headers", Box::new(|| lengths(&format!("{}Content-Length: 2\r\n", head(60))))),
        ("headers without end", Box::new(|| open(&format!("HTTP/1.1 200 X\r\n{}", head(20_000))))),
        ("a line without end", Box::new(|| open(&format!("HTTP/1.1 200 X\r\nX: {}", "x".repeat(200_000))))),
        ("no HTTP", Box::new(|| bytes("SSH-2.0-OpenSSH_9.6\r\n"))),
        ("nothing", Box::new(|| bytes(""))),
        ("gzip", Box::new(|| Line::Bytes(zipped(&gzip(b"{}"))))),
        ("gzip cut", Box::new(|| Line::Bytes(zipped(&gzip(b"{}")[..14])))),
        ("gzip spoilt", Box::new(|| Line::Bytes(zipped(b"{}")))),
        ("a page", Box::new(|| lengths("Content-Type: text/html\r\nContent-Length: 1\r\n"))),
    ];
    let mut lines = String::new();
    for (name, case) in cases {
        let [read, write] = told(&*case);
        writeln!(lines, "{name}\n  read: {read}\n  write: {write}").unwrap();
    }
    insta::assert_snapshot!(lines, @r#"
    go on
      read: 200 (1)
      write: 200 (1)
    working
      read: 200 (1)
      write: 200 (1)
    hints
      read: 200 (1)
      write: 200 (1)
    only hints
      read: 200 (2)
      write: Unknown("the connection was cut") (1)
    old
      read: 200 (1)
      write: 200 (1)
    chunks
      read: 200 (1)
      write: 200 (1)
    trailers
      read: 200 (1)
      write: 200 (1)
    no last chunk
      read: 200 (2)
      write: Unknown("the connection was cut") (1)
    no chunk
      read: 200 (2)
      write: Unknown("what came is no answer of HTTP") (1)
    a chunk beyond
      read: 200 (2)
      write: Unknown("the connection was cut") (1)
    too short
      read: 200 (2)
      write: 200 (1)
    too long
      read: 200 (2)
      write: Unknown("the connection was cut") (1)
    never done
      read: 200 (2)
      write: Overtaxed("it did not answer in time") (1)
    two lengths
      read: 200 (2)
      write: Unknown("what came is no answer of HTTP") (1)
    no length
      read: 200 (2)
      write: Unknown("what came is no answer of HTTP") (1)
    many headers
      read: 200 (1)
      write: 200 (1)
    headers without end
      read: 200 (2)
      write: Unknown("what came is no answer of HTTP") (1)
    a line without end
      read: 200 (2)
      write: Unknown("the head of its answer has no end") (1)
    no HTTP
      read: 200 (2)
      write: Unknown("what came is no answer of HTTP") (1)
    nothing
      read: 200 (2)
      write: Unknown("the connection was cut") (1)
    gzip
      read: 200 (1)
      write: 200 (1)
    gzip cut
      read: 200 (2)
      write: Unknown("its answer cannot be unpacked") (1)
    gzip spoilt
      read: 200 (2)
      write: Unknown("its answer cannot be unpacked") (1)
    a page
      read: 200 (2)
      write: Unknown("127.0.0.1 answered with a page of HTML instead of data; check `url`") (1)
    "#);
}

/// Two megabytes that would be gigabytes are read as far as any answer is, and not asked for twice.
#[test]
fn a_body_that_inflates_without_end_is_given_up() {
    let (server, login) = (Script::play(vec![Line::Bytes(zipped(&bomb(300))), say(200, "{}")]), tokens());
    let (client, _) = client(&server.url, &login.url);
    let error = client.get(&format!("{}/x", server.url), &[], |_| Ok(())).unwrap_err().to_string();
    assert_eq!(error, "CRM gave an answer that cannot be trusted: its answer has no end: it is longer than 256 MiB");
    assert_eq!(server.heard().len(), 1);
}

/// A server closes a connection that was idle: between two requests, which costs nothing, or just when the next one comes,
/// which only a reading settles.
#[test]
fn a_connection_that_went_stale_is_no_answer() {
    let kept = || b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n{}".to_vec();
    for (what, line, played, reads, write) in [
        ("closed before", Line::Bytes as fn(Vec<u8>) -> Line, 1, 2, "200"),
        ("closed by then", Line::Trap, 0, 3, "Unknown(\"the connection was cut\")"),
    ] {
        for is_write in [false, true] {
            let (server, login) = (Script::play(vec![line(kept()), say(200, "{}")]), tokens());
            let (client, _) = client(&server.url, &login.url);
            let url = format!("{}/x", server.url);
            client.get(&url, &[], |_| Ok(())).unwrap();
            server.wait_for(played);
            if is_write {
                let told = client.post(&url, &[], b"{}");
                let told = told.map_or_else(|error| format!("{error:?}"), |answer| answer.status.to_string());
                assert_eq!((told.as_str(), client.traffic().sent), (write, 2), "{what}");
            } else {
                client.get(&url, &[], |_| Ok(())).unwrap();
                assert_eq!(client.traffic().sent, reads, "{what}");
            }
            assert_eq!(client.traffic().sent as usize, server.heard().len(), "{what}");
        }
    }
}

/// Wherever it leads: a token is for the host that stands in the file.
#[test]
fn no_redirect_is_followed() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = Script::play(vec![say(200, "{}")]);
        let head = format!("HTTP/1.1 {status} X\r\nLocation: {}/y\r\nContent-Length: 0\r\n\r\n", elsewhere.url);
        for is_write in [false, true] {
            let (server, login) = (Script::play(vec![bytes(&head)]), tokens());
            let (client, _) = client(&server.url, &login.url);
            let url = format!("{}/x", server.url);
            let answer = match is_write {
                false => client.get(&url, &[], |_| Ok(())).map(|(answer, _)| answer).unwrap(),
                true => client.post(&url, &[], b"{}").unwrap(),
            };
            assert_eq!(answer.status, status);
            assert!(answer.fault().to_string().contains("it sends us on to http://127.0.0.1:"), "{}", answer.fault());
        }
        assert_eq!(elsewhere.heard(), Vec::<String>::new());
    }
}

/// Obeyed where it can be read, up to ten minutes, and else as if it were not there; who asks for longer is given up at once.
#[test]
fn whatever_a_side_asks_to_wait_the_wait_is_sound() {
    let date = "Date: Sat, 31 Jan 2026 22:00:00 GMT\r\n";
    for (header, waited) in [
        ("Retry-After: 17\r\n".to_owned(), 17),
        (format!("{date}Retry-After: Sat, 31 Jan 2026 22:00:09 GMT\r\n"), 9),
        (format!("{date}Retry-After: Sat, 31 Jan 2026 21:00:00 GMT\r\n"), 2),
        ("Retry-After: Thu, 01 Jan 1970 00:00:09 GMT\r\n".to_owned(), 9),
        (format!("{date}Retry-After: Saturday, 31-Jan-26 22:00:09 GMT\r\n"), 9),
        (format!("{date}Retry-After: Sat, 31 Jan 2026 22:10:00 GMT\r\n"), 600),
        ("Retry-After: -5\r\n".to_owned(), 2),
        ("Retry-After: 0\r\n".to_owned(), 0),
        ("Retry-After: 600\r\n".to_owned(), 600),
        ("Retry-After: soon\r\n".to_owned(), 2),
        ("Retry-After: \r\n".to_owned(), 2),
        ("retry-after: 3\r\nRetry-After: 11\r\n".to_owned(), 11),
        ("Retry-After: soon\r\nRetry-After: 11\r\n".to_owned(), 11),
    ] {
        let refusal = format!("HTTP/1.1 429 X\r\n{header}Connection: close\r\nContent-Length: 0\r\n\r\n");
        let (server, login) = (Script::play(vec![bytes(&refusal), say(200, "{}")]), tokens());
        let (client, clock) = client(&server.url, &login.url);
        client.post(&format!("{}/x", server.url), &[], b"{}").unwrap();
        assert_eq!(clock.now().as_secs(), waited, "{header}");
    }
    for header in [
        format!("{date}Retry-After: Sat, 31 Jan 2026 22:10:01 GMT\r\n"),
        format!("{date}Retry-After: Thu, 31 Jan 2126 21:00:00 GMT\r\n"),
        "Retry-After: 601\r\n".to_owned(),
        "Retry-After: 99999999999999999999\r\n".to_owned(),
    ] {
        let head = format!("{header}Connection: close\r\nContent-Length: 0\r\n\r\n");
        let refusal = |status: u16| bytes(&format!("HTTP/1.1 {status} X\r\n{head}"));
        for status in [429, 503] {
            let (server, login) = (Script::play(vec![refusal(status)]), tokens());
            let (client, clock) = client(&server.url, &login.url);
            let url = format!("{}/x", server.url);
            // Of a write that is answered so nobody knows more than of another one; but nothing is sent after it.
            let first = client.post(&url, &[], b"{}");
            assert!(matches!((status, first), (429, Err(PostError::NotSent(_))) | (503, Err(PostError::Unknown(_)))));
            let told = client.get(&url, &[], |_| Ok(())).unwrap_err().to_string();
            assert!(told.contains("and a run waits for 600 at most"), "{told}");
            assert_eq!((server.heard().len(), clock.now().as_secs()), (1, 0), "{header}");
        }
        let (server, login) = (Script::play(Vec::new()), Script::play(vec![refusal(429)]));
        let (client, clock) = client(&server.url, &login.url);
        let told = client.get(&format!("{}/x", server.url), &[], |_| Ok(())).unwrap_err().to_string();
        assert!(told.contains("its token endpoint at 127.0.0.1 answers nobody: it takes no request for "), "{told}");
        assert_eq!((login.heard().len(), clock.now().as_secs()), (1, 0), "{header}");
    }
}
