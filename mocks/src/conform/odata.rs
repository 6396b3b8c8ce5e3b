//! What any OData V4 service does, by the protocol alone: one table of it, whatever it holds.
//!
//! A table and nothing else. The caller names the set (`<table>`), a property of its key (`<key>`), a text that may be
//! written (`<text>`), and the body of a new record (`<new body>`), without which nothing is written. Literals for
//! addresses are `raw`: they are made of what the service showed.

use super::answer::Check::{Begins, Differs, Has, Header, Is, Lacks, Length, Status, Times};
use super::answer::Keep::{At, Literal, Nobody};
use super::{Expectation, ask, get, send};

/// What goes along with every request that does not say otherwise.
pub const HEADERS: &[(&str, &str)] = &[("Accept", "application/json"), ("OData-MaxVersion", "4.0")];

const JSON: (&str, &str) = ("Content-Type", "application/json");
const RECORD: &str = "<table>(<raw key>)";
const OWN: &str = "<table>(<raw own>)";
const NOBODY: &str = "<table>(<raw nobody>)";
const GOES_ON: (&str, &str) = ("Prefer", "odata.continue-on-error");

/// A question that fails, and one that does not.
const TWO_QUESTIONS: &str = r#"{"requests":[{"id":"1","method":"GET","url":"ConformanceNonesuch","headers":{}},
{"id":"2","method":"GET","url":"<table>?$top=1&$select=<key>","headers":{}}]}"#;
const TWO_PARTS: &str = "--batch_conform
Content-Type: application/http
Content-Transfer-Encoding: binary

GET ConformanceNonesuch HTTP/1.1
Accept: application/json


--batch_conform
Content-Type: application/http
Content-Transfer-Encoding: binary

GET <table>?$top=1&$select=<key> HTTP/1.1
Accept: application/json


--batch_conform--
";
/// A change under a condition, as one operation.
const ONE_CHANGE: &str = r#"{"requests":[{"id":"1","method":"PATCH","url":"<table>(<raw own>)",
"headers":{"content-type":"application/json","if-match":"*"},"body":{"<text>":"<mark> 3"}}]}"#;
const ONE_PART: &str = "--batch_conform
Content-Type: application/http
Content-Transfer-Encoding: binary

PATCH <table>(<raw own>) HTTP/1.1
Content-Type: application/json
Accept: application/json
If-Match: *

