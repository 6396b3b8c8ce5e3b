//! The conformance suite: both fakes meet all of it, and a service that is wrong is caught by the right line.

use std::process::{Command, Output};

use mocks::conform::wire::{Login, Remote};
use mocks::conform::{Expectation, Report, Service, Verdict, crm, erp, nav, odata, play, tell};
use mocks::crm::Crm;
use mocks::data::{self, company};
use mocks::erp::Erp;
use mocks::fault::{Fault, Faults};
use mocks::service::{Request, Response};
use serde_json::Value;

/// Both fakes with the default company.
fn fakes() -> (Erp, Crm) {
    let (mut erp, mut crm) = (mocks::erp::State::default(), mocks::crm::State::default());
    data::fill(company::company(company::SEED), &mut erp, &mut crm).unwrap();
    (Erp::start(erp, mocks::erp::Options::default()).unwrap(), Crm::start(crm, mocks::crm::Options::default()).unwrap())
}

fn erp_service(erp: &Erp) -> Remote {
    let login = Login::Client {
        token_url: erp.token_url(),
        client_id: erp.client_id(),
        secret: erp.client_secret(),
        scope: "https://api.businesscentral.dynamics.com/.default".to_owned(),
    };
    Remote::open(format!("{}/api/v2.0/", erp.url()), erp::HEADERS, login).unwrap()
}

fn nav_service(erp: &Erp) -> Remote {
    let (user, key) = erp.nav_login();
    Remote::open(format!("{}/ODataV4/", erp.nav_url()), erp::HEADERS, Login::Basic { user, key }).unwrap()
}

fn crm_service(crm: &Crm) -> Remote {
    let login = Login::Client {
        token_url: crm.token_url(),
        client_id: crm.client_id(),
        secret: crm.client_secret(),
        scope: format!("{}/.default", crm.url()),
    };
    Remote::open(format!("{}/api/data/v9.2/", crm.url()), crm::HEADERS, login).unwrap()
}

fn erp_report(service: &dyn Service, write: bool) -> Report {
    play(erp::EXPECTATIONS, service, &[("company name", data::COMPANY)], write)
}

fn nav_report(service: &dyn Service, write: bool) -> Report {
    play(nav::EXPECTATIONS, service, &[("company name", data::COMPANY)], write)
}

/// How many of them can be tried, and how many of these write.
fn tried(all: &[Expectation]) -> (usize, usize) {
    let tried = || all.iter().filter(|expectation| expectation.left_out.is_empty());
    (tried().count(), tried().filter(|expectation| expectation.writes).count())
}

fn crm_report(service: &dyn Service, write: bool) -> Report {
    play(crm::EXPECTATIONS, service, &[], write)
}

/// The names of the expectations that are not met.
fn not_met(report: &Report) -> Vec<&'static str> {
    let findings = report.findings.iter();
    findings
        .filter(|found| matches!(found.verdict, Verdict::NotMet { .. }))
        .map(|found| found.expectation.name)
        .collect()
}

#[test]
fn both_fakes_meet_all_of_it_and_keep_nothing() {
    let (erp, crm) = fakes();
    let held = || {
        let erp = data::Side::Erp.sets().iter().map(|set| erp.with(|erp| erp.records(set).len())).collect::<Vec<_>>();
        let crm = data::Side::Crm.sets().iter().map(|set| crm.with(|crm| crm.records(set).len())).collect::<Vec<_>>();
        (erp, crm)
    };
    let before = held();
    for (report, source, all) in [
        (erp_report(&erp_service(&erp), true), "erp-api.md", erp::EXPECTATIONS),
        (nav_report(&nav_service(&erp), true), "erp-api.md", nav::EXPECTATIONS),
        (crm_report(&crm_service(&crm), true), "crm-api.md", crm::EXPECTATIONS),
    ] {
        let text = tell::text(&report, source);
        let (met, left_out) = (tried(all).0, all.len() - tried(all).0);
        assert!(text.ends_with(&format!("\n{met} met, 0 not met, {left_out} not tried\n")), "{text}");
        assert_eq!(text.matches("(left out: ").count(), left_out, "{text}");
        assert_eq!(report.left, Vec::<String>::new());
    }
    assert_eq!(held(), before, "what the suite makes it deletes");
}

