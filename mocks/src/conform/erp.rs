//! What Business Central's API v2.0 does, section by section of its description (erp-api.md).
//!
//! A table and nothing else. What is written is an item, which no other record comes along with. `<company name>` is given by the caller, empty for the first company; everything else is kept
//! by earlier steps or drawn for the run.

use super::answer::Check::{
    Begins, Code, Contains, Differs, Has, Header, Is, Lacks, Length, NoNull, Only, Status, Times,
};
use super::answer::Keep::{At, Where};
use super::{Expectation, ask, get, send};

/// What goes along with every request.
pub const HEADERS: &[(&str, &str)] = &[("Accept", "application/json"), ("Accept-Language", "en-US")];

const JSON: (&str, &str) = ("Content-Type", "application/json");
const ITEMS: &str = "companies(<company>)/items";
const CUSTOMER: &str = "companies(<company>)/customers(<customer>)";
const OWN: &str = "companies(<company>)/items(<own>)";

const ONE: &str = "companies(<company>)/customers?$select=id&$top=1";
const BATCH: &str = r#"{"requests":[{"id":"a","method":"GET","url":"companies(<company>)"},
    {"id":"b","method":"GET","url":"companies(<company>)/customers?$top=1"}]}"#;
const SLASH: &str = r#"{"requests":[{"id":"a","method":"GET","url":"/companies(<company>)"}]}"#;
const UNTYPED: &str = r#"{"requests":[{"id":"a","method":"PATCH","url":"companies(<company>)/items(<own item>)",
    "headers":{"If-Match":"*"},"body":{"displayName":"Untyped"}}]}"#;
const TO_READ: &str = r#"{"requests":[{"id":"a","method":"PATCH","url":"companies(<company>)/items(<own item>)",
    "headers":{"Content-Type":"application/json","If-Match":"*"},"body":{"displayName":"Read"}}]}"#;
const FAILING: &str = r#"{"requests":[
    {"id":"a","method":"PATCH","url":"companies(<company>)/items(<nobody>)",
     "headers":{"Content-Type":"application/json","If-Match":"*"},"body":{"displayName":"Nowhere"}},
    {"id":"b","method":"GET","url":"companies(<company>)/items(<own item>)"}]}"#;
const UNDONE: &str = r#"{"requests":[
    {"id":"a","method":"PATCH","url":"companies(<company>)/items(<own item>)",
     "headers":{"Content-Type":"application/json","If-Match":"*"},"body":{"displayName":"Undone"}},
    {"id":"b","method":"PATCH","url":"companies(<company>)/items(<nobody>)",
     "headers":{"Content-Type":"application/json","If-Match":"*"},"body":{"displayName":"Nowhere"}}]}"#;

