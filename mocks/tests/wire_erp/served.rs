//! The fake over HTTP (section 17), and its faults.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use mocks::erp::{Erp, Options};
use mocks::fault::{Fault, Faults};
use serde_json::{Value, json};

use crate::caller::*;

struct Client {
    stream: BufReader<TcpStream>,
    root: String,
    token: String,
}

impl Client {
    fn new(erp: &Erp) -> Self {
        let url = erp.url();
        let (host, _) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let stream = BufReader::new(TcpStream::connect(host).unwrap());
        let root = url[7 + host.len()..].to_string();
        let mut client = Self { stream, root, token: String::new() };
        let request = token_request(&erp.client_secret());
        assert!(erp.token_url().ends_with(&request.target));
        let form = String::from_utf8(request.body).unwrap();
        let (_, _, body) = client
            .exchange("POST", &request.target, "Content-Type: application/x-www-form-urlencoded\r\n", &form)
            .expect("the token endpoint answers");
        let body: Value = serde_json::from_str(&body).unwrap();
        client.token = body["access_token"].as_str().unwrap().to_string();
        client
    }

    /// Sends a request; `None` when the connection closed without an answer or inside it.
    fn exchange(&mut self, method: &str, target: &str, headers: &str, body: &str) -> Option<(u16, String, String)> {
        let length = body.len();
        let token = &self.token;
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: erp.example\r\nAuthorization: Bearer {token}\r\n{headers}\
             Content-Length: {length}\r\n\r\n{body}"
        );
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let head = head.to_lowercase();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).ok()?;
        Some((status, head, String::from_utf8(body).unwrap()))
    }

    fn rename(&mut self, name: &str, etag: &str) -> Option<(u16, String, String)> {
        let target = format!("{}/api/v2.0/{COMPANY}/customers({AHLGREN})", self.root);
        let headers = format!("Content-Type: application/json\r\nIf-Match: {etag}\r\n");
        self.exchange("PATCH", &target, &headers, &json!({"displayName": name}).to_string())
    }

    fn customers(&mut self) -> Option<(u16, String, String)> {
        let target = format!("{}/api/v2.0/{COMPANY}/customers", self.root);
        self.exchange("GET", &target, "", "")
    }
}

fn served(faults: Faults) -> Erp {
    Erp::start(seeded(), Options { port: None, faults }).unwrap()
}

#[test]
fn the_wire_carries_what_the_state_answers() {
    let erp = served(Faults::none());
    let mut client = Client::new(&erp);
    let (status, head, body) = client.customers().unwrap();
    assert_eq!((status, head.contains("\r\nodata-version: 4.0\r\n")), (200, true));
    let body: Value = serde_json::from_str(&body).unwrap();
    let etag = body["value"][0]["@odata.etag"].as_str().unwrap();
    assert_eq!(client.rename("Over HTTP", etag).unwrap().0, 200);
    assert_eq!(name(&erp), "Over HTTP");
    assert_eq!((erp.counts().requests, erp.counts().writes, erp.counts().reads, erp.counts().tokens), (3, 1, 1, 1));
}

#[test]
fn each_fault_leaves_the_record_as_its_name_says() {
    let cases = [
        (Fault::ThrottledPlain, Some(429), "Ahlgren Marine AB"),
        (Fault::ExpiredToken, Some(401), "Ahlgren Marine AB"),
        (Fault::UnavailableBefore, Some(503), "Ahlgren Marine AB"),
        (Fault::UnavailableAfter, Some(503), "Changed"),
        (Fault::DroppedBefore, None, "Ahlgren Marine AB"),
        (Fault::DroppedAfter, None, "Changed"),
    ];
    for (fault, status, after) in cases {
        let erp = served(Faults::once(fault, 1));
        let answer = Client::new(&erp).rename("Changed", "*");
        assert_eq!(answer.as_ref().map(|(status, _, _)| *status), status, "{fault}");
        assert_eq!(name(&erp), after, "{fault}");
        if status == Some(503) {
            let (_, head, body) = answer.unwrap();
            assert!(head.contains("\r\nretry-after: 1\r\n") && body.contains("<html>"), "{head}{body}");
        }
        assert_eq!(Client::new(&erp).rename("Again", "*").unwrap().0, 200, "{fault} happens once");
        assert_eq!(erp.faults().applied().get(&fault), Some(&1));
    }
}

#[test]
fn throttling_has_its_words() {
    let erp = served(Faults::once(Fault::Throttled, 1).and(Fault::ThrottledPlain, 2));
    erp.set_faults({
        let mut faults = erp.faults();
        faults.retry_after = 0;
        faults
    });
    let mut client = Client::new(&erp);
    let words = r#"{"error":{"code":"Application_TooManyRequests","message":"Too many requests reached. Actual (101). Maximum (100)."}}"#;
    let (status, head, body) = client.customers().unwrap();
    assert_eq!((status, head.contains("retry-after: 0"), body.as_str()), (429, true, words));
    let (status, head, body) = client.customers().unwrap();
    assert_eq!((status, head.contains("retry-after"), body.as_str()), (429, false, words));
    assert_eq!(client.customers().unwrap().0, 200);
}

#[test]
fn a_person_is_quicker_and_a_page_is_cut() {
    let erp = served(Faults::once(Fault::StaleEtag, 1).and(Fault::TruncatedPage, 2));
    let mut client = Client::new(&erp);
    let (_, _, page) = client.customers().unwrap();
    let page: Value = serde_json::from_str(&page).unwrap();
    let etag = page["value"][0]["@odata.etag"].as_str().unwrap().to_string();
    assert_eq!(client.rename("Mine", &etag).unwrap().0, 409);
    assert_eq!(client.customers(), None, "the page ends before its length");
    let mut client = Client::new(&erp);
    assert_eq!(client.customers().unwrap().0, 200);
}

#[test]
fn half_a_batch_is_applied_and_no_answer_comes() {
    let erp = served(Faults::once(Fault::HalfBatch, 1));
    let mut client = Client::new(&erp);
    let requests: Vec<Value> = (0..4)
        .map(|n| operation(&n.to_string(), "POST", "items", json!({"displayName": format!("Item {n}")})))
        .collect();
    let target = format!("{}/api/v2.0/$batch", client.root);
    let body = json!({"requests": requests}).to_string();
    assert_eq!(client.exchange("POST", &target, "Content-Type: application/json\r\n", &body), None);
    assert_eq!(erp.with(|state| state.count("items")), 2);
}