#[test]
fn without_leave_to_write_nothing_is_written() {
    let (erp, crm) = fakes();
    for (report, all) in [
        (erp_report(&erp_service(&erp), false), erp::EXPECTATIONS),
        (nav_report(&nav_service(&erp), false), nav::EXPECTATIONS),
        (crm_report(&crm_service(&crm), false), crm::EXPECTATIONS),
    ] {
        let (tried, writes) = tried(all);
        assert_eq!(tell::counts(&report), (tried - writes, 0, all.len() - tried + writes));
    }
    assert_eq!((erp.log().lock().unwrap().writes(), crm.log().lock().unwrap().writes()), (vec![], vec![]));
}

/// A service whose requests or answers somebody tampers with.
struct Tampered<'a> {
    service: &'a Remote,
    request: fn(&mut Request),
    answer: fn(&Request, &mut Response),
}

impl Service for Tampered<'_> {
    fn call(&self, request: &Request, login: bool) -> Result<Response, String> {
        let mut sent = request.clone();
        (self.request)(&mut sent);
        let mut answer = self.service.call(&sent, login)?;
        (self.answer)(request, &mut answer);
        Ok(answer)
    }

    fn redacted(&self, text: String) -> String {
        self.service.redacted(text)
    }
}

fn without(request: &mut Request, name: &str) {
    request.headers.retain(|(header, _)| !header.eq_ignore_ascii_case(name));
}

/// Replaces a text of an answer by another one.
fn replace(answer: &mut Response, from: &str, to: &str) {
    answer.body = String::from_utf8_lossy(&answer.body).replace(from, to).into_bytes();
}

/// Says of a body what it is where its sender does not.
fn typed(request: &mut Request) {
    if !request.body.is_empty() && request.header("content-type").is_none() {
        request.headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    }
}

#[test]
fn an_erp_that_is_wrong_is_caught_by_the_right_line() {
    let (erp, _) = fakes();
    let nothing: fn(&mut Request) = |_| {};
    let whole: fn(&Request, &mut Response) = |_, _| {};
    // Who needs no version, who knows of none, whose errors are another product's, who shows nulls, whose pages are as it likes.
    let any_version: fn(&mut Request) = |request| {
        if request.method == "PATCH" {
            without(request, "If-Match");
            request.headers.push(("If-Match".to_owned(), "*".to_owned()));
        }
    };
    for (request, answer, expected) in [
        (
            any_version,
            whole,
            &[
                "a change without If-Match is refused",
                "a change of a version that is none is refused",
                "a change of an old version is refused",
            ][..],
        ),
        (
            |request| {
                if request.method == "DELETE" {
                    without(request, "If-Match");
                }
            },
            whole,
            &["a deletion of an old version is refused", "a deleted record is gone"],
        ),
        (typed, whole, &["a body that does not say what it is is refused"]),
        (
            |request| without(request, "Data-Access-Intent"),
            whole,
            &["a batch that only means to read writes nothing", "a write that only means to read is refused"],
        ),
        (
            |request| {
                if request.method == "PUT" {
                    request.method = "PATCH".to_owned();
                }
            },
            whole,
            &["a record is not replaced as a whole"],
        ),
        (
            |request| request.body = String::from_utf8_lossy(&request.body).replace("\" \"", "\"_x0020_\"").into(),
            whole,
            &["the blank of an enum is not written as a blank"],
        ),
        (
            |request| {
                if request.target.contains("tolower") {
                    request.target = request.target.replace("$select", "$schemaversion=2.1&$select");
                }
            },
            whole,
            &["functions in each other are refused without schema version 2.1"],
        ),
        (
            nothing,
            |_, answer| replace(answer, "\"@odata.etag\"", "\"surprise\":1,\"@odata.etag\""),
            &["rows have context, versions and what is selected, and nothing else"],
        ),
        (
            nothing,
            (|_, answer| replace(answer, "  CorrelationId:  ", " ")) as fn(&Request, &mut Response),
            &["an error ends with two blanks and a correlation id"],
        ),
        (
            nothing,
            |_, answer| replace(answer, "\"addressLine2\":\"\"", "\"addressLine2\":null"),
            &["blanks stand for nulls"],
        ),
        (
            |request| without(request, "Prefer"),
            whole,
            &["pages are as small as asked for and lead on", "a batch goes on after a failure where it is told to"],
        ),
        (|request| without(request, "Isolation"), whole, &["a batch in one transaction is undone as a whole"]),
    ] {
        let service = erp_service(&erp);
        let report = erp_report(&Tampered { service: &service, request, answer }, true);
        assert_eq!(not_met(&report), expected);
        assert_eq!(report.left, Vec::<String>::new());
    }
}