{\"<text>\":\"<mark> 4\"}
--batch_conform--
";
/// Else the answer may come in JSON.
const IN_PARTS: (&str, &str) = ("Accept", "multipart/mixed");
const MULTIPART: (&str, &str) = ("Content-Type", "multipart/mixed; boundary=batch_conform");

/// All of it, in an order in which each finds what it needs.
pub const EXPECTATIONS: &[Expectation] = &[
    Expectation::reads(
        "11.1.2",
        "the metadata is XML",
        &[get("$metadata")
            .headers(&[("Accept", "application/xml")])
            .expect(&[Status(&[200]), Header("Content-Type", "xml")])],
    ),
    Expectation::reads(
        "8.1.5",
        "answers tell the version of the protocol",
        &[get("<table>?$top=1").expect(&[
            Status(&[200]),
            Header("OData-Version", "4.0"),
            Header("Content-Type", "json"),
        ])],
    ),
    Expectation::reads(
        "11.2.4.1",
        "rows have their key and what is selected",
        &[get("<table>?$select=<key>,<text>&$top=2")
            .expect(&[Status(&[200]), Has("/@odata.context"), Has("/value/0/<key>")])
            .keep(&[
                ("raw key", Literal("/value/0/<key>")),
                ("raw second", Literal("/value/1/<key>")),
                ("raw nobody", Nobody("/value/0/<key>")),
                ("key value", At("/value/0/<key>")),
            ])],
    ),
    Expectation::reads(
        "11.2.2",
        "a record is addressed by its key, with and without its name",
        &[
            get(RECORD).expect(&[Status(&[200]), Is("/<key>", "<key value>")]),
            get("<table>(<key>=<raw key>)").expect(&[Status(&[200]), Is("/<key>", "<key value>")]),
        ],
    ),
    Expectation::reads("11.2.2", "a record that there is not is told by 404", &[get(NOBODY).expect(&[Status(&[404])])]),
    Expectation::reads(
        "9.4",
        "an error has a code and a message",
        &[get(NOBODY).expect(&[Has("/error/code"), Has("/error/message")])],
    ),
    Expectation::reads(
        "11.2.7",
        "a table that there is not is told by 404",
        &[get("ConformanceNonesuch").expect(&[Status(&[404])])],
    ),
    Expectation::reads(
        "11.2.4.1",
        "a property that there is not is refused",
        &[get("<table>?$select=conformanceNonesuch").expect(&[Status(&[400])])],
    ),
    Expectation::reads(
        "11.2.5.1",
        "several keys are asked for with or",
        &[get("<table>?$select=<key>&$filter=<key>%20eq%20<raw key>%20or%20<key>%20eq%20<raw second>")
            .expect(&[Status(&[200]), Length("/value", 2)])],
    ),
    Expectation::reads(
        "11.2.5.5",
        "records are counted",
        &[get("<table>?$select=<key>&$count=true&$top=1").expect(&[Status(&[200]), Has("/@odata.count")])],
    ),
    Expectation::reads(
        "8.2.8.5",
        "pages are as small as asked for and lead on",
        &[
            // Of one record alone there is no second page.
            get("<table>(<raw second>)?$select=<key>").expect(&[Status(&[200])]),
            get("<table>?$select=<key>")
                .headers(&[("Prefer", "odata.maxpagesize=1")])
                .expect(&[Status(&[200]), Length("/value", 1), Has("/@odata.nextLink")])
                .keep(&[("first", At("/value/0/<key>")), ("next page", At("/@odata.nextLink"))]),
            get("<next page>").headers(&[("Prefer", "odata.maxpagesize=1")]).expect(&[
                Status(&[200]),
                Length("/value", 1),
                Differs("/value/0/<key>", "<first>"),
            ]),
        ],
    ),
    Expectation::reads(
        "JSON 19.1",
        "a batch in JSON goes on after a failure",
        &[ask("POST", "$batch").headers(&[JSON, GOES_ON]).body(TWO_QUESTIONS).expect(&[
            Status(&[200]),
            Length("/responses", 2),
            Times("\"<key>\"", 1),
        ])],
    ),
    Expectation::reads(
        "11.7",
        "a batch in parts goes on after a failure",
        &[ask("POST", "$batch").headers(&[MULTIPART, IN_PARTS, GOES_ON]).body(TWO_PARTS).expect(&[
            Status(&[200]),
            Header("Content-Type", "multipart/mixed"),
            Times("HTTP/1.1 404", 1),
            Times("HTTP/1.1 200", 1),
        ])],
    ),
    Expectation::writes(
        "11.4.2",
        "a new record is answered with its key",
        &[send("POST", "<table>", "<new body>").expect(&[Status(&[201]), Has("/<key>")]).keep(&[
            ("raw own", Literal("/<key>")),
            ("own value", At("/<key>")),
            ("version", At("/@odata.etag")),
        ])],
    ),
    Expectation::writes(
        "11.4.3",
        "a change under If-Match * is carried out",
        &[
            ask("PATCH", OWN)
                .makes(OWN)
                .headers(&[JSON, ("If-Match", "*")])
                .body(r#"{"<text>":"<mark> 2"}"#)
                .expect(&[Status(&[200, 204])]),
            get(OWN).expect(&[Status(&[200]), Is("/<text>", "<mark> 2")]),
        ],
    ),
    Expectation::writes(
        "11.4.1.1",
        "a change of an old version is refused",
        &[
            ask("PATCH", OWN)
                .headers(&[JSON, ("If-Match", "<version>")])
                .body(r#"{"<text>":"<mark> old"}"#)
                .expect(&[Status(&[412])]),
            get(OWN).expect(&[Status(&[200]), Is("/<text>", "<mark> 2")]),
        ],
    ),
    Expectation::writes(
        "11.4.4",
        "a change under If-Match of a record that there is not makes none",
        &[
            ask("PATCH", NOBODY)
                .makes(NOBODY)
                .headers(&[JSON, ("If-Match", "*")])
                .body(r#"{"<text>":"<mark>"}"#)
                .expect(&[Status(&[404, 412])]),
            get(NOBODY).expect(&[Status(&[404])]),
        ],
    ),
    Expectation::writes(
        "JSON 19.1",
        "a batch in JSON carries out a change under its condition",
        &[
            ask("POST", "$batch")
                .headers(&[JSON, GOES_ON])
                .body(ONE_CHANGE)
                .needs("<own value>")
                .expect(&[Status(&[200]), Begins("/responses/0/status", "20")]),
            get(OWN).expect(&[Is("/<text>", "<mark> 3")]),
        ],
    ),
    Expectation::writes(
        "11.7",
        "a batch in parts carries out a change under its condition",
        &[
            ask("POST", "$batch")
                .headers(&[MULTIPART, IN_PARTS, GOES_ON])
                .body(ONE_PART)
                .needs("<own value>")
                .expect(&[Status(&[200]), Times("HTTP/1.1 20", 1)]),
            get(OWN).expect(&[Is("/<text>", "<mark> 4")]),
        ],
    ),
    Expectation::writes(
        "11.4.2",
        "a change of a property that there is not is refused",
        &[ask("PATCH", OWN)
            .headers(&[JSON, ("If-Match", "*")])
            .body(r#"{"conformanceNonesuch":"x"}"#)
            .expect(&[Status(&[400])])],
    ),
    Expectation::writes(
        "11.4.5",
        "a deleted record is gone",
        &[
            ask("DELETE", OWN).headers(&[("If-Match", "*")]).expect(&[Status(&[204])]),
            get(OWN).expect(&[Status(&[404]), Lacks("/<key>")]),
        ],
    ),
];