/// All of it, in an order in which each finds what it needs.
pub const EXPECTATIONS: &[Expectation] = &[
    Expectation::reads(
        "1",
        "the companies are listed, the asked one by its name",
        &[get("companies")
            .expect(&[Status(&[200]), Has("/value/0/id"), Has("/value/0/name")])
            .keep(&[("company", Where("name", "<company name>", "id"))])],
    ),
    Expectation::reads(
        "1",
        "the root lists the entity sets",
        &[get("").expect(&[Status(&[200]), Has("/value/0/name")])],
    ),
    Expectation::reads(
        "1",
        "the metadata is XML",
        &[get("$metadata").headers(&[("Accept", "application/xml")]).expect(&[
            Status(&[200]),
            Header("Content-Type", "xml"),
            Times("Edmx Version=", 1),
        ])],
    ),
    Expectation::reads(
        "2",
        "nobody reads without a login",
        &[get("companies").without_login().expect(&[Status(&[401])])],
    ),
    Expectation::reads(
        "2",
        "a token that nobody issued is refused",
        &[get("companies").headers(&[("Authorization", "Bearer none")]).without_login().expect(&[Status(&[401])])],
    ),
    Expectation::reads(
        "6",
        "an unknown entity set is told by its code",
        &[get("companies(<company>)/nonesuch").expect(&[Status(&[404]), Code(&["BadRequest_ResourceNotFound"])])],
    ),
    Expectation::reads(
        "6",
        "an unknown company is told by its code",
        &[get("companies(<nobody>)/customers").expect(&[Status(&[404]), Code(&["Internal_CompanyNotFound"])])],
    ),
    Expectation::reads(
        "6",
        "an unknown record is told by its code",
        &[get("companies(<company>)/customers(<nobody>)")
            .expect(&[Status(&[404]), Code(&["BadRequest_NotFound", "Internal_RecordNotFound"])])],
    ),
    Expectation::reads(
        "6",
        "an error ends with two blanks and a correlation id",
        &[get("companies(<company>)/customers(<nobody>)").expect(&[Contains("/error/message", "  CorrelationId:  ")])],
    ),
    Expectation::reads(
        "3",
        "rows have context, versions and what is selected, and nothing else",
        &[get("companies(<company>)/customers?$select=id,number,displayName,lastModifiedDateTime&$top=2")
            .expect(&[
                Status(&[200]),
                Header("OData-Version", "4.0"),
                Header("Content-Type", "odata.metadata=minimal"),
                Contains("/@odata.context", "/$metadata#companies("),
                Begins("/value/0/@odata.etag", "W/\""),
                Has("/value/0/number"),
                Only("/value/0", &["id", "number", "displayName", "lastModifiedDateTime"]),
                Lacks("/@odata.nextLink"),
            ])
            .keep(&[
                ("customer", At("/value/0/id")),
                ("number", At("/value/0/number")),
                ("modified", At("/value/0/lastModifiedDateTime")),
                ("second customer", At("/value/1/id")),
            ])],
    ),
    Expectation::reads(
        "3",
        "a single record is an entity",
        &[get(CUSTOMER).expect(&[
            Status(&[200]),
            Is("/id", "<customer>"),
            Contains("/@odata.context", "/$entity"),
            Begins("/@odata.etag", "W/\""),
        ])],
    ),
    Expectation::reads("8", "blanks stand for nulls", &[get(CUSTOMER).expect(&[Status(&[200]), NoNull])]),
    Expectation::reads(
        "3",
        "pages are as small as asked for and lead on",
        &[
            // Of one customer alone there is no second page.
            get("companies(<company>)/customers(<second customer>)?$select=id").expect(&[Status(&[200])]),
            get("companies(<company>)/customers?$select=id")
                .headers(&[("Prefer", "odata.maxpagesize=1")])
                .expect(&[Status(&[200]), Length("/value", 1), Begins("/@odata.nextLink", "http")])
                .keep(&[("first", At("/value/0/id")), ("next page", At("/@odata.nextLink"))]),
            get("<next page>").headers(&[("Prefer", "odata.maxpagesize=1")]).expect(&[
                Status(&[200]),
                Length("/value", 1),
                Differs("/value/0/id", "<first>"),
            ]),
        ],
    ),
    Expectation::reads(
        "3",
        "rows are counted where that is asked for",
        &[get("companies(<company>)/customers?$select=id&$top=1&$count=true").expect(&[
            Status(&[200]),
            Has("/@odata.count"),
            Length("/value", 1),
        ])],
    ),
    Expectation::reads(
        "3",
        "a record is found by its number",
        &[get("companies(<company>)/customers?$select=id&$filter=number%20eq%20'<number>'").expect(&[
            Status(&[200]),
            Length("/value", 1),
            Is("/value/0/id", "<customer>"),
        ])],
    ),
    Expectation::reads(
        "3",
        "several ids are asked for with or",
        &[get(
            "companies(<company>)/customers?$select=id&$filter=id%20eq%20<customer>%20or%20id%20eq%20<second customer>",
        )
        .expect(&[Status(&[200]), Length("/value", 2)])],
    ),
    Expectation::reads(
        "3",
        "or over two fields is refused",
        &[get("companies(<company>)/customers?$select=id&$filter=number%20eq%20'1'%20or%20city%20eq%20'1'")
            .expect(&[Status(&[400]), Contains("/error/message", "OR")])],
    ),
    Expectation::reads(
        "3",
        "functions in each other are refused without schema version 2.1",
        &[get("companies(<company>)/customers?$select=id&$filter=contains(tolower(displayName),'x')")
            .expect(&[Status(&[400, 501])])],
    ),
    Expectation::reads(
        "3",
        "in is passed over in silence without schema version 2.1",
        &[get("companies(<company>)/customers?$select=id&$top=1&$filter=number%20in%20('no%20such%20number')")
            .expect(&[Status(&[200]), Length("/value", 1)])],
    ),
    Expectation::reads(
        "3",
        "changes are found by their time",
        &[get("companies(<company>)/customers?$select=id&$top=1&$filter=lastModifiedDateTime%20ge%20<modified>")
            .expect(&[Status(&[200]), Length("/value", 1)])],
    ),
    Expectation::reads(
        "8",
        "the blank of an enum is _x0020_",
        &[get("companies(<company>)/customers?$select=blocked&$top=1&$filter=blocked%20eq%20'_x0020_'")
            .expect(&[Status(&[200]), Is("/value/0/blocked", "_x0020_")])],
    ),
    Expectation::reads(
        "3",
        "reads may come from a replica",
        &[get(ONE).headers(&[("Data-Access-Intent", "ReadOnly")]).expect(&[Status(&[200])])],
    ),
    Expectation::reads(
        "5",
        "a JSON batch answers each request by its id",
        &[send("POST", "$batch", BATCH).expect(&[
            Status(&[200]),
            Length("/responses", 2),
            Is("/responses/0/status", "200"),
            Is("/responses/1/status", "200"),
            Times("\"id\":\"a\"", 1),
            Times("\"id\":\"b\"", 1),
        ])],
    ),
    Expectation::reads(
        "5",
        "an address with a leading slash leads nowhere in a batch",
        &[send("POST", "$batch", SLASH).expect(&[Status(&[200]), Is("/responses/0/status", "404")])],
    ),
    Expectation::reads(
        "5",
        "a batch has at most 100 requests",
        &[send("POST", "$batch", r#"{"requests":[<101 requests>]}"#).expect(&[Status(&[500])])],
    ),
    Expectation::left_out(
        "7",
        "too many requests are refused with 429 and Application_TooManyRequests",
        "it takes 6,000 requests in five minutes or 101 at once, which everybody there would feel",
    ),
    Expectation::left_out(
        "7",
        "a page that takes longer than eight minutes is answered with 408",
        "it takes a table that is so large, and eight minutes of the service's time",
    ),
    Expectation::writes(
        "4",
        "a new record keeps the id that it comes with, and is answered whole",
        &[send("POST", ITEMS, r#"{"id":"<own>","displayName":"<mark>"}"#)
            .makes(OWN)
            .expect(&[
                Status(&[201]),
                Header("Location", ""),
                Is("/id", "<own>"),
                Is("/displayName", "<mark>"),
                Has("/number"),
                Begins("/@odata.etag", "W/\""),
            ])
            .keep(&[("own item", At("/id")), ("version", At("/@odata.etag"))])],
    ),
    Expectation::writes(
        "6",
        "an id that is taken is refused by its code",
        &[send("POST", ITEMS, r#"{"id":"<own item>","displayName":"<mark>"}"#)
            .expect(&[Status(&[400, 409]), Code(&["Internal_EntityWithSameKeyExists"])])],
    ),
    Expectation::writes(
        "4",
        "a change without If-Match is refused",
        &[send("PATCH", "companies(<company>)/items(<own item>)", r#"{"displayName":"Nowhere"}"#)
            .expect(&[Status(&[400]), Code(&["BadRequest_InvalidToken"])])],
    ),
    Expectation::writes(
        "6",
        "a change of a version that is none is refused",
        &[ask("PATCH", "companies(<company>)/items(<own item>)")
            .headers(&[JSON, ("If-Match", "nonesuch")])
            .body(r#"{"displayName":"Nowhere"}"#)
            .expect(&[Status(&[400]), Code(&["BadRequest_InvalidToken"])])],
    ),
    Expectation::writes(
        "4",
        "a change of the version that was read is answered with the next version",
        &[ask("PATCH", "companies(<company>)/items(<own item>)")
            .headers(&[JSON, ("If-Match", "<version>")])
            .body(r#"{"displayName":"<mark>, changed"}"#)
            .expect(&[Status(&[200]), Is("/displayName", "<mark>, changed"), Differs("/@odata.etag", "<version>")])],
    ),
    Expectation::writes(
        "4",
        "a change of an old version is refused",
        &[ask("PATCH", "companies(<company>)/items(<own item>)")
            .headers(&[JSON, ("If-Match", "<version>")])
            .body(r#"{"displayName":"Nowhere"}"#)
            .expect(&[Status(&[409, 412])])],
    ),
    Expectation::writes(
        "6",
        "a record is not replaced as a whole",
        &[ask("PUT", "companies(<company>)/items(<own item>)")
            .headers(&[JSON, ("If-Match", "*")])
            .body(r#"{"displayName":"Nowhere"}"#)
            .expect(&[Status(&[405]), Code(&["BadRequest_MethodNotAllowed"])])],
    ),
    Expectation::writes(
        "5",
        "a body in a batch that does not say what it is is refused",
        &[
            send("POST", "$batch", UNTYPED).expect(&[Status(&[200]), Length("/responses", 1)]),
            get("companies(<company>)/items(<own item>)").expect(&[Status(&[200]), Differs("/displayName", "Untyped")]),
        ],
    ),
    Expectation::writes(
        "6",
        "a body that does not say what it is is refused",
        &[ask("PATCH", "companies(<company>)/items(<own item>)")
            .headers(&[("If-Match", "*")])
            .body(r#"{"displayName":"Nowhere"}"#)
            .expect(&[Status(&[400, 415])])],
    ),
    Expectation::writes(
        "3",
        "a batch that only means to read writes nothing",
        &[
            ask("POST", "$batch").headers(&[JSON, ("Data-Access-Intent", "ReadOnly")]).body(TO_READ),
            get("companies(<company>)/items(<own item>)").expect(&[Status(&[200]), Differs("/displayName", "Read")]),
        ],
    ),
    Expectation::writes(
        "6",
        "the blank of an enum is not written as a blank",
        &[send("POST", "companies(<company>)/customers", r#"{"id":"<nobody>","blocked":" "}"#)
            .makes("companies(<company>)/customers(<nobody>)")
            .expect(&[Status(&[400]), Code(&["RequestDataInvalid"])])],
    ),
    Expectation::writes(
        "4",
        "a change of an unknown record makes none",
        &[ask("PATCH", "companies(<company>)/items(<nobody>)")
            .makes("companies(<company>)/items(<nobody>)")
            .headers(&[JSON, ("If-Match", "*")])
            .body(r#"{"displayName":"Nowhere"}"#)
            .expect(&[Status(&[404])])],
    ),
    Expectation::writes(
        "4",
        "a set cannot be changed as a whole",
        &[ask("PATCH", ITEMS)
            .headers(&[JSON, ("If-Match", "*")])
            .body(r#"{"displayName":"Nowhere"}"#)
            .expect(&[Status(&[405]), Code(&["BadRequest_MethodNotAllowed"])])],
    ),
    Expectation::writes(
        "3",
        "a write that only means to read is refused",
        &[ask("PATCH", "companies(<company>)/items(<own item>)")
            .headers(&[JSON, ("If-Match", "*"), ("Data-Access-Intent", "ReadOnly")])
            .body(r#"{"displayName":"Nowhere"}"#)
            .expect(&[Status(&[400])])],
    ),
    Expectation::writes(
        "4",
        "a property that the type does not have is refused",
        &[ask("PATCH", "companies(<company>)/items(<own item>)")
            .headers(&[JSON, ("If-Match", "*")])
            .body(r#"{"nonesuch":"x"}"#)
            .expect(&[Status(&[400]), Contains("/error/message", "nonesuch")])],
    ),
    Expectation::writes(
        "6",
        "a text that is too long is refused by its code",
        &[ask("PATCH", "companies(<company>)/items(<own item>)")
            .headers(&[JSON, ("If-Match", "*")])
            .body(r#"{"displayName":"<long>"}"#)
            .expect(&[Status(&[400]), Code(&["Application_StringExceededLength"])])],
    ),
    Expectation::writes(
        "6",
        "a code that leads nowhere is refused by its code",
        &[ask("PATCH", "companies(<company>)/items(<own item>)")
            .headers(&[JSON, ("If-Match", "*")])
            .body(r#"{"baseUnitOfMeasureCode":"<upper code>"}"#)
            .expect(&[Status(&[400]), Code(&["Internal_InvalidTableRelation"])])],
    ),
    Expectation::writes(
        "8",
        "codes are kept in capitals, texts without trailing blanks",
        &[
            send(
                "POST",
                "companies(<company>)/shipmentMethods",
                r#"{"id":"<second own>","code":"<code>","displayName":"<mark>  "}"#,
            )
            .makes("companies(<company>)/shipmentMethods(<second own>)")
            .expect(&[Status(&[201])]),
            get("companies(<company>)/shipmentMethods?$filter=code%20eq%20'<upper code>'").expect(&[
                Length("/value", 1),
                Times("\"<upper code>\"", 1),
                Times("\"<mark>\"", 1),
            ]),
        ],
    ),
    Expectation::writes(
        "5",
        "a batch stops at its first failure",
        &[send("POST", "$batch", FAILING).makes("companies(<company>)/items(<nobody>)").expect(&[
            Status(&[200]),
            Length("/responses", 1),
            Is("/responses/0/status", "404"),
        ])],
    ),
    Expectation::writes(
        "5",
        "a batch goes on after a failure where it is told to",
        &[ask("POST", "$batch")
            .headers(&[JSON, ("Prefer", "odata.continue-on-error")])
            .body(FAILING)
            .makes("companies(<company>)/items(<nobody>)")
            .expect(&[
                Status(&[200]),
                Length("/responses", 2),
                Times("\"status\":404", 1),
                Times("\"status\":200", 1),
            ])],
    ),
    Expectation::writes(
        "5",
        "a batch in one transaction is undone as a whole",
        &[
            ask("POST", "$batch")
                .headers(&[JSON, ("Isolation", "snapshot")])
                .body(UNDONE)
                .makes("companies(<company>)/items(<nobody>)")
                .expect(&[Status(&[200])]),
            get("companies(<company>)/items(<own item>)").expect(&[Status(&[200]), Differs("/displayName", "Undone")]),
        ],
    ),
    Expectation::writes(
        "4",
        "a deletion of an old version is refused",
        &[
            ask("DELETE", "companies(<company>)/items(<own item>)")
                .headers(&[("If-Match", "<version>")])
                .expect(&[Status(&[409, 412])]),
            get("companies(<company>)/items(<own item>)").expect(&[Status(&[200])]),
        ],
    ),
    Expectation::writes(
        "4",
        "a deleted record is gone",
        &[
            ask("DELETE", "companies(<company>)/items(<own item>)")
                .headers(&[("If-Match", "*")])
                .expect(&[Status(&[204])]),
            get("companies(<company>)/items(<own item>)").expect(&[Status(&[404])]),
        ],
    ),
];