#[test]
fn what_gets_another_id_than_asked_for_is_deleted_all_the_same() {
    let (erp, _) = fakes();
    let service = erp_service(&erp);
    let request: fn(&mut Request) = |request| {
        if request.method == "POST" && !request.target.contains('$') {
            let mut body: Value = serde_json::from_slice(&request.body).unwrap();
            body.as_object_mut().unwrap().remove("id");
            request.body = body.to_string().into_bytes();
        }
    };
    let report = erp_report(&Tampered { service: &service, request, answer: |_, _| {} }, true);
    assert_eq!(not_met(&report), ["a new record keeps the id that it comes with, and is answered whole"]);
    let made = |set: &str| {
        erp.with(|erp| erp.records(set)).iter().any(|row| row["displayName"].to_string().contains("Conform"))
    };
    assert!(!made("items") && !made("shipmentMethods") && report.left.is_empty(), "{:?}", report.left);
    assert!(erp.log().lock().unwrap().writes().iter().any(|write| write.method == "POST" && write.status == 201));
}

#[test]
fn a_crm_that_is_wrong_is_caught_by_the_right_line() {
    let (_, crm) = fakes();
    let nothing: fn(&mut Request) = |_| {};
    let whole: fn(&Request, &mut Response) = |_, _| {};
    let upserting: fn(&mut Request) = |request| {
        if request.target.contains("accounts(") && request.method == "PATCH" {
            without(request, "If-Match");
        }
    };
    for (request, answer, expected) in [
        (
            upserting,
            whole,
            &["a change of an old version is refused", "a change on condition that the record exists makes none"][..],
        ),
        (
            |request| without(request, "If-None-Match"),
            whole,
            &[
                "what did not change is not sent again",
                "a change on condition that there is none leaves the record alone",
            ],
        ),
        (
            nothing,
            (|_, answer| replace(answer, "\"telephone1\":null", "\"telephone1\":\"\"")) as fn(&Request, &mut Response),
            &["an empty text is kept as null", "a single property is set and cleared by its address"],
        ),
        (typed, whole, &["a body that does not say what it is is refused"]),
        (
            |request| {
                if request.method == "DELETE" {
                    without(request, "If-Match");
                }
            },
            whole,
            &["a deletion of an old version is refused", "a deleted record is gone"],
        ),
        (
            |request| request.body = String::from_utf8_lossy(&request.body).replace("\"_prim", "\"@prim").into(),
            whole,
            &["a lookup is not written by its value column"],
        ),
        (
            |request| {
                if request.target.contains("$skiptoken") {
                    let labels = "odata.maxpagesize=1,odata.include-annotations=\"*\"";
                    without(request, "Prefer");
                    request.headers.push(("Prefer".to_owned(), labels.to_owned()));
                }
            },
            whole,
            &["annotations are asked for on each page"],
        ),
        (
            |request| request.target = request.target.replace(&"x".repeat(33_000), "x"),
            whole,
            &["an address of more than 32,768 characters is refused"],
        ),
        (
            nothing,
            |request, answer| {
                if request.body.len() > 100_000 {
                    answer.status = 200;
                }
            },
            &["a batch has at most 1,000 operations"],
        ),
        (
            nothing,
            |request, answer| {
                if request.target == "$metadata" {
                    answer.status = 200;
                }
            },
            &["the metadata is XML, and nothing else"],
        ),
        (
            nothing,
            |_, answer| replace(answer, "\"@odata.etag\"", "\"surprise\":1,\"@odata.etag\""),
            &["rows have context, version and key, and of the rest what is selected"],
        ),
    ] {
        let (service, before) = (crm_service(&crm), crm.with(|crm| crm.records("accounts").len()));
        let report = crm_report(&Tampered { service: &service, request, answer }, true);
        assert_eq!(not_met(&report), expected);
        let after = crm.with(|crm| crm.records("accounts").len());
        assert_eq!((after, report.left), (before, Vec::new()), "what it made by mistake is deleted, too");
    }
}

#[test]
fn a_nav_that_is_wrong_is_caught_by_the_right_line() {
    let (erp, _) = fakes();
    let nothing: fn(&mut Request) = |_| {};
    let upserting: fn(&mut Request) = |request| {
        if request.method == "PATCH" {
            without(request, "If-Match");
            request.headers.push(("If-Match".to_owned(), "*".to_owned()));
        }
    };
    for (request, answer, expected) in [
        (
            upserting,
            (|_, _| {}) as fn(&Request, &mut Response),
            &["a change without If-Match is refused", "a change of an old version is refused"][..],
        ),
        (
            nothing,
            |_, answer| replace(answer, "\"}}", "  CorrelationId:  5b1e0c52.\"}}"),
            &["an error has a message and no correlation id"],
        ),
        (nothing, |_, answer| replace(answer, "_x0020_", " "), &["the blank of an option is _x0020_"]),
    ] {
        let service = nav_service(&erp);
        let report = nav_report(&Tampered { service: &service, request, answer }, true);
        assert_eq!(not_met(&report), expected);
        assert_eq!(report.left, Vec::<String>::new());
    }
}

/// The pages as any OData service: what NAV does otherwise than the protocol says is told, and nothing else.
#[test]
fn the_pages_are_held_against_the_protocol_itself() {
    let (erp, _) = fakes();
    erp.with(|erp| erp.nav_batches = true);
    let (user, key) = erp.nav_login();
    let root = format!("{}/ODataV4/", erp.nav_url());
    let service = Remote::open(root, odata::HEADERS, Login::Basic { user, key }).unwrap();
    let body = r#"{"Code":"<code>","Name":"<mark>"}"#;
    let names = [("table", "Salesperson"), ("key", "Code"), ("text", "Name"), ("new body", body)];
    let old = "a change of an old version is refused";
    let nothing: fn(&mut Request) = |_| {};
    for (request, answer, expected) in [
        (nothing, (|_, _| {}) as fn(&Request, &mut Response), &[old][..]),
        // Who finds a header only as it is written mostly.
        (
            |request| {
                let body = String::from_utf8_lossy(&request.body).replace("\"if-match\"", "\"x-match\"");
                request.body = body.into_bytes();
            },
            |_, _| {},
            &[old, "a batch in JSON carries out a change under its condition"],
        ),
        // Who stops at the first failure.
        (
            |request| without(request, "Prefer"),
            |_, _| {},
            &[
                "pages are as small as asked for and lead on",
                "a batch in JSON goes on after a failure",
                "a batch in parts goes on after a failure",
                old,
            ],
        ),
        (nothing, |_, answer| replace(answer, "\"Code\":", "\"code\":"), &["rows have their key and what is selected"]),
    ] {
        let report = play(odata::EXPECTATIONS, &Tampered { service: &service, request, answer }, &names, true);
        assert_eq!(not_met(&report)[..expected.len()], *expected, "{}", tell::text(&report, "OData 4.0"));
        if expected.len() > 1 || expected[0] == old {
            assert_eq!((not_met(&report).len(), report.left), (expected.len(), Vec::new()));
        }
    }
    // Without a body for new records nothing is written.
    let report = play(odata::EXPECTATIONS, &service, &names[..3], true);
    assert!(not_met(&report).is_empty(), "{}", tell::text(&report, "OData 4.0"));
}

/// Who has no bulk messages need not have them; who has them does all of one or nothing.
#[test]
fn bulk_messages_are_tried_where_there_are_any() {
    let (_, crm) = fakes();
    crm.with(|crm| crm.bulk_tables.remove("account"));
    let report = crm_report(&crm_service(&crm), true);
    assert_eq!(not_met(&report), Vec::<&str>::new());
    let why = Verdict::NotTried { why: "the service has given no bulk messages of accounts so far".to_owned() };
    assert_eq!(report.findings.iter().filter(|finding| finding.verdict == why).count(), 6);

    let (_, crm) = fakes();
    let service = crm_service(&crm);
    // Makes what it can.
    let request: fn(&mut Request) = |request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        if request.target.contains("CreateMultiple") && body.contains("xxxxxxxx") {
            let mut body: Value = serde_json::from_slice(&request.body).unwrap();
            body["Targets"].as_array_mut().unwrap().truncate(1);
            request.body = body.to_string().into_bytes();
        }
    };
    let report = crm_report(&Tampered { service: &service, request, answer: |_, _| {} }, true);
    assert_eq!(not_met(&report), ["a bulk message in which one record is refused makes none"]);
    assert_eq!(report.left, Vec::<String>::new());
}

#[test]
fn a_fault_is_caught_where_it_happens_and_told_with_what_was_sent_and_came() {
    let (erp, crm) = fakes();
    erp.set_faults(Faults::once(Fault::ThrottledPlain, 2));
    crm.set_faults(Faults::once(Fault::TruncatedPage, 2));
    let report = erp_report(&erp_service(&erp), false);
    assert_eq!(not_met(&report), ["the root lists the entity sets"]);
    let Verdict::NotMet { sent, came, expected } = &report.findings[1].verdict else { panic!("{report:?}") };
    assert_eq!((sent.as_str(), expected.as_str()), ("GET ", "status 200"));
    assert!(came.starts_with("429 {\"error\":{\"code\":\"Application_TooManyRequests\""), "{came}");
    assert_eq!(not_met(&crm_report(&crm_service(&crm), false)).len(), 1);
}

/// Answers everything in the same way.
struct Teapot;

impl Service for Teapot {
    fn call(&self, _: &Request, _: bool) -> Result<Response, String> {
        Ok(Response { status: 418, ..Response::default() })
    }

    fn redacted(&self, text: String) -> String {
        text
    }
}

#[test]
fn what_is_no_such_service_meets_nothing() {
    let reports = [erp_report(&Teapot, true), crm_report(&Teapot, true), nav_report(&Teapot, true)];
    assert!(reports[1].left[0].starts_with("accounts("), "what may have been made and stays is told");
    for report in reports {
        let (met, not_met, not_tried) = tell::counts(&report);
        assert!(met == 0 && not_met >= 5 && not_tried > 5, "{}", tell::text(&report, "teapot.md"));
    }
}

#[test]
fn every_expectation_has_a_name_of_its_own() {
    for all in [erp::EXPECTATIONS, crm::EXPECTATIONS, nav::EXPECTATIONS, odata::EXPECTATIONS] {
        let mut names: Vec<_> = all.iter().map(|Expectation { name, .. }| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all.len());
    }
}

#[test]
fn a_secret_is_never_shown() {
    for (login, told) in [
        (Login::Token("t0ken".to_owned()), "Bearer t0ken"),
        (Login::Basic { user: "sync".to_owned(), key: "s3cret".to_owned() }, "s3cret, or Basic c3luYzpzM2NyZXQ="),
    ] {
        let remote = Remote::open("http://127.0.0.1:9/".to_owned(), crm::HEADERS, login).unwrap();
        let shown = remote.redacted(told.to_owned());
        assert!(shown.contains("***") && !shown.contains("t0ken") && !shown.contains("s3cret"), "{shown}");
        assert!(!shown.contains("c3luYzpz"), "{shown}");
    }
}

/// `mocks conform` as the command of `mocks`.
fn conform(words: &[&str], variables: &[(&str, &str)]) -> Output {
    let mocks = env!("CARGO_BIN_EXE_mocks");
    let mut command = Command::new(mocks);
    command.args(["--records", "8", "--", "env"]).args(variables.iter().map(|(name, value)| format!("{name}={value}")));
    command.arg(mocks).arg("conform").args(words).env_remove("ERP_COMPANY").output().unwrap()
}

#[test]
fn the_program_tells_one_line_each_and_ends_by_what_is_met() {
    let output = conform(&["erp", "--write"], &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.lines().count(), erp::EXPECTATIONS.len() + 1);
    assert!(text.contains("met        erp-api.md §4: a deleted record is gone\n"), "{text}");

    let output = conform(&["crm", "--format", "json"], &[]);
    assert_eq!(output.status.code(), Some(0));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (tried, writes) = tried(crm::EXPECTATIONS);
    let not_tried = crm::EXPECTATIONS.len() - tried + writes;
    assert_eq!((&told["not_met"], &told["not_tried"]), (&0.into(), &not_tried.into()));
    assert_eq!(told["expectations"][0]["verdict"], "met");

    // NAV's login comes from the environment.
    let output = conform(&["nav", "--write"], &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("met        erp-api.md §10: a key that is taken is refused\n"), "{text}");
    let page = ["odata", "--table", "Customer", "--key", "No", "--text", "Name"];
    let output = conform(&page, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("met        OData 4.0 §11.2.2: a record is addressed by its key"), "{text}");
    assert!(text.contains("not met    OData 4.0 §11.7: a batch in parts goes on"), "NAV takes none: {text}");
    let output = conform(&["nav"], &[("NAV_ACCESS_KEY", "hunter2")]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("came: 401") && !text.contains("hunter2"), "{text}");

    // Nobody is there.
    let output = conform(&["erp", "--token-url", "", "--url", "http://127.0.0.1:9"], &[("ERP_TOKEN_URL", "")]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout), (Some(125), Vec::new()), "{said}");
    let expected = "nobody answers: http://127.0.0.1:9/api/v2.0/: ";
    assert!(said.contains(expected) && said.contains("; hint: check --url, or ERP_URL in the environment"), "{said}");
}

#[test]
fn without_a_login_the_program_says_why_and_not_with_what() {
    let output = conform(&["crm"], &[("CRM_CLIENT_SECRET", "hunter2")]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(said.contains("login: refused with status 401 AADSTS7000215") && !said.contains("hunter2"), "{said}");
    let output = conform(&["crm"], &[("CRM_URL", "")]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(said.contains("no address is given; hint: --url, or CRM_URL in the environment"), "{said}");
}

#[test]
fn a_secret_is_shown_in_none_of_its_forms() {
    let login = Login::Token("a+b/c =d~ä".to_owned());
    let service = Remote::open("http://127.0.0.1:1/".to_owned(), erp::HEADERS, login).unwrap();
    for (form, expected) in [
        ("<a+b/c =d~ä>", "<***>"),
        ("<a%2Bb%2Fc%20%3Dd~%C3%A4>", "<***>"),
        ("<a%2Bb%2Fc+%3Dd~%C3%A4>", "<***>"),
        ("<a%2bb%2fc%20%3dd~%c3%a4>", "<***>"),
        ("<a%2bb%2fc+%3dd~%c3%a4>", "<***>"),
        ("<YStiL2MgPWR+w6Q=>", "<***>"),
        ("<YStiL2MgPWR+w6Q>", "<***>"),
        ("<YStiL2MgPWR-w6Q>", "<***>"),
        ("<YStiL2MgPWR%2Bw6Q%3D>", "<***>"),
        ("<a b>", "<a b>"),
    ] {
        assert_eq!(service.redacted(form.to_owned()), expected);
    }
}
